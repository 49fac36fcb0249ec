"""Stop a row of 4.6.5 for a person, with the refusal in the ledger first."""

from __future__ import annotations

from typing import NoReturn

from mopflow.here import Here
from mopflow.holds import hold
from mopflow.ledger import Event
from mopflow.step import Refusal


def stop(here: Here, rule: str, reason: str) -> NoReturn:
    """The act left the system as it was (or brought it back): write that down, then hold. Raises Held."""
    here.record(Event.REFUSED, reason)
    hold(here, Refusal(rule, reason))
