"""The command `watch`: the live board from any terminal, while any process works on the site."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import output
from cli.look import AsJson
from mopflow.errors import BadInput, MopflowError

if TYPE_CHECKING:
    from cli.live import Source


def add_to(app: typer.Typer) -> None:
    app.command()(watch)


def watch(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")],
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    as_json: AsJson = False,
) -> int:
    """The live board, kept current until Ctrl-C: clusters, waits, alarms, holds. It only reads the ledger."""
    from cli.ledgers import existing_ledger
    from cli.live import EVERY, Screen, Source
    from mopflow.site_file import load

    if as_json and not once:
        raise BadInput("--json gives one document; add --once")
    read = load(site)
    base = site.resolve().parent
    source = Source(read, site, lambda: existing_ledger(read, base))
    try:
        if once:
            return _once(source, as_json)
        console = output.for_people(False)
        with Screen(console, leave=True) as screen:
            while True:
                board = source.look()
                if board is not None:
                    screen.show(board)
                else:
                    screen.say(source.why)
                time.sleep(EVERY)
    except KeyboardInterrupt:
        return output.OK  # this is how a watch ends
    finally:
        source.close()


def _once(source: Source, as_json: bool) -> int:
    """0: shown; 1: there is no ledger, or it cannot be read."""
    from rich.console import Console

    from cli.board import View
    from cli.board_document import as_document

    board = source.look()
    if board is None:
        raise MopflowError(source.why)
    if as_json:
        output.document(as_document(board))
        return output.OK
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = output.PIPE_WIDTH
    console.print(View(board))
    return output.OK
