"""The places that a cluster needs for several rows: its place among the four, and the failover with its proof.

What has to be asked of a person before such a place is taken is asked here, so that nobody waits in it for an answer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mopflow import approvals
from mopflow.asking import stop_if_stopped
from mopflow.errors import NothingRun, UnreadableReply
from mopflow.failovers import open_failovers, unproven
from mopflow.here import Here, Scope
from mopflow.holds import hold
from mopflow.house import House, Line
from mopflow.run import first_reading
from mopflow.slots import Slot
from mopflow.step import Refusal, Step
from mopflow.system import Stage
from mopflow.turning import goes_back

# where a cluster still needs the place: a finished one takes none
NEEDS = {
    Slot.CLUSTER: frozenset(Stage) - {Stage.DONE},
    Slot.FAILOVER: frozenset(Stage) - {Stage.DONE, Stage.SECOND_RUNNING},
    Slot.START: frozenset(Stage),
}
NEEDS_BACK = {
    Slot.CLUSTER: frozenset(Stage) - {Stage.FRESH},
    Slot.FAILOVER: frozenset(Stage) - {Stage.FRESH, Stage.FORCED, Stage.BACK_SECOND},
    Slot.START: frozenset(Stage),
}


@contextmanager
def place(house: House, slot: Slot, step: Step, scope: Scope) -> Iterator[None]:
    """Hold a place for the rows inside, if the live system says that the cluster still needs it.

    ``step`` is the row that the place is wanted for: its line on the board says what is waited for. Raises Held when
    another cluster stops meanwhile (R8).
    """
    reading = first_reading(house, step, scope)
    back = goes_back(step.procedure)
    if reading.state(str(scope)).stage not in (NEEDS_BACK if back else NEEDS)[slot]:
        yield
        return
    line = Line(house, step, scope)
    here = Here(house, step, scope, reading)

    def waiting(reason: str) -> None:
        line.waits(reason)
        stop_if_stopped(here)

    # whose failover stands open goes first: the place is for its re-apply and its proof
    switched = reading.state(str(scope)).stage is Stage.SWITCHED and not back
    if back:
        switched = str(scope) in open_failovers(house.ledger, house.site, reading.states)
    if slot is Slot.FAILOVER and not switched:
        # whoever failed over last goes first: the place must be free for its re-apply and its proof
        until = time.monotonic() + house.site.pace.failover.late + house.site.pace.reapply.late
        while (reason := unproven(here)) is not None:
            if time.monotonic() > until:
                hold(here, Refusal("R4", reason))
            waiting(reason)
            _look_again(here)
    with house.slots.take(slot, str(scope), first=switched, waiting=waiting):
        yield


def approval(house: House, step: Step, scope: Scope) -> str:
    """Before a place is taken of which there is only one: may this row's act be done? What was found, as a sentence.

    Waits while another cluster of the segment asks, or makes its failover. Raises Held with the question.
    """
    reading = first_reading(house, step, scope)
    state = reading.state(str(scope))
    if state.stage is not Stage.FIRST_DONE:
        return f"nothing is to be asked here: {state.why}"
    here = Here(house, step, scope, reading)
    line = Line(house, step, scope)
    patience = house.site.pace.failover.late + house.site.pace.reapply.late
    until = time.monotonic() + patience
    while True:
        with approvals.ASKING:
            refusal = approvals.unapproved_act(here)
            if refusal is None:
                return f"{step.title} may be done"
            asked = approvals.asked_in_segment(here) if refusal.passing else None
            if asked is not None and house.asker is not None:
                until = time.monotonic() + patience  # a question has no end
            elif asked is not None or not refusal.passing or time.monotonic() > until:
                hold(here, Refusal(refusal.rule, refusal.reason))
        line.waits(refusal.reason)
        _look_again(here)


def _look_again(here: Here) -> None:
    """The newest reading; while the console is away, the one before."""
    with contextlib.suppress(NothingRun, UnreadableReply):
        here.look_again()
