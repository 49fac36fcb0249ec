"""Health of the system as the console shows it (4.5 steps 1 to 3)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from mopflow.alarms import Judged, Standing, judge
from mopflow.console.protocol import KpiRow, Page
from mopflow.errors import MopflowError, UnreadableReply
from mopflow.here import Here
from mopflow.procedures.checks import picture, topology_agrees
from mopflow.procedures.stages import stage_alarms
from mopflow.site import Cluster
from mopflow.step import Finding

KPI_RECORD = timedelta(hours=1)  # of samples by OSSI: four of 15 minutes


def console_of_the_site(here: Here) -> Finding:
    """4.5/1: the console takes the login, serves the source or the target release, and shows the site's topology."""
    here.memo["rule"] = "console"
    release = here.console.about()
    picture(here, Page.ABOUT, "about")
    if not any(release.same_build(known) for known in (here.site.source_release, here.site.target_release)):
        return Finding.no(
            f"the console serves {release}, the site file says {here.site.source} and {here.site.target}"
        )
    topology = topology_agrees(here)  # R17
    if topology.is_yes:
        here.memo["data"] = {"release": str(release)}
    return Finding(topology.answer, f"logged in to the console of {release}; {topology.evidence}")


# alarms


def alarms_accepted(here: Here) -> Finding:
    """4.5/2: what stands is exported, and each alarm is accepted by name in the site file or gone (R15)."""
    here.memo["rule"] = "R15"
    reading = here.look_again(alarms=True)  # raises UnreadableReply for a page that cannot be read: unknown
    judged = judge(
        reading.snapshot.alarms, here.site, reading.states, stage_alarms(here.site, reading.states)
    )
    baseline = _baseline(here, judged)
    export_alarms(here, judged, [str(row["accepted_by"]) for row in baseline])
    open_ones = [item for item in judged if item.standing is Standing.UNEXPECTED]
    if open_ones:
        said = "; ".join(
            f"{i.alarm.number} {i.alarm.severity.word} on {i.alarm.source}: {i.alarm.text}" for i in open_ones
        )
        return Finding.no(f"{len(open_ones)} of {len(judged)} active alarms nobody has accepted: {said}")
    here.memo["data"] = {"alarms": baseline}
    if not judged:
        return Finding.yes("no active alarms")
    named = ", ".join(f"{row['number']} on {row['source']} ({row['accepted_by']})" for row in baseline)
    return Finding.yes(f"{len(judged)} active alarms, all accepted: {named}")


def _baseline(here: Here, judged: Iterable[Judged]) -> list[dict[str, str | int]]:
    """What stands, and who has accepted it (or why it is expected)."""
    by = {(a.number, a.source): f"{a.by}: {a.reason}" for a in here.site.accepted_alarms}
    return [
        {
            "number": item.alarm.number,
            "source": item.alarm.source,
            "severity": item.alarm.severity.word,
            "standing": item.standing.value,
            "accepted_by": _accepted_by(item, by),
        }
        for item in judged
    ]


def _accepted_by(item: Judged, by: dict[tuple[int, str], str]) -> str:
    if item.standing is Standing.BASELINE:
        return by[item.alarm.key]
    return "" if item.standing is Standing.UNEXPECTED else f"expected: {item.why}"


def export_alarms(here: Here, judged: Sequence[Judged], accepted_by: Sequence[str]) -> None:
    """A file and a picture, again whenever other alarms stand than were exported before."""
    seen = sorted((item.alarm.key, item.standing) for item in judged)
    if here.memo.get("exported") == seen:
        return
    rows = [
        [i.alarm.occurrence, i.alarm.severity.word, i.alarm.number, i.alarm.source, i.alarm.text, by]
        for i, by in zip(judged, accepted_by, strict=True)
    ]
    heading = ["occurrence", "severity", "alarm", "source", "text", "accepted by"]
    here.keep("active-alarms.csv", table(heading, rows), "alarms")
    here.console.screenshot(Page.ACTIVE_ALARMS, here.shots().next("active-alarms"))
    here.memo["exported"] = seen


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    return out.getvalue()


# KPIs


def kpis_expected(here: Here) -> Finding:
    """4.5/3: the KPIs are exported; each traffic cluster has an active server and carries traffic, or says why not."""
    here.memo["rule"] = "kpis"
    rows = traffic_rows(here)
    wrong, notes, baseline = [], [], {}
    for cluster in here.site.traffic_clusters:
        row = rows[cluster.name]
        state = here.states[cluster.name]
        why = "" if row.tps > 0 else no_traffic(here, cluster)
        baseline[cluster.name] = {"tps": row.tps, "why": why}
        if state.active is None:
            wrong.append(state.why)
        elif row.tps <= 0 and not why:
            wrong.append(f"{cluster.name} is active and carries no traffic, and its page shows no reason")
        elif row.tps <= 0:
            notes.append(f"{cluster.name} carries no traffic: {why}")
    export_kpis(here, list(rows.values()))
    if wrong:
        return Finding.no("; ".join(wrong + notes))
    here.memo["data"] = {"kpis": baseline}
    total = sum(row.tps for row in rows.values())
    return Finding.yes("; ".join([f"{len(baseline)} clusters, {total:g} TPS together", *notes]))


def traffic_rows(here: Here) -> dict[str, KpiRow]:
    """The KPI Dashboard by cluster. Raises UnreadableReply when a traffic cluster has no row there."""
    rows = {row.cluster: row for row in here.console.kpi_dashboard()}
    for cluster in here.site.traffic_clusters:
        if cluster.name not in rows:
            raise UnreadableReply("KPI Dashboard", f"no row for {cluster.name}", ", ".join(rows))
    return rows


def no_traffic(here: Here, cluster: Cluster) -> str:
    """What the cluster's own page gives as a reason, "" for none."""
    page = here.console.cluster_page(cluster.name)
    reasons = [f"status {page.status}"] if page.status != "OK" else []
    reasons += [f"Config mismatch on {server}" for server in page.mismatch]
    return ", ".join(reasons)


def export_kpis(here: Here, rows: Sequence[KpiRow]) -> None:
    """A file, a picture and the record by OSSI, once per step."""
    if "kpis" in here.memo:
        return
    heading = list(dict.fromkeys(name for row in rows for name in row.values))
    cells = [[row.cluster, *(row.values.get(name, "") for name in heading)] for row in rows]
    here.keep("kpi-dashboard.csv", table(["cluster", *heading], cells), "kpi")
    here.console.screenshot(Page.KPI_DASHBOARD, here.shots().next("kpi-dashboard"))
    _record_by_ossi(here)
    here.memo["kpis"] = True


def _record_by_ossi(here: Here) -> None:
    """The record of the last hour. That it cannot be had stops nothing, but is written down."""
    if here.house.ossi is None:
        return
    end = datetime.now(UTC)
    try:
        samples = here.house.ossi.stats([c.name for c in here.site.traffic_clusters], end - KPI_RECORD, end)
    except MopflowError as error:
        here.keep("kpi-ossi-missing.txt", f"no KPI record by OSSI: {error}", "kpi")
        return
    here.keep("kpi-ossi.json", json.dumps([asdict(s) for s in samples], indent=1, default=str), "kpi")
