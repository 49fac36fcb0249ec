"""No new cluster past its latest start, against the run loop, a small system in memory and a real ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.readiness import confirm_item
from mopflow import answers
from mopflow.answers import Given
from mopflow.asking import until_answered
from mopflow.console.protocol import Act, Intended
from mopflow.errors import BadInput, Held
from mopflow.gate_window import said
from mopflow.here import Scope
from mopflow.house import House
from mopflow.ledger import Event, Hold, HoldAnswer, HoldKind, Ledger
from mopflow.procedures.table import step
from mopflow.run import Outcome, carry_out
from mopflow.site import Autonomy, Site, Window
from mopflow.site_file import load
from tests.pure.small_system import Place, until
from tests.pure.whole_system import SOURCES, whole_place

ROOT = Path(__file__).parents[2]
MPE = Scope(cluster="mpe-1")
FIRST = step("10.2/3")
TIGHT = timedelta(seconds=1.0)  # of a clock on which a minute of the document lasts a hundredth of a second
WIDE = timedelta(hours=1)


def window(left: timedelta, *, since: timedelta = timedelta(minutes=5)) -> Window:
    now = datetime.now(UTC)
    return Window(name="tonight", start=now - since, end=now + left)


def open_for(house: House, left: timedelta) -> None:
    house.site = house.site.model_copy(update={"windows": (window(left),)})


def acts(place: Place) -> list[tuple[str, str]]:
    return place.system.sent


def test_a_fresh_cluster_is_held_past_its_latest_start(place: Place) -> None:
    with place.house() as house:
        open_for(house, TIGHT)
        with pytest.raises(Held) as held:
            carry_out(FIRST, MPE, house)
        (row,) = house.ledger.holds(house.site.name)
    assert acts(place) == []
    assert row.rule == "window" and row.cluster == "mpe-1"
    assert "mpe-1 could be begun until" in row.reason and "tonight ends" in row.reason
    assert "mopflow confirm SITE window:CLUSTER" in row.remedy
    assert held.value.hold == row.id


def test_with_room_it_begins(place: Place) -> None:
    with place.house() as house:
        open_for(house, WIDE)
        assert carry_out(FIRST, MPE, house).outcome is Outcome.DONE


def test_without_an_open_window_nothing_is_held_back(place: Place) -> None:
    with place.house() as house:
        closed = window(timedelta(hours=9), since=timedelta(hours=-8))
        house.site = house.site.model_copy(update={"windows": (closed,)})
        assert carry_out(FIRST, MPE, house).outcome is Outcome.DONE
        assert said(house.site, datetime.now(UTC)).startswith("no window is open; next begins tonight at ")
    assert said(place.site, datetime.now(UTC)) == "", "a site without windows is told nothing"


@pytest.mark.parametrize("number", [4, 9])
def test_what_was_begun_is_finished_however_late_it_is(place: Place, number: int) -> None:
    with place.house() as house:
        for n in range(3, number):
            carry_out(step(f"10.2/{n}"), MPE, house, glance=n == 6)
        open_for(house, timedelta(milliseconds=1))
        assert carry_out(step(f"10.2/{number}"), MPE, house).outcome is Outcome.DONE


def test_a_backout_is_never_held_back(place: Place) -> None:
    for cluster in place.site.clusters:
        place.system.finish(cluster.name)
    with place.house() as house:
        open_for(house, TIGHT)
        rules = house.site.autonomy.model_copy(update={"backout": Autonomy.AUTO})
        house.site = house.site.model_copy(update={"autonomy": rules})
        assert carry_out(step("12.3.3/2"), MPE, house).outcome is Outcome.DONE


def test_a_start_that_runs_already_is_adopted(place: Place) -> None:
    place.system.begin(Intended(Act.INITIATE_UPGRADE, "mpe-1", "mpe-1b"))
    with place.house() as house:
        open_for(house, TIGHT)
        carry_out(FIRST, MPE, house)
        assert house.acts == 0
        assert house.ledger.last(procedure="10.2", step=3, events=[Event.ADOPTED]) is not None


def test_a_person_lets_it_begin_and_that_is_recorded(place: Place) -> None:
    with place.house() as house:
        open_for(house, TIGHT)
        house.ledger.confirm(
            house.site.name, "window:segment-1", "A. Engineer", "agreed with the NOC", "person"
        )
        assert carry_out(FIRST, MPE, house).outcome is Outcome.DONE
        notes = [r.entry.text for r in house.ledger.rows(procedure="10.2", step=3, events=[Event.NOTE])]
    assert len(notes) == 1 and notes[0].startswith(
        "A. Engineer lets it begin all the same: agreed with the NOC."
    )


def test_a_word_for_another_cluster_or_from_an_earlier_window_does_not_count(place: Place) -> None:
    with place.house() as house:
        site = house.site.name
        house.ledger.confirm(site, "window:mpe-2", "A. Engineer", "why", "person")
        house.ledger.confirm(site, "window:mpe-1", "A. Engineer", "why", "person")
        now = datetime.now(UTC)
        yesterday = Window(name="yesterday", start=now - timedelta(days=1), end=now)
        until(lambda: datetime.now(UTC) > now)
        tonight = Window(name="tonight", start=yesterday.end, end=datetime.now(UTC) + TIGHT)
        house.site = house.site.model_copy(update={"windows": (yesterday, tonight)})
        with pytest.raises(Held, match="could be begun until"):
            carry_out(FIRST, MPE, house)


class Person:
    """Answers the hold that it is asked about."""

    def __init__(self, ledger: Ledger, given: Given) -> None:
        self._ledger = ledger
        self._given = given
        self.asked: list[Hold] = []

    def wait(self, row: Hold, over: Callable[[], bool]) -> HoldAnswer | None:
        self.asked.append(row)
        assert answers.give(self._ledger, row, self._given, "test") is None
        return self._ledger.answer_to(row.id)

    def wait_until(self, over: Callable[[], bool]) -> None:
        until(over)


def test_the_hold_is_a_question_that_can_be_answered(place: Place) -> None:
    with place.house() as house:
        open_for(house, TIGHT)
        person = Person(house.ledger, Given("go", "A. Engineer", "agreed", "mpe-1"))
        house.asker = person
        result = until_answered(house, lambda: carry_out(FIRST, MPE, house))
        word = house.ledger.confirmation(house.site.name, "window:mpe-1")
    assert result.outcome is Outcome.DONE
    assert [row.kind for row in person.asked] == [HoldKind.QUESTION]
    assert word is not None and (word.by, word.text) == ("A. Engineer", "agreed")


def test_an_answer_needs_the_name_and_a_reason(place: Place) -> None:
    with place.house() as house:
        open_for(house, TIGHT)
        with pytest.raises(Held) as held:
            carry_out(FIRST, MPE, house)
        row = house.ledger.hold(held.value.hold)
        with pytest.raises(BadInput) as wrong:
            answers.give(house.ledger, row, Given("go", "A. Engineer"), "test")
    assert len(wrong.value.mistakes) == 2


@pytest.mark.parametrize("source", list(SOURCES))
def test_the_primary_cmp_is_begun_only_with_room_for_both(
    source: str, tmp_path: Path, empty_ledger: Path
) -> None:
    """On 10.5 and 11.5 its first act is Force Standby: even that is not done too late."""
    place = whole_place(tmp_path / "place", empty_ledger, source)
    table = {"10.5": "6.1.1", "11.5": "7.1.1", "12.0": "8.1.1", "12.1.1": "9.1.1"}[source]
    first = {"6.1.1": 9, "7.1.1": 9, "8.1.1": 11, "9.1.1": 10}[table]
    primary = Scope(cluster=place.site.cmp.primary.name)
    with place.house() as house:
        for number in range(1, first):
            carry_out(step(f"{table}/{number}"), primary, house)
        open_for(house, TIGHT)
        with pytest.raises(Held, match="to finish both CMP clusters takes up to"):
            carry_out(step(f"{table}/{first}"), primary, house)
        (row,) = house.ledger.holds(house.site.name)
    assert (row.procedure, row.step, row.rule) == (table, first, "window")


def test_the_command_confirm_ends_the_hold(tmp_path: Path) -> None:
    text = (ROOT / "deployments" / "lab.yaml").read_text()
    file = tmp_path / "site.yaml"
    file.write_text(text)
    site: Site = load(file)
    with Ledger.open(f"sqlite:///{tmp_path / 'mopflow-ledger.db'}") as ledger:
        campaign = ledger.campaign(site.name, site.source, site.target, None)
        held = [
            ledger.open_hold(site.name, campaign, name, "10.2", 3, rule, f"{rule} holds", "what to do", {})
            for name, rule in (("mpe-1", "window"), ("mpe-3", "window"), ("mpe-1", "R8"))
        ]
    with pytest.raises(BadInput, match="--text is blank"):
        confirm_item(file, "window:mpe-1", "A. Engineer", " ", False)
    with pytest.raises(BadInput, match="nothing to confirm"):
        confirm_item(file, "window:nowhere", "A. Engineer", "why", False)
    assert confirm_item(file, "window:segment-1", "A. Engineer", "agreed", False) == 0
    with Ledger.open(f"sqlite:///{tmp_path / 'mopflow-ledger.db'}") as ledger:
        still = {row.id for row in ledger.holds(site.name)}
        word = ledger.confirmation(site.name, "window:segment-1")
    assert still == {held[1].id, held[2].id}, "of this segment, and of the window only"
    assert word is not None and word.text == "agreed"
