"""In which direction was this cluster worked on, and when was it turned round (3.1.4.5)?

A row of chapter 12 goes back, every other one forward. What the ledger knows of a pass in one direction says nothing
about the next one: the live system alone tells where the cluster stands then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mopflow.ledger import Event, Ledger, Row
from mopflow.step import Refusal

if TYPE_CHECKING:
    from mopflow.here import Here


def goes_back(procedure: str) -> bool:
    return procedure.startswith("12.")


def not_refused(rows: Iterable[Row]) -> list[Row]:
    """The intentions and adopted acts among ``rows`` without those of which it is proved that nothing was run."""
    found = list(rows)
    refused = {row.entry.token for row in found if row.entry.event is Event.REFUSED}
    return [
        row
        for row in found
        if row.entry.event in (Event.INTENDED, Event.ADOPTED)
        and (row.entry.token is None or row.entry.token not in refused)
    ]


def newest_act(ledger: Ledger, site: str, cluster: str | None, *, back: bool) -> Row | None:
    """The newest act in this direction on a cluster, of any run: sent, or found running."""
    if cluster is None:
        return None
    rows = ledger.rows(site=site, cluster=cluster, events=(Event.INTENDED, Event.ADOPTED, Event.REFUSED))
    acts = [row for row in not_refused(rows) if goes_back(row.entry.procedure) is back]
    return acts[-1] if acts else None


def just_turned(here: Here) -> Iterator[Refusal]:
    """R7: an act of the other direction that was asked for a moment ago may still show itself."""
    back = goes_back(here.step.procedure)
    last = newest_act(here.house.ledger, here.site.name, here.scope.key, back=not back)
    if last is None:
        return
    ago = (datetime.now(UTC) - last.at).total_seconds()
    if ago < here.site.pace.settle:
        yield Refusal(
            "R7",
            f"{last.entry.procedure}/{last.entry.step} was asked for {ago:.1f} s ago and may still show itself",
            passing=True,
        )
