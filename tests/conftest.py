"""A test that needed its second try is a finding: how its first one failed is shown at the end."""

from __future__ import annotations

import pytest
import shown


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def pytest_configure() -> None:
    shown.RECORDER.install()


def pytest_sessionfinish() -> None:
    shown.RECORDER.write()
