"""What lies directly in this folder of the server, of whatever kind, and is something being written there?

`ls` prints a name that holds a line break as two lines; `find -printf` lets us see that, and the line is refused.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from posixpath import basename

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.ssh import Servers

FRESH = 60.0  # seconds of the server's clock within which a file that was written counts as being written

_NOW = re.compile(r"\d{9,}")
_LINE = re.compile(
    r"(?P<kind>[a-zA-Z]) (?P<size>\d+) (?P<inode>\d+) (?P<mtime>-?\d+(?:\.\d+)?) (?P<name>[^/]+)"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One name. `kind`: f a plain file, d a folder, l a link, as find says it; `size` in bytes."""

    name: str
    kind: str
    size: int
    inode: int
    mtime: float  # POSIX seconds of the server's clock

    @property
    def state(self) -> str:
        """Changes whenever the content does: for hashes that were taken before."""
        return f"{self.size}:{self.mtime}:{self.inode}"


@dataclass(frozen=True, slots=True)
class Folder:
    now: float  # POSIX seconds by the server's own clock
    entries: dict[str, Entry]

    def being_written(self, name: str) -> bool:
        """Was the file written within the last minute by the clock that dated it? A time in the future counts."""
        entry = self.entries.get(name)
        return entry is not None and self.now - entry.mtime < FRESH


def command(folder: str) -> str:
    return (
        "date +%s && "
        f"LC_ALL=C find {shlex.quote(folder)} -mindepth 1 -maxdepth 1 -printf '%y %s %i %T@ %f\\n'"
    )


def parse(reply: str) -> Folder:
    """Raises UnreadableReply on any line that is not one of ours."""
    lines = reply.split("\n")
    if lines[-1] != "":
        raise UnreadableReply("find", "the last line is cut off", reply[-300:])
    if not _NOW.fullmatch(lines[0].strip()):
        raise UnreadableReply("date", "does not begin with the time of the server", reply)
    found: dict[str, Entry] = {}
    for line in lines[1:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise UnreadableReply("find", "not an entry of a folder", line)
        entry = Entry(
            match["name"], match["kind"], int(match["size"]), int(match["inode"]), float(match["mtime"])
        )
        if entry.name in found:
            raise UnreadableReply("find", f"the name {entry.name} twice", reply)
        found[entry.name] = entry
    return Folder(float(lines[0]), found)


def ask(servers: Servers, server: str, folder: str) -> Folder:
    """Raises CommandFailed when there is no such folder."""
    return read(servers, server, command(folder), parse)


def plain_size(folder: Folder, path: str) -> int | None:
    """Bytes of the plain file `path` in it; None when there is none. Raises UnreadableReply for anything else."""
    entry = folder.entries.get(basename(path))
    if entry is None:
        return None
    if entry.kind != "f":
        raise UnreadableReply("find", f"{path} is not a plain file", f"{entry.kind} {entry.name}")
    return entry.size
