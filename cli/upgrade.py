"""The commands that work on a system: upgrade-cmp and upgrade-segment. The same command again resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.look import AsJson

SiteFile = Annotated[Path, typer.Argument(metavar="SITE", help="The site file of the system.")]
Campaign = Annotated[
    str | None,
    typer.Option(
        "--campaign", metavar="ID", help="Work in this campaign; default: the newest unfinished one."
    ),
]


def add_to(app: typer.Typer) -> None:
    app.command(name="upgrade-cmp")(upgrade_cmp)
    app.command(name="upgrade-segment")(upgrade_segment)


def upgrade_cmp(site: SiteFile, campaign: Campaign = None, as_json: AsJson = False) -> int:
    """Upgrade the CMP clusters, the primary first (9.1.1, 9.1.2). Run it again to resume."""
    from cli.work import work

    return work("upgrade-cmp", site, None, campaign, as_json)


def upgrade_segment(
    site: SiteFile,
    segment: Annotated[str, typer.Argument(help="Name of the segment in the site file.")],
    campaign: Campaign = None,
    as_json: AsJson = False,
) -> int:
    """Upgrade the MPE and MRA clusters of one segment (10.1.1, 10.2). Run it again to resume."""
    from cli.work import work

    return work("upgrade-segment", site, segment, campaign, as_json)
