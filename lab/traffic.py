"""Whether an MPE or MRA cluster carries traffic: it follows from who is active and which configuration applies.

Section 12.1: a cluster that failed over to another release "may not be fully functional" until its configuration has
been re-applied; here that means no traffic at all. It comes back 5 to 25 s after everything is right (assumption).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.clock import Handle
from lab.state import Cluster, Kind

if TYPE_CHECKING:
    from lab.world import World

LONG_AGO = -30 * 86400.0  # traffic ran before the twin began


class Traffic:
    def __init__(self, world: World) -> None:
        self._world = world
        self._coming: dict[str, Handle] = {}
        self._spans: dict[str, list[tuple[float, float | None]]] = {}  # (since, until or None)
        for cluster in world.clusters.values():
            self._spans[cluster.name] = [(LONG_AGO, None)]

    def wanted(self, cluster: Cluster) -> bool:
        active = self._world.active(cluster.name)
        if active is None or not active.reachable or active.release != cluster.config_release:
            return False
        return not (cluster.name in self._world.no_traffic and self._world.on_target(active))

    def reconsider(self) -> None:
        for cluster in self._world.clusters.values():
            if cluster.kind is not Kind.CMP:
                self._reconsider(cluster)

    def _reconsider(self, cluster: Cluster) -> None:
        name = cluster.name
        if not self.wanted(cluster):
            if name in self._coming:
                self._coming.pop(name).cancel()
            if cluster.traffic:
                self._set(cluster, False)
        elif not cluster.traffic and name not in self._coming:
            delay = self._world.dice(name, f"traffic:{len(self._spans[name])}").uniform(5.0, 25.0)
            self._coming[name] = self._world.clock.call_later(delay, lambda: self._arrives(cluster))

    def _arrives(self, cluster: Cluster) -> None:
        self._coming.pop(cluster.name, None)
        if self.wanted(cluster) and not cluster.traffic:
            self._set(cluster, True)
            self._world.settle()

    def _set(self, cluster: Cluster, active: bool) -> None:
        cluster.traffic = active
        now = self._world.now()
        spans = self._spans[cluster.name]
        if active:
            spans.append((now, None))
        else:
            spans[-1] = (spans[-1][0], now)
        self._world.flight.write("traffic", cluster=cluster.name, active=active)

    def seconds(self, cluster: str, begin: float, end: float) -> float:
        """Seconds with traffic between two moments (twin seconds; negative = before the start)."""
        return sum(
            max(0.0, min(end, end if until is None else until) - max(begin, since))
            for since, until in self._spans[cluster]
        )

    def rate(self, cluster: str) -> int:
        """Transactions per second while it carries traffic; drawn by the seed."""
        return self._world.dice(cluster, "tps").randint(180, 950)
