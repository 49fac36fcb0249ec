"""The checker on the way back and in the old GUI: every rule broken by hand is reported, the nearest legal record is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from handmade import PRIMARY, SECONDARY, SOURCE, TARGET, WORKERS, Flight, halfway, pair, upgraded
from rulebook import Limits, check

STRICT = Limits(complete=True)
SOURCES = ("10.5.6_1.1.0", "11.5.2.0.0_38.1.0", "12.0.0.0.0_45.1.0", SOURCE)
EVERYTHING = (*WORKERS, PRIMARY, SECONDARY)


def rules(flight: Flight, limits: Limits = STRICT, source: str = SOURCE) -> list[str]:
    """As if the record had been written on a system that comes from `source`."""
    lines, world = (
        json.loads(json.dumps(content).replace(SOURCE, source))
        for content in (flight.lines(), flight.world())
    )
    return [violation.rule for violation in check(lines, world, limits)]


def back(*clusters: str) -> Flight:
    """Everything is upgraded; of `clusters` alone server `b` is on the target, in forced standby."""
    states: dict[str, dict[str, str]] = upgraded(*EVERYTHING)
    for cluster in clusters:
        states |= halfway(cluster)
    return Flight(servers=states)


def failed_back(*workers: str) -> tuple[Flight, float]:
    """12.3.3/2-3 for some clusters, one after another, without the re-apply."""
    flight = back(*workers)
    t = 0.0
    for worker in workers:
        t = flight.failover(t + 10, worker, to=0)
    return flight, t


# whole runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_there_and_back_keeps_every_rule(source: str) -> None:
    flight = Flight(cmps=SOURCE)
    old = source in SOURCES[:2]
    t = flight.old_cluster(30, PRIMARY) if old else flight.cluster(30, PRIMARY)
    for cluster in (SECONDARY, *WORKERS):
        t = flight.cluster(t + 60, cluster)
    for cluster in (*WORKERS, SECONDARY):
        t = flight.back_out_cluster(t + 60, cluster) + 20
    if old:
        flight.back_out_old_cluster(t + 60, PRIMARY)
    else:
        flight.back_out_cluster(t + 60, PRIMARY)
    assert rules(flight, source=source) == []


def test_four_clusters_may_go_back_together() -> None:
    flight = Flight(servers=upgraded(*EVERYTHING))
    four = list(WORKERS)[:4]
    ends = [flight.initiate(70.0 * n, pair(name)[0], to=SOURCE) for n, name in enumerate(four)]
    t = max(ends)
    for name in four:
        t = flight.reapply(flight.failover(t + 20, name, to=0) + 5, name) + 15
    for n, name in enumerate(four):
        flight.initiate(t + 70.0 * n, pair(name)[1], to=SOURCE, ends_as="Standby")
    assert rules(flight) == []


# R1 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", [SECONDARY, PRIMARY])
def test_r1_no_cmp_goes_back_while_a_worker_is_on_the_target(cluster: str) -> None:
    flight = Flight(servers=upgraded("mpe-1", SECONDARY, PRIMARY))
    flight.initiate(0, pair(cluster)[0], to=SOURCE)
    # for the primary the secondary is in the way as well
    assert rules(flight) == ["R1"] * (len(pair("mpe-1")) + (cluster == PRIMARY))


def test_r1_no_cmp_fails_over_back_while_a_worker_is_on_the_target() -> None:
    for worker, expected in ((TARGET, ["R1", "R1"]), (SOURCE, [])):
        flight = Flight(
            cmps=SOURCE,
            servers={
                **halfway(PRIMARY),
                "mpe-1a": {"role": "Active", "release": worker},
                "mpe-1b": {"role": "Standby", "release": worker},
            },
        )
        flight.failover(0, PRIMARY, to=0)
        assert rules(flight) == expected


def test_r1_the_old_primary_goes_back_after_the_secondary() -> None:
    for secondary, expected in ((TARGET, ["R1"]), (SOURCE, [])):
        flight = Flight(cmps=secondary, servers=halfway(PRIMARY, active=0))
        t = flight.initiate(0, "cmp-1b", to=SOURCE, ends_as="Forced Standby")
        flight.cancel_force_standby(t + 5, "cmp-1b")
        assert rules(flight) == expected


def test_r1_no_worker_is_upgraded_once_a_cmp_has_gone_back() -> None:
    flight = Flight(servers={**upgraded(PRIMARY), **halfway(SECONDARY)})
    flight.initiate(0, "mpe-1b")
    assert rules(flight) == ["R1"]


# R2, R3 -----------------------------------------------------------------------------------------


def test_r2_a_fifth_cluster_that_goes_back() -> None:
    flight = Flight(servers=upgraded(*EVERYTHING))
    for n, name in enumerate(list(WORKERS)[:5]):
        flight.initiate(70.0 * n, pair(name)[0], to=SOURCE)
    assert rules(flight) == ["R2"]


@pytest.mark.parametrize(("gap", "expected"), [(50.0, ["R3"]), (60.0, [])])
def test_r3_a_minute_between_two_that_go_back(gap: float, expected: list[str]) -> None:
    flight = Flight(servers=upgraded(*EVERYTHING))
    flight.initiate(0, "mpe-1a", to=SOURCE)
    flight.initiate(gap, "mra-1a", to=SOURCE)
    assert rules(flight) == expected


def test_r3_not_before_the_one_before_shows_oos() -> None:
    flight = Flight(servers=upgraded(*EVERYTHING))
    flight.initiate(0, "mpe-1a", to=SOURCE, oos=90)
    flight.initiate(70, "mra-1a", to=SOURCE)
    assert rules(flight) == ["R3"]


# R4 ---------------------------------------------------------------------------------------------


def test_r4_one_failover_back_at_a_time_and_its_traffic_first() -> None:
    flight = back("mpe-1", "mra-1")
    flight.failover(0, "mpe-1", to=0)
    flight.failover(15, "mra-1", to=0)
    flight.reapply(100, "mpe-1")
    flight.reapply(130, "mra-1")
    assert rules(flight) == ["R4"]
    flight = back("mpe-1", "mra-1")
    t = flight.reapply(flight.failover(0, "mpe-1", to=0), "mpe-1", traffic=60)
    t = flight.failover(t + 30, "mra-1", to=0)
    flight.reapply(t, "mra-1")
    assert rules(flight) == ["R4"]


def test_r4_no_failover_back_before_the_last_one_was_reapplied() -> None:
    flight, t = failed_back("mpe-1", "mra-1")
    t = flight.reapply(t + 10, "mpe-1") + 15
    flight.reapply(t, "mra-1")
    assert rules(flight) == ["R4"]


@pytest.mark.parametrize(
    ("event", "fields"), [("reachable", {"up": False}), ("replication", {"in_sync": False})]
)
def test_r4_the_old_server_is_fit(event: str, fields: dict[str, Any]) -> None:
    flight = back("mpe-1")
    flight.add(1, event, server="mpe-1a", **fields)
    flight.reapply(flight.failover(10, "mpe-1", to=0), "mpe-1")
    assert rules(flight) == ["R4"]


def test_r4_holds_for_the_switch_of_the_old_gui() -> None:
    for broken, expected in ((True, ["R4"]), (False, [])):
        flight = Flight(cmps=SOURCE, servers=halfway(PRIMARY, active=0))
        if broken:
            flight.add(1, "replication", server="cmp-1b", in_sync=False)
        flight.switch(10, PRIMARY)
        assert rules(flight) == expected
    flight = Flight(servers={**halfway(PRIMARY, active=0), **halfway("mpe-1", active=0)}, cmps=SOURCE)
    flight.switch(10, PRIMARY)
    flight.failover(20, "mpe-1")
    flight.reapply(60, "mpe-1")
    assert rules(flight) == ["R4"]


# R5, R6, R7 -------------------------------------------------------------------------------------


def test_r5_no_active_server_is_backed_out() -> None:
    flight = Flight(servers=upgraded("mpe-1"))
    flight.initiate(0, "mpe-1b", to=SOURCE)
    assert set(rules(flight)) == {"R5"}


def test_r5_nor_the_active_one_in_the_old_gui() -> None:
    flight = Flight(cmps=SOURCE)
    flight.initiate(0, "cmp-1a")
    assert "R5" in rules(flight)


def test_r5_a_cmp_that_dies_by_itself_is_nobodys_fault() -> None:
    for named, expected in ((True, []), (False, ["R5"])):
        flight = Flight(cmps=SOURCE)
        flight.initiate(0, "cmp-1b")
        if named:
            flight.add(300, "fault", name="cmp_fails_over", where=PRIMARY)
        flight.role(300, "cmp-1a", "Offline")
        flight.role(600, "cmp-1a", "Standby")
        flight.role(600, "cmp-1a", "Active")
        assert rules(flight) == expected


def test_r6_the_server_that_went_back_stays_in_forced_standby() -> None:
    for ends_as, expected in (("Standby", ["R6"]), ("Forced Standby", [])):
        flight = Flight(servers=upgraded("mpe-1"))
        t = flight.initiate(0, "mpe-1a", to=SOURCE, ends_as=ends_as)
        flight.add(t + 100, "gui_login", user="admin", ok=True)
        assert rules(flight) == expected


def test_r6_the_old_gui_cancels_nothing_before_the_backout() -> None:
    flight = Flight(cmps=SOURCE, servers=halfway(PRIMARY, active=0))
    t = flight.cancel_force_standby(0, "cmp-1b")
    flight.add(t + 60, "gui_login", user="admin", ok=True)
    assert rules(flight) == ["R6"]


def test_r7_no_turning_round_while_the_switch_runs() -> None:
    for at, expected in ((15.0, ["R7"]), (60.0, [])):
        flight = Flight(cmps=SOURCE, servers=halfway(PRIMARY, active=0))
        flight.switch(10, PRIMARY)
        flight.start(at, "initiate_backout", PRIMARY, "cmp-1a" if at > 40 else "cmp-1b")
        flight.end(at + 10, "initiate_backout", PRIMARY, "cmp-1a" if at > 40 else "cmp-1b", "Failed")
        assert rules(flight) == expected


def test_r7_no_upgrade_while_the_failover_back_runs() -> None:
    flight = back("mpe-1")
    flight.failover(0, "mpe-1", to=0)
    flight.start(10, "initiate_upgrade", "mpe-1", "mpe-1a")
    flight.end(20, "initiate_upgrade", "mpe-1", "mpe-1a", "Failed")
    flight.reapply(60, "mpe-1")
    assert rules(flight) == ["R7"]


# R8 ---------------------------------------------------------------------------------------------


def failed_backout() -> tuple[Flight, float]:
    flight = Flight(servers=upgraded(*EVERYTHING))
    return flight, flight.initiate(0, "mpe-1a", to=SOURCE, result="Failed", ends_as="Standby")


def test_r8_after_a_failed_backout_nothing_starts_until_a_person_answers() -> None:
    stop = Limits(complete=True, failures_stop=True)
    for later, expected in ((30.0, []), (90.0, ["R8"])):
        flight, t = failed_backout()
        flight.initiate(t + later, "mra-1a", to=SOURCE)
        assert rules(flight, stop) == expected
        assert rules(flight) == []
        assert rules(flight, Limits(complete=True, failures_stop=True, answered=t + 20)) == []


def test_r8_a_zombie_of_the_backout() -> None:
    flight = Flight(servers=upgraded(*EVERYTHING))
    t = flight.initiate(0, "mpe-1a", to=SOURCE, result="Failed", ends_as="Zombie")
    flight.initiate(t + 90, "mra-1a", to=SOURCE)
    assert rules(flight, Limits(failures_stop=True)) == ["R8"]


def test_r8_after_a_failed_upgrade_a_person_may_order_the_backout() -> None:
    flight = Flight(servers=upgraded("mra-1"))
    t = flight.initiate(0, "mpe-1b", result="Failed", ends_as="Standby")
    flight.initiate(t + 90, "mra-1a", to=SOURCE)
    assert rules(flight, Limits(failures_stop=True)) == []


# R9, R10 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "server", "to", "expected"),
    [
        ("mpe-1b", "mpe-1b", TARGET, ["R9"]),
        ("mpe-1a", "mpe-1b", TARGET, ["R9"]),
        ("mra-1a", "mpe-1b", TARGET, []),
        ("mpe-2b", "mpe-2b", SOURCE, []),  # the backout repairs it
        ("mpe-2a", "mpe-2b", SOURCE, ["R9"]),
    ],
)
def test_r9_nothing_goes_on_without_replication(
    broken: str, server: str, to: str, expected: list[str]
) -> None:
    flight = Flight(servers=halfway("mpe-2", active=0))
    flight.add(1, "replication", server=broken, in_sync=False)
    flight.initiate(10, server, to=to, ends_as="Standby" if to == SOURCE else "Forced Standby")
    assert rules(flight) == expected


GOOD = f"mpe-{TARGET}-x86_64.iso"
OTHER = f"mra-{TARGET}-x86_64.iso"
OF_SOURCE = f"mpe-{SOURCE}-x86_64.iso"


@pytest.mark.parametrize(
    ("images", "expected"),
    [([GOOD], []), ([], ["R10"]), ([GOOD, OTHER], ["R10"]), ([OTHER], ["R10"]), ([OF_SOURCE], ["R10"])],
)
def test_r10_one_image_of_the_right_type(images: list[str], expected: list[str]) -> None:
    flight = Flight()
    flight.initiate(10, "mpe-1b")
    world = flight.world()
    assert [v.rule for v in check(flight.lines(), world)] == []
    for cluster in world["clusters"]:
        for server in cluster["servers"]:
            server["images"] = images
    assert [v.rule for v in check(flight.lines(), world)] == expected


def test_r10_follows_what_is_brought_and_deleted() -> None:
    folder = "/var/TKLC/upgrade"
    flight = Flight()
    flight.add(1, "file", server="mpe-1b", path=f"{folder}/{OF_SOURCE}", op="delete", size=1)
    flight.add(2, "file", server="mpe-1b", path=f"{folder}/{GOOD}", op="write", size=1)
    flight.add(3, "file", server="mpe-1b", path=f"{folder}/notes.txt", op="write", size=1)
    flight.initiate(10, "mpe-1b")
    flight.initiate(100, "mra-1b", to=TARGET)
    world = flight.world()
    for cluster in world["clusters"]:
        for server in cluster["servers"]:
            server["images"] = [OF_SOURCE]
    assert [(v.rule, v.server) for v in check(flight.lines(), world)] == [("R10", "mra-1b")]


# R11 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "expected"), [(200.0, []), (400.0, ["R11"])])
def test_r11_the_reapply_follows_every_failover_back(later: float, expected: list[str]) -> None:
    flight, t = failed_back("mpe-1")
    flight.reapply(t + later, "mpe-1")
    assert rules(flight) == expected


def test_r11_a_reapply_that_never_follows() -> None:
    flight, t = failed_back("mpe-1")
    flight.add(t + 400, "ssh_login", server="mpe-2a", user="admusr", ok=True)
    assert rules(flight, Limits()) == ["R11"]


def test_r11_the_remaining_server_waits_for_the_reapply() -> None:
    for result, expected in (("Success", []), ("Failed", ["R11"])):
        flight, t = failed_back("mpe-1")
        t = flight.reapply(t + 10, "mpe-1", result=result)
        flight.initiate(t + 60, "mpe-1b", to=SOURCE, ends_as="Standby")
        assert rules(flight) == expected


def switched_and_back(login: bool, remaining: str | None, *, proven: bool = True) -> tuple[Flight, float]:
    """Upgraded as far as the traffic proof, then failed over back.

    `login`: another command took over in between; `remaining`: on which release the next start puts a server.
    """
    flight = Flight(servers={**upgraded("mra-1"), **halfway("mpe-1", active=0)})
    t = flight.failover(0, "mpe-1")
    if proven:
        t = flight.reapply(t + 10, "mpe-1") + 60
    if login:
        flight.add(t + 20, "gui_login", user="admin", ok=True)
    t = flight.reapply(flight.failover(t + 60, "mpe-1", to=0) + 10, "mpe-1")
    if remaining is not None:
        ends_as = "Standby" if remaining == SOURCE else "Forced Standby"
        flight.initiate(t + 600, "mpe-1b" if remaining == SOURCE else "mpe-1a", to=remaining, ends_as=ends_as)
    return flight, t


@pytest.mark.parametrize("proven", [True, False])
def test_r11_a_person_may_turn_the_upgrade_round(proven: bool) -> None:
    """Also between the failover and its re-apply: a command may be killed anywhere."""
    assert rules(switched_and_back(True, SOURCE, proven=proven)[0]) == []


@pytest.mark.parametrize(
    ("login", "remaining"),
    [
        (False, SOURCE),  # the same command: it took proven traffic for none
        (True, None),  # started again and rolled back: the cluster does not go back altogether
        (False, None),
    ],
)
@pytest.mark.parametrize("proven", [True, False])
def test_r11_a_failover_back_that_is_no_turn(login: bool, remaining: str | None, proven: bool) -> None:
    assert rules(switched_and_back(login, remaining, proven=proven)[0]) == ["R11"]


def test_r11_a_server_that_is_upgraded_next_is_no_turn() -> None:
    flight, _ = switched_and_back(True, TARGET)
    assert "R11" in rules(flight)


def test_r11_a_turn_that_the_record_does_not_show_is_none() -> None:
    flight, t = switched_and_back(True, SOURCE)
    lines, world = flight.lines(), flight.world()
    assert [v.rule for v in check(lines, world, until=t)] == ["R11"]


@pytest.mark.parametrize(("login", "expected"), [(True, []), (False, ["R11", "R8"])])
def test_r8_after_a_turn_others_may_fail_over_back_as_well(login: bool, expected: list[str]) -> None:
    flight, t = switched_and_back(login, SOURCE)
    flight.back_out_cluster(t + 100, "mra-1")
    assert rules(flight) == expected


# twice ------------------------------------------------------------------------------------------


def test_a_backout_is_not_sent_twice() -> None:
    flight = Flight(servers=upgraded(PRIMARY), cmps=SOURCE)
    flight.initiate(0, "cmp-1a", to=SOURCE)
    flight.start(100, "initiate_backout", PRIMARY, "cmp-1a")
    flight.end(115, "initiate_backout", PRIMARY, "cmp-1a", "Failed")
    assert rules(flight) == ["twice"]


def test_a_backout_that_ends_on_the_target_is_no_success() -> None:
    flight = Flight(servers=upgraded("mpe-1"))
    flight.initiate(0, "mpe-1a", to=SOURCE, result="Failed", ends_as="Standby")
    lines = flight.lines()
    lines[-1]["result"] = "Success"
    assert [v.rule for v in check(lines, flight.world())] == ["record"]
