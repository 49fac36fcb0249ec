"""What a record is made from: the ledger of one campaign, and the files in its folder. The only reading for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mopflow.errors import BadInput
from mopflow.ledger import (
    Campaign,
    CheckOutcome,
    CheckResult,
    Confirmation,
    Evidence,
    Executor,
    Hold,
    HoldAnswer,
    Ledger,
    Row,
    StopRequest,
)
from mopflow.record import readings
from mopflow.record.commands import commands_of
from mopflow.record.folder import COMMANDS, READINGS
from mopflow.record.readings import Seen

Strike = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything of one campaign, oldest first."""

    campaign: Campaign
    rows: tuple[Row, ...]
    executors: tuple[Executor, ...]
    holds: tuple[Hold, ...]
    answers: Mapping[str, HoldAnswer]  # by hold
    evidence: tuple[Evidence, ...]
    overrides: tuple[CheckResult, ...]
    confirmations: tuple[Confirmation, ...]
    stops: tuple[StopRequest, ...]
    snapshot: tuple[datetime, Mapping[str, Any]] | None
    seen: Seen = field(default_factory=Seen)
    commands: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)  # by executor


def folder_name(campaign: str) -> str:
    """As the evidence store names the folder of a campaign."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", campaign).lstrip(".")[:100] or "_"


def campaign_of(ledger: Ledger, site: str, wanted: str | None) -> Campaign:
    """The campaign that is meant; the newest when none is named. Raises BadInput when there is none such."""
    known = ledger.campaigns(site)
    if not known:
        raise BadInput(f"the ledger has no campaign of {site}: nothing was done yet")
    if wanted is None:
        return known[-1]
    for one in known:
        if one.id == wanted:
            return one
    raise BadInput(
        f"the ledger has no campaign {wanted} of {site}; it has {', '.join(one.id for one in known)}"
    )


def gather(ledger: Ledger, campaign: Campaign, folder: Path) -> Sources:
    """Read it all. ``folder``: that of the record. Raises LedgerUnavailable."""
    site = campaign.site
    holds = ledger.holds(site, campaign=campaign.id, open_only=False)
    executors = [one for one in ledger.executors(site) if one.campaign == campaign.id]
    given = {hold.id: ledger.answer_to(hold.id) for hold in holds}
    return Sources(
        campaign=campaign,
        rows=tuple(ledger.rows(campaign=campaign.id)),
        executors=tuple(executors),
        holds=tuple(holds),
        answers={hold: answer for hold, answer in given.items() if answer is not None},
        evidence=tuple(ledger.evidence(campaign.id)),
        overrides=tuple(one for one in ledger.all_checks(site) if one.outcome is CheckOutcome.OVERRIDDEN),
        confirmations=tuple(ledger.confirmations(site)),
        stops=tuple(ledger.stops(site)),
        snapshot=ledger.snapshot(site),
        seen=readings.read(folder / READINGS),
        commands={
            path.stem: tuple(commands_of(path)) for path in sorted((folder / COMMANDS).glob("*.jsonl"))
        },
    )


def struck(value: Any, strike: Strike) -> Any:
    """`value` with the secrets struck from every text in it."""
    if isinstance(value, str):
        return strike(value)
    if isinstance(value, Mapping):
        return {strike(str(key)): struck(item, strike) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [struck(item, strike) for item in value]
    return value
