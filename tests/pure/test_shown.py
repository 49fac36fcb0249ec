"""What `pytest --traces` asks for: each goal's three answers, and one list of what is lacking."""

from __future__ import annotations

from shown import ALWAYS_READABLE, NEVER_YES, Recorder, missing

from mopflow.procedures.table import PROCEDURES, step
from mopflow.step import Answer

LEGS = {(row.key, leg.name) for table in PROCEDURES.values() for row in table.steps for leg in row.legs}
THREE = {answer.value for answer in Answer}


def test_nothing_seen_lacks_every_goal() -> None:
    assert len(list(missing({}))) == len(LEGS)
    assert {line.split(" ")[0] for line in missing({})} == {key for key, _ in LEGS}


def test_all_seen_lacks_none() -> None:
    assert list(missing(dict.fromkeys(LEGS, THREE))) == []


def test_one_answer_that_nobody_saw() -> None:
    seen = dict.fromkeys(LEGS, THREE) | {
        ("10.2/4", ""): {"yes", "no"},
        ("12.3.3/1", "quiet"): {"yes", "unknown"},
    }
    assert list(missing(seen)) == [
        "10.2/4 goal: no test shows unknown"
    ]  # 12.3.3/1 only looks: no act, no before


def test_what_is_left_out_is_there() -> None:
    assert LEGS >= ALWAYS_READABLE | NEVER_YES


def test_what_one_process_heard_another_takes_over() -> None:
    row = step("10.2/4")
    one, other = Recorder(), Recorder()
    one.note(row, row.legs[0], Answer.NO)
    other.note(row, row.legs[0], Answer.YES)
    other.take(one.rows())
    assert other.seen == {("10.2/4", ""): {"no", "yes"}}
