"""What the journal tells of durations, and what does not count."""

from __future__ import annotations

import random
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.night_model import NightOfTwin, Record
from mopflow.forecast.durations import RATIOS, Beliefs, Figures, History, Luck, figures_of, history
from mopflow.forecast.parts import Key, Part, Piece, Place, Who, shapes
from mopflow.forecast.passes import Pass, passes
from mopflow.ledger.records import Entry, Event, Row
from mopflow.site import Site
from mopflow.site_file import load

ROOT = Path(__file__).parents[2]
LAB = load(ROOT / "deployments" / "lab.yaml")
START = datetime(2026, 1, 5, 22, 0, tzinfo=UTC)
MPE = Key(Part.SERVER, Who.MPE)


@pytest.fixture(scope="module")
def night() -> NightOfTwin:
    made = NightOfTwin(LAB, 3, START)
    made.run()
    return made


@pytest.fixture
def record(night: NightOfTwin) -> Record:
    return night.record


def known(record: Record, rows: list[Row] | None = None, questions: set[str] | None = None) -> History:
    mine = record.rows if rows is None else rows
    asked = {one.id for one in record.questions} if questions is None else questions
    answers = {one.cluster: [(one.at, one.answered)] for one in record.questions}
    return history(LAB, passes(mine, shapes(LAB), asked), mine, record.executors, answers)


def of(record: Record, cluster: str) -> Pass:
    found = passes(record.rows, shapes(LAB), {one.id for one in record.questions})
    return next(one for one in found if one.cluster == cluster)


def row(record: Record, number: int, event: Event, cluster: str = "mpe-1", leg: str = "") -> int:
    """Where the row stands."""
    return next(
        i
        for i, r in enumerate(record.rows)
        if (r.entry.procedure, r.entry.step, r.entry.leg, r.entry.cluster, r.entry.event)
        == ("10.2", number, leg, cluster, event)
    )


def test_every_server_is_as_long_as_the_twin_has_made_it(night: NightOfTwin) -> None:
    begun: dict[str, float] = {}
    real: dict[str, list[float]] = {}
    for event in night.flight.events:
        if event.get("action") != "initiate_upgrade":
            continue
        server = str(event["server"])
        if event["event"] == "action_started":
            begun[server] = float(event["t"])
        elif event["event"] == "action_ended":
            cluster = LAB.cluster_of(server)
            assert cluster is not None
            real.setdefault(cluster.name, []).append(float(event["t"]) - begun[server])
    for cluster in LAB.clusters:
        one = of(night.record, cluster.name)
        ours = [one.part(place) for place in (Place.FIRST, Place.SECOND)]
        for part, seconds in zip(ours, real[cluster.name], strict=True):
            assert part.begun is not None and part.ended is not None
            late = (part.ended - part.begun).total_seconds() - seconds
            assert 0 <= late < 60, "what we see is the act, the readings, and nothing else"


def test_all_of_a_clean_night_counts(record: Record) -> None:
    found = known(record)
    assert found.count(Part.SERVER) == len(LAB.servers)
    assert found.count(Part.SWITCH) == len(LAB.clusters)
    assert len(found.own[Key(Part.ANSWER, Who.SITE)]) == len(record.questions) == 4
    assert found.count(Part.START) == 2 * len(LAB.traffic_clusters)
    assert found.count(Part.COMMAND) == 2, "without a window the first command has nothing to count from"


def test_what_a_person_took_is_not_part_of_the_failover(record: Record) -> None:
    asked = next(one for one in record.questions if one.cluster == LAB.cmp.primary.name)
    took = (asked.answered - asked.at).total_seconds() / 60
    one = of(record, asked.cluster)
    first, second = one.part(Place.FIRST), one.part(Place.SECOND)
    assert first.ended is not None and second.begun is not None
    whole = (second.begun - first.ended).total_seconds() / 60
    (ratio,) = known(record).own[Key(Part.SWITCH, Who.PRIMARY)]
    assert ratio * one.shape.switch == pytest.approx(whole - took, abs=0.02)


@pytest.mark.parametrize("event", [Event.LOST, Event.HELD, Event.ADOPTED])
def test_what_was_lost_held_or_adopted_does_not_count(record: Record, event: Event) -> None:
    rows = list(record.rows)
    at = row(record, 3, Event.ACTED)
    rows[at] = replace(rows[at], entry=replace(rows[at].entry, event=event))
    assert len(known(record, rows).own[MPE]) == len(known(record).own[MPE]) - 1


def test_a_question_spoils_nothing_and_another_hold_does(record: Record) -> None:
    assert known(record).count(Part.SWITCH) == len(LAB.clusters)
    held = known(record, questions=set())
    assert held.count(Part.SWITCH) == len(LAB.clusters) - 4


def test_what_two_runs_did_does_not_count(record: Record) -> None:
    rows = list(record.rows)
    at = row(record, 3, Event.VERIFIED)
    rows[at] = replace(rows[at], executor="another")
    assert len(known(record, rows).own[MPE]) == len(known(record).own[MPE]) - 1


def test_a_rollback_does_not_count(record: Record) -> None:
    rows = list(record.rows)
    at = row(record, 7, Event.SKIPPED, leg="rollback")
    rows[at] = replace(rows[at], entry=replace(rows[at].entry, event=Event.INTENDED))
    key = Key(Part.SWITCH, Who.MPE)
    assert len(known(record, rows).own[key]) == len(known(record).own[key]) - 1


