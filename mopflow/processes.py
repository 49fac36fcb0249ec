"""Who am I, and is that other process dead?

A process is known by its host, its pid and the moment at which it was born. The pid alone proves nothing: the kernel
gives it out again. The host is more than a name, because a pid means something only within one boot of one machine and
within one PID namespace (a container has its own).
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process, so described that it can be told from every other one.

    ``host`` is ``name/machine/boot/namespace`` (see `me`), ``born`` the start of the process in seconds after the boot
    of its machine. Seconds after the boot, not a time of day: they do not move when somebody sets the clock.
    """

    host: str
    pid: int
    born: float


@dataclass(frozen=True, slots=True)
class _Stat:
    """What /proc/<pid>/stat says."""

    state: str
    threads: int
    born: float

    @property
    def ended(self) -> bool:
        """Ended and only not collected by its parent. With threads left the process is still at work."""
        return self.state in ("Z", "X", "x") and self.threads <= 1


def me() -> ProcessMark:
    """The mark of this process. Where the system has no /proc, what it does not tell is "?" and 0."""
    pid = os.getpid()
    try:
        born = _stat(pid).born
    except OSError:
        born = 0.0
    return ProcessMark(_host(), pid, born)


def is_dead(mark: ProcessMark) -> bool | None:
    """Whether the process has ended: True or False only when it is certain, None when it cannot be told from here.

    Certain: this machine was booted since, or nothing here has that pid, or what has it was born at another time.
    """
    here, there = _host().split("/"), mark.host.split("/")
    if len(there) != len(here) or here[:2] != there[:2]:
        return None
    boot, namespace = 2, 3
    if _UNKNOWN in (here[boot], there[boot]):
        return None
    if here[boot] != there[boot]:
        # Without a machine id another machine of the same name cannot be told from this one before its last boot.
        return None if here[1] == _UNKNOWN else True
    if here[namespace] != there[namespace] or here[namespace] == _UNKNOWN:
        return None
    try:
        stat = _stat(mark.pid)
    except (FileNotFoundError, ProcessLookupError):
        # /proc may hide the processes of other users (hidepid); the kernel itself does not.
        return True if _no_such_pid(mark.pid) else None
    except OSError:
        return None
    return stat.ended or abs(stat.born - mark.born) > 0.5 / os.sysconf("SC_CLK_TCK")


def _host() -> str:
    """``name/machine/boot/namespace``; the machine id only as a hash, for it is not meant to be shown."""
    machine = _text(Path("/etc/machine-id"))
    if machine != _UNKNOWN:
        machine = hashlib.sha256(f"mopflow {machine}".encode()).hexdigest()[:12]
    try:
        namespace = str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        namespace = _UNKNOWN
    name = socket.gethostname().replace("/", "_")
    return f"{name}/{machine}/{_text(_PROC / 'sys/kernel/random/boot_id')}/{namespace}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip() or _UNKNOWN
    except (OSError, UnicodeDecodeError):
        return _UNKNOWN


def _stat(pid: int) -> _Stat:
    """Raises OSError when there is no such process or it is hidden."""
    line = (_PROC / str(pid) / "stat").read_bytes().decode("utf-8", "replace")
    # The second field is the name in brackets and may itself hold blanks and brackets.
    fields = line[line.rindex(")") + 2 :].split()
    return _Stat(state=fields[0], threads=int(fields[17]), born=int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def _no_such_pid(pid: int) -> bool:
    if pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
