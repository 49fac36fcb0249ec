"""The command that closes the work: post-check."""

from __future__ import annotations

import typer

from cli.look import AsJson
from cli.upgrade import Campaign, SiteFile


def add_to(app: typer.Typer) -> None:
    app.command(name="post-check")(post_check)


def post_check(site: SiteFile, campaign: Campaign = None, as_json: AsJson = False) -> int:
    """Check the whole system after its upgrade (chapter 11). It changes nothing; run it as often as you like."""
    from cli.work import POST_CHECK, work

    return work(POST_CHECK, site, None, campaign, as_json)
