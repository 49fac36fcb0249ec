"""The command back-out: what was upgraded goes back to the old release. The same command again resumes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli import output
from cli.look import AsJson
from cli.upgrade import Campaign, SiteFile


def add_to(app: typer.Typer) -> None:
    app.command(name="back-out")(back_out)


def back_out(
    site: SiteFile,
    scope: Annotated[
        str,
        typer.Argument(metavar="SCOPE", help="A cluster, a segment, mpe-mra (all MPE and MRA), or all."),
    ],
    plan: Annotated[
        bool, typer.Option("--plan", help="Show order, price and refusals, and do nothing.")
    ] = False,
    campaign: Campaign = None,
    as_json: AsJson = False,
) -> int:
    """Back out to the old release (chapter 12): MPE and MRA, then the secondary CMP, then the primary."""
    if plan:
        return show_plan(site, scope, as_json)
    from cli.work import work
    from mopflow.scopes import require_scope
    from mopflow.site_file import load

    require_scope(load(site), scope)
    return work("back-out", site, None, campaign, as_json, scope=scope)


def show_plan(site_path: Path, scope: str, as_json: bool) -> int:
    """0: it may begin once it is confirmed; 3: the document refuses it as the system is."""
    from blocks import read_secret
    from cli.ledgers import existing_ledger
    from cli.work import need_variables
    from mopflow.backout_plan import plan
    from mopflow.confirmations import backout_items, backout_word, sentence_of
    from mopflow.console.opening import open_console
    from mopflow.eye import Eye
    from mopflow.gate_back import accepted_trouble, command
    from mopflow.scopes import require_scope
    from mopflow.secrets import Vault
    from mopflow.site_file import load

    site = load(site_path)
    names = require_scope(site, scope)
    need_variables(site)
    base = site_path.resolve().parent
    with closing(open_console(site, Vault(read_secret), base)) as console, Eye(site, console) as eye:
        states = eye.now().states
    questions = []
    with existing_ledger(site, base) as ledger:
        found = plan(site, scope, states, accepted_trouble(ledger, site) if ledger is not None else None)
        for item in backout_items(ledger, site, scope):
            word = backout_word(ledger, site, item, names) if ledger is not None else None
            questions.append(
                {
                    "item": item,
                    "sentence": sentence_of(site, item),
                    "confirmed_by": word.by if word is not None else None,
                    "text": word.text if word is not None else None,
                    "type": command(site_path, item),
                }
            )
    content = as_document(found, questions)
    output.answer(as_json, content, lambda console: render(console, content))
    return output.HELD if any(not refusal.passing for refusal in found.refusals) else output.OK


def as_document(plan: Any, questions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "scope": plan.scope,
        "minutes": plan.minutes,
        "failovers": plan.failovers,
        "clusters": [
            {
                "cluster": one.cluster,
                "kind": one.kind.value,
                "phase": one.phase,
                "procedure": one.procedure,
                "found": one.found,
                "needs": one.need.value,
                "waits": one.waits,
                "steps": list(one.rows),
                "servers": one.servers,
                "failovers": one.failovers,
                "minutes": one.minutes,
                "refusals": [
                    {"rule": r.rule, "reason": r.reason, "waited_for": r.passing} for r in one.refusals
                ],
            }
            for one in plan.clusters
        ],
        "mixed_versions": list(plan.mixes),
        "to_confirm": questions,
    }


_PHASES = {
    1: "MPE and MRA: at most four at one time, one start a minute, one failover at a time",
    2: "then the secondary CMP",
    3: "then the primary CMP",
}


def render(console: Console, content: dict[str, Any]) -> None:
    console.print(
        f"back-out {content['scope']}: about {content['minutes']:g} minutes, {content['failovers']} failovers",
        style="bold",
        markup=False,
    )
    for phase, heading in _PHASES.items():
        rows = [one for one in content["clusters"] if one["phase"] == phase]
        if not rows:
            continue
        table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
        for name in ("cluster", "needs", "min", "steps", "found"):
            table.add_column(name, overflow="fold", justify="right" if name == "min" else "left")
        for one in rows:
            needs = one["needs"] + (", waits for what runs" if one["waits"] else "")
            table.add_row(one["cluster"], needs, f"{one['minutes']:g}", " ".join(one["steps"]), one["found"])
        console.print(table)
    for line in content["mixed_versions"]:
        console.print(f"mixed version: {line}", markup=False)
    for one in content["clusters"]:
        for refusal in one["refusals"]:
            word = "waits" if refusal["waited_for"] else "REFUSED"
            console.print(f"{word} {one['cluster']}: {refusal['rule']}: {refusal['reason']}", markup=False)
    for question in content["to_confirm"]:
        if question["confirmed_by"]:
            text = f" ({question['text']})" if question["text"] else ""
            console.print(
                f"confirmed by {question['confirmed_by']}{text}: {question['sentence']}", markup=False
            )
        else:
            console.print(f"to confirm: {question['sentence']}\n    {question['type']}", markup=False)
