"""The checker of the safety rules: every clause broken by hand is reported, the nearest legal record is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import rulebook
from handmade import PRIMARY, SECONDARY, SOURCE, TARGET, WORKERS, Flight, halfway, pair, upgraded
from hypothesis import given, settings
from hypothesis import strategies as st
from rulebook import Limits, Violation, check, check_dir

CHECKER = Path(rulebook.__file__)
STRICT = Limits(complete=True)


def found(flight: Flight, limits: Limits = STRICT, until: float | None = None) -> list[Violation]:
    return check(flight.lines(), flight.world(), limits, until)


def rules(flight: Flight, limits: Limits = STRICT, until: float | None = None) -> list[str]:
    return [violation.rule for violation in found(flight, limits, until)]


def segment(
    flight: Flight,
    t: float,
    clusters: Sequence[str],
    stagger: float = 60.0,
    took: float = 2400.0,
    traffic: float = 10.0,
    at_once: int = 4,
) -> float:
    """10.2 for several clusters as a careful flow does it: `at_once` together, failovers one by one."""
    while clusters:
        batch, clusters = clusters[:at_once], clusters[at_once:]
        ready = []
        for index, cluster in enumerate(batch):
            ready.append(flight.initiate(t + index * stagger, pair(cluster)[1], took=took))
        free = 0.0  # from when on a failover is allowed
        start = t + (len(batch) - 1) * stagger
        ends = []
        for cluster, done in zip(batch, ready, strict=True):
            flight_done = flight.reapply(
                flight.failover(max(done, free) + 12, cluster) + 6, cluster, traffic=traffic
            )
            free = flight_done + traffic
            start = max(start + stagger, free + 6)
            ends.append(flight.initiate(start, pair(cluster)[0], ends_as="Standby", took=took))
        t = max(*ends, start + stagger)
        for cluster in batch:
            t = flight.reapply(t + 6, cluster, traffic=None)
        t = max(t + 1, start + stagger)
    return t


def night() -> Flight:
    """9.1.1, 9.1.2 and 10.2 for six clusters."""
    flight = Flight(cmps=SOURCE)
    t = flight.cluster(30, PRIMARY)
    t = flight.cluster(t + 30, SECONDARY)
    segment(flight, t + 100, list(WORKERS))
    return flight


# whole runs ------------------------------------------------------------------------------------


def test_a_whole_night_keeps_every_rule() -> None:
    assert found(night()) == []


def test_a_backout_in_reverse_order_keeps_every_rule() -> None:
    everything = upgraded(*WORKERS, PRIMARY, SECONDARY)
    flight = Flight(servers=everything)
    t = 10.0
    for cluster in (*WORKERS, SECONDARY, PRIMARY):
        t = flight.back_out_cluster(t + 60, cluster) + 20
    assert found(flight) == []


def test_a_rollback_without_traffic_that_ends_with_a_hold_keeps_every_rule() -> None:
    flight, _ = rolled_back()
    assert found(flight) == []


@settings(max_examples=25, deadline=None)
@given(
    stagger=st.floats(60, 200),
    took=st.floats(1300, 5000),
    traffic=st.floats(0, 80),
    clusters=st.permutations(list(WORKERS)),
)
def test_any_careful_segment_is_legal(
    stagger: float, took: float, traffic: float, clusters: list[str]
) -> None:
    flight = Flight()
    segment(flight, 0, clusters, stagger, took, traffic)
    assert found(flight) == []


@settings(max_examples=25, deadline=None)
@given(stagger=st.floats(20, 59.9), clusters=st.permutations(list(WORKERS)))
def test_any_hurried_segment_breaks_r3_alone(stagger: float, clusters: list[str]) -> None:
    flight = Flight()
    segment(flight, 0, clusters, stagger)
    assert set(rules(flight)) == {"R3"}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_record_cut_off_anywhere_is_legal(data: st.DataObject) -> None:
    lines, world = night().lines(), night().world()
    cut = data.draw(st.integers(0, len(lines)))
    assert check(lines[:cut], world) == []


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_lines_of_the_same_second_in_other_clusters_may_change_places(data: st.DataObject) -> None:
    flight = Flight()
    flight.cluster(0, "mpe-1")
    ends = [flight.initiate(60.0 * n, pair(name)[1]) for n, name in enumerate(("mpe-2", "li-1"), start=1)]
    for line in flight._lines:
        line["t"] = round(line["t"] / 60) * 60.0  # many lines now share their second
    assert ends
    groups: dict[tuple[float, str], list[dict[str, object]]] = {}
    for line in flight.lines():
        home = line.get("cluster") or flight.home(line["server"])
        groups.setdefault((line["t"], home), []).append(line)
    keys = data.draw(st.permutations(list(groups)))
    shuffled = [line for key in sorted(keys, key=lambda key: key[0]) for line in groups[key]]
    assert [v for v in check(shuffled, flight.world()) if v.rule != "R3"] == []


# the record itself -----------------------------------------------------------------------------


def test_an_action_without_its_end_is_reported_of_a_complete_run_only() -> None:
    flight = Flight()
    flight.start(5, "reset_counters", "mpe-1")
    flight.add(50, "gui_login", user="admin", ok=True)
    assert rules(flight, STRICT) == ["record"]
    assert rules(flight, Limits()) == []


def test_an_action_that_the_record_outlives_by_hours_is_reported_of_any_run() -> None:
    flight = Flight()
    flight.start(5, "reset_counters", "mpe-1")
    flight.add(6 * 3600, "gui_login", user="admin", ok=True)
    assert rules(flight, Limits()) == ["record"]


@pytest.mark.parametrize(
    ("cluster", "server", "action"),
    [("mpe-2", None, "reapply"), ("mpe-1", "mpe-1a", "reapply"), ("mpe-1", None, "failover")],
)
def test_an_end_must_name_what_was_started(cluster: str, server: str | None, action: str) -> None:
    flight = Flight()
    flight.start(5, "reapply", "mpe-1")
    flight.end(6, action, cluster, server)
    assert rules(flight) == ["record", "record"]


def test_a_second_end_is_reported() -> None:
    flight = Flight()
    flight.reapply(5, "mpe-1")
    assert rules(flight) == []
    flight.end(40, "reapply", "mpe-1")
    assert rules(flight) == ["record"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"event": "landed", "where": "here"}, "unknown event"),
        ({"event": "reachable", "server": "mpe-1a"}, "'up' is missing"),
        ({"event": "reachable", "server": "mpe-1a", "up": "yes"}, "'up' is 'yes'"),
        ({"event": "reachable", "server": "mpe-9a", "up": True}, "no server"),
        ({"event": "traffic", "cluster": "mpe-9", "active": True}, "no cluster"),
        ({"event": "alarm_raised", "number": "70500", "severity": "Minor", "server": "mpe-1a"}, "'number'"),
        ({"event": "alarm_raised", "number": 70500, "severity": "Minor"}, "neither server nor cluster"),
        (
            {"event": "role", "server": "mpe-1b", "cluster": "mpe-1", "kind": "MPE", "from": "Standby",
             "to": "Spare"},
            "'to'",
        ),
        (
            {"event": "role", "server": "mpe-1b", "cluster": "mpe-2", "kind": "MPE", "from": "Standby",
             "to": "OOS"},
            "belongs to mpe-1",
        ),
        (
            {"event": "role", "server": "mpe-1b", "cluster": "mpe-1", "kind": "MRA", "from": "Standby",
             "to": "OOS"},
            "of kind MPE",
        ),
        (
            {"event": "role", "server": "mpe-1b", "cluster": "mpe-1", "kind": "MPE", "from": "OOS",
             "to": "Standby"},
            "role from OOS, but it was Standby",
        ),
        (
            {"event": "release", "server": "mpe-1b", "cluster": "mpe-1", "kind": "MPE", "from": "10.5.0",
             "to": SOURCE},
            "release from 10.5.0",
        ),
        (
            {"event": "action_started", "cluster": "mpe-1", "server": None, "action": "initiate_upgrade",
             "by": "admin"},
            "without its server",
        ),
        (
            {"event": "action_started", "cluster": None, "server": None, "action": "reapply", "by": "admin"},
            "without its cluster",
        ),
        (
            {"event": "action_started", "cluster": "mpe-1", "server": None, "action": "dance", "by": "admin"},
            "'action'",
        ),
    ],
)  # fmt: skip
def test_a_line_that_breaks_the_form_is_reported(line: dict[str, object], fault: str) -> None:
    violations = check([{"t": 1.0, **line}], Flight().world())
    assert [violation.rule for violation in violations] == ["record"]
    assert fault in violations[0].text


def test_every_event_of_the_record_in_its_form_is_accepted() -> None:
    flight = Flight()
    for action in ("push_scripts", "upload_iso", "delete_iso", "select_iso"):
        flight.start(1, action, None)
        flight.end(2, action, None)
    for action in ("force_standby", "cancel_force_standby"):
        flight.start(1, action, "mpe-1", "mpe-1b")
        flight.end(2, action, "mpe-1", "mpe-1b")
    flight.start(1, "switch_force_standby", "mpe-1")
    flight.end(2, "switch_force_standby", "mpe-1")
    flight.add(
        3, "refused", cluster="mpe-1", server=None, action="failover", by="admin", why="an action runs"
    )
    flight.add(4, "alarm_raised", number=70500, severity="Minor", server="cmp-1a")
    flight.add(
        5, "alarm_cleared", number=70500, severity="Minor", cluster="mpe-1", note="a field of tomorrow"
    )
    flight.add(6, "ssh_login", server="mpe-1a", user="admusr", ok=True)
    flight.add(7, "ssh_command", server="mpe-1a", user="admusr", command="syscheck")
    flight.add(8, "file", server="mpe-1a", path="/var/camiant/iso/x.iso", op="write", size=12)
    flight.add(9, "gui_login", user="admin", ok=False)
    flight.add(10, "fault", name="upgrade_fails", where="mpe-1b")
    assert found(flight) == []


def test_time_may_stand_still_but_not_run_backwards() -> None:
    login = {"event": "gui_login", "user": "admin", "ok": True}
    world = Flight().world()
    assert check([{"t": 5.0, **login}, {"t": 5.0, **login}], world) == []
    assert [v.rule for v in check([{"t": 5.0, **login}, {"t": 4.9, **login}], world)] == ["record"]


def test_an_upgrade_that_ends_with_success_went_through_oos_to_the_target() -> None:
    flight = Flight()
    flight.start(0, "initiate_upgrade", "mpe-1", "mpe-1b")
    flight.end(2400, "initiate_upgrade", "mpe-1", "mpe-1b")
    texts = [violation.text for violation in found(flight)]
    assert ["never OOS" in texts[0], "not on" in texts[1]] == [True, True]


# R1 ---------------------------------------------------------------------------------------------


def test_r1_no_secondary_before_the_primary_pair_is_complete() -> None:
    flight = Flight(cmps=SOURCE, servers=halfway(PRIMARY))
    flight.initiate(0, "cmp-2b")
    assert rules(flight) == ["R1"]
    flight = Flight(cmps=SOURCE, servers=upgraded(PRIMARY))
    flight.initiate(0, "cmp-2b")
    assert rules(flight) == []


@pytest.mark.parametrize("cluster", [PRIMARY, SECONDARY])
def test_r1_no_worker_before_every_cmp_is_complete(cluster: str) -> None:
    flight = Flight(servers=halfway(cluster))
    flight.initiate(0, "mpe-1b")
    assert rules(flight) == ["R1"]


def test_r1_a_cmp_in_forced_standby_is_not_complete() -> None:
    flight = Flight(servers={"cmp-2b": {"role": "Forced Standby"}})
    flight.initiate(0, "mra-1b")
    assert rules(flight) == ["R1"]


def test_r1_no_cmp_is_backed_out_while_a_worker_is_on_the_target() -> None:
    flight = Flight(servers=upgraded("mpe-2"))
    flight.initiate(0, "cmp-2b", to=SOURCE)
    assert set(rules(flight)) == {"R1"}
    flight = Flight()
    flight.initiate(0, "cmp-2b", to=SOURCE)
    assert rules(flight) == []


def test_r1_no_cmp_is_backed_out_while_a_worker_is_being_worked_on() -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1b", took=2400)
    flight.start(30, "initiate_backout", SECONDARY, "cmp-2b")
    flight.end(45, "initiate_backout", SECONDARY, "cmp-2b", "Failed")
    assert rules(flight) == ["R1"]


def test_r1_the_primary_is_backed_out_after_the_secondary() -> None:
    flight = Flight()
    flight.initiate(0, "cmp-1b", to=SOURCE)
    assert rules(flight) == ["R1"]
    flight = Flight(servers={server: {"release": SOURCE} for server in pair(SECONDARY)})
    flight.initiate(0, "cmp-1b", to=SOURCE)
    assert rules(flight) == []


# R2 ---------------------------------------------------------------------------------------------


def test_r2_a_fifth_cluster_is_reported_and_named() -> None:
    flight = Flight()
    for index, cluster in enumerate(list(WORKERS)[:5]):
        flight.initiate(60.0 * index, pair(cluster)[1])
    violations = found(flight)
    assert [(v.rule, v.cluster, v.server, v.t) for v in violations] == [("R2", "mra-2", "mra-2b", 240.0)]


def test_r2_four_clusters_are_legal_and_a_second_server_is_no_fifth() -> None:
    flight = Flight()
    for index, cluster in enumerate(list(WORKERS)[:4]):
        flight.initiate(60.0 * index, pair(cluster)[1])
    t = flight.reapply(flight.failover(2700, "mpe-1"), "mpe-1")
    flight.initiate(t + 60, "mpe-1a", ends_as="Standby")
    assert rules(flight) == []


def test_r2_a_mixed_cluster_counts_though_nothing_runs_in_it() -> None:
    flight = Flight(servers={**halfway("mpe-1"), **halfway("mpe-2"), **halfway("li-1"), **halfway("mra-1")})
    flight.initiate(0, "mra-2b")
    assert rules(flight) == ["R2"]
    flight = Flight(servers={**halfway("mpe-1"), **halfway("mpe-2"), **halfway("li-1"), **upgraded("mra-1")})
    flight.initiate(0, "mra-2b")
    assert rules(flight) == []


def test_r2_a_cluster_in_forced_standby_on_one_release_still_counts() -> None:
    for ends_as, expected in (("Forced Standby", ["R2"]), ("Standby", [])):
        flight = Flight(
            servers={**halfway("mpe-1"), **halfway("mpe-2"), **halfway("li-1"), **halfway("mra-1")}
        )
        t = flight.initiate(0, "mpe-1a", ends_as=ends_as)
        flight.initiate(t + 60, "mra-2b")
        assert rules(flight) == expected


def test_r2_a_failed_preflight_gives_the_place_back() -> None:
    flight = Flight(servers={**halfway("mpe-1"), **halfway("mpe-2"), **halfway("li-1")})
    t = flight.preflight_fails(0, "mra-1b")
    flight.initiate(t + 60, "mra-2b")
    assert rules(flight) == []


def test_r2_counts_a_cluster_while_its_preflight_runs() -> None:
    flight = Flight(servers={**halfway("mpe-1"), **halfway("mpe-2"), **halfway("li-1")})
    flight.initiate(0, "mra-1b", oos=90)
    flight.initiate(60, "mra-2b")
    assert sorted(rules(flight)) == ["R2", "R3"]


# R3 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap", "expected"), [(59.9, ["R3"]), (59.995, []), (60.0, [])])
def test_r3_a_minute_between_two_first_servers(gap: float, expected: list[str]) -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1b")
    flight.initiate(gap, "mra-1b")
    assert rules(flight) == expected


@pytest.mark.parametrize(("gap", "expected"), [(40.0, ["R3"]), (60.0, [])])
def test_r3_holds_for_second_servers_and_backouts_alike(gap: float, expected: list[str]) -> None:
    for to, ends_as, server in ((TARGET, "Standby", "mpe-2a"), (SOURCE, "Standby", "mra-1b")):
        flight = Flight(servers={**halfway("mpe-1"), **halfway("mpe-2"), **halfway("mra-1", active=0)})
        flight.initiate(0, "mpe-1a", ends_as="Standby")
        flight.initiate(gap, server, to=to, ends_as=ends_as)
        assert rules(flight) == expected


@pytest.mark.parametrize(("oos", "expected"), [(71.0, ["R3"]), (69.0, [])])
def test_r3_not_before_the_one_before_shows_oos(oos: float, expected: list[str]) -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1b", oos=oos)
    flight.initiate(70, "mra-1b")
    assert rules(flight) == expected


def test_r3_a_failed_preflight_ends_the_wait_for_oos() -> None:
    for took, expected in ((65.0, []), (75.0, ["R3"])):
        flight = Flight()
        flight.preflight_fails(0, "mpe-1b", took)
        flight.initiate(70, "mra-1b")
        assert rules(flight) == expected


def test_r3_does_not_bind_the_cmp_clusters() -> None:
    flight = Flight(cmps=SOURCE, servers=halfway(PRIMARY))
    end = flight.initiate(0, "cmp-1a", ends_as="Standby")
    flight.initiate(end + 1, "cmp-2b")
    assert rules(flight) == []


# R4 ---------------------------------------------------------------------------------------------


def halves(*clusters: str) -> dict[str, dict[str, str]]:
    return {name: state for cluster in clusters for name, state in halfway(cluster, active=0).items()}


def test_r4_one_failover_at_a_time() -> None:
    flight = Flight(servers=halves("mpe-1", "mpe-2"))
    flight.failover(0, "mpe-1")
    flight.failover(20, "mpe-2")
    assert rules(flight) == ["R4"]


def test_r4_one_reapply_at_a_time() -> None:
    for gap, expected in ((10.0, ["R4"]), (20.0, [])):
        flight = Flight()
        flight.reapply(0, "mpe-1")
        flight.reapply(gap, "mpe-2")
        assert rules(flight) == expected


def test_r4_no_failover_before_the_last_cluster_is_reapplied() -> None:
    flight = Flight(servers=halves("mpe-1", "mra-1"))
    t = flight.failover(0, "mpe-1")
    flight.add(t + 5, "traffic", cluster="mpe-1", active=True)
    flight.failover(t + 20, "mra-1")
    assert rules(flight) == ["R4"]


def test_r4_a_reapply_that_failed_or_began_too_early_does_not_count() -> None:
    for start, result in ((31.0, "Failed"), (15.0, "Success")):
        flight = Flight(servers=halves("mpe-1", "mra-1"))
        flight.failover(0, "mpe-1")
        flight.reapply(start, "mpe-1", result=result)
        flight.failover(100, "mra-1")
        assert rules(flight) == ["R4"]


def test_r4_no_failover_before_the_last_cluster_carries_traffic() -> None:
    for traffic, expected in ((30.0, ["R4"]), (10.0, [])):
        flight = Flight(servers=halves("mpe-1", "mra-1"))
        t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=traffic)
        flight.reapply(flight.failover(t + 20, "mra-1"), "mra-1")
        assert rules(flight) == expected


def test_r4_a_cluster_that_never_had_traffic_need_not_carry_any() -> None:
    flight = Flight(servers=halves("mpe-1", "mra-1"))
    flight.start(0, "failover", "mpe-1")
    flight.role(29, "mpe-1a", "Forced Standby")
    flight.role(29, "mpe-1b", "Active")
    flight.end(30, "failover", "mpe-1")
    flight.reapply(40, "mpe-1", traffic=None)
    flight.failover(80, "mra-1")
    flight.add(500, "traffic", cluster="mpe-1", active=True)  # its first ever
    assert rules(flight) == []


def test_r4_a_cmp_needs_no_reapply() -> None:
    flight = Flight(cmps=SOURCE, servers={**halfway(PRIMARY, active=0), **halfway(SECONDARY, active=0)})
    t = flight.failover(0, PRIMARY)
    flight.failover(t + 1, SECONDARY)
    assert rules(flight) == []


def test_r4_a_failover_that_failed_and_changed_nothing_is_not_the_last() -> None:
    for result, expected in (("Failed", []), ("Success", ["R4"])):
        flight = Flight(servers=halves("mpe-1", "mra-1"))
        flight.start(0, "failover", "mpe-1")
        flight.end(30, "failover", "mpe-1", result=result)
        flight.failover(60, "mra-1")
        assert rules(flight) == expected


def test_r4_an_early_failover_to_a_server_that_is_not_upgraded() -> None:
    flight = Flight()
    flight.failover(0, "mpe-1", loser="Standby")
    assert rules(flight) == ["R4"]


@pytest.mark.parametrize(
    ("event", "fields"),
    [("reachable", {"up": False}), ("replication", {"in_sync": False})],
)
def test_r4_the_mate_is_reachable_and_in_sync(event: str, fields: dict[str, bool]) -> None:
    flight = Flight(servers=halves("mpe-1"))
    flight.add(0, event, server="mpe-1b", **fields)
    flight.failover(20, "mpe-1")
    assert rules(flight) == ["R4"]
    flight.add(10, event, server="mpe-1b", **dict.fromkeys(fields, True))
    assert rules(flight) == []


def test_r4_the_mate_is_in_an_expected_role() -> None:
    flight = Flight(servers={**halves("mpe-1"), "mpe-1b": {"role": "OOS", "release": TARGET}})
    flight.failover(0, "mpe-1")
    assert rules(flight) == ["R4"]


def test_r4_a_failover_while_the_standby_is_still_being_upgraded() -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1b")
    flight.start(1000, "failover", "mpe-1")
    flight.end(1030, "failover", "mpe-1", result="Failed")
    assert rules(flight) == ["R4"] * 3  # old release, OOS, not reachable


def test_a_second_person_who_clicks_first_is_nobodys_fault() -> None:
    for by, later, expected in (("jdoe", 5.0, []), ("admin", 5.0, ["R4"]), ("jdoe", 31.0, ["R4"])):
        flight = Flight(servers=halves("mpe-1"))
        flight.start(0, "failover", "mpe-1", by="admin")
        flight.start(later, "failover", "mpe-1", by=by)
        flight.role(40, "mpe-1a", "Forced Standby")
        flight.role(40, "mpe-1b", "Active")
        flight.end(40, "failover", "mpe-1", by="admin")
        flight.end(41, "failover", "mpe-1", by=by)
        assert rules(flight) == expected


def test_a_second_click_that_comes_after_the_first_failover_ended_is_no_way_back() -> None:
    for by, expected in (("jdoe", []), ("admin", ["R11"])):
        flight = Flight(servers=halves("mpe-1"))
        t = flight.failover(0, "mpe-1", took=20)
        flight.start(t + 5, "failover", "mpe-1", by=by)
        flight.end(t + 6, "failover", "mpe-1", by=by)
        flight.reapply(t + 20, "mpe-1")
        assert rules(flight) == expected


def test_a_second_click_that_ends_during_the_reapply_starts_no_new_proof() -> None:
    flight = Flight(servers=halves("mpe-1", "mra-1"))
    flight.failover(0, "mpe-1")
    flight.start(25, "failover", "mpe-1", by="jdoe")
    flight.end(40, "failover", "mpe-1", by="jdoe")
    flight.reapply(35, "mpe-1", traffic=None)
    flight.reapply(flight.failover(148, "mpe-1", to=0), "mpe-1")  # 95 s after the re-apply
    assert rules(flight) == []
    flight = Flight(servers=halves("mpe-1", "mra-1"))
    flight.failover(0, "mpe-1")
    flight.start(25, "failover", "mpe-1", by="jdoe")
    flight.end(40, "failover", "mpe-1", by="jdoe")
    flight.reapply(35, "mpe-1", traffic=5)
    flight.reapply(flight.failover(80, "mra-1"), "mra-1")
    assert rules(flight) == []


def test_r4_a_failover_that_has_nowhere_to_go() -> None:
    flight = Flight(servers={**halves("mpe-1"), "mpe-1a": {"role": "OOS"}})
    flight.start(1, "failover", "mpe-1")
    flight.end(3, "failover", "mpe-1", result="Failed")
    assert rules(flight, Limits()) == ["R4"]


# R5 ---------------------------------------------------------------------------------------------


def test_r5_no_act_on_an_active_server() -> None:
    flight = Flight()
    flight.preflight_fails(0, "mpe-1a")
    assert rules(flight) == ["R5"]
    flight = Flight()
    flight.preflight_fails(0, "mpe-1b")
    assert rules(flight) == []


def test_r5_an_upgrade_of_the_active_server_leaves_nobody_active() -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1a", ends_as="Standby")
    assert rules(flight) == ["R5", "R5"]


def test_r5_nobody_active_for_longer_than_a_hand_over() -> None:
    for gap, expected in ((4.0, []), (6.0, ["R5"])):
        flight = Flight()
        flight.role(10, "mpe-1a", "Standby")
        flight.role(10 + gap, "mpe-1b", "Active")
        assert rules(flight) == expected


def test_r5_a_failover_may_take_its_time_but_must_end_with_an_active_server() -> None:
    flight = Flight(servers=halves("mpe-1"))
    flight.start(0, "failover", "mpe-1")
    flight.role(2, "mpe-1a", "Forced Standby")
    flight.role(100, "mpe-1b", "Active")
    flight.end(100, "failover", "mpe-1")
    assert rules(flight) == []
    flight = Flight(servers=halves("mpe-1"))
    flight.start(0, "failover", "mpe-1")
    flight.role(2, "mpe-1a", "Forced Standby")
    flight.end(30, "failover", "mpe-1")
    flight.role(40, "mpe-1b", "Active")
    assert rules(flight) == ["R5"]


def test_r5_a_complete_run_does_not_end_without_an_active_server() -> None:
    flight = Flight()
    flight.role(10, "mpe-1a", "Forced Standby")
    assert rules(flight, STRICT) == ["R5"]
    assert rules(flight, Limits()) == []  # cut off: the next line might have been the other server's


def test_r5_both_servers_out() -> None:
    for mate, expected in (("OOS", ["R5"]), ("Standby", [])):
        flight = Flight(servers={"mpe-1b": {"role": mate}})
        flight.add(10, "reachable", server="mpe-1a", up=False)
        flight.add(20, "reachable", server="mpe-1a", up=True)
        assert rules(flight) == expected


def test_r5_a_zombie_beside_an_active_server_is_no_break() -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1b", ends_as="Zombie", result="Failed")
    flight.add(9000, "gui_login", user="admin", ok=True)
    assert rules(flight) == []


# R6 ---------------------------------------------------------------------------------------------


def test_r6_a_mixed_cluster_keeps_the_other_release_in_forced_standby() -> None:
    for ends_as, expected in (("Standby", ["R6"]), ("Forced Standby", [])):
        flight = Flight()
        t = flight.initiate(0, "mpe-1b", ends_as=ends_as)
        flight.add(t + 100, "gui_login", user="admin", ok=True)
        violations = found(flight)
        assert [(v.rule, v.server) for v in violations] == [(rule, "mpe-1b") for rule in expected]


def test_r6_after_the_failover_it_is_the_old_server_that_is_forced() -> None:
    for loser, expected in (("Standby", ["R6"]), ("Forced Standby", [])):
        flight = Flight(servers=halves("mpe-1"))
        t = flight.reapply(flight.failover(0, "mpe-1", loser=loser), "mpe-1")
        flight.add(t + 20, "gui_login", user="admin", ok=True)
        assert rules(flight) == expected


def test_r6_cancelled_by_hand() -> None:
    flight = Flight(servers=halves("mpe-1"))
    flight.start(0, "cancel_force_standby", "mpe-1", "mpe-1b", by="jdoe")
    flight.role(1, "mpe-1b", "Standby")
    flight.end(1, "cancel_force_standby", "mpe-1", "mpe-1b", by="jdoe")
    flight.add(20, "gui_login", user="admin", ok=True)
    assert rules(flight) == ["R6"]


def test_r6_holds_for_cmp_clusters_and_from_the_beginning() -> None:
    flight = Flight(cmps=SOURCE, servers={"cmp-1b": {"release": TARGET}})
    flight.add(20, "gui_login", user="admin", ok=True)
    assert [(v.rule, v.t) for v in found(flight)] == [("R6", 5.0)]


# R7 ---------------------------------------------------------------------------------------------


def test_r7_no_backout_while_an_upgrade_runs_in_the_cluster() -> None:
    flight = Flight(servers=halfway("mpe-1"))
    flight.initiate(0, "mpe-1a", ends_as="Standby")
    flight.start(100, "initiate_backout", "mpe-1", "mpe-1b")
    flight.end(110, "initiate_backout", "mpe-1", "mpe-1b", "Failed")
    assert rules(flight) == ["R5", "R7"]
    flight = Flight(servers={**halfway("mpe-1"), **halfway("mpe-2", active=0)})
    flight.initiate(0, "mpe-1a", ends_as="Standby")
    flight.initiate(100, "mpe-2b", to=SOURCE, ends_as="Standby")  # another cluster is free to
    assert rules(flight) == []


def test_r7_no_upgrade_while_a_backout_runs_in_the_cluster() -> None:
    flight = Flight(servers=upgraded("mpe-1"))
    flight.start(0, "initiate_backout", "mpe-1", "mpe-1a")
    flight.start(70, "initiate_upgrade", "mpe-1", "mpe-1a")
    flight.end(80, "initiate_upgrade", "mpe-1", "mpe-1a", "Failed")
    flight.end(90, "initiate_backout", "mpe-1", "mpe-1a", "Failed")
    assert set(rules(flight)) == {"R3", "R7", "twice"}


def test_r7_no_failover_back_while_an_upgrade_runs_in_the_cluster() -> None:
    for preflight_ends, expected in ((80.0, ["R7"]), (60.0, [])):
        flight = Flight(servers=halfway("mpe-1"))
        flight.preflight_fails(0, "mpe-1a", took=preflight_ends)
        flight.failover(70, "mpe-1", to=0)
        assert rules(flight) == expected


def test_r7_no_failover_forward_while_a_backout_runs_in_the_cluster() -> None:
    flight = Flight(servers=halves("mpe-1"))
    flight.start(0, "initiate_backout", "mpe-1", "mpe-1b")
    flight.failover(10, "mpe-1")
    flight.end(50, "initiate_backout", "mpe-1", "mpe-1b", "Failed")
    assert rules(flight) == ["R7"]


def test_r7_no_backout_while_the_failover_forward_runs() -> None:
    flight = Flight(servers=halves("mpe-1"))
    flight.failover(0, "mpe-1")
    flight.start(10, "initiate_backout", "mpe-1", "mpe-1b")
    flight.end(25, "initiate_backout", "mpe-1", "mpe-1b", "Failed")
    assert rules(flight) == ["R7"]


# R11 and R8 --------------------------------------------------------------------------------------


def rolled_back(waits: float = 95.0, traffic: float | None = None) -> tuple[Flight, float]:
    """A failover, its re-apply and, `waits` seconds after that one's end, the way back. Traffic comes
    `traffic` seconds after the re-apply, or not before the second one."""
    flight = Flight(servers=halves("mpe-1", "mpe-2"))
    t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=traffic)
    t = flight.failover(t + waits, "mpe-1", to=0)
    return flight, flight.reapply(t + 10, "mpe-1") + 20


@pytest.mark.parametrize(
    ("waits", "expected"), [(80.0, ["R11"]), (89.995, []), (90.0, []), (119.0, []), (130.0, ["R11"])]
)
def test_r11_the_way_back_starts_after_90_seconds_and_soon_after(waits: float, expected: list[str]) -> None:
    assert rules(rolled_back(waits)[0]) == expected


def test_r11_the_margin_is_a_parameter() -> None:
    assert rules(rolled_back(130)[0], Limits(failback_margin=60)) == []


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [(20.0, ["R11"]), (83.0, ["R11"]), (88.0, []), (93.0, []), (None, [])],
)
def test_r11_no_way_back_when_traffic_came_in_time(traffic: float | None, expected: list[str]) -> None:
    assert rules(rolled_back(95, traffic)[0]) == expected


def test_r11_no_way_back_before_the_reapply() -> None:
    flight = Flight(servers=halves("mpe-1"))
    t = flight.failover(0, "mpe-1")
    flight.reapply(flight.failover(t + 200, "mpe-1", to=0), "mpe-1")
    assert rules(flight) == ["R11"]


@pytest.mark.parametrize(("later", "expected"), [(100.0, []), (140.0, ["R11"])])
def test_r11_a_way_back_that_never_starts(later: float, expected: list[str]) -> None:
    flight = Flight(servers=halves("mpe-1"))
    t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=None)
    flight.add(t + later, "ssh_login", server="mpe-2a", user="admusr", ok=True)
    violations = found(flight)
    assert [violation.rule for violation in violations] == expected
    assert [violation.t for violation in violations] == [t + 120.0 for _ in expected]


def test_r11_a_cluster_without_traffic_before_is_not_sent_back() -> None:
    for lost, expected in ((5.0, []), (29.0, ["R11"])):
        flight = Flight(servers=halves("mpe-1"))
        flight.add(lost, "traffic", cluster="mpe-1", active=False)
        flight.start(10, "failover", "mpe-1")
        flight.role(30, "mpe-1a", "Forced Standby")
        flight.role(30, "mpe-1b", "Active")
        flight.end(31, "failover", "mpe-1")
        flight.reapply(40, "mpe-1", traffic=None)
        flight.add(900, "ssh_login", server="mpe-2a", user="admusr", ok=True)
        assert rules(flight) == expected


def test_r11_a_loss_written_a_moment_after_the_failover_ended_is_seen() -> None:
    flight = Flight(servers=halves("mpe-1"))
    flight.start(10, "failover", "mpe-1")
    flight.role(30, "mpe-1a", "Forced Standby")
    flight.role(30, "mpe-1b", "Active")
    flight.end(30, "failover", "mpe-1")
    flight.add(30, "traffic", cluster="mpe-1", active=False)
    flight.reapply(40, "mpe-1", traffic=None)
    flight.add(900, "ssh_login", server="mpe-2a", user="admusr", ok=True)
    assert rules(flight) == ["R11"]


def test_r11_a_run_started_again_counts_from_its_login() -> None:
    flight = Flight(servers=halves("mpe-1"))
    t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=None)
    t = flight.failover(t + 700, "mpe-1", to=0)
    flight.reapply(t + 10, "mpe-1")
    assert rules(flight) == ["R11"]
    flight.add(t - 140, "gui_login", user="admin", ok=True)
    assert rules(flight) == []


def test_r11_a_way_back_that_the_gui_refused_was_tried() -> None:
    flight = Flight(servers=halves("mpe-1"))
    t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=None)
    flight.add(
        t + 95, "refused", cluster="mpe-1", server=None, action="failover", by="admin", why="an action runs"
    )
    flight.add(t + 500, "gui_login", user="admin", ok=True)
    assert rules(flight) == []


def test_r11_a_reapply_follows_the_way_back() -> None:
    for later, expected in ((200.0, []), (400.0, ["R11"])):
        flight = Flight(servers=halves("mpe-1"))
        t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=None)
        t = flight.failover(t + 95, "mpe-1", to=0)
        flight.reapply(t + later, "mpe-1")
        assert rules(flight) == expected


def test_r11_a_reapply_after_the_way_back_that_never_comes() -> None:
    flight = Flight(servers=halves("mpe-1"))
    t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=None)
    t = flight.failover(t + 95, "mpe-1", to=0)
    flight.add(t + 400, "ssh_login", server="mpe-2a", user="admusr", ok=True)
    assert rules(flight) == ["R11"]
    assert rules(flight, until=t + 200) == []


def test_r11_the_second_server_waits_for_traffic() -> None:
    for start, expected in ((20.0, ["R11"]), (31.0, [])):
        flight = Flight(servers=halves("mpe-1"))
        t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1", traffic=30.0)
        flight.initiate(t + start, "mpe-1a", ends_as="Standby")
        assert rules(flight) == expected


def test_r11_a_way_back_chosen_after_the_second_server_failed_is_a_persons() -> None:
    flight = Flight(servers=halves("mpe-1"))
    t = flight.reapply(flight.failover(0, "mpe-1"), "mpe-1")
    t = flight.initiate(t + 60, "mpe-1a", result="Failed")
    flight.reapply(flight.failover(t + 600, "mpe-1", to=0), "mpe-1")
    assert rules(flight) == []


def test_r8_after_a_rollback_nothing_new_starts() -> None:
    flight, t = rolled_back()
    flight.initiate(t + 60, "mra-1b")
    assert rules(flight) == ["R8"]
    flight, t = rolled_back()
    flight.failover(t + 60, "mpe-2")
    assert rules(flight) == ["R8"]
    flight, t = rolled_back()
    flight.failover(t + 60, "mpe-1")
    assert rules(flight) == ["R8"]


def test_r8_after_a_rollback_what_runs_may_finish_and_a_backout_may_start() -> None:
    flight, t = rolled_back()
    flight.initiate(1, "mra-1b")
    flight.initiate(t + 60, "mpe-1b", to=SOURCE, ends_as="Standby")
    assert rules(flight) == []


def test_r8_ends_with_a_persons_answer() -> None:
    flight, t = rolled_back()
    flight.initiate(t + 60, "mra-1b")
    assert rules(flight, Limits(answered=t + 30)) == []


def test_r8_the_rolled_back_cluster_still_counts_for_r2() -> None:
    flight, t = rolled_back()
    for index, cluster in enumerate(("li-1", "mra-1", "mra-2")):
        flight.initiate(t + 60 * (index + 1), pair(cluster)[1])
    assert rules(flight, Limits(answered=t)) == ["R2"]


def test_r8_after_any_failure_when_asked_for() -> None:
    for later, expected in ((30.0, []), (90.0, ["R8"])):
        flight = Flight()
        t = flight.initiate(0, "mpe-1b", result="Failed")
        flight.initiate(t + later, "mra-1b")
        assert rules(flight, Limits(failures_stop=True)) == expected
        assert rules(flight) == []


def test_r8_a_zombie_and_the_failure_alarm_stop_as_well() -> None:
    zombie, alarm = Flight(), Flight()
    zombie.role(10, "mpe-2b", "Zombie")
    alarm.add(10, "alarm_raised", number=70506, severity="Critical", server="mpe-2b")
    for flight in (zombie, alarm):
        flight.initiate(100, "mra-1b")
        assert rules(flight, Limits(failures_stop=True)) == ["R8"]


# nothing twice ------------------------------------------------------------------------------------


def test_a_second_start_on_a_server_that_is_being_upgraded() -> None:
    for by, later, expected in (
        ("admin", 100.0, ["twice"]),
        ("admin", 10.0, ["R3", "R3", "twice"]),
        ("jdoe", 10.0, []),
        ("jdoe", 100.0, ["twice"]),
    ):
        flight = Flight()
        flight.initiate(0, "mpe-1b")
        flight.preflight_fails(later, "mpe-1b", by=by)
        assert sorted(rules(flight)) == expected


def test_the_second_click_that_fails_is_no_failure_of_the_system() -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1b")
    flight.preflight_fails(10, "mpe-1b", by="jdoe")
    flight.initiate(100, "mra-1b")
    assert rules(flight, Limits(failures_stop=True)) == []


def test_the_same_server_again_after_it_failed_is_not_twice() -> None:
    flight = Flight()
    t = flight.preflight_fails(0, "mpe-1b")
    flight.initiate(t + 60, "mpe-1b")
    assert rules(flight) == []


# the command --------------------------------------------------------------------------------------


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHECKER), str(folder), *options], capture_output=True, text=True, timeout=60
    )


def test_the_command_says_what_was_broken(tmp_path: Path) -> None:
    flight = Flight()
    flight.initiate(0, "mpe-1b")
    flight.initiate(50, "mra-1b")
    flight.write(tmp_path)
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "t=50.0 R3 [mra-1 / mra-1b] started 50.0 s after mpe-1b, 60 s are the least"
    ]
    assert run(tmp_path, "--until", "49").returncode == 0


def test_the_command_is_content_with_a_whole_night(tmp_path: Path) -> None:
    result = run(night().write(tmp_path), "--complete")
    assert (result.returncode, result.stdout) == (0, "")


def test_a_folder_without_a_record_is_named(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.returncode == 2
    assert "world.json" in result.stderr


def test_half_a_last_line_is_a_cut_and_a_broken_line_before_it_is_not(tmp_path: Path) -> None:
    folder = night().write(tmp_path)
    record = folder / "flight.jsonl"
    text = record.read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    record.write_text(text + '{"t": 99999, "ev', encoding="utf-8")
    assert check_dir(folder, STRICT) == []
    record.write_text(f"{first}\nnoise\n{rest}", encoding="utf-8")
    assert [violation.rule for violation in check_dir(folder, STRICT)] == ["record"]


def test_the_checker_knows_neither_product_nor_twin() -> None:
    script = "import rulebook, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKER.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "rulebook" in loaded
    assert not loaded & {"mopflow", "flows", "tasks", "blocks", "cli", "lab"}
