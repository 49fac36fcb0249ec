"""Clocks and the network under them: date, hwclock, ntpq, ping.

What they print is that of CentOS 6: coreutils 8.4, util-linux-ng 2.17, ntp 4.2.6, iputils s20071127.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from lab.faults import Name
from lab.state import Server
from lab.world import World

from .options import number, options
from .shell import Call, CommandError

CLOCK_OFF = timedelta(minutes=5)
HWCLOCK_OFF = timedelta(hours=1)
NTP_OFF = 412.5  # milliseconds
_NTP_OFFSETS = (0.084, -0.117, 0.203, -0.058)  # milliseconds, one time server after the other


class TimeCommands:
    """One set per server."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self._hardware_set = False  # hwclock --systohc was carried out: both clocks agree from then on

    def _wrong(self, name: Name) -> bool:
        return self.world.faults.stands(name, self.server.name)

    def now(self) -> datetime:
        """The system clock of this server."""
        off = CLOCK_OFF if self._wrong(Name.CLOCK_OFF) else timedelta()
        return self.world.wall(self.world.now()) + off

    async def date(self, call: Call) -> int:
        found, words = options(call, "u", "d", ("utc", "date="))
        when = self.now()
        given = found.get("d", found.get("date"))
        if given is not None:
            if not given.startswith("@") or not given[1:].isdigit():
                raise CommandError(f"invalid date `{given}'")
            when = datetime.fromtimestamp(int(given[1:]), when.tzinfo)
        if "u" in found or "utc" in found:
            when = when.astimezone(UTC)
        if words and not words[0].startswith("+"):
            raise CommandError(f"invalid date `{words[0]}'")
        form = words[0][1:] if words else "%a %b %e %H:%M:%S %Z %Y"
        form = form.replace("%s", str(int(when.timestamp()))).replace("%N", f"{when.microsecond * 1000:09d}")
        await call.say(when.strftime(form) if form else "")
        return 0

    async def hwclock(self, call: Call) -> int:
        found, _ = options(call, "ruw", "", ("show", "utc", "systohc"))
        if call.shell.user != "root":
            raise CommandError("Cannot access the Hardware Clock via any known method.")
        if "w" in found or "systohc" in found:
            self._hardware_set = True
            return 0
        off = HWCLOCK_OFF if self._wrong(Name.HWCLOCK_OFF) and not self._hardware_set else timedelta()
        when = self.now() + off
        variables = call.shell.variables
        plain = (variables.get("LC_ALL") or variables.get("LANG", "C")) in ("C", "POSIX")
        await call.say(
            f"{when:%a %b %e %H:%M:%S %Y}  -0.328125 seconds"
            if plain
            else f"{when:%a %d %b %Y %I:%M:%S %p %Z}  -0.328125 seconds"
        )
        return 0

    async def ntpq(self, call: Call) -> int:
        options(call, "np")
        if not self.world.config.ntp:
            await call.say("No association ID's returned")
            return 0
        await call.say("     remote           refid      st t when poll reach   delay   offset  jitter")
        await call.say("=" * 78)
        lost = self._wrong(Name.NTP_UNREACHABLE)
        wrong = NTP_OFF if self._wrong(Name.NTP_OFFSET) else 0.0
        for place, name in enumerate(self.world.config.ntp):
            if lost:
                line = f" {name:<15} .INIT.          16 u    -   64    0    0.000    0.000   0.000"
            else:
                tally, refid, stratum = (
                    ("*", ".GPS.", 1) if place == 0 else ("+", self.world.config.ntp[0], 2)
                )
                offset = _NTP_OFFSETS[place % len(_NTP_OFFSETS)] + wrong
                line = f"{tally}{name:<15} {refid:<15} {stratum:>2} u   33   64  377    0.512 {offset:>8.3f}   0.031"
            await call.say(line)
        return 0

    async def ping(self, call: Call) -> int:
        """ping -c COUNT [-W SECONDS] HOST: the servers, the VIPs and the NTP servers answer."""
        found, names = options(call, "nq", "cWwi")
        if len(names) != 1:
            raise CommandError("usage: ping [-c count] [-W timeout] destination", 2)
        if "c" not in found:
            raise CommandError("this one ends by itself only with -c", 2)
        count, patience = number(found["c"], "count"), float(found.get("W", found.get("w", "10")))
        address = self._address(names[0])
        if address is None:
            await call.io.err.write(f"ping: unknown host {names[0]}\n".encode())
            return 2
        answers = self._answers(address)
        await call.say(f"PING {names[0]} ({address}) 56(84) bytes of data.")
        for turn in range(count):
            await self.world.clock.sleep(0.0003 if answers else patience)
            if answers and "q" not in found:
                await call.say(f"64 bytes from {address}: icmp_seq={turn + 1} ttl=64 time=0.309 ms")
        received, loss = (count, 0) if answers else (0, 100)
        await call.say(f"\n--- {names[0]} ping statistics ---")
        took = int(1000 * (count - 1))
        await call.say(
            f"{count} packets transmitted, {received} received, {loss}% packet loss, time {took}ms"
        )
        await call.say("rtt min/avg/max/mdev = 0.309/0.309/0.309/0.000 ms" if answers else "")
        return 0 if answers else 1

    def _address(self, name: str) -> str | None:
        known = self.world.servers.get(name)
        if known is not None:
            return known.address
        if name in self.world.config.ntp:  # a name is resolved, to an address that nobody asks for
            return name if _is_address(name) else "192.0.2.10"
        return name if _is_address(name) else None

    def _answers(self, address: str) -> bool:
        times = {self._address(name) for name in self.world.config.ntp}
        if address in times:
            return not self._wrong(Name.NTP_UNREACHABLE)
        if address in {cluster.vip for cluster in self.world.clusters.values()}:
            return True
        return any(server.address == address and server.reachable for server in self.world.servers.values())


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
