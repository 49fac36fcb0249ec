"""df, mount and umount: what lies on which file system, and an image as a file system of its own."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import basename

from lab.config import media_type
from lab.disks import Disks, Volume
from lab.files import SCRIPTS
from lab.world import World

from .file_commands import human
from .options import options
from .shell import Call, CommandError


class DiskCommands:
    """One set per server; `disks` is None for a server whose disks nobody counts."""

    def __init__(self, world: World, server: str) -> None:
        self.world = world
        self.server = server
        self._mounted: dict[str, str] = {}  # where -> image

    @property
    def disks(self) -> Disks:
        return self.world.disks[self.server]

    async def df(self, call: Call) -> int:
        found, names = options(call, "hPkTmla")
        status = 0
        wanted = self.disks.volumes() if not names else []
        for name in names:
            path = call.path(name)
            if not call.files.exists(path):
                await call.complain(f"`{name}': No such file or directory")
                status = 1
                continue
            wanted.append(self.disks.volume(path))
        if wanted:
            await self._table(call, wanted, found)
        return status

    async def _table(self, call: Call, wanted: Iterable[Volume], found: dict[str, str]) -> None:
        size = (
            "Size"
            if "h" in found
            else "1M-blocks"
            if "m" in found
            else "1024-blocks"
            if "P" in found
            else "1K-blocks"
        )
        free, share = ("Avail" if "h" in found else "Available"), ("Capacity" if "P" in found else "Use%")
        kind = "Type    " if "T" in found else ""
        await call.say(f"{'Filesystem':<20} {kind}{size:>11} {'Used':>9} {free:>9} {share:>4} Mounted on")
        for volume in wanted:
            percent = -(-volume.used * 100 // volume.size)
            values = [self._amount(kib, found) for kib in (volume.size, volume.used, volume.free)]
            kind = "ext4    " if "T" in found else ""
            rest = f"{kind}{values[0]:>11} {values[1]:>9} {values[2]:>9} {percent:>3}% {volume.mount}"
            device = volume.device
            if len(device) > 20 and "P" not in found:  # this df breaks the line after a long device name
                await call.say(device)
                device = ""
            await call.say(f"{device:<20} {rest}")

    @staticmethod
    def _amount(kib: int, found: dict[str, str]) -> str:
        return human(kib * 1024) if "h" in found else str(-(-kib // 1024) if "m" in found else kib)

    async def mount(self, call: Call) -> int:
        """mount, mount -o loop IMAGE FOLDER"""
        found, names = options(call, "rv", "ot")
        if not names:
            for volume in self.disks.volumes():
                await call.say(f"{volume.device} on {volume.mount} type ext4 (rw)")
            for where, image in self._mounted.items():
                await call.say(f"{image} on {where} type iso9660 (ro,loop=/dev/loop0)")
            return 0
        if call.shell.user != "root":
            raise CommandError("only root can do that")
        if len(names) != 2:
            raise CommandError(f"can't find {names[0]} in /etc/fstab or /etc/mtab")
        image, where = (call.path(name) for name in names)
        if not call.files.is_folder(where):
            raise CommandError(f"mount point {names[1]} does not exist", 32)
        if image not in self.world.files[self.server]:
            raise CommandError(f"special device {names[0]} does not exist", 32)
        if "loop" not in found.get("o", "").split(","):
            raise CommandError(f"{names[0]} is not a block device (maybe try `-o loop'?)", 32)
        if where in self._mounted or image in self._mounted.values():
            raise CommandError(f"according to mtab {image} is already mounted on {where} as loop", 32)
        if not self._is_whole(image):
            raise CommandError("you must specify the filesystem type", 32)
        self._mounted[where] = image
        self._show(where)
        return 0

    def _is_whole(self, image: str) -> bool:
        """An image of the media list with its right content; anything else is no file system."""
        media = self.world.media.get(basename(image))
        return media is not None and self.world.files[self.server].stat(image).md5 == media.md5

    def _show(self, where: str) -> None:
        tree, image = self.world.files[self.server], self._mounted[where]
        kind = media_type(image, self.world.media)
        tree.mkdir(f"{where}/upgrade/policyScripts")
        for name in SCRIPTS:
            text = f"#!/usr/bin/perl\n# {name} of {basename(image)} ({kind})\n"
            tree.write(f"{where}/upgrade/policyScripts/{name}", text.encode(), mode=0o555, quiet=True)

    async def umount(self, call: Call) -> int:
        _, names = options(call, "lfv")
        if call.shell.user != "root":
            raise CommandError("only root can do that")
        if len(names) != 1:
            raise CommandError("usage: umount FOLDER")
        path = call.path(names[0])
        where = next((w for w, image in self._mounted.items() if path in (w, image)), None)
        if where is None:
            raise CommandError(f"{names[0]}: not mounted")
        if call.shell.cwd == where or call.shell.cwd.startswith(f"{where}/"):
            raise CommandError(f"{names[0]}: device is busy.")
        tree = self.world.files[self.server]
        for shown, _ in list(tree.walk()):
            if shown.startswith(f"{where}/"):
                tree.delete(shown, quiet=True)
        del self._mounted[where]
        return 0
