"""The plan of the windows (4.4, Table 4): which work in which window, by whom, how long, in batches of at most four. Pure.

Minutes are the document's: those of the rows, and those that Table 4 gives for the whole. Nothing here knows how the
night will go; that is the forecast's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from mopflow.backout_plan import PLACES, side_by_side
from mopflow.plan import PlannedStep
from mopflow.plan import plan as make_plan
from mopflow.site import CMP_WORK, Cluster, Contact, Site, Window

TABLE_4_CMP = 180.0  # minutes that Table 4 gives for both CMP clusters
TABLE_4_BATCH = 120.0  # ... and for at most four MPE and MRA clusters side by side


class Fit(StrEnum):
    """Does the work fit into its window? 4.4: a backout takes as long as the upgrade, or less."""

    WITH_BACKOUT = "fits, and so does its backout"
    ALONE = "fits, but not with its backout"
    NOT = "does not fit"
    NO_WINDOW = "has no window"


@dataclass(frozen=True, slots=True)
class Job:
    """What one command does in a window. ``work``: cmp, or the segment's name; ``why``: how it came to its window."""

    work: str
    title: str
    command: str
    clusters: tuple[Cluster, ...]
    batches: tuple[tuple[Cluster, ...], ...]  # side by side; the CMP clusters come one after the other
    minutes: float  # of its rows, four clusters at one time
    table_4: float  # minutes that Table 4 gives for it
    window: Window | None = None
    why: str = ""
    fit: Fit = Fit.NO_WINDOW

    @property
    def longest(self) -> float:
        """Minutes to plan with."""
        return max(self.minutes, self.table_4)

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cluster.site for cluster in self.clusters if cluster.site))


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """One window with its work. ``prepare_at``: when its preparation is scheduled (4.5)."""

    window: Window
    jobs: tuple[Job, ...]
    engineers: tuple[Contact, ...]
    prepare_at: datetime

    @property
    def minutes(self) -> float:
        """Of the window itself."""
        return _minutes(self.window)

    @property
    def planned(self) -> float:
        """Minutes of its work."""
        return sum(job.longest for job in self.jobs)


@dataclass(frozen=True, slots=True)
class Planning:
    """The windows in the order of time, the work in the order of the document (R1), and what is wrong with it."""

    rows: tuple[PlannedStep, ...]
    jobs: tuple[Job, ...]
    windows: tuple[WindowPlan, ...]
    warnings: tuple[str, ...]


def planning(site: Site) -> Planning:
    """Raises what `mopflow.plan.plan` raises."""
    rows = tuple(make_plan(site))
    windows = sorted(site.windows, key=lambda window: window.start)
    planned = dict.fromkeys(windows, 0.0)
    jobs: list[Job] = []
    for job in _jobs(site, rows):
        window, why = _window_for(job, windows, planned, _latest(jobs))
        if window is not None:
            planned[window] += job.longest
            job = replace(job, window=window, why=why, fit=_fit(planned[window], _minutes(window)))
        jobs.append(job)
    people = {contact.name: contact for contact in site.contacts}
    before = timedelta(seconds=site.pace.prepare_before)
    plans = tuple(
        WindowPlan(
            window,
            tuple(job for job in jobs if job.window == window),
            tuple(people[name] for name in window.engineers),
            window.start - before,
        )
        for window in windows
    )
    return Planning(rows, tuple(jobs), plans, tuple(_warnings(jobs, plans)))


def _jobs(site: Site, rows: Sequence[PlannedStep]) -> Iterator[Job]:
    cmps = site.cmp_clusters
    yield Job(
        work=CMP_WORK,
        title="Upgrade the CMP clusters, the primary first",
        command="upgrade-cmp",
        clusters=cmps,
        batches=tuple((cluster,) for cluster in cmps),
        minutes=sum(row.minutes for row in rows if row.command == "upgrade-cmp"),
        table_4=TABLE_4_CMP,
    )
    for segment in site.segments:
        command = f"upgrade-segment {segment.name}"
        clusters = segment.clusters
        batches = tuple(clusters[i : i + PLACES] for i in range(0, len(clusters), PLACES))
        yield Job(
            work=segment.name,
            title=f"Upgrade the MPE and MRA clusters of {segment.name}",
            command=command,
            clusters=clusters,
            batches=batches,
            minutes=_segment_minutes([row for row in rows if row.command == command]),
            table_4=TABLE_4_BATCH * len(batches),
        )


def _segment_minutes(rows: Sequence[PlannedStep]) -> float:
    by_cluster: dict[str, float] = {}
    alone = 0.0
    for row in rows:
        if row.cluster is None:
            alone += row.minutes
        else:
            by_cluster[row.cluster] = by_cluster.get(row.cluster, 0.0) + row.minutes
    return alone + side_by_side(list(by_cluster.values()))


def _minutes(window: Window) -> float:
    return (window.end - window.start).total_seconds() / 60


def _window_for(
    job: Job, windows: Sequence[Window], planned: Mapping[Window, float], after: datetime | None
) -> tuple[Window | None, str]:
    """The window that names the work; else one that is called like it; else the first in which it fits.

    ``after``: the start of the latest window so far, which a window that nobody named may not precede (R1).
    """
    for window in windows:
        if job.work in window.work:
            return window, "as the site file says"
    free = [window for window in windows if not window.work]
    for window in free:
        if window.name.casefold() == job.work.casefold():
            return window, "by its name"
    for window in free:
        left = _minutes(window) - planned[window]
        if (after is None or window.start >= after) and left >= job.longest:
            return window, "the first in which it fits"
    return None, ""


def _latest(jobs: Sequence[Job]) -> datetime | None:
    return max((job.window.start for job in jobs if job.window is not None), default=None)


def _fit(planned: float, window: float) -> Fit:
    """``planned``: everything that is planned in the window up to here."""
    if 2 * planned <= window:
        return Fit.WITH_BACKOUT
    return Fit.ALONE if planned <= window else Fit.NOT


def _warnings(jobs: Sequence[Job], plans: Sequence[WindowPlan]) -> Iterator[str]:
    if not plans:
        yield "the site file has no windows: enter them, each with its work and its engineers"
        return
    for job in jobs:
        if job.window is None:
            yield f"{job.work}: {job.fit}; enter one under windows, with work: [{job.work}]"
        elif job.fit is not Fit.WITH_BACKOUT:
            alone = " (R1: the primary CMP is not started unless both, and their backout, fit)"
            yield f"{job.work} in {job.window.name}: {job.fit}{alone if job.work == CMP_WORK else ''}"
    placed = [job for job in jobs if job.window is not None]
    for before, after in pairwise(placed):
        assert before.window is not None
        assert after.window is not None
        if after.window.start < before.window.start:
            yield f"{after.work} is planned before {before.work}, which comes first (R1)"
    for one in plans:
        if one.jobs and not one.engineers:
            yield f"window {one.window.name}: nobody is named; enter engineers (names of contacts)"
