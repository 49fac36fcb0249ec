"""Prefect's global concurrency limits of one site: the only module that asks the server for places.

The client's own retries are off: a request that is sent twice may take two places, and whoever waits for a place
asks again anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.client.schemas.responses import ConcurrencyLimitWithLeaseResponse
from prefect.context import FlowRunContext, SettingsContext, get_settings_context
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from mopflow.errors import NoSlot
from mopflow.slots import Slot

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT = 15.0  # seconds for one answer
BUSY = (408, 429, 502, 503)  # SQLite behind Prefect answers 503 to writers that come at the same moment
FULL = 423
GONE = 410


BUSY_FOR = 15.0  # seconds in which a question that may be asked twice is asked again


class ServerAway(NoSlot):
    """Prefect's server did not answer, or was busy; the same question may be asked again."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Prefect's server does not answer: {why}")


class ServerBusy(ServerAway):
    """It answered that it cannot answer now."""


class Limits:
    """The limits `mopflow-<site>-<slot>`; thread-safe."""

    lease: float = 60.0  # seconds until a place falls free by itself; Prefect allows nothing shorter

    def __init__(self, site: str) -> None:
        self._site = site
        settings = get_settings_context()
        self._context = copy_context()
        self._context.run(
            SettingsContext(
                profile=settings.profile,
                settings=settings.settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0}),
            ).__enter__
        )
        self._closed = threading.Event()
        self._closing = ExitStack()
        # settings of its own, so that this is not the client of the flow run, which that closes
        self._client = self._closing.enter_context(
            get_client(
                httpx_settings={"timeout": TIMEOUT, "event_hooks": {"response": [_no_busy]}}, sync_client=True
            )
        )

    def name(self, slot: Slot) -> str:
        return f"mopflow-{self._site}-{slot}"

    def create(self) -> None:
        """Make the limits, or set them to their numbers. Raises NoSlot."""
        for slot in Slot:
            try:
                self._upsert(slot)
            except ObjectAlreadyExists:  # another run made it in the same moment
                self._upsert(slot)
            except ServerAway as away:
                raise NoSlot(f"the limit {self.name(slot)} cannot be made. {away}") from None

    def take(self, slot: Slot) -> UUID | None:
        """The id of a lease over one place, None when all are taken.

        Raises ServerAway, and NoSlot when the limit would not limit (missing, switched off, or set too high).
        """
        context = FlowRunContext.get()
        run = context.flow_run if context is not None else None
        try:
            answer = self._ask_once(
                self._client.increment_concurrency_slots_with_lease,
                names=[self.name(slot)],
                slots=1,
                mode="concurrency",
                lease_duration=self.lease,
                holder=ConcurrencyLeaseHolder(type="flow_run", id=run.id) if run is not None else None,
            )
        except httpx.HTTPStatusError as refused:
            if refused.response.status_code == FULL:
                return None
            raise NoSlot(
                f"{self.name(slot)}: Prefect's server answered {refused.response.status_code}"
            ) from None
        granted = ConcurrencyLimitWithLeaseResponse.model_validate(answer.json())
        try:
            wrong = "is missing" if not granted.limits else self._what_is_wrong(slot)
        except ServerAway:
            self._give_back_quietly(granted.lease_id)
            raise
        if wrong:
            self._give_back_quietly(granted.lease_id)
            raise NoSlot(
                f"the concurrency limit {self.name(slot)} {wrong}; nothing is started without it: "
                "start this command again, it sets the limit to what it must be"
            )
        return granted.lease_id

    def renew(self, lease: UUID) -> bool:
        """Whether the lease still stood. Raises ServerAway."""
        try:
            self._ask(self._client.renew_concurrency_lease, lease_id=lease, lease_duration=self.lease)
        except httpx.HTTPStatusError as refused:
            if refused.response.status_code == GONE:
                return False
            raise ServerAway(f"it answered {refused.response.status_code}") from None
        return True

    def give_back(self, lease: UUID) -> None:
        """A lease that is gone already is no error. Raises ServerAway."""
        try:
            self._ask(self._client.release_concurrency_slots_with_lease, lease_id=lease)
        except httpx.HTTPStatusError as refused:
            raise ServerAway(f"it answered {refused.response.status_code}") from None

    def in_use(self, slot: Slot) -> int:
        """How many places Prefect counts as taken. Raises ServerAway, NoSlot."""
        try:
            return int(
                self._ask(self._client.read_global_concurrency_limit_by_name, self.name(slot)).active_slots
            )
        except ObjectNotFound:
            raise NoSlot(f"the concurrency limit {self.name(slot)} is missing") from None

    def make_anew(self, slot: Slot) -> None:
        """Replace the limit by an empty one. Leases over the old one no longer count anywhere. Raises ServerAway."""
        with suppress(ObjectNotFound):  # somebody else did
            self._ask(self._client.delete_global_concurrency_limit_by_name, self.name(slot))
        try:
            self._upsert(slot)
        except ObjectAlreadyExists:
            self._upsert(slot)

    def close(self) -> None:
        """After this every question raises ServerAway."""
        self._closed.set()
        self._closing.close()

    def _upsert(self, slot: Slot) -> None:
        name = self.name(slot)
        self._ask(
            self._client.upsert_global_concurrency_limit_by_name, name, slot.limit, slot_decay_per_second=0
        )
        if not self._ask(self._client.read_global_concurrency_limit_by_name, name).active:
            self._ask(
                self._client.update_global_concurrency_limit, name, GlobalConcurrencyLimitUpdate(active=True)
            )

    def _what_is_wrong(self, slot: Slot) -> str:
        try:
            limit = self._ask(self._client.read_global_concurrency_limit_by_name, self.name(slot))
        except ObjectNotFound:
            return "is missing"
        if not limit.active:
            return "is switched off"
        if limit.limit > slot.limit:
            return f"is set to {limit.limit}, and at most {slot.limit} may be at work at one time"
        return ""

    def _give_back_quietly(self, lease: UUID) -> None:
        try:
            self.give_back(lease)
        except ServerAway:
            return  # it ends by itself after `lease` seconds

    def _ask(self, question: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """A question that may be asked twice. Raises as `_ask_once`."""
        until = time.monotonic() + BUSY_FOR
        while True:
            try:
                return self._ask_once(question, *args, **kwargs)
            except ServerBusy:
                if time.monotonic() > until or self._closed.wait(0.3):
                    raise

    def _ask_once(self, question: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Raises ServerAway, and what Prefect's client raises for an answer that refuses."""

        if self._closed.is_set():
            raise ServerAway("the run has ended")

        def asked() -> Any:
            return question(*args, **kwargs)

        try:
            found: R = self._context.copy().run(asked)
        except httpx.HTTPStatusError as refused:
            if refused.response.status_code >= 500:
                raise ServerAway(f"it answered {refused.response.status_code}") from None
            raise
        except (httpx.TransportError, OSError) as away:
            raise ServerAway(f"{type(away).__name__} {away}".strip()) from None
        return found


def _no_busy(response: httpx.Response) -> None:
    if response.status_code in BUSY:
        raise ServerBusy(f"it is busy ({response.status_code})")
