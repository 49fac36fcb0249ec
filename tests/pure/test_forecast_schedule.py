"""The simulated night keeps the limits of the real one, from the beginning and from any middle."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mopflow.forecast.durations import Beliefs, History, Luck
from mopflow.forecast.night import Night, Run, back_phases, finished, phases
from mopflow.forecast.parts import Part, shapes
from mopflow.forecast.schedule import Done, Job, Phase, Simulator, quantile, slot_of
from mopflow.site import Site
from mopflow.site_file import load
from mopflow.slots import Slot
from mopflow.system import Stage

ROOT = Path(__file__).parents[2]
LAB: Site = load(ROOT / "deployments" / "lab.yaml")
NOW = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
SHAPES = shapes(LAB)
STAGGER = 1.0
TRAFFIC = [c.name for c in LAB.traffic_clusters]
BEGUN = (Stage.FIRST_RUNNING, Stage.FIRST_DONE, Stage.SWITCHED, Stage.SECOND_RUNNING)


def simulator() -> Simulator:
    return Simulator(Beliefs(History()), STAGGER, 3.0)


def cmps_done(**stages: Stage) -> Night:
    known = {c.name: Stage.DONE for c in LAB.cmp_clusters}
    known |= {name.replace("_", "-"): stage for name, stage in stages.items()}
    return Night(LAB, NOW, SHAPES, known)


def pieces(plan: Sequence[Phase], done: Done, slot: Slot) -> list[tuple[float, float]]:
    """Begin and end of everything that takes this place, but what ran before the simulation began."""
    return sorted(
        span
        for phase in plan
        for job in phase.jobs
        for piece, span in zip(job.pieces, done.spans[job.cluster], strict=True)
        if slot_of(piece) is slot and piece.gone is None
    )


def places(plan: Sequence[Phase], done: Done) -> int:
    """How many MPE and MRA clusters were at work at one time at most."""
    jobs: list[Job] = [job for phase in plan if phase.side_by_side for job in phase.jobs]
    spans = [
        (0.0 if job.in_work else done.spans[job.cluster][0][0], done.end_of(job.cluster)) for job in jobs
    ]
    return max((sum(b <= begin < e for b, e in spans) for begin, _ in spans), default=0)


def keeps_the_limits(plan: Sequence[Phase], done: Done) -> None:
    starts = [begin for begin, _ in pieces(plan, done, Slot.START)]
    assert all(b - a >= STAGGER - 1e-9 for a, b in itertools.pairwise(starts)), "R3"
    failovers = pieces(plan, done, Slot.FAILOVER)
    assert all(end <= begin + 1e-9 for (_, end), (begin, _) in itertools.pairwise(failovers)), "R4"
    assert places(plan, done) <= 4, "R2"
    for phase in plan:
        for job in phase.jobs:
            spans = done.spans[job.cluster]
            assert len(spans) == len(job.pieces), "everything that was to be done was done"
            assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(spans))
    ends = [end for _, end in done.phases]
    assert ends == sorted(ends) and done.end == ends[-1]


@given(seed=st.integers(0, 10_000), in_order=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_whole_night_keeps_the_limits(seed: int, in_order: bool) -> None:
    plan = phases(Night(LAB, NOW, SHAPES, {}))
    assert [phase.name for phase in plan] == ["primary CMP", "secondary CMP", "segment-1", "segment-2"]
    keeps_the_limits(plan, simulator().run(plan, Luck(random.Random(seed)), in_order=in_order))


@given(
    seed=st.integers(0, 10_000),
    stages=st.lists(st.sampled_from([*BEGUN, Stage.DONE]), min_size=0, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_a_night_from_any_middle_keeps_the_limits(seed: int, stages: list[Stage]) -> None:
    known = {c.name: Stage.DONE for c in LAB.cmp_clusters} | dict(zip(TRAFFIC, stages, strict=False))
    night = Night(LAB, NOW, SHAPES, known, runs=(Run("upgrade-segment", "segment-1", NOW),))
    plan = phases(night)
    done = simulator().run(plan, Luck(random.Random(seed)))
    in_work = sum(stage in BEGUN for stage in stages)
    assert sum(job.in_work for phase in plan for job in phase.jobs) == in_work
    keeps_the_limits(plan, done)


@given(
    seed=st.integers(0, 10_000),
    stages=st.lists(st.sampled_from([Stage.FRESH, *BEGUN, Stage.DONE]), min_size=7, max_size=7),
)
@settings(max_examples=100, deadline=None)
def test_a_backout_from_any_state_keeps_the_limits(seed: int, stages: list[Stage]) -> None:
    known = {c.name: Stage.DONE for c in LAB.cmp_clusters} | dict(zip(TRAFFIC, stages, strict=True))
    plan = back_phases(Night(LAB, NOW, SHAPES, known), list(known))
    assert [phase.name for phase in plan][-2:] == ["secondary CMP", "primary CMP"]
    keeps_the_limits(plan, simulator().run(plan, Luck(random.Random(seed))))


def test_what_a_backout_takes_follows_the_stage() -> None:
    def parts(stage: Stage) -> list[Part]:
        plan = back_phases(cmps_done(mpe_1=stage), ["mpe-1"])
        return [piece.key.part for phase in plan for job in phase.jobs for piece in job.pieces]

    assert parts(Stage.DONE) == [Part.SERVER, Part.SWITCH, Part.SERVER]
    assert parts(Stage.SECOND_RUNNING) == [Part.SERVER, Part.SWITCH, Part.SERVER]
    assert parts(Stage.SWITCHED) == [Part.SWITCH, Part.SERVER]
    assert parts(Stage.FIRST_DONE) == parts(Stage.FIRST_RUNNING) == [Part.SERVER]
    assert parts(Stage.FRESH) == []
    (phase,) = back_phases(cmps_done(mpe_1=Stage.FIRST_RUNNING), ["mpe-1"])
    assert phase.jobs[0].wait is not None, "what runs is waited for, never reversed (R7)"


def test_no_place_is_left_empty_while_a_cluster_waits() -> None:
    """Five clusters, each of exactly the same length: the fifth begins when the first is done."""
    plan = phases(cmps_done())[:1]
    done = simulator().run(plan, Luck(random.Random(1)), in_order=True)
    ends = sorted(done.end_of(name) for name in TRAFFIC[:4])
    assert done.spans[TRAFFIC[4]][0][0] == pytest.approx(ends[0], abs=3 * STAGGER)


def test_the_same_seed_gives_the_same_night() -> None:
    plan = phases(Night(LAB, NOW, SHAPES, {}))
    first = [done.end for done in simulator().nights(plan, 20, "seed")]
    assert first == [done.end for done in simulator().nights(plan, 20, "seed")]
    assert first != [done.end for done in simulator().nights(plan, 20, "another")]


def test_what_ran_for_a_while_ends_sooner() -> None:
    def end(gone: float) -> float:
        night = Night(
            LAB,
            NOW,
            SHAPES,
            {c.name: Stage.DONE for c in LAB.cmp_clusters} | {"mpe-1": Stage.SECOND_RUNNING},
            _begun("mpe-1", gone),
            (Run("upgrade-segment", "segment-1", NOW),),
        )
        plan = [phase for phase in phases(night, ["mpe-1"]) if phase.jobs]
        return quantile([done.end for done in simulator().nights(plan, 200, "x")], 0.5)

    assert end(30.0) < end(10.0) < end(0.0)
    assert end(0.0) - end(20.0) == pytest.approx(20.0, abs=8.0)


def _begun(cluster: str, gone: float) -> dict[str, object]:
    from mopflow.forecast.parts import Place
    from mopflow.forecast.passes import Pass, Stretch

    at = NOW - timedelta(minutes=gone)
    parts = {
        Place.FIRST: Stretch(at, at, True),
        Place.SWITCH: Stretch(at, at, True),
        Place.SECOND: Stretch(at, at),
    }
    return {cluster: Pass("c", cluster, SHAPES[cluster, False], parts)}


def test_everything_finished_is_the_dearest_backout() -> None:
    sim = simulator()
    names = TRAFFIC[:3]

    def price(stage: Stage) -> float:
        night = (
            cmps_done() if stage is Stage.DONE else cmps_done(**{n.replace("-", "_"): stage for n in names})
        )
        plan = back_phases(finished(night, names) if stage is Stage.DONE else night, names)
        return quantile([done.end for done in sim.nights(plan, 200, "x")], 0.9)

    assert price(Stage.DONE) > price(Stage.SWITCHED) > price(Stage.FIRST_DONE) > 0


def test_a_quantile_is_a_value_that_so_many_do_not_exceed() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile(list(map(float, range(100))), 0.9) == 90.0
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 0.5)
