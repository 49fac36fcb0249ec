"""A real menu (whiptail) over a real sshd, walked through by our own terminal session; and backups on real disks."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_ssh_real import SERVER, Sshd, needs_sshd

from mopflow.acts import backup
from mopflow.backups import BackupFile, BackupKind, Source
from mopflow.errors import ActRefused, MayHaveRun, Unreachable, UnreadableReply
from mopflow.media import ImageType
from mopflow.menu import Menu
from mopflow.probes import backups as probe
from mopflow.release import Release
from mopflow.repository import LocalFolder, RemoteHost, RepositoryRefused
from mopflow.ssh import Servers

pytestmark = [
    pytest.mark.service,
    needs_sshd,
    pytest.mark.skipif(shutil.which("whiptail") is None, reason="needs whiptail"),
]

SIZE = (200, 50)
RELEASE = "12.1.1.0.0_14.1.0"
SOURCE = Source(("cmp-1a",), ImageType.CMP, Release.parse(RELEASE))
NAME = f"cmp-1a-cmp_{RELEASE}-serverbackup-202611241530.iso"


# What platcfg does, by real whiptail: menus, a form with a default, a gauge, a message. Every window is a process.
PLATCFG = """
pick() {
    title=$1; shift; items=()
    for entry; do items+=("$entry" ""); done
    whiptail --title "$title" --menu Select 20 70 10 "${items[@]}" 3>&1 1>&2 2>&3
}
gauge() {
    for n in 10 40 70 100; do
        echo $n; sleep 0.4
        while [ -e "$STATE/watched" ]; do sleep 0.1; done  # it stands until somebody has seen it
    done
}
echo $$ > "$STATE/pid"
while entry=$(pick "Main Menu" Maintenance Diagnostics "$POLICY" Exit); do
    [ "$entry" = Exit ] && exit 0
    while entry=$(pick "$POLICY" "Set Policy Mode" Firewall "Backup and Restore" Exit); do
        [ "$entry" = Exit ] && break
        while entry=$(pick "Backup and Restore" "Server Backup" "System Backup" Exit); do
            [ "$entry" = Exit ] && break
            path=$(whiptail --title "$entry" --inputbox "ISO path:" 10 150 "$DEFAULT" 3>&1 1>&2 2>&3) || continue
            echo "$path" > "$STATE/chosen"
            gauge | whiptail --gauge "Creating the backup" 8 60 0
            whiptail --title "$entry" --msgbox "$MESSAGE" 12 120
        done
    done
done
"""


class Platcfg:
    """The menu as the command `sudo` on a real server; `sudo su - platcfg` starts it, other commands are run."""

    def __init__(self, sshd: Sshd, base: Path) -> None:
        self.state = base / "state"
        self.state.mkdir()
        self._sshd = sshd
        self._script = base / "platcfg.sh"
        self._script.write_text(PLATCFG)
        self.default = f"{BackupKind.SERVER.folder}/{NAME}"
        self.set()

    def set(self, policy: str = "Policy Configuration", message: str = "Server Backup completed.") -> None:
        given = {"STATE": self.state, "POLICY": policy, "DEFAULT": self.default, "MESSAGE": message}
        exports = "\n".join(f"export {name}={str(value)!r}" for name, value in given.items())
        self._sshd.shim(
            "sudo", f'{exports}\nif [ "$*" = "su - platcfg" ]; then exec bash {self._script}; fi\nexec "$@"'
        )

    @property
    def chosen(self) -> str | None:
        path = self.state / "chosen"
        return path.read_text().strip() if path.exists() else None

    def gone(self) -> bool:
        """Neither the menu nor a window of it runs any more."""
        pid = int((self.state / "pid").read_text())
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not os.path.exists(f"/proc/{pid}") and not windows_of(str(self.state)):  # noqa: PTH110
                return True
            time.sleep(0.05)
        return False


def windows_of(state: str) -> list[int]:
    """Processes whiptail that were started with this state in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if (folder / "comm").read_text() == "whiptail\n" and f"STATE={state}".encode() in (
                folder / "environ"
            ).read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue  # it ended meanwhile, or is no process
    return found


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    base = tmp_path / "sshd"
    base.mkdir()
    server = Sshd(base)
    yield server
    server.stop()


