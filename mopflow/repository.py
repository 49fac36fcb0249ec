"""Where backups are kept, off the servers (4.6.4 step 3): a folder on this machine, or a host that is reached over SSH.

A file grows under a name of its own (`.part`) and gets its name only after its hash was read back at the repository.
Beside it lies its hash as sha256sum prints it, for people and for `sha256sum -c`.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from mopflow.channel import Conversation
from mopflow.errors import ActRefused, BadInput, CommandFailed, UnreadableReply
from mopflow.evidence import sync_folder
from mopflow.probes import backups as probe
from mopflow.probes import disk
from mopflow.site import BackupRepository, Site
from mopflow.ssh import Servers

PART = ".part"
PIECE = 1 << 20
QUIET = 120.0  # seconds without a byte after which a transfer counts as lost
SPARE = 16 << 20  # bytes that stay free


class RepositoryRefused(ActRefused):
    """The repository does not take a file: it is full, away, or not to be written."""


class Sink(Protocol):
    """A file that grows at the repository."""

    def write(self, data: bytes) -> None:
        """Raises RepositoryRefused when it takes no more."""


class Repository(Protocol):
    """`folder` is that of one server, `name` that of a file. Sizes in bytes.

    Raises RepositoryRefused, with a sentence that a person can act on, when it cannot be written; on a host of its own also
    what `Servers.run` raises.
    """

    def place(self, folder: str, name: str) -> str:
        """Where a person finds it."""
        ...

    def access(self) -> str:
        """How a person gets at what is kept here."""
        ...

    def objection(self, size: int) -> str | None:
        """Why a file of this size cannot be kept now; None when it can."""
        ...

    def writing(self, folder: str, name: str) -> AbstractContextManager[Sink]:
        """A new file, under its name with `.part`; it is on the disk when the block ends."""
        ...

    def look(self, folder: str, name: str) -> tuple[int, str] | None:
        """Size and SHA-256 of a file, read there; None when it is not there."""
        ...

    def settle(self, folder: str, name: str, sha256: str) -> None:
        """Give the `.part` its name, and lay its hash beside it."""
        ...

    def discard(self, folder: str, name: str) -> None:
        """Remove the `.part`, if there is one."""
        ...


def of(site: Site, base: Path, servers: Servers) -> Repository:
    """The repository of the site; `base` is the directory of the site file. Raises BadInput when it has none."""
    kept: BackupRepository | None = site.backup_repository
    if kept is None:
        raise BadInput(
            "backup_repository: missing; name a folder here, or a host with user, password and path"
        )
    if kept.host is not None:
        return RemoteHost(servers, kept.host.name, f"{kept.user}@{kept.host.address}", kept.path)
    assert kept.folder is not None
    return LocalFolder(kept.folder if kept.folder.is_absolute() else base / kept.folder)


# ---- a folder here ----


class _File:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as wrong:
            raise _refused(self._path, wrong) from wrong


class LocalFolder:
    """A folder of this machine; it may be a mounted one."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def place(self, folder: str, name: str) -> str:
        return str(self._root / folder / name)

    def access(self) -> str:
        return (
            f"the files lie on {os.uname().nodename} in {self._root}, a folder per server; check them there with "
            "`sha256sum -c *.sha256`, and bring them back with scp"
        )

    def objection(self, size: int) -> str | None:
        try:
            self._root.mkdir(exist_ok=True)
            free = shutil.disk_usage(self._root).free
        except OSError as wrong:
            return str(_refused(self._root, wrong))
        if not os.access(self._root, os.W_OK | os.X_OK):
            return f"the backup repository {self._root} may not be written"
        if free < size + SPARE:
            return f"the backup repository {self._root} has {free} bytes free, {size + SPARE} are needed"
        return None

    @contextmanager
    def writing(self, folder: str, name: str) -> Iterator[Sink]:
        path = self._root / folder / f"{name}{PART}"
        try:
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                yield _File(file, path)
                file.flush()
                os.fsync(file.fileno())
        except OSError as wrong:
            raise _refused(path, wrong) from wrong

    def look(self, folder: str, name: str) -> tuple[int, str] | None:
        path = self._root / folder / name
        try:
            with path.open("rb") as file:
                # what was written just now would be read from memory and prove nothing of the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                found = hashlib.file_digest(file, "sha256").hexdigest()
                return os.fstat(file.fileno()).st_size, found
        except FileNotFoundError:
            return None
        except OSError as wrong:
            raise _refused(path, wrong) from wrong

    def settle(self, folder: str, name: str, sha256: str) -> None:
        path = self._root / folder / name
        try:
            path.with_name(f"{name}.sha256").write_text(f"{sha256}  {name}\n")
            path.with_name(f"{name}{PART}").replace(path)
            sync_folder(path.parent)
        except OSError as wrong:
            raise _refused(path, wrong) from wrong

    def discard(self, folder: str, name: str) -> None:
        path = self._root / folder / f"{name}{PART}"
        try:
            path.unlink(missing_ok=True)
        except OSError as wrong:
            raise _refused(path, wrong) from wrong


