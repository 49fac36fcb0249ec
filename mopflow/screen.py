"""What stands on the screen of a terminal: windows, rows, and which entry is marked. Pure: bytes in, answers out.

Two toolkits draw full-screen menus on such servers: newt (whiptail, and by all accounts platcfg) and dialog. What
holds for both, measured on their real output, with colours and on a monochrome terminal (newt):

- A window is a complete frame of line-drawing characters. One that is partly covered by another has no complete frame.
- A cell is marked when its background, or its reverse video, differs from that of the frame that stands next to it on
  its left. So the marked entry of a list and the focused button are found without knowing any colour.
- The cursor stands on what has the focus: newt also marks a field, and the entry of a list that has not the focus;
  dialog also marks the button that Enter would press.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyte

from mopflow.errors import UnreadableReply

_KEYPAD = 1 << 5  # private mode 1 (DECCKM): the arrow keys send ESC O instead of ESC [
_VERTICAL = "│┃║"
_LEFT, _RIGHT = _VERTICAL + "├┣╠", _VERTICAL + "┤┫╣"
_FRAME = frozenset("│┃║─━═┌┐└┘├┤┬┴┼┏┓┗┛┣┫╔╗╚╝╠╣")
_SCROLL = re.compile(r"[▒░█▮]|\([+-]\)|[↑↓]")
_PIECE = re.compile(
    r"< *[^<>\s]+(?: [^<>\s]+)* *>|\S+(?: \S+)*"
)  # a button, or what two blanks part in one row


class _Stream(pyte.Stream):
    """Repeats a character where the terminal is told to (REP), as ncurses does on an xterm."""

    csi = {**pyte.Stream.csi, "b": "repeat"}  # noqa: RUF012 - the library's way to name its handlers
    events = frozenset({*pyte.Stream.events, "repeat"})


class _Cells(pyte.Screen):
    """A screen that knows REP; everything else is the library's."""

    _last = " "

    def draw(self, data: str) -> None:
        super().draw(data)
        if data:
            self._last = data[-1]

    def repeat(self, count: int = 1, **_private: Any) -> None:
        self.draw(self._last * max(1, min(count or 1, self.columns)))


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text in one row; `end` is the column behind it."""

    row: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """A complete frame, by the cells of its corners, and the title in its upper edge."""

    top: int
    left: int
    bottom: int
    right: int
    title: str

    def holds(self, row: int, column: int) -> bool:
        return self.top < row < self.bottom and self.left < column < self.right


class Screen:
    """The screen of an xterm of a fixed size."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self._cells = _Cells(columns, rows)
        self._stream = _Stream(self._cells)
        self._stream.use_utf8 = False  # then it obeys changes of the character set; we decode UTF-8 ourselves
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Draw. Raises UnreadableReply for a sequence that the emulation cannot follow: the picture is lost then."""
        try:
            self._stream.feed(self._decoder.decode(data))
        except (TypeError, ValueError, IndexError, KeyError, StopIteration) as wrong:
            raise UnreadableReply(
                "terminal", f"a control sequence is not understood ({wrong})", ""
            ) from wrong

    # ---- looking ----

    @property
    def keypad(self) -> bool:
        """Do the arrow keys send ESC O (keypad mode) instead of ESC [?"""
        return _KEYPAD in self._cells.mode

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column."""
        return self._cells.cursor.y, self._cells.cursor.x

    @property
    def text(self) -> str:
        """All that can be read, a line per row, without frames and empty rows."""
        rows = ("".join(" " if c in _FRAME else c for c in self._row(y)).rstrip() for y in range(self.rows))
        return "\n".join(row for row in rows if row.strip())

    def line(self, row: int) -> str:
        """A row as it stands there, frames too."""
        return "".join(self._row(row))

    def at_cursor(self, beside: int) -> str:
        """The character so many columns beside the cursor."""
        row, column = self.cursor
        return self.line(row)[min(max(column + beside, 0), self.columns - 1)]

    def windows(self) -> tuple[Window, ...]:
        """All complete frames, small ones first."""
        found = [w for y in range(self.rows) for w in self._windows_from(y)]
        return tuple(sorted(found, key=lambda w: (w.bottom - w.top) * (w.right - w.left)))

    @property
    def active(self) -> Window | None:
        """The window in which the cursor stands; boxes of one line (buttons, fields) are no windows."""
        return next((w for w in self.windows() if w.bottom - w.top > 2 and w.holds(*self.cursor)), None)

    def pieces(self, window: Window) -> tuple[Span, ...]:
        """What stands in a window, piece by piece: two blanks or a frame part two pieces."""
        found = []
        for y in range(window.top + 1, window.bottom):
            found += list(self._pieces_of(y, window.left + 1, window.right))
        return tuple(found)

    def message(self, window: Window) -> str:
        """The text of a window on one line, without its buttons."""
        return " ".join(span.text for span in self.pieces(window) if self.button(span) is None)

    def button(self, span: Span) -> str | None:
        """The label when the piece is a button: `<Ok>`, or a word alone in a box of one line. Else None."""
        if span.text[:1] == "<" and span.text[-1:] == ">" and len(span.text) > 2:
            return span.text[1:-1].strip()
        boxed = any(
            w.bottom - w.top == 2 and w.top + 1 == span.row and w.left < span.start and span.end <= w.right
            and w.right - w.left - 1 <= len(span.text) + 4
            for w in self.windows()
        )  # fmt: skip
        return span.text if boxed else None

    def marked(self, span: Span) -> bool:
        """Does any of its characters differ from the frame on its left in background or reverse video?"""
        cells = self._cells.buffer[span.row]
        frame = next((x for x in range(span.start - 1, -1, -1) if cells[x].data in _FRAME), None)
        if frame is None:
            return False
        plain = cells[frame].bg, cells[frame].reverse
        return any(
            (cells[x].bg, cells[x].reverse) != plain
            for x in range(span.start, span.end)
            if cells[x].data.strip()
        )

    def on(self, span: Span) -> bool:
        """Does the cursor stand on it, or on the blanks beside it (buttons are padded)?"""
        row, column = self.cursor
        return row == span.row and span.start - 2 <= column <= span.end + 1

    def scrolls(self, window: Window) -> bool:
        """Does the window show that its list is longer than what is seen?"""
        return any(
            _SCROLL.search("".join(self._row(y)[window.left : window.right + 1]))
            for y in range(window.top, window.bottom + 1)
        )

    # ---- cells ----

    def _row(self, y: int) -> list[str]:
        cells = self._cells.buffer[y]
        return [cells[x].data or " " for x in range(self.columns)]

    def _pieces_of(self, y: int, start: int, end: int) -> Iterator[Span]:
        row = self._row(y)
        # a frame parts two pieces even when only one blank, or none, stands beside it
        parts, at = [], start
        for x in range(start, end + 1):
            if x == end or row[x] in _FRAME:
                parts.append((at, x))
                at = x + 1
        for left, right in parts:
            text = "".join(" " if _SCROLL.match(c) else c for c in row[left:right])
            for match in _PIECE.finditer(text):
                yield Span(y, left + match.start(), left + match.end(), match.group())

    def _windows_from(self, y: int) -> Iterator[Window]:
        row = self._row(y)
        for x, char in enumerate(row):
            if char not in "┌┏╔":
                continue
            right = next((r for r in range(x + 1, self.columns) if row[r] in "┐┓╗┌┏╔"), None)
            if right is None or row[right] not in "┐┓╗":
                continue
            bottom = self._bottom(y, x, right)
            if bottom is not None:
                title = "".join(" " if c in _FRAME else c for c in row[x + 1 : right]).strip()
                yield Window(y, x, bottom, right, title)

    def _bottom(self, top: int, left: int, right: int) -> int | None:
        for y in range(top + 1, self.rows):
            row = self._row(y)
            if row[left] in "└┗╚" and row[right] in "┘┛╝":
                return y if all(c in _FRAME or c.strip() for c in row[left : right + 1]) else None
            if row[left] not in _LEFT or row[right] not in _RIGHT:
                return None
        return None
