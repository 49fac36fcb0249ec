"""Files to a real OpenSSH: whole, resumed, cut off, damaged, no room, and an account without a shell."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_ssh_real import SERVER, Sshd, needs_sshd

from mopflow import far
from mopflow.errors import CommandFailed, TransferStopped
from mopflow.probes import folder
from mopflow.progress import Progress, Tell
from mopflow.ssh import Servers
from mopflow.transfer import Parcel, Sent, send

pytestmark = [pytest.mark.service, needs_sshd]

SIZE = 24 << 20  # more than two windows of OpenSSH, so that a transfer can be met in its middle
NAME = "cmp-12.1.2.0.0_22.1.0-x86_64.iso"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(1).randbytes(SIZE)


class Bench:
    """A local image and a folder on the "server"."""

    def __init__(self, base: Path, content: bytes) -> None:
        self.content = content
        self.local = base / NAME
        self.local.write_bytes(content)
        self.there = base / "upgrade"
        self.there.mkdir()

    @property
    def final(self) -> Path:
        return self.there / NAME

    @property
    def part(self) -> Path:
        return self.there / f"{NAME}.part"

    def parcel(self, there: Path | None = None, content: bytes | None = None) -> Parcel:
        wanted = self.content if content is None else content
        return Parcel(self.local, str((there or self.there) / NAME), len(wanted), md5(wanted))

    def send(self, servers: Servers, **options: Any) -> Sent:
        return send(servers, SERVER, self.parcel(), **{"reserve": 0, "again": (0.0,), **options})

    def names(self) -> list[str]:
        return sorted(path.name for path in self.there.iterdir())


@pytest.fixture
def bench(tmp_path: Path, content: bytes) -> Bench:
    return Bench(tmp_path, content)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    (tmp_path / "sshd").mkdir()
    server = Sshd(tmp_path / "sshd")
    yield server
    for child in children(server):
        with contextlib.suppress(ProcessLookupError):  # it may end by itself meanwhile
            os.kill(child, signal.SIGKILL)  # one may have been stopped
    server.stop()


@pytest.fixture
def servers(sshd: Sshd) -> Iterator[Servers]:
    it = sshd.servers()
    yield it
    it.close()


def children(sshd: Sshd) -> list[int]:
    """The sessions of the server, oldest first."""
    found = subprocess.run(
        ["pgrep", "-P", str(sshd._process.pid)], capture_output=True, text=True, check=False
    )
    return sorted(int(pid) for pid in found.stdout.split())


def once_at(percent: int, act: Callable[[], None]) -> Tell:
    """Do it when so much has been sent, the first time only."""
    waiting = [act]

    def tell(progress: Progress) -> None:
        if waiting and progress.percent >= percent:
            waiting.pop()()

    return tell


@pytest.fixture(autouse=True)
def every_block_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board is told twice a second; a test wants to meet the middle of a transfer."""
    monkeypatch.setattr("mopflow.progress.EVERY", 0.0)


def cat_is(sshd: Sshd, text: str) -> None:
    """What `cat` does where it writes an image; the login shell of an account may use it, too."""
    sshd.shim("cat", f'case "$(readlink /proc/$$/fd/1)" in *.iso.part) {text};; *) exec /bin/cat "$@";; esac')


# ---- a whole transfer ----


def test_a_file_arrives_whole_and_only_then_has_its_name(bench: Bench, servers: Servers) -> None:
    seen: list[tuple[int, list[str]]] = []
    sent = bench.send(servers, tell=lambda progress: seen.append((progress.percent, bench.names())))
    assert bench.final.read_bytes() == bench.content
    assert bench.names() == [NAME]
    assert (sent.found, sent.resumed, sent.sent, sent.breaks, sent.restarts) == (False, 0, SIZE, 0, 0)
    assert seen[0][0] == 0
    assert seen[-1][0] == 100
    assert all(NAME not in names for _, names in seen)


def test_what_is_there_already_is_not_sent_again(bench: Bench, servers: Servers) -> None:
    bench.send(servers)
    before = bench.final.stat()
    assert bench.send(servers).found
    assert bench.final.stat().st_mtime_ns == before.st_mtime_ns


