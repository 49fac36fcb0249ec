"""What may be started, when: R1 order, R2 four clusters, R3 stagger, R7 direction, and nothing twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from flight_record import HAND_OVERS, INITIATES, Event
from flight_replay import EPSILON, Action, ClusterState, Direction, Rule


@dataclass(slots=True)
class Bookkeeping(Rule):
    """The record's own promises about actions: one end each, through OOS, the release that was asked for."""

    def ended(self, action: Action) -> None:
        if not action.initiate or action.result != "Success" or action.server is None or action.end is None:
            return
        if not action.seen_oos:
            text = f"{action.action} ended with Success, but its server was never OOS"
            self.report(action.end, "record", text, action.cluster, action.server)
        wish = self.system.target if action.action == "initiate_upgrade" else self.system.source
        release = self.system.servers[action.server].release
        if release != wish:
            text = f"{action.action} ended with Success, but the server is on {release}, not on {wish}"
            self.report(action.end, "record", text, action.cluster, action.server)

    def over(self, t: float) -> None:
        for action in self.system.open:
            if self.limits.complete or t - action.start > self.limits.action_longest:
                text = f"{action.action} never ended (the record ends at {t:.1f})"
                self.report(action.start, "record", text, action.cluster, action.server)


@dataclass(slots=True)
class Order(Rule):
    """R1: primary CMP, secondary CMP, MPE and MRA; backwards in a backout."""

    def started(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if cluster is None:
            return
        if action.action == "initiate_upgrade":
            for reason in self._upgrade_waits_for(cluster):
                self.report(action.start, "R1", f"upgrade started, but {reason}", cluster.name, action.server)
        elif cluster.is_cmp and not action.raced and self._leads_back(action):
            what = "backout" if action.initiate else "failover back"
            for reason in self._backout_waits_for(cluster):
                self.report(action.start, "R1", f"{what} started, but {reason}", cluster.name, action.server)

    def _leads_back(self, action: Action) -> bool:
        return action.direction is Direction.BACK and (action.initiate or action.hand_over)

    def _upgrade_waits_for(self, cluster: ClusterState) -> list[str]:
        first = [
            other
            for other in self.system.clusters.values()
            if other.is_cmp and other is not cluster and (other.primary or not cluster.is_cmp)
        ]
        if cluster.is_cmp and cluster.primary:
            first = []
        return [
            f"{other.name} is not on {self.system.target} with one server active and one standby"
            for other in first
            if not other.settled(self.system.target)
        ]

    def _backout_waits_for(self, cluster: ClusterState) -> list[str]:
        reasons = [
            f"{server.name} of {worker.name} is on {self.system.target}"
            for worker in self.system.workers()
            for server in worker.servers
            if server.release == self.system.target
        ]
        reasons += [
            f"an action runs on {action.server} of {action.cluster}"
            for worker in self.system.workers()
            for action in self.system.running(*INITIATES, cluster=worker.name)
        ]
        if cluster.primary:
            reasons += [
                f"{other.name} is not on {self.system.source} with one server active and one standby"
                for other in self.system.clusters.values()
                if other.is_cmp and other is not cluster and not other.settled(self.system.source)
            ]
        return reasons


@dataclass(slots=True)
class FourClusters(Rule):
    """R2: from a cluster's first start until both servers are on one release, active and standby."""

    under_way: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.under_way = {cluster.name: None for cluster in self.system.workers() if cluster.mixed}

    def started(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if not action.initiate or cluster is None or cluster.is_cmp or cluster.name in self.under_way:
            return
        self.under_way[cluster.name] = None
        if len(self.under_way) > self.limits.clusters:
            names = ", ".join(self.under_way)
            text = f"{len(self.under_way)} clusters are under way, {self.limits.clusters} may be: {names}"
            self.report(action.start, "R2", text, cluster.name, action.server)

    def seen(self, event: Event) -> None:
        for name in list(self.under_way):
            waiting = [a for a in self.system.running(*INITIATES, cluster=name) if not a.seen_oos]
            if self.system.clusters[name].settled() and not waiting:
                del self.under_way[name]


@dataclass(slots=True)
class Stagger(Rule):
    """R3: a minute between two starts, and none before the server of the one before shows OOS."""

    previous: Action | None = None

    def started(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if not action.initiate or cluster is None or cluster.is_cmp or action.raced:
            return
        previous, self.previous = self.previous, action
        if previous is None:
            return
        gap = action.start - previous.start
        if gap < self.limits.stagger - EPSILON:
            text = f"started {gap:.1f} s after {previous.server}, {self.limits.stagger:.0f} s are the least"
            self.report(action.start, "R3", text, cluster.name, action.server)
        if previous.running and not previous.seen_oos:
            text = f"started before {previous.server}, the one before, showed OOS"
            self.report(action.start, "R3", text, cluster.name, action.server)


@dataclass(slots=True)
class OneDirection(Rule):
    """R7: nothing is reversed while an action runs in the cluster."""

    def started(self, action: Action) -> None:
        against = {Direction.FORWARD: Direction.BACK, Direction.BACK: Direction.FORWARD}.get(action.direction)
        if against is None:
            return
        for running in self.system.running(*INITIATES, *HAND_OVERS, cluster=action.cluster):
            if running.direction is against:
                text = (
                    f"{action.action} {action.direction} while {running.action} {running.direction} "
                    f"runs since {running.start:.1f}"
                )
                self.report(action.start, "R7", text, action.cluster, action.server)


@dataclass(slots=True)
class NothingTwice(Rule):
    """An initiate_* on a server on which one runs already. Failovers and re-applies are R4's."""

    def started(self, action: Action) -> None:
        running = [a for a in self.system.running(*INITIATES) if a.server == action.server]
        if action.initiate and running and not action.raced:
            text = f"{action.action} sent while {running[0].action} runs since {running[0].start:.1f}"
            self.report(action.start, "twice", text, action.cluster, action.server)


@dataclass(slots=True)
class InSync(Rule):
    """R9: in a cluster with broken replication nothing goes on but the backout of the server that has it."""

    def started(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if not action.initiate or cluster is None or action.raced:
            return
        for server in cluster.servers:
            repaired = action.action == "initiate_backout" and server.name == action.server
            if (
                not server.in_sync
                and not repaired
                and not self.system.running(*INITIATES, server=server.name)
            ):
                text = f"{action.action}, but replication of {server.name} is broken"
                self.report(action.start, "R9", text, cluster.name, action.server)


_UPGRADE_DIR = "/var/TKLC/upgrade/"


@dataclass(slots=True)
class OneImage(Rule):
    """R10: one image per server, by its name of the server's own type and of the target. The record has no checksums.

    A world that does not say which images lie where is not judged.
    """

    images: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, names in self.system.images.items():
            self.images[name] = {image for image in names if image.endswith(".iso")}

    def seen(self, event: Event) -> None:
        if event.name != "file" or event["server"] not in self.images:
            return
        folder, _, name = event["path"].rpartition("/")
        if f"{folder}/" != _UPGRADE_DIR or not name.endswith(".iso"):
            return
        if event["op"] == "write":
            self.images[event["server"]].add(name)
        else:
            self.images[event["server"]].discard(name)

    def started(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if action.action != "initiate_upgrade" or cluster is None or action.server not in self.images:
            return
        wanted = f"{cluster.kind.lower()}-{self.system.target}-x86_64.iso"
        there = self.images[action.server]
        if there != {wanted}:
            found = ", ".join(sorted(there)) or "none"
            text = f"upgrade started, but the images are {found}, not {wanted}"
            self.report(action.start, "R10", text, cluster.name, action.server)
