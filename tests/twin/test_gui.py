"""The console of the twin in a real Chromium, against the twin's own process: what a person sees and can do."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import paramiko
import pytest
import yaml
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

T = TypeVar("T")

pytestmark = [pytest.mark.twin, pytest.mark.browser]

OLD, NEW = "12.1.1.0.0_14.1.0", "12.1.2.0.0_22.1.0"
SITE1, SITE2 = "CMP Site1 Cluster", "CMP Site2 Cluster"
CMP_ISO = f"cmp-{NEW}-x86_64.iso"
KIT = f"/var/camiant/iso/{CMP_ISO}"
SECRETS = {
    "MOPFLOW_LAB_ADMUSR_PASSWORD": "adm & <word>",
    "MOPFLOW_LAB_ROOT_PASSWORD": "root word",
    "MOPFLOW_LAB_GUI_PASSWORD": 'gui "<&>" word',
    "MOPFLOW_LAB_OSSI_PASSWORD": "ossi+&=word",
}
GUI_WORD = SECRETS["MOPFLOW_LAB_GUI_PASSWORD"]
CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PAGES: list[tuple[tuple[str, ...], str, list[str]]] = [
    (("Policy Server", "Configuration"), "Policy Server Configuration", ["Name", "Appl Type", "Status", "Version"]),
    (("MRA", "Configuration"), "MRA Configuration", ["Name", "Appl Type", "Status", "Version"]),
    (("System Wide Reports", "Alarms", "Active Alarms"), "Active Alarms",
     ["Occurrence", "Severity", "Alarm ID", "Text", "OAM VIP", "Source"]),
    (("System Wide Reports", "KPI Dashboard"), "KPI Dashboard",
     ["Name", "Kind", "TPS", "PDN Connections", "Active Subscribers", "Critical", "Major", "Minor"]),
    (("System Wide Reports", "Trending Reports"), "Trending Reports",
     ["Name", "Start Time", "End Time", "Messages In", "Messages Out", "Complete"]),
    (("System Wide Reports", "Others", "MPE/MRA Rep Stats"), "MPE/MRA Rep Stats",
     ["Name", "Peer", "Status", "Delay"]),
    (("Platform Setting", "Topology Settings"), "Topology Settings",
     ["Name", "Appl Type", "Site", "OAM VIP", "Server-A", "Server-A IP", "Server-B", "Server-B IP", "Status"]),
    (("Upgrade", "Upgrade Manager"), "Upgrade Manager",
     ["Name", "Alarm Severity", "Up to Date", "Server Role", "Prev Release", "Running Release",
      "Upgrade Operation"]),
    (("Upgrade", "ISO Maintenance"), "ISO Maintenance",
     ["Name", "Appl Type", "Site", "IP", "Running Release", "ISO"]),
    (("Upgrade", "System Maintenance"), "System Maintenance",
     ["Name", "Appl Type", "IP", "Server Role", "Running Release", "Replication", "Upgrade Operation"]),
    (("Help", "About"), "About", []),
]  # fmt: skip


@dataclass(frozen=True)
class Twin:
    folder: Path
    endpoints: dict[str, Any]

    def url(self, cluster: str = SITE1) -> str:
        return str(self.endpoints["gui"][cluster])

    def events(self, *names: str) -> list[dict[str, Any]]:
        lines = (self.folder / "flight.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in found if event["event"] in names]

    def acts(self, event: str = "action_started") -> list[tuple[str, str | None, str]]:
        return [(e["action"], e["server"] or e["cluster"], e["by"]) for e in self.events(event)]

    def await_event(self, name: str, **fields: Any) -> dict[str, Any]:
        return until(
            lambda: next(
                (e for e in self.events(name) if all(e.get(k) == v for k, v in fields.items())), None
            )
        )

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url(),
            verify=ssl.create_default_context(cafile=self.folder / "ca.pem"),
            trust_env=False,
        )

    def put_kit(self) -> None:
        """9.1.1 step 8."""
        at = self.endpoints["servers"]["cmp-1a"]
        with paramiko.SSHClient() as ssh:
            ssh.load_host_keys(str(self.folder / "known_hosts"))
            ssh.connect(
                at["address"], at["port"], "admusr", SECRETS["MOPFLOW_LAB_ADMUSR_PASSWORD"], allow_agent=False,
                look_for_keys=False,
            )  # fmt: skip
            _, out, _ = ssh.exec_command(f"sudo cp -p /var/TKLC/upgrade/{CMP_ISO} {KIT}")
            assert out.channel.recv_exit_status() == 0


def until(look: Callable[[], T | None], seconds: float = 30.0) -> T:
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def config(style: str = "table", faults: tuple[str, ...] = (), **durations: Any) -> dict[str, Any]:
    kinds = {SITE1: "CMP", SITE2: "CMP", "mpe-1": "MPE", "mra <1>": "MRA"}
    stems = {SITE1: "cmp-1", SITE2: "cmp-2", "mpe-1": "mpe-1", "mra <1>": "mra-1"}
    clusters = []
    for n, (name, kind) in enumerate(kinds.items(), 1):
        new = f"{kind.lower()}-{NEW}-x86_64.iso"
        old = f"{kind.lower()}-{OLD}-x86_64.iso"
        clusters.append({
            "name": name, "kind": kind, "primary": {SITE1: True, SITE2: False}.get(name),
            "site": "site-2" if name == SITE2 else "site-1", "segment": None if kind == "CMP" else "segment-1",
            "vip": "127.0.0.1",
            "servers": [
                {"name": f"{stems[name]}a", "address": f"127.21.{n}.1", "role": "Active", "images": [new]},
                {"name": f"{stems[name]}b", "address": f"127.21.{n}.2", "role": "Standby",
                 "images": [old] if name == SITE2 else [new]},
            ],
        })  # fmt: skip
    media = [
        {"file": f"{kind}-{release}-x86_64.iso", "type": kind, "size": 1 << 30, "md5": f"{n:032x}"}
        for n, (kind, release) in enumerate((k, r) for k in ("cmp", "mpe", "mra") for r in (OLD, NEW))
    ]
    lasts = {
        "initiate_upgrade": dict.fromkeys(("CMP", "MPE", "MRA"), 3),
        "failover": 0.3,
        "upload_iso": 1.0,
    }
    return {
        "source": OLD, "target": NEW, "speed": 60, "gui_style": style, "clusters": clusters, "media": media,
        "faults": list(faults), "durations": {**lasts, **durations},
    }  # fmt: skip


@contextmanager
def running(folder: Path, content: dict[str, Any]) -> Iterator[Twin]:
    folder.mkdir(parents=True, exist_ok=True)
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
    log = (out / "twin.log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert not [word for word in SECRETS.values() if word in log or quote(word) in log]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        here = Path("/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=here if here.exists() else None, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    context.close()
    assert broken == []


def login(page: Page, twin: Twin, cluster: str = SITE1, word: str = GUI_WORD) -> None:
    page.goto(twin.url(cluster))
    expect(page.get_by_role("heading", name="Oracle Communications Policy Management")).to_be_visible()
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(word)
    page.get_by_role("button", name="Login").click()


def visit(page: Page, *way: str) -> None:
    scope = page.get_by_role("navigation")
    for group in way[:-1]:
        button = scope.get_by_role("button", name=group, exact=True)
        if button.get_attribute("aria-expanded") == "false":
            button.click()
        scope = button.locator("xpath=..")
    scope.get_by_role("link", name=way[-1], exact=True).click()


def pick(page: Page, style: str, menu: str, item: str) -> None:
    button = page.get_by_role("button", name=menu, exact=True)
    if style == "grid":
        page.mouse.move(0, 0)
        button.hover()
    else:
        button.click()
    page.get_by_role("menu", name=menu).get_by_text(item, exact=True).click()
    page.mouse.move(0, 0)


def row_of(page: Page, server: str) -> list[str]:
    """The cells of a server's row, whichever the style of the grid."""
    row = page.get_by_role("row").filter(has=page.get_by_text(server, exact=True)).first
    # waits for the row, and takes all its cells at one moment
    cells: list[str] = row.evaluate(
        "row => [...row.querySelectorAll('td, [role=cell], [role=gridcell]')].map(cell => cell.innerText.trim())"
    )
    return cells