def _refused(path: Path, wrong: OSError) -> RepositoryRefused:
    return RepositoryRefused(f"the backup repository cannot be used: {path}: {wrong.strerror or wrong}")


# ---- a host ----


class _Input:
    def __init__(self, wire: Conversation, where: str) -> None:
        self._wire, self._where = wire, where

    def write(self, data: bytes) -> None:
        if not self._wire.send(data, seconds=QUIET):
            raise RepositoryRefused(f"the backup repository {self._where} takes no more: {self._end()}")

    def finish(self) -> None:
        self._wire.end_input()
        said = self._end()
        if said:
            raise RepositoryRefused(f"the backup repository {self._where} did not keep the file: {said}")

    def _end(self) -> str:
        """What the command on the other side says of its end; empty when all is well."""
        while (data := self._wire.receive(QUIET)) != b"":
            if data is None:
                return "it does not answer"
        status = self._wire.status(QUIET)
        return "" if status == 0 else self._wire.complaints.strip() or f"status {status}"


class RemoteHost:
    """A host whose SSH we reach: the bytes pass through us, so that server and repository need not know each other.

    The document copies with scp from the server; that would put the password of the repository on the server's
    terminal, and trust a host key that nobody has checked. `path` is relative to the home of the user.
    """

    def __init__(self, servers: Servers, host: str, login: str, path: str) -> None:
        self._servers, self._host, self._login = servers, host, login
        self._path = path.rstrip("/") or "/"

    def _of(self, folder: str, name: str = "") -> str:
        return f"{self._path}/{folder}/{name}".rstrip("/")

    def place(self, folder: str, name: str) -> str:
        return f"{self._login}:{self._of(folder, name)}"

    def access(self) -> str:
        return (
            f"the files lie on {self._host}, a folder per server: scp {self._login}:{self._path}/<server>/<file> . "
            "(the password is that of the site file's backup_repository); check them with `sha256sum -c *.sha256`"
        )

    def objection(self, size: int) -> str | None:
        try:
            self._servers.check(self._host, f"mkdir -p {shlex.quote(self._path)}")
            free = disk.ask_for(self._servers, self._host, self._path).free * 1024
        except CommandFailed as wrong:
            return f"the backup repository {self._host} cannot be used: {wrong}"
        if free < size + SPARE:
            return f"the backup repository {self._host}:{self._path} has {free} bytes free, {size + SPARE} are needed"
        return None

    @contextmanager
    def writing(self, folder: str, name: str) -> Iterator[Sink]:
        path = shlex.quote(self._of(folder, f"{name}{PART}"))
        command = f"mkdir -p {shlex.quote(self._of(folder))} && cat > {path} && sync"
        with self._servers.session(self._host, command) as wire:
            sink = _Input(wire, self._host)
            yield sink
            sink.finish()

    def look(self, folder: str, name: str) -> tuple[int, str] | None:
        path = self._of(folder, name)
        quoted = shlex.quote(path)
        command = f"if test -f {quoted}; then stat -c %s {quoted} && sha256sum {quoted}; else echo absent; fi"
        reply = self._servers.check(self._host, command, timeout=probe.READING)
        if reply == "absent\n":
            return None
        size, _, line = reply.partition("\n")
        if not size.isdigit():
            raise UnreadableReply(f"{self._host}: stat", "not a size", reply)
        return int(size), probe.parse_hash(line, path)

    def settle(self, folder: str, name: str, sha256: str) -> None:
        path = self._of(folder, name)
        line = shlex.quote(f"{sha256}  {name}")
        command = f"printf '%s\\n' {line} > {shlex.quote(path + '.sha256')} && mv -f {shlex.quote(path + PART)} {shlex.quote(path)}"
        self._servers.check(self._host, command)

    def discard(self, folder: str, name: str) -> None:
        self._servers.check(self._host, f"rm -f {shlex.quote(self._of(folder, name) + PART)}")
