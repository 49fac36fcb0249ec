"""The flight record: one JSON object per line, written by the twin alone and flushed at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

Event = Mapping[str, Any]


class FlightRecord:
    """Writes events {t, event, ...}; `t` is in twin seconds since start and never goes back.

    `path` None keeps the events in memory only (tests). Listeners get every event after it was written.
    """

    def __init__(self, now: Callable[[], float], path: Path | None = None) -> None:
        self._now = now
        self._file: TextIO | None = path.open("x", encoding="utf-8") if path else None
        self._last = 0.0
        self.events: list[Event] = []
        self.listeners: list[Callable[[Event], None]] = []

    def write(self, event: str, **fields: Any) -> None:
        self._last = max(self._last, round(self._now(), 3))
        line: dict[str, Any] = {"t": self._last, "event": event, **fields}
        if self._file is None:
            self.events.append(line)
        else:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        for listener in self.listeners:
            listener(line)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def write_json_atomically(path: Path, content: Mapping[str, Any]) -> None:
    """A reader sees the whole file or none."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
