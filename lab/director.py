"""The Upgrade Director (3.1.4): what is next in a cluster, how it is announced, which kit it follows.

It looks ahead as if every running action succeeded, so its buttons stay enabled while one runs (assumption: the
document shows them during an upgrade but does not say whether they are grey).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab import releases
from lab.faults import Name
from lab.files import KIT_DIR
from lab.state import Act, Action, Announced, Cluster, Kind, Kit, Role, Server

if TYPE_CHECKING:
    from lab.world import World

_KIT = re.compile(r"cmp-(?P<release>\d[\d._]*)-x86_64\.iso")
_POLICY_RELEASE = re.compile(r"\d+\.\d+")
DIRECTED = (Act.INITIATE_UPGRADE, Act.INITIATE_BACKOUT, Act.FAILOVER, Act.SWITCH_FORCE_STANDBY)


# --- the kit (3.1.3, 9.1.1 step 9)
def kits(world: World) -> list[Kit]:
    tree = world.files[world.last_active[world.primary.name]]
    found = []
    for name in tree.list(KIT_DIR):
        match = _KIT.fullmatch(name)
        if match:
            release = match["release"]
            text = f"This is kit is associated with a full upgrade to release {release}."
            found.append(Kit(f"standard-{release}", release, f"{KIT_DIR}/{name}", text))
    return found


def up_to_date(world: World, server: str) -> str:
    it = world.servers[server]
    if it.role in (Role.ZOMBIE, Role.OFFLINE):
        return "N/A"
    if world.target is None and not releases.has_director(world.config.source):
        return "n/a"  # a Director that has just come with the upgrade (7.1.1/19)
    return "Y" if world.target is None or it.release == world.target else "N"


def printed_role(world: World, server: str) -> str:
    it = world.servers[server]
    if not world.has_director:
        return "Force Standby" if it.role is Role.FORCED_STANDBY else it.role.value
    mixed = it.release != world.mate(server).release
    if it.role is Role.FORCED_STANDBY and mixed and not world.config.print_forced_standby:
        return Role.STANDBY.value
    return it.role.value


def release_before(world: World, server: Server) -> str:
    """Where a backout leads: the previous Policy release; a TPD release is never one."""
    before = server.prev_release
    if _POLICY_RELEASE.match(before) and before != server.release:
        return before
    return world.config.source


# --- what is next
def _outlook(world: World, cluster: str) -> tuple[str | None, dict[str, str]]:
    """(who is Active, release of each server) when everything that runs has succeeded. No Zombie in it."""
    active = world.active(cluster)
    name = active.name if active else None
    release = {n: world.servers[n].release for n in world.clusters[cluster].servers}
    for action in world.running(cluster, *DIRECTED):
        if action.takeover is not None:
            name = action.takeover
        elif action.server is not None:
            release[action.server] = action.goal
            name = None if action.server == name else name
    release = {n: r for n, r in release.items() if world.servers[n].role is not Role.ZOMBIE}
    return (name if name in release else None), release


def _failover(cluster: str, takeover: str, kind: str, suffix: str, *, back: bool) -> Announced:
    return Announced(
        Act.FAILOVER, cluster, None, f"{kind} {cluster}{suffix}", f"{kind}: cluster {cluster}. Continue?", back,
        takeover,
    )  # fmt: skip


def _initiate(act: Act, cluster: str, server: str, suffix: str) -> Announced:
    verb = "Initiate backout" if act is Act.INITIATE_BACKOUT else "Initiate upgrade"
    return Announced(
        act, cluster, server, f"{verb} {server}{suffix}",
        f"{verb} of server {server} in cluster {cluster}. Continue?", act is Act.INITIATE_BACKOUT,
    )  # fmt: skip


def next_upgrade(world: World, cluster: str) -> Announced | None:
    """3.1.4.3: the standby, the failover, the remaining server."""
    return world.faults.announced(cluster, _next_upgrade(world, cluster))


def _next_upgrade(world: World, cluster: str) -> Announced | None:
    target = world.target
    if target is None:
        return None
    active, release = _outlook(world, cluster)
    new = [n for n, r in release.items() if r == target]
    old = [n for n in release if n not in new and n != active]
    if active not in new and new:
        return _failover(cluster, new[0], "Failover to new version", " (next)", back=False)
    if old and (active is not None or new):
        return _initiate(Act.INITIATE_UPGRADE, cluster, old[0], " (next)")
    return None


def next_rollback(world: World, cluster: str) -> Announced | None:
    """The reverse; grey while an action runs in the cluster (3.1.4.5)."""
    if world.target is None or world.running(cluster, *DIRECTED):
        return None
    active, release = _outlook(world, cluster)
    new = [n for n, r in release.items() if r == world.target]
    old = [n for n in release if n not in new]
    if not new:
        return None
    if old and active not in old:
        return _failover(cluster, old[0], "Failover to old version", " (back)", back=True)
    candidates = [n for n in new if n != active]
    return _initiate(Act.INITIATE_BACKOUT, cluster, candidates[0], " (back)") if candidates else None


def optional(world: World, cluster: str) -> list[Announced]:
    """Optional Actions (3.1.2)."""
    if world.target is None:
        return []
    active, release = _outlook(world, cluster)
    entries = [
        _initiate(Act.INITIATE_UPGRADE, cluster, n, "")
        for n in release
        if world.servers[n].release != world.target
    ]
    other = next((n for n in release if n != active), None)
    if other is not None:
        back = active is not None and release[active] == world.target and release[other] != world.target
        entries.append(_failover(cluster, other, "Failover", "", back=back))
    if not world.running(cluster, *DIRECTED):
        entries += [
            _initiate(Act.INITIATE_BACKOUT, cluster, n, "") for n in release if release[n] == world.target
        ]
    return entries


# --- labels
def upgrade_label(world: World, cluster: str) -> str:
    if cluster in world.rolling_back:
        return "Resume Upgrade"
    begun = world.running(cluster, Act.INITIATE_UPGRADE) or any(
        world.servers[n].release == world.target for n in world.clusters[cluster].servers
    )
    return "Continue Upgrade" if begun else "Start Upgrade"


def rollback_label(world: World, cluster: str) -> str:
    return "Continue Rollback" if cluster in world.rolling_back else "Start Rollback"


def turn(world: World, cluster: str, *, back: bool) -> None:
    """The direction in which the cluster goes now."""
    if back:
        world.rolling_back.add(cluster)
    else:
        world.rolling_back.discard(cluster)


def arrived(world: World, cluster: str) -> None:
    """A backout is complete when no server is on the target any more."""
    servers = world.clusters[cluster].servers
    if all(not world.on_target(world.servers[n]) for n in servers) and not world.running(cluster, *DIRECTED):
        world.rolling_back.discard(cluster)


# --- the Director's own fate
def forget(world: World, *, spare: Action | None = None) -> None:
    """No history any more: the log is empty and the cells say n/a; what runs goes on unseen (3.1.4.4)."""
    world.logs.clear()
    for server in world.servers.values():
        server.operation = "n/a"
    for action in world.actions:
        action.orphan = action is not spare


def _forget_kit(world: World) -> None:
    """The choice lies in the database of the new release; what comes up after another upgrade says Install Kit."""
    world.current_iso, world.current_label, world.target = None, "", None


def vip_moves(world: World, cluster: Cluster, *, promoted: bool) -> None:
    """The active server of a CMP cluster has come or gone: its sessions die; a promoted Director knows nothing.

    The primary's Director manages everything, so with it every session dies (9.1.1 step 13).
    """
    assert cluster.kind is Kind.CMP
    world.accounts.end(lambda session: bool(cluster.primary) or session.cluster == cluster.name)
    away = world.draw(f"{cluster.name} VIP", Act.FAILOVER).uniform(4.0, 8.0)
    if promoted and (minutes := world.faults.minutes(Name.GUI_AWAY, cluster.name)) is not None:
        world.faults.bites_now(Name.GUI_AWAY, cluster.name)
        away += 60.0 * minutes
    world.gui_down_until[cluster.name] = max(world.gui_down_until.get(cluster.name, 0.0), world.now() + away)
    if promoted and cluster.primary:
        forget(world)
        world.rolling_back.clear()
        world.unseen = {server.name for server in world.servers.values() if not server.reachable}
        if not world.has_director:
            _forget_kit(world)
    for listener in world.gui_changed:
        listener(cluster.name)