@pytest.fixture
def servers(sshd: Sshd) -> Iterator[Servers]:
    it = sshd.servers()
    yield it
    it.close()


@pytest.fixture
def platcfg(sshd: Sshd, tmp_path: Path) -> Platcfg:
    return Platcfg(sshd, tmp_path)


def take(servers: Servers, tell: Callable[[str], None] = lambda _: None) -> str:
    return backup.take(
        servers, SERVER, BackupKind.SERVER, SOURCE, strike=lambda text: text, tell=tell, patience=30
    )


# ---- the menu ----


def test_a_backup_is_taken_through_real_menus_and_nothing_of_them_stays(
    servers: Servers, platcfg: Platcfg
) -> None:
    said: list[str] = []
    watched = platcfg.state / "watched"
    watched.touch()

    def tell(line: str) -> None:
        said.append(line)
        if "%" in line:
            watched.unlink(missing_ok=True)

    assert take(servers, tell) == platcfg.default
    assert platcfg.chosen == platcfg.default
    assert platcfg.gone()
    assert any("%" in line for line in said), said


def test_a_menu_with_another_entry_stops_the_walk_and_shows_the_screen(
    servers: Servers, platcfg: Platcfg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Menu.__init__, "__defaults__", (*Menu.__init__.__defaults__[:-1], 5.0))  # type: ignore[index]
    platcfg.set(policy="Policy Settings")
    with pytest.raises(backup.NoMenu, match="Policy Configuration") as caught:
        take(servers)
    assert "Policy Settings" in caught.value.shown and "Diagnostics" in caught.value.shown
    assert platcfg.chosen is None and platcfg.gone()


def test_a_default_path_that_is_not_the_documented_one_is_not_accepted(
    servers: Servers, platcfg: Platcfg
) -> None:
    platcfg.default = f"{BackupKind.SERVER.folder}/{NAME.replace('12.1.1.0.0_14.1.0', '12.1.2.0.0_22.1.0')}"
    platcfg.set()
    with pytest.raises(backup.NoMenu, match="the server runs"):
        take(servers)
    assert platcfg.chosen is None and platcfg.gone()


def test_a_message_that_tells_of_a_failure_is_one(servers: Servers, platcfg: Platcfg) -> None:
    platcfg.set(message="ERROR: no space left on device")
    with pytest.raises(ActRefused, match="no space left"):
        take(servers)
    assert platcfg.gone()


def test_a_message_that_nobody_knows_is_unreadable_and_leaves_no_menu(
    servers: Servers, platcfg: Platcfg
) -> None:
    platcfg.set(message="Lorem ipsum")
    with pytest.raises(UnreadableReply, match="not known"):
        take(servers)
    assert platcfg.gone()


def test_a_connection_that_breaks_in_the_menu_may_have_run_and_hangs_the_menu_up(
    servers: Servers, platcfg: Platcfg
) -> None:
    def cut(_: str) -> None:
        servers.close()

    with pytest.raises(MayHaveRun):
        take(servers, cut)
    assert platcfg.gone()


def test_no_terminal_and_no_server_is_nothing_run(sshd: Sshd, servers: Servers) -> None:
    sshd.stop()
    with pytest.raises(Unreachable):
        take(servers)


def test_what_a_server_without_platcfg_says_is_shown(sshd: Sshd, servers: Servers) -> None:
    sshd.shim("sudo", "echo 'su: user platcfg does not exist'; exit 1")
    with pytest.raises(backup.NoMenu, match="user platcfg does not exist"):
        take(servers)


