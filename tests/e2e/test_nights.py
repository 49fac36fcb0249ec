"""Whole nights on the twin with the real commands: Prefect, SSH, a real Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from leaks import leaks
from nights import LAB_SITE, SMALL, SMALL_SITE, Night, begin, rehearsed

from cli.prefect_server import PrefectServer
from mopflow.ledger import Event
from mopflow.record.model import Record
from mopflow.record.verify import verify

# the limit is for a hang: two nights at a time on two cores take their time
pytestmark = [pytest.mark.e2e, pytest.mark.twin, pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "night"


def was_prepared(night: Night, summary: dict[str, Any]) -> None:
    """Hashes in the order of 4.6.5 step 3, one image of the target on each server, a backup of each off the server."""
    assert summary["readiness"]["ready"] is True
    rehashed = list(dict.fromkeys(e["server"] for e in night.events("password_set")))
    assert rehashed == ["cmp-1b", "cmp-1a", "mpe-1b", "mpe-1a"]
    images = night.images()
    assert {server: len(found) for server, found in images.items()} == dict.fromkeys(images, 1)
    assert all("-12.1.2." in image for found in images.values() for image in found)
    backups = {path.parent.name for path in (night.folder / "backups").rglob("*.iso")}
    assert backups == {server.name for server in night.site.servers}
    assert [path.parent.name for path in (night.folder / "backups").rglob("*.tar.gz")] == ["cmp-1a"]


@pytest.mark.timeout(1200)  # the longest of all: it is begun first
def test_a_whole_night(folder: Path) -> None:
    """`mopflow rehearse --keep`: every goal holds, every rule is kept; the flows again do nothing; no secret leaks."""
    with rehearsed(SMALL_SITE, folder, "--seed", "2") as night:
        assert night.first.code == 0, night.first.err
        summary = json.loads(night.first.out)
        assert (summary["exit"], summary["holds"]) == (0, [])
        was_prepared(night, summary)
        assert set(night.releases().values()) == {"12.1.2.0.0_22.1.0"}
        assert night.violations(complete=True) == []
        for key in ("9.1.1/4", "9.1.1/10", "9.1.1/12", "9.1.1/17", "9.1.2/2", "9.1.2/3"):
            assert [e.event for e in night.entries(key)].count(Event.INTENDED) >= 1, key
        clusters = [c.name for c in night.site.traffic_clusters]
        for cluster in clusters:
            for key in ("10.2/3", "10.2/4", "10.2/5", "10.2/9"):
                wanted = (Event.INTENDED, Event.ACTED, Event.VERIFIED)
                events = [e.event for e in night.entries(key, cluster) if e.event in wanted]
                assert events[0] is Event.INTENDED, (key, cluster, events)
                assert Event.VERIFIED in events, (key, cluster, events)
        assert len(night.starts("reset_counters")) == len(clusters)
        proof = [
            e for e in night.entries("10.2/7", clusters[0]) if "seconds_without_traffic_at_most" in e.data
        ]
        assert proof and proof[-1].data["seconds_without_traffic_at_most"] > 0

        verdict = verify(night.record())
        assert verdict.sound, verdict.flaws
        record = Record.model_validate_json((night.record() / "record.json").read_text())
        every = len(night.site.clusters)
        assert f"{every} of {every} clusters run 12.1.2; no hold is open" in record.outcome
        assert len(record.spells) > 0 and sum(len(turn.commands) for _, turn in record.iterations) > 0
        assert "Nothing is left." in (night.record() / "continue.txt").read_text()
        with night.ledger() as ledger:
            told = [n for n in ledger.notices(night.site.name) if n.kind == "record"]
        assert len(told) == len(record.runs)

        acts = len(night.events("action_started"))
        # the flows again, with a new, empty ledger
        other = yaml.safe_load(night.site_file.read_text())
        other["ledger"], other["name"] = "sqlite:///another.db", other["name"] + "-b"
        (folder / "other.yaml").write_text(yaml.safe_dump(other))
        fresh = [
            night.mopflow("upgrade-cmp", str(folder / "other.yaml"), "--json"),
            night.mopflow("upgrade-segment", str(folder / "other.yaml"), "segment-1"),
        ]
        assert [e.code for e in fresh] == [0, 0], fresh[0].err + fresh[1].err
        assert json.loads(fresh[0].out)["exit"] == 0
        assert all("nothing to do" in e.err for e in fresh)
        assert len(night.events("action_started")) == acts
        (folder / "secrets.env").unlink()  # the one place where the passwords are meant to stand

        outputs = folder / "outputs"
        outputs.mkdir()
        for n, ended in enumerate([night.first, *fresh]):
            (outputs / f"{n}.txt").write_text(ended.out + ended.err)
        assert (folder / "prefect").is_dir() and (folder / "logs").is_dir()
        assert leaks(night, folder) == []
        assert any((folder / "evidence").rglob("*.png"))


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_whole_lab_site(seed: int, folder: Path) -> None:
    """The default night of `make rehearse`, by its flight record alone."""
    with rehearsed(LAB_SITE, folder, "--seed", str(seed), patience=1200) as night:
        assert night.first.code == 0, night.first.err
        assert night.violations(complete=True) == []
        assert set(night.releases().values()) == {"12.1.2.0.0_22.1.0"}


@pytest.mark.soak
def test_five_clusters_never_more_than_four_at_once(folder: Path, prefect_server: PrefectServer) -> None:
    clusters = [("mpe-1", "MPE"), ("mpe-2", "MPE"), ("mpe-3", "MPE"), ("li-1", "MPE-Li"), ("mra-1", "MRA")]
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=clusters,
        minutes=4,
        seed=3,
        cmp_done=True,
        gui_style="grid",
    )
    try:
        ended = night.segment()
        assert ended.code == 0, ended.err
        assert night.violations(complete=True) == []
        assert len(night.starts("initiate_upgrade")) == 10
    finally:
        night.close()


PAIR = (("mpe-1", "MPE"), ("mpe-2", "MPE"))


@pytest.mark.soak
def test_clusters_that_fail_are_held_and_nothing_else_begins(
    folder: Path, prefect_server: PrefectServer
) -> None:
    """UPGRADE_OPERATION_FAILED and a Zombie: both hold (R8), what runs finishes, nothing is started after them."""
    faults = ["upgrade_fails@mpe-1b", "zombie@mpe-2b"]
    # long enough that both have begun before the first fails, however slow the machine
    night = begin(folder, prefect_server.environment(), minutes=15, faults=faults, cmp_done=True)
    try:
        ended = night.segment()
        assert ended.code == 3, ended.err
        assert {e["name"] for e in night.events("fault")} == {"upgrade_fails", "zombie"}
        holds = night.holds()
        assert (holds.get("mpe-1"), holds.get("mpe-2")) == ("R8", "R8"), holds
        assert "mpe-1" in ended.err and "To do" in ended.err
        assert night.violations(failures_stop=True) == []
        assert [len(night.starts("initiate_upgrade", c)) for c in ("mpe-1", "mpe-2")] == [1, 1]
        assert not night.starts("failover")
        # started again while the trouble stands: held again, and nothing is sent
        acts = len(night.events("action_started"))
        assert night.segment().code == 3
        assert len(night.events("action_started")) == acts
    finally:
        night.close()


@pytest.mark.soak
def test_a_cluster_in_doubt_is_held_and_the_others_go_on(folder: Path, prefect_server: PrefectServer) -> None:
    """Replication that stays broken (R9) and an alarm that no step lists (R15) hold their own cluster only."""
    faults = ["critical_alarm@mpe-2b"]
    night = begin(folder, prefect_server.environment(), minutes=6, faults=faults, cmp_done=True)
    try:
        ended = night.segment()
        assert ended.code == 3, ended.err
        assert night.holds() == {"mpe-2": "R15"}
        assert night.violations() == []
        assert not night.starts("failover", "mpe-2")
        done = night.releases()
        assert {done[s] for s in ("mpe-1a", "mpe-1b", "mra-1a", "mra-1b")} == {"12.1.2.0.0_22.1.0"}
    finally:
        night.close()


@pytest.mark.parametrize(
    "fault", ["wrong_action@mpe-1", pytest.param("replication_broken@mpe-1b", marks=pytest.mark.soak)]
)
def test_nothing_is_clicked_on_a_cluster_that_is_not_as_expected(
    fault: str, folder: Path, prefect_server: PrefectServer
) -> None:
    """The button announces another act, or replication is broken: no failover."""
    night = begin(
        folder, prefect_server.environment(), clusters=PAIR[:1], minutes=3, faults=[fault], cmp_done=True
    )
    try:
        ended = night.segment()
        assert ended.code == 3, ended.err
        assert night.events("fault"), "the fault never bit"
        assert list(night.holds()) == ["mpe-1"]
        assert night.violations() == []
        assert len(night.starts("initiate_upgrade")) == 1
        assert not night.starts("failover")
    finally:
        night.close()


def test_no_traffic_is_rolled_back(folder: Path, prefect_server: PrefectServer) -> None:
    """R11: rolled back without a further question, then held; nothing else is begun (R8); the run ends with 3."""
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR,
        minutes=4,
        faults=["no_traffic@mpe-1"],
        cmp_done=True,
    )
    try:
        ended = night.segment()
        assert ended.code == 3, ended.err
        assert night.holds().get("mpe-1") == "R11", night.holds()
        assert night.violations() == []
        assert len(night.starts("failover", "mpe-1")) == 2
        assert night.releases()["mpe-1a"] == "12.1.1.0.0_14.1.0"
        assert night.releases()["mpe-1b"] == "12.1.2.0.0_22.1.0"
        acts = len(night.events("action_started"))
        again = night.segment()
        assert again.code == 3, again.err
        assert len(night.events("action_started")) == acts, "a rolled back cluster was touched again"
    finally:
        night.close()


def test_small_troubles_do_not_stop_the_night(folder: Path, prefect_server: PrefectServer) -> None:
    """A lost session, a lost answer, another person's click, SSH away during the upgrade: adopted, not repeated."""
    faults = ["session_lost@mpe-1:2", "other_click@mpe-2:2", "ssh_unreachable@mra-1b", "answer_lost@mra-1:2"]
    night = begin(folder, prefect_server.environment(), minutes=4, faults=faults, cmp_done=True)
    try:
        ended = night.segment()
        assert ended.code == 0, ended.err
        bitten = {e["name"] for e in night.events("fault")}
        assert bitten == {f.split("@")[0] for f in faults}
        assert night.violations(complete=True) == []
        for cluster, _ in SMALL:
            assert len(night.starts("initiate_upgrade", cluster)) == 2
            assert len(night.starts("failover", cluster)) == 1
        # what another person did first is adopted, or found done after our own click was held back
        by_others = {e["cluster"] for e in night.events("action_started", by="jdoe")}
        assert by_others == {"mpe-2"}
        seen = {row.entry.event for row in night.rows() if row.entry.cluster == "mpe-2"}
        assert seen & {Event.ADOPTED, Event.REFUSED}
    finally:
        night.close()


