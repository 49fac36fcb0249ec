"""Which alarm stands when. The whole set is computed from the state and compared with what stood before.

An alarm of a running upgrade or backout stands only if the step of the document that the action belongs to lists it
(`LISTED`); so the twin never shows one that no step expects, except what faults add.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lab.state import Act, Action, Alarm, Cluster, Kind, Phase, Role, Server, Severity

if TYPE_CHECKING:
    from lab.world import World

C, MA, MI = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR

# number: severity and text of the GUI (Table 3, 8.1.1 step 16; 70506 is an assumption)
CATALOGUE: dict[int, tuple[Severity, str]] = {
    31101: (MI, "DB replication to a slave DB has failed."),
    31102: (MI, "DB replication from a master DB has failed."),
    31106: (MI, "DB merging to the parent Merge Node has failed."),
    31107: (MI, "DB merging from a child Source Node has failed."),
    31113: (MI, "DB replication is manually disabled."),
    31114: (MI, "DB replication configuration via SOAP has failed."),
    31227: (C, "The HA availability status is failed."),
    31233: (MA, "HA Path down."),
    31282: (MI, "The HA manager (cmha) is impaired by a s/w fault."),
    31283: (C, "Highly available server failed to receive mate heartbeats."),
    70001: (C, "The qp_procmgr process has failed."),
    70004: (MA, "The QP processes have been brought down for maintenance."),
    70025: (C, "The MySQL slave has a different schema version than the master."),
    70500: (MI, "The system is running different versions of software."),
    70501: (MI, "The Cluster is running different versions of software."),
    70502: (MI, "Cluster replication is inhibited."),
    70503: (MI, "The server is in forced standby."),
    70506: (C, "UPGRADE_OPERATION_FAILED: an upgrade or backout action on this server has failed."),
    70507: (MI, "An Upgrade/Backout action on a server is in progress."),
    71402: (MI, "Connectivity lost."),
    78001: (MI, "The rsync of files has failed."),
}

_ALWAYS = frozenset({70503, 70507, 70500, 70501})
_PRIMARY_FIRST = _ALWAYS | {31283, 31227, 70004, 31106, 31107, 31101, 31114, 31282}  # 9.1.1/10
_CMP_SECOND = _ALWAYS | {31283, 70001, 70004, 31114, 31106, 31107, 31101, 31282}  # 9.1.1/17, 9.1.2/3
_BACKOUT = _ALWAYS | {
    31283, 31227, 70001, 70004, 31233, 78001, 70502, 31114, 31106, 31107, 31101, 31102, 31113, 31282,
}  # 12.3.3/2, 12.3.4/2  # fmt: skip
# what the step lists, by (Cluster.primary: None = MPE or MRA; backout; second server of its cluster)
LISTED: dict[tuple[bool | None, bool, bool], frozenset[int]] = {
    (True, False, False): _PRIMARY_FIRST,
    (True, False, True): _CMP_SECOND,
    # 9.1.2 has lost the list of its first server: what 9.1.1/10 and 9.1.2/3 have in common holds there too
    (False, False, False): _PRIMARY_FIRST & _CMP_SECOND,
    (False, False, True): _CMP_SECOND,
    (None, False, False): _ALWAYS  # 10.2/3
    | {31283, 70001, 31227, 70004, 31233, 31114, 31106, 31107, 31101, 31282, 78001},
    (None, False, True): _ALWAYS  # 10.2/9
    | {31283, 31227, 70001, 70004, 78001, 70502, 31114, 31106, 31107, 31101, 31102, 31113},
    (True, True, False): _BACKOUT,  # 12.3.5/2
    (True, True, True): _BACKOUT - {31233, 31282},  # 12.3.5/8
    (False, True, False): _BACKOUT,  # 12.3.4/2: "cleared after the cluster is completely backed out"
    (False, True, True): _BACKOUT,
    (None, True, False): _BACKOUT,  # 12.3.3/2
    (None, True, True): _BACKOUT,  # 12.3.3/5
}

# what happens in each phase: on the server itself, on its mate
_ITSELF: dict[Phase, tuple[int, ...]] = {
    Phase.MODIFY: (70507, 70502),
    Phase.DOWN: (70507, 70502, 70004, 31102, 31113),
    Phase.AWAY: (70507, 70502, 31102, 31113),
    Phase.BACK: (70507, 70502, 70001, 70004, 31102, 31113),
    Phase.SYNC: (70507, 70502, 78001),
}
_MATE: dict[Phase, tuple[int, ...]] = {
    Phase.DOWN: (31101, 31114),
    Phase.AWAY: (31283, 31227, 31233, 31101, 31106, 31107, 31114, 31282),
    Phase.BACK: (31101, 31106, 31107, 31114),
    Phase.SYNC: (31101,),
}
Key = tuple[int, str]


def update(world: World) -> None:
    """Raises and clears so that exactly what `standing` says stands."""
    wanted = standing(world)
    for alarm in list(world.alarms):
        if (alarm.number, alarm.server) not in wanted:
            world.alarms.remove(alarm)
            world.flight.write(
                "alarm_cleared", number=alarm.number, severity=alarm.severity.value, server=alarm.server
            )
    have = {(alarm.number, alarm.server) for alarm in world.alarms}
    for (number, server), (severity, text) in wanted.items():
        if (number, server) not in have:
            world.alarms.append(Alarm(number, severity, text, world.now(), server))
            world.flight.write("alarm_raised", number=number, severity=severity.value, server=server)


def standing(world: World) -> dict[Key, tuple[Severity, str]]:
    found = {key: CATALOGUE[key[0]] for key in _of_system(world)}
    for cluster in world.clusters.values():
        found |= {key: CATALOGUE[key[0]] for key in _of_cluster(world, cluster)}
    for action in world.actions:
        found |= {key: CATALOGUE[key[0]] for key in _of_action(world, action)}
    found |= {(70506, name): CATALOGUE[70506] for name in sorted(world.failed)}
    found |= {(number, name): (severity, text) for name, (number, severity, text) in world.strange.items()}
    return found


def _of_system(world: World) -> Iterator[Key]:
    """70500 until every server is on one release; 70025 until every CMP server is (9.1.1/15)."""
    servers = world.servers.values()
    master = world.servers[world.last_active[world.primary.name]]
    if len({s.release for s in servers}) > 1:
        yield 70500, master.name
    for server in servers:
        if server.kind is Kind.CMP and server.release != master.release:
            yield 70025, server.name


def _of_cluster(world: World, cluster: Cluster) -> Iterator[Key]:
    servers = [world.servers[name] for name in cluster.servers]
    for server in servers:
        if server.role is Role.FORCED_STANDBY:
            yield 70503, server.name
        if not server.in_sync and not any(a.server == server.name for a in world.actions):
            yield 31102, server.name
    if len({s.release for s in servers}) == 1:
        return
    yield 70501, world.last_active[cluster.name]
    active = world.active(cluster.name)
    if cluster.kind is Kind.CMP or active is None or not world.on_target(active):
        return
    initiates = world.running(cluster.name, Act.INITIATE_UPGRADE, Act.INITIATE_BACKOUT)
    if any(action.phase is not Phase.PREFLIGHT for action in initiates):
        return
    yield 70502, world.mate(active.name).name  # 10.2/6
    if not cluster.traffic:
        yield 71402, active.name  # 10.2/6


def _of_action(world: World, action: Action) -> Iterator[Key]:
    if action.server is None or action.phase in (None, Phase.PREFLIGHT):
        return
    assert action.phase is not None
    server = world.servers[action.server]
    listed = LISTED[(world.clusters[server.cluster].primary, action.back, action.second)]
    for number in _ITSELF[action.phase]:
        if number in listed:
            yield number, server.name
    for number in _MATE.get(action.phase, ()):
        if number in listed:
            yield number, world.mate(server.name).name


def of_server(world: World, server: Server) -> list[Alarm]:
    return [alarm for alarm in world.alarms if alarm.server == server.name]


def worst(world: World, server: str) -> str:
    """The cell Alarm Severity."""
    have = {alarm.severity for alarm in of_server(world, world.servers[server])}
    return next((s.value for s in (C, MA, MI) if s in have), "")
