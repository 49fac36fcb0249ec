"""When will it end, what may still be begun, and what comes in the next window? Pure; all of it from simulated nights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mopflow import mixed
from mopflow.forecast.durations import Beliefs
from mopflow.forecast.night import Night, Way, phases, taken
from mopflow.forecast.outlook import (
    Backout,
    ClusterForecast,
    Colour,
    Forecast,
    Likely,
    PhaseForecast,
    Standing,
    WindowPlan,
)
from mopflow.forecast.prices import FEW, P50, P90, RUNS, Prices, minute_of, start_of
from mopflow.forecast.schedule import Job, Phase, quantile
from mopflow.forecast.words import no_window
from mopflow.holds import STOPPING
from mopflow.rules import LIMIT
from mopflow.site import Window
from mopflow.system import Stage
from mopflow.windows import end_before, meant_for, open_window, windows_ahead

SOON = 30.0  # minutes of the document; a last moment that is nearer than this is near
TOO_LATE = (
    "past its latest start: it would not be finished, or not all could be backed out, before the window ends"
)


def make(
    night: Night,
    beliefs: Beliefs,
    overridden: Mapping[str, str] | None = None,
    basis: Sequence[str] = (),
    *,
    later: bool = True,
) -> Forecast:
    """The forecast of a night. ``overridden``: clusters that a person lets begin past their latest start, with the
    name; ``later``: say also what is left for the windows after this one."""
    window = open_window(night.site, night.now)
    is_open = window is not None
    ahead = windows_ahead(night.site, night.now)
    if window is None and ahead and not night.working:
        window = ahead.pop(0)
    allowed = dict(overridden or {})
    one = _Look(night, beliefs, window, is_open, allowed, RUNS)
    clusters = one.clusters()
    back = one.backout() if night.way is Way.FORWARD else None
    left = [row.cluster for row in clusters if row.standing is Standing.LATER]
    plans = [one.plan]
    if later and left and window is not None and night.way is Way.FORWARD:
        plans += _later(night, beliefs, ahead, left)
    colour, why = _colour(night, plans, clusters, back)
    return Forecast(
        night.site.name,
        night.now,
        night.way,
        colour,
        tuple(why),
        tuple(plans),
        tuple(clusters),
        back,
        tuple(_notes(night, window, is_open)),
        tuple(_mixed(night)),
        tuple(basis),
        night.taken,
    )


def begun_for(night: Night, window: Window | None) -> list[str]:
    """What a backout of everything begun goes over: what was begun for this window, and what stands between two
    releases. What an earlier window has finished was left in a harbour."""
    if window is not None:
        return night.begun(end_before(night.site, window))
    return night.begun(max((w.end for w in night.site.windows if w.end <= night.now), default=None))


class _Look:
    """One window: what is planned in it, and what must be held past its latest start."""

    def __init__(
        self,
        night: Night,
        beliefs: Beliefs,
        window: Window | None,
        is_open: bool,
        allowed: Mapping[str, str],
        runs: int,
    ) -> None:
        self._night = night
        self._window = window
        self._open = is_open
        self._allowed = allowed
        self._runs = runs
        self._prices = Prices(night, beliefs)
        self._start = night.now if is_open or window is None else window.start
        self._begun = begun_for(night, window)
        self._why: dict[str, str] = {}
        self._phases = self._meant()
        self._simulate()
        self._latest = self._latest_starts()
        self._hold_back()

    @property
    def plan(self) -> WindowPlan:
        made = tuple(
            PhaseForecast(
                phase.name,
                tuple(job.cluster for job in phase.jobs),
                self._likely([done.phases[i][0] for done in self._nights]),
                self._likely([done.phases[i][1] for done in self._nights]),
            )
            for i, phase in enumerate(self._phases)
        )
        names = tuple(job.cluster for phase in self._phases for job in phase.jobs)
        return WindowPlan(self._window, self._open, made, names)

    def clusters(self) -> list[ClusterForecast]:
        jobs = {job.cluster: job for phase in self._phases for job in phase.jobs}
        return [self._cluster(cluster.name, jobs.get(cluster.name)) for cluster in self._night.site.clusters]

    def backout(self) -> Backout | None:
        """The backout of everything begun, None: nothing is."""
        if not self._begun:
            return None
        room = None
        if self._window is not None and self._open:
            room = self._minutes(self._window.end)
        turn = self._prices.turn(self._begun, room)
        unit = timedelta(seconds=minute_of(self._night))
        until = None if turn.room is None else self._at(turn.room)
        too_late = turn.room is not None and turn.room < 0
        return Backout(tuple(self._begun), turn.p50 * unit, turn.p90 * unit, until, too_late)

    # time

    def _at(self, minutes: float) -> datetime:
        return self._start + timedelta(seconds=minutes * minute_of(self._night))

    def _minutes(self, at: datetime) -> float:
        return (at - self._start).total_seconds() / minute_of(self._night)

    def _likely(self, minutes: Sequence[float]) -> Likely:
        return Likely(self._at(quantile(minutes, P50)), self._at(quantile(minutes, P90)))

    # the plan

    def _simulate(self) -> None:
        """Phases end as it happens; which cluster of a phase fits is asked in the order of the site file."""
        self._nights = self._prices.nights(self._phases, self._runs)
        self._ordered = self._prices.nights(self._phases, self._runs, in_order=True)

    def _meant(self) -> list[Phase]:
        """The phases of this window; a window that bears the name of a segment, or CMP, is meant for that alone."""
        night, site = self._night, self._night.site
        meant = meant_for(site, self._window) if self._window is not None else None
        if meant is None or night.way is Way.BACK:
            return phases(night)
        scopes = {run.scope for run in night.runs}
        working = {c.name for s in site.segments if s.name in scopes for c in s.clusters}
        if any(run.flow == "upgrade-cmp" for run in night.runs):
            working |= {c.name for c in site.cmp_clusters}
        only = {*meant, *self._begun, *working}
        assert self._window is not None
        for cluster in site.clusters:
            if cluster.name not in only:
                self._why[cluster.name] = (
                    f"the window {self._window.name} is meant for other work, by its name"
                )
        return phases(night, only)

    def _latest_starts(self) -> dict[str, datetime]:
        """Of every cluster that is not begun, each as if those before it were begun too."""
        if self._window is None or self._night.way is Way.BACK:
            return {}
        jobs = [job for phase in self._phases for job in phase.jobs if job.cluster not in self._begun]
        order = [job.cluster for job in jobs]
        back = self._prices.of_backouts(self._begun, order)
        primary, secondary = self._night.site.cmp.primary.name, self._night.site.cmp.secondary
        found = {}
        for number, job in enumerate(jobs, 1):
            price = back[number]
            if job.cluster == primary and secondary is not None and secondary.name in order:
                price = back[order.index(secondary.name) + 1]  # R1: both, and their backout
            minutes = self._prices.to_finish(job.cluster) + price
            found[job.cluster] = self._window.end - timedelta(seconds=minutes * minute_of(self._night))
        return found

    def _hold_back(self) -> None:
        """Leave out what is likely to come past its latest start; simulate anew without it."""
        held = self._first_too_late()
        if not held:
            return
        cmps = {c.name for c in self._night.site.cmp_clusters}
        first = held[0]
        # behind a CMP that is not begun everything waits for it
        self._why |= {name: TOO_LATE for name in held if name == first or first not in cmps}
        kept = [
            replace(phase, jobs=tuple(job for job in phase.jobs if job.cluster not in held))
            for phase in self._phases
        ]
        self._phases = [phase for phase in kept if phase.jobs]
        self._simulate()

    def _first_too_late(self) -> list[str]:
        """The first cluster whose likely start is past its latest one, and all that come after it."""
        jobs = [job for phase in self._phases for job in phase.jobs]
        for number, job in enumerate(jobs):
            limit = self._latest.get(job.cluster)
            if limit is None or job.cluster in self._allowed:
                continue
            if self._at(quantile([start_of(done, job) for done in self._ordered], P50)) > limit:
                after = [other.cluster for other in jobs[number:]]
                return [name for name in after if name not in self._begun and name not in self._allowed]
        return []

    def _cluster(self, name: str, job: Job | None) -> ClusterForecast:
        night, latest, by = self._night, self._latest.get(name), self._allowed.get(name)
        stuck = night.stuck(name)
        if stuck is not None:
            return ClusterForecast(name, Standing.HELD, why=stuck)
        if job is not None:
            ends = self._likely([done.end_of(name) for done in self._ordered])
            if job.in_work:
                return ClusterForecast(name, Standing.AT_WORK, ends=ends)
            starts = self._likely([start_of(done, job) for done in self._ordered])
            return ClusterForecast(name, Standing.PLANNED, starts, ends, latest, by)
        if _is_done(night, name):
            return ClusterForecast(name, Standing.DONE)
        return ClusterForecast(
            name, Standing.LATER, None, None, latest, by, self._why.get(name) or self._waits_for(name)
        )

    def _waits_for(self, name: str) -> str:
        site = self._night.site
        before = [c.name for c in site.cmp_clusters if c.name != name and not _is_done(self._night, c.name)]
        if before:
            return f"{before[0]} comes first (R1)"
        if taken(self._night) >= LIMIT:
            return "clusters that wait for a person take every place (R2)"
        return "not in this window"


def _is_done(night: Night, name: str) -> bool:
    if night.way is Way.BACK:
        return night.stage(name) is Stage.FRESH or name not in night.backing_out
    return night.stage(name) is Stage.DONE


def _later(
    night: Night, beliefs: Beliefs, windows: Sequence[Window], left: Sequence[str]
) -> list[WindowPlan]:
    """What is left, window by window, as if each window before it had gone as planned."""
    plans = []
    rest = list(left)
    for window in windows:
        if not rest:
            break
        stages = {c.name: Stage.DONE for c in night.site.clusters if c.name not in rest}
        stages |= {name: night.stage(name) for name in rest}
        then = Night(night.site, window.start, night.shapes, stages)
        plan = _Look(then, beliefs, window, False, {}, FEW).plan
        plans.append(plan)
        rest = [name for name in rest if name not in plan.clusters]
    return plans


def _colour(
    night: Night,
    plans: Sequence[WindowPlan],
    clusters: Sequence[ClusterForecast],
    back: Backout | None,
) -> tuple[Colour, list[str]]:
    red, amber = [], []
    window = plans[0].window
    if window is not None:
        for row in clusters:
            if row.ends is not None and row.ends.p50 > window.end:
                red.append(f"{row.cluster} is likely to end after the window")
            elif row.ends is not None and row.ends.p90 > window.end:
                amber.append(f"{row.cluster} may end after the window")
            if row.latest_start is None or row.starts is None or row.overridden_by is not None:
                continue
            if row.starts.p90 > row.latest_start:
                amber.append(f"{row.cluster} may come past its latest start")
        planned = {name for plan in plans for name in plan.clusters}
        homeless = [r.cluster for r in clusters if r.standing is Standing.LATER and r.cluster not in planned]
        if homeless:
            amber.append(f"no window of the site file has room for {', '.join(homeless)}")
    if back is not None and back.too_late:
        red.append("not everything that was begun can be backed out before the window ends")
    elif back is not None and back.decide_before is not None and _is_near(night, back.decide_before):
        amber.append("the last moment to decide on a backout of everything is near")
    held = [row.cluster for row in clusters if row.standing is Standing.HELD]
    if held:
        amber.append(f"{', '.join(held)} wait{'s'[: len(held) == 1]} for a person")
    return (Colour.RED if red else Colour.AMBER if amber else Colour.GREEN), [*red, *amber]


def _is_near(night: Night, at: datetime) -> bool:
    return (at - night.now).total_seconds() < SOON * minute_of(night)


def _notes(night: Night, window: Window | None, is_open: bool) -> Iterator[str]:
    if not night.site.windows:
        yield "the site file has no windows: all is counted from now, and nothing is held back"
    elif not is_open:
        yield no_window(night.site, night.now)
        if window is None and night.working:
            yield "work goes on outside of a window: it is counted from now"
    stuck = [c.name for c in night.site.clusters if night.stuck(c.name) is not None]
    if stuck:
        yield f"nobody knows when a person answers, so these are left out: {', '.join(stuck)}"
        rules = {hold.rule for name in stuck for hold in (night.held(name),) if hold is not None}
        if rules & STOPPING:
            yield "nothing new is begun before that answer (R8); the rest is counted as if it came now"


def _mixed(night: Night) -> Iterator[str]:
    """2.3.2, where some clusters run the target release and others do not."""
    site = night.site
    new = [c.name for c in site.clusters if night.stage(c.name) is Stage.DONE]
    old = [c.name for c in site.clusters if night.stage(c.name) in (Stage.FRESH, Stage.FORCED)]
    between = len(site.clusters) - len(new) - len(old)
    if between or (new and old):
        yield (
            f"the system is of mixed version: {len(new)} clusters run {site.target_release.short}, "
            f"{len(old)} run {site.source_release.short}, {between} are between the two"
        )
        yield from (f"meanwhile: {what}" for what in mixed.NOT_MEANWHILE)
