"""The plan as a page for people: windows, work in batches, engineers, times, prerequisites, every row (4.4, Table 4).

One file without anything from outside, to be read on a screen or printed and ticked off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mopflow.certificate import SHORT, Rehearsed
from mopflow.confirmations import needed_items
from mopflow.ledger.records import Confirmation
from mopflow.plan import PlannedStep, mixed_version
from mopflow.planning import Job, Planning
from mopflow.readiness import Check, Readiness
from mopflow.site import Site

TEMPLATE = "plan_page.html"


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """Something that must be so before the first window. ``found``: what is known of it; "" when nothing is."""

    what: str
    done: bool
    found: str


def html(
    site: Site,
    made: Planning,
    rehearsal: Rehearsed,
    now: datetime,
    *,
    readiness: Readiness | None,
    confirmations: Mapping[str, Confirmation],
) -> str:
    """The page. ``readiness``: what the ledger knows of the preparation, None while nothing was done."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"hours": hours, "moment": _moment, "to": _to}
    return environment.get_template(TEMPLATE).render(
        site=site,
        plan=made,
        rehearsal=rehearsal,
        short=rehearsal.plan_hash[:SHORT],
        version=version("mopflow"),
        printed=f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        materials=list(_materials(site, confirmations)),
        checks=list(_checks(readiness)),
        readiness=readiness,
        mixed=mixed_version(list(made.rows)),
        commands=[(command, list(rows)) for command, rows in groupby(made.rows, lambda row: row.command)],
        engineers=engineers,
        alarms=_alarms,
    )


def hours(minutes: float) -> str:
    """Such as 3 h, 2 h 41 min, 95 min."""
    whole = round(minutes)
    if whole < 120:
        return f"{whole} min"
    return f"{whole // 60} h" + (f" {whole % 60:02d} min" if whole % 60 else "")


def engineers(made: Planning, job: Job) -> str:
    """Who is named for the window of this work."""
    plan = next((one for one in made.windows if one.window == job.window), None)
    return ", ".join(person.name for person in plan.engineers) if plan is not None else ""


def _moment(at: datetime) -> str:
    """As the site file has it, with its zone."""
    return f"{at:%Y-%m-%d %H:%M} {at:%Z}"


def _to(end: datetime, start: datetime) -> str:
    """The end of a span; its day only where it is another one."""
    return f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"


def _materials(site: Site, confirmations: Mapping[str, Confirmation]) -> Iterator[Prerequisite]:
    """What only a person can know (4.1 to 4.3)."""
    for item in needed_items(site):
        kept = confirmations.get(item.value)
        found = "" if kept is None else f"confirmed by {kept.by} on {kept.at:%Y-%m-%d}"
        yield Prerequisite(item.sentence, kept is not None, found)


_WHAT = {
    Check.PREREQUISITES: "Prerequisites and materials are at hand (4.1)",
    Check.CONSOLE: "The console can be reached (4.5 step 1)",
    Check.ALARMS: "Every active alarm is understood (4.5 step 2)",
    Check.KPIS: "The KPIs are within expected parameters (4.5 step 3)",
    Check.HEALTH: "NTP, clocks, disks, accounts of every server are well (4.5 step 4)",
    Check.PMAC: "The images are in the repository of PM&C (4.6.2)",
    Check.IMAGE: "Exactly one image of the right type lies on every server (4.6.3)",
    Check.BACKUP: "A backup of every server is kept off the server (4.6.4)",
    Check.SYSTEM_BACKUP: "A system backup is kept off the server (4.6.4)",
    Check.PASSWORDS: "The passwords of root and admusr have SHA-512 hashes (4.6.5)",
}


def _checks(readiness: Readiness | None) -> Iterator[Prerequisite]:
    """What the preparation checks (R12), and how far it is."""
    for check in Check:
        items = [item for item in readiness.items if item.check is check] if readiness is not None else []
        if readiness is not None and not items:
            continue  # this site does not have it
        missing = [item for item in items if not item.standing.counts]
        found = ""
        if items:
            found = f"{len(items) - len(missing)} of {len(items)}"
            until = [item.until for item in items if item.until is not None and item.standing.counts]
            found += f", until {min(until):%Y-%m-%d %H:%M} UTC" if until else ""
            found += f"; missing: {', '.join(item.where for item in missing[:6])}" if missing else ""
            found += f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        yield Prerequisite(_WHAT[check], bool(items) and not missing, found)


def _alarms(row: PlannedStep) -> str:
    parts: Sequence[tuple[str, tuple[int, ...]]] = (("during", row.during), ("after", row.after))
    return "; ".join(f"{word}: {' '.join(map(str, those))}" for word, those in parts if those)
