"""The command `rehearse`: the whole upgrade on a twin."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.lab import Fault, Seed, Speed
from cli.look import AsJson


class Phase(StrEnum):
    """What a rehearsal can do alone."""

    PREPARE = "prepare"


class Afterwards(StrEnum):
    """What a rehearsal can do behind the upgrade."""

    BACK_OUT = "back-out"


def add_to(app: typer.Typer) -> None:
    app.command()(rehearse)


def rehearse(
    site: Annotated[
        Path | None, typer.Option("--site", metavar="FILE", help="Site file; default: deployments/lab.yaml.")
    ] = None,
    seed: Seed = 1,
    speed: Speed = 60,
    fault: Fault = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A new folder for this run; default: runs/<UTC time>."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave twin and Prefect server up afterwards.")
    ] = False,
    only: Annotated[
        Phase | None, typer.Option("--only", metavar="PHASE", help="prepare: the preparation alone.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RELEASE",
            help="Begin on this release instead of the site file's: 10.5, 11.5, 12.0, 12.1.1.",
        ),
    ] = None,
    then: Annotated[
        Afterwards | None,
        typer.Option("--then", metavar="COMMAND", help="back-out: afterwards back everything out again."),
    ] = None,
    tell: Annotated[
        list[str] | None,
        typer.Option(
            "--tell",
            metavar="VARIABLE",
            help="Environment variable with apprise URLs that are told of this rehearsal; nobody else is.",
        ),
    ] = None,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive",
            help="Ask what a real site would be asked; the run waits for answers (mopflow holds, Prefect UI).",
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Prepare, upgrade and check a whole system on the twin: CMP clusters, then one segment after another."""
    from cli.rehearsal import Rehearsal

    return Rehearsal(
        site,
        seed,
        speed,
        fault or [],
        out,
        keep,
        as_json,
        only_prepare=only is not None,
        source=source,
        back_out=then is not None,
        tell=tell or [],
        interactive=interactive,
    ).run()
