"""rcstool: check files of the platform out and in (4.6.5 steps 5 to 13).

Public is one line of it, `RCS_VERSION=1.1` after a check-out. That a second check-out is refused, that ci and unco need
one, and that co and unco bring the last revision, is what RCS itself does and is assumed here.
"""

from __future__ import annotations

from lab.faults import Name
from lab.files import FileTree
from lab.state import Server
from lab.unix_accounts import LIBUSER_CONF, LOGIN_DEFS, SYSTEM_AUTH
from lab.world import World

from .shell import Call, CommandError


class RcsTool:
    """The revisions of one server's files; it begins with the three that 4.6.5 names, at 1.1."""

    def __init__(self, world: World, server: Server, tree: FileTree) -> None:
        self._world = world
        self._server = server
        self._tree = tree
        self._revisions = {
            tree.real(path): [tree.read(path)] for path in (SYSTEM_AUTH, LOGIN_DEFS, LIBUSER_CONF)
        }
        self.out: set[str] = set()

    async def run(self, call: Call) -> int:
        if call.shell.user != "root":
            raise CommandError("must be run as root")
        if len(call.args) != 2 or call.args[0] not in ("co", "ci", "unco"):
            raise CommandError("usage: rcstool co|ci|unco FILE", 2)
        op, name = call.args
        path = self._tree.real(call.path(name))
        if path not in self._revisions:
            raise CommandError(f"{name} is not under revision control")
        if op == "co":
            self._check_out(path, name)
        elif path not in self.out:
            raise CommandError(f"{name} is not checked out")
        elif op == "ci":
            self._check_in(path, name)
        else:
            self._bring(path)
            self.out.discard(path)
        self._world.flight.write("rcs", server=self._server.name, path=path, op=op)
        await call.say(f"RCS_VERSION=1.{len(self._revisions[path])}")
        return 0

    def _check_out(self, path: str, name: str) -> None:
        if path in self.out:
            raise CommandError(f"{name} is already checked out")
        self._bring(path)
        self.out.add(path)

    def _check_in(self, path: str, name: str) -> None:
        if self._world.faults.bites(Name.RCS_FAILS, self._server.name):
            raise CommandError(f"cannot write the revision of {name}: No space left on device")
        content = self._tree.read(path)
        if content != self._revisions[path][-1]:
            self._revisions[path].append(content)
        self.out.discard(path)

    def _bring(self, path: str) -> None:
        """The working file as the last revision has it."""
        content = self._revisions[path][-1]
        if path not in self._tree or self._tree.read(path) != content:
            mode = self._tree.stat(path).mode if path in self._tree else 0o644
            self._tree.write(path, content, mode=mode)
