"""Bring one local file to a server, so that under its final name it is whole or not there at all.

It goes to `NAME.part`, is hashed in the sending pass, checked on the server against the MD5 that the site file gives,
and only then renamed. A transfer that broke off goes on behind what is there, if that is the beginning of our file.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from posixpath import dirname

from mopflow.bandwidth import Bucket
from mopflow.errors import ActRefused, CommandFailed, MayHaveRun, MopflowError, TransferStopped, Unreachable
from mopflow.far import Far, far_side
from mopflow.progress import Meter, Tell, tell_nobody
from mopflow.ssh import QUIET, Servers

BLOCK = 1 << 20  # bytes that are read, hashed and paid for at once
RESERVE = 64 << 20  # bytes that stay free on the server's disk beside the file
PART = ".part"
BREAKS = 4  # connections in a row that ended without anything having arrived
AGAIN = (1.0, 2.0, 5.0, 10.0)  # seconds before the connection is made again
DAMAGED = 2  # so often a file may arrive with another hash: the first time it is sent anew

_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to lie where: `path` on the server, `md5` of the medium, `size` in bytes."""

    local: Path
    path: str
    size: int
    md5: str

    @property
    def part(self) -> str:
        return self.path + PART

    @property
    def folder(self) -> str:
        return dirname(self.path)


@dataclass(slots=True)
class Sent:
    """How a transfer went. `resumed`: bytes that were there already when it began; `sent`: bytes that we sent."""

    found: bool = False  # the file was there, whole: nothing was sent
    resumed: int = 0
    sent: int = 0
    breaks: int = 0
    restarts: int = 0  # what lay there, or what arrived, was not the beginning of our file
    seconds: float = 0.0


class _Hash:
    """MD5 of what is sent, calculated beside the sending: hashing and encrypting use a core each."""

    def __init__(self, begun: hashlib._Hash) -> None:
        self._found = begun
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="transfer hash")
        self._waiting: deque[Future[None]] = deque()

    def update(self, block: bytes) -> None:
        self._waiting.append(self._pool.submit(self._found.update, block))
        if len(self._waiting) > 4:  # a few blocks of memory, not the whole file
            self._waiting.popleft().result()

    def hexdigest(self) -> str:
        while self._waiting:
            self._waiting.popleft().result()
        return self._found.hexdigest()

    def close(self) -> None:
        self._pool.shutdown()


def send(
    servers: Servers,
    server: str,
    parcel: Parcel,
    *,
    bucket: Bucket | None = None,
    tell: Tell = tell_nobody,
    reserve: int = RESERVE,
    quiet: float = QUIET,
    again: tuple[float, ...] = AGAIN,
    pause: Callable[[float], None] = time.sleep,
) -> Sent:
    """Bring the parcel to the server. Safe to repeat, also after a kill: it goes on where it was.

    `reserve`: bytes that must stay free beside the file; `quiet`: seconds without a byte after which a connection is
    lost and made again. Raises TransferStopped when a person has to look (rules disk, transfer, media), and what a
    login raises. Unreachable is tried again a few times first.
    """
    sending = Sending(
        lambda: far_side(servers, server, quiet),
        server,
        parcel,
        bucket=bucket or Bucket(None),
        tell=tell,
        reserve=reserve,
        again=again,
        pause=pause,
    )
    return sending.run()


