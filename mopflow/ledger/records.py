"""What stands in the ledger, as values. Times are UTC and aware everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Event(StrEnum):
    """What a row of the journal says of a step (section 3 of the design)."""

    OBSERVED = "observed"
    FOUND_DONE = "found done"
    ADOPTED = "adopted"
    INTENDED = "intended"  # committed before the act
    ACTED = "acted"
    REFUSED = "refused"
    LOST = "lost"  # sent, and the answer did not come
    VERIFIED = "verified"
    SKIPPED = "skipped"
    HELD = "held"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to be written into the journal. ``data`` is JSON; ``token`` ties an act to its intention."""

    procedure: str
    step: int
    leg: str
    cluster: str | None
    event: Event
    text: str
    server: str | None = None
    token: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the journal; the order of ``id`` is the order of the journal."""

    id: int
    site: str
    campaign: str
    executor: str
    at: datetime
    entry: Entry


@dataclass(frozen=True, slots=True)
class Campaign:
    id: str
    site: str
    source: str
    target: str
    begun: datetime
    ended: datetime | None
    how: str | None


@dataclass(frozen=True, slots=True)
class Executor:
    """A process that works on a campaign. ``host``, ``pid``, ``born`` are those of its ProcessMark."""

    id: str
    campaign: str
    site: str
    flow: str
    scope: str
    host: str
    pid: int
    born: float
    begun: datetime
    ended: datetime | None
    how: str | None


class HoldKind(StrEnum):
    """Why work waits for a person."""

    TROUBLE = "trouble"  # something is not as it should be
    QUESTION = "question"  # all is well; the site wants this act confirmed


class Choice(StrEnum):
    """What a person can answer to a hold; the value is what is typed."""

    GO = "go"  # do it
    AGAIN = "again"  # the cause is mended: look at the live system anew
    LEAVE = "leave"  # the work on this scope ends here; the hold stays for the next run


@dataclass(frozen=True, slots=True)
class Hold:
    """A place where work waits for a person; it ends only when somebody closes it.

    ``typed``: the name that has to be typed with a GO. ``asked``: what of the system the question rests on; an answer
    counts only while that is still so. ``told``: when people were last told of it, ``told_times``: how often.
    """

    id: str
    site: str
    campaign: str
    cluster: str | None
    procedure: str
    step: int
    rule: str  # "R8", ..., "" when no rule of the design stands behind it
    reason: str
    remedy: str
    seen: Mapping[str, Any] = field(hash=False)
    opened: datetime
    closed: datetime | None = None
    closed_why: str | None = None
    kind: HoldKind = HoldKind.TROUBLE
    choices: tuple[Choice, ...] = (Choice.AGAIN, Choice.LEAVE)
    typed: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict, hash=False)
    told: datetime | None = None
    told_times: int = 0


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """What a person answered to a hold. ``via``: through what it came (Prefect, the command line)."""

    hold: str
    choice: Choice
    by: str
    why: str
    via: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A person asked every run of a site to stop: at its next harbour, or (``now``) before its next act."""

    id: int
    site: str
    now: bool
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """A place of a limit that an executor holds; ``id`` is the id of the lease at the giver."""

    id: str
    site: str
    executor: str
    slot: str
    cluster: str
    taken: datetime
    released: datetime | None = None


@dataclass(frozen=True, slots=True)
class BoardLine:
    """What one cluster is doing now: one line of the live board."""

    cluster: str
    procedure: str
    step: int
    title: str
    since: datetime
    usual_until: datetime | None
    late_at: datetime | None
    waits_for: str
    state: str  # working | waiting | done | held | failed


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file of the evidence store; ``path`` is relative to its root, ``size`` in bytes."""

    id: int
    campaign: str
    site: str
    procedure: str
    step: int
    cluster: str | None
    kind: str
    path: str
    sha256: str
    size: int
    at: datetime


class CheckOutcome(StrEnum):
    """What came of a check of the preparation."""

    OK = "ok"
    FAILED = "failed"
    NOT_NEEDED = "not needed"
    OVERRIDDEN = "overridden"  # a person has taken it upon themselves


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One result of the preparation. ``until``: it counts no longer than this; None: until the system changes."""

    check: str
    server: str | None  # None: of the whole system
    outcome: CheckOutcome
    text: str
    at: datetime
    until: datetime | None = None
    by: str | None = None  # who overrode it
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a person has confirmed. ``source``: where the word came from ("person", or "lab.answers" on a twin)."""

    item: str
    by: str
    text: str
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification and what became of it. ``tags``: words, whom it was for; ``tries``: how often it was sent."""

    id: int
    site: str
    campaign: str | None
    subject: str
    delivered: bool
    why: str
    at: datetime
    kind: str = ""
    body: str = ""
    tags: str = ""
    tries: int = 1
