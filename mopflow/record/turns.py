"""The journal of a campaign as turns: one carrying out of one row on one scope by one run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mopflow.acts import backout, configuration, images, maintenance, upgrade
from mopflow.ledger import Event, Executor, HoldAnswer, HoldKind, Row
from mopflow.ledger.records import Choice, Hold
from mopflow.procedures.table import PROCEDURES
from mopflow.record.model import Act, By, Hand, Result
from mopflow.scopes import clusters_of
from mopflow.site import Autonomy, AutonomyKind, Site
from mopflow.step import DeadlineKind, Leg, Step

WHOLE = "system"  # how a scope without a name is called
UNKEPT = "unkept"  # in the data of a note: something could not be written
NOT_YET = "not_yet"  # in the data of an observation: a glance that said no
_BACK_OUT = "back-out:"  # of the confirmations

# acts that move a cluster: that one of them was done by somebody else is worth a line of its own
MOVES = frozenset(
    {
        upgrade.start_server,
        upgrade.fail_over,
        upgrade.roll_back,
        configuration.reapply,
        images.choose_kit,
        maintenance.force_standby,
        maintenance.start_upgrade,
        maintenance.switch_force_standby,
        backout.start_backout,
        backout.fail_over_back,
        backout.back_out_in_maintenance,
        backout.cancel_forced_standby,
    }
)
_WELL = frozenset({"done", "held"})
_ENDS = frozenset(
    {Event.VERIFIED, Event.FOUND_DONE, Event.OBSERVED, Event.SKIPPED, Event.HELD, Event.REFUSED}
)
_STATES = frozenset({*_ENDS, Event.ADOPTED, Event.INTENDED, Event.ACTED, Event.LOST})


@dataclass(slots=True, eq=False)
class Turn:
    """One carrying out. ``step`` is None for a row that this program does not know."""

    key: tuple[str, int]
    scope: str
    executor: str
    rows: list[Row]
    number: int = 1  # 1: the first on this scope
    step: Step | None = None
    earlier: list[Turn] = field(default_factory=list)  # on the same row and scope

    @property
    def begin(self) -> datetime:
        return self.rows[0].at

    @property
    def end(self) -> datetime:
        return self.rows[-1].at

    def leg(self, name: str) -> Leg | None:
        return next((leg for leg in self.step.legs if leg.name == name), None) if self.step else None

    def events(self, *events: Event) -> list[Row]:
        return [row for row in self.rows if row.entry.event in events]

    @property
    def last_of_legs(self) -> dict[str, Row]:
        """The newest event of each leg that says how it stands."""
        return {row.entry.leg: row for row in self.rows if row.entry.event in _STATES}

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.entry.server for row in self.rows if row.entry.server))


def turns(rows: Iterable[Row]) -> list[Turn]:
    """In the order in which they began. Notes alone make no turn."""
    found: dict[tuple[str, int, str, str], Turn] = {}
    before: dict[tuple[str, int, str], list[Turn]] = {}
    rows = list(rows)
    worked = {_where(row) for row in rows if row.entry.event is not Event.NOTE or row.entry.data.get(UNKEPT)}
    for row in rows:
        key = _where(row)
        if key not in worked:
            continue
        turn = found.get(key)
        if turn is None:
            earlier = before.setdefault(key[:3], [])
            turn = Turn(key[:2], key[2], row.executor, [], len(earlier) + 1)
            turn.earlier = list(earlier)
            turn.step = step_of(*turn.key)
            earlier.append(turn)
            found[key] = turn
        turn.rows.append(row)
    return list(found.values())


def _where(row: Row) -> tuple[str, int, str, str]:
    return row.entry.procedure, row.entry.step, row.entry.cluster or WHOLE, row.executor


def step_of(procedure: str, number: int) -> Step | None:
    table = PROCEDURES.get(procedure)
    return next((s for s in table.steps if s.number == number), None) if table is not None else None


# what came of it


def result(turn: Turn, broken: bool) -> Result:
    """``broken``: its run ended, and neither well nor with a hold, so that what is open stays open."""
    last = turn.last_of_legs
    events = {row.entry.event for row in last.values()}
    if Event.HELD in events:
        return Result.HELD
    if rolled_back(turn):
        return Result.ROLLED_BACK
    if events & {Event.INTENDED, Event.ACTED, Event.LOST, Event.ADOPTED} or (
        broken and _lacks_legs(turn, last)
    ):
        return Result.UNFINISHED
    if Event.REFUSED in events:
        return Result.REFUSED
    if not events or events == {Event.SKIPPED}:
        return Result.SKIPPED if events else Result.UNFINISHED
    if any(row.entry.data.get(NOT_YET) for row in last.values()):
        return Result.NOT_YET
    if adopted(turn):
        return Result.ADOPTED
    acted = {row.entry.leg for row in turn.events(Event.INTENDED)}
    if acted or Event.FOUND_DONE not in events:
        return Result.DONE
    return Result.FOUND_DONE


def _lacks_legs(turn: Turn, last: Mapping[str, Row]) -> bool:
    """Did it end before all its legs were asked?"""
    if turn.step is None:
        return False
    whole = last.get("")
    if whole is not None and whole.entry.event is Event.SKIPPED:
        return False  # a flow skips a row as a whole
    return not {leg.name for leg in turn.step.legs} <= set(last)


def rolled_back(turn: Turn) -> bool:
    """R11: did this turn ask for the rollback of 10.2/7?"""
    return turn.key == ("10.2", 7) and any(
        row.entry.leg == "rollback" and row.entry.event in (Event.ACTED, Event.LOST, Event.VERIFIED)
        for row in turn.rows
    )


def adopted(turn: Turn) -> list[Row]:
    return turn.events(Event.ADOPTED)


def by_hand(turn: Turn) -> list[Row]:
    """Acts that move a cluster and that were found done, without one of ours before in this campaign."""
    mine = {
        row.entry.leg
        for one in (*turn.earlier, turn)
        for row in one.events(Event.INTENDED, Event.ADOPTED, Event.FOUND_DONE)
        if row.entry.event is not Event.FOUND_DONE or one is not turn
    }
    found = []
    for row in turn.events(Event.FOUND_DONE):
        leg = turn.leg(row.entry.leg)
        if leg is not None and leg.act in MOVES and row.entry.leg not in mine:
            found.append(row)
    return found


def text(turn: Turn) -> str:
    """What was said last of each leg."""
    return "; ".join(dict.fromkeys(row.entry.text for row in turn.last_of_legs.values() if row.entry.text))


def acts(turn: Turn) -> Iterator[Act]:
    """Each intention with what became of it."""
    for row in turn.events(Event.INTENDED):
        entry = row.entry
        later = [r for r in turn.rows if r.id > row.id and r.entry.leg == entry.leg]
        nearer = _until(later, Event.INTENDED)
        answers = [r for r in nearer if r.entry.token == entry.token]
        proofs = [r for r in nearer if r.entry.event is Event.VERIFIED]
        ends = [r for r in nearer if r.entry.event in _STATES]
        yield Act(
            leg=entry.leg,
            server=entry.server,
            intended=row.at,
            answered=next((r.at for r in answers if r.entry.event is Event.ACTED), None),
            verified=proofs[-1].at if proofs else None,
            outcome=(ends[-1] if ends else row).entry.event.value,
        )


def _until(rows: Sequence[Row], event: Event) -> list[Row]:
    found = []
    for row in rows:
        if row.entry.event is event:
            break
        found.append(row)
    return found


def late(turn: Turn, site: Site) -> Iterator[tuple[Act, DeadlineKind, float]]:
    """Acts that took longer than their deadline, with the seconds that they took."""
    for act in acts(turn):
        leg = turn.leg(act.leg)
        if leg is None or act.verified is None or leg.until is not None:
            continue
        seconds = (act.verified - act.intended).total_seconds()
        if seconds > getattr(site.pace, leg.deadline.value).late:
            yield act, leg.deadline, seconds


# by whom


@dataclass(frozen=True, slots=True)
class Word:
    """Something that a person said."""

    name: str
    at: datetime
    via: str


def words_of(rows: Iterable[Row]) -> list[Word]:
    """Confirmations that a row was answered from, as the journal keeps them."""
    found = []
    for row in rows:
        for value in row.entry.data.values():
            if isinstance(value, Mapping) and "by" in value and "at" in value:
                at = datetime.fromisoformat(value["at"])
                found.append(Word(str(value["by"]), at, str(value.get("source", ""))))
    return found


def asked(turn: Turn, holds: Iterable[Hold], answers: Mapping[str, HoldAnswer]) -> HoldAnswer | None:
    """The go that this turn acted upon, where the site wants it asked for."""
    after = turn.earlier[-1].end if turn.earlier else None
    intended = turn.events(Event.INTENDED)
    if not intended:
        return None
    given = [
        answers[hold.id]
        for hold in holds
        if hold.kind is HoldKind.QUESTION
        and (hold.procedure, hold.step, hold.cluster or WHOLE) == (*turn.key, turn.scope)
        and hold.id in answers
        and answers[hold.id].choice is Choice.GO
        and answers[hold.id].at <= intended[-1].at
        and (after is None or answers[hold.id].at > after)
    ]
    return max(given, key=lambda answer: answer.at, default=None)


def backout_word(turn: Turn, site: Site, confirmed: Iterable[tuple[str, str, datetime, str]]) -> Word | None:
    """Who has confirmed the backout that this turn is a part of. ``confirmed``: item, name, time, source."""
    legs = [turn.leg(row.entry.leg) for row in turn.events(Event.INTENDED)]
    if not any(leg is not None and leg.autonomy is AutonomyKind.BACKOUT for leg in legs):
        return None
    words = [
        Word(name, at, source)
        for item, name, at, source in confirmed
        if item.startswith(_BACK_OUT)
        and turn.scope in clusters_of(site, item.removeprefix(_BACK_OUT))
        and at <= turn.end
    ]
    return max(words, key=lambda word: word.at, default=None)


def by(
    turn: Turn,
    site: Site,
    holds: Iterable[Hold],
    answers: Mapping[str, HoldAnswer],
    confirmed: Iterable[tuple[str, str, datetime, str]],
    marks: Mapping[str, str],
) -> By:
    """``marks``: initials by name."""
    answer = asked(turn, holds, answers)
    if answer is not None:
        mark = marks.get(answer.by, answer.by)
        return By(hand=Hand.CONFIRMED, initials=mark, name=answer.by, when=answer.at, via=answer.via)
    word = backout_word(turn, site, confirmed)
    if word is not None:
        mark = marks.get(word.name, word.name)
        return By(hand=Hand.CONFIRMED, initials=mark, name=word.name, when=word.at, via=word.via)
    words = words_of(turn.rows)
    if words and not turn.events(Event.INTENDED):
        names = list(dict.fromkeys(word.name for word in words))
        newest = max(words, key=lambda one: one.at)
        return By(
            hand=Hand.PERSON,
            initials="/".join(marks.get(name, name) for name in names),
            name=", ".join(names),
            when=newest.at,
            via=newest.via,
        )
    legs = [turn.leg(row.entry.leg) for row in turn.events(Event.INTENDED)]
    if any(leg is not None and site.autonomy.of(leg.autonomy) is Autonomy.OBSERVE for leg in legs):
        return By(hand=Hand.PERSON)
    if not legs and (by_hand(turn) or adopted(turn)):
        return By(hand=Hand.NOT_US)
    return By(hand=Hand.AUTOMATIC)


def broken(turn: Turn, executors: Mapping[str, Executor]) -> bool:
    """Did the run of this turn end in the middle of things?"""
    run = executors.get(turn.executor)
    return run is not None and run.ended is not None and run.how not in _WELL
