"""No goal of any row takes what it cannot read for a yes or a no."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from asking import scope_of, with_pmac
from small_system import Place, make_place

from mopflow.alarms import JUST_SEEN, Judged, Standing
from mopflow.errors import UnreadableReply
from mopflow.here import Here
from mopflow.house import House, Line
from mopflow.ledger import Ledger
from mopflow.procedures.table import PROCEDURES
from mopflow.run import _Leg
from mopflow.step import Answer, Leg, Step
from mopflow.system import Alarm, Role, Severity

NOTHING_TO_READ = {
    ("10.2/12", ""),
    ("4.1/1", "media"),
}  # never accepted (R14); the site has no media folder here
# What a person, the site file or a reading that was good has decided; that may be a no, and never a yes.
NOT_READ_THERE = {
    ("4.1/1", "pmac version"),
    ("4.1/1", "firmware"),
    ("4.1/2", "release notes"),
    ("4.5/4", "ntp reachable"),
    ("4.6.3.1/1", "media"),
}
ROWS = [
    (step, leg)
    for procedure in PROCEDURES.values()
    for step in procedure.steps
    for leg in step.legs
    if (step.key, leg.name) not in NOTHING_TO_READ
]


class Garbled:
    """Whatever is asked, the reply has a shape that nobody knows."""

    def __getattr__(self, name: str) -> Any:
        def ask(*_: Any, **__: Any) -> Any:
            raise UnreadableReply(name, "made unreadable by the test", "%&$")

        return ask


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("unreadable")
    Ledger.open(f"sqlite:///{folder / 'template.db'}").close()
    place: Place = make_place(folder / "place", folder / "template.db")
    place.site = with_pmac(place.site)
    with place.house() as it:
        yield it


@pytest.mark.parametrize(("step", "leg"), ROWS, ids=[f"{s.key} {leg.name}".strip() for s, leg in ROWS])
def test_what_cannot_be_read_is_unknown(house: House, step: Step, leg: Leg) -> None:
    reading = house.eye.now()
    servers = tuple(dataclasses.replace(s, role=Role.UNKNOWN, release=None) for s in reading.snapshot.servers)
    snapshot = dataclasses.replace(reading.snapshot, servers=servers, current_iso="%&$")
    strange = [
        Judged(Alarm(0, Severity.UNKNOWN, "?", f"{name}a", ""), name, Standing.EXPECTED, JUST_SEEN)
        for name in ("cmp-1", "mpe-1")
    ]
    garbled: Any = Garbled()
    blind = dataclasses.replace(house, console=garbled, servers=garbled, pmac=lambda: garbled, ossi=garbled)
    here = Here(
        blind,
        step,
        scope_of(step),
        type(reading)(house.site, snapshot, strange),
        Line(house, step, scope_of(step)),
    )
    here.leg = leg
    found = _Leg(here, leg, here.line, False)._goal()
    if (step.key, leg.name) in NOT_READ_THERE:
        assert found.answer is not Answer.YES
    else:
        assert found.answer is Answer.UNKNOWN, found.evidence
