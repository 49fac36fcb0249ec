"""The acts of the PM&C GUI in the browser: choose, read back, answer the prompt, and what the page says then.

PM&C asks in a prompt of the browser itself. Until that is answered everything that fails is a NothingRun; a prompt
that asks something else is answered with Cancel. At Add Image Cancel does not mean no: the image is copied instead
of moved (4.6.3.2/3), so that then the act may have run. Everything here runs on the thread that owns the browser.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from playwright.sync_api import Dialog
from playwright.sync_api import Page as Tab

from mopflow.console import pmac_reading as reading
from mopflow.console.hands import Hands
from mopflow.console.labels import Names, is_one_of
from mopflow.console.labels_pmac import PmacLabels
from mopflow.console.protocol import Shots
from mopflow.console.reading import Look
from mopflow.console.session import Session, SessionLost, exactly
from mopflow.errors import ActRefused, MayHaveRun, MopflowError, NotAnnounced

T = TypeVar("T")


class _Prompt:
    """Answers the browser's prompts while it is in force: OK for the one that `check` lets pass, Cancel for others."""

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check
        self.text: str | None = None
        self.refused: NotAnnounced | None = None
        self.confirmed = False

    def __call__(self, dialog: Dialog) -> None:
        self.text = " ".join(dialog.message.split())
        try:
            if self.confirmed:
                raise NotAnnounced("one prompt", self.text)
            self._check(self.text)
        except NotAnnounced as other:
            self.refused = other
            dialog.dismiss()
        else:
            self.confirmed = True
            dialog.accept()


class PmacHands(Hands):
    """Acts on the pages of one session."""

    def __init__(self, session: Session, labels: PmacLabels) -> None:
        super().__init__(session)
        self._labels = labels

    def open_add_page(self, tab: Tab) -> None:
        """Software > Manage Software Images > Add Image, whose list of paths is read anew by that."""
        session, labels = self._session, self._labels
        session.visit(tab, labels.pages.images)
        name = session.look(tab).button(labels.buttons.add_image, "Manage Software Images").name
        self._click_button(tab, name)
        session.arrive(tab, labels.add_heading)

    def add(self, tab: Tab, path: str, description: str, shots: Shots | None) -> Callable[[], int]:
        """Path, Description, Add New Image; OK at the prompt (4.6.2/5, 4.6.3.2/2-3)."""
        session, labels = self._session, self._labels
        expected = f"Add Image {path}"
        self.open_add_page(tab)
        offered = reading.offered(session.look(tab), labels)
        if path not in offered:
            raise NotAnnounced(expected, f"the list of paths: {', '.join(offered) or 'empty'}")
        with session.translated("fill in Add Image"):
            tab.get_by_label(exactly(labels.form.path)).select_option(label=path)
            tab.get_by_label(exactly(labels.form.description)).fill(description)

        def filled(look: Look) -> None:
            for names, value in ((labels.form.path, path), (labels.form.description, description)):
                shown = [field.value for field in look.fields if is_one_of(field.name, names)]
                if shown != [value]:
                    raise NotAnnounced(expected, f"{names[0]} reads {', '.join(shown) or 'nothing'}")
            if reading.added(look, labels, path) is not None:
                raise NotAnnounced(expected, "an older message about the same path is in the way")

        self._patiently(tab, filled)
        self._shoot(tab, shots, "Add Image filled in")

        def check(text: str) -> None:
            reading.require_move(text, path, labels, expected)

        def last() -> int:
            filled(session.look(tab))
            return self._prompted(
                tab,
                labels.buttons.add_new,
                check,
                lambda look: reading.added(look, labels, path),
                expected,
                shots,
                cancel_runs=True,
            )

        return last

    def delete(self, tab: Tab, name: str, shots: Shots | None) -> Callable[[], str]:
        """Highlight exactly this image, Delete Image, OK at the prompt (4.6.2/1)."""
        session, labels = self._session, self._labels
        expected = f"Delete Image {name}"
        session.visit(tab, labels.pages.images)
        known = frozenset(image.name for image in reading.images(session.look(tab), labels))
        if name not in known:
            raise NotAnnounced(expected, f"the list of images: {', '.join(sorted(known)) or 'empty'}")
        with session.translated("highlight the image"):
            cell = tab.get_by_role("cell", name=name, exact=True)
            cell.or_(tab.get_by_role("gridcell", name=name, exact=True)).click()

        def chosen(look: Look) -> None:
            shown = reading.selected(look, labels)
            if shown != [name]:
                raise NotAnnounced(expected, f"highlighted: {', '.join(shown) or 'nothing'}")

        self._patiently(tab, chosen)
        self._shoot(tab, shots, "image highlighted")

        def check(text: str) -> None:
            reading.require_deletion(text, name, known, labels, expected)

        def last() -> str:
            chosen(session.look(tab))
            return self._prompted(
                tab,
                labels.buttons.delete_image,
                check,
                lambda look: reading.deleted(look, labels, name),
                expected,
                shots,
            )

        return last

    def _prompted(
        self,
        tab: Tab,
        button: Names,
        check: Callable[[str], None],
        answer: Callable[[Look], T | None],
        expected: str,
        shots: Shots | None,
        *,
        cancel_runs: bool = False,
    ) -> T:
        """Click, answer the prompt, and wait for what the page says. No picture while a prompt is open."""
        session = self._session
        prompt = _Prompt(check)
        tab.on("dialog", prompt)
        sent = False
        try:
            with session.translated(f"click {button[0]}"):
                tab.get_by_role("button", name=exactly(button)).click()
            sent = True
            return self._await_answer(tab, prompt, answer, expected)
        except SessionLost:
            if sent or prompt.confirmed:
                raise MayHaveRun(f"{expected}: the session was lost before PM&C answered") from None
            raise
        except (ActRefused, MayHaveRun):
            raise
        except MopflowError as error:
            if prompt.refused is not None and cancel_runs:
                raise MayHaveRun(f"{prompt.refused}; it was answered with Cancel") from None
            if prompt.refused is not None:
                raise prompt.refused from None
            if sent or prompt.confirmed:
                raise MayHaveRun(f"{expected}: confirmed, and then {error}") from None
            raise
        finally:
            tab.remove_listener("dialog", prompt)
            self._shoot_after(tab, shots)

    def _await_answer(
        self, tab: Tab, prompt: _Prompt, answer: Callable[[Look], T | None], expected: str
    ) -> T:
        session = self._session
        end = time.monotonic() + session.deadline
        while True:
            if prompt.refused is not None:
                raise prompt.refused
            look = session.look(tab)
            said = answer(look)
            if said is not None:
                return said
            trouble = reading.complaint(look)
            if trouble is not None:
                raise ActRefused(f"PM&C refused: {trouble}")
            if time.monotonic() > end:
                why = "confirmed" if prompt.confirmed else "no prompt came"
                raise MayHaveRun(f"{expected}: {why}, and no answer in {session.deadline:g} s")
            session.pause(tab)
