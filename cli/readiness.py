"""Readiness as a table and as JSON; what a person confirms or overrides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import output
from cli.ledgers import existing_ledger
from mopflow.confirmations import BACK_OUT, ConfirmItem, needed_items
from mopflow.errors import BadInput
from mopflow.house import ledger_url
from mopflow.ledger import CheckOutcome, CheckResult, Ledger
from mopflow.questions import WINDOW
from mopflow.readiness import Check, Item, Readiness, Standing, assess, keeps_until
from mopflow.release import Release
from mopflow.scopes import backout_scopes, clusters_of
from mopflow.site import Site
from mopflow.site_file import load

_STYLE = {
    Standing.OK: "green",
    Standing.NOT_NEEDED: "green",
    Standing.AGEING: "yellow",
    Standing.OVERRIDDEN: "yellow",
    Standing.EXPIRED: "red",
    Standing.FAILED: "bold red",
    Standing.NOT_DONE: "red",
}


def read(site: Site, base: Path) -> Readiness:
    """From the ledger alone: the newest results, and the releases as they were last seen."""
    now = datetime.now(UTC)
    with existing_ledger(site, base) as ledger:
        if ledger is None:
            return assess(site, [], now, {})
        kept = ledger.snapshot(site.name)
        return assess(site, ledger.checks(site.name), now, _running(kept[1] if kept is not None else {}))


def _running(snapshot: dict[str, Any]) -> dict[str, Release | None]:
    servers = (server for cluster in snapshot.get("clusters", ()) for server in cluster["servers"])
    return {s["name"]: Release.parse(s["release"]) if s["release"] else None for s in servers}


def show(site_path: Path, as_json: bool) -> int:
    """0: every check counts; 3: something is missing, and the next thing to do is said."""
    site = load(site_path)
    report = read(site, site_path.resolve().parent)
    output.answer(
        as_json,
        {
            **as_document(report),
            "to_confirm": unconfirmed(site, site_path.resolve().parent),
            "next": report.next_thing(str(site_path)),
        },
        lambda console: render(console, report, str(site_path)),
    )
    return output.OK if report.ready else output.HELD


def as_document(report: Readiness) -> dict[str, Any]:
    return {
        "site": report.site,
        "ready": report.ready,
        "window": None
        if report.window is None
        else {"name": report.window.name, "start": report.window.start.isoformat()},
        "checks": [
            {
                "check": item.check.value,
                "server": item.server,
                "standing": item.standing.value,
                "needed": item.check.needed,
                "text": item.text,
                "obtained": item.at.isoformat() if item.at is not None else None,
                "counts_until": item.until.isoformat() if item.until is not None else None,
                "overridden_by": item.by,
            }
            for item in report.items
        ],
    }


def unconfirmed(site: Site, base: Path) -> list[str]:
    """What a person has still to confirm, as `mopflow confirm` takes it."""
    items = [item.value for item in needed_items(site)]
    with existing_ledger(site, base) as ledger:
        if ledger is None:
            return items
        return [item for item in items if ledger.confirmation(site.name, item) is None]


def render(console: Console, report: Readiness, file: str) -> None:
    """A line per server, a column per check; then what is missing and why."""
    window = (
        f", for the window {report.window.name} at {report.window.start.isoformat()}" if report.window else ""
    )
    word = "ready" if report.ready else "not ready"
    console.print(f"{report.site}: {word}{window}", style="bold", markup=False)
    checks = list(dict.fromkeys(item.check for item in report.items))
    table = Table(box=None, pad_edge=False)
    table.add_column("server")
    columns = [check for check in checks if check.of_servers]
    for check in columns:
        table.add_column(check.value)
    servers = list(dict.fromkeys(item.server for item in report.items if item.server is not None))
    for server in servers:
        table.add_row(server, *(_cell(report.item(check, server)) for check in columns))
    for item in (item for item in report.items if item.server is None):
        console.print(Text(f"{item.check.value + ':':<15}").append_text(_cell(item)))
    console.print(table)
    for line in _missing(report):
        console.print(line, markup=False)
    console.print(f"next: {report.next_thing(file)}", style="bold", markup=False)


def _cell(item: Item) -> Text:
    text = Text(item.standing.value, style=_STYLE[item.standing])
    if item.until is not None and item.standing.counts:
        text.append(f" until {item.until.astimezone(UTC):%m-%d %H:%M}", style="dim")
    return text


def _missing(report: Readiness) -> Iterator[str]:
    for item in report.items:
        if not item.standing.counts and item.standing is not Standing.NOT_DONE:
            yield f"{item.where}: {item.check} {item.standing}: {item.text}"
        if item.standing is Standing.OVERRIDDEN:
            yield f"{item.where}: {item.check} {item.text}"


def confirm_item(site_path: Path, name: str, by: str, note: str, as_json: bool) -> int:
    site = load(site_path)
    items = {item.value for item in ConfirmItem}
    scopes = [f"{what}:{scope}" for what in (BACK_OUT, WINDOW) for scope in backout_scopes(site)]
    if name not in items and name not in scopes:
        known = ", ".join([*(item.value for item in ConfirmItem), f"{BACK_OUT}:SCOPE", f"{WINDOW}:SCOPE"])
        raise BadInput(f"{name!r} is nothing to confirm; there are {known}")
    who = person(by, "--by")
    late = name.startswith(f"{WINDOW}:")
    if late or (name in items and ConfirmItem(name).wants_text):
        note = person(note, "--text")
    with Ledger.open(ledger_url(site, site_path.resolve().parent)) as ledger:
        ledger.confirm(site.name, name, who, note, "person")
        if late:  # a run that waits for this word goes on
            names = clusters_of(site, name.removeprefix(f"{WINDOW}:"))
            for hold in ledger.holds(site.name):
                if hold.rule == WINDOW and hold.cluster in names:
                    ledger.close_hold(hold.id, f"{who} lets it begin past its latest start: {note}")
    content = {"site": site.name, "item": name, "by": who, "note": note}
    output.answer(
        as_json, content, lambda console: console.print(f"{name}: confirmed by {who}", markup=False)
    )
    return output.OK


def override_check(
    site_path: Path, check: Check, server: str | None, by: str, reason: str, as_json: bool
) -> int:
    site = load(site_path)
    names = [one.name for one in site.servers]
    if check.of_servers and server not in names:
        raise BadInput(f"{check} is checked on a server; name one of {', '.join(names)}")
    if not check.of_servers and server is not None:
        raise BadInput(f"{check} is checked once for the whole system; leave {server} out")
    who, why = person(by, "--by"), person(reason, "--reason")
    now = datetime.now(UTC)
    with Ledger.open(ledger_url(site, site_path.resolve().parent)) as ledger:
        until = keeps_until(check, site, now)
        ledger.add_check(
            site.name,
            None,
            CheckResult(check.value, server, CheckOutcome.OVERRIDDEN, why, now, until, who),
        )
        for hold in ledger.holds(site.name):
            if hold.cluster == server and hold.procedure in check.procedures:
                ledger.close_hold(hold.id, f"{check} overridden by {who}: {why}")
    content = {"site": site.name, "check": check.value, "server": server, "by": who, "reason": why}
    where = server or "the system"
    output.answer(
        as_json,
        content,
        lambda console: console.print(f"{check} of {where}: overridden by {who}", markup=False),
    )
    return output.OK


def person(text: str, option: str) -> str:
    """Raises BadInput for a blank: a name or a reason that says nothing counts for nothing."""
    if not text.strip():
        raise BadInput(f"{option} is blank; say it in words, it is recorded")
    return text.strip()
