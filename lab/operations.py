"""What the Upgrade Manager sets going: upgrade, backout and failover, as scripts that yield twin seconds.

Sources: 3.1.4.2 (preflight, upgrade, wait for replication), the logs of 3.1.1 and 6.1.2 (phases and their lengths),
3.1.4.5 (reversals are refused while an action runs), 3.1.4.6 (forced standby), 3.1.4.7 (failure, Zombie).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lab import director, outage, releases, views
from lab.clock import Script
from lab.faults import Name
from lab.ha import INITIATES, acted_on
from lab.state import Act, Action, Announced, Cluster, Kind, LogEntry, Phase, Role, Server, Severity

if TYPE_CHECKING:
    from lab.world import World

STRANGE_ALARM = 32300
IDLE = (Role.STANDBY, Role.FORCED_STANDBY)


# --- acts of the Upgrade Manager
def perform(world: World, announced: Announced, by: str) -> None:
    """Raises Refused for the few things that the document says are refused."""
    cluster = announced.cluster

    def refuse(why: str) -> Exception:
        return world.refuse(why, announced.act, cluster, announced.server, by)

    for name in (announced.server, announced.takeover):
        if name is not None and world.servers[name].role is Role.ZOMBIE:
            raise refuse(f"{name} is a Zombie and accepts no action")
    if any(a.back != announced.back for a in world.running(cluster, *director.DIRECTED)):
        raise refuse(f"an action is running in {cluster}: its direction cannot be reversed now")
    if not world.has_director:
        raise refuse("the Upgrade Director is not active any more")  # a dialog from before the switch
    ahead = _still_upgraded(world, world.clusters[cluster]) if announced.back else None
    if ahead is not None:
        raise refuse(ahead)
    director.turn(world, cluster, back=announced.back)
    if announced.act is Act.FAILOVER:
        _start_failover(world, announced, by)
    else:
        assert announced.server is not None
        _start_initiate(world, announced.act, world.servers[announced.server], by)
    world.settle()


def initiate_by_server(world: World, servers: Sequence[str], act: Act, by: str) -> None:
    """Start Upgrade and Backout of System Maintenance in 10.5 and 11.5 (6.1.1/10, 12.3.5/6): all of them, or none.

    That they work on a server in forced standby only, and are refused else, is an assumption: the document says
    no more than that the server is in Force Standby. It stays so until somebody cancels it or switches.
    """
    back = act is Act.INITIATE_BACKOUT
    for name in servers:
        why = _why_not(world, world.servers[name], back=back)
        if why is not None:
            raise world.refuse(why, act, world.servers[name].cluster, name, by)
    for name in servers:
        world.forced_by_hand.add(name)
        _start_initiate(world, act, world.servers[name], by, by_server=True)
    world.settle()


def _why_not(world: World, server: Server, *, back: bool) -> str | None:
    name, cluster = server.name, world.cluster_of(server.name)
    if world.has_director:
        return "the Upgrade Manager does this"
    if server.role is Role.ZOMBIE:
        return f"{name} is a Zombie and accepts no action"
    if server.role is not Role.FORCED_STANDBY:
        return f"{name} is not in Force Standby"
    if any(a.back != back for a in world.running(cluster.name, *INITIATES)):
        return f"an action is running in {cluster.name}: its direction cannot be reversed now"
    if back and not world.on_target(server):
        return f"{name} has no release to go back to"
    if not back and world.on_target(server):
        return f"{name} runs {server.release} already"
    return _still_upgraded(world, cluster) if back else None


def _still_upgraded(world: World, cluster: Cluster) -> str | None:
    """Why a CMP cluster is not backed out (12.3.1.3), None = it may be."""
    if cluster.kind is not Kind.CMP:
        return None
    ahead = sorted(
        {s.cluster for s in world.servers.values() if s.kind is not Kind.CMP and world.on_target(s)}
    )
    return f"{cluster.name} cannot be backed out: still upgraded: {', '.join(ahead)}" if ahead else None


def _start_initiate(world: World, act: Act, server: Server, by: str, *, by_server: bool = False) -> None:
    back = act is Act.INITIATE_BACKOUT
    action = world.begin(act, server.cluster, server.name, by, back=back)
    action.by_server = by_server
    action.goal = director.release_before(world, server) if back else (world.target or world.config.target)
    action.second = world.mate(server.name).release == action.goal
    action.phase = Phase.PREFLIGHT
    world.run(action, _initiate(world, action, server))


def _busy(world: World, action: Action) -> bool:
    """Another initiate that was accepted earlier is at work on the same server."""
    earlier = world.actions[: world.actions.index(action)]
    return any(a.server == action.server and a.act in INITIATES for a in earlier)


def _preflight_problem(world: World, action: Action, server: Server) -> str | None:
    if _busy(world, action):
        return f"another action is already running on {server.name}"
    if server.role is Role.ZOMBIE:
        return f"{server.name} is a Zombie"
    if not server.reachable:
        return f"{server.name} cannot be reached"
    if action.act is Act.INITIATE_BACKOUT:
        return None
    if not server.in_sync:
        return f"replication of {server.name} is broken"
    if releases.needs_scripts(server.release) and server.name not in world.scripts_pushed:
        return f"the upgrade scripts were not pushed to {server.name}"
    return world.image_problem(server)


def _initiate(world: World, action: Action, server: Server) -> Script:
    dice = world.draw(f"{server.name} phases", action.act)
    upgrade = action.act is Act.INITIATE_UPGRADE
    lasts = world.config.durations
    preflight = _log(world, action, Phase.PREFLIGHT.value, manual=True)
    yield world.lasting(Act.INITIATE_UPGRADE, f"{server.name} preflight", lasts.preflight)
    while server.name in world.unseen:  # 3.1.4.4
        yield 5.0

    problem = _preflight_problem(world, action, server)
    if problem is not None:
        _close(world, preflight, "Failed", problem)
        world.failed.add(server.name)
        if not action.orphan and not _busy(world, action):
            server.operation = views.done_cell(world, action, "Failed")
        world.finish(action, "Failed")
        director.arrived(world, server.cluster)
        return
    _close(world, preflight, "Success")

    def bites(name: Name) -> bool:
        return upgrade and world.faults.bites(name, server.name)

    fails, zombie = bites(Name.UPGRADE_FAILS), bites(Name.ZOMBIE)
    stuck = not upgrade and world.faults.bites(Name.BACKOUT_FAILS, server.name)
    broken, hidden = bites(Name.REPLICATION_BROKEN), bites(Name.SSH_UNREACHABLE)
    if upgrade:
        old_primary = bool(world.cluster_of(server.name).primary) and not releases.has_director(
            world.config.source
        )
        minutes = lasts.upgrade(server.kind, old_primary=old_primary)
    else:
        minutes = lasts.backout(server.kind, second=action.second, by_server=action.by_server)
    total = world.lasting(action.act, server.name, minutes)
    outage.threaten(world, action)
    if upgrade:
        world.clock.call_later(min(300.0, total / 2), lambda: _strange(world, server))

    parent = preflight.id if preflight else 0
    long = _log(world, action, views.VERB[action.act], parent=parent)
    modify = _log(world, action, "Modify the role/replication of the cluster", parent=parent, whole=True)
    action.phase = Phase.MODIFY
    if server.role is not Role.OOS:
        world.set_role(server, Role.FORCED_STANDBY)
    yield dice.uniform(1.0, 5.0)
    world.set_role(server, Role.OOS)
    _close(world, modify, "Success")

    action.phase = Phase.DOWN
    action.work = (world.now(), world.now() + total)
    if action.by_server:
        world.set_sync(server, False)  # the Sync Broken mark of 6.1.1/11
    if hidden:
        world.set_reachable(server, False)
    share = lasts.reboot_fraction
    gone = (1.0 - share) * 0.6 * total
    back = gone + share * total
    yield gone
    action.phase = Phase.AWAY
    world.set_reachable(server, False)
    if fails or zombie or stuck:
        yield max((0.5 if stuck else 0.6) * total - gone, 0.0)
        world.set_reachable(server, True)
        what = "backout" if stuck else "upgrade"
        _close(world, long, "Failed", f"the {what} of the server reported errors")
        _fail(world, action, server, zombie=zombie)
        return
    yield back - gone
    world.set_release(server, action.goal)
    world.set_reachable(server, not hidden)
    action.phase = Phase.BACK
    yield total - back
    _close(world, long, "Success")

    if action.by_server:
        _done_by_server(world, action, server, syncs=None if broken else dice.uniform(9.0, 40.0))
        return
    action.phase = Phase.SYNC
    wait = _log(world, action, Phase.SYNC.value, parent=parent)
    if broken:
        world.set_sync(server, False)
        yield lasts.replication_timeout * 60.0
        world.set_reachable(server, True)
        _close(world, wait, "Failed", "replication did not synchronize in time")
        _fail(world, action, server)
        return
    yield dice.uniform(9.0, 40.0)
    world.set_reachable(server, True)
    world.set_sync(server, True)
    _close(world, wait, "Success")
    world.failed.discard(server.name)
    _come_back(world, server)
    modify = _log(world, action, "Modify the role/replication of the cluster", parent=parent, whole=True)
    _close(world, modify, "Success")
    if not action.orphan:
        server.operation = views.done_cell(world, action, "Success")
    world.finish(action, "Success")
    _arrange(world, server.cluster)
    director.arrived(world, server.cluster)


def _done_by_server(world: World, action: Action, server: Server, *, syncs: float | None) -> None:
    """The cell says Completed at once; replication follows `syncs` seconds later, or never (6.1.1/11)."""
    world.set_reachable(server, True)
    world.failed.discard(server.name)
    _come_back(world, server)
    if not action.orphan:
        odd = world.faults.bites(Name.OTHER_STATUS, server.name)
        server.operation = views.done_cell(world, action, "Odd" if odd else "Success")
    world.finish(action, "Success")
    director.arrived(world, server.cluster)

    def in_sync() -> None:
        if not any(a.server == server.name and a.act in INITIATES for a in world.actions):
            world.set_sync(server, True)
            world.settle()

    if syncs is not None:
        world.clock.call_later(syncs, in_sync)


def _strange(world: World, server: Server) -> None:
    if world.faults.bites(Name.CRITICAL_ALARM, server.name):
        text = "A process of the platform failed unexpectedly."
        world.strange[server.name] = (STRANGE_ALARM, Severity.CRITICAL, text)
        world.settle()


def _fail(world: World, action: Action, server: Server, *, zombie: bool = False) -> None:
    """3.1.4.7, past the preflight."""
    world.failed.add(server.name)
    if zombie:
        world.set_role(server, Role.ZOMBIE)
    else:
        _come_back(world, server)
        if action.by_server:
            world.set_sync(server, True)
    if not action.orphan:
        server.operation = views.done_cell(world, action, "Failed")
    world.finish(action, "Failed")
    _arrange(world, server.cluster)
    director.arrived(world, server.cluster)


def _come_back(world: World, server: Server) -> None:
    """From OOS to standby: forced in a mixed cluster (3.1.4.6) or where a person has forced it."""
    if server.role is not Role.OOS:
        return
    mixed = server.release != world.mate(server.name).release
    forced = mixed or server.name in world.forced_by_hand
    world.set_role(server, Role.FORCED_STANDBY if forced else Role.STANDBY)


def _arrange(world: World, cluster: str) -> None:
    """3.1.4.6: in a mixed cluster who is not on the active server's release is in forced standby, else nobody is.

    The Director does that; 10.5 and 11.5 have none.
    """
    if not world.has_director:
        return
    first, second = (world.servers[n] for n in world.clusters[cluster].servers)
    mixed, active = first.release != second.release, world.active(cluster)
    for server in (first, second):
        if server.role not in IDLE or acted_on(world, server):
            continue
        if mixed and active is not None:
            world.set_role(server, Role.FORCED_STANDBY)
        elif not mixed:
            by_hand = server.name in world.forced_by_hand
            world.set_role(server, Role.FORCED_STANDBY if by_hand else Role.STANDBY)


# --- failover
def _start_failover(world: World, announced: Announced, by: str) -> None:
    action = world.begin(announced.act, announced.cluster, None, by, back=announced.back)
    action.takeover = announced.takeover
    name = announced.hover.split(f" {announced.cluster}")[0]
    world.run(action, _failover(world, action, name))


def _failover(world: World, action: Action, name: str) -> Script:
    assert action.cluster is not None and action.takeover is not None
    cluster, takeover = action.cluster, world.servers[action.takeover]
    entry = _log(world, action, name, manual=True, whole=True)
    total = world.lasting(Act.FAILOVER, cluster, world.config.durations.failover)
    if takeover.kind is Kind.CMP and world.faults.bites(Name.SWITCH_SLOW, cluster):
        total *= 5
    yield 0.8 * total
    if world.active(cluster) is not takeover:
        _step_down(world, action, takeover)
        while not (takeover.role in IDLE and takeover.reachable and not acted_on(world, takeover)):
            if takeover.role in (Role.ZOMBIE, Role.ACTIVE):
                break
            yield 2.0
        if takeover.role is Role.ZOMBIE:
            _close(world, entry, "Failed", f"{takeover.name} is a Zombie")
            world.finish(action, "Failed")
            return
        _step_down(world, action, takeover)  # whoever took over while this one waited
        world.forced_by_hand.discard(takeover.name)
        world.set_role(takeover, Role.ACTIVE)
        if takeover.kind is not Kind.CMP and world.on_target(takeover) and not action.back:
            mixed = world.mate(takeover.name).release != takeover.release
            if mixed and world.faults.bites(Name.NO_TRAFFIC, cluster):
                world.no_traffic.add(cluster)
    _arrange(world, cluster)
    yield 0.2 * total
    _close(world, entry, "Success")
    world.finish(action, "Success")
    _arrange(world, cluster)
    director.arrived(world, cluster)


def _step_down(world: World, action: Action, takeover: Server) -> None:
    former = world.active(takeover.cluster)
    if former is None or former is takeover:
        return
    switched = action.act is Act.SWITCH_FORCE_STANDBY
    if switched and former.release == takeover.release:
        world.forced_by_hand.add(former.name)  # in a mixed cluster the Director has it in hand
    forced = (
        switched or former.release != takeover.release or not takeover.reachable or takeover.role is Role.OOS
    )
    world.set_role(former, Role.FORCED_STANDBY if forced else Role.STANDBY)


def switch_force_standby(world: World, cluster: str, by: str) -> None:
    """System Maintenance: active and forced standby change places (6.1.1)."""
    names = world.clusters[cluster].servers
    active = world.active(cluster)
    others = [n for n in names if active is None or n != active.name]
    forced = [n for n in others if world.servers[n].role is Role.FORCED_STANDBY]
    takeover = (forced or others)[0]
    if world.servers[takeover].role is Role.ZOMBIE:
        why = f"{takeover} is a Zombie and accepts no action"
        raise world.refuse(why, Act.SWITCH_FORCE_STANDBY, cluster, None, by)
    action = world.begin(Act.SWITCH_FORCE_STANDBY, cluster, None, by)
    action.takeover = takeover
    world.run(action, _failover(world, action, "Switch ForceStandby"))


# --- the Upgrade Log
def _log(
    world: World, action: Action, name: str, *, parent: int = 0, manual: bool = False, whole: bool = False
) -> LogEntry | None:
    """A line of the log; None when the Director that would write it is no longer active (3.1.4.4)."""
    if action.orphan or action.by_server or action.cluster is None or not world.has_director:
        return None
    hostname = action.cluster if whole or action.server is None else action.server
    return world.add_log(
        action.cluster, name, parent, "Cluster" if hostname == action.cluster else "Server",
        "Manual" if manual else "Automatic", hostname,
    )  # fmt: skip


def _close(world: World, entry: LogEntry | None, result: str, why: str = "") -> None:
    if entry is not None:
        entry.end, entry.result = world.now(), result
        entry.description += f": {why}" if why else ""
