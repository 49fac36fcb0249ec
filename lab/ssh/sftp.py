"""SFTP (and the old scp) over the virtual files."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncssh
from asyncssh import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_TRUNC, FXF_WRITE, SFTPAttrs, SFTPName

from lab.blob import Blob

from .file_writer import FileWriter
from .shell import home_of
from .view import Entry, View


@dataclass(slots=True)
class _Handle:
    path: str
    content: Blob | None = None
    writer: FileWriter | None = None
    append: bool = False


def _refuse(path: str) -> OSError:
    return OSError(errno.EPERM, os.strerror(errno.EPERM), path)


class TwinSftp(asyncssh.SFTPServer):
    """Protocol version 3. Links, folders' removal and statvfs are not supported by the virtual tree.

    Every method of the base class that would touch this machine's own files is replaced.
    """

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], view: View, start: float) -> None:
        super().__init__(chan)
        self._view = view
        self._start = start  # POSIX time of the twin's second 0

    def _path(self, path: bytes) -> str:
        name = path.decode(errors="surrogateescape")
        joined = posixpath.normpath(posixpath.join(home_of(self._view.user), name))
        return joined[1:] if joined.startswith("//") else joined

    def _attrs(self, entry: Entry) -> SFTPAttrs:
        when = int(self._start + entry.mtime)
        kind = stat.S_IFDIR if entry.folder else stat.S_IFREG
        uid, gid = (0, 0) if entry.owner == "root" else (500, 500)
        return SFTPAttrs(
            type=asyncssh.FILEXFER_TYPE_DIRECTORY if entry.folder else asyncssh.FILEXFER_TYPE_REGULAR,
            size=entry.size,
            uid=uid,
            gid=gid,
            owner=entry.owner,
            group=entry.group,
            permissions=kind | entry.mode,
            atime=when,
            mtime=when,
            nlink=1,
        )

    def map_path(self, path: bytes) -> bytes:
        """The tree has no place on this machine."""
        raise _refuse(self._path(path))

    def format_user(self, uid: int | None) -> str:
        return "root" if uid == 0 else "admusr"

    def format_group(self, gid: int | None) -> str:
        return "root" if gid == 0 else "admgrp"

    def realpath(self, path: bytes) -> bytes:
        return self._path(path).encode(errors="surrogateescape")

    def stat(self, path: bytes) -> SFTPAttrs:
        return self._attrs(self._view.stat(self._path(path)))

    def lstat(self, path: bytes) -> SFTPAttrs:
        return self.stat(path)

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        folder = self._path(path)
        names = self._view.names(folder)
        for name in (".", "..", *names):
            entry = self._view.stat(posixpath.normpath(posixpath.join(folder, name)))
            yield SFTPName(name.encode(errors="surrogateescape"), attrs=self._attrs(entry))

    def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> _Handle:
        name = self._path(path)
        if not pflags & (FXF_WRITE | FXF_APPEND):
            return _Handle(name, content=self._view.pages(name))
        exists = self._view.exists(name)
        if exists and pflags & FXF_CREAT and pflags & FXF_EXCL:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        if not exists and not pflags & FXF_CREAT:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        writer = self._view.writer(name, keep=not pflags & FXF_TRUNC)
        return _Handle(name, writer=writer, append=bool(pflags & FXF_APPEND))

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: SFTPAttrs) -> _Handle:
        raise _refuse(self._path(path))  # version 5 and later are not offered

    @staticmethod
    def _handle(file_obj: object) -> _Handle:
        assert isinstance(file_obj, _Handle)
        return file_obj

    def close(self, file_obj: object) -> None:
        writer = self._handle(file_obj).writer
        if writer is not None:
            writer.close()

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        handle = self._handle(file_obj)
        content = handle.content if handle.writer is None else handle.writer
        return b"" if content is None else content.read(offset, size)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        handle = self._handle(file_obj)
        if handle.writer is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), handle.path)
        handle.writer.write_at(handle.writer.size if handle.append else offset, data)
        return len(data)

    def fstat(self, file_obj: object) -> SFTPAttrs:
        handle = self._handle(file_obj)
        attrs = self._attrs(self._view.stat(handle.path))
        if handle.writer is not None:
            attrs.size = handle.writer.size
        return attrs

    def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        name = self._path(path)
        if attrs.size is not None:
            self._view.resize(name, attrs.size)
        if attrs.permissions is not None:
            self._view.chmod(name, stat.S_IMODE(attrs.permissions))
        if attrs.mtime is not None:
            self._view.touch(name, attrs.mtime - self._start)

    def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        self.setstat(path, attrs)

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """Of an open file only mode and time can be set, and they are kept when it is closed."""
        handle = self._handle(file_obj)
        if handle.writer is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), handle.path)
        if attrs.size is not None:
            handle.writer.resize(attrs.size)
        if attrs.permissions is not None:
            handle.writer.mode = stat.S_IMODE(attrs.permissions)
        if attrs.mtime is not None:
            handle.writer.mtime = attrs.mtime - self._start

    def remove(self, path: bytes) -> None:
        self._view.remove(self._path(path))

    def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        self._view.mkdir(self._path(path))

    def rmdir(self, path: bytes) -> None:
        raise _refuse(self._path(path))

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Version 3: an existing target is refused."""
        target = self._path(newpath)
        if self._view.exists(target):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        self._view.rename(self._path(oldpath), target)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._view.rename(self._path(oldpath), self._path(newpath))

    def readlink(self, path: bytes) -> bytes:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self._path(path))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise _refuse(self._path(newpath))

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise _refuse(self._path(newpath))

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        raise asyncssh.SFTPOpUnsupported("statvfs: use df")

    def fstatvfs(self, file_obj: object) -> asyncssh.SFTPVFSAttrs:
        raise asyncssh.SFTPOpUnsupported("fstatvfs: use df")

    def fsync(self, file_obj: object) -> None:
        return None

    def exit(self) -> None:
        """OpenSSH's scp takes an SFTP session that ends without an exit status for a failure."""
        if self.channel.get_subsystem() == "sftp" and not self.channel.is_closing():
            self.channel.exit(0)
