"""How long the parts of a night last: this site's own earlier runs, and the figures of the document where it has none.

A duration is drawn, not averaged: with n own ones, one of them is taken with probability n / (n + k), and else one of
its relatives (clusters of another kind) in the same way, and else what the document says. For the upgrade of a server
k falls from 2 to 0 as n grows to 10, for what no log of the document shows from 1 to 0 as n grows to 3. Everything is
kept as a ratio to the printed minutes, so that rows with different ones can teach each other.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from mopflow.forecast.parts import (
    ANSWER,
    BACK_HEAD,
    BACK_TAIL,
    COMMAND,
    SEGMENT_HEAD,
    SEGMENT_TAIL,
    START,
    Key,
    Part,
    Piece,
    Place,
    Who,
)
from mopflow.forecast.passes import Pass, Stretch, by_campaign, overlap
from mopflow.ledger.records import Executor, Row
from mopflow.rules import LIMIT
from mopflow.site import Site


class Figures(StrEnum):
    """Which figures of the document a duration has, as ratios to the printed minutes of its row."""

    # the steps themselves; the log of 6.1.2 (38 where 30 are printed); the logs of 12.x (25 to 30); Table 4 (3 hours
    # for two CMP clusters, less what is not the upgrade of a server)
    CMP = "CMP"
    # the steps; Figure 2 (62 and 63 minutes where 40 are printed); Table 4 (2 hours for a segment)
    TRAFFIC = "MPE and MRA"
    # 4.4: a backout takes as long as the upgrade, or less; for a CMP more is printed than any log of an upgrade shows
    CMP_BACK = "CMP, back"
    # everything else: no log of the document shows it
    OTHER = "other"


RATIOS: Mapping[Figures, tuple[float, ...]] = {
    Figures.CMP: (1.0, 1.27, 0.92, 1.1),
    Figures.TRAFFIC: (1.0, 1.56, 1.2),
    Figures.CMP_BACK: (1.0,),
    Figures.OTHER: (0.5, 1.0, 2.0),
}


def figures_of(key: Key) -> Figures:
    if key.part is not Part.SERVER:
        return Figures.OTHER
    if not key.who.is_cmp:
        return Figures.TRAFFIC
    return Figures.CMP_BACK if key.back else Figures.CMP


WOBBLE = 0.06  # of a duration around what the document says, as a fraction
# as how many own durations the document counts beside the first, and with how many it says nothing any more
_COUNTS, _ENOUGH = 2.0, 10  # one server
_COUNTS_OTHER, _ENOUGH_OTHER = 1.0, 3  # what no log of the document shows
BREAK = 30.0  # minutes; a longer time between two commands was no preparation of the next one
_LEAST = 0.02  # minutes; a pause is never nothing


@dataclass(frozen=True, slots=True)
class History:
    """What this site's earlier runs took, each as a ratio to the printed minutes."""

    own: Mapping[Key, tuple[float, ...]] = field(default_factory=dict)

    def count(self, part: Part, *, back: bool = False) -> int:
        return sum(len(v) for k, v in self.own.items() if k.part is part and k.back is back)


def history(
    site: Site,
    found: Iterable[Pass],
    rows: Sequence[Row],
    executors: Iterable[Executor] = (),
    answers: Mapping[str | None, Sequence[tuple[datetime, datetime]]] | None = None,
) -> History:
    """The durations in the journal of a site. ``found``: its passes; ``answers``: by cluster, when a person was asked
    and when they answered. Whatever a lost answer, a hold, a rollback or a second run was part of does not count."""
    waits = answers or {}
    book = _Book(site)
    for answered in waits.values():
        for since, until in answered:
            book.add(Key(Part.ANSWER, Who.SITE), (until - since).total_seconds(), ANSWER)
    for campaign in by_campaign(found):
        _of_campaign(book, campaign, [r for r in rows if r.campaign == campaign[0].campaign], waits)
    _commands(book, rows, executors)
    return History({key: tuple(ratios) for key, ratios in book.own.items()})


