"""passwd, chpasswd and chage over the accounts of one server."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from lab.faults import Name
from lab.state import Server
from lab.unix_accounts import Entry, UnixAccounts, day
from lab.world import World

from .options import options
from .shell import Call, CommandError
from .streams import Lines
from .tty import HangUp, Terminal

_TRIES = 3  # retry=3 of pam_cracklib


class AccountCommands:
    def __init__(self, world: World, server: Server, accounts: UnixAccounts) -> None:
        self.world = world
        self.server = server
        self.accounts = accounts

    def _today(self) -> date:
        return self.world.wall(self.world.now()).date()

    def _record(self, user: str, algorithm: str) -> None:
        self.world.flight.write("password_set", server=self.server.name, user=user, algorithm=algorithm)

    # ---- passwd ----

    async def passwd(self, call: Call) -> int:
        _, names = options(call)
        user = names[0] if names else call.shell.user
        if names and call.shell.user != "root":
            raise CommandError("Only root can specify a user name.")
        if not self.accounts.has(user):
            raise CommandError(f"Unknown user name '{user}'.")
        terminal = call.shell.terminal
        if terminal is None:
            raise CommandError("Authentication token manipulation error")
        await call.say(f"Changing password for user {user}.")
        try:
            password = await self._new_password(call, terminal, user)
        except HangUp:
            return 1
        if password is None:
            return 1
        algorithm = self.accounts.set(user, password, self._today())
        self._record(user, algorithm)
        if self.world.faults.bites(Name.LOGIN_FAILS_AFTER, self.server.name):
            entry = self.accounts.get(user)
            assert entry is not None
            self.accounts.refused[user] = entry.hash
        await call.say("passwd: all authentication tokens updated successfully.")
        return 0

    async def _new_password(self, call: Call, terminal: Terminal, user: str) -> str | None:
        """None: it was refused, and that was said."""
        if call.shell.user != "root":
            await terminal.write(b"Changing password for " + user.encode() + b".\n(current) UNIX password: ")
            if not self.accounts.is_right(user, await _typed(terminal)):
                await call.say("passwd: Authentication token manipulation error")
                return None
        refuses = self.world.faults.bites(Name.PASSWD_REFUSES, self.server.name)
        for _ in range(_TRIES):
            await terminal.write(b"New password: ")
            password = await _typed(terminal)
            if not password:
                await call.say("No password supplied")
                continue
            bad = "it is based on a dictionary word" if refuses else self.accounts.why_bad(password)
            if bad is not None:
                await call.say(f"BAD PASSWORD: {bad}")
                if refuses or call.shell.user != "root" or self.accounts.binds_root:
                    continue
            await terminal.write(b"Retype new password: ")
            if await _typed(terminal) == password:
                return password
            await call.say("Sorry, passwords do not match.")
        await call.say("passwd: Have exhausted maximum number of retries for service")
        return None

    # ---- the others ----

    async def chpasswd(self, call: Call) -> int:
        """Lines `user:password` of its input, or with -e `user:hash`."""
        found, _ = options(call, "e", "", ("encrypted",))
        if call.shell.user != "root":
            raise CommandError("Permission denied.")
        lines = Lines(call.io.stdin)
        number = 0
        while (line := await lines.next()) is not None:
            number += 1
            user, colon, value = line.decode(errors="replace").partition(":")
            if not colon:
                raise CommandError(f"line {number}: missing new password")
            if not self.accounts.has(user):
                raise CommandError(f"line {number}: user '{user}' does not exist")
            if found:
                algorithm = self.accounts.set_hash(user, value, self._today())
            else:
                algorithm = self.accounts.set(user, value, self._today())
            self._record(user, algorithm)
        return 0

    async def chage(self, call: Call) -> int:
        """chage -l USER, chage -d DAY USER (a number of days or YYYY-MM-DD)."""
        found, names = options(call, "l", "d", ("list", "lastday="))
        if len(names) != 1:
            raise CommandError("usage: chage [options] LOGIN", 2)
        entry = self.accounts.get(names[0])
        if call.shell.user != "root" and (call.shell.user != names[0] or "d" in found):
            raise CommandError("Permission denied.")
        if entry is None:
            raise CommandError(f"user '{names[0]}' does not exist in /etc/passwd")
        value = found.get("d", found.get("lastday"))
        if value is not None:
            self.accounts.put(replace(entry, changed=_days(value)))
            return 0
        for label, text in _ageing(entry):
            await call.say(f"{label}{text}")
        return 0


async def _typed(terminal: Terminal) -> str:
    return (await terminal.line(secret=True) or b"").decode(errors="replace")


def _days(value: str) -> str:
    if value == "-1":
        return ""
    if value.isdigit():
        return value
    try:
        return str(date.fromisoformat(value).toordinal() - date(1970, 1, 1).toordinal())
    except ValueError as error:
        raise CommandError(f"invalid date '{value}'", 2) from error


def _ageing(entry: Entry) -> list[tuple[str, str]]:
    """As shadow-utils prints it: labels with tabs, dates as `Jan 24, 2016`."""
    least, most, warn, inactive, expire, _ = (*entry.rest, "", "", "", "", "", "")[:6]
    changed = day(entry.changed)

    def shown(when: date | None) -> str:
        return when.strftime("%b %d, %Y") if when is not None else "never"

    ends = None
    if changed is not None and most.isdigit() and int(most) < 10000:
        ends = date.fromordinal(changed.toordinal() + int(most))
    closed = (
        None if ends is None or not inactive.isdigit() else date.fromordinal(ends.toordinal() + int(inactive))
    )
    must = entry.changed == "0"
    return [
        ("Last password change\t\t\t\t\t: ", "password must be changed" if must else shown(changed)),
        ("Password expires\t\t\t\t\t: ", "password must be changed" if must else shown(ends)),
        ("Password inactive\t\t\t\t\t: ", "password must be changed" if must else shown(closed)),
        ("Account expires\t\t\t\t\t\t: ", shown(day(expire))),
        ("Minimum number of days between password change\t\t: ", least or "-1"),
        ("Maximum number of days between password change\t\t: ", most or "-1"),
        ("Number of days of warning before password expires\t: ", warn or "-1"),
    ]
