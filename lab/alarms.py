"""Which alarm stands when. The whole set is computed from the state and compared with what stood before.

An alarm of a running upgrade or backout stands only if the step of the document that the action belongs to lists it
(`LISTED`); so the twin never shows one that no step expects, except what faults add.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lab import releases
from lab.releases import Family
from lab.state import Act, Action, Alarm, Cluster, Kind, Phase, Role, Server, Severity

if TYPE_CHECKING:
    from lab.world import World

C, MA, MI = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR

# number: severity and text of the GUI (Table 3, 8.1.1 step 16, 12.3; 70506 and the texts of 31126, 31236, 31284 and
# 70021 are assumptions)
CATALOGUE: dict[int, tuple[Severity, str]] = {
    31101: (MI, "DB replication to a slave DB has failed."),
    31102: (MI, "DB replication from a master DB has failed."),
    31106: (MI, "DB merging to the parent Merge Node has failed."),
    31107: (MI, "DB merging from a child Source Node has failed."),
    31113: (MI, "DB replication is manually disabled."),
    31114: (MI, "DB replication configuration via SOAP has failed."),
    31126: (MA, "DB audit is blocked."),
    31227: (C, "The HA availability status is failed."),
    31233: (MA, "HA Path down."),
    31236: (C, "HA Link down."),
    31282: (MI, "The HA manager (cmha) is impaired by a s/w fault."),
    31283: (C, "Highly available server failed to receive mate heartbeats."),
    31284: (MI, "High availability remote subscriber has not received a heartbeat."),
    70001: (C, "The qp_procmgr process has failed."),
    70004: (MA, "The QP processes have been brought down for maintenance."),
    70021: (MA, "The MySQL slave is not connected to the master."),
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
_AUDIT = frozenset({31126})  # 12.3.3/5, 12.3.4/2, but not 12.3.3/2
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
    (True, True, False): _BACKOUT - {31282} | {31236},  # 12.3.5/2
    (True, True, True): _BACKOUT - {31233, 31282},  # 12.3.5/8
    (False, True, False): _BACKOUT | _AUDIT,  # 12.3.4/2: "cleared after the cluster is completely backed out"
    (False, True, True): _BACKOUT | _AUDIT,
    (None, True, False): _BACKOUT,  # 12.3.3/2
    (None, True, True): _BACKOUT | _AUDIT,  # 12.3.3/5
}
# the same for a primary that comes from 10.5 or 11.5, and for every secondary but that of 12.1.1
_OLD_PRIMARY_SECOND = _ALWAYS | {31283, 70001, 31233, 70004, 31114, 31106, 31107, 31101}  # 6.1.1/21, 7.1.1/21
_SECONDARY_FIRST = _CMP_SECOND  # 6.1.2/2, 7.1.2/2, 8.1.2/2
# System Maintenance of 10.5 and 11.5, by backout
BY_SERVER: dict[bool, frozenset[int]] = {
    False: frozenset({31283, 31233, 70004, 70021, 31114, 31106, 31107, 31101}),  # 6.1.1/10, 7.1.1/10
    True: frozenset(
        {31283, 31233, 31236, 70004, 31114, 31106, 31107, 31101, 31102, 31113, 31284}
    ),  # 12.3.5/6
}
_MAJOR_BY_SERVER = frozenset({31236})  # critical in 12.3.5/2, major in 12.3.5/6

# what happens in each phase: on the server itself, on its mate
_ITSELF: dict[Phase, tuple[int, ...]] = {
    Phase.MODIFY: (70507, 70502),
    Phase.DOWN: (70507, 70502, 70004, 70021, 31102, 31113),
    Phase.AWAY: (70507, 70502, 70021, 31102, 31113),
    Phase.BACK: (70507, 70502, 70001, 70004, 70021, 31102, 31113, 31126),
    Phase.SYNC: (70507, 70502, 78001),
}
_MATE: dict[Phase, tuple[int, ...]] = {
    Phase.DOWN: (31101, 31114),
    Phase.AWAY: (31283, 31227, 31233, 31236, 31284, 31101, 31106, 31107, 31114, 31282),
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
        found |= {key: _named(key[0], action) for key in _of_action(world, action)}
    if world.has_director:  # 3.1.4.7
        found |= {(70506, name): CATALOGUE[70506] for name in sorted(world.failed)}
    found |= {(number, name): (severity, text) for name, (number, severity, text) in world.strange.items()}
    return found


def _named(number: int, action: Action) -> tuple[Severity, str]:
    severity, text = CATALOGUE[number]
    return (MA, text) if action.by_server and number in _MAJOR_BY_SERVER else (severity, text)


def _knows_kit(world: World) -> bool:
    """70500 and 70501 come with a Director that knows its kit; that of 12.0 and 12.1.1 tells old from new without one.

    Where the source is 10.5 or 11.5 they are "new alarms introduced with 12.1" and follow the choice (6.1.1/19-20).
    """
    return world.has_director and (world.target is not None or releases.has_director(world.config.source))


def _of_system(world: World) -> Iterator[Key]:
    """70500 until every server is on one release; 70025 until every CMP server is (9.1.1/15)."""
    servers = world.servers.values()
    master = world.servers[world.last_active[world.primary.name]]
    if len({s.release for s in servers}) > 1 and _knows_kit(world):
        yield 70500, master.name
    for server in servers:
        if server.kind is Kind.CMP and server.release != master.release and not _in_hand(world, server):
            yield 70025, server.name


def _in_hand(world: World, server: Server) -> bool:
    """6.1.1/10 and 12.3.5/6 do not list 70025: it stands once the server is back (6.1.1/12)."""
    return any(a.server == server.name and a.by_server for a in world.actions)


def _of_cluster(world: World, cluster: Cluster) -> Iterator[Key]:
    servers = [world.servers[name] for name in cluster.servers]
    for server in servers:
        if server.role is Role.FORCED_STANDBY and world.has_director:
            yield 70503, server.name
        if not server.in_sync and not any(a.server == server.name for a in world.actions):
            # 6.1.1/10 lists the alarm of the master only
            yield (31102, server.name) if world.has_director else (31101, world.mate(server.name).name)
    if len({s.release for s in servers}) == 1:
        return
    if _knows_kit(world):
        yield 70501, world.last_active[cluster.name]
    active = world.active(cluster.name)
    if _old_primary(world, cluster) and active is not None and world.on_target(active):
        yield 31101, active.name  # 6.1.1/16, 7.1.1/16
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
    listed = _listed(world, action, world.clusters[server.cluster])
    for number in _ITSELF[action.phase]:
        if number in listed:
            yield number, server.name
    for number in _MATE.get(action.phase, ()):
        if number in listed:
            yield number, world.mate(server.name).name


def _listed(world: World, action: Action, cluster: Cluster) -> frozenset[int]:
    if action.by_server:
        return BY_SERVER[action.back]
    if not action.back and _old_primary(world, cluster) and action.second:
        return _OLD_PRIMARY_SECOND
    from_12_1 = releases.family(world.config.source) is Family.R12_1
    if not action.back and cluster.primary is False and not action.second and not from_12_1:
        return _SECONDARY_FIRST
    return LISTED[(cluster.primary, action.back, action.second)]


def _old_primary(world: World, cluster: Cluster) -> bool:
    return bool(cluster.primary) and not releases.has_director(world.config.source)


def of_server(world: World, server: Server) -> list[Alarm]:
    return [alarm for alarm in world.alarms if alarm.server == server.name]


def worst(world: World, server: str) -> str:
    """The cell Alarm Severity."""
    have = {alarm.severity for alarm in of_server(world, world.servers[server])}
    return next((s.value for s in (C, MA, MI) if s in have), "")
