"""The places of which there are only so many: clusters in work (R2), starts (R3), failovers (R4).

A place is taken over all runs of a site, in every process; who gives them out is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol


class Slot(StrEnum):
    """What is limited, and to how many at one time."""

    CLUSTER = "cluster"  # MPE/MRA clusters in upgrade or backout: 4
    START = "start"  # a start that has not shown OOS yet: 1
    FAILOVER = "failover"  # failover, re-apply and traffic proof: 1

    @property
    def limit(self) -> int:
        return 4 if self is Slot.CLUSTER else 1


class Slots(Protocol):
    """Gives out places; first come, first served, but a rollback goes first."""

    def take(
        self, slot: Slot, cluster: str, *, first: bool = False, waiting: Callable[[str], None] | None = None
    ) -> AbstractContextManager[None]:
        """Wait for a place and hold it inside the `with`.

        ``waiting`` is called with a sentence for a person each time the reason of the wait changes; it may raise to
        give up. ``first`` puts the caller before everyone who waits in this process. A place that this cluster
        already holds (taken over from a dead run) is entered at once.
        Raises NoSlot when places cannot be given out at all (then nothing is started).
        """
        ...

    def holds(self, slot: Slot, cluster: str) -> bool:
        """Has this run a place for the cluster already?"""
        ...
