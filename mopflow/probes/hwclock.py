"""Does the BIOS clock agree with the system clock? (4.5 step 4: `hwclock`)

hwclock prints local time; old ones (util-linux-ng 2.17) as the locale has it, with how long they waited for the tick
of the clock, new ones (2.30) as ISO 8601 with the offset. So the same command asks `date` before and after, with
the offset from UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.ssh import Servers

_DATE = "date '+%s.%N %z'"
COMMAND = f"{_DATE} && sudo env LC_ALL=C hwclock && {_DATE}"

_SYSTEM = re.compile(r"(?P<epoch>\d{9,11}\.\d{9}) (?P<sign>[+-])(?P<hours>\d\d)(?P<minutes>\d\d)")
_WAITED = r" +(?P<waited>-?\d*\.\d+) seconds"
_ISO = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d")
_C_LOCALE = re.compile(rf"(?P<when>[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \d{{4}}){_WAITED}")
_EN_US = re.compile(
    r"(?P<when>[A-Z][a-z]{2} \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [AP]M)(?: (?P<zone>[A-Z][A-Za-z0-9+-]*))?"
    + _WAITED
)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks, in seconds since 1970: the system clock before and after the BIOS clock was read."""

    before: float
    hardware: float
    after: float

    @property
    def skew(self) -> float:
        """Seconds by which the BIOS clock is ahead (behind: negative); 0 while it lies between the two others."""
        if self.hardware > self.after:
            return self.hardware - self.after
        return min(0.0, self.hardware - self.before)


def parse(reply: str) -> Clocks:
    """Three lines: date, hwclock, date. Raises UnreadableReply for every other form."""
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    if len(lines) != 3:
        raise UnreadableReply("hwclock", f"{len(lines)} lines instead of three", reply)
    before, zone = _system(lines[0])
    after, _ = _system(lines[2])
    if after < before:
        raise UnreadableReply("hwclock", "the system clock went back meanwhile", reply)
    return Clocks(before, _hardware(lines[1], zone), after)


def _system(line: str) -> tuple[float, timezone]:
    match = _SYSTEM.fullmatch(line)
    if match is None:
        raise UnreadableReply("hwclock", "not seconds and the offset from UTC", line)
    offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
    try:
        return float(match["epoch"]), timezone(offset if match["sign"] == "+" else -offset)
    except ValueError as wrong:
        raise UnreadableReply("hwclock", "no offset from UTC", line) from wrong


def _hardware(line: str, zone: timezone) -> float:
    try:
        if _ISO.fullmatch(line):
            return datetime.fromisoformat(line).timestamp()
        old = _C_LOCALE.fullmatch(line)
        if old is not None:
            return datetime.strptime(old["when"], "%a %b %d %H:%M:%S %Y").replace(tzinfo=zone).timestamp()
        old = _EN_US.fullmatch(line)
        if old is not None:
            place = UTC if old["zone"] == "UTC" else zone
            return datetime.strptime(old["when"], "%a %d %b %Y %I:%M:%S %p").replace(tzinfo=place).timestamp()
    except ValueError as wrong:
        raise UnreadableReply("hwclock", "no such moment", line) from wrong
    raise UnreadableReply("hwclock", "not a line of hwclock", line)


def ask(servers: Servers, server: str) -> Clocks:
    """Read both clocks; sets neither."""
    return read(servers, server, COMMAND, parse)
