"""A backout that is killed at any moment and started again: nothing is sent twice, and the cluster comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mopflow.errors import Held
from mopflow.holds import reconsider
from mopflow.house import House
from mopflow.site import Autonomy
from tests.pure.backouts import BACK, OLD, back_out_rows, is_back
from tests.pure.small_system import Killed, Place, make_place


@pytest.fixture
def new_place(tmp_path: Path, empty_ledger: Path) -> Callable[[], Place]:
    numbers = iter(range(100_000))

    def make() -> Place:
        place = make_place(tmp_path / str(next(numbers)), empty_ledger)
        rules = place.site.autonomy.model_copy(update={"backout": Autonomy.AUTO})
        place.site = place.site.model_copy(update={"autonomy": rules})
        place.system.finish("mpe-1")
        return place

    return make


def listen(place: Place, called: Callable[[str], None]) -> None:
    place.called = called
    place.system.before = lambda call: called(f"console {call}")
    place.system.after = lambda call: called(f"acted {call}")


def finish(house: House) -> str:
    try:
        back_out_rows(house, "mpe-1")
    except Held as held:
        return held.reason
    return "done"


def calls_of(place: Place) -> list[str]:
    calls: list[str] = []
    listen(place, calls.append)
    with place.house() as house:
        assert finish(house) == "done"
    return calls


def killed_at(place: Place, at: int) -> str:
    count = iter(range(10**9))

    def called(_call: str) -> None:
        if next(count) == at:
            raise Killed

    listen(place, called)
    with place.house() as house, contextlib.suppress(Killed):
        finish(house)
    place.called = None
    place.system.before = place.system.after = lambda _call: None
    with place.house() as house:
        reconsider(house, house.eye.now(), {"mpe-1"})
        return finish(house)


def backed_out_once(new_place: Callable[[], Place], choose: Callable[[list[str]], list[int]]) -> None:
    calls = calls_of(new_place())
    assert sum(call.startswith("acted") for call in calls) == 4
    for at in choose(calls):
        place = new_place()
        end = killed_at(place, at)
        system = place.system
        assert end == "done", (at, calls[at], end)
        assert is_back(system, "mpe-1"), (at, calls[at])
        counts = (system.count(BACK, "mpe-1b"), system.count(BACK, "mpe-1a"), system.count(OLD))
        assert counts == (1, 1, 1), (at, calls[at], system.sent)


def around_the_acts(calls: list[str]) -> list[int]:
    """Right before the intention is written, before and after the click, and before its answer is written."""
    acts = [n for n, call in enumerate(calls) if call.startswith("acted advance")]
    wanted = ("console advance", "acted", "before record", "after record")
    return sorted({m for n in acts for m in range(n - 4, n + 2) if calls[m].startswith(wanted)})


def test_killed_around_its_acts_the_backout_is_finished_and_nothing_is_sent_twice(
    new_place: Callable[[], Place],
) -> None:
    backed_out_once(new_place, around_the_acts)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_at_really_every_call(new_place: Callable[[], Place]) -> None:
    backed_out_once(new_place, lambda calls: list(range(len(calls))))
