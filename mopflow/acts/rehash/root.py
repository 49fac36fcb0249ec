"""Work as root on one server (4.6.5 steps 1 and 4: root itself on 10.5, admusr with sudo on every later release)."""

from __future__ import annotations

import shlex

from mopflow.errors import UnreadableReply
from mopflow.ssh import Answers, Reply, Servers

# rcstool lies where the login shell of root finds it, and sudo may know a shorter path
_PREAMBLE = 'umask 077; LC_ALL=C; PATH="$PATH:/usr/TKLC/plat/bin:/usr/TKLC/plat/sbin:/usr/sbin:/sbin"; export LC_ALL PATH; '


class Root:
    """Runs small scripts of sh as root, all over the one connection that is kept to the server.

    The methods raise what those of `Servers` raise.
    """

    def __init__(self, servers: Servers, server: str) -> None:
        self.servers = servers
        self.server = server
        self.is_login = servers.login_user(server) == "root"

    def _command(self, script: str) -> str:
        sudo = "" if self.is_login else "sudo -n "
        return f"{sudo}sh -c {shlex.quote(_PREAMBLE + script)}"

    def run(self, script: str, *, timeout: float = 60) -> Reply:
        return self.servers.run(self.server, self._command(script), timeout=timeout)

    def check(self, script: str, *, timeout: float = 60) -> str:
        return self.servers.check(self.server, self._command(script), timeout=timeout)

    def converse(self, script: str, answers: Answers, *, timeout: float) -> Reply:
        return self.servers.converse(self.server, self._command(script), answers, timeout=timeout)

    def must_be_root(self) -> str:
        """Become root and say as whom we came. Raises CommandFailed when sudo refuses, UnreadableReply for another user."""
        found = self.check("id -u").strip()
        if found != "0":
            raise UnreadableReply(self.server, "not root: `id -u` says", found)
        return "root" if self.is_login else f"{self.servers.login_user(self.server)}, root by sudo"
