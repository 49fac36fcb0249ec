"""One real Prefect server for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.prefect_server import PrefectServer


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with its own home; its `environment()` is for processes that speak to it."""
    base: Path = tmp_path_factory.mktemp("prefect")
    with PrefectServer() as server:
        server.start(base / "home", base / "server.log")
        yield server


@pytest.fixture(scope="session")
def in_prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """This process, too, speaks to the server: for tests that call flows and clients themselves."""
    from prefect.context import refresh_global_settings_context

    from tasks.logs import send_the_rest

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        for name, value in prefect_server.environment().items():
            patch.setenv(name, value)
        refresh_global_settings_context()  # Prefect may have been imported, and so read its settings, before
        yield prefect_server
        send_the_rest()
    refresh_global_settings_context()
