"""The files of one server, as SFTP and the shell see them.

A small file has its `content`. A large one has it in pages (`blob`); an image that was there from the beginning has
neither, only its size and MD5. Every change is reported to `on_change` and, unless `quiet`, written to the flight record as
`file` {server, path, op: write|delete, size}.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from lab.blob import Blob
from lab.flight import FlightRecord

UPGRADE_DIR = "/var/TKLC/upgrade"  # one image of the server's own type lies here (3.1.4.2, R10)
KIT_DIR = "/var/camiant/iso"  # where the Upgrade Director looks for kits (9.1.1 step 8)
SCRIPT_DIR = "/opt/camiant/bin"  # where the scripts of the target's image are copied to (6.1.1/7)
SCRIPTS = ("policyUpgrade.pl", "qpSSHKeyProv.pl", "policyUpgradeHelper.pl")  # names are made up
BASE_DIRS = (
    "/root", "/home/admusr", "/tmp", "/etc", SCRIPT_DIR, UPGRADE_DIR, "/var/TKLC/log/upgrade",
    "/var/TKLC/log/syscheck", KIT_DIR, "/var/camiant/log", "/var/camiant/backup/local_archive/serverbackup",
    "/var/camiant/backup/local_archive/systembackup",
)  # fmt: skip
_MAX_LINKS = 40  # in a row, as the kernel has it


@dataclass(frozen=True, slots=True)
class File:
    size: int  # bytes
    md5: str  # 32 hex digits
    content: bytes | None  # None = a large file, or an image that is known by size and MD5 only
    mtime: float  # twin seconds since start; 0 = before the twin began
    mode: int = 0o644
    percent: int | None = None  # 0..100 when ISO Maintenance brings it, None when a person copied it
    blob: Blob | None = None  # the content of a large file; never changed once it is here

    @property
    def pages(self) -> Blob | None:
        """The content, however it is kept."""
        return Blob(self.content) if self.content is not None else self.blob


def normal(path: str) -> str:
    """An absolute path without `.`, `..` and double slashes. Raises ValueError when it is not absolute."""
    if not path.startswith("/"):
        raise ValueError(f"not an absolute path: {path!r}")
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


class FileTree:
    """One server's files. Paths are absolute; a missing file raises FileNotFoundError, a missing folder too.

    A path that is a symbolic link means the file that it leads to; `delete`, `is_link` and `link_text` mean the link
    itself. Links lead to files only.
    """

    def __init__(
        self, server: str, flight: FlightRecord, now: Callable[[], float], dirs: Iterable[str] = BASE_DIRS
    ) -> None:
        self.server = server
        self.on_change: Callable[[], None] = lambda: None
        self.room: Callable[[str], float] = lambda _path: math.inf  # bytes that may still be written there
        # (path, where, data) of bytes that are about to be written: what arrives of them, and is there no room for more?
        self.arrives: Callable[[str, int, bytes], tuple[bytes, bool]] = lambda _path, _at, data: (data, False)
        self._flight = flight
        self._now = now
        self._files: dict[str, File] = {}
        self._dirs: set[str] = {"/"}
        self._dir_modes: dict[str, int] = {}  # of folders that were made with a mode of their own
        self._links: dict[str, str] = {}
        for folder in dirs:
            self.mkdir(folder)

    # --- looking
    def __contains__(self, path: str) -> bool:
        return self.real(path) in self._files

    def is_dir(self, path: str) -> bool:
        return normal(path) in self._dirs

    def stat(self, path: str) -> File:
        """Size, MD5, mtime of a file; `content` too, where it has one."""
        try:
            return self._files[self.real(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def list(self, folder: str) -> list[str]:
        """Names (not paths) of files and folders directly in `folder`, sorted."""
        base = normal(folder)
        if base not in self._dirs:
            raise FileNotFoundError(folder)
        return sorted(
            PurePosixPath(path).name
            for path in (*self._files, *self._dirs, *self._links)
            if path != "/" and str(PurePosixPath(path).parent) == base
        )

    def walk(self) -> Iterator[tuple[str, File]]:
        """Every file with its path, in order of path."""
        yield from sorted(self._files.items())

    def read(self, path: str) -> bytes:
        """The content. An image has none: raises OSError, ask `stat` for its size and MD5."""
        file = self.stat(path)
        if file.content is not None:
            return file.content
        if file.blob is None:
            raise OSError(f"{path} on {self.server} is an image without stored content")
        return file.blob.read(0, file.size)

    def is_link(self, path: str) -> bool:
        return normal(path) in self._links

    def link_text(self, path: str) -> str:
        """What a symbolic link holds; it may be relative to the link's folder."""
        return self._links[normal(path)]

    def real(self, path: str) -> str:
        """The path of the file that `path` leads to, whether or not it exists. Raises OSError on a circle of links."""
        where = normal(path)
        for _ in range(_MAX_LINKS):
            if where not in self._links:
                return where
            where = normal(str(PurePosixPath(where).parent / self._links[where]))
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def dir_mode(self, folder: str) -> int | None:
        """The mode of a folder that was made with one of its own, else None."""
        return self._dir_modes.get(normal(folder))

    # --- changing
    def symlink(self, path: str, text: str) -> None:
        """A symbolic link `path` that holds `text`; part of how the server was set up, so no flight event."""
        self._links[normal(path)] = text

    def mkdir(self, folder: str, mode: int | None = None) -> None:
        """With parents; an existing folder is left alone."""
        path = PurePosixPath(normal(folder))
        if str(path) in self._files:
            raise FileExistsError(folder)
        if mode is not None and str(path) not in self._dirs:
            self._dir_modes[str(path)] = mode
        self._dirs.update(str(p) for p in (path, *path.parents))

    def write(self, path: str, content: bytes, *, mode: int = 0o644, quiet: bool = False) -> None:
        """Creates or replaces a file with real content."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self.put(path, File(len(content), md5, content, self._now(), mode), quiet=quiet)

    def put(self, path: str, file: File, *, quiet: bool = False) -> None:
        """Creates or replaces a file as given (images: content=None). `quiet` = not in the flight record."""
        where = self.real(path)
        if str(PurePosixPath(where).parent) not in self._dirs:
            raise FileNotFoundError(f"no such folder: {PurePosixPath(where).parent}")
        if where in self._dirs:
            raise IsADirectoryError(path)
        self._files[where] = file
        if not quiet:
            self._flight.write("file", server=self.server, path=where, op="write", size=file.size)
        self.on_change()

    def copy(self, source: str, target: str, *, preserve: bool = False) -> str:
        """cp [-p]; a target that is a folder receives the file under its own name. Answers the new path."""
        file = self.stat(source)
        where = normal(target)
        if where in self._dirs:
            where = normal(f"{where}/{PurePosixPath(normal(source)).name}")
        self.put(where, replace(file, mtime=file.mtime if preserve else self._now(), percent=None))
        return where

    def delete(self, path: str, *, quiet: bool = False) -> None:
        where = normal(path)
        if self._links.pop(where, None) is not None:
            return
        file = self.stat(where)
        del self._files[where]
        if not quiet:
            self._flight.write("file", server=self.server, path=where, op="delete", size=file.size)
        self.on_change()

    def rmdir(self, folder: str) -> None:
        """Raises OSError (ENOTEMPTY) unless the folder is empty."""
        where = normal(folder)
        if self.list(where):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), folder)
        self._dirs.discard(where)
        self._dir_modes.pop(where, None)

    def move_dir(self, source: str, target: str) -> None:
        """A folder with all that is below it gets another name, which must not exist yet."""
        old, new = normal(source), normal(target)
        for paths in (self._files, self._links, self._dir_modes):
            for path in [p for p in paths if p == old or p.startswith(f"{old}/")]:
                paths[new + path[len(old) :]] = paths.pop(path)  # type: ignore[assignment]
        moved = {path for path in self._dirs if path == old or path.startswith(f"{old}/")}
        self._dirs = (self._dirs - moved) | {new + path[len(old) :] for path in moved}
        self.on_change()

    def chmod(self, path: str, mode: int) -> None:
        where = self.real(path)
        if where in self._dirs:
            self._dir_modes[where] = mode
        else:
            self._files[where] = replace(self.stat(where), mode=mode)
