"""Watch a run from outside, from its ledger alone, while its process works."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live

from cli.board import Changes, render
from cli.processes import Child
from mopflow.board import Board, build
from mopflow.errors import LedgerUnavailable
from mopflow.ledger import Ledger
from mopflow.site import Site

EVERY = 0.5  # seconds between two looks


class Watch:
    """The board: redrawn on a terminal, else a line per change."""

    def __init__(self, site: Site, ledger: Path, console: Console) -> None:
        self._site = site
        self._path = ledger
        self._console = console
        self._ledger: Ledger | None = None
        self._changes = Changes()
        self._stack = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = self._stack.enter_context(
                Live(console=self._console, auto_refresh=False, transient=True)
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def until_end(self, child: Child) -> int:
        """Show the board until the process ends; its exit status."""
        while True:
            status = child.wait(EVERY)
            board = self.look()
            if board is not None:
                self._show(board)
            if status is not None:
                return status

    def look(self) -> Board | None:
        """What the ledger says now; None while there is none, or while it is being made."""
        if self._ledger is None and not self._path.exists():
            return None
        try:
            if self._ledger is None:
                self._ledger = Ledger.open(f"sqlite:///{self._path}")
            name = self._site.name
            return build(
                self._site,
                self._ledger.board(name),
                self._ledger.snapshot(name),
                self._ledger.holds(name),
                datetime.now(UTC),
            )
        except LedgerUnavailable:
            return None  # locked for a moment; the next look is half a second away

    def _show(self, board: Board) -> None:
        if self._live is not None:
            self._live.update(render(board), refresh=True)
            return
        now = datetime.now(UTC)
        for line in self._changes.lines(board):
            self._console.print(f"{now:%H:%M:%S} {line}", markup=False)
