"""The small system from its beginning on any source release, upgraded and backed out, through both GUIs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from mopflow.console.protocol import Act, Gui, Intended, LogLine, Operation
from mopflow.errors import ActRefused, UnreadableReply
from mopflow.here import Scope
from mopflow.holds import reconsider
from mopflow.house import House
from mopflow.procedures.table import cmp_procedures
from mopflow.run import carry_out
from mopflow.site import Autonomy, Site
from mopflow.system import Role
from tests.pure import small_system
from tests.pure.backouts import ANSWERS, BACK, back_out, confirm
from tests.pure.small_system import Box, Place, Work
from tests.pure.whole_system import SOURCES, WholeServers, WholeSystem, whole_place

BACKED_OUT = "Completed: backout was completed at Aug 18, 2016 23:09:07"
CMPS = ("cmp-1", "cmp-2")


class NotDone(Exception):
    """A backout of the tests has not come to its end; how each cluster ended."""


class BothWays(WholeSystem):
    """A `WholeSystem` that knows the way back. Make it with `small_system.SOURCE` set to its source release."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.reversed: list[str] = []  # acts that came while one of the other direction ran in their cluster

    def is_old(self) -> bool:
        active = self.active(self.primary)
        return active is not None and self.gui is Gui.MAINTENANCE

    def begin(self, intended: Intended) -> None:
        self._watch(intended.act, intended.cluster)
        super().begin(intended)

    def _watch(self, act: Act, cluster: str) -> None:
        back = act in (Act.INITIATE_BACKOUT, Act.FAILOVER_TO_OLD)
        for work in self.work:
            if (
                work.cluster == cluster
                and (work.act in (Act.INITIATE_BACKOUT, Act.FAILOVER_TO_OLD)) is not back
            ):
                self.reversed.append(f"{act} in {cluster} while {work.act} runs")

    def upgrade_log(self, cluster: str) -> tuple[LogLine, ...]:
        if self.is_old():
            raise UnreadableReply("Upgrade Log", "the old GUI has none", "")
        return super().upgrade_log(cluster)

    def back_act(self, cluster: str) -> Intended | None:
        return None if self.is_old() else super().back_act(cluster)

    def _upgrade(self, work: Work, box: Box) -> None:
        if work.act is not BACK or not self.is_old():
            super()._upgrade(work, box)
            if work.left <= 0 and box.name in self.fails:
                self._force_if_mixed(box)
        elif work.left > 0:
            box.role = Role.OOS
            box.operation = f"Backing out: {100 - work.left}% (Elapsed Time: 0:12:33)"
        elif box.name in self.fails:
            box.role, box.operation = Role.FORCED_STANDBY, "Error: backout failed at Aug 18, 2016 23:09:07"
        else:  # it stays in forced standby until a person cancels it (12.3.5/7)
            box.role, box.release, box.operation = Role.FORCED_STANDBY, self.source, BACKED_OUT

    def _force_if_mixed(self, box: Box) -> None:
        """3.1.4.6: whoever is not on the active server's release is in forced standby, also when it failed."""
        mate = next(b for b in self.of(box.cluster) if b is not box)
        if box.role is Role.STANDBY and mate.release != box.release:
            box.role = Role.FORCED_STANDBY

    def _fail_over(self, work: Work) -> None:
        super()._fail_over(work)
        if work.left <= 0 and work.act is Act.FAILOVER_TO_OLD and work.cluster == self.primary:
            self.iso = "Install Kit"  # what comes up has no history
            self.offered = frozenset()

    def _operate(self, operation: Operation, names: Sequence[str]) -> str:
        if operation not in (Operation.BACKOUT, Operation.CANCEL_FORCE_STANDBY) or not self.is_old():
            return super()._operate(operation, names)
        (name,) = names
        box = self.boxes[name]
        if box.role is not Role.FORCED_STANDBY:
            raise ActRefused(f"{operation} of {name} ({box.role})")
        if operation is Operation.CANCEL_FORCE_STANDBY:
            box.role = Role.STANDBY
        else:
            self._watch(BACK, box.cluster)
            self.work.append(Work(BACK, box.cluster, name, small_system.STEPS[BACK]))
            box.operation = "Backing out: 0% (Elapsed Time: 0:00:01)"
        return self._accept(operation, name)


def two_way_place(
    folder: Path, template: Path, source: str, patch: pytest.MonkeyPatch, **pace: object
) -> Place:
    """A place on this source release (a key of SOURCES) before anything was done to it; backouts need no word each."""
    patch.setattr(small_system, "SOURCE", SOURCES[source])
    place = whole_place(folder, template, source, **pace)
    rules = place.site.autonomy.model_copy(update={"backout": Autonomy.AUTO})
    place.site = place.site.model_copy(update={"autonomy": rules})
    place.system = BothWays(place.site)
    place.servers = WholeServers(place.system)
    return place


def system_of(place: Place) -> BothWays:
    assert isinstance(place.system, BothWays)
    return place.system


@contextmanager
def run(place: Place, *mine: str) -> Iterator[House]:
    """A run on these clusters (all CMP clusters when none is named), which looks at open holds anew."""
    with place.house() as house:
        reconsider(house, house.eye.soon(), set(mine or CMPS))
        yield house


def upgrade_cmps(place: Place) -> None:
    """`upgrade-cmp` without Prefect."""
    with run(place) as house:
        for cluster, table in zip(CMPS, cmp_procedures(place.site.source_release), strict=True):
            for row in table.steps:
                carry_out(row, Scope(cluster=cluster), house)


def back_out_cmps(place: Place) -> None:
    """`back-out` of both CMP clusters without Prefect, with the words that a person has to say before it."""
    for cluster in reversed(CMPS):
        confirm(place, *ANSWERS)
        with run(place) as house:
            ends = back_out(house, cluster)
        if ends != {cluster: "done"}:
            raise NotDone(ends)


def releases(place: Place) -> set[str]:
    return {box.release for name in CMPS for box in place.system.of(name)}


def in_pairs(place: Place) -> bool:
    """Is one server of each CMP cluster active and the other one standby?"""
    return all({box.role for box in place.system.of(name)} == {Role.ACTIVE, Role.STANDBY} for name in CMPS)
