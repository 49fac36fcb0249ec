"""Clusters that a person lets go on, forward or back, after speaking with Oracle (12.3.2).

The trouble that the hold has seen is accepted, by server and text exactly as the system showed it; anything else
holds again. A Zombie, and a state in which there is no next act, are never released: they must be mended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mopflow import rules
from mopflow.alarms import OPERATION_FAILED, Judged
from mopflow.errors import BadInput
from mopflow.ledger import Hold, Ledger
from mopflow.step import Refusal

if TYPE_CHECKING:
    from mopflow.eye import Reading

RELEASABLE = frozenset({"R8", "R9"})
_ITEM = "release-hold "  # of the confirmations; the cluster follows
TROUBLES = "troubles"  # of a hold's seen


def as_seen(found: Iterable[rules.Trouble]) -> list[dict[str, Any]]:
    """The trouble of a moment, as a hold keeps it."""
    return [{"server": t.server, "text": t.text, "can_be_released": t.can_be_released} for t in found]


@dataclass(frozen=True, slots=True)
class Decision:
    """Which holds end, and what is tolerated from now on."""

    holds: tuple[Hold, ...]
    accepted: tuple[tuple[str, str], ...]  # server and text


def decide(cluster: str, holds: Iterable[Hold]) -> Decision:
    """What a release of this cluster would do. Raises BadInput where it cannot be released."""
    mine = [hold for hold in holds if hold.cluster == cluster and hold.closed is None]
    stopped = [hold for hold in mine if hold.rule in RELEASABLE]
    if not stopped:
        others = ", ".join(f"{h.procedure}/{h.step} ({h.rule or 'no rule'})" for h in mine)
        raise BadInput(
            f"{cluster} has no hold of {' or '.join(sorted(RELEASABLE))} that could be released"
            + (f"; it is held at {others}: mend the cause and start the command again" if mine else "")
        )
    seen = [one for hold in stopped for one in hold.seen.get(TROUBLES, ())]
    never = sorted({one["text"] for one in seen if not one["can_be_released"]})
    if never:
        raise BadInput(
            f"{cluster} cannot be released: {'; '.join(never)}. No act of ours is allowed in that state; have it "
            "repaired, then start the upgrade or the backout again: it looks at the live system anew"
        )
    return Decision(tuple(stopped), tuple(dict.fromkeys((one["server"], one["text"]) for one in seen)))


def release(
    ledger: Ledger, site: str, cluster: str, by: str, reason: str, ticket: str, source: str = "person"
) -> Decision:
    """Enter the word of a person and end the holds. Raises BadInput where the cluster cannot be released."""
    decision = decide(cluster, ledger.holds(site))
    # what was released before and still stands stays accepted
    tolerated = dict.fromkeys((*sorted(accepted(ledger, site, cluster)), *decision.accepted))
    word = {
        "reason": reason,
        "ticket": ticket,
        "holds": [hold.id for hold in decision.holds],
        "accepted": [list(key) for key in tolerated],
    }
    # the word first: were we to die between the two, the hold would still stand and the next try would end it
    ledger.confirm(site, _ITEM + cluster, by, json.dumps(word, ensure_ascii=False), source)
    for hold in decision.holds:
        ledger.close_hold(hold.id, f"released by {by}: {reason}" + (f" ({ticket})" if ticket else ""))
    return decision


def accepted(ledger: Ledger, site: str, cluster: str) -> frozenset[tuple[str, str]]:
    """Server and text of the trouble that a person has accepted on this cluster."""
    word = ledger.confirmation(site, _ITEM + cluster)
    if word is None:
        return rules.NO_TROUBLE
    return frozenset((server, text) for server, text in json.loads(word.text)["accepted"])


def said_at(ledger: Ledger, site: str, cluster: str) -> datetime | None:
    """When a person last released this cluster."""
    word = ledger.confirmation(site, _ITEM + cluster)
    return word.at if word is not None else None


def trouble(ledger: Ledger, site: str, reading: Reading, cluster: str) -> Refusal | None:
    """R8: what stops this cluster now and was not released. The ledger is asked only when something stands."""
    state, judged = reading.state(cluster), reading.alarms_on(cluster)
    if rules.trouble(state, judged) is None:
        return None
    return rules.trouble(state, judged, accepted(ledger, site, cluster))


def without_released(ledger: Ledger, site: str, judged: Iterable[Judged]) -> list[Judged]:
    """These alarms but the UPGRADE_OPERATION_FAILED ones that were released with the rest of the trouble (R15)."""
    return [item for item in judged if not _is_released(ledger, site, item)]


def _is_released(ledger: Ledger, site: str, item: Judged) -> bool:
    if item.alarm.number != OPERATION_FAILED or item.cluster is None:
        return False
    return (item.alarm.source, item.alarm.text) in accepted(ledger, site, item.cluster)
