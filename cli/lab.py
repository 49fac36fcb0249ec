"""The command `lab up`: the twin alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import output
from cli.look import AsJson

app_lab = typer.Typer(
    help="The twin: a whole Policy Management system on loopback that speaks SSH, SFTP and HTTPS.",
    no_args_is_help=True,
)

Seed = Annotated[int, typer.Option(help="Draws durations and jitter, never faults.")]
Speed = Annotated[float, typer.Option(help="Twin seconds per real second.", min=0.1)]
Fault = Annotated[
    list[str] | None,
    typer.Option(
        "--fault", metavar="NAME@WHERE[:N]", help="Make something go wrong (several times, if you like)."
    ),
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(app_lab, name="lab")


@app_lab.callback()
def _lab() -> None:
    """The twin: a whole Policy Management system on loopback that speaks SSH, SFTP and HTTPS."""


@app_lab.command()
def up(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site file to build the twin from.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A new folder for everything of this run.")
    ],
    seed: Seed = 1,
    speed: Speed = 60,
    fault: Fault = None,
    as_json: AsJson = False,
) -> int:
    """Start the twin and keep it until Ctrl-C, so that you can open its GUI and ssh into its servers."""
    from cli.rundir import Passwords, RunDir
    from cli.twin import Twin, TwinFailed
    from mopflow.site_file import load

    plan = load(site)
    run = RunDir.create(out)
    twin = Twin(run, plan, Passwords())
    console = output.for_people(as_json)
    try:
        twin.start(seed, speed, fault or ())
        twin.passwords.write(run.secrets_env, {})
        run.note_pids({"twin": twin.pid})
        if as_json:
            output.document(
                {"directory": str(run.path), "site": str(run.site_yaml), "secrets": str(run.secrets_env),
                 **twin.endpoints}
            )  # fmt: skip
        console.print(f"The twin of {plan.name} is up, {speed:g} times faster than real time.", markup=False)
        for line in [
            *twin.visit(),
            f"site file for the flows: {run.site_yaml}",
            "Ctrl-C ends it.",
        ]:
            console.print(f"  {line}", markup=False)
        twin.wait()
        raise TwinFailed(f"the twin has ended by itself; look into {run.path / 'twin.log'}")
    except KeyboardInterrupt:
        console.print("ending the twin")
        return output.OK
    finally:
        twin.stop()
        run.secrets_env.unlink(missing_ok=True)
