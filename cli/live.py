"""Watch a site from outside, from its ledger alone, while any process works on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live

from cli.board import View
from cli.board_lines import Changes
from cli.processes import Child
from mopflow.board import Board
from mopflow.board_reading import read
from mopflow.errors import LedgerUnavailable
from mopflow.ledger import Ledger
from mopflow.site import Site

EVERY = 0.5  # seconds between two looks


class Source:
    """Where boards come from: a ledger that may not be there yet, or be away for a while."""

    def __init__(
        self, site: Site, site_path: Path, door: Callable[[], AbstractContextManager[Ledger | None]]
    ) -> None:
        self._site = site
        self._path = site_path
        self._door = door
        self._stack = ExitStack()
        self._ledger: Ledger | None = None
        self.why = ""  # why the last look saw nothing

    def close(self) -> None:
        self._stack.close()
        self._ledger = None

    def look(self) -> Board | None:
        """What the ledger says now; None while there is none, or while it cannot be read (`why`)."""
        try:
            if self._ledger is None:
                self._ledger = self._stack.enter_context(self._door())
            if self._ledger is None:
                self.why = "nothing was done on this site yet: there is no ledger"
                return None
            board = read(self._site, self._path, self._ledger, datetime.now(UTC))
        except LedgerUnavailable as away:
            self.why = str(away)
            self.close()
            return None
        self.why = ""
        return board


class Screen:
    """Shows boards: redrawn on a terminal, else a line per change."""

    def __init__(self, console: Console, *, leave: bool) -> None:
        """``leave``: the last board stays on the terminal."""
        self._console = console
        self._leave = leave
        self._changes = Changes()
        self._why = ""
        self._stack = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            # of its own: the console for sentences does not wrap, and the height of lines would be unknown
            console = Console(file=self._console.file, highlight=False)
            live = Live(console=console, auto_refresh=False, transient=not self._leave)
            self._live = self._stack.enter_context(live)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        self._live = None

    def show(self, board: Board) -> None:
        self._why = ""
        if self._live is not None:
            self._live.update(View(board, fit=True), refresh=True)
            return
        for line in self._changes.lines(board):
            self._console.print(f"{board.now:%H:%M:%S} {line}", markup=False)

    def say(self, why: str) -> None:
        """Why there is no board to show; once, until there is one again."""
        if why and why != self._why:
            self._why = why
            self._console.print(why, markup=False)


class Watch:
    """The board beside a process that works, until it ends."""

    def __init__(self, site: Site, ledger: Path, console: Console) -> None:
        self._source = Source(site, ledger.with_name("site.yaml"), lambda: _existing(ledger))
        self._screen = Screen(console, leave=False)

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._screen.__exit__(*exc)
        self._source.close()

    def until_end(self, child: Child) -> int:
        """Show the board until the process ends; its exit status."""
        while True:
            status = child.wait(EVERY)
            board = self._source.look()
            if board is not None:
                self._screen.show(board)
            if status is not None:
                return status


def _existing(path: Path) -> AbstractContextManager[Ledger | None]:
    return Ledger.open(f"sqlite:///{path}") if path.exists() else nullcontext(None)
