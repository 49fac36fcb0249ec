"""A hold as a paused Prefect run with a form; the ledger is where its answers meet.

The flow run of the cluster is set to Paused and stays in this process, which looks for an answer in the ledger (the
command line) and in Prefect (the form). Prefect's own `pause_flow_run` fails the run when its time is over; here an
expired pause is put anew.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
from prefect import State
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.input.run_input import Keyset, RunInput, keyset_from_base_key
from prefect.states import Paused, Running
from pydantic import Field, create_model

from mopflow import answers
from mopflow.errors import BadInput, LedgerUnavailable
from mopflow.ledger import Hold, HoldAnswer, Ledger
from tasks.context import struck
from tasks.shelf import AWAY

log = logging.getLogger("mopflow.asking")

PAUSE = 24 * 3600.0  # seconds until a pause is put anew
PREFECT = "Prefect"  # through which an answer came


class PrefectAsker:
    """Puts holds before people: as the paused flow run in whose thread it is called. ``every``: seconds per look."""

    def __init__(
        self, ledger: Ledger, *, every: float = 1.0, pause: float = PAUSE, allowed: Collection[str] = ()
    ) -> None:
        self._ledger = ledger
        self._allowed = allowed
        self._every = every
        self._pause = pause

    def wait(self, row: Hold, over: Callable[[], bool]) -> HoldAnswer | None:
        """See `mopflow.asking.Asker.wait`."""
        context = FlowRunContext.get()
        run = context.flow_run.id if context is not None and context.flow_run is not None else None
        pause = _Pause(run, row, self._pause, self._allowed) if run is not None else None
        try:
            while True:
                try:
                    answer = self._ledger.answer_to(row.id)
                    if answer is not None:
                        return answer
                    if self._ledger.hold(row.id).closed is not None or over():
                        return None
                    if pause is not None:
                        pause.look(self._ledger)
                except LedgerUnavailable as away:
                    log.warning("a hold waits for the ledger: %s", away)
                _tick(self._every)
        finally:
            if pause is not None:
                pause.end()

    def wait_until(self, over: Callable[[], bool]) -> None:
        """See `mopflow.asking.Asker.wait_until`."""
        while True:
            try:
                if over():
                    return
            except LedgerUnavailable as away:
                log.warning("what others do cannot be seen: %s", away)
            _tick(self._every)


def _tick(seconds: float) -> None:
    """Answers come from other processes: the ledger and Prefect can only be looked at."""
    threading.Event().wait(seconds)


class _Pause:
    """The pause of one flow run for one hold."""

    def __init__(self, run: UUID, row: Hold, seconds: float, allowed: Collection[str]) -> None:
        self._allowed = allowed
        self._run = run
        self._row = row
        self._seconds = seconds
        self._keys: Keyset | None = None
        self._until = 0.0
        self._told = False
        self._mistakes = ""

    def look(self, ledger: Ledger) -> None:
        """Put the pause where none stands, and take an answer out of the form."""
        try:
            with _client() as client:
                if self._keys is None or time.monotonic() > self._until:
                    self._put(client)
                    return
                state = client.read_flow_run(self._run).state
                if state is not None and state.is_paused():
                    return
                response = _response(client, self._run, self._keys)
                if response is not None:
                    self._take(ledger, response)
                self._put(client)
                self._told = False
        except AWAY as away:
            if not self._told:
                self._told = True
                log.warning(
                    "Prefect's server cannot be asked (%s); hold %s can be answered by the command line",
                    type(away).__name__,
                    self._row.id,
                )

    def end(self) -> None:
        """Let the run go on."""
        if self._keys is None:
            return
        try:
            with _client() as client:
                state = client.read_flow_run(self._run).state
                if state is not None and state.type is StateType.PAUSED:
                    client.set_flow_run_state(self._run, Running(), force=True)
        except AWAY as away:
            log.warning("the run stays shown as paused until it ends: %s", type(away).__name__)

    def _put(self, client: SyncPrefectClient) -> None:
        key = f"{self._row.id}-{uuid4().hex[:6]}"
        keys = keyset_from_base_key(f"paused-{key}")
        model = form(self._row)
        # the form first: a pause without one could be resumed without an answer
        client.create_flow_run_input(
            flow_run_id=self._run,
            key=keys["schema"],
            value=json.dumps(model.model_json_schema(by_alias=True)),
        )
        client.create_flow_run_input(
            flow_run_id=self._run,
            key=keys["description"],
            value=json.dumps(description(self._row, self._mistakes)),
        )
        state: State[Any] = Paused(timeout_seconds=int(self._seconds), pause_key=key)
        state.message = struck(answers.question(self._row))
        state.state_details.run_input_keyset = {str(name): key for name, key in keys.items()}
        client.set_flow_run_state(self._run, state, force=True)
        self._keys = keys
        self._until = time.monotonic() + self._seconds * 0.95

    def _take(self, ledger: Ledger, response: dict[str, Any]) -> None:
        try:
            given = answers.Given(
                choice=str(response.get("choice", "")),
                by=str(response.get("name", "")),
                why=str(response.get("why", "")),
                typed=str(response.get("typed", "")),
            )
            earlier = answers.give(ledger, self._row, given, PREFECT, self._allowed)
        except BadInput as wrong:
            self._mistakes = str(wrong)
            return
        if earlier is not None:
            log.warning("hold %s had its answer from %s already", self._row.id, earlier.by)


def form(row: Hold) -> type[RunInput]:
    """The form of a hold. No field that decides has a default."""
    fields: dict[str, Any] = {
        "choice": (
            Literal[tuple(str(choice) for choice in row.choices)],
            Field(
                title="Answer",
                description="; ".join(f"{choice}: {answers.MEANINGS[choice]}" for choice in row.choices),
            ),
        ),
        "name": (str, Field(min_length=2, title="Your name", description="The record keeps it.")),
    }
    if row.typed is not None:
        fields["typed"] = (
            str,
            Field(title=f"Type the name: {row.typed}", description=f"To say that you mean {row.typed}."),
        )
    fields["why"] = (str, Field(default="", title="Why", description="Reason, or ticket number."))
    model: type[RunInput] = create_model("Answer", __base__=RunInput, **fields)
    return model


def description(row: Hold, mistakes: str = "") -> str:
    """What stands above the form, as Markdown."""
    seen = str(row.seen.get("evidence", "")).strip()
    parts = [
        f"**{answers.question(row)}**",
        f"Not accepted: {mistakes}" if mistakes else "",
        f"Seen: {seen}" if seen and seen != row.reason else "",
        f"What to do: {row.remedy}",
        f"Hold {row.id}, since {row.opened:%Y-%m-%d %H:%M:%S} UTC. It never expires.",
    ]
    return struck("\n\n".join(part for part in parts if part))


def _client() -> SyncPrefectClient:
    return get_client(httpx_settings={"timeout": 15}, sync_client=True)


def _response(client: SyncPrefectClient, run: UUID, keys: Keyset) -> dict[str, Any] | None:
    try:
        text = client.read_flow_run_input(run, keys["response"])
    except httpx.HTTPStatusError as error:
        if error.response.status_code == 404:
            return None
        raise
    found = json.loads(text)
    return found if isinstance(found, dict) else None
