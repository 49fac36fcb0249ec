"""Questions of the rows that 10.5, 11.5 and 12.0 do in the old way: scripts, forced standby, System Maintenance.

These acts leave no line in an Upgrade Log. After a lost answer the trace is the server on the console: its role and
its cell Upgrade Operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mopflow import rules
from mopflow.goals import (
    after_settling,
    begun,
    is_released,
    mate_reachable,
    no_success,
    past,
    stopping_reasons,
    trouble_shown,
    unexplained,
)
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.step import DeadlineKind, Finding, Refusal
from mopflow.system import Doing, Role, ServerState, Stage
from mopflow.turning import just_turned

COMPLETED = "upgrade was completed"  # 6.1.1/10: any other end is for Oracle
_UNREADABLE = (Stage.MOVING, Stage.ODD)


# 6.1.1/8, 7.1.1/7, 8.1.1/8


def pushed(here: Here) -> Finding:
    """The scripts were pushed in this campaign, and had the minute that the document gives them."""
    state = here.state
    if begun(state):
        return past(state)
    if state.stage in _UNREADABLE or state.stage.is_back:
        return Finding.unknown(state.why)
    answered = here.rows(Event.ACTED, leg=here.leg.name)
    if not answered:
        return Finding.no("the scripts were not pushed in this campaign")
    ago = datetime.now(UTC) - answered[-1].at
    if ago < timedelta(seconds=here.site.pace.minute):
        return Finding.no("the scripts were pushed, they get their minute")
    return Finding.yes(f"pushed at {answered[-1].at:%H:%M:%S} UTC, the page answered that it was successful")


def push_late(here: Here) -> datetime:
    """Patience counts from the answer, for only then the minute begins."""
    acts = here.rows(Event.INTENDED, Event.ACTED, leg=here.leg.name)
    since = acts[-1].at if acts else datetime.now(UTC)
    return since + timedelta(seconds=here.site.pace.minute) + here.late(DeadlineKind.SHORT)


# 6.1.1/9


def forced(here: Here) -> Finding:
    """The standby server of the primary CMP is in forced standby (or past that)."""
    state = here.state
    if begun(state):
        return past(state)
    if state.stage is Stage.FORCED and state.other is not None:
        if state.other.role is Role.FORCED_STANDBY:
            return Finding.yes(state.why)
        return Finding.unknown(state.why)
    if state.stage in _UNREADABLE or state.stage.is_back:
        return Finding.unknown(state.why)
    return Finding.no(state.why)


def may_force(here: Here) -> Iterable[Refusal]:
    """R5, R7, R9: a pair at its beginning, the server to force is standby and in sync."""
    yield from _may_start(here, Stage.FRESH)


# 6.1.1/10


def ended(here: Here) -> Finding:
    """The upgrade of the forced standby server is over and brought the target release."""
    state = here.state
    if state.stage.order >= Stage.FIRST_DONE.order:
        return past(state) if state.stage is not Stage.FIRST_DONE else Finding.yes(state.why)
    if state.stage in _UNREADABLE or state.stage.is_back:
        return Finding.unknown(state.why)
    return Finding.no(state.why)


def says_completed(here: Here) -> Finding:
    """The status message is that of the document; with another one: stop here and contact Oracle (R8, 12.3.2)."""
    here.memo["rule"] = "R8"
    state = here.state
    if state.stage.order > Stage.FIRST_DONE.order:
        return past(state)
    server = state.other
    if state.stage is not Stage.FIRST_DONE or server is None:
        return Finding.unknown(state.why)
    if server.operation.doing is Doing.SUCCEEDED and COMPLETED in server.operation.text.lower():
        return Finding.yes(f"{server.name}: {server.operation.text}")
    if is_released(here, server):
        return Finding.yes(f"{server.name}: {server.operation.text}; a person has released it as it is")
    return no_success(
        here, server, f"does not say {COMPLETED!r}: stop here and contact Oracle (partially upgraded)"
    )


def message_late(here: Here) -> datetime:
    """An empty cell may be filled yet; another message is final."""
    server = here.state.other
    if server is not None and server.operation.doing not in (Doing.NOTHING, Doing.RUNNING):
        return datetime.min.replace(tzinfo=UTC)
    begun_at: datetime = here.memo.setdefault("message awaited since", datetime.now(UTC))
    return begun_at + here.late(DeadlineKind.SHORT)


def may_start_forced(here: Here) -> Iterable[Refusal]:
    """R5, R7, R9: only a server in forced standby, whose mate is active."""
    yield from _may_start(here, Stage.FORCED)


def _may_start(here: Here, at: Stage) -> Iterable[Refusal]:
    cluster, states = here.cluster, here.states
    yield from rules.stopped(cluster, stopping_reasons(here))
    yield from trouble_shown(here)
    yield from rules.order(here.site, cluster, states)
    yield from rules.start(here.site, cluster, states, here.state.other, at=(at,))
    yield from just_turned(here)
    yield from unexplained(here)


# 6.1.1/11 and 13


def in_sync(here: Here) -> Finding:
    """R9 on 10.5 and 11.5: no server of the cluster has the Sync Broken mark."""
    broken = [server.name for server in here.state.servers if server.sync_broken]
    if broken:
        return Finding.no(f"Sync Broken mark on {', '.join(broken)}: do not continue")
    return Finding.yes(f"no Sync Broken mark in {here.cluster.name}")


def upgraded_and_forced(here: Here) -> Finding:
    """6.1.1/11: Running Release is the target's, the role is still Forced Standby, no Sync Broken mark."""
    here.memo["rule"] = "R9"
    state = here.state
    if state.stage.order > Stage.FIRST_DONE.order:
        return past(state)
    if state.stage is not Stage.FIRST_DONE or state.other is None:
        return Finding.unknown(state.why) if state.stage in _UNREADABLE else Finding.no(state.why)
    if state.other.role is not Role.FORCED_STANDBY:
        here.memo["rule"] = "R6"
        return Finding.no(f"{state.other.name} is {state.other.role}, expected Forced Standby as before")
    synced = in_sync(here)
    return Finding(synced.answer, f"{state.why}; {synced.evidence}")


