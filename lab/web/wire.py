"""What the pages need of the wire itself: an answer that never comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_CUT = "lab.cut"  # key in the ASGI scope


class NoAnswer(Response):
    """Closes the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope[_CUT]()


class Line:
    """Outermost layer of the application: closes the connection of every request while the VIP is away.

    While `up()` is false the client gets not a byte, as from a system whose address has just moved; the same
    happens to a request that is answered with NoAnswer.
    """

    def __init__(self, app: ASGIApp, up: Callable[[], bool]) -> None:
        self._app = app
        self._up = up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cut = _cutter(receive, send)
        if not self._up():
            await cut()
            return
        await self._app({**scope, _CUT: cut}, receive, send)


def _cutter(receive: Receive, send: Send) -> Callable[[], Awaitable[None]]:
    """A function that closes the client's connection without an answer.

    ASGI has no message for that, so the transport is taken from uvicorn's own `send`, a bound method of the
    object that serves the request.
    """

    async def cut() -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is None:
            raise RuntimeError("a connection can be closed without an answer under uvicorn only")
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            continue

    return cut
