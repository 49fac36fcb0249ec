"""A small shell on a server of the twin: it carries out what `syntax` has read, over the server's files."""

from __future__ import annotations

import asyncio
import fnmatch
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from .streams import BrokenPipe, Collector, Empty, Lines, Pipe, Sink, Source
from .syntax import (
    Group,
    Link,
    Part,
    PartKind,
    Pipeline,
    Redirect,
    Sequence,
    ShellSyntaxError,
    Simple,
    Word,
    parse,
)
from .tty import HangUp, Interrupted, Terminal
from .view import View

NOT_FOUND, NOT_EXECUTABLE, SYNTAX, INTERRUPTED = 127, 126, 2, 130
_BIN = "/usr/local/bin:/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/TKLC/plat/bin:/opt/camiant/bin"
_MAX_DEPTH = 20


class ShellExit(Exception):
    """`exit` was carried out."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class CommandError(Exception):
    """A command fails: its message (without the command's name) and exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class _RedirectError(Exception):
    """A file of a redirection cannot be opened."""


class Machine(Protocol):
    """What a shell must know of the server that it runs on."""

    @property
    def name(self) -> str: ...

    def view(self, user: str) -> View:
        """The server's files with the eyes and the rights of `user`."""
        ...

    def commands(self) -> dict[str, Program]: ...

    def wall(self, t: float) -> datetime:
        """The calendar: the moment that is `t` twin seconds after the start."""
        ...

    def has_account(self, user: str) -> bool: ...

    def password_is_right(self, user: str, password: str) -> bool: ...

    def record_command(self, user: str, text: str) -> None: ...

    def record_su(self, user: str, by: str, *, ok: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Streams:
    stdin: Source
    out: Sink
    err: Sink


@dataclass(slots=True)
class Call:
    """One run of a command."""

    shell: Shell
    argv: list[str]
    io: Streams

    @property
    def args(self) -> list[str]:
        return self.argv[1:]

    @property
    def name(self) -> str:
        return posixpath.basename(self.argv[0])

    @property
    def files(self) -> View:
        return self.shell.files

    def path(self, name: str) -> str:
        return self.shell.path(name)

    async def say(self, text: str) -> None:
        await self.io.out.write(text.encode() + b"\n")

    async def complain(self, text: str) -> None:
        await self.io.err.write(f"{self.name}: {text}\n".encode())


Body = Callable[[Call], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Program:
    """A command of the table and the path under which it is installed (None: part of the shell)."""

    body: Body
    path: str | None


def home_of(user: str) -> str:
    return "/root" if user == "root" else f"/home/{user}"


@dataclass
class Shell:
    """State of one shell: who, where, variables; runs text or talks with a terminal."""

    machine: Machine
    user: str
    terminal: Terminal | None = None
    cwd: str = ""
    status: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    login_name: str = ""
    depth: int = 0
    umask: int = 0o022

    def __post_init__(self) -> None:
        home = home_of(self.user)
        self.cwd = self.cwd or home
        self.login_name = self.login_name or self.user
        defaults = {
            "HOME": home, "USER": self.user, "LOGNAME": self.user, "PATH": _BIN, "SHELL": "/bin/bash",
            "HOSTNAME": self.machine.name, "LANG": "en_US.UTF-8",
        }  # fmt: skip
        self.variables = {**defaults, **self.variables}
        self.files = self.machine.view(self.user)
        self.files.umask = self.umask

    def child(self, *, user: str | None = None, login: bool = False) -> Shell:
        """A shell started by this one; `login` begins in the home directory with a fresh environment."""
        if self.depth >= _MAX_DEPTH:
            raise CommandError("too many shells inside each other")
        user = user or self.user
        return Shell(
            self.machine,
            user,
            self.terminal,
            cwd="" if login else self.cwd,
            status=self.status,
            variables={} if login or user != self.user else dict(self.variables),
            login_name=self.login_name,
            depth=self.depth + 1,
            umask=self.umask,
        )

    def path(self, name: str) -> str:
        """`name` as an absolute path without `.` and `..`."""
        joined = posixpath.normpath(posixpath.join(self.cwd, name))
        return joined[1:] if joined.startswith("//") else joined

    # ---- text ----

    async def run(self, text: str, io: Streams) -> int:
        """Carry out `text`; the exit status of its last command. Raises ShellExit, Interrupted, HangUp."""
        try:
            sequence = parse(text)
        except ShellSyntaxError as wrong:
            await io.err.write(f"bash: {wrong}\n".encode())
            self.status = SYNTAX
            return self.status
        await self._sequence(sequence, io)
        return self.status

    async def script(self, lines: Lines, io: Streams) -> int:
        """Carry out the lines of an input without a terminal until its end or `exit`."""
        inner = Streams(lines, io.out, io.err)
        try:
            while (line := await lines.next()) is not None:
                text = line.decode(errors="replace")
                if text.strip():
                    self.machine.record_command(self.user, text)
                await self.run(text, inner)
        except ShellExit as end:
            return end.status
        return self.status

    async def interact(self) -> int:
        """Talk with the terminal until `exit` or Control-D."""
        terminal = self.terminal
        assert terminal is not None
        io = Streams(terminal, terminal, terminal)
        while True:
            await terminal.write(self.prompt().encode())
            try:
                line = await terminal.line()
                if line is None:
                    await terminal.write(b"logout\n")
                    return self.status
                text = line.decode(errors="replace")
                if text.strip():
                    self.machine.record_command(self.user, text)
                await self.run(text, io)
            except Interrupted:
                self.status = INTERRUPTED
            except ShellExit as end:
                await terminal.write(b"logout\n" if self.depth == 0 else b"exit\n")
                return end.status

    def prompt(self) -> str:
        """As the document shows it: `[admusr@cmp-1b upgrade]$ `; PS1 if somebody set it."""
        if "PS1" in self.variables:
            return self.variables["PS1"]
        where = "~" if self.cwd == self.variables["HOME"] else posixpath.basename(self.cwd) or "/"
        return f"[{self.user}@{self.machine.name} {where}]{'#' if self.user == 'root' else '$'} "

    # ---- lists and pipelines ----

    async def _sequence(self, sequence: Sequence, io: Streams) -> None:
        for link, pipeline in sequence.items:
            if link is Link.IF_GOOD and self.status != 0:
                continue
            if link is Link.IF_BAD and self.status == 0:
                continue
            await self._pipeline(pipeline, io)

    async def _pipeline(self, pipeline: Pipeline, io: Streams) -> None:
        if len(pipeline.commands) == 1:
            status = await self._command(pipeline.commands[0], io)
        else:
            status = await self._piped(pipeline, io)
        self.status = int(status == 0) if pipeline.negated else status

    async def _piped(self, pipeline: Pipeline, io: Streams) -> int:
        pipes = [Pipe() for _ in pipeline.commands[1:]]
        sources: list[Source] = [io.stdin, *pipes]
        sinks: list[Sink] = [*pipes, io.out]
        tasks = [
            asyncio.create_task(self._stage(command, Streams(source, sink, io.err)))
            for command, source, sink in zip(pipeline.commands, sources, sinks, strict=True)
        ]
        try:
            return (await asyncio.gather(*tasks))[-1]
        finally:
            for task in tasks:
                task.cancel()

    async def _stage(self, command: Simple | Group, io: Streams) -> int:
        shell = self.child()
        try:
            return await shell._command(command, io)
        except ShellExit as end:
            return end.status
        except BrokenPipe:
            return 141  # killed by SIGPIPE
        finally:
            if isinstance(io.stdin, Pipe):
                io.stdin.leave()
            if isinstance(io.out, Pipe):
                await io.out.end()

    # ---- commands ----

    async def _command(self, command: Simple | Group, io: Streams) -> int:
        try:
            async with self._redirected(command.redirects, io) as inner:
                if isinstance(command, Group):
                    return await self._group(command, inner)
                return await self._simple(command, inner)
        except _RedirectError as wrong:
            await io.err.write(f"bash: {wrong}\n".encode())
            return 1

    async def _group(self, group: Group, io: Streams) -> int:
        shell = self.child() if group.subshell else self
        try:
            await shell._sequence(group.body, io)
        except ShellExit as end:
            if not group.subshell:
                raise
            return end.status
        return shell.status

    async def _simple(self, command: Simple, io: Streams) -> int:
        argv = [text for word in command.words for text in await self._fields(word, io)]
        values = [(name, await self._joined(word, io)) for name, word in command.assignments]
        if not argv:
            self.variables.update(values)
            return 0
        before = {name: self.variables.get(name) for name, _ in values}
        self.variables.update(values)
        try:
            return await self.call(argv, io)
        finally:
            for name, value in before.items():
                if value is None:
                    self.variables.pop(name, None)
                else:
                    self.variables[name] = value

    async def call(self, argv: list[str], io: Streams) -> int:
        """Run one command of the table; 127 when there is none of that name."""
        program = self.find(argv[0])
        if program is None:
            message = "No such file or directory" if "/" in argv[0] else "command not found"
            await io.err.write(f"bash: {argv[0]}: {message}\n".encode())
            return NOT_FOUND
        call = Call(self, argv, io)
        try:
            return await program.body(call)
        except CommandError as wrong:
            await call.complain(str(wrong))
            return wrong.status
        except OSError as wrong:
            if isinstance(wrong, ConnectionError):
                raise HangUp from wrong
            await call.complain(f"{wrong.filename or ''}{': ' if wrong.filename else ''}{wrong.strerror}")
            return 1

    def find(self, name: str) -> Program | None:
        """The program that `name` (a word or a path) means."""
        table = self.machine.commands()
        if "/" not in name:
            return table.get(name)
        program = table.get(posixpath.basename(name))
        return program if program is not None and program.path == self.path(name) else None

    # ---- redirections ----

    @asynccontextmanager
    async def _redirected(self, redirects: list[Redirect], io: Streams) -> AsyncIterator[Streams]:
        opened: list[Callable[[], None]] = []
        try:
            streams: dict[int, Source | Sink] = {0: io.stdin, 1: io.out, 2: io.err}
            for redirect in redirects:
                await self._redirect(redirect, streams, opened, io)
            yield Streams(streams[0], streams[1], streams[2])  # type: ignore[arg-type]
        finally:
            for close in opened:
                close()

    async def _redirect(
        self,
        redirect: Redirect,
        streams: dict[int, Source | Sink],
        opened: list[Callable[[], None]],
        io: Streams,
    ) -> None:
        if redirect.target is None:
            if redirect.source not in streams:
                raise _RedirectError(f"{redirect.source}: Bad file descriptor")
            streams[redirect.fd] = streams[redirect.source]
            return
        names = await self._fields(redirect.target, io)
        if len(names) != 1:
            raise _RedirectError("ambiguous redirect")
        name = names[0]
        special: dict[str, Source | Sink] = {
            "/dev/null": Empty(), "/dev/stdin": io.stdin, "/dev/stdout": io.out, "/dev/stderr": io.err,
        }  # fmt: skip
        if name in special:
            streams[redirect.fd] = special[name]
            return
        try:
            if redirect.op == "<":
                streams[redirect.fd] = self.files.reader(self.path(name))
            else:
                sink = self.files.writer(self.path(name), append=redirect.op == ">>")
                opened.append(sink.close)
                streams[redirect.fd] = sink
        except OSError as wrong:
            raise _RedirectError(f"{name}: {wrong.strerror}") from wrong

    # ---- words ----

    async def _value(self, part: Part, io: Streams) -> str:
        if part.kind is PartKind.TEXT:
            return part.text
        if part.kind is PartKind.COMMAND:
            return await self._output_of(part.text, io)
        match part.text:
            case "?":
                return str(self.status)
            case "$":
                return "4711"  # a process number that stays the same: runs must be reproducible
            case "#":
                return "0"
        return self.variables.get(part.text, "")

    async def _output_of(self, text: str, io: Streams) -> str:
        found = Collector()
        shell = self.child()
        try:
            self.status = await shell.run(text, Streams(io.stdin, found, io.err))
        except ShellExit as end:
            self.status = end.status
        return bytes(found.data).decode(errors="replace").rstrip("\n")

    async def _joined(self, word: Word, io: Streams) -> str:
        return "".join([await self._value(part, io) for part in word])

    async def _fields(self, word: Word, io: Streams) -> list[str]:
        fields: list[list[tuple[str, bool]]] = [[]]  # pieces, each with whether it may hold a pattern
        for place, part in enumerate(word):
            value = await self._value(part, io)
            if part.quoted:
                fields[-1].append((value, False))
            elif part.kind is PartKind.TEXT:
                fields[-1].append((self._tilde(value) if place == 0 else value, True))
            else:
                self._split_into(fields, value)
        return [found for pieces in fields if pieces for found in self._glob(pieces)]

    @staticmethod
    def _split_into(fields: list[list[tuple[str, bool]]], value: str) -> None:
        if value[:1].isspace() and fields[-1]:
            fields.append([])
        for place, text in enumerate(value.split()):
            if place:
                fields.append([])
            fields[-1].append((text, True))
        if value[-1:].isspace() and fields[-1]:
            fields.append([])

    def _tilde(self, text: str) -> str:
        if not text.startswith("~"):
            return text
        user, slash, rest = text[1:].partition("/")
        if user and user not in ("root", "admusr"):
            return text
        return (home_of(user) if user else self.variables["HOME"]) + slash + rest

    def _glob(self, pieces: list[tuple[str, bool]]) -> list[str]:
        text = "".join(piece for piece, _ in pieces)
        if not any(may and any(sign in piece for sign in "*?[") for piece, may in pieces):
            return [text]
        pattern = "".join(piece if may else _escaped(piece) for piece, may in pieces)
        return self._matches(pattern) or [text]

    def _matches(self, pattern: str) -> list[str]:
        absolute = pattern.startswith("/")
        found = ["/" if absolute else ""]
        for component in pattern.strip("/").split("/"):
            found = [posixpath.join(start, name) for start in found for name in self._names(start, component)]
        return sorted(found)

    def _names(self, start: str, component: str) -> list[str]:
        try:
            names = self.files.names(self.path(start or "."))
        except OSError:
            return []
        return [
            name
            for name in names
            if fnmatch.fnmatchcase(name, component)
            and (not name.startswith(".") or component.startswith("."))
        ]


def _escaped(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