def may_switch(here: Here) -> Iterable[Refusal]:
    """R4, R5, R6, R9 before Switch ForceStandby."""
    cluster, states = here.cluster, here.states
    yield from rules.stopped(cluster, stopping_reasons(here))
    yield from trouble_shown(here)
    yield from rules.order(here.site, cluster, states)
    yield from rules.failover(here.site, cluster, states, here.alarms, in_sync(here), mate_reachable(here))
    mate = here.state.other
    if mate is not None and mate.role is Role.STANDBY:  # the old page never prints Standby for a forced one
        yield Refusal("R6", f"{mate.name} is Standby, not in forced standby")
    yield from just_turned(here)
    yield from unexplained(here)


# traces of acts whose answer was lost


def server_mark(here: Here) -> Mapping[str, Any]:
    """Written with the intention: how the console shows the server that the act is for."""
    server = here.state.other
    return {"server": server.name, **_look_of(server)} if server is not None else {}


def _look_of(server: ServerState) -> dict[str, str]:
    return {"role": server.role.value, "cell": server.operation.text, "release": str(server.release)}


def server_trace(here: Here) -> Finding:
    """Force Standby, Start Upgrade: does the console show the server otherwise than before the act?"""
    return _changed(here) or after_settling(here, _asked_at(here), "the server is shown as before the act")


def switch_trace(here: Here) -> Finding:
    """Switch ForceStandby is undone by a second one: that it was not run is believed only after long.

    That is half of the time after which it is late: by default five times what a switch takes.
    """
    changed = _changed(here)
    if changed is not None:
        return changed
    if datetime.now(UTC) - _asked_at(here) < here.late(DeadlineKind.FAILOVER) / 2:
        return Finding.unknown("the servers are shown as before the switch yet")
    return Finding.no(
        "the servers are shown as before the switch, long after it was asked for: it was not run"
    )


def _asked_at(here: Here) -> datetime:
    return here.rows(Event.INTENDED, leg=here.leg.name)[-1].at


def _changed(here: Here) -> Finding | None:
    entry = here.rows(Event.INTENDED, leg=here.leg.name)[-1].entry
    server = next((s for s in here.state.servers if s.name == entry.server), None)
    if server is None:
        return Finding.unknown(f"the console does not show {entry.server}")
    before = {key: str(entry.data.get(key)) for key in ("role", "cell", "release")}
    if _look_of(server) != before:
        return Finding.yes(
            f"{server.name} is {server.role} on {server.release}, {server.operation.text!r} now"
        )
    return None
