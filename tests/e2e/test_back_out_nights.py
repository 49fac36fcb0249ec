"""Backouts on the twin with the real commands: Prefect, SSH, a real Chromium, the old and the new GUI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nights import SOURCE, TARGET, Night, begin

from cli.prefect_server import PrefectServer
from mopflow.ledger import Event

pytestmark = [pytest.mark.e2e, pytest.mark.twin, pytest.mark.browser, pytest.mark.timeout(900)]

PAIR = (("mpe-1", "MPE"), ("mra-1", "MRA"))
ANSWERS = {"no_new_features": "nothing new was used", "oracle_consulted": "a rehearsal: nobody to consult"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "night"


def confirm(night: Night, item: str, *more: str) -> None:
    ended = night.mopflow("confirm", str(night.site_file), item, "--by", "Ada", *more)
    assert ended.code == 0, ended.err


def is_back(night: Night, source: str) -> None:
    assert set(night.releases().values()) == {source}
    assert night.holds() == {}
    assert night.violations() == []
    raised = {(e["number"], e["server"]) for e in night.events("alarm_raised")}
    for event in reversed(night.flight()):
        if (
            event["event"] in ("alarm_raised", "alarm_cleared")
            and (event["number"], event["server"]) in raised
        ):
            raised.discard((event["number"], event["server"]))
            assert event["event"] == "alarm_cleared", event


def test_planned_asked_and_backed_out_to_12_1_1(folder: Path, prefect_server: PrefectServer) -> None:
    """What the plan shows, what is refused, what a person has to say, and the order in which it then happens."""
    night = begin(folder, prefect_server.environment(), clusters=PAIR, minutes=2, all_done=True)
    try:
        site = str(night.site_file)
        planned = night.mopflow("back-out", site, "all", "--plan", "--json")
        assert planned.code == 0, planned.err
        plan = json.loads(planned.out)
        names = [cluster["cluster"] for cluster in plan["clusters"]]
        assert names[-2:] == ["CMP Site2 Cluster", "CMP Site1 Cluster"]
        assert plan["failovers"] == 4
        assert {cluster["needs"] for cluster in plan["clusters"]} == {"two servers and a failover"}
        refused = night.mopflow("back-out", site, "CMP Site1 Cluster", "--plan")
        assert refused.code == 3
        assert "12.2, 2" in refused.out
        assert night.mopflow("back-out", site, "CMP Site1 Cluster").code == 3
        unasked = night.mopflow("back-out", site, "all")
        assert unasked.code == 3
        assert "no_new_features --by NAME" in unasked.err
        assert night.events("action_started") == []

        confirm(night, "no_new_features")
        confirm(night, "oracle_consulted", "--text", "SR 3-1234")
        ended = night.mopflow("back-out", site, "all", "--json")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["scope"] == "all"
        is_back(night, SOURCE)
        servers = [e["server"] for e in night.starts("initiate_backout")]
        assert {name[:3] for name in servers[:4]} == {"mpe", "mra"}
        assert [name[:5] for name in servers[4:]] == ["cmp-2", "cmp-2", "cmp-1", "cmp-1"]
        assert {e.event for e in night.entries("12.3.5/6")} == {Event.SKIPPED}
        acts = len(night.events("action_started"))
        again = night.mopflow("back-out", site, "all")
        assert again.code == 0, again.err
        assert "nothing to do" in again.err
        assert len(night.events("action_started")) == acts
    finally:
        night.close()


@pytest.mark.parametrize(
    "source", ["10.5.6_1.1.0", pytest.param("11.5.0.0.0_38.1.0", marks=pytest.mark.soak)]
)
def test_backed_out_through_system_maintenance(
    source: str, folder: Path, prefect_server: PrefectServer
) -> None:
    """The last server of the primary CMP goes back in the GUI of the old release, and its forced standby is cancelled."""
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR[:1],
        minutes=2,
        all_done=True,
        source=source,
        answers=ANSWERS,
    )
    try:
        ended = night.mopflow("back-out", str(night.site_file), "all")
        assert ended.code == 0, ended.err
        is_back(night, source)
        assert [e.event for e in night.entries("12.3.5/6") if e.leg == ""][-1] is Event.VERIFIED
        assert [e.event for e in night.entries("12.3.5/7")][-1] is Event.VERIFIED
        assert {e.event for e in night.entries("12.3.5/8")} == {Event.SKIPPED}
    finally:
        night.close()


@pytest.mark.soak
def test_turned_round_twice_by_real_commands(folder: Path, prefect_server: PrefectServer) -> None:
    """An upgrade is killed in the middle, backed out, and begun again; while a server goes back it is refused."""
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR[:1],
        minutes=4,
        cmp_done=True,
        answers=ANSWERS,
    )
    try:
        site = str(night.site_file)
        run = night.start("upgrade-segment", site, "segment-1")
        night.wait_for(lambda: night.starts("initiate_upgrade"))
        night.kill(run)
        run = night.start("back-out", site, "mpe-1")
        night.wait_for(lambda: night.starts("initiate_backout"), 300)
        night.wait_for(lambda: night.events("role", to="OOS")[1:])
        night.kill(run)
        ended = night.segment()
        assert ended.code == 3
        assert "a backout runs in mpe-1" in ended.err
        assert night.holds() == {"mpe-1": "R7"}
        ended = night.mopflow("back-out", site, "mpe-1")
        assert ended.code == 0, ended.err
        assert night.holds() == {}
        assert len(night.starts("initiate_upgrade")) == 1
        assert {night.releases()[f"mpe-1{x}"] for x in "ab"} == {SOURCE}
        ended = night.segment()
        assert ended.code == 0, ended.err
        assert {night.releases()[f"mpe-1{x}"] for x in "ab"} == {TARGET}
        assert night.violations() == []
    finally:
        night.close()
