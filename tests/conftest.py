"""A second try is a finding, and shown at the end; so is every goal that no test has shown whole (--traces)."""

from __future__ import annotations

from typing import Any

import pytest
import shown

TRACES = pytest.StashKey[list[str]]()  # what is missing; only with --traces, and not in a worker of xdist


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--traces",
        action="store_true",
        help="fail unless every goal of every numbered row was seen to answer no before its act, yes after it, and "
        "unknown on unreadable input",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` looks for tests with these markers in these folders only."""
    homes = {"e2e": "tests/e2e", "browser": "tests/twin", "twin": "tests/twin"}
    for item in items:
        home = next((folder for marker, folder in homes.items() if item.get_closest_marker(marker)), "tests")
        if not item.path.is_relative_to(item.config.rootpath / home):
            raise pytest.UsageError(f"{item.nodeid}: by its markers it belongs into {home}")


def pytest_configure() -> None:
    shown.RECORDER.install()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of xdist has ended; one that crashed has told nothing, and what it had seen counts as not shown."""
    shown.RECORDER.take(getattr(node, "workeroutput", {}).get("shown", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["shown"] = shown.RECORDER.rows()
    elif session.config.getoption("--traces"):
        gaps = list(shown.missing(shown.RECORDER.seen))
        session.config.stash[TRACES] = gaps
        if gaps and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    gaps = config.stash.get(TRACES, [])
    if gaps:
        terminalreporter.section(f"{len(gaps)} goals that these tests have not shown whole")
        for line in gaps:
            terminalreporter.write_line(line)
