"""Re-apply of the configuration, counters, and the proof of traffic (10.2/1, 5, 7, 8, 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from mopflow.console.protocol import ClusterPage, Page, Urgency
from mopflow.errors import MopflowError
from mopflow.goals import begun, past, rollback_begun
from mopflow.here import Here
from mopflow.ledger import Event, Row
from mopflow.release import Release
from mopflow.step import Finding
from mopflow.system import Stage

MESSAGES = "Messages In"
SINCE_RESET = "Seconds since reset"


def reapply(here: Here) -> None:
    here.house.acting_console(here.leg.autonomy).reapply_configuration(
        here.cluster.name,
        shots=here.shots(),
        urgency=Urgency.ROLLBACK if rollback_begun(here) else Urgency.ACT,
    )


def reset_counters(here: Here) -> None:
    here.house.acting_console(here.leg.autonomy).reset_counters(here.cluster.name, shots=here.shots())


# goals


def _page(here: Here) -> ClusterPage:
    return here.console.cluster_page(here.cluster.name)


def applied(here: Here, release: Release) -> Finding:
    page = _page(here)
    if page.version.same_build(release):
        return Finding.yes(f"{page.cluster}: version {page.version}, status {page.status}")
    return Finding.no(f"{page.cluster}: version {page.version}, not {release}")


def applied_new(here: Here) -> Finding:
    """10.2/5: the version has changed to the target release."""
    return applied(here, here.site.target_release)


def applied_old(here: Here) -> Finding:
    """10.2/8: the version has changed back to the source release."""
    here.memo["rule"] = "R11"
    page = _page(here)
    if page.version.same_release(here.site.source_release):
        return Finding.yes(f"{page.cluster}: version {page.version}, status {page.status}")
    return Finding.no(f"{page.cluster}: version {page.version}, not {here.site.source}")


def applied_again(here: Here) -> Finding:
    """10.2/10 (MPE only): re-applied after the second server was upgraded.

    The version is the target already, so the page alone cannot always tell: when the second server was upgraded in
    this campaign, only a re-apply after that counts; else "Config mismatch" on the page decides.
    """
    if here.state.stage is not Stage.DONE:
        return Finding.unknown(here.state.why)
    page = _page(here)
    upgraded = here.rows(Event.INTENDED, Event.ADOPTED, step="10.2/9")
    if upgraded:
        answered = [row for row in here.rows(Event.ACTED) if row.id > upgraded[-1].id]
        if not answered:
            return Finding.no(f"{page.cluster}: not re-applied since its second server was upgraded")
    if page.mismatch:
        return Finding.no(f"{page.cluster}: Config mismatch on {', '.join(page.mismatch)}")
    if not page.version.same_build(here.site.target_release):
        return Finding.no(f"{page.cluster}: version {page.version}")
    return Finding.yes(f"{page.cluster}: version {page.version}, no Config mismatch")


def mpe_only(here: Here) -> Finding:
    if not here.cluster.is_mpe:
        return Finding.no(f"{here.cluster.name} is an {here.cluster.kind}: this row is for MPE only")
    return Finding.yes("an MPE cluster")


def counters_mark(here: Here) -> Mapping[str, Any]:
    counters = _page(here).counters
    return {"messages": counters.get(MESSAGES), "since": counters.get(SINCE_RESET)}


def counters_were_reset(here: Here) -> Finding:
    """10.2/1: the counters began anew in this campaign."""
    if begun(here.state):
        return past(here.state)
    done = here.rows(Event.VERIFIED, leg=here.leg.name)
    if done:
        return Finding.yes(f"reset at {done[-1].at:%H:%M:%S} UTC in this campaign")
    intended = here.rows(Event.INTENDED, leg=here.leg.name)
    if not intended:
        return Finding.no("the counters have no baseline yet")
    mark = intended[-1].entry.data
    passed = (datetime.now(UTC) - intended[-1].at).total_seconds()  # before the page is read: never too long
    counters = _page(here).counters
    clock, clock_before = counters.get(SINCE_RESET), mark.get("since")
    if clock is not None and clock_before is not None and here.site.pace.minute > 0:
        # the system's clock may run faster than ours (the twin's does); a restarted run may look hours later
        without = passed * 60 / here.site.pace.minute + float(clock_before)
        if clock < without - float(clock_before) / 2:
            return Finding.yes(f"{SINCE_RESET} reads {clock:g}, without a reset it would read {without:.0f}")
    before = mark.get("messages")
    if MESSAGES in counters and before is not None and counters[MESSAGES] < float(before):
        return Finding.yes(f"{MESSAGES} fell from {before:g} to {counters[MESSAGES]:g}")
    acted = here.rows(Event.ACTED, leg=here.leg.name)
    if acted and MESSAGES in counters and before == 0:
        return Finding.yes("the counters were zero already")
    return Finding.no(f"{MESSAGES} reads {counters.get(MESSAGES)}, {before} before")


def baseline_kept(here: Here) -> Finding:
    """10.2/1: KPIs read and pictured; remembers whether the cluster had traffic before."""
    if begun(here.state):
        return past(here.state)
    tps = traffic_now(here)
    here.memo["data"] = {"tps": tps}
    if "kpi" not in here.memo:
        here.console.screenshot(Page.KPI_DASHBOARD, here.shots().next("kpi-dashboard"))
        here.memo["kpi"] = True
        _keep_kpis(here)
    return Finding.yes(f"{here.cluster.name} carries {tps:g} TPS")


def _keep_kpis(here: Here) -> None:
    """The KPI record by OSSI beside the picture; not having it stops nothing, but it is written down."""
    ossi = here.house.ossi
    if ossi is None:
        return
    end = datetime.now(UTC)
    try:
        samples = ossi.stats([here.cluster.name], end - timedelta(minutes=15), end)
    except MopflowError as error:
        here.keep("kpi-ossi-missing.txt", f"no KPI record by OSSI: {error}", "kpi")
        return
    document = [asdict(sample) for sample in samples]
    here.keep("kpi-ossi.json", json.dumps(document, indent=1, default=str), "kpi")


# traffic


def traffic_now(here: Here) -> float:
    """Transactions per second of this cluster as the KPI Dashboard shows them."""
    from mopflow.errors import UnreadableReply

    for row in here.console.kpi_dashboard():
        if row.cluster == here.cluster.name:
            return row.tps
    raise UnreadableReply("KPI Dashboard", f"no row for {here.cluster.name}", "")


def had_traffic(here: Here) -> bool | None:
    """Did the cluster carry traffic before the upgrade? None: nobody looked."""
    rows = here.house.ledger.rows(
        site=here.site.name, procedure="10.2", step=1, cluster=here.cluster.name, events=(Event.OBSERVED,)
    )
    known = [row.entry.data["tps"] for row in rows if "tps" in row.entry.data]
    return known[-1] > 0 if known else None


def _last(here: Here, step: str, *events: Event) -> Row | None:
    rows = here.rows(*events, step=step)
    return rows[-1] if rows else None


def traffic_is_active(here: Here) -> Finding:
    """10.2/7: traffic runs over the new release; records the seconds without it."""
    state = here.state
    if state.stage.order > Stage.SWITCHED.order:
        return past(state)
    before = had_traffic(here)
    tps = traffic_now(here)
    if tps > 0:
        switched = _last(here, "10.2/4", Event.INTENDED)
        gone = (datetime.now(UTC) - switched.at).total_seconds() if switched else None
        here.memo["data"] = {"tps": tps, "seconds_without_traffic_at_most": gone}
        seconds = f", at most {gone:.1f} s after the failover was asked for" if gone is not None else ""
        return Finding.yes(f"{here.cluster.name} carries {tps:g} TPS{seconds}")
    if before is False:
        return Finding.yes(f"{here.cluster.name} carried no traffic before either: nothing to prove")
    if before is None:
        return Finding.unknown(
            f"{here.cluster.name} carries no traffic, and nobody looked whether it did before"
        )
    return Finding.no(f"{here.cluster.name} carries no traffic")


def traffic_is_back(here: Here) -> Finding:
    """10.2/8: after the rollback traffic runs over the old release again."""
    here.memo["rule"] = "R11"
    tps = traffic_now(here)
    if tps > 0:
        here.memo["data"] = {"tps": tps}
        return Finding.yes(f"{here.cluster.name} carries {tps:g} TPS on {here.site.source_release.short}")
    return Finding.no(f"{here.cluster.name} carries no traffic")


def traffic_window(here: Here) -> datetime:
    """R11: 90 seconds, counted from the end of the re-apply as the ledger has it.

    The first row after the failover counts: a run that was started again finds it done once more, later.
    """
    failover = _last(here, "10.2/4", Event.INTENDED, Event.ADOPTED)
    applied_rows = [
        row
        for row in here.rows(Event.VERIFIED, Event.FOUND_DONE, step="10.2/5")
        if failover is None or row.id > failover.id
    ]
    if applied_rows:
        seen = applied_rows[0].at
        said = [row.at for row in here.rows(Event.ACTED, step="10.2/5") if row.at <= seen]
        prompt = timedelta(seconds=3 * here.site.pace.reapply.usual)
        # the console says when the re-apply has ended; where it answered long before, the new version counts
        since = said[-1] if said and seen - said[-1] <= prompt else seen
    else:
        since = here.memo.setdefault("traffic-since", datetime.now(UTC))
    return since + timedelta(seconds=here.site.pace.traffic_window)


def old_is_active(here: Here) -> Finding:
    """10.2/7: the source release is active again."""
    state = here.state
    if state.stage in (Stage.MOVING, Stage.ODD) or state.active is None or state.active.release is None:
        return Finding.unknown(state.why)
    if state.active.release.same_release(here.site.source_release):
        return Finding.yes(state.why)  # also while a person backs the other server out
    return Finding.no(state.why)


def traffic_lost(here: Here) -> Finding:
    """Does the rollback leg apply: a plain no from the proof, or a rollback begun by an earlier run."""
    if rollback_begun(here) or "traffic" in here.memo:
        return Finding.yes("no traffic in time")
    return Finding.no("traffic is active, go to step 9")


def person_decides(here: Here) -> Finding:
    """After a rollback (R11) a person decides: complete the backout of this cluster, or wait for Oracle."""
    here.memo["rule"] = "R11"
    return Finding.no(
        f"no traffic over {here.site.target_release.short} within {here.site.pace.traffic_window:g} s after the "
        f"re-apply: {here.cluster.name} was rolled back. {here.state.why}"
    )


def at_once(_here: Here) -> datetime:
    """Patience that has ended before it begins; the present moment would always be a little later than now."""
    return datetime.min.replace(tzinfo=UTC)