def test_another_file_of_that_name_is_not_written_over(bench: Bench, servers: Servers) -> None:
    bench.final.write_bytes(b"something else")
    with pytest.raises(TransferStopped, match="another file of the name"):
        bench.send(servers)
    assert bench.final.read_bytes() == b"something else"
    assert bench.names() == [NAME]


def test_a_name_that_wants_quotes(bench: Bench, servers: Servers) -> None:
    odd = bench.there / 'it\'s $(x) "here"'
    odd.mkdir()
    send(servers, SERVER, bench.parcel(odd), reserve=0)
    assert (odd / NAME).read_bytes() == bench.content


def test_commands_go_on_beside_a_transfer(bench: Bench, sshd: Sshd, servers: Servers) -> None:
    """The transfer has a connection of its own: nothing queues behind it."""
    answers: list[str] = []
    bench.send(servers, tell=lambda _progress: answers.append(servers.check(SERVER, "echo here")))
    assert len(answers) > 5
    assert set(answers) == {"here\n"}
    assert sshd.logins() == 2
    assert bench.final.read_bytes() == bench.content


# ---- resumed ----


def test_a_transfer_goes_on_behind_what_is_there(bench: Bench, servers: Servers) -> None:
    have = SIZE * 6 // 10 + 123
    bench.part.write_bytes(bench.content[:have])
    sent = bench.send(servers)
    assert (sent.resumed, sent.sent, sent.restarts) == (have, SIZE - have, 0)
    assert bench.final.read_bytes() == bench.content


def test_a_part_that_is_whole_only_needs_its_name(bench: Bench, servers: Servers) -> None:
    bench.part.write_bytes(bench.content)
    assert bench.send(servers).sent == 0
    assert bench.names() == [NAME]


