"""When is what due before a maintenance window?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mopflow.site import Site, Window


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run of the preparation for one window. ``key`` names it as long as the window keeps its name."""

    key: str
    window: Window
    at: datetime  # UTC

    def is_past(self, now: datetime) -> bool:
        return self.at <= now


def preparation_runs(site: Site, now: datetime) -> list[DueRun]:
    """One for each window that has not begun yet (4.5: 24 to 36 hours before it), in the order of time."""
    before = timedelta(seconds=site.pace.prepare_before)
    runs = [
        DueRun(f"{prefix(site)}{_slug(window.name)}", window, (window.start - before).astimezone(UTC))
        for window in site.windows
        if window.start > now
    ]
    return sorted(runs, key=lambda run: run.at)


def prefix(site: Site) -> str:
    """How the keys of this site's runs begin; no other site's do."""
    return f"{_slug(site.name)}--"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "window"
