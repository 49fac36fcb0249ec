"""What Prefect's server does about runs that died and cannot speak for themselves: the automations, made from data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from mopflow.errors import BadInput

DEFINITIONS = Path(__file__).parents[1] / "deployments" / "automations.yaml"
BEATS = 2.5  # so many heartbeats may stay away before a run counts as dead
_NOTIFY = "send-notification"


class Did(StrEnum):
    MADE = "made"
    CHANGED = "changed"
    KEPT = "as it was"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    did: Did


def definitions(block: UUID | None, heartbeat: float) -> list[AutomationCore]:
    """The automations of `deployments/automations.yaml`.

    ``block``: the notification block that the server tells people through; None: it only marks the runs.
    ``heartbeat``: seconds between two heartbeats of a run.
    """
    document = yaml.safe_load(DEFINITIONS.read_text(encoding="utf-8"))
    return [_core(one, block, heartbeat) for one in _wanted(document["automations"], block)]


def _wanted(found: list[dict[str, Any]], block: UUID | None) -> list[dict[str, Any]]:
    return [one for one in found if block is not None or not _tells(one)]


def _tells(definition: Mapping[str, Any]) -> bool:
    return any(action["type"] == _NOTIFY for action in definition["actions"])


def _core(definition: Mapping[str, Any], block: UUID | None, heartbeat: float) -> AutomationCore:
    trigger = dict(definition["trigger"])
    if trigger["posture"] == "Proactive":
        trigger["within"] = BEATS * heartbeat
    actions = [
        {**action, "block_document_id": block} if action["type"] == _NOTIFY else action
        for action in definition["actions"]
    ]
    return AutomationCore.model_validate({**definition, "trigger": trigger, "actions": actions})


def arrange(block: str | None = None) -> list[Change]:
    """Make the server's automations those of `deployments/automations.yaml`, and say what was done. Safe to repeat.

    ``block``: `TYPE/NAME` of a notification block of Prefect, such as `slack-webhook/ops` or `custom-webhook/ops`;
    without one nobody is told by the server, and an automation that did is removed. The heartbeat is that of this
    machine's settings (PREFECT_FLOWS_HEARTBEAT_FREQUENCY), which must be the same wherever flows run.

    Raises BadInput when there is no such block, and what Prefect's client raises.
    """
    heartbeat = get_current_settings().flows.heartbeat_frequency
    if heartbeat is None:
        raise BadInput(
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY is unset: runs without heartbeats cannot be told from dead ones; set it "
            "to 30 or more seconds"
        )
    with get_client(sync_client=True) as client:
        wanted = definitions(_block_id(client, block) if block is not None else None, heartbeat)
        changes = [_arrange(client, one) for one in wanted]
        names = {one.name for one in wanted}
        for old in yaml.safe_load(DEFINITIONS.read_text(encoding="utf-8"))["automations"]:
            if old["name"] not in names:
                changes += [_removed(client, one) for one in client.read_automations_by_name(old["name"])]
        return changes


def _arrange(client: SyncPrefectClient, wanted: AutomationCore) -> Change:
    there = client.read_automations_by_name(wanted.name)
    if not there:
        client.create_automation(wanted)
        return Change(wanted.name, Did.MADE)
    first, *doubles = there
    for double in doubles:
        client.delete_automation(double.id)
    if _said(first) == _said(wanted):
        return Change(wanted.name, Did.CHANGED if doubles else Did.KEPT)
    client.update_automation(first.id, wanted)
    return Change(wanted.name, Did.CHANGED)


def _removed(client: SyncPrefectClient, old: Automation) -> Change:
    client.delete_automation(old.id)
    return Change(old.name, Did.REMOVED)


def _said(automation: AutomationCore) -> dict[str, Any]:
    """What it says, without what the server adds."""
    return automation.model_dump(include={"description", "enabled", "trigger", "actions"})  # sets stay sets


def _block_id(client: SyncPrefectClient, name: str) -> UUID:
    slug, _, document = name.rpartition("/")
    try:
        return client.read_block_document_by_name(document, slug, include_secrets=False).id
    except ObjectNotFound:
        raise BadInput(
            f"Prefect has no block {name}; name a notification block as TYPE/NAME, such as slack-webhook/ops (Blocks "
            "in Prefect's UI)"
        ) from None