class Sending:
    """One transfer over as many connections as it takes; `connect` gives the far side for one of them."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Far]],
        server: str,
        parcel: Parcel,
        *,
        bucket: Bucket,
        tell: Tell,
        reserve: int,
        again: tuple[float, ...],
        pause: Callable[[float], None],
    ) -> None:
        self.connect = connect
        self.server = server
        self.parcel = parcel
        self.bucket = bucket
        self.meter = Meter(parcel.size, tell)
        self.reserve = reserve
        self.again = again
        self.pause = pause
        self.sent = Sent()
        self.arrived = -1  # bytes that were proven to be there when we last looked
        self.damaged = 0
        self.first = True

    def run(self) -> Sent:
        begun, fruitless = time.monotonic(), 0
        while True:
            before = self.arrived
            try:
                with self.connect() as far:
                    done = self._once(far)
            except (Unreachable, MayHaveRun) as lost:
                self.sent.breaks += 1
                fruitless = 0 if self.arrived > before else fruitless + 1
                if fruitless >= BREAKS:
                    raise self._stopped(
                        "transfer", f"broken off {self.sent.breaks} times, the last time: {lost}"
                    ) from lost
                self.pause(self.again[min(fruitless, len(self.again) - 1)])
                continue
            if done:
                self.sent.seconds = time.monotonic() - begun
                return self.sent

    def _once(self, far: Far) -> bool:
        """One connection's worth. False: what arrived is not our file; it was removed and is sent anew."""
        parcel = self.parcel
        if self._is_there(far):
            return True
        found, have = self._beginning(far)
        if self.first:
            self.first, self.sent.resumed = False, have
        try:
            if have < parcel.size:
                self._make_sure_of_room(far, have)
                self._append(far, found, have)
            if found.hexdigest() != parcel.md5:
                far.remove(parcel.part)
                raise self._stopped("media", f"{parcel.local} has another MD5 than the site file says")
        finally:
            found.close()
        if far.size(parcel.part) != parcel.size or far.digest(parcel.part) != parcel.md5:
            far.remove(parcel.part)
            self.arrived = 0
            self.sent.restarts += 1
            self.damaged += 1
            if self.damaged >= DAMAGED:
                raise self._stopped(
                    "transfer", "what arrives has another MD5 than what was sent; it was removed"
                )
            return False
        self._rename(far)
        return True

    def _is_there(self, far: Far) -> bool:
        """Does the file lie there under its name? Also the end of a transfer whose last answer was lost."""
        parcel = self.parcel
        size = far.size(parcel.path)
        if size is None:
            return False
        if size != parcel.size or far.digest(parcel.path) != parcel.md5:
            raise self._stopped("transfer", f"another file of the name {parcel.path} lies there")
        self.sent.found = self.sent.sent == 0
        return True

    def _beginning(self, far: Far) -> tuple[_Hash, int]:
        """How much of our file is there, proven by its hash, and the hash up to there."""
        parcel = self.parcel
        have = far.size(parcel.part) or 0
        if 0 < have <= parcel.size:
            with ThreadPoolExecutor(1) as pool:
                theirs = pool.submit(far.digest, parcel.part, have)
                ours = self._of_prefix(have)
                if theirs.result() == ours.hexdigest():
                    self.arrived = have
                    return _Hash(ours), have
        if have:
            far.remove(parcel.part)
            self.sent.restarts += 1
        return _Hash(hashlib.md5(usedforsecurity=False)), 0

    def _of_prefix(self, size: int) -> hashlib._Hash:
        found = hashlib.md5(usedforsecurity=False)
        with self._open() as file:
            while size > 0 and (block := file.read(min(BLOCK, size))):
                found.update(block)
                size -= len(block)
        return found

    def _open(self) -> FileIO:
        try:
            return FileIO(self.parcel.local, "rb")  # no second buffer: whole blocks are read
        except OSError as wrong:
            raise self._stopped("media", f"{self.parcel.local} cannot be read: {wrong.strerror}") from wrong

    def _make_sure_of_room(self, far: Far, have: int) -> None:
        free, needed = far.room(self.parcel.folder), self.parcel.size - have + self.reserve
        if free < needed:
            raise self._stopped(
                "disk",
                f"{self.parcel.folder} has {free} bytes free, {needed} are needed "
                f"({self.parcel.size - have} to send and {self.reserve} to stay free)",
            )

    def _append(self, far: Far, found: _Hash, have: int) -> None:
        self.meter.begin(have)
        try:
            far.append(self.parcel.part, self._blocks(found, have), have)
        except TransferStopped:
            raise
        except (CommandFailed, ActRefused) as refused:
            raise self._no_more(far, refused) from refused

    def _blocks(self, found: _Hash, have: int) -> Iterator[bytes]:
        size, rate = BLOCK, self.bucket.rate
        if rate is not None:
            size = max(4096, min(BLOCK, int(rate / 8)))  # several pieces a second, also under a low cap
        with self._open() as file:
            file.seek(have)
            left = self.parcel.size - have
            while left > 0:
                block = file.read(min(size, left))
                if not block:
                    raise self._stopped("media", f"{self.parcel.local} has become shorter while it was sent")
                found.update(block)
                self.bucket.take(len(block))
                yield block
                left -= len(block)
                self.sent.sent += len(block)
                self.meter.moved(len(block))

    def _no_more(self, far: Far, refused: MopflowError) -> TransferStopped:
        """The server took no more. A full disk is not left full by our part."""
        free = far.room(self.parcel.folder)
        full = free < self.reserve or _FULL.search(str(refused)) is not None
        if not full:
            return self._stopped("transfer", f"the server took no more: {refused}")
        size = far.size(self.parcel.part)
        if size is None:
            return self._stopped("disk", f"the disk became full: {refused}")
        if free >= self.reserve:
            return self._stopped(
                "disk",
                f"the disk became full at {size} bytes; meanwhile {free} are free again, {self.parcel.part} stays",
            )
        far.remove(self.parcel.part)
        return self._stopped(
            "disk",
            f"the disk became full when {size} of {self.parcel.size} bytes were there; {self.parcel.part} was "
            "removed, for it would have kept the disk full",
        )

    def _rename(self, far: Far) -> None:
        try:
            far.rename(self.parcel.part, self.parcel.path)
        except (CommandFailed, ActRefused) as refused:
            raise self._stopped("transfer", f"it could not get its name: {refused}") from refused

    def _stopped(self, rule: str, why: str) -> TransferStopped:
        return TransferStopped(rule, f"{self.server}: {self.parcel.path}: {why}")
