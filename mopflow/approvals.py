"""Where the site wants an act confirmed (autonomy `confirm`): the question, and whether its answer still counts.

A question rests on what the console showed when it was put. An answer counts for that state alone, and for one act.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from mopflow.ledger import Choice, Event, Hold, HoldKind
from mopflow.questions import APPROVE, changed
from mopflow.rules import FOLLOWS
from mopflow.site import Autonomy, AutonomyKind
from mopflow.step import Leg, Refusal
from mopflow.turning import not_refused

if TYPE_CHECKING:
    from mopflow.here import Here

ASKING = threading.Lock()  # of two clusters of a segment only one asks about the first failover


def unapproved(here: Here, leg: Leg) -> Iterator[Refusal]:
    """A refusal while nobody has said yes to this act as the system is now."""
    if here.site.autonomy.of(leg.autonomy) is not Autonomy.CONFIRM or here.step.after_harbour:
        return
    if leg.autonomy is AutonomyKind.FIRST_FAILOVER and (reason := _first_of_segment(here, leg)) is not None:
        if reason:
            yield Refusal(FOLLOWS, reason, passing=True)
        return
    if _approved(here, leg) is None:
        yield Refusal(APPROVE, f"may {here.step.title!r} be done on {here.scope} now?")


def unapproved_act(here: Here) -> Refusal | None:
    """What keeps the acts of this row from being approved; None when nothing does."""
    for leg in here.step.legs:
        here.leg = leg
        if leg.act is not None and (refusal := next(unapproved(here, leg), None)) is not None:
            return refusal
    return None


def _approved(here: Here, leg: Leg) -> Hold | None:
    """The newest question about this act that was answered with GO and not used yet."""
    ledger = here.house.ledger
    for row in reversed(_questions(here, [here.scope.key])):
        if row.asked.get("leg") != leg.name:
            continue
        answer = ledger.answer_to(row.id)
        if answer is None or answer.choice is not Choice.GO:
            return None
        acts = not_refused(here.rows(Event.INTENDED, Event.ADOPTED, Event.REFUSED, leg=leg.name))
        used = any(act.at > answer.at for act in acts)
        return None if used or changed(row, here.reading) else row
    return None


def _first_of_segment(here: Here, leg: Leg) -> str | None:
    """None: this cluster has to ask. "": the segment had its first failover. Else: another cluster asks first."""
    segment, others = _segment(here)
    ledger = here.house.ledger
    for other in others:
        rows = ledger.rows(
            campaign=here.house.campaign,
            procedure=here.step.procedure,
            step=here.step.number,
            cluster=other,
            events=(Event.INTENDED, Event.ADOPTED, Event.REFUSED),
        )
        if any(row.entry.leg == leg.name for row in not_refused(rows)):
            return ""
    asked = asked_in_segment(here)
    if asked is not None:
        return f"the first failover of {segment} is asked for: {asked.cluster} (hold {asked.id})"
    for row in reversed(_questions(here, others)):
        answer = ledger.answer_to(row.id)
        going = answer is not None and answer.choice is Choice.GO and changed(row, here.reading) is None
        if going and not any(one.cluster == row.cluster for one in ledger.holds(here.site.name)):
            return f"the first failover of {segment} is that of {row.cluster}"
    return None


def asked_in_segment(here: Here) -> Hold | None:
    """The open question of another cluster of the segment about its failover."""
    return next((row for row in _questions(here, _segment(here)[1]) if row.closed is None), None)


def _segment(here: Here) -> tuple[str, list[str]]:
    """Name of the cluster's segment, and the other clusters in it."""
    name = here.cluster.name
    segment = next(s for s in here.site.segments if any(c.name == name for c in s.clusters))
    return segment.name, [cluster.name for cluster in segment.clusters if cluster.name != name]


def _questions(here: Here, clusters: Collection[str | None]) -> list[Hold]:
    found = here.house.ledger.holds(here.site.name, campaign=here.house.campaign, open_only=False)
    return [
        row
        for row in found
        if row.kind is HoldKind.QUESTION
        and row.cluster in clusters
        and (row.procedure, row.step) == (here.step.procedure, here.step.number)
    ]
