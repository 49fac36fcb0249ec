"""Starts, failovers and rollbacks: the clicks on the Upgrade Manager (9.1.1/10, 12, 17; 9.1.2/2-3; 10.2/3, 4, 7, 9)."""

from __future__ import annotations

from mopflow.console.protocol import Act, Console, Intended, Urgency
from mopflow.goals import server_to_start
from mopflow.here import Here
from mopflow.messages import Kind


def start_server(here: Here) -> None:
    """Initiate the upgrade of the server that is not active."""
    intended = Intended(Act.INITIATE_UPGRADE, here.cluster.name, server_to_start(here))
    _console(here).advance(intended, shots=here.shots())


def fail_over(here: Here) -> None:
    """Fail over to the target release."""
    _console(here).advance(Intended(Act.FAILOVER_TO_NEW, here.cluster.name), shots=here.shots())


def roll_back(here: Here) -> None:
    """Start Rollback in a mixed cluster: the old release becomes active again. Goes before every waiting act."""
    here.urgent = True
    here.house.notices.tell(
        Kind.ROLLBACK,
        here.cluster.name,
        f"{here.cluster.name} carries no traffic over {here.site.target_release.short} in the time that R11 gives it. "
        f"It is rolled back to {here.site.source_release.short} now, without a further question.",
        "wait for the hold that follows: it asks whether the backout of this cluster is completed.",
    )
    _console(here).advance(
        Intended(Act.FAILOVER_TO_OLD, here.cluster.name), shots=here.shots(), urgency=Urgency.ROLLBACK
    )


def _console(here: Here) -> Console:
    return here.house.acting_console(here.leg.autonomy)
