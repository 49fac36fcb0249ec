"""The record as one page: no script, nothing from elsewhere; the pictures lie beside it, where the evidence is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mopflow.record.deviations import QUIET
from mopflow.record.model import (
    AlarmSeen,
    Command,
    Deviation,
    EvidenceFile,
    Iteration,
    Kind,
    Record,
    StepRecord,
)
from mopflow.record.timeline import timeline
from mopflow.site import Site

SHORT = 400  # characters of a reply that are shown at once
_GRAVE = frozenset({Kind.HOLD, Kind.UNFINISHED, Kind.UNKEPT})


@dataclass(frozen=True, slots=True)
class Transcript:
    """The commands of one turn, for the page."""

    anchor: str
    key: str
    scope: str
    run: str
    commands: tuple[Command, ...]


def render(site: Site, record: Record) -> str:
    """The page as HTML."""
    runs = {run.id: f"{run.flow} {run.scope}" for run in record.runs}
    told = [d for d in record.deviations if d.kind not in QUIET]
    return environment().get_template("record.html.j2").render(
        record=record,
        style=Markup(style()),
        picture=Markup(timeline(site, record)),
        mood=_mood(record, told),
        told=told,
        quiet=[d for d in record.deviations if d.kind in QUIET],
        marks={person.name: person.initials for person in record.people},
        files=list(_files(record)),
        transcript=list(_transcript(record, runs)),
    )  # fmt: skip


@lru_cache(maxsize=1)
def style() -> str:
    """The style sheet; the pages have no other one."""
    source, _, _ = PackageLoader("mopflow.record", "templates").get_source(environment(), "style.css")
    return source


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Templates with everything escaped that comes from elsewhere."""
    found = Environment(
        loader=PackageLoader("mopflow.record", "templates"),
        autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "moment": lambda at: f"{at:%Y-%m-%d %H:%M:%S}",
        "clock": lambda at: f"{at:%H:%M:%S}",
        "span": _span,
        "slug": _slug,
        "upper_first": lambda text: text[:1].upper() + text[1:],
        "link": quote,
        "distinct": _distinct,
        "anchor": lambda turn, step: _anchor(step, turn),
        "reply": _reply,
        "head": _head,
        "rest": lambda text: text[len(_head(text)) :].lstrip("\n"),
        "is_long": lambda text: len(_head(text)) < len(text),
    }
    return found


def _mood(record: Record, told: Iterable[Deviation]) -> str:
    if any(hold.closed is None for hold in record.holds) or any(d.kind in _GRAVE for d in told):
        return "bad" if any(hold.closed is None for hold in record.holds) else "mixed"
    return "mixed" if record.deviations and any(d.kind is Kind.ROLLBACK for d in told) else ""


def _files(record: Record) -> Iterator[EvidenceFile]:
    for procedure in record.procedures:
        for step in procedure.steps:
            for turn in step.iterations:
                yield from turn.evidence
        yield from procedure.other_evidence
    yield from record.other_evidence


def _transcript(record: Record, runs: dict[str, str]) -> Iterator[Transcript]:
    for step, turn in record.iterations:
        if turn.commands:
            run = runs.get(turn.executor, turn.executor)
            yield Transcript(_anchor(step, turn), step.key, turn.scope, run, turn.commands)
    if record.other_commands:
        yield Transcript("c-others", "", "of no row", "", record.other_commands)


def _anchor(step: StepRecord, turn: Iteration) -> str:
    return f"c-{_slug(step.key)}-{_slug(turn.scope)}-{turn.turn}"


def _slug(text: object) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", str(text)).strip("-")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def _distinct(alarms: Iterable[AlarmSeen]) -> list[AlarmSeen]:
    """Each alarm once, however often it came and went meanwhile."""
    return list({(alarm.number, alarm.source, alarm.standing): alarm for alarm in alarms}.values())


def _reply(command: Command) -> str:
    return "\n".join(part.rstrip("\n") for part in (command.stdout, command.stderr) if part.strip())


def _head(text: str) -> str:
    """So much of a reply that a page can be read; whole lines where that is possible."""
    if len(text) <= SHORT:
        return text
    cut = text.rfind("\n", 0, SHORT)
    return text[: cut if cut > 0 else SHORT]
