"""Choose the next move for one act. Pure: every combination is in a table of the tests."""

from __future__ import annotations

from enum import StrEnum

from mopflow.step import Answer


class Progress(StrEnum):
    """What the ledger knows of the act."""

    NEW = "new"  # no intention, or the last one proved that nothing was run
    INTENDED = "intended"  # an intention without an answer: it may have run
    ANSWERED = "answered"  # the system accepted it


class Move(StrEnum):
    FINISH = "finish"
    WAIT = "wait"
    ACT = "act"
    HOLD = "hold"


def next_move(
    progress: Progress,
    goal: Answer,
    under_way: Answer,
    trace: Answer,
    *,
    objection: bool,
    passing: bool,
    can_act: bool,
    time_left: bool,
) -> Move:
    """Choose the next move.

    Reality outranks the ledger: a goal that holds is finished, whatever was recorded; an act that runs is adopted,
    whoever started it. Doubt outranks hope: with an unknown answer we wait, then hold. An act with an intention and
    no answer is sent again only when the system itself shows that it left no trace (``trace`` is NO).

    ``objection``: a safety rule refuses the act now; ``passing``: waiting may cure that.
    """
    patience = Move.WAIT if time_left else Move.HOLD
    if goal is Answer.YES:
        return Move.FINISH
    if goal is Answer.UNKNOWN or under_way is not Answer.NO:
        return patience
    if not can_act or progress is Progress.ANSWERED:
        return patience
    if progress is Progress.INTENDED and trace is not Answer.NO:
        return patience
    if objection:
        return patience if passing else Move.HOLD
    return Move.ACT
