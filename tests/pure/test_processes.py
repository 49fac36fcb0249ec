"""Is that other process dead? Asked of real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mopflow.processes import ProcessMark, is_dead, me

CHILD = """
import sys
from mopflow.processes import me
mark = me()
print(mark.host, mark.pid, repr(mark.born), flush=True)
sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]


@contextmanager
def child(before: str = "") -> Iterator[tuple[subprocess.Popen[str], ProcessMark]]:
    process = subprocess.Popen(
        [sys.executable, "-c", before + CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        host, pid, born = process.stdout.readline().split()
        yield process, ProcessMark(host, int(pid), float(born))
    finally:
        process.kill()
        process.communicate()


def other_host(place: int, value: str) -> ProcessMark:
    """This process, as if its host were another one in one respect: 0 name, 1 machine, 2 boot, 3 namespace."""
    mark = me()
    fields = mark.host.split("/")
    fields[place] = value
    return replace(mark, host="/".join(fields))


def test_this_process_lives() -> None:
    assert me() == me()
    assert me().pid == os.getpid()
    assert is_dead(me()) is False


def test_a_child_lives_and_calls_itself_what_we_call_it() -> None:
    with child() as (process, mark):
        assert mark.pid == process.pid
        assert mark.host == me().host
        assert is_dead(mark) is False


def test_a_killed_child_is_dead_before_and_after_it_is_collected() -> None:
    with child() as (process, mark):
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody collected it
        assert Path(f"/proc/{mark.pid}/stat").exists()
        assert is_dead(mark) is True
        process.wait()
        assert is_dead(mark) is True


def test_a_pid_that_was_given_out_again_is_not_the_old_process() -> None:
    mark = me()
    assert is_dead(replace(mark, born=mark.born - 0.01)) is True
    assert is_dead(replace(mark, born=mark.born + 3600)) is True


def test_a_process_may_be_named_so_that_its_stat_line_is_hard_to_read() -> None:
    with child("open('/proc/self/comm', 'w').write(') Z 1 (');") as (_, mark):
        assert ") Z 1 (" in Path(f"/proc/{mark.pid}/stat").read_text()
        assert is_dead(mark) is False


def test_after_a_boot_of_this_machine_it_is_dead() -> None:
    mark = other_host(2, "11111111-2222-3333-4444-555555555555")
    machine_is_known = me().host.split("/")[1] != "?"
    assert is_dead(mark) is (True if machine_is_known else None)


@pytest.mark.parametrize(
    "mark",
    [
        other_host(0, "elsewhere"),
        other_host(1, "0123456789ab"),
        other_host(2, "?"),
        other_host(3, "1"),
        replace(me(), host="elsewhere"),
        replace(me(), host=""),
    ],
    ids=["name", "machine", "boot not known", "namespace", "of another form", "empty"],
)
def test_what_cannot_be_told_from_here_is_neither_dead_nor_alive(mark: ProcessMark) -> None:
    assert is_dead(mark) is None
    assert is_dead(replace(mark, pid=2**22 + 1)) is None  # not even when nothing here has that pid
