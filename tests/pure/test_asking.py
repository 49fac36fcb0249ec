"""Questions, answers and stops against a small system in memory and a real ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mopflow import answers, approvals, places
from mopflow.answers import Given
from mopflow.asking import stop_if_stopped, until_answered
from mopflow.console.protocol import Act, Intended
from mopflow.errors import BadInput, Held, Unreachable
from mopflow.here import Here, Scope
from mopflow.holds import hold
from mopflow.house import House
from mopflow.ledger import Choice, Event, Hold, HoldAnswer, HoldKind, Ledger
from mopflow.procedures.table import step
from mopflow.run import Outcome, carry_out
from mopflow.site import Autonomy
from mopflow.step import Refusal
from mopflow.system import Role
from tests.pure.small_system import Place, until

START, FAILOVER = Act.INITIATE_UPGRADE, Act.FAILOVER_TO_NEW
MPE = Scope(cluster="mpe-1")
TYPED = Given("go", "A. Engineer", typed="mpe-1")


@dataclass
class Person:
    """Answers holds as the test says, in the thread that asks; keeps what was asked."""

    ledger: Ledger
    answers: list[Given | Callable[[Hold], None]]
    asked: list[Hold] = field(default_factory=list)
    waits: int = 0

    def wait(self, row: Hold, over: Callable[[], bool]) -> HoldAnswer | None:
        self.asked.append(row)
        if self.answers:
            given = self.answers.pop(0)
            if callable(given):
                given(row)
            else:
                assert answers.give(self.ledger, row, given, "test") is None
        until(lambda: over() or self._answered(row))
        return self.ledger.answer_to(row.id)

    def _answered(self, row: Hold) -> bool:
        return self.ledger.answer_to(row.id) is not None or self.ledger.hold(row.id).closed is not None

    def wait_until(self, over: Callable[[], bool]) -> None:
        self.waits += 1
        until(over)


def asking(house: House, *given: Given | Callable[[Hold], None], **autonomy: Autonomy) -> Person:
    """The house of a site that wants acts confirmed, with somebody to ask."""
    rules = house.site.autonomy.model_copy(update=autonomy or {"first_failover": Autonomy.CONFIRM})
    house.site = house.site.model_copy(update={"autonomy": rules})
    person = Person(house.ledger, list(given))
    house.asker = person
    return person


def first_upgraded(place: Place, cluster: str = "mpe-1") -> None:
    place.system.begin(Intended(START, cluster, f"{cluster}b"))
    while any(work.cluster == cluster for work in place.system.work):
        place.system.tick()
    place.system.sent.clear()


def failover(house: House, cluster: str = "mpe-1") -> Outcome:
    row, scope = step("10.2/4"), Scope(cluster=cluster)
    return until_answered(house, lambda: carry_out(row, scope, house)).outcome


def notes(place: Place) -> list[str]:
    with place.ledger() as ledger:
        return [row.entry.text for row in ledger.rows(events=(Event.NOTE,))]


# a question and its answer


def test_the_act_is_done_after_a_go_and_not_before(place: Place) -> None:
    first_upgraded(place)
    with place.house() as house:

        def go(row: Hold) -> None:
            assert place.system.sent == []
            assert answers.give(house.ledger, row, TYPED, "test") is None

        person = asking(house, go)
        assert failover(house) is Outcome.DONE
        (asked,) = person.asked
        assert (asked.kind, asked.choices, asked.typed) == (
            HoldKind.QUESTION,
            (Choice.GO, Choice.LEAVE),
            "mpe-1",
        )
        assert asked.asked["system"]["mpe-1b"][0] == "Forced Standby"
        assert house.ledger.holds(house.site.name) == []
    assert len(place.system.sent) == 1
    assert any("A. Engineer (test) answers go" in text for text in notes(place))


def test_a_leave_ends_the_work_and_the_next_run_asks_anew(place: Place) -> None:
    first_upgraded(place)
    with place.house() as house:
        asking(house, Given("leave", "A. Engineer", "too late tonight"))
        with pytest.raises(Held, match="answers leave: too late tonight"):
            failover(house)
        assert house.ledger.holds(house.site.name) == []
    assert place.system.sent == []
    with place.house() as house:
        person = asking(house, TYPED)
        assert failover(house) is Outcome.DONE
        assert len(person.asked) == 1


def test_an_answer_to_a_question_that_is_no_longer_true_is_refused(place: Place) -> None:
    """Between question and answer a server went out of service: the GO is not for that."""
    first_upgraded(place)
    with place.house() as house:

        def too_late(row: Hold) -> None:
            place.system.boxes["mpe-1b"].role = Role.STANDBY
            assert answers.give(house.ledger, row, TYPED, "test") is None

        person = asking(house, too_late, Given("leave", "A. Engineer"))
        with pytest.raises(Held):
            failover(house)
        first, second = person.asked
        closed = house.ledger.hold(first.id)
        assert "refused, the system changed" in (closed.closed_why or "")
        assert "mpe-1b was Forced Standby" in (closed.closed_why or "")
        assert second.id != first.id
    assert place.system.sent == []


def test_one_go_is_for_one_act(place: Place) -> None:
    first_upgraded(place)
    with place.house() as house:
        asking(house, TYPED)
        assert failover(house) is Outcome.DONE
        here = Here(house, step("10.2/4"), MPE, house.eye.now())
        assert approvals._approved(here, here.leg) is None


def test_an_answer_that_came_between_two_runs_counts(place: Place) -> None:
    """Without anybody to wait for, the run ends held; the answer is taken when it is started again."""
    first_upgraded(place)
    with place.house() as house:
        asking(house)
        house.asker = None
        with pytest.raises(Held) as held:
            failover(house)
        row = house.ledger.hold(held.value.hold)
        assert f"mopflow answer {house.site_path} {row.id} go --by NAME --type mpe-1" in held.value.remedy
        assert answers.give(house.ledger, row, TYPED, "command line") is None
    with place.house() as house:
        asking(house)
        house.asker = None
        assert failover(house) is Outcome.DONE


def test_the_first_failover_of_a_segment_is_asked_for_and_the_others_follow(place: Place) -> None:
    first_upgraded(place)
    first_upgraded(place, "mpe-2")
    with place.house() as house:
        person = asking(house, TYPED)
        scope = Scope(cluster="mpe-2")

        def other() -> None:
            until_answered(house, lambda: places.approval(house, step("10.2/4"), scope))

        assert until_answered(house, lambda: places.approval(house, step("10.2/4"), MPE))
        follower = threading.Thread(target=other)
        follower.start()
        assert failover(house) is Outcome.DONE
        follower.join(10)
        assert not follower.is_alive()
        assert [row.cluster for row in person.asked] == ["mpe-1"]


def test_a_console_that_is_away_is_waited_for_while_another_cluster_fails_over_first(place: Place) -> None:
    first_upgraded(place)
    first_upgraded(place, "mpe-2")
    with place.house() as house:
        asking(house, TYPED)
        assert until_answered(house, lambda: places.approval(house, step("10.2/4"), MPE))
        readings: list[int] = []

        def lose() -> None:
            readings.append(1)
            if len(readings) == 3:
                raise Unreachable("the console", "session lost")

        ended: list[BaseException | str] = []

        def other() -> None:
            try:
                ended.append(places.approval(house, step("10.2/4"), Scope(cluster="mpe-2")))
            except BaseException as error:  # noqa: BLE001  it is looked at below
                ended.append(error)

        place.system.read = lose
        follower = threading.Thread(target=other)
        follower.start()
        until(lambda: len(readings) > 3 or bool(ended))
        assert ended == []
        assert failover(house) is Outcome.DONE
        follower.join(10)
        assert ended == ["Failover may be done"]


# trouble


def test_trouble_is_looked_at_again_when_a_person_says_so(place: Place) -> None:
    first_upgraded(place)
    with place.house() as house:
        tries: list[int] = []

        def do() -> str:
            tries.append(1)
            if len(tries) == 1:
                hold(Here(house, step("10.2/4"), MPE, house.eye.now()), Refusal("R4", "the mate is away"))
            return "done"

        person = asking(house, Given("again", "A. Engineer", "cable mended"))
        assert until_answered(house, do) == "done"
        assert person.asked[0].kind is HoldKind.TROUBLE
        assert house.ledger.holds(house.site.name) == []


def test_a_hold_that_was_released_another_way_is_looked_at_again(place: Place) -> None:
    with place.house() as house:
        tries: list[int] = []

        def do() -> str:
            tries.append(1)
            if len(tries) == 1:
                hold(Here(house, step("10.2/4"), MPE, house.eye.now()), Refusal("R4", "the mate is away"))
            return "done"

        asking(house, lambda row: house.ledger.close_hold(row.id, "released by A. Engineer") and None)
        assert until_answered(house, do) == "done"


# answers


def a_hold(house: House, **more: object) -> Hold:
    return house.ledger.open_hold(
        house.site.name,
        house.campaign,
        "mpe-1",
        "10.2",
        4,
        "",
        "why",
        "to do",
        {},
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Given("again", "A. Engineer"), "none of go, leave"),
        (Given("go", " "), "who you are"),
        (Given("go", "A. Engineer"), "type the name mpe-1"),
        (Given("go", "A. Engineer", typed="mpe-2"), "type the name mpe-1"),
        (Given("go", "A. Stranger", typed="mpe-1"), "may not answer here"),
    ],
)
def test_an_answer_must_be_whole(place: Place, given: Given, says: str) -> None:
    with place.house() as house:
        row = a_hold(house, kind=HoldKind.QUESTION, choices=(Choice.GO, Choice.LEAVE), typed="mpe-1")
        with pytest.raises(BadInput, match=says):
            answers.give(house.ledger, row, given, "test", ["A. Engineer"])
        assert house.ledger.answer_to(row.id) is None


def test_of_many_answers_at_the_same_time_exactly_one_counts(place: Place) -> None:
    with place.house() as house:
        row = a_hold(house)
        begin = threading.Barrier(8)
        came: list[HoldAnswer | None] = []

        def answer(name: str) -> None:
            begin.wait()
            came.append(answers.give(house.ledger, row, Given("again", name), "test"))

        threads = [threading.Thread(target=answer, args=(f"person {n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = house.ledger.answer_to(row.id)
        assert counted is not None
        assert came.count(None) == 1
        assert {other.by for other in came if other is not None} == {counted.by}


def test_a_closed_hold_takes_no_answer(place: Place) -> None:
    with place.house() as house:
        row = a_hold(house)
        house.ledger.close_hold(row.id, "the run was started again")
        with pytest.raises(BadInput, match="closed since"):
            answers.give(house.ledger, row, Given("again", "A. Engineer"), "test")


# stops


@pytest.mark.parametrize("now", [False, True])
def test_nothing_new_is_begun_after_a_stop(place: Place, now: bool) -> None:
    with place.house() as house:
        house.ledger.ask_to_stop(house.site.name, "A. Engineer", "the window is over", now=now)
        with pytest.raises(Held, match=r"A\. Engineer asked at .* to stop"):
            carry_out(step("10.2/3"), MPE, house)
    assert place.system.sent == []


def test_a_cluster_that_was_begun_is_finished_after_a_stop(place: Place) -> None:
    first_upgraded(place)
    with place.house() as house:
        house.ledger.ask_to_stop(house.site.name, "A. Engineer", "", now=False)
        assert carry_out(step("10.2/4"), MPE, house).outcome is Outcome.DONE


def test_a_stop_now_leaves_it_before_the_failover_but_never_before_the_reapply(place: Place) -> None:
    first_upgraded(place)
    with place.house() as house:
        house.ledger.ask_to_stop(house.site.name, "A. Engineer", "", now=True)
        with pytest.raises(Held, match="stop now"):
            carry_out(step("10.2/4"), MPE, house)
        assert place.system.sent == []
    with place.house() as house:  # begun after the request: not bound by it
        assert carry_out(step("10.2/4"), MPE, house).outcome is Outcome.DONE
        house.ledger.ask_to_stop(house.site.name, "A. Engineer", "", now=True)
        assert carry_out(step("10.2/5"), MPE, house).outcome is Outcome.DONE
        assert carry_out(step("10.2/7"), MPE, house).outcome is Outcome.DONE


def test_a_waiting_question_ends_with_a_stop_now(place: Place) -> None:
    first_upgraded(place)
    with place.house() as house:
        asking(
            house,
            lambda _row: house.ledger.ask_to_stop(house.site.name, "A. Engineer", "", now=True) and None,
        )
        with pytest.raises(Held, match="stop now"):
            failover(house)
    assert place.system.sent == []


def test_others_wait_while_one_is_held_and_go_on_after_its_answer(place: Place) -> None:
    with place.house() as house:
        row = a_hold(house)
        stopped = house.ledger.open_hold(
            house.site.name, house.campaign, "mpe-2", "10.2", 3, "R8", "a Zombie", "to do", {}
        )
        person = asking(house)
        here = Here(house, step("10.2/3"), MPE, house.eye.now())
        done: list[str] = []

        def other() -> None:
            stop_if_stopped(here)
            done.append("went on")

        house.ledger.close_hold(row.id, "not of interest")
        waiting = threading.Thread(target=other)
        waiting.start()
        until(lambda: person.waits == 1)
        assert done == []
        house.ledger.close_hold(stopped.id, "released")
        waiting.join(10)
        assert done == ["went on"]
