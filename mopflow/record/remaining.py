"""What is left of the procedure, with the names of the hosts as they stand: from the journal and one picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from inspect import getdoc
from typing import Any

from mopflow.acts import backout, maintenance, upgrade
from mopflow.errors import BadInput
from mopflow.ledger import Event, Executor, Hold, Row
from mopflow.plan import PREPARATION, plan
from mopflow.procedures.backout import MPE_MRA, PRIMARY_CMP, SECONDARY_CMP
from mopflow.readiness import Item
from mopflow.record.by_hand import words
from mopflow.record.turns import NOT_YET, WHOLE, step_of
from mopflow.scopes import clusters_of
from mopflow.site import Site
from mopflow.step import Leg, Step
from mopflow.turning import goes_back, not_refused

BACK_OUT = "back-out"
_DONE = frozenset({Event.VERIFIED, Event.FOUND_DONE, Event.OBSERVED, Event.SKIPPED})
_OPEN = frozenset({Event.INTENDED, Event.ACTED, Event.LOST, Event.ADOPTED})
_FAILOVERS = frozenset({upgrade.fail_over, maintenance.switch_force_standby, backout.fail_over_back})
# from the failover to the proof the cluster may carry no traffic
_FAILOVER_ROWS = {"10.2": 4, "12.3.3": 3}
_DECISION = frozenset({"10.2/5", "10.2/7", "10.2/8", "12.3.3/4"})


class State(StrEnum):
    """How a row that is left stands."""

    OPEN = "open"
    BEGUN = "begun"  # asked for, and its end was not seen
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Left:
    """A row that is not done yet, on one scope."""

    command: str  # what would go on with it: upgrade-segment segment-1
    key: str
    title: str
    scope: str
    where: str  # with host names
    note: str  # of the plan
    do: tuple[str, ...]  # what a person does in our place
    done_when: tuple[str, ...]
    open_legs: tuple[str, ...]  # parts of the row that are not done
    asked_for: bool  # an act of it was sent, or may have been
    alarms: tuple[int, ...]  # that may stand
    state: State
    says: str  # what is known of it
    at: datetime | None = None  # of that

    @property
    def procedure(self) -> str:
        return self.key.split("/")[0]

    @property
    def number(self) -> int:
        return int(self.key.split("/")[1])


@dataclass(frozen=True, slots=True)
class Point:
    """Where a person would go on in one scope."""

    left: Left
    urgent: bool  # a failover stands open

    @property
    def words(self) -> str:
        return f"continue here at {self.left.procedure} step {self.left.number} on {self.left.scope}"


@dataclass(frozen=True, slots=True)
class Remaining:
    """The paper: where to go on, and all that is left, in order."""

    site: str
    campaign: str
    source: str
    target: str
    back: bool  # a backout is under way
    points: tuple[Point, ...]  # where work is under way, the most urgent first
    rows: tuple[Left, ...]
    servers: tuple[Mapping[str, Any], ...] = field(hash=False)  # name, cluster, role, release, doing
    servers_at: datetime | None = None
    unprepared: tuple[str, ...] = ()  # checks of chapter 4 that are missing
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class _Planned:
    command: str
    step: Step
    cluster: str | None
    segment: str | None
    where: str
    note: str = ""

    @property
    def scope(self) -> str:
        return self.cluster or self.segment or WHOLE


class Steps:
    """Every row that can be left, on this site: worked out once, for the site does not change."""

    def __init__(self, site: Site) -> None:
        self._site = site
        try:
            self.forward = list(_forward(site))
        except BadInput:  # no plan: the flows refuse such a site themselves
            self.forward = []

    def backward(self, scope: str) -> list[_Planned]:
        return list(_backward(self._site, scope))


def remaining(
    site: Site,
    campaign: str,
    steps: Steps,
    rows: Sequence[Row],
    executors: Sequence[Executor],
    snapshot: tuple[datetime, Mapping[str, Any]] | None,
    missing: Iterable[Item] = (),
    holds: Iterable[Hold] = (),
) -> Remaining:
    """``rows``: the journal of the campaign; ``snapshot``: as the ledger keeps it; ``missing``: of the preparation."""
    newest = next((one for one in reversed(executors) if one.flow != "post-check"), None)
    back = newest is not None and newest.flow == BACK_OUT
    planned = steps.backward(newest.scope) if back and newest is not None else steps.forward
    servers = tuple(
        {**server, "cluster": cluster["name"]}
        for cluster in (snapshot[1].get("clusters", ()) if snapshot is not None else ())
        for server in cluster["servers"]
    )
    journal = _Journal(rows, back)
    found = []
    moved: dict[
        str, bool
    ] = {}  # by scope: will another server be the active one when it comes to the next row?
    for one in planned:
        if not journal.open_legs(one) or _never(site, one.step) or journal.is_barred(one):
            continue
        found.append(_left(site, one, journal, servers, moved.get(one.scope, False)))
        moved[one.scope] = moved.get(one.scope, False) is not _fails_over(one.step.legs)
    return Remaining(
        site=site.name,
        campaign=campaign,
        source=site.source_release.short,
        target=site.target_release.short,
        back=back,
        points=tuple(_points(planned, found, journal)),
        rows=tuple(found),
        servers=servers,
        servers_at=snapshot[0] if snapshot is not None else None,
        unprepared=tuple(f"{item.check} of {item.where}" for item in missing) if not back else (),
        holds=tuple(holds),
    )


def _never(site: Site, step: Step) -> bool:
    """Rows for another source release."""
    old = site.source_release.has_old_gui
    return (step.key in ("12.3.5/6", "12.3.5/7") and not old) or (step.key == "12.3.5/8" and old)


def _forward(site: Site) -> Iterator[_Planned]:
    """The rows of the plan behind the preparation; that one is told by its checks."""
    for row in plan(site):
        step = step_of(row.procedure, row.number)
        if step is not None and row.procedure not in PREPARATION:
            yield _Planned(row.command, step, row.cluster, row.segment, row.where, row.note)


def _backward(site: Site, scope: str) -> Iterator[_Planned]:
    names = clusters_of(site, scope)
    command = f"{BACK_OUT} {scope}"
    cmps = [cluster.name for cluster in site.cmp_clusters if cluster.name in names]
    traffic = [name for name in names if name not in cmps]
    segments = {segment.name for segment in site.segments}
    whole = scope if scope in segments or scope in names else None
    for name in traffic:
        for step in MPE_MRA.steps[:5]:
            yield _Planned(command, step, name, None, step.where or "{cluster}")
    for step in MPE_MRA.steps[5:] if traffic else ():
        yield _Planned(command, step, whole, None, "all clusters that were backed out")
    for name in reversed(cmps):
        table = PRIMARY_CMP if name == site.cmp.primary.name else SECONDARY_CMP
        for step in table.steps:
            last = step.key == "12.3.5/9"
            yield _Planned(command, step, whole if last else name, None, step.where or "{cluster}")
    if cmps and site.cmp.primary.name not in cmps:
        last_step = PRIMARY_CMP.step(9)
        yield _Planned(command, last_step, whole, None, "all clusters that were backed out")


class _Journal:
    """What the journal says of each row and scope since the cluster was last turned round."""

    def __init__(self, rows: Sequence[Row], back: bool) -> None:
        self._legs: dict[tuple[str, int, str], dict[str, Row]] = {}
        self._asked: set[tuple[str, int, str]] = set()
        turned = _turned(rows, back)
        for row in rows:
            entry = row.entry
            if entry.event not in _DONE | _OPEN | {Event.HELD, Event.REFUSED}:
                continue
            scope = entry.cluster or WHOLE
            if row.id > turned.get(scope, 0):
                if entry.event in _OPEN:
                    self._asked.add((entry.procedure, entry.step, scope))
                self._legs.setdefault((entry.procedure, entry.step, scope), {})[entry.leg] = row

    def legs(self, one: _Planned) -> dict[str, Row]:
        return self._legs.get((one.step.procedure, one.step.number, one.scope), {})

    def open_legs(self, one: _Planned) -> list[str]:
        """Parts of the row that are not done. A row that a flow skips as a whole has none."""
        legs = self.legs(one)
        whole = legs.get("")
        if whole is not None and whole.entry.event is Event.SKIPPED and len(legs) == 1:
            return []
        return [leg.name for leg in one.step.legs if not _is_done(legs.get(leg.name))]

    def asked_for(self, one: _Planned) -> bool:
        return (one.step.procedure, one.step.number, one.scope) in self._asked

    def is_barred(self, one: _Planned) -> bool:
        """10.2/9 and 10 of a cluster that was rolled back (R11): a person decides how it goes on."""
        if one.step.procedure != "10.2" or one.step.number not in (9, 10):
            return False
        back = self._legs.get(("10.2", 7, one.scope), {}).get("rollback")
        over = self._legs.get(("10.2", 4, one.scope), {}).get("")
        rolled_back = back is not None and back.entry.event in (Event.VERIFIED, *_OPEN)
        return rolled_back and (over is None or back is None or over.id < back.id)

    def is_begun(self, one: _Planned) -> bool:
        return bool(self.legs(one))


def _is_done(row: Row | None) -> bool:
    return row is not None and row.entry.event in _DONE and not row.entry.data.get(NOT_YET)


def _turned(rows: Sequence[Row], back: bool) -> dict[str, int]:
    """Id of the newest act of the other direction, by scope."""
    found: dict[str, int] = {}
    for row in not_refused(
        r for r in rows if r.entry.event in (Event.INTENDED, Event.ADOPTED, Event.REFUSED)
    ):
        if goes_back(row.entry.procedure) is not back and row.entry.cluster is not None:
            found[row.entry.cluster] = row.id
    return found


def _fails_over(legs: Sequence[Leg]) -> bool:
    """Does another server become the active one? Not by the rollback of R11: nobody means to come to it."""
    return any(leg.act in _FAILOVERS for leg in legs)


def _left(
    site: Site, one: _Planned, journal: _Journal, servers: Sequence[Mapping[str, Any]], moved: bool
) -> Left:
    state, says, at = _standing(journal.legs(one))
    open_legs = journal.open_legs(one)
    do = []
    for number, leg in enumerate(one.step.legs):
        text = words(leg.act) if leg.act is not None else None
        if text and leg.name in open_legs:
            swapped = moved is not _fails_over(one.step.legs[:number])
            do.append(text.format(**_names(site, one, servers, swapped)))
    names = _names(site, one, servers, moved)
    return Left(
        command=one.command,
        key=one.step.key,
        title=one.step.title,
        scope=one.scope,
        where=_where(one, names),
        note=one.note,
        do=tuple(dict.fromkeys(do)),
        done_when=tuple(_in_our_words(one.step, open_legs)),
        open_legs=tuple(open_legs),
        asked_for=journal.asked_for(one),
        alarms=tuple(sorted(one.step.alarms.during | one.step.alarms.after)),
        state=state,
        says=says,
        at=at,
    )


def _standing(legs: Mapping[str, Row]) -> tuple[State, str, datetime | None]:
    for row in legs.values():
        if row.entry.event is Event.HELD:
            return State.HELD, row.entry.text, row.at
    for row in legs.values():
        if row.entry.event in _OPEN:
            on = f" on {row.entry.server}" if row.entry.server else ""
            return State.BEGUN, f"{row.entry.event}{on}; its end was not seen: look before you act", row.at
    return State.OPEN, "", None


def _names(site: Site, one: _Planned, servers: Sequence[Mapping[str, Any]], moved: bool) -> dict[str, str]:
    """Real host names for the words of a row. ``moved``: a failover comes before it."""
    cluster = one.cluster or site.cmp.primary.name
    mine = [server for server in servers if server["cluster"] == cluster]
    active = [server["name"] for server in mine if server["role"] == "Active"]
    other = [server["name"] for server in mine if server["role"] != "Active"]
    pair = " or ".join(next((c.server_names for c in site.clusters if c.name == cluster), ()))
    first = active[0] if len(active) == 1 else f"the active server ({pair})"
    second = other[0] if len(other) == 1 else f"the server that is not active ({pair})"
    if moved and len(active) == len(other) == 1:
        first, second = second, first
    return {"cluster": one.scope, "active": first, "other": second, "left": second}


_PLACES = {"standby server of": "other", "active server of": "active", "remaining server of": "other"}


def _where(one: _Planned, names: Mapping[str, str]) -> str:
    """The place of the plan, with the host that it means now."""
    where = one.where.format(cluster=one.scope)
    for begin, name in _PLACES.items():
        if where.startswith(begin):
            return f"{names[name]} ({where})"
    return where


def _in_our_words(step: Step, open_legs: Sequence[str]) -> Iterator[str]:
    """What must be so afterwards: the first sentence of each question that is still open."""
    for leg in step.legs:
        if leg.name not in open_legs:
            continue
        said = " ".join((getdoc(leg.goal) or "").strip().split("\n\n")[0].split())
        if said:
            yield f"{leg.name}: {said}" if leg.name else said


def _points(planned: Sequence[_Planned], left: Sequence[Left], journal: _Journal) -> Iterator[Point]:
    """The first row that is left of every scope that was begun; when none was, the first row of all."""
    begun = {
        (one.scope, one.step.procedure)
        for one in planned
        if journal.is_begun(one) and (one.cluster is not None or one.step.procedure not in ("10.2", "12.3.3"))
    }
    first: dict[str, Left] = {}
    for row in left:
        if (row.scope, row.procedure) in begun:
            first.setdefault(row.scope, row)
    points = [Point(row, _is_urgent(row)) for row in first.values()]
    if not points and left:
        points = [Point(left[0], urgent=False)]
    yield from sorted(points, key=lambda point: not point.urgent)


def _is_urgent(row: Left) -> bool:
    """Inside of the decision: the failover was asked for, and the traffic is not proven."""
    failover = _FAILOVER_ROWS.get(row.procedure)
    if failover == row.number:
        return row.asked_for
    return row.key in _DECISION and any(leg != "decision" for leg in row.open_legs)
