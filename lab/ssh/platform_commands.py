"""Commands of the platform (TPD) and of the Policy application: releases, disks, health, keys.

What they print follows the samples that are public (sister products for syscheck and verifyUpgrade, the
document itself for qpSSHKeyProv.pl); wording that nobody has published is an assumption.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from lab.state import Kind, Server
from lab.world import World

from .options import options
from .shell import Call, CommandError
from .tty import HangUp

_PLATFORM = {"10.5": "6.7.1.0.0_84.26.0"}  # TPD by Policy release; the figures of the document show the other
_PLATFORM_12 = "7.0.2.0.0_86.28.0"
_UP_BEFORE = timedelta(days=41, hours=7, minutes=12)  # how long the servers had been up when the twin began
_CLASSES: dict[str, dict[str, str]] = {
    "disk": {"fs": 'Current file space use in "/" is 41%.', "meta": "Checking md status on system."},
    "hardware": {"fan": "Checking Status of Server Fans.", "temp": "Checking server temperature."},
    "net": {"defaultroute": "Checking default route(s).", "ping": "Checking ping hosts."},
    "proc": {
        "run": "Found 1 instance(s) of the sshd process.",
        "ntpd": "Found 1 instance(s) of the ntpd process.",
    },
    "services": {"qp": "Checking services of Policy Management."},
    "system": {"core": "Checking for core files.", "mem": "Skipping expected memory check."},
    "upgrade": {"snapshots": "No snapshots of an upgrade found."},
}


def _only_root(call: Call, why: str) -> None:
    if call.shell.user != "root":
        raise CommandError(why)


class PlatformCommands:
    """One set per server; `booted` is the twin second of its last start, None = before the twin began."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.booted: float | None = None

    def now(self) -> datetime:
        return self.world.wall(self.world.now())

    # ---- releases ----

    async def policy_release(self, call: Call) -> int:
        found, _ = options(call, "p")
        await call.say(self.server.kind.value.lower() if "p" in found else self.server.release)
        return 0

    async def platform_release(self, call: Call) -> int:
        family = ".".join(self.server.release.split(".")[:2])
        await call.say(_PLATFORM.get(family, _PLATFORM_12))
        return 0

    async def verify_upgrade(self, call: Call) -> int:
        """Silent when all is well."""
        _only_root(call, "must be run as root")
        if self.server.name not in self.world.failed:
            return 0
        await call.say("ERROR: Upgrade log (/var/TKLC/log/upgrade/upgrade.log) reports errors!")
        await call.say(f"ERROR: {int(self.now().timestamp())}::Upgrade did not complete")
        return 1

    async def syscheck(self, call: Call) -> int:
        found, names = options(call, "v")
        wanted = names[:1] or list(_CLASSES)
        if wanted[0] not in _CLASSES or (len(names) > 1 and names[1] not in _CLASSES[wanted[0]]):
            raise CommandError(f"no such class or module: {' '.join(names)}")
        for name in wanted:
            await call.say(f"Running modules in class {name}...")
            modules = {key: text for key, text in _CLASSES[name].items() if len(names) < 2 or key == names[1]}
            if "v" in found:
                for module, text in modules.items():
                    await call.say(f"{module:>12}: {text}")
                await call.say('Return string: "OK"')
            await call.say(" " * 49 + "OK")
        await call.say("\nLOG LOCATION: /var/TKLC/log/syscheck/fail_log")
        return 0

    # ---- who, when, where ----

    async def hostname(self, call: Call) -> int:
        found, names = options(call, "sfid")
        if names:
            raise CommandError("you must be root to change the host name")
        await call.say(self.server.address if "i" in found else "" if "d" in found else self.server.name)
        return 0

    async def uptime(self, call: Call) -> int:
        start = self.world.wall(0) - _UP_BEFORE if self.booted is None else self.world.wall(self.booted)
        up = self.now() - start
        hours, minutes = up.seconds // 3600, up.seconds % 3600 // 60
        days = f"{up.days} day{'s' if up.days != 1 else ''}, " if up.days else ""
        clock = f"{hours:2d}:{minutes:02d}" if hours else f"{minutes} min"
        await call.say(f" {self.now():%H:%M:%S} up {days}{clock},  1 user,  load average: 0.21, 0.18, 0.15")
        return 0

    # ---- keys between the servers (9.1.1 step 4) ----

    async def key_provisioning(self, call: Call) -> int:
        """qpSSHKeyProv.pl --prov|--check [--user=USER]; where there is no admusr, --check asks as root (6.1.1/7)."""
        found, names = options(call, "", "", ("prov", "check", "user=", "help"))
        if names or ("prov" in found) is ("check" in found):
            raise CommandError("usage: qpSSHKeyProv.pl --prov | --check [--user=<user>]", 2)
        _only_root(call, "this script must be run as root")
        if self.server.kind is not Kind.CMP:
            raise CommandError("the topology is known on a CMP server only")
        machine = call.shell.machine
        user = found.get("user", "admusr" if "prov" in found or machine.has_account("admusr") else "root")
        if user not in ("admusr", "root") or not machine.has_account(user):
            raise CommandError(f"unknown user: {user}")
        others = [server for server in self.world.servers.values() if server is not self.server]
        if "prov" in found:
            return await self._provide(call, user, others)
        return await self._check(call, user, others)

    async def _connect(self, call: Call, user: str, others: list[Server]) -> list[Server]:
        """Names every server; those that cannot be reached come back."""
        away = []
        for server in others:
            await call.say(f"Connecting to {user}@{server.name} ({server.address}) ...")
            await self.world.clock.sleep(0.3)
            if not server.reachable:
                away.append(server)
        return away

    async def _provide(self, call: Call, user: str, others: list[Server]) -> int:
        terminal = call.shell.terminal
        if terminal is None:
            raise CommandError(
                "cannot ask for the password: no terminal (/dev/tty: No such device or address)"
            )
        await terminal.write(f"The password of {user} in topology:".encode())
        try:
            answer = await terminal.line(secret=True)
        except HangUp:
            return 1
        if not call.shell.machine.password_is_right(user, (answer or b"").decode(errors="replace")):
            raise CommandError(f"the password of {user} is not correct, no key was provisioned")
        away = await self._connect(call, user, others)
        for place, server in enumerate(others, 1):
            line = f"[{place}/{len(others)}] Provisioning SSH keys on {server.name} ({server.address}) ..."
            await self.world.clock.sleep(0.5)
            if server in away or not server.reachable:
                away = [*away, server] if server not in away else away
                await call.say(f"{line} FAILED")
            else:
                self.world.keys_exchanged.add(server.name)
                await call.say(line + "\n")
        self.world.keys_exchanged.add(self.server.name)
        return await self._verdict(call, away)

    async def _check(self, call: Call, user: str, others: list[Server]) -> int:
        away = await self._connect(call, user, others)
        known = self.world.keys_exchanged
        return await self._verdict(call, [s for s in others if s in away or s.name not in known])

    @staticmethod
    async def _verdict(call: Call, bad: list[Server]) -> int:
        if not bad:
            await call.say("SSH keys are OK.")
            return 0
        for server in bad:
            await call.say(f"ERROR: SSH keys do not work on {server.name} ({server.address})")
        await call.say(f"SSH keys are NOT OK: {', '.join(server.name for server in bad)}")
        return 1