class _Book:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.minute = site.pace.minute or 60.0
        self.own: dict[Key, list[float]] = defaultdict(list)

    def add(self, key: Key, seconds: float, printed: float) -> None:
        minutes = max(seconds / self.minute, _LEAST)
        self.own[key].append(minutes / printed)


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def _of_campaign(
    book: _Book,
    found: Sequence[Pass],
    rows: Sequence[Row],
    waits: Mapping[str | None, Sequence[tuple[datetime, datetime]]],
) -> None:
    for back in (False, True):
        mine = [one for one in found if one.shape.back is back]
        for one in mine:
            _servers(book, one)
            if one.shape.who.is_cmp:
                _cmp(book, one, waits.get(one.cluster, ()))
        traffic = [one for one in mine if not one.shape.who.is_cmp]
        if traffic:
            _switches(book, traffic, waits)
            _segments(book, traffic, rows, back=back)


def _servers(book: _Book, one: Pass) -> None:
    shape = one.shape
    for place, printed in zip((Place.FIRST, Place.SECOND), shape.servers, strict=True):
        part = one.part(place)
        if part.closed and part.clean and part.begun is not None and part.ended is not None:
            book.add(Key(Part.SERVER, shape.who, shape.back), _seconds(part.begun, part.ended), printed)


def _cmp(book: _Book, one: Pass, waits: Sequence[tuple[datetime, datetime]]) -> None:
    head, first, switch, second, tail = (one.part(place) for place in Place)
    shape = one.shape
    if head.clean and first.clean and head.begun and first.begun and head.executor == first.executor:
        book.add(Key(Part.HEAD, shape.who, shape.back), _seconds(head.begun, first.begun), shape.head)
    one_run = first.closed and first.clean and switch.clean and first.executor == second.executor
    if one_run and first.ended and second.begun:
        took = _seconds(first.ended, second.begun) - overlap(first.ended, second.begun, waits)
        book.add(Key(Part.SWITCH, shape.who, shape.back), took, shape.switch)
    if tail.closed and tail.clean and second.closed and second.ended and tail.ended and shape.tail:
        book.add(Key(Part.TAIL, shape.who, shape.back), _seconds(second.ended, tail.ended), shape.tail)


def _switches(
    book: _Book,
    traffic: Sequence[Pass],
    waits: Mapping[str | None, Sequence[tuple[datetime, datetime]]],
) -> None:
    """Failover, re-apply and proof, and the re-apply at the end of an MPE: from when the cluster was ready and the
    place was free (R4) until the place was given back."""
    used = [
        (stretch.begun, stretch.ended, one.cluster)
        for one in traffic
        for place in (Place.SWITCH, Place.TAIL)
        for stretch in (one.part(place),)
        if stretch.begun and stretch.ended and (place is Place.SWITCH or one.shape.who is not Who.MRA)
    ]

    def free(one: Pass, ready: datetime, begun: datetime) -> datetime:
        ends = [end for _, end, who in used if who != one.cluster and ready < end <= begun]
        return max(ends, default=ready)

    for one in traffic:
        shape = one.shape
        first, switch, second, tail = (
            one.part(place) for place in (Place.FIRST, Place.SWITCH, Place.SECOND, Place.TAIL)
        )
        if _whole(first, switch) and first.ended and switch.begun and switch.ended:
            since = free(one, first.ended, switch.begun)
            took = _seconds(since, switch.ended) - overlap(since, switch.ended, waits.get(one.cluster, ()))
            book.add(Key(Part.SWITCH, shape.who, shape.back), took, shape.switch)
        if _whole(second, tail) and second.ended and tail.begun and tail.ended and shape.tail:
            since = free(one, second.ended, tail.begun) if shape.who is not Who.MRA else second.ended
            book.add(Key(Part.TAIL, shape.who, shape.back), _seconds(since, tail.ended), shape.tail)


def _whole(before: Stretch, part: Stretch) -> bool:
    return part.closed and part.clean and before.closed and before.executor == part.executor


