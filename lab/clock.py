"""The twin's time: seconds since its start, faster than real time, driven by asyncio or by a test's hand.

Whatever lasts (an upgrade, an upload) is a `Script`: a generator that yields how many twin seconds it waits.
Scripts run between callbacks of one thread, so the world never changes under a reader's feet.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Generator
from typing import Protocol

Script = Generator[float, None, None]


class Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Everything is in twin seconds."""

    def now(self) -> float: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle: ...

    async def sleep(self, seconds: float) -> None: ...


class ScaledClock:
    """Runs on the asyncio loop that was running when it was made; `speed` twin seconds per real second."""

    def __init__(self, speed: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._speed = speed
        self._start = self._loop.time()

    def now(self) -> float:
        return (self._loop.time() - self._start) * self._speed

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        return self._loop.call_later(max(seconds, 0.0) / self._speed, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self._speed)


class _Alarm:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None] | None) -> None:
        self.callback = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """Stands still until `advance` is called; needs no event loop. For tests."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._heap: list[tuple[float, int, _Alarm]] = []

    def now(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        alarm = _Alarm(callback)
        heapq.heappush(self._heap, (self._now + max(seconds, 0.0), next(self._order), alarm))
        return alarm

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.call_later(seconds, lambda: None if done.done() else done.set_result(None))
        await done

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass; everything due happens at its own time, in order."""
        until = self._now + seconds
        while self._heap and self._heap[0][0] <= until:
            when, _, alarm = heapq.heappop(self._heap)
            self._now = max(self._now, when)
            if alarm.callback is not None:
                alarm.callback()
        self._now = until


def drive(
    clock: Clock, script: Script, after: Callable[[], None], failed: Callable[[Exception], None]
) -> None:
    """Runs `script` to its end; `after` is called whenever it has moved, `failed` with what it raised."""

    def step() -> None:
        try:
            wait = next(script)
        except StopIteration:
            after()
        except Exception as error:  # noqa: BLE001 - the error is handed to `failed`, which logs it
            failed(error)
        else:
            after()
            clock.call_later(wait, step)

    step()
