"""Faults of the old GUI, of the backout and of the CMP switch, on a clock that the test turns by hand."""

from __future__ import annotations

from typing import Any

import pytest
from world_bench import ME, NEW, Bench, assert_sound

from lab.config import ConfigError
from lab.state import Role

OLD = "10.5.6_1.1.0"


def forced(*faults: str, source: str = OLD) -> Bench:
    """6.1.1 up to row 9."""
    bench = Bench(source=source, kit=False, faults=list(faults))
    bench.push_scripts()
    bench.world.force_standby("cmp1b", ME)
    bench.idle()
    return bench


def half_upgraded(*faults: str) -> Bench:
    """12.1.1, both CMP clusters done, the first server of mpe1 upgraded."""
    bench = Bench(faults=list(faults))
    bench.upgrade_cmps()
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    return bench


def bitten(bench: Bench) -> list[tuple[Any, Any]]:
    return [(e["name"], e["where"]) for e in bench.events("fault")]


# --- old faults in the old GUI
def test_an_upgrade_fails_in_the_old_gui() -> None:
    bench = forced("upgrade_fails@cmp1b")
    world = bench.world
    world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    assert world.operation_cell("cmp1b").startswith("Error: upgrade failed at Jul 15, 2016 3:")
    assert bench.releases("cmp1-cl") == [OLD, OLD]
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]
    assert world.servers["cmp1b"].in_sync
    assert world.alarms == []
    world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    assert bench.releases("cmp1-cl") == [OLD, NEW]
    assert_sound(bench)


def test_a_zombie_in_the_old_gui() -> None:
    bench = forced("zombie@cmp1b")
    bench.world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    assert bench.roles("cmp1-cl") == ["Active", "Zombie"]
    assert bench.world.printed_role("cmp1b") == "Zombie"
    assert bench.world.operation_cell("cmp1b").startswith("Error: upgrade failed at ")
    assert_sound(bench)


def test_replication_stays_broken_in_the_old_gui() -> None:
    """6.1.1/11: the cell says Completed, and the mark stays."""
    bench = forced("replication_broken@cmp1b")
    world = bench.world
    world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    bench.pass_time(1800, step=10)
    assert world.operation_cell("cmp1b").startswith("Completed: upgrade was completed at ")
    assert not world.servers["cmp1b"].in_sync
    assert bench.alarms() == {70025, 31101}
    world.back_out(["cmp1b"], ME)
    bench.idle()
    bench.until(lambda: world.servers["cmp1b"].in_sync, limit=60)
    assert bench.releases("cmp1-cl") == [OLD, OLD]
    assert world.alarms == []
    assert_sound(bench)


# --- new ones
def test_another_status_than_that_of_the_document() -> None:
    bench = forced("other_status@cmp1b")
    world = bench.world
    world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    assert world.operation_cell("cmp1b").startswith("Completed: upgrade was finished with warnings at ")
    assert bench.releases("cmp1-cl") == [OLD, NEW]
    assert bitten(bench) == [("other_status", "cmp1b")]
    world.back_out(["cmp1b"], ME)
    bench.idle()
    assert world.operation_cell("cmp1b").startswith("Completed: backout was completed at ")


def test_a_backout_fails_half_way() -> None:
    bench = half_upgraded("backout_fails@mpe1b")
    world = bench.world
    bench.click_rollback("mpe1-cl", "Initiate backout mpe1b (back)")
    bench.idle()
    assert bitten(bench) == [("backout_fails", "mpe1b")]
    assert bench.releases("mpe1-cl")[1] == NEW
    assert bench.roles("mpe1-cl") == ["Active", "Forced Standby"]
    assert world.servers["mpe1b"].reachable
    assert world.operation_cell("mpe1b").startswith("Initiate backout Failed at ")
    assert bench.alarm_sources(70506) == {"mpe1b"}
    bench.click_rollback("mpe1-cl", "Initiate backout mpe1b (back)")
    bench.idle()
    assert len(set(bench.releases("mpe1-cl"))) == 1
    assert 70506 not in bench.alarms()
    assert_sound(bench)


def test_a_backout_fails_in_the_old_gui() -> None:
    bench = forced("backout_fails@cmp1b")
    world = bench.world
    world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    world.back_out(["cmp1b"], ME)
    bench.idle()
    assert world.operation_cell("cmp1b").startswith("Error: backout failed at ")
    assert bench.releases("cmp1-cl") == [OLD, NEW]
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]


