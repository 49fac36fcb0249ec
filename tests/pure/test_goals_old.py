"""Every goal that chapters 6 to 8 add: no before its act, yes after it, unknown when the input cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mopflow.here import Here, Scope
from mopflow.house import House
from mopflow.ledger import Event
from mopflow.procedures.table import cmp_procedures, step
from mopflow.run import UNREAD, carry_out
from mopflow.site import Deadline
from mopflow.step import Answer, Finding
from mopflow.system import Role
from tests.pure.small_system import Place
from tests.pure.whole_system import WholeServers, WholeSystem, whole_place

SCOPE = Scope(cluster="cmp-1")
GOALS = [  # row, leg
    ("6.1.1/7", "scripts"),
    ("6.1.1/7", ""),
    ("7.1.1/6", "scripts"),
    ("6.1.1/8", ""),
    ("7.1.1/7", ""),
    ("8.1.1/8", ""),
    ("6.1.1/9", ""),
    ("7.1.1/9", ""),
    ("6.1.1/10", ""),
    ("6.1.1/10", "message"),
    ("6.1.1/11", ""),
    ("7.1.1/11", ""),
    ("6.1.1/13", "failover"),
    ("6.1.1/18", ""),
    ("6.1.1/19", ""),
    ("8.1.1/9", ""),
    ("8.1.1/10", ""),
]
SOURCES = {"6.1.1": "10.5", "7.1.1": "11.5", "8.1.1": "12.0"}
VERIFIES = {"6.1.1/11": "6.1.1/10", "7.1.1/11": "7.1.1/10"}  # a row that only looks, after the act of another


@pytest.fixture
def new_place(tmp_path: Path, empty_ledger: Path) -> Callable[[str], Place]:
    return lambda source: whole_place(tmp_path / "place", empty_ledger, source)


def ask(house: House, key: str, leg: str) -> Finding:
    """As the run loop asks it, on a new reading."""
    here = Here(house, step(key), SCOPE, house.eye.soon())
    here.leg = next(one for one in step(key).legs if one.name == leg)
    try:
        return here.leg.goal(here)
    except UNREAD as failed:
        return Finding.unknown(str(failed))


def garble(place: Place, key: str) -> None:
    """Make unreadable what the goal of this row reads."""
    servers, system = place.servers, place.system
    assert isinstance(servers, WholeServers)
    assert isinstance(system, WholeSystem)
    if key in ("6.1.1/7", "7.1.1/6", "6.1.1/18", "8.1.1/9"):
        servers.check = lambda *_a, **_k: "?\n"  # type: ignore[method-assign]
        servers.run = lambda *_a, **_k: _NOTHING  # type: ignore[method-assign]
    elif key in ("6.1.1/19", "8.1.1/10"):
        system.iso = " "
    else:
        system.other("cmp-1").role = Role.UNKNOWN


class _Empty:
    status, stdout, stderr = 1, "", ""


_NOTHING = _Empty()


@pytest.mark.parametrize("key, leg", GOALS)
def test_goal(new_place: Callable[[str], Place], key: str, leg: str) -> None:
    procedure, number = key.split("/")
    place = new_place(SOURCES[procedure])
    table = cmp_procedures(place.site.source_release)[0]
    before = VERIFIES.get(key, key)
    with place.house() as house:
        for row in table.steps[: step(before).number - 1]:
            carry_out(row, SCOPE, house)
        answer = ask(house, key, leg).answer
        # before the act there is no message to read: nobody can say yet
        assert answer is (Answer.UNKNOWN if leg == "message" else Answer.NO)
        for row in table.steps[step(before).number - 1 : int(number)]:
            carry_out(row, SCOPE, house)
        assert ask(house, key, leg).answer is Answer.YES
        garble(place, key)
        assert ask(house, key, leg).answer is Answer.UNKNOWN


def test_another_message_is_a_plain_no(new_place: Callable[[str], Place]) -> None:
    place = new_place("10.5")
    with place.house() as house:
        for number in range(1, 11):
            carry_out(step(f"6.1.1/{number}"), SCOPE, house)
        place.system.boxes["cmp-1b"].operation = "n/a"
        found = ask(house, "6.1.1/10", "message")
    assert found.answer is Answer.NO
    assert "contact Oracle" in found.evidence


def test_sync_broken_is_a_plain_no(new_place: Callable[[str], Place]) -> None:
    place = new_place("11.5")
    with place.house() as house:
        for number in range(1, 11):
            carry_out(step(f"7.1.1/{number}"), SCOPE, house)
        place.system.boxes["cmp-1b"].sync_broken = True
        assert ask(house, "7.1.1/11", "").answer is Answer.NO


def pace(house: House, **changes: object) -> None:
    house.site = house.site.model_copy(update={"pace": house.site.pace.model_copy(update=changes)})


@pytest.mark.parametrize("key", ["6.1.1/9", "6.1.1/10", "6.1.1/13"])
def test_trace_of_a_lost_answer(new_place: Callable[[str], Place], key: str) -> None:
    """The role and the cell on the console: yes when they changed, no only after a while."""
    place = new_place("10.5")
    row = step(key)
    leg = row.legs[0]
    assert leg.mark is not None
    assert leg.trace is not None
    with place.house() as house:
        for number in range(1, row.number):
            carry_out(step(f"6.1.1/{number}"), SCOPE, house)
        here = Here(house, row, SCOPE, house.eye.now())
        mark = dict(leg.mark(here))
        server = mark.pop("server")
        assert server == "cmp-1b"
        here.record(Event.INTENDED, "test", token="t", server=server, data=mark)
        pace(house, settle=60.0, failover=Deadline(usual=0.0, late=120.0))
        assert leg.trace(here).answer is Answer.UNKNOWN
        place.system.boxes["cmp-1b"].operation = "Upgrading: 1% (Elapsed Time: 0:00:01)"
        here.look_again()
        assert leg.trace(here).answer is Answer.YES
        place.system.boxes["cmp-1b"].operation = mark["cell"]
        pace(house, settle=0.0, failover=Deadline(usual=0.0, late=0.0))
        here.look_again()
        assert leg.trace(here).answer is Answer.NO
