"""What can go wrong with an image on its way to a server: faults disk_full, connection_cut, corrupt_transfer.

A transfer is known by the name of the file that grows: an image of the media list, or that with `.part`.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lab.faults import Name
from lab.files import UPGRADE_DIR

if TYPE_CHECKING:
    from lab.world import World

MIDDLE, LATE = 0.5, 0.99  # shares of the image at which they bite


class Transfers:
    """One for all servers; asked for every piece that arrives."""

    def __init__(self, world: World) -> None:
        self._world = world

    def size(self, path: str) -> int | None:
        """Bytes of the image whose transfer this is, None when it is none."""
        where = PurePosixPath(path)
        if str(where.parent) != UPGRADE_DIR:
            return None
        media = self._world.media.get(where.name.removesuffix(".part"))
        return None if media is None else media.size

    def arrives(self, server: str, path: str, at: int, data: bytes) -> tuple[bytes, bool]:
        """What arrives of `data` behind the first `at` bytes, and is there no room for more?"""
        size = self.size(path)
        if size is None:
            return data, False
        end = at + len(data)
        if self.crosses(Name.DISK_FULL, server, at, end, size):
            self._world.disks[server].fill(path)
            return data[: max(0, int(size * LATE) - at)], True
        if self.crosses(Name.CORRUPT_TRANSFER, server, at, end, size):
            middle = max(0, min(len(data) - 1, int(size * MIDDLE) - at))
            data = data[:middle] + bytes([data[middle] ^ 0x01]) + data[middle + 1 :]
        if self.crosses(Name.CONNECTION_CUT, server, at, end, size):
            self._world.cut_connections(server)
        return data, False

    def crosses(self, name: Name, server: str, at: int, end: int, size: int) -> bool:
        """Does this piece cross the place where the fault bites, and is it its turn?"""
        place = int(size * (LATE if name is Name.DISK_FULL else MIDDLE))
        return at <= place < end and self._world.faults.bites(name, server)


def damaged(md5: str) -> str:
    """The MD5 of an image without stored content of which one byte has changed."""
    return hashlib.md5(f"damaged {md5}".encode(), usedforsecurity=False).hexdigest()
