"""Walk through a full-screen menu over a terminal, and stop at anything unknown.

Nothing is pressed before what it is meant for stands on the screen, and Enter only when the right entry or button is
marked. Whatever is not as expected raises UnreadableReply with the text of the screen; after that nothing more is
pressed, and the end of the terminal session hangs the menu up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Protocol

from mopflow.errors import UnreadableReply
from mopflow.screen import Screen, Span, Window

QUIET = 0.15  # seconds without a byte after which a screen counts as drawn
SHOWS = 30.0  # seconds that a menu may take to draw what a key leads to
STEPS = 60  # arrows, or tabs, until an entry must have been reached
UP, DOWN = b"A", b"B"
ENTER, TAB = b"\r", b"\t"
BLANK = " _│"  # what an empty field is filled with, and what stands beside it
GOOD_BUTTONS = frozenset({"ok", "select"})  # Enter in a list of dialog presses the button that is marked


class Wire(Protocol):
    """What a menu needs of a terminal session; `mopflow.channel.Conversation` is one."""

    def send(self, data: bytes) -> bool: ...

    def receive(self, seconds: float) -> bytes | None: ...

    def status(self, seconds: float) -> int: ...


class Menu:
    """One menu on one terminal. `where` names it in errors, `strike` takes secrets out of them.

    Every method may raise UnreadableReply, and what the wire raises (MayHaveRun) when the connection is lost.
    """

    def __init__(
        self,
        wire: Wire,
        where: str,
        size: tuple[int, int],
        strike: Callable[[str], str] = lambda text: text,
        patience: float = SHOWS,
    ) -> None:
        self.screen = Screen(*size)
        self.ended = False  # its process has gone
        self._wire = wire
        self._where = where
        self._strike = strike
        self._patience = patience
        self._status = 0  # of its process, once that has ended
        self._lost = False  # something unknown was seen: nothing more is pressed

    # ---- waiting ----

    def expect(self, what: str, seen: Callable[[Screen], bool], seconds: float | None = None) -> None:
        """Wait until `seen` holds on a screen that has settled; `what` is said when that does not come."""
        seconds = self._patience if seconds is None else seconds
        ends = time.monotonic() + seconds
        while True:
            came = self._read(QUIET)
            if not came and seen(self.screen):
                return
            if self.ended:
                raise self.unknown(f"it ended, {what} was expected")
            if time.monotonic() > ends:
                raise self.unknown(f"{what} did not come within {seconds:g} s")

    def expect_entry(self, entry: str, seconds: float | None = None) -> None:
        """Wait for a menu with this entry, of which one entry is marked."""
        self.expect(f"a menu with the entry {entry!r}", lambda _: self.has_entry(entry), seconds)

    def look(self, seconds: float) -> bool:
        """Take in what comes within `seconds`; True when the screen has settled."""
        ends, came = time.monotonic() + seconds, False
        while not self.ended and time.monotonic() < ends:
            came = self._read(QUIET)
        return not came

    def leave(self, entry: str = "Exit", levels: int = 6) -> int:
        """Go up through the menus by their entry `entry` until the process has ended; its exit status."""
        for _ in range(levels):
            self.expect_entry(entry)
            shown = self.screen.text
            self.choose(entry)
            ends = time.monotonic() + self._patience
            while not self.ended and (
                not self.look(QUIET) or self.screen.text == shown or not self.has_entry(entry)
            ):
                if time.monotonic() > ends:
                    raise self.unknown(f"it did not leave by {entry!r} within {self._patience:g} s")
            if self.ended:
                return self.wait_end()
        raise self.unknown(f"it did not end after {levels} times {entry!r}")

    def wait_end(self) -> int:
        """Wait for the end of the menu's process; its exit status."""
        seconds = self._patience
        ends = time.monotonic() + seconds
        while not self.ended:
            if time.monotonic() > ends:
                raise self.unknown(f"it did not end within {seconds:g} s")
            self._read(QUIET)
        return self._status

    def unknown(self, why: str) -> UnreadableReply:
        """The error for a screen that is not as expected; from now on nothing is pressed."""
        self._lost = True
        return UnreadableReply(self._where, f"{why}; the screen shows", self._strike(self.screen.text))

    def _read(self, seconds: float) -> bool:
        """Did something come?"""
        data = self._wire.receive(seconds)
        if data:
            self.screen.feed(data)
        elif data is not None:
            self.ended = True
            self._status = self._wire.status(self._patience)  # raises when it was the connection that ended
        return bool(data)

    # ---- pressing ----

    def press(self, key: bytes) -> None:
        if self._lost or self.ended:
            raise self.unknown("nothing is pressed on a screen that is not known")
        if not self._wire.send(key):
            raise self.unknown("it takes no keys any more")

    def arrow(self, direction: bytes) -> None:
        self.press((b"\x1bO" if self.screen.keypad else b"\x1b[") + direction)

    def choose(self, entry: str) -> None:
        """Mark the entry with this text in the list of the active window, and press Enter."""
        window = self._window()
        for _ in range(STEPS):
            marked = self._marked_entry(window)
            wanted = self._entries(window, entry)
            if len(wanted) > 1:
                raise self.unknown(f"{len(wanted)} entries read {entry!r}")
            if not wanted and not self.screen.scrolls(window):
                raise self.unknown(f"there is no entry {entry!r}")
            if wanted and wanted[0].row == marked.row:
                if not self._enter_takes(marked, window):
                    raise self.unknown(f"{entry!r} is marked, but the focus is elsewhere")
                self.press(ENTER)
                return
            self.arrow(UP if wanted and wanted[0].row < marked.row else DOWN)
            self._moved(window, marked)
        raise self.unknown(f"the entry {entry!r} was not reached in {STEPS} steps")

    def push(self, label: str) -> None:
        """Bring the focus to the button with this label by Tab, and press Enter."""
        window = self._window()
        for _ in range(STEPS):
            button = self.button(label)
            if button is None:
                raise self.unknown(f"there is no button {label!r}")
            if self.screen.marked(button) and self.screen.on(button):
                self.press(ENTER)
                return
            before = self.screen.cursor, self.screen.marked(button)
            self.press(TAB)
            self.expect(
                "another place for the cursor",
                lambda screen, was=before: (  # type: ignore[misc]
                    self._same_window(window) and (screen.cursor, self._is_marked(label)) != was
                ),
            )
        raise self.unknown(f"the button {label!r} was not reached in {STEPS} steps")

    def write(self, text: str) -> None:
        """Empty the field in which the cursor stands, and type `text` into it."""
        self._window()
        self.press(b"\x05\x15")  # to its end, then delete what stands before
        self.expect(
            "an empty field", lambda screen: screen.at_cursor(-1) in BLANK and screen.at_cursor(0) in BLANK
        )
        row, start = self.screen.cursor
        self.press(text.encode())
        self.expect("what was typed", lambda screen: screen.line(row)[start:].rstrip(BLANK).startswith(text))

    # ---- reading ----

    def button(self, label: str) -> Span | None:
        """The one button of the active window with this label, whatever its case."""
        window = self.screen.active
        if window is None:
            return None
        found = [p for p in self.screen.pieces(window) if _same(self.screen.button(p) or "", label)]
        return found[0] if len(found) == 1 else None

    def buttons(self) -> set[str]:
        """Labels of all buttons of the active window, in lower case."""
        window = self.screen.active
        pieces = self.screen.pieces(window) if window is not None else ()
        return {label.lower() for label in map(self.screen.button, pieces) if label is not None}

    def has_entry(self, entry: str) -> bool:
        """Is the active window a list with this entry, or one that goes on beyond what is seen?"""
        window = self.screen.active
        if window is None or len(self._marked_rows(window)) != 1:
            return False
        return bool(self._entries(window, entry)) or self.screen.scrolls(window)

    def _window(self) -> Window:
        window = self.screen.active
        if window is None:
            raise self.unknown("no window has the cursor")
        return window

    def _same_window(self, window: Window) -> bool:
        active = self.screen.active
        return active is not None and (active.top, active.left) == (window.top, window.left)

    def _is_marked(self, label: str) -> bool:
        button = self.button(label)
        return button is not None and self.screen.marked(button)

    def _entries(self, window: Window, entry: str) -> list[Span]:
        return [
            p
            for p in self.screen.pieces(window)
            if _same(p.text, entry) and self.screen.button(p) is None
        ]  # fmt: skip

    def _marked_rows(self, window: Window) -> list[Span]:
        rows: dict[int, Span] = {}
        for piece in self.screen.pieces(window):
            if self.screen.marked(piece) and self.screen.button(piece) is None:
                rows.setdefault(piece.row, piece)
        return list(rows.values())

    def _marked_entry(self, window: Window) -> Span:
        rows = self._marked_rows(window)
        if len(rows) != 1:
            raise self.unknown(f"{len(rows)} entries are marked instead of one")
        return rows[0]

    def _enter_takes(self, marked: Span, window: Window) -> bool:
        """newt puts the cursor on the entry; dialog on a button, which must be the right one."""
        row, _ = self.screen.cursor
        if row == marked.row:
            return True
        for piece in self.screen.pieces(window):
            label = self.screen.button(piece)
            if label is not None and self.screen.on(piece):
                return label.lower() in GOOD_BUTTONS and self.screen.marked(piece)
        return False

    def _moved(self, window: Window, was: Span) -> None:
        def elsewhere(screen: Screen) -> bool:
            rows = self._marked_rows(window) if self._same_window(window) else []
            return len(rows) == 1 and (rows[0].row != was.row or rows[0].text != was.text)

        self.expect("another marked entry", elsewhere)


def _same(text: str, wanted: str) -> bool:
    return re.sub(r"\s+", " ", text).strip().casefold() == wanted.casefold()
