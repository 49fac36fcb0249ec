"""The command `notices`: what people were told in a campaign, and whether each channel can be reached."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import output
from cli.look import AsJson

if TYPE_CHECKING:
    from mopflow.ledger import Notice


def add_to(app: typer.Typer) -> None:
    app.command()(notices)


def notices(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")],
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="ID", help="Default: the newest of the site.")
    ] = None,
    bodies: Annotated[bool, typer.Option("--bodies", help="With the whole text of each message.")] = False,
    test: Annotated[
        bool,
        typer.Option("--test", help="Send a test message to every channel now, and say what became of it."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """The messages of a campaign in their order: for whom, delivered or why not, and after how many tries."""
    if test:
        return _test(site, as_json)
    found = _read(site, campaign)
    output.answer(as_json, [_document(one) for one in found], lambda console: _show(console, found, bodies))
    return output.OK


def _read(site_path: Path, campaign: str | None) -> list[Notice]:
    """Raises BadInput for a site file that is wrong and a campaign that is not there."""
    from cli.ledgers import existing_ledger
    from mopflow.errors import BadInput
    from mopflow.site_file import load

    site = load(site_path)
    with existing_ledger(site, site_path.resolve().parent) as ledger:
        if ledger is None:
            return []
        known = [one.id for one in ledger.campaigns(site.name)]
        if campaign is not None and campaign not in known:
            raise BadInput(
                f"the ledger has no campaign {campaign} of {site.name}; it has {', '.join(known) or 'none'}"
            )
        newest = known[-1] if known else None
        return ledger.notices(site.name, campaign or newest)


def _document(notice: Notice) -> dict[str, Any]:
    return {
        "at": notice.at.isoformat(),
        "kind": notice.kind,
        "for": notice.tags,
        "subject": notice.subject,
        "body": notice.body,
        "delivered": notice.delivered,
        "why_not": notice.why or None,
        "tries": notice.tries,
    }


def _show(console: Console, found: list[Notice], bodies: bool) -> None:
    if not found:
        console.print("nobody was told anything yet")
        return
    if bodies:
        for notice in found:
            console.print(Text(f"{notice.at:%H:%M:%S} {notice.subject}", style="bold"))
            console.print(Text(f"for {notice.tags}; {_outcome(notice)}", style="dim"))
            console.print(Text(notice.body + "\n"))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("UTC", "kind", "for", "tries", "delivered", "subject"):
        table.add_column(heading, justify="right" if heading == "tries" else "left", overflow="fold")
    for notice in found:
        table.add_row(
            f"{notice.at:%H:%M:%S}",
            notice.kind,
            notice.tags,
            str(notice.tries),
            Text(_outcome(notice), style="green" if notice.delivered else "yellow"),
            Text(notice.subject),
        )
    console.print(table)


def _outcome(notice: Notice) -> str:
    return "yes" if notice.delivered else f"no: {notice.why}"


def _test(site_path: Path, as_json: bool) -> int:
    """0: every channel took it; 1: one did not. Nothing of it is entered anywhere."""
    from pydantic import SecretStr

    from mopflow.endpoint import Endpoint
    from mopflow.errors import BadInput
    from mopflow.messages import Kind, write
    from mopflow.notices import site_channels
    from mopflow.secrets import Vault
    from mopflow.site_file import load

    def from_block(name: str) -> SecretStr:
        from blocks import read_secret  # Prefect is slow to import

        return read_secret(name)

    site = load(site_path)
    channels = site_channels(site, Vault(from_block))
    if not channels:
        raise BadInput(f"{site_path}: notifications.urls names no channel; see docs/notifications.md")
    message = write(
        Kind.TEST,
        site.name,
        None,
        "can you read this?",
        "This is a test: somebody tries whether messages about the upgrade reach you.",
        "nothing; tell whoever sent it that it came.",
        at=datetime.now(UTC),
    )
    answers = []
    for number, channel in enumerate(channels, start=1):
        endpoint = Endpoint(number, channel.url)
        whom = channel.contact or ", ".join(sorted(channel.tags)) or "everything"
        answers.append((endpoint.name, whom, endpoint.send(message)))

    def show(console: Console) -> None:
        for name, whom, why in answers:
            said = "taken" if why is None else f"NOT taken: {why}"
            console.print(f"{name}, for {whom}: {said}", markup=False)

    content = [
        {"channel": name, "for": whom, "delivered": why is None, "why_not": why}
        for name, whom, why in answers
    ]
    output.answer(as_json, content, show)
    return output.OK if all(why is None for _, _, why in answers) else output.ERROR
