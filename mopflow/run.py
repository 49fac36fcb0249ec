"""The one loop in which decision, ledger and system meet: every numbered step passes through `carry_out`.

Look at the live system; finished already: say so. Running already: adopt it. Else ask the rules, write the
intention, act, and verify on the live system. What cannot be decided becomes a hold.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mopflow import approvals, gate_window, released, stops
from mopflow.asking import stop_if_stopped
from mopflow.confirmations import backout_unconfirmed
from mopflow.decide import Move, Progress, next_move
from mopflow.errors import (
    CommandFailed,
    IdentityChanged,
    LoginRefused,
    MayHaveRun,
    NotAnnounced,
    NothingRun,
    UnreadableReply,
)
from mopflow.eye import Reading
from mopflow.here import Here, Scope
from mopflow.holds import hold
from mopflow.house import House, Line, snapshot_document
from mopflow.ledger import Event, Row
from mopflow.rules import TROUBLE
from mopflow.site import Autonomy, AutonomyKind
from mopflow.slots import Slot
from mopflow.step import Answer, Finding, Leg, Question, Refusal, Step
from mopflow.system import Doing

RESOURCES = frozenset({"R2", "R3"})  # waiting for these has no end of its own: other clusters are at work
FINAL = (LoginRefused, IdentityChanged)  # trying again would do harm
UNREAD = (NothingRun, UnreadableReply, CommandFailed, MayHaveRun)  # of a question: its answer is unknown
REFUSALS = 2  # so often an act may be refused before a person looks


class Outcome(StrEnum):
    FOUND_DONE = "found done"
    DONE = "done"
    ADOPTED = "adopted"
    SKIPPED = "skipped"
    NOT_YET = "not yet"  # a glance inside of one decision; looked at again after it


@dataclass(frozen=True, slots=True)
class Result:
    outcome: Outcome
    text: str


def carry_out(step: Step, scope: Scope, house: House, *, glance: bool = False) -> Result:
    """Carry out one row on one scope and return what came of it.

    ``glance``: answer at once instead of waiting for the goal (10.2/6 between a failover and its traffic proof).
    Raises Held when a person has to look, and another MopflowError when this run cannot go on at all.
    """
    with house.at_work(step, scope) as line:
        here = Here(house, step, scope, first_reading(house, step, scope), line)
        results = []
        for leg in step.legs:
            here.leg = leg
            here.memo.pop("rule", None)
            here.memo.pop(TROUBLE, None)
            results.append(_Leg(here, leg, line, glance).run())
        house.finish_shots(here)
        result = _sum(results)
        line.ended(result.outcome.value, result.text)
        return result


def _sum(results: list[Result]) -> Result:
    order = (Outcome.NOT_YET, Outcome.DONE, Outcome.ADOPTED, Outcome.FOUND_DONE, Outcome.SKIPPED)
    outcome = next(o for o in order if any(r.outcome is o for r in results))
    return Result(outcome, "; ".join(r.text for r in results if r.text))


def first_reading(house: House, step: Step, scope: Scope) -> Reading:
    """A reading to begin with, not older than one pace of the eye.

    The console may be away for a while (a CMP switch); a refused login is final.
    """
    begun = time.monotonic()
    patience = begun + house.site.pace.failover.late
    while True:
        try:
            return house.eye.after(begun - house.site.pace.every)
        except FINAL as refused:
            if house.eye.latest is None:
                raise
            hold(Here(house, step, scope, house.eye.latest), Refusal(_word(refused), str(refused)))
        except (NothingRun, UnreadableReply):
            if time.monotonic() > patience:
                raise
            begun = time.monotonic()


def _word(error: Exception) -> str:
    return "login" if isinstance(error, LoginRefused) else "identity"


class _Leg:
    """One act of a row on its way to its goal."""

    def __init__(self, here: Here, leg: Leg, line: Line, glance: bool) -> None:
        self.here = here
        self.leg = leg
        self.line = line
        self.glance = glance
        self.site = here.site
        self.progress = Progress.NEW
        self.intention: Row | None = None
        self.since = datetime.now(UTC)  # patience counts from here
        self.acted = False
        self.adopted = False
        self.refusals: list[str] = []
        self.troubled = 0
        self.blind: str | None = None  # why the newest reading failed

    def run(self) -> Result:
        if self.leg.applies is not None:
            applies = self._ask(self.leg.applies)
            if applies.answer is Answer.NO:
                self.here.record(Event.SKIPPED, applies.evidence)
                return Result(Outcome.SKIPPED, applies.evidence)
        self._remember()
        good = 0
        while True:
            self._check_trouble()
            goal = self._goal() if self.blind is None else Finding.unknown(self.blind)
            good = good + 1 if goal.is_yes else 0
            if good >= self._readings():
                return self._finish(goal)
            if goal.is_yes:
                self._next_reading("the goal holds, reading it once more")
                continue
            move, why, objections = self._decide(goal)
            if self.glance and move is not Move.ACT:
                self.here.record(Event.OBSERVED, goal.evidence, data={"not_yet": True})
                return Result(Outcome.NOT_YET, goal.evidence)
            match move:
                case Move.ACT:
                    self._act()
                case Move.WAIT:
                    self._next_reading(why)
                case Move.HOLD if self.leg.no_is_an_answer and goal.answer is Answer.NO:
                    self.here.memo[self.leg.name] = goal
                    self.here.record(Event.OBSERVED, f"no: {goal.evidence}")
                    return Result(Outcome.DONE, goal.evidence)
                case _:
                    self._hold(goal, objections)

    # deciding

    def _readings(self) -> int:
        if self.leg.act is None:
            return 1
        return self.leg.readings or self.site.pace.stable_readings

    def _remember(self) -> None:
        """What the ledger knows of this act in this campaign."""
        rows = self.here.rows(
            Event.INTENDED,
            Event.ACTED,
            Event.LOST,
            Event.REFUSED,
            Event.VERIFIED,
            Event.HELD,
            leg=self.leg.name,
        )
        for row in rows:
            match row.entry.event:
                case Event.INTENDED:
                    self.progress, self.intention = Progress.INTENDED, row
                case Event.ACTED:
                    self.progress = Progress.ANSWERED
                case Event.REFUSED | Event.VERIFIED:
                    # verified once and not so any more: reality outranks the ledger, it is new work
                    self.progress, self.intention = Progress.NEW, None
                case Event.HELD if self.progress is Progress.ANSWERED:
                    # the act was accepted and a person was called; started again, the live system decides
                    self.progress, self.intention = Progress.NEW, None
                case _:
                    pass
        if self.intention is not None and self.progress is not Progress.NEW:
            self.since = self.intention.at
            if rows[-1].entry.event is Event.INTENDED:
                # its process died before the answer; the moment counts as that of a start (R3)
                entry = self.intention.entry
                text = "the run that asked for it ended before its answer"
                self.here.record(Event.LOST, text, token=entry.token, server=entry.server)
            self._show_begun()

    def _decide(self, goal: Finding) -> tuple[Move, str, list[Refusal]]:
        leg = self.leg
        under_way = self._ask(leg.under_way) if leg.under_way is not None else Finding.no("")
        if under_way.is_yes and not self.adopted and self.progress is Progress.NEW:
            self.adopted = True
            self.progress = Progress.ANSWERED  # somebody's act was accepted: it is not sent beside it
            self.since = datetime.now(UTC)
            self.here.record(Event.ADOPTED, under_way.evidence)
            self._show_begun()
        trace = Finding.no("")
        if self.progress is Progress.INTENDED:
            trace = (
                self._ask(leg.trace)
                if leg.trace is not None
                else Finding.unknown("it leaves no trace to look for")
            )
        objections: list[Refusal] = []
        may_act = leg.act is not None and goal.answer is Answer.NO and under_way.answer is Answer.NO
        if may_act and self.progress is not Progress.ANSWERED and trace.answer is Answer.NO:
            objections = self._objections()
        passing = bool(objections) and all(o.passing for o in objections)
        if passing and all(o.rule in RESOURCES for o in objections):
            self.since = datetime.now(UTC)  # others are at work, our own patience has not begun
        move = next_move(
            self.progress,
            goal.answer,
            under_way.answer,
            trace.answer,
            objection=bool(objections),
            passing=passing,
            can_act=leg.act is not None,
            time_left=datetime.now(UTC) < self._patience(),
        )
        why = (
            "; ".join(str(o) for o in objections)
            or (under_way.evidence if under_way.answer is not Answer.NO else "")
            or goal.evidence
        )
        return move, why, objections

    def _objections(self) -> list[Refusal]:
        try:
            found = list(gate_window.past_latest_start(self.here)) or list(self.leg.guard(self.here))
        except FINAL as refused:
            hold(self.here, Refusal(_word(refused), str(refused)))
        except UNREAD as away:
            found = [Refusal("", f"the safety rules cannot be asked: {away}", passing=True)]
        autonomy = self.here.house.site.autonomy.of(self.leg.autonomy)
        if autonomy is Autonomy.CONFIRM and self.leg.autonomy is AutonomyKind.BACKOUT:
            found += backout_unconfirmed(self.here)
        if not found:
            found += stops.objections(self.here)
        if not found and self.leg.autonomy is not AutonomyKind.BACKOUT:
            found += approvals.unapproved(self.here, self.leg)  # last: all else is as it should be
        return found

    def _patience(self) -> datetime:
        if self.leg.until is not None:
            return self.leg.until(self.here)
        return self.since + self.here.late(self.leg.deadline)

    def _check_trouble(self) -> None:
        """R8, in every reading: a Zombie, a failed operation, a state that the procedure does not know."""
        if self.here.scope.cluster is None or self.blind is not None:
            return  # a reading that failed says nothing: an old one is not counted twice
        state = self.here.state
        house = self.here.house
        refusal = released.trouble(house.ledger, house.site.name, self.here.reading, state.name)
        if refusal is None:
            self.troubled = 0
            return
        self.troubled += 1
        if self.troubled > self.site.pace.stable_readings:
            hold(self.here, refusal, state.why)
        self._next_reading(refusal.reason)
        self._check_trouble()

    def _goal(self) -> Finding:
        """Is the goal reached? Where the scope's servers cannot be read, a no is only not known."""
        found = self._ask(self.leg.goal)
        if found.answer is Answer.NO and self.here.unreadable:
            return Finding.unknown(found.evidence)
        return found

    def _ask(self, question: Question) -> Finding:
        """Ask the live system; what cannot be read is unknown, a refused login is a hold."""
        try:
            return question(self.here)
        except FINAL as refused:
            hold(self.here, Refusal(_word(refused), str(refused)))
        except UNREAD as failed:
            return Finding.unknown(str(failed))

    # acting

    def _act(self) -> None:
        slot = self.leg.slot
        # inside of a place that is held already (a re-apply after its failover) nothing was waited for
        asks = slot is not None and not self.here.house.slots.holds(slot, str(self.here.scope))
        with self._slot():
            if asks and not self._still_wanted():
                return
            if self._send() and self.leg.settled is not None and self.progress is not Progress.NEW:
                self._settle()

    def _still_wanted(self) -> bool:
        """The place may have taken long to get: everything is asked again, right before the act."""
        self._look(alarms=True)
        if self.blind is not None or self._goal().answer is not Answer.NO:
            return False
        if self.leg.under_way is not None and self._ask(self.leg.under_way).answer is not Answer.NO:
            return False
        objections = self._objections()
        if not objections:
            return True
        if not all(o.passing for o in objections):
            self._hold(Finding.no(""), objections)
        self._next_reading("; ".join(str(o) for o in objections))
        return False

    def _slot(self) -> AbstractContextManager[None]:
        if self.leg.slot is None:
            return nullcontext()
        return self.here.house.slots.take(
            self.leg.slot, str(self.here.scope), first=self.here.urgent, waiting=self._waits_for_slot
        )

    def _waits_for_slot(self, reason: str) -> None:
        self.line.waits(reason)
        if self.leg.slot is Slot.START:  # a re-apply is neither a start nor a failover (R8)
            stop_if_stopped(self.here)

    def _send(self) -> bool:
        """Write the intention and act. False: what belongs into the intention could not be read, nothing was done."""
        here, leg = self.here, self.leg
        assert leg.act is not None
        if (
            not here.step.after_harbour
        ):  # a decision that was begun is ended as long as its rows can be written
            here.house.require_room()
        try:
            mark = dict(leg.mark(here)) if leg.mark is not None else {}
        except FINAL as refused:
            hold(here, Refusal(_word(refused), str(refused)))
        except UNREAD as away:
            self._next_reading(f"what stands before the act cannot be read: {away}")
            return False
        server = mark.pop("server", None)
        token = secrets.token_hex(8)
        self.line.acts(f"acting: {here.step.title}")
        self.intention = here.record(Event.INTENDED, here.step.title, token=token, server=server, data=mark)
        self.progress = Progress.INTENDED
        self.since = datetime.now(UTC)
        self.acted = True
        here.house.acts += 1
        try:
            leg.act(here)
        except FINAL as refused:
            here.record(Event.REFUSED, str(refused), token=token, server=server)
            hold(here, Refusal(_word(refused), str(refused)))
        except (NothingRun, CommandFailed) as refused:
            here.record(Event.REFUSED, str(refused), token=token, server=server)
            self.progress = Progress.NEW
            here.house.acts -= 1
            self.acted = False
            self._refused(str(refused), isinstance(refused, NotAnnounced))
        except (MayHaveRun, UnreadableReply) as lost:
            here.record(Event.LOST, str(lost), token=token, server=server)
            self._show_begun()
        else:
            here.record(Event.ACTED, here.step.title, token=token, server=server)
            self.progress = Progress.ANSWERED
            self._show_begun()
        self._next_reading("reading what came of it")
        return True

    def _refused(self, why: str, not_announced: bool) -> None:
        """Nothing was run. Once it may be a stale page or another person's click; then a person looks."""
        self.refusals.append(why)
        self.since = datetime.now(UTC)
        if len(self.refusals) < REFUSALS:
            return
        self._look()
        under_way = self._ask(self.leg.under_way) if self.leg.under_way is not None else Finding.no("")
        if self.blind or under_way.answer is not Answer.NO or self._goal().answer is not Answer.NO:
            return
        rule = "R8" if not_announced else ""
        hold(self.here, Refusal(rule, why), "\n".join(self.refusals))

    def _settle(self) -> None:
        """Keep the place until the start has shown itself (R3: not before the one before shows OOS)."""
        assert self.leg.settled is not None
        until = datetime.now(UTC) + timedelta(seconds=self.site.pace.short.late)
        while datetime.now(UTC) < until:
            shown = self._ask(self.leg.settled)
            if shown.is_yes and self.blind is None:
                return
            self._next_reading(f"the start shows itself: {shown.evidence}")

    # time and ending

    def _show_begun(self) -> None:
        kind = self.leg.deadline
        self.line.begun(self.since, self.here.usual(kind), self.here.late(kind))

    def _next_reading(self, why: str) -> None:
        late_at = None if self.leg.until is not None else self.since + self.here.late(self.leg.deadline)
        self.line.waits(self._with_progress(why), late_at)
        self._look()

    def _with_progress(self, why: str) -> str:
        if self.here.scope.cluster is None:
            return why
        busy = next((s for s in self.here.state.servers if s.operation.doing is Doing.RUNNING), None)
        return f"{busy.name}: {busy.operation.text}" if busy is not None else why

    def _look(self, *, alarms: bool = False) -> None:
        try:
            self.here.look_again(alarms=alarms)
        except FINAL as refused:
            hold(self.here, Refusal(_word(refused), str(refused)))
        except (NothingRun, UnreadableReply) as away:
            self.blind = f"the console cannot be read: {away}"
            self.line.waits(self.blind)
        else:
            self.blind = None

    def _finish(self, goal: Finding) -> Result:
        here = self.here
        if self.leg.act is None:
            event, outcome = Event.OBSERVED, Outcome.DONE
        elif self.progress is Progress.NEW and not self.adopted:
            event, outcome = Event.FOUND_DONE, Outcome.FOUND_DONE
        else:
            event = Event.VERIFIED
            outcome = Outcome.ADOPTED if self.adopted else Outcome.DONE
        here.record(event, goal.evidence, data=here.memo.pop("data", None))
        if outcome is not Outcome.FOUND_DONE:
            here.keep("seen.json", json.dumps(snapshot_document(here.reading), indent=1), "snapshot")
        return Result(outcome, goal.evidence)

    def _hold(self, goal: Finding, objections: list[Refusal]) -> None:
        if objections:
            first = objections[0]
            hold(self.here, Refusal(first.rule, "; ".join(o.reason for o in objections)), goal.evidence)
        if self.progress is Progress.INTENDED:
            reason = f"whether the act ran cannot be told; it is not sent again. {goal.evidence}"
        elif self.adopted or self.progress is Progress.ANSWERED:
            reason = f"it is late: {goal.evidence}"
        else:
            reason = goal.evidence
        hold(self.here, Refusal(self.here.memo.get("rule", ""), reason), goal.evidence)
