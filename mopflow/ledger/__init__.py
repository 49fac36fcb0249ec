"""The ledger: journal, holds, leases, board and evidence of every campaign, in SQLite or PostgreSQL."""

from __future__ import annotations

from mopflow.ledger.ledger import Ledger
from mopflow.ledger.records import (
    BoardLine,
    Campaign,
    CheckOutcome,
    CheckResult,
    Confirmation,
    Entry,
    Event,
    Evidence,
    Executor,
    Hold,
    Lease,
    Notice,
    Row,
)

__all__ = [
    "BoardLine",
    "Campaign",
    "CheckOutcome",
    "CheckResult",
    "Confirmation",
    "Entry",
    "Event",
    "Evidence",
    "Executor",
    "Hold",
    "Lease",
    "Ledger",
    "Notice",
    "Row",
]
