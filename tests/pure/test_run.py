"""The run loop against a small system in memory, a real SQLite ledger and a real evidence store."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mopflow.console.protocol import Act, Intended
from mopflow.errors import (
    ActRefused,
    Held,
    LedgerUnavailable,
    LoginRefused,
    MayHaveRun,
    NotAnnounced,
    Unreachable,
    UnreadableReply,
)
from mopflow.eye import Eye, Reading
from mopflow.here import Here, Scope
from mopflow.holds import reconsider
from mopflow.house import House
from mopflow.ledger import Event
from mopflow.procedures.table import step
from mopflow.run import Outcome, Result, carry_out
from mopflow.site import Autonomy
from mopflow.slots import Slot
from mopflow.system import Role
from tests.pure.small_system import (
    SOURCE,
    TARGET,
    FullSlots,
    Killed,
    Place,
    SmallSystem,
    Work,
    alarm,
    make_place,
    small_site,
    until,
)

START, FAILOVER, BACK = Act.INITIATE_UPGRADE, Act.FAILOVER_TO_NEW, Act.FAILOVER_TO_OLD
MPE = Scope(cluster="mpe-1")
ONCE = (START, FAILOVER, BACK)  # acts that are never sent twice


@pytest.fixture
def new_place(tmp_path: Path, empty_ledger: Path) -> Callable[..., Place]:
    numbers = iter(range(10_000))
    return lambda **pace: make_place(tmp_path / str(next(numbers)), empty_ledger, **pace)


@pytest.fixture
def place(new_place: Callable[..., Place]) -> Place:
    return new_place()


def cluster_run(house: House, cluster: str = "mpe-1", first: int = 1, last: int = 10) -> list[Result]:
    """10.2 on one cluster, as the flow does it."""
    scope = Scope(cluster=cluster)
    return [carry_out(step(f"10.2/{n}"), scope, house, glance=n == 6) for n in range(first, last + 1)]


def rows(place: Place, key: str, leg: str | None = None, cluster: str = "mpe-1") -> list[Event]:
    procedure, number = key.split("/")
    with place.ledger() as ledger:
        found = ledger.rows(procedure=procedure, step=int(number), cluster=cluster)
    return [row.entry.event for row in found if leg is None or row.entry.leg == leg]


def upgrade_first(place: Place, cluster: str = "mpe-1") -> None:
    """The first server is upgraded, by a person."""
    place.system.begin(Intended(START, cluster, f"{cluster}b"))
    while any(work.cluster == cluster for work in place.system.work):
        place.system.tick()
    place.system.sent.clear()


def act_of(place: Place, number: int) -> None:
    """Bring the cluster before row ``number``, by a person."""
    if number > 3:
        upgrade_first(place)
    if number > 4:
        place.system.begin(Intended(FAILOVER, "mpe-1"))
        while place.system.work:
            place.system.tick()
        place.system.config["mpe-1"] = TARGET
        place.system.sent.clear()


# what is written when


@pytest.mark.parametrize("number, act", [(3, START), (4, FAILOVER), (9, START)])
def test_the_intention_is_committed_before_the_act(place: Place, number: int, act: Act) -> None:
    act_of(place, number)
    seen: list[list[str]] = []

    def look(call: str) -> None:
        if call == f"advance {act}":  # from another connection: what is not committed is not there
            with sqlite3.connect(place.folder / "ledger.db") as other:
                found = other.execute("select event, token from journal order by id").fetchall()
            seen.append([event for event, token in found if token is not None])

    place.system.before = look
    with place.house() as house:
        assert carry_out(step(f"10.2/{number}"), MPE, house).outcome is Outcome.DONE
        assert house.acts == 1
    assert seen == [["intended"]]
    assert [e for e in rows(place, f"10.2/{number}") if e is not Event.OBSERVED] == [
        Event.INTENDED,
        Event.ACTED,
        Event.VERIFIED,
    ]


def test_no_act_when_the_intention_cannot_be_written(place: Place) -> None:
    def full(call: str) -> None:
        if call == "before record":
            raise LedgerUnavailable("the disk is full")

    place.called = full
    with place.house() as house, pytest.raises(LedgerUnavailable):
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.sent == []


def test_intention_carries_the_server_and_the_mark(place: Place) -> None:
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
        (row,) = house.ledger.rows(procedure="10.2", step=3, events=[Event.INTENDED])
        evidence = {found.path.rsplit("-", 1)[-1] for found in house.ledger.evidence(house.campaign)}
    assert row.entry.server == "mpe-1b"
    assert row.entry.data == {"log": 0, "cell": "n/a"}
    assert {"seen.json", "log.txt"} <= evidence


def test_a_cluster_goes_from_source_to_target_and_a_second_run_does_nothing(place: Place) -> None:
    with place.house() as house:
        cluster_run(house)
        assert house.acts == 6
    sent = list(place.system.sent)
    assert sent == [
        ("reset", "mpe-1"),
        (START, "mpe-1b"),
        (FAILOVER, "mpe-1"),
        ("reapply", "mpe-1"),
        (START, "mpe-1a"),
        ("reapply", "mpe-1"),
    ]
    assert [(slot, who) for slot, who in place.slots.taken if slot is Slot.START] == [
        (Slot.START, "mpe-1")
    ] * 2
    with place.house() as house:
        cluster_run(house)
        assert house.acts == 0
    place.campaign = "another"  # a new campaign knows nothing: the live system alone says it
    with place.house() as house:
        results = cluster_run(house)
        assert house.acts == 0
    assert place.system.sent == sent
    assert results[2].outcome is Outcome.DONE  # its gate of alarms was looked at
    assert results[3].outcome is Outcome.FOUND_DONE
    assert results[7].outcome is Outcome.SKIPPED


def test_found_done_with_a_new_ledger(place: Place) -> None:
    place.system.finish("mpe-1")
    with place.house() as house:
        for number in (3, 4, 5, 9, 10):
            carry_out(step(f"10.2/{number}"), MPE, house)
        assert house.acts == 0
    assert place.system.sent == []
    for number in (3, 4, 5, 9, 10):
        assert Event.FOUND_DONE in rows(place, f"10.2/{number}")
        assert Event.INTENDED not in rows(place, f"10.2/{number}")


def test_an_mra_has_no_step_10(place: Place) -> None:
    """Nor has a cluster that is not an MPE a second re-apply."""
    place.system.finish("mpe-1")
    with place.house() as house:
        mra = house.site.segments[0].clusters[0].model_copy(update={"kind": "MRA"})
        segment = house.site.segments[0].model_copy(
            update={"clusters": (mra, *house.site.segments[0].clusters[1:])}
        )
        house.site = house.site.model_copy(update={"segments": (segment,)})
        result = carry_out(step("10.2/10"), MPE, house)
    assert rows(place, "10.2/10", "") == [Event.SKIPPED]
    assert "MPE only" in result.text


# acts of others, and answers that were lost


@pytest.mark.parametrize("number", [3, 9])
def test_a_running_operation_is_adopted(place: Place, number: int) -> None:
    act_of(place, number)
    intended = place.system.next_act("mpe-1")
    assert intended is not None
    place.system.begin(intended)
    place.system.tick()
    with place.house() as house:
        result = carry_out(step(f"10.2/{number}"), MPE, house)
        assert house.acts == 0
    assert place.system.count(START) == 1
    assert rows(place, f"10.2/{number}", "") == [Event.ADOPTED, Event.VERIFIED]
    assert "Completed Successfully" in result.text


def test_an_adopted_upgrade_whose_replication_is_not_logged_yet_is_waited_for(place: Place) -> None:
    """Not 'the cluster is not at a start': what runs was not ours, but it is on its way."""
    begun = Intended(START, "mpe-1", "mpe-1b")
    place.system.begin(begun)
    hidden: list[int] = []
    lines = place.system.upgrade_log

    def log(cluster: str) -> object:
        found = lines(cluster)
        if place.system.boxes["mpe-1b"].release == TARGET and len(hidden) < 5:
            hidden.append(1)
            return tuple(line for line in found if not line.action.startswith("Wait"))
        return found

    place.system.upgrade_log = log  # type: ignore[assignment,method-assign]
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
    assert len(hidden) == 5
    assert place.system.count(START) == 1


def test_another_persons_click_comes_first(place: Place) -> None:
    intended = Intended(START, "mpe-1", "mpe-1b")

    def click(call: str) -> None:
        if call == f"advance {START}" and not place.system.sent:
            place.system.begin(intended)

    place.system.before = click
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
        assert house.acts == 0
    assert place.system.sent == [(START, "mpe-1b")]
    assert rows(place, "10.2/3", "") == [Event.INTENDED, Event.REFUSED, Event.ADOPTED, Event.VERIFIED]


@pytest.mark.parametrize("number, act", [(3, START), (4, FAILOVER), (9, START)])
@pytest.mark.parametrize("error", [MayHaveRun("no answer"), UnreadableReply("the page", "odd", "")])
def test_lost_answer_of_an_act_that_ran(place: Place, number: int, act: Act, error: Exception) -> None:
    act_of(place, number)

    def lose(call: str) -> None:
        if call == f"advance {act}":
            raise error

    place.system.after = lose
    with place.house() as house:
        assert carry_out(step(f"10.2/{number}"), MPE, house).outcome is Outcome.DONE
    assert place.system.count(act) == 1
    assert [e for e in rows(place, f"10.2/{number}") if e is not Event.OBSERVED] == [
        Event.INTENDED,
        Event.LOST,
        Event.VERIFIED,
    ]


@pytest.mark.parametrize("number, act", [(4, FAILOVER), (9, START)])
def test_lost_answer_of_an_act_that_left_no_trace(
    new_place: Callable[..., Place], number: int, act: Act
) -> None:
    place = new_place(late=0.5)
    act_of(place, number)
    lost: list[float] = []

    def lose(call: str) -> None:
        if call == f"advance {act}" and not lost:
            lost.append(time.monotonic())
            raise MayHaveRun("no answer")

    place.system.before = lose
    with place.house() as house:
        assert carry_out(step(f"10.2/{number}"), MPE, house).outcome is Outcome.DONE
        first, second = house.ledger.rows(procedure="10.2", step=number, events=[Event.INTENDED])
    assert place.system.count(act) == 1
    assert (second.at - first.at).total_seconds() >= place.site.pace.settle
    assert first.entry.token != second.entry.token


def test_lost_answer_that_nobody_can_resolve_is_held_and_not_sent_again(
    new_place: Callable[..., Place],
) -> None:
    place = new_place(late=0.3)
    act_of(place, 4)

    def lose(call: str) -> None:
        if call == f"advance {FAILOVER}":
            place.system.logs["mpe-1"].clear()  # a log that was begun anew tells nothing
            raise MayHaveRun("no answer")

    place.system.before = lose
    with place.house() as house, pytest.raises(Held, match="not sent again"):
        carry_out(step("10.2/4"), MPE, house)
    assert rows(place, "10.2/4").count(Event.INTENDED) == 1
    with place.house() as house, pytest.raises(Held, match="not sent again"):
        carry_out(step("10.2/4"), MPE, house)
    assert rows(place, "10.2/4").count(Event.INTENDED) == 1
    assert place.system.sent == []


def test_an_accepted_act_without_effect_is_late_not_repeated(new_place: Callable[..., Place]) -> None:
    place = new_place(late=0.3)
    act_of(place, 4)

    def forget(call: str) -> None:
        place.system.work.clear()

    place.system.after = forget
    with place.house() as house, pytest.raises(Held, match="late") as held:
        carry_out(step("10.2/4"), MPE, house)
    assert "start this command again" in held.value.remedy
    assert place.system.count(FAILOVER) == 1


def test_an_operation_that_does_not_end_is_held_when_it_is_late(new_place: Callable[..., Place]) -> None:
    place = new_place(late=0.3)

    def endless(_call: str) -> None:
        place.system.work[0] = Work(START, "mpe-1", "mpe-1b", 10**9)

    place.system.after = endless
    with place.house() as house, pytest.raises(Held, match="late"):
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.count(START) == 1
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
        (line,) = ledger.board("small")
    assert (hold.cluster, hold.procedure, hold.step) == ("mpe-1", "10.2", 3)
    assert line.state == "held"


# refusals


def test_the_wrong_announcement_twice_is_a_hold(place: Place) -> None:
    place.system.next_act = lambda _cluster: Intended(FAILOVER, "mpe-1")  # type: ignore[method-assign]
    with place.house() as house, pytest.raises(Held, match="announces"):
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.sent == []
    assert rows(place, "10.2/3").count(Event.REFUSED) == 2
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
    assert hold.rule == "R8"


@pytest.mark.parametrize(
    "error", [NotAnnounced("one", "another"), ActRefused("not now"), Unreachable("it", "gone")]
)
def test_refused_once_is_tried_again(place: Place, error: Exception) -> None:
    refused: list[str] = []

    def refuse(call: str) -> None:
        if call == f"advance {START}" and not refused:
            refused.append(call)
            raise error

    place.system.before = refuse
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
        assert house.acts == 1
    assert place.system.count(START) == 1
    assert rows(place, "10.2/3", "") == [
        Event.INTENDED,
        Event.REFUSED,
        Event.INTENDED,
        Event.ACTED,
        Event.VERIFIED,
    ]


def test_a_refused_login_in_the_act_is_a_hold_without_a_second_try(place: Place) -> None:
    tries: list[str] = []

    def refuse(call: str) -> None:
        if call.startswith("advance"):
            tries.append(call)
            raise LoginRefused("the console", "admin")

    place.system.before = refuse
    with place.house() as house, pytest.raises(Held, match="refused the login"):
        carry_out(step("10.2/3"), MPE, house)
    assert len(tries) == 1
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
    assert hold.rule == "login"


def test_a_refused_login_of_the_readings_is_final(place: Place) -> None:
    def refuse() -> None:
        raise LoginRefused("the console", "admin")

    with place.house() as house:
        carry_out(step("10.2/2"), MPE, house)
        place.system.read = refuse
        with pytest.raises(Held, match="refused the login"):
            carry_out(step("10.2/3"), MPE, house)
        tried = place.system.readings
        with pytest.raises(Held, match="refused the login"):
            carry_out(step("10.2/3"), Scope(cluster="mpe-2"), house)
        assert place.system.readings == tried
    assert place.system.sent == []


def test_a_login_that_never_worked_ends_the_run(place: Place) -> None:
    def refuse() -> None:
        raise LoginRefused("the console", "admin")

    place.system.read = refuse
    with place.house() as house, pytest.raises(LoginRefused):
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.readings == 1


def test_an_act_that_a_person_must_confirm_is_held(place: Place) -> None:
    act_of(place, 4)
    with place.house() as house:
        rules = house.site.autonomy.model_copy(update={"first_failover": Autonomy.CONFIRM})
        house.site = house.site.model_copy(update={"autonomy": rules})
        with pytest.raises(Held, match="may 'Failover' be done on mpe-1 now"):
            carry_out(step("10.2/4"), MPE, house)
    assert place.system.sent == []


# what cannot be read


@pytest.mark.parametrize("nth", range(1, 5))
def test_a_log_that_cannot_be_read_for_a_moment_is_waited_for(place: Place, nth: int) -> None:
    """The safety rules and the mark of an act read it too: nothing was run, so nothing fails."""
    act_of(place, 4)
    calls: list[str] = []

    def away(call: str) -> None:
        if call == "upgrade_log":
            calls.append(call)
            if len(calls) == nth:
                raise Unreachable("the console", "session lost")

    place.system.before = away
    with place.house() as house:
        assert carry_out(step("10.2/4"), MPE, house).outcome is Outcome.DONE
    assert place.system.count(FAILOVER) == 1
    assert rows(place, "10.2/4").count(Event.INTENDED) == 1


def test_readings_that_fail_for_a_while_are_waited_for(place: Place) -> None:
    def away() -> None:
        if 3 < place.system.readings < 12:
            raise Unreachable("the console", "a CMP switch")

    place.system.read = away
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.count(START) == 1


def test_one_odd_reading_before_the_console_goes_away_is_no_trouble(place: Place) -> None:
    """A CMP switch may show an odd moment and then nothing: an old reading is not counted again and again."""
    box = place.system.boxes["mpe-1a"]

    def away() -> None:
        box.release = "13.0.0" if place.system.readings == 1 else SOURCE
        if 1 < place.system.readings < 15:
            raise Unreachable("the console", "a CMP switch")

    place.system.read = away
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.count(START) == 1


def test_blind_for_too_long_is_a_hold(new_place: Callable[..., Place]) -> None:
    place = new_place(late=0.3)
    with place.house() as house:
        carry_out(step("10.2/2"), MPE, house)

        def away() -> None:
            if place.system.sent:
                raise Unreachable("the console", "it is gone")

        place.system.read = away
        with pytest.raises(Held, match="cannot be read"):
            carry_out(step("10.2/3"), MPE, house)
    assert place.system.count(START) == 1


# trouble (R8)


def test_a_failed_upgrade_holds_the_cluster_and_stops_the_others(place: Place) -> None:
    place.system.fails.add("mpe-1b")
    with place.house() as house:
        with pytest.raises(Held, match="Failed"):
            carry_out(step("10.2/3"), MPE, house)
        with pytest.raises(Held, match="a person has to answer first"):
            carry_out(step("10.2/3"), Scope(cluster="mpe-2"), house)
        (first, second) = house.ledger.holds("small")
        assert (first.rule, first.cluster) == ("R8", "mpe-1")
        assert (second.rule, second.cluster) == ("after R8", "mpe-2")
        assert [
            h.rule for h in reconsider(house, house.eye.now(), {c.name for c in house.site.clusters})
        ] == ["R8"]  # the trouble is still there
    assert place.system.sent == [(START, "mpe-1b")]


def test_trouble_elsewhere_lets_nothing_begin_before_it_is_a_hold(new_place: Callable[..., Place]) -> None:
    """Nobody has written the hold yet, but the reading shows the Zombie."""
    place = new_place(late=0.2)
    place.system.boxes["mpe-2b"].role = Role.ZOMBIE
    with place.house() as house, pytest.raises(Held, match="mpe-2b is a Zombie") as held:
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.sent == []
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
    assert hold.rule == "after R8"
    assert held.value.hold == hold.id


@pytest.mark.parametrize("what", ["zombie", "alarm", "two active", "third release"])
def test_trouble_of_the_cluster_itself(place: Place, what: str) -> None:
    boxes = place.system.boxes
    match what:
        case "zombie":
            boxes["mpe-1b"].role = Role.ZOMBIE
        case "alarm":
            place.system.alarms.append(alarm(70506, "mpe-1b"))
        case "two active":
            boxes["mpe-1b"].role = Role.ACTIVE
        case "third release":
            boxes["mpe-1a"].release = "12.0.0.0.0_9.9.9"
    with place.house() as house, pytest.raises(Held):
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.sent == []
    with place.ledger() as ledger:
        assert [hold.rule for hold in ledger.holds("small")] == ["R8"]


def test_an_unexpected_alarm_lets_nothing_begin(new_place: Callable[..., Place]) -> None:
    place = new_place(late=0.2)
    place.system.alarms.append(alarm(32300, "mpe-1a"))
    with place.house() as house, pytest.raises(Held, match="32300"):
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.sent == []


def test_a_sick_server_is_not_begun(new_place: Callable[..., Place]) -> None:
    place = new_place(late=0.2)
    place.servers.sick.add("mpe-1b")
    with place.house() as house, pytest.raises(Held, match="mpe-1b: disk FAIL"):
        cluster_run(house)
    assert place.system.sent == []


def test_no_failover_to_a_mate_that_does_not_answer(new_place: Callable[..., Place]) -> None:
    place = new_place(late=0.2)
    act_of(place, 4)
    place.servers.away.add("mpe-1b")
    with place.house() as house, pytest.raises(Held, match="does not answer over SSH"):
        carry_out(step("10.2/4"), MPE, house)
    assert place.system.sent == []


def test_a_stop_reaches_who_waits_for_a_place_to_start_but_not_a_reapply(place: Place) -> None:
    place.system.fails.add("mpe-2b")
    place.system.finish("mpe-1")
    place.system.config["mpe-1"] = SOURCE
    with place.house() as house:
        with pytest.raises(Held):
            carry_out(step("10.2/3"), Scope(cluster="mpe-2"), house)
        house.slots = FullSlots()
        carry_out(step("10.2/10"), MPE, house)
    assert place.system.count("reapply", "mpe-1") == 1


def test_repaired_the_stop_is_closed(place: Place) -> None:
    place.system.fails.add("mpe-1b")
    with place.house() as house:
        with pytest.raises(Held):
            carry_out(step("10.2/3"), MPE, house)
    place.system.fails.clear()
    box = place.system.boxes["mpe-1b"]
    box.operation = "n/a"
    with place.house() as house:
        assert reconsider(house, house.eye.now(), {c.name for c in house.site.clusters}) == []
        assert carry_out(step("10.2/3"), Scope(cluster="mpe-2"), house).outcome is Outcome.DONE


def test_no_failover_before_the_one_before_is_proven(new_place: Callable[..., Place]) -> None:
    """R4: mpe-1 runs the target, and nobody has shown that it carries traffic."""
    place = new_place(late=0.2)
    act_of(place, 9)
    upgrade_first(place, "mpe-2")
    with place.house() as house, pytest.raises(Held, match="mpe-1 failed over last"):
        carry_out(step("10.2/4"), Scope(cluster="mpe-2"), house)
    assert place.system.sent == []
    with place.house() as house:
        carry_out(step("10.2/8"), MPE, house)
        carry_out(step("10.2/4"), Scope(cluster="mpe-2"), house)
    assert place.system.sent == [(FAILOVER, "mpe-2")]


# no traffic (R11)


def rolled_back(place: Place) -> None:
    place.system.no_traffic.add("mpe-1")
    with place.house() as house, pytest.raises(Held, match="was rolled back"):
        cluster_run(house)


def test_rollback_without_traffic(place: Place) -> None:
    rolled_back(place)
    acts = [(name, who) for name, who in place.system.sent if name != "reset"]
    assert acts == [
        (START, "mpe-1b"),
        (FAILOVER, "mpe-1"),
        ("reapply", "mpe-1"),
        (BACK, "mpe-1"),
        ("reapply", "mpe-1"),
    ]
    active = place.system.active("mpe-1")
    assert active is not None
    assert (active.name, place.system.config["mpe-1"]) == ("mpe-1a", SOURCE)
    assert place.system.boxes["mpe-1b"].role is Role.FORCED_STANDBY
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
    assert (hold.rule, hold.step) == ("R11", 8)


def test_after_a_rollback_a_second_run_does_not_fail_over_again(place: Place) -> None:
    rolled_back(place)
    sent = list(place.system.sent)
    for _ in range(2):
        with place.house() as house:
            assert [
                hold.rule
                for hold in reconsider(house, house.eye.now(), {c.name for c in house.site.clusters})
            ] == ["R11"]
            with pytest.raises(Held, match="was rolled back"):
                cluster_run(house)
            assert house.acts == 0
    assert place.system.sent == sent


def test_after_a_rollback_nothing_else_begins(place: Place) -> None:
    rolled_back(place)
    with place.house() as house, pytest.raises(Held, match="a person has to answer first"):
        carry_out(step("10.2/3"), Scope(cluster="mpe-2"), house)
    assert place.system.count(START, "mpe-2b") == 0


def test_a_person_backs_the_rolled_back_cluster_out(place: Place) -> None:
    rolled_back(place)
    box = place.system.boxes["mpe-1b"]
    box.role, box.operation = (
        Role.OOS,
        "[Step 3] 9% Initiate backout - Initiate backout (Elapsed Time: 0:01:00)",
    )
    with place.house() as house:
        carry_out(step("10.2/7"), MPE, house)  # the old release is active: nothing to roll back
        assert house.acts == 0
    box.role, box.operation, box.release = Role.STANDBY, "n/a", SOURCE
    with place.house() as house:
        assert reconsider(house, house.eye.now(), {c.name for c in house.site.clusters}) == []


def test_an_unreadable_counter_is_a_hold_and_no_rollback(place: Place) -> None:
    place.system.no_traffic.add("mpe-1")
    with place.house() as house:
        cluster_run(house, last=6)

        def odd(call: str) -> None:
            if call == "kpi_dashboard":
                raise UnreadableReply("KPI Dashboard", "no such table", "")

        place.system.before = odd
        with pytest.raises(Held, match="no such table"):
            carry_out(step("10.2/7"), MPE, house)
    assert place.system.count(BACK) == 0


def test_a_cluster_without_traffic_before_is_not_rolled_back(place: Place) -> None:
    place.system.config["mpe-1"] = "12.1.0.0"  # nothing flows
    place.system.no_traffic.add("mpe-1")
    with place.house() as house:
        cluster_run(house, last=8)
    assert place.system.count(BACK) == 0


def test_nobody_looked_for_traffic_before(place: Place) -> None:
    act_of(place, 9)
    place.system.no_traffic.add("mpe-1")
    with place.house() as house, pytest.raises(Held, match="nobody looked"):
        carry_out(step("10.2/7"), MPE, house)
    assert place.system.count(BACK) == 0


def test_the_window_counts_from_the_first_proof_of_the_reapply(new_place: Callable[..., Place]) -> None:
    from mopflow.acts.configuration import traffic_window

    place = new_place(traffic_window=30)
    with place.house() as house:
        cluster_run(house, last=5)
        here = Here(house, step("10.2/7"), MPE, house.eye.now())
        first = traffic_window(here)
    with place.house() as house:
        carry_out(step("10.2/5"), MPE, house)
        assert traffic_window(Here(house, step("10.2/7"), MPE, house.eye.now())) == first


# sudden death


def changing(call: str) -> bool:
    return call.startswith(
        ("console", "acted", "before record", "after record", "before open_hold", "after open")
    )


def around_acts(calls: list[str]) -> list[int]:
    """From right before the intention of an act that is done once to right after its answer is written."""
    acts = [n for n, call in enumerate(calls) if call.startswith("acted advance")]
    return sorted({m for n in acts for m in range(n - 4, n + 4) if changing(calls[m])})


def everywhere(calls: list[str]) -> list[int]:
    """Around the acts, and a sample of all other moments that change something."""
    others = [n for n, call in enumerate(calls) if changing(call)]
    return sorted({*around_acts(calls), *others[::6]})


def count_calls(new_place: Callable[..., Place], prepare: Callable[[Place], None]) -> list[str]:
    place = new_place()
    prepare(place)
    calls: list[str] = []
    listen(place, calls.append)
    with place.house() as house:
        finish(house)
    return calls


def listen(place: Place, called: Callable[[str], None]) -> None:
    place.called = called
    place.system.before = lambda call: called(f"console {call}")
    place.system.after = lambda call: called(f"acted {call}")


def finish(house: House) -> str:
    try:
        cluster_run(house)
    except Held as held:
        return held.reason
    return "done"


def die(new_place: Callable[..., Place], prepare: Callable[[Place], None], at: int) -> tuple[Place, str]:
    """A run that is killed at its call number ``at``, and another one on the same ledger."""
    place = new_place()
    prepare(place)
    count = iter(range(10**9))

    def called(_call: str) -> None:
        if next(count) == at:
            raise Killed

    listen(place, called)
    # how often a wait looks again varies: a run may end before its last calls come
    with place.house() as house, contextlib.suppress(Killed):
        finish(house)
    place.called = None
    place.system.before = place.system.after = lambda _call: None
    with place.house() as house:
        reconsider(house, house.eye.now(), {c.name for c in house.site.clusters})
        return place, finish(house)


def upgraded_once(new_place: Callable[..., Place], choose: Callable[[list[str]], list[int]]) -> None:
    def nothing(_place: Place) -> None:
        pass

    calls = count_calls(new_place, nothing)
    assert sum(call.startswith("acted") for call in calls) == 6
    for at in choose(calls):
        place, end = die(new_place, nothing, at)
        system = place.system
        assert end == "done", (at, calls[at], end)
        assert {box.release for box in system.of("mpe-1")} == {TARGET}
        assert (system.count(START, "mpe-1b"), system.count(START, "mpe-1a")) == (1, 1), (at, calls[at])
        assert (system.count(FAILOVER), system.count(BACK)) == (1, 0), (at, calls[at])


def rolled_back_once(new_place: Callable[..., Place], choose: Callable[[list[str]], list[int]]) -> None:
    def no_traffic(place: Place) -> None:
        place.system.no_traffic.add("mpe-1")
        with place.house() as house:
            cluster_run(house, last=3)

    calls = count_calls(new_place, no_traffic)
    assert sum(call.startswith("acted") for call in calls) == 4
    for at in choose(calls):
        place, end = die(new_place, no_traffic, at)
        system = place.system
        assert "was rolled back" in end, (at, calls[at], end)
        for act in ONCE:
            assert system.count(act) == 1, (at, calls[at], system.sent)
        active = system.active("mpe-1")
        assert active is not None
        assert (active.release, system.config["mpe-1"]) == (SOURCE, SOURCE)


def test_killed_at_any_call_the_upgrade_is_finished_and_nothing_is_sent_twice(
    new_place: Callable[..., Place],
) -> None:
    upgraded_once(new_place, everywhere)


def test_killed_at_any_call_the_rollback_is_finished_and_nothing_is_sent_twice(
    new_place: Callable[..., Place],
) -> None:
    rolled_back_once(new_place, everywhere)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", [upgraded_once, rolled_back_once])
def test_killed_at_really_every_call(
    new_place: Callable[..., Place],
    path: Callable[[Callable[..., Place], Callable[[list[str]], list[int]]], None],
) -> None:
    """Reads of the ledger and lines of the board too."""
    path(new_place, lambda calls: list(range(len(calls))))


def test_killed_between_click_and_answer_the_start_still_counts_for_the_stagger(place: Place) -> None:
    def die_after_the_click(call: str) -> None:
        raise Killed

    place.system.after = die_after_the_click
    with place.house() as house, pytest.raises(Killed):
        carry_out(step("10.2/3"), MPE, house)
    place.system.after = lambda _call: None
    with place.house() as house:
        other = Here(house, step("10.2/3"), Scope(cluster="mpe-2"), house.eye.now())
        seen = other.last_start()
        assert seen is not None
        assert (seen.cluster, seen.server) == ("mpe-1", "mpe-1b")
        carry_out(step("10.2/3"), MPE, house)
    assert place.system.count(START) == 1
    assert rows(place, "10.2/3", "") == [Event.INTENDED, Event.LOST, Event.VERIFIED]


def test_counters_that_were_reset_before_the_death_and_grew_since(place: Place) -> None:
    def die_after_the_click(call: str) -> None:
        if call == "reset_counters":
            raise Killed

    place.system.after = die_after_the_click
    with place.house() as house, pytest.raises(Killed):
        carry_out(step("10.2/1"), MPE, house)
    place.system.after = lambda _call: None
    with place.house() as house:
        carry_out(step("10.2/1"), MPE, house)
    assert rows(place, "10.2/1", "baseline") == [Event.OBSERVED]


# the eye


class Watch:
    """A system whose readings fail as the test says."""

    def __init__(self) -> None:
        self.site = small_site()
        self.system = SmallSystem(self.site)


def test_nobody_waits_for_an_eye_that_died() -> None:
    watch = Watch()

    def full(_reading: Reading) -> None:
        raise LedgerUnavailable("the disk is full")

    eye = Eye(watch.site, watch.system, full)
    problems: list[BaseException] = []
    hook, threading.excepthook = threading.excepthook, lambda args: None
    try:
        with eye:
            for _ in range(2):  # the reading itself may still be handed out
                try:
                    eye.now()
                except LedgerUnavailable as error:
                    problems.append(error)
    finally:
        threading.excepthook = hook
    assert problems


def test_a_refused_login_is_told_to_everyone_who_waits() -> None:
    watch = Watch()
    gate, inside = threading.Event(), threading.Event()

    def refuse() -> None:
        inside.set()
        gate.wait(10)
        raise LoginRefused("the console", "admin")

    watch.system.read = refuse
    found: list[BaseException] = []

    def wait(eye: Eye) -> None:
        try:
            eye.now()
        except LoginRefused as error:
            found.append(error)

    with Eye(watch.site, watch.system) as eye:
        first = threading.Thread(target=wait, args=(eye,))
        first.start()
        assert inside.wait(10)
        second = threading.Thread(target=wait, args=(eye,))  # asks while the try is under way
        second.start()
        gate.set()
        for thread in (first, second):
            thread.join(10)
            assert not thread.is_alive()
        wait(eye)
    assert len(found) == 3
    assert watch.system.readings == 1


def test_alarms_are_read_for_who_asks_for_them() -> None:
    site = small_site(alarms_every=3600)
    system = SmallSystem(site)
    with Eye(site, system) as eye:
        eye.now()
        for _ in range(20):
            since = time.monotonic()
            assert eye.after(since, alarms=True).snapshot.alarms_at >= since


def test_a_reading_begins_after_it_was_asked_for() -> None:
    watch = Watch()
    with Eye(watch.site, watch.system) as eye:
        for _ in range(10):
            since = time.monotonic()
            assert eye.now().snapshot.at >= since
        until(lambda: eye.latest is not None)
