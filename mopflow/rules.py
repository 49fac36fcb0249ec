"""The safety rules as predicates: each yields its refusals with the reason, and nothing when the act may happen.

Pure: they look at what was read from the live system and at what the ledger holds. A refusal that waiting may cure
is ``passing``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mopflow import mixed
from mopflow.alarms import FORCED_STANDBY, OPERATION_FAILED, Judged
from mopflow.console.protocol import LogLine
from mopflow.site import Cluster, Site
from mopflow.step import Answer, Finding, Refusal
from mopflow.system import Alarm, ClusterState, Doing, Kind, Role, ServerState, Stage

LIMIT = 4  # R2
TROUBLE = "trouble"  # under this name a goal leaves the Trouble that it has seen, for a hold of R8
FOLLOWS = "after R8"  # a cluster that only waits because another one stopped


@dataclass(frozen=True, slots=True)
class StartSeen:
    """The newest start of an upgrade or backout that was seen accepted, of any run on this site."""

    cluster: str
    server: str
    ago: float  # seconds


def order(site: Site, cluster: Cluster, states: Mapping[str, ClusterState]) -> Iterator[Refusal]:
    """R1 and R13: primary CMP, then secondary CMP, then MPE/MRA; no server is touched in a mix outside of Table 1."""
    primary = site.cmp.primary
    if cluster.name == primary.name:
        if not mixed.on_target(states[primary.name]):
            ahead = [c for c in site.traffic_clusters if mixed.on_target(states[c.name])]
            for offence in mixed.offences([primary], ahead):
                yield Refusal("R13", offence)
        return
    before = [primary]
    if cluster.kind is not Kind.CMP and site.cmp.secondary is not None:
        before.append(site.cmp.secondary)
    for cmp in before:
        state = states[cmp.name]
        if state.stage is not Stage.DONE:
            yield Refusal("R1", f"{cmp.name} comes first and is not done: {state.why}")


def room(site: Site, cluster: Cluster, states: Mapping[str, ClusterState]) -> Iterator[Refusal]:
    """R2, counted on the live system: at most four MPE/MRA clusters between two releases."""
    if cluster.kind is Kind.CMP:
        return
    others = [c.name for c in site.traffic_clusters if c.name != cluster.name and states[c.name].in_upgrade]
    if len(others) < LIMIT:
        return
    # found with more than four between two releases: one of them may go on when fewer than four are worked on
    busy = [n for n in others if states[n].is_busy] if states[cluster.name].in_upgrade else others
    if len(busy) >= LIMIT:
        yield Refusal("R2", f"{len(busy)} clusters are in upgrade already: {', '.join(busy)}", passing=True)


def stagger(
    site: Site, cluster: Cluster, states: Mapping[str, ClusterState], last: StartSeen | None
) -> Iterator[Refusal]:
    """R3: a minute after the start before, and not before that one shows OOS (or has ended)."""
    if cluster.kind is Kind.CMP:
        return
    for other in site.traffic_clusters:
        for server in states[other.name].servers:
            if server.operation.doing is Doing.RUNNING and server.role in (Role.STANDBY, Role.FORCED_STANDBY):
                yield Refusal("R3", f"{server.name} was started and does not show OOS yet", passing=True)
    if last is not None and last.ago < site.pace.stagger:
        yield Refusal(
            "R3",
            f"{last.cluster} was started {last.ago:.1f} s ago, wait for {site.pace.stagger:g}",
            passing=True,
        )


def shows_started(state: ClusterState, server: str, before: str) -> Finding:
    """Has a start shown itself: OOS, or ended already? ``before``: the operation cell before the act."""
    row = next((s for s in state.servers if s.name == server), None)
    if row is None:
        return Finding.unknown(f"{server} is not shown")
    if row.role in (Role.OOS, Role.OFFLINE, Role.ZOMBIE):
        return Finding.yes(f"{server} is {row.role}")
    if row.operation.doing in (Doing.SUCCEEDED, Doing.FAILED) and row.operation.text != before:
        return Finding.yes(f"{server}: {row.operation.text}")
    return Finding.no(f"{server} is {row.role}: {row.operation.text}")


def start(
    site: Site,
    cluster: Cluster,
    states: Mapping[str, ClusterState],
    server: ServerState | None,
    *,
    at: Collection[Stage] = (Stage.FRESH, Stage.SWITCHED),
) -> Iterator[Refusal]:
    """R5, R6, R7: the server to upgrade is not active, its mate is, and nothing runs in the cluster.

    ``at``: where a start belongs; on 10.5 and 11.5 the first one comes after Force Standby.
    """
    state = states[cluster.name]
    if state.stage not in at:
        # what runs may end, and what is done may still come in sync
        passing = state.stage not in (Stage.ODD, Stage.FRESH)
        yield Refusal("R7", f"{cluster.name} is not at a start: {state.why}", passing=passing)
        return
    if state.active is None or server is None:
        yield Refusal("R5", f"who is active in {cluster.name} is not clear: {state.why}", passing=True)
        return
    if server.role not in (Role.STANDBY, Role.FORCED_STANDBY):
        yield Refusal("R5", f"{server.name} is {server.role}, not standby")
    if server.sync_broken or state.active.sync_broken:
        yield Refusal("R9", f"{cluster.name} shows the Sync Broken mark", passing=True)


def stopped(cluster: Cluster, stopping: Sequence[str]) -> Iterator[Refusal]:
    """R8: while a stopped cluster waits for a person, no new start and no failover anywhere."""
    for reason in stopping:
        yield Refusal(FOLLOWS, f"a person has to answer first: {reason}")


def failover(
    site: Site,
    cluster: Cluster,
    states: Mapping[str, ClusterState],
    alarms: Iterable[Alarm],
    replication: Finding,
    reachable: Finding,
    *,
    to_new: bool = True,
) -> Iterator[Refusal]:
    """R4, R5, R6, R9: the mate is reachable, on the expected release, in the expected role and in sync."""
    state = states[cluster.name]
    wanted = Stage.FIRST_DONE if to_new else Stage.SWITCHED
    if state.stage is not wanted:
        yield Refusal(
            "R4",
            f"{cluster.name} is not ready for a failover: {state.why}",
            passing=state.stage is Stage.MOVING,
        )
        return
    mate = state.other
    if mate is None:
        yield Refusal("R4", f"the mate of {cluster.name} is not clear: {state.why}", passing=True)
        return
    if mate.role not in (Role.STANDBY, Role.FORCED_STANDBY):
        yield Refusal("R4", f"{mate.name} is {mate.role}, not standby", passing=True)
    if mate.role is Role.STANDBY and not forced_by_alarm(mate.name, alarms):
        yield Refusal(
            "R6",
            f"{mate.name} shows Standby without alarm {FORCED_STANDBY} in a mixed-version cluster",
            passing=True,
        )
    if mate.sync_broken or (state.active is not None and state.active.sync_broken):
        yield Refusal("R9", f"{cluster.name} shows the Sync Broken mark", passing=True)
    if to_new and replication.answer is not Answer.YES:
        yield Refusal("R9", replication.evidence, passing=True)
    if reachable.answer is not Answer.YES:
        yield Refusal("R4", reachable.evidence, passing=True)


def forced_by_alarm(server: str, alarms: Iterable[Alarm]) -> bool:
    """The Upgrade Manager may print Standby for a forced standby; alarm 70503 on that server proves it (R6)."""
    return any(alarm.number == FORCED_STANDBY and alarm.source == server for alarm in alarms)


def replicated(server: ServerState, lines: Sequence[LogLine]) -> Finding:
    """R9 on 12.x: Success of "Wait for replication" after the newest "Initiate upgrade" of this server."""
    if server.sync_broken:
        return Finding.no(f"{server.name} shows the Sync Broken mark")
    mine = [line for line in lines if line.hostname == server.name]
    waits = [line for line in mine if line.action.lower().startswith("wait for replication")]
    starts = [line for line in mine if line.action.lower().startswith("initiate upgrade")]
    if not starts or not waits:
        return Finding.no(f"the Upgrade Log has no wait for replication of {server.name}")
    wait = max(waits, key=lambda line: line.id)
    if wait.id < max(line.id for line in starts):
        return Finding.no(
            f"the Upgrade Log shows no wait for replication after the newest upgrade of {server.name}"
        )
    if wait.result == "Success":
        return Finding.yes(f"Upgrade Log {wait.id}: {wait.action} of {server.name}: Success")
    return Finding.no(f"Upgrade Log {wait.id}: {wait.action} of {server.name}: {wait.result or 'running'}")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stops a cluster. ``server`` and ``text`` are what the system shows: together they name it."""

    rule: str
    server: str  # "": it is of the whole cluster
    text: str
    reason: str  # the sentence of the hold
    can_be_released: bool = True  # may a person let the work go on although it stands?

    @property
    def key(self) -> tuple[str, str]:
        return self.server, self.text


