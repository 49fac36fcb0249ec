"""The far side of a transfer: what is asked of a server's files, through its shell or, without one, over SFTP."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from posixpath import dirname
from typing import Protocol

from mopflow.errors import CommandFailed
from mopflow.probes import disk, folder, images, named
from mopflow.sftp import SftpFiles
from mopflow.ssh import Servers

HASHING = images.HASHING
MOVING = 60.0  # seconds

_WORD = "mopflow-shell-answers"


class Far(Protocol):
    """Files of one server. Hashes are MD5, sizes bytes."""

    def size(self, path: str) -> int | None:
        """None when there is no such file; raises when it is not a plain one."""
        ...

    def room(self, path: str) -> int:
        """Bytes that may still be written into a folder."""
        ...

    def digest(self, path: str, size: int | None = None) -> str:
        """Hash of the first `size` bytes as they lie there; None: of the whole file."""
        ...

    def append(self, path: str, blocks: Iterable[bytes], at: int) -> None:
        """Write `blocks` behind the first `at` bytes, which are all there is; 0 makes a new file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Never over a file that is there."""
        ...

    def remove(self, path: str) -> None: ...


class ShellFar:
    """Through the login shell; the bytes through `cat` on a raw channel, which is the fastest way there is."""

    def __init__(self, servers: Servers, server: str, quiet: float) -> None:
        self._servers = servers
        self._server = server
        self._quiet = quiet

    def size(self, path: str) -> int | None:
        return folder.plain_size(folder.ask(self._servers, self._server, dirname(path)), path)

    def room(self, path: str) -> int:
        return disk.ask_for(self._servers, self._server, path).free * 1024

    def digest(self, path: str, size: int | None = None) -> str:
        if size is None:
            return images.ask_hash(self._servers, self._server, path)
        command = f"LC_ALL=C head -c {size} {shlex.quote(path)} | LC_ALL=C md5sum"
        reply = self._servers.check(self._server, command, timeout=HASHING)
        return named(self._server, lambda: images.parse_hash(reply, "-"))

    def append(self, path: str, blocks: Iterable[bytes], at: int) -> None:
        """A new file is one that did not exist before: whoever still writes the old one writes into nothing."""
        name = shlex.quote(path)
        if at:  # somebody else may have come between: then nothing is appended
            command = f'test "$(stat -c %s {name})" = {at} && LC_ALL=C cat >> {name}'
        else:
            command = f"rm -f {name} && LC_ALL=C cat > {name}"
        reply = self._servers.feed(self._server, command, blocks, quiet=self._quiet)
        if reply.status != 0:
            raise CommandFailed(self._server, command, reply.status, reply.stderr or reply.stdout)

    def rename(self, old: str, new: str) -> None:
        old, new = shlex.quote(old), shlex.quote(new)
        self._servers.check(self._server, f"test ! -e {new} && mv -f {old} {new}", timeout=MOVING)

    def remove(self, path: str) -> None:
        self._servers.check(self._server, f"rm -f {shlex.quote(path)}", timeout=MOVING)


class SftpFar:
    """For an account that may only SFTP. Hashes cost a reading of the whole file over the network."""

    def __init__(self, files: SftpFiles) -> None:
        self._files = files

    def size(self, path: str) -> int | None:
        return self._files.size(path)

    def room(self, path: str) -> int:
        return self._files.room(path)

    def digest(self, path: str, size: int | None = None) -> str:
        return self._files.digest(path, self._files.size(path) or 0 if size is None else size, "md5")

    def append(self, path: str, blocks: Iterable[bytes], at: int) -> None:
        if not at:
            self._files.remove(path)
        self._files.append(path, blocks, at)

    def rename(self, old: str, new: str) -> None:
        self._files.rename(old, new)

    def remove(self, path: str) -> None:
        self._files.remove(path)


def has_shell(servers: Servers, server: str) -> bool:
    """Does the account run commands? A restricted one runs something else, or says why not, whatever is asked."""
    reply = servers.run(server, f"echo {_WORD}")
    return reply.status == 0 and reply.stdout.strip() == _WORD


@contextmanager
def far_side(servers: Servers, server: str, quiet: float) -> Iterator[Far]:
    """The server's files by the way that its account allows."""
    if has_shell(servers, server):
        yield ShellFar(servers, server, quiet)
    else:
        with servers.sftp(server, quiet=quiet) as files:
            yield SftpFar(files)
