"""The whole way there and back from each source release, on a clock that the test turns by hand."""

from __future__ import annotations

import pytest
from rulebook import Limits, check
from world_bench import ME, NEW, Bench, assert_sound

from lab.alarms import CATALOGUE
from lab.files import SCRIPT_DIR, SCRIPTS
from lab.state import Role

OLD_GUI = ("10.5.6_1.1.0", "11.5.2.0.0_38.1.0")
SOURCES = (*OLD_GUI, "12.0.0.0.0_45.1.0", "12.1.1.0.0_14.1.0")
MIXED = {70500, 70501, 70503, 70507}
REPLICATION = {31101, 31106, 31107, 31114}
BY_SERVER_THERE = REPLICATION | {31283, 31233, 70004, 70021}  # 6.1.1/10, 7.1.1/10
OLD_SECOND = REPLICATION | MIXED | {31283, 70001, 70025, 31233, 70004}  # 6.1.1/21, 7.1.1/21
NEW_FIRST = REPLICATION | MIXED | {31283, 31227, 70025, 70004, 31282}  # 8.1.1/11, 9.1.1/10
NEW_SECOND = REPLICATION | MIXED | {31283, 70001, 70025, 70004, 31282}  # 8.1.1/18, 9.1.1/17, 6.1.2/2-3, ...
BACK = REPLICATION | MIXED | {31283, 31227, 70001, 70004, 31233, 78001, 70502, 31102, 31113}
BACK_MPE = BACK | {31282, 31126}  # 12.3.3/5; row 2 has no 31126
BACK_SECONDARY = BACK | {31282, 31126, 70025}  # 12.3.4/2
BACK_PRIMARY = BACK | {31236, 70025}  # 12.3.5/2; 70025 is that of 12.3.4/4, which still stands
BACK_BY_SERVER = REPLICATION | {31283, 31233, 31236, 70004, 31102, 31113, 31284}  # 12.3.5/6
BACK_PRIMARY_SECOND = BACK - {31233} | {70025}  # 12.3.5/8


