"""The HTTPS listener of the PM&C GUI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lab.https import HttpsServer, https_config
from lab.sockets import ReservedPort
from lab.tls import ServerCertificate


class PmacListener:
    """Serves `app` (ASGI) on the address of the PM&C GUI, from `start` to `stop`."""

    def __init__(self, address: str, app: Callable[..., Any], certificate: ServerCertificate) -> None:
        self._port = ReservedPort(address, 0)
        self.url = f"https://{self._port.address}:{self._port.port}/"
        self._server = HttpsServer(https_config(app, certificate))
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it listens. Raises what keeps it from that."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._port.socket()]))
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._serving.done():
            self._serving.result()

    async def follow(self) -> None:
        """Runs until cancelled; raises when the listener ends by itself."""
        if self._serving is not None:
            await asyncio.shield(self._serving)
            raise RuntimeError(f"the listener of {self.url} ended by itself")

    async def stop(self) -> None:
        self._server.cut()
        if self._serving is not None:
            await self._serving
        self._port.close()
