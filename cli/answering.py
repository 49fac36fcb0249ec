"""Holds and their answers, and requests to stop, by the command line."""

from __future__ import annotations

import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from cli import output
from cli.ledgers import existing_ledger
from cli.readiness import person
from mopflow import answers
from mopflow.errors import BadInput
from mopflow.house import ledger_url
from mopflow.ledger import Choice, Hold, HoldAnswer, Ledger
from mopflow.site import Site
from mopflow.site_file import load

COMMAND_LINE = "command line"  # through which an answer came
TAKEN = 15.0  # seconds that we wait to see what a run makes of an answer


def show_holds(site_path: Path, everything: bool, as_json: bool) -> int:
    """0: nothing is open; 3: a person has to look."""
    site = load(site_path)
    with existing_ledger(site, site_path.resolve().parent) as ledger:
        rows = ledger.holds(site.name, open_only=not everything) if ledger is not None else []
        found = [(row, ledger.answer_to(row.id) if ledger is not None else None) for row in rows]
    shown = shlex.quote(str(site_path))
    output.answer(
        as_json,
        {"site": site.name, "holds": [_document(row, given, shown) for row, given in found]},
        lambda console: _show(console, found, shown),
    )
    return output.HELD if any(row.closed is None for row, _ in found) else output.OK


def _document(row: Hold, given: HoldAnswer | None, site_path: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "cluster": row.cluster,
        "step": f"{row.procedure}/{row.step}",
        "rule": row.rule,
        "question": answers.question(row),
        "seen": row.seen,
        "to_do": row.remedy,
        "choices": list(row.choices),
        "typed": row.typed,
        "since": row.opened.isoformat(),
        "closed": row.closed.isoformat() if row.closed else None,
        "closed_why": row.closed_why,
        "answer": None
        if given is None
        else {
            "choice": given.choice,
            "by": given.by,
            "why": given.why,
            "via": given.via,
            "at": given.at.isoformat(),
        },
        "type": answers.command(row, site_path),
    }


def _show(console: Console, found: list[tuple[Hold, HoldAnswer | None]], site_path: str) -> None:
    if not found:
        console.print("nothing waits for a person")
    now = datetime.now(UTC)
    for row, given in found:
        age = (now - row.opened).total_seconds() / 60
        console.print(
            f"{row.id}  since {row.opened:%H:%M:%S} UTC ({age:.0f} min)", style="bold", markup=False
        )
        console.print(f"  {answers.question(row)}", markup=False)
        seen = str(row.seen.get("evidence", "")).strip()
        if seen and seen != row.reason:
            console.print(f"  seen: {seen}", markup=False)
        if given is not None:
            why = f": {given.why}" if given.why else ""
            console.print(f"  answered {given.choice} by {given.by} ({given.via}){why}", markup=False)
        if row.closed is not None:
            console.print(f"  closed {row.closed:%H:%M:%S} UTC: {row.closed_why}", markup=False)
            continue
        console.print(f"  to do: {row.remedy}", markup=False)
        for choice in row.choices:
            console.print(f"    {choice}: {answers.MEANINGS[choice]}", markup=False)
        console.print(f"  type: {answers.command(row, site_path)}", markup=False)


def answer_hold(
    site_path: Path, hold: str, choice: str | None, by: str | None, why: str, typed: str, as_json: bool
) -> int:
    """0: the answer counts; 3: it came too late, or the system had changed. Raises BadInput for what is wrong with it."""
    site = load(site_path)
    with existing_ledger(site, site_path.resolve().parent) as ledger:
        if ledger is None:
            raise BadInput(f"{site_path}: nothing was done on this site yet, nothing waits for an answer")
        row = _of_site(ledger, site, hold)
        given = _asked_for(row, choice, by, why, typed)
        earlier = answers.give(ledger, row, given, COMMAND_LINE, site.holds.answered_by)
        if earlier is not None:
            said = f"{row.id} was answered {earlier.choice} by {earlier.by} at {earlier.at:%H:%M:%S} UTC; that counts"
            output.answer(as_json, {"hold": row.id, "counts": False, "why": said}, _line(said))
            return output.HELD
        counts, said = _what_became(ledger, site, row)
    output.answer(as_json, {"hold": row.id, "counts": counts, "why": said}, _line(said))
    return output.OK if counts else output.HELD


def _line(said: str) -> Any:
    return lambda console: console.print(said, markup=False)


def _of_site(ledger: Ledger, site: Site, hold: str) -> Hold:
    row = ledger.hold(hold)
    if row.site != site.name:
        raise BadInput(f"hold {hold} is of the site {row.site}, not of {site.name}; name its site file")
    return row


def _asked_for(row: Hold, choice: str | None, by: str | None, why: str, typed: str) -> answers.Given:
    """What was not given is asked for where there is a terminal."""
    if choice is not None and by is not None:
        return answers.Given(choice, by, why, typed)
    if not sys.stdin.isatty():
        raise BadInput(f"say what and who: mopflow answer SITE {row.id} {'|'.join(row.choices)} --by NAME")
    console = output.for_people(False)
    console.print(answers.question(row), markup=False)
    for one in row.choices:
        console.print(f"  {one}: {answers.MEANINGS[one]}", markup=False)
    choice = choice or typer.prompt("Answer")
    by = by or typer.prompt("Your name")
    if row.typed is not None and not typed and choice == Choice.GO:
        typed = typer.prompt(f"Type the name {row.typed}")
    return answers.Given(choice, by, why or typer.prompt("Why", default="", show_default=False), typed)


def _what_became(ledger: Ledger, site: Site, row: Hold) -> tuple[bool, str]:
    """Whether the answer counts, and what came of it: a run that waits takes it within seconds."""
    if not ledger.executors(site.name, running_only=True):
        return True, "recorded; no run is at work: it counts when the command is started again"
    ends = time.monotonic() + TAKEN
    while (now := ledger.hold(row.id)).closed is None:
        if time.monotonic() > ends:
            return True, "recorded; the run takes it at its next look"
        time.sleep(0.2)  # another process closes it
    return answers.was_taken(now), now.closed_why or ""


def ask_to_stop(site_path: Path, by: str, why: str, now: bool, as_json: bool) -> int:
    """Enter the request and name the runs that will obey it."""
    site = load(site_path)
    who = person(by, "--by")
    with Ledger.open(ledger_url(site, site_path.resolve().parent)) as ledger:
        runs = ledger.executors(site.name, running_only=True)
        request = ledger.ask_to_stop(site.name, who, why.strip(), now=now)
    names = [f"{one.flow} {one.scope} (pid {one.pid})" for one in runs]
    where = "before its next act" if now else "at its next harbour"
    said = (
        f"asked to stop {where}: {', '.join(names)}. `mopflow status` shows where it took effect"
        if names
        else "no run is at work on this site"
    )
    content = {"site": site.name, "now": now, "at": request.at.isoformat(), "runs": names}
    output.answer(as_json, content, _line(said))
    return output.OK
