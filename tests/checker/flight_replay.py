"""Replays a flight record: what the system looked like at each moment, and which actions were under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flight_record import HAND_OVERS, INITIATES, Event, Violation, World

EPSILON = 0.01  # twin seconds; times are rounded when they are written


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of the rules, all in twin seconds unless said otherwise."""

    clusters: int = 4  # R2, number of MPE/MRA clusters
    stagger: float = 60.0  # R3
    traffic_window: float = 90.0  # R11
    failback_margin: float = 30.0  # R11: how long after the window the failover back may take to start
    reading: float = 6.0  # R11: a change this near to the window's end may be read either way
    reapply_within: float = 300.0  # R11: from the end of the failover back to the start of its re-apply
    handover: float = 5.0  # R5, R6: how long a change of roles may show an in-between state
    failover_longest: float = 600.0  # R5, R6: the same while a failover is under way
    race: float = 30.0  # a second person's same act, this near to the first, is nobody's fault
    action_longest: float = 4 * 3600.0  # an action without an end is reported when the record outlives it
    answered: float | None = None  # R8: when a person answered, if one did
    complete: bool = False  # the run came to its end: no action may be left open
    failures_stop: bool = False  # R8 for failed operations as well, not for rollbacks alone
    outage: float = (
        900.0  # R5: how long a server that died by itself (fault cmp_fails_over) may leave nobody active
    )
    notice: float = 60.0  # R8 with failures_stop: how long a failure may take to be seen


class Direction(StrEnum):
    FORWARD = "to the target release"
    BACK = "back to the source release"
    LEVEL = "between servers of the target release"
    NONE = "without any change of release"


@dataclass(slots=True)
class ServerState:
    name: str
    role: str
    release: str
    reachable: bool = True
    in_sync: bool = True

    @property
    def out_of_service(self) -> bool:
        return self.role in ("OOS", "Offline", "Zombie") or not self.reachable


@dataclass(slots=True)
class ClusterState:
    name: str
    kind: str
    primary: bool
    servers: tuple[ServerState, ...]
    traffic: bool
    had_traffic: bool

    @property
    def is_cmp(self) -> bool:
        return self.kind == "CMP"

    @property
    def active(self) -> ServerState | None:
        return next((server for server in self.servers if server.role == "Active"), None)

    @property
    def mixed(self) -> bool:
        return len({server.release for server in self.servers}) > 1

    def settled(self, release: str | None = None) -> bool:
        """One release (that one, if given) on both servers, one active and one standby."""
        if self.mixed or (release is not None and self.servers[0].release != release):
            return False
        return sorted(server.role for server in self.servers) == ["Active", "Standby"]


@dataclass(slots=True, eq=False)
class Action:
    """One action from its start to its end; `end` is None while it runs."""

    action: str
    cluster: str | None
    server: str | None
    by: str
    start: float
    end: float | None = None
    result: str | None = None
    seen_oos: bool = False  # initiate_*: its server was OOS at some moment
    direction: Direction = Direction.NONE
    target: str | None = None  # a hand-over: the server that is to become active
    active_before: str | None = None  # a hand-over
    had_traffic: bool = False  # the cluster's traffic when it started
    raced: bool = False  # somebody else began the same act on the same place a moment before

    @property
    def running(self) -> bool:
        return self.end is None

    @property
    def initiate(self) -> bool:
        return self.action in INITIATES

    @property
    def hand_over(self) -> bool:
        return self.action in HAND_OVERS


