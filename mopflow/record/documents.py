"""Rows, evidence and holds as the chain keeps them."""

from __future__ import annotations

from typing import Any

from mopflow.ledger import Evidence, Hold, HoldAnswer, Row
from mopflow.record.sources import Strike, struck


def path_of(one: Evidence) -> str:
    """Relative to the folder of the record; the ledger's path is relative to the store."""
    return one.path.split("/", 1)[-1]


def row_document(row: Row, strike: Strike) -> dict[str, Any]:
    """A row of the journal as the chain keeps it."""
    entry = row.entry
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "executor": row.executor,
        "procedure": entry.procedure,
        "step": entry.step,
        "leg": entry.leg,
        "cluster": entry.cluster,
        "event": entry.event.value,
        "text": strike(entry.text),
        "server": entry.server,
        "token": entry.token,
        "data": struck(entry.data, strike),
    }


def evidence_document(one: Evidence, here: bool) -> dict[str, Any]:
    """A file of the evidence as the chain keeps it. ``here``: False where it was kept on another machine."""
    return {
        "id": one.id,
        "path": path_of(one),
        "sha256": one.sha256,
        "size": one.size,
        "kind": one.kind,
        "at": one.at.isoformat(),
        "here": here,
    }


def hold_document(hold: Hold, answer: HoldAnswer | None, strike: Strike) -> dict[str, Any]:
    """A hold as the chain keeps it, each time that it has changed."""
    said = None
    if answer is not None:
        said = {
            "choice": answer.choice.value,
            "by": strike(answer.by),
            "why": strike(answer.why),
            "via": answer.via,
            "at": answer.at.isoformat(),
        }
    return {
        "id": hold.id,
        "kind": hold.kind.value,
        "procedure": hold.procedure,
        "step": hold.step,
        "cluster": hold.cluster,
        "rule": hold.rule,
        "reason": strike(hold.reason),
        "opened": hold.opened.isoformat(),
        "closed": hold.closed.isoformat() if hold.closed is not None else None,
        "closed_why": strike(hold.closed_why) if hold.closed_why is not None else None,
        "answer": said,
    }
