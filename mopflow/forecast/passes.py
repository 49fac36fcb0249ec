"""What the journal tells of when the parts of the work on a cluster began and ended. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mopflow.forecast.parts import Place, Shape
from mopflow.ledger.records import Event, Row
from mopflow.turning import goes_back

_ROLLBACK = "rollback"  # the leg of R11
_SPOILS = frozenset({Event.LOST, Event.HELD, Event.ADOPTED})  # then its length says nothing of the next one's
_SENT = frozenset({Event.INTENDED, Event.ADOPTED})


@dataclass(slots=True)
class Stretch:
    """One part of a pass. ``clean``: begun and ended by the same run, without a lost answer, a hold or a rollback."""

    begun: datetime | None = None
    ended: datetime | None = None  # of the newest row in it
    closed: bool = False  # it has come to its end
    clean: bool = True
    executor: str | None = None


@dataclass(slots=True)
class Pass:
    """The work on one cluster in one direction, as far as it went."""

    campaign: str
    cluster: str
    shape: Shape
    parts: dict[Place, Stretch] = field(default_factory=dict)

    def part(self, place: Place) -> Stretch:
        return self.parts.get(place) or Stretch()

    @property
    def begun(self) -> datetime | None:
        """When its first server was started; of a cluster that others had begun, the first act of ours."""
        starts = (self.part(place).begun for place in (Place.FIRST, Place.SWITCH, Place.SECOND))
        return next((at for at in starts if at is not None), None)

    @property
    def ended(self) -> datetime | None:
        return max((s.ended for s in self.parts.values() if s.ended is not None), default=None)

    @property
    def over(self) -> bool:
        """Has it come to its end?"""
        return self.part(Place.TAIL if self.shape.tail else Place.SECOND).closed

    @property
    def reached(self) -> int:
        return max((place.order for place in self.parts), default=-1)


def passes(
    rows: Iterable[Row], shapes: Mapping[tuple[str, bool], Shape], questions: Collection[str] = ()
) -> list[Pass]:
    """Every pass over a cluster, in the order of their first rows. ``rows``: of one site, oldest first;
    ``questions``: ids of the holds that asked whether an act may be done, which spoil nothing."""
    made: list[Pass] = []
    newest: dict[tuple[str, str], Pass] = {}
    for row in rows:
        entry = row.entry
        if entry.cluster is None:
            continue
        shape = shapes.get((entry.cluster, goes_back(entry.procedure)))
        if shape is None or shape.procedure != entry.procedure:
            continue
        place = shape.place(entry.step, entry.leg)
        key = row.campaign, entry.cluster
        current = newest.get(key)
        if current is not None and current.shape.back is not shape.back:
            if current.begun is not None and not current.over and entry.event not in _SENT:
                continue  # rows that only look do not turn a cluster round
            current = None
        elif current is not None and _starts_anew(current, row, place):
            current = None
        if current is None:
            current = newest[key] = Pass(row.campaign, entry.cluster, shape)
            made.append(current)
        _enter(current, row, place, asked=row.entry.data.get("hold") in questions)
    return made


def _starts_anew(current: Pass, row: Row, place: Place) -> bool:
    """A first server is started although the pass went on already: the cluster was repaired or taken back by others."""
    return place is Place.FIRST and row.entry.event is Event.INTENDED and current.reached > Place.FIRST.order


def _enter(current: Pass, row: Row, place: Place, *, asked: bool) -> None:
    entry, shape = row.entry, current.shape
    sent = entry.event in _SENT
    if place.order < current.reached and not sent:
        return  # a run that was started again looks at the rows from the beginning
    there = current.parts.setdefault(place, Stretch())
    starts = {
        Place.FIRST: shape.first,
        Place.SWITCH: shape.failover,
        Place.SECOND: shape.second,
    }
    if place not in starts:
        if there.executor != row.executor and not there.closed:
            there.begun, there.executor = row.at, row.executor
    elif sent and (entry.step, entry.leg) == starts[place]:
        there.begun, there.executor = row.at, row.executor
    elif entry.event is Event.REFUSED and (entry.step, entry.leg) == starts[place]:
        there.begun = None
    if there.executor is not None and there.executor != row.executor:
        there.clean = False
    if (entry.event in _SPOILS and not asked) or (entry.leg == _ROLLBACK and sent):
        there.clean = False
    if there.closed and place is Place.SWITCH and (entry.step, entry.leg) != shape.proven:
        return  # 10.2/6 is looked at once more after the proof
    there.ended = row.at
    if _closes(shape, row, place):
        there.closed = True


def _closes(shape: Shape, row: Row, place: Place) -> bool:
    entry = row.entry
    done = entry.event in (Event.VERIFIED, Event.FOUND_DONE)
    match place:
        case Place.FIRST:
            return done and (entry.step, entry.leg) == shape.first
        case Place.SECOND:
            return done and (entry.step, entry.leg) == shape.second
        case Place.SWITCH if shape.proven is not None:
            return (entry.step, entry.leg) == shape.proven and entry.event in (
                Event.SKIPPED,
                Event.OBSERVED,
            )
        case Place.SWITCH:
            return done and (entry.step, entry.leg) == shape.failover
        case Place.TAIL:
            return (entry.step, entry.leg) == shape.last and entry.event is not Event.HELD
        case Place.HEAD:
            return False


def overlap(begin: datetime, end: datetime, waits: Iterable[tuple[datetime, datetime]]) -> float:
    """Seconds of the time between two moments that people took for their answers."""
    return sum(max(0.0, (min(end, until) - max(begin, since)).total_seconds()) for since, until in waits)


def by_campaign(found: Iterable[Pass]) -> Iterator[list[Pass]]:
    groups: dict[str, list[Pass]] = {}
    for one in found:
        groups.setdefault(one.campaign, []).append(one)
    yield from groups.values()
