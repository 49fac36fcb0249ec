"""scp from one server of the twin to another: host keys, a password asked on the terminal, real writing over there.

The host key question, its answers and the messages are those of OpenSSH 5.3 (CentOS 6): MD5 fingerprint, yes or no.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lab.faults import Name
from lab.state import Server
from lab.transfers import damaged
from lab.world import World

from .shell import Call, CommandError
from .tty import HangUp
from .view import View

_TRIES = 3
_STEPS = 20  # in which an image without stored content grows


@dataclass(slots=True)
class _Options:
    quiet: bool = False
    port: int = 22
    settings: dict[str, str] = field(default_factory=dict)  # -o NAME=VALUE, names in lower case

    def get(self, name: str, default: str = "") -> str:
        return self.settings.get(name.lower(), default)


class ConnectionLost(Exception):
    """The other server, or the way to it, has gone."""


class RemoteCopy:
    """The command of one server."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server

    async def scp(self, call: Call) -> int:
        """scp [-q] [-p] [-C] [-B] [-P PORT] [-l KBIT] [-o NAME=VALUE]... FILE [USER@]HOST:PATH"""
        options, (source, target) = _parse(call)
        if ":" in source.split("/", 1)[0] or ":" not in target.split("/", 1)[0]:
            raise CommandError("this scp copies one local file to another host", 1)
        account, _, path = target.partition(":")
        user, _, host = account.rpartition("@")
        user = user or call.shell.user
        start = call.path(source)
        try:
            file = call.files.stat(start)
        except OSError as wrong:
            raise CommandError(f"{source}: {wrong.strerror}") from wrong
        if file.folder:
            raise CommandError(f"{source}: not a regular file")
        there = self._find(host, options.port)
        if there is None:
            await _say(call, f"ssh: connect to host {host} port {options.port}: Connection refused")
        elif await self._knows(call, there, host, options) and await self._log_in(
            call, there, user, host, options
        ):
            return await self._copy(call, there, user, start, path, options)
        await _say(call, "lost connection")
        return 1

    def _find(self, host: str, port: int) -> Server | None:
        """Who answers there now. On this machine every server has a port of its own."""
        for server in self.world.servers.values():
            if host in (server.name, server.address) and server.port == port and server.reachable:
                return server
        return None

    # ---- who is it? ----

    async def _knows(self, call: Call, there: Server, host: str, options: _Options) -> bool:
        name = host if options.port == 22 else f"[{host}]:{options.port}"
        own = self.world.host_keys[there.name]
        known = list(_known(call, name, options))
        if any(key in own for key in known):
            return True
        strict = options.get("StrictHostKeyChecking", "ask")
        shown = own[0].split()
        kind = shown[0].removeprefix("ssh-").upper()
        if known:
            bar = "@" * 59
            await _say(call, f"{bar}\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n{bar}")
            await _say(
                call, f"The fingerprint for the {kind} key sent by the remote host is\n{_print(shown[1])}."
            )
            await _say(call, "Host key verification failed.")
            return False
        if strict == "yes":
            await _say(
                call, f"No {kind} host key is known for {name} and you have requested strict checking."
            )
            await _say(call, "Host key verification failed.")
            return False
        if strict != "no" and not await self._asked(call, name, host, kind, shown[1], options):
            await _say(call, "Host key verification failed.")
            return False
        _remember(call, f"{name} {own[0]}\n", options)
        await _say(call, f"Warning: Permanently added '{name}' ({kind}) to the list of known hosts.")
        return True

    async def _asked(self, call: Call, name: str, host: str, kind: str, key: str, options: _Options) -> bool:
        terminal = call.shell.terminal
        if terminal is None or options.get("BatchMode") == "yes":
            return False
        await terminal.write(
            f"The authenticity of host '{name} ({host})' can't be established.\n"
            f"{kind} key fingerprint is {_print(key)}.\n"
            "Are you sure you want to continue connecting (yes/no)? ".encode()
        )
        while True:
            answer = await terminal.line()
            said = (answer or b"no").decode(errors="replace").strip().lower()
            if said in ("yes", "no"):
                return said == "yes"
            await terminal.write(b"Please type 'yes' or 'no': ")

    # ---- who are we? ----

    async def _log_in(self, call: Call, there: Server, user: str, host: str, options: _Options) -> bool:
        machine = self.world.machines[there.name]
        methods = "(publickey,password)."
        if self._has_key(there) and machine.has_account(user):
            machine.record_login(user, ok=True)
            return True
        terminal = call.shell.terminal
        if terminal is None or options.get("BatchMode") == "yes":
            await _say(call, f"Permission denied {methods}")
            return False
        for number in range(int(options.get("NumberOfPasswordPrompts") or _TRIES)):
            if number:
                await _say(call, "Permission denied, please try again.")
            await terminal.write(f"{user}@{host}'s password: ".encode())
            try:
                answer = await terminal.line(secret=True)
            except HangUp:
                return False
            given = (answer or b"").decode(errors="replace")
            allowed = user != "root" or machine.root_may_use_password()
            if machine.password_is_right(user, given) and allowed:
                machine.record_login(user, ok=True)
                return True
            machine.record_login(user, ok=False)
        await _say(call, f"Permission denied {methods}")
        return False

    def _has_key(self, there: Server) -> bool:
        """qpSSHKeyProv.pl has brought the key of the CMP servers there (9.1.1 step 4)."""
        return self.server.kind.value == "CMP" and there.name in self.world.keys_exchanged

    # ---- the file ----

    async def _copy(
        self, call: Call, there: Server, user: str, start: str, path: str, options: _Options
    ) -> int:
        files: View = self.world.machines[there.name].view(user)
        home = "/root" if user == "root" else f"/home/{user}"
        end = posixpath.normpath(posixpath.join(home, path))
        try:
            if files.is_folder(end):
                end = posixpath.join(end, posixpath.basename(start))
            if self.world.files[self.server.name].stat(start).pages is None:
                await self._grow(there, files, start, end)
            else:
                await self._write(call, there, files, start, end)
        except ConnectionLost:
            await _say(call, "Connection closed by remote host\nlost connection")
            return 1
        except OSError as wrong:
            await _say(call, f"scp: {path}: {wrong.strerror}")
            return 1
        if not options.quiet and call.shell.terminal is not None:
            size = call.files.stat(start).size
            await call.say(f"{posixpath.basename(start):<40} 100% {size // 1024:>6}KB  94.6MB/s   00:00    ")
        return 0

    async def _write(self, call: Call, there: Server, files: View, start: str, end: str) -> None:
        """Through a writer over there, so that what can go wrong with any transfer goes wrong here, too."""
        source = call.files.reader(start)
        gone = _Gone(self.world, there.name)
        sink = files.writer(end)
        try:
            while data := await source.read():
                gone.check()
                await sink.write(data)
                await self.world.clock.sleep(0)
            gone.check()
        finally:
            gone.forget()
            sink.close()

    async def _grow(self, there: Server, files: View, start: str, end: str) -> None:
        """An image that is known by its size and MD5 only."""
        file = self.world.files[self.server.name].stat(start)
        files.writer(end).close()  # the right to do so
        tree, transfers, name = self.world.files[there.name], self.world.transfers, there.name
        gone, md5 = _Gone(self.world, name), file.md5
        try:
            for step in range(1, _STEPS + 1):
                before, after = file.size * (step - 1) // _STEPS, file.size * step // _STEPS
                if transfers.crosses(Name.DISK_FULL, name, before, after, file.size):
                    self.world.disks[name].fill(end)
                if tree.room(end) < after - before:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), end)
                if transfers.crosses(Name.CORRUPT_TRANSFER, name, before, after, file.size):
                    md5 = damaged(md5)
                if transfers.crosses(Name.CONNECTION_CUT, name, before, after, file.size):
                    self.world.cut_connections(name)
                gone.check()
                shown = md5 if after == file.size else damaged(f"{after} of {md5}")
                grown = replace(file, size=after, md5=shown, mtime=self.world.now(), percent=None)
                tree.put(end, grown, quiet=after < file.size)
                await self.world.clock.sleep(0.05)
        finally:
            gone.forget()


