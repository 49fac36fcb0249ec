"""Health of one server, asked over SSH (4.5 step 4)."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps

from mopflow.confirmations import ConfirmItem, confirmed
from mopflow.errors import CommandFailed, MayHaveRun, NothingRun, Unreachable, UnreadableReply
from mopflow.here import Here
from mopflow.probes import accounts, clock, disk, hwclock, netbackup, ntp, ping, syscheck
from mopflow.probes.accounts import Account
from mopflow.probes.clock import Moment
from mopflow.step import Finding, Question

VOLUMES = ("/var/TKLC", "/var/camiant")  # of the images, and of kits and backups
COMPARED = 5  # other servers whose clock is read beside that of this one
_UNANSWERED = (NothingRun, CommandFailed, MayHaveRun, UnreadableReply)


def _asked(rule: str) -> Callable[[Question], Question]:
    """The remedy of a hold is that of ``rule``, but another one while the server cannot be reached."""

    def around(question: Question) -> Question:
        @wraps(question)
        def ask(here: Here) -> Finding:
            here.memo["rule"] = rule
            try:
                return question(here)
            except Unreachable:
                here.memo["rule"] = "unreachable"
                raise

        return ask

    return around


@_asked("ntp reachable")
def ntp_reachable(here: Here) -> Finding:
    """Every NTP server of the site file answers a ping from this server."""
    if not here.site.ntp:
        return Finding.no("the site file names no NTP servers; list them under ntp")
    answered, silent = [], []
    for host in here.site.ntp:
        echo = ping.ask(here.house.servers, here.server.name, host)
        if echo.answered:
            answered.append(f"{host} in {echo.milliseconds:g} ms")
        else:
            silent.append(f"{host} does not answer {here.server.name}: {echo.why}")
    if silent:
        return Finding.no("; ".join(silent))
    return Finding.yes("NTP servers answer: " + ", ".join(answered))


@_asked("ntp")
def synchronized(here: Here) -> Finding:
    """ntpd has selected a time server, that one answers, and is not far off."""
    name, limit = here.server.name, here.site.health.ntp_offset
    peers = ntp.ask(here.house.servers, name)
    if peers.why:
        return Finding.no(f"{name}: {peers.why}")
    chosen = peers.selected
    if chosen is None:
        shown = ", ".join(f"{p.remote} (reach {p.reach:o})" for p in peers.peers)
        return Finding.no(f"{name} has selected no NTP server; it knows {shown}")
    if chosen.reach == 0:
        return Finding.no(
            f"{name} has selected {chosen.remote}, which answered none of the last eight polls (reach 0)"
        )
    if abs(chosen.offset) >= limit:
        return Finding.no(f"{name} is {chosen.offset:+g} ms off {chosen.remote}; {limit:g} ms are allowed")
    return Finding.yes(
        f"synchronized to {chosen.remote} (stratum {chosen.stratum}, reach {chosen.reach:o}), offset {chosen.offset:+g} ms"
    )


@_asked("clock")
def date_right(here: Here) -> Finding:
    """The clock agrees with ours and with the median of other servers, all read at the same moment.

    Each clock was read between our question and its answer, so half of a round trip is not held against it.
    A system that lives by another clock than ours (``pace.minute`` is not 60 s: the twin) is compared within itself.
    """
    name, limit = here.server.name, here.site.health.clock_skew
    mine, others = _moments(here, name)
    rate = 60 / here.site.pace.minute if here.site.pace.minute else float("inf")
    said = []
    if here.site.pace.minute == 60:
        skew = mine.epoch - mine.ours
        said.append(f"{skew:+.2f} s against this machine (known to {mine.half:.2f} s)")
        if mine.half > limit:
            return Finding.unknown(
                f"{name}: the answer took {2 * mine.half:.1f} s, too long to judge its clock"
            )
        if abs(skew) > limit + mine.half:
            return Finding.no(f"the clock of {name} is {said[0]}; {limit:g} s are allowed")
    else:
        said.append(
            f"not compared with this machine: one minute of the system is {here.site.pace.minute:g} s here, "
            "so it lives by another clock"
        )
    if not others:
        if here.site.pace.minute != 60:
            return Finding.unknown(f"{name}: no other server's clock could be read; {said[0]}")
        return Finding.yes(f"clock {said[0]}; no other server could be read")
    within = mine.half + max(other.half for other in others)
    if within > limit:
        return Finding.unknown(f"{name}: the answers took {2 * within:.1f} s, too long to compare the clocks")
    apart = statistics.median(skew_of(mine, other, rate) for other in others)
    compared = ", ".join(other.server for other in others)
    said.append(
        f"{apart:+.2f} s against the median of {compared}, read at the same moment (known to {within * rate:.2f} s)"
    )
    if abs(apart) > limit + within * rate:
        return Finding.no(f"the clock of {name} is {said[-1]}; {limit:g} s are allowed")
    return Finding.yes("clock " + "; ".join(said))


def skew_of(mine: Moment, other: Moment, rate: float) -> float:
    """Seconds by which ``mine`` is ahead; ``rate``: seconds of the system that pass in one of ours."""
    between = (mine.asked + mine.answered - other.asked - other.answered) / 2
    return mine.epoch - other.epoch - between * rate


def _moments(here: Here, name: str) -> tuple[Moment, list[Moment]]:
    """The clocks of this server and of others that answer. A first round opens the connections."""
    servers = here.house.servers
    names = [server.name for server in here.site.servers if server.name != name][:COMPARED]
    with ThreadPoolExecutor(COMPARED + 1, "clock") as pool:
        opened = pool.submit(clock.ask, servers, name)
        answering = [m.server for m in pool.map(partial(_other, here), names) if m is not None]
        opened.result()
        asked = pool.submit(clock.ask, servers, name)
        others = [m for m in pool.map(partial(_other, here), answering) if m is not None]
        return asked.result(), others


def _other(here: Here, name: str) -> Moment | None:
    """Another server's clock; why it cannot be read is that server's own row."""
    try:
        return clock.ask(here.house.servers, name)
    except _UNANSWERED:
        return None


@_asked("hwclock")
def bios_clock_right(here: Here) -> Finding:
    """The BIOS clock agrees with the system clock."""
    limit = here.site.health.hwclock_skew
    clocks = hwclock.ask(here.house.servers, here.server.name)
    if abs(clocks.skew) > limit:
        return Finding.no(
            f"the BIOS clock of {here.server.name} is {clocks.skew:+.1f} s against its system clock; "
            f"{limit:g} s are allowed"
        )
    return Finding.yes(f"BIOS clock and system clock agree (within {max(abs(clocks.skew), 1):.0f} s)")


@_asked("syscheck")
def platform_healthy(here: Here) -> Finding:
    """syscheck finds every class OK."""
    health = syscheck.ask(here.house.servers, here.server.name)
    if not health.healthy:
        said = "; ".join(" ".join(part) for part in health.trouble)
        return Finding.no(f"syscheck on {here.server.name}: {said}")
    return Finding.yes(f"syscheck is OK ({', '.join(health.classes)})")


@_asked("accounts")
def accounts_lasting(here: Here) -> Finding:
    """No password that the upgrade needs expires soon. Weak hashes are named: 4.6.5 is for them."""
    name, days = here.server.name, here.site.health.password_days
    found = accounts.ask(here.house.servers, name)
    needed = {"root", "admusr", here.site.ssh.user}
    ending = [a for a in found if a.has_password and a.days is not None and a.days <= days]
    bad = [account for account in ending if account.name in needed]
    weak = [f"{a.name} ({a.kind})" for a in found if a.weak]
    notes = [f"weak hashes, see 4.6.5: {', '.join(weak)}"] if weak else []
    notes += [_lasts(account) for account in ending if account not in bad]
    notes += [f"{a.name}: {a.odd}" for a in found if a.odd]
    if bad:
        return Finding.no(f"{name}: " + "; ".join([*(_lasts(a) for a in bad), *notes]))
    here.memo["data"] = {"weak": [a.name for a in found if a.weak], "kinds": {a.name: a.kind for a in found}}
    return Finding.yes("; ".join([f"no password that is needed expires within {days} days", *notes]))


def _lasts(account: Account) -> str:
    assert account.days is not None
    if account.days < 0:
        return f"the login of {account.name} expired {-account.days} days ago"
    return f"the login of {account.name} expires in {account.days} days"


@_asked("disk")
def room(here: Here) -> Finding:
    """Enough room where images, kits and backups lie."""
    limit = here.site.health.free_kib
    volumes = {path: disk.ask_for(here.house.servers, here.server.name, path) for path in VOLUMES}
    small = [f"{path} ({v.mount}) has {v.free} KiB" for path, v in volumes.items() if v.free < limit]
    if small:
        return Finding.no(f"{here.server.name}: {'; '.join(small)} free; {limit} KiB are needed")
    here.memo["data"] = {"free_kib": {path: volume.free for path, volume in volumes.items()}}
    return Finding.yes(", ".join(f"{path} has {v.free} KiB free" for path, v in volumes.items()))


@_asked("confirm")
def netbackup_known(here: Here) -> Finding:
    """Where Veritas NetBackup is installed, a person knows its extra procedure (chapter 4, first note)."""
    if not netbackup.ask(here.house.servers, here.server.name):
        return Finding.yes(f"no {netbackup.FOLDER}: Veritas NetBackup is not installed")
    found = confirmed(here, ConfirmItem.NETBACKUP)
    return Finding(found.answer, f"{here.server.name} has Veritas NetBackup; {found.evidence}")
