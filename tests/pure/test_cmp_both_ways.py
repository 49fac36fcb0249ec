"""CMP clusters from every release: turned round in the middle, killed in the middle, and never reversed while they work."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mopflow.ledger import Event
from tests.pure.both_ways import (
    SOURCES,
    back_out_cmps,
    in_pairs,
    releases,
    system_of,
    two_way_place,
    upgrade_cmps,
)
from tests.pure.small_system import TARGET, Killed, Place

NewPlace = Callable[[str], Place]
Course = Callable[[Place], None]
SAFE_TO_REPEAT = ("Push Script",)
NO_ACTS_OF_OURS = ("upload", "delete")  # of the images: `stopped` does not count them


@pytest.fixture
def new_place(tmp_path: Path, empty_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> NewPlace:
    numbers = iter(range(10_000))
    return lambda source: two_way_place(tmp_path / str(next(numbers)), empty_ledger, source, monkeypatch)


def is_new(place: Place) -> bool:
    return releases(place) == {TARGET} and in_pairs(place)


def is_back(place: Place) -> bool:
    return releases(place) == {place.site.source} and in_pairs(place)


def acts_of(place: Place, course: Course) -> list[tuple[str, str]]:
    """What the console accepted while this was done, from its beginning to its end."""
    before = len(place.system.sent)
    course(place)
    return place.system.sent[before:]


def stopped(place: Place, course: Course, at: int, moment: str = "after") -> None:
    """It dies right before (``before``) or right after (``after``) its act number ``at`` of the console."""
    count = iter(range(10**6))

    def die(call: str) -> None:
        if call.split()[0] in ("advance", "operate", "select_iso") and next(count) == at:
            raise Killed

    setattr(place.system, moment, die)
    with contextlib.suppress(Killed):
        course(place)
    setattr(place.system, moment, lambda _call: None)


def never_reversed(place: Place) -> bool:
    """R7: no act of the other direction while one ran, none even tried: the button was never found otherwise."""
    with place.ledger() as ledger:
        refused = ledger.rows(site="small", events=(Event.REFUSED,))
    return not system_of(place).reversed and not refused


@pytest.mark.parametrize(
    "source",
    [pytest.param(s, marks=[] if s in ("10.5", "12.1.1") else pytest.mark.soak) for s in SOURCES],
)
def test_there_and_back_and_there_again(new_place: NewPlace, source: str) -> None:
    place = new_place(source)
    upgrade_cmps(place)
    assert is_new(place)
    back_out_cmps(place)
    assert is_back(place)
    upgrade_cmps(place)
    assert is_new(place)
    assert never_reversed(place)


def before(place: Place, course: Course) -> None:
    """Bring it to where the course begins."""
    if course is back_out_cmps:
        upgrade_cmps(place)


def goal(course: Course) -> Callable[[Place], bool]:
    return is_new if course is upgrade_cmps else is_back


def other_way(course: Course) -> Course:
    return back_out_cmps if course is upgrade_cmps else upgrade_cmps


def numbers_of_acts(new_place: NewPlace, source: str, course: Course) -> list[tuple[int, str]]:
    """Number and name of each act of the course that must not be sent twice."""
    place = new_place(source)
    before(place, course)
    acts = [(name, who) for name, who in acts_of(place, course) if name not in NO_ACTS_OF_OURS]
    return [(n, f"{name} {who}") for n, (name, who) in enumerate(acts) if name not in SAFE_TO_REPEAT]


# turned round


def turned_round(new_place: NewPlace, source: str, course: Course, at: int, what: str) -> None:
    """Stopped after this act, taken the other way to its end, and begun again."""
    place = new_place(source)
    before(place, course)
    stopped(place, course, at)
    other_way(course)(place)
    assert goal(other_way(course))(place), (what, place.system.sent)
    course(place)
    assert goal(course)(place), (what, place.system.sent)
    assert never_reversed(place), (what, system_of(place).reversed)


@pytest.mark.parametrize("at, what", [(2, "Start Upgrade cmp-1b"), (3, "Switch ForceStandby cmp-1")])
def test_the_primary_is_turned_round_before_and_after_its_switch(
    new_place: NewPlace, at: int, what: str
) -> None:
    turned_round(new_place, "10.5", upgrade_cmps, at, what)


def test_turned_round_between_the_two_clusters(new_place: NewPlace) -> None:
    """The last act of the primary has come to its end, nothing of the secondary was begun."""
    found = numbers_of_acts(new_place, "12.1.1", upgrade_cmps)
    (at,) = (n for n, what in found if what == "Initiate upgrade cmp-1a")
    turned_round(new_place, "12.1.1", upgrade_cmps, at, "Initiate upgrade cmp-1a")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("course", [upgrade_cmps, back_out_cmps])
@pytest.mark.parametrize("source", SOURCES)
def test_turned_round_after_every_act(new_place: NewPlace, source: str, course: Course) -> None:
    for at, what in numbers_of_acts(new_place, source, course):
        turned_round(new_place, source, course, at, what)


# killed


def killed(new_place: NewPlace, source: str, course: Course, at: int, moment: str, what: str) -> None:
    """Killed right before or right after the act, and started again: it comes to its end, and no act comes twice."""
    place = new_place(source)
    before(place, course)
    sent = len(place.system.sent)
    stopped(place, course, at, moment)
    course(place)
    assert goal(course)(place), (moment, what, place.system.sent)
    again = (*SAFE_TO_REPEAT, *NO_ACTS_OF_OURS)
    counted = Counter(act for act in place.system.sent[sent:] if act[0] not in again)
    assert set(counted.values()) == {1}, (moment, what, counted)
    assert never_reversed(place), (moment, what, system_of(place).reversed)


@pytest.mark.parametrize("course", [upgrade_cmps, back_out_cmps])
def test_killed_at_the_switch_of_the_primary(new_place: NewPlace, course: Course) -> None:
    found = numbers_of_acts(new_place, "12.1.1", course)
    (switch,) = ((n, what) for n, what in found if what.startswith("Failover") and what.endswith("cmp-1"))
    for moment in ("before", "after"):
        killed(new_place, "12.1.1", course, switch[0], moment, switch[1])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("course", [upgrade_cmps, back_out_cmps])
@pytest.mark.parametrize("source", SOURCES)
def test_killed_around_every_act(new_place: NewPlace, source: str, course: Course, moment: str) -> None:
    for at, what in numbers_of_acts(new_place, source, course):
        killed(new_place, source, course, at, moment, what)
