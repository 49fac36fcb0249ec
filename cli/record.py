"""The commands of the record: `record SITE` writes it, `record verify DIR` looks at one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.look import AsJson
from cli.upgrade import Campaign, SiteFile

WRITE = "write"


class WriteByDefault(TyperGroup):
    """`mopflow record SITE` is `mopflow record write SITE`: what is no command of the group is its first argument."""

    default = WRITE

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = [WRITE, *args]
        return super().parse_args(ctx, args)


record_app = typer.Typer(
    cls=WriteByDefault,
    help="The record of a campaign: `record SITE` writes it, `record verify DIR` finds any changed byte.",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(record_app, name="record")


@record_app.command(name=WRITE)
def write(
    site: SiteFile,
    campaign: Campaign = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Copy it, with its evidence, into this new folder."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write the record of a campaign from the ledger (default: the newest one): record.html, record.json, chain."""
    from cli.recording import write_record

    return write_record(site, campaign, out, as_json)


@record_app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a record.")],
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="HASH", help="A hash of its chain that was sent out or printed."),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option("--site", metavar="SITE", help="Compare with the ledger of this site file, too."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Recompute everything. 0: as it was written; 1: every file and place that is not."""
    from cli.recording import verify_record

    return verify_record(folder, head, site, as_json)
