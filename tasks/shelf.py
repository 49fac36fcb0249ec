"""Pages as Prefect's artifacts of one run: each is made once and then kept current in its place."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from mopflow.board_pages import Form, Page

AWAY = (PrefectException, httpx.HTTPError, OSError)  # what a server that is away looks like
TIMEOUT = 10.0  # seconds for one request


class Shelf:
    """Puts pages to a run in Prefect. For one thread: it has a client and settings of its own.

    A request is tried once: Prefect's own retries would wait for a minute, and the next round is seconds away.
    """

    def __init__(self, flow_run: UUID) -> None:
        self._flow_run = flow_run
        self._made: dict[str, UUID] = {}
        self._settings = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0})

    def __enter__(self) -> Self:
        self._settings.__enter__()
        # with settings of its own it is not the client that the run's own thread has and closes
        self._client = get_client({"timeout": TIMEOUT}, sync_client=True).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, trace)
        self._settings.__exit__(kind, error, trace)

    def put(self, page: Page, task_run: UUID | None = None) -> None:
        """Show the page as it is now. Raises one of `AWAY` when it could not be shown."""
        data: Any = json.dumps(page.content) if page.form is Form.TABLE else page.content
        made = self._made.get(page.key)
        if made is not None and self._update(made, ArtifactUpdate(data=data, description=page.title)):
            return
        artifact = ArtifactCreate(
            key=page.key,
            type=page.form.value,
            description=page.title,
            data=data,
            flow_run_id=self._flow_run,
            task_run_id=task_run,
        )
        self._made[page.key] = self._client.create_artifact(artifact).id

    def _update(self, made: UUID, update: ArtifactUpdate) -> bool:
        """False when Prefect does not know this artifact: its database was made anew."""
        try:
            self._client.update_artifact(made, update)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return False
            raise
        return True
