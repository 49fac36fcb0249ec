"""The record as values: the shape of record.json, which docs/record.md explains. Times are UTC and aware.

Everything that is said in words was said by the run, by a person, or by the document; nothing is interpreted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FORMAT = "mopflow-record/1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Result(StrEnum):
    """What came of one carrying out of a row."""

    DONE = "done"
    FOUND_DONE = "found done"
    ADOPTED = "adopted"  # somebody had begun it; we waited for it
    ROLLED_BACK = "rolled back"  # R11
    SKIPPED = "skipped"
    NOT_YET = "not yet"  # a glance; looked at again afterwards
    HELD = "held"
    REFUSED = "refused"
    UNFINISHED = "not finished"  # the run ended in the middle of it

    @property
    def is_good(self) -> bool:
        return self in (Result.DONE, Result.FOUND_DONE, Result.ADOPTED, Result.SKIPPED)


class Hand(StrEnum):
    """By whom."""

    AUTOMATIC = "automatic"
    CONFIRMED = "confirmed"  # a person was asked and said go
    PERSON = "person"  # a person did it, and it was checked (autonomy observe)
    NOT_US = "found or adopted"  # done by hand or by whoever worked on the system before


class By(_Part):
    hand: Hand
    initials: str = ""  # of the person
    name: str = ""
    when: datetime | None = None  # of the confirmation
    via: str = ""  # through what the word came

    @property
    def words(self) -> str:
        if self.hand is Hand.AUTOMATIC:
            return "automatic"
        if self.hand is Hand.CONFIRMED:
            return f"automatic, confirmed by {self.initials}"
        return self.initials or ("by hand" if self.hand is Hand.NOT_US else "a person")


class JournalRow(_Part):
    """A row of the ledger's journal, as it stands there."""

    id: int
    at: datetime
    executor: str
    procedure: str
    step: int
    leg: str
    cluster: str | None
    event: str
    text: str
    server: str | None
    token: str | None
    data: Mapping[str, Any]


class EvidenceFile(_Part):
    """A file of the evidence. ``path``: relative to the folder of the record."""

    path: str
    kind: str
    sha256: str
    size: int  # bytes
    at: datetime
    state: str = "as kept"  # as kept | changed | not here

    @property
    def is_picture(self) -> bool:
        return self.kind == "screenshot"


class Command(_Part):
    """A command that was sent to a server; ``status`` None: the reply was lost. ``times``: so often, with one reply."""

    at: datetime
    server: str
    user: str
    command: str
    status: int | None
    stdout: str
    stderr: str
    times: int = 1
    last: datetime | None = None


class AlarmSeen(_Part):
    number: int
    source: str
    cluster: str | None
    severity: str
    standing: str  # baseline | expected | overstaying | unexpected: the worst that it was taken for
    text: str
    begin: datetime
    end: datetime
    open: bool  # it stood in the last reading


class Act(_Part):
    """Something that was asked of the system: intention, answer, proof."""

    leg: str
    server: str | None
    intended: datetime
    answered: datetime | None
    verified: datetime | None
    outcome: str  # the last event of it


class Iteration(_Part):
    """One carrying out of a row, on one scope, by one run."""

    scope: str
    servers: tuple[str, ...]  # that were worked on, as far as the journal says
    executor: str
    turn: int  # 1: the first on this scope
    begin: datetime
    end: datetime
    by: By
    result: Result
    text: str
    acts: tuple[Act, ...] = ()
    alarms: tuple[AlarmSeen, ...] = ()
    evidence: tuple[EvidenceFile, ...] = ()
    commands: tuple[Command, ...] = ()
    rows: tuple[JournalRow, ...] = ()
    deviations: tuple[int, ...] = ()  # numbers of the list of deviations

    @property
    def seconds(self) -> float:
        return (self.end - self.begin).total_seconds()


