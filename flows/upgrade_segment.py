"""Upgrade the MPE and MRA clusters of one segment (10.1.1, 10.2), at most four at one time."""

from __future__ import annotations

from prefect import flow

from mopflow.here import Scope
from mopflow.house import House
from mopflow.places import place
from mopflow.procedures.table import PROCEDURES
from mopflow.run import Outcome
from mopflow.slots import Slot
from tasks.context import current
from tasks.endings import Summary, all_at_once, segment_clusters
from tasks.hooks import SPEAKS
from tasks.opening import open_run
from tasks.states import ends_as_state
from tasks.steps import approved, carry_out, require_forward, require_ready, tell_rehearsed


@flow(name="upgrade-segment", flow_run_name="upgrade {segment}", log_prints=False, **SPEAKS)
@ends_as_state
def upgrade_segment(site: str, segment: str, campaign: str | None = None) -> Summary:
    """Bring every cluster of the segment to the target release.

    Run it again after a stop: finished steps are checked, not repeated; clusters in flight go first.
    """
    with open_run(
        site, flow="upgrade-segment", scope=segment, campaign=campaign, clusters=segment_clusters(segment)
    ) as (house, slots):
        clusters = segment_clusters(segment)(house.site)
        tell_rehearsed(house)
        require_ready(house, clusters, PROCEDURES["10.1.1"].step(1), Scope(segment=segment))
        for step in PROCEDURES["10.1.1"].steps:
            carry_out(step, Scope(segment=segment), house)
        summary = all_at_once(upgrade_cluster, clusters, house, slots)
        for number in (11, 12):
            carry_out(PROCEDURES["10.2"].step(number), Scope(segment=segment), house)
        return summary


@flow(name="upgrade-cluster", flow_run_name="{cluster}", log_prints=False)
@ends_as_state
def upgrade_cluster(cluster: str) -> None:
    """One MPE or MRA cluster (10.2 steps 1 to 10)."""
    house = current(House)
    scope = Scope(cluster=cluster)
    table = PROCEDURES["10.2"]
    require_forward(house, {cluster: table.step(1)})
    carry_out(table.step(1), scope, house)
    carry_out(table.step(2), scope, house)
    with place(house, Slot.CLUSTER, table.step(3), scope):
        carry_out(table.step(3), scope, house)
        approved(table.step(4), scope, house)
        # failover, re-apply and traffic proof are one decision: no stop, hold or approval falls between them
        with place(house, Slot.FAILOVER, table.step(4), scope):
            carry_out(table.step(4), scope, house)
            carry_out(table.step(5), scope, house)
            alarms = carry_out(table.step(6), scope, house, glance=True)
            carry_out(table.step(7), scope, house)
            carry_out(table.step(8), scope, house)
        if alarms.outcome is Outcome.NOT_YET:
            carry_out(table.step(6), scope, house)
        carry_out(table.step(9), scope, house)
        carry_out(table.step(10), scope, house)
