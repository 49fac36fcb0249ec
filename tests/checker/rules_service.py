"""What must hold at every moment: R5 somebody serves, R6 forced standby in a mixed cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from flight_record import HAND_OVERS, INITIATES, Event
from flight_replay import Action, ClusterState, Rule, ServerState


@dataclass(slots=True)
class Lasting:
    """Since when something is wrong, per place, and whether that was said already."""

    since: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def update(self, key: str, wrong: bool, t: float) -> None:
        if wrong:
            self.since.setdefault(key, t)
        else:
            self.since.pop(key, None)
            self.told.discard(key)

    def restart(self, key: str, t: float) -> None:
        if key in self.since:
            self.since[key] = t

    def due(self, key: str, t: float, grace: float) -> float | None:
        """The moment at which the grace ran out, once, if that lies before `t`."""
        if key not in self.since or key in self.told or t <= self.since[key] + grace:
            return None
        self.told.add(key)
        return self.since[key] + grace


@dataclass(slots=True)
class _AtEveryMoment(Rule):
    """Judges a state only when it lasts: a change of roles is written as several lines."""

    def grace(self, cluster: ClusterState) -> float:
        if self.system.running(*HAND_OVERS, cluster=cluster.name):
            return self.limits.failover_longest
        return self.limits.handover

    def over(self, t: float) -> None:
        self.passed(math.inf if self.limits.complete else t)  # how a complete run ends, it stays


@dataclass(slots=True)
class SomebodyServes(_AtEveryMoment):
    """R5: never both servers of a cluster out of service, and no act on an active server."""

    nobody_active: Lasting = field(default_factory=Lasting)
    all_out: Lasting = field(default_factory=Lasting)
    died: dict[str, float] = field(
        default_factory=dict
    )  # CMP cluster -> when its active server died by itself

    def __post_init__(self) -> None:
        self._look(0.0)

    def started(self, action: Action) -> None:
        if action.initiate and action.server and self.system.servers[action.server].role == "Active":
            self.report(
                action.start, "R5", f"{action.action} on an active server", action.cluster, action.server
            )

    def seen(self, event: Event) -> None:
        if event.name == "fault" and event["name"] == "cmp_fails_over":
            self.died[event["where"]] = event.t
        self._look(event.t)

    def grace(self, cluster: ClusterState) -> float:
        usual = _AtEveryMoment.grace(self, cluster)
        return max(usual, self.limits.outage) if cluster.name in self.died else usual

    def ended(self, action: Action) -> None:
        if action.action in HAND_OVERS and action.cluster and action.end is not None:
            self.nobody_active.restart(action.cluster, action.end)

    def passed(self, t: float) -> None:
        for cluster in self.system.clusters.values():
            roles = ", ".join(
                f"{server.name} {server.role}{'' if server.reachable else ' (unreachable)'}"
                for server in cluster.servers
            )
            due = self.nobody_active.due(cluster.name, t, self.grace(cluster))
            if due is not None:
                self.report(due, "R5", f"no server is active: {roles}", cluster.name)
            out = self.limits.outage if cluster.name in self.died else self.limits.handover
            due = self.all_out.due(cluster.name, t, out)
            if due is not None:
                self.report(due, "R5", f"all servers are out of service: {roles}", cluster.name)

    def _look(self, t: float) -> None:
        for cluster in self.system.clusters.values():
            self.nobody_active.update(cluster.name, cluster.active is None, t)
            out = all(server.out_of_service for server in cluster.servers)
            # without an active server the other sentence says it all
            self.all_out.update(cluster.name, out and cluster.active is not None, t)


@dataclass(slots=True)
class ForcedStandby(_AtEveryMoment):
    """R6: in a mixed cluster whoever is not on the active server's release is in forced standby."""

    loose: Lasting = field(default_factory=Lasting)

    def __post_init__(self) -> None:
        self._look(0.0)

    def seen(self, event: Event) -> None:
        self._look(event.t)

    def ended(self, action: Action) -> None:
        if action.action in HAND_OVERS and action.cluster and action.end is not None:
            for server in self.system.clusters[action.cluster].servers:
                self.loose.restart(server.name, action.end)

    def passed(self, t: float) -> None:
        for cluster in self.system.clusters.values():
            for server in cluster.servers:
                due = self.loose.due(server.name, t, self.grace(cluster))
                if due is not None:
                    text = f"{server.role} on {server.release}, which is not the active server's release"
                    self.report(due, "R6", text, cluster.name, server.name)

    def _look(self, t: float) -> None:
        for cluster in self.system.clusters.values():
            for server in cluster.servers:
                self.loose.update(server.name, self._is_loose(cluster, server), t)

    def _is_loose(self, cluster: ClusterState, server: ServerState) -> bool:
        if server.role in ("Forced Standby", "OOS", "Zombie", "Offline"):
            return False
        if self.system.running(*INITIATES, server=server.name):
            return False
        return any(
            mate.role == "Active" and mate.release != server.release
            for mate in cluster.servers
            if mate is not server
        )
