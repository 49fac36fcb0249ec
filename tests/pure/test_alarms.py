"""Which alarm is expected where and when, against the tables of the document."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopflow.alarms import (
    CATALOGUE,
    OPERATION_FAILED,
    PENDING_ACCEPT,
    REPLICATION,
    AlarmWatch,
    Judged,
    Standing,
    judge,
)
from mopflow.procedures import lists
from mopflow.procedures.stages import stage_alarms
from mopflow.site import AcceptedAlarm, Site
from mopflow.system import Alarm, ClusterState, Severity, Stage
from tests.pure.small_system import alarm, small_site

C, MA, MI = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR

TABLE_3 = {
    31227: C, 31283: C, 70001: C, 70025: C, 31233: MA, 70004: MA, 31101: MI, 31106: MI, 31107: MI, 31114: MI,
    31282: MI, 70500: MI, 70501: MI, 70502: MI, 70503: MI, 70507: MI,
}  # fmt: skip
# rows of the document by the alarm numbers that they print
ROWS: dict[tuple[str, ...], tuple[int, ...]] = {
    ("6.1.1/10", "7.1.1/10"): (31101, 31106, 31107, 31114, 31233, 31283, 70004, 70021),
    ("6.1.1/12", "7.1.1/12", "9.1.1/15"): (70025,),
    ("6.1.1/16", "7.1.1/16"): (31101, 70025),
    ("6.1.1/20",): (70025, 70500, 70501),
    ("7.1.1/20",): (70500, 70501),
    ("6.1.1/21", "6.1.1/22", "7.1.1/21", "7.1.1/22"): (
        31101, 31106, 31107, 31114, 31233, 31283, 70001, 70004, 70025, 70500, 70501, 70503, 70507,
    ),
    ("6.1.2/2", "6.1.2/3", "7.1.2/2", "7.1.2/3", "8.1.1/18", "8.1.2/2", "8.1.2/3", "9.1.1/17", "9.1.2/2", "9.1.2/3"): (
        31101, 31106, 31107, 31114, 31282, 31283, 70001, 70004, 70025, 70500, 70501, 70503, 70507,
    ),
    ("6.1.2/5", "7.1.2/5", "8.1.2/5", "9.1.2/5"): (70500,),
    ("8.1.1/11", "9.1.1/10"): (
        31101, 31106, 31107, 31114, 31227, 31282, 31283, 70004, 70025, 70500, 70501, 70503, 70507,
    ),
    ("8.1.1/16",): (70025, 70500, 70501, 70503),
    ("10.2/3",): (
        31101, 31106, 31107, 31114, 31227, 31233, 31282, 31283,
        70001, 70004, 70500, 70501, 70503, 70507, 78001,
    ),
    ("10.2/6",): (31101, 31113, 70500, 70501, 70502, 70503, 71402, 78001),
    ("10.2/9", "12.3.5/8"): (
        31101, 31102, 31106, 31107, 31113, 31114, 31227, 31283,
        70001, 70004, 70500, 70501, 70502, 70503, 70507, 78001,
    ),
    ("12.3.3/2",): (
        31101, 31102, 31106, 31107, 31113, 31114, 31227, 31233, 31282, 31283,
        70001, 70004, 70500, 70501, 70502, 70503, 70507, 78001,
    ),
    ("12.3.3/3", "12.3.3/5", "12.3.4/2"): (
        31101, 31102, 31106, 31107, 31113, 31114, 31126, 31227, 31233, 31282, 31283,
        70001, 70004, 70500, 70501, 70502, 70503, 70507, 78001,
    ),
    ("12.3.4/3",): (70025, 70500, 70501, 70503, 78001),
    ("12.3.4/4",): (70025, 70500),
    ("12.3.5/2",): (
        31101, 31102, 31106, 31107, 31113, 31114, 31227, 31233, 31236, 31283,
        70001, 70004, 70500, 70501, 70502, 70503, 70507, 78001,
    ),
    ("12.3.5/6",): (31101, 31102, 31106, 31107, 31113, 31114, 31233, 31236, 31283, 31284, 70004),
}  # fmt: skip
ONLY_IN_ROWS = {
    31102: (MI,), 31113: (MI,), 31126: (MA,), 31236: (C, MA), 31284: (MI,), 70021: (MA,), 71402: (MI,),
    78001: (MI,),
}  # fmt: skip


def places() -> dict[int, set[str]]:
    found: dict[int, set[str]] = {number: {"Table 3"} for number in TABLE_3}
    for rows, numbers in ROWS.items():
        for number in numbers:
            found.setdefault(number, set()).update(rows)
    return found


def test_the_catalogue_has_every_number_with_every_place() -> None:
    wanted = places()
    assert set(CATALOGUE) == set(wanted)
    for number, entry in CATALOGUE.items():
        assert entry.number == number
        assert entry.name
        assert set(entry.places) == wanted[number], number
        assert len(entry.places) == len(set(entry.places))


def test_severities_as_printed() -> None:
    for number, severity in TABLE_3.items():
        assert severity in CATALOGUE[number].severities
    for number, severities in ONLY_IN_ROWS.items():
        assert set(CATALOGUE[number].severities) == set(severities)
    # the document is not of one mind about these two only
    assert {n for n, e in CATALOGUE.items() if len(e.severities) > 1} == {31101, 31236}


# judging


def a_site() -> Site:
    return small_site()


def states(**stages: Stage) -> dict[str, ClusterState]:
    names = ("cmp-1", "cmp-2", "mpe-1", "mpe-2")
    return {
        name: ClusterState(
            name, stages.get(name.replace("-", "_"), Stage.FRESH), "as the test says", None, None, ()
        )
        for name in names
    }


def standing(number: int, source: str, site: Site | None = None, **stages: Stage) -> Standing:
    site, seen = site or a_site(), states(**stages)
    (judged,) = judge([alarm(number, source)], site, seen, stage_alarms(site, seen))
    return judged.standing


DONE_CMP = {"cmp_1": Stage.DONE, "cmp_2": Stage.DONE}


@pytest.mark.parametrize(
    "number, source, stages, wanted",
    [
        # by its number and on the cluster whose step lists it
        (31283, "mpe-1a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.EXPECTED),
        (31283, "mpe-2a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),
        (31283, "cmp-1a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),
        (31283, "mpe-1a", {}, Standing.UNEXPECTED),
        (31283, "mpe-1a", {"mpe_1": Stage.DONE}, Standing.UNEXPECTED),
        (31283, "mpe-1a", {"mpe_1": Stage.SWITCHED}, Standing.UNEXPECTED),
        (31233, "mpe-1a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.EXPECTED),
        (31233, "mpe-1a", {"mpe_1": Stage.SECOND_RUNNING}, Standing.UNEXPECTED),  # 10.2/9 does not list it
        (31102, "mpe-1a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),
        (31102, "mpe-1a", {"mpe_1": Stage.SECOND_RUNNING}, Standing.EXPECTED),
        (71402, "mpe-1a", {"mpe_1": Stage.SWITCHED}, Standing.EXPECTED),
        (70503, "mpe-1b", {"mpe_1": Stage.FIRST_DONE}, Standing.EXPECTED),
        (78001, "mpe-1b", {"mpe_1": Stage.DONE}, Standing.EXPECTED),  # possible after 10.2/9
        (70021, "mpe-1a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),  # of 10.5 and 11.5 only
        # 70500 while releases differ, anywhere; never before and never after
        (70500, "cmp-1a", {"mpe_1": Stage.FIRST_DONE, **DONE_CMP}, Standing.EXPECTED),
        (70500, "mpe-2a", {"cmp_1": Stage.DONE}, Standing.EXPECTED),
        (70500, "cmp-1a", {}, Standing.UNEXPECTED),
        (70500, "cmp-1a", {**DONE_CMP, "mpe_1": Stage.DONE, "mpe_2": Stage.DONE}, Standing.UNEXPECTED),
        # the CMP's replication: everywhere while a CMP is worked on
        (31106, "mpe-2a", {"cmp_1": Stage.FIRST_RUNNING}, Standing.EXPECTED),
        (31101, "mpe-2a", {"cmp_1": Stage.DONE}, Standing.EXPECTED),  # until all CMP are on one release
        (70025, "cmp-2a", {"cmp_1": Stage.DONE}, Standing.EXPECTED),
        (70025, "cmp-2a", DONE_CMP, Standing.UNEXPECTED),
        # that of an MPE shows on itself and on the CMP, not on a neighbour
        (31107, "cmp-1a", {**DONE_CMP, "mpe_1": Stage.FIRST_RUNNING}, Standing.EXPECTED),
        (31101, "mpe-1a", {**DONE_CMP, "mpe_1": Stage.FIRST_RUNNING}, Standing.EXPECTED),
        (31101, "mpe-2a", {**DONE_CMP, "mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),
        # others
        (PENDING_ACCEPT, "mpe-2a", {}, Standing.EXPECTED),
        (OPERATION_FAILED, "mpe-1a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),
        (12345, "mpe-1a", {"mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),
        (31283, "a-stranger", {"mpe_1": Stage.FIRST_RUNNING}, Standing.UNEXPECTED),
    ],
)
def test_judge(number: int, source: str, stages: dict[str, Stage], wanted: Standing) -> None:
    assert standing(number, source, **stages) is wanted


def test_an_accepted_alarm_covers_one_number_on_one_source() -> None:
    accepted = AcceptedAlarm(number=32300, source="mpe-1a", by="Ann", reason="a fan, ordered")
    site = a_site().model_copy(update={"accepted_alarms": (accepted,)})
    assert standing(32300, "mpe-1a", site) is Standing.BASELINE
    assert standing(32300, "mpe-1b", site) is Standing.UNEXPECTED
    assert standing(32301, "mpe-1a", site) is Standing.UNEXPECTED


def test_judged_names_the_cluster() -> None:
    site, seen = a_site(), states()
    known, strange = judge([alarm(1, "mpe-2b"), alarm(1, "else")], site, seen, stage_alarms(site, seen))
    assert (known.cluster, strange.cluster) == ("mpe-2", None)


@given(
    st.sampled_from([*CATALOGUE, OPERATION_FAILED, 1]),
    st.sampled_from(["cmp-1a", "cmp-2b", "mpe-1a", "mpe-2b", "else"]),
    st.fixed_dictionaries({n: st.sampled_from(Stage) for n in ("cmp_1", "cmp_2", "mpe_1", "mpe_2")}),
)
def test_expected_only_where_a_list_or_a_system_wide_rule_says_so(
    number: int, source: str, stages: dict[str, Stage]
) -> None:
    if standing(number, source, **stages) is not Standing.EXPECTED:
        return
    site, seen = a_site(), states(**stages)
    by_cluster = stage_alarms(site, seen)
    cluster = site.cluster_of(source)
    own = cluster is not None and number in by_cluster[cluster.name].listed(seen[cluster.name].stage)
    somewhere = any(number in by_cluster[name].listed(state.stage) for name, state in seen.items())
    assert own or number == 70500 or (number in REPLICATION and somewhere)


@pytest.mark.parametrize("stage", [Stage.FRESH, Stage.ODD])
def test_nothing_is_listed_outside_of_the_procedure(stage: Stage) -> None:
    seen = states(cmp_1=stage, cmp_2=stage, mpe_1=stage, mpe_2=stage)
    for entry in stage_alarms(a_site(), seen).values():
        assert entry.listed(stage) == frozenset()


def test_no_critical_alarm_is_listed_after_the_failover() -> None:
    """10.2/6: expected critical and major alarms: none."""
    severe = {n for n, e in CATALOGUE.items() if C in e.severities or MA in e.severities} - {31101}
    assert not severe & (lists.MPE_SWITCHED.during | lists.MPE_SWITCHED.after)


# over time


def judged(number: int, how: Standing) -> Judged:
    return Judged(Alarm(number, C, "x", "mpe-1a", ""), "mpe-1", how, "as the test says")


def look(watch: AlarmWatch, at: float, *items: Judged) -> list[Standing]:
    return [item.standing for item in watch.look(items, at)]


BAD, GOOD = Standing.UNEXPECTED, Standing.EXPECTED


def test_a_new_alarm_is_unexpected_once_it_was_seen_often_enough() -> None:
    watch = AlarmWatch(grace=300, readings=3)
    assert [look(watch, float(t), judged(1, BAD)) for t in range(4)] == [[GOOD], [GOOD], [BAD], [BAD]]


def test_an_alarm_seen_too_few_times_is_in_doubt_and_nothing_else_is() -> None:
    """A row that only looks must neither hold for it nor call it understood."""
    watch = AlarmWatch(grace=300, readings=2)
    first = watch.look([judged(1, BAD), judged(2, GOOD)], 0.0)
    assert [item.in_doubt for item in first] == [True, False]
    second = watch.look([judged(1, BAD), judged(2, GOOD)], 10.0)
    assert [(item.standing, item.in_doubt) for item in second] == [(BAD, False), (GOOD, False)]


def test_a_flicker_begins_anew() -> None:
    watch = AlarmWatch(grace=300, readings=2)
    assert look(watch, 1, judged(1, BAD)) == [GOOD]
    assert look(watch, 2) == []
    assert look(watch, 3, judged(1, BAD)) == [GOOD]
    assert look(watch, 4, judged(1, BAD)) == [BAD]


def test_what_was_expected_may_overstay_for_the_grace() -> None:
    watch = AlarmWatch(grace=300, readings=2)
    assert look(watch, 0, judged(1, GOOD)) == [GOOD]
    assert look(watch, 10, judged(1, BAD)) == [GOOD]
    assert look(watch, 310, judged(1, BAD)) == [GOOD]
    assert look(watch, 311, judged(1, BAD)) == [Standing.OVERSTAYING]
    assert look(watch, 312, judged(1, GOOD)) == [GOOD]  # its next step lists it


def test_what_was_expected_long_ago_and_comes_again_is_another_alarm() -> None:
    watch = AlarmWatch(grace=300, readings=2)
    look(watch, 0, judged(1, GOOD))
    look(watch, 10)
    assert look(watch, 5000, judged(1, BAD)) == [GOOD]  # looked at once more, no longer
    assert look(watch, 5010, judged(1, BAD)) == [BAD]


def test_alarms_are_followed_by_number_and_source() -> None:
    watch = AlarmWatch(grace=300, readings=1)
    look(watch, 0, judged(1, GOOD))
    assert look(watch, 1, judged(1, BAD), judged(2, BAD)) == [GOOD, BAD]


def test_baseline_stays_baseline() -> None:
    watch = AlarmWatch(grace=0, readings=1)
    assert look(watch, 0, judged(1, Standing.BASELINE)) == [Standing.BASELINE]
