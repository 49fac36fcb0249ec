"""Readiness as a page: what is ready, what is missing, who mends it, and until when each result keeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from mopflow.readiness import Check, Item, Readiness, Standing

_MENDERS = {
    Check.PREREQUISITES: "the engineer who plans the work",
    Check.CONSOLE: "the administrator of the CMP",
    Check.ALARMS: "the operator's network operations, with Oracle Support where the cause is not known",
    Check.KPIS: "the operator's network operations",
    Check.HEALTH: "who runs the servers (NTP, clocks, disks, accounts)",
    Check.PMAC: "the administrator of PM&C",
    Check.IMAGE: "the engineer who plans the work",
    Check.BACKUP: "the engineer, with who runs the backup repository",
    Check.SYSTEM_BACKUP: "the engineer, with who runs the backup repository",
    Check.PASSWORDS: "who keeps the passwords of root and admusr",
}


def mender(check: Check) -> str:
    """Who can mend it."""
    return _MENDERS[check]


def markdown(report: Readiness, file: str, now: datetime) -> str:
    """The page in Markdown: the verdict, a table server by check, then every item that does not count."""
    return "\n".join(_lines(report, file, now)) + "\n"


def _lines(report: Readiness, file: str, now: datetime) -> Iterator[str]:
    yield f"# {report.site}: {'ready' if report.ready else 'not ready'}"
    yield ""
    if report.window is not None:
        yield f"For the window {report.window.name}, {report.window.start.isoformat()}. "
    yield f"As of {_clock(now)} UTC. Next: {_cell(report.next_thing(file))}"
    yield ""
    system = [item for item in report.items if item.server is None]
    yield "| system | standing | counts until |"
    yield "|---|---|---|"
    for item in system:
        yield f"| {item.check} | {item.standing} | {_until(item)} |"
    yield ""
    columns = list(dict.fromkeys(item.check for item in report.items if item.server is not None))
    yield f"| server | {' | '.join(columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for server in dict.fromkeys(item.server for item in report.items if item.server is not None):
        row = (report.item(check, server) for check in columns)
        yield f"| {server} | {' | '.join(_with_until(item) for item in row)} |"
    missing = [item for item in report.items if not item.standing.counts]
    if missing:
        yield ""
        yield "## Missing"
        for item in missing:
            needed = "" if item.check.needed else " (no upgrade waits for it)"
            yield f"- **{item.where}: {item.check} {item.standing}**{needed}: {_cell(item.text)} Mended by {mender(item.check)}."
    overridden = [item for item in report.items if item.standing is Standing.OVERRIDDEN]
    if overridden:
        yield ""
        yield "## Overridden"
        for item in overridden:
            yield f"- {item.where}: {item.check} {_cell(item.text)}"


def _with_until(item: Item) -> str:
    until = _until(item)
    return f"{item.standing} until {until}" if until else item.standing.value


def _until(item: Item) -> str:
    return _clock(item.until) if item.until is not None and item.standing.counts else ""


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _cell(text: str) -> str:
    """In a table or a list of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")
