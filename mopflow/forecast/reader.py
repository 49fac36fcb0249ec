"""The forecast of a site, from its ledger: the journal, the last picture of the system, who works, what is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mopflow.forecast import window
from mopflow.forecast.durations import Beliefs, History, history
from mopflow.forecast.night import Night, Run
from mopflow.forecast.outlook import Forecast
from mopflow.forecast.parts import Part, Shape, shapes
from mopflow.forecast.passes import Pass, passes
from mopflow.ledger import Executor, HoldKind, Ledger, Row
from mopflow.processes import ProcessMark, is_dead
from mopflow.questions import APPROVE
from mopflow.scopes import clusters_of
from mopflow.site import Site
from mopflow.system import Stage
from mopflow.window_words import overridden

_WORK = ("upgrade-cmp", "upgrade-segment", "back-out")


@dataclass(slots=True)
class Memory:
    """Rows of the journal that were read already; for whoever asks again and again."""

    rows: list[Row] = field(default_factory=list)
    last: int = 0

    def read(self, site: Site, ledger: Ledger, procedures: frozenset[str]) -> list[Row]:
        new = ledger.rows(site=site.name, after=self.last)
        if new:
            self.last = new[-1].id
            self.rows += [row for row in new if row.entry.procedure in procedures]
        return self.rows


@dataclass(frozen=True, slots=True)
class Read:
    """What the ledger says: where the night stands, and how long things took."""

    night: Night
    history: History


def read(site: Site, ledger: Ledger | None, now: datetime, memory: Memory | None = None) -> Read:
    """Raises LedgerUnavailable; BadInput for a source release whose tables are not known. None: nothing was done yet."""
    known = shapes(site)
    if ledger is None:
        return Read(Night(site, now, known, {}), History())
    rows = _rows(site, ledger, known, memory or Memory())
    executors = ledger.executors(site.name)
    holds = ledger.holds(site.name, open_only=False)
    asked = [hold for hold in holds if hold.kind is HoldKind.QUESTION and hold.rule == APPROVE]
    found = passes(rows, known, {hold.id for hold in asked})
    answers: dict[str | None, list[tuple[datetime, datetime]]] = {}
    for hold in asked:
        answer = ledger.answer_to(hold.id)
        if answer is not None:
            answers.setdefault(hold.cluster, []).append((hold.opened, answer.at))
    campaigns = ledger.campaigns(site.name)
    newest = campaigns[-1].id if campaigns else ""
    kept = ledger.snapshot(site.name)
    work = [e for e in executors if e.campaign == newest and e.flow in _WORK]
    stages = _stages(kept[1] if kept is not None else {})
    night = Night(
        site,
        now,
        known,
        stages,
        _newest(found, newest),
        _runs(work, rows),
        _ended(work),
        tuple(hold for hold in holds if hold.closed is None),
        _backing_out(site, work, stages),
        kept[0] if kept is not None else None,
    )
    return Read(night, history(site, found, rows, executors, answers))


def forecast_of(
    site: Site,
    ledger: Ledger | None,
    now: datetime | None = None,
    *,
    later: bool = True,
    memory: Memory | None = None,
) -> Forecast:
    """The forecast at a moment (UTC, aware; default the present one). ``later``: also what is left for the windows
    after this one; ``memory``: what was read at an earlier call. Raises as `read` does."""
    at = now or datetime.now(UTC)
    found = read(site, ledger, at, memory)
    words = overridden(ledger, site, at) if ledger is not None else {}
    beliefs = Beliefs(found.history)
    return window.make(found.night, beliefs, words, basis(found.history), later=later)


def basis(known: History) -> list[str]:
    """What the durations rest on, in words."""
    forward, back = known.count(Part.SERVER), known.count(Part.SERVER, back=True)
    others = sum(len(ratios) for key, ratios in known.own.items() if key.part is not Part.SERVER)
    if not forward:
        return [
            "this site has no own durations yet: the document's figures, whose own logs differ by half from its steps"
        ]
    said = [f"own durations of this site: {forward} upgrades of a server, {others} of what lies between"]
    if back:
        said.append(f"own backouts of this site: {back} servers")
    else:
        said.append(
            "no own backout: the document's minutes, or those of the own upgrades where they are longer"
        )
    return said


def _rows(site: Site, ledger: Ledger, known: Mapping[tuple[str, bool], Shape], memory: Memory) -> list[Row]:
    """Those of the work, of campaigns between the same two releases."""
    procedures = frozenset({shape.procedure for shape in known.values()} | {"10.1.1"})
    same = {c.id for c in ledger.campaigns(site.name) if (c.source, c.target) == (site.source, site.target)}
    return [row for row in memory.read(site, ledger, procedures) if row.campaign in same]


def _newest(found: Sequence[Pass], campaign: str) -> dict[str, Pass]:
    return {one.cluster: one for one in found if one.campaign == campaign}


def _stages(document: Mapping[str, Any]) -> dict[str, Stage]:
    return {cluster["name"]: Stage(cluster["stage"]) for cluster in document.get("clusters", ())}


def _runs(work: Sequence[Executor], rows: Sequence[Row]) -> tuple[Run, ...]:
    """Who works now; a process of which it is proved that it died does not."""
    first: dict[str, datetime] = {}
    for row in rows:
        first.setdefault(row.executor, row.at)
    return tuple(
        Run(e.flow, e.scope, first.get(e.id, e.begun))
        for e in work
        if e.ended is None and is_dead(ProcessMark(e.host, e.pid, e.born)) is not True
    )


def _ended(work: Sequence[Executor]) -> datetime | None:
    """When the last command came to its end, if it came to a good one."""
    last = work[-1] if work else None
    return last.ended if last is not None and last.how == "done" else None


def _backing_out(site: Site, work: Sequence[Executor], stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """Clusters of the backout that works now, or that was the last work and did not come to its end."""
    last = work[-1] if work else None
    if last is None or last.flow != "back-out" or last.how == "done":
        return ()
    names = clusters_of(site, last.scope)
    return names if any(stages.get(name, Stage.FRESH) is not Stage.FRESH for name in names) else ()
