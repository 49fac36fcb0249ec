"""At the start of a window: was exactly this plan rehearsed? It is noted in the journal and decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mopflow.certificate import Rehearsed, rehearsed
from mopflow.ledger import Entry, Event

if TYPE_CHECKING:
    from mopflow.house import House

PLACE = ("4.4", 0)  # procedure and step of the note: of the plan, of no row


def note(house: House) -> Rehearsed:
    """What the certificates beside the site file say; the board shows it while this run works."""
    found = rehearsed(house.site, house.site_path)
    procedure, step = PLACE
    data = {
        "plan_hash": found.plan_hash,
        "exactly": found.exactly,
        "certificate": str(found.certificate) if found.certificate is not None else None,
    }
    house.ledger.record(
        house.campaign,
        house.site.name,
        house.executor,
        Entry(procedure, step, "", None, Event.NOTE, house.vault.strike(found.text), data=data),
    )
    return found
