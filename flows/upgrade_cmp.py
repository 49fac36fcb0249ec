"""Upgrade the CMP clusters: the primary (9.1.1), then the secondary (9.1.2)."""

from __future__ import annotations

from prefect import flow

from mopflow.here import Scope
from mopflow.house import House
from mopflow.procedures.table import PROCEDURES, cmp_procedures
from tasks.context import current
from tasks.endings import Summary, one_after_the_other, skipped
from tasks.hooks import SPEAKS
from tasks.opening import open_run
from tasks.states import ends_as_state
from tasks.steps import carry_out, require_forward, require_ready, tell_rehearsed


@flow(name="upgrade-cmp", flow_run_name="upgrade the CMP clusters", log_prints=False, **SPEAKS)
@ends_as_state
def upgrade_cmp(site: str, campaign: str | None = None) -> Summary:
    """Bring both CMP clusters to the target release.

    Run it again after a stop: finished steps are checked, not repeated.
    """
    with open_run(
        site,
        flow="upgrade-cmp",
        scope="cmp",
        campaign=campaign,
        clusters=lambda s: tuple(c.name for c in s.cmp_clusters),
    ) as (house, _):
        primary, secondary = cmp_procedures(house.site.source_release)
        tell_rehearsed(house)
        tables = zip(house.site.cmp_clusters, (primary, secondary), strict=False)
        require_forward(house, {cluster.name: table.step(1) for cluster, table in tables})
        require_ready(
            house,
            [cluster.name for cluster in house.site.cmp_clusters],
            primary.step(1),
            Scope(cluster=house.site.cmp.primary.name),
        )
        work = [(house.site.cmp.primary.name, primary.number)]
        if house.site.cmp.secondary is not None:
            work.append((house.site.cmp.secondary.name, secondary.number))
        else:
            skipped(house, secondary, "the site has no secondary CMP cluster")
        return one_after_the_other(upgrade_cmp_cluster, work, house)


@flow(name="upgrade-cmp-cluster", flow_run_name="{cluster}", log_prints=False)
@ends_as_state
def upgrade_cmp_cluster(cluster: str, procedure: str) -> None:
    """One CMP cluster by its procedure, row by row as printed."""
    house = current(House)
    for step in PROCEDURES[procedure].steps:
        carry_out(step, Scope(cluster=cluster), house)
