"""A person who has spoken with Oracle lets a stopped cluster go on: exactly what was accepted is tolerated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from small_system import TARGET, Place, alarm, make_place

from mopflow import released
from mopflow.console.protocol import Act
from mopflow.errors import BadInput, Held
from mopflow.here import Here, Scope
from mopflow.holds import reconsider, stopping
from mopflow.ledger import Hold
from mopflow.procedures.table import step
from mopflow.run import Outcome, carry_out
from mopflow.system import Role

MPE = Scope(cluster="mpe-1")
FAILED = "Initiate upgrade Failed at Aug 16, 2016 9:21:11"
SAID = ("E. Ngineer", "Oracle: try again", "SR 3-1")


@pytest.fixture
def place(tmp_path: Path, empty_ledger: Path) -> Place:
    return make_place(tmp_path / "place", empty_ledger, late=0.5)


def fail(place: Place) -> None:
    """The first server of mpe-1 has failed: in its cell and as an alarm."""
    place.system.boxes["mpe-1b"].operation = FAILED
    place.system.alarms = [alarm(70506, "mpe-1b")]


def held(place: Place) -> Held:
    with place.house() as house, pytest.raises(Held) as found:
        carry_out(step("10.2/3"), MPE, house)
    return found.value


def let_go(place: Place, cluster: str = "mpe-1") -> released.Decision:
    with place.ledger() as ledger:
        return released.release(ledger, "small", cluster, *SAID)


def test_a_failed_server_holds_and_goes_on_once_released(place: Place) -> None:
    fail(place)
    held(place)
    held(place)  # starting again changes nothing
    assert place.system.sent == []
    decision = let_go(place)
    assert set(decision.accepted) == {("mpe-1b", FAILED), ("mpe-1b", "made by the test")}
    with place.house() as house:
        assert reconsider(house, house.eye.now(), {"mpe-1"}) == []
        assert stopping(house) == []
        (hold,) = house.ledger.holds("small", open_only=False)
        assert hold.closed_why == "released by E. Ngineer: Oracle: try again (SR 3-1)"
        assert carry_out(step("10.2/3"), MPE, house).outcome is Outcome.DONE
    assert place.system.sent == [(Act.INITIATE_UPGRADE, "mpe-1b")]


@pytest.mark.parametrize("new", ["another failure", "on the mate", "another alarm", "zombie"])
def test_new_trouble_holds_again(place: Place, new: str) -> None:
    fail(place)
    held(place)
    let_go(place)
    match new:
        case "another failure":
            place.system.boxes["mpe-1b"].operation = FAILED.replace("9:21:11", "9:59:59")
        case "on the mate":
            place.system.boxes["mpe-1a"].operation = FAILED
        case "another alarm":
            place.system.alarms.append(alarm(70506, "mpe-1a"))
        case "zombie":
            place.system.boxes["mpe-1b"].role = Role.ZOMBIE
    held(place)
    assert place.system.sent == []


def test_what_was_accepted_on_one_cluster_is_not_on_another(place: Place) -> None:
    fail(place)
    held(place)
    let_go(place)
    place.system.boxes["mpe-2b"].operation = FAILED
    with place.house() as house, pytest.raises(Held):
        carry_out(step("10.2/3"), Scope(cluster="mpe-2"), house)


def test_a_hold_of_another_cluster_is_not_reconsidered_away_before_its_release(place: Place) -> None:
    fail(place)
    held(place)
    with place.house() as house:
        assert len(reconsider(house, house.eye.now(), {"mpe-1"})) == 1


def test_another_status_text_may_be_let_through(place: Place) -> None:
    """6.1.1/10: a status that the document does not know, on a server that is upgraded and in sync."""
    with place.house() as house:
        carry_out(step("10.2/3"), MPE, house)
    place.system.boxes["mpe-1b"].operation = "Upgrade ended with warnings"
    with place.house() as house, pytest.raises(Held, match="does not know"):
        carry_out(step("10.2/4"), MPE, house)
    let_go(place)
    with place.house() as house:
        assert carry_out(step("10.2/3"), MPE, house).outcome in (Outcome.FOUND_DONE, Outcome.DONE)
        assert carry_out(step("10.2/4"), MPE, house).outcome is Outcome.DONE
    assert place.system.boxes["mpe-1b"].role is Role.ACTIVE
    assert place.system.boxes["mpe-1b"].release == TARGET


def test_a_zombie_is_never_released(place: Place) -> None:
    place.system.boxes["mpe-1b"].role = Role.ZOMBIE
    held(place)
    with pytest.raises(BadInput, match=r"cannot be released: .*Zombie.*repaired"):
        let_go(place)
    with place.ledger() as ledger:
        assert len(ledger.holds("small")) == 1
        assert released.accepted(ledger, "small", "mpe-1") == frozenset()


def test_what_was_released_before_stays_so(place: Place) -> None:
    fail(place)
    held(place)
    let_go(place)
    place.system.boxes["mpe-1a"].operation = FAILED
    held(place)
    let_go(place)
    with place.house() as house:
        here = Here(house, step("10.2/3"), MPE, house.eye.now())
        assert released.trouble(house.ledger, "small", here.reading, "mpe-1") is None


# the decision alone


def hold(rule: str, cluster: str = "mpe-1", closed: bool = False, **seen: Any) -> Hold:
    now = datetime.now(UTC)
    empty: Mapping[str, Any] = {}
    return Hold(
        "h", "s", "c", cluster, "10.2", 3, rule, "why", "do", seen or empty, now, now if closed else None
    )


def trouble(server: str, text: str, can: bool = True) -> dict[str, Any]:
    return {"server": server, "text": text, "can_be_released": can}


def test_only_holds_of_the_cluster_that_send_to_oracle_are_released() -> None:
    holds = [
        hold("R8", troubles=[trouble("a", "x")]),
        hold("R8", troubles=[trouble("a", "x"), trouble("b", "y")]),
        hold("R9"),
        hold("R15", troubles=[trouble("c", "z")]),
        hold("R8", "mpe-2", troubles=[trouble("d", "w")]),
        hold("R8", closed=True, troubles=[trouble("e", "v")]),
    ]
    decision = released.decide("mpe-1", holds)
    assert decision.holds == tuple(holds[:3])
    assert decision.accepted == (("a", "x"), ("b", "y"))


@pytest.mark.parametrize(
    "holds, says",
    [
        ([], "has no hold"),
        ([hold("R15")], "held at 10.2/3"),
        ([hold("R8", closed=True)], "has no hold"),
        ([hold("R8", troubles=[trouble("a", "x"), trouble("", "both Active", can=False)])], "both Active"),
    ],
)
def test_nothing_to_release(holds: list[Hold], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        released.decide("mpe-1", holds)
