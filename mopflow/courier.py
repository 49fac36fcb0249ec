"""Brings messages to one endpoint, in a thread of its own, so that a slow or dead one is in nobody's way.

What was not taken is tried again after growing waits, a few times; what needs a person goes before the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import count

from mopflow.endpoint import Endpoint
from mopflow.messages import Haste, Message

WAITS = (2.0, 8.0, 30.0, 120.0, 300.0)  # seconds before the second try, the third, ...
HURRY = 1.0  # the longest wait between two tries when the run is ending


@dataclass(slots=True)
class Parcel:
    """A message on its way to one endpoint. ``tried``: the monotonic time of the last try."""

    message: Message
    number: int
    tries: int = 0
    tried: float = 0.0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one try. ``over``: there will be no other one."""

    endpoint: str
    tries: int
    why: str | None  # None: it was taken
    over: bool


def pick(parcels: Sequence[Parcel], now: float) -> Parcel | None:
    """Which parcel goes next: what needs a person first, then the oldest; None while none is due."""
    due = [parcel for parcel in parcels if parcel.due <= now]
    return min(due, key=lambda p: (p.message.haste is not Haste.NOW, p.number), default=None)


@dataclass(slots=True)
class Courier:
    """One endpoint's thread. ``report`` is called in it after each try."""

    endpoint: Endpoint
    report: Callable[[Message, Attempt], None]
    waits: Sequence[float] = WAITS
    _parcels: list[Parcel] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _until: float | None = None  # monotonic; set when the run is ending
    _numbers: count[int] = field(default_factory=count)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        # the context is copied so that log lines still find the flow run that they belong to
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name=self.endpoint.name, daemon=True
        )
        self._thread.start()

    def take(self, message: Message) -> None:
        """Bring it. Returns at once."""
        with self._changed:
            self._parcels.append(Parcel(message, next(self._numbers)))
            self._changed.notify_all()

    def close(self, until: float) -> None:
        """End when everything was brought, or at the monotonic time ``until``; waits become short."""
        with self._changed:
            self._until = until
            for parcel in self._parcels:
                parcel.due = min(parcel.due, parcel.tried + HURRY)
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        while (parcel := self._next()) is not None:
            why = self.endpoint.send(parcel.message)
            self.report(parcel.message, self._tried(parcel, why))

    def _next(self) -> Parcel | None:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._until is not None and (not self._parcels or now >= self._until):
                    return None
                parcel = pick(self._parcels, now)
                if parcel is not None:
                    return parcel
                times = [parcel.due for parcel in self._parcels]
                times += [self._until] if self._until is not None else []
                self._changed.wait(min(times) - now if times else None)

    def _tried(self, parcel: Parcel, why: str | None) -> Attempt:
        with self._changed:
            parcel.tries += 1
            parcel.tried = time.monotonic()
            over = why is None or not self.endpoint.usable or parcel.tries > len(self.waits)
            if over:
                self._parcels.remove(parcel)
            else:
                wait = self.waits[parcel.tries - 1]
                parcel.due = parcel.tried + (wait if self._until is None else min(wait, HURRY))
            return Attempt(self.endpoint.name, parcel.tries, why, over)
