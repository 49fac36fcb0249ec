"""What is logged while flows run: no secret anywhere, and not more on the terminal than a person reads."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker, PrefectConsoleHandler


class _Strike(logging.Filter):
    """Strikes secrets from the line and from the traceback below it."""

    def __init__(self, strike: Callable[[str], str]) -> None:
        super().__init__()
        self._strike = strike

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        struck = self._strike(text)
        if struck != text:
            record.msg, record.args = struck, ()
        if record.exc_info:
            kind, error, trace = record.exc_info
            if kind is None:  # Prefect says exc_info of a state that was returned, where nothing was raised
                record.exc_info = None
            else:
                record.exc_text = self._strike(
                    "".join(traceback.format_exception(kind, error, trace))
                ).rstrip()
        return True


@contextmanager
def struck_logs(strike: Callable[[str], str]) -> Iterator[None]:
    """Inside, nothing leaves through any handler (terminal, file, Prefect's API) before `strike` has seen it."""
    struck = _Strike(strike)
    handlers = _handlers()
    for handler in handlers:
        handler.addFilter(struck)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(struck)


def quiet_terminal(level: int = logging.CRITICAL) -> None:
    """Prefect writes nothing below ``level`` to the terminal; its server still gets every line."""
    for handler in _handlers():
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(level)


def _handlers() -> list[logging.Handler]:
    loggers = [logging.getLogger(), *(x for x in logging.root.manager.loggerDict.values())]
    found = [
        handler for logger in loggers if isinstance(logger, logging.Logger) for handler in logger.handlers
    ]
    return list(dict.fromkeys(found))


def send_the_rest(timeout: float = 10.0) -> None:
    """Send the log lines and events that still wait, for no longer than ``timeout`` seconds each.

    For a process that stops its Prefect server before it ends itself: at its exit Prefect would try for more than a
    minute to reach the server that is gone.
    """
    APILogWorker.drain_all(timeout=timeout)
    EventsWorker.drain_all(timeout=timeout)
