"""Was the configuration changed while the system is between two releases? (2.3.2: it should not be.)

What can be read of it is remembered at the first look of a campaign: the topology, the release that Help > About
shows, and the release of the configuration that each cluster has applied. The upgrade itself moves the two releases
between source and target; anything else is a change that somebody made. It is told once, and stops nothing: the
topology itself is guarded by R17. The console shows no checksum of the policies, so a changed policy stays unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mopflow.console.protocol import TopologyRow
from mopflow.errors import CommandFailed, MayHaveRun, Unreachable, UnreadableReply
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.messages import Kind
from mopflow.release import Release

KEY = "configuration"  # of a row's data
_AWAY = (Unreachable, UnreadableReply, CommandFailed, MayHaveRun)

Picture = dict[str, Any]


def look(here: Here, topology: Iterable[TopologyRow]) -> str:
    """Compare with what was remembered; a sentence for the step's evidence, "" when nothing changed.

    Once per step. What cannot be read now is compared next time: this only observes.
    """
    if KEY in here.memo:
        return str(here.memo[KEY])
    try:
        now = _picture(here, topology)
    except _AWAY as away:
        return f"the configuration could not be compared: {away}"
    here.memo[KEY] = _compare(here, now)
    return str(here.memo[KEY])


def _compare(here: Here, now: Picture) -> str:
    before = _remembered(here)
    if before is None:
        here.record(Event.NOTE, "the configuration at the start of the campaign", data={KEY: now})
        return ""
    # clusters whose page was not read this time stay as they were remembered
    now["applied"] = {**before.get("applied", {}), **now["applied"]}
    changed = list(changes(before, now, here.site.source_release, here.site.target_release))
    if now != before:
        said = f"the configuration changed: {'; '.join(changed)}" if changed else "the releases moved on"
        here.record(Event.OBSERVED if changed else Event.NOTE, said, data={KEY: now})
    if not changed:
        return ""
    text = (
        f"the configuration was changed since {here.site.name} was looked at last: {'; '.join(changed)}. While releases "
        "are mixed it should not be (2.3.2)"
    )
    here.house.notices.tell(
        Kind.CHANGE,
        "configuration",
        f"{here.step.key}: {text}.",
        "find out who changed it and why. Nothing is stopped by it but what the topology forbids (R17).",
    )
    return text


def _remembered(here: Here) -> Picture | None:
    rows = here.house.ledger.rows(campaign=here.house.campaign, events=(Event.NOTE, Event.OBSERVED))
    pictures: list[Picture] = [row.entry.data[KEY] for row in rows if KEY in row.entry.data]
    return pictures[-1] if pictures else None


def _picture(here: Here, topology: Iterable[TopologyRow]) -> Picture:
    segment = here.scope.segment
    clusters = here.site.traffic_clusters if segment is None else here.site.segment(segment).clusters
    return {
        "about": str(here.console.about()),
        "topology": {
            row.cluster: {"mark": row.mark, "type": row.appl_type, "servers": sorted(row.servers)}
            for row in topology
        },
        "applied": {c.name: str(here.console.cluster_page(c.name).version) for c in clusters},
    }


def changes(
    before: Mapping[str, Any], now: Mapping[str, Any], source: Release, target: Release
) -> Iterator[str]:
    """What somebody has changed between two pictures; the upgrade's own steps are none."""
    was, has = before["topology"], now["topology"]
    for name in sorted({*was, *has}):
        if name not in has:
            yield f"the topology has no cluster {name} any more"
        elif name not in was:
            yield f"the topology has a new cluster {name} ({', '.join(has[name]['servers'])})"
        elif was[name] != has[name]:
            yield f"{name} is now {_words(has[name])}, it was {_words(was[name])}"
    for what, old, new in _releases(before, now):
        if old != new and not any(_is(new, release) for release in (source, target)):
            yield f"{what} is {new}, it was {old}"


def _releases(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield "the release of the console", before["about"], now["about"]
    for name, new in sorted(now["applied"].items()):
        yield f"the configuration of {name}", before["applied"].get(name, new), new


def _is(printed: str, release: Release) -> bool:
    return Release.parse(printed).same_release(release)


def _words(row: Mapping[str, Any]) -> str:
    mark = f" marked {row['mark']}" if row["mark"] else ""
    return f"{row['type']}{mark} with {', '.join(row['servers'])}"
