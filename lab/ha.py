"""High availability of a pair by itself: who may become active when nobody is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.state import Act, Phase, Role, Server

if TYPE_CHECKING:
    from lab.world import World

INITIATES = (Act.INITIATE_UPGRADE, Act.INITIATE_BACKOUT)


def acted_on(world: World, server: Server) -> bool:
    """The Director has this server in hand, past the preflight."""
    return any(
        a.server == server.name and a.act in INITIATES and a.phase is not Phase.PREFLIGHT
        for a in world.actions
    )


def elect(world: World, cluster: str) -> None:
    """HA by itself: a plain Standby takes over where nobody is active; a forced one never does (3.1.4.6)."""
    if world.active(cluster) is None:
        servers = [world.servers[n] for n in world.clusters[cluster].servers]
        ready = [s for s in servers if s.role is Role.STANDBY and s.reachable and not acted_on(world, s)]
        if ready:
            world.set_role(ready[0], Role.ACTIVE)
