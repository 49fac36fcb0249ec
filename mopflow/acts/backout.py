"""What the rows of chapter 12 do: clicks on the Upgrade Manager, and on System Maintenance of 10.5 and 11.5."""

from __future__ import annotations

from mopflow.console.protocol import Act, Console, Intended, Operation
from mopflow.goals import server_to_start
from mopflow.here import Here


def start_backout(here: Here) -> None:
    """Initiate the backout of the server that is not active (12.3.3/2 and 5, 12.3.4/2 and 4, 12.3.5/2 and 8)."""
    intended = Intended(Act.INITIATE_BACKOUT, here.cluster.name, server_to_start(here))
    _console(here).advance(intended, shots=here.shots())


def fail_over_back(here: Here) -> None:
    """Fail over to the old release (12.3.3/3, 12.3.4/3, 12.3.5/3)."""
    _console(here).advance(Intended(Act.FAILOVER_TO_OLD, here.cluster.name), shots=here.shots())


def back_out_in_maintenance(here: Here) -> None:
    """Operations > Backout on the remaining server of the primary CMP (12.3.5/6)."""
    _console(here).operate(Operation.BACKOUT, [server_to_start(here)], shots=here.shots())


def cancel_forced_standby(here: Here) -> None:
    """Operations > Cancel Forced Standby on the remaining server of the primary CMP (12.3.5/7)."""
    _console(here).operate(Operation.CANCEL_FORCE_STANDBY, [server_to_start(here)], shots=here.shots())


def _console(here: Here) -> Console:
    return here.house.acting_console(here.leg.autonomy)