def switch(bench: Bench) -> float:
    """Twin seconds that the first switch of the primary takes."""
    bench.world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    began = bench.clock.now()
    bench.world.switch_force_standby("cmp1-cl", ME)
    bench.idle()
    return bench.clock.now() - began


def test_a_slow_switch_takes_five_times_as_long() -> None:
    usual = switch(forced())
    bench = forced("switch_slow@cmp1-cl")
    assert switch(bench) == pytest.approx(5 * usual, abs=3)
    assert bitten(bench) == [("switch_slow", "cmp1-cl")]
    assert bench.roles("cmp1-cl") == ["Forced Standby", "Active"]


def test_the_second_failover_is_slow_when_it_is_the_second_occurrence() -> None:
    bench = Bench(faults=["switch_slow@cmp1-cl:2"])
    bench.to_failover("cmp1")
    assert bitten(bench) == []
    began = bench.clock.now()
    bench.click_rollback("cmp1-cl", "Failover to old version cmp1-cl (back)")
    bench.idle()
    assert bench.clock.now() - began > 2 * 60
    assert bitten(bench) == [("switch_slow", "cmp1-cl")]


def test_the_gui_stays_away_after_the_switch() -> None:
    bench = forced("gui_away@cmp1-cl:7")
    switch(bench)
    world = bench.world
    assert world.active("cmp1-cl") is world.servers["cmp1b"]
    bench.pass_time(6.5 * 60)
    assert not world.gui_up("cmp1-cl")
    bench.pass_time(60)
    assert world.gui_up("cmp1-cl")
    assert bitten(bench) == [("gui_away", "cmp1-cl")]


def test_the_active_cmp_dies_while_an_mpe_is_upgraded() -> None:
    """3.1.4.4: the promoted Director has no history and waits for the server that it cannot reach."""
    bench = Bench(faults=["cmp_fails_over@cmp1-cl:20"], durations={"initiate_upgrade": {"CMP": 8}})
    bench.upgrade_cmps()
    world = bench.world
    session = world.login("cmp1-cl", ME, "gui-word")
    assert session is not None
    announced = bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.until(lambda: bool(bench.events("fault")))
    assert bench.clock.now() - bench.events("action_started", server="mpe1b")[0]["t"] == pytest.approx(
        1220, abs=15
    )
    assert bench.roles("cmp1-cl") == ["Active", "Offline"]
    assert world.session(session.token, "cmp1-cl") is None
    assert world.operation_cell("mpe1b") == "n/a"
    assert world.log("mpe1-cl") == []
    assert not world.servers["mpe1b"].reachable
    assert world.unseen == {"cmp1b", "mpe1b"}

    world.perform(announced, "jdoe")
    bench.pass_time(120)
    assert [e["server"] for e in bench.events("action_ended", by="jdoe")] == []
    bench.until(lambda: world.servers["mpe1b"].reachable)
    bench.until(lambda: bool(bench.events("action_ended", by="jdoe")), limit=60)
    assert bench.events("action_ended", by="jdoe")[0]["result"] == "Failed"  # the first one is still at work
    bench.idle()
    assert bench.releases("mpe1-cl")[1] == NEW
    assert bench.roles("cmp1-cl") == ["Active", "Standby"]
    assert_sound(bench)


def test_nobody_takes_over_while_the_mate_is_being_upgraded() -> None:
    bench = forced("cmp_fails_over@cmp1-cl:10")
    world = bench.world
    world.start_upgrade(["cmp1b"], ME)
    bench.until(lambda: bool(bench.events("fault")))
    assert bench.roles("cmp1-cl") == ["Offline", "OOS"]
    assert not world.gui_up("cmp1-cl")
    bench.pass_time(330)
    assert world.servers["cmp1a"].role is Role.ACTIVE
    assert world.gui_up("cmp1-cl")
    bench.idle()
    assert world.operation_cell("cmp1b").startswith("Completed: upgrade was completed at ")
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]
    assert_sound(bench)


@pytest.mark.parametrize(
    "fault", ["switch_slow@mpe1-cl", "gui_away@cmp1b", "cmp_fails_over@mra1-cl:3", "backout_fails@mpe1-cl"]
)
def test_places_that_a_fault_does_not_know(fault: str) -> None:
    with pytest.raises(ConfigError, match="unknown place"):
        Bench(faults=[fault])
