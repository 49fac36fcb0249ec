"""The ledger: journal, holds, leases, board and evidence of every campaign, in SQLite or PostgreSQL."""

from __future__ import annotations

from mopflow.ledger.ledger import Ledger
from mopflow.ledger.records import (
    BoardLine,
    Campaign,
    CheckOutcome,
    CheckResult,
    Choice,
    Confirmation,
    Entry,
    Event,
    Evidence,
    Executor,
    Hold,
    HoldAnswer,
    HoldKind,
    Lease,
    Notice,
    Row,
    StopRequest,
)

__all__ = [
    "BoardLine",
    "Campaign",
    "CheckOutcome",
    "CheckResult",
    "Choice",
    "Confirmation",
    "Entry",
    "Event",
    "Evidence",
    "Executor",
    "Hold",
    "HoldAnswer",
    "HoldKind",
    "Lease",
    "Ledger",
    "Notice",
    "Row",
    "StopRequest",
]
