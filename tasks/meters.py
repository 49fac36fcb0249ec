"""Progress of long acts as Prefect's progress artifacts, one for each, kept current."""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

EVERY = 2.0  # seconds between two updates of one artifact; a person does not read faster
DONE = 100.0

log = logging.getLogger("mopflow.meters")


@dataclass(slots=True)
class _Shown:
    artifact: UUID | None = None
    at: float = float("-inf")
    percent: float = -1.0


class Meters:
    """Shows (what, percent, words). Thread-safe; a server that is away costs the picture, never the work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, _Shown] = {}

    def __call__(self, what: str, percent: float, words: str) -> None:
        with self._lock:
            shown = self._shown.setdefault(what, _Shown())
            now = time.monotonic()
            over = percent >= DONE and shown.percent < DONE
            if not over and now - shown.at < EVERY:
                return
            shown.at, shown.percent = now, percent
        try:
            self._put(shown, what, min(max(percent, 0.0), DONE), words)
        except (PrefectException, httpx.HTTPError, OSError) as away:
            log.warning("the progress of %s is not shown: %s", what, type(away).__name__)

    @staticmethod
    def _put(shown: _Shown, what: str, percent: float, words: str) -> None:
        text = f"{what}: {words}"
        if shown.artifact is None:
            key = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")
            made = create_progress_artifact(percent, key=key, description=text)
            shown.artifact = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(shown.artifact, percent, description=text)