class System:
    """The state of all servers and clusters while the record is replayed."""

    def __init__(self, world: World, events: Sequence[Event], limits: Limits) -> None:
        self.source, self.target = world.source, world.target
        self.limits = limits
        self.open: list[Action] = []
        self.recent: list[Action] = []  # running or ended, started within the last `race` seconds
        first_traffic: dict[str, bool] = {}
        self._servers_started: dict[
            str, list[tuple[float, bool]]
        ] = {}  # cluster -> when, and was it a backout
        self._logins: list[float] = []  # to the console
        for event in events:
            if event.name == "traffic":
                first_traffic.setdefault(event["cluster"], event["active"])
            elif event.name == "action_started" and event["action"] in INITIATES:
                begun = self._servers_started.setdefault(event["cluster"], [])
                begun.append((event.t, event["action"] == "initiate_backout"))
            elif event.name == "gui_login" and event["ok"]:
                self._logins.append(event.t)
        self.clusters = {
            cluster.name: ClusterState(
                name=cluster.name,
                kind=cluster.kind,
                primary=cluster.primary,
                servers=tuple(ServerState(s.name, s.role, s.release) for s in cluster.servers),
                # the world does not say it: what the first change changes to was not so before
                traffic=cluster.kind != "CMP" and not first_traffic.get(cluster.name, False),
                had_traffic=cluster.kind != "CMP" and not first_traffic.get(cluster.name, False),
            )
            for cluster in world.clusters
        }
        self.servers = {server.name: server for c in self.clusters.values() for server in c.servers}
        self.images = {
            s.name: s.images for cluster in world.clusters for s in cluster.servers if s.images is not None
        }
        self.home = {server.name: c for c in self.clusters.values() for server in c.servers}

    def cluster_of(self, action: Action) -> ClusterState | None:
        return self.clusters.get(action.cluster) if action.cluster else None

    def mates(self, server: str) -> tuple[ServerState, ...]:
        return tuple(mate for mate in self.home[server].servers if mate.name != server)

    def workers(self) -> Iterator[ClusterState]:
        """The MPE, MPE-Li and MRA clusters."""
        return (cluster for cluster in self.clusters.values() if not cluster.is_cmp)

    def running(self, *actions: str, cluster: str | None = None, server: str | None = None) -> list[Action]:
        return [
            action
            for action in self.open
            if action.action in actions
            and (cluster is None or action.cluster == cluster)
            and (server is None or action.server == server)
        ]

    def turned_round(self, forward: Action, back: Action) -> bool:
        """Did a person turn an upgrade into a backout with this failover back, after that failover forward?

        The record names no command; two things in it show the turn. Another command works since: somebody has logged in
        to the console anew. And the cluster goes back altogether: its next start is the backout of the remaining
        server. A rollback (R11) is followed by a hold instead. What the record does not reach is not shown.
        """
        anew = any(forward.start < login <= back.start for login in self._logins)
        later = [
            is_back for t, is_back in self._servers_started.get(back.cluster or "", ()) if t > back.start
        ]
        return anew and later[:1] == [True]

    def apply(self, event: Event) -> list[str]:
        """Takes a change of state over; answers with what contradicts the record so far."""
        complaints: list[str] = []
        match event.name:
            case "role":
                server = self.servers[event["server"]]
                if server.role != event["from"]:
                    complaints.append(f"role from {event['from']}, but it was {server.role}")
                server.role = event["to"]
                if server.role == "OOS":
                    for action in self.running(*INITIATES, server=server.name):
                        action.seen_oos = True
            case "release":
                server = self.servers[event["server"]]
                if server.release != event["from"]:
                    complaints.append(f"release from {event['from']}, but it was {server.release}")
                server.release = event["to"]
            case "reachable":
                self.servers[event["server"]].reachable = event["up"]
            case "replication":
                self.servers[event["server"]].in_sync = event["in_sync"]
            case "traffic":
                cluster = self.clusters[event["cluster"]]
                cluster.traffic = event["active"]
                cluster.had_traffic = cluster.had_traffic or cluster.traffic
        return complaints

    def begin(self, event: Event) -> Action:
        """A new action with what the state says about it; the caller adds it to the running ones."""
        action = Action(event["action"], event["cluster"], event["server"], event["by"], event.t)
        cluster = self.cluster_of(action)
        if cluster is not None:
            action.had_traffic = cluster.traffic
        if action.action == "initiate_upgrade":
            action.direction = Direction.FORWARD
        elif action.action == "initiate_backout":
            action.direction = Direction.BACK
        elif action.hand_over and cluster is not None:
            self._aim(action, cluster)
        if action.initiate and action.server is not None:
            action.seen_oos = self.servers[action.server].role == "OOS"
        if cluster is not None:
            self._race(action)
        self.recent = [past for past in self.recent if action.start - past.start <= self.limits.race]
        self.recent.append(action)
        return action

    def _race(self, action: Action) -> None:
        """Two people confirm the same dialog: the second click means what the first one meant, even when
        the first is done by then and a failover would now go the other way."""
        for first in self.recent:
            same = (first.action, first.cluster, first.server) == (
                action.action,
                action.cluster,
                action.server,
            )
            near = action.start - first.start <= self.limits.race
            if same and near and first.by != action.by and not first.raced:
                action.raced, action.direction, action.target = True, first.direction, first.target
                return

    def _aim(self, action: Action, cluster: ClusterState) -> None:
        active = cluster.active
        action.active_before = active.name if active else None
        others = [server for server in cluster.servers if server is not active]
        named = [server for server in others if server.name == action.server]
        target = (named or others)[0] if named or active is not None else None
        if target is None:
            return
        action.target = target.name
        if target.release == self.target:
            same = active is not None and active.release == self.target
            action.direction = Direction.LEVEL if same else Direction.FORWARD
        elif active is None or active.release == self.target:
            action.direction = Direction.BACK

    def finish(self, event: Event) -> Action | None:
        """The running action that this end belongs to, now ended; None if there is none."""
        fitting = [
            action
            for action in self.open
            if (action.action, action.cluster, action.server)
            == (event["action"], event["cluster"], event["server"])
        ]
        if not fitting:
            return None
        # of two on the same place it is the second that fails early
        action = fitting[-1] if event["result"] == "Failed" else fitting[0]
        by_same = [candidate for candidate in fitting if candidate.by == event["by"]]
        if action not in by_same and len(by_same) == 1:
            action = by_same[0]
        action.end, action.result = event.t, event["result"]
        self.open.remove(action)
        return action


