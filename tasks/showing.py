"""The board in Prefect's UI while a run works: a thread of the run keeps its artifacts current.

It is never in the way: nobody waits for it but its own end, and that not for long. While Prefect's server is away it
says so once and catches up when the server is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from prefect.context import TaskRunContext

from mopflow import board_pages
from mopflow.board import Board
from mopflow.board_pages import Form, Page
from mopflow.board_reading import read
from mopflow.errors import LedgerUnavailable
from mopflow.house import House
from tasks.shelf import AWAY, Shelf

EVERY = 5.0  # seconds between two rounds: one artifact is updated no more often
AT_LEAST = 60.0  # seconds after which the pages say anew as of when they are
LAST_ROUND = 10.0  # seconds that the end of a run waits for the last pages

log = logging.getLogger("mopflow.showing")

Put = Callable[[Page, UUID | None], None]


class Showing:
    """Finds the pages that have changed and gives them to who puts them up."""

    def __init__(self, look: Callable[[], Board], scope: str, strike: Callable[[str], str]) -> None:
        self._look = look
        self._scope = scope
        self._strike = strike
        self._lock = threading.Lock()
        self._meters: dict[str, tuple[float, str, UUID | None]] = {}
        self._percent: dict[str, int] = {}  # by server: how far its operation was last seen
        self._shown: dict[str, tuple[Page, datetime]] = {}
        self._away = False

    def meter(self, what: str, percent: float, words: str) -> None:
        """How far a long act is. Only noted: the next round shows it."""
        context = TaskRunContext.get()
        task_run = context.task_run.id if context is not None else None
        with self._lock:
            self._meters[what] = (percent, words, task_run)

    def round(self, put: Put) -> None:
        """Show what has changed; what could not be shown is tried in the next round."""
        try:
            board = self._look()
        except LedgerUnavailable as away:
            self._missed(f"the ledger cannot be read ({away})")
            return
        for page, task_run in self._pages(board):
            if not self._is_due(page, board.now):
                continue
            try:
                put(self._ready(page, board.now), task_run)
            except AWAY as away:
                self._missed(f"Prefect cannot be reached ({type(away).__name__})")
                return
            self._shown[page.key] = page, board.now
        if self._away:
            self._away = False
            log.info("the board is shown in Prefect again")

    def _missed(self, why: str) -> None:
        if not self._away:
            log.warning("the board is not shown in Prefect for now: %s; the work goes on", self._strike(why))
        self._away = True

    def _is_due(self, page: Page, now: datetime) -> bool:
        before, at = self._shown.get(page.key, (None, now))
        if before != page:
            return True
        return page.form is not Form.PROGRESS and (now - at).total_seconds() >= AT_LEAST

    def _ready(self, page: Page, now: datetime) -> Page:
        """As it is put up: without secrets; the board's own pages say as of when they are."""
        title = page.title if page.form is Form.PROGRESS else f"{page.title} (as of {now:%H:%M:%S} UTC)"
        return board_pages.struck(replace(page, title=title), self._strike)

    def _pages(self, board: Board) -> Iterator[tuple[Page, UUID | None]]:
        for page in board_pages.pages(board, self._scope):
            yield page, None
        for cluster in board.clusters:
            for server in cluster.servers:
                if server.running:
                    self._percent[server.name] = server.percent or 0
                if server.name in self._percent and (server.running or server.ended):
                    far = server.percent or self._percent[server.name]
                    yield board_pages.progress(board.site, server, far), None
        with self._lock:
            meters = dict(self._meters)
        for what, (percent, words, task_run) in meters.items():
            yield board_pages.transfer(board.site, what, percent, words), task_run


@contextmanager
def shown(house: House, scope: str, flow_run: str | None) -> Iterator[None]:
    """Inside, the board of this site stands in Prefect as artifacts of this flow run (None: nowhere)."""
    if flow_run is None:
        yield
        return
    showing = Showing(
        lambda: read(house.site, house.site_path, house.ledger, datetime.now(UTC)), scope, house.vault.strike
    )
    house.meter = showing.meter
    over = threading.Event()
    # the context is copied so that log lines find the flow run that they belong to
    thread = threading.Thread(
        target=copy_context().run, args=(_keep, showing, UUID(flow_run), over), name="board", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LAST_ROUND)


def _keep(showing: Showing, flow_run: UUID, over: threading.Event) -> None:
    try:
        with Shelf(flow_run) as shelf:
            last = False
            while not last:
                last = over.wait(EVERY)
                showing.round(shelf.put)
    except Exception:
        log.exception(
            "a mistake in the program: the board is not shown in Prefect any more; the work goes on"
        )
