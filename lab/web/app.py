"""The application behind one CMP VIP: login, pages, their periodic fragments, acts, OSSI.

Everything runs in the world's thread and loop. Whoever serves it must close the listener's connections while
`world.gui_up` is false; a request that comes all the same is dropped here without an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from lab import releases
from lab.state import Announced, Session
from lab.web import navigation, ossi, pages
from lab.web.acts import Answer, Desk, LoggedOut, Lost, Question, Wish
from lab.web.blocks import Block, Page
from lab.web.wire import Line, NoAnswer
from lab.world import World

_HERE = Path(__file__).parent
_LOGIN = "/mi/login"
_REFRESH = 10.0  # twin seconds between two readings of a page
_FASTEST = 0.1  # real seconds, however fast the twin runs
_HEADERS = {
    "Cache-Control": "no-store",
    # nothing from elsewhere and no script in a page; unsafe-eval because a real console of that age has no such
    # policy and would let whoever drives the browser evaluate his own text
    "Content-Security-Policy": "default-src 'self' 'unsafe-eval'; img-src 'self' data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_Posted = TypeVar("_Posted", bound=BaseModel)


def build(world: World, cmp_cluster_name: str) -> Starlette:
    """The console as the VIP of that CMP cluster serves it.

    Raises KeyError if there is no such cluster.
    """
    if cmp_cluster_name not in world.clusters:
        raise KeyError(f"there is no CMP cluster {cmp_cluster_name!r}")
    console = _Console(world, cmp_cluster_name)
    return _Application(
        partial(world.gui_up, cmp_cluster_name),
        routes=[
            Route("/", console.root),
            Route("/mi/", console.root),
            Route(_LOGIN, console.login_form, methods=["GET"]),
            Route(_LOGIN, console.login, methods=["POST"]),
            Route("/mi/logout", console.logout, methods=["GET"]),
            Route("/mi/xmlInterfaceRequest.do", console.ossi, methods=["POST"]),
            Mount("/mi/static", StaticFiles(directory=_HERE / "static")),
            Route("/mi/act/prepare", console.prepare, methods=["POST"]),
            Route("/mi/act/perform", console.perform, methods=["POST"]),
            Route("/mi/act/progress", console.progress, methods=["POST"]),
            Route("/mi/fragment/upgrade/kits", console.kits, methods=["GET"]),
            Route("/mi/fragment/upgrade/log/{cluster:path}", console.log, methods=["GET"]),
            Route("/mi/fragment/{key:path}", console.fragment, methods=["GET"]),
            Route("/mi/{key:path}", console.page, methods=["GET"]),
        ],
    )


class _Application(Starlette):
    """Starlette with the line itself outermost, outside Starlette's own handling of errors."""

    def __init__(self, up: Callable[[], bool], routes: list[BaseRoute]) -> None:
        super().__init__(routes=routes)
        self._up = up

    def build_middleware_stack(self) -> ASGIApp:
        return Line(super().build_middleware_stack(), self._up)


