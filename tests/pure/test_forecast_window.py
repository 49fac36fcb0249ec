"""What a forecast says before the night, while it runs, and after it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from benchmarks.night_model import NightOfTwin, Record
from mopflow.forecast import Colour, Forecast, Standing, document, lines, turned
from mopflow.forecast.durations import Beliefs, History, history
from mopflow.forecast.night import Night, Run, Way
from mopflow.forecast.parts import Key, Part, Place, Who, shapes
from mopflow.forecast.passes import Pass, Stretch, passes
from mopflow.forecast.prices import Prices, minute_of
from mopflow.forecast.window import make
from mopflow.forecast.words import backout_sentence, clock, minutes_of, named
from mopflow.ledger.records import Hold, HoldKind
from mopflow.site import Site, Window
from mopflow.site_file import load
from mopflow.system import Stage

ROOT = Path(__file__).parents[2]
LAB = load(ROOT / "deployments" / "lab.yaml")
SHAPES = shapes(LAB)
CET = timezone(timedelta(hours=1))
TONIGHT = datetime(2026, 11, 24, 22, 0, tzinfo=CET)
CMPS = [c.name for c in LAB.cmp_clusters]
TRAFFIC = [c.name for c in LAB.traffic_clusters]
EXACT = History({Key(Part.SERVER, who): (1.0,) * 20 for who in Who})


def window(name: str = "tonight", hours: float = 8, days: int = 0) -> Window:
    start = TONIGHT + timedelta(days=days)
    return Window(name=name, start=start, end=start + timedelta(hours=hours))


def site(*windows: Window) -> Site:
    return LAB.model_copy(update={"windows": windows})


def night(
    there: Site, at: datetime = TONIGHT, stages: dict[str, Stage] | None = None, **more: object
) -> Night:
    return Night(there, at.astimezone(UTC), SHAPES, stages or {}, **more)  # type: ignore[arg-type]


def done(*clusters: str, **others: Stage) -> dict[str, Stage]:
    return dict.fromkeys(clusters, Stage.DONE) | {k.replace("_", "-"): v for k, v in others.items()}


def begun(cluster: str, at: datetime, **ended: datetime) -> Pass:
    """A pass whose first server was begun then."""
    parts = {Place.FIRST: Stretch(at, at, closed=True)}
    return Pass("c", cluster, SHAPES[cluster, False], parts)


def forecast(of: Night, known: History = EXACT, **more: object) -> Forecast:
    return make(of, Beliefs(known), **more)  # type: ignore[arg-type]


# before the night


def test_before_the_night_every_phase_and_every_cluster_has_its_times() -> None:
    made = forecast(night(site(window(hours=30)), TONIGHT - timedelta(hours=5)))
    assert [phase.name for phase in made.plan.phases] == [
        "primary CMP",
        "secondary CMP",
        "segment-1",
        "segment-2",
    ]
    assert not made.plan.is_open
    ends = [(p.ends.p50, p.ends.p90) for p in made.plan.phases]
    assert ends == sorted(ends) and all(half < nine for half, nine in ends)
    assert made.plan.phases[0].begins.p50 == TONIGHT
    assert {row.standing for row in made.clusters} == {Standing.PLANNED}
    assert all(row.latest_start is not None and row.starts is not None for row in made.clusters)
    assert made.colour is Colour.GREEN
    assert made.backout is None, "nothing is begun"
    assert any(
        note.startswith("no window is open; next begins tonight at 2026-11-24 22:00") for note in made.notes
    )


def test_what_does_not_fit_comes_in_the_next_windows() -> None:
    made = forecast(night(site(window(), window("second", days=1), window("third", days=2))))
    assert made.plan.clusters == tuple(CMPS), (
        "with the CMP pair begun, nothing else can be backed out besides"
    )
    assert [plan.window.name for plan in made.plans if plan.window] == ["tonight", "second", "third"]
    planned = [name for plan in made.plans for name in plan.clusters]
    assert sorted(planned) == sorted([*CMPS, *TRAFFIC]), "each cluster once"
    row = made.cluster(TRAFFIC[0])
    assert row.standing is Standing.LATER and row.why.startswith("past its latest start")
    assert made.colour is Colour.GREEN


def test_without_enough_windows_it_is_amber_and_says_for_whom_there_is_no_room() -> None:
    made = forecast(night(site(window())))
    assert made.colour is Colour.AMBER
    assert "no window of the site file has room for" in made.why[0] and TRAFFIC[-1] in made.why[0]


def test_the_primary_is_not_begun_unless_both_cmp_and_their_backout_fit() -> None:
    made = forecast(night(site(window(hours=4))))
    assert made.plan.phases == ()
    primary = made.cluster(CMPS[0])
    assert primary.standing is Standing.LATER
    assert primary.latest_start is not None and primary.latest_start < TONIGHT
    assert made.cluster(TRAFFIC[0]).why == f"{CMPS[0]} comes first (R1)"


def test_a_window_named_like_a_segment_is_meant_for_it() -> None:
    there = site(window("CMP"), window("segment-2", days=1), window("segment-1", 9, days=2))
    made = forecast(night(there))
    plans = {plan.window.name: plan.clusters for plan in made.plans if plan.window}
    assert plans["CMP"] == tuple(CMPS)
    assert plans["segment-2"] == ("mpe-3", "mra-3")
    assert set(plans["segment-1"]) == {c.name for c in LAB.segment("segment-1").clusters}
    assert "meant for other work" in made.cluster("mpe-1").why


def test_the_latest_start_leaves_room_to_finish_and_to_back_out() -> None:
    there = site(window(hours=9))
    found = night(there, stages=done(*CMPS))
    made = forecast(found)
    prices = Prices(found, Beliefs(EXACT))
    row = made.cluster(TRAFFIC[0])
    assert row.latest_start is not None
    left = (there.windows[0].end - row.latest_start).total_seconds() / minute_of(found)
    need = prices.needed([], TRAFFIC[0])
    assert left == pytest.approx(need.finish + need.back_out, rel=0.06)
    assert need.finish > 80 and need.back_out > 75, "two servers of 40 minutes; 40 and 35 back"
    latest = [made.cluster(name).latest_start for name in TRAFFIC[:4]]
    assert latest == sorted(latest, reverse=True), "each must be able to go back with those before it"  # type: ignore[type-var]


def test_more_begun_makes_the_latest_start_earlier() -> None:
    prices = Prices(night(site(window())), Beliefs(EXACT))
    alone = prices.needed([], "mpe-1")
    beside = prices.needed(CMPS, "mpe-1")
    assert beside.back_out > alone.back_out + 2 * 80
    assert beside.clusters == 3
    assert prices.of_backouts([], [])[0] == 0.0
    bills = prices.of_backouts(["mpe-1"], ["mpe-2", "mra-1", "mra-2", "mpe-3", *CMPS])
    assert bills == sorted(bills)
    assert bills[4] > bills[3] + 20, "the fifth waits for a place"


# while it runs


def live(at: timedelta, record: Record, there: Site, stages: dict[str, Stage]) -> Night:
    now = record.start + at
    rows = [row for row in record.rows if row.at <= now]
    found = {one.cluster: one for one in passes(rows, SHAPES, {q.id for q in record.questions})}
    runs = tuple(
        Run(e.flow, e.scope, e.begun)
        for e in record.executors
        if e.begun <= now and (e.ended is None or e.ended > now)
    )
    return Night(there, now, SHAPES, stages, found, runs)


@pytest.fixture(scope="module")
def record() -> Record:
    return NightOfTwin(LAB, 5, TONIGHT.astimezone(UTC), look_after=(3600.0, 4 * 3600.0), asks=False).run()


def test_a_running_night_is_forecast_closer_and_closer(record: Record) -> None:
    there = site(window(hours=40))
    known = history(there, passes(record.rows, SHAPES), record.rows, record.executors)
    widths, offs = [], []
    for at in (timedelta(0), timedelta(hours=1), timedelta(hours=4)):
        stages = record.looks.get(record.start + at, {})
        made = forecast(live(at, record, there, stages), known)
        ends = made.plan.ends
        assert ends is not None
        widths.append(ends.p90 - ends.p50)
        offs.append(abs((ends.p50 - record.end).total_seconds()) / 60)
    assert widths == sorted(widths, reverse=True)
    assert max(offs) < 20


def test_what_is_at_work_has_no_start_and_the_rest_has(record: Record) -> None:
    at = timedelta(hours=1)
    made = forecast(live(at, record, site(window(hours=40)), record.looks[record.start + at]))
    assert made.cluster(CMPS[0]).standing is Standing.AT_WORK
    assert made.cluster(CMPS[0]).starts is None
    assert made.cluster("mpe-1").standing is Standing.PLANNED
    assert made.plan.is_open
    assert made.backout is not None and made.backout.clusters == (CMPS[0],)


def decide(hours: float, stages: dict[str, Stage], at: datetime = TONIGHT) -> Forecast:
    there = site(window(hours=hours))
    passes_ = {name: begun(name, at) for name in stages}
    return forecast(night(there, at, stages, passes=passes_), later=False)


def test_until_when_everything_can_be_backed_out() -> None:
    made = decide(6, done(*CMPS))
    back = made.backout
    assert back is not None and back.decide_before is not None and not back.too_late
    end = TONIGHT + timedelta(hours=6)
    assert end - back.decide_before == pytest.approx(back.p90, abs=timedelta(minutes=8))  # type: ignore[type-var]
    assert timedelta(hours=2, minutes=30) < back.p50 < back.p90 < timedelta(hours=4)
    shown = clock(back.decide_before, window(hours=6))
    assert f"you can still back out everything if you decide before {shown}; it takes" in (
        backout_sentence(made) or ""
    )
    assert clock(back.decide_before, window(hours=6)) == f"{back.decide_before.astimezone(CET):%H:%M}"


def test_a_running_second_server_counts_with_its_whole_way_back() -> None:
    """Decided on in its middle, it is waited for, and then both servers go back."""
    half = decide(9, done(*CMPS, mpe_1=Stage.FIRST_DONE))
    whole = decide(9, done(*CMPS, mpe_1=Stage.SECOND_RUNNING))
    assert half.backout is not None and whole.backout is not None
    assert whole.backout.p50 > half.backout.p50 + timedelta(minutes=40)


def test_too_late_to_turn_round_is_red() -> None:
    made = decide(3, done(*CMPS, mpe_1=Stage.SECOND_RUNNING), TONIGHT + timedelta(hours=1))
    assert made.backout is not None and made.backout.too_late
    assert made.colour is Colour.RED
    assert "it is too late to back out everything begun" in (backout_sentence(made) or "")


def test_the_last_moment_comes_near_and_that_is_amber() -> None:
    made = decide(9, done(*CMPS))
    back = made.backout
    assert back is not None and back.decide_before is not None
    near = decide(9, done(*CMPS), back.decide_before - timedelta(minutes=15))
    assert near.colour is not Colour.GREEN
    assert any("last moment" in why for why in near.why)


def test_what_an_earlier_window_has_finished_is_not_backed_out() -> None:
    there = site(window("first", days=-1), window())
    earlier = {name: begun(name, TONIGHT - timedelta(hours=23)) for name in CMPS}
    made = forecast(night(there, stages=done(*CMPS), passes=earlier))
    assert made.backout is None
    made = forecast(night(there, stages=done(*CMPS, mpe_1=Stage.SWITCHED), passes=earlier))
    assert made.backout is not None and made.backout.clusters == ("mpe-1",), (
        "what stands between two releases is"
    )


def test_what_will_not_end_in_the_window_is_red() -> None:
    made = decide(1, done(*CMPS, mpe_1=Stage.FIRST_RUNNING))
    assert made.colour is Colour.RED
    assert any("mpe-1 is likely to end after the window" in why for why in made.why)


def hold_on(cluster: str, rule: str, kind: HoldKind = HoldKind.TROUBLE) -> Hold:
    return Hold("1", LAB.name, "c", cluster, "10.2", 9, rule, "a Zombie", "", {}, TONIGHT, kind=kind)


def test_a_cluster_that_waits_for_a_person_is_left_out_and_named() -> None:
    stages = done(*CMPS, mpe_1=Stage.SECOND_RUNNING, mpe_2=Stage.SECOND_RUNNING)
    runs = (Run("upgrade-segment", "segment-1", TONIGHT),)
    made = forecast(night(site(window(hours=12)), stages=stages, runs=runs, holds=(hold_on("mpe-1", "R8"),)))
    assert made.cluster("mpe-1").standing is Standing.HELD
    assert "held at 10.2/9: a Zombie" in made.cluster("mpe-1").why
    assert "mpe-1" not in made.plan.clusters and "mpe-2" in made.plan.clusters
    assert made.colour is not Colour.GREEN
    assert any("R8" in note for note in made.notes)
    assert made.backout is not None and "mpe-1" in made.backout.clusters


def test_four_held_clusters_leave_no_place_for_a_fifth() -> None:
    stuck = TRAFFIC[:4]
    stages = done(*CMPS) | dict.fromkeys(stuck, Stage.FIRST_DONE)
    holds = tuple(hold_on(name, "R9") for name in stuck)
    made = forecast(night(site(window(hours=12)), stages=stages, holds=holds))
    assert made.plan.phases == ()
    assert made.cluster(TRAFFIC[4]).why == "clusters that wait for a person take every place (R2)"


def test_a_held_cmp_lets_nothing_after_it_be_planned() -> None:
    made = forecast(night(site(window()), stages={CMPS[0]: Stage.SWITCHED}, holds=(hold_on(CMPS[0], "R9"),)))
    assert made.plan.phases == ()
    assert made.cluster(CMPS[1]).why == f"{CMPS[0]} comes first (R1)"


@pytest.mark.parametrize("rule, kind", [("window", HoldKind.QUESTION), ("approve", HoldKind.QUESTION)])
def test_a_question_leaves_nothing_out(rule: str, kind: HoldKind) -> None:
    made = forecast(night(site(window(hours=30)), stages=done(*CMPS), holds=(hold_on("mpe-1", rule, kind),)))
    assert made.cluster("mpe-1").standing is Standing.PLANNED


def test_a_person_lets_a_cluster_begin_past_its_latest_start() -> None:
    there, stages = site(window(hours=3)), done(*CMPS)
    assert forecast(night(there, stages=stages)).cluster("mpe-1").standing is Standing.LATER
    made = forecast(night(there, stages=stages), overridden={"mpe-1": "A. Engineer"})
    row = made.cluster("mpe-1")
    assert (row.standing, row.overridden_by) == (Standing.PLANNED, "A. Engineer")
    assert made.plan.clusters == ("mpe-1",)


def test_a_backout_under_way_is_forecast_backwards() -> None:
    stages = done(*CMPS, mpe_1=Stage.BACK_FIRST)
    runs = (Run("back-out", "all", TONIGHT),)
    made = forecast(night(site(window()), stages=stages, runs=runs, backing_out=("mpe-1", *CMPS)))
    assert made.way is Way.BACK
    assert [phase.name for phase in made.plan.phases] == ["MPE and MRA", "secondary CMP", "primary CMP"]
    assert made.backout is None
    assert made.cluster("mpe-2").standing is Standing.DONE, "it was never begun"


# after the window, and without one


def test_after_the_window_the_rest_is_planned_for_the_next_one_with_the_notice_of_mixed_version() -> None:
    there = site(window(hours=8), window("second", days=1))
    made = forecast(night(there, TONIGHT + timedelta(hours=9), done(*CMPS, "mpe-1")))
    assert made.plan.window is not None and made.plan.window.name == "second"
    assert "mpe-1" not in made.plan.clusters and "mpe-2" in made.plan.clusters
    assert made.plan.phases[0].begins.p50 == TONIGHT + timedelta(days=1)
    assert (
        made.mixed[0]
        == "the system is of mixed version: 3 clusters run 12.1.2, 6 run 12.1.1, 0 are between the two"
    )
    assert len(made.mixed) > 3


def test_when_all_is_done_nothing_is_left() -> None:
    made = forecast(night(site(window()), stages=done(*CMPS, *TRAFFIC)))
    assert made.colour is Colour.GREEN and made.plan.phases == () and made.mixed == ()
    assert "nothing is left to do" in lines(made)


def test_without_windows_all_is_counted_from_now() -> None:
    made = forecast(night(site(), TONIGHT))
    assert made.plan.window is None and not made.plan.is_open
    assert made.plan.phases[0].begins.p50 == TONIGHT
    assert all(row.latest_start is None for row in made.clusters)
    assert made.colour is Colour.GREEN
    assert any("no windows" in note for note in made.notes)


def test_work_outside_of_a_window_is_counted_from_now() -> None:
    at = TONIGHT - timedelta(hours=3)
    runs = (Run("upgrade-cmp", "cmp", at),)
    made = forecast(night(site(window()), at, {CMPS[0]: Stage.FIRST_RUNNING}, runs=runs))
    assert made.plan.window is None and made.plan.phases[0].begins.p50 == at
    assert any("outside of a window" in note for note in made.notes)


# words


def test_the_colour_that_became_worse_is_told_once() -> None:
    good = decide(9, done(*CMPS))
    bad = decide(3, done(*CMPS, mpe_1=Stage.SECOND_RUNNING), TONIGHT + timedelta(hours=1))
    said = turned(good, bad)
    assert said is not None and said.startswith("the forecast of the window tonight turned red: ")
    assert turned(bad, bad) is None and turned(bad, good) is None
    assert turned(None, bad) is not None and turned(None, replace(good, colour=Colour.GREEN)) is None


def test_the_document_is_json_and_has_it_all() -> None:
    made = decide(9, done(*CMPS, mpe_1=Stage.SWITCHED))
    content = json.loads(json.dumps(document(made)))
    assert content["colour"] == made.colour
    assert [row["cluster"] for row in content["clusters"]] == [c.name for c in LAB.clusters]
    assert content["backout"]["clusters"] == [*CMPS, "mpe-1"]
    assert content["windows"][0]["end"] == "2026-11-25T06:00:00+00:00"
    assert content["mixed_version"]


def test_times_are_shown_in_the_zone_of_the_window() -> None:
    there = window(hours=8)
    assert clock(datetime(2026, 11, 24, 22, 30, tzinfo=UTC), there) == "23:30"
    assert clock(datetime(2026, 11, 25, 3, 41, tzinfo=UTC), there) == "04:41"
    assert clock(datetime(2026, 11, 27, 3, 41, tzinfo=UTC), there) == "2026-11-27 04:41"
    assert named(there) == "tonight, 2026-11-24 22:00 to 06:00 UTC+01:00"
    assert minutes_of(timedelta(minutes=65)) == "1 h 05 min"
    assert minutes_of(timedelta(seconds=59)) == "1 min"


def test_the_same_night_has_the_same_forecast() -> None:
    found = night(site(window()))
    assert document(forecast(found)) == document(forecast(found))
