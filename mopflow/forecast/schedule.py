"""One night, simulated: the discrete events of what is left to do, under the limits that the real one has.

At most four MPE and MRA clusters in work (R2), one start a minute (R3), one failover with its re-apply and proof at a
time (R4), CMP clusters one after the other (R1). Times are minutes from the beginning of the simulation.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mopflow.forecast.durations import Beliefs, Dist, Luck
from mopflow.forecast.parts import START, Key, Part, Piece, Who
from mopflow.rules import LIMIT
from mopflow.slots import Slot


@dataclass(frozen=True, slots=True)
class Job:
    """What is left to do on one cluster, in order. ``in_work``: it has its place among the four already."""

    cluster: str
    who: Who
    pieces: tuple[Piece, ...]
    in_work: bool = False
    wait: Piece | None = None  # what runs in it and is waited for before its place is taken (a backout)
    asks: bool = False  # a person is asked before its failover

    @property
    def back(self) -> bool:
        return any(piece.key.back for piece in self.pieces)

    @property
    def first_server(self) -> int:
        """Index of the piece with which its work begins for good, after the rows that look."""
        return next((i for i, piece in enumerate(self.pieces) if piece.key.part is Part.SERVER), 0)


@dataclass(frozen=True, slots=True)
class Phase:
    """Jobs that are done by one command; MPE and MRA side by side, CMP one after the other."""

    name: str
    jobs: tuple[Job, ...]
    before: tuple[Piece, ...] = ()  # the next command, the rows that look at the whole
    after: Piece | None = None
    side_by_side: bool = True
    asks_once: bool = False  # a person is asked before the first failover of the phase
    taken: int = 0  # places (R2) of clusters that wait for a person between two releases


@dataclass(slots=True)
class Done:
    """What one simulated night brought: begin and end of every phase, and by cluster of every piece of its job."""

    end: float
    phases: list[tuple[float, float]]
    spans: dict[str, list[tuple[float, float]]]

    def end_of(self, cluster: str) -> float:
        spans = self.spans[cluster]
        return spans[-1][1] if spans else 0.0


_Compiled = tuple[tuple[Dist, int, float | None], ...]
_NONE, _START, _FAILOVER = 0, 1, 2
_SLOTS = {Slot.START: _START, Slot.FAILOVER: _FAILOVER}


def slot_of(piece: Piece) -> Slot | None:
    """The place that a part of the work takes while it lasts."""
    if piece.key.who.is_cmp:
        return None
    if piece.key.part is Part.SERVER:
        return Slot.START
    if piece.key.part is Part.SWITCH:
        return Slot.FAILOVER
    if piece.key.part is Part.TAIL and piece.key.who in (Who.MPE, Who.MPE_LI):
        return Slot.FAILOVER  # 10.2/10 is a re-apply
    return None


class Simulator:
    """Simulates the same plan again and again. ``stagger``: minutes between two starts."""

    def __init__(self, beliefs: Beliefs, stagger: float, answer: float) -> None:
        self._beliefs = beliefs
        self._stagger = stagger
        self._gaps = {
            back: beliefs.dist(Piece(Key(Part.START, Who.SITE, back), START)) for back in (False, True)
        }
        self._answer = beliefs.dist(Piece(Key(Part.ANSWER, Who.SITE), answer))
        self._compiled: dict[int, tuple[Job, _Compiled]] = {}

    def nights(self, plan: Sequence[Phase], runs: int, seed: str, *, in_order: bool = False) -> list[Done]:
        """So many nights; the same seed gives the same ones. ``in_order``: as in `run`."""
        dice = random.Random(seed)
        return [self.run(plan, Luck(dice), in_order=in_order) for _ in range(runs)]

    def run(
        self,
        phases: Sequence[Phase],
        luck: Luck,
        *,
        ready: Mapping[str, float] | None = None,
        in_order: bool = False,
    ) -> Done:
        """One night. ``ready``: minutes before which nothing can be done on a cluster, for something runs in it.

        Which of the clusters of a phase come first is not known before: whoever has looked at its rows first takes the
        first place. ``in_order``: in that of the site file.
        """
        done = Done(0.0, [], {})
        later = ready or {}
        for phase in phases:
            begun = done.end
            at = begun
            for piece in phase.before:
                at += self._length(piece, luck)
            if phase.side_by_side:
                at = self._side_by_side(phase, luck, at, done.spans, later, in_order=in_order)
            else:
                at = self._in_order(phase, luck, at, done.spans, later)
            if phase.after is not None:
                at += self._length(phase.after, luck)
            done.phases.append((begun, at))
            done.end = at
        return done

    def _length(self, piece: Piece, luck: Luck) -> float:
        dist = self._beliefs.dist(piece)
        return dist.draw(luck) if piece.gone is None else dist.left(luck, piece.gone)

    def _pieces(self, job: Job) -> _Compiled:
        known = self._compiled.get(id(job))
        if known is None:  # the job is kept beside, so that its id stays its own
            made = tuple(
                (self._beliefs.dist(p), _SLOTS[slot] if (slot := slot_of(p)) else _NONE, p.gone)
                for p in job.pieces
            )
            known = self._compiled[id(job)] = job, made
        return known[1]

    def _in_order(
        self,
        phase: Phase,
        luck: Luck,
        at: float,
        spans: dict[str, list[tuple[float, float]]],
        later: Mapping[str, float],
    ) -> float:
        for job in phase.jobs:
            mine = spans[job.cluster] = []
            at = max(at, later.get(job.cluster, 0.0))
            if job.wait is not None:
                at += self._length(job.wait, luck)
            for piece in job.pieces:
                until = at + self._length(piece, luck)
                if job.asks and piece.key.part is Part.SWITCH:
                    until += self._answer.draw(luck)
                mine.append((at, until))
                at = until
        return at

    def _side_by_side(
        self,
        phase: Phase,
        luck: Luck,
        at: float,
        spans: dict[str, list[tuple[float, float]]],
        later: Mapping[str, float],
        *,
        in_order: bool,
    ) -> float:
        jobs = phase.jobs
        pieces = [self._pieces(job) for job in jobs]
        free = [0.0, at, at]  # when the place for a start, and that for a failover, is free
        events: list[tuple[float, int, int]] = []  # when, job, piece
        waiting: list[tuple[float, int]] = []
        places = LIMIT - phase.taken
        for number, job in enumerate(jobs):
            mine = spans[job.cluster] = []
            ready = max(at, later.get(job.cluster, 0.0))
            if job.wait is not None:
                ready += self._length(job.wait, luck)
            if not pieces[number]:
                continue
            if not job.in_work:
                waiting.append((ready, number))
                continue
            places -= 1
            dist, slot, gone = pieces[number][0]
            if gone is None:
                events.append((ready, number, 0))
                continue
            until = ready + dist.left(luck, gone)
            if slot == _START:
                free[_START] = max(free[_START], at + self._stagger - gone)
            elif slot == _FAILOVER:
                free[_FAILOVER] = max(free[_FAILOVER], until)
            mine.append((ready, until))
            events.append((until, number, 1))
        heapq.heapify(events)
        if not in_order:
            luck.dice.shuffle(waiting)
            waiting.sort(key=lambda one: -one[0])
        else:
            waiting.sort(reverse=True)
        while waiting and places > 0:
            ready, number = waiting.pop()
            heapq.heappush(events, (ready, number, 0))
            places -= 1
        end = at
        asked = not phase.asks_once
        while events:
            when, number, index = heapq.heappop(events)
            todo = pieces[number]
            if index >= len(todo):
                end = max(end, when)
                if waiting:
                    ready, other = waiting.pop()
                    heapq.heappush(events, (max(when, ready), other, 0))
                continue
            dist, slot, _ = todo[index]
            if slot == _START:
                begin = max(when, free[_START]) + self._gaps[jobs[number].back].draw(luck)
                free[_START] = begin + self._stagger
                until = begin + dist.draw(luck)
            elif slot == _FAILOVER:
                begin = max(when, free[_FAILOVER])
                until = begin + dist.draw(luck)
                if not asked and jobs[number].pieces[index].key.part is Part.SWITCH:
                    asked = True
                    until += self._answer.draw(luck)
                free[_FAILOVER] = until
            else:
                begin = when
                until = begin + dist.draw(luck)
            spans[jobs[number].cluster].append((begin, until))
            heapq.heappush(events, (until, number, index + 1))
        return end


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed. Raises ValueError for none."""
    if not values:
        raise ValueError("a quantile of nothing")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
