"""The browser driver against the twin's own process, in both styles of its GUI; the flight record is the judge."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import paramiko
import pytest
import yaml
from pydantic import SecretStr

from mopflow.console.browser import BrowserConsole
from mopflow.console.protocol import Act, Gui, Intended, IsoImage, Operation, Overview, Page, Urgency
from mopflow.errors import ActRefused, LoginRefused, MayHaveRun, NotAnnounced, Unreachable, UnreadableReply
from mopflow.system import Doing, Role, ServerState, UpToDate

T = TypeVar("T")

pytestmark = [pytest.mark.twin, pytest.mark.browser]

OLD, NEW = "12.1.1.0.0_14.1.0", "12.1.2.0.0_22.1.0"
SITE1 = "CMP Site1 Cluster"
KIT = f"/var/camiant/iso/cmp-{NEW}-x86_64.iso"
SECRETS = {
    "MOPFLOW_LAB_ADMUSR_PASSWORD": "adm & <word>",
    "MOPFLOW_LAB_ROOT_PASSWORD": "root word",
    "MOPFLOW_LAB_GUI_PASSWORD": 'gui "<&>" word',
    "MOPFLOW_LAB_OSSI_PASSWORD": "ossi+&=word",
}
ADMUSR = SECRETS["MOPFLOW_LAB_ADMUSR_PASSWORD"]
START = Intended(Act.INITIATE_UPGRADE, "mpe-1", "mpe-1b")
SWITCH = Intended(Act.FAILOVER_TO_NEW, "mpe-1")


@dataclass(frozen=True)
class Twin:
    folder: Path
    endpoints: dict[str, Any]

    @contextmanager
    def console(self) -> Iterator[BrowserConsole]:
        console = BrowserConsole(
            self.endpoints["gui"][SITE1], "admin", SecretStr(SECRETS["MOPFLOW_LAB_GUI_PASSWORD"]),
            ca=self.folder / "ca.pem", chromium=None, refresh=0.0, deadline=15.0, login_budget=20,
        )  # fmt: skip
        try:
            yield console
        finally:
            console.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / "flight.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        return [e for e in (json.loads(line) for line in lines if line.endswith("\n")) if e["event"] == name]

    def started(self) -> list[tuple[str, str | None]]:
        return [
            (e["action"], e["server"] or e["cluster"])
            for e in self.events("action_started")
            if e["by"] == "admin"
        ]

    def put_kit(self, server: str = "cmp-1a") -> None:
        """9.1.1 step 8, 6.1.1 step 18."""
        self._run(server, "admusr", f"sudo cp -p /var/TKLC/upgrade/{KIT.rpartition('/')[2]} {KIT}")

    def copy_scripts(self, user: str) -> None:
        """6.1.1 step 7, 7.1.1 step 6."""
        sudo = "" if user == "root" else "sudo "
        self._run(
            "cmp-1a", user,
            f"{sudo}mount -o loop /var/TKLC/upgrade/{KIT.rpartition('/')[2]} /mnt/upgrade/",
            f"{sudo}cp /mnt/upgrade/upgrade/policyScripts/*.pl /opt/camiant/bin",
            f"{sudo}umount /mnt/upgrade",
        )  # fmt: skip

    def _run(self, server: str, user: str, *commands: str) -> None:
        at, word = self.endpoints["servers"][server], SECRETS[f"MOPFLOW_LAB_{user.upper()}_PASSWORD"]
        with paramiko.SSHClient() as ssh:
            ssh.load_host_keys(str(self.folder / "known_hosts"))
            ssh.connect(at["address"], at["port"], user, word, allow_agent=False, look_for_keys=False)
            for command in commands:
                _, out, _ = ssh.exec_command(command)
                assert out.channel.recv_exit_status() == 0


def until(look: Callable[[], T | None], seconds: float = 90.0) -> T:
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def patiently(read: Callable[[], T]) -> Callable[[], T | None]:
    """None while the console moves."""

    def attempt() -> T | None:
        try:
            return read()
        except (Unreachable, UnreadableReply):
            return None

    return attempt


def document(style: str, *faults: str, source: str = OLD) -> dict[str, Any]:
    clusters = [
        {
            "name": name, "kind": kind, "primary": True if kind == "CMP" else None, "site": "site-1",
            "segment": None if kind == "CMP" else "segment-1", "vip": "127.0.0.1",
            "servers": [
                {"name": f"{stem}{letter}", "address": f"127.22.{n}.{k}", "role": role,
                 "images": [f"{kind.lower()}-{NEW}-x86_64.iso"]}
                for k, (letter, role) in enumerate((("a", "Active"), ("b", "Standby")), 1)
            ],
        }
        for n, (name, kind, stem) in enumerate(
            ((SITE1, "CMP", "cmp-1"), ("mpe-1", "MPE", "mpe-1"), ("mra-1", "MRA", "mra-1")), 1
        )
    ]  # fmt: skip
    media = [
        {"file": f"{kind}-{release}-x86_64.iso", "type": kind, "size": 1 << 30, "md5": f"{n:032x}"}
        for n, (kind, release) in enumerate((k, r) for k in ("cmp", "mpe", "mra") for r in (source, NEW))
    ]
    durations = {
        "initiate_upgrade": dict.fromkeys(("CMP", "MPE", "MRA"), 2),
        "initiate_backout": dict.fromkeys(("CMP", "MPE", "MRA"), 2),
        "failover": 0.2,
        "upload_iso": 0.5,
    }
    return {
        "source": source, "target": NEW, "speed": 60, "gui_style": style, "clusters": clusters, "media": media,
        "faults": list(faults), "durations": durations,
    }  # fmt: skip


@contextmanager
def running(folder: Path, content: dict[str, Any]) -> Iterator[Twin]:
    (folder / "twin.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    out = folder / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", str(folder / "twin.yaml"), "--out", str(out)],
        env={**os.environ, **SECRETS}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        ready = out / "endpoints.json"
        until(lambda: True if ready.exists() or process.poll() is not None else None)
        assert process.poll() is None, "the twin did not start"
        yield Twin(out, json.loads(ready.read_text(encoding="utf-8")))
    finally:
        process.terminate()
        assert process.wait(20) == 0


class Album:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Path] = []

    def next(self, label: str) -> Path:
        self.files.append(self.folder / f"{len(self.files)}-{label}.png")
        return self.files[-1]


def succeeded(console: BrowserConsole, server: str) -> None:
    def done() -> bool | None:
        row = next(s for s in console.overview().servers if s.name == server)
        return True if row.operation.doing is Doing.SUCCEEDED and row.role is Role.STANDBY else None

    until(done)


def images_on(console: BrowserConsole, server: str) -> tuple[IsoImage, ...]:
    return next(row.images for row in console.iso_maintenance() if row.server == server)


@pytest.mark.soak
@pytest.mark.parametrize("style", ["table", "grid"])
def test_a_cluster_forth_and_back(tmp_path: Path, style: str) -> None:
    with running(tmp_path, document(style)) as twin, twin.console() as console:
        page = console.overview()
        assert [s.name for s in page.servers] == ["cmp-1a", "cmp-1b", "mpe-1a", "mpe-1b", "mra-1a", "mra-1b"]
        assert page.current_iso == "Install Kit"
        assert console.about().short == "12.1.1"
        assert [(row.cluster, row.mark) for row in console.topology()] == [
            (SITE1, "P"),
            ("mpe-1", ""),
            ("mra-1", ""),
        ]
        assert all(row.tps > 0 for row in console.kpi_dashboard())
        assert console.active_alarms() == () and console.kits() == ()
        with pytest.raises(NotAnnounced, match="disabled"):
            console.advance(START)

        twin.put_kit()
        assert [kit.path for kit in console.kits()] == [KIT]
        assert console.select_iso(KIT) == "Operation successful."
        until(lambda: True if console.overview().servers[2].up_to_date is UpToDate.NO else None)

        for wrong in (
            Intended(Act.INITIATE_UPGRADE, "mpe-1", "mpe-1a"),
            SWITCH,
            Intended(Act.FAILOVER_TO_OLD, "mpe-1"),
        ):
            with pytest.raises(NotAnnounced):
                console.advance(wrong)
        assert twin.started() == [("select_iso", SITE1)] or twin.started() == [("select_iso", None)]

        album = Album(tmp_path)
        console.advance(START, shots=album)
        assert len(album.files) == 3 and all(file.exists() for file in album.files)
        until(lambda: True if Role.OOS in {s.role for s in console.overview().servers} else None)
        succeeded(console, "mpe-1b")
        assert 70503 in {alarm.number for alarm in console.active_alarms() if alarm.source == "mpe-1b"}
        log = console.upgrade_log("mpe-1")
        assert ("Initiate upgrade", "mpe-1b", "Success") in {
            (line.action, line.hostname, line.result) for line in log
        }

        console.advance(SWITCH)
        until(lambda: True if console.cluster_page("mpe-1").mismatch else None)
        console.reapply_configuration("mpe-1")
        assert console.cluster_page("mpe-1").version.short == "12.1.2"
        console.reset_counters("mpe-1")
        console.advance(Intended(Act.FAILOVER_TO_OLD, "mpe-1"), urgency=Urgency.ROLLBACK)
        until(lambda: True if console.cluster_page("mpe-1").mismatch else None)
        console.reapply_configuration("mpe-1", urgency=Urgency.ROLLBACK)
        assert console.cluster_page("mpe-1").version.short == "12.1.1"

        console.delete_iso(["mra-1a", "mra-1b"])
        until(lambda: True if images_on(console, "mra-1a") == () else None)
        source, file = twin.endpoints["servers"]["mpe-1a"]["address"], f"mpe-{NEW}-x86_64.iso"
        console.upload_iso(["mra-1a"], source, "admusr", ADMUSR, f"/var/TKLC/upgrade/{file}")
        full = (IsoImage(file, 100),)
        until(lambda: True if images_on(console, "mra-1a") == full else None)
        assert console.screenshot(Page.UPGRADE_MANAGER, tmp_path / "end.png").exists()

        acts = [act for act, _ in twin.started()]
        assert acts == [
            "select_iso", "initiate_upgrade", "failover", "reapply", "reset_counters", "failover", "reapply",
            "delete_iso", "delete_iso", "upload_iso",
        ]  # fmt: skip
        assert [e["ok"] for e in twin.events("gui_login")] == [True]


def test_lost_answers_and_the_switch_of_the_console(tmp_path: Path) -> None:
    faults = ("answer_lost@mpe-1", "session_lost@mra-1", "wrong_action@mpe-1")
    with running(tmp_path, document("table", *faults)) as twin, twin.console() as console:
        twin.put_kit()
        console.select_iso(KIT)
        with pytest.raises(MayHaveRun):
            console.advance(START)
        with pytest.raises(MayHaveRun):
            console.advance(Intended(Act.INITIATE_UPGRADE, "mra-1", "mra-1b"))
        succeeded(console, "mpe-1b")
        with pytest.raises(NotAnnounced):  # it announces an upgrade of the active server
            console.advance(SWITCH)
        begun = [act for act in twin.started() if act[0] != "select_iso"]
        assert begun == [("initiate_upgrade", "mpe-1b"), ("initiate_upgrade", "mra-1b")]

        console.advance(Intended(Act.INITIATE_UPGRADE, SITE1, "cmp-1b"))
        succeeded(console, "cmp-1b")
        console.advance(Intended(Act.FAILOVER_TO_NEW, SITE1))
        release = until(
            lambda: found if (found := patiently(console.about)()) and found.short == "12.1.2" else None
        )
        assert release.same_build(release)
        roles = {s.name: s.role for s in until(patiently(console.overview)).servers}
        assert roles["cmp-1b"] is Role.ACTIVE


def test_a_refused_login_is_tried_once(tmp_path: Path) -> None:
    with running(tmp_path, document("table", "login_refused@gui")) as twin:
        with twin.console() as console:
            assert console.about().short == "12.1.1"
        with twin.console() as console:
            for _ in range(3):
                with pytest.raises(LoginRefused):
                    console.overview()
        assert [e["ok"] for e in twin.events("gui_login")] == [True, False]


def shows(console: BrowserConsole, right: Callable[[Overview], bool]) -> Overview:
    """Wait until the overview, in whichever GUI, shows this."""

    def attempt() -> Overview | None:
        page = patiently(console.overview)()
        return page if page is not None and right(page) else None

    return until(attempt)


def row(page: Overview, server: str) -> ServerState:
    return next(state for state in page.servers if state.name == server)


def switched(console: BrowserConsole, act: Callable[[], str], to: Gui) -> Overview:
    """An act after which the VIP serves the other GUI; the connection may be gone before its answer."""
    with contextlib.suppress(MayHaveRun):
        assert act() == "Operation successful."
    return shows(console, lambda page: page.gui is to)


@pytest.mark.parametrize(
    ("style", "source", "user"),
    [
        pytest.param("table", "10.5.6_1.1.0", "root", marks=pytest.mark.soak),
        ("grid", "11.5.2.0.0_38.1.0", "admusr"),
    ],
)
def test_the_gui_changes_with_the_release_and_back(
    tmp_path: Path, style: str, source: str, user: str
) -> None:
    with running(tmp_path, document(style, source=source)) as twin, twin.console() as console:
        page = console.overview()
        names = [state.name for state in page.servers]
        assert page.gui is Gui.MAINTENANCE and names == [
            "cmp-1a",
            "cmp-1b",
            "mpe-1a",
            "mpe-1b",
            "mra-1a",
            "mra-1b",
        ]
        assert not any(state.sync_broken for state in page.servers)
        assert console.about().text == source
        assert {row.server for row in console.rep_stats()} == set(names[2:])
        assert {row.cluster for row in console.trending()} <= {"mpe-1", "mra-1"}
        assert all(row.tps > 0 for row in console.kpi_dashboard())
        assert console.screenshot(Page.SYSTEM_MAINTENANCE, tmp_path / "old.png").exists()
        with pytest.raises(NotAnnounced, match="no Upgrade Manager"):
            console.advance(Intended(Act.INITIATE_UPGRADE, SITE1, "cmp-1b"))

        twin.copy_scripts(user)
        console.operate(Operation.PUSH_SCRIPTS, names)
        with pytest.raises(ActRefused, match="not in Force Standby"):
            console.operate(Operation.START_UPGRADE, ["cmp-1b"])
        console.operate(Operation.FORCE_STANDBY, ["cmp-1b"])
        shows(console, lambda page: row(page, "cmp-1b").role is Role.FORCED_STANDBY)
        console.operate(Operation.START_UPGRADE, ["cmp-1b"])
        page = shows(console, lambda page: row(page, "cmp-1b").sync_broken)
        assert (
            row(page, "cmp-1b").operation.doing is not Doing.NOTHING and not row(page, "cmp-1a").sync_broken
        )
        page = shows(console, lambda page: done(row(page, "cmp-1b")))
        release = row(page, "cmp-1b").release
        assert release is not None and release.short == "12.1.2"

        page = switched(
            console, lambda: console.operate(Operation.SWITCH_FORCE_STANDBY, [SITE1]), Gui.DIRECTOR
        )
        assert (row(page, "cmp-1b").role, page.current_iso) == (Role.ACTIVE, "Install Kit")
        assert console.about().short == "12.1.2" and console.kits() == ()
        assert console.screenshot(Page.OVERVIEW, tmp_path / "new.png").exists()
        with pytest.raises(NotAnnounced, match="no such entry"):
            console.operate(Operation.BACKOUT, ["cmp-1a"])

        twin.put_kit("cmp-1b")
        console.select_iso(KIT)
        back = Intended(Act.FAILOVER_TO_OLD, SITE1)
        page = switched(console, lambda: console.advance(back), Gui.MAINTENANCE)
        assert (row(page, "cmp-1a").role, console.about().text) == (Role.ACTIVE, source)
        shows(console, lambda page: row(page, "cmp-1b").role is Role.FORCED_STANDBY)
        console.operate(Operation.BACKOUT, ["cmp-1b"])
        page = shows(
            console, lambda page: done(row(page, "cmp-1b")) and row(page, "cmp-1b").operation.backout
        )
        console.operate(Operation.CANCEL_FORCE_STANDBY, ["cmp-1b"])
        page = shows(console, lambda page: row(page, "cmp-1b").role is Role.STANDBY)
        release = row(page, "cmp-1b").release
        assert release is not None and release.text == source

        assert [act for act in twin.started() if act[0] != "push_scripts"] == [
            ("force_standby", "cmp-1b"), ("initiate_upgrade", "cmp-1b"), ("switch_force_standby", SITE1),
            ("select_iso", None),
            ("failover", SITE1), ("initiate_backout", "cmp-1b"), ("cancel_force_standby", "cmp-1b"),
        ]  # fmt: skip


def done(state: ServerState) -> bool:
    return state.operation.doing is Doing.SUCCEEDED and not state.sync_broken
