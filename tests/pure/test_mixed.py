"""Mixed version: Table 1 as the document prints it, and every state that a plan passes through."""

from __future__ import annotations

from itertools import product

import pytest

from mopflow import mixed, rules
from mopflow.release import Release
from mopflow.site import Cluster, Segment
from mopflow.system import ClusterState, Kind, Stage
from tests.pure.small_system import small_site

SITE = small_site()
# Table 1: component on the source release -> may CMP, MRA, MPE run 12.1.2 beside it?
PRINTED = {Kind.CMP: (True, False, False), Kind.MRA: (True, True, True), Kind.MPE: (True, True, True)}


def states(**stages: Stage) -> dict[str, ClusterState]:
    return {
        c.name: ClusterState(c.name, stages.get(c.name.replace("-", "_"), Stage.FRESH), "", None, None, ())
        for c in SITE.clusters
    }


@pytest.mark.parametrize("old, new", list(product(PRINTED, (Kind.CMP, Kind.MRA, Kind.MPE))))
def test_table_1(old: Kind, new: Kind) -> None:
    assert mixed.allowed(old, new) is PRINTED[old][(Kind.CMP, Kind.MRA, Kind.MPE).index(new)]


def test_an_mpe_li_is_an_mpe() -> None:
    assert not mixed.allowed(Kind.CMP, Kind.MPE_LI)
    assert mixed.allowed(Kind.MPE_LI, Kind.MRA)


def test_the_documents_order_passes_only_through_allowed_states() -> None:
    assert mixed.check(mixed.phases(SITE)) == []


def test_every_other_order_is_found() -> None:
    primary, secondary, segment = mixed.phases(SITE)
    assert mixed.check([secondary, primary, segment]) == []  # R1's matter, Table 1 allows it
    assert len(mixed.check([primary, segment, secondary])) == 2  # both MPE beside the old secondary
    assert len(mixed.check([segment, primary, secondary])) == 4
    side_by_side = mixed.Phase("all", (*primary.clusters, *segment.clusters))
    assert mixed.check([side_by_side, secondary])


@pytest.mark.parametrize(
    "stages, wrong",
    [
        ({}, 0),
        ({"cmp_1": Stage.DONE}, 0),
        ({"cmp_1": Stage.SWITCHED}, 0),
        ({"cmp_1": Stage.DONE, "cmp_2": Stage.DONE, "mpe_1": Stage.SWITCHED}, 0),
        ({"mpe_1": Stage.DONE}, 2),
        ({"mpe_1": Stage.FIRST_DONE}, 0),  # the old release is active there
        ({"cmp_1": Stage.DONE, "mpe_1": Stage.DONE}, 1),  # the secondary is behind
        ({"cmp_1": Stage.DONE, "cmp_2": Stage.MOVING, "mpe_1": Stage.DONE}, 0),  # nobody can say
    ],
)
def test_the_live_system_is_looked_at_before_a_phase(stages: dict[str, Stage], wrong: int) -> None:
    assert len(mixed.ahead(SITE, states(**stages))) == wrong


@pytest.mark.parametrize("stage", list(Stage))
def test_r13_is_asked_of_the_same_table(stage: Stage) -> None:
    found = [r.rule for r in rules.order(SITE, SITE.cmp.primary, states(mpe_1=stage))]
    assert found == (["R13"] if stage in mixed.ON_TARGET else [])


def test_a_primary_that_is_switched_manages_them_rightly() -> None:
    mix = states(cmp_1=Stage.SWITCHED, mpe_1=Stage.DONE)
    assert list(rules.order(SITE, SITE.cmp.primary, mix)) == []


def test_clusters_of_one_segment_may_be_in_any_order() -> None:
    mra = Cluster(name="mra-1", kind=Kind.MRA, servers=SITE.segments[0].clusters[0].servers)
    segment = Segment(name="both", clusters=(mra, SITE.segments[0].clusters[1]))
    site = SITE.model_copy(update={"segments": (segment,)})
    assert mixed.check(mixed.phases(site)) == []


def test_a_release_with_the_old_gui() -> None:
    old = [text for text in ("10.5.6", "11.5.0", "12.0.0", "12.1.1") if Release.parse(text).has_old_gui]
    assert old == ["10.5.6", "11.5.0"]
