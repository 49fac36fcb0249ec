"""platcfg, the menu of the platform (4.6.4): `sudo su - platcfg`. Of it, the backups are modelled; nothing else acts.

What its screens look like is public nowhere: menus, form and messages are assumptions, as far as the document does not
name them (Policy Configuration, Backup and Restore, server backup, system backup, paths and names of the files).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab import backups
from lab.errors import Refused
from lab.faults import Name
from lab.state import Kind, Server
from lab.world import World

from .newt import Display, Form, Key
from .shell import Call, CommandError
from .tty import HangUp, Terminal

MAIN = (
    "Maintenance", "Diagnostics", "Server Configuration", "Security", "Policy Configuration",
    "Network Configuration", "NetBackup Configuration", "Exit",
)  # fmt: skip
POLICY = (
    "Set Policy Mode", "Perform Initial Configuration", "Restart Application", "Cluster Configuration Removal",
    "Cluster File Sync", "Save Platform Debug Logs", "Backup and Restore", "Routing Configuration", "Firewall",
    "SSL Key Configuration", "Verify Initial Configuration", "Verify Server Status", "Exit",
)  # fmt: skip
OTHER_POLICY = (
    "Set Policy Mode", "Restart Application", "Cluster File Sync", "Save Platform Debug Logs",
    "Server Maintenance", "Verify Server Status", "Exit",
)  # fmt: skip
SERVER, SYSTEM = "Server Backup", "System Backup"
BACKUPS = (
    SERVER, "Server Restore", "System Restore", "Display Backup Files", "Local Archive Settings",
    "Remote Archive Settings", "Scheduled Backup Settings", "Exit",
)  # fmt: skip
_FOOT = "Use arrow keys to move between options | <Enter> selects | <F12> goes back"
_TICK = 0.1  # real seconds between two pictures of what runs


@dataclass(slots=True)
class Open:
    """A menu that somebody has open: what `ps` shows of it."""

    pid: int
    by: str


class Platcfg:
    """The program on one server."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.open: list[Open] = []
        self._pids = 20_000

    async def run(self, call: Call) -> int:
        terminal = call.shell.terminal
        if terminal is None or call.io.stdin is not terminal:
            raise CommandError("Error opening terminal: unknown.")
        self._pids += 17
        mine = Open(self._pids, call.shell.login_name)
        self.open.append(mine)
        try:
            await self._talk(terminal)
        finally:
            self.open.remove(mine)
        return 0

    async def _talk(self, terminal: Terminal) -> None:
        head = f"Platform Configuration Utility 3.08 (C) 2003 - 2015\nHostname: {self.server.name}"
        display = Display(terminal, head, _FOOT)
        if display.columns < 60 or display.rows < 20:
            raise CommandError("the terminal is too small")
        await display.open()
        while (entry := await self._choose(display, "Main Menu", MAIN)) not in (None, "Exit"):
            if entry == "Policy Configuration":
                await self._policy(display)
            else:
                await self._not_here(display, entry)
        with suppress(HangUp):
            await display.close()

    # ---- menus ----

    async def _choose(self, display: Display, title: str, entries: Sequence[str]) -> str | None:
        chosen = top = 0
        while True:
            room = display.list_room(len(entries))
            top = min(max(top, chosen - room + 1), chosen)
            await display.listing(title, entries, chosen, top)
            key, _ = await display.key()
            if key is Key.UP:
                chosen = max(0, chosen - 1)
            elif key is Key.DOWN:
                chosen = min(len(entries) - 1, chosen + 1)
            elif key is Key.HOME:
                chosen = 0
            elif key is Key.END:
                chosen = len(entries) - 1
            elif key is Key.ENTER:
                return entries[chosen]
            elif key is Key.LEAVE:
                return None

    async def _message(self, display: Display, title: str, lines: Sequence[str]) -> None:
        while True:
            await display.box(title, lines, ("OK",))
            key, _ = await display.key()
            if key in (Key.ENTER, Key.LEAVE):
                return

    async def _not_here(self, display: Display, entry: str | None) -> None:
        await self._message(display, entry or "", ["This twin does not model this function."])

    async def _policy(self, display: Display) -> None:
        renamed = self.world.faults.bites(Name.PLATCFG_OTHER_MENU, self.server.name)
        title, entries = (
            ("Policy Server Utilities", OTHER_POLICY) if renamed else ("Policy Configuration", POLICY)
        )
        while (entry := await self._choose(display, title, entries)) not in (None, "Exit"):
            if entry == "Backup and Restore":
                await self._backups(display)
            else:
                await self._not_here(display, entry)

    async def _backups(self, display: Display) -> None:
        entries = list(BACKUPS)
        if self.server.kind is Kind.CMP:
            entries.insert(1, SYSTEM)
        while (entry := await self._choose(display, "Backup and Restore", entries)) not in (None, "Exit"):
            if entry in (SERVER, SYSTEM):
                await self._back_up(display, entry or "")
            else:
                await self._not_here(display, entry)

    # ---- a backup ----

    async def _back_up(self, display: Display, title: str) -> None:
        kind = "server" if title == SERVER else "system"
        label = "ISO path:" if kind == "server" else "Tarball path:"
        path = await self._ask(
            display, Form(title, label, backups.default_path(self.world, self.server, kind))
        )
        if path is None:
            return
        try:
            backup = backups.begin(self.world, self.server, kind, path)
        except Refused as refused:
            await self._message(display, title, [f"ERROR: {refused}"])
            return
        try:
            await self._follow(display, title, backup)
        finally:
            backup.leave()  # a terminal that hangs up takes the backup with it
        name = PurePosixPath(path)
        if backup.failed:
            await self._message(display, title, ["ERROR: the backup failed:", backup.failed])
        else:
            said = [f"{title} completed successfully.", "", f"File: {name.name}", f"Path: {name.parent}"]
            await self._message(display, title, said)

    async def _ask(self, display: Display, form: Form) -> str | None:
        count = len(form.buttons) + 1
        while True:
            await display.form(form)
            key, char = await display.key()
            if key in (Key.TAB, Key.BACK_TAB):
                form.focus = (form.focus + (1 if key is Key.TAB else -1)) % count
            elif key is Key.LEAVE:
                return None
            elif key is Key.ENTER:
                if form.focus == 0:
                    form.focus = 1  # newt goes on to the next part
                else:
                    return form.value if form.buttons[form.focus - 1] == "OK" else None
            elif form.focus == 0:
                _edit(form, key, char)

    async def _follow(self, display: Display, title: str, backup: backups.Backup) -> None:
        """Shows the percent until it ends; keys are read and dropped, so that the end of the terminal is seen."""
        keys = asyncio.ensure_future(display.key())
        shown = -1
        try:
            while not backup.ended:
                if backup.percent != shown:
                    shown = backup.percent
                    await display.gauge(title, "Please wait, the backup is being created ...", shown)
                await asyncio.wait({keys}, timeout=_TICK)
                if keys.done():
                    keys.result()  # raises when the terminal has gone
                    keys = asyncio.ensure_future(display.key())
        finally:
            keys.cancel()


def _edit(form: Form, key: Key, char: str) -> None:
    at = form.at
    if char:
        form.value, form.at = form.value[:at] + char + form.value[at:], at + 1
    elif key is Key.ERASE and at:
        form.value, form.at = form.value[: at - 1] + form.value[at:], at - 1
    elif key is Key.CLEAR:
        form.value, form.at = form.value[at:], 0
    elif key in (Key.HOME, Key.END):
        form.at = 0 if key is Key.HOME else len(form.value)
    elif key in (Key.LEFT, Key.RIGHT):
        form.at = min(len(form.value), max(0, at + (1 if key is Key.RIGHT else -1)))