def confirm(page: Page, text: str, button: str = "OK") -> None:
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(text)
    dialog.get_by_role("button", name=button, exact=True).click()


def good(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("Operation successful.")


def select_kit(page: Page, twin: Twin) -> None:
    twin.put_kit()
    visit(page, "Upgrade", "Upgrade Manager")
    page.get_by_role("button", name="Current ISO: Install Kit").click()
    dialog = page.get_by_role("dialog", name="Current ISO")
    expect(dialog.get_by_role("button", name="Select")).to_be_disabled()
    chosen = dialog.get_by_role("row").filter(has_text=KIT)
    chosen.click()
    expect(chosen).to_have_attribute("aria-selected", "true")
    dialog.get_by_role("button", name="Select").click()
    confirm(page, f"Select ISO {KIT}? The current upgrade procedure is abandoned.")
    good(page)
    expect(page.get_by_role("button", name=f"Current ISO: standard-{NEW}")).to_be_visible()
    until(lambda: True if row_of(page, "mpe-1a")[2] == "N" else None)


def press_upgrade(page: Page, cluster: str, label: str, hover: str) -> None:
    page.get_by_role("checkbox", name=cluster, exact=True).check()
    button = page.get_by_role("button", name=label, exact=True)
    expect(button).to_be_enabled()
    expect(button).to_have_attribute("title", hover)
    button.click()


STYLES = pytest.mark.parametrize("style", ["table", "grid"])


@STYLES
def test_every_page_in_both_styles(tmp_path: Path, page: Page, style: str) -> None:
    with running(tmp_path, config(style)) as twin:
        login(page, twin)
        expect(page.get_by_role("link", name="Active Alarms: 0 critical, 0 major, 0 minor")).to_be_visible()
        for way, title, columns in PAGES:
            visit(page, *way)
            expect(page.get_by_role("heading", level=1)).to_have_text(title)
            assert page.get_by_role("columnheader").all_inner_texts() == columns
            assert page.get_by_role("grid").count() == (1 if columns and style == "grid" else 0)
        expect(page.get_by_text(f"Release {OLD}")).to_be_visible()

        visit(page, "Platform Setting", "Topology Settings")
        for text in ("All Clusters", f"{SITE1} (P)", f"{SITE2} (S)"):
            expect(page.get_by_text(text, exact=True)).to_be_visible()
        visit(page, "System Wide Reports", "Alarms", "Active Alarms")
        expect(page.get_by_text("Nothing found to display.")).to_be_visible()

        visit(page, "Help", "Logout")
        expect(page.get_by_role("button", name="Login")).to_be_visible()
        page.goto(f"{twin.url()}/mi/upgrade/manager")
        expect(page.get_by_role("button", name="Login")).to_be_visible()


@STYLES
def test_an_upgrade_by_hand(tmp_path: Path, page: Page, style: str) -> None:
    with running(tmp_path, config(style)) as twin:
        login(page, twin)
        visit(page, "Upgrade", "Upgrade Manager")
        for label in ("Start Upgrade", "Start Rollback", "View Upgrade Log", "Optional Actions"):
            expect(page.get_by_role("button", name=label, exact=True)).to_be_disabled()
        assert row_of(page, "mpe-1a")[2] == "Y"
        page.get_by_role("checkbox", name="mpe-1", exact=True).check()
        expect(page.get_by_role("button", name="View Upgrade Log")).to_be_enabled()
        expect(page.get_by_role("button", name="Start Upgrade")).to_be_disabled()
        select_kit(page, twin)

        first, second = (page.get_by_role("checkbox", name=name, exact=True) for name in (SITE1, "mpe-1"))
        first.check()
        expect(page.get_by_role("button", name="Start Upgrade")).to_have_attribute(
            "title", "Initiate upgrade cmp-1b (next)"
        )
        press_upgrade(page, "mpe-1", "Start Upgrade", "Initiate upgrade mpe-1b (next)")
        expect(first).not_to_be_checked()
        confirm(page, "Initiate upgrade of server mpe-1b in cluster mpe-1. Continue?", "Cancel")
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert "initiate_upgrade" not in [act for act, _, _ in twin.acts()]

        page.get_by_role("button", name="Start Upgrade").click()
        dialog = page.get_by_role("dialog", name="Start Upgrade")
        expect(dialog).to_be_visible()
        readings = page.evaluate("performance.getEntriesByType('resource').length")
        page.wait_for_function(f"performance.getEntriesByType('resource').length > {readings} + 3")
        confirm(page, "Initiate upgrade of server mpe-1b in cluster mpe-1. Continue?")
        good(page)
        assert ("initiate_upgrade", "mpe-1b", "admin") in twin.acts()

        cell = until(lambda: found if (found := row_of(page, "mpe-1b")[6]).startswith("[Step") else None)
        assert re.fullmatch(r"\[Step \d+\] \d+% Initiate upgrade - .+ \(Elapsed Time: \d+:\d\d:\d\d\)", cell)
        until(lambda: True if row_of(page, "mpe-1b")[3] == "OOS" else None)
        expect(second).to_be_checked()
        expect(page.get_by_role("button", name="Continue Upgrade")).to_have_attribute(
            "title", "Failover to new version mpe-1 (next)"
        )
        expect(page.get_by_role("button", name="Start Rollback")).to_be_disabled()

        twin.await_event("action_ended", action="initiate_upgrade", result="Success")
        until(lambda: True if "Completed Successfully at" in row_of(page, "mpe-1b")[6] else None)
        assert row_of(page, "mpe-1b")[2:6] == ["Y", "Standby", OLD, NEW]
        expect(page.get_by_role("button", name="Start Rollback")).to_be_enabled()
        page.get_by_role("button", name="View Upgrade Log").click()
        log = page.get_by_role("dialog", name="Upgrade Log")
        expect(log).to_be_visible()
        assert log.get_by_role("columnheader").all_inner_texts() == [
            "ID", "Parent ID", "Action Name", "Start Time", "End Time", "Duration", "Scope", "Hostname", "Result",
            "Mode", "Description",
        ]  # fmt: skip
        line = row_of(page, "Preflight Check")
        assert re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d", line[3])
        assert re.fullmatch(r"\d+:\d\d:\d\d", line[5])
        assert line[6:10] == ["Server", "mpe-1b", "Success", "Manual"]
        log.get_by_role("button", name="Close").click()

        pick(page, style, "Optional Actions", "Initiate backout mpe-1b")
        confirm(page, "Initiate backout of server mpe-1b in cluster mpe-1. Continue?")
        good(page)
        assert ("initiate_backout", "mpe-1b", "admin") in twin.acts()
        expect(page.get_by_role("button", name="Resume Upgrade")).to_be_visible()


def test_the_filter_hides_clusters_and_unticks_them(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config()) as twin:
        login(page, twin)
        visit(page, "Upgrade", "Upgrade Manager")
        page.get_by_role("checkbox", name="mpe-1", exact=True).check()
        page.get_by_role("button", name="Filter", exact=True).click()
        page.get_by_role("dialog").get_by_label("Name").fill("cmp")
        page.get_by_role("dialog").get_by_role("button", name="OK").click()
        expect(page.get_by_role("checkbox")).to_have_count(2)
        expect(page.get_by_role("button", name="View Upgrade Log")).to_be_disabled()
        page.get_by_role("button", name="Filter", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Clear").click()
        expect(page.get_by_role("checkbox")).to_have_count(4)
        expect(page.get_by_role("checkbox", name="mpe-1", exact=True)).not_to_be_checked()


@STYLES
def test_iso_maintenance(tmp_path: Path, page: Page, style: str) -> None:
    with running(tmp_path, config(style)) as twin:
        login(page, twin)
        visit(page, "Upgrade", "ISO Maintenance")
        assert row_of(page, "cmp-2b") == [
            "cmp-2b",
            "CMP",
            "site-2",
            "127.21.2.2",
            OLD,
            f"cmp-{OLD}-x86_64.iso",
        ]
        pick(page, style, "Operations", "Delete ISO")
        expect(page.get_by_role("alert")).to_have_text("Operation failed: no server is selected.")

        page.get_by_role("checkbox", name=SITE2, exact=True).check()
        for server in ("cmp-2a", "cmp-2b"):
            expect(page.get_by_role("checkbox", name=server)).to_be_checked()
        page.get_by_role("checkbox", name="cmp-2a").uncheck()
        expect(page.get_by_role("checkbox", name=SITE2, exact=True)).not_to_be_checked()
        pick(page, style, "Operations", "Delete ISO")
        confirm(page, "cmp-2b")
        good(page)
        until(lambda: True if row_of(page, "cmp-2b")[5] == "" else None)
        expect(page.get_by_role("checkbox", name="cmp-2b")).to_be_checked()
        assert row_of(page, "cmp-2a")[5] == CMP_ISO

        pick(page, style, "Operations", "Upload ISO")
        dialog = page.get_by_role("dialog", name="Upload ISO")
        dialog.get_by_role("button", name="Add").click()
        expect(page.get_by_role("alert")).to_contain_text("Operation failed: fill in:")
        pick(page, style, "Operations", "Upload ISO")
        dialog.get_by_label("Mode").select_option("SCP")
        dialog.get_by_label("ISO Server Hostname/IP").fill("127.21.1.1")
        dialog.get_by_label("User", exact=True).fill("admusr")
        dialog.get_by_label("Password").fill(SECRETS["MOPFLOW_LAB_ADMUSR_PASSWORD"])
        dialog.get_by_label("Source ISO file full path").fill(f"/var/TKLC/upgrade/{CMP_ISO}")
        dialog.get_by_role("button", name="Add").click()
        good(page)
        until(lambda: True if row_of(page, "cmp-2b")[5] == f"{CMP_ISO}[100%]" else None)

        pick(page, style, "Columns", "Site")
        assert page.get_by_role("columnheader").all_inner_texts() == [
            "Name",
            "Appl Type",
            "IP",
            "Running Release",
            "ISO",
        ]
        page.get_by_role("heading", level=1).click()  # closes the menu
        pick(page, style, "Filters", "MPE")
        expect(page.get_by_role("checkbox")).to_have_count(3)
        expect(page.get_by_role("checkbox", name="mpe-1a")).to_be_visible()


def test_system_maintenance_forces_a_server_into_standby(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config()) as twin:
        login(page, twin)
        visit(page, "Upgrade", "System Maintenance")
        page.get_by_role("checkbox", name="mpe-1b").check()
        pick(page, "table", "Operations", "Force Standby")
        confirm(page, "Force mpe-1b into standby?")
        good(page)
        twin.await_event("role", server="mpe-1b", to="Forced Standby")
        assert twin.acts() == [("force_standby", "mpe-1b", "admin")]


@STYLES
def test_the_pages_of_a_cluster(tmp_path: Path, page: Page, style: str) -> None:
    with running(tmp_path, config(style)) as twin:
        login(page, twin)
        visit(page, "Policy Server", "Configuration")
        page.get_by_role("link", name="mpe-1", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("mpe-1")
        expect(page.get_by_role("definition")).to_have_text(["mpe-1", "OK", OLD])
        assert row_of(page, "mpe-1b") == ["mpe-1b", "Standby", OLD, "OK"]
        page.get_by_role("button", name="Reapply Configuration").click()
        confirm(page, "Reapply the configuration of mpe-1?")
        bar = page.get_by_role("dialog").get_by_role("progressbar")
        expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^\d+$"))
        good(page)
        expect(bar).to_have_count(0)
        assert twin.acts("action_ended") == [("reapply", "mpe-1", "admin")]

        page.get_by_role("tab", name="Reports").click()
        expect(page.get_by_role("columnheader")).to_have_text(["Counter", "Value"])
        until(lambda: True if int(row_of(page, "Messages In")[1]) > 0 else None)
        before = int(row_of(page, "Seconds since reset")[1])
        page.get_by_role("button", name="Reset Counters").click()
        confirm(page, "Reset the counters of mpe-1?")
        good(page)
        until(lambda: True if int(row_of(page, "Seconds since reset")[1]) < before else None)

        visit(page, "MRA", "Configuration")
        page.get_by_role("link", name="mra <1>", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("mra <1>")
        page.get_by_role("button", name="Reapply Configuration").click()
        confirm(page, "Reapply the configuration of mra <1>?")
        expect(page.get_by_role("dialog")).to_have_count(0)
        good(page)


def test_a_wrong_password_and_the_lock(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config()) as twin:
        for _ in range(2):
            login(page, twin, word="wrong")
            expect(page.get_by_role("alert")).to_have_text(
                "Login failed: the user name or password is not correct."
            )
        login(page, twin, word="wrong")
        expect(page.get_by_role("alert")).to_have_text("Login failed: the account is locked.")
        login(page, twin)
        expect(page.get_by_role("alert")).to_have_text("Login failed: the account is locked.")
        assert [e["ok"] for e in twin.events("gui_login")] == [False] * 4


def test_an_answer_that_never_comes(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config(faults=("answer_lost@mpe-1",))) as twin:
        login(page, twin)
        select_kit(page, twin)
        press_upgrade(page, "mpe-1", "Start Upgrade", "Initiate upgrade mpe-1b (next)")
        confirm(page, "Initiate upgrade of server mpe-1b")
        expect(page.get_by_role("alert")).to_have_text("The server did not answer.")
        expect(page.get_by_role("dialog")).to_have_count(0)
        until(lambda: True if row_of(page, "mpe-1b")[3] == "OOS" else None)  # the page lives on
        assert twin.acts().count(("initiate_upgrade", "mpe-1b", "admin")) == 1


def test_a_session_that_dies_with_the_act(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config(faults=("session_lost@mpe-1",))) as twin:
        login(page, twin)
        select_kit(page, twin)
        press_upgrade(page, "mpe-1", "Start Upgrade", "Initiate upgrade mpe-1b (next)")
        confirm(page, "Initiate upgrade of server mpe-1b")
        expect(page.get_by_role("button", name="Login")).to_be_visible()
        assert twin.acts().count(("initiate_upgrade", "mpe-1b", "admin")) == 1


def test_another_person_clicks_first(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config(faults=("other_click@mpe-1",))) as twin:
        login(page, twin)
        select_kit(page, twin)
        press_upgrade(page, "mpe-1", "Start Upgrade", "Initiate upgrade mpe-1b (next)")
        expect(page.get_by_role("dialog")).to_contain_text("Initiate upgrade of server mpe-1b")
        until(lambda: True if row_of(page, "mpe-1b")[6].startswith("[Step") else None)  # behind the dialog
        confirm(page, "Initiate upgrade of server mpe-1b", "Cancel")
        started = [act for act in twin.acts() if act[0] == "initiate_upgrade"]
        assert started == [("initiate_upgrade", "mpe-1b", "jdoe")]


def test_the_login_form_of_the_new_release_after_the_failover(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config()) as twin:
        login(page, twin)
        select_kit(page, twin)
        press_upgrade(page, SITE1, "Start Upgrade", "Initiate upgrade cmp-1b (next)")
        confirm(page, "Initiate upgrade of server cmp-1b")
        twin.await_event("action_ended", action="initiate_upgrade", result="Success")
        press_upgrade(page, SITE1, "Continue Upgrade", f"Failover to new version {SITE1} (next)")
        confirm(page, f"Failover to new version: cluster {SITE1}. Continue?")
        twin.await_event("role", server="cmp-1b", to="Active")
        with pytest.raises(Error, match="ERR_"):
            page.goto(twin.url())
        until(lambda: True if _serves(twin) else None)
        page.goto(twin.url())
        expect(page.get_by_text(f"Release {NEW}")).to_be_visible()
        login(page, twin)
        visit(page, "Help", "About")
        expect(page.get_by_text(f"Release {NEW}")).to_be_visible()
        visit(page, "Upgrade", "Upgrade Manager")
        assert row_of(page, "cmp-1b")[3:] == ["Active", OLD, NEW, "n/a"]


def _serves(twin: Twin) -> bool:
    with twin.client() as client:
        try:
            return client.get("/mi/login").status_code == 200
        except httpx.TransportError:
            return False


def test_both_vips_keep_their_own_session_in_one_browser(tmp_path: Path, page: Page) -> None:
    with running(tmp_path, config()) as twin:
        login(page, twin)
        login(page, twin, SITE2)
        expect(page.get_by_role("heading", level=1)).to_have_text("Policy Management")
        page.goto(f"{twin.url()}/mi/upgrade/manager")
        expect(page.get_by_role("heading", level=1)).to_have_text("Upgrade Manager")


def test_what_a_client_may_send(tmp_path: Path) -> None:
    with running(tmp_path, config()) as twin, twin.client() as client, twin.client() as other:
        act = {"button": "reset_counters", "cluster": "mpe-1"}
        for path in ("/mi/upgrade/manager", "/mi/home", "/"):
            assert client.get(path).headers["location"] == "/mi/login"
        assert client.post("/mi/act/prepare", json=act).status_code == 401
        assert client.get("/mi/fragment/upgrade/manager").status_code == 401
        for one in (client, other):
            form = {"user": "admin", "password": GUI_WORD}
            assert one.post("/mi/login", data=form).headers["location"] == "/mi/home"
        cookie = next(iter(client.cookies.jar))
        assert cookie.secure
        assert cookie.has_nonstandard_attr("HttpOnly")

        for wrong in ({**act, "act": "failover"}, {"button": "failover", "cluster": "mpe-1"}, {}):
            assert client.post("/mi/act/prepare", json=wrong).status_code == 400
        assert client.post("/mi/act/prepare", content=json.dumps(act)).status_code == 415
        unknown = client.post(
            "/mi/act/prepare", json={"button": "optional", "cluster": "mpe-1", "choice": "Erase"}
        )
        assert "error" in unknown.json()
        assert "error" in client.post("/mi/act/prepare", json={"button": "upgrade"}).json()

        offer = client.post("/mi/act/prepare", json=act).json()
        token = {"token": offer["token"], "form": {}}
        assert "error" in other.post("/mi/act/perform", json=token).json()
        assert client.post("/mi/act/perform", json=token).json() == {"message": "Operation successful."}
        assert "error" in client.post("/mi/act/perform", json=token).json()
        assert twin.acts() == [("reset_counters", "mpe-1", "admin")]

        shown = client.get("/mi/mra/configuration").text
        assert "mra &lt;1&gt;" in shown
        assert "mra <1>" not in shown
        assert client.get("/mi/nowhere").status_code == 404
        assert client.get("/mi/static/../app.py").status_code == 404


def ossi(client: httpx.Client, body: str, word: str = SECRETS["MOPFLOW_LAB_OSSI_PASSWORD"]) -> ET.Element:
    answer = client.post("/mi/xmlInterfaceRequest.do", params={"user": "ossi", "pwd": word}, content=body)
    assert answer.status_code == 200
    return ET.fromstring(answer.text)


def query(names: list[str], begin: datetime, end: datetime) -> str:
    servers = "".join(f"<PolicyServer>{name}</PolicyServer>" for name in names)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><XmlInterfaceRequest><QueryOmStats DeltaCount="false">'
        f"<StartTime>{begin:%Y-%m-%dT%H:%M:%S}</StartTime><EndTime>{end:%Y-%m-%dT%H:%M:%S}</EndTime>"
        f"<AFSessionStats>{servers}</AFSessionStats></QueryOmStats></XmlInterfaceRequest>"
    )


def test_ossi(tmp_path: Path) -> None:
    with running(tmp_path, config()) as twin, twin.client() as client:
        end = datetime.now(UTC)
        begin = end - timedelta(hours=1)
        answer = ossi(client, query(["mpe-1", "mra &lt;1&gt;"], begin, end))
        assert answer.tag == "Statistics"
        samples = answer.findall("AFSessionStats/Sample")
        assert {sample.findtext("PolicyServer") for sample in samples} == {"mpe-1", "mra <1>"}
        for sample in samples:
            first, last = (
                datetime.fromisoformat(sample.findtext(tag, "")) for tag in ("StartTime", "EndTime")
            )
            assert last - first == timedelta(minutes=15)
            assert first.minute % 15 == 0
            assert first < end
            assert last > begin
            assert int(sample.findtext("MsgInCount", "")) > 0

        good_query = query(["mpe-1"], begin, end)
        for body, word in (
            (good_query, "wrong"),
            (query(["nobody"], begin, end), None),
            (query([SITE1], begin, end), None),
            (query(["mpe-1"], end, begin), None),
            ("<XmlInterfaceRequest>", None),
            ("<XmlInterfaceRequest><DropAll/></XmlInterfaceRequest>", None),
            ('<!DOCTYPE x [<!ENTITY a "b">]><XmlInterfaceRequest/>', None),
        ):
            failed = ossi(client, body) if word is None else ossi(client, body, word)
            assert failed.findtext("Result") == "1"
            failure = failed.find("Command/Failure")
            assert failure is not None
            assert failure.get("count") == "1"
            assert (failure.text or "").startswith("ERROR_")
