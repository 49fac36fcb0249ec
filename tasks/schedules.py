"""The runs of the preparation as schedules of the deployment `prepare`, one for each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import RRuleSchedule
from prefect.exceptions import ObjectNotFound

from mopflow.errors import BadInput
from mopflow.windows import DueRun

DEPLOYMENT = "prepare/prepare"


class Did(StrEnum):
    MADE = "made"
    MOVED = "moved"
    KEPT = "as it was"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    key: str
    did: Did
    at: str  # UTC, ISO 8601; "" for one that is gone


def arrange(runs: Sequence[DueRun], prefix: str, site_path: str) -> list[Change]:
    """Make the schedules of this site those of ``runs``; schedules of other sites are left alone.

    Raises BadInput when the deployment is not there, and what Prefect's client raises.
    """
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT).id
        except ObjectNotFound:
            raise BadInput(
                f"Prefect's server has no deployment {DEPLOYMENT}; make it with: prefect --no-prompt deploy --all"
            ) from None
        there = {
            schedule.slug: schedule
            for schedule in client.read_deployment_schedules(deployment)
            if schedule.slug is not None and schedule.slug.startswith(prefix)
        }
        changes = [_arrange(client, deployment, run, there.pop(run.key, None), site_path) for run in runs]
        for key, old in there.items():
            client.delete_deployment_schedule(deployment, old.id)
            changes.append(Change(str(key), Did.REMOVED, ""))
        return changes


def _arrange(
    client: SyncPrefectClient, deployment: UUID, run: DueRun, old: DeploymentSchedule | None, site_path: str
) -> Change:
    wanted = _once(run.at)
    parameters = {"site": site_path}
    did = Did.MADE
    if old is not None:
        if old.active and old.parameters == parameters and _rule(old) == wanted.rrule:
            return Change(run.key, Did.KEPT, run.at.isoformat())
        client.delete_deployment_schedule(deployment, old.id)  # and with it the runs that it has planned
        did = Did.MOVED
    client.create_deployment_schedules(
        deployment,
        [DeploymentScheduleCreate(schedule=wanted, active=True, parameters=parameters, slug=run.key)],
    )
    return Change(run.key, did, run.at.isoformat())


def _rule(schedule: DeploymentSchedule) -> str:
    return schedule.schedule.rrule if isinstance(schedule.schedule, RRuleSchedule) else ""


def _once(at: datetime) -> RRuleSchedule:
    return RRuleSchedule(rrule=f"DTSTART:{at:%Y%m%dT%H%M%S}\nRRULE:FREQ=DAILY;COUNT=1", timezone="UTC")
