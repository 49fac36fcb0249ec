"""What must be left of a window: to finish a cluster, and to back out everything begun. Pure.

In minutes of the document. P50 and P90 are of simulated nights.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mopflow.forecast.durations import Beliefs, Luck
from mopflow.forecast.night import Night, back_phases, finished, phases
from mopflow.forecast.parts import ANSWER, Part, Who
from mopflow.forecast.schedule import Done, Job, Phase, Simulator, quantile
from mopflow.rules import LIMIT
from mopflow.system import Stage

RUNS = 300  # simulated nights
FEW = 120  # for what is asked at many moments
LOOKS = 12  # moments at which a backout of everything is tried
P50, P90 = 0.5, 0.9
_HALVINGS = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """A backout of everything begun: how long it takes when it is decided on now, and for how long it can still be
    decided on (below zero: too late by that)."""

    p50: float
    p90: float
    room: float | None  # None: there is no end to keep


@dataclass(frozen=True, slots=True)
class Need:
    """Minutes to finish a cluster, and to back out everything begun, with how many clusters that are."""

    finish: float
    back_out: float
    clusters: int


class Prices:
    """Of one site, as it stands."""

    def __init__(self, night: Night, beliefs: Beliefs) -> None:
        self._night = night
        self._site = night.site
        self._stagger = night.site.pace.stagger / minute_of(night)
        self.simulator = Simulator(beliefs, self._stagger, ANSWER)
        self._finish: dict[Who, float] = {}
        self._plans: dict[tuple[Stage, ...], list[Phase]] = {}

    def nights(self, plan: Sequence[Phase], runs: int = RUNS, *, in_order: bool = False) -> list[Done]:
        """``in_order``: clusters of a phase in that of the site file; else as it happens."""
        return self.simulator.nights(plan, runs, self._site.name, in_order=in_order)

    def of_backouts(self, begun: Sequence[str], order: Sequence[str]) -> list[float]:
        """P90 of a backout of ``begun`` and of the first k of ``order``, for k = 0, 1, ...

        Every cluster counts as wholly upgraded: that is the dearest state in which the last one can be left.
        """
        later = [name for name in order if name not in begun]
        everything = [*begun, *later]
        plan = back_phases(finished(self._night, everything), everything)
        found: list[list[float]] = [[] for _ in range(len(order) + 1)]
        for done in self.nights(plan, in_order=True) if plan else ():
            bill = _Bill(plan, done)
            for name in begun:
                bill.add(name)
            found[0].append(bill.sum)
            for number, name in enumerate(order, 1):
                bill.add(name)
                found[number].append(bill.sum)
        return [quantile(minutes, P90) if minutes else 0.0 for minutes in found]

    def needed(self, begun: Sequence[str], cluster: str) -> Need:
        """What must be left of the window for this cluster to be begun: to finish it, and to back out everything begun
        with it (both P90). For the primary CMP both CMP clusters are meant (R1)."""
        names = self._with_it(cluster)
        others = [name for name in begun if name not in names]
        back_out = self.of_backouts(others, names)[-1]
        return Need(self.to_finish(cluster), back_out, len(others) + len(names))

    def to_finish(self, cluster: str) -> float:
        """P90 from the start of its first server until it is upgraded, as the last one beside three others. For the
        primary CMP: until both CMP clusters are."""
        who = self._night.shapes[cluster, False].who
        if who not in self._finish:
            self._finish[who] = self._to_finish(self._with_it(cluster))
        return self._finish[who]

    def _with_it(self, cluster: str) -> list[str]:
        if cluster != self._site.cmp.primary.name:
            return [cluster]
        return [c.name for c in self._site.cmp_clusters]

    def _to_finish(self, names: Sequence[str]) -> float:
        cmps = [c.name for c in self._site.cmp_clusters]
        kin: list[str] = []
        stages: dict[str, Stage] = {}
        if names[0] not in cmps:
            kin = [c.name for c in self._site.traffic_clusters if c.name not in names][: LIMIT - 1]
        if names[0] != self._site.cmp.primary.name:
            stages = {name: Stage.DONE for name in cmps if name not in names}
        fresh = replace(self._night, stages=stages, passes={}, runs=(), holds=(), backing_out=())
        plan = phases(fresh, [*kin, *names])
        if kin:  # whichever segments they are in
            jobs = [job for phase in plan for job in phase.jobs]
            plan = [replace(plan[0], jobs=tuple(sorted(jobs, key=lambda job: job.cluster in names)))]
        first = next(job for phase in plan for job in phase.jobs if job.cluster == names[0])
        nights = self.nights(plan, in_order=True)
        return quantile([d.end_of(names[-1]) - start_of(d, first) for d in nights], P90)

    # until when

    def turn(self, begun: Sequence[str], room: float | None) -> Turn:
        """A backout of everything begun. ``room``: minutes until the window ends; None: no window is open.

        What is begun goes on as planned until the moment of the decision; nothing new is begun.
        """
        ahead = [_only(phase, begun) for phase in phases(self._night)]
        ahead = [phase for phase in ahead if phase.jobs]
        nights = self.nights(ahead, FEW) if ahead else [Done(0.0, [], {})] * FEW
        jobs = {job.cluster: job for phase in ahead for job in phase.jobs}

        def tried(at: float) -> list[float]:
            dice = random.Random(f"{self._site.name} back")
            return [self._back_at(begun, jobs, done, at, Luck(dice)) for done in nights]

        now = tried(0.0)
        p50, p90 = quantile(now, P50), quantile(now, P90)
        if room is None or p90 > room:
            return Turn(p50, p90, None if room is None else room - p90)
        good, bad = 0.0, room
        step = max(5.0, room / LOOKS)
        while good + step < room:
            if quantile(tried(good + step), P90) > room - good - step:
                bad = good + step
                break
            good += step
        for _ in range(_HALVINGS):
            middle = (good + bad) / 2
            if quantile(tried(middle), P90) > room - middle:
                bad = middle
            else:
                good = middle
        return Turn(p50, p90, good)

    def _back_at(
        self, begun: Sequence[str], jobs: Mapping[str, Job], done: Done, at: float, luck: Luck
    ) -> float:
        """Minutes of a backout that begins at a moment of a simulated night, from where each cluster stands then."""
        stages = []
        ready: dict[str, float] = {}
        for name in begun:
            job = jobs.get(name)
            if job is None:
                stages.append(self._night.stage(name))
                continue
            stage, still = stage_at(job, done.spans[name], at, self._night.stage(name))
            stages.append(stage)
            if still is not None:
                ready[name] = still
        key = tuple(stages)
        plan = self._plans.get(key)
        if plan is None:
            then = replace(
                self._night, stages=dict(zip(begun, stages, strict=True)), passes={}, runs=(), backing_out=()
            )
            plan = self._plans[key] = back_phases(then, begun, waits=False)
        return self.simulator.run(plan, luck, ready=ready).end


def minute_of(night: Night) -> float:
    """Seconds of a minute of the document."""
    return night.site.pace.minute or 60.0


def start_of(done: Done, job: Job) -> float:
    """When the first server of a cluster was started in a simulated night."""
    return done.spans[job.cluster][job.first_server][0]


class _Bill:
    """Adds up a backout, cluster by cluster: MPE and MRA side by side, the CMP one after the other."""

    def __init__(self, plan: Sequence[Phase], done: Done) -> None:
        self._done = done
        self._cmps = {job.cluster for phase in plan if not phase.side_by_side for job in phase.jobs}
        self._head = min(spans[0][0] for spans in done.spans.values())
        self._tail = 0.0
        for phase, (_, end) in zip(plan, done.phases, strict=True):
            if phase.side_by_side:
                self._tail = end - max(done.end_of(job.cluster) for job in phase.jobs)
        self._last = 0.0
        self._in_order = 0.0
        self._any = False

    def add(self, name: str) -> None:
        spans = self._done.spans[name]
        self._any = True
        if name in self._cmps:
            self._in_order += spans[-1][1] - spans[0][0]
        else:
            self._last = max(self._last, spans[-1][1] - self._head)

    @property
    def sum(self) -> float:
        if not self._any:
            return 0.0
        return self._head + self._last + (self._tail if self._last else 0.0) + self._in_order


def _only(phase: Phase, names: Sequence[str]) -> Phase:
    return replace(phase, jobs=tuple(job for job in phase.jobs if job.cluster in names))


def stage_at(
    job: Job, spans: Sequence[tuple[float, float]], at: float, now: Stage
) -> tuple[Stage, float | None]:
    """Where a cluster stands at a moment of a simulated night, and for how long what runs in it still runs."""
    parts = [piece.key.part for piece in job.pieces]
    switch = parts.index(Part.SWITCH) if Part.SWITCH in parts else -1
    second = max((i for i, part in enumerate(parts) if part is Part.SERVER), default=-1)
    first = parts.index(Part.SERVER) if second >= 0 and parts.index(Part.SERVER) < switch else -1
    if second > switch and at >= spans[second][0]:
        end = spans[second][1]
        return (Stage.SECOND_RUNNING, end - at) if at < end else (Stage.DONE, None)
    if switch >= 0 and at >= spans[switch][0]:
        return Stage.SWITCHED, max(0.0, spans[switch][1] - at)
    if first >= 0:
        begin, end = spans[first]
        if at < begin:
            return Stage.FRESH, None
        return (Stage.FIRST_RUNNING, end - at) if at < end else (Stage.FIRST_DONE, None)
    return now, None
