"""`mopflow notices`: what people were told, in order, and a test message to every channel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from catchers import PASSWORD, free_port, post

from cli.main import main
from mopflow.house import ledger_url
from mopflow.ledger import Ledger
from mopflow.site_file import load

SMALL = Path(__file__).parents[1] / "sites" / "small.yaml"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.yaml"
    shutil.copy(SMALL, file)
    return file


def told(site: Path) -> None:
    known = load(site)
    with Ledger.open(ledger_url(known, site.parent)) as ledger:
        for campaign in ("old", "new"):
            ledger.campaign(known.name, known.source, known.target, campaign)
        ledger.add_notice(known.name, "old", "long ago", True, "")
        facts = {"kind": "hold", "body": "what\nto do", "tags": "duty"}
        ledger.add_notice(known.name, "new", "HOLD mpe-1", True, "", tries=2, **facts)  # type: ignore[arg-type]
        ledger.add_notice(
            known.name, "new", "ALL DONE", False, "endpoint 1: refused", kind="all-done", tries=6
        )


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_newest_campaign_is_listed_in_order(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(site)
    code, said = answer(capsys, "notices", str(site))
    assert code == 0
    assert [(one["subject"], one["kind"], one["for"], one["tries"]) for one in said] == [
        ("HOLD mpe-1", "hold", "duty", 2),
        ("ALL DONE", "all-done", "", 6),
    ]
    assert [(one["delivered"], one["why_not"]) for one in said] == [
        (True, None),
        (False, "endpoint 1: refused"),
    ]
    assert main(["notices", str(site)]) == 0
    shown = capsys.readouterr().out
    assert shown.index("HOLD mpe-1") < shown.index("ALL DONE")
    assert "no: endpoint 1: refused" in shown
    assert main(["notices", str(site), "--bodies", "--campaign", "new"]) == 0
    assert "what\nto do" in capsys.readouterr().out


def test_another_campaign_is_named_and_has_to_be_there(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(site)
    code, said = answer(capsys, "notices", str(site), "--campaign", "old")
    assert (code, [one["subject"] for one in said]) == (0, ["long ago"])
    code, said = answer(capsys, "notices", str(site), "--campaign", "none")
    assert code == 1 and "it has old, new" in said["error"]


def test_nobody_was_told_anything_and_no_ledger_is_made(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(capsys, "notices", str(site)) == (0, [])
    assert list(site.parent.glob("*.db")) == []


def test_a_test_message_goes_to_every_channel(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with post() as duty:
        dead = f"customer=json://robot:{PASSWORD}@127.0.0.1:{free_port()}/{PASSWORD}"
        monkeypatch.setenv("MOPFLOW_TRY_URL", f"duty={duty.url}\n{dead}")
        rules = {"notifications": {"urls": [{"env": "MOPFLOW_TRY_URL"}]}}
        site.write_text(site.read_text() + yaml.safe_dump(rules))
        code, said = answer(capsys, "notices", str(site), "--test")
        assert duty.titles == ["TEST can you read this? (small)"]
    assert code == 1
    assert [(one["for"], one["delivered"]) for one in said] == [("duty", True), ("customer", False)]
    assert "onnection" in said[1]["why_not"]
    assert PASSWORD not in str(said)


def test_without_a_channel_there_is_nothing_to_test(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, "notices", str(site), "--test")
    assert code == 1 and "names no channel" in said["error"]
