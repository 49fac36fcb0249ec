"""Which backups lie on this server, are they whole, and has somebody the menu open? (4.6.4 steps 1 and 2)

The files belong to root, hence sudo; everything holds for the findutils, coreutils and gzip of CentOS 6.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from mopflow.backups import BackupFile, BackupKind
from mopflow.errors import UnreadableReply
from mopflow.probes import named, read
from mopflow.ssh import Reply, Servers

READING = 900  # seconds: a backup is read whole for its hash, and the disk is busy
SECTOR = 2048
_PROCESSES = "ps -eo pid=,args="

_FILE = re.compile(r"(?P<size>\d+) (?P<changed>\d+(?:\.\d+)?) (?P<path>/.+)")
_HASH = re.compile(r"(?P<hash>[0-9a-f]{64})[ ][ *](?P<path>.+)")
_PROCESS = re.compile(r"\s*(?P<pid>\d+)\s+(?P<args>\S.*)")
_BROKEN = re.compile(
    r"unexpected end of file|not in gzip format|invalid compressed data|crc error|length error|trailing garbage"
)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a backup folder, and the server's clock (seconds since 1970) when they were listed."""

    files: tuple[BackupFile, ...]
    now: float


def listing_command(kind: BackupKind) -> str:
    return f"date +%s && sudo find {kind.folder} -maxdepth 1 -type f -printf '%s %T@ %p\\n'"


def parse_listing(reply: str) -> Listing:
    """The clock, then a line per file. Raises UnreadableReply for every other line."""
    lines = reply.splitlines()
    if not lines or not lines[0].isdigit():
        raise UnreadableReply("find", "does not begin with the clock", reply)
    found = []
    for line in lines[1:]:
        match = _FILE.fullmatch(line)
        if match is None:
            raise UnreadableReply("find", "not size, time and path", line)
        found.append(BackupFile(match["path"], int(match["size"]), match["changed"]))
    return Listing(tuple(sorted(found, key=lambda file: (float(file.changed), file.path))), float(lines[0]))


def parse_hash(reply: str, path: str) -> str:
    """`sha256sum PATH` -> 64 digits. Raises UnreadableReply when it is not the hash of that file."""
    match = _HASH.fullmatch(reply.rstrip("\n"))
    if match is None or match["path"] != path:
        raise UnreadableReply("sha256sum", f"not the hash of {path}", reply)
    return match["hash"]


def parse_gzip(reply: Reply, path: str) -> str | None:
    """`gzip -t PATH` -> what is wrong with the archive, None when it is whole.

    Raises UnreadableReply for a complaint that says nothing about the archive.
    """
    if reply.status == 0 and not reply.stderr.strip():
        return None
    match = _BROKEN.search(reply.stderr)
    if match is None:
        raise UnreadableReply("gzip -t", f"status {reply.status} for {path}", reply.stderr or reply.stdout)
    return match.group()


def parse_volume(reply: str, size: int) -> str | None:
    """Sector 16 in hex (`od -An -v -tx1`) -> what is wrong with an ISO 9660 image of `size` bytes; None: it is whole.

    An image that was cut off is shorter than its volume descriptor says. Raises UnreadableReply when no whole sector
    came although the file is long enough.
    """
    words = reply.split()
    if not all(re.fullmatch(r"[0-9a-f]{2}", word) for word in words):
        raise UnreadableReply("od", "not bytes in hex", reply)
    data = bytes(int(word, 16) for word in words)
    if size < 17 * SECTOR:
        return "it ends before its volume descriptor"
    if len(data) != SECTOR:
        raise UnreadableReply("dd", f"{len(data)} bytes of the volume descriptor instead of {SECTOR}", reply)
    if data[0] != 1 or data[1:6] != b"CD001":
        return "it is no ISO 9660 image"
    blocks, block = int.from_bytes(data[80:84], "little"), int.from_bytes(data[128:130], "little")
    if blocks != int.from_bytes(data[84:88], "big") or block != int.from_bytes(data[130:132], "big"):
        return "its volume descriptor contradicts itself"
    if block == 0 or blocks == 0:
        return "its volume descriptor names no size"
    if size < blocks * block:
        return f"it is cut off: {size} bytes of the {blocks * block} that its volume descriptor names"
    return None


def parse_menus(reply: str) -> tuple[int, ...]:
    """`ps -eo pid=,args=` -> the processes of platcfg. Raises UnreadableReply for a line that is no process."""
    found = []
    lines = [line for line in reply.splitlines() if line.strip()]
    if not lines:
        raise UnreadableReply("ps", "no process", reply)
    for line in lines:
        match = _PROCESS.fullmatch(line)
        if match is None:
            raise UnreadableReply("ps", "not a process", line)
        if re.search(r"(?:^|[\s/-])platcfg(?:\s|$)", match["args"]) and "ps -eo" not in match["args"]:
            found.append(int(match["pid"]))
    return tuple(found)


# ---- over SSH ----


def ask(servers: Servers, server: str, kind: BackupKind) -> Listing:
    """What lies in the folder of this kind. Raises CommandFailed when there is no such folder."""
    return read(servers, server, listing_command(kind), parse_listing)


def ask_hash(servers: Servers, server: str, path: str) -> str:
    """The SHA-256 of a file. Raises CommandFailed when it cannot be read."""
    line = f"sudo sha256sum {shlex.quote(path)}"
    return named(server, lambda: parse_hash(servers.check(server, line, timeout=READING), path))


def ask_menus(servers: Servers, server: str) -> tuple[int, ...]:
    """The processes of platcfg on the server, whoever started them."""
    return read(servers, server, _PROCESSES, parse_menus)


def ask_broken(servers: Servers, server: str, file: BackupFile, kind: BackupKind, least: int) -> str | None:
    """What is wrong with a backup; None when it has at least `least` bytes and is whole by its own marks.

    An archive is unpacked without being kept (its checksum covers every byte); an image is as long as it says.
    """
    if file.size == 0:
        return "it has no bytes"
    if file.size < least:
        return f"it has {file.size} bytes only, a {kind} backup has at least {least} (backups.{kind}_bytes)"
    path = shlex.quote(file.path)
    if kind is BackupKind.SYSTEM:
        reply = servers.run(server, f"sudo gzip -t {path}", timeout=READING)
        return named(server, lambda: parse_gzip(reply, file.path))
    line = f"sudo dd if={path} bs={SECTOR} skip=16 count=1 2>/dev/null | od -An -v -tx1"
    return named(server, lambda: parse_volume(servers.check(server, line), file.size))
