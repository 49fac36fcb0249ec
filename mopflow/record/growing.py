"""Files of a record that only grow, a JSON object a line: what was read, and what was said to servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mopflow.record.chain import canonical


class Growing:
    """One such file. May be written from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._size = 0

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append one line and hand it to the system. Raises OSError; then no part of it stays."""
        line = canonical(entry) + b"\n"
        with self._lock:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("ab", buffering=0)
                self._size = self._file.tell()
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError:
                self._file.truncate(self._size)
                raise
            self._size += len(line)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of such a file that can be read; a line that a killed process left half is not one of them."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data.split(b"\n")[:-1]:
        try:
            found = json.loads(line)
        except ValueError:
            continue  # verify names it; the rest is worth having
        if isinstance(found, dict):
            yield found
