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
    as_json: AsJson = False,
) -> int:
    """Prepare and upgrade a whole system on the twin: CMP clusters, then one segment after another."""
    from cli.rehearsal import Rehearsal

    return Rehearsal(site, seed, speed, fault or [], out, keep, as_json, only_prepare=only is not None).run()