def upgrade_primary(bench: Bench, source: str) -> None:
    world = bench.world
    if source in OLD_GUI:
        world.force_standby("cmp1b", ME)
        bench.idle()
        assert world.alarms == []
        stood = bench.during(lambda: world.start_upgrade(["cmp1b"], ME))
        assert stood - {70025} == BY_SERVER_THERE
        bench.until(lambda: world.servers["cmp1b"].in_sync, limit=60)
        assert bench.alarms() == {70025}  # 6.1.1/12
        world.switch_force_standby("cmp1-cl", ME)
        bench.idle()
        assert bench.alarms() == {70025, 31101, 70503}  # 6.1.1/16
        bench.choose_kit("cmp1b")
        assert bench.alarms() == {70025, 31101, 70503, 70500, 70501}  # 6.1.1/20
        stood = bench.during(lambda: bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1a (next)"))
        assert stood <= OLD_SECOND
        assert {31233, 70001} <= stood
    else:
        bench.choose_kit("cmp1a")
        stood = bench.during(lambda: bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1b (next)"))
        assert stood <= NEW_FIRST
        bench.click_upgrade("cmp1-cl", "Failover to new version cmp1-cl (next)")
        bench.idle()
        assert bench.alarms() == {70025, 70500, 70501, 70503}  # 8.1.1/16
        stood = bench.during(lambda: bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1a (next)"))
        assert stood <= NEW_SECOND
    assert bench.alarms() == {70025, 70500}


def upgrade_all(bench: Bench, source: str) -> None:
    upgrade_primary(bench, source)
    stood = bench.during(lambda: bench.click_upgrade("cmp2-cl", "Initiate upgrade cmp2b (next)"))
    assert stood <= NEW_SECOND
    assert (70001 in stood) == (not source.startswith("12.1"))
    bench.click_upgrade("cmp2-cl", "Failover to new version cmp2-cl (next)")
    bench.idle()
    assert bench.during(lambda: bench.click_upgrade("cmp2-cl", "Initiate upgrade cmp2a (next)")) <= NEW_SECOND
    assert bench.alarms() == {70500}  # 6.1.2/5
    for name in ("mpe1", "mra1"):
        bench.to_failover(name)
        bench.world.reapply(f"{name}-cl", ME)
        bench.idle()
        bench.until(lambda name=name: bench.world.clusters[f"{name}-cl"].traffic, limit=25)  # type: ignore[misc]
        bench.click_upgrade(f"{name}-cl", f"Initiate upgrade {name}a (next)")
        bench.idle()
    assert bench.world.alarms == []


def back_out_worker(bench: Bench, name: str) -> None:
    """12.3.3."""
    world, group = bench.world, f"{name}-cl"
    stood = bench.during(lambda: bench.click_rollback(group, f"Initiate backout {name}a (back)"))
    assert stood <= BACK_MPE - {31126}
    bench.click_rollback(group, f"Failover to old version {group} (back)")
    bench.idle()
    assert not world.clusters[group].traffic
    world.reapply(group, ME)
    bench.idle()
    bench.until(lambda: world.clusters[group].traffic, limit=25)
    stood = bench.during(lambda: bench.click_rollback(group, f"Initiate backout {name}b (back)"))
    assert stood <= BACK_MPE
    assert 31126 in stood
    assert world.clusters[group].config_release == world.config.source


def back_out_cmps(bench: Bench, source: str) -> None:
    """12.3.4, 12.3.5."""
    world = bench.world
    stood = bench.during(lambda: bench.click_rollback("cmp2-cl", "Initiate backout cmp2a (back)"))
    assert stood <= BACK_SECONDARY
    bench.click_rollback("cmp2-cl", "Failover to old version cmp2-cl (back)")
    bench.idle()
    assert bench.alarms() == {70025, 70503, 70501, 70500}  # 12.3.4/3
    stood = bench.during(lambda: bench.click_rollback("cmp2-cl", "Initiate backout cmp2b (back)"))
    assert stood <= BACK_SECONDARY
    assert bench.alarms() == {70025, 70500}  # 12.3.4/4

    stood = bench.during(lambda: bench.click_rollback("cmp1-cl", "Initiate backout cmp1a (back)"))
    assert stood - {31101} <= BACK_PRIMARY
    assert 31236 in stood
    bench.click_rollback("cmp1-cl", "Failover to old version cmp1-cl (back)")
    bench.idle()
    if source not in OLD_GUI:
        stood = bench.during(lambda: bench.click_rollback("cmp1-cl", "Initiate backout cmp1b (back)"))
        assert stood <= BACK_PRIMARY_SECOND
        return
    assert bench.alarms() == {70025}
    stood = bench.during(lambda: world.back_out(["cmp1b"], ME))
    assert stood - {70025} <= BACK_BY_SERVER
    assert {31236, 31284} <= stood
    bench.until(lambda: world.servers["cmp1b"].in_sync, limit=60)
    assert bench.roles("cmp1-cl") == ["Active", "Forced Standby"]
    world.cancel_force_standby("cmp1b", ME)
    bench.idle()


@pytest.mark.parametrize("source", SOURCES)
def test_there_and_back(source: str) -> None:
    bench = Bench(source=source, kit=False)
    began = bench.world.snapshot()
    bench.push_scripts()
    world = bench.world
    images = {name: dict(server.isos) for name, server in world.servers.items()}
    upgrade_all(bench, source)
    for name in ("mra1", "mpe1"):
        back_out_worker(bench, name)
    back_out_cmps(bench, source)
    bench.pass_time(60)
    assert {server.release for server in world.servers.values()} == {source}
    assert {server.prev_release for server in world.servers.values()} == {NEW}
    for cluster in world.clusters.values():
        assert sorted(bench.roles(cluster.name)) == ["Active", "Standby"]
        assert cluster.traffic or cluster.name.startswith("cmp")
    assert world.alarms == []
    assert all(server.in_sync and server.reachable for server in world.servers.values())
    assert {name: dict(server.isos) for name, server in world.servers.items()} == images
    assert all(f"{SCRIPT_DIR}/{script}" in world.files["cmp1a"] for script in SCRIPTS)
    assert world.forced_by_hand == set()
    assert_sound(bench)
    assert check(bench.flight.events, began, Limits(complete=True, failures_stop=True)) == []


def minutes(bench: Bench, server: str) -> list[float]:
    begun = [e["t"] for e in bench.events("role", server=server, to="OOS")]
    ended = [e["t"] for e in bench.events("role", server=server) if e["from"] == "OOS"]
    return [(end - begin) / 60 for begin, end in zip(begun, ended, strict=True)]


@pytest.mark.parametrize(
    ("source", "primary", "last_back"),
    [(SOURCES[0], 40, 30), (SOURCES[1], 40, 30), (SOURCES[2], 30, 40), (SOURCES[3], 30, 40)],
)
def test_how_long_it_takes(source: str, primary: float, last_back: float) -> None:
    bench = Bench(source=source, kit=False)
    bench.push_scripts()
    upgrade_all(bench, source)
    for name in ("mra1", "mpe1"):
        back_out_worker(bench, name)
    back_out_cmps(bench, source)
    wanted = {
        "cmp1a": (primary, 40), "cmp1b": (primary, last_back), "cmp2a": (30, 40), "cmp2b": (30, 40),
        "mpe1a": (40, 40), "mpe1b": (40, 35), "mra1a": (40, 40), "mra1b": (40, 35),
    }  # fmt: skip
    for server, (there, back) in wanted.items():
        first, second = minutes(bench, server)
        assert 0.9 * there <= first <= 1.1 * there + 1, server
        assert 0.9 * back <= second <= 1.1 * back + 1, server


@pytest.mark.parametrize("source", SOURCES[:3])
def test_without_the_scripts_no_upgrade(source: str) -> None:
    bench = Bench(source=source, kit=False)
    world = bench.world
    if source in OLD_GUI:
        world.force_standby("cmp1b", ME)
        bench.idle()
        world.start_upgrade(["cmp1b"], ME)
    else:
        bench.choose_kit("cmp1a")
        bench.click_upgrade("cmp1-cl", "Initiate upgrade cmp1b (next)")
    bench.idle()
    assert bench.events("action_ended", action="initiate_upgrade")[0]["result"] == "Failed"
    assert world.servers["cmp1b"].release == source
    assert "failed at" in world.operation_cell("cmp1b").lower()
    assert world.servers["cmp1b"].role is (Role.FORCED_STANDBY if source in OLD_GUI else Role.STANDBY)
    assert_sound(bench)


def test_every_alarm_of_the_catalogue_is_one_of_the_document() -> None:
    document = BACK_MPE | BACK_PRIMARY | BACK_BY_SERVER | OLD_SECOND | NEW_FIRST | BY_SERVER_THERE
    assert set(CATALOGUE) - document == {70506, 71402}
