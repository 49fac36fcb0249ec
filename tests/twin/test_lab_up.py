"""`mopflow lab up` from outside: what it leaves in its folder, what a person can do with it, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest

from mopflow.site_file import load

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "sites" / "small.yaml"
PATIENCE = 60.0  # real seconds until what must come is given up

pytestmark = pytest.mark.twin


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", *words]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def environment(folder: Path) -> dict[str, str]:
    """What a person's shell has after sourcing secrets.env."""
    lines = (folder / "secrets.env").read_text(encoding="utf-8").splitlines()
    return {name: value.strip("'") for name, value in (line.split("=", 1) for line in lines)}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        # as in a person's terminal: tests that were started in the background hand on that SIGINT is ignored
        ["env", "--default-signal=INT", *command("lab", "up", str(SMALL), "--out", str(folder))],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        wait_for(
            lambda: (folder / "pids.json").exists() or process.poll() is not None, "the twin did not come up"
        )
        assert process.poll() is None, process.stdout and process.stdout.read()
        yield process, folder
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def test_a_person_can_use_it_and_ctrl_c_ends_all_of_it(up: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = up
    secrets = environment(folder)
    assert stat.S_IMODE((folder / "secrets.env").stat().st_mode) == 0o600
    site = load(folder / "site.yaml")
    server = site.server("mpe-1b")
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(folder / "known_hosts"))
        client.connect(
            server.address, server.port, "admusr", secrets["MOPFLOW_LAB_ADMUSR_PASSWORD"],
            allow_agent=False, look_for_keys=False,
        )  # fmt: skip
        _, out, _ = client.exec_command("hostname")
        assert out.read().decode().strip() == "mpe-1b"
    pid = json.loads((folder / "pids.json").read_text(encoding="utf-8"))["twin"]
    assert alive(pid)

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert not alive(pid)
    assert not (folder / "secrets.env").exists()
    assert "secrets.env" in said
    left = "".join(
        path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*") if path.is_file()
    )
    for value in secrets.values():
        assert value not in said
        assert value not in left


@pytest.mark.browser
def test_status_reads_ledger_and_console(up: tuple[subprocess.Popen[str], Path]) -> None:
    _, folder = up
    site = str(folder / "site.yaml")
    words = command("status", site, "--json")
    live = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment(folder)},
    )
    assert live.returncode == 0, live.stderr
    board = json.loads(live.stdout)
    roles = {server["name"]: server["role"] for cluster in board["clusters"] for server in cluster["servers"]}
    assert len(roles) == len(load(SMALL).servers)
    assert (roles["mpe-1a"], roles["mpe-1b"]) == ("Active", "Standby")
    assert board["live"] is True
    assert not (folder / "ledger.db").exists()  # looking leaves nothing

    blind = subprocess.run(
        command("status", site), cwd=ROOT, capture_output=True, text=True, timeout=240,
        env={name: value for name, value in os.environ.items() if not name.startswith("MOPFLOW_")},
    )  # fmt: skip
    assert blind.returncode == 1
    assert "MOPFLOW_LAB_GUI_PASSWORD is not set" in blind.stderr
    assert "source DIR/secrets.env" in blind.stderr


def test_an_unknown_fault_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    done = subprocess.run(
        command("lab", "up", str(SMALL), "--out", str(tmp_path / "run"), "--fault", "rain@mpe-1b"),
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "unknown name" in done.stderr
    assert "upgrade_fails" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "secrets.env").exists()
