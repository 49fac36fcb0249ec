"""How much room is on the disks of this server?"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import named, read
from mopflow.ssh import Servers

COMMAND = "LC_ALL=C df -Pk"

_HEADER = re.compile(r"^Filesystem\s+1024-blocks\s+Used\s+Available\s+Capacity\s+Mounted on$")
_LINE = re.compile(
    r"^(?P<device>\S.*?)\s+(?P<size>\d+|-)\s+(?P<used>\d+|-)\s+(?P<free>-?\d+|-)\s+(?:\d+%|-)\s+(?P<mount>/.*)$"
)


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted file system; sizes in KiB."""

    mount: str
    device: str
    size: int
    used: int
    free: int  # for ordinary users


def parse(reply: str) -> dict[str, Volume]:
    """`df -Pk` -> volume by mount point; those whose sizes df does not know (`-`) are left out.

    Raises UnreadableReply on a line that is not one of df's, and when nothing but the heading came.
    """
    lines = [line.rstrip() for line in reply.splitlines() if line.strip()]
    if not lines or _HEADER.match(lines[0]) is None:
        raise UnreadableReply("df", "no heading of df -Pk", reply)
    if len(lines) == 1:
        raise UnreadableReply("df", "no file system", reply)
    found: dict[str, Volume] = {}
    for line in lines[1:]:
        match = _LINE.match(line)
        if match is None:
            raise UnreadableReply("df", "not a line of df -Pk", line)
        sizes = match["size"], match["used"], match["free"]
        if "-" not in sizes:
            size, used, free = (int(value) for value in sizes)
            found[match["mount"]] = Volume(match["mount"], match["device"], size, used, free)
    return found


def parse_one(reply: str) -> Volume:
    """`df -Pk PATH` -> the one volume. Raises UnreadableReply when it is not one."""
    found = list(parse(reply).values())
    if len(found) != 1:
        raise UnreadableReply("df", f"{len(found)} file systems instead of one", reply)
    return found[0]


def ask(servers: Servers, server: str) -> dict[str, Volume]:
    """All volumes of the server, by mount point."""
    return read(servers, server, COMMAND, parse)


def ask_for(servers: Servers, server: str, path: str) -> Volume:
    """The volume on which `path` lies. Raises CommandFailed when the path does not exist."""
    command = f"{COMMAND} {shlex.quote(path)}"
    return named(server, lambda: parse_one(servers.check(server, command)))
