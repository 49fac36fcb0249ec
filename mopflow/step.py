"""What a step is: one numbered row of E75412-01 as a goal and a way to reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mopflow.site import AutonomyKind
from mopflow.slots import Slot
from mopflow.system import Severity

if TYPE_CHECKING:
    from mopflow.here import Here


class Actor(StrEnum):
    """Through what a row is carried out."""

    CHECK = "check"
    GUI = "gui"
    SSH = "ssh"
    OPERATOR = "operator"


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer and the evidence for it, in words that an operator can check."""

    answer: Answer
    evidence: str

    @classmethod
    def yes(cls, evidence: str) -> Finding:
        return cls(Answer.YES, evidence)

    @classmethod
    def no(cls, evidence: str) -> Finding:
        return cls(Answer.NO, evidence)

    @classmethod
    def unknown(cls, evidence: str) -> Finding:
        return cls(Answer.UNKNOWN, evidence)

    @property
    def is_yes(self) -> bool:
        return self.answer is Answer.YES


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a safety rule does not let an act happen now."""

    rule: str  # R1 ... R17
    reason: str
    passing: bool = False  # waiting may cure it

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"


class DeadlineKind(StrEnum):
    """Which deadline of the site's pace a step has."""

    INITIATE_UPGRADE = "initiate_upgrade"
    INITIATE_BACKOUT = "initiate_backout"
    FAILOVER = "failover"
    REAPPLY = "reapply"
    UPLOAD_ISO = "upload_iso"
    TRANSFER = "transfer"
    BACKUP = "backup"
    PMAC_TASK = "pmac_task"
    SHORT = "short"


Question = Callable[["Here"], Finding]
Deed = Callable[["Here"], None]
Guard = Callable[["Here"], Iterable[Refusal]]
Mark = Callable[["Here"], Mapping[str, Any]]
Until = Callable[["Here"], datetime]


def no_objection(_here: Here) -> Iterable[Refusal]:
    return ()


@dataclass(frozen=True, slots=True)
class Leg:
    """One act of a row with its goal. Most rows have one; 9.1.2/3 has two (failover, then the second server)."""

    goal: Question
    name: str = ""
    act: Deed | None = None  # None: a gate, it can only be waited for
    under_way: Question | None = None  # is the act already running, whoever started it?
    guard: Guard = no_objection
    deadline: DeadlineKind = DeadlineKind.SHORT
    readings: int | None = None  # so many in a row must show the goal; None: as the site's pace says
    slot: Slot | None = None  # taken around guard and act
    mark: Mark | None = None  # read before the act and written with the intention, for ``trace``
    trace: Question | None = None  # after a lost answer: did the act leave a trace on the system?
    settled: Question | None = None  # START: the act has shown (OOS), the place may go to the next
    autonomy: AutonomyKind = AutonomyKind.DEFAULT
    applies: Question | None = None  # NO: the leg is skipped, with the reason
    until: Until | None = None  # overrides the deadline: when patience ends
    no_is_an_answer: bool = False  # patience over with a plain no: the next leg deals with it, no hold


@dataclass(frozen=True, slots=True)
class AlarmLists:
    """The alarms that a row lists, by number (severity is an attribute, not a key)."""

    during: frozenset[int] = frozenset()  # while the act runs
    after: frozenset[int] = frozenset()  # may stand when it is done
    none_of: tuple[Severity, ...] = ()  # severities that must not stand afterwards (10.2/6)
    borrowed: frozenset[int] = frozenset()  # lost from this row in the document, taken from its sister row
    until: str = ""  # when the document wants them gone

    @property
    def printed(self) -> frozenset[int]:
        return (self.during | self.after) - self.borrowed


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered row."""

    procedure: str
    number: int
    title: str
    actor: Actor
    legs: tuple[Leg, ...]
    minutes: float  # usual duration in minutes, of the document where it names one
    alarms: AlarmLists = field(default_factory=AlarmLists)
    where: str = ""  # for the plan, such as "active server of {cluster}"; "": the cluster itself
    source_note: str = ""  # where the document had to be read together with another row
    after_harbour: bool = False  # part of one decision that no stop, hold or approval may split (10.2/5-8)

    @property
    def key(self) -> str:
        """Such as 10.2/4: the step's name everywhere."""
        return f"{self.procedure}/{self.number}"

    @property
    def expects(self) -> list[int]:
        """Every alarm number that the document prints for this row."""
        return sorted(self.alarms.printed)


@dataclass(frozen=True, slots=True)
class Procedure:
    """One table of numbered steps."""

    number: str
    title: str
    steps: tuple[Step, ...]

    def step(self, number: int) -> Step:
        """Raises KeyError for a row that the procedure does not have."""
        for step in self.steps:
            if step.number == number:
                return step
        raise KeyError(f"{self.number}/{number}")
