"""The backout against a small system in memory: every row, from every state, refused where the document refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mopflow import released
from mopflow.errors import Held, MayHaveRun
from mopflow.gate import require_forward
from mopflow.gate_back import require_backout
from mopflow.here import Here, Scope
from mopflow.holds import reconsider
from mopflow.ledger import Event
from mopflow.procedures.table import step
from mopflow.run import Outcome, carry_out
from mopflow.site import Autonomy
from mopflow.system import Role, Stage
from tests.pure.backouts import (
    ANSWERS,
    BACK,
    NEW,
    OLD,
    UP,
    Places,
    back_out,
    back_out_rows,
    bring,
    confirm,
    is_back,
    is_new,
)
from tests.pure.small_system import SOURCE, TARGET, Killed, Place, alarm, make_place
from tests.pure.whole_system import upgraded_cmps, whole_place

MPE = Scope(cluster="mpe-1")
B, F, R = BACK.value, OLD.value, "reapply"


@pytest.fixture
def new_place(tmp_path: Path, empty_ledger: Path) -> Callable[..., Place]:
    numbers = iter(range(10_000))

    def make(*, autonomy: Autonomy = Autonomy.AUTO, **pace: float) -> Place:
        place = make_place(tmp_path / str(next(numbers)), empty_ledger, **pace)
        rules = place.site.autonomy.model_copy(update={"backout": autonomy})
        place.site = place.site.model_copy(update={"autonomy": rules})
        return place

    return make


@pytest.fixture
def place(new_place: Callable[..., Place]) -> Place:
    return new_place()


# from every state

WHOLE = [(B, "mpe-1a"), (F, "mpe-1"), (R, "mpe-1"), (B, "mpe-1b")]
STATES = [
    (Stage.FRESH, False, []),
    (Stage.FIRST_RUNNING, False, [(B, "mpe-1b")]),  # waited for, then backed out
    (Stage.FIRST_DONE, False, [(B, "mpe-1b")]),
    (Stage.SWITCHED, False, [(F, "mpe-1"), (R, "mpe-1"), (B, "mpe-1b")]),
    (Stage.SECOND_RUNNING, False, WHOLE),
    (Stage.DONE, False, WHOLE),
    (Stage.BACK_FIRST, True, [(F, "mpe-1"), (R, "mpe-1"), (B, "mpe-1a")]),
    (Stage.SWITCHED, True, [(F, "mpe-1"), (R, "mpe-1"), (B, "mpe-1a")]),
    (Stage.FIRST_DONE, True, [(B, "mpe-1a")]),
    (Stage.BACK_SECOND, True, []),
    (Stage.FRESH, True, []),
]


@pytest.mark.parametrize("stage, back, acts", STATES)
def test_a_cluster_is_backed_out_from_where_it_stands(
    place: Place, stage: Stage, back: bool, acts: list[tuple[str, str]]
) -> None:
    bring(place.system, "mpe-1", stage, back=back)
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    assert place.system.sent == acts
    assert is_back(place.system, "mpe-1")
    with place.house() as house:
        results = back_out_rows(house, "mpe-1")
        assert house.acts == 0
    assert {r.outcome for r in results} <= {Outcome.DONE, Outcome.FOUND_DONE}
    assert place.system.sent == acts


def test_a_configuration_that_nobody_applied_again_is_applied(place: Place) -> None:
    """12.1, note: a backout is not complete before; a cluster that a person backed out has that still to come."""
    bring(place.system, "mpe-1", Stage.FRESH, back=True)
    place.system.config["mpe-1"] = TARGET
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    assert place.system.sent == [(R, "mpe-1")]


def test_a_server_out_of_service_without_a_text_goes_nobody_knows_where(
    new_place: Callable[..., Place],
) -> None:
    place = new_place(late=1.5)
    place.system.finish("mpe-1")
    box = place.system.boxes["mpe-1b"]
    box.role, box.operation = Role.OOS, "n/a"
    with place.house() as house, pytest.raises(Held, match="direction is not shown"):
        back_out_rows(house, "mpe-1")
    assert place.system.sent == []
    with place.ledger() as ledger:
        assert [hold.rule for hold in ledger.holds("small")] == ["R7"]


@pytest.mark.parametrize("act", [BACK, OLD])
def test_a_lost_answer_is_read_from_the_system(place: Place, act: str) -> None:
    place.system.finish("mpe-1")
    lost: list[str] = []

    def lose(call: str) -> None:
        if call == f"advance {act}" and not lost:
            lost.append(call)
            raise MayHaveRun("no answer")

    place.system.after = lose
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    assert place.system.sent == WHOLE_OF_FINISHED


WHOLE_OF_FINISHED = [(B, "mpe-1b"), (F, "mpe-1"), (R, "mpe-1"), (B, "mpe-1a")]


def test_no_success_message_is_a_partially_upgraded_cluster(place: Place) -> None:
    place.system.finish("mpe-1")
    place.system.fails.add("mpe-1b")
    with place.house() as house, pytest.raises(Held) as held:
        back_out_rows(house, "mpe-1")
    assert "12.3.2" in held.value.remedy
    assert place.system.sent == [(B, "mpe-1b")]


def test_replication_that_the_log_shows_as_failed_is_not_passed(new_place: Callable[..., Place]) -> None:
    """R9, where the log shows its wait."""
    place = new_place(late=1.5)
    place.system.finish("mpe-1")
    log = place.system._log
    place.system._log = lambda c, action, h, result: log(  # type: ignore[method-assign]
        c, action, h, "" if action.startswith("Wait") else result
    )
    with place.house() as house, pytest.raises(Held, match="running"):
        back_out_rows(house, "mpe-1")
    assert place.system.sent == [(B, "mpe-1b")]


def test_alarms_that_stood_before_do_not_keep_the_cluster_on_the_new_release(place: Place) -> None:
    place.system.finish("mpe-1")
    place.system.alarms.append(alarm(32300, "mpe-1a"))
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    assert is_back(place.system, "mpe-1")


def test_an_alarm_that_comes_with_the_backout_is_looked_at(new_place: Callable[..., Place]) -> None:
    place = new_place(late=1.5)
    place.system.finish("mpe-1")

    def strange(_call: str) -> None:
        place.system.alarms.append(alarm(32300, "mpe-1a"))

    place.system.after = strange
    with place.house() as house, pytest.raises(Held, match="32300"):
        back_out_rows(house, "mpe-1")
    assert place.system.sent == [(B, "mpe-1b")]


def test_traffic_that_does_not_come_back_is_held(new_place: Callable[..., Place]) -> None:
    place = new_place(late=1.5)
    place.system.finish("mpe-1")
    traffic = place.system.traffic

    def gone(cluster: str) -> bool:
        active = place.system.active(cluster)
        return traffic(cluster) and active is not None and active.release == TARGET

    place.system.traffic = gone  # type: ignore[method-assign]
    with place.house() as house, pytest.raises(Held, match="no traffic"):
        back_out_rows(house, "mpe-1")
    assert place.system.sent == WHOLE_OF_FINISHED[:3]
    with place.ledger() as ledger:
        assert [hold.rule for hold in ledger.holds("small")] == ["traffic"]


# the rollback of R11


def test_a_rollback_without_traffic_is_completed(place: Place) -> None:
    place.system.no_traffic.add("mpe-1")
    with place.house() as house, pytest.raises(Held, match="was rolled back"):
        for n in range(1, 11):
            carry_out(step(f"10.2/{n}"), MPE, house, glance=n == 6)
    place.system.sent.clear()
    with place.house() as house:
        back_out_rows(house, "mpe-1")
        back_out_rows(house, "mpe-2")  # its open hold stops no backout
        assert reconsider(house, house.eye.now(), {"mpe-1"}) == []
    assert place.system.sent == [(B, "mpe-1b")]
    # and the next upgrade is not taken for a part of that rollback
    place.system.no_traffic.clear()
    with place.house() as house:
        for n in range(1, 11):
            carry_out(step(f"10.2/{n}"), MPE, house, glance=n == 6)
    assert is_new(place.system, "mpe-1")


# refusals


def test_a_cmp_is_refused_while_an_mpe_is_on_the_target(new_place: Callable[..., Place]) -> None:
    place = new_place(late=1.5)
    confirm(place, *ANSWERS)
    bring(place.system, "mpe-2", Stage.SWITCHED)
    for scope in ("cmp-2", "cmp-1"):
        with (
            place.house() as house,
            pytest.raises(Held, match=r"mpe-2 is not on the old release \(12\.2, 2\)"),
        ):
            require_backout(house, scope)
        with place.house() as house, pytest.raises(Held, match=r"12\.2, 2"):
            back_out_rows(house, scope)
    assert place.system.sent == []


def test_the_primary_comes_after_the_secondary(place: Place) -> None:
    confirm(place, *ANSWERS)
    with place.house() as house, pytest.raises(Held, match="comes last"):
        require_backout(house, "cmp-1")
    assert place.system.sent == []


def test_an_mpe_under_an_old_cmp_is_refused(place: Place) -> None:
    """12.3, first pre-condition; Table 1 does not know this system."""
    confirm(place, *ANSWERS)
    bring(place.system, "cmp-1", Stage.FIRST_DONE, back=True)
    place.system.finish("mpe-1")
    with place.house() as house, pytest.raises(Held, match="pre-condition 1"):
        require_backout(house, "mpe-1")


@pytest.mark.parametrize("what", ["zombie", "failed"])
def test_a_partially_upgraded_cluster_is_refused(place: Place, what: str) -> None:
    confirm(place, *ANSWERS)
    place.system.finish("mpe-1")
    box = place.system.boxes["mpe-1b"]
    if what == "zombie":
        box.role = Role.ZOMBIE
    else:
        box.release, box.operation = SOURCE, "Initiate backout Failed at Aug 16, 2016 9:21:11"
    with place.house() as house, pytest.raises(Held, match=r"12\.3\.2"):
        require_backout(house, "mpe-1")
    assert place.system.sent == []


def test_another_stopped_cluster_lets_nothing_begin(new_place: Callable[..., Place]) -> None:
    place = new_place(late=1.5)
    place.system.finish("mpe-1")
    place.system.finish("mpe-2")
    place.system.boxes["mpe-2b"].role = Role.ZOMBIE
    with place.house() as house, pytest.raises(Held, match="mpe-2b is a Zombie"):
        back_out_rows(house, "mpe-1")
    assert place.system.sent == []


def test_holds_of_the_upgrade_do_not_stop_the_backout(place: Place) -> None:
    bring(place.system, "mpe-1", Stage.SWITCHED)
    with place.house() as house:
        for rule, number in (("R15", 3), ("", 7), ("R11", 8), ("after R8", 9)):
            house.ledger.open_hold(
                "small", house.campaign, "mpe-1", "10.2", number, rule, f"r{number}", "", {}
            )
        back_out_rows(house, "mpe-1")
    assert is_back(place.system, "mpe-1")


# what a person confirms


def test_nothing_begins_that_nobody_has_confirmed(new_place: Callable[..., Place]) -> None:
    place = new_place(autonomy=Autonomy.CONFIRM)
    place.system.finish("mpe-1")
    with place.house() as house, pytest.raises(Held) as held:
        require_backout(house, "mpe-1")
    for item in (*ANSWERS, "back-out:mpe-1"):
        assert f"mopflow confirm {place.folder / 'site.yaml'} {item}" in held.value.reason
    confirm(place, *ANSWERS)
    with place.house() as house, pytest.raises(Held, match="back-out:mpe-1"):
        require_backout(house, "mpe-1")
    with place.house() as house, pytest.raises(Held, match="nobody has confirmed the backout of mpe-1"):
        back_out_rows(house, "mpe-1")
    assert place.system.sent == []
    confirm(place, "back-out:mpe-1")
    with place.house() as house:
        assert back_out(house, "mpe-1") == {"mpe-1": "done"}
    assert is_back(place.system, "mpe-1")
    # it counted for that run only
    place.system.finish("mpe-1")
    with place.house() as house, pytest.raises(Held, match="nobody has confirmed"):
        require_backout(house, "mpe-1")


def test_a_word_counts_until_the_cluster_is_worked_on_forward(place: Place) -> None:
    confirm(place, *ANSWERS)
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
        with pytest.raises(Held, match=r"12\.2, 1"):
            require_backout(house, "mpe-1")
    confirm(place, *ANSWERS)
    with place.house() as house:
        assert "SR 3-1234" in require_backout(house, "mpe-1")


def test_netbackup_is_asked_for_where_it_was_found(place: Place) -> None:
    confirm(place, *ANSWERS, "netbackup")
    place.system.finish("mpe-1")
    with place.house() as house, pytest.raises(Held, match="netbackup_backout"):
        require_backout(house, "mpe-1")


# the CMP clusters


def test_everything_in_the_reverse_order(place: Place) -> None:
    confirm(place, *ANSWERS)
    for name in ("mpe-1", "mpe-2"):
        place.system.finish(name)
    with place.house() as house:
        house.slots = Places()
        assert set(back_out(house, "all").values()) == {"done"}
    assert all(is_back(place.system, c.name) for c in place.site.clusters)
    backed = [who for name, who in place.system.sent if name == B]
    assert sorted(backed[:4]) == ["mpe-1a", "mpe-1b", "mpe-2a", "mpe-2b"]
    assert backed[4:] == ["cmp-2b", "cmp-2a", "cmp-1b", "cmp-1a"]
    with place.ledger() as ledger:
        skipped = ledger.rows(procedure="12.3.5", events=[Event.SKIPPED])
    assert {row.entry.step for row in skipped} == {6, 7}
    assert "10.5 or 11.5 only" in skipped[0].entry.text


@pytest.fixture
def old(tmp_path: Path, empty_ledger: Path) -> Place:
    """A site that came from 10.5."""
    place = whole_place(tmp_path / "old", empty_ledger, "10.5")
    auto = place.site.autonomy.model_copy(update={"backout": Autonomy.AUTO})
    place.site = place.site.model_copy(update={"autonomy": auto})
    upgraded_cmps(place)
    return place


def primary_alone(place: Place) -> None:
    """Everything but the primary CMP is on the old release."""
    for box in place.system.of("cmp-2"):
        box.release, box.operation, box.prev_release = place.site.source, "n/a", ""


def test_the_primary_goes_back_to_10_5_through_both_guis(old: Place) -> None:
    confirm(old, *ANSWERS)
    primary_alone(old)
    with old.house() as house:
        assert back_out(house, "cmp-1") == {"cmp-1": "done"}
    assert old.system.sent == [
        (B, "cmp-1b"),
        (F, "cmp-1"),
        ("Backout", "cmp-1a"),
        ("Cancel Force Standby", "cmp-1a"),
    ]
    assert {box.release for box in old.system.of("cmp-1")} == {old.site.source}
    with old.ledger() as ledger:
        skipped = ledger.rows(procedure="12.3.5", events=[Event.SKIPPED])
    assert {row.entry.step for row in skipped} == {8}
    with old.house() as house:
        back_out_rows(house, "cmp-1")
        assert house.acts == 0


@pytest.mark.parametrize(
    "cut", ["advance Failover to old version", "operate Backout", "operate Cancel Force Standby"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_the_old_gui_the_primary_goes_on(old: Place, cut: str, when: str) -> None:
    confirm(old, *ANSWERS)
    primary_alone(old)

    def die(call: str) -> None:
        if call == cut:
            raise Killed

    setattr(old.system, when, die)
    with old.house() as house, pytest.raises(Killed):
        back_out_rows(house, "cmp-1")
    setattr(old.system, when, lambda _call: None)
    with old.house() as house:
        back_out_rows(house, "cmp-1")
    assert old.system.sent == [
        (B, "cmp-1b"),
        (F, "cmp-1"),
        ("Backout", "cmp-1a"),
        ("Cancel Force Standby", "cmp-1a"),
    ]


def test_a_standby_that_was_forced_and_not_upgraded_is_released(old: Place) -> None:
    """6.1.1/9 was done and nothing more: 12.3.5/7 is all that is needed."""
    primary_alone(old)
    for box in old.system.of("cmp-1"):
        box.release, box.operation, box.prev_release = old.site.source, "n/a", ""
    old.system.boxes["cmp-1b"].role = Role.FORCED_STANDBY
    with old.house() as house:
        back_out_rows(house, "cmp-1")
    assert old.system.sent == [("Cancel Force Standby", "cmp-1b")]


# turning round


def upgrade(house: object, cluster: str, last: int = 10) -> None:
    for n in range(1, last + 1):
        carry_out(step(f"10.2/{n}"), Scope(cluster=cluster), house, glance=n == 6)  # type: ignore[arg-type]


def test_upgraded_backed_out_and_upgraded_again(place: Place) -> None:
    with place.house() as house:
        upgrade(house, "mpe-1")
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    assert is_back(place.system, "mpe-1")
    with place.house() as house:
        upgrade(house, "mpe-1")
    assert is_new(place.system, "mpe-1")
    system = place.system
    assert (system.count(UP), system.count(NEW), system.count(BACK), system.count(OLD)) == (4, 2, 2, 1)
    assert system.count("reset") == 2  # the counters began anew with the second pass
    assert system.count(R, "mpe-1") == 5


@pytest.mark.parametrize("last", [3, 4, 5, 8, 9])
def test_turned_round_in_the_middle_of_the_upgrade(place: Place, last: int) -> None:
    with place.house() as house:
        upgrade(house, "mpe-1", last)
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    assert is_back(place.system, "mpe-1")
    with place.house() as house:
        upgrade(house, "mpe-1")
    assert is_new(place.system, "mpe-1")


@pytest.mark.parametrize("last", [2, 3, 4, 5])
def test_turned_round_in_the_middle_of_the_backout(place: Place, last: int) -> None:
    with place.house() as house:
        upgrade(house, "mpe-1")
    with place.house() as house:
        for n in range(1, last + 1):
            carry_out(step(f"12.3.3/{n}"), MPE, house)
    with place.house() as house:
        upgrade(house, "mpe-1")
    assert is_new(place.system, "mpe-1")
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    assert is_back(place.system, "mpe-1")


def test_an_act_that_was_accepted_before_the_turn_is_forgotten(place: Place) -> None:
    """Its run died after the answer: the next pass begins anew instead of waiting for it."""

    def stop(call: str) -> None:
        raise KeyboardInterrupt

    place.system.after = stop
    with place.house() as house, pytest.raises(KeyboardInterrupt):
        upgrade(house, "mpe-1", 3)
    place.system.after = lambda _call: None
    with place.house() as house:
        back_out_rows(house, "mpe-1")
    with place.house() as house:
        upgrade(house, "mpe-1")
    assert is_new(place.system, "mpe-1")


def test_a_running_action_of_the_other_direction_is_waited_for(place: Place) -> None:
    bring(place.system, "mpe-1", Stage.BACK_SECOND, back=True)
    with place.house() as house:
        upgrade(house, "mpe-1")
    assert is_new(place.system, "mpe-1")


@pytest.mark.parametrize("stage", [Stage.BACK_FIRST, Stage.BACK_SECOND])
@pytest.mark.parametrize("cluster", ["cmp-1", "cmp-2", "mpe-1"])
def test_an_upgrade_that_is_started_while_a_backout_runs_is_refused_at_once(
    place: Place, cluster: str, stage: Stage
) -> None:
    """Nothing is waited for and nothing is left to be closed by hand: the next start looks anew."""
    firsts = {"cmp-1": step("9.1.1/1"), "cmp-2": step("9.1.2/1"), "mpe-1": step("10.2/1")}
    bring(place.system, cluster, stage, back=True)
    place.system.tick = lambda: None  # type: ignore[method-assign]
    with place.house() as house:
        assert house.eye.now().state(cluster).stage is stage
        with pytest.raises(Held, match=f"a backout runs in {cluster}, it is never reversed") as held:
            require_forward(house, firsts)
        assert "wait until what runs in the cluster has ended" in held.value.remedy
        (row,) = house.ledger.holds(house.site.name, open_only=True)
        assert (row.rule, row.cluster, f"{row.procedure}/{row.step}") == ("R7", cluster, firsts[cluster].key)
    del place.system.tick  # type: ignore[attr-defined]
    while place.system.work:
        place.system.tick()
    with place.house() as house:
        assert reconsider(house, house.eye.now(), set(firsts)) == []
        assert require_forward(house, firsts) == "no backout runs in cmp-1, cmp-2, mpe-1"
    assert place.system.sent == []


def test_an_act_of_a_moment_ago_may_still_show_itself(new_place: Callable[..., Place]) -> None:
    """R7: what was asked for and shows nothing yet is not reversed."""
    from mopflow.turning import just_turned

    place = new_place(settle=30)
    place.system.before = lambda call: (_ for _ in ()).throw(KeyboardInterrupt) if "advance" in call else None
    with place.house() as house, pytest.raises(KeyboardInterrupt):
        carry_out(step("10.2/3"), MPE, house)
    place.system.before = lambda _call: None
    with place.house() as house:
        here = Here(house, step("12.3.3/2"), MPE, house.eye.now())
        assert [(r.rule, r.passing) for r in just_turned(here)] == [("R7", True)]
        other = Here(house, step("12.3.3/2"), Scope(cluster="mpe-2"), house.eye.now())
        assert list(just_turned(other)) == []


def test_failed_over_back_and_not_proven_lets_no_other_cluster_fail_over(
    new_place: Callable[..., Place],
) -> None:
    """R4 over both directions."""
    place = new_place(late=1.5)
    place.system.finish("mpe-1")
    bring(place.system, "mpe-2", Stage.FIRST_DONE)
    with place.house() as house:
        for n in (1, 2, 3):
            carry_out(step(f"12.3.3/{n}"), MPE, house)
        with pytest.raises(Held, match="mpe-1 failed over last"):
            carry_out(step("10.2/4"), Scope(cluster="mpe-2"), house)
        carry_out(step("12.3.3/4"), MPE, house)
        carry_out(step("10.2/4"), Scope(cluster="mpe-2"), house)
    assert place.system.count(NEW) == 1


@pytest.mark.parametrize("stage, back, _acts", STATES)
def test_the_stages_of_these_tests_are_what_their_names_say(
    place: Place, stage: Stage, back: bool, _acts: object
) -> None:
    bring(place.system, "mpe-1", stage, back=back)
    with place.house() as house:
        assert house.eye.now().states["mpe-1"].stage is stage


def test_a_cluster_that_a_person_has_released_goes_back(place: Place) -> None:
    """12.3.2: after a word with Oracle it may go on as it is; what the server says is accepted by its text."""
    confirm(place, *ANSWERS)
    place.system.fails.add("mpe-1b")
    place.system.finish("mpe-1")
    with place.house() as house, pytest.raises(Held, match="Failed"):
        back_out_rows(house, "mpe-1")
    with place.house() as house, pytest.raises(Held, match=r"12\.3\.2"):
        require_backout(house, "mpe-1")
    place.system.fails.clear()
    with place.ledger() as ledger:
        released.release(ledger, "small", "mpe-1", "Ada", "Oracle says so", "SR 3-1234")
    with place.house() as house:
        require_backout(house, "mpe-1")
        back_out_rows(house, "mpe-1")
    assert is_back(place.system, "mpe-1")
