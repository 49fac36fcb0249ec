"""Commands that only look: site check, plan, steps, status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cli import output

if TYPE_CHECKING:
    from mopflow.site import Site

SiteFile = Annotated[Path, typer.Argument(metavar="FILE", help="The site file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

site_app = typer.Typer(
    help="The site file: everything that is particular to one deployment.", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(site_app, name="site")
    app.command()(plan)
    app.command()(steps)
    app.command()(status)


@site_app.callback()
def _site() -> None:
    """The site file: everything that is particular to one deployment."""


@site_app.command()
def check(file: SiteFile, as_json: AsJson = False) -> int:
    """Check a site file: all mistakes at once, each with its line, what is wrong and what would be right."""
    from mopflow.errors import BadInput
    from mopflow.site_file import load

    try:
        site = load(file)
    except BadInput as wrong:
        if as_json:
            output.document({"file": str(file), "ok": False, "mistakes": list(wrong.mistakes)})
        else:
            output.complain("\n".join(wrong.mistakes))
            output.complain(f"{len(wrong.mistakes)} mistake{'s'[: len(wrong.mistakes) != 1]} in {file}")
        return output.ERROR
    counts = _counts(site)
    output.answer(
        as_json,
        {"file": str(file), "ok": True, "mistakes": [], **counts},
        lambda console: console.print(
            f"{file}: good. {site.name}, {site.source_release.short} to {site.target_release.short}: "
            f"{counts['cmp_clusters']} CMP clusters, {counts['segments']} segments with {counts['clusters']} clusters, "
            f"{counts['servers']} servers"
        ),
    )
    return output.OK


def _counts(site: Site) -> dict[str, Any]:
    return {
        "site": site.name,
        "source": site.source,
        "target": site.target,
        "cmp_clusters": len(site.cmp_clusters),
        "segments": len(site.segments),
        "clusters": len(site.traffic_clusters),
        "servers": len(site.servers),
    }


def plan(
    file: SiteFile,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="PAGE", help="Write the plan as a page, too; it can be printed."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Windows, work in batches, engineers, times, and every step: on what, with which alarms, how long, who acts."""
    from cli.planning import show

    return show(file, page, as_json)


def steps(as_json: AsJson = False) -> int:
    """Every numbered row of the procedures known so far."""
    from mopflow.procedures.table import PROCEDURES

    rows = [step for procedure in PROCEDURES.values() for step in procedure.steps]
    content = [
        {
            "procedure": step.procedure,
            "number": step.number,
            "title": step.title,
            "actor": step.actor.value,
            "expects": step.expects,
            "minutes": step.minutes,
        }
        for step in rows
    ]

    def show(console: Console) -> None:
        for procedure in PROCEDURES.values():
            console.print(f"\n{procedure.number} {procedure.title}", style="bold")
            for step in procedure.steps:
                console.print(
                    f"  {step.key:<9} {step.title}  [{step.actor.value}, {step.minutes:g} min]"
                    + (f"  alarms {' '.join(map(str, step.expects))}" if step.expects else ""),
                    markup=False,
                )

    output.answer(as_json, content, show)
    return output.OK


def status(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")], as_json: AsJson = False
) -> int:
    """The live board once, from the ledger and the console."""
    from cli.status import look_at

    return look_at(site, as_json)
