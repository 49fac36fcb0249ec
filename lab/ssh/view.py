"""A server's files with the rights of one user.

The tree stores no owners: everything belongs to root except the home of admusr. admusr may also change what
lies directly under /tmp and /var/TKLC/upgrade (group admgrp; an assumption, so that `scp` of an image as
admusr works as in 4.6.3.1). /var/camiant/iso is root's, hence `sudo cp` in 9.1.1 step 8. On PM&C the same goes for smacftpusr's home (4.6.2).
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.blob import Blob
from lab.files import UPGRADE_DIR, File, FileTree

from .file_writer import FileReader, FileWriter, as_file, md5_of

_SHARED = ("/tmp", UPGRADE_DIR, "/var/TKLC/smac/image/isoimages/home/smacftpusr")
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
    link: str = ""  # what a symbolic link holds; only `lstat` says it


def _fail(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class View:
    """Every path is absolute and normal. Raises OSError with errno, text and path, as the kernel would."""

    def __init__(self, tree: FileTree, user: str, now: Callable[[], float]) -> None:
        self._tree = tree
        self.user = user
        self.now = now
        self.umask = 0o022

    # ---- rights ----

    def _may_enter(self, path: str) -> None:
        """A folder above `path` may be closed to this user, or be a file."""
        above = path
        while above != "/":
            above = posixpath.dirname(above)
            if above in self._tree:
                raise _fail(errno.ENOTDIR, path)
        if self.user != "root" and path.startswith("/root/"):
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
            usual = {"/root": 0o550, "/home/admusr": 0o700, "/tmp": 0o1777, UPGRADE_DIR: 0o775}
            own = self._tree.dir_mode(path)
            mode = usual.get(path, 0o755) if own is None else own
            return Entry(
                name, True, _FOLDER_SIZE, 0.0, mode, owner, "admgrp" if path == UPGRADE_DIR else group
            )
        file = self._file(path)
        return Entry(name, False, file.size, file.mtime, file.mode, owner, group)

    def is_link(self, path: str) -> bool:
        self._may_enter(path)
        return self._tree.is_link(path)

    def real(self, path: str) -> str:
        """The path that a link leads to."""
        self._may_enter(path)
        return self._tree.real(path)

    def lstat(self, path: str) -> Entry:
        """Of the link itself, where the path is one."""
        if not self.is_link(path):
            return self.stat(path)
        text = self._tree.link_text(path)
        return Entry(posixpath.basename(path), False, len(text), 0.0, 0o777, "root", "root", text)

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
        """The bytes of a file; of an image that was there from the start the twin knows only size and checksum: EIO."""
        file = self._readable(path)
        return file.content if file.content is not None else self._blob(file, path).read(0, file.size)

    @staticmethod
    def _blob(file: File, path: str) -> Blob:
        pages = file.pages
        if pages is None:
            raise _fail(errno.EIO, path)
        return pages

    def pages(self, path: str) -> Blob:
        """The content in pages, not to be changed; raises as `content` does."""
        return self._blob(self._readable(path), path)

    def reader(self, path: str) -> FileReader:
        return FileReader(self.pages(path))

    def digest(self, path: str, algorithm: str) -> str:
        """MD5, SHA-1 or SHA-256 in hex. Of an image the SHA ones are derived: equal for equal MD5 and size."""
        file = self._readable(path)
        if algorithm == "md5":
            return file.md5
        found = hashlib.new(algorithm, usedforsecurity=False)
        for piece in file.pages or (f"image {file.md5} {file.size}".encode(),):
            found.update(piece)
        return found.hexdigest()

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
        start, mode = Blob(), 0o666 & ~self.umask
        if path in self._tree:
            mode = self._tree.stat(path).mode
            if append or keep:
                start = self.pages(path).copy()
        return FileWriter(self._tree, path, start, mode, self.now)

    def resize(self, path: str, size: int) -> None:
        """Cut off or fill up with zero bytes; creates the file."""
        self._may_change_in(path)
        start = self.pages(path).copy() if path in self._tree else Blob()
        mode = self._tree.stat(path).mode if path in self._tree else 0o644
        start.resize(size)
        self._tree.put(path, as_file(start, md5_of(start).hexdigest(), self.now(), mode))

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
        self._tree.chmod(path, mode)

    def copy(self, source: str, target: str, *, preserve: bool) -> None:
        """A file to a file name; `preserve` keeps time and mode, else a new file obeys the umask."""
        file = self._readable(source)
        if self._tree.is_dir(target):
            raise _fail(errno.EISDIR, target)
        self._may_change_in(target)
        mode = self._tree.stat(target).mode if target in self._tree else file.mode & ~self.umask
        self._tree.copy(source, target, preserve=preserve)
        if not preserve:
            self._tree.chmod(target, mode)

    def copy_link(self, source: str, target: str) -> None:
        """The link itself, not what it leads to."""
        self._may_change_in(target)
        if target in self._tree:
            self._tree.delete(target)
        self._tree.symlink(target, self._tree.link_text(source))

    def rename(self, source: str, target: str) -> None:
        """A file replaces what is there under the new name, a link too; a folder needs a name that is free."""
        self._may_enter(source)
        if self._tree.is_dir(source):
            self._move_folder(source, target)
            return
        if self._tree.is_link(source):
            self.copy_link(source, target)
            self._tree.delete(source)
            return
        file = self._file(source)
        self._may_change_in(source)
        if self._tree.is_dir(target):
            raise _fail(errno.EISDIR, target)
        self._may_change_in(target)
        if source != target:
            self.detach(target)
            self._tree.put(target, replace(file, percent=None))
            self._tree.delete(source)

    def _move_folder(self, source: str, target: str) -> None:
        self._may_change_in(source)
        self._may_change_in(target)
        if self.exists(target):
            raise _fail(errno.EEXIST, target)
        self._tree.move_dir(source, target)

    def detach(self, path: str) -> None:
        """Remove a link that stands where a file is to be put: it is replaced, not followed."""
        self._may_change_in(path)
        if self._tree.is_link(path):
            self._tree.delete(path)

    def remove_all(self, path: str) -> None:
        """rm -r."""
        if not self.is_link(path) and self.is_folder(path):
            for name in self.names(path):
                self.remove_all(posixpath.join(path, name))
            self._may_change_in(path)
            self._tree.rmdir(path)
        else:
            self.remove(path)

    def rmdir(self, path: str) -> None:
        if not self.is_folder(path):
            raise _fail(errno.ENOTDIR if self.exists(path) else errno.ENOENT, path)
        self._may_change_in(path)
        self._tree.rmdir(path)

    def remove(self, path: str) -> None:
        if not self.is_link(path):
            self._file(path)
        self._may_change_in(path)
        self._tree.delete(path)

    def mkdir(self, path: str, mode: int | None = None) -> None:
        self._may_enter(path)
        if self.exists(path):
            raise _fail(errno.EEXIST, path)
        self._may_change_in(path)
        own = 0o777 & ~self.umask if mode is None else mode
        self._tree.mkdir(path, None if own == 0o755 else own)
