"""Which file systems are mounted on this server, and is a medium (CD, DVD, USB, a mounted image) among them?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.ssh import Servers

COMMAND = "cat /proc/mounts"

_LINE = re.compile(r"(?P<device>\S+) (?P<where>/\S*) (?P<type>\S+) (?P<options>\S+) \d+ \d+")
_DRIVE = re.compile(r"/dev/(sr\d+|scd\d+|cdrom\S*|dvd\S*)")
_PLACES = ("/media", "/mnt")  # where a person mounts


@dataclass(frozen=True, slots=True)
class Mount:
    device: str
    where: str
    type: str

    @property
    def is_medium(self) -> bool:
        """A drive, or whatever was mounted where a person mounts."""
        below = any(self.where == place or self.where.startswith(f"{place}/") for place in _PLACES)
        return below or _DRIVE.fullmatch(self.device) is not None


def parse(reply: str) -> tuple[Mount, ...]:
    """/proc/mounts -> every mount. Raises UnreadableReply on another line, and when / is not there."""
    found = []
    for line in filter(str.strip, reply.splitlines()):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UnreadableReply("/proc/mounts", "not a mount", line)
        where = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), match["where"])
        found.append(Mount(match["device"], where, match["type"]))
    if not any(mount.where == "/" for mount in found):
        raise UnreadableReply("/proc/mounts", "nothing is mounted at /", reply)
    return tuple(found)


def ask(servers: Servers, server: str) -> tuple[Mount, ...]:
    """Changes nothing."""
    return read(servers, server, COMMAND, parse)
