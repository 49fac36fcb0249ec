"""Chapter 11 of E75412-01: is the system as healthy as before, now that all of it runs the target release?

Nothing here changes anything. What was before is what the health check (4.5) of the campaign has kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mopflow.alarms import PENDING_ACCEPT, SYSTEM_MIXED, Judged, Standing, judge
from mopflow.confirmations import ConfirmItem, command
from mopflow.console.protocol import Page
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.procedures import health_system
from mopflow.procedures.checks import picture, syscheck_on, topology_agrees
from mopflow.procedures.stages import stage_alarms
from mopflow.step import Actor, Finding, Leg, Procedure, Step
from mopflow.system import Doing, ServerState, Stage, UpToDate

REPLICATES = "OK"  # of MPE/MRA Rep Stats


# 11/1


def upgraded_everywhere(here: Here) -> Finding:
    """11/1: every server runs the target release, is up to date, and says that its upgrade succeeded.

    A server whose operation the Upgrade Director does not remember (3.1.4.4) shows none; its release speaks for it.
    """
    here.memo["rule"] = (
        "R8"  # a wrong version or a missing success message is a partially upgraded cluster (12.3.2)
    )
    picture(here, Page.OVERVIEW, "overview")
    wrong = [state.why for state in here.states.values() if state.stage is not Stage.DONE]
    for state in here.states.values():
        for server in state.servers:
            wrong += _not_upgraded(here, server)
    if wrong:
        return Finding.no("; ".join(wrong))
    servers = [server for state in here.states.values() for server in state.servers]
    silent = [server.name for server in servers if server.operation.doing is Doing.NOTHING]
    forgotten = f"; no operation is remembered of {', '.join(silent)}" if silent else ""
    return Finding.yes(
        f"all {len(servers)} servers run {here.site.target_release.short} and are up to date{forgotten}"
    )


def _not_upgraded(here: Here, server: ServerState) -> Iterable[str]:
    if server.release is None or not server.release.same_build(here.site.target_release):
        yield f"{server.name} runs {server.release or 'a release that cannot be read'}"
    if server.up_to_date is not UpToDate.YES:
        yield f"{server.name} shows {server.up_to_date} in Up to Date"
    operation = server.operation
    if operation.doing is not Doing.NOTHING and (operation.doing is not Doing.SUCCEEDED or operation.backout):
        yield f"{server.name} shows no success message: {operation.text}"
    if server.sync_broken:
        yield f"{server.name} shows the Sync Broken mark"


def every_server_healthy(here: Here) -> Finding:
    """11/1: syscheck finds every class OK on every server of the site."""
    here.memo["rule"] = "syscheck"
    return syscheck_on(here, [server.name for server in here.site.servers])


# what was before


def before_the_upgrade(here: Here, number: int, what: str) -> Any:
    """What 4.5/``number`` of this campaign has kept, from before the first act of the upgrade; None if nothing."""
    ledger, campaign = here.house.ledger, here.house.campaign
    kept = [
        row
        for row in ledger.rows(campaign=campaign, procedure="4.5", step=number, events=(Event.OBSERVED,))
        if what in row.entry.data
    ]
    acts = [
        row.id
        for row in ledger.rows(campaign=campaign, events=(Event.INTENDED, Event.ADOPTED))
        if not row.entry.procedure.startswith("4.")
    ]
    first = min(acts, default=None)
    earlier = [row for row in kept if first is None or row.id < first] or kept
    return earlier[-1].entry.data[what] if earlier else None


# 11/2


def alarms_as_before(here: Here) -> Finding:
    """11/2: only alarms stand that stood in the health check or are accepted by name; System Mixed Version is gone.

    The document's own list is lost. Alarm 32532 of sister products is tolerated: nothing is ever accepted (R14).
    """
    here.memo["rule"] = "R15"
    reading = here.look_again(alarms=True)
    judged = judge(
        reading.snapshot.alarms, here.site, reading.states, stage_alarms(here.site, reading.states)
    )
    kept = before_the_upgrade(here, 2, "alarms")
    before = {
        (int(row["number"]), str(row["source"]))
        for row in kept or ()
        if row.get("standing") == Standing.BASELINE.value
    }
    reasons = [_may_stand(item, before) for item in judged]
    health_system.export_alarms(here, judged, reasons)
    wrong = [item.alarm for item, reason in zip(judged, reasons, strict=True) if not reason]
    if wrong:
        said = "; ".join(f"{a.number} {a.severity.word} on {a.source}: {a.text}" for a in wrong)
        return Finding.no(
            f"{len(wrong)} of {len(judged)} active alarms did not stand before the upgrade: {said}"
        )
    compared = "" if kept is not None else "; no health check of this campaign to compare with"
    if not judged:
        return Finding.yes(f"no active alarms{compared}")
    named = ", ".join(
        f"{item.alarm.number} on {item.alarm.source} ({reason})"
        for item, reason in zip(judged, reasons, strict=True)
    )
    return Finding.yes(f"{len(judged)} active alarms, all understood: {named}{compared}")


def _may_stand(item: Judged, before: set[tuple[int, str]]) -> str:
    """Why this alarm may stand on a system that is upgraded altogether, "" if it may not."""
    if item.alarm.number == SYSTEM_MIXED:
        return ""
    if item.standing is Standing.BASELINE:
        return item.why
    if item.alarm.key in before:
        return "stood before the upgrade"
    return item.why if item.alarm.number == PENDING_ACCEPT else ""


# 11/3


def kpis_as_before(here: Here) -> Finding:
    """11/3: a cluster that carried traffic in the health check carries it now, and not much less (``health.tps_fall``)."""
    here.memo["rule"] = "kpis"
    rows = health_system.traffic_rows(here)
    before = before_the_upgrade(here, 3, "kpis")
    wrong: list[str] = []
    notes: list[str] = []
    fallen: list[str] = []
    for cluster in here.site.traffic_clusters:
        now, then = rows[cluster.name].tps, (before or {}).get(cluster.name, {})
        carried = float(then.get("tps", 0))
        if here.states[cluster.name].active is None:
            wrong.append(here.states[cluster.name].why)
        elif now <= 0 and carried > 0:
            wrong.append(f"{cluster.name} carried {carried:g} TPS before the upgrade and carries none")
        elif now <= 0:
            why = str(then.get("why", "")) or health_system.no_traffic(here, cluster)
            (notes if why else wrong).append(
                f"{cluster.name} carries no traffic: {why or 'its page shows no reason'}"
            )
        elif now < carried * (1 - here.site.health.tps_fall):
            fallen.append(f"{cluster.name} carries {now:g} TPS, {carried:g} before the upgrade")
    health_system.export_kpis(here, list(rows.values()))
    if wrong:
        return Finding.no("; ".join(wrong + fallen))
    if fallen:
        word = _person_on_fall(here)
        if not word:
            here.memo["rule"] = "kpi fall"
            return Finding.no(
                f"{'; '.join(fallen)}: more than {here.site.health.tps_fall:.0%} less. If that is understood, type: "
                f"{command(here, ConfirmItem.TRAFFIC_FALL)}"
            )
        notes += [*fallen, word]
    if before is None:
        notes.append("no health check of this campaign to compare with")
    total = sum(rows[cluster.name].tps for cluster in here.site.traffic_clusters)
    return Finding.yes(
        "; ".join([f"{len(here.site.traffic_clusters)} clusters, {total:g} TPS together", *notes])
    )


def _person_on_fall(here: Here) -> str:
    """What a person has said of the fall, after this campaign asked; "" for nothing."""
    asked = here.rows(Event.HELD)
    said = here.house.ledger.confirmation(here.site.name, ConfirmItem.TRAFFIC_FALL.value)
    if not asked or said is None or said.at <= asked[-1].at:
        return ""
    return f"understood by {said.by}" + (f" ({said.text})" if said.text else "")


# 11/4 and 11/5


def trends_shown(here: Here) -> Finding:
    """11/4: Trending Reports have intervals of every MPE and MRA cluster."""
    here.memo["rule"] = "trending"
    rows = here.console.trending()
    shown = [(row.cluster, row.values) for row in rows]
    _export(here, Page.TRENDING, "trending-reports", "cluster", shown)
    missing = _missing(
        [cluster.name for cluster in here.site.traffic_clusters], {row.cluster for row in rows}
    )
    if missing:
        return Finding.no(f"Trending Reports have nothing of {', '.join(missing)}")
    return Finding.yes(
        f"{len(rows)} intervals, of all {len(here.site.traffic_clusters)} MPE and MRA clusters"
    )


def replication_everywhere(here: Here) -> Finding:
    """11/5: MPE/MRA Rep Stats show OK for every MPE and MRA server."""
    here.memo["rule"] = "R9"
    rows = here.console.rep_stats()
    shown = [(row.server, {"peer": row.peer, "status": row.status, **row.values}) for row in rows]
    _export(here, Page.REP_STATS, "rep-stats", "server", shown)
    servers = [name for cluster in here.site.traffic_clusters for name in cluster.server_names]
    missing = _missing(servers, {row.server for row in rows})
    wrong = [f"the Rep Stats have no row of {name}" for name in missing]
    wrong += [
        f"{row.server} from {row.peer}: {row.status or 'no status'}"
        for row in rows
        if row.status != REPLICATES
    ]
    if wrong:
        return Finding.no("; ".join(wrong))
    return Finding.yes(f"replication is {REPLICATES} on all {len(servers)} MPE and MRA servers")


def _missing(wanted: Iterable[str], shown: set[str]) -> list[str]:
    return [name for name in wanted if name not in shown]


def _export(here: Here, page: Page, name: str, key: str, rows: Sequence[tuple[str, dict[str, str]]]) -> None:
    """The page as a picture, and its table whenever it shows something new."""
    picture(here, page, name)
    heading = list(dict.fromkeys(column for _, values in rows for column in values))
    text = health_system.table(
        [key, *heading], [[who, *(values.get(column, "") for column in heading)] for who, values in rows]
    )
    if here.memo.get(f"{name}.csv") != text:
        here.keep(f"{name}.csv", text, "report")
        here.memo[f"{name}.csv"] = text


POST_CHECK = Procedure(
    "11",
    "Post Upgrade Health Check",
    (
        Step(
            "11",
            1,
            "Verify the upgrade is successful on all CMP/MRA/MPE clusters",
            Actor.GUI,
            (
                Leg(upgraded_everywhere),
                Leg(topology_agrees, name="topology"),
                Leg(every_server_healthy, name="syscheck"),
            ),
            5,
            source_note="topology and syscheck are ours: the chapter has no row for them, 12.3.5/9 has one for syscheck",
        ),
        Step(
            "11",
            2,
            "View current alarms",
            Actor.GUI,
            (Leg(alarms_as_before),),
            2,
            source_note='the list after "only possible alarms" is lost: those of the health check, and accepted ones',
        ),
        Step("11", 3, "View current KPIs", Actor.GUI, (Leg(kpis_as_before),), 2),
        Step("11", 4, "View trending reports", Actor.GUI, (Leg(trends_shown),), 1),
        Step("11", 5, "Replication stats", Actor.GUI, (Leg(replication_everywhere),), 1),
    ),
)
