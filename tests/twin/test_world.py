"""The twin's world by itself, on a clock that the test turns by hand."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from world_bench import ENVIRON, KIT, ME, NEW, OLD, Bench, assert_sound, cluster, image, raw

from lab.alarms import CATALOGUE
from lab.clock import ManualClock, ScaledClock
from lab.config import ConfigError, Secrets, TwinConfig, load
from lab.files import KIT_DIR, UPGRADE_DIR
from lab.flight import FlightRecord, write_json_atomically
from lab.state import Act, Announced, Fate, Role
from lab.world import OperationFailed, Refused, World

MPE_FIRST = {
    31283,
    70001,
    31227,
    70004,
    31233,
    70503,
    70507,
    70500,
    70501,
    31114,
    31106,
    31107,
    31101,
    31282,
    78001,
}
AFTER_FIRST = {78001, 70500, 70501, 70503}
BETWEEN = {70503, 70502, 70500, 70501, 71402, 78001, 31101, 31113}  # 10.2/6
MPE_SECOND = {
    31283,
    31227,
    70001,
    70004,
    70503,
    70507,
    70500,
    70501,
    78001,
    70502,
    31114,
    31106,
    31107,
    31101,
    31102,
    31113,
}
CMP_FIRST = {31283, 31227, 70025, 70004, 70503, 70507, 70500, 70501, 31106, 31107, 31101, 31114, 31282}
CMP_SECOND = {31283, 70001, 70025, 70004, 70503, 70507, 70500, 70501, 31114, 31106, 31107, 31101, 31282}


@pytest.fixture(autouse=True)
def _no_broken_script(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR, logger="lab.world"):
        yield
    assert not [r for r in caplog.records if r.name == "lab.world"]


# --- input
def write_yaml(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_config_is_read_from_yaml(tmp_path: Path) -> None:
    config = load(write_yaml(tmp_path / "twin.yaml", raw()))
    assert config.durations.upgrade(config.clusters[0].kind) == 30.0
    assert config.image_of(config.clusters[2].kind, NEW) is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"clusters": []}, "clusters"),
        ({"speed": 0}, "speed"),
        ({"nonsense": 1}, "nonsense"),
        ({"target": OLD}, "same release"),
        ({"media": []}, "not listed under media"),
        ({"clusters": [cluster("mpe1", "mpe", 3)]}, "exactly one CMP cluster is primary"),
        ({"clusters": [cluster("cmp1", "cmp", 1)]}, "`primary` is true or false"),
        ({"clusters": raw()["clusters"] + [cluster("mpe1", "mpe", 9)]}, "occurs 2 times"),
    ],
)
def test_config_mistakes_are_named(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(write_yaml(tmp_path / "twin.yaml", raw() | change))


def test_config_errors_for_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not YAML"):
        load(tmp_path / "bad.yaml")


def test_secrets_are_hidden_and_missing_ones_named() -> None:
    config = TwinConfig.model_validate(raw())
    assert "gui-word" not in repr(Secrets.from_environment(config.credentials, ENVIRON))
    with pytest.raises(ConfigError, match="MOPFLOW_LAB_ROOT_PASSWORD"):
        Secrets.from_environment(config.credentials, {k: v for k, v in ENVIRON.items() if "ROOT" not in k})


@pytest.mark.parametrize(
    "fault", ["nothing@mpe1b", "upgrade_fails@mpe1-cl", "no_traffic@mpe1b", "zombie", "zombie@mpe1b:0"]
)
def test_unknown_faults_are_refused(fault: str) -> None:
    with pytest.raises(ConfigError, match="faults: "):
        Bench(faults=[fault])


# --- before the kit, the kit
def test_before_a_kit_nothing_is_announced() -> None:
    bench = Bench(kit=False)
    world = bench.world
    assert [world.up_to_date(n) for n in world.servers] == ["Y"] * 8
    assert all(world.next_upgrade(c) is None and world.next_rollback(c) is None for c in world.clusters)
    assert world.optional("mpe1-cl") == []
    assert world.kits() == []
    with pytest.raises(Refused):
        world.select_iso(KIT, ME)
    assert bench.events("refused", action="select_iso")
    assert world.alarms == []


def test_choosing_the_kit_tells_old_from_new() -> None:
    bench = Bench()
    world = bench.world
    assert [kit.label for kit in world.kits()] == [f"standard-{NEW}"]
    assert world.current_iso == KIT
    assert {world.up_to_date(n) for n in world.servers} == {"N"}
    assert world.upgrade_label("mpe1-cl") == "Start Upgrade"
    assert world.rollback_label("mpe1-cl") == "Start Rollback"
    bench.idle()
    assert_sound(bench)


# --- 9.1.1 and 9.1.2
def test_cmp_clusters_walk_through() -> None:
    bench = Bench()
    world = bench.world
    mine = world.login("cmp1-cl", ME, "gui-word")
    assert mine is not None
    other = world.login("cmp2-cl", ME, "gui-word")
    assert other is not None

    stood = bench.during(lambda: bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1b (next)"))
    assert stood <= CMP_FIRST
    assert {31283, 70004, 70507, 70503, 70025} <= stood
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]
    assert world.printed_role("cmp1b") == "Standby"
    assert (world.up_to_date("cmp1a"), world.up_to_date("cmp1b")) == ("N", "Y")
    assert world.servers["cmp1b"].prev_release == OLD
    assert bench.alarms() == {70500, 70501, 70503, 70025}
    assert bench.alarm_sources(70500) == {"cmp1a"}
    assert bench.alarm_sources(70025) == {"cmp1b"}
    assert world.operation_cell("cmp1b").startswith(
        "Initiate upgrade Completed Successfully at Jul 15, 2016 3:"
    )
    assert [e.name for e in world.log("cmp1-cl")][:2] == ["Preflight Check", "Initiate upgrade"]
    assert {e.result for e in world.log("cmp1-cl")} == {"Success"}
    assert world.session(mine.token, "cmp1-cl") is mine

    bench.click_upgrade("cmp1-cl", "Failover to new version cmp1-cl (next)")
    bench.until(lambda: world.release_of_gui("cmp1-cl") == NEW)
    assert not world.gui_up("cmp1-cl")
    assert world.gui_up("cmp2-cl")
    bench.idle()
    bench.until(lambda: world.gui_up("cmp1-cl"), limit=10)
    assert world.session(mine.token, "cmp1-cl") is None
    assert world.session(other.token, "cmp2-cl") is None
    assert bench.roles("cmp1-cl") == ["Forced Standby", "Active"]
    assert world.log("cmp1-cl") == []
    assert {world.operation_cell(n) for n in world.servers} == {"n/a"}
    assert world.current_iso == KIT
    assert bench.alarms() == {70500, 70501, 70503, 70025}
    assert bench.alarm_sources(70025) == {"cmp1a", "cmp2a", "cmp2b"}
    assert bench.alarm_sources(70500) == {"cmp1b"}

    stood = bench.during(lambda: bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1a (next)"))
    assert stood <= CMP_SECOND
    assert 70001 in stood
    assert 31227 not in stood
    assert bench.roles("cmp1-cl") == ["Standby", "Active"]
    assert bench.alarms() == {70500, 70025}
    assert world.next_upgrade("cmp1-cl") is None

    again = world.login("cmp1-cl", ME, "gui-word")
    assert again is not None
    stood = bench.during(lambda: bench.click_upgrade("cmp2-cl", "Initiate upgrade cmp2b (next)"))
    assert stood <= CMP_FIRST & CMP_SECOND
    stood = bench.during(lambda: bench.click_upgrade("cmp2-cl", "Failover to new version cmp2-cl (next)"))
    assert stood <= {70025, 70500, 70501, 70503}
    assert world.session(again.token, "cmp1-cl") is again
    stood = bench.during(lambda: bench.click_upgrade("cmp2-cl", "Initiate upgrade cmp2a (next)"))
    assert stood <= CMP_SECOND
    assert bench.alarms() == {70500}
    assert {n for n in world.servers if world.up_to_date(n) == "Y"} == {"cmp1a", "cmp1b", "cmp2a", "cmp2b"}
    assert_sound(bench)


# --- 10.2
@pytest.mark.parametrize("name", ["mpe1", "mra1"])
def test_policy_cluster_walks_through(name: str) -> None:
    bench = Bench()
    bench.upgrade_cmps()
    world, group = bench.world, f"{name}-cl"
    stood = bench.during(lambda: bench.click_upgrade(group, f"Initiate upgrade {name}b (next)"))
    assert stood <= MPE_FIRST
    assert {31283, 31227, 31233, 70001, 70004, 70507} <= stood
    assert bench.alarms() <= AFTER_FIRST
    assert bench.alarm_sources(70503) == {f"{name}b"}
    assert bench.alarm_sources(70501) == {f"{name}a"}
    assert world.clusters[group].traffic
    assert world.upgrade_label(group) == "Continue Upgrade"

    bench.click_upgrade(group, f"Failover to new version {group} (next)")
    bench.idle()
    assert bench.roles(group) == ["Forced Standby", "Active"]
    assert not world.clusters[group].traffic
    assert world.config_state(f"{name}b") == "Config mismatch"
    assert bench.alarms() <= BETWEEN
    world.reset_counters(group, ME)
    bench.pass_time(60)
    assert world.counters(group)["Messages In"] == 0
    assert next(row for row in world.kpis() if row.name == group).tps == 0

    world.reapply(group, ME)
    assert world.reapply_progress(group) == 0
    bench.idle()
    assert world.clusters[group].config_release == NEW
    assert world.reapply_progress(group) is None
    bench.until(lambda: world.clusters[group].traffic, limit=25)
    bench.pass_time(10)
    assert world.counters(group)["Messages In"] > 0
    assert bench.alarms() == {70503, 70502, 70500, 70501}
    assert world.cluster_status(group) == "Degraded"

    stood = bench.during(lambda: bench.click_upgrade(group, f"Initiate upgrade {name}a (next)"))
    assert stood <= MPE_SECOND
    assert {31283, 70502, 31102} <= stood
    assert bench.alarms() == {70500}
    assert world.clusters[group].traffic
    assert world.cluster_status(group) == "OK"
    assert world.next_upgrade(group) is None
    assert_sound(bench)


def test_alarms_are_gone_when_every_server_is_on_the_target() -> None:
    bench = Bench()
    bench.upgrade_cmps()
    for name in ("mpe1", "mra1"):
        bench.to_failover(name)
        bench.world.reapply(f"{name}-cl", ME)
        bench.idle()
        bench.click_upgrade(f"{name}-cl", f"Initiate upgrade {name}a (next)")
        bench.idle()
    assert bench.world.alarms == []
    assert bench.events("replication") == []
    assert_sound(bench)


def test_an_initiate_shows_its_phases() -> None:
    bench = Bench()
    world = bench.world
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    start = bench.clock.now()
    assert bench.events("action_started", action="initiate_upgrade")[0]["t"] == pytest.approx(start, abs=0.01)
    assert "Preflight Check" in world.operation_cell("mpe1b")
    assert bench.roles("mpe1-cl") == ["Active", "Standby"]
    bench.until(lambda: world.servers["mpe1b"].role is Role.OOS)
    assert 12 <= bench.clock.now() - start <= 25
    bench.pass_time(30)
    assert world.operation_cell("mpe1b").startswith("[Step ")
    assert "% Initiate upgrade - Initiate upgrade (Elapsed Time: 0:00:" in world.operation_cell("mpe1b")
    bench.until(lambda: not world.servers["mpe1b"].reachable)
    assert world.servers["mpe1b"].release == OLD
    bench.until(lambda: world.servers["mpe1b"].reachable)
    assert world.servers["mpe1b"].release == NEW
    assert world.servers["mpe1b"].role is Role.OOS
    assert [e["up"] for e in bench.events("reachable", server="mpe1b")] == [False, True]
    bench.idle()
    assert 36 * 60 <= bench.clock.now() - start <= 46 * 60
    assert image("mpe") in world.servers["mpe1b"].isos
    assert [(e["from"], e["to"]) for e in bench.events("role", server="mpe1b")] == [
        ("Standby", "Forced Standby"), ("Forced Standby", "OOS"), ("OOS", "Forced Standby"),
    ]  # fmt: skip
    assert bench.events("release", server="mpe1b")[0] | {"t": 0} == {
        "t": 0, "event": "release", "server": "mpe1b", "cluster": "mpe1-cl", "kind": "MPE", "from": OLD, "to": NEW,
    }  # fmt: skip


def test_durations_depend_on_the_seed_alone() -> None:
    def ends(seed: int, other_first: bool) -> list[float]:
        bench = Bench(seed=seed)
        if other_first:
            bench.click_upgrade("mra1-cl", "Initiate upgrade mra1b (next)")
        start = bench.clock.now()
        bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
        bench.idle()
        return [e["t"] - start for e in bench.events("action_ended", server="mpe1b")]

    assert ends(7, False) == ends(7, True)
    assert ends(7, False) != ends(8, False)


# --- the twin obeys
def test_five_clusters_at_once() -> None:
    bench = Bench(5)
    names = ["mpe1", "mra1", "mpe2", "mra2", "mpe3"]
    for name in names:
        bench.click_upgrade(f"{name}-cl", f"Initiate upgrade {name}b (next)")
    bench.pass_time(60)
    assert [bench.world.servers[f"{n}b"].role for n in names] == [Role.OOS] * 5
    bench.idle()
    assert {e["result"] for e in bench.events("action_ended", action="initiate_upgrade")} == {"Success"}
    assert_sound(bench)


def test_a_second_start_fails_in_its_preflight_and_the_first_goes_on() -> None:
    bench = Bench()
    announced = bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.pass_time(100)
    bench.world.perform(announced, "jdoe")
    bench.pass_time(30)
    (failed,) = bench.events("action_ended", action="initiate_upgrade")
    assert (failed["by"], failed["result"]) == ("jdoe", "Failed")
    assert bench.alarm_sources(70506) == {"mpe1b"}
    assert bench.world.servers["mpe1b"].role is Role.OOS
    assert "Elapsed" in bench.world.operation_cell("mpe1b")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, NEW]
    assert 70506 not in bench.alarms()
    assert_sound(bench)


def test_an_early_failover_is_obeyed() -> None:
    bench = Bench()
    world = bench.world
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.click_upgrade("mpe1-cl", "Failover to new version mpe1-cl (next)")
    bench.until(lambda: world.servers["mpe1a"].role is not Role.ACTIVE, limit=60)
    assert bench.roles("mpe1-cl") == ["Forced Standby", "OOS"]
    assert not world.clusters["mpe1-cl"].traffic
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Active"]
    assert_sound(bench)


def test_both_servers_of_a_cluster_can_be_started() -> None:
    bench = Bench()
    world = bench.world
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    by_hand = {a.hover: a for a in world.optional("mpe1-cl")}
    assert set(by_hand) == {"Initiate upgrade mpe1a", "Initiate upgrade mpe1b", "Failover mpe1-cl"}
    world.perform(by_hand["Initiate upgrade mpe1a"], ME)
    bench.pass_time(60)
    assert bench.roles("mpe1-cl") == ["OOS", "OOS"]
    assert not world.clusters["mpe1-cl"].traffic
    bench.idle()
    assert bench.releases("mpe1-cl") == [NEW, NEW]
    assert bench.roles("mpe1-cl") == ["Standby", "Standby"]
    bench.click_upgrade("mpe1-cl", "Failover to new version mpe1-cl (next)")
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Active", "Standby"]
    assert_sound(bench)


def test_a_dialog_that_is_confirmed_late_does_nothing_twice() -> None:
    bench = Bench()
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    announced = bench.click_upgrade("mpe1-cl", "Failover to new version mpe1-cl (next)")
    bench.idle()
    bench.world.perform(announced, "jdoe")
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Active"]
    assert len(bench.events("role", server="mpe1a")) == 1
    assert_sound(bench)


def test_force_standby_of_any_server_is_obeyed() -> None:
    bench = Bench()
    world = bench.world
    world.force_standby("mpe1a", ME)
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Active"]
    assert world.printed_role("mpe1a") == "Forced Standby"
    assert bench.alarm_sources(70503) == {"mpe1a"}
    world.force_standby("mpe1b", ME)
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Forced Standby"]
    assert not world.clusters["mpe1-cl"].traffic
    world.cancel_force_standby("mpe1a", ME)
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Active", "Forced Standby"]
    world.switch_force_standby("mpe1-cl", ME)
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Active"]
    bench.until(lambda: world.clusters["mpe1-cl"].traffic, limit=25)
    assert_sound(bench)


# --- refusals
def test_a_reversal_is_refused_while_an_action_runs() -> None:
    bench = Bench()
    world = bench.world
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    back = world.next_rollback("mpe1-cl")
    assert back is not None
    bench.click_upgrade("mpe1-cl", "Failover to new version mpe1-cl (next)")
    assert world.next_rollback("mpe1-cl") is None
    with pytest.raises(Refused):
        world.perform(back, ME)
    (refused,) = bench.events("refused")
    assert (refused["action"], refused["server"]) == ("initiate_backout", "mpe1b")
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Active"]
    assert_sound(bench)


def test_a_cmp_is_not_backed_out_under_an_upgraded_mpe() -> None:
    bench = Bench()
    bench.upgrade_cmps()
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    with pytest.raises(Refused, match="mpe1-cl"):
        bench.click_rollback("cmp2-cl", "Initiate backout cmp2a (back)")
    assert bench.events("refused", cluster="cmp2-cl")


def test_nothing_selected_is_refused() -> None:
    bench = Bench()
    with pytest.raises(Refused):
        bench.world.delete_iso([], ME)
    assert bench.events("refused", action="delete_iso", server=None)


# --- rollback
def test_rollback_of_a_mixed_cluster() -> None:
    """10.2 steps 7 and 8."""
    bench = Bench(faults=["no_traffic@mpe1-cl"])
    bench.upgrade_cmps()
    world = bench.world
    bench.to_failover("mpe1")
    world.reapply("mpe1-cl", ME)
    bench.idle()
    bench.pass_time(300)
    assert not world.clusters["mpe1-cl"].traffic
    assert len(bench.events("fault", name="no_traffic", where="mpe1-cl")) == 1
    assert bench.alarms() <= BETWEEN
    bench.click_rollback("mpe1-cl", "Failover to old version mpe1-cl (back)")
    assert world.rollback_label("mpe1-cl") == "Continue Rollback"
    assert world.upgrade_label("mpe1-cl") == "Resume Upgrade"
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Active", "Forced Standby"]
    assert not world.clusters["mpe1-cl"].traffic
    world.reapply("mpe1-cl", ME)
    bench.idle()
    bench.until(lambda: world.clusters["mpe1-cl"].traffic, limit=25)
    assert world.clusters["mpe1-cl"].config_release == OLD
    assert bench.alarms() <= BETWEEN - {71402}

    bench.click_rollback("mpe1-cl", "Initiate backout mpe1b (back)")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, OLD]
    assert bench.roles("mpe1-cl") == ["Active", "Standby"]
    assert "Initiate backout Completed Successfully at" in world.operation_cell("mpe1b")
    assert world.servers["mpe1b"].prev_release == NEW
    assert world.upgrade_label("mpe1-cl") == "Start Upgrade"
    assert_sound(bench)


def test_backout_of_an_upgraded_cluster() -> None:
    bench = Bench()
    bench.upgrade_cmps()
    world = bench.world
    bench.to_failover("mpe1")
    world.reapply("mpe1-cl", ME)
    bench.idle()
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1a (next)")
    bench.idle()
    bench.click_rollback("mpe1-cl", "Initiate backout mpe1a (back)")
    assert world.rollback_label("mpe1-cl") == "Continue Rollback"
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Active"]
    bench.click_rollback("mpe1-cl", "Failover to old version mpe1-cl (back)")
    bench.idle()
    world.reapply("mpe1-cl", ME)
    bench.idle()
    bench.click_rollback("mpe1-cl", "Initiate backout mpe1b (back)")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, OLD]
    for name in ("cmp2", "cmp1"):
        bench.click_rollback(f"{name}-cl", f"Initiate backout {name}a (back)")
        bench.idle()
        bench.click_rollback(f"{name}-cl", f"Failover to old version {name}-cl (back)")
        bench.idle()
        bench.click_rollback(f"{name}-cl", f"Initiate backout {name}b (back)")
        bench.idle()
    assert {s.release for s in world.servers.values()} == {OLD}
    assert world.alarms == []
    assert_sound(bench)


# --- preflight
def test_preflight_fails_early() -> None:
    bench = Bench()
    world = bench.world
    world.files["mpe1b"].delete(f"{UPGRADE_DIR}/{image('mpe')}")
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.pass_time(20)
    (ended,) = bench.events("action_ended", action="initiate_upgrade")
    assert ended["result"] == "Failed"
    assert bench.events("role", server="mpe1b") == []
    assert bench.alarm_sources(70506) == {"mpe1b"}
    assert world.operation_cell("mpe1b").startswith("Initiate upgrade Failed at")
    assert world.log("mpe1-cl")[-1].result == "Failed"
    world.place_image("mpe1b", image("mpe"))
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, NEW]
    assert 70506 not in bench.alarms()


@pytest.mark.parametrize("fault", ["wrong_image@mpe1b", "two_images@mpe1b"])
def test_bad_images_lie_there_from_the_start(fault: str) -> None:
    bench = Bench(faults=[fault])
    assert [e["name"] for e in bench.events("fault")] == [fault.split("@")[0]]
    assert bench.world.image_problem(bench.world.servers["mpe1b"]) is not None
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, OLD]
    assert 70506 in bench.alarms()


# --- faults
def test_upgrade_fails_and_can_be_repeated() -> None:
    bench = Bench(faults=["upgrade_fails@mpe1b"])
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Active", "Standby"]
    assert bench.releases("mpe1-cl") == [OLD, OLD]
    assert bench.world.servers["mpe1b"].reachable
    assert bench.alarms() == {70506}
    assert bench.world.operation_cell("mpe1b").startswith("Initiate upgrade Failed at")
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, NEW]
    assert len(bench.events("fault", name="upgrade_fails", where="mpe1b")) == 1
    assert_sound(bench)


def test_the_second_upgrade_of_a_server_fails_when_it_is_the_second_occurrence() -> None:
    bench = Bench(faults=["upgrade_fails@mpe1b:2"])
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, NEW]
    bench.click_rollback("mpe1-cl", "Initiate backout mpe1b (back)")
    bench.idle()
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, OLD]


def test_a_zombie_accepts_nothing() -> None:
    bench = Bench(faults=["zombie@mpe1b"])
    world = bench.world
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    failover = world.next_upgrade("mpe1-cl")
    assert failover is not None
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Active", "Zombie"]
    assert world.printed_role("mpe1b") == "Zombie"
    assert world.up_to_date("mpe1b") == "N/A"
    assert world.next_upgrade("mpe1-cl") is None
    assert 70506 in bench.alarms()
    for act in (
        lambda: world.perform(failover, ME),
        lambda: world.force_standby("mpe1b", ME),
        lambda: world.delete_iso(["mpe1b"], ME),
        lambda: world.switch_force_standby("mpe1-cl", ME),
    ):
        with pytest.raises(Refused, match="Zombie"):
            act()
    assert world.clusters["mpe1-cl"].traffic
    assert_sound(bench)


def test_a_failover_that_waits_for_a_zombie_fails() -> None:
    bench = Bench(faults=["zombie@mpe1b"])
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.click_upgrade("mpe1-cl", "Failover to new version mpe1-cl (next)")
    bench.idle()
    assert [e["result"] for e in bench.events("action_ended", action="failover")] == ["Failed"]
    assert bench.roles("mpe1-cl") == ["Standby", "Zombie"]
    by_hand = {a.hover: a for a in bench.world.optional("mpe1-cl")}
    bench.world.perform(by_hand["Failover mpe1-cl"], ME)
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Active", "Zombie"]
    assert_sound(bench)


def test_replication_stays_broken() -> None:
    bench = Bench(faults=["replication_broken@mpe1b"])
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    (event,) = bench.events("replication")
    assert (event["server"], event["in_sync"]) == ("mpe1b", False)
    assert bench.events("action_ended", server="mpe1b")[0]["result"] == "Failed"
    assert bench.world.log("mpe1-cl")[-1].name.startswith("Wait for replication")
    assert bench.world.log("mpe1-cl")[-1].result == "Failed"
    assert bench.releases("mpe1-cl") == [OLD, NEW]
    bench.click_rollback("mpe1-cl", "Initiate backout mpe1b (back)")
    bench.idle()
    assert bench.world.servers["mpe1b"].in_sync
    assert 70506 not in bench.alarms()
    assert_sound(bench)


def test_a_strange_alarm_appears_and_stays() -> None:
    bench = Bench(faults=["critical_alarm@mpe1b"])
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.pass_time(200)
    assert bench.alarms() <= set(CATALOGUE)
    bench.pass_time(140)
    (number,) = bench.alarms() - set(CATALOGUE)
    assert bench.alarm_sources(number) == {"mpe1b"}
    bench.idle()
    assert number in bench.alarms()
    assert bench.world.alarm_severity("mpe1b") == "Critical"


def test_the_button_announces_the_wrong_action() -> None:
    bench = Bench(faults=["wrong_action@mpe1-cl"])
    world = bench.world
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.idle()
    for announced in (world.next_upgrade("mpe1-cl"), world.next_upgrade("mpe1-cl")):
        assert announced is not None
        assert (announced.act, announced.server) == (Act.INITIATE_UPGRADE, "mpe1a")
    assert len(bench.events("fault")) == 1
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1a (next)")
    bench.pass_time(60)
    assert bench.roles("mpe1-cl") == ["OOS", "Forced Standby"]
    assert not world.clusters["mpe1-cl"].traffic
    bench.idle()
    assert_sound(bench)


def test_the_session_dies_after_an_act() -> None:
    bench = Bench(faults=["session_lost@mpe1-cl:2"])
    world = bench.world
    session = world.login("cmp1-cl", ME, "gui-word")
    assert session is not None
    assert world.answer_fate("mpe1-cl", session.token) is Fate.DELIVER
    assert world.answer_fate("mra1-cl", session.token) is Fate.DELIVER
    assert world.answer_fate("mpe1-cl", session.token) is Fate.SESSION_LOST
    assert world.session(session.token, "cmp1-cl") is None
    assert world.answer_fate("mpe1-cl", session.token) is Fate.DELIVER


def test_the_answer_is_lost_once() -> None:
    bench = Bench(faults=["answer_lost@mpe1-cl"])
    assert [bench.world.answer_fate("mpe1-cl", None) for _ in range(2)] == [Fate.ANSWER_LOST, Fate.DELIVER]
    assert bench.world.answer_fate(None, None) is Fate.DELIVER


def test_the_right_password_is_refused_from_the_second_login_on() -> None:
    bench = Bench(faults=["login_refused@gui"])
    assert bench.world.login("cmp1-cl", ME, "gui-word") is not None
    assert bench.world.login("cmp1-cl", ME, "gui-word") is None
    assert [e["ok"] for e in bench.events("gui_login")] == [True, False]


def test_three_wrong_passwords_lock_the_account() -> None:
    world = Bench().world
    for _ in range(3):
        assert not world.is_locked(ME)
        assert world.login("cmp1-cl", ME, "guess") is None
    assert world.is_locked(ME)
    assert world.login("cmp1-cl", ME, "gui-word") is None


def test_ssh_stays_away_during_the_whole_upgrade() -> None:
    bench = Bench(faults=["ssh_unreachable@mpe1b"])
    changes: list[tuple[str, bool]] = []
    bench.world.reachable_changed.append(lambda name, up: changes.append((name, up)))
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.until(lambda: bench.world.servers["mpe1b"].role is Role.OOS)
    bench.until(lambda: bench.world.servers["mpe1b"].role is not Role.OOS)
    assert changes == [("mpe1b", False), ("mpe1b", True)]
    assert bench.world.servers["mpe1b"].release == NEW


def test_somebody_else_clicks_first() -> None:
    bench = Bench(faults=["other_click@mpe1-cl"])
    announced = bench.world.next_upgrade("mpe1-cl")
    assert announced is not None
    bench.world.before_dialog(announced, ME)
    bench.world.before_dialog(announced, ME)
    assert [e["by"] for e in bench.events("action_started", cluster="mpe1-cl")] == ["jdoe"]
    assert "Elapsed" in bench.world.operation_cell("mpe1b")


# --- images
def test_upload_and_delete_of_images() -> None:
    bench = Bench()
    world = bench.world
    world.delete_iso(["mpe1a", "mpe1b"], ME)
    bench.idle()
    assert world.servers["mpe1b"].isos == {}
    assert len(bench.events("file", op="delete")) == 2
    world.place_image("mpe1a", image("mpe"))
    source = f"{UPGRADE_DIR}/{image('mpe')}"
    world.upload_iso(["mpe1a", "mpe1b"], "127.0.3.1", "admusr", "shell-word", source, ME)
    bench.pass_time(60)
    percent = world.servers["mpe1b"].isos[image("mpe")].percent
    assert percent is not None
    assert 0 < percent < 100
    assert world.image_problem(world.servers["mpe1b"]) is not None
    bench.idle()
    assert [world.servers[n].isos[image("mpe")].percent for n in ("mpe1a", "mpe1b")] == [100, 100]
    assert world.image_problem(world.servers["mpe1b"]) is None
    assert [e["size"] for e in bench.events("file", op="write", server="mpe1b")] == [1 << 30]
    assert_sound(bench)


@pytest.mark.parametrize(
    ("host", "password", "path"),
    [
        ("127.9.9.9", "shell-word", f"{UPGRADE_DIR}/{image('mpe')}"),
        ("mpe1a", "wrong", f"{UPGRADE_DIR}/{image('mpe')}"),
        ("mpe1a", "shell-word", f"{UPGRADE_DIR}/absent.iso"),
    ],
)
def test_uploads_that_cannot_work(host: str, password: str, path: str) -> None:
    bench = Bench()
    with pytest.raises(OperationFailed):
        bench.world.upload_iso(["mpe1b"], host, "admusr", password, path, ME)
    assert [e["result"] for e in bench.events("action_ended", action="upload_iso")] == ["Failed"]
    assert_sound(bench)


def test_an_image_that_is_deleted_while_it_comes_ends_the_upload() -> None:
    bench = Bench()
    world = bench.world
    world.upload_iso(["mpe1b"], "mra1a", "admusr", "shell-word", f"{UPGRADE_DIR}/{image('mra')}", ME)
    bench.pass_time(10)
    world.files["mpe1b"].delete(f"{UPGRADE_DIR}/{image('mra')}")
    bench.idle()
    assert [e["result"] for e in bench.events("action_ended", action="upload_iso")] == ["Failed"]
    assert_sound(bench)


def test_scripts_are_pushed() -> None:
    bench = Bench()
    bench.world.push_scripts(["cmp1a", "cmp1b"], ME)
    bench.idle()
    ended = bench.events("action_ended", action="push_scripts")
    assert {(e["server"], e["result"]) for e in ended} == {("cmp1a", "Success"), ("cmp1b", "Success")}


# --- files
def test_files_of_a_server() -> None:
    bench = Bench()
    tree = bench.world.files["mpe1a"]
    before = len(bench.events("file"))
    tree.write("/etc/../etc/a.conf", b"text")
    assert tree.read("/etc/a.conf") == b"text"
    assert tree.stat("/etc/a.conf").md5 == "1cb251ec0d568de6a929b520c4aed8d1"
    assert tree.copy("/etc/a.conf", "/tmp") == "/tmp/a.conf"
    assert tree.list("/tmp") == ["a.conf"]
    tree.delete("/tmp/a.conf")
    assert [(e["path"], e["op"], e["size"]) for e in bench.events("file")[before:]] == [
        ("/etc/a.conf", "write", 4), ("/tmp/a.conf", "write", 4), ("/tmp/a.conf", "delete", 4),
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError):
        tree.stat("/tmp/a.conf")
    with pytest.raises(FileNotFoundError):
        tree.write("/no/such/folder/x", b"")
    with pytest.raises(OSError, match="image"):
        tree.read(f"{UPGRADE_DIR}/{image('mpe')}")
    with pytest.raises(ValueError, match="absolute"):
        tree.stat("etc/a.conf")


# --- other beginnings
def test_a_world_may_begin_in_the_middle() -> None:
    clusters = raw()["clusters"]
    for row, releases in zip(clusters, ((NEW, NEW), (NEW, NEW), (OLD, NEW), (NEW, NEW)), strict=True):
        for server, release in zip(row["servers"], releases, strict=True):
            server["release"] = release
    clusters[2]["servers"][1]["role"] = "Forced Standby"
    bench = Bench(clusters=clusters)
    assert bench.alarms() == {70500, 70501, 70503}
    assert bench.world.next_upgrade("mra1-cl") is None
    assert bench.world.upgrade_label("mpe1-cl") == "Continue Upgrade"
    bench.click_upgrade("mpe1-cl", "Failover to new version mpe1-cl (next)")
    bench.idle()
    assert bench.roles("mpe1-cl") == ["Forced Standby", "Active"]
    bench.click_rollback("mra1-cl", "Initiate backout mra1b (back)")
    bench.idle()
    assert bench.releases("mra1-cl") == [NEW, OLD]


def test_the_world_runs_on_real_time_too() -> None:
    async def upgrade() -> list[str]:
        config = TwinConfig.model_validate(raw() | {"durations": {"initiate_upgrade": {"MPE": 2}}})
        clock = ScaledClock(1200)
        flight = FlightRecord(clock.now)
        world = World(config, Secrets.from_environment(config.credentials, ENVIRON), clock, flight)
        world.files["cmp1a"].copy(f"{UPGRADE_DIR}/{image('cmp')}", KIT_DIR)
        ended = asyncio.Event()
        flight.listeners.append(lambda e: ended.set() if e["event"] == "action_ended" else None)
        world.select_iso(KIT, ME)
        await ended.wait()
        announced = world.next_upgrade("mpe1-cl")
        assert announced is not None
        ended.clear()
        world.perform(announced, ME)
        await ended.wait()
        return [world.servers[n].release for n in world.clusters["mpe1-cl"].servers]

    assert asyncio.run(asyncio.wait_for(upgrade(), 60)) == [OLD, NEW]


# --- the record
def test_the_flight_record_is_written_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "flight.jsonl"
    clock = ManualClock()
    flight = FlightRecord(clock.now, path)
    flight.write("ssh_login", server="a", user="admusr", ok=True)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "t": 0.0, "event": "ssh_login", "server": "a", "user": "admusr", "ok": True,
    }  # fmt: skip
    with pytest.raises(FileExistsError):
        FlightRecord(clock.now, path)
    flight.close()


def test_world_json_says_how_it_began(tmp_path: Path) -> None:
    write_json_atomically(tmp_path / "world.json", Bench(kit=False).world.snapshot())
    told = json.loads((tmp_path / "world.json").read_text(encoding="utf-8"))
    assert told["clusters"][0]["primary"] is True
    assert "primary" not in told["clusters"][2]
    assert told["clusters"][2]["servers"][0] == {
        "name": "mpe1a", "role": "Active", "release": OLD, "images": [image("mpe")],
    }  # fmt: skip
    assert (told["source"], told["target"], told["seed"], told["speed"]) == (OLD, NEW, 1, 60.0)


def test_closing_ends_what_runs() -> None:
    bench = Bench()
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.pass_time(60)
    bench.world.close()
    assert_sound(bench)


def test_a_cmp_switch_leaves_other_actions_running_unseen() -> None:
    bench = Bench()
    world = bench.world
    bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1b (next)")
    bench.idle()
    bench.click_upgrade("mpe1-cl", "Initiate upgrade mpe1b (next)")
    bench.pass_time(120)
    bench.click_upgrade("cmp1-cl", "Failover to new version cmp1-cl (next)")
    bench.pass_time(60)
    assert world.operation_cell("mpe1b") == "n/a"
    assert bench.roles("mpe1-cl") == ["Active", "OOS"]
    bench.idle()
    assert bench.releases("mpe1-cl") == [OLD, NEW]
    assert world.operation_cell("mpe1b") == "n/a"
    assert world.log("mpe1-cl") == []
    assert_sound(bench)


def test_samples_of_a_quarter_of_an_hour() -> None:
    bench = Bench()
    bench.pass_time(1000, step=100)
    samples = bench.world.om_samples("mpe1-cl", -900.0, bench.clock.now())
    assert [s.end - s.begin for s in samples] == [900.0] * 3
    assert [s.complete for s in samples] == [True, True, False]
    rate = bench.world.traffic.rate("mpe1-cl")
    assert samples[0].messages_in == 900 * rate


# --- whatever people do
@pytest.mark.parametrize("seed", range(25))
def test_any_order_of_acts_keeps_the_record_sound(seed: int) -> None:
    dice = random.Random(seed)
    faults = dice.sample(
        [
            "upgrade_fails@mpe1b", "zombie@mra1b", "replication_broken@mra2a", "critical_alarm@mpe2b",
            "no_traffic@mpe2-cl", "wrong_action@mpe1-cl", "ssh_unreachable@mpe3b", "two_images@mra2b",
            "upgrade_fails@cmp1b", "zombie@mpe3a",
        ],
        k=dice.randint(0, 4),
    )  # fmt: skip
    bench = Bench(5, seed=seed, faults=faults)
    world = bench.world
    clusters, servers = list(world.clusters), list(world.servers)
    dialogs: list[Announced] = []

    def choose() -> Callable[[], object]:
        group, server = dice.choice(clusters), dice.choice(servers)
        pick = dice.random()
        if pick < 0.7:
            offers = [world.next_upgrade(group), world.next_rollback(group), *world.optional(group)]
            dialogs.extend(a for a in offers if a is not None)
            open_dialogs = dialogs[-12:]
            if open_dialogs:
                chosen = dice.choice(open_dialogs)
                return lambda: world.perform(chosen, dice.choice([ME, "jdoe"]))
        acts: list[Callable[[], object]] = [
            lambda: world.reapply(group, ME),
            lambda: world.force_standby(server, ME),
            lambda: world.cancel_force_standby(server, ME),
            lambda: world.switch_force_standby(group, ME),
            lambda: world.reset_counters(group, ME),
            lambda: world.delete_iso([server], ME),
            lambda: world.upload_iso([server], "mpe1a", "admusr", "shell-word", f"{UPGRADE_DIR}/{image('mpe')}", ME),
            lambda: world.push_scripts([server], ME),
            lambda: world.select_iso(KIT, ME),
        ]  # fmt: skip
        return dice.choice(acts)

    for _ in range(60):
        try:
            choose()()
        except (Refused, OperationFailed):
            assert bench.events("refused") or bench.events("action_ended", result="Failed")
        assert {world.operation_cell(n) for n in servers}
        assert all(world.counters(c)["Messages In"] >= 0 for c in clusters)
        bench.pass_time(dice.choice([0.5, 5, 40, 400, 1500]), step=7.0)
    bench.until(lambda: not world.actions, limit=20000)
    bench.pass_time(100)
    assert_sound(bench)
    assert all(s.reachable for s in world.servers.values())
    assert all(s.role is not Role.OOS for s in world.servers.values())
    assert (
        bench.alarms() & {31283, 31227, 31233, 31101, 31106, 31107, 31114, 31282, 70001, 70004, 70507}
        == set()
    )
