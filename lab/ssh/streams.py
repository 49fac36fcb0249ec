"""Byte streams between commands, files and the channel."""

from __future__ import annotations

import asyncio
from typing import Protocol

CHUNK = 65536


class BrokenPipe(Exception):
    """Nobody reads what is written any more."""


class Source(Protocol):
    async def read(self) -> bytes:
        """The next bytes, b"" at the end."""
        ...


class Sink(Protocol):
    async def write(self, data: bytes) -> None: ...


class Empty:
    """/dev/null as a source and as a sink."""

    async def read(self) -> bytes:
        return b""

    async def write(self, data: bytes) -> None:
        return None


class Pipe:
    """A bounded pipe: a writer waits for its reader, and fails once the reader has gone."""

    def __init__(self, depth: int = 8) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(depth)
        self._ended = False
        self._reader_gone = asyncio.Event()

    async def write(self, data: bytes) -> None:
        if not data:
            return
        if self._reader_gone.is_set():
            raise BrokenPipe
        await self._put(data)

    async def _put(self, data: bytes) -> None:
        if not self._queue.full():
            self._queue.put_nowait(data)
            return
        put = asyncio.ensure_future(self._queue.put(data))
        gone = asyncio.ensure_future(self._reader_gone.wait())
        try:
            await asyncio.wait({put, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not put.done():
                raise BrokenPipe
        finally:
            put.cancel()
            gone.cancel()

    async def end(self) -> None:
        """No more bytes will be written."""
        if not self._reader_gone.is_set():
            try:
                await self._put(b"")
            except BrokenPipe:
                return  # nobody is left to be told

    async def read(self) -> bytes:
        if self._ended:
            return b""
        data = await self._queue.get()
        self._ended = not data
        return data

    def leave(self) -> None:
        """The reader reads no more."""
        self._reader_gone.set()


class Collector:
    """A sink that keeps what it gets (command substitution)."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes) -> None:
        self.data += data


class Lines:
    """Lines of a source, without their newline; itself a source of what follows them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = bytearray()
        self._at_end = False

    async def read(self) -> bytes:
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data
        return b"" if self._at_end else await self._source.read()

    async def next(self) -> bytes | None:
        while (cut := self._buffer.find(b"\n")) < 0 and not self._at_end:
            data = await self._source.read()
            self._at_end = not data
            self._buffer += data
        if cut >= 0:
            line = bytes(self._buffer[:cut])
            del self._buffer[: cut + 1]
            return line
        if not self._buffer:
            return None
        line = bytes(self._buffer)
        self._buffer.clear()
        return line


async def read_all(source: Source) -> bytes:
    found = bytearray()
    while data := await source.read():
        found += data
    return bytes(found)
