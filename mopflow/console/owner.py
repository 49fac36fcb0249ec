"""One thread owns the browser; all others hand it jobs and wait.

The most urgent job goes next, in order of arrival among equals. A reading that somebody waits for already, or that
is fresh enough, serves everyone who asks for the same.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from mopflow.console.protocol import Urgency
from mopflow.errors import Unreachable

T = TypeVar("T")
_ORDER = {Urgency.ROLLBACK: 0, Urgency.ACT: 1, Urgency.READ: 2}
_WATCH = 1.0  # seconds between two looks: at whether the owner still moves, and at what it could put away


class Job(Generic[T]):
    """A piece of work for the owner."""

    def __init__(self, urgency: Urgency, work: Callable[[], T]) -> None:
        self.urgency = urgency
        self._work = work
        self._done = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        self.started: float | None = None  # monotonic seconds

    def run(self) -> None:
        self.started = time.monotonic()
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            self._error = error
        self._done.set()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    @property
    def failed(self) -> bool:
        return self._done.is_set() and self._error is not None

    def result(self) -> T:
        """What it answered; call when it is done."""
        if self._error is not None:
            raise self._error
        return cast(T, self._result)


class Owner:
    """The thread that owns the browser.

    `stop` is run by the thread itself at the end; `unblock` is called from a waiting thread when nothing has moved
    for `patience` seconds, and must make the hanging call fail; `tidy` is run by the thread after each job, and about
    every second in which there is none.
    """

    def __init__(
        self,
        who: str,
        stop: Callable[[], None],
        unblock: Callable[[], None],
        tidy: Callable[[], None],
        patience: float,
    ) -> None:
        self._who = who
        self._stop = stop
        self._unblock = unblock
        self._tidy = tidy
        self._patience = patience
        self._lock = threading.Condition()
        self._queue: list[tuple[int, int, Job[Any]]] = []
        self._count = itertools.count()
        self._shared: dict[str, Job[Any]] = {}
        self._closing = False
        self._busy = False
        self._moved = time.monotonic()
        self._thread: threading.Thread | None = None

    # --- for every thread
    def submit(self, urgency: Urgency, work: Callable[[], T]) -> T:
        """Have it done; wait for the result."""
        job = Job(urgency, work)
        self._put(job)
        return self._await(job)

    def share(self, key: str, work: Callable[[], T], max_age: float) -> T:
        """A reading that was begun at most `max_age` seconds ago, of anybody's asking."""
        with self._lock:
            known = self._shared.get(key)
            fresh = (
                known is not None
                and not known.failed
                and (known.started is None or time.monotonic() - known.started <= max_age)
            )
            if known is None or not fresh:
                known = Job(Urgency.READ, work)
                self._put(known)
                self._shared[key] = known
        return cast(T, self._await(known))

    def forget(self) -> None:
        """Nothing that was begun before this moment is fresh any more: something was done."""
        with self._lock:
            self._shared = {key: job for key, job in self._shared.items() if job.started is None}

    def close(self, seconds: float) -> bool:
        """End the thread after the job at hand; waiting jobs fail with Unreachable. True when it has ended."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
            thread = self._thread
        if thread is None:
            return True
        thread.join(seconds)
        if thread.is_alive():
            self._unblock()
            thread.join(seconds)
        return not thread.is_alive()

    # --- for the owner's thread
    def moved(self) -> None:
        """A sign of life: call before everything that may hang."""
        self._moved = time.monotonic()

    def breathe(self) -> None:
        """Serve the readings that wait; for an act that waits for its answer."""
        while True:
            with self._lock:
                waiting = [item for item in self._queue if item[2].urgency is Urgency.READ]
                if not waiting:
                    return
                item = min(waiting)
                self._queue.remove(item)
                heapq.heapify(self._queue)
            self.moved()
            item[2].run()

    # --- inside
    def _put(self, job: Job[Any]) -> None:
        with self._lock:
            if self._closing:
                raise Unreachable(self._who, "it was closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="console", daemon=True)
                self._thread.start()
            heapq.heappush(self._queue, (_ORDER[job.urgency], next(self._count), job))
            self._lock.notify_all()

    def _await(self, job: Job[T]) -> T:
        while not job.wait(_WATCH):
            if self._busy and time.monotonic() - self._moved > self._patience:
                self.moved()  # one kill at a time
                self._unblock()
        return job.result()

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    self._lock.wait_for(lambda: self._queue or self._closing, _WATCH)
                    if self._closing:
                        return
                    job = heapq.heappop(self._queue)[2] if self._queue else None
                self.moved()
                self._busy = True
                if job is not None:
                    job.run()
                self._tidy()
                self._busy = False
        finally:
            with self._lock:
                self._closing = True
                left, self._queue = self._queue, []
            for _, _, job in left:
                job.fail(Unreachable(self._who, "it was closed"))
            self._stop()
