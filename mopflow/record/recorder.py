"""Writes the record of a run while it works: at every step boundary the chain and the paper, at the end the pages.

One thread writes; whoever comes to a step boundary waits for it, and those who come together wait for one writing. What
cannot be written stops no act that is under way; it stops the next one (`require`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

from mopflow.errors import LedgerUnavailable, MopflowError
from mopflow.ledger import Entry, Event, Ledger
from mopflow.record.commands import Commands
from mopflow.record.folder import COMMANDS, READINGS
from mopflow.record.readings import Readings
from mopflow.record.sources import Strike, folder_name
from mopflow.record.turns import UNKEPT
from mopflow.record.writer import Writer
from mopflow.site import Site

if TYPE_CHECKING:
    from mopflow.eye import Reading
    from mopflow.here import Scope
    from mopflow.ssh import Reply
    from mopflow.step import Step

PATIENCE = 10.0  # seconds that a step boundary waits for the disk
_log = logging.getLogger(__name__)


class Recorder:
    """The record of one run. May be used from any thread.

    ``root``: of the evidence store; the record lies in the folder of the campaign there. Opening it never fails: what
    is wrong with the disk is said when something is to be written.
    """

    def __init__(
        self, root: Path, site: Site, ledger: Ledger, campaign: str, executor: str, strike: Strike
    ) -> None:
        self.folder = root / folder_name(campaign)
        self._site = site
        self._ledger = ledger
        self._campaign = campaign
        self._executor = executor
        self._strike = strike
        self._commands = Commands(self.folder / COMMANDS / f"{executor}.jsonl", site, strike, self._failed)
        self._readings = Readings(self.folder / READINGS / f"{executor}.jsonl", strike, self._failed)
        self._writer = Writer(self.folder, site, ledger, campaign, strike)
        self._condition = threading.Condition()
        self._asked = 0
        self._written = 0
        self._closing = False
        self._trouble: str | None = None
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._write_on,), name="record", daemon=True
        )
        self._thread.start()

    # what happens

    def seen(self, reading: Reading) -> None:
        """Take in a reading."""
        self._readings(reading)
        self._writer.reading = reading

    def command(self, server: str, user: str, command: str, reply: Reply | None) -> None:
        """Take in a command with its reply (`ssh.Record`)."""
        self._commands(server, user, command, reply)

    @contextmanager
    def at_work(self, step: Step, scope: Scope) -> Iterator[None]:
        """Around the carrying out of a row: its end is a step boundary."""
        with self._commands.of(step, scope):
            try:
                yield
            except LedgerUnavailable as unkept:
                self._note(step, scope, unkept)
                raise
            except Exception:
                self.boundary()
                raise
        self.boundary()

    def boundary(self) -> None:
        """Bring the record to the disk. Never raises; `require` says what is wrong."""
        with self._condition:
            if self._closing:
                return
            self._asked += 1
            mine = self._asked
            self._condition.notify_all()
            done = self._condition.wait_for(lambda: self._written >= mine or self._closing, PATIENCE)
        if not done:
            self._failed(TimeoutError(f"the disk did not take it within {PATIENCE:g} s"))

    def require(self) -> None:
        """Before an act. Raises LedgerUnavailable while the record cannot be written: then no act is done."""
        if self._trouble is None:
            return
        self.boundary()
        if self._trouble is not None:
            raise LedgerUnavailable(
                f"the record cannot be written to {self.folder}: {self._trouble}; make room or mend that place, then "
                "start again"
            )

    def close(self, how: str) -> str | None:
        """The last boundary and the pages. ``how``: how the run ended. The head of the chain, None where that failed."""
        self.boundary()
        self.stop()
        try:
            return self._writer.pages((self._executor, how))
        except (OSError, MopflowError) as error:
            _log.warning("the record was not written: %s", self._strike(str(error)))
            return None

    def stop(self) -> None:
        """Write nothing any more."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(PATIENCE)
        self._readings.close()
        self._commands.close()

    # beneath

    def _write_on(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._asked > self._written or self._closing)
                if self._closing:
                    return
                asked = self._asked
            try:
                self._readings.mark()
                self._writer.boundary()
            except (OSError, MopflowError) as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001  `require` raises it: the next act is not done
                _log.exception("the record cannot be written")
                self._failed(error)
            else:
                self._trouble = None
            with self._condition:
                self._written = asked
                self._condition.notify_all()

    def _failed(self, error: Exception) -> None:
        why = self._strike(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        if self._trouble != why:
            _log.warning("the record cannot be written to %s: %s", self.folder, why)
        self._trouble = why

    def _note(self, step: Step, scope: Scope, unkept: LedgerUnavailable) -> None:
        """So that the record says it; where the ledger itself takes nothing, nobody can."""
        with suppress(LedgerUnavailable):
            self._ledger.record(
                self._campaign,
                self._site.name,
                self._executor,
                Entry(
                    step.procedure,
                    step.number,
                    "",
                    scope.key,
                    Event.NOTE,
                    self._strike(str(unkept)),
                    data={UNKEPT: True},
                ),
            )
