"""The leg that upgrades one server through the Upgrade Manager: the same for every kind of cluster and every release."""

from __future__ import annotations

from mopflow.acts import upgrade
from mopflow.goals import log_mark, log_trace, may_start, settled
from mopflow.slots import Slot
from mopflow.step import DeadlineKind, Leg, Question


def server_leg(goal: Question, under_way: Question, *, name: str = "", slot: Slot | None = None) -> Leg:
    """Start the upgrade of the server that is not active and follow it until ``goal`` holds.

    ``slot``: START for MPE and MRA, which are started one at a time (R3).
    """
    return Leg(
        goal,
        name=name,
        act=upgrade.start_server,
        under_way=under_way,
        guard=may_start,
        deadline=DeadlineKind.INITIATE_UPGRADE,
        slot=slot,
        mark=log_mark,
        trace=log_trace,
        settled=settled,
    )
