"""System Maintenance of 10.5 and 11.5 on a clock that the test turns by hand: there, and back."""

from __future__ import annotations

from typing import Any

import pytest
from world_bench import ME, NEW, Bench, assert_sound

from lab.state import Role
from lab.world import Refused

SOURCES = ("10.5.6_1.1.0", "11.5.2.0.0_38.1.0")
EITHER = pytest.mark.parametrize("source", SOURCES)


def old(source: str = SOURCES[0], policy: int = 2, **more: Any) -> Bench:
    """Both kinds of CMP cluster and some others, the scripts pushed (6.1.1/8)."""
    bench = Bench(policy, source=source, kit=False, **more)
    bench.push_scripts()
    return bench


def to_switch(bench: Bench) -> None:
    """6.1.1/9 to 13."""
    world = bench.world
    world.force_standby("cmp1b", ME)
    bench.idle()
    world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    bench.until(lambda: world.servers["cmp1b"].in_sync, limit=60)
    world.switch_force_standby("cmp1-cl", ME)
    bench.idle()
    bench.until(lambda: world.gui_up("cmp1-cl"), limit=30)


@EITHER
def test_an_upgrade_in_the_old_gui(source: str) -> None:
    bench = old(source)
    world = bench.world
    assert not world.has_director
    world.force_standby("cmp1b", ME)
    bench.idle()
    assert world.printed_role("cmp1b") == "Force Standby"
    world.start_upgrade(["cmp1b"], ME)
    bench.until(lambda: world.servers["cmp1b"].role is Role.OOS)
    bench.pass_time(300)
    assert world.operation_cell("cmp1b").startswith("Upgrading: ")
    assert "(Elapsed Time: 0:0" in world.operation_cell("cmp1b")
    assert not world.servers["cmp1b"].in_sync
    bench.idle()
    assert world.operation_cell("cmp1b").startswith("Completed: upgrade was completed at Jul 15, 2016 3:")
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]
    assert bench.releases("cmp1-cl") == [source, NEW]
    assert not world.servers["cmp1b"].in_sync
    bench.until(lambda: world.servers["cmp1b"].in_sync, limit=60)
    assert world.log("cmp1-cl") == []
    assert world.release_of_gui("cmp1-cl") == source

    session = world.login("cmp1-cl", ME, "gui-word")
    assert session is not None
    world.switch_force_standby("cmp1-cl", ME)
    bench.until(lambda: world.release_of_gui("cmp1-cl") == NEW)
    assert not world.gui_up("cmp1-cl")
    bench.idle()
    assert world.session(session.token, "cmp1-cl") is None
    assert bench.roles("cmp1-cl") == ["Forced Standby", "Active"]
    assert world.printed_role("cmp1a") == "Standby"
    assert {world.up_to_date(n) for n in world.servers} == {"n/a"}
    assert world.current_iso is None
    assert world.operation_cell("cmp1b") == "n/a"
    assert world.next_upgrade("cmp1-cl") is None

    bench.choose_kit("cmp1b")
    assert (world.up_to_date("cmp1a"), world.up_to_date("cmp1b")) == ("N", "Y")
    bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1a (next)")
    bench.idle()
    assert bench.roles("cmp1-cl") == ["Standby", "Active"]
    assert bench.releases("cmp1-cl") == [NEW, NEW]
    assert_sound(bench)


@EITHER
def test_the_way_back_ends_in_the_old_gui(source: str) -> None:
    bench = old(source)
    world = bench.world
    to_switch(bench)
    bench.choose_kit("cmp1b")
    bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1a (next)")
    bench.idle()
    bench.click_rollback("cmp1-cl", "Initiate backout cmp1a (back)")
    bench.idle()
    bench.click_rollback("cmp1-cl", "Failover to old version cmp1-cl (back)")
    bench.idle()
    assert world.release_of_gui("cmp1-cl") == source
    assert world.current_iso is None
    assert world.printed_role("cmp1b") == "Force Standby"
    world.back_out(["cmp1b"], ME)
    bench.pass_time(120)
    assert world.operation_cell("cmp1b").startswith("Backing out: ")
    bench.idle()
    assert world.operation_cell("cmp1b").startswith("Completed: backout was completed at ")
    bench.pass_time(300)
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]
    assert bench.releases("cmp1-cl") == [source, source]
    world.cancel_force_standby("cmp1b", ME)
    bench.idle()
    assert bench.roles("cmp1-cl") == ["Active", "Standby"]
    assert_sound(bench)


@EITHER
def test_the_old_gui_turns_round_before_the_switch(source: str) -> None:
    bench = old(source)
    world = bench.world
    world.force_standby("cmp1b", ME)
    bench.idle()
    world.start_upgrade(["cmp1b"], ME)
    bench.pass_time(60)
    with pytest.raises(Refused, match="not in Force Standby"):
        world.back_out(["cmp1b"], ME)
    bench.idle()
    world.back_out(["cmp1b"], ME)
    bench.idle()
    assert bench.releases("cmp1-cl") == [source, source]
    with pytest.raises(Refused, match="no release to go back to"):
        world.back_out(["cmp1b"], ME)


def test_start_upgrade_works_on_a_server_in_force_standby_only() -> None:
    bench = old()
    for name in ("cmp1a", "cmp1b"):
        with pytest.raises(Refused, match="not in Force Standby"):
            bench.world.start_upgrade([name], ME)
    assert [e["server"] for e in bench.events("refused", action="initiate_upgrade")] == ["cmp1a", "cmp1b"]
    assert not bench.events("action_started", action="initiate_upgrade")


def test_the_new_gui_has_no_start_upgrade() -> None:
    bench = Bench()
    bench.world.force_standby("cmp1b", ME)
    bench.idle()
    with pytest.raises(Refused, match="Upgrade Manager"):
        bench.world.start_upgrade(["cmp1b"], ME)


def test_a_director_s_dialog_is_dead_in_the_old_gui() -> None:
    bench = old()
    to_switch(bench)
    bench.choose_kit("cmp1b")
    announced = bench.world.next_upgrade("mpe1-cl")
    assert announced is not None
    bench.click_rollback("cmp1-cl", "Failover to old version cmp1-cl (back)")
    bench.idle()
    with pytest.raises(Refused, match="not active any more"):
        bench.world.perform(announced, ME)


def test_the_forced_standby_stays_until_somebody_cancels_it() -> None:
    bench = old(SOURCES[1])
    bench.world.force_standby("cmp1b", ME)
    bench.pass_time(3600, step=60)
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]
    bench.world.cancel_force_standby("cmp1b", ME)
    bench.idle()
    assert bench.roles("cmp1-cl") == ["Active", "Standby"]
