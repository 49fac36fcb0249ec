"""The one place where the command line calls a flow."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mopflow.errors import BadInput, Held, LedgerUnavailable, MopflowError, SecretMissing

if TYPE_CHECKING:
    from tasks.endings import ClusterEnding

_MODULES = {
    "upgrade-cmp": "flows.upgrade_cmp",
    "upgrade-segment": "flows.upgrade_segment",
    "post-check": "flows.post_check",
    "back-out": "flows.back_out",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """A flow that ended: the exit code, and what became of each of its parts (clusters, servers or rows).

    No part is named where the flow ended before its first one.
    """

    code: int
    parts: tuple[ClusterEnding, ...] = ()


def run_flow(name: str, **parameters: str | bool | None) -> Ran:
    """Run a flow in this process; how it ended.

    0: every goal holds on the live system. 3: ended safely with a hold or a rollback, each named on stderr with what
    a person should do. 1: an error, in one sentence on stderr.
    """
    from tasks.endings import parts_of
    from tasks.logs import quiet_terminal
    from tasks.states import error_of

    quiet_terminal()
    state = _flow(name)(**parameters, return_state=True)
    error = error_of(state)
    if error is None:
        summary = state.result()
        if summary.acts == 0:
            _say(f"{name}: nothing to do, every goal holds on the live system (campaign {summary.campaign})")
        else:
            _say(
                f"{name}: done with {summary.acts} acts, every goal holds on the live system (campaign {summary.campaign})"
            )
        return Ran(0, summary.clusters)
    if isinstance(error, Held):
        _tell_holds(error)
        return Ran(3, parts_of(error))
    if isinstance(error, (BadInput, SecretMissing, LedgerUnavailable, MopflowError)):
        _say(f"error: {error}")
        return Ran(1, parts_of(error))
    raise error


def _flow(name: str) -> Any:
    """Prefect is slow to import: only the module of this flow is."""
    module = import_module(_MODULES.get(name, "flows.prepare"))
    return getattr(module, name.replace("-", "_"))


def _tell_holds(error: Held) -> None:
    from tasks.endings import SomeHeld

    holds = (
        [e.error for e in error.endings if isinstance(e.error, Held)]
        if isinstance(error, SomeHeld)
        else [error]
    )
    for held in holds:
        _say(f"HELD at {held.where}\n  {held.reason}\n  To do: {held.remedy}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
