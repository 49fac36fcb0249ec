"""The questions of the health check put to this machine, over a real sshd and to real programs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_ssh_real import SERVER, Sshd, needs_sshd

from mopflow.errors import CommandFailed
from mopflow.probes import accounts, clock, disk, hwclock, netbackup, ntp, ping
from mopflow.ssh import Servers

pytestmark = [pytest.mark.service, needs_sshd]


def needs(*programs: str) -> pytest.MarkDecorator:
    path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    return pytest.mark.skipif(bool(missing), reason=f"this machine has no {', '.join(missing)}")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def servers(sshd: Sshd) -> Iterator[Servers]:
    it = sshd.servers()
    yield it
    it.close()


@needs("ping")
def test_a_host_that_answers(servers: Servers) -> None:
    echo = ping.ask(servers, SERVER, "127.0.0.1")
    assert echo.answered
    assert echo.milliseconds is not None


@needs("ntpq")
def test_the_time_servers_or_why_there_are_none(servers: Servers) -> None:
    peers = ntp.ask(servers, SERVER)
    assert peers.peers or peers.why


def test_the_clock_of_this_machine_is_ours(servers: Servers) -> None:
    clock.ask(servers, SERVER)
    moment = clock.ask(servers, SERVER)
    assert abs(moment.epoch - moment.ours) <= moment.half + 0.05
    assert abs(moment.epoch - time.time()) < 30


@needs("hwclock", "sudo")
def test_the_bios_clock_or_that_there_is_none(servers: Servers) -> None:
    try:
        clocks = hwclock.ask(servers, SERVER)
    except CommandFailed as failed:
        assert failed.status == 1
        assert "Cannot access the Hardware Clock" in failed.stderr
    else:
        assert clocks.before <= clocks.after


@needs("hwclock", "sudo")
def test_the_line_of_a_real_hwclock(sshd: Sshd, servers: Servers) -> None:
    """Where there is no BIOS clock, hwclock itself prints the line for a time that it is given."""
    sshd.shim("hwclock", "exec /usr/sbin/hwclock --predict --date \"$(/bin/date '+%F %T')\"")
    path = f"PATH={sshd.bin}:$PATH"
    reply = servers.check(
        SERVER, hwclock.COMMAND.replace("LC_ALL=C hwclock", f'{path} LC_ALL=C "{sshd.bin}/hwclock"')
    )
    assert abs(hwclock.parse(reply).skew) < 5


@needs("sudo", "sed")
def test_the_accounts_of_this_machine_without_a_hash(servers: Servers) -> None:
    text = servers.check(SERVER, accounts.COMMAND)
    assert re.search(r"\$[^:\n]*\$[^:\n]", text) is None
    found = {account.name: account for account in accounts.parse(text)}
    known = [line.split(":")[0] for line in Path("/etc/shadow").read_text().splitlines()]
    assert list(found) == known


def test_room_on_this_machine(servers: Servers) -> None:
    volume = disk.ask_for(servers, SERVER, "/tmp")
    assert volume.size > 0
    assert volume.free >= 0


def test_no_netbackup_on_this_machine(servers: Servers) -> None:
    assert netbackup.ask(servers, SERVER) is Path(netbackup.FOLDER).exists()
