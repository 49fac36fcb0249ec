"""A server's files with the rights of one user.

The tree stores no owners: everything belongs to root except the home of admusr. admusr may also change what
lies directly under /tmp and /var/TKLC/upgrade (group admgrp; an assumption, so that `scp` of an image as
admusr works as in 4.6.3.1). /var/camiant/iso is root's, hence `sudo cp` in 9.1.1 step 8.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.files import UPGRADE_DIR, File, FileTree

from .streams import CHUNK

_SHARED = ("/tmp", UPGRADE_DIR)
_PUBLISH_EVERY = (
    1 << 20
)  # bytes: a growing file shows its size to other sessions in these steps, or in quarters
_FOLDER_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """What `stat` knows. `mtime` is in twin seconds since start, `mode` holds the permission bits alone."""

    name: str
    folder: bool
    size: int
    mtime: float
    mode: int
    owner: str
    group: str


def _fail(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class FileWriter:
    """Writes a file from its beginning or end; it exists from the opening on and is recorded at `close`."""

    def __init__(self, tree: FileTree, path: str, start: bytes, mode: int, now: Callable[[], float]) -> None:
        self._tree, self._path, self._now = tree, path, now
        self.mode = mode
        self.mtime: float | None = None  # twin seconds; None = when it was last written
        self.data = bytearray(start)
        self._published = -1
        self._closed = False
        self._publish(quiet=True)

    async def write(self, data: bytes) -> None:
        self.data += data
        self._grown()

    def write_at(self, offset: int, data: bytes) -> None:
        """A gap before `offset` is filled with zero bytes."""
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset : offset + len(data)] = data
        self._grown()

    def _grown(self) -> None:
        if len(self.data) - self._published >= max(_PUBLISH_EVERY, self._published // 4):
            self._publish(quiet=True)

    def _publish(self, *, quiet: bool) -> None:
        content = bytes(self.data)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        mtime = self._now() if self.mtime is None else self.mtime
        self._tree.put(self._path, File(len(content), md5, content, mtime, self.mode), quiet=quiet)
        self._published = len(content)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._publish(quiet=False)


class FileReader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    async def read(self) -> bytes:
        data = self._content[self._at : self._at + CHUNK]
        self._at += len(data)
        return data


class View:
    """Every path is absolute and normal. Raises OSError with errno, text and path, as the kernel would."""

    def __init__(self, tree: FileTree, user: str, now: Callable[[], float]) -> None:
        self._tree = tree
        self.user = user
        self.now = now

    # ---- rights ----

    def _may_enter(self, path: str) -> None:
        """A folder above `path` may be closed to this user, or be a file."""
        above = path
        while above != "/":
            above = posixpath.dirname(above)
            if above in self._tree:
                raise _fail(errno.ENOTDIR, path)
        if self.user != "root" and (path.startswith(("/root/", "/etc/shadow"))):
            raise _fail(errno.EACCES, path)

    def _is_mine(self, path: str) -> bool:
        home = f"/home/{self.user}"
        return self.user == "root" or path == home or path.startswith(f"{home}/")

    def _may_change_in(self, path: str) -> None:
        """Create, replace or remove the name `path`."""
        self._may_enter(path)
        folder = posixpath.dirname(path)
        if not self._tree.is_dir(folder):
            raise _fail(errno.ENOENT, path)
        shared = any(folder == place or folder.startswith(f"{place}/") for place in _SHARED)
        if not (self._is_mine(folder) or shared):
            raise _fail(errno.EACCES, path)

    def _file(self, path: str) -> File:
        self._may_enter(path)
        if self._tree.is_dir(path):
            raise _fail(errno.EISDIR, path)
        if path not in self._tree:
            raise _fail(errno.ENOENT, path)
        return self._tree.stat(path)

    def _readable(self, path: str) -> File:
        file = self._file(path)
        if not (self._is_mine(path) or file.mode & 0o004):
            raise _fail(errno.EACCES, path)
        return file

    # ---- looking ----

    def is_folder(self, path: str) -> bool:
        self._may_enter(path)
        return self._tree.is_dir(path)

    def exists(self, path: str) -> bool:
        return self.is_folder(path) or path in self._tree

    def stat(self, path: str) -> Entry:
        home = path == "/home/admusr" or path.startswith("/home/admusr/")
        owner, group = ("admusr", "admgrp") if home else ("root", "root")
        name = posixpath.basename(path) or "/"
        if self.is_folder(path):
            mode = {"/root": 0o550, "/home/admusr": 0o700, "/tmp": 0o1777, UPGRADE_DIR: 0o775}.get(
                path, 0o755
            )
            return Entry(
                name, True, _FOLDER_SIZE, 0.0, mode, owner, "admgrp" if path == UPGRADE_DIR else group
            )
        file = self._file(path)
        return Entry(name, False, file.size, file.mtime, file.mode, owner, group)

    def names(self, path: str) -> list[str]:
        """What lies in a folder, without `.` and `..`, sorted."""
        self._may_enter(path)
        if self.user != "root" and path == "/root":
            raise _fail(errno.EACCES, path)
        if path in self._tree:
            raise _fail(errno.ENOTDIR, path)
        if not self._tree.is_dir(path):
            raise _fail(errno.ENOENT, path)
        return self._tree.list(path)

    def content(self, path: str) -> bytes:
        """The bytes of a file; of an image the twin knows only size and checksum: EIO."""
        content = self._readable(path).content
        if content is None:
            raise _fail(errno.EIO, path)
        return content

    def reader(self, path: str) -> FileReader:
        return FileReader(self.content(path))

    def digest(self, path: str, algorithm: str) -> str:
        """MD5, SHA-1 or SHA-256 in hex. Of an image the SHA ones are derived: equal for equal MD5 and size."""
        file = self._readable(path)
        if algorithm == "md5":
            return file.md5
        content = file.content
        if content is None:
            content = f"image {file.md5} {file.size}".encode()
        return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()

    def used(self, folder: str) -> int:
        """Bytes of all files under `folder`."""
        return sum(file.size for path, file in self._tree.walk() if path.startswith(folder.rstrip("/") + "/"))

    # ---- changing ----

    def writer(self, path: str, *, append: bool = False, keep: bool = False) -> FileWriter:
        """Opens for writing: truncated unless `append` (at the end) or `keep` (anywhere, by offset)."""
        self._may_enter(path)
        if self._tree.is_dir(path):
            raise _fail(errno.EISDIR, path)
        self._may_change_in(path)
        start, mode = b"", 0o644
        if path in self._tree:
            mode = self._tree.stat(path).mode
            if append or keep:
                start = self.content(path)
        return FileWriter(self._tree, path, start, mode, self.now)

    def resize(self, path: str, size: int) -> None:
        """Cut off or fill up with zero bytes; creates the file."""
        self._may_change_in(path)
        start = self.content(path) if path in self._tree else b""
        self._tree.write(path, start[:size].ljust(size, b"\0"))

    def touch(self, path: str, mtime: float | None = None) -> None:
        self._may_change_in(path)
        when = self.now() if mtime is None else mtime
        if path in self._tree:
            self._tree.put(path, replace(self._tree.stat(path), mtime=when), quiet=True)
        elif not self._tree.is_dir(path):
            self._tree.write(path, b"")

    def chmod(self, path: str, mode: int) -> None:
        self._may_enter(path)
        if not self.exists(path):
            raise _fail(errno.ENOENT, path)
        if not self._is_mine(path):
            raise _fail(errno.EPERM, path)
        if path in self._tree:
            self._tree.chmod(path, mode)

    def copy(self, source: str, target: str, *, preserve: bool) -> None:
        """A file to a file name; `preserve` keeps the time."""
        self._readable(source)
        if self._tree.is_dir(target):
            raise _fail(errno.EISDIR, target)
        self._may_change_in(target)
        self._tree.copy(source, target, preserve=preserve)

    def rename(self, source: str, target: str) -> None:
        """Files only: the tree cannot move folders (EPERM)."""
        self._may_enter(source)
        if self._tree.is_dir(source):
            raise _fail(errno.EPERM, source)
        file = self._file(source)
        self._may_change_in(source)
        if self._tree.is_dir(target):
            raise _fail(errno.EISDIR, target)
        self._may_change_in(target)
        if source != target:
            self._tree.put(target, replace(file, percent=None))
            self._tree.delete(source)

    def remove(self, path: str) -> None:
        self._file(path)
        self._may_change_in(path)
        self._tree.delete(path)

    def mkdir(self, path: str) -> None:
        self._may_enter(path)
        if self.exists(path):
            raise _fail(errno.EEXIST, path)
        self._may_change_in(path)
        self._tree.mkdir(path)
