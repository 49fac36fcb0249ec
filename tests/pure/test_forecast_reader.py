"""The forecast from a real ledger, and the command that shows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import main
from mopflow import processes
from mopflow.console.protocol import Act, Intended
from mopflow.forecast import Memory, Standing, forecast_of
from mopflow.forecast.night import Way
from mopflow.forecast.parts import Key, Part, Who
from mopflow.forecast.reader import read
from mopflow.here import Scope
from mopflow.house import House, snapshot_document
from mopflow.ledger import Choice, HoldKind
from mopflow.procedures.table import step
from mopflow.run import carry_out
from mopflow.site import Site, Window
from mopflow.system import Stage
from tests.pure.small_system import Place

ROOT = Path(__file__).parents[2]
LAB = ROOT / "deployments" / "lab.yaml"
MPE = Scope(cluster="mpe-1")


def see(house: House) -> None:
    """Keep the picture of the system, as a run does."""
    house.ledger.put_snapshot(house.site.name, house.campaign, snapshot_document(house.eye.now()))


def works(place: Place, flow: str, scope: str, *, pid: int | None = None, how: str | None = None) -> None:
    """A run is entered in the ledger: that of this process, or of one that has died."""
    me = processes.me()
    with place.ledger() as ledger:
        assert place.campaign is not None
        number = pid if pid is not None else me.pid
        run = ledger.register(place.campaign, place.site.name, flow, scope, me.host, number, me.born)
        if how is not None:
            ledger.end_executor(run.id, how)


def upgraded(place: Place, rows: int) -> None:
    """mpe-1 up to a row of 10.2."""
    with place.house() as house:
        for number in range(1, rows + 1):
            carry_out(step(f"10.2/{number}"), MPE, house, glance=number == 6)
        see(house)


def test_without_a_ledger_the_document_speaks(place: Place) -> None:
    made = forecast_of(place.site, None)
    assert "no own durations yet" in made.basis[0]
    assert [phase.name for phase in made.plan.phases] == ["primary CMP", "secondary CMP", "segment-1"]


def test_a_cluster_in_the_middle_is_found_there(place: Place) -> None:
    upgraded(place, 8)
    works(place, "upgrade-segment", "segment-1")
    with place.ledger() as ledger:
        found = read(place.site, ledger, datetime.now(UTC))
        made = forecast_of(place.site, ledger)
    assert found.night.stage("mpe-1") is Stage.SWITCHED
    assert found.night.stage("cmp-1") is Stage.DONE
    assert [run.scope for run in found.night.runs] == ["segment-1"]
    assert found.history.count(Part.SERVER) == 1
    assert Key(Part.SWITCH, Who.MPE) in found.history.own
    assert made.cluster("mpe-1").standing is Standing.AT_WORK
    assert made.cluster("cmp-1").standing is Standing.DONE
    assert made.backout is not None and made.backout.clusters == ("mpe-1",), "the CMP were upgraded by others"
    assert made.mixed
    assert made.taken is not None


def test_a_process_that_died_does_not_work(place: Place) -> None:
    upgraded(place, 3)
    works(place, "upgrade-segment", "segment-1", pid=2**22 - 1)
    with place.ledger() as ledger:
        assert read(place.site, ledger, datetime.now(UTC)).night.runs == ()


def test_a_backout_under_way_is_seen_and_a_finished_one_is_not(place: Place) -> None:
    upgraded(place, 3)
    works(place, "back-out", "mpe-mra")
    with place.ledger() as ledger:
        assert forecast_of(place.site, ledger).way is Way.BACK
    works(place, "back-out", "mpe-mra", how="done")
    with place.ledger() as ledger:
        assert forecast_of(place.site, ledger).way is Way.FORWARD


def test_another_campaign_between_other_releases_teaches_nothing(place: Place) -> None:
    upgraded(place, 3)
    other: Site = place.site.model_copy(update={"source": "12.0.0.0.0_45.1.0"})
    with place.ledger() as ledger:
        assert read(place.site, ledger, datetime.now(UTC)).history.count(Part.SERVER) == 1
        assert read(other, ledger, datetime.now(UTC)).history.count(Part.SERVER) == 0


def test_answers_to_questions_are_durations_of_people(place: Place) -> None:
    with place.house() as house:
        ledger, site, campaign = house.ledger, house.site.name, house.campaign
        for rule in ("approve", "confirm"):
            row = ledger.open_hold(
                site,
                campaign,
                "mpe-1",
                "10.2",
                4,
                rule,
                rule,
                "",
                {},
                kind=HoldKind.QUESTION,
                choices=[Choice.GO],
            )
            ledger.answer(row.id, Choice.GO, "A. Engineer", "", "test")
        found = read(house.site, ledger, datetime.now(UTC))
    assert len(found.history.own[Key(Part.ANSWER, Who.SITE)]) == 1, "only whether an act may be done"


def test_a_word_for_a_late_start_is_shown(place: Place) -> None:
    now = datetime.now(UTC)
    tonight = Window(name="tonight", start=now - timedelta(seconds=5), end=now + timedelta(seconds=1))
    place.site = place.site.model_copy(update={"windows": (tonight,)})
    with place.house() as house:
        see(house)
    with place.ledger() as ledger:
        assert forecast_of(place.site, ledger, now).cluster("mpe-1").standing is Standing.LATER
        ledger.confirm(place.site.name, "window:mpe-1", "A. Engineer", "agreed", "person")
        row = forecast_of(place.site, ledger, now).cluster("mpe-1")
    assert (row.standing, row.overridden_by) == (Standing.PLANNED, "A. Engineer")


def test_what_was_read_once_is_not_read_again(place: Place) -> None:
    memory = Memory()
    upgraded(place, 3)
    with place.ledger() as ledger:
        first = read(place.site, ledger, datetime.now(UTC), memory)
        last, rows = memory.last, len(memory.rows)
    place.system.begin(Intended(Act.FAILOVER_TO_NEW, "mpe-1"))
    with place.house() as house:
        carry_out(step("10.2/4"), MPE, house)
        see(house)
    with place.ledger() as ledger:
        again = read(place.site, ledger, datetime.now(UTC), memory)
        anew = read(place.site, ledger, datetime.now(UTC))
        assert [row.id for row in ledger.rows(site=place.site.name, after=last)] == [
            row.id for row in memory.rows[rows:]
        ]
    assert memory.last > last
    assert again.history == anew.history and again.night.stages == anew.night.stages
    assert again.night.stages != first.night.stages


# the command


def test_the_command_shows_it_to_people_and_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", str(LAB), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["colour"] == "green" and content["windows"][0]["phases"][0]["name"] == "primary CMP"
    assert main(["forecast", str(LAB)]) == 0
    said = capsys.readouterr().out
    assert "lab, upgrade: green: everything planned fits" in said
    assert "segment-2" in said and "rests on: this site has no own durations yet" in said


def test_the_command_plans_window_by_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = datetime.now(UTC) + timedelta(days=1)
    rows = "".join(
        f"- {{name: {name}, start: {(start + timedelta(days=n)).isoformat()}, end: {(start + timedelta(days=n, hours=9)).isoformat()}}}\n"
        for n, name in enumerate(("CMP", "segment-1"))
    )
    file = tmp_path / "site.yaml"
    file.write_text(f"{LAB.read_text()}\nwindows:\n{rows}")
    assert main(["forecast", str(file)]) == 0
    said = capsys.readouterr().out
    assert "no window is open; next begins CMP" in said
    assert "window segment-1, " in said and "meant for other work" in said
    assert "no window of the site file has room for mpe-3, mra-3" in said


def test_the_command_names_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "nowhere.yaml"]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err
