"""What may go wrong with a CMP cluster while it is upgraded, or while it manages the upgrade of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import TARGET, begin
from packs import complete

from cli.prefect_server import PrefectServer
from mopflow.ledger import Event

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.twin,
    pytest.mark.browser,
    pytest.mark.soak,
    pytest.mark.timeout(1500),
]

PRIMARY, SECONDARY = "CMP Site1 Cluster", "CMP Site2 Cluster"
PAIR = (("mpe-1", "MPE"), ("mra-1", "MRA"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "night"


def test_another_status_holds_and_a_slow_switch_with_a_late_gui_is_waited_for(
    folder: Path, prefect_server: PrefectServer
) -> None:
    """6.1.1/10: stopped with its pack; a person lets it go on; the switch then takes five times as long."""
    faults = ["other_status@cmp-1b", f"switch_slow@{PRIMARY}", f"gui_away@{PRIMARY}:3"]
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR[:1],
        minutes=2,
        faults=faults,
        source="10.5.6_1.1.0",
    )
    try:
        site = str(night.site_file)
        ended = night.cmp()
        assert ended.code == 3, ended.err
        assert night.holds() == {PRIMARY: "R8"}
        with night.ledger() as ledger:
            (hold,) = ledger.holds(night.site.name)
        assert (hold.procedure, hold.step) == ("6.1.1", 10)
        assert not night.starts("switch_force_standby")
        complete(night, PRIMARY, "cmp-1b", failed="finished with warnings", old_gui=True)
        word = ("--by", "Ada", "--reason", "Oracle has looked at it", "--ticket", "SR 3-1234")
        released = night.mopflow("release-hold", site, PRIMARY, *word)
        assert released.code == 0, released.err
        ended = night.cmp()
        assert ended.code == 0, ended.err
        assert {e["name"] for e in night.events("fault")} == {f.split("@")[0] for f in faults}
        assert {night.releases()[f"cmp-{n}{x}"] for n in "12" for x in "ab"} == {TARGET}
        assert len(night.starts("switch_force_standby")) == 1
        assert len(night.starts("initiate_upgrade")) == 4
        assert night.violations(complete=True) == []
        assert night.holds() == {}
    finally:
        night.close()


@pytest.mark.parametrize("source", ["11.5.0.0.0_38.1.0", None], ids=["11.5", "12.1.1"])
def test_without_sync_the_primary_is_not_switched(
    source: str | None, folder: Path, prefect_server: PrefectServer
) -> None:
    """R9 after its first server: no CMP switch, whatever is tried; on 11.5 the cell itself says Completed."""
    more = {"source": source} if source is not None else {}
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR[:1],
        minutes=2,
        faults=["replication_broken@cmp-1b"],
        durations={"initiate_upgrade": 2, "upload_iso": 1, "replication_timeout": 2},
        **more,
    )
    try:
        ended = night.cmp()
        assert ended.code == 3, ended.err
        assert night.events("fault"), "the fault never bit"
        holds = night.holds()
        assert set(holds) == {PRIMARY}
        assert holds[PRIMARY] == ("R9" if source is not None else "R8")
        cell = "Completed: upgrade was completed" if source is not None else "Initiate upgrade Failed"
        complete(night, PRIMARY, "cmp-1b", failed=cell, old_gui=source is not None)
        again = night.cmp()
        assert again.code == 3, again.err
        assert not night.starts("failover") and not night.starts("switch_force_standby")
        assert [e["server"] for e in night.starts("initiate_upgrade")] == ["cmp-1b"]
        assert night.violations() == []
    finally:
        night.close()


def test_a_cmp_that_fails_over_in_mid_upgrade_is_waited_for(
    folder: Path, prefect_server: PrefectServer
) -> None:
    """3.1.4.4: the promoted Upgrade Director knows nothing of the server that it cannot reach.

    The upgrade that runs comes to its end and no second start is sent to its server. Its success message is gone with
    the old Director, so a person is called (12.3.2); released, it goes on to its end.
    """
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR[:1],
        minutes=30,
        faults=[f"cmp_fails_over@{PRIMARY}:15"],
        cmp_done=True,
    )
    try:
        site = str(night.site_file)
        ended = night.segment()
        assert night.events("fault"), "the fault never bit"
        assert ended.code == 3, ended.err
        assert night.holds() == {"mpe-1": "R8"}, night.holds()
        assert night.all_at_rest()
        assert night.releases()["mpe-1b"] == TARGET
        assert [e["server"] for e in night.starts("initiate_upgrade")] == ["mpe-1b"]
        assert not night.starts("failover")
        word = ("--by", "Ada", "--reason", "Oracle has looked at it", "--ticket", "SR 3-1234")
        released = night.mopflow("release-hold", site, "mpe-1", *word)
        assert released.code == 0, released.err
        ended = night.segment()
        assert ended.code == 0, ended.err
        assert {night.releases()[f"mpe-1{x}"] for x in "ab"} == {TARGET}
        assert [e["server"] for e in night.starts("initiate_upgrade")] == ["mpe-1b", "mpe-1a"]
        assert night.violations(complete=True) == []
        assert Event.LOST not in {row.entry.event for row in night.rows() if row.entry.step == 3}
    finally:
        night.close()
