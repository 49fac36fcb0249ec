"""A test that needed its second try is a finding: how its first one failed is shown at the end."""

from __future__ import annotations

import pytest
import shown


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` looks for tests with these markers in these folders only."""
    homes = {"e2e": "tests/e2e", "browser": "tests/twin", "twin": "tests/twin"}
    for item in items:
        home = next((folder for marker, folder in homes.items() if item.get_closest_marker(marker)), "tests")
        if not item.path.is_relative_to(item.config.rootpath / home):
            raise pytest.UsageError(f"{item.nodeid}: by its markers it belongs into {home}")


def pytest_configure() -> None:
    shown.RECORDER.install()


def pytest_sessionfinish() -> None:
    shown.RECORDER.write()
