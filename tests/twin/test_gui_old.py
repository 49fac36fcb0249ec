"""The console of 10.5 and 11.5 in a real Chromium: its pages, menus and dialogs, and the switch to the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import paramiko
import pytest
import test_gui
from playwright.sync_api import Page, expect
from test_gui import SITE1, Twin, confirm, good, login, pick, row_of, running, until, visit

pytestmark = [pytest.mark.twin, pytest.mark.browser]

chromium = test_gui.chromium
page = test_gui.page
SOURCES = {"10.5": "10.5.6_1.1.0", "11.5": "11.5.2.0.0_38.1.0", "12.0": "12.0.0.0.0_45.1.0"}


def config(source: str, style: str = "table", **durations: Any) -> dict[str, Any]:
    """That of 12.1.1 with another source; the old images bear its name."""
    content = test_gui.config(style, initiate_backout=dict.fromkeys(("CMP", "MPE", "MRA"), 3), **durations)
    content["source"] = SOURCES[source]
    for media in content["media"]:
        media["file"] = media["file"].replace(test_gui.OLD, SOURCES[source])
    for cluster in content["clusters"]:
        for server in cluster["servers"]:
            server["images"] = [i.replace(test_gui.OLD, SOURCES[source]) for i in server["images"]]
    return content


def operations(page: Page, style: str) -> list[str]:
    button = page.get_by_role("button", name="Operations", exact=True)
    if style == "grid":
        page.mouse.move(0, 0)
        button.hover()
    else:
        button.click()
    entries = page.get_by_role("menu", name="Operations").get_by_role("menuitem").all_inner_texts()
    page.mouse.move(0, 0)
    page.keyboard.press("Escape")
    return entries


def copy_scripts(twin: Twin) -> None:
    """6.1.1/7: as root, for on 10.5 there is nobody else."""
    at = twin.endpoints["servers"]["cmp-1a"]
    with paramiko.SSHClient() as ssh:
        ssh.load_host_keys(str(twin.folder / "known_hosts"))
        word = test_gui.SECRETS["MOPFLOW_LAB_ROOT_PASSWORD"]
        ssh.connect(at["address"], at["port"], "root", word, allow_agent=False, look_for_keys=False)
        for command in (
            f"mount -o loop /var/TKLC/upgrade/{test_gui.CMP_ISO} /mnt/upgrade/",
            "cp /mnt/upgrade/upgrade/policyScripts/*.pl /opt/camiant/bin",
            "umount /mnt/upgrade",
        ):
            _, out, _ = ssh.exec_command(command)
            assert out.channel.recv_exit_status() == 0


PUSH = {"10.5": (False, True), "11.5": (True, False), "12.0": (True, True)}  # ISO, System Maintenance


@pytest.mark.parametrize("source", SOURCES)
def test_where_the_pages_and_push_script_are(tmp_path: Path, page: Page, source: str) -> None:
    style = "grid" if source == "11.5" else "table"
    old = source != "12.0"
    group = "Upgrade Manager" if old else "Upgrade"
    with running(tmp_path, config(source, style)) as twin:
        login(page, twin)
        visit(page, group, "ISO Maintenance")
        nav = page.get_by_role("navigation")
        expect(nav.get_by_role("link", name="Upgrade Manager", exact=True)).to_have_count(0 if old else 1)
        assert operations(page, style) == ["Upload ISO", "Delete ISO", *["Push Script"] * PUSH[source][0]]
        visit(page, group, "System Maintenance")
        assert page.get_by_role("columnheader").all_inner_texts() == [
            "Name", "Appl Type", "IP", "Server State" if old else "Server Role", "Running Release",
            "Replication", "Upgrade Operation",
        ]  # fmt: skip
        assert operations(page, style) == [
            *["Push Script"] * PUSH[source][1], "Force Standby", "Cancel Force Standby", "Switch ForceStandby",
            *["Start Upgrade", "Backout"] * old,
        ]  # fmt: skip
        assert row_of(page, "cmp-1b")[3:6] == ["Standby", SOURCES[source], "On" if old else "OK"]
        response = page.goto(f"{twin.url()}/mi/upgrade/manager")
        assert response is not None
        assert response.status == (404 if old else 200)


@pytest.mark.parametrize("style", ["table", "grid"])
def test_force_standby_start_upgrade_and_switch(tmp_path: Path, page: Page, style: str) -> None:
    with running(tmp_path, config("10.5", style)) as twin:
        login(page, twin)
        visit(page, "Upgrade Manager", "System Maintenance")
        page.get_by_role("checkbox", name=SITE1, exact=True).check()
        pick(page, style, "Operations", "Push Script")
        confirm(page, "Push the scripts to cmp-1a, cmp-1b?")
        expect(page.get_by_role("alert")).to_contain_text(
            "there are no upgrade scripts in /opt/camiant/bin of cmp-1a"
        )
        copy_scripts(twin)
        pick(page, style, "Operations", "Push Script")
        confirm(page, "Push the scripts to cmp-1a, cmp-1b?")
        good(page)
        twin.await_event("action_ended", action="push_scripts", server="cmp-1b", result="Success")

        def tick(name: str) -> None:
            for box in page.get_by_role("checkbox").all():
                if box.is_checked():
                    box.uncheck()
            page.get_by_role("checkbox", name=name, exact=True).check()

        tick("cmp-1b")
        pick(page, style, "Operations", "Start Upgrade")
        confirm(page, "Start the upgrade of cmp-1b?")
        expect(page.get_by_role("alert")).to_contain_text("cmp-1b is not in Force Standby")
        pick(page, style, "Operations", "Force Standby")
        confirm(page, "Force cmp-1b into standby?")
        good(page)
        until(lambda: True if row_of(page, "cmp-1b")[3] == "Force Standby" else None)
        pick(page, style, "Operations", "Start Upgrade")
        confirm(page, "Start the upgrade of cmp-1b?")
        good(page)
        until(lambda: True if row_of(page, "cmp-1b")[6].startswith("Upgrading: ") else None)
        row = page.get_by_role("row").filter(has=page.get_by_text("cmp-1b", exact=True)).first
        expect(row.get_by_title("Sync Broken")).to_be_visible()
        until(
            lambda: True if row_of(page, "cmp-1b")[6].startswith("Completed: upgrade was completed") else None
        )
        expect(row.get_by_title("Sync Broken")).to_have_count(0)
        assert row_of(page, "cmp-1b")[3:6] == ["Force Standby", test_gui.NEW, "On"]

        tick(SITE1)
        pick(page, style, "Operations", "Switch ForceStandby")
        confirm(page, f"Switch the forced standby of {SITE1}?")
        good(page)
        expect(page.get_by_role("button", name="Login")).to_be_visible(timeout=30_000)
        login(page, twin)
        visit(page, "Upgrade", "Upgrade Manager")
        expect(page.get_by_role("button", name="Current ISO: Install Kit")).to_be_visible()
        assert row_of(page, "cmp-1b")[2] == "n/a"
        visit(page, "Upgrade", "System Maintenance")
        assert "Start Upgrade" not in operations(page, style)
