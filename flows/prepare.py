"""Prepare the system for its upgrade (chapter 4): everything that is done before the window."""

from __future__ import annotations

from prefect import flow

from mopflow.acts.rehash.order import order
from mopflow.procedures.table import PROCEDURES
from mopflow.readiness import Check
from tasks.checks import active_cmp, carry_out_parts, of_each_server, of_system
from tasks.endings import Summary, ended, joined, skipped
from tasks.hooks import SPEAKS
from tasks.images import bring_images
from tasks.opening import open_preparation
from tasks.pages import show_readiness
from tasks.states import ends_as_state

AT_ONCE = 8  # servers that are looked at side by side


@flow(name="prepare", flow_run_name="prepare", log_prints=False, **SPEAKS)
@ends_as_state
def prepare(site: str, campaign: str | None = None, again: bool = False) -> Summary:
    """Bring every server to where an upgrade may begin, or say what is missing.

    Run it again after a stop: it does only what is still to do. ``again``: also what still counts.
    """
    with open_preparation(site, "prepare", campaign) as house:
        parts = (health_check, load_pmac, distribute_images, back_up, rehash_passwords)
        endings = joined(parts, site=site, campaign=campaign, again=again)
        show_readiness(house)
        return ended(house, endings)


@flow(name="health-check", flow_run_name="health check", log_prints=False, **SPEAKS)
@ends_as_state
def health_check(site: str, campaign: str | None = None, again: bool = False) -> Summary:
    """Prerequisites and the health of every server (4.1, 4.5), 24 to 36 hours before the window."""
    with open_preparation(site, "health-check", campaign) as house:
        before, health = PROCEDURES["4.1"], PROCEDURES["4.5"]
        system = [
            of_system(Check.PREREQUISITES, before.steps),
            of_system(Check.CONSOLE, [health.step(1)]),
            of_system(Check.ALARMS, [health.step(2)]),
            of_system(Check.KPIS, [health.step(3)]),
        ]
        endings = carry_out_parts(house, system, again=again)
        servers = of_each_server(house, Check.HEALTH, lambda _: [health.step(4)])
        endings += carry_out_parts(house, servers, at_once=AT_ONCE, again=again)
        return ended(house, endings)


@flow(name="load-pmac", flow_run_name="load PM&C", log_prints=False, **SPEAKS)
@ends_as_state
def load_pmac(site: str, campaign: str | None = None, again: bool = False) -> Summary:
    """The images into the repository of PM&C (4.6.2, 4.6.3.2), where the site has one."""
    with open_preparation(site, "load-pmac", campaign) as house:
        if house.site.pmac is None:
            skipped(house, PROCEDURES["4.6.2"], "the site has no PM&C")
            skipped(house, PROCEDURES["4.6.3.2"], "the site has no PM&C")
            return ended(house, [])
        steps = [*PROCEDURES["4.6.2"].steps, *PROCEDURES["4.6.3.2"].steps]
        return ended(house, carry_out_parts(house, [of_system(Check.PMAC, steps)], again=again))


@flow(name="distribute-images", flow_run_name="distribute images", log_prints=False, **SPEAKS)
@ends_as_state
def distribute_images(site: str, campaign: str | None = None, again: bool = False) -> Summary:
    """Exactly one image of the right type on every server (4.6.1, 4.6.3)."""
    with open_preparation(site, "distribute-images", campaign) as house:
        return ended(house, bring_images(house, again=again))


@flow(name="back-up", flow_run_name="back up", log_prints=False, **SPEAKS)
@ends_as_state
def back_up(site: str, campaign: str | None = None, again: bool = False) -> Summary:
    """Server backups of every server and the system backup, verified off the servers (4.6.4)."""
    with open_preparation(site, "back-up", campaign) as house:
        steps = PROCEDURES["4.6.4"].steps
        parts = of_each_server(
            house, Check.BACKUP, lambda _: steps, also={active_cmp(house): Check.SYSTEM_BACKUP}
        )
        return ended(house, carry_out_parts(house, parts, at_once=AT_ONCE, again=again))


@flow(name="rehash-passwords", flow_run_name="rehash passwords", log_prints=False, **SPEAKS)
@ends_as_state
def rehash_passwords(site: str, campaign: str | None = None, again: bool = False) -> Summary:
    """SHA-512 for the passwords of root and admusr (4.6.5), one server after another in the document's order."""
    with open_preparation(site, "rehash-passwords", campaign) as house:
        servers = [name for group in order(house.site, house.eye.now().states) for name in group]
        parts = of_each_server(house, Check.PASSWORDS, lambda _: PROCEDURES["4.6.5"].steps, servers)
        return ended(house, carry_out_parts(house, parts, again=again, stop=True))
