"""The PM&C GUI: login, Main Menu, Manage Software Images with Add Image and Delete Image, Task Monitoring.

Names of pages, columns and buttons are those of 4.6.2 and 4.6.3.2 and of the public user's guide of a later 6.x.
"""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lab.errors import Refused
from lab.pmac.host import RELEASE, PmacHost, Session, Task
from lab.pmac.menu import tree

_HERE = Path(__file__).parent
_COOKIE = "PMACSESSION"
_LOGIN = "/gui/login"
_IMAGES = "/gui/software/images"
_REFRESH = 15.0  # twin seconds between two readings of the task table
_FASTEST = 0.25  # real seconds, however fast the twin runs
_HEADERS = {
    "Cache-Control": "no-store",
    # nothing from elsewhere; unsafe-eval because a GUI of that age has no such policy
    "Content-Security-Policy": "default-src 'self' 'unsafe-eval'; img-src 'self' data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def build(host: PmacHost) -> Starlette:
    gui = _Gui(host)
    return Starlette(
        routes=[
            Route("/", gui.root),
            Route(_LOGIN, gui.login_form, methods=["GET"]),
            Route(_LOGIN, gui.login, methods=["POST"]),
            Route("/gui/logout", gui.logout, methods=["GET"]),
            Mount("/gui/static", StaticFiles(directory=_HERE / "static")),
            Route("/gui/main", gui.main, methods=["GET"]),
            Route("/gui/software/inventory", gui.inventory, methods=["GET"]),
            Route(_IMAGES, gui.images, methods=["GET"]),
            Route(f"{_IMAGES}/add", gui.add_form, methods=["GET"]),
            Route(f"{_IMAGES}/add", gui.add, methods=["POST"]),
            Route(f"{_IMAGES}/delete", gui.delete, methods=["POST"]),
            Route("/gui/tasks", gui.tasks, methods=["GET"]),
            Route("/gui/tasks/rows", gui.task_rows, methods=["GET"]),
        ]
    )


class _Gui:
    def __init__(self, host: PmacHost) -> None:
        self._host = host
        self._world = host.world
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    # --- who asks
    def _session(self, request: Request) -> Session | None:
        return self._host.session(request.cookies.get(_COOKIE))

    async def root(self, request: Request) -> Response:
        return _redirect("/gui/main" if self._session(request) else _LOGIN)

    async def login_form(self, request: Request) -> Response:
        return self._login_page()

    def _login_page(self, why: str = "", user: str = "", status: int = 200) -> Response:
        return self._html("login.html", status, release=RELEASE, why=why, user=user)

    async def login(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            user, password = (str(form.get(name, "")) for name in ("user", "password"))
        session = self._host.login(user, password)
        if session is None:
            why = "the account is disabled." if self._host.locked else "invalid username or password."
            return self._login_page(f"Login failed: {why}", user, 401)
        response = _redirect("/gui/main")
        response.set_cookie(
            _COOKIE, session.token, path="/gui", secure=True, httponly=True, samesite="strict"
        )
        return response

    async def logout(self, request: Request) -> Response:
        session = self._session(request)
        if session is not None:
            self._host.logout(session)
        response = _redirect(_LOGIN)
        response.delete_cookie(_COOKIE, path="/gui", secure=True, httponly=True, samesite="strict")
        return response

    # --- pages
    async def main(self, request: Request) -> Response:
        return self._page(request, "main.html", "Main Menu", "main")

    async def inventory(self, request: Request) -> Response:
        heading = "Main Menu: Software -> Software Inventory"
        return self._page(request, "inventory.html", heading, "software/inventory", release=RELEASE)

    async def images(self, request: Request) -> Response:
        return self._page(
            request,
            "images.html",
            "Main Menu: Software -> Manage Software Images",
            "software/images",
            images=sorted(self._host.images.values(), key=lambda image: image.name),
            tasks=self._rows("Add Image"),
        )

    async def add_form(self, request: Request) -> Response:
        heading = "Main Menu: Software -> Manage Software Images [Add Image]"
        return self._page(request, "add.html", heading, "software/images", paths=self._host.offered())

    async def tasks(self, request: Request) -> Response:
        seconds = max(_FASTEST, _REFRESH / self._world.config.speed)
        heading = "Main Menu: Task Monitoring"
        return self._page(request, "tasks.html", heading, "tasks", tasks=self._rows(), seconds=seconds)

    async def task_rows(self, request: Request) -> Response:
        """What the periodic refresh of the task table reads."""
        if self._session(request) is None:
            return JSONResponse({"login": _LOGIN}, 401, _HEADERS)
        rows = self._templates.get_template("task_rows.html").render(tasks=self._rows())
        return JSONResponse({"rows": rows}, 200, _HEADERS)

    def _rows(self, name: str = "") -> list[dict[str, Any]]:
        return [self._row(task) for task in self._host.tasks if not name or task.name == name]

    def _row(self, task: Task) -> dict[str, Any]:
        seconds = int((task.ended if task.ended is not None else self._world.now()) - task.started)
        return {
            "id": task.id,
            "task": task.name,
            "target": task.target,
            "status": task.status,
            "state": task.state.value,
            "start": f"{self._world.wall(task.started).astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            "running": f"{seconds // 3600}:{seconds % 3600 // 60:02}:{seconds % 60:02}",
            "progress": task.progress,
        }

    # --- acts
    async def add(self, request: Request) -> Response:
        """The prompt's answer stands in `remove`: OK moves the file, Cancel copies it (4.6.3.2/3)."""
        session = self._session(request)
        if session is None:
            return _redirect(_LOGIN)
        async with request.form(max_files=0, max_fields=10) as form:
            path, description, remove = (
                str(form.get(name, "")) for name in ("path", "description", "remove")
            )
        if remove not in ("yes", "no"):
            return Response("The request is not understood.", 400, _HEADERS, "text/plain")
        try:
            task = self._host.add(path, description.strip(), remove=remove == "yes")
        except Refused as refused:
            session.message, session.bad = str(refused), True
        else:
            session.bad = False
            session.message = (
                f"Software image {path} will be added in the background. "
                f"The ID number for this task is: {task.id}."
            )
        return _redirect(_IMAGES)

    async def delete(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return _redirect(_LOGIN)
        async with request.form(max_files=0, max_fields=10) as form:
            name = str(form.get("name", ""))
        try:
            self._host.delete(name)
        except Refused as refused:
            session.message, session.bad = str(refused), True
        else:
            session.message, session.bad = f"Software image {name} has been deleted.", False
        return _redirect(_IMAGES)

    # --- drawing
    def _page(self, request: Request, template: str, heading: str, key: str, **values: Any) -> Response:
        session = self._session(request)
        if session is None:
            return _redirect(_LOGIN)
        message, session.message = session.message, ""
        return self._html(
            template,
            heading=heading,
            menu=tree(key),
            user=session.user,
            release=RELEASE,
            host=self._host.config.name,
            now=f"{self._world.wall(self._world.now()).astimezone(UTC):%a %b %d %H:%M:%S %Y UTC}",
            message=message,
            bad=session.bad,
            **values,
        )

    def _html(self, template: str, status: int = 200, /, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(**values), status, _HEADERS)


def _redirect(path: str) -> Response:
    return RedirectResponse(path, 303, _HEADERS)
