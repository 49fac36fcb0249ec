"""Which rows will run, on what, in which order, and who acts: from the site file alone.

Who is active is not known before the system is looked at; the plan says "the standby server" and means it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from typing import Any

from mopflow import mixed
from mopflow.alarms import SYSTEM_MIXED
from mopflow.errors import BadInput
from mopflow.procedures.table import PROCEDURES, cmp_procedures
from mopflow.site import Autonomy, AutonomyRules, Cluster, Deadline, Site
from mopflow.step import Actor, DeadlineKind, Step


class Who(StrEnum):
    """Who acts in a step."""

    PERSON = "person"  # a person acts; we check, time and record
    WE_ASK = "we ask"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One row of the plan. Rows of one ``together`` group other than "" run at the same time as its other clusters'."""

    order: int
    command: str  # what starts it: "upgrade-cmp", "upgrade-segment segment-1", "post-check"
    procedure: str
    number: int
    title: str
    actor: Actor
    cluster: str | None
    segment: str | None
    where: str  # for a person: cluster, server or servers
    during: tuple[int, ...]  # alarms that may stand while the act runs
    after: tuple[int, ...]  # ... and afterwards
    minutes: float
    who: Who
    together: str
    note: str
    mixed: bool = False  # the system is in mixed version while this row runs (2.3.2)

    @property
    def key(self) -> str:
        return f"{self.procedure}/{self.number}"

    @property
    def expects(self) -> tuple[int, ...]:
        return tuple(sorted({*self.during, *self.after}))


_WHERE = {
    "10.2/3": "standby server of {cluster}",
    "10.2/9": "remaining server of {cluster}",
}
BY_PERSON = frozenset({"4.1/2"})  # nobody but a person can have read and told what is confirmed there
_PLACES = {
    "4.1": "the whole system",
    "4.5": "the whole system",
    "4.5/4": "every server, side by side",
    "4.6.2": "PM&C",
    "4.6.3.2": "PM&C",
    "4.6.3.1": "every server, by the site's way",
    "4.6.4": "every server, side by side",
    "4.6.5": "every server with a weak hash, one after another",
    "11": "the whole system",
}
_AWAY = "the console goes away and comes back on the target release"
_NOTES = {
    "4.5/2": "an alarm under accepted_alarms is understood",
    "4.6.5/3": "standby CMPs, active CMPs, standby MPEs/MRAs, active MPEs/MRAs",
    **dict.fromkeys(("6.1.1/13", "7.1.1/13", "8.1.1/13", "9.1.1/12"), _AWAY),
    "10.2/7": "rolled back only if traffic is not active {window:g} s after the re-apply (R11)",
    "10.2/8": "only after a rollback",
    "10.2/12": "never accepted: it would end the possibility of backout (R14)",
}


def plan(site: Site) -> list[PlannedStep]:
    """Every row that will run on a system that is wholly on the source release.

    Raises BadInput for a source release whose tables are not known, and when a state on the way is one that Table 1
    does not allow.
    """
    wrong = mixed.check(mixed.phases(site))
    if wrong:
        raise BadInput(*wrong)
    rows = [
        *_preparation(site),
        *_cmp(site),
        *(row for segment in site.segments for row in _segment(site, segment.name)),
        *(("post-check", step, None, None, "") for step in PROCEDURES["11"].steps),
    ]
    starts = [order for order, row in enumerate(rows, 1) if _upgrades_a_server(row[1])]
    between = range(starts[0], starts[-1] + 1)
    return [
        replace(_numbered(order, *row, site=site), mixed=order in between)
        for order, row in enumerate(rows, 1)
    ]


def _upgrades_a_server(step: Step) -> bool:
    return any(leg.deadline is DeadlineKind.INITIATE_UPGRADE for leg in step.legs)


def mixed_version(rows: list[PlannedStep]) -> list[str]:
    """When the system is in mixed version, what must not be done meanwhile, and when it ends (2.3.2)."""
    span = [row for row in rows if row.mixed]
    first, last = span[0], span[-1]
    return [
        f"Mixed version from step {first.order} ({first.key}, {first.where}) "
        f"to the end of step {last.order} ({last.key}, {last.where}), over every pause between the commands.",
        *(f"Meanwhile: {what}." for what in mixed.NOT_MEANWHILE),
        f"It ends when every server runs the target release: alarm {SYSTEM_MIXED} is gone then.",
    ]


_Row = tuple[str, Step, Cluster | None, str | None, str]


PREPARATION = ("4.1", "4.5", "4.6.2", "4.6.3.2", "4.6.3.1", "4.6.4", "4.6.5")  # in the order of the flow
_OF_PMAC = ("4.6.2", "4.6.3.2")


