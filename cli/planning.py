"""The command `plan`: as text, as a document, as a page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cli import output
from cli.ledgers import existing_ledger
from cli.readiness import read as read_readiness
from mopflow.certificate import Rehearsed, rehearsed
from mopflow.confirmations import needed_items
from mopflow.errors import BadInput
from mopflow.ledger import Confirmation
from mopflow.plan import PlannedStep, mixed_version
from mopflow.plan_page import engineers, hours, html
from mopflow.planning import Job, Planning, planning
from mopflow.readiness import Readiness
from mopflow.site import Site
from mopflow.site_file import load


def show(file: Path, page: Path | None, as_json: bool) -> int:
    """0. Raises BadInput for a page that cannot be written."""
    site = load(file)
    made = planning(site)
    found = rehearsed(site, file)
    if page is not None:
        _write(page, site, file, made, found)
    output.answer(as_json, _document(site, made, found, page), lambda c: _show(c, site, made, found, page))
    return output.OK


def _write(page: Path, site: Site, file: Path, made: Planning, found: Rehearsed) -> None:
    base = file.resolve().parent
    readiness, confirmations = _prepared(site, base)
    text = html(site, made, found, datetime.now(UTC), readiness=readiness, confirmations=confirmations)
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--html {page}: cannot be written: {error.strerror}; name a file that can") from None


def _prepared(site: Site, base: Path) -> tuple[Readiness | None, dict[str, Confirmation]]:
    """What the ledger knows; looking makes none."""
    with existing_ledger(site, base) as ledger:
        if ledger is None:
            return None, {}
        kept = {item.value: ledger.confirmation(site.name, item.value) for item in needed_items(site)}
    return read_readiness(site, base), {name: one for name, one in kept.items() if one is not None}


def _document(site: Site, made: Planning, found: Rehearsed, page: Path | None) -> dict[str, Any]:
    return {
        "site": site.name,
        "plan_hash": found.plan_hash,
        "rehearsed": {
            "exactly": found.exactly,
            "text": found.text,
            "certificate": str(found.certificate) if found.certificate is not None else None,
        },
        "page": str(page) if page is not None else None,
        "windows": [
            {
                "name": one.window.name,
                "start": one.window.start.isoformat(),
                "end": one.window.end.isoformat(),
                "prepare_at": one.prepare_at.isoformat(),
                "engineers": [person.name for person in one.engineers],
                "work": [job.work for job in one.jobs],
                "planned_minutes": one.planned,
            }
            for one in made.windows
        ],
        "work": [_job(job) for job in made.jobs],
        "warnings": list(made.warnings),
        "rows": [_row(row) for row in made.rows],
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "work": job.work,
        "command": job.command,
        "window": job.window.name if job.window is not None else None,
        "why": job.why or None,
        "fit": job.fit.value,
        "batches": [[cluster.name for cluster in batch] for batch in job.batches],
        "minutes_of_rows": job.minutes,
        "minutes_of_table_4": job.table_4,
    }


def _row(row: PlannedStep) -> dict[str, Any]:
    return {
        "order": row.order,
        "command": row.command,
        "procedure": row.procedure,
        "number": row.number,
        "title": row.title,
        "actor": row.actor.value,
        "cluster": row.cluster,
        "segment": row.segment,
        "where": row.where,
        "expects": list(row.expects),
        "during": list(row.during),
        "after": list(row.after),
        "minutes": row.minutes,
        "who": row.who.value,
        "together": row.together or None,
        "note": row.note,
        "mixed": row.mixed,
    }


# for a person


def _show(console: Console, site: Site, made: Planning, found: Rehearsed, page: Path | None) -> None:
    console.print(
        f"{site.name}: {site.source} to {site.target}, {len(made.rows)} steps. Prepare a day before the window. "
        "Clusters of one segment run side by side, at most four at one time, their starts at least a minute apart and "
        "their failovers one by one."
    )
    console.print(f"plan {found.plan_hash}", markup=False)
    console.print(found.text, markup=False)
    _show_windows(console, made)
    for warning in made.warnings:
        console.print(f"look: {warning}", style="yellow", markup=False)
    for line in mixed_version(list(made.rows)):
        console.print(line, markup=False)
    _show_rows(console, made.rows)
    if page is not None:
        console.print(f"the page: {page}", markup=False)


def _show_windows(console: Console, made: Planning) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in (
        "work",
        "window",
        "clusters, four at one time",
        "engineers",
        "Table 4",
        "by its rows",
        "",
    ):
        table.add_column(heading, overflow="fold")
    for job in made.jobs:
        batches = " | ".join(", ".join(cluster.name for cluster in batch) for batch in job.batches)
        window = job.window.name if job.window is not None else "none"
        times = hours(job.table_4), hours(job.minutes)
        table.add_row(job.work, window, batches, engineers(made, job), *times, job.fit.value)
    console.print(table)


def _show_rows(console: Console, rows: tuple[PlannedStep, ...]) -> None:
    command = ""
    table: Table | None = None
    for row in rows:
        if row.command != command or table is None:
            if table is not None:
                console.print(table)
            command = row.command
            table = Table(title=f"mopflow {command}", title_justify="left", box=None, pad_edge=False)
            for heading in ("#", "step", "title", "on", "min", "who", "alarms that may stand"):
                table.add_column(
                    heading, overflow="fold", justify="right" if heading in ("#", "min") else "left"
                )
        alarms = ""
        if row.during:
            alarms += "during: " + " ".join(map(str, row.during))
        if row.after:
            alarms += (" " if alarms else "") + "after: " + " ".join(map(str, row.after))
        table.add_row(
            str(row.order),
            row.key,
            row.title + (f" ({row.note})" if row.note else ""),
            row.where,
            f"{row.minutes:g}",
            row.who.value,
            alarms or "-",
        )
    if table is not None:
        console.print(table)
