"""Bytes into the input of a command, over a channel of a connection that serves nothing else.

Measured (OpenSSH 9.2, AES-NI): a raw channel into `cat` with AES-GCM, one packet per piece, is as fast as OpenSSH's
own scp; an SFTP write of 32 KiB needs two packets, and large pieces are copied again and again by the library.
A transfer has a connection of its own: on the shared one every command would queue behind two megabytes of image,
the watch below could not end a dead transfer without ending other people's commands, and each connection has a
window and a TCP stream of its own. It costs one login.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType

import paramiko

PIECE = 32 * 1024  # the largest packet that OpenSSH takes; what the server names is less its own head
HEAD = 64  # bytes that the library keeps free in a packet

LOST = (paramiko.SSHException, OSError, EOFError)


class LostError(Exception):
    """The command was sent and its end was not seen; the text says why."""


class Watch:
    """Closes a connection on which nothing moved for `quiet` seconds while we wanted something of it.

    The library waits for ever in a write whose peer does not read, and no deadline of a channel reaches there.
    """

    def __init__(self, transport: paramiko.Transport, quiet: float) -> None:
        self._transport = transport
        self._quiet = quiet
        self._over = threading.Event()
        self._since: float | None = time.monotonic()
        self.tripped = False
        self._thread = threading.Thread(target=self._look, name="transfer watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def moved(self) -> None:
        """Something moved; from now on the next thing is waited for."""
        self._since = time.monotonic()

    def rest(self) -> None:
        """Nothing is wanted of the connection: our own side is reading its file, or waits for its share."""
        self._since = None

    def _look(self) -> None:
        while not self._over.wait(min(1.0, self._quiet / 4)):
            since = self._since
            if since is not None and time.monotonic() - since > self._quiet:
                self.tripped = True
                self._transport.close()
                return

    def lost(self, why: str) -> LostError:
        if self.tripped:
            return LostError(f"nothing moved for {self._quiet:g} s")
        return LostError(why)


def feed(
    channel: paramiko.Channel, command: str, blocks: Iterable[bytes], quiet: float
) -> tuple[int, str, str]:
    """Run `command` with `blocks` as its input; its exit status, output and errors.

    A command that ends before it has read everything is an answer like any other (a full disk). Raises LostError
    when the exit status did not come; what `blocks` itself raises passes through, and the channel is closed then.
    """
    with Watch(channel.get_transport(), quiet) as watch:
        try:
            try:
                channel.exec_command(command)
            except LOST as lost:
                raise watch.lost(_why(lost)) from None
            if _pour(channel, blocks, watch):
                with suppress(*LOST):  # it ended by itself meanwhile; its status says how
                    channel.shutdown_write()
            watch.moved()
            return _ending(channel, watch)
        finally:
            channel.close()


def _pour(channel: paramiko.Channel, blocks: Iterable[bytes], watch: Watch) -> bool:
    """Send everything; False when the command took no more."""
    piece = min(channel.out_max_packet_size, PIECE) - HEAD
    watch.rest()
    for block in blocks:
        watch.moved()
        view, at = memoryview(block), 0
        while at < len(view):
            try:
                sent = channel.send(bytes(view[at : at + piece]))
            except LOST:
                return False
            if sent == 0:
                return False
            at += sent
            watch.moved()
        watch.rest()
    watch.moved()
    return True


def _ending(channel: paramiko.Channel, watch: Watch) -> tuple[int, str, str]:
    """The end of the command. The library sets the status also when the channel closes without one: -1."""
    try:
        out, err = _all(channel.recv), _all(channel.recv_stderr)
    except LOST as lost:
        raise watch.lost(_why(lost)) from None
    channel.status_event.wait()  # the watch closes the connection, and thereby the channel, if it never comes
    if channel.exit_status < 0:
        raise watch.lost("the connection ended before the exit status came")
    return channel.exit_status, out.decode(errors="replace"), err.decode(errors="replace")


def _all(read: Callable[[int], bytes]) -> bytes:
    found = bytearray()
    while data := read(65536):
        found += data
    return bytes(found)


def _why(wrong: BaseException) -> str:
    if isinstance(wrong, OSError) and wrong.strerror:
        return wrong.strerror
    return str(wrong) or type(wrong).__name__
