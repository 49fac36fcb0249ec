"""Back out what was upgraded (chapter 12): MPE and MRA clusters, then the secondary CMP, then the primary."""

from __future__ import annotations

from prefect import flow

from mopflow.confirmations import backout_is_over
from mopflow.here import Here, Scope
from mopflow.holds import reconsider
from mopflow.house import House
from mopflow.places import place
from mopflow.procedures.table import PROCEDURES
from mopflow.scopes import ALL, step_scope
from mopflow.slots import Slot
from tasks.context import current
from tasks.endings import Summary, all_at_once, one_after_the_other, scope_clusters, skipped, together
from tasks.hooks import SPEAKS
from tasks.opening import open_run
from tasks.states import ends_as_state
from tasks.steps import carry_out, require_backout


@flow(name="back-out", flow_run_name="back out {scope}", log_prints=False, **SPEAKS)
@ends_as_state
def back_out(site: str, scope: str, campaign: str | None = None) -> Summary:
    """Bring a cluster, a segment, all MPE and MRA (mpe-mra) or everything (all) back to the old release.

    It begins where each cluster stands. Run it again after a stop: finished steps are checked, not repeated.
    """
    with open_run(
        site,
        flow="back-out",
        scope=scope,
        campaign=campaign,
        clusters=scope_clusters(scope),
        holds_of=lambda s: {None, scope, *scope_clusters(scope)(s), *(one.name for one in s.segments)},
    ) as (house, slots):
        require_backout(house, scope)
        names = scope_clusters(scope)(house.site)
        whole = step_scope(house.site, scope)
        cmps = [c.name for c in house.site.cmp_clusters if c.name in names]
        traffic = [name for name in names if name not in cmps]
        done = []
        if traffic:
            done.append(all_at_once(back_out_cluster, traffic, house, slots))
            for number in (6, 7):
                carry_out(PROCEDURES["12.3.3"].step(number), whole, house)
        if house.site.cmp.secondary is None and scope == ALL:
            skipped(house, PROCEDURES["12.3.4"], "the site has no secondary CMP cluster")
        if cmps:  # the reverse of the upgrade: the primary comes last
            primary = house.site.cmp.primary.name
            work = [(name, "12.3.5" if name == primary else "12.3.4") for name in reversed(cmps)]
            done.append(one_after_the_other(back_out_cmp_cluster, work, house))
            carry_out(PROCEDURES["12.3.5"].step(9), whole, house)
        reading = house.eye.now()
        backout_is_over(Here(house, PROCEDURES["12.3.3"].step(6), whole, reading), scope)
        reconsider(house, reading, set(names))
        return together(house, done)


@flow(name="back-out-cluster", flow_run_name="{cluster}", log_prints=False)
@ends_as_state
def back_out_cluster(cluster: str) -> None:
    """One MPE or MRA cluster (12.3.3 steps 1 to 5)."""
    house = current(House)
    scope = Scope(cluster=cluster)
    table = PROCEDURES["12.3.3"]
    carry_out(table.step(1), scope, house)
    with place(house, Slot.CLUSTER, table.step(2), scope):
        carry_out(table.step(2), scope, house)
        # failover, re-apply and traffic proof are one decision: no stop, hold or approval falls between them
        with place(house, Slot.FAILOVER, table.step(3), scope):
            carry_out(table.step(3), scope, house)
            carry_out(table.step(4), scope, house)
        carry_out(table.step(5), scope, house)


@flow(name="back-out-cmp-cluster", flow_run_name="{cluster}", log_prints=False)
@ends_as_state
def back_out_cmp_cluster(cluster: str, procedure: str) -> None:
    """One CMP cluster by its procedure, row by row as printed; the last row is for all that were backed out."""
    house = current(House)
    for step in PROCEDURES[procedure].steps:
        if step.key != "12.3.5/9":
            carry_out(step, Scope(cluster=cluster), house)
