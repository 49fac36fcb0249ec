"""`mopflow record SITE` and `mopflow record verify DIR`, as a person types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from mopflow.evidence import EvidenceStore
from mopflow.house import ledger_url
from mopflow.ledger import Entry, Event, Ledger
from mopflow.record.model import Record
from mopflow.site_file import load

SMALL = Path(__file__).parents[1] / "sites" / "small.yaml"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site on which one row was carried out, in two campaigns."""
    file = tmp_path / "site.yaml"
    shutil.copy(SMALL, file)
    known = load(file)
    with Ledger.open(ledger_url(known, tmp_path)) as ledger:
        for number in ("c-1", "c-2"):
            campaign = ledger.campaign(known.name, known.source, known.target, number)
            me = ledger.register(campaign, known.name, "upgrade-segment", "segment-1", "host", 1, 1.0).id
            ledger.record(campaign, known.name, me, Entry("10.2", 2, "", "mpe-1", Event.OBSERVED, "ready"))
            store = EvidenceStore(tmp_path / known.evidence, ledger, known.name, campaign, str)
            store.keep_text("10.2", 2, "mpe-1", "seen.json", "{}", "snapshot")
            ledger.end_executor(me, "done")
    return file


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_it_is_written_verified_and_a_changed_byte_is_found(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(capsys, "record", str(site))
    assert (code, said["campaign"]) == (0, "c-2")
    folder = Path(said["folder"])
    assert Record.model_validate_json(Path(said["json"]).read_text()).campaign == "c-2"
    assert "10.2/2" in Path(said["html"]).read_text()
    code, verdict = answer(
        capsys, "record", "verify", str(folder), "--head", said["head"], "--site", str(site)
    )
    assert (code, verdict["sound"], verdict["flaws"], verdict["head"]) == (0, True, [], said["head"])
    kept = next(folder.glob("10.2/2-mpe-1/*"))
    kept.write_text("[]")
    code, verdict = answer(capsys, "record", "verify", str(folder))
    assert code == 1
    assert verdict["flaws"] == [
        {"file": "10.2/2-mpe-1/001-seen.json", "place": "", "what": "it is not what was kept"}
    ]
    assert main(["record", "verify", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert "10.2/2-mpe-1/001-seen.json: it is not what was kept" in shown
    assert "NOT as it was written: 1 places" in shown
    code, said = answer(capsys, "record", str(site))  # it cannot be made good by writing it anew
    assert answer(capsys, "record", "verify", str(folder))[0] == 1
    assert "changed" in (folder / "record.html").read_text()


def test_a_copy_stands_by_itself(site: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "handed over"
    code, said = answer(capsys, "record", str(site), "--campaign", "c-1", "--out", str(out))
    assert (code, said["folder"]) == (0, str(out))
    shutil.rmtree(tmp_path / load(site).evidence)
    assert answer(capsys, "record", "verify", str(out), "--head", said["head"])[0] == 0
    code, said = answer(capsys, "record", str(site), "--out", str(out))
    assert code == 1
    assert "is used already" in said["error"]


def test_a_head_of_another_chain_is_none_of_this_one(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = answer(capsys, "record", str(site))
    code, verdict = answer(capsys, "record", "verify", said["folder"], "--head", "0" * 64)
    assert code == 1
    assert "another chain, or its end was cut off" in verdict["flaws"][0]["what"]


def test_the_same_record_again_adds_to_the_chain_and_takes_nothing_away(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, first = answer(capsys, "record", str(site))
    chain = (Path(first["folder"]) / "chain.jsonl").read_bytes()
    _, second = answer(capsys, "record", str(site))
    assert (Path(first["folder"]) / "chain.jsonl").read_bytes().startswith(chain)
    assert answer(capsys, "record", "verify", first["folder"], "--head", first["head"])[0] == 0
    assert first["head"] != second["head"]


@pytest.mark.parametrize(
    "words, says",
    [
        (["record", "SITE", "--campaign", "c-9"], "no campaign c-9"),
        (["record", "verify", "nowhere"], "holds no record"),
    ],
)
def test_what_is_not_there_is_said(
    site: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    code, said = answer(capsys, *(str(site) if word == "SITE" else word for word in words))
    assert code == 1
    assert says in said["error"]


def test_nothing_was_done_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "site.yaml"
    shutil.copy(SMALL, file)
    code, said = answer(capsys, "record", str(file))
    assert code == 1
    assert "nothing was done on this site yet" in said["error"]
    assert not (tmp_path / "mopflow-ledger.db").exists()
