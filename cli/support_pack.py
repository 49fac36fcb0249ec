"""The commands for the talk with Oracle: support-pack and release-hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.look import AsJson
from cli.prepare import By
from cli.upgrade import Campaign, SiteFile


def add_to(app: typer.Typer) -> None:
    app.command(name="support-pack")(support_pack)
    app.command(name="release-hold")(release_hold)


def support_pack(
    site: SiteFile,
    cluster: Annotated[
        str | None, typer.Argument(metavar="CLUSTER", help="Of one cluster or segment; none: everything.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there; default: into the evidence.")
    ] = None,
    campaign: Campaign = None,
    as_json: AsJson = False,
) -> int:
    """One archive for Oracle Support: what was seen and done, without secrets. The system may be away."""
    from cli.oracle import make_pack

    return make_pack(site, cluster, out, campaign, as_json)


def release_hold(
    site: SiteFile,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="The cluster that is stopped (R8, R9).")],
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="What Oracle said, and why it may go on.")],
    ticket: Annotated[str, typer.Option("--ticket", metavar="SR", help="The service request.")] = "",
    as_json: AsJson = False,
) -> int:
    """Let a stopped cluster go on, forward or back, after speaking with Oracle; then start upgrade or backout."""
    from cli.oracle import release_cluster

    return release_cluster(site, cluster, by, reason, ticket, as_json)