@pytest.mark.parametrize("program", ["whiptail", "dialog"])
def test_a_field_is_emptied_and_filled(servers: Servers, tmp_path: Path, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    answer = tmp_path / "answer"
    command = f"{program} --inputbox 'ISO path' 10 150 /a/default/that/is/long.iso 2> {answer}"
    with servers.session(SERVER, command, terminal=SIZE) as wire:
        menu = Menu(wire, program, SIZE, patience=20)
        menu.expect("the form", lambda screen: "long.iso" in screen.text)
        menu.write("/tmp/another one.iso")
        menu.push("OK")
        assert menu.wait_end() == 0
    assert answer.read_text() == "/tmp/another one.iso"


def test_a_long_list_is_scrolled_until_the_entry_is_there(servers: Servers, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    entries = " ".join(f"'Entry {n}' ''" for n in range(40))
    with servers.session(
        SERVER, f"whiptail --menu Select 20 60 8 {entries} 2> {answer}", terminal=SIZE
    ) as wire:
        menu = Menu(wire, "whiptail", SIZE, patience=20)
        menu.expect_entry("Entry 33")
        menu.choose("entry 33")
        assert menu.wait_end() == 0
    assert answer.read_text() == "Entry 33"


def test_nothing_is_pressed_after_something_unknown(servers: Servers) -> None:
    with servers.session(SERVER, "whiptail --msgbox Hello 10 50; echo; sleep 60", terminal=SIZE) as wire:
        menu = Menu(wire, "whiptail", SIZE, patience=1)
        with pytest.raises(UnreadableReply):
            menu.expect_entry("Exit")
        with pytest.raises(UnreadableReply, match="nothing is pressed"):
            menu.push("OK")


# ---- files ----


@pytest.fixture
def archive(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with backups; `sudo` just runs what it is given."""
    sshd.shim("sudo", 'exec "$@"')
    folder = tmp_path / "archive"
    folder.mkdir()
    monkeypatch.setattr(BackupKind, "folder", property(lambda _: str(folder)))
    return folder


def found(servers: Servers, name: str) -> BackupFile:
    listing = probe.ask(servers, SERVER, BackupKind.SERVER)
    return next(file for file in listing.files if file.name == name)


def test_real_find_and_gzip_tell_whole_archives_from_cut_ones(servers: Servers, archive: Path) -> None:
    data = random.Random(1).randbytes(100_000)
    (archive / "data").write_bytes(data)
    subprocess.run(["tar", "czf", archive / "a.tar.gz", "-C", archive, "data"], check=True)
    whole = (archive / "a.tar.gz").read_bytes()
    (archive / "cut.tar.gz").write_bytes(whole[:50_000])
    (archive / "empty.tar.gz").touch()

    def wrong(name: str, least: int = 1) -> str | None:
        return probe.ask_broken(servers, SERVER, found(servers, name), BackupKind.SYSTEM, least)

    assert found(servers, "a.tar.gz").size == len(whole)
    assert wrong("a.tar.gz") is None
    assert wrong("cut.tar.gz") == "unexpected end of file"
    assert wrong("empty.tar.gz") == "it has no bytes"
    assert "at least 200000" in (wrong("a.tar.gz", 200_000) or "")


def volume(sectors: int) -> bytes:
    """The head of an ISO 9660 image of so many sectors."""
    both = sectors.to_bytes(4, "little") + sectors.to_bytes(4, "big")
    block = (2048).to_bytes(2, "little") + (2048).to_bytes(2, "big")
    head = b"\x01CD001\x01\x00".ljust(80, b" ") + both
    return bytes(16 * 2048) + (head.ljust(128, b"\0") + block).ljust(2048, b"\0")


def image(path: Path, sectors: int, size: int) -> bytes:
    data = volume(sectors)
    data += random.Random(2).randbytes(max(0, size - len(data)))
    path.write_bytes(data[:size])
    return data[:size]


def test_real_dd_and_od_tell_whole_images_from_cut_ones(servers: Servers, archive: Path) -> None:
    image(archive / "whole.iso", 100, 100 * 2048)
    image(archive / "cut.iso", 100, 70 * 2048 + 5)

    def wrong(name: str) -> str | None:
        return probe.ask_broken(servers, SERVER, found(servers, name), BackupKind.SERVER, 1)

    assert wrong("whole.iso") is None
    assert "cut off" in (wrong("cut.iso") or "")


def test_an_open_menu_is_found_among_real_processes(servers: Servers) -> None:
    menu = subprocess.Popen(["bash", "-c", "exec -a platcfg sleep 60"])
    try:
        deadline = time.monotonic() + 10
        while menu.pid not in probe.ask_menus(servers, SERVER):  # until bash has become the menu
            assert time.monotonic() < deadline
    finally:
        menu.kill()
        menu.wait()
    assert menu.pid not in probe.ask_menus(servers, SERVER)


def keep(servers: Servers, where: LocalFolder | RemoteHost, file: BackupFile) -> str:
    return backup.keep(servers, SERVER, where, file, BackupKind.SERVER, SOURCE, lambda _: None).place


def test_a_backup_is_kept_here_with_its_hash(servers: Servers, archive: Path, tmp_path: Path) -> None:
    data = image(archive / NAME, 2000, 2000 * 2048)
    (tmp_path / "repository").mkdir()
    place = Path(keep(servers, LocalFolder(tmp_path / "repository"), found(servers, NAME)))
    assert place == tmp_path / "repository" / SERVER / NAME and place.read_bytes() == data
    assert (archive / NAME).exists(), "the server's file stays until the ledger has the copy"
    subprocess.run(["sha256sum", "-c", f"{NAME}.sha256"], cwd=place.parent, check=True, capture_output=True)
    assert sorted(p.name for p in place.parent.iterdir()) == [NAME, f"{NAME}.sha256"]


def test_a_backup_is_kept_on_a_host_and_read_back_there(
    servers: Servers, archive: Path, tmp_path: Path
) -> None:
    data = image(archive / NAME, 2000, 2000 * 2048)
    where = RemoteHost(servers, SERVER, "root@127.0.0.1", str(tmp_path / "with space"))
    assert where.objection(1) is None
    place = keep(servers, where, found(servers, NAME))
    kept = tmp_path / "with space" / SERVER / NAME
    assert place == f"root@127.0.0.1:{kept}" and kept.read_bytes() == data
    assert where.look(SERVER, NAME) == (len(data), hashlib.sha256(data).hexdigest())
    assert where.look(SERVER, "another") is None
    subprocess.run(["sha256sum", "-c", f"{NAME}.sha256"], cwd=kept.parent, check=True, capture_output=True)


def test_a_copy_that_is_there_already_is_not_carried_again(
    servers: Servers, archive: Path, tmp_path: Path
) -> None:
    image(archive / NAME, 100, 100 * 2048)
    (tmp_path / "repository").mkdir()
    where, file = LocalFolder(tmp_path / "repository"), found(servers, NAME)
    place = Path(keep(servers, where, file))
    before = place.stat().st_ino
    keep(servers, where, file)
    assert place.stat().st_ino == before


def test_a_copy_that_was_damaged_at_the_repository_is_replaced(
    servers: Servers, archive: Path, tmp_path: Path
) -> None:
    data = image(archive / NAME, 100, 100 * 2048)
    (tmp_path / "repository").mkdir()
    where, file = LocalFolder(tmp_path / "repository"), found(servers, NAME)
    place = Path(keep(servers, where, file))
    place.write_bytes(data[:-1] + b"X")
    keep(servers, where, file)
    assert place.read_bytes() == data


def test_a_file_that_changes_while_it_is_carried_does_not_count(
    servers: Servers, sshd: Sshd, archive: Path, tmp_path: Path
) -> None:
    image(archive / NAME, 100, 100 * 2048)
    (tmp_path / "repository").mkdir()
    file = found(servers, NAME)
    sshd.shim("sudo", 'if [ "$1" = cat ]; then head -c 100000 "$2"; else exec "$@"; fi')
    with pytest.raises(ActRefused, match="100000 of"):
        keep(servers, LocalFolder(tmp_path / "repository"), file)
    assert list((tmp_path / "repository" / SERVER).iterdir()) == []


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("may not mount a tmpfs here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_repository_refuses_beforehand_and_in_the_middle(
    servers: Servers, archive: Path, tiny: Path
) -> None:
    image(archive / NAME, 2000, 2000 * 2048)
    local, remote = LocalFolder(tiny), RemoteHost(servers, SERVER, "root@127.0.0.1", str(tiny))
    for where in (local, remote):
        assert "bytes free" in (where.objection(4_000_000) or "")
        with pytest.raises(RepositoryRefused, match="No space left on device"):
            keep(servers, where, found(servers, NAME))
        assert not list((tiny / SERVER).glob("*")), "what is of no use takes no room"
    assert (archive / NAME).exists()


def test_a_repository_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be used" in (LocalFolder(tmp_path / "file" / "below").objection(1) or "")
    assert "cannot be used" in (LocalFolder(tmp_path / "no" / "folder").objection(1) or "")
