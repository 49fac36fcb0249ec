"""The preparation with the real commands: Prefect, SSH, a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from nights import SMALL_SITE, Ended, Night, begin_unprepared, rehearsed

from cli.prefect_server import PrefectServer
from mopflow.ledger import Event

pytestmark = [pytest.mark.e2e, pytest.mark.twin, pytest.mark.browser, pytest.mark.timeout(900)]

PAIR = (("mpe-1", "MPE"),)
IN_ORDER = [
    "cmp-1b",
    "cmp-1a",
    "mpe-1b",
    "mpe-1a",
]  # 4.6.5 step 3: standby CMP, active CMP, standby MPE, active MPE


@pytest.fixture
def night(tmp_path: Path, prefect_server: PrefectServer) -> Iterator[Night]:
    found = begin_unprepared(
        tmp_path / "night",
        prefect_server.environment(),
        clusters=PAIR,
        minutes=3,
        weak_hashes=sorted(IN_ORDER),
    )
    try:
        yield found
    finally:
        found.close()


def readiness(night: Night) -> tuple[int, dict[str, Any]]:
    ended = night.mopflow("readiness", str(night.site_file), "--json")
    return ended.code, json.loads(ended.out)


def standings(document: dict[str, Any]) -> set[str]:
    return {check["standing"] for check in document["checks"]}


def prepare(night: Night, *options: str) -> Ended:
    return night.mopflow("prepare", str(night.site_file), *options)


def test_a_system_that_is_not_prepared_is_refused(night: Night) -> None:
    """Not ready, refused (R12); a health check that nobody has confirmed fails, and says how."""
    code, before = readiness(night)
    assert (code, standings(before)) == (3, {"not done"})
    refused = night.cmp()
    assert refused.code == 3, refused.err
    assert "R12" in str(night.holds().values())
    assert "not prepared" in refused.err and "mopflow prepare" in refused.err
    assert night.starts("initiate_upgrade") == []

    unconfirmed = prepare(night, "--only", "health-check")
    assert unconfirmed.code == 3, unconfirmed.err
    assert "mopflow confirm" in unconfirmed.err
    code, during = readiness(night)
    assert code == 3
    assert {c["check"] for c in during["checks"] if c["standing"] == "failed"} == {"prerequisites"}


@pytest.mark.soak  # each half has a shorter test: prepared and ready, a whole night; a second run, tests/twin/test_prep_*
def test_a_system_is_prepared_and_a_second_run_does_nothing(night: Night) -> None:
    for item in json.loads(night.mopflow("readiness", str(night.site_file), "--json").out)["to_confirm"]:
        assert night.mopflow("confirm", str(night.site_file), item, "--by", "J. Doe").code == 0

    done = prepare(night)
    assert done.code == 0, done.err
    code, after = readiness(night)
    assert code == 0, after
    assert standings(after) <= {"ok", "not needed"}

    rehashed = list(dict.fromkeys(e["server"] for e in night.events("password_set")))
    assert rehashed == IN_ORDER
    images = night.images()
    assert {server: len(found) for server, found in images.items()} == dict.fromkeys(images, 1)
    assert all("-12.1.2." in image for found in images.values() for image in found)
    backups = {path.parent.name for path in (night.folder / "backups").rglob("*.iso")}
    assert backups == {server.name for server in night.site.servers}
    assert [path.parent.name for path in (night.folder / "backups").rglob("*.tar.gz")] == ["cmp-1a"]

    events = len(night.flight())
    again = prepare(night)
    assert again.code == 0, again.err
    changed = [e for e in night.flight()[events:] if e["event"] in ("file", "password_set", "rcs", "backup")]
    assert changed == []


def test_an_override_counts_and_is_named(night: Night) -> None:
    site = str(night.site_file)
    blank = night.mopflow("override", site, "backup", "mpe-1a", "--by", " ", "--reason", "none")
    assert blank.code == 1 and "--by" in blank.err
    wrong = night.mopflow("override", site, "backup", "--by", "J. Doe", "--reason", "none")
    assert wrong.code == 1 and "mpe-1a" in wrong.err
    good = night.mopflow("override", site, "backup", "mpe-1a", "--by", "J. Doe", "--reason", "tape of Monday")
    assert good.code == 0, good.err
    _, document = readiness(night)
    found = [c for c in document["checks"] if c["overridden_by"] == "J. Doe"]
    assert [(c["check"], c["server"], c["standing"]) for c in found] == [("backup", "mpe-1a", "overridden")]
    assert "tape of Monday" in found[0]["text"]


@pytest.mark.soak
def test_killed_in_mid_preparation_and_started_again(night: Night) -> None:
    """kill -9 in the middle of the password work; the next run ends it, and nobody is locked out."""
    for item in json.loads(night.mopflow("readiness", str(night.site_file), "--json").out)["to_confirm"]:
        assert night.mopflow("confirm", str(night.site_file), item, "--by", "J. Doe").code == 0
    process = night.start("prepare", str(night.site_file))
    night.wait_for(lambda: night.events("password_set") or process.poll() is not None, 300)
    assert process.poll() is None, process.communicate()
    night.kill(process)
    done = prepare(night)
    assert done.code == 0, done.err
    assert readiness(night)[0] == 0
    assert night.events("ssh_login", ok=False) == []
    open_files: dict[tuple[str, str], int] = {}
    for event in night.events("rcs"):
        key = (event["server"], event["path"])
        open_files[key] = open_files.get(key, 0) + (1 if event["op"] == "co" else -1)
    assert set(open_files.values()) <= {0}, "something is left checked out"


@pytest.mark.soak
def test_a_rehearsal_of_the_preparation_alone(tmp_path: Path) -> None:
    with rehearsed(SMALL_SITE, tmp_path / "night", "--only", "prepare") as night:
        assert night.first.code == 0, night.first.err
        summary = json.loads(night.first.out)
        assert summary["readiness"]["ready"] is True
        assert summary["upgraded"] == []
        assert [c["command"] for c in summary["commands"]] == ["prepare"]
        assert night.starts("initiate_upgrade") == []
        answered = [row.entry for row in night.rows() if "lab.answers" in row.entry.text]
        assert answered, "what a person would answer is not recorded as the twin's"
        assert {e.event for e in answered} <= {Event.OBSERVED, Event.VERIFIED, Event.FOUND_DONE}


def test_a_window_that_is_moved_moves_its_run(
    tmp_path: Path, prefect_server: PrefectServer, in_prefect: PrefectServer
) -> None:
    from datetime import UTC, datetime, timedelta

    from prefect.client.orchestration import get_client

    from flows.prepare import prepare as flow
    from tasks.schedules import DEPLOYMENT

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(flow)
        client.create_deployment(flow_id, name="prepare")

    def runs() -> dict[str, str]:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(DEPLOYMENT).id
            return {
                str(s.slug): s.schedule.rrule  # type: ignore[union-attr]
                for s in client.read_deployment_schedules(deployment)
            }

    site = yaml.safe_load(SMALL_SITE.read_text())
    file = tmp_path / "site.yaml"
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=4)

    def with_windows(*windows: tuple[str, datetime]) -> Ended:
        site["windows"] = [
            {"name": n, "start": at.isoformat(), "end": (at + timedelta(hours=6)).isoformat()}
            for n, at in windows
        ]
        file.write_text(yaml.safe_dump(site))
        import os
        import subprocess
        import sys

        ended = subprocess.run(
            [sys.executable, "-m", "cli.main", "schedule", str(file), "--json"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **prefect_server.environment()},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    made = with_windows(("CMP", start), ("segment 1", start + timedelta(days=1)))
    assert made.code == 0, made.err
    before = runs()
    assert set(before) == {"small--cmp", "small--segment-1"}
    assert f"{start - timedelta(hours=30):%Y%m%dT%H%M%S}" in before["small--cmp"]
    again = with_windows(("CMP", start), ("segment 1", start + timedelta(days=1)))
    assert {s["did"] for s in json.loads(again.out)["schedules"]} == {"as it was"}
    moved = with_windows(("CMP", start + timedelta(days=2)))
    assert {s["key"]: s["did"] for s in json.loads(moved.out)["schedules"]} == {
        "small--cmp": "moved",
        "small--segment-1": "removed",
    }
    after = runs()
    assert set(after) == {"small--cmp"}
    assert f"{start + timedelta(days=2) - timedelta(hours=30):%Y%m%dT%H%M%S}" in after["small--cmp"]
    soon = with_windows(("CMP", datetime.now(UTC) + timedelta(hours=3)))
    assert json.loads(soon.out)["too_late"][0]["window"] == "CMP"