@dataclass(slots=True)
class Rule:
    """One rule of the house. The replay calls the methods; each reports what it finds."""

    system: System
    limits: Limits
    found: list[Violation] = field(default_factory=list)

    def report(
        self, t: float, rule: str, text: str, cluster: str | None = None, server: str | None = None
    ) -> None:
        self.found.append(Violation(t, rule, text, cluster, server))

    def passed(self, t: float) -> None:
        """Time goes on to `t`; the state is that of all earlier moments."""

    def started(self, action: Action) -> None:
        """An action starts; it is not yet among the running ones."""

    def ended(self, action: Action) -> None:
        """An action has ended."""

    def seen(self, event: Event) -> None:
        """Any event, after its change of state."""

    def over(self, t: float) -> None:
        """The record ends at `t`."""


RuleMaker = Callable[[System, Limits], Rule]


def replay(
    world: World, events: Sequence[Event], limits: Limits, rules: Iterable[RuleMaker]
) -> list[Violation]:
    """Every violation of the given rules, in the order of time."""
    system = System(world, events, limits)
    judges = [make(system, limits) for make in rules]
    found: list[Violation] = []
    now = 0.0
    for event in events:
        if event.t > now:
            for judge in judges:
                judge.passed(event.t)
            now = event.t
        if event.name == "action_started":
            action = system.begin(event)
            for judge in judges:
                judge.started(action)
            system.open.append(action)
        elif event.name == "action_ended":
            ended = system.finish(event)
            if ended is None:
                text = f"{event['action']} ends that was not under way"
                found.append(Violation(event.t, "record", text, event["cluster"], event["server"]))
            else:
                for judge in judges:
                    judge.ended(ended)
        else:
            for complaint in system.apply(event):
                found.append(
                    Violation(
                        event.t, "record", complaint, system.home[event["server"]].name, event["server"]
                    )
                )
        for judge in judges:
            judge.seen(event)
    for judge in judges:
        judge.over(now)
        found += judge.found
    return sorted(found, key=lambda violation: violation.t)
