"""A maintenance window opens and closes while a run is alive: people are told, and what is still at work then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mopflow.ledger import Ledger
from mopflow.messages import Kind
from mopflow.notify import Notices
from mopflow.site import Site, Window

EVERY = 15.0  # seconds between two looks at the clock
AT_WORK = ("working", "waiting", "held")


def crossed(windows: Sequence[Window], before: datetime | None, now: datetime) -> list[tuple[Kind, Window]]:
    """The windows that opened or closed since ``before`` (None: those that are open now count as opened). Pure."""
    found = []
    for window in windows:
        if before is None:
            if window.start <= now < window.end:
                found.append((Kind.WINDOW_BEGINS, window))
            continue
        if before < window.start <= now:
            found.append((Kind.WINDOW_BEGINS, window))
        if before < window.end <= now:
            found.append((Kind.WINDOW_ENDS, window))
    return found


class WindowNews:
    """A watch for `Notices`. That a window opened is told once in a campaign, whatever runs are alive."""

    def __init__(self, notices: Notices, ledger: Ledger, site: Site, campaign: str) -> None:
        self._notices = notices
        self._ledger = ledger
        self._site = site
        self._campaign = campaign
        self._before: datetime | None = None

    def __call__(self, now: datetime) -> None:
        """Raises LedgerUnavailable."""
        before, self._before = self._before, now
        for kind, window in crossed(self._site.windows, before, now):
            if kind is Kind.WINDOW_BEGINS:
                self._notices.tell(kind, window.name, f"It is open until {_moment(window.end)}.")
            else:
                self._ends(window)

    def _ends(self, window: Window) -> None:
        busy = [
            f"{line.cluster}: {line.procedure}/{line.step} {line.title}, {line.waits_for or line.state}"
            for line in self._ledger.board(self._site.name, self._campaign)
            if line.state in AT_WORK
        ]
        if not busy:
            self._notices.tell(Kind.WINDOW_ENDS, window.name, "Nothing is at work any more.")
            return
        self._notices.tell(
            Kind.WINDOW_ENDS,
            window.name,
            f"It was open until {_moment(window.end)}. Still at work:\n" + "\n".join(busy),
            "decide whether what was begun is finished or backed out; mopflow begins and ends nothing by the clock.",
        )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} {at.tzname()}"
