"""The PM&C GUI in a real Chromium (4.6.2, 4.6.3.2), as user guiadmin.

A browser and a session of its own, apart from the CMP console's; everything is found by its visible name
(labels_pmac.yaml).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Page as Tab
from pydantic import SecretStr

from mopflow.console import pmac_reading as reading
from mopflow.console.driver import Driver
from mopflow.console.gateway import Origin
from mopflow.console.labels import Place
from mopflow.console.labels_pmac import PmacLabels, load_pmac
from mopflow.console.pmac_hands import PmacHands
from mopflow.console.pmac_protocol import PmacPage, SoftwareImage, Task
from mopflow.console.protocol import Shots, Urgency
from mopflow.console.reading import Look

T = TypeVar("T")


class PmacConsole(Driver):
    """`labels`: None for those of labels_pmac.yaml; the rest as in `Driver`."""

    def __init__(
        self,
        url: str,
        user: str,
        password: SecretStr,
        *,
        labels: PmacLabels | None = None,
        ca: Path | None,
        chromium: Path | None,
        refresh: float,
        deadline: float,
        login_budget: int,
    ) -> None:
        self._labels = labels or load_pmac()
        super().__init__(
            Origin.parse(url, "PM&C"),
            user,
            password,
            self._labels,
            ca=ca,
            chromium=chromium,
            refresh=refresh,
            deadline=deadline,
            login_budget=login_budget,
        )
        self._hands = PmacHands(self._session, self._labels)

    # --- readings
    def images(self) -> tuple[SoftwareImage, ...]:
        return self._page(
            PmacPage.IMAGES, self._labels.pages.images, lambda look: reading.images(look, self._labels)
        )

    def tasks(self) -> tuple[Task, ...]:
        return self._page(
            PmacPage.TASKS, self._labels.pages.tasks, lambda look: reading.tasks(look, self._labels)
        )

    def offered(self) -> tuple[str, ...]:
        def work() -> tuple[str, ...]:
            return reading.offered(self._session.look(self._add_page("read")), self._labels)

        return self._read(PmacPage.ADD_IMAGE.name, work)

    def screenshot(self, page: PmacPage, to: Path) -> Path:
        """A fresh picture of a page."""

        def work() -> Path:
            return self._session.picture(self._show(page), to)

        return self._owner.submit(Urgency.READ, lambda: self._session.logged_in(work))

    # --- acts
    def add_image(self, path: str, description: str, *, shots: Shots | None = None) -> int:
        return self._act(Urgency.ACT, lambda: self._hands.add(self._tab("act"), path, description, shots))

    def delete_image(self, name: str, *, shots: Shots | None = None) -> str:
        return self._act(Urgency.ACT, lambda: self._hands.delete(self._tab("act"), name, shots))

    # --- inside; on the owner's thread unless it says otherwise
    def _page(self, page: PmacPage, place: Place, parse: Callable[[Look], T]) -> T:
        """On the caller's thread."""
        return self._read(page.name, lambda: self._fresh(page, place, parse))

    def _fresh(self, page: PmacPage, place: Place, parse: Callable[[Look], T]) -> T:
        return self._session.fresh(
            "read", page.name, place.heading, lambda tab: self._session.visit(tab, place), parse
        )

    def _tab(self, name: str) -> Tab:
        """A tab in front, whatever it shows: it is led to its page by the navigation."""
        tab = self._session.tab(name)
        self._session.to_front(tab)
        return tab

    def _add_page(self, name: str) -> Tab:
        tab = self._tab(name)
        self._session.leave(name)  # what stood there is read anew the next time
        self._hands.open_add_page(tab)
        return tab

    def _show(self, page: PmacPage) -> Tab:
        labels = self._labels
        match page:
            case PmacPage.IMAGES:
                self._fresh(page, labels.pages.images, lambda look: reading.images(look, labels))
            case PmacPage.TASKS:
                self._fresh(page, labels.pages.tasks, lambda look: reading.tasks(look, labels))
            case PmacPage.ADD_IMAGE:
                return self._add_page("read")
            case PmacPage.MAIN_MENU:
                self._session.leave("read")
                return self._session.begin(self._tab("read"))
        return self._session.tab("read")
