"""Images: the kit of the Current ISO dialog (3.1.3, 9.1.1 step 9), Upload ISO and Delete ISO (9.1.1 steps 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lab import director
from lab.clock import Script
from lab.errors import OperationFailed
from lab.faults import Name
from lab.files import UPGRADE_DIR, File
from lab.maintenance import selection
from lab.state import Act, Action
from lab.transfers import damaged

if TYPE_CHECKING:
    from lab.world import World


def select_iso(world: World, path: str, by: str) -> None:
    if not world.has_director:
        raise world.refuse("there is no Upgrade Manager", Act.SELECT_ISO, None, None, by)
    kit = next((kit for kit in world.kits() if kit.path == path), None)
    if kit is None:
        raise world.refuse(f"there is no upgrade kit at {path}", Act.SELECT_ISO, None, None, by)
    action = world.begin(Act.SELECT_ISO, None, None, by)
    world.current_iso, world.current_label = path, kit.label
    director.forget(world, spare=action)
    world.rolling_back.clear()

    def script() -> Script:
        yield world.draw(path, Act.SELECT_ISO).uniform(2.0, 5.0)
        if world.current_iso == path:
            world.target = kit.release
        world.finish(action, "Success")

    world.run(action, script())


def upload_iso(
    world: World, servers: Sequence[str], host: str, user: str, password: str, path: str, by: str
) -> None:
    names = selection(world, servers, Act.UPLOAD_ISO, by)
    actions = {n: world.begin(Act.UPLOAD_ISO, world.servers[n].cluster, n, by) for n in names}
    origin = next((s for s in world.servers.values() if host in (s.name, s.address)), None)
    problem: str | None = None
    if origin is None or not origin.reachable:
        problem = f"no connection to {host}"
    elif not world.may_log_in(origin, user, password):
        problem = f"{host} refused the login of {user}"
    elif not path.endswith(".iso") or path not in world.files[origin.name]:
        problem = f"{path} is not an image on {host}"
    if problem is not None or origin is None:
        for action in actions.values():
            world.finish(action, "Failed")
        raise OperationFailed(problem)
    file = world.files[origin.name].stat(path)
    for name, action in actions.items():
        world.run(action, _upload(world, action, name, origin.name, path, file))


def _upload(world: World, action: Action, name: str, origin: str, path: str, file: File) -> Script:
    server, tree = world.servers[name], world.files[name]
    where = f"{UPGRADE_DIR}/{PurePosixPath(path).name}"
    itself = origin == name and where == path
    step = world.lasting(Act.UPLOAD_ISO, name, world.config.durations.upload_iso) / 20
    action.work = (world.now(), world.now() + step * 20)
    md5 = file.md5
    for n in range(20):
        if server.reachable and not itself:
            if tree.room(where) < file.size // 20:
                world.finish(action, "Failed")
                return
            tree.put(where, _beginning(world, file, n * 5), quiet=True)
        yield step
        if not server.reachable or where not in tree or (not itself and _stops(world, name, where, file, n)):
            world.finish(action, "Failed")
            return
        if not itself and _crosses(world, Name.CORRUPT_TRANSFER, name, file, n):
            md5 = damaged(md5)
    same = md5 == file.md5
    content, blob = (file.content, file.blob) if same else (None, None)
    tree.put(where, replace(file, md5=md5, content=content, blob=blob, percent=100, mtime=world.now()))
    world.finish(action, "Success")


def _beginning(world: World, file: File, percent: int) -> File:
    """What is there of an image that is still on its way: its hash is not that of the whole."""
    md5 = damaged(f"{percent} % of {file.md5}")
    size = file.size * percent // 100
    return replace(file, size=size, md5=md5, content=None, blob=None, percent=percent, mtime=world.now())


def _crosses(world: World, fault: Name, name: str, file: File, n: int) -> bool:
    """The n-th of twenty steps ends."""
    return world.transfers.crosses(fault, name, file.size * n // 20, file.size * (n + 1) // 20, file.size)


def _stops(world: World, name: str, where: str, file: File, n: int) -> bool:
    if _crosses(world, Name.DISK_FULL, name, file, n):
        world.disks[name].fill(where)
        return True
    return _crosses(world, Name.CONNECTION_CUT, name, file, n)


def delete_iso(world: World, servers: Sequence[str], by: str) -> None:
    for name in selection(world, servers, Act.DELETE_ISO, by):
        action = world.begin(Act.DELETE_ISO, world.servers[name].cluster, name, by)
        world.run(action, _delete(world, action, name))


def _delete(world: World, action: Action, name: str) -> Script:
    yield world.draw(name, Act.DELETE_ISO).uniform(2.0, 5.0)
    server = world.servers[name]
    if not server.reachable:
        world.finish(action, "Failed")
        return
    for image in list(server.isos):
        world.files[name].delete(f"{UPGRADE_DIR}/{image}")
    world.finish(action, "Success")
