"""Ports that stay ours while nobody listens on them."""

from __future__ import annotations

import socket


class ReservedPort:
    """A bound address. Without a listener a connection to it is refused, and nobody else gets the port.

    Linux lets two sockets with SO_REUSEADDR have one address as long as only one of them listens.
    Raises OSError when the address is taken.
    """

    def __init__(self, address: str, port: int) -> None:
        self._holder = self._bound(address, port)
        self.address: str = address
        self.port: int = self._holder.getsockname()[1]

    @staticmethod
    def _bound(address: str, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((address, port))
        except OSError as error:
            made.close()
            raise OSError(error.errno, f"cannot listen on {address}:{port}: {error.strerror}") from error
        made.setblocking(False)
        return made

    def socket(self) -> socket.socket:
        """Another socket on the same address, for a listener; whoever gets it closes it."""
        return self._bound(self.address, self.port)

    def close(self) -> None:
        self._holder.close()
