"""A command that runs on a server while we talk with it: bytes in, bytes out, its end. Made by `Servers.session`."""

from __future__ import annotations

from collections.abc import Callable

import paramiko

from mopflow.errors import MayHaveRun

LOST = (OSError, EOFError, paramiko.SSHException)
KEPT = 16_384  # bytes of error output that are kept


class Conversation:
    """The command of one channel. Every method raises MayHaveRun when the connection is lost: the command was run."""

    def __init__(self, channel: paramiko.Channel, lost: Callable[[str], MayHaveRun]) -> None:
        self._channel = channel
        self._lost = lost
        self._complaints = bytearray()

    def send(self, data: bytes, *, seconds: float = 60) -> bool:
        """Give `data` to the command; False when it takes no more, because it has ended or closed its input.

        `seconds`: how long it may leave its input unread.
        """
        channel, view = self._channel, memoryview(data)
        channel.settimeout(seconds)
        try:
            while view:
                sent = channel.send(view.tobytes() if len(view) < 65536 else view[:65536].tobytes())
                if sent == 0:
                    return False
                view = view[sent:]
        except TimeoutError:
            raise self._lost(f"it read nothing for {seconds:g} s") from None
        except LOST as lost:
            if channel.get_transport().is_active():
                return False
            raise self._lost(str(lost) or "the connection ended") from None
        return True

    def end_input(self) -> None:
        try:
            self._channel.shutdown_write()
        except LOST as lost:
            raise self._lost(str(lost) or "the connection ended") from None

    def receive(self, seconds: float) -> bytes | None:
        """The next bytes of its output; b"" at their end, None when nothing came within `seconds`.

        The end of the output also shows when the connection was lost: `status` tells the two apart.
        """
        channel = self._channel
        channel.settimeout(max(0.0, seconds))
        try:
            data = channel.recv(65536)
        except TimeoutError:
            data = None
        except LOST as lost:
            raise self._lost(str(lost) or "the connection ended") from None
        self._hear_complaints()
        return data

    def status(self, seconds: float) -> int:
        """The exit status, for which it may take `seconds` after the end of its output."""
        channel = self._channel
        if not channel.status_event.wait(seconds):
            raise self._lost("its exit status did not come")
        self._hear_complaints()
        complete = channel.eof_received or channel.get_transport().is_active()
        if channel.exit_status < 0 or not complete:
            raise self._lost("the connection ended before its exit status came")
        return channel.exit_status

    @property
    def complaints(self) -> str:
        """What it wrote to its standard error so far; on a terminal that is part of the output."""
        return self._complaints.decode(errors="replace")

    def _hear_complaints(self) -> None:
        while self._channel.recv_stderr_ready():
            self._complaints += self._channel.recv_stderr(65536)
            del self._complaints[:-KEPT]
