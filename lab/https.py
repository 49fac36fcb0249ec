"""The GUI's HTTPS listener of one CMP VIP: away while the VIP moves, then back on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from lab.sockets import ReservedPort
from lab.tls import ServerCertificate
from lab.world import World

log = logging.getLogger("lab.https")

_POLL = 0.05  # real seconds between looks whether the VIP has come back


class HttpsServer(uvicorn.Server):
    """uvicorn without its own signal handling; `ready` is set once it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def cut(self) -> None:
        """No new connections, and an end to the open ones without a word."""
        self.should_exit = self.force_exit = True
        for listener in getattr(self, "servers", []):
            listener.close()
        for connection in list(self.server_state.connections):
            transport = connection.transport
            if isinstance(transport, asyncio.Transport):
                transport.abort()


def https_config(app: Callable[..., Any], certificate: ServerCertificate) -> uvicorn.Config:
    """How every GUI of the twin is served."""
    return uvicorn.Config(
        app,
        ssl_certfile=certificate.chain,
        ssl_keyfile=certificate.key,
        lifespan="off",
        ws="none",
        access_log=False,  # the password of an OSSI request stands in its URL
        log_config=None,
        server_header=False,
        timeout_keep_alive=60,
    )


class GuiListener:
    """Serves `app` for one CMP cluster. `app` is any ASGI application."""

    def __init__(
        self,
        world: World,
        cluster: str,
        app: Callable[..., Any],
        certificate: ServerCertificate,
        port: int = 0,
    ) -> None:
        self.world = world
        self.cluster = cluster
        self._port = ReservedPort(world.clusters[cluster].vip, port)
        self.url = f"https://{self._port.address}:{self._port.port}"
        self._config = https_config(app, certificate)
        self._server: HttpsServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        world.gui_changed.append(self._gui_changed)

    def _gui_changed(self, cluster: str) -> None:
        if cluster == self.cluster:
            self._look()
            self._changed.set()

    def _look(self) -> None:
        if self._server is not None and not self.world.gui_up(self.cluster):
            self._server.cut()
            self._server = None

    async def start(self) -> None:
        """Listens, if the VIP is up."""
        if self._server is not None or not self.world.gui_up(self.cluster):
            return
        await self._ended()
        server = HttpsServer(self._config)
        self._server = server
        self._serving = asyncio.create_task(server.serve(sockets=[self._port.socket()]))
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._serving.done():
            self._serving.result()  # raises what went wrong

    async def _ended(self) -> None:
        """The listener before this one has let go of the port."""
        if self._serving is not None:
            await self._serving
            self._serving = None

    async def follow(self) -> None:
        """Runs until cancelled: goes with the VIP and comes back with it."""
        while True:
            self._look()
            if self._server is not None and self._serving is not None and self._serving.done():
                self._serving.result()
                raise RuntimeError(f"the listener of {self.url} ended by itself")
            if self._server is None:
                await self.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._changed.wait()
            self._changed.clear()

    async def stop(self) -> None:
        self.world.gui_changed.remove(self._gui_changed)
        if self._server is not None:
            self._server.cut()
            self._server = None
        await self._ended()
        self._port.close()
