"""The active server of a CMP cluster dies by itself (fault cmp_fails_over), and comes back some minutes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.faults import Name
from lab.ha import elect
from lab.state import Action, Kind, Role, Server

if TYPE_CHECKING:
    from lab.world import World

AWAY = 300.0  # twin seconds until a server that died is there again


def threaten(world: World, action: Action) -> None:
    """An initiate has begun: in its N-th minute the fault bites, if the initiate lasts so long."""
    for cluster in world.clusters.values():
        if cluster.kind is not Kind.CMP:
            continue
        minutes = world.faults.minutes(Name.CMP_FAILS_OVER, cluster.name)
        if minutes is not None:
            world.clock.call_later(60.0 * minutes, lambda name=cluster.name: _strike(world, action, name))  # type: ignore[misc]


def _strike(world: World, action: Action, cluster: str) -> None:
    active = world.active(cluster)
    if action.ended or active is None or world.faults.minutes(Name.CMP_FAILS_OVER, cluster) is None:
        return
    world.faults.bites_now(Name.CMP_FAILS_OVER, cluster)
    world.set_role(active, Role.OFFLINE)
    world.set_reachable(active, up=False)
    elect(world, cluster)
    world.settle()
    world.clock.call_later(AWAY, lambda: _return(world, active))


def _return(world: World, server: Server) -> None:
    world.set_reachable(server, up=True)
    active = world.active(server.cluster)
    forced = active is not None and active.release != server.release
    world.set_role(server, Role.FORCED_STANDBY if forced else Role.STANDBY)
    elect(world, server.cluster)
    world.settle()