def test_wrong_images_hold_before_anything_is_touched(folder: Path, prefect_server: PrefectServer) -> None:
    faults = ["wrong_image@mpe-1b", "two_images@mpe-2a"]
    night = begin(
        folder, prefect_server.environment(), clusters=PAIR, minutes=3, faults=faults, cmp_done=True
    )
    try:
        ended = night.segment()
        assert ended.code == 3, ended.err
        assert night.holds() == {"segment-1": "R10"}
        assert "mpe-1b" in ended.err and "mpe-2a" in ended.err
        assert night.starts("initiate_upgrade") == []
    finally:
        night.close()


def test_a_refused_login_is_never_tried_twice(folder: Path, prefect_server: PrefectServer) -> None:
    """The console refuses the right password from the second login on: the run ends, and tries it no second time."""
    faults = ["login_refused@gui:1"]
    night = begin(folder, prefect_server.environment(), clusters=PAIR[:1], faults=faults, cmp_done=True)
    try:
        assert night.mopflow("status", str(night.site_file)).code == 0
        assert len(night.events("gui_login", ok=True)) == 1
        ended = night.segment()
        assert ended.code == 1, ended.err
        assert "refused the login" in ended.err
        assert len(night.events("gui_login", ok=False)) == 1
        assert night.starts("initiate_upgrade") == []
    finally:
        night.close()
