"""The entries of Operations in System Maintenance, and Push Script (6.1.1/8-10 and 13, 7.1.1/7, 9-10 and 13, 8.1.1/8)."""

from __future__ import annotations

from mopflow.console.protocol import Operation
from mopflow.errors import ActRefused
from mopflow.goals import server_to_start
from mopflow.here import Here

SUCCESS = "operation successful"


def push_scripts(here: Here) -> None:
    """To all servers of the topology. Raises ActRefused when the page does not answer that it was successful."""
    answer = _operate(here, Operation.PUSH_SCRIPTS, [server.name for server in here.site.servers])
    if SUCCESS not in answer.lower():
        raise ActRefused(f"Push Script was answered with {answer!r}")


def force_standby(here: Here) -> None:
    _operate(here, Operation.FORCE_STANDBY, [server_to_start(here)])


def start_upgrade(here: Here) -> None:
    _operate(here, Operation.START_UPGRADE, [server_to_start(here)])


def switch_force_standby(here: Here) -> None:
    """The forced standby server becomes active. The browser's session ends with it: the answer may be lost."""
    _operate(here, Operation.SWITCH_FORCE_STANDBY, [here.cluster.name])


def _operate(here: Here, operation: Operation, names: list[str]) -> str:
    return here.house.acting_console(here.leg.autonomy).operate(operation, names, shots=here.shots())