def _preparation(site: Site) -> Iterator[_Row]:
    for number in PREPARATION:
        if number in _OF_PMAC and site.pmac is None and not (site.lab is not None and site.lab.pmac):
            continue
        for step in PROCEDURES[number].steps:
            yield "prepare", step, None, None, ""


def _place(step: Step) -> str:
    """Where a row of the preparation or of the post-check is carried out; "" for every other row."""
    return _PLACES.get(step.key, _PLACES.get(step.procedure, ""))


def _cmp(site: Site) -> Iterator[_Row]:
    for procedure, cluster in zip(cmp_procedures(site.source_release), site.cmp_clusters, strict=False):
        for step in procedure.steps:
            yield "upgrade-cmp", step, cluster, None, ""


def _segment(site: Site, name: str) -> Iterator[_Row]:
    command = f"upgrade-segment {name}"
    for step in PROCEDURES["10.1.1"].steps:
        yield command, step, None, name, ""
    table = PROCEDURES["10.2"]
    for cluster in site.segment(name).clusters:
        for step in table.steps:
            if step.number > 10 or (step.number == 10 and not cluster.is_mpe):
                continue
            yield command, step, cluster, name, name
    for step in table.steps[10:]:
        yield command, step, None, name, ""


def _numbered(
    order: int,
    command: str,
    step: Step,
    cluster: Cluster | None,
    segment: str | None,
    together: str,
    *,
    site: Site,
) -> PlannedStep:
    name = cluster.name if cluster is not None else None
    return PlannedStep(
        order=order,
        command=command,
        procedure=step.procedure,
        number=step.number,
        title=step.title,
        actor=step.actor,
        cluster=name,
        segment=segment,
        where=_place(step)
        or (step.where or _WHERE.get(step.key, "{cluster}")).format(cluster=name or segment),
        during=tuple(sorted(step.alarms.during)),
        after=tuple(sorted(step.alarms.after)),
        minutes=step.minutes,
        who=who(step, site.autonomy),
        together=together,
        note=_NOTES.get(step.key, "").format(window=site.pace.traffic_window),
    )


_BY_AUTONOMY = {Autonomy.OBSERVE: Who.PERSON, Autonomy.CONFIRM: Who.WE_ASK, Autonomy.AUTO: Who.AUTOMATIC}
_STRICTEST = (Who.PERSON, Who.WE_ASK, Who.AUTOMATIC)


def who(step: Step, rules: AutonomyRules) -> Who:
    """Who acts in this row: the strictest of its acts. A row that only looks is automatic, and so is R11's rollback."""
    if step.key in BY_PERSON:
        return Who.PERSON
    acts = [rules.of(leg.autonomy) for leg in step.legs if leg.act is not None]
    found = {_BY_AUTONOMY[autonomy] for autonomy in acts} or {Who.AUTOMATIC}
    return next(one for one in _STRICTEST if one in found)


# what a plan is, so that two plans can be told apart

_LIMITS = ("stagger", "traffic_window", "stable_readings", "settle", "alarm_grace", "health_keeps")


def content(site: Site) -> dict[str, Any]:
    """Everything that decides the work, as JSON: rows, clusters, servers, releases, images, who acts, limits, version.

    Not in it: addresses, ports, users, secrets and where they are kept, folders, windows, contacts, the ledger, and what
    is for the twin alone. Raises what `plan` raises.
    """
    limits = {name: float(getattr(site.pace, name)) for name in _LIMITS}
    for name, value in site.pace:
        if isinstance(value, Deadline):
            limits[f"{name}.late"] = float(value.late)
    return {
        "mopflow": version("mopflow"),
        "site": site.name,
        "source": site.source,
        "target": site.target,
        "clusters": [
            {
                "name": cluster.name,
                "kind": cluster.kind.value,
                "segment": next((s.name for s in site.segments if cluster in s.clusters), None),
                "servers": list(cluster.server_names),
            }
            for cluster in site.clusters  # the primary CMP first
        ],
        "images": {medium.type.value: f"{medium.file} {medium.md5}" for medium in site.media},
        "way of the images": site.images.way.value,
        "console driver": site.console.driver.value,
        "autonomy": {name: value.value for name, value in site.autonomy},
        "passwords": {
            "default": site.passwords.default,
            "new_admusr": site.passwords.new_admusr is not None,
            "new_root": site.passwords.new_root is not None,
        },
        "limits": limits,
        "health": {name: float(value) for name, value in site.health},
        "rows": [_row_content(row) for row in plan(site)],
    }


def _row_content(row: PlannedStep) -> list[Any]:
    return [row.command, row.key, row.where, row.who.value, row.together, list(row.during), list(row.after)]


def hash_of(what: Mapping[str, Any]) -> str:
    """SHA-256 of JSON in one form: keys sorted, no spaces, UTF-8."""
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plan_hash(site: Site) -> str:
    """What names this plan: the SHA-256 of its `content`. Raises what `plan` raises."""
    return hash_of(content(site))
