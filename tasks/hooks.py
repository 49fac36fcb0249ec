"""A run that ended without a word is spoken for: state-change hooks of the flows that an operator starts.

Prefect calls them in the process of the run, or, when that was killed, in the worker that had started it. A run that
died together with its worker is seen by an automation of the server (`tasks.automations`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun
from prefect.utilities.urls import url_for

from blocks import read_secret
from mopflow import site_file
from mopflow.errors import MopflowError
from mopflow.house import NOTICES_END, ledger_url
from mopflow.ledger import Ledger
from mopflow.messages import Kind
from mopflow.notices import open_notices
from mopflow.secrets import Vault
from tasks.states import HELD

_log = logging.getLogger("mopflow.hooks")
_ROOT = Path(__file__).parents[1]  # what a deployment's relative path begins at
_SPOKEN: set[str] = set()  # flow runs of this process that told people themselves how they ended


def spoken_for(flow_run: str | None) -> None:
    """This run has told people how it ends."""
    if flow_run is not None:
        _SPOKEN.add(flow_run)


def speak(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell people of a run that failed, was cancelled or crashed and could not say so itself. Never raises."""
    part_of_another = flow_run.parent_task_run_id is not None
    if part_of_another or state.name == HELD or str(flow_run.id) in _SPOKEN:
        return
    try:
        _tell(flow.name, flow_run, state)
    except MopflowError as error:
        _log.warning("that %s ended as %s cannot be told to anybody: %s", flow.name, state.name, error)
    except Exception as error:  # noqa: BLE001  a hook is the last one who could still say something
        _log.error("a mistake in the program: %s", type(error).__name__, exc_info=error)


# what a flow that an operator starts gets: `@flow(..., **SPEAKS)`
SPEAKS: dict[str, Any] = {"on_failure": [speak], "on_crashed": [speak], "on_cancellation": [speak]}


def _tell(flow: str, flow_run: FlowRun, state: State[Any]) -> None:
    """Raises what stands between us and people: BadInput, SecretMissing, Unreachable, LedgerUnavailable."""
    path = _site_path(flow_run.parameters)
    site = site_file.load(path)
    vault = Vault(read_secret)
    with Ledger.open(ledger_url(site, path.parent)) as ledger:
        campaigns = ledger.campaigns(site.name)
        campaign = campaigns[-1].id if campaigns else None
        link = url_for("flow-run", obj_id=flow_run.id) or ""
        notices = open_notices(site, vault, ledger, campaign, lambda: link)
        try:
            words = [
                str(flow_run.parameters[key]) for key in ("segment", "scope") if flow_run.parameters.get(key)
            ]
            notices.tell(
                Kind.FAILURE,
                " ".join([flow, *words]),
                f"The run {flow_run.name} ended as {state.name} and could not say so itself: "
                f"{state.message or 'no reason is known'}",
                f"see what the system does now (mopflow status {path}); start the same command again: it looks at the "
                "live system and goes on at the right step. What was begun on a server goes on by itself meanwhile.",
            )
        finally:
            notices.close(NOTICES_END)


def _site_path(parameters: dict[str, Any]) -> Path:
    given = Path(str(parameters.get("site", "")))
    return given.resolve() if given.is_file() else (_ROOT / given).resolve()
