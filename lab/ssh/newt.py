"""Full-screen windows on a terminal, drawn the way newt draws them: lists, a form, boxes; arrows, Tab, Enter, F12.

Colours, frames and the place of the cursor are those of newt 0.52 on an xterm: the entry that has the focus is white
on red, a field white on blue, a button red on white in its red box; the cursor stands on what has the focus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .tty import Terminal

_ROOT, _SHADOW, _PLAIN = "\x1b[37;44m", "\x1b[37;40m", "\x1b[30;47m"
_TITLE, _FOCUS, _FIELD, _BUTTON, _PRESSED = (
    "\x1b[31;47m",
    "\x1b[37;41m",
    "\x1b[37;44m",
    "\x1b[37;41m",
    "\x1b[31;47m",
)
_LINES, _LETTERS = "\x1b(0", "\x1b(B"  # the character set with the line drawing, and the usual one
_ESCAPE_WAITS = 0.3  # real seconds within which an escape sequence is complete


class Key(StrEnum):
    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"
    TAB = "tab"
    BACK_TAB = "back tab"
    ENTER = "enter"
    ERASE = "erase"
    HOME = "home"
    END = "end"
    CLEAR = "clear"
    LEAVE = "leave"  # F12 or Escape
    OTHER = "other"


_SEQUENCES = {
    "A": Key.UP, "B": Key.DOWN, "C": Key.RIGHT, "D": Key.LEFT, "H": Key.HOME, "F": Key.END, "Z": Key.BACK_TAB,
    "24~": Key.LEAVE, "1~": Key.HOME, "4~": Key.END,
}  # fmt: skip
_CONTROLS = {
    9: Key.TAB, 10: Key.ENTER, 13: Key.ENTER, 8: Key.ERASE, 127: Key.ERASE, 1: Key.HOME, 5: Key.END, 21: Key.CLEAR,
}  # fmt: skip


@dataclass(slots=True)
class Box:
    """A window: where its frame begins, and how much room it has inside."""

    title: str
    width: int
    height: int
    top: int = 0
    left: int = 0


@dataclass(slots=True)
class Form:
    """A label, a field with what it holds, and the buttons; `focus` counts the field first."""

    title: str
    label: str
    value: str
    buttons: tuple[str, ...] = ("OK", "Cancel")
    focus: int = 0
    at: int = field(init=False)  # where in the field the cursor is
    room: int = field(init=False)  # columns of the field, if the terminal has so many

    def __post_init__(self) -> None:
        self.at = len(self.value)
        self.room = max(40, len(self.value) + 1)


class Display:
    """One terminal in full-screen mode; `open` and `close` enclose everything else."""

    def __init__(self, terminal: Terminal, head: str, foot: str) -> None:
        self._terminal = terminal
        self._head, self._foot = head, foot
        self.columns, self.rows = terminal.size
        self._out: list[str] = []

    async def open(self) -> None:
        self._out.append("\x1b[?1049h\x1b[?1h\x1b=\x1b(B\x1b[m\x1b[?25l")
        self._root()
        await self._flush()

    async def close(self) -> None:
        self._out.append(f"\x1b[{self.rows};1H\x1b[m\x1b[?25h\x1b[?1l\x1b>\x1b[?1049l")
        await self._flush()

    # ---- windows ----

    async def listing(self, title: str, entries: Sequence[str], chosen: int, top: int = 0) -> None:
        """A list with one entry chosen; `top` is the first that is seen when there is no room for all."""
        room = self.list_room(len(entries))
        width = max(len(title) + 4, *(len(entry) for entry in entries)) + 4
        box = self._window(Box(title, width, room + 2))
        for place, entry in enumerate(entries[top : top + room]):
            style = _FOCUS if top + place == chosen else _PLAIN
            text = f" {entry}".ljust(width - 2)
            self._text(box.top + 2 + place, box.left + 2, style + text)
        if room < len(entries):
            for place in range(room):
                mark = "▮" if place == top * (room - 1) // max(1, len(entries) - room) else "a"
                drawn = mark if mark != "a" else f"{_LINES}a{_LETTERS}"
                self._text(box.top + 2 + place, box.left + width, _PLAIN + drawn)
        self._cursor(box.top + 2 + chosen - top, box.left + 2)
        await self._flush()

    def list_room(self, count: int) -> int:
        return min(count, self.rows - 10)

    async def form(self, form: Form) -> None:
        room = self.columns - 16
        shown = min(room - len(form.label) - 2, form.room)
        box = self._window(Box(form.title, len(form.label) + shown + 5, 7))
        start = max(0, form.at - shown + 1)
        text = form.value[start : start + shown].ljust(shown, "_")
        self._text(box.top + 2, box.left + 2, _PLAIN + form.label)
        column = box.left + 3 + len(form.label)
        self._text(box.top + 2, column, _FIELD + text)
        spots = self._buttons(box, form.buttons, form.focus - 1)
        if form.focus == 0:
            self._cursor(box.top + 2, column + form.at - start, visible=True)
        else:
            self._cursor(*spots[form.focus - 1])
        await self._flush()

    async def box(
        self, title: str, lines: Sequence[str], buttons: Sequence[str] = (), focus: int = 0
    ) -> None:
        """A box with text; with buttons it waits for a person, without it tells what runs."""
        width = max(len(title) + 4, 30, *(len(line) for line in lines)) + 4
        box = self._window(Box(title, width, len(lines) + (6 if buttons else 2)))
        for place, line in enumerate(lines):
            self._text(box.top + 2 + place, box.left + 2, _PLAIN + line.ljust(width - 3))
        spots = self._buttons(box, buttons, focus)
        if spots:
            self._cursor(*spots[focus])
        await self._flush()

    async def gauge(self, title: str, text: str, percent: int) -> None:
        width = max(50, len(text) + 4)
        box = self._window(Box(title, width, 4))
        self._text(box.top + 2, box.left + 2, _PLAIN + text)
        bar = width - 8
        full = bar * percent // 100
        self._text(
            box.top + 4, box.left + 2, f"{_FIELD}{' ' * full}{_PLAIN}{' ' * (bar - full)} {percent:3d}%"
        )
        await self._flush()

    # ---- drawing ----

    def _root(self) -> None:
        for row in range(self.rows):
            self._text(row, 0, _ROOT + " " * (self.columns - (row == self.rows - 1)))
        for place, line in enumerate(self._head.split("\n")):
            self._text(place, 0, _ROOT + line[: self.columns - 1])
        self._text(self.rows - 1, 1, _ROOT + self._foot[: self.columns - 2])

    def _window(self, box: Box) -> Box:
        """Draws an empty window in the middle of an empty screen."""
        self._root()
        box.width = min(box.width, self.columns - 4)
        box.left = (self.columns - box.width - 2) // 2
        box.top = max(1, (self.rows - box.height - 2) // 2)
        left = (box.width - len(box.title) - 4) // 2
        right = box.width - left - len(box.title) - 4
        title = f"u{_LETTERS} {_TITLE}{box.title}{_PLAIN} {_LINES}t"
        edge = f"{_LINES}l{'q' * left}{title}{'q' * right}k{_LETTERS}"
        self._text(box.top, box.left, _PLAIN + edge)
        for row in range(box.top + 1, box.top + 1 + box.height):
            line = f"{_PLAIN}{_LINES}x{_LETTERS}{' ' * box.width}{_LINES}x{_LETTERS}{_SHADOW}  "
            self._text(row, box.left, line)
        last = box.top + 1 + box.height
        self._text(last, box.left, f"{_PLAIN}{_LINES}m{'q' * box.width}j{_LETTERS}{_SHADOW}  ")
        self._text(last + 1, box.left + 2, _SHADOW + " " * (box.width + 2))
        return box

    def _buttons(self, box: Box, labels: Sequence[str], focus: int) -> list[tuple[int, int]]:
        """Boxes with a word at the lower edge; the places of the cursor."""
        spots = []
        share = box.width // max(1, len(labels))
        row = box.top + box.height - 3
        for place, label in enumerate(labels):
            width = len(label) + 2
            column = box.left + 1 + share * place + (share - width - 2) // 2
            inner = _PRESSED if place == focus else _BUTTON
            self._text(row, column, f"{_BUTTON}{_LINES}l{'q' * width}k{_LETTERS}")
            middle = f"{_BUTTON}{_LINES}x{_LETTERS}{inner} {label} {_BUTTON}{_LINES}x{_LETTERS}"
            self._text(row + 1, column, middle)
            self._text(row + 2, column, f"{_BUTTON}{_LINES}m{'q' * width}j{_LETTERS}")
            spots.append((row + 1, column + 2))
        return spots

    def _text(self, row: int, column: int, text: str) -> None:
        self._out.append(f"\x1b[{row + 1};{column + 1}H{text}")

    def _cursor(self, row: int, column: int, *, visible: bool = False) -> None:
        self._out.append(f"\x1b[{row + 1};{column + 1}H\x1b[?25{'h' if visible else 'l'}")

    async def _flush(self) -> None:
        text, self._out = "".join(self._out), []
        await self._terminal.write(text.encode())

    # ---- keys ----

    async def key(self) -> tuple[Key, str]:
        """The next key, and the character when it is one. Raises Interrupted and HangUp."""
        code = await self._terminal.key()
        if code in _CONTROLS:
            return _CONTROLS[code], ""
        if code != 27:
            return Key.OTHER, chr(code) if 32 <= code < 127 else ""
        sequence = ""
        while True:
            try:
                char = chr(await asyncio.wait_for(self._terminal.key(), _ESCAPE_WAITS))
            except TimeoutError:
                return (Key.LEAVE if not sequence else Key.OTHER), ""  # Escape alone
            sequence += char
            if len(sequence) > 1 and (char.isalpha() or char == "~"):
                return _SEQUENCES.get(sequence[1:], Key.OTHER), ""
            if sequence[0] not in "[O":
                return Key.OTHER, ""