def _segments(book: _Book, traffic: Sequence[Pass], rows: Sequence[Row], *, back: bool) -> None:
    site = book.site
    segment_of = {c.name: s.name for s in site.segments for c in s.clusters}
    groups: dict[str, list[Pass]] = defaultdict(list)
    for one in traffic:
        # a backout goes over all segments at once
        groups["" if back else segment_of[one.cluster]].append(one)
    ready: dict[str, datetime] = {}
    for name, clusters in groups.items():
        runs = {one.part(Place.HEAD).executor for one in clusters}
        looked = [at for one in clusters if (at := one.part(Place.HEAD).ended) is not None]
        begun = [at for one in clusters if (at := one.part(Place.FIRST).begun) is not None]
        if not looked or not begun or len(runs) != 1:
            continue
        run = runs.pop()
        procedures = ("12.3.3",) if back else ("10.1.1", "10.2")
        mine = [
            r
            for r in rows
            if r.executor == run
            and r.entry.procedure in procedures
            and (back or r.entry.cluster == name or segment_of.get(r.entry.cluster or "") == name)
        ]
        if any(one.part(Place.FIRST).executor not in (run, None) for one in clusters):
            continue
        ready[name] = min(looked)
        printed = BACK_HEAD if back else SEGMENT_HEAD
        book.add(Key(Part.HEAD, Who.SEGMENT, back), _seconds(mine[0].at, ready[name]), printed)
        last = max(at for one in clusters if (at := one.ended) is not None)
        after = [
            r.at
            for r in mine
            if r.at >= last
            and r.entry.cluster not in segment_of
            and r.entry.step in ((6, 7) if back else (11, 12))
        ]
        if after and all(one.over for one in clusters):
            book.add(
                Key(Part.TAIL, Who.SEGMENT, back),
                _seconds(last, after[-1]),
                BACK_TAIL if back else SEGMENT_TAIL,
            )
    _starts(book, groups, ready, back=back)


def _starts(
    book: _Book, groups: Mapping[str, Sequence[Pass]], ready: Mapping[str, datetime], *, back: bool
) -> None:
    """How long a start came after it might have: a minute after the one before, with a place among the four."""
    stagger = timedelta(seconds=book.site.pace.stagger)
    every = sorted(
        at
        for clusters in groups.values()
        for one in clusters
        for place in (Place.FIRST, Place.SECOND)
        if (at := one.part(place).begun) is not None
    )
    for name, clusters in groups.items():
        ends = sorted(at for one in clusters if one.over and (at := one.ended) is not None)
        firsts = sorted(at for one in clusters if (at := one.part(Place.FIRST).begun) is not None)
        for one in clusters:
            for place in (Place.FIRST, Place.SECOND):
                part = one.part(place)
                if part.begun is None or not part.clean:
                    continue
                if place is Place.SECOND:
                    switch = one.part(Place.SWITCH)
                    since = switch.ended if _whole(switch, switch) else None
                    if since is None or switch.executor != part.executor:
                        continue
                else:
                    since = ready.get(name)
                    turn = firsts.index(part.begun)
                    if since is None or (turn >= LIMIT and len(ends) <= turn - LIMIT):
                        continue
                    if turn >= LIMIT:
                        since = max(since, ends[turn - LIMIT])
                before = [at for at in every if at < part.begun]
                if before:
                    since = max(since, before[-1] + stagger)
                book.add(Key(Part.START, Who.SITE, back), _seconds(since, part.begun), START)


_FORWARD = ("upgrade-cmp", "upgrade-segment")


def _commands(book: _Book, rows: Sequence[Row], executors: Iterable[Executor]) -> None:
    """From the end of one command, or from the beginning of the window, to the first row of the next."""
    first: dict[str, datetime] = {}
    for row in rows:
        first.setdefault(row.executor, row.at)
    runs = sorted((e for e in executors if e.flow in _FORWARD), key=lambda e: e.begun)
    for number, run in enumerate(runs):
        begun = first.get(run.id)
        if begun is None:
            continue
        before = runs[number - 1] if number else None
        since: datetime | None = None
        if before is not None and before.ended is not None and before.how == "done":
            since = before.ended
        opened = [w.start for w in book.site.windows if w.start <= begun < w.end]
        if opened and (since is None or since < opened[0]):
            since = opened[0]
        if since is not None and timedelta(0) <= begun - since < timedelta(seconds=BREAK * book.minute):
            book.add(Key(Part.COMMAND, Who.SITE), _seconds(since, begun), COMMAND)


# drawing


class Luck:
    """What one simulated night has in common: how far the document's figures are off at this site, and how far our
    own few durations are from their true mean."""

    __slots__ = ("dice", "document", "shift")

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.document: dict[Figures, float] = {}
        self.shift: dict[int, float] = {}

    def ratio(self, figures: Figures) -> float:
        known = self.document.get(figures)
        if known is None:
            known = self.document[figures] = self.dice.choice(RATIOS[figures])
        return known


