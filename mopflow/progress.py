"""How far a transfer is, how fast, and how long it still takes. Pure but for the clock, which can be given."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mopflow.bandwidth import MB

WINDOW = 10.0  # seconds over which the rate is taken: long enough to be steady, short enough to show a change
EVERY = 0.5  # seconds between two reports: the board is written to the ledger


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` and `size` in bytes, `rate` in MB/s over the last seconds, `left` in seconds; None: not known yet."""

    done: int
    size: int
    rate: float | None
    left: float | None

    @property
    def percent(self) -> int:
        """Rounded down: 100 is said only when all is there."""
        return 100 if self.size == 0 else self.done * 100 // self.size

    def __str__(self) -> str:
        """Such as `42 %, 80.3 MB/s, 0:12 left`."""
        said = f"{self.percent} %"
        if self.rate is not None:
            said += f", {self.rate:.1f} MB/s"
        if self.left is not None:
            minutes, seconds = divmod(round(self.left), 60)
            said += f", {minutes}:{seconds:02d} left"
        return said


Tell = Callable[[Progress], None]


def tell_nobody(_progress: Progress) -> None:
    return None


class Meter:
    """Counts the bytes of one transfer of `size` bytes and tells about it now and then, and at its end."""

    def __init__(
        self, size: int, tell: Tell = tell_nobody, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._tell = tell
        self._now = now
        self._seen: deque[tuple[float, int]] = deque()
        self._told: float | None = None
        self.done = 0

    def begin(self, done: int) -> None:
        """The transfer goes on at `done`: what was there before does not count for the rate."""
        self.done = done
        self._seen.clear()
        self._seen.append((self._now(), done))
        self._report(self._now())

    def moved(self, size: int) -> None:
        self.at(self.done + size)

    def at(self, done: int) -> None:
        """So many bytes are there now."""
        now = self._now()
        self.done = done
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        if self._told is None or now - self._told >= EVERY or done >= self._size:
            self._report(now)

    def progress(self) -> Progress:
        if len(self._seen) < 2:
            return Progress(self.done, self._size, None, None)
        (begin, before), (end, after) = self._seen[0], self._seen[-1]
        speed = (after - before) / (end - begin) if end > begin else 0.0
        if speed <= 0:
            return Progress(self.done, self._size, None, None)
        return Progress(self.done, self._size, speed / MB, max(0.0, (self._size - self.done) / speed))

    def _report(self, now: float) -> None:
        self._told = now
        self._tell(self.progress())
