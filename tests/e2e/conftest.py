"""One real Prefect server for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from cli.prefect_server import PrefectServer


@pytest.hookimpl(trylast=True)  # after the selection by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The nights first, the longest of them at the head, each followed by a short test.

    A worker is given one test ahead: behind a long night, another long one would wait there while others are idle.
    """
    here = Path(__file__).parent
    ours = [item for item in items if item.path.is_relative_to(here)]
    nights = sorted((item for item in ours if _limit(item) > 300), key=_limit, reverse=True)
    short = [item for item in ours if item not in nights]
    pairs = zip_longest(nights, short)
    woven = iter([item for pair in pairs for item in pair if item is not None])
    items[:] = [next(woven) if item.path.is_relative_to(here) else item for item in items]


def _limit(item: pytest.Item) -> float:
    """Seconds after which it counts as hanging: more for what takes longer."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker is not None else 300.0


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
