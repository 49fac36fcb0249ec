"""A terminal's line discipline over raw channel bytes: echo, line editing, CR and LF, passwords without echo."""

from __future__ import annotations

import asyncssh

from .streams import Sink

_INTERRUPT, _END, _KILL_LINE, _KILL_WORD = 3, 4, 21, 23
_ERASE = (8, 127)


class Interrupted(Exception):
    """Control-C was typed."""


class HangUp(Exception):
    """The terminal has gone while somebody waited for input."""


class Terminal:
    """The server's end of a pseudo-terminal."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self._process = process
        self._pending = bytearray()
        self._skip_newline = False
        self.echo = True

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 and 24 when the client did not say."""
        columns, rows = self._process.term_size[:2]
        return columns or 80, rows or 24

    async def key(self) -> int:
        """The next byte as it was typed, for full-screen programs. Raises HangUp when the channel ends."""
        return await self._key()

    async def write(self, data: bytes) -> None:
        """Output processing: LF becomes CR LF."""
        self._process.stdout.write(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        await self._process.stdout.drain()

    async def read(self) -> bytes:
        """One edited line with its newline, b"" on Control-D: what a command sees that reads its input here."""
        try:
            line = await self.line()
        except HangUp:
            return b""
        return b"" if line is None else line + b"\n"

    async def line(self, *, secret: bool = False) -> bytes | None:
        """One line without its newline; None on Control-D at its beginning.

        Raises Interrupted on Control-C and HangUp when the channel ends. `secret` switches the echo off.
        """
        echo = self.echo and not secret
        line = bytearray()
        while True:
            key = await self._key()
            if key == _INTERRUPT:
                await self.write(b"^C\n")
                raise Interrupted
            if key == _END:
                if not line:
                    return None
            elif key in (10, 13):
                if key == 10 and self._skip_newline:
                    self._skip_newline = False
                    continue
                self._skip_newline = key == 13
                if echo or secret:
                    await self.write(b"\n")
                return bytes(line)
            elif key in _ERASE or key in (_KILL_LINE, _KILL_WORD):
                await self._erase(line, key, echo=echo)
            else:
                self._skip_newline = False
                line.append(key)
                if echo and key >= 32:
                    await self.write(bytes([key]))

    async def _erase(self, line: bytearray, key: int, *, echo: bool) -> None:
        if key in _ERASE:
            count = min(1, len(line))
        elif key == _KILL_LINE:
            count = len(line)
        else:
            kept = line.rstrip(b" ")
            count = len(line) - (kept.rfind(b" ") + 1)
        if count:
            del line[-count:]
            if echo:
                await self.write(b"\b \b" * count)

    async def _key(self) -> int:
        while not self._pending:
            try:
                data = await self._process.stdin.read(4096)
            except asyncssh.TerminalSizeChanged:
                continue
            except (asyncssh.BreakReceived, asyncssh.SignalReceived) as signal:
                raise Interrupted from signal
            except (asyncssh.Error, OSError) as lost:
                raise HangUp from lost
            if not data:
                raise HangUp
            self._pending += data
        return self._pending.pop(0)


class ChannelInput:
    """The raw bytes of a channel without a terminal."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self._process = process

    async def read(self) -> bytes:
        try:
            return await self._process.stdin.read(65536)
        except (asyncssh.BreakReceived, asyncssh.SignalReceived) as signal:
            raise Interrupted from signal


class ChannelOutput(Sink):
    """stdout or stderr of a channel without a terminal."""

    def __init__(self, writer: asyncssh.SSHWriter[bytes]) -> None:
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
