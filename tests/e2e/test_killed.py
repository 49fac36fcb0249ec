"""kill -9 of the command in mid-segment, then the same command again: it goes on at the right step."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from nights import Night, begin

from cli.prefect_server import PrefectServer
from mopflow.ledger import Event

pytestmark = [pytest.mark.e2e, pytest.mark.twin, pytest.mark.browser, pytest.mark.timeout(900)]

CLUSTERS = (("mpe-1", "MPE"), ("mra-1", "MRA"))
TWICE_NEVER = ("initiate_upgrade", "failover")


def intended(key: str) -> Callable[[Night], bool]:
    """The intention is written, the act may or may not have been sent."""

    def happened(night: Night) -> bool:
        procedure, step = key.split("/")
        with night.ledger() as ledger:
            return bool(
                ledger.rows(
                    site=night.site.name, procedure=procedure, step=int(step), events=(Event.INTENDED,)
                )
            )

    return happened


def started(action: str, count: int = 1) -> Callable[[Night], bool]:
    """The twin has accepted the act; whether the answer arrived is another matter."""
    return lambda night: len(night.starts(action)) >= count


MOMENTS: dict[str, Callable[[Night], bool]] = {
    "between intention and answer of the first start": intended("10.2/3"),
    "the first start was accepted": started("initiate_upgrade"),
    "the second start was accepted": started("initiate_upgrade", 2),
    "between intention and answer of the failover": intended("10.2/4"),
    "the failover was accepted": started("failover"),
    "between intention and answer of the re-apply": intended("10.2/5"),
    "the re-apply was accepted": started("reapply"),
    "between intention and answer of the last start": intended("10.2/9"),
    "the third start was accepted": started("initiate_upgrade", 3),
    "between intention and answer of the last re-apply": intended("10.2/10"),
}
QUICK = ("between intention and answer of the failover",)


def killed_and_resumed(night: Night, happened: Callable[[Night], bool], delay: float) -> None:
    process = night.start("upgrade-segment", str(night.site_file), "segment-1")
    night.wait_for(lambda: happened(night) or process.poll() is not None)
    if delay:
        seen = len(night.flight())
        night.wait_for(lambda: len(night.flight()) >= seen + delay or process.poll() is not None, 60)
    assert process.poll() is None, "it ended before it could be killed"
    night.kill(process)
    paper = (night.record() / "continue.txt").read_text()
    assert re.search(r"^>>> continue here at 10\.2 step \d+ on (mpe-1|mra-1)$", paper, re.M), paper
    written = night.mopflow("record", str(night.site_file), "--json")
    assert written.code == 0, written.err
    assert night.mopflow("record", "verify", str(night.record())).code == 0
    at = night.flight()[-1]["t"]
    ended = night.segment()
    assert ended.code == 0, ended.err
    assert set(night.releases().values()) == {"12.1.2.0.0_22.1.0"}
    assert night.violations(complete=True) == []
    for cluster, _ in CLUSTERS:
        assert len(night.starts("initiate_upgrade", cluster)) == 2, "a start was sent twice"
        assert len(night.starts("failover", cluster)) == 1, "a failover was sent twice"
    with night.ledger() as ledger:
        notes = [r.entry.text for r in ledger.rows(site=night.site.name, events=(Event.NOTE,))]
        assert any("died" in note for note in notes), "nobody noticed the dead run"
        assert ledger.leases(site=night.site.name) == []
    assert at >= 0
    head = json.loads(written.out)["head"]
    verified = night.mopflow("record", "verify", str(night.record()), "--head", head)
    assert verified.code == 0, verified.out


@pytest.mark.parametrize("moment", QUICK)
def test_killed_at_a_moment_that_matters(moment: str, tmp_path: Path, prefect_server: PrefectServer) -> None:
    night = begin(
        tmp_path / "night", prefect_server.environment(), clusters=CLUSTERS, minutes=4, cmp_done=True
    )
    try:
        killed_and_resumed(night, MOMENTS[moment], 0)
    finally:
        night.close()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_ten_moments(seed: int, tmp_path: Path, prefect_server: PrefectServer) -> None:
    """Ten moments chosen by seed: each of the table once, and some records of the twin later."""
    dice = random.Random(seed)
    name = list(MOMENTS)[seed % len(MOMENTS)]
    night = begin(
        tmp_path / "night",
        prefect_server.environment(),
        clusters=CLUSTERS,
        minutes=4,
        cmp_done=True,
        seed=seed,
    )
    try:
        killed_and_resumed(night, MOMENTS[name], dice.randrange(0, 6))
    finally:
        night.close()
