"""Files on a server whose account has no shell: what `transfer` needs, over SFTP. Opens nothing itself."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import paramiko
from paramiko.sftp import CMD_EXTENDED, CMD_EXTENDED_REPLY

from mopflow.errors import ActRefused, MayHaveRun, UnreadableReply
from mopflow.feed import LOST, LostError, Watch

BLOCK = 32 * 1024  # what every server takes in one write
REQUESTS = 64  # reads that are asked for before the first is answered


class SftpFiles:
    """One SFTP session. Every method raises ActRefused when the server refuses, MayHaveRun when it is lost."""

    def __init__(self, client: paramiko.SFTPClient, server: str, watch: Watch) -> None:
        self._client = client
        self._server = server
        self._watch = watch
        self._watch.rest()

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Errors of the library as ours: a status of the server is a refusal, everything else a lost session."""
        self._watch.moved()
        try:
            yield
        except LostError as lost:
            raise MayHaveRun(f"{self._server}: {what}: {lost}") from None
        except FileNotFoundError:
            raise
        except LOST as wrong:
            if self._watch.tripped or not self._alive():
                raise MayHaveRun(f"{self._server}: {what}: {self._watch.lost(_why(wrong))}") from None
            raise ActRefused(f"{self._server}: {what}: {_why(wrong)}") from None
        finally:
            self._watch.rest()

    def _alive(self) -> bool:
        channel = self._client.get_channel()
        return channel is not None and not channel.closed and channel.get_transport().is_active()

    def size(self, path: str) -> int | None:
        """Bytes of a plain file, None when there is none. Raises ActRefused when it is something else."""
        try:
            with self._asking(f"looking at {path}"):
                found = self._client.lstat(path)
        except FileNotFoundError:
            return None
        if found.st_mode is None or found.st_size is None or not stat.S_ISREG(found.st_mode):
            raise ActRefused(f"{self._server}: {path} is not a plain file")
        return found.st_size

    def room(self, folder: str) -> int:
        """Bytes that the account may still write there. Raises ActRefused when the server cannot say."""
        with self._asking(f"asking for the room in {folder}"):
            kind, reply = self._client._request(CMD_EXTENDED, "statvfs@openssh.com", folder)  # type: ignore[attr-defined]
        if kind != CMD_EXTENDED_REPLY:
            raise UnreadableReply(f"{self._server}: statvfs", f"answer of type {kind}", "")
        values = [reply.get_int64() for _ in range(11)]
        return int(values[1] * values[4])  # f_frsize, f_bavail

    def digest(self, path: str, size: int, algorithm: str) -> str:
        """Hash of the first `size` bytes, read back: without a shell nobody over there can calculate it."""
        found = hashlib.new(algorithm, usedforsecurity=False)
        with self._asking(f"reading {path}"):
            with self._client.open(path, "rb") as file:
                file.prefetch(size, REQUESTS)
                left = size
                while left > 0:
                    data = file.read(min(BLOCK, left))
                    if not data:
                        break
                    found.update(data)
                    left -= len(data)
                    self._watch.moved()
        return found.hexdigest()

    def append(self, path: str, blocks: Iterable[bytes], at: int) -> None:
        """Write `blocks` from byte `at` on; what was there behind it is cut off first."""
        with self._asking(f"opening {path}"):
            if at:
                self._client.truncate(path, at)
            file = self._client.open(path, "r+b" if at else "wb")
            file.set_pipelined(True)
            file.seek(at)
        try:
            for block in blocks:
                with self._asking(f"writing {path}"):
                    for begin in range(0, len(block), BLOCK):
                        file.write(block[begin : begin + BLOCK])
                        self._watch.moved()
        finally:
            with self._asking(f"closing {path}"):
                file.close()

    def rename(self, old: str, new: str) -> None:
        """Raises ActRefused when `new` exists: version 3 of the protocol wants it so."""
        with self._asking(f"renaming {old} to {new}"):
            self._client.rename(old, new)

    def remove(self, path: str) -> None:
        try:
            with self._asking(f"removing {path}"):
                self._client.remove(path)
        except FileNotFoundError:
            return


def _why(wrong: BaseException) -> str:
    if isinstance(wrong, OSError) and wrong.strerror:
        return wrong.strerror
    return str(wrong) or type(wrong).__name__
