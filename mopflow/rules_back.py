"""The safety rules of a backout (chapter 12) as predicates, like `mopflow.rules`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mopflow.console.protocol import LogLine
from mopflow.site import Cluster, Site
from mopflow.step import Finding, Refusal
from mopflow.system import ClusterState, Kind, Role, ServerState, Stage

BACKED_OUT = (Stage.FRESH, Stage.FORCED)  # no server is on the target release
UNCLEAR = (Stage.MOVING, Stage.FIRST_RUNNING, Stage.SECOND_RUNNING, Stage.BACK_FIRST, Stage.BACK_SECOND)


def order(site: Site, cluster: Cluster, states: Mapping[str, ClusterState]) -> Iterator[Refusal]:
    """R1 (12.1, 12.2/2, 12.3.1): MPE/MRA, then the secondary CMP, then the primary; the reverse of the upgrade.

    12.3, first pre-condition: while anything else is backed out, the active primary CMP is on the target release.
    """
    if cluster.kind is Kind.CMP:
        for other in site.traffic_clusters:
            state = states[other.name]
            if state.stage not in BACKED_OUT:
                yield Refusal(
                    "R1",
                    f"{cluster.name} cannot be backed out while {other.name} is not on the old release "
                    f"(12.2, 2): {state.why}",
                    passing=state.stage in UNCLEAR,
                )
    primary = states[site.cmp.primary.name]
    if cluster.name != primary.name:
        if not active_on_target(site, primary):
            yield Refusal(
                "R1",
                f"the active server of {primary.name} is not on {site.target_release.short} (12.3, pre-condition 1): "
                f"{primary.why}",
                passing=primary.stage is Stage.MOVING,
            )
        return
    secondary = site.cmp.secondary
    if secondary is not None and states[secondary.name].stage not in BACKED_OUT:
        state = states[secondary.name]
        yield Refusal(
            "R1",
            f"{cluster.name} comes last, {secondary.name} is not backed out (12.1): {state.why}",
            passing=state.stage in UNCLEAR,
        )


def active_on_target(site: Site, state: ClusterState) -> bool:
    return (
        state.active is not None
        and state.active.release is not None
        and state.active.release.same_build(site.target_release)
    )


def start(cluster: Cluster, state: ClusterState) -> Iterator[Refusal]:
    """R5, R7: the server to back out is not active, its mate is, and nothing runs in the cluster.

    A Sync Broken mark does not stand in the way: the server gets its old image back.
    """
    if state.stage not in (Stage.DONE, Stage.FIRST_DONE):
        yield Refusal(
            "R7",
            f"{cluster.name} is not at the start of a backout: {state.why}",
            passing=state.stage is not Stage.ODD,
        )
        return
    server = state.other
    if state.active is None or server is None:
        yield Refusal("R5", f"who is active in {cluster.name} is not clear: {state.why}", passing=True)
    elif server.role not in (Role.STANDBY, Role.FORCED_STANDBY):
        yield Refusal("R5", f"{server.name} is {server.role}, not standby")


def replicated(server: ServerState, lines: Sequence[LogLine]) -> Finding:
    """R9 after a backout: no Sync Broken mark, and where the Upgrade Log shows a wait for replication, its success.

    The document shows this wait for upgrades only, so a log without one says nothing against the server.
    """
    if server.sync_broken:
        return Finding.no(f"{server.name} shows the Sync Broken mark")
    mine = [line for line in lines if line.hostname == server.name]
    starts = [line.id for line in mine if line.action.lower().startswith("initiate backout")]
    waits = [
        line
        for line in mine
        if line.action.lower().startswith("wait for replication") and line.id > max(starts, default=0)
    ]
    if not starts or not waits:
        return Finding.yes(f"{server.name} shows no Sync Broken mark")
    wait = max(waits, key=lambda line: line.id)
    if wait.result == "Success":
        return Finding.yes(f"Upgrade Log {wait.id}: {wait.action} of {server.name}: Success")
    return Finding.no(f"Upgrade Log {wait.id}: {wait.action} of {server.name}: {wait.result or 'running'}")
