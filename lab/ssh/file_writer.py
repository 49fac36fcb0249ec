"""Open files: a writer whose cost grows with what is written and not with what is there, and a reader."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator

from lab.blob import Blob
from lab.files import File, FileTree

_PUBLISH_EVERY = (
    1 << 20
)  # bytes: a growing file shows its size to other sessions in these steps, or in eighths
_SMALL = 1 << 20  # bytes: files up to here are kept as plain bytes


def md5_of(blob: Blob) -> hashlib._Hash:
    found = hashlib.md5(usedforsecurity=False)
    for piece in blob:
        found.update(piece)
    return found


class FileWriter:
    """Writes a file from its beginning or end; it exists from the opening on and is recorded at `close`.

    Raises OSError (ENOSPC) when the file system has no room for more; what fitted stays.
    """

    def __init__(self, tree: FileTree, path: str, start: Blob, mode: int, now: Callable[[], float]) -> None:
        self._tree, self._path, self._now = tree, path, now
        self.mode = mode
        self.mtime: float | None = None  # twin seconds; None = when it was last written
        self._blob = start
        self._md5: hashlib._Hash | None = md5_of(start)  # None: no longer one piece after the other
        self._published = 0
        self._room = 0.0
        self._closed = False
        self._publish(quiet=True)

    @property
    def size(self) -> int:
        return len(self._blob)

    def read(self, offset: int, size: int) -> bytes:
        return self._blob.read(offset, size)

    async def write(self, data: bytes) -> None:
        self.write_at(self.size, data)

    def write_at(self, offset: int, data: bytes) -> None:
        """A gap before `offset` is filled with zero bytes."""
        before = self.size
        end = offset + len(data)
        if end > before:
            data, refused = self._tree.arrives(self._path, offset, data)
            if end - before > self._room:
                self._publish(quiet=True)  # asks for the room again
            fits = int(min(len(data), max(0.0, before + self._room - offset)))
            refused = refused or fits < len(data)
            data = data[:fits]
        else:
            refused = False
        if data:
            self._write(offset, data)
        if refused:
            self._publish(quiet=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "write error")
        if self.size - self._published >= max(_PUBLISH_EVERY, self._published // 8):
            self._publish(quiet=True)

    def _write(self, offset: int, data: bytes) -> None:
        before = self.size
        if offset == before:
            if self._md5 is not None:
                self._md5.update(data)
        else:
            self._md5 = None
        self._blob.write_at(offset, data)
        self._room -= self.size - before

    def resize(self, size: int) -> None:
        if size != self.size:
            self._md5 = None
            self._blob.resize(size)

    def _publish(self, *, quiet: bool) -> None:
        if self._md5 is None:
            self._md5 = md5_of(self._blob)
        mtime = self._now() if self.mtime is None else self.mtime
        self._tree.put(self._path, as_file(self._blob, self._md5.hexdigest(), mtime, self.mode), quiet=quiet)
        self._published = self.size
        self._room = self._tree.room(self._path)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._publish(quiet=False)


def as_file(blob: Blob, md5: str, mtime: float, mode: int) -> File:
    if len(blob) <= _SMALL:
        return File(len(blob), md5, blob.read(0, len(blob)), mtime, mode)
    return File(len(blob), md5, None, mtime, mode, blob=blob.copy())


class FileReader:
    """What was in the file when it was opened."""

    def __init__(self, content: bytes | Blob) -> None:
        blob = content if isinstance(content, Blob) else Blob(content)
        self._pieces: Iterator[bytes] = iter(blob)

    async def read(self) -> bytes:
        return next(self._pieces, b"")