def test_a_refused_start_is_forgotten_and_the_next_one_counts(record: Record) -> None:
    at = row(record, 3, Event.INTENDED)
    intended = record.rows[at]
    early = [
        replace(
            intended,
            at=intended.at - timedelta(minutes=9 - n),
            entry=replace(intended.entry, event=event),
        )
        for n, event in enumerate((Event.INTENDED, Event.REFUSED))
    ]
    rows = [*record.rows[:at], *early, *record.rows[at:]]
    assert known(record, rows).own[MPE] == known(record).own[MPE]


def test_a_run_that_looks_again_changes_nothing(record: Record) -> None:
    """Started again, a run passes the rows from the beginning: found done."""
    end = record.rows[-1].at
    again = [
        Row(10_000 + n, LAB.name, record.campaign, "later", end + timedelta(minutes=n), Entry("10.2", n, "", "mpe-1", Event.FOUND_DONE, ""))
        for n in (1, 3, 4, 9)
    ]  # fmt: skip
    assert known(record, [*record.rows, *again]).own[MPE] == known(record).own[MPE]
    assert [one.cluster for one in passes([*record.rows, *again], shapes(LAB))].count("mpe-1") == 1


def test_a_backout_is_a_pass_of_its_own(record: Record) -> None:
    end = record.rows[-1].at
    steps = [(1, "quiet", Event.OBSERVED), (2, "", Event.INTENDED), (2, "", Event.VERIFIED)]
    back = [
        Row(10_000 + n, LAB.name, record.campaign, "back", end + timedelta(minutes=40 * n), Entry("12.3.3", number, leg, "mpe-1", event, ""))
        for n, (number, leg, event) in enumerate(steps)
    ]  # fmt: skip
    found = known(record, [*record.rows, *back])
    assert found.own[Key(Part.SERVER, Who.MPE, back=True)] == (1.0,)
    assert found.own[MPE] == known(record).own[MPE]


# drawing


def drawn(known: History, piece: Piece, n: int = 3000) -> list[float]:
    dist = Beliefs(known).dist(piece)
    dice = random.Random(1)
    return [dist.draw(Luck(dice)) for _ in range(n)]


def test_without_history_the_document_speaks() -> None:
    found = drawn(History(), Piece(MPE, 40.0))
    assert min(found) < 40 < 62 < max(found)
    assert statistics.mean(found) == pytest.approx(40 * statistics.mean(RATIOS[Figures.TRAFFIC]), rel=0.03)


def test_few_own_durations_are_blended_with_the_document_and_many_are_not() -> None:
    document = statistics.mean(RATIOS[Figures.TRAFFIC])
    means = [
        statistics.mean(drawn(History({MPE: (0.5,) * n}), Piece(MPE, 40.0))) / 40 for n in (0, 1, 3, 10, 40)
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] == pytest.approx(document, rel=0.03)
    assert means[2] < (document + 0.5) / 2
    assert means[3] == pytest.approx(0.5, rel=0.05)


def test_a_kind_without_own_durations_learns_from_the_others_but_not_from_the_cmp() -> None:
    own = {Key(Part.SERVER, Who.MRA): (0.5,) * 20, Key(Part.SERVER, Who.PRIMARY): (3.0,) * 20}
    assert statistics.mean(drawn(History(own), Piece(MPE, 40.0))) == pytest.approx(20, rel=0.05)


def test_a_backout_is_never_believed_to_be_quicker_than_printed_for_quick_upgrades() -> None:
    back = Piece(Key(Part.SERVER, Who.MPE, back=True), 40.0)
    quick = History({MPE: (0.5,) * 20})
    slow = History({MPE: (2.0,) * 20})
    assert statistics.mean(drawn(quick, back)) == pytest.approx(40, rel=0.05)
    assert statistics.mean(drawn(slow, back)) == pytest.approx(80, rel=0.05)


def test_what_goes_on_for_long_has_less_left_but_always_something() -> None:
    dist = Beliefs(History({MPE: tuple(0.9 + n / 100 for n in range(20))})).dist(Piece(MPE, 40.0))
    dice = random.Random(2)
    means = [
        statistics.mean(dist.left(Luck(dice), gone) for _ in range(500)) for gone in (0.0, 20.0, 35.0, 80.0)
    ]
    assert means[0] > means[1] > means[2] > 0
    assert means[3] > 0, "longer than anything known: nobody knows"


def test_every_key_has_figures() -> None:
    for part in Part:
        for who in Who:
            assert figures_of(Key(part, who)) in RATIOS


@pytest.mark.parametrize(
    "source, primary, second",
    [("10.5.6.0.0_41.1.0", "6.1.1", (40, 40)), ("12.0.0.0.0_45.1.0", "8.1.1", (30, 30))],
)
def test_the_tables_of_every_source_release_have_a_shape(
    source: str, primary: str, second: tuple[float, float]
) -> None:
    site: Site = LAB.model_copy(update={"source": source})
    found = shapes(site)
    shape = found[site.cmp.primary.name, False]
    assert (shape.procedure, shape.servers) == (primary, second)
    assert {one.who for (_, back), one in found.items() if back} == {
        one.who for (_, back), one in found.items() if not back
    }
    old = site.source_release.has_old_gui
    assert found[site.cmp.primary.name, True].second[0] == (6 if old else 8)
