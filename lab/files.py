"""The files of one server, as SFTP and the shell see them.

Images are far too big to be stored: such a file has `content=None` and carries its size and MD5 alone. Every
change is reported to `on_change` and, unless `quiet`, written to the flight record as
`file` {server, path, op: write|delete, size}.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from lab.flight import FlightRecord

UPGRADE_DIR = "/var/TKLC/upgrade"  # one image of the server's own type lies here (3.1.4.2, R10)
KIT_DIR = "/var/camiant/iso"  # where the Upgrade Director looks for kits (9.1.1 step 8)
BASE_DIRS = (
    "/root", "/home/admusr", "/tmp", "/etc", "/opt/camiant/bin", UPGRADE_DIR, "/var/TKLC/log/upgrade",
    "/var/TKLC/log/syscheck", KIT_DIR, "/var/camiant/log", "/var/camiant/backup/local_archive/serverbackup",
    "/var/camiant/backup/local_archive/systembackup",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    size: int  # bytes
    md5: str  # 32 hex digits
    content: bytes | None  # None = an image, which is known by size and MD5 only
    mtime: float  # twin seconds since start; 0 = before the twin began
    mode: int = 0o644
    percent: int | None = None  # 0..100 when ISO Maintenance brings it, None when a person copied it


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
    """One server's files. Paths are absolute; a missing file raises FileNotFoundError, a missing folder too."""

    def __init__(self, server: str, flight: FlightRecord, now: Callable[[], float]) -> None:
        self.server = server
        self.on_change: Callable[[], None] = lambda: None
        self._flight = flight
        self._now = now
        self._files: dict[str, File] = {}
        self._dirs: set[str] = {"/"}
        for folder in BASE_DIRS:
            self.mkdir(folder)

    # --- looking
    def __contains__(self, path: str) -> bool:
        return normal(path) in self._files

    def is_dir(self, path: str) -> bool:
        return normal(path) in self._dirs

    def stat(self, path: str) -> File:
        """Size, MD5, mtime of a file; `content` too, where it has one."""
        try:
            return self._files[normal(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def list(self, folder: str) -> list[str]:
        """Names (not paths) of files and folders directly in `folder`, sorted."""
        base = normal(folder)
        if base not in self._dirs:
            raise FileNotFoundError(folder)
        return sorted(
            PurePosixPath(path).name
            for path in (*self._files, *self._dirs)
            if path != "/" and str(PurePosixPath(path).parent) == base
        )

    def walk(self) -> Iterator[tuple[str, File]]:
        """Every file with its path, in order of path."""
        yield from sorted(self._files.items())

    def read(self, path: str) -> bytes:
        """The content. An image has none: raises OSError, ask `stat` for its size and MD5."""
        content = self.stat(path).content
        if content is None:
            raise OSError(f"{path} on {self.server} is an image without stored content")
        return content

    # --- changing
    def mkdir(self, folder: str) -> None:
        """With parents; an existing folder is left alone."""
        path = PurePosixPath(normal(folder))
        if str(path) in self._files:
            raise FileExistsError(folder)
        self._dirs.update(str(p) for p in (path, *path.parents))

    def write(self, path: str, content: bytes, *, mode: int = 0o644, quiet: bool = False) -> None:
        """Creates or replaces a file with real content."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self.put(path, File(len(content), md5, content, self._now(), mode), quiet=quiet)

    def put(self, path: str, file: File, *, quiet: bool = False) -> None:
        """Creates or replaces a file as given (images: content=None). `quiet` = not in the flight record."""
        where = normal(path)
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
        file = self.stat(where)
        del self._files[where]
        if not quiet:
            self._flight.write("file", server=self.server, path=where, op="delete", size=file.size)
        self.on_change()

    def chmod(self, path: str, mode: int) -> None:
        self._files[normal(path)] = replace(self.stat(path), mode=mode)
