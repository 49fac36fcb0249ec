"""What is wrong with a server from the start, before anybody has looked: faults that need more than a question.

The names are those of `lab.faults.Name`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.state import Role, Severity

if TYPE_CHECKING:
    from lab.files import FileTree
    from lab.world import World

NETBACKUP = "/usr/openv/netbackup"
SHADOW = "/etc/shadow"
EXPIRES_IN = 3  # days
_AGED = 90  # days that a password may get old where it expires
_DAY = 86400
_ACCOUNTS = "root:!!:16825:0:99999:7:::\nadmusr:$6$twin$" + "x" * 86 + ":16825:0:99999:7:::\n"
_ALARM = (71402, Severity.MINOR, "Connectivity Lost")


def prepare(world: World, name: str, where: str, until: float | None) -> bool:
    """Bring the world into the state that the fault `name` begins with; False when it has none.

    `until`: twin seconds, None: to the end.
    """
    if name == "server_down":
        _down(world, where, until)
    elif name == "standing_alarm":
        world.strange[where] = _ALARM
        if until is not None:
            world.clock.call_later(until, lambda: _alarm_goes(world, where))
    elif name == "netbackup":
        world.files[where].mkdir(NETBACKUP)
    elif name == "password_expires":
        _expire(world.files[where], int(world.start.timestamp()) // _DAY)
    else:
        return False
    return True


def _down(world: World, name: str, until: float | None) -> None:
    """Its mate has taken over if it was the active one, as the HA of a pair does. So the twin begins: no event."""
    server, mate = world.servers[name], world.mate(name)
    role = Role.STANDBY if server.role is Role.ACTIVE else server.role
    if server.role is Role.ACTIVE and mate.role is Role.STANDBY:
        mate.role = Role.ACTIVE
        world.last_active[mate.cluster] = mate.name
    server.role = Role.OFFLINE
    world.set_reachable(server, up=False)
    if until is not None:
        world.clock.call_later(until, lambda: _back(world, name, role))


def _back(world: World, name: str, role: Role) -> None:
    server = world.servers[name]
    world.set_reachable(server, up=True)
    if server.role is Role.OFFLINE:
        world.set_role(server, role)
    world.settle()


def _alarm_goes(world: World, name: str) -> None:
    if world.strange.get(name) == _ALARM:
        del world.strange[name]
        world.settle()


def _expire(tree: FileTree, today: int) -> None:
    """admusr (10.5: root) changed its password so long ago that three days are left."""
    days = f"{today + EXPIRES_IN - _AGED}:0:{_AGED}:7:::"
    text = tree.read(SHADOW).decode() if SHADOW in tree else _ACCOUNTS
    who = "admusr" if "\nadmusr:" in f"\n{text}" else "root"
    lines = []
    for line in text.splitlines():
        name, field, *_ = line.split(":")
        lines.append(f"{name}:{field}:{days}" if name == who else line)
    tree.write(SHADOW, "".join(f"{line}\n" for line in lines).encode(), mode=0o400, quiet=True)