NO_TROUBLE: frozenset[tuple[str, str]] = frozenset()


def troubles(state: ClusterState, judged: Collection[Judged]) -> list[Trouble]:
    """R8: everything that stops this cluster and calls for a person, the worst first.

    A Zombie is repaired by support and by nobody else (3.1.4.7); in a state that the procedure does not know there is
    no next act. Neither can be released, only mended.
    """
    found = []
    for server in state.servers:
        if server.role is Role.ZOMBIE:
            reason = f"{server.name} is a Zombie: it needs direct repair by support"
            found.append(Trouble("R8", server.name, server.role, reason, can_be_released=False))
        if server.role is Role.SPARE:
            reason = f"{server.name} is a Spare; this procedure knows pairs only"
            found.append(Trouble("R17", server.name, server.role, reason, can_be_released=False))
    for item in judged:
        alarm = item.alarm
        if alarm.number == OPERATION_FAILED:
            reason = f"UPGRADE_OPERATION_FAILED on {alarm.source}: {alarm.text}"
            found.append(Trouble("R8", alarm.source, alarm.text, reason))
    if state.stage is Stage.ODD:
        found.append(Trouble("R8", "", state.why, state.why, can_be_released=False))
    for server in state.servers:
        if state.stage is Stage.DONE and not server.operation.backout:
            continue  # what failed was repaired: both servers are upgraded
        text = server.operation.text
        if server.operation.doing is Doing.FAILED:
            found.append(Trouble("R8", server.name, text, f"{server.name}: {text}"))
        if server.operation.doing is Doing.UNKNOWN:
            reason = f"{server.name} shows a status that the document does not know: {text}"
            found.append(Trouble("R8", server.name, text, reason))
    return found


def trouble(
    state: ClusterState,
    judged: Collection[Judged],
    accepted: Collection[tuple[str, str]] = NO_TROUBLE,
) -> Refusal | None:
    """R8: what stops this cluster at once and calls for a person, or None.

    ``accepted``: server and text of what a person has released after speaking with Oracle; exactly that is tolerated.
    """
    for one in troubles(state, judged):
        if not (one.can_be_released and one.key in accepted):
            return Refusal(one.rule, one.reason)
    return None
