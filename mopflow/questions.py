"""What a hold asks of a person, and what of the system the question rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mopflow.ledger import Choice, Hold, HoldKind
from mopflow.site import AutonomyKind
from mopflow.step import Refusal

if TYPE_CHECKING:
    from mopflow.eye import Reading
    from mopflow.here import Here

APPROVE = "approve"  # the rule of a hold that asks whether an act may be done
CONFIRM = "confirm"  # the rule of a hold that waits for a person to confirm something
WINDOW = "window"  # the rule of a hold past a cluster's latest start; `window:SCOPE` is the item to confirm
ITEM = "item to confirm"  # of a step's memo: the item, and what has to be typed with it
_TYPED = frozenset({AutonomyKind.CMP_SWITCH, AutonomyKind.FIRST_FAILOVER, AutonomyKind.BACKOUT})


@dataclass(frozen=True, slots=True)
class Question:
    """What a hold asks of a person."""

    kind: HoldKind = HoldKind.TROUBLE
    choices: tuple[Choice, ...] = (Choice.AGAIN, Choice.LEAVE)
    typed: str | None = None
    asked: Mapping[str, Any] | None = None


def of(here: Here, refusal: Refusal) -> Question:
    """The question of a hold with this refusal."""
    if refusal.rule == APPROVE:
        return may_act(here)
    item = here.memo.get(ITEM)
    if refusal.rule in (CONFIRM, WINDOW) and item is not None:
        return may_confirm(*item)
    return Question()


def may_act(here: Here) -> Question:
    """The question whether this step's leg may act on its cluster now."""
    typed = here.scope.cluster if here.leg.autonomy in _TYPED else None
    asked = {"leg": here.leg.name, "system": picture(here.reading, here.scope.cluster)}
    return Question(HoldKind.QUESTION, (Choice.GO, Choice.LEAVE), typed, asked)


def may_confirm(item: str, typed: str | None) -> Question:
    """The question whether a person confirms this item (4.1, 12.2, a start past the latest one)."""
    return Question(HoldKind.QUESTION, (Choice.GO, Choice.LEAVE), typed, {"item": item})


def picture(reading: Reading, cluster: str | None) -> dict[str, list[str]]:
    """What a question about a cluster rests on: role, release and operation of its servers."""
    state = reading.states.get(cluster or "")
    if state is None:
        return {}
    return {
        server.name: [server.role.value, str(server.release or "?"), server.operation.doing.value]
        for server in state.servers
    }


def changed(row: Hold, reading: Reading) -> str | None:
    """How the system differs from what a question rests on; None when it does not."""
    asked = row.asked.get("system")
    if not asked:
        return None
    now = picture(reading, row.cluster)
    differs = [
        f"{name} was {' '.join(before)}, is {' '.join(now.get(name, ['not shown']))}"
        for name, before in asked.items()
        if now.get(name) != before
    ]
    return "; ".join(differs) or None
