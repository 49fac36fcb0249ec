"""Bring a small system into any state, and back it out row by row, as the flow does it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mopflow.console.protocol import Act, Intended
from mopflow.gate_back import require_backout
from mopflow.here import Scope
from mopflow.house import House
from mopflow.places import place as slot_place
from mopflow.procedures.table import PROCEDURES
from mopflow.run import Result, carry_out
from mopflow.scopes import clusters_of, step_scope
from mopflow.slots import Slot
from mopflow.system import Role, Stage
from tests.pure.small_system import SOURCE, TARGET, Place, SmallSystem

UP, NEW = Act.INITIATE_UPGRADE, Act.FAILOVER_TO_NEW
BACK, OLD = Act.INITIATE_BACKOUT, Act.FAILOVER_TO_OLD
ANSWERS = ("no_new_features", "oracle_consulted")


def go(system: SmallSystem, *acts: Intended, ticks: int | None = None) -> None:
    """A person does these acts, each to its end; the last one only for so many ticks."""
    for number, intended in enumerate(acts):
        system.begin(intended)
        left = ticks if ticks is not None and number == len(acts) - 1 else 100
        while left and any(work.cluster == intended.cluster for work in system.work):
            system.tick()
            left -= 1
    system.sent.clear()


def bring(system: SmallSystem, cluster: str, stage: Stage, *, back: bool = False, ticks: int = 2) -> None:
    """Bring a fresh (``back``: a finished) cluster into this stage by a person's acts, configuration re-applied."""
    a, b = (server.name for server in system.site.cluster(cluster).servers)
    first, over, second = Intended(UP, cluster, b), Intended(NEW, cluster), Intended(UP, cluster, a)
    if back:
        system.finish(cluster)
        first, over, second = Intended(BACK, cluster, b), Intended(OLD, cluster), Intended(BACK, cluster, a)
    paths: dict[Stage, tuple[list[Intended], int | None]] = {
        Stage.FRESH: ([], None),
        Stage.FIRST_RUNNING: ([first], ticks),
        Stage.FIRST_DONE: ([first], None),
        Stage.MOVING: ([first, over], 1),
        Stage.SWITCHED: ([first, over], None),
        Stage.SECOND_RUNNING: ([first, over, second], ticks),
        Stage.DONE: ([first, over, second], None),
    }
    if back:
        mirrored = {
            Stage.DONE: Stage.FRESH,
            Stage.BACK_FIRST: Stage.FIRST_RUNNING,
            Stage.SWITCHED: Stage.FIRST_DONE,
            Stage.FIRST_DONE: Stage.SWITCHED,
            Stage.BACK_SECOND: Stage.SECOND_RUNNING,
            Stage.FRESH: Stage.DONE,
        }
        stage = mirrored.get(stage, stage)
    acts, left = paths[stage]
    go(system, *acts, ticks=left)
    active = system.active(cluster)
    system.config[cluster] = active.release if active is not None else SOURCE


def confirm(place: Place, *items: str) -> None:
    with place.ledger() as ledger:
        for item in items:
            ledger.confirm(place.site.name, item, "Ada", "SR 3-1234", "person")


def back_out_rows(house: House, cluster: str) -> list[Result]:
    """12.3.3/1-5, 12.3.4 or 12.3.5 on one cluster, as the flow does it."""
    scope = Scope(cluster=cluster)
    cmps = [c.name for c in house.site.cmp_clusters]
    if cluster in cmps:
        table = PROCEDURES["12.3.5" if cluster == cmps[0] else "12.3.4"]
        return [carry_out(step, scope, house) for step in table.steps if step.key != "12.3.5/9"]
    table = PROCEDURES["12.3.3"]
    results = [carry_out(table.step(1), scope, house)]
    with slot_place(house, Slot.CLUSTER, table.step(2), scope):
        results.append(carry_out(table.step(2), scope, house))
        with slot_place(house, Slot.FAILOVER, table.step(3), scope):
            results += [carry_out(table.step(n), scope, house) for n in (3, 4)]
        results.append(carry_out(table.step(5), scope, house))
    return results


class Places:
    """Places with their limits, in one process."""

    def __init__(self) -> None:
        self._limits = {slot: threading.Semaphore(slot.limit) for slot in Slot}
        self._mine: set[tuple[Slot, str]] = set()
        self.most = 0

    @contextmanager
    def take(
        self, slot: Slot, cluster: str, *, first: bool = False, waiting: object = None
    ) -> Iterator[None]:
        if (slot, cluster) in self._mine:
            yield
            return
        while not self._limits[slot].acquire(timeout=0.02):
            if callable(waiting):
                waiting(f"a {slot} place")
        self._mine.add((slot, cluster))
        self.most = max(self.most, sum(1 for one, _ in self._mine if one is Slot.CLUSTER))
        try:
            yield
        finally:
            self._mine.discard((slot, cluster))
            self._limits[slot].release()

    def holds(self, slot: Slot, cluster: str) -> bool:
        return (slot, cluster) in self._mine


def back_out(house: House, scope: str) -> dict[str, str]:
    """The whole flow without Prefect: how each cluster ended ("done", or why it is held)."""
    from mopflow.confirmations import backout_is_over
    from mopflow.errors import Held
    from mopflow.failovers import open_failovers
    from mopflow.here import Here
    from mopflow.holds import reconsider

    site = house.site
    require_backout(house, scope)
    names = clusters_of(site, scope)
    cmps = [c.name for c in site.cmp_clusters if c.name in names]
    traffic = [name for name in names if name not in cmps]
    ends: dict[str, str] = {}

    def work(name: str) -> None:
        try:
            back_out_rows(house, name)
            ends[name] = "done"
        except Held as held:
            ends[name] = held.reason
        except BaseException as error:
            ends[name] = f"{type(error).__name__}: {error}"
            raise

    first = open_failovers(house.ledger, site, house.eye.now().states)
    threads = []
    for name in sorted(traffic, key=lambda n: n not in first):
        thread = threading.Thread(target=work, args=(name,))
        thread.start()
        threads.append(thread)
        # as the flow creates its runs: in this order, so that these have their places before the others
        while name in first and thread.is_alive() and not house.slots.holds(Slot.CLUSTER, name):
            thread.join(0.01)
    for thread in threads:
        thread.join()
    whole = step_scope(site, scope)
    for name in reversed(cmps):
        if all(end == "done" for end in ends.values()):
            work(name)
    if set(ends.values()) == {"done"}:
        if traffic:
            for number in (6, 7):
                carry_out(PROCEDURES["12.3.3"].step(number), whole, house)
        if cmps:
            carry_out(PROCEDURES["12.3.5"].step(9), whole, house)
        reading = house.eye.now()
        backout_is_over(Here(house, PROCEDURES["12.3.3"].step(6), whole, reading), scope)
        reconsider(house, reading, set(names))
    return ends


def is_back(system: SmallSystem, cluster: str) -> bool:
    boxes = system.of(cluster)
    roles = {box.role for box in boxes}
    return (
        {box.release for box in boxes} == {SOURCE}
        and roles == {Role.ACTIVE, Role.STANDBY}
        and (cluster.startswith("cmp") or system.config[cluster] == SOURCE)
    )


def is_new(system: SmallSystem, cluster: str) -> bool:
    boxes = system.of(cluster)
    return {box.release for box in boxes} == {TARGET} and {b.role for b in boxes} == {
        Role.ACTIVE,
        Role.STANDBY,
    }
