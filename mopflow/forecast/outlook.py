"""What a forecast says, as values. Times are UTC and aware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mopflow.forecast.night import Way
from mopflow.site import Window


class Colour(StrEnum):
    GREEN = "green"  # everything planned fits, and can be backed out
    AMBER = "amber"  # it is close, or not all of it fits
    RED = "red"  # what was begun is not likely to end in the window, or cannot be backed out any more

    @property
    def rank(self) -> int:
        return (Colour.GREEN, Colour.AMBER, Colour.RED).index(self)


class Standing(StrEnum):
    """What the forecast says of one cluster."""

    DONE = "done"
    AT_WORK = "at work"
    PLANNED = "planned"
    LATER = "later"  # it does not fit into this window, or is not meant for it
    HELD = "held"  # it waits for a person; nothing is known of its end


@dataclass(frozen=True, slots=True)
class Likely:
    """Half of the simulated nights come before ``p50``, nine of ten before ``p90``."""

    p50: datetime
    p90: datetime


@dataclass(frozen=True, slots=True)
class PhaseForecast:
    name: str
    clusters: tuple[str, ...]
    begins: Likely
    ends: Likely


@dataclass(frozen=True, slots=True)
class ClusterForecast:
    """``latest_start``: until then it can be begun so that it can be finished, and everything begun backed out, before
    the window ends; None: already begun, or no window. ``why``: where nothing can be said, or why it comes later."""

    cluster: str
    standing: Standing
    starts: Likely | None = None
    ends: Likely | None = None
    latest_start: datetime | None = None
    overridden_by: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What one window is likely to take."""

    window: Window | None  # None: counted from now
    is_open: bool
    phases: tuple[PhaseForecast, ...]
    clusters: tuple[str, ...]

    @property
    def ends(self) -> Likely | None:
        return self.phases[-1].ends if self.phases else None


@dataclass(frozen=True, slots=True)
class Backout:
    """The backout of everything begun. ``p50`` and ``p90``: how long it takes when it is decided on now.

    ``decide_before``: the last moment at which it still ends in the window, nine times out of ten; None: no window is
    open. ``too_late``: that moment has gone by.
    """

    clusters: tuple[str, ...]
    p50: timedelta
    p90: timedelta
    decide_before: datetime | None
    too_late: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """``plans``: the window that is open or comes next, then those after it with what is left for them."""

    site: str
    now: datetime
    way: Way
    colour: Colour
    why: tuple[str, ...]  # of the colour
    plans: tuple[WindowPlan, ...]
    clusters: tuple[ClusterForecast, ...]
    backout: Backout | None
    notes: tuple[str, ...]  # on windows, and on what the forecast takes for granted
    mixed: tuple[str, ...]  # the system is of mixed version: what must not be done meanwhile (2.3.2)
    basis: tuple[str, ...]  # what the durations rest on
    taken: datetime | None = None  # of the picture of the system

    @property
    def plan(self) -> WindowPlan:
        """Of the window that is open, else of the next one."""
        return self.plans[0]

    def cluster(self, name: str) -> ClusterForecast:
        """Raises KeyError for a cluster that the site does not have."""
        for row in self.clusters:
            if row.cluster == name:
                return row
        raise KeyError(name)
