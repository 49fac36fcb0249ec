"""The upgrade of a server fails, in each kind of cluster, on its first and on its second server (R8, 12.3.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import TARGET, Night, begin
from packs import complete

from cli.prefect_server import PrefectServer
from mopflow.system import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.twin, pytest.mark.browser, pytest.mark.timeout(900)]

PRIMARY, SECONDARY = "CMP Site1 Cluster", "CMP Site2 Cluster"
FAILED = "Initiate upgrade Failed"
ACTS = ("initiate_upgrade", "initiate_backout", "failover", "switch_force_standby")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "night"


def nothing_more(night: Night, *command: str) -> None:
    """The same command again is held again, and nothing is sent while the trouble stands."""
    before = [len(night.starts(act)) for act in ACTS]
    again = night.mopflow(*command)
    assert again.code == 3, again.err
    assert [len(night.starts(act)) for act in ACTS] == before


@pytest.mark.soak
@pytest.mark.parametrize("stage", [Stage.FRESH, Stage.SWITCHED], ids=["first", "second"])
def test_of_each_kind_one_fails_and_what_runs_elsewhere_finishes(
    stage: Stage, folder: Path, prefect_server: PrefectServer
) -> None:
    """An MPE, an MRA and an MPE-Li cluster are held with their packs; the fourth finishes its server and waits."""
    kinds = (("mpe-2", "MPE"), ("mpe-1", "MPE"), ("mra-1", "MRA"), ("li-1", "MPE-Li"))
    side = "b" if stage is Stage.FRESH else "a"
    failing = [f"{name}{side}" for name, _ in kinds[1:]]
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=kinds,
        minutes=60,  # all four have begun before the first fails, however slow the machine
        faults=[f"upgrade_fails@{server}" for server in failing],
        cmp_done=True,
        stages={name: stage for name, _ in kinds},
    )
    try:
        ended = night.segment()
        assert ended.code == 3, ended.err
        assert {e["where"] for e in night.events("fault")} == set(failing)
        assert night.all_at_rest()
        holds = night.holds()
        assert {name: holds.get(name) for name, _ in kinds[1:]} == {name: "R8" for name, _ in kinds[1:]}
        assert night.violations(failures_stop=True, notice=300.0) == []
        assert sorted(e["server"] for e in night.starts("initiate_upgrade")) == sorted(
            [*failing, f"mpe-2{side}"]
        )
        assert not night.starts("failover")
        assert night.releases()[f"mpe-2{side}"] == TARGET
        assert [e["result"] for e in night.events("action_ended", server=f"mpe-2{side}")] == ["Success"]
        for cluster, server in zip(("mpe-1", "mra-1", "li-1"), failing, strict=True):
            complete(night, cluster, server, failed=FAILED)
        nothing_more(night, "upgrade-segment", str(night.site_file), "segment-1")
    finally:
        night.close()


CMPS = {
    "first of the primary, 10.5": ("10.5.6_1.1.0", PRIMARY, "cmp-1b", {}),
    "first of the primary": (None, PRIMARY, "cmp-1b", {}),
    "second of the primary": (None, PRIMARY, "cmp-1a", {PRIMARY: Stage.SWITCHED, SECONDARY: Stage.FRESH}),
    "first of the secondary": (None, SECONDARY, "cmp-2b", {SECONDARY: Stage.FRESH}),
    "second of the secondary": (None, SECONDARY, "cmp-2a", {SECONDARY: Stage.SWITCHED}),
}
QUICK = "second of the secondary"


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case == QUICK else pytest.mark.soak) for case in CMPS]
)
def test_a_cmp_server_fails(case: str, folder: Path, prefect_server: PrefectServer) -> None:
    """The cluster is held with its pack, nothing else is begun, and the other CMP cluster is not touched."""
    source, cluster, server, stages = CMPS[case]
    more = {"source": source} if source is not None else {}
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=(("mpe-1", "MPE"),),
        minutes=3,
        faults=[f"upgrade_fails@{server}"],
        cmp_done=bool(stages),
        stages=stages,
        **more,
    )
    try:
        ended = night.cmp()
        assert ended.code == 3, ended.err
        assert night.events("fault", where=server), "the fault never bit"
        assert night.holds() == {cluster: "R8"}
        assert night.violations(failures_stop=True, notice=300.0) == []
        assert [e["server"] for e in night.starts("initiate_upgrade")] == [server]
        assert not night.starts("failover") and not night.starts("switch_force_standby")
        complete(
            night,
            cluster,
            server,
            failed=FAILED if source is None else "Error: upgrade failed",
            old_gui=source is not None,
        )
        if case != QUICK:
            nothing_more(night, "upgrade-cmp", str(night.site_file))
    finally:
        night.close()