class _Console:
    def __init__(self, world: World, cluster: str) -> None:
        self._world = world
        self._cluster = cluster
        self._desk = Desk(world, cluster)
        # cookies know no ports: VIPs that differ in the port alone must not share one
        self._cookie = "JSESSIONID_" + re.sub(r"[^A-Za-z0-9]", "", cluster)
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    # --- who asks
    def _session(self, request: Request) -> Session | None:
        token = request.cookies.get(self._cookie)
        return None if token is None else self._world.session(token, self._cluster)

    # --- login and logout
    async def root(self, request: Request) -> Response:
        return _redirect("/mi/home" if self._session(request) else _LOGIN)

    async def login_form(self, request: Request) -> Response:
        return self._login_page()

    def _login_page(self, why: str = "", user: str = "", status: int = 200) -> Response:
        release = self._world.release_of_gui(self._cluster)
        return self._html("login.html", status, release=release, why=why, user=user)

    async def login(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            user, password = (str(form.get(name, "")) for name in ("user", "password"))
        session = self._world.login(self._cluster, user, password)
        if session is None:
            locked = self._world.is_locked(user)
            why = "the account is locked." if locked else "the user name or password is not correct."
            return self._login_page(f"Login failed: {why}", user, 401)
        response = _redirect("/mi/home")
        response.set_cookie(
            self._cookie, session.token, path="/mi", secure=True, httponly=True, samesite="strict"
        )
        return response

    async def logout(self, request: Request) -> Response:
        session = self._session(request)
        if session is not None:
            self._world.logout(session.token)
        response = _redirect(_LOGIN)
        response.delete_cookie(self._cookie, path="/mi", secure=True, httponly=True, samesite="strict")
        return response

    # --- pages
    async def page(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return _redirect(_LOGIN)
        found = self._find(request)
        if found is None:
            return Response("There is no such page.", 404, _HEADERS, "text/plain")
        return self._html(
            "page.html",
            page=found,
            style=self._world.config.gui_style,
            user=session.user,
            summary=pages.summary(self._world),
            iso=pages.iso_label(self._world),
            navigation=navigation.tree(found.key, director=self._director),
            seconds=max(_FASTEST, _REFRESH / self._world.config.speed),
            region=self._region(found.blocks),
        )

    async def fragment(self, request: Request) -> Response:
        """What the periodic refresh of a page reads."""
        if self._session(request) is None:
            return _logged_out()
        found = self._find(request)
        if found is None:
            return Response("There is no such page.", 404, _HEADERS, "text/plain")
        return _json(
            {
                "region": self._region(found.blocks),
                "summary": pages.summary(self._world),
                "state": self._buttons() if found.toolbar == "manager" else {},
            }
        )

    @property
    def _director(self) -> bool:
        return releases.has_director(self._world.release_of_gui(self._cluster))

    async def kits(self, request: Request) -> Response:
        if self._session(request) is None:
            return _logged_out()
        if not self._director:
            return Response("There is no such page.", 404, _HEADERS, "text/plain")
        return _json({"region": self._region(pages.kits(self._world))})

    async def log(self, request: Request) -> Response:
        if self._session(request) is None:
            return _logged_out()
        cluster = str(request.path_params["cluster"])
        if cluster not in self._world.clusters or not self._director:
            return Response("There is no such cluster.", 404, _HEADERS, "text/plain")
        return _json({"region": self._region(pages.upgrade_log(self._world, cluster))})

    def _find(self, request: Request) -> Page | None:
        return pages.find(self._world, self._cluster, str(request.path_params["key"]))

    def _buttons(self) -> dict[str, Any]:
        """What the buttons of the Upgrade Manager say for each cluster, ready for the one that is ticked."""
        world = self._world

        def look(label: str, announced: Announced | None) -> dict[str, Any]:
            return {
                "label": label,
                "enabled": announced is not None,
                "hover": announced.hover if announced else "",
            }

        return {
            "iso": pages.iso_label(world),
            "nothing": {
                "upgrade": look("Start Upgrade", None),
                "rollback": look("Start Rollback", None),
                "optional": [],
            },
            "clusters": {
                name: {
                    "upgrade": look(world.upgrade_label(name), world.next_upgrade(name)),
                    "rollback": look(world.rollback_label(name), world.next_rollback(name)),
                    "optional": [announced.hover for announced in world.optional(name)],
                }
                for name in world.clusters
            },
        }

    # --- acts
    async def prepare(self, request: Request) -> Response:
        return await self._act(request, Wish, self._desk.prepare)

    async def perform(self, request: Request) -> Response:
        return await self._act(request, Answer, self._desk.perform)

    async def progress(self, request: Request) -> Response:
        return await self._act(request, Question, self._desk.progress)

    async def _act(
        self, request: Request, form: type[_Posted], verb: Callable[[Session, _Posted], dict[str, Any]]
    ) -> Response:
        body = await request.body()
        session = self._session(request)  # after the body has come: it may have died meanwhile
        if session is None:
            return _logged_out()
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return Response("JSON is expected.", 415, _HEADERS, "text/plain")
        try:
            posted = form.model_validate_json(body)
        except ValidationError:
            return Response("The request is not understood.", 400, _HEADERS, "text/plain")
        try:
            return _json(verb(session, posted))
        except LoggedOut:
            return _logged_out()
        except Lost:
            return NoAnswer()

    # --- OSSI
    async def ossi(self, request: Request) -> Response:
        user, password = (request.query_params.get(name, "") for name in ("user", "pwd"))
        document = ossi.answer(self._world, user, password, await request.body())
        return Response(document, 200, _HEADERS, "text/xml; charset=utf-8")

    # --- drawing
    def _region(self, blocks: tuple[Block, ...]) -> str:
        return self._templates.get_template("region.html").render(
            blocks=blocks, style=self._world.config.gui_style
        )

    def _html(self, template: str, status: int = 200, /, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(**values), status, _HEADERS)


def _redirect(path: str) -> Response:
    return RedirectResponse(path, 303, _HEADERS)


def _json(content: dict[str, Any]) -> Response:
    return JSONResponse(content, 200, _HEADERS)


def _logged_out() -> Response:
    return JSONResponse({"login": _LOGIN}, 401, _HEADERS)