@dataclass(frozen=True, slots=True)
class _Level:
    """Durations of one's own, as ratios.

    ``weight``: how often one of them is taken. ``doubt`` and ``blur`` are fractions: how far their mean may be off, and
    how far the next one lies from the nearest that was seen. Both follow from their number and their spread, so that
    few durations, which look alike by chance, are not taken for all that can happen.
    """

    ratios: tuple[float, ...]
    weight: float
    doubt: float
    blur: float


def _level(ratios: Sequence[float], part: Part) -> _Level | None:
    n = len(ratios)
    if not n:
        return None
    counts, enough = (_COUNTS, _ENOUGH) if part is Part.SERVER else (_COUNTS_OTHER, _ENOUGH_OTHER)
    counts *= max(0.0, 1.0 - n / enough)
    spread = statistics.stdev(map(math.log, ratios)) if n > 1 else 0.25
    blur = spread / math.sqrt(n)
    # as Student's t: the spread itself is known the less, the fewer there are
    doubt = blur * (math.sqrt((n - 1) / (n - 3)) if n > 4 else 1.75)
    return _Level(tuple(ratios), n / (n + counts), doubt, blur)


class Dist:
    """Draws minutes of one kind of duration."""

    __slots__ = ("_figures", "_id", "_levels", "printed")

    def __init__(self, number: int, printed: float, levels: Sequence[_Level], figures: Figures) -> None:
        self._id = number
        self.printed = printed
        self._levels = tuple(levels)
        self._figures = figures

    def draw(self, luck: Luck) -> float:
        dice = luck.dice
        for number, level in enumerate(self._levels):
            if level.weight >= 1.0 or dice.random() < level.weight:
                key = self._id * 4 + number
                shift = luck.shift.get(key)
                if shift is None:
                    shift = luck.shift[key] = math.exp(dice.gauss(0.0, level.doubt) - level.doubt**2 / 2)
                ratios = level.ratios
                seen = ratios[int(dice.random() * len(ratios))] * math.exp(dice.gauss(0.0, level.blur))
                return seen * shift * self.printed
        return luck.ratio(self._figures) * math.exp(dice.gauss(0.0, WOBBLE)) * self.printed

    def left(self, luck: Luck, gone: float) -> float:
        """Minutes still to go of what has been going on for ``gone`` minutes."""
        for _ in range(20):
            whole = self.draw(luck)
            if whole > gone:
                return whole - gone
        # longer than anything known: the longer it has taken, the less is known of its end
        return luck.dice.expovariate(1.0) * max(0.1 * gone, 0.5)


class Beliefs:
    """What is believed of every duration at this site. Pure; the same history gives the same answers."""

    def __init__(self, known: History) -> None:
        self.history = known
        self._made: dict[tuple[Key, float], Dist] = {}

    def dist(self, piece: Piece) -> Dist:
        wanted = piece.key, piece.printed
        made = self._made.get(wanted)
        if made is None:
            made = self._made[wanted] = self._make(piece.key, piece.printed, len(self._made))
        return made

    def _make(self, key: Key, printed: float, number: int) -> Dist:
        ratios = [self.history.own.get(key, ())]
        if key.part in (Part.SERVER, Part.SWITCH):
            ratios.append(self._relatives(key))
        if key.back and key.part in (Part.SERVER, Part.SWITCH, Part.START):
            # 4.4: a backout takes typically as long as the upgrade, or less; the slower figure of the two is taken
            ahead = Key(key.part, key.who)
            forward = self.history.own.get(ahead, ()) or self._relatives(ahead)
            ratios.append(tuple(max(1.0, ratio) for ratio in forward))
        levels = [level for found in ratios if (level := _level(found, key.part)) is not None]
        return Dist(number, printed, levels, figures_of(key))

    def _relatives(self, key: Key) -> tuple[float, ...]:
        """The same part of all CMP clusters, or of all others."""
        return tuple(
            ratio
            for other, ratios in self.history.own.items()
            if (other.part, other.back, other.who.is_cmp) == (key.part, key.back, key.who.is_cmp)
            for ratio in ratios
        )
