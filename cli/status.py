"""The live board once: the ledger's lines and holds, the console's picture of this moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cli import output
from cli.board import render
from cli.board_document import as_document
from cli.ledgers import existing_ledger
from mopflow.board import Board, build
from mopflow.board_reading import read
from mopflow.console.opening import open_console
from mopflow.errors import MopflowError
from mopflow.eye import Eye
from mopflow.house import snapshot_document
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.site_file import load

Picture = tuple[datetime, Mapping[str, Any]]


def look_at(site_path: Path, as_json: bool) -> int:
    """0: read live; 1: the console cannot be read, the last picture of the ledger is shown with its age."""
    site = load(site_path)
    base = site_path.resolve().parent
    why = ""
    live: Picture | None = None
    try:
        live = _from_console(site, base)
    except MopflowError as error:
        why = output.explain(error)
    board, kept = _with_ledger(site, site_path, live)
    output.answer(as_json, {**as_document(board), "live": not why, "why_not": why or None}, _shown(board))
    if why:
        age = (
            f"the picture above is the ledger's, {_age(kept)} old"
            if kept
            else "the ledger has no picture either"
        )
        output.complain(f"the console cannot be read: {why}\n{age}")
        return output.ERROR
    return output.OK


def _shown(board: Board) -> Any:
    return lambda console: console.print(render(board))


def _age(picture: Picture) -> str:
    seconds = (datetime.now(UTC) - picture[0]).total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _from_console(site: Site, base: Path) -> Picture:
    """One reading. Raises what the console raises, and SecretMissing."""
    vault = Vault(_from_block)
    console = open_console(site, vault, base)
    try:
        with Eye(site, console) as eye:
            reading = eye.now()
        return reading.snapshot.taken, snapshot_document(reading)
    finally:
        console.close()


def _with_ledger(site: Site, site_path: Path, live: Picture | None) -> tuple[Board, Picture | None]:
    """The board, and the last picture that the ledger has."""
    now = datetime.now(UTC)
    with existing_ledger(site, site_path.resolve().parent) as ledger:
        if ledger is None:
            return build(site, [], live, [], now), None
        return read(site, site_path, ledger, now, picture=live), ledger.snapshot(site.name)


def _from_block(name: str) -> SecretStr:
    """Prefect is slow to import, and most sites name environment variables."""
    from blocks import read_secret

    return read_secret(name)
