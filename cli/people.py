"""The commands with which people take part in a run: holds, answer, stop."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.look import AsJson
from cli.prepare import By
from cli.upgrade import SiteFile


def add_to(app: typer.Typer) -> None:
    app.command()(holds)
    app.command()(answer)
    app.command()(stop)


def holds(
    site: SiteFile,
    everything: Annotated[
        bool, typer.Option("--all", help="The closed ones too, with their answers.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """What waits for a person: the question, what was seen, the choices, and what to type."""
    from cli.answering import show_holds

    return show_holds(site, everything, as_json)


def answer(
    site: SiteFile,
    hold: Annotated[str, typer.Argument(metavar="ID", help="Of `mopflow holds`.")],
    choice: Annotated[
        str | None,
        typer.Argument(metavar="CHOICE", help="One of the hold's choices; asked for when left out."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so; it is recorded.")
    ] = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason or ticket; it is recorded.")] = "",
    typed: Annotated[
        str,
        typer.Option(
            "--type", metavar="NAME", help="The name that a failover, switch or backout wants typed."
        ),
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Answer a hold, once. The first answer counts; it is refused if the system changed since the question."""
    from cli.answering import answer_hold

    return answer_hold(site, hold, choice, by, why, typed, as_json)


def stop(
    site: SiteFile,
    by: By,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason; it is recorded.")] = "",
    now: Annotated[
        bool,
        typer.Option("--now", help="Before the next act, though a cluster stays between two releases."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Ask every run of the site to stop at its next harbour: what was begun is finished, nothing new is begun."""
    from cli.answering import ask_to_stop

    return ask_to_stop(site, by, why, now, as_json)