class _Gone:
    """Has the other server's side of the connection ended?"""

    def __init__(self, world: World, server: str) -> None:
        self._world, self._server, self._cut = world, server, False
        world.connections_cut.append(self._note)

    def _note(self, server: str) -> None:
        self._cut = self._cut or server == self._server

    def check(self) -> None:
        if self._cut or not self._world.servers[self._server].reachable:
            raise ConnectionLost

    def forget(self) -> None:
        self._world.connections_cut.remove(self._note)


async def _say(call: Call, text: str) -> None:
    await call.io.err.write(text.encode() + b"\n")


def _print(key: str) -> str:
    digits = hashlib.md5(base64.b64decode(key), usedforsecurity=False).hexdigest()
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _stores(call: Call, options: _Options) -> list[str]:
    own = options.get("UserKnownHostsFile") or f"{call.shell.variables['HOME']}/.ssh/known_hosts"
    everyone = options.get("GlobalKnownHostsFile") or "/etc/ssh/ssh_known_hosts"
    return [call.path(path) for path in (*own.split(), *everyone.split()) if path != "/dev/null"]


def _known(call: Call, name: str, options: _Options) -> Iterator[str]:
    """Type and key of every line for that host."""
    for store in _stores(call, options):
        if not call.files.exists(store):
            continue
        for line in call.files.content(store).decode(errors="replace").splitlines():
            words = line.split()
            if len(words) >= 3 and name in words[0].split(","):
                yield " ".join(words[1:3])


def _remember(call: Call, line: str, options: _Options) -> None:
    store = (_stores(call, options) or [""])[0]
    if not store:
        return
    tree: Any = call.files
    folder = posixpath.dirname(store)
    if not tree.is_folder(folder):
        tree.mkdir(folder)
    writer = tree.writer(store, append=True)
    writer.write_at(writer.size, line.encode())
    writer.close()


def _parse(call: Call) -> tuple[_Options, tuple[str, str]]:
    found, names, args = _Options(), [], list(call.args)
    while args:
        word = args.pop(0)
        if not word.startswith("-") or word == "-":
            names.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "Ploic":
                value = letters or (args.pop(0) if args else "")
                letters = ""
                _set(found, letter, value)
            elif letter == "q":
                found.quiet = True
            elif letter == "B":
                found.settings["batchmode"] = "yes"
            elif letter not in "pCv":
                raise CommandError(f"unknown option -- {letter}")
    if len(names) != 2:
        raise CommandError("usage: scp [-BCpqv] [-l limit] [-o ssh_option] [-P port] file [user@]host:file")
    return found, (names[0], names[1])


def _set(found: _Options, letter: str, value: str) -> None:
    if letter == "P":
        if not value.isdigit():
            raise CommandError(f"bad port '{value}'")
        found.port = int(value)
    elif letter == "o":
        name, _, setting = value.partition("=")
        found.settings[name.strip().lower()] = setting.strip()
