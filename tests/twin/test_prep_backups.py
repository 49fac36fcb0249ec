"""4.6.4 on the twin, row by row: what is kept where, what each fault shows, and that a second run mends it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from houses import OnTwin, on_twin

from mopflow.acts import backup as act
from mopflow.backups import BackupKind
from mopflow.errors import Held
from mopflow.here import Scope
from mopflow.house import House
from mopflow.ledger import Event
from mopflow.menu import Menu
from mopflow.probes import backups as probe
from mopflow.procedures.prep_backups import BACKUPS
from mopflow.run import Outcome, Result, carry_out

pytestmark = pytest.mark.twin

ROWS = (1, 2, 3, 4)
FAULTS = ("backup_missing@mpe-1a", "backup_empty@mpe-1b", "backup_cut@mpe-2a", "platcfg_other_menu@mra-1a")
SIZE = (120, 40)


class Killed(BaseException):
    """The process is gone (kill -9): nothing of mopflow may catch this."""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnTwin]:
    with on_twin(tmp_path_factory.mktemp("backups"), faults=FAULTS) as it:
        yield it


@pytest.fixture(scope="module")
def house(twin: OnTwin) -> Iterator[House]:
    with twin.open() as it:
        yield it


def back_up(house: House, server: str, rows: Sequence[int] = ROWS) -> dict[int, Result]:
    return {n: carry_out(BACKUPS.step(n), Scope(server=server), house) for n in rows}


def taken(twin: OnTwin, server: str) -> list[str]:
    """Kinds of the backups that the twin finished, oldest first."""
    return [event["what"] for event in twin.events("backup", server=server)]


def on_server(house: House, server: str) -> list[str]:
    return [f.name for kind in BackupKind for f in probe.ask(house.servers, server, kind).files]


def kept(twin: OnTwin, server: str) -> list[Path]:
    """What lies at the repository; each with the hash beside it that it really has."""
    files = sorted((twin.folder / "backups" / server).iterdir())
    backups = [file for file in files if file.suffix != ".sha256"]
    for file in backups:
        beside = file.with_name(f"{file.name}.sha256").read_text()
        assert beside == f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
    assert len(files) == 2 * len(backups), "nothing else is left there"
    return backups


def rows_of(house: House, server: str, step: int, event: Event) -> list[Any]:
    rows = house.ledger.rows(campaign=house.campaign, procedure="4.6.4", step=step, cluster=server)
    return [row.entry for row in rows if row.entry.event is event]


# ---- the rows ----


def test_the_active_primary_cmp_has_both_backups_kept_verified_and_removed(
    twin: OnTwin, house: House
) -> None:
    results = back_up(house, "cmp-1a")
    assert {n: r.outcome for n, r in results.items()} == dict.fromkeys(ROWS, Outcome.DONE)
    assert taken(twin, "cmp-1a") == ["server", "system"]
    files = kept(twin, "cmp-1a")
    assert [f.name.endswith(end) for f, end in zip(files, (".iso", ".tar.gz"), strict=True)] == [True, True]
    assert all(f.name.startswith(f"cmp-1a-cmp_{twin.site.source}-") for f in files)
    subprocess.run(["gzip", "-t", files[1]], check=True)
    assert on_server(house, "cmp-1a") == [] and probe.ask_menus(house.servers, "cmp-1a") == ()

    written = rows_of(house, "cmp-1a", 4, Event.OBSERVED)[-1].data
    assert [copy["place"] for copy in written["copies"]] == [str(file) for file in files]
    assert all(copy["release"] == twin.site.source for copy in written["copies"])
    page = next((twin.folder / "evidence").rglob("*backup-location*")).read_text()
    assert "Backup location is:" in page and str(files[0]) in page and "sha256sum" in page

    before = len(twin.events("ssh_command", server="cmp-1a", command=act.COMMAND))
    again = back_up(house, "cmp-1a", (1, 3))
    assert {r.outcome for r in again.values()} == {Outcome.FOUND_DONE}
    assert "verified at the repository" in again[1].text
    assert len(twin.events("ssh_command", server="cmp-1a", command=act.COMMAND)) == before


def test_every_other_server_has_a_server_backup_only(twin: OnTwin, house: House) -> None:
    for server in ("cmp-1b", "mra-1b"):
        results = back_up(house, server)
        assert results[4].outcome is Outcome.DONE and len(kept(twin, server)) == 1
        assert taken(twin, server) == ["server"] and on_server(house, server) == []
        assert "no system backup" in rows_of(house, server, 1, Event.SKIPPED)[-1].text


def test_a_backup_that_went_bad_at_the_repository_does_not_count(twin: OnTwin, house: House) -> None:
    back_up(house, "mra-1b")
    (file,) = kept(twin, "mra-1b")
    before = taken(twin, "mra-1b")
    file.write_bytes(b"X" + file.read_bytes()[1:])
    with pytest.raises(Held) as held:
        carry_out(BACKUPS.step(4), Scope(server="mra-1b"), house)
    assert "no verified server backup" in held.value.reason
    results = back_up(house, "mra-1b")
    assert results[1].outcome is Outcome.DONE and len(taken(twin, "mra-1b")) == len(before) + 1


# ---- faults ----


@pytest.mark.parametrize(
    ("server", "row", "rule", "says"),
    [
        pytest.param("mpe-1a", 1, "backup", "has no server backup of this campaign", marks=pytest.mark.soak),
        pytest.param("mpe-1b", 2, "backup", "does not count: it has no bytes", marks=pytest.mark.soak),
        ("mpe-2a", 2, "backup", "does not count: it is cut off"),
        ("mra-1a", 1, "platcfg", "a menu with the entry 'Backup and Restore' did not come"),
    ],
)
def test_a_fault_holds_with_what_a_person_needs_and_a_second_run_mends_it(
    twin: OnTwin, house: House, monkeypatch: pytest.MonkeyPatch, server: str, row: int, rule: str, says: str
) -> None:
    monkeypatch.setattr(Menu.__init__, "__defaults__", (*Menu.__init__.__defaults__[:-1], 5.0))  # type: ignore[index]
    with pytest.raises(Held) as held:
        back_up(house, server)
    assert f"4.6.4/{row} {server}" in held.value.where and says in held.value.reason
    hold = twin.holds()[-1]
    assert (
        hold.rule == rule and hold.remedy == held.value.remedy and "start this command again" in hold.remedy
    )
    assert not (twin.folder / "backups" / server).exists(), "nothing bad is brought to the repository"
    assert probe.ask_menus(house.servers, server) == ()
    if rule == "platcfg":
        shown = next(p for p in (twin.folder / "evidence").rglob("*platcfg*") if server in str(p))
        assert "Policy Server Utilities" in shown.read_text()

    results = back_up(house, server)
    assert results[4].outcome is Outcome.DONE
    assert len(kept(twin, server)) == 1 and on_server(house, server) == []
    assert len(twin.events("fault", where=server)) == 1


@pytest.mark.soak
def test_a_full_repository_holds_and_the_file_stays_until_it_is_safe(
    twin: OnTwin, house: House, tmp_path: Path
) -> None:
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", tiny], capture_output=True
    ).returncode
    if mounted:
        pytest.skip("may not mount a tmpfs here")
    try:
        twin.change(backup_repository={"folder": str(tiny)})
        with twin.open() as second:
            with pytest.raises(Held) as held:
                back_up(second, "mpe-2b")
            assert "4.6.4/3" in held.value.where and "bytes free" in held.value.reason
            assert twin.holds()[-1].rule == "repository" and "make room" in held.value.remedy
            assert len(on_server(second, "mpe-2b")) == 1 and not list(tiny.rglob("*.part"))
            subprocess.run(["mount", "-o", "remount,size=64m", tiny], check=True)
            results = back_up(second, "mpe-2b")
            assert results[1].outcome is Outcome.FOUND_DONE, (
                "the backup on the server is taken over, not doubled"
            )
            assert results[4].outcome is Outcome.DONE and taken(twin, "mpe-2b") == ["server"]
            assert len(list((tiny / "mpe-2b").glob("*.iso"))) == 1 and on_server(second, "mpe-2b") == []
    finally:
        twin.change(backup_repository={"folder": "backups"})
        subprocess.run(["umount", tiny], check=True)


@pytest.mark.soak
def test_a_repository_that_is_away_holds_and_the_file_stays(
    twin: OnTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_REPOSITORY", "not asked for")
    host = {"name": "vault", "address": "127.0.0.1", "port": 9}
    away = {"host": host, "user": "keeper", "password": {"env": "TEST_REPOSITORY"}, "path": "backups"}
    twin.change(backup_repository=away)
    try:
        with twin.open() as second:
            with pytest.raises(Held) as held:
                back_up(second, "cmp-2a")
            assert "4.6.4/3" in held.value.where and "vault cannot be reached" in held.value.reason
            assert twin.holds()[-1].rule == "repository" and len(on_server(second, "cmp-2a")) == 1
    finally:
        twin.change(backup_repository={"folder": "backups"})
    with twin.open() as third:
        results = back_up(third, "cmp-2a")
        assert results[1].outcome is Outcome.FOUND_DONE and results[4].outcome is Outcome.DONE
        assert taken(twin, "cmp-2a") == ["server"] and on_server(third, "cmp-2a") == []


# ---- killed, and started again ----


@pytest.mark.soak
def test_killed_in_the_middle_of_a_backup_it_leaves_no_menu_and_takes_it_anew(twin: OnTwin) -> None:
    def die(kind: object, *_: object) -> None:
        raise Killed

    with twin.open() as first, pytest.MonkeyPatch.context() as patch:
        patch.setattr(act, "_progress", die)
        with pytest.raises(Killed):
            back_up(first, "cmp-2b")
        wait_for(lambda: probe.ask_menus(first.servers, "cmp-2b") == (), "the menu stays open")
        assert rows_of(first, "cmp-2b", 1, Event.ACTED) == []
    with twin.open() as second:
        results = back_up(second, "cmp-2b")
        assert results[4].outcome is Outcome.DONE and taken(twin, "cmp-2b") == ["server"]
        assert len(rows_of(second, "cmp-2b", 1, Event.INTENDED)) == 2
        (file,) = kept(twin, "cmp-2b")
        assert file.stat().st_size == twin.events("backup", server="cmp-2b")[0]["size"]


@pytest.mark.soak
def test_killed_between_copy_and_removal_it_goes_on_there(twin: OnTwin, house: House) -> None:
    back_up(house, "cmp-1b")
    (first,) = kept(twin, "cmp-1b")
    first.unlink()  # so that this server needs a new one
    first.with_name(f"{first.name}.sha256").unlink()
    before = len(taken(twin, "cmp-1b"))

    def die(*_: object) -> None:
        raise Killed

    with twin.open() as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(act, "remove", die)
        with pytest.raises(Killed):
            back_up(run, "cmp-1b")
        assert len(on_server(run, "cmp-1b")) == 1
    with twin.open() as second:
        results = back_up(second, "cmp-1b")
        assert results[1].outcome is Outcome.FOUND_DONE and results[4].outcome is Outcome.DONE
        assert len(taken(twin, "cmp-1b")) == before + 1 and on_server(second, "cmp-1b") == []


@pytest.mark.soak
def test_a_menu_that_somebody_has_open_is_waited_for(twin: OnTwin, house: House) -> None:
    back_up(house, "cmp-1b")
    (file,) = kept(twin, "cmp-1b")
    file.unlink()
    file.with_name(f"{file.name}.sha256").unlink()
    before = len(taken(twin, "cmp-1b"))
    done = threading.Event()

    def run() -> None:
        back_up(house, "cmp-1b")
        done.set()

    with house.servers.session("cmp-1b", act.COMMAND, terminal=SIZE) as wire:
        menu = Menu(wire, "a person", SIZE)
        menu.expect_entry("Maintenance")
        thread = threading.Thread(target=run)
        thread.start()
        wait_for(lambda: any("platcfg is open" in line for line in board(twin)), "the board does not say it")
        assert len(taken(twin, "cmp-1b")) == before
        menu.press(b"\x1b[24~")  # F12
        assert menu.wait_end() == 0
    assert done.wait(120)
    thread.join()
    assert len(taken(twin, "cmp-1b")) == before + 1


def board(twin: OnTwin) -> list[str]:
    with twin.ledger() as ledger:
        return [line.waits_for for line in ledger.board(twin.site.name)]


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# ---- the twin's menu in a person's hands ----


def test_a_person_finds_her_way_through_the_menus_of_the_twin(twin: OnTwin, house: House) -> None:
    with house.servers.session("mpe-1a", act.COMMAND, terminal=SIZE) as wire:
        menu = Menu(wire, "a person", SIZE)
        menu.expect_entry("Maintenance")
        assert "Hostname: mpe-1a" in menu.screen.text and menu.screen.keypad
        menu.choose("Network Configuration")
        menu.expect("that it is not there", lambda screen: "does not model" in screen.text)
        menu.push("OK")
        menu.expect_entry("Policy Configuration")
        menu.choose("Policy Configuration")
        menu.expect_entry("Backup and Restore")
        menu.choose("Backup and Restore")
        menu.expect_entry("Server Backup")
        assert "System Backup" not in menu.screen.text, "an MPE has none"
        menu.choose("Server Backup")
        menu.expect("the form", lambda _: menu.buttons() == {"ok", "cancel"})
        menu.write("/tmp/mine.txt")
        menu.push("OK")
        menu.expect("the refusal", lambda screen: "ERROR: /tmp/mine.txt" in screen.text)
        menu.push("OK")
        menu.expect_entry("Server Backup")
        assert menu.leave() == 0
    reply = house.servers.run("mpe-1a", act.COMMAND)
    assert reply.status != 0 and "terminal" in reply.stderr


def test_an_ordinary_ssh_client_gets_the_menu_too(twin: OnTwin, tmp_path: Path) -> None:
    server = twin.site.server("mpe-1a")
    helper = tmp_path / "askpass"
    helper.write_text('#!/bin/sh\nprintf "%s\\n" "$TWIN_PASSWORD"\n')
    helper.chmod(0o700)
    password = twin.passwords[str(twin.site.ssh.password.env)]
    environment = {**os.environ, "SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "TERM": "xterm"}
    command = [
        "ssh",
        "-tt",
        "-p",
        str(server.port),
        "-o",
        f"UserKnownHostsFile={twin.folder / 'known_hosts'}",
    ]
    process = subprocess.Popen(
        [*command, f"admusr@{server.address}", "sudo su - platcfg"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment | {"TWIN_PASSWORD": password},
    )
    assert process.stdin is not None and process.stdout is not None
    seen = b""
    try:
        while b"Policy Configuration" not in seen:
            data = os.read(process.stdout.fileno(), 65536)
            assert data, seen
            seen += data
        process.stdin.write(b"\x1b")  # Escape alone leaves
        process.stdin.flush()
        assert process.wait(30) == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(10)
