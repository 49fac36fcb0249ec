"""The servers of 10.5 and 11.5 as their shells show them: who there is, keys, the scripts of the image (6.1.1/7, 7.1.1/6)."""

from __future__ import annotations

import asyncio

import pytest
from world_bench import ENVIRON, ME, Bench, image

from lab.files import SCRIPT_DIR, SCRIPTS, UPGRADE_DIR
from lab.ssh.machine import TwinMachine
from lab.ssh.shell import Shell, Streams
from lab.ssh.streams import Collector, Empty
from lab.world import OperationFailed, Refused

OLD_GUI = ("10.5.6_1.1.0", "11.5.2.0.0_38.1.0")
ADMUSR, ROOT = ENVIRON["MOPFLOW_LAB_ADMUSR_PASSWORD"], ENVIRON["MOPFLOW_LAB_ROOT_PASSWORD"]
MOUNT = f"mount -o loop {UPGRADE_DIR}/{image('cmp')} /mnt/upgrade/"
COPY = "cp /mnt/upgrade/upgrade/policyScripts/*.pl /opt/camiant/bin"
UMOUNT = "umount /mnt/upgrade"


class Typist:
    """A terminal at which one line is typed."""

    def __init__(self, line: str) -> None:
        self._line = line
        self.seen = b""

    async def write(self, data: bytes) -> None:
        self.seen += data

    async def line(self, *, secret: bool = False) -> bytes:
        assert secret
        return self._line.encode()


def bench_on(source: str) -> Bench:
    bench = Bench(source=source, kit=False)
    for server in bench.world.servers.values():
        bench.world.machines[server.name] = TwinMachine(bench.world, server)
    return bench


def run(
    bench: Bench, server: str, user: str, command: str, terminal: Typist | None = None
) -> tuple[int, str]:
    """Status and what was printed; the clock is turned while the command waits."""
    out = Collector()

    async def talk() -> int:
        shell = Shell(bench.world.machines[server], user, terminal)  # type: ignore[arg-type]
        task = asyncio.create_task(shell.run(command, Streams(Empty(), out, out)))
        while not task.done():
            await asyncio.sleep(0)
            bench.clock.advance(0.1)
        return task.result()

    status = asyncio.run(talk())
    return status, bytes(out.data).decode()


def test_on_10_5_there_is_root_alone() -> None:
    machine = bench_on(OLD_GUI[0]).world.machines["cmp1b"]
    assert not machine.has_account("admusr")
    assert not machine.password_is_right("admusr", ADMUSR)
    assert machine.password_is_right("root", ROOT)
    assert machine.root_may_use_password()


def test_on_11_5_there_is_admusr() -> None:
    machine = bench_on(OLD_GUI[1]).world.machines["cmp1b"]
    assert machine.password_is_right("admusr", ADMUSR)
    assert not machine.root_may_use_password()


def test_admusr_comes_with_the_upgrade_and_goes_with_the_backout() -> None:
    bench = bench_on(OLD_GUI[0])
    bench.push_scripts()
    world, machine = bench.world, bench.world.machines["cmp1b"]
    world.force_standby("cmp1b", ME)
    bench.idle()
    world.start_upgrade(["cmp1b"], ME)
    bench.idle()
    assert machine.password_is_right("admusr", ADMUSR)
    assert not machine.root_may_use_password()
    assert not world.machines["cmp1a"].has_account("admusr")
    assert run(bench, "cmp1b", "admusr", "sudo whoami") == (0, "root\n")
    world.back_out(["cmp1b"], ME)
    bench.idle()
    assert not machine.has_account("admusr")
    assert machine.root_may_use_password()


@pytest.mark.parametrize(
    ("source", "user", "sudo"), [(OLD_GUI[0], "root", ""), (OLD_GUI[1], "admusr", "sudo ")]
)
def test_the_scripts_are_copied_and_pushed(source: str, user: str, sudo: str) -> None:
    bench = bench_on(source)
    world = bench.world
    with pytest.raises(Refused, match="no upgrade scripts"):
        world.push_scripts(list(world.servers), ME)
    assert bench.events("refused", action="push_scripts")
    for command in (MOUNT, COPY, UMOUNT):
        assert run(bench, "cmp1a", user, f"{sudo}{command}") == (0, ""), command
    assert world.files["cmp1a"].list("/mnt/upgrade/upgrade/policyScripts") == []
    assert all(f"{SCRIPT_DIR}/{script}" in world.files["cmp1a"] for script in SCRIPTS)
    world.push_scripts(list(world.servers), ME)
    bench.idle()
    assert world.scripts_pushed == set(world.servers)


def test_keys_are_brought_as_root() -> None:
    bench = bench_on(OLD_GUI[0])
    typist = Typist(ROOT)
    status, said = run(bench, "cmp1a", "root", "qpSSHKeyProv.pl --prov --user=root", typist)
    assert status == 0
    assert b"The password of root in topology:" in typist.seen
    assert "SSH keys are OK." in said
    status, said = run(bench, "cmp1a", "root", "sudo qpSSHKeyProv.pl --check")
    assert status == 0
    assert "Connecting to root@mpe1a" in said


def test_nobody_brings_keys_as_a_user_that_does_not_exist() -> None:
    bench = bench_on(OLD_GUI[0])
    status, said = run(bench, "cmp1a", "root", "qpSSHKeyProv.pl --prov", Typist(ADMUSR))
    assert (status, "unknown user: admusr" in said) == (1, True)


@pytest.mark.parametrize(
    ("source", "user", "word", "good"),
    [
        (OLD_GUI[0], "root", ROOT, True),
        (OLD_GUI[0], "admusr", ADMUSR, False),
        (OLD_GUI[1], "admusr", ADMUSR, True),
        (OLD_GUI[1], "root", ROOT, False),
    ],
)
def test_upload_iso_logs_in_to_the_holder_as_who_is_there(
    source: str, user: str, word: str, good: bool
) -> None:
    bench = Bench(source=source, kit=False)
    path = f"{UPGRADE_DIR}/{image('mpe')}"
    bench.world.delete_iso(["mpe1b"], ME)
    bench.idle()
    if not good:
        with pytest.raises(OperationFailed, match=f"refused the login of {user}"):
            bench.world.upload_iso(["mpe1b"], "mpe1a", user, word, path, ME)
        return
    bench.world.upload_iso(["mpe1b"], "mpe1a", user, word, path, ME)
    bench.idle()
    assert list(bench.world.servers["mpe1b"].isos) == [image("mpe")]