@pytest.mark.parametrize("kind", ["changed", "longer"])
def test_what_is_not_our_beginning_is_sent_anew(bench: Bench, servers: Servers, kind: str) -> None:
    begun = bytearray(bench.content[: SIZE // 2])
    begun[1_000_000] ^= 1
    bench.part.write_bytes(bytes(begun) if kind == "changed" else bench.content + b"x")
    sent = bench.send(servers)
    assert (sent.resumed, sent.sent, sent.restarts) == (0, SIZE, 1)
    assert bench.final.read_bytes() == bench.content


def test_an_old_writer_cannot_spoil_a_new_file(bench: Bench, servers: Servers) -> None:
    """A session that still hangs on the other side may write on; a new beginning is another file."""
    bench.part.write_bytes(b"not our beginning")
    with bench.part.open("ab") as old:
        bench.send(servers, tell=once_at(50, lambda: (old.write(b"x" * 100), old.flush(), None)[-1]))
    assert bench.final.read_bytes() == bench.content


def test_nothing_is_appended_to_what_grew_meanwhile(bench: Bench, servers: Servers) -> None:
    bench.part.write_bytes(bench.content[:5000])
    with pytest.raises(CommandFailed):
        far.ShellFar(servers, SERVER, 60).append(str(bench.part), [b"x" * 100], 4000)
    assert bench.part.read_bytes() == bench.content[:5000]


# ---- broken off ----


def test_a_cut_connection_is_made_again_and_the_rest_is_sent(
    bench: Bench, sshd: Sshd, servers: Servers
) -> None:
    sent = bench.send(servers, tell=once_at(60, lambda: [os.kill(c, 9) for c in children(sshd)] and None))
    assert bench.final.read_bytes() == bench.content
    assert sent.breaks == 1
    assert sent.sent < 2 * SIZE
    assert bench.names() == [NAME]


def test_a_connection_that_stands_still_is_given_up_and_made_again(
    bench: Bench, sshd: Sshd, servers: Servers
) -> None:
    """The session is stopped: its TCP connection is open and takes nothing more."""
    stop = once_at(40, lambda: os.kill(children(sshd)[-1], signal.SIGSTOP))
    sent = bench.send(servers, tell=stop, quiet=1.0)
    assert sent.breaks == 1
    assert bench.final.read_bytes() == bench.content


def test_a_server_that_never_takes_a_byte_ends_the_transfer(
    bench: Bench, sshd: Sshd, servers: Servers
) -> None:
    cat_is(sshd, "exec sleep 20")  # far longer than the transfer waits, and ended soon after this test
    with pytest.raises(TransferStopped, match=r"broken off 4 times.*nothing moved for 0\.5 s") as stopped:
        bench.send(servers, quiet=0.5)
    assert stopped.value.rule == "transfer"
    assert not bench.final.exists()


def test_a_second_run_takes_up_what_the_first_one_left(bench: Bench, sshd: Sshd) -> None:
    first = sshd.servers()

    def ends() -> None:
        first.close()  # as when the process is asked to end

    with pytest.raises(TransferStopped, match="connections of this run are closed"):
        bench.send(first, tell=once_at(50, ends))
    assert 0 < bench.part.stat().st_size < SIZE
    second = sshd.servers()
    sent = bench.send(second)
    second.close()
    assert sent.resumed > 0
    assert sent.sent == SIZE - sent.resumed
    assert bench.final.read_bytes() == bench.content


# ---- damaged ----

_FLIP = "tr '\\000' '\\001'"  # every zero byte arrives as one


def test_what_arrives_damaged_once_is_sent_again(
    bench: Bench, sshd: Sshd, servers: Servers, tmp_path: Path
) -> None:
    cat_is(sshd, f"test -e {tmp_path}/bitten && exec /bin/cat; touch {tmp_path}/bitten; exec {_FLIP}")
    sent = bench.send(servers)
    assert (sent.restarts, sent.sent) == (1, 2 * SIZE)
    assert bench.final.read_bytes() == bench.content


def test_what_always_arrives_damaged_never_gets_its_name(bench: Bench, sshd: Sshd, servers: Servers) -> None:
    cat_is(sshd, f"exec {_FLIP}")
    with pytest.raises(TransferStopped, match="another MD5 than what was sent") as stopped:
        bench.send(servers)
    assert stopped.value.rule == "transfer"
    assert bench.names() == []


def test_a_local_file_that_is_not_the_medium_is_not_left_on_the_server(
    bench: Bench, servers: Servers
) -> None:
    changed = bytearray(bench.content)
    changed[-1] ^= 1
    bench.local.write_bytes(changed)
    with pytest.raises(TransferStopped, match="another MD5 than the site file says") as stopped:
        bench.send(servers)
    assert stopped.value.rule == "media"
    assert bench.names() == []


def test_a_local_file_that_becomes_shorter(bench: Bench, servers: Servers) -> None:
    cut = once_at(20, lambda: os.truncate(bench.local, SIZE // 2))
    with pytest.raises(TransferStopped, match="shorter") as stopped:
        bench.send(servers, tell=cut)
    assert stopped.value.rule == "media"
    assert NAME not in bench.names()


# ---- no room ----


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, a little larger than the image."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE + (2 << 20)}", "tmpfs", where], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_file_that_would_not_fit_is_not_begun(bench: Bench, servers: Servers, small: Path) -> None:
    with pytest.raises(TransferStopped, match=rf"{SIZE + (8 << 20)} are needed") as stopped:
        send(servers, SERVER, bench.parcel(small), reserve=8 << 20)
    assert stopped.value.rule == "disk"
    assert list(small.iterdir()) == []


def test_what_is_there_already_counts_for_the_room(bench: Bench, servers: Servers, small: Path) -> None:
    (small / f"{NAME}.part").write_bytes(bench.content[: SIZE - 1000])
    sent = send(servers, SERVER, bench.parcel(small), reserve=1 << 20)
    assert sent.sent == 1000
    assert (small / NAME).read_bytes() == bench.content


def test_a_disk_that_becomes_full_is_not_left_full(bench: Bench, servers: Servers, small: Path) -> None:
    def fill() -> None:
        (small / "somebody else's").write_bytes(b"x" * (8 << 20))

    with pytest.raises(TransferStopped, match=r"\.part was removed, for it would have kept") as stopped:
        send(servers, SERVER, bench.parcel(small), reserve=1 << 20, tell=once_at(30, fill))
    assert stopped.value.rule == "disk"
    assert [path.name for path in small.iterdir()] == ["somebody else's"]
    (small / "somebody else's").unlink()
    assert send(servers, SERVER, bench.parcel(small), reserve=1 << 20).sent == SIZE
    assert (small / NAME).read_bytes() == bench.content


def test_a_command_that_takes_no_more_says_why_and_what_arrived_is_used(
    bench: Bench, sshd: Sshd, servers: Servers
) -> None:
    cat_is(sshd, f"ulimit -f {SIZE // 2048}; exec /bin/cat")  # in KiB: half of the file
    with pytest.raises(TransferStopped, match="the server took no more") as stopped:
        bench.send(servers)
    assert stopped.value.rule == "transfer"
    assert bench.part.stat().st_size == SIZE // 2
    (sshd.bin / "cat").unlink()
    assert bench.send(servers).resumed == SIZE // 2
    assert bench.final.read_bytes() == bench.content


def test_a_folder_that_is_not_there_or_not_ours(bench: Bench, servers: Servers) -> None:
    with pytest.raises(CommandFailed, match="No such file"):
        send(servers, SERVER, bench.parcel(bench.there / "nowhere"), reserve=0)


# ---- an account without a shell ----


@pytest.fixture
def sftp_only(tmp_path: Path) -> Iterator[Servers]:
    (tmp_path / "sftp").mkdir()
    server = Sshd(tmp_path / "sftp", "Subsystem sftp internal-sftp", "ForceCommand internal-sftp")
    it = server.servers()
    yield it
    it.close()
    server.stop()


def test_an_account_without_a_shell_is_seen(sftp_only: Servers, servers: Servers) -> None:
    assert not far.has_shell(sftp_only, SERVER)
    assert far.has_shell(servers, SERVER)


def test_sftp_whole(bench: Bench, sftp_only: Servers) -> None:
    sent = bench.send(sftp_only)
    assert (sent.sent, sent.restarts) == (SIZE, 0)
    assert bench.final.read_bytes() == bench.content
    assert bench.names() == [NAME]
    assert bench.send(sftp_only).found


def test_sftp_resumed(bench: Bench, sftp_only: Servers) -> None:
    have = SIZE // 3 + 7
    bench.part.write_bytes(bench.content[:have])
    sent = bench.send(sftp_only)
    assert (sent.resumed, sent.sent, sent.restarts) == (have, SIZE - have, 0)
    assert bench.final.read_bytes() == bench.content


def test_sftp_other_beginning(bench: Bench, sftp_only: Servers) -> None:
    bench.part.write_bytes(b"x" * 100_000)
    sent = bench.send(sftp_only)
    assert (sent.resumed, sent.restarts) == (0, 1)
    assert bench.final.read_bytes() == bench.content


def test_sftp_no_room(bench: Bench, sftp_only: Servers, small: Path) -> None:
    with pytest.raises(TransferStopped, match="are needed") as stopped:
        send(sftp_only, SERVER, bench.parcel(small), reserve=8 << 20)
    assert stopped.value.rule == "disk"

    def fill() -> None:
        (small / "other").write_bytes(b"x" * (8 << 20))

    with pytest.raises(TransferStopped, match=r"\.part was removed") as stopped:
        send(sftp_only, SERVER, bench.parcel(small), reserve=1 << 20, tell=once_at(30, fill))
    assert stopped.value.rule == "disk"
    assert [path.name for path in small.iterdir()] == ["other"]


# ---- the probe ----


def test_the_probe_reads_a_real_folder(bench: Bench, servers: Servers) -> None:
    bench.part.write_bytes(b"12345")
    (bench.there / "two words.iso").write_bytes(b"")
    (bench.there / ".hidden").mkdir()
    (bench.there / "link.iso").symlink_to(bench.local)
    old = bench.there / "old.iso"
    old.write_bytes(b"1")
    os.utime(old, (1_400_000_000.25, 1_400_000_000.25))
    found = folder.ask(servers, SERVER, str(bench.there))
    kinds = {name: (entry.kind, entry.size) for name, entry in found.entries.items()}
    assert kinds[f"{NAME}.part"] == ("f", 5)
    assert kinds["two words.iso"] == ("f", 0)
    assert kinds["old.iso"] == ("f", 1)
    assert kinds[".hidden"][0] == "d"
    assert kinds["link.iso"][0] == "l"
    assert len(kinds) == 5
    assert found.being_written(f"{NAME}.part")
    assert not found.being_written("old.iso")
    assert found.entries["old.iso"].mtime == 1_400_000_000.25
