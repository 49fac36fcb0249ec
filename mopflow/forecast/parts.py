"""What a night is made of: the parts of the work on one cluster, read from the tables of the procedures.

Minutes here are minutes of the document; ``pace.minute`` of the site turns them into seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mopflow.backout_plan import procedure_of
from mopflow.procedures.table import PROCEDURES, cmp_procedures
from mopflow.site import Cluster, Site
from mopflow.step import DeadlineKind, Procedure, Step
from mopflow.system import Kind


class Part(StrEnum):
    """What takes time."""

    COMMAND = "a person starts the next command"
    HEAD = "the rows before the first server"
    START = "the next start is made"  # over and above the minute between two starts (R3)
    SERVER = "one server"
    SWITCH = "failover, re-apply and proof of traffic"  # of a CMP: everything between its two servers
    TAIL = "the rows after the second server"
    ANSWER = "a person answers"


class Who(StrEnum):
    """On what."""

    PRIMARY = "primary CMP"
    SECONDARY = "secondary CMP"
    MPE = "MPE"
    MPE_LI = "MPE-Li"
    MRA = "MRA"
    SEGMENT = "segment"
    SITE = "site"

    @property
    def is_cmp(self) -> bool:
        return self in (Who.PRIMARY, Who.SECONDARY)


@dataclass(frozen=True, slots=True)
class Key:
    """A kind of duration."""

    part: Part
    who: Who
    back: bool = False  # of a backout

    def __str__(self) -> str:
        return f"{self.who}, {'back, ' if self.back else ''}{self.part}"


class Place(StrEnum):
    """Where a row of a procedure belongs in the work on its cluster."""

    HEAD = "head"
    FIRST = "first server"
    SWITCH = "switch"
    SECOND = "second server"
    TAIL = "tail"

    @property
    def order(self) -> int:
        return _ORDER.index(self)


_ORDER = (Place.HEAD, Place.FIRST, Place.SWITCH, Place.SECOND, Place.TAIL)


@dataclass(frozen=True, slots=True)
class Shape:
    """One procedure, as the work on one cluster; the printed figures are in minutes of the document."""

    procedure: str
    who: Who
    back: bool
    first: tuple[int, str]  # step and leg that start the first server
    second: tuple[int, str]
    failover: tuple[int, str]
    second_place: int  # of the leg that starts the second server, among the legs of its step
    legs: dict[int, tuple[str, ...]]
    proven: tuple[int, str] | None  # the leg with which the failover of an MPE or MRA is over; a CMP has none
    last: tuple[int, str]
    head: float
    servers: tuple[float, float]
    switch: float
    tail: float

    def place(self, step: int, leg: str) -> Place:
        first, second = self.first[0], self.second[0]
        if step < first:
            return Place.HEAD
        if step == first:
            return Place.FIRST
        if step < second:
            return Place.SWITCH
        if step > second:
            return Place.TAIL
        known = self.legs.get(step, ())
        before = leg in known and known.index(leg) < self.second_place
        return Place.SWITCH if before else Place.SECOND


_KINDS = {Kind.MPE: Who.MPE, Kind.MPE_LI: Who.MPE_LI, Kind.MRA: Who.MRA}
_LAST_OF_CLUSTER = {
    "10.2": 10,
    "12.3.3": 5,
    "12.3.5": 8,
}  # the rows after it stand on a segment or on the whole
_SOMETIMES = {"10.2": (8,)}  # after a rollback only
_PROVEN = {"10.2": (8, "decision"), "12.3.3": (4, "traffic")}
_PREPARED = DeadlineKind.UPLOAD_ISO  # R12: what such a row does was done before the window


def who_is(site: Site, cluster: Cluster) -> Who:
    if cluster.kind is not Kind.CMP:
        return _KINDS[cluster.kind]
    return Who.PRIMARY if cluster.name == site.cmp.primary.name else Who.SECONDARY


def shapes(site: Site) -> dict[tuple[str, bool], Shape]:
    """By cluster and direction (True: backout). Raises BadInput for a source release whose tables are not known."""
    primary, secondary = cmp_procedures(site.source_release)
    forward = {Who.PRIMARY: primary, Who.SECONDARY: secondary}
    found: dict[tuple[str, bool], Shape] = {}
    for cluster in site.clusters:
        who = who_is(site, cluster)
        found[cluster.name, False] = _shape(
            site, who, forward.get(who, PROCEDURES["10.2"]), DeadlineKind.INITIATE_UPGRADE, back=False
        )
        found[cluster.name, True] = _shape(
            site, who, procedure_of(site, cluster), DeadlineKind.INITIATE_BACKOUT, back=True
        )
    return found


def _shape(site: Site, who: Who, table: Procedure, kind: DeadlineKind, *, back: bool) -> Shape:
    starts = [
        (step, place)
        for step in table.steps
        for place, leg in enumerate(step.legs)
        if leg.deadline is kind and leg.act is not None
    ]
    others = set(_SOMETIMES.get(table.number, ()))
    if table.number == "12.3.5":
        others |= {8} if site.source_release.has_old_gui else {6, 7}
    starts = [(step, place) for step, place in starts if step.number not in others]
    (first, _), (second, second_place) = starts
    last = table.step(_LAST_OF_CLUSTER.get(table.number, table.steps[-1].number))
    failover = next(
        (step, leg)
        for step in table.steps
        for leg in step.legs
        if leg.deadline is DeadlineKind.FAILOVER and step.number > first.number
    )
    before = sum(leg.deadline is DeadlineKind.FAILOVER for leg in second.legs[:second_place])
    rows = [step for step in table.steps if step.number not in others]
    return Shape(
        table.number,
        who,
        back,
        (first.number, first.legs[0].name),
        (second.number, second.legs[second_place].name),
        (failover[0].number, failover[1].name),
        second_place,
        {step.number: tuple(leg.name for leg in step.legs) for step in table.steps},
        _PROVEN.get(table.number),
        (last.number, last.legs[-1].name),
        _minutes(s for s in rows if s.number < first.number),
        (first.minutes, second.minutes - before),
        _minutes(s for s in rows if first.number < s.number < second.number) + before,
        _minutes(s for s in rows if second.number < s.number <= last.number),
    )


def _minutes(steps: Iterable[Step]) -> float:
    return sum(s.minutes for s in steps if not any(leg.deadline is _PREPARED for leg in s.legs))


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of what is left to do. ``printed``: minutes of the document or of our tables; ``gone``: minutes for
    which it has been going on, None: not begun."""

    key: Key
    printed: float
    gone: float | None = None


COMMAND = 5.0  # minutes; not in the document: ours
ANSWER = 3.0
START = 0.5
SEGMENT_HEAD, SEGMENT_TAIL = 6.0, 1.0  # 10.1.1 and 10.2/1-2; 10.2/11-12
BACK_HEAD, BACK_TAIL = 5.0, 2.0  # 12.2: end what works, confirm, look; 12.3.3/6-7
