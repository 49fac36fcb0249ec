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


def open_window(site: Site, now: datetime) -> Window | None:
    """The window that is open; of several the one that ends last."""
    found = [window for window in site.windows if window.start <= now < window.end]
    return max(found, key=lambda window: window.end, default=None)


def windows_ahead(site: Site, now: datetime) -> list[Window]:
    """Those that have not begun yet, in the order of time."""
    return sorted((w for w in site.windows if w.start > now), key=lambda window: window.start)


def end_before(site: Site, window: Window) -> datetime | None:
    """When the window before this one ended: what was begun since then was begun for this one. None: it is the first."""
    return max((w.end for w in site.windows if w.end <= window.start), default=None)


def meant_for(site: Site, window: Window) -> tuple[str, ...] | None:
    """Names of the clusters that a window is meant for by its name: that of a segment, or CMP. None: for all."""
    if window.name.casefold() == "cmp":
        return tuple(cluster.name for cluster in site.cmp_clusters)
    named = [segment for segment in site.segments if segment.name.casefold() == window.name.casefold()]
    return tuple(cluster.name for cluster in named[0].clusters) if named else None
