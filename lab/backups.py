"""Backups of a server and of the system, as platcfg makes them (4.6.4): real small files that grow while they are made."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import struct
import tarfile
from typing import TYPE_CHECKING

from lab.clock import Script, drive
from lab.errors import Refused
from lab.faults import Name
from lab.files import File
from lab.state import Server

if TYPE_CHECKING:
    from lab.world import World

ARCHIVE = "/var/camiant/backup/local_archive"
FOLDERS = {"server": f"{ARCHIVE}/serverbackup", "system": f"{ARCHIVE}/systembackup"}
ENDINGS = {"server": ".iso", "system": ".tar.gz"}
_SECTOR = 2048
_SECTORS = 160  # of a server backup
_STEPS = 20


def default_path(world: World, server: Server, kind: str) -> str:
    """`<host>-<type>_<release>-serverbackup-<YYYYMMDDhhmm>.iso` in its folder (4.6.4 step 2)."""
    when = world.wall(world.now())
    product = server.kind.value.lower()
    name = f"{server.name}-{product}_{server.release}-{kind}backup-{when:%Y%m%d%H%M}{ENDINGS[kind]}"
    return f"{FOLDERS[kind]}/{name}"


class Backup:
    """One that runs, or has ended."""

    def __init__(self, world: World, server: Server, kind: str, path: str) -> None:
        self.percent = 0
        self.ended = False
        self.failed = ""
        self._world, self._server, self._kind, self._path = world, server, kind, path
        self._left = False

    def leave(self) -> None:
        """Whoever looked on has gone: what is not finished stays as it is."""
        self._left = True

    def script(self) -> Script:
        world, server = self._world, self._server
        tree, durations = world.files[server.name], world.config.durations
        minutes = durations.server_backup if self._kind == "server" else durations.system_backup
        step = minutes * 60 * world.dice(server.name, f"{self._path}:lasts").uniform(0.9, 1.1) / _STEPS
        content = _content(world, server, self._kind, self._path)
        for n in range(_STEPS):
            yield step
            if self._left or not server.reachable:
                self.failed, self.ended = "interrupted", True
                world.backups_running.discard(server.name)
                return
            self.percent = (n + 1) * 100 // _STEPS
            if n < _STEPS - 1:
                part = content[: len(content) * (n + 1) // _STEPS]
                tree.put(self._path, File(len(part), _md5(part), part, world.now()), quiet=True)
        self._finish(content)
        self.ended = True
        world.backups_running.discard(server.name)

    def _finish(self, content: bytes) -> None:
        world, name = self._world, self._server.name
        tree = world.files[name]
        if world.faults.bites(Name.BACKUP_MISSING, name):
            tree.delete(self._path, quiet=True)
            return
        if world.faults.bites(Name.BACKUP_EMPTY, name):
            content = b""
        elif world.faults.bites(Name.BACKUP_CUT, name):
            content = content[: len(content) * 3 // 4]
        tree.put(self._path, File(len(content), _md5(content), content, world.now()))
        world.flight.write("backup", server=name, what=self._kind, path=self._path, size=len(content))


def begin(world: World, server: Server, kind: str, path: str) -> Backup:
    """Raises Refused when one runs on this server already, or the path is none."""
    if server.name in world.backups_running:
        raise Refused("another backup is running on this server")
    folder = path.rpartition("/")[0]
    if (
        not path.startswith("/")
        or not path.endswith(ENDINGS[kind])
        or not world.files[server.name].is_dir(folder)
    ):
        raise Refused(f"{path} cannot be written")
    backup = Backup(world, server, kind, path)
    world.backups_running.add(server.name)

    def broken(error: Exception) -> None:
        backup.failed, backup.ended = str(error), True
        world.backups_running.discard(server.name)

    drive(world.clock, backup.script(), lambda: None, broken)
    return backup


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _content(world: World, server: Server, kind: str, path: str) -> bytes:
    noise = world.dice(server.name, path)
    label = f"{server.name} {server.release} {kind}".encode()
    return _image(noise, label) if kind == "server" else _archive(noise, label)


def _both(form: str, value: int) -> bytes:
    """As ISO 9660 wants numbers: little end first, then again big end first."""
    return struct.pack("<" + form, value) + struct.pack(">" + form, value)


def _image(noise: random.Random, label: bytes) -> bytes:
    """A volume of ISO 9660 with an empty root folder and data behind it."""
    stamp = b"0" * 16 + b"\0"
    root = (
        bytes([34, 0]) + _both("I", 20) + _both("I", _SECTOR) + bytes(7) + bytes([2, 0, 0]) + _both("H", 1)
        + b"\x01\x00"
    )  # fmt: skip
    volume = (
        b"\x01CD001\x01\x00" + b"LINUX".ljust(32) + label[:32].upper().ljust(32) + bytes(8) + _both("I", _SECTORS)
        + bytes(32) + _both("H", 1) + _both("H", 1) + _both("H", _SECTOR) + _both("I", 10)
        + struct.pack("<II", 18, 0) + struct.pack(">II", 19, 0) + root + b" " * (128 * 4 + 37 * 3)
        + stamp * 4 + b"\x01\x00"
    ).ljust(_SECTOR, b"\0")  # fmt: skip
    end = b"\xffCD001\x01".ljust(_SECTOR, b"\0")
    table = (b"\x01\x00" + struct.pack("<I", 20) + b"\x01\x00\x00\x00").ljust(_SECTOR, b"\0")
    big_table = (b"\x01\x00" + struct.pack(">I", 20) + b"\x00\x01\x00\x00").ljust(_SECTOR, b"\0")
    folder = (root + root[:33] + b"\x01").ljust(_SECTOR, b"\0")
    head = bytes(16 * _SECTOR) + volume + end + table + big_table + folder
    return head + noise.randbytes(_SECTORS * _SECTOR - len(head))


def _archive(noise: random.Random, label: bytes) -> bytes:
    found = io.BytesIO()
    with gzip.GzipFile(fileobj=found, mode="wb", mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in (
                ("etc/backup-label", label + b"\n"),
                ("var/camiant/db.dump", noise.randbytes(24_000)),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return found.getvalue()
