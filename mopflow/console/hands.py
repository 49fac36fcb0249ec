"""What the acts of every GUI need: patience with a page, one click, and pictures before and after it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page as Tab

from mopflow.console.protocol import Shots
from mopflow.console.reading import Look
from mopflow.console.session import Session, exactly
from mopflow.errors import MopflowError, NotAnnounced, NothingRun, UnreadableReply

_log = logging.getLogger(__name__)


class Hands:
    """Everything here runs on the thread that owns the browser."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _patiently(self, tab: Tab, require: Callable[[Look], None]) -> None:
        """Until it is so; the last NotAnnounced is raised when the page has had its time."""
        session = self._session
        end = time.monotonic() + session.settle
        while True:
            try:
                require(session.look(tab))
            except (NotAnnounced, UnreadableReply):
                if time.monotonic() > end:
                    raise
            else:
                return
            session.pause(tab)

    def _click_button(self, tab: Tab, name: str) -> None:
        with self._session.translated(f"click {name}"):
            tab.get_by_role("button", name=exactly([name])).click()

    def _shoot(self, tab: Tab, shots: Shots | None, label: str) -> None:
        """Before the last click: a picture that cannot be kept stops the act."""
        if shots is not None:
            self._session.picture(tab, self._path(shots, label))

    def _shoot_after(self, tab: Tab, shots: Shots | None) -> None:
        """After the last click: nothing that goes wrong here may hide the answer."""
        if shots is None:
            return
        try:
            self._session.picture(tab, self._path(shots, "result"))
        except MopflowError as error:
            _log.warning("no picture of the result: %s", error)

    def _path(self, shots: Shots, label: str) -> Path:
        try:
            return shots.next(label)
        except OSError as error:
            raise NothingRun(f"no place for the picture {label!r}: {error.strerror}") from None
