"""The folder of a record on the disk: pages that are whole or not there, and the chain that only grows.

The folder is that of the campaign in the evidence store: what it holds is the record, and may be handed over as it is.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mopflow.evidence import sync_folder
from mopflow.ledger.models import plain_json
from mopflow.record import chain
from mopflow.record.chain import Covered, Link

RECORD_HTML, RECORD_JSON = "record.html", "record.json"
CONTINUE_HTML, CONTINUE_TXT = "continue.html", "continue.txt"
READINGS, COMMANDS = "readings", "commands"  # folders of files that grow, one file per run
_PART = ".part"


@contextmanager
def put_together(folder: Path, pages: Mapping[str, bytes]) -> Iterator[None]:
    """Put pages into the folder: first beside their places, whole; after the block each in one move.

    Raises OSError where the disk does not take them, before the block; then, and when the block raises, the old pages
    stand and nothing else is there.
    """
    parts = {folder / f".{name}{_PART}": folder / name for name in pages}
    try:
        for part, path in parts.items():
            with part.open("wb") as file:
                file.write(pages[path.name])
                file.flush()
                os.fsync(file.fileno())
        yield
        for part, path in parts.items():
            part.replace(path)
        sync_folder(folder)
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)
        raise


def is_part(path: Path) -> bool:
    """What a process left that was killed in the middle of a page."""
    return path.name.startswith(".") and path.name.endswith(_PART)


class ChainFile:
    """The chain of one folder. Several processes may append: one at a time, each behind what the others wrote."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / chain.FILE
        self.covered = Covered()
        self._size = 0  # bytes that were read already
        self._torn = b""  # what a killed process left of a line

    @contextmanager
    def locked(self) -> Iterator[Covered]:
        """Inside nobody else appends, and what is given is up to date. Raises OSError."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._catch_up(handle)
            yield self.covered
        finally:
            os.close(handle)

    def append(self, content: Mapping[str, Any]) -> Link:
        """Add one entry and bring it to the disk; only inside of `locked`. Raises OSError; then nothing was added."""
        at = datetime.now(UTC).isoformat()
        if self._torn:
            content = {**content, "torn": self._torn.decode("utf-8", "backslashreplace")}
        link, line = chain.seal(self.covered.links, at, self.covered.head, plain_json(content))
        handle = os.open(self.path, os.O_WRONLY)
        try:
            os.lseek(handle, self._size, os.SEEK_SET)
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        except OSError:
            with suppress(OSError):  # what is left of the line is cut off by whoever appends next
                os.ftruncate(handle, self._size)
            raise
        finally:
            os.close(handle)
        self._size += len(line)
        self._torn = b""
        self.covered.take(link)
        return link

    def _catch_up(self, handle: int) -> None:
        size = os.fstat(handle).st_size
        if (
            size < self._size
        ):  # somebody took lines away: the chain goes on behind what is left, and verify says so
            self.covered, self._size = Covered(), 0
        data = os.pread(handle, size - self._size, self._size) if size > self._size else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            # a process was killed while it wrote: the line never became part of the chain; the next one keeps it
            self._torn = data[whole:]
            os.ftruncate(handle, self._size + whole)
        for line in data[:whole].split(b"\n")[:-1]:
            link = chain.parse(line)
            if link is not None:
                self.covered.take(link)
            else:
                self.covered.links += 1
        self._size += whole


@contextmanager
def undisturbed(folder: Path) -> Iterator[bytes]:
    """The chain as it lies there; inside nobody appends. Raises OSError."""
    with (folder / chain.FILE).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file.read()
