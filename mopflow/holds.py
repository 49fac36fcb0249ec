"""Holds: places where work waits for a person. A hold is a row of the ledger and never expires into anything."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NoReturn

from mopflow.errors import Held
from mopflow.ledger import Event, Hold
from mopflow.rules import FOLLOWS, trouble
from mopflow.step import Refusal
from mopflow.system import Stage

if TYPE_CHECKING:
    from mopflow.eye import Reading
    from mopflow.here import Here
    from mopflow.house import House

IN_THE_FAILOVER = frozenset({5, 7, 8})  # of 10.2: a failover whose end is open lets no other one begin (R4)
STOPPING = frozenset({"R8", "R11"})  # no new start and no failover anywhere until a person has answered

REMEDIES = {
    "R1": "finish the clusters that come first, then start this command again.",
    "R4": "see why the mate is not ready; when it is, start this command again.",
    "R8": "do not touch the cluster further; contact Oracle Support and report a partially upgraded cluster "
    "(12.3.2). When it is repaired, start this command again: it looks at the live system anew.",
    FOLLOWS: "answer the hold that stopped the work first, then start this command again.",
    "R9": "data replication of this cluster is not in sync: do not continue on it; contact Oracle Support.",
    "R10": "put exactly one image of the right type with the right checksum on each server that is named, "
    "then start this command again.",
    "R11": "the cluster runs the old release again. Decide whether to complete its backout (Continue Rollback in the "
    "Upgrade Manager) or to wait for Oracle; nothing else is started before.",
    "R15": "find out what the alarm means; clear its cause, or enter it under accepted_alarms in the site file with "
    "name and reason, then start this command again.",
    "R16": "see who chose another upgrade procedure, and why, before anything else is done.",
    "R17": "make the site file and the console agree, then start this command again.",
    "login": "set the right password where the site file names it, then start this command again. The refused one "
    "was not tried a second time.",
    "identity": "find out why the identity changed; only then renew the known host key or the CA file.",
}


def remedy_for(rule: str) -> str:
    return REMEDIES.get(
        rule, "look at the cluster in the Upgrade Manager; when it is clear, start this command again."
    )


def hold(here: Here, refusal: Refusal, seen: str = "") -> NoReturn:
    """Write the hold, tell people, and stop this cluster. Raises Held."""
    house = here.house
    remedy = remedy_for(refusal.rule)
    reason = house.vault.strike(refusal.reason)
    row = house.ledger.open_hold(
        site=house.site.name,
        campaign=house.campaign,
        cluster=here.scope.key,
        procedure=here.step.procedure,
        step=here.step.number,
        rule=refusal.rule,
        reason=reason,
        remedy=remedy,
        seen={"evidence": house.vault.strike(seen)},
    )
    here.record(Event.HELD, str(refusal) if refusal.rule else refusal.reason, data={"hold": row.id})
    house.finish_shots(here)
    house.notices.tell(
        f"HOLD {here.scope} at {here.step.key}",
        f"{house.site.name}: {here.step.key} {here.step.title}, {here.scope}\n{reason}\nTo do: {remedy}",
    )
    raise Held(row.id, f"{here.step.key} {here.scope}", reason, remedy)


def stopping(house: House) -> list[Hold]:
    """Open holds that forbid every new start and failover on this site (R8), or leave a failover open (R4)."""
    return [
        row
        for row in house.ledger.holds(house.site.name, open_only=True)
        if row.rule in STOPPING
        or (row.procedure == "10.2" and row.step in IN_THE_FAILOVER and row.rule != FOLLOWS)
    ]


def stop_if_stopped(here: Here) -> None:
    """Raises Held when another cluster stopped: nothing new is begun until a person has answered (R8)."""
    for row in stopping(here.house):
        if row.cluster != str(here.scope):
            hold(here, Refusal(FOLLOWS, f"{row.cluster} stopped at {row.procedure}/{row.step}: {row.reason}"))


def reconsider(house: House, reading: Reading, mine: Collection[str]) -> list[Hold]:
    """At the start of a run: close the holds whose reason is gone on the live system; return those that stay.

    A rollback (R11) stays until its cluster is on one release again; a stopped cluster (R8) until the trouble is
    gone. Everything else is looked at anew by the step that held. ``mine``: clusters and segment of this run; a hold
    of another scope stays unless its cluster is whole again, for another run may have just raised it.
    """
    staying = []
    for row in house.ledger.holds(house.site.name, open_only=True):
        state = reading.states.get(row.cluster or "")
        whole = state is not None and state.stage in (Stage.FRESH, Stage.DONE)
        if row.cluster not in mine and not whole:
            staying.append(row)
            continue
        why = "the run was started again, the step looks anew"
        if row.rule == "R11" and state is not None:
            if state.stage not in (Stage.FRESH, Stage.DONE):
                staying.append(row)
                continue
            why = f"{state.why}: on one release again"
        elif row.rule == "R8" and state is not None:
            refusal = trouble(state, reading.alarms_on(state.name))
            if refusal is not None:
                staying.append(row)
                continue
            why = f"the trouble is gone: {state.why}"
        house.ledger.close_hold(row.id, why)
    return staying
