"""The next move: a table of the cases that matter, and what holds in every combination."""

from __future__ import annotations

from itertools import product

import pytest

from mopflow.decide import Move, Progress, next_move
from mopflow.step import Answer

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN
NEW, INTENDED, ANSWERED = Progress.NEW, Progress.INTENDED, Progress.ANSWERED
COMBINATIONS = list(
    product(Progress, Answer, Answer, Answer, (False, True), (False, True), (False, True), (False, True))
)


def move(
    progress: Progress = NEW,
    goal: Answer = NO,
    under_way: Answer = NO,
    trace: Answer = NO,
    *,
    objection: bool = False,
    passing: bool = False,
    can_act: bool = True,
    time_left: bool = True,
) -> Move:
    return next_move(
        progress,
        goal,
        under_way,
        trace,
        objection=objection,
        passing=passing,
        can_act=can_act,
        time_left=time_left,
    )


@pytest.mark.parametrize(
    "what, wanted",
    [
        ({}, Move.ACT),
        ({"goal": YES}, Move.FINISH),
        ({"goal": YES, "under_way": YES, "progress": INTENDED, "objection": True}, Move.FINISH),
        ({"goal": UNKNOWN}, Move.WAIT),
        ({"goal": UNKNOWN, "time_left": False}, Move.HOLD),
        ({"under_way": YES}, Move.WAIT),
        ({"under_way": UNKNOWN}, Move.WAIT),
        ({"under_way": YES, "time_left": False}, Move.HOLD),
        ({"progress": ANSWERED}, Move.WAIT),
        ({"progress": ANSWERED, "time_left": False}, Move.HOLD),
        ({"progress": INTENDED, "trace": NO}, Move.ACT),
        ({"progress": INTENDED, "trace": YES}, Move.WAIT),
        ({"progress": INTENDED, "trace": UNKNOWN}, Move.WAIT),
        ({"progress": INTENDED, "trace": UNKNOWN, "time_left": False}, Move.HOLD),
        ({"objection": True}, Move.HOLD),
        ({"objection": True, "passing": True}, Move.WAIT),
        ({"objection": True, "passing": True, "time_left": False}, Move.HOLD),
        ({"can_act": False}, Move.WAIT),
        ({"can_act": False, "time_left": False}, Move.HOLD),
    ],
)
def test_table(what: dict[str, object], wanted: Move) -> None:
    assert move(**what) is wanted  # type: ignore[arg-type]


def test_every_combination() -> None:
    for progress, goal, under_way, trace, objection, passing, can_act, time_left in COMBINATIONS:
        case = (progress, goal, under_way, trace, objection, passing, can_act, time_left)
        got = next_move(
            progress,
            goal,
            under_way,
            trace,
            objection=objection,
            passing=passing,
            can_act=can_act,
            time_left=time_left,
        )
        assert (got is Move.FINISH) == (goal is YES), case
        may_act = (
            goal is NO
            and under_way is NO
            and can_act
            and not objection
            and (progress is NEW or (progress is INTENDED and trace is NO))
        )
        assert (got is Move.ACT) == may_act, case
        if got is Move.WAIT:
            assert time_left, case
        if got is Move.HOLD:
            refused = objection and not passing and goal is NO and under_way is NO and can_act
            assert not time_left or refused, case


def test_an_answered_act_is_never_sent_again() -> None:
    assert all(
        next_move(ANSWERED, goal, under, trace, objection=o, passing=p, can_act=c, time_left=t)
        is not Move.ACT
        for goal, under, trace, o, p, c, t in product(Answer, Answer, Answer, *[(False, True)] * 4)
    )
