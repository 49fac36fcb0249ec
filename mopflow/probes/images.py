"""Which images lie on this server, and are they the right ones? (9.1.1 steps 3, 5 and 7, rule R10)"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.media import UPGRADE_DIR, parse_md5sum
from mopflow.probes import named, read
from mopflow.ssh import Servers

HASHING = 900  # seconds: an image has up to some GB, and the disk is busy

_LINE = re.compile(
    r"^(?P<type>[-dlbcps])[-rwxsStT]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+"
    r"(?P<size>\d+|\d+,\s*\d+)\s+[A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d{4}|\d{1,2}:\d{2})\s(?P<name>.+)$"
)


@dataclass(frozen=True, slots=True)
class Image:
    """A file `*.iso`; `size` in bytes."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of ls -l: `kind` is its first letter (- for a plain file), `size` in bytes."""

    name: str
    kind: str
    size: int


def command(folder: str = UPGRADE_DIR) -> str:
    return f"LC_ALL=C ls -lA {shlex.quote(folder)}"


def parse(reply: str) -> tuple[Image, ...]:
    """`ls -lA FOLDER` -> the images directly in the folder, by name; other files do not count.

    Raises UnreadableReply on a line that is not one of ls, and for an image that is not a plain file: a link may
    lead to another image than its name says.
    """
    found = []
    for entry in entries(reply):
        if not entry.name.lower().endswith(".iso"):
            continue
        if entry.kind != "-":
            raise UnreadableReply("ls", f"{entry.name} is not a plain file", f"{entry.kind} {entry.name}")
        found.append(Image(entry.name, entry.size))
    return tuple(sorted(found, key=lambda image: image.file))


def entries(reply: str) -> tuple[Entry, ...]:
    """`ls -lA FOLDER` -> whatever lies directly in the folder, as printed.

    Raises UnreadableReply on a line that is not one of ls.
    """
    lines = [line.rstrip("\r") for line in reply.splitlines() if line.strip()]
    if not lines or re.fullmatch(r"total \d+", lines[0].strip()) is None:
        raise UnreadableReply("ls", "does not begin with the total", reply)
    found = []
    for line in lines[1:]:
        match = _LINE.match(line)
        if match is None:
            raise UnreadableReply("ls", "not a line of ls -l", line)
        name = match["name"].split(" -> ")[0] if match["type"] == "l" else match["name"]
        size = int(match["size"]) if match["size"].isdigit() else 0  # a device has two numbers instead
        found.append(Entry(name, match["type"], size))
    return tuple(found)


def parse_hash(reply: str, path: str) -> str:
    """`md5sum PATH` -> 32 lower-case digits. Raises UnreadableReply when it is not the hash of that file."""
    found = parse_md5sum(reply)
    if list(found) != [path]:
        raise UnreadableReply("md5sum", f"not the hash of {path}", reply)
    return found[path]


def ask(servers: Servers, server: str, folder: str = UPGRADE_DIR) -> tuple[Image, ...]:
    """The images in `folder` of the server. Raises CommandFailed when there is no such folder."""
    return read(servers, server, command(folder), parse)


def ask_hash(servers: Servers, server: str, path: str) -> str:
    """The MD5 of a file, which is read whole for it. Raises CommandFailed when it cannot be read."""
    line = f"LC_ALL=C md5sum {shlex.quote(path)}"
    return named(server, lambda: parse_hash(servers.check(server, line, timeout=HASHING), path))
