"""The command forecast: when the night ends, what may still be begun, until when all of it can be backed out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli import output
from cli.look import AsJson

if TYPE_CHECKING:
    from mopflow.forecast import Forecast
    from mopflow.forecast.outlook import Likely, WindowPlan
    from mopflow.site import Window


def add_to(app: typer.Typer) -> None:
    app.command()(forecast)


def forecast(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")], as_json: AsJson = False
) -> int:
    """When each phase is likely to end, the latest start of each cluster, and the last moment to back out everything.

    Before the night, while it runs, and after it (what is left, for the next window); from the ledger, at any time.
    """
    from cli.ledgers import existing_ledger
    from mopflow.forecast import document, forecast_of
    from mopflow.site_file import load

    there = load(site)
    with existing_ledger(there, site.resolve().parent) as ledger:
        made = forecast_of(there, ledger, datetime.now(UTC))
    output.answer(as_json, document(made), lambda console: render(console, made))
    return output.OK


_STYLES = {"green": "bold green", "amber": "bold yellow", "red": "bold red"}


def render(console: Console, made: Forecast) -> None:
    """For a person; times in the zone of the window."""
    from mopflow.forecast.words import backout_sentence

    said = "; ".join(made.why) or "everything planned fits"
    console.print(f"{made.site}, {made.way}: {made.colour}: {said}", style=_STYLES[made.colour], markup=False)
    for note in made.notes:
        console.print(note, markup=False)
    for plan in made.plans:
        _show_plan(console, plan)
    sentence = backout_sentence(made)
    if sentence is not None:
        console.print(sentence, style="bold", markup=False)
    console.print(_clusters(made))
    for line in made.mixed:
        console.print(line, markup=False)
    for line in made.basis:
        console.print(f"rests on: {line}", style="dim", markup=False)
    if made.taken is not None:
        age = (made.now - made.taken).total_seconds()
        console.print(
            f"rests on: the picture of the system in the ledger, {age / 60:.0f} min old", style="dim"
        )


def _show_plan(console: Console, plan: WindowPlan) -> None:
    from mopflow.forecast.words import named

    window = plan.window
    if window is None:
        heading = "counted from now"
    else:
        heading = f"window {named(window)}{', open' if plan.is_open else ''}"
    if not plan.phases:
        console.print(f"{heading}: nothing", markup=False)
        return
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    for name in ("phase", "clusters", "begins about", "ends about (P50)", "ends before (P90)"):
        table.add_column(name, justify="right" if name == "clusters" else "left")
    for phase in plan.phases:
        table.add_row(
            phase.name,
            str(len(phase.clusters)),
            _at(phase.begins, window, nine=False),
            _at(phase.ends, window, nine=False),
            _at(phase.ends, window, nine=True),
        )
    console.print(table)


def _clusters(made: Forecast) -> Table:
    from mopflow.forecast.words import clock

    window = made.plan.window
    table = Table(box=None, pad_edge=False)
    for name in ("cluster", "", "starts about", "latest start", "ends before (P90)", "why"):
        table.add_column(name, overflow="fold")
    for row in made.clusters:
        latest = clock(row.latest_start, window) if row.latest_start is not None else "-"
        why = row.why + (f" begins all the same: {row.overridden_by}" if row.overridden_by else "")
        table.add_row(
            row.cluster,
            row.standing.value,
            _at(row.starts, window, nine=False),
            latest,
            _at(row.ends, window, nine=True),
            why.strip(),
        )
    return table


def _at(likely: Likely | None, window: Window | None, *, nine: bool) -> str:
    from mopflow.forecast.words import clock

    if likely is None:
        return "-"
    return clock(likely.p90 if nine else likely.p50, window)
