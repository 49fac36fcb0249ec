"""The commands of the preparation: prepare, readiness, confirm, override, schedule."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.look import AsJson
from cli.upgrade import Campaign, SiteFile
from mopflow.readiness import Check


class PartName(StrEnum):
    """The parts of the preparation that can be done alone."""

    HEALTH_CHECK = "health-check"
    LOAD_PMAC = "load-pmac"
    DISTRIBUTE_IMAGES = "distribute-images"
    BACK_UP = "back-up"
    REHASH_PASSWORDS = "rehash-passwords"


By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so; it is recorded.")]


def add_to(app: typer.Typer) -> None:
    app.command()(prepare)
    app.command()(readiness)
    app.command()(confirm)
    app.command()(override)
    app.command()(schedule)


def prepare(
    site: SiteFile,
    only: Annotated[
        PartName | None, typer.Option("--only", metavar="PART", help="health-check, load-pmac, ... alone.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Do over what still counts, too.")] = False,
    campaign: Campaign = None,
    as_json: AsJson = False,
) -> int:
    """Prepare the system for its upgrade (chapter 4). Run it again: it does only what is still to do."""
    from cli.work import work

    return work(only.value if only is not None else "prepare", site, None, campaign, as_json, again=again)


def readiness(site: Annotated[Path, typer.Argument(metavar="SITE")], as_json: AsJson = False) -> int:
    """Is the system ready? Each check on each server, how long it counts, and the one next thing to do."""
    from cli.readiness import show

    return show(site, as_json)


def confirm(
    site: SiteFile,
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="What is confirmed; a wrong name lists them all.")
    ],
    by: By,
    note: Annotated[
        str, typer.Option("--note", "--text", help="What was seen, such as a version or a ticket.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Confirm what only a person can know (4.1 to 4.3, 12.2), or a backout (back-out:SCOPE), with your name."""
    from cli.readiness import confirm_item

    return confirm_item(site, item, by, note, as_json)


def override(
    site: SiteFile,
    check: Annotated[Check, typer.Argument(metavar="CHECK", help="The column of `mopflow readiness`.")],
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why the upgrade may begin all the same.")],
    server: Annotated[
        str | None, typer.Argument(metavar="SERVER", help="On which server; none: a check of the system.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take one missing or failed check upon yourself, with name and reason."""
    from cli.readiness import override_check

    return override_check(site, check, server, by, reason, as_json)


def schedule(site: SiteFile, as_json: AsJson = False) -> int:
    """Schedule a run of the preparation before each window of the site file; a moved window moves its run."""
    from cli.schedule import schedule_preparation

    return schedule_preparation(site, as_json)