class StepRecord(_Part):
    """A numbered row of the document."""

    number: int
    key: str
    title: str
    note: str  # where the document had to be read together with another row
    during: tuple[int, ...]  # alarms that the row lists while its act runs
    after: tuple[int, ...]  # ... and afterwards
    iterations: tuple[Iteration, ...] = ()


class ProcedureRecord(_Part):
    number: str
    title: str
    steps: tuple[StepRecord, ...]
    other_evidence: tuple[EvidenceFile, ...] = ()  # of the procedure, of no row of it

    @property
    def begun(self) -> bool:
        return any(step.iterations for step in self.steps)


class Kind(StrEnum):
    """What kind of deviation."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    OVERRIDE = "override"
    ACCEPTED_ALARM = "accepted alarm"
    RELEASE = "released"
    STOP = "stop"
    BY_HAND = "done by hand"
    ADOPTED = "adopted"
    LOST = "answer lost"
    REFUSED = "refused"
    LATE = "late"
    UNFINISHED = "not finished"
    UNKEPT = "not kept"
    OUT_OF_WINDOW = "outside of the window"
    SKIPPED = "skipped"
    READ_OTHERWISE = "read otherwise"


class Deviation(_Part):
    """Where the night was not the plain procedure, and why."""

    number: int
    kind: Kind
    at: datetime
    step: str  # such as 10.2/7; "" for what belongs to no row
    scopes: tuple[str, ...]
    by: str  # the person; "" when nobody decided it
    what: str
    reason: str


class HoldRecord(_Part):
    id: str
    kind: str  # trouble | question
    step: str
    scope: str
    rule: str
    reason: str
    remedy: str
    opened: datetime
    closed: datetime | None
    closed_why: str | None
    answer: str | None
    by: str
    why: str
    answered: datetime | None


class Run(_Part):
    """A process that worked on the campaign."""

    id: str
    flow: str
    scope: str
    host: str
    pid: int
    begin: datetime
    end: datetime | None
    how: str


class Person(_Part):
    initials: str
    name: str
    said: tuple[str, ...]


class Confirmed(_Part):
    item: str
    by: str
    text: str
    source: str
    at: datetime


class ServerSpell(_Part):
    """How a server stood from ``begin`` to ``end``, as the readings showed it."""

    server: str
    begin: datetime
    end: datetime
    role: str
    release: str | None
    doing: str
    backout: bool
    sync_broken: bool


class ServerNow(_Part):
    """A server as it was last seen."""

    name: str
    cluster: str
    role: str
    release: str
    doing: str


class ChainHead(_Part):
    """The chain as it was before this page was added to it."""

    entries: int
    head: str


class Record(_Part):
    format: str = FORMAT
    document: str = "E75412-01"
    site: str
    campaign: str
    source: str
    target: str
    begun: datetime
    ended: datetime | None
    how: str | None
    written: datetime
    mopflow: str
    outcome: str  # one sentence
    people: tuple[Person, ...]
    runs: tuple[Run, ...]
    servers: tuple[ServerNow, ...]
    servers_at: datetime | None
    procedures: tuple[ProcedureRecord, ...]
    deviations: tuple[Deviation, ...]
    holds: tuple[HoldRecord, ...]
    confirmed: tuple[Confirmed, ...]
    other_evidence: tuple[EvidenceFile, ...] = ()  # of a chapter
    notes: tuple[JournalRow, ...] = ()  # of the journal that belong to no numbered row
    strays: tuple[str, ...] = ()  # files that lie in the folder and that the ledger does not know
    other_commands: tuple[Command, ...] = ()  # that no step has sent
    spells: tuple[ServerSpell, ...] = ()  # what the timeline is drawn from
    alarms: tuple[AlarmSeen, ...] = ()  # every alarm that was seen
    chain: ChainHead = Field(default=ChainHead(entries=0, head=""))

    @property
    def iterations(self) -> list[tuple[StepRecord, Iteration]]:
        return [
            (step, one)
            for procedure in self.procedures
            for step in procedure.steps
            for one in step.iterations
        ]
