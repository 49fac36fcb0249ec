"""A backout that fails half way, and an upgrade that is turned round and back again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from nights import SOURCE, TARGET, Night, begin
from packs import complete

from cli.prefect_server import PrefectServer

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.twin,
    pytest.mark.browser,
    pytest.mark.soak,
    pytest.mark.timeout(1500),
]

PRIMARY, SECONDARY = "CMP Site1 Cluster", "CMP Site2 Cluster"
PAIR = (("mpe-1", "MPE"), ("mra-1", "MRA"))
ANSWERS = {"no_new_features": "nothing new was used", "oracle_consulted": "a rehearsal: nobody to consult"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "night"


@pytest.mark.parametrize("server", ["mpe-1b", "mpe-1a"], ids=["first", "second"])
def test_a_backout_that_fails_half_way(server: str, folder: Path, prefect_server: PrefectServer) -> None:
    """Held with its pack, nothing more is begun, and what runs on the other cluster comes to its end; released, it goes
    back to the end."""
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR,
        minutes=20,
        faults=[f"backout_fails@{server}"],
        all_done=True,
        answers=ANSWERS,
    )
    try:
        site = str(night.site_file)
        ended = night.mopflow("back-out", site, "mpe-mra")
        assert ended.code == 3, ended.err
        assert night.events("fault", where=server), "the fault never bit"
        assert night.all_at_rest()
        assert night.holds().get("mpe-1") == "R8", night.holds()
        assert night.violations(failures_stop=True, notice=300.0) == []
        complete(night, "mpe-1", server, failed="Initiate backout Failed")
        assert night.releases()[server] == TARGET
        others = [e["result"] for e in night.events("action_ended", cluster="mra-1") if e["server"]]
        assert others and set(others) == {"Success"}
        begun = len(night.starts("initiate_backout")), len(night.starts("failover"))
        assert night.mopflow("back-out", site, "mpe-mra").code == 3
        assert (len(night.starts("initiate_backout")), len(night.starts("failover"))) == begun

        word = ("--by", "Ada", "--reason", "Oracle: try it again", "--ticket", "SR 3-1234")
        released = night.mopflow("release-hold", site, "mpe-1", *word)
        assert released.code == 0, released.err
        ended = night.mopflow("back-out", site, "mpe-mra")
        assert ended.code == 0, ended.err
        assert {night.releases()[f"{name}{x}"] for name, _ in PAIR for x in "ab"} == {SOURCE}
        assert night.violations(complete=True) == []
        assert night.holds() == {}
    finally:
        night.close()


def interrupted(night: Night, happened: Callable[[], bool], *command: str) -> None:
    """The operator ends the command in the middle (Ctrl-C), once this has happened."""
    process = night.start(*command)
    night.wait_for(lambda: happened() or process.poll() is not None, 300)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)


def one_more(night: Night, action: str, cluster: str) -> Callable[[], bool]:
    """Was this act begun once more on the cluster, from now on?"""
    before = len(night.starts(action, cluster))
    return lambda: len(night.starts(action, cluster)) > before


def test_the_cmps_are_turned_round_and_back_again(folder: Path, prefect_server: PrefectServer) -> None:
    """Before the switch of the primary and after it all the way back; between the clusters back and forward again."""
    night = begin(
        folder,
        prefect_server.environment(),
        clusters=PAIR[:1],
        minutes=2,
        answers=ANSWERS,
    )
    try:
        site = str(night.site_file)
        up, back = ("upgrade-cmp", site), ("back-out", site, "all")
        for action in ("initiate_upgrade", "failover"):
            interrupted(night, one_more(night, action, PRIMARY), *up)
            ended = night.mopflow(*back)
            assert ended.code == 0, ended.err
            assert set(night.releases().values()) == {SOURCE}
        interrupted(night, one_more(night, "initiate_upgrade", SECONDARY), *up)
        interrupted(night, one_more(night, "initiate_backout", PRIMARY), *back)
        assert {night.releases()[f"cmp-2{x}"] for x in "ab"} == {SOURCE}
        ended = night.mopflow(*up)
        assert ended.code == 0, ended.err
        assert {night.releases()[f"cmp-{n}{x}"] for n in "12" for x in "ab"} == {TARGET}
        assert night.violations(complete=True) == []
        assert not night.events("refused"), "a direction was reversed while an action ran"
    finally:
        night.close()
