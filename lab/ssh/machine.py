"""One server of the twin as its shells and logins see it."""

from __future__ import annotations

from datetime import datetime

from lab import releases
from lab.state import Server
from lab.world import World

from .account_commands import AccountCommands
from .commands import table
from .platcfg import Platcfg
from .platform_commands import PlatformCommands
from .rcstool import RcsTool
from .shell import Program
from .view import View


class TwinMachine:
    """Files, commands, accounts and the record of one server."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.platform = PlatformCommands(world, server)
        self.platcfg = Platcfg(world, server)
        self._tree = world.files[server.name]
        self._tree.mkdir("/mnt/upgrade")
        self.accounts = world.unix[server.name]
        self.rcstool = RcsTool(world, server, self._tree)
        self._commands = table(
            self,
            world,
            self.platform,
            self.platcfg,
            AccountCommands(world, server, self.accounts),
            self.rcstool,
        )

    @property
    def name(self) -> str:
        return self.server.name

    def view(self, user: str) -> View:
        return View(self._tree, user, self.world.now)

    def commands(self) -> dict[str, Program]:
        return self._commands

    def wall(self, t: float) -> datetime:
        return self.world.wall(t)

    def has_account(self, user: str) -> bool:
        return self.accounts.has(user)

    def password_is_right(self, user: str, password: str) -> bool:
        return self.accounts.is_right(user, password)

    def root_may_use_password(self) -> bool:
        """Root logs in by password on 10.5 only; later releases have admusr and sudo for it."""
        return releases.root_logs_in(self.server.release)

    def authorized_keys(self, user: str) -> list[str]:
        """Lines of ~/.ssh/authorized_keys."""
        home = "/root" if user == "root" else f"/home/{user}"
        path = f"{home}/.ssh/authorized_keys"
        if path not in self._tree:
            return []
        text = self._tree.read(path).decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def record_login(self, user: str, *, ok: bool) -> None:
        self.world.flight.write("ssh_login", server=self.name, user=user, ok=ok)

    def record_su(self, user: str, by: str, *, ok: bool) -> None:
        self.world.flight.write("su", server=self.name, user=user, by=by, ok=ok)

    def record_command(self, user: str, text: str) -> None:
        """A password has no business in a command line; should one stand there, it is not written down."""
        secrets = self.world.secrets
        known = (
            secrets.admusr,
            secrets.root,
            secrets.gui,
            secrets.ossi,
            secrets.pmac_gui,
            secrets.pmac_admusr,
        )
        for secret in known:
            if secret.get_secret_value():
                text = text.replace(secret.get_secret_value(), "********")
        self.world.flight.write("ssh_command", server=self.name, user=user, command=text)
