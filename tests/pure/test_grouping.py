"""Which messages go out when: nothing is lost, nothing goes out twice, no hold waits, a storm is one message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopflow.grouping import Grouper, Rates
from mopflow.messages import MANNERS, Haste, Kind, Message, write

BEGAN = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
RATES = Rates(gather=30, at_most=3, per=300)


def message(kind: Kind, number: int = 0, at: float = 0.0) -> Message:
    return write(
        kind, "lab", "night-1", f"number {number}", f"what {number}", at=BEGAN + timedelta(seconds=at)
    )


def parts(messages: list[Message]) -> list[Message]:
    return [part for one in messages for part in (one.parts or (one,))]


def test_a_storm_of_alarms_is_one_message() -> None:
    grouper = Grouper(RATES)
    for n in range(200):
        assert grouper.take(message(Kind.ALARM, n), n * 0.1) == []
    assert grouper.due(29.9) == []
    assert grouper.next_at() == 30
    (storm,) = grouper.due(30)
    assert storm.subject == "ALARM 200 unexpected alarms (lab)"
    assert [f"what {n}" in storm.what for n in range(200)] == [True] * 200
    assert grouper.next_at() is None


def test_a_storm_that_goes_on_is_told_again_only_after_a_while() -> None:
    grouper = Grouper(RATES)
    grouper.take(message(Kind.ALARM, 1), 0)
    assert len(grouper.due(30)) == 1
    for second in range(31, 329):
        grouper.take(message(Kind.ALARM, second), second)
        assert grouper.due(second) == []
    (later,) = grouper.due(330)
    assert len(later.parts) == 298


def test_one_alarm_alone_is_told_as_it_is() -> None:
    grouper = Grouper(RATES)
    alone = message(Kind.ALARM)
    grouper.take(alone, 5)
    assert grouper.due(35) == [alone]


def test_too_many_messages_to_the_same_people_go_out_as_one() -> None:
    grouper = Grouper(RATES)
    went = [grouper.take(message(Kind.FAILURE, n), n) for n in range(6)]
    assert [len(each) for each in went] == [1, 1, 1, 0, 0, 0]
    assert grouper.next_at() == 300  # the first one went at 0
    assert grouper.due(299) == []
    (rest,) = grouper.due(300)
    assert rest.subject == "3 messages: 3 failure (lab)"
    assert [part.what for part in rest.parts] == ["what 3", "what 4", "what 5"]


def test_people_are_not_kept_waiting_for_what_others_are_told() -> None:
    grouper = Grouper(RATES)
    for n in range(4):
        grouper.take(message(Kind.FAILURE, n), n)  # duty and manager
    assert len(grouper.take(message(Kind.CLUSTER_DONE), 5)) == 1  # duty alone


def test_a_hold_goes_out_at_once_while_everything_else_waits() -> None:
    grouper = Grouper(RATES)
    for n in range(50):
        grouper.take(message(Kind.FAILURE, n), n * 0.01)
        grouper.take(message(Kind.ALARM, n), n * 0.01)
    hold = message(Kind.HOLD)
    assert grouper.take(hold, 1) == [hold]


def test_the_end_of_a_run_leaves_nothing_behind() -> None:
    grouper = Grouper(RATES)
    for n in range(5):
        grouper.take(message(Kind.FAILURE, n), 0)
        grouper.take(message(Kind.ALARM, n), 0)
    assert sorted(len(parts([one])) for one in grouper.flush()) == [2, 5]
    assert grouper.flush() == []


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_people_and_its_subject(kind: Kind) -> None:
    manner = MANNERS[kind]
    assert manner.tags
    assert "{about}" in manner.subject and "{site}" in manner.subject


arrivals = st.lists(
    st.tuples(st.sampled_from(list(Kind)), st.floats(0, 120, allow_nan=False)), min_size=1, max_size=60
)
rates = st.builds(
    Rates, gather=st.floats(0, 60, allow_nan=False), at_most=st.integers(1, 5), per=st.floats(1, 400)
)


@given(arrivals, rates)
def test_nothing_is_lost_nothing_is_told_twice_and_no_hold_waits(
    arrivals: list[tuple[Kind, float]], rates: Rates
) -> None:
    """Driven as the thread drives it: at each arrival, and at each time that `next_at` names."""
    grouper = Grouper(rates)
    now, sent, taken = 0.0, [], []
    for number, (kind, pause) in enumerate(arrivals):
        until = now + pause
        while (due := grouper.next_at()) is not None and due <= until:
            now = max(now, due)
            gone = grouper.due(now)
            assert gone, "next_at named a time at which nothing was due"
            sent += gone
        now = until
        one = message(kind, number, now)
        taken.append(one)
        at_once = grouper.take(one, now)
        if one.haste is Haste.NOW:
            assert at_once == [one]
        sent += at_once + grouper.due(now)
    sent += grouper.flush()
    assert sorted(id(part) for part in parts(sent)) == sorted(id(one) for one in taken)
    for one in sent:
        whats = [part.what for part in (one.parts or (one,))]
        assert all(what in one.what for what in whats)
        assert whats == sorted(whats, key=lambda what: int(what.split()[1]))
        assert {part.tags for part in (one.parts or (one,))} == {one.tags}


@given(arrivals, rates)
def test_the_same_people_never_get_more_than_the_site_wants(
    arrivals: list[tuple[Kind, float]], rates: Rates
) -> None:
    grouper = Grouper(rates)
    now = 0.0
    went: dict[object, list[float]] = {}

    def note(messages: list[Message]) -> None:
        for one in messages:
            times = went.setdefault(one.tags, [])
            if one.haste is Haste.SOON:
                assert len([t for t in times if t + rates.per > now]) < rates.at_most
            if one.haste is not Haste.GATHERED:
                times.append(now)

    for kind, pause in arrivals:
        until = now + pause
        while (due := grouper.next_at()) is not None and due <= until:
            now = max(now, due)
            note(grouper.due(now))
        now = until
        note(grouper.take(message(kind), now))
        note(grouper.due(now))
