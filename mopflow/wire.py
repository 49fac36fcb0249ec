"""A transport of the SSH library that says nothing more on a channel which it has closed.

The library builds a message under the channel's lock and sends it after giving the lock back. Its reader may answer
the server's CLOSE in between, and an end of input or data that then follows belongs to no channel any more: OpenSSH
ends the whole connection for it, with everybody's commands (paramiko issues 1115, 1584, 1705).
"""

from __future__ import annotations

import socket
import threading

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
)

_TOO_LATE = frozenset({MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_EOF})


class Wire(paramiko.Transport):
    """`paramiko.Transport` in which nothing overtakes a channel's CLOSE."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._in_order = threading.Lock()
        self._closed_ones: set[bytes] = set()  # numbers that the server gave channels which we have closed

    def _send_user_message(self, data: paramiko.Message) -> None:
        content = data.asbytes()
        kind, channel = content[0], content[1:5]
        with self._in_order:
            if kind in _TOO_LATE and channel in self._closed_ones:
                return
            if kind == MSG_CHANNEL_CLOSE:
                self._closed_ones.add(channel)
            elif kind == MSG_CHANNEL_REQUEST:  # the first word on a channel: the number serves a new one
                self._closed_ones.discard(channel)
            super()._send_user_message(data)  # type: ignore[misc]  # the stubs leave it out
