"""`mopflow support-pack` and `mopflow release-hold`, from the ledger alone: the system is away."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from mopflow.house import ledger_url
from mopflow.ledger import Entry, Event, Ledger
from mopflow.site_file import load

SMALL = Path(__file__).parents[1] / "sites" / "small.yaml"
FAILED = "Initiate upgrade Failed at Aug 16, 2016 9:21:11"
SEEN = {"troubles": [{"server": "mpe-1b", "text": FAILED, "can_be_released": True}]}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site where mpe-1 is stopped; no password is at hand, so that the console cannot be asked."""
    for name in ("GUI", "ADMUSR", "OSSI"):
        monkeypatch.delenv(f"MOPFLOW_LAB_{name}_PASSWORD", raising=False)
    file = tmp_path / "site.yaml"
    shutil.copy(SMALL, file)
    known = load(file)
    with Ledger.open(ledger_url(known, tmp_path)) as ledger:
        campaign = ledger.campaign(known.name, known.source, known.target, "c-1")
        me = ledger.register(campaign, known.name, "test", "test", "host", 1, 1.0).id
        ledger.record(campaign, known.name, me, Entry("10.2", 3, "", "mpe-1", Event.HELD, FAILED))
        ledger.open_hold(known.name, campaign, "mpe-1", "10.2", 3, "R8", FAILED, "wait", SEEN)
    return file


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_pack_by_hand(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = site.parent / "pack.tar.gz"
    code, said = answer(capsys, "support-pack", str(site), "mpe-1", "--out", str(out))
    assert (code, said["pack"], said["campaign"]) == (0, str(out), "c-1")
    with tarfile.open(out) as tar:
        files = {m.name.split("/", 1)[1]: tar.extractfile(m).read().decode() for m in tar.getmembers()}  # type: ignore[union-attr]
    assert FAILED in files["timeline.csv"]
    assert "Step 10.2/3: Upgrade clusters" in files["README.txt"]
    missing = {one["what"] for one in json.loads(files["manifest.json"])["missing"]}
    assert missing == {"live", "snapshot.json"}


def test_without_a_place_it_goes_into_the_evidence(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, "support-pack", str(site))
    assert code == 0
    assert Path(said["pack"]).is_file()
    with Ledger.open(ledger_url(load(site), site.parent)) as ledger:
        (kept,) = ledger.evidence("c-1")
    assert (kept.kind, kept.sha256) == ("support pack", said["sha256"])


@pytest.mark.parametrize("words", [["mpe-9"], ["--campaign", "c-2"]])
def test_nothing_to_pack(site: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, said = answer(capsys, "support-pack", str(site), *words)
    assert code == 1
    assert words[-1] in said["error"]


def test_a_cluster_is_released_once(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "release-hold",
        str(site),
        "mpe-1",
        "--by",
        "E. Ngineer",
        "--reason",
        "try again",
        "--ticket",
        "SR 3-1",
    )
    code, said = answer(capsys, *words)
    assert code == 0
    assert said["accepted"] == [{"server": "mpe-1b", "text": FAILED}]
    with Ledger.open(ledger_url(load(site), site.parent)) as ledger:
        assert ledger.holds("small") == []
    code, said = answer(capsys, *words)
    assert code == 1
    assert "has no hold" in said["error"]


@pytest.mark.parametrize("option", ["--by", "--reason"])
def test_a_release_needs_a_name_and_a_reason(
    site: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    given = {"--by": "E. Ngineer", "--reason": "try again"} | {option: " "}
    code, said = answer(
        capsys, "release-hold", str(site), "mpe-1", *(w for pair in given.items() for w in pair)
    )
    assert code == 1
    assert option in said["error"]
