"""System Maintenance of 10.5 and 11.5 on a clock that the test turns by hand: there, and back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from world_bench import KIT, ME, NEW, Bench, assert_sound, image, raw

from lab.files import KIT_DIR, UPGRADE_DIR
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
    bench.until(lambda: world.gui_up("cmp1-cl"), limit=300)


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


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_acts_keeps_the_record_sound(seed: int) -> None:
    """Whatever people click in whichever GUI is served."""
    dice = random.Random(seed)
    faults = dice.sample(
        [
            "upgrade_fails@cmp1b", "zombie@cmp2b", "replication_broken@cmp1b", "backout_fails@cmp1a",
            "other_status@cmp1b", "switch_slow@cmp1-cl", "gui_away@cmp1-cl:3", "cmp_fails_over@cmp1-cl:12",
            "cmp_fails_over@cmp2-cl:5", "backout_fails@mpe1b",
        ],
        k=dice.randint(0, 4),
    )  # fmt: skip
    bench = old(dice.choice(SOURCES), seed=seed, faults=faults)
    world = bench.world
    clusters, servers = list(world.clusters), list(world.servers)
    some = [*["cmp1a", "cmp1b"] * 3, *servers]

    def choose() -> Callable[[], object]:
        group, server = dice.choice(clusters), dice.choice(some)
        offers = [world.next_upgrade(group), world.next_rollback(group)]
        directed = [a for a in offers if a is not None]
        if directed and dice.random() < 0.6:
            chosen = dice.choice(directed)
            return lambda: world.perform(chosen, ME)
        acts: list[Callable[[], object]] = [
            lambda: world.force_standby(server, ME),
            lambda: world.cancel_force_standby(server, ME),
            lambda: world.switch_force_standby(world.servers[server].cluster, ME),
            lambda: world.start_upgrade([server], ME),
            lambda: world.start_upgrade([server], "jdoe"),
            lambda: world.back_out([server], ME),
            lambda: world.reapply(group, ME),
            lambda: world.select_iso(KIT, ME),
        ]
        return dice.choice(acts)

    for server in servers[:4]:
        world.files[server].copy(f"{UPGRADE_DIR}/{image('cmp')}", KIT_DIR)
    for _ in range(80):
        try:
            choose()()
        except Refused:
            assert bench.events("refused")
        assert {world.operation_cell(n) for n in servers}
        assert {world.printed_role(n) for n in servers}
        bench.pass_time(dice.choice([0.5, 5, 40, 400, 1500]), step=7.0)
    bench.until(lambda: not world.actions, limit=20000)
    bench.pass_time(400)
    assert_sound(bench)
    assert all(s.reachable for s in world.servers.values())
    assert all(s.role not in (Role.OOS, Role.OFFLINE) for s in world.servers.values())
    assert bench.alarms() & {31283, 31227, 31233, 31236, 31284, 31126, 70001, 70004, 70021, 70507} == set()


def test_the_same_seed_gives_the_same_record() -> None:
    def record(seed: int) -> list[object]:
        bench = old(SOURCES[0], seed=seed, faults=["cmp_fails_over@cmp1-cl:12", "gui_away@cmp1-cl:2"])
        to_switch(bench)
        return list(bench.flight.events)

    assert record(5) == record(5)
    assert record(5) != record(6)


def test_a_world_may_begin_in_the_middle_of_the_way_back() -> None:
    """12.3.5/5: the primary has failed over back, everything else is on the source."""
    source = SOURCES[1]
    clusters = raw(2, source)["clusters"]
    clusters[0]["servers"][0]["prev_release"] = NEW
    clusters[0]["servers"][1] |= {"release": NEW, "role": "Forced Standby"}
    bench = Bench(source=source, kit=False, clusters=clusters)
    world = bench.world
    assert world.servers["cmp1a"].prev_release == NEW
    assert bench.alarms() == {70025}
    world.back_out(["cmp1b"], ME)
    bench.idle()
    world.cancel_force_standby("cmp1b", ME)
    bench.idle()
    assert bench.releases("cmp1-cl") == [source, source]
    assert bench.roles("cmp1-cl") == ["Active", "Standby"]
    bench.pass_time(60)
    assert world.alarms == []
