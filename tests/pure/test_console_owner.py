"""The one thread that owns the browser: who is next, and which reading serves whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from mopflow.console.owner import Owner
from mopflow.console.protocol import Urgency
from mopflow.errors import Unreachable


def nothing() -> None:
    pass


@pytest.fixture
def owner() -> Iterator[Owner]:
    one = Owner("the console", nothing, nothing, nothing, 60)
    yield one
    one.close(10)


class Gate:
    """A job that holds the owner until it is opened."""

    def __init__(self, owner: Owner) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.thread = threading.Thread(target=owner.submit, args=(Urgency.ACT, self._work))
        self.thread.start()
        assert self.entered.wait(10)

    def _work(self) -> None:
        self.entered.set()
        assert self.open.wait(10)

    def leave(self) -> None:
        self.open.set()
        self.thread.join(10)


def started(owner: Owner, *works: Callable[[], object]) -> list[threading.Thread]:
    """Threads that wait for these, each queued before the next one comes."""
    threads = []
    for work in works:
        before = len(owner._queue)
        thread = threading.Thread(target=work)
        thread.start()
        threads.append(thread)
        while len(owner._queue) == before:
            thread.join(0.01)
    return threads


def test_the_most_urgent_goes_first_and_equals_in_order(owner: Owner) -> None:
    gate = Gate(owner)
    done: list[str] = []

    def job(urgency: Urgency, name: str) -> Callable[[], object]:
        return lambda: owner.submit(urgency, lambda: done.append(name))

    threads = started(
        owner,
        job(Urgency.READ, "read 1"),
        job(Urgency.ACT, "act 1"),
        job(Urgency.ACT, "act 2"),
        job(Urgency.READ, "read 2"),
        job(Urgency.ROLLBACK, "rollback"),
    )
    gate.leave()
    for thread in threads:
        thread.join(10)
    assert done == ["rollback", "act 1", "act 2", "read 1", "read 2"]


def test_a_reading_that_waits_serves_everyone_who_asks(owner: Owner) -> None:
    gate = Gate(owner)
    times: list[int] = []
    found: list[int] = []

    def read() -> int:
        times.append(1)
        return len(times)

    threads = started(owner, lambda: found.append(owner.share("page", read, 0)))
    more = [threading.Thread(target=lambda: found.append(owner.share("page", read, 0))) for _ in range(5)]
    for thread in more:
        thread.start()
    gate.leave()
    for thread in (*threads, *more):
        thread.join(10)
    assert len(found) == 6 and found.count(1) >= 1
    assert len(times) <= 2  # those that came before it began share it


def test_age_failure_and_acts_end_a_reading(owner: Owner) -> None:
    times: list[int] = []

    def read() -> int:
        times.append(1)
        return len(times)

    def fail() -> int:
        raise Unreachable("the console", "no")

    assert [owner.share("page", read, 100) for _ in range(3)] == [1, 1, 1]
    assert owner.share("page", read, -1) == 2
    assert owner.share("other", read, 100) == 3
    owner.forget()
    assert owner.share("page", read, 100) == 4
    for _ in range(2):
        with pytest.raises(Unreachable):
            owner.share("bad", fail, 100)
    assert owner.share("bad", read, 100) == 5


def test_readings_are_served_while_an_act_waits(owner: Owner) -> None:
    gate = threading.Event()
    inside = threading.Event()
    order: list[str] = []

    def act() -> None:
        inside.set()
        assert gate.wait(10)
        owner.breathe()
        order.append("act")

    one = threading.Thread(target=owner.submit, args=(Urgency.ACT, act))
    one.start()
    assert inside.wait(10)
    threads = started(
        owner,
        lambda: owner.submit(Urgency.ACT, lambda: order.append("next act")),
        lambda: owner.submit(Urgency.READ, lambda: order.append("read")),
    )
    gate.set()
    for thread in (one, *threads):
        thread.join(10)
    assert order == ["read", "act", "next act"]


def test_closing_ends_what_waits_and_what_comes() -> None:
    stopped = threading.Event()
    owner = Owner("the console", stopped.set, nothing, nothing, 60)
    gate = Gate(owner)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            owner.submit(Urgency.READ, nothing)
        except Unreachable as error:
            errors.append(error)

    threads = started(owner, read)
    closer = threading.Thread(target=owner.close, args=(10,))
    closer.start()
    while not owner._closing:
        closer.join(0.01)
    gate.leave()
    for thread in (closer, *threads):
        thread.join(10)
    assert len(errors) == 1 and stopped.is_set()
    with pytest.raises(Unreachable, match="closed"):
        owner.submit(Urgency.READ, nothing)


def test_what_hangs_is_unblocked() -> None:
    hanging = threading.Event()
    owner = Owner("the console", nothing, hanging.set, nothing, 0.0)
    try:
        assert owner.submit(Urgency.ACT, lambda: hanging.wait(30)) is True
    finally:
        owner.close(10)


def test_an_error_of_the_work_is_raised_where_it_was_asked_for(owner: Owner) -> None:
    with pytest.raises(ZeroDivisionError):
        owner.submit(Urgency.READ, lambda: 1 // 0)
    assert owner.submit(Urgency.READ, lambda: 1) == 1


def test_what_nobody_reads_is_tidied_away_without_another_job() -> None:
    """A page that stands there refreshes itself: it must not wait for the next job to be put away."""
    tidied = threading.Event()
    owner = Owner("the console", nothing, nothing, tidied.set, 60)
    try:
        owner.submit(Urgency.READ, nothing)
        assert tidied.wait(10)
        tidied.clear()
        assert tidied.wait(10), "nothing is tidied while there is no job"
    finally:
        owner.close(10)
