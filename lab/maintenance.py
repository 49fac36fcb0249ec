"""System Maintenance and the cluster pages: forced standby by hand, Push Script, Reapply Configuration, counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lab import releases
from lab.clock import Script
from lab.files import SCRIPT_DIR, SCRIPTS
from lab.ha import acted_on, elect
from lab.state import Act, Action, Role, Server

if TYPE_CHECKING:
    from lab.world import World


def force_standby(world: World, name: str, by: str) -> None:
    server = live(world, name, Act.FORCE_STANDBY, by)
    action = world.begin(Act.FORCE_STANDBY, server.cluster, name, by)

    def script() -> Script:
        world.forced_by_hand.add(name)
        yield 2.0
        was = server.role
        if was in (Role.ACTIVE, Role.STANDBY):
            world.set_role(server, Role.FORCED_STANDBY)
        if was is Role.ACTIVE:
            elect(world, server.cluster)
        world.finish(action, "Success")

    world.run(action, script())


def cancel_force_standby(world: World, name: str, by: str) -> None:
    server = live(world, name, Act.CANCEL_FORCE_STANDBY, by)
    action = world.begin(Act.CANCEL_FORCE_STANDBY, server.cluster, name, by)

    def script() -> Script:
        world.forced_by_hand.discard(name)
        yield 2.0
        if server.role is Role.FORCED_STANDBY and not acted_on(world, server):
            world.set_role(server, Role.STANDBY)
            elect(world, server.cluster)
        world.finish(action, "Success")

    world.run(action, script())


def live(world: World, name: str, act: Act, by: str) -> Server:
    server = world.servers[name]
    if server.role is Role.ZOMBIE:
        raise world.refuse(f"{name} is a Zombie and accepts no action", act, server.cluster, name, by)
    return server


def push_scripts(world: World, servers: Sequence[str], by: str) -> None:
    """They come from the active CMP server; 10.5 and 11.5 have them there only once somebody has copied them.

    What a real one says without them is not documented: refused here.
    """
    origin = world.servers[world.last_active[world.primary.name]]
    if releases.copies_scripts(origin.release) and not _has_scripts(world, origin.name):
        why = f"there are no upgrade scripts in {SCRIPT_DIR} of {origin.name}"
        raise world.refuse(why, Act.PUSH_SCRIPTS, None, None, by)
    for name in selection(world, servers, Act.PUSH_SCRIPTS, by):
        action = world.begin(Act.PUSH_SCRIPTS, world.servers[name].cluster, name, by)
        world.run(action, _push(world, action, name))


def _push(world: World, action: Action, name: str) -> Script:
    yield world.lasting(Act.PUSH_SCRIPTS, name, world.config.durations.push_scripts)
    if not world.servers[name].reachable:
        world.finish(action, "Failed")
        return
    world.scripts_pushed.add(name)
    world.finish(action, "Success")


def _has_scripts(world: World, name: str) -> bool:
    return all(f"{SCRIPT_DIR}/{script}" in world.files[name] for script in SCRIPTS)


def reapply(world: World, cluster: str, by: str) -> None:
    action = world.begin(Act.REAPPLY, cluster, None, by)
    world.run(action, _reapply(world, action, cluster))


def _reapply(world: World, action: Action, cluster: str) -> Script:
    total = world.lasting(Act.REAPPLY, cluster, world.config.durations.reapply)
    action.work = (world.now(), world.now() + total)
    yield total
    active = world.active(cluster)
    if active is None or not active.reachable:
        world.finish(action, "Failed")
        return
    world.clusters[cluster].config_release = active.release
    if not world.on_target(active):
        world.no_traffic.discard(cluster)
    world.finish(action, "Success")


def reset_counters(world: World, cluster: str, by: str) -> None:
    action = world.begin(Act.RESET_COUNTERS, cluster, None, by)
    world.clusters[cluster].counters_since = world.now()
    world.finish(action, "Success")


def selection(world: World, servers: Sequence[str], act: Act, by: str) -> list[str]:
    names = list(dict.fromkeys(servers))
    if not names:
        raise world.refuse("no server is selected", act, None, None, by)
    for name in names:
        live(world, name, act, by)
    return names
