"""Questions about the live system that the rows of chapter 12 ask, before and after their acts.

Where a cluster stands on its way back is read from the live system alone, so that a backout begins at the right row in
whatever mixed state it finds the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mopflow import rules, rules_back
from mopflow.acts.configuration import old_is_active, traffic_now
from mopflow.console.protocol import Page
from mopflow.failovers import unproven
from mopflow.goals import (
    after_settling,
    in_doubt,
    is_released,
    mate_reachable,
    no_success,
    not_understood,
    past,
    trouble_shown,
)
from mopflow.here import Here
from mopflow.holds import stopping
from mopflow.ledger import Event
from mopflow.probes import syscheck
from mopflow.procedures.checks import picture
from mopflow.scopes import clusters_of
from mopflow.site import Cluster
from mopflow.step import Answer, Finding, Refusal
from mopflow.system import Doing, Kind, Role, ServerState, Stage, UpToDate
from mopflow.turning import just_turned

FORWARD = (Stage.FIRST_RUNNING, Stage.SECOND_RUNNING)
_BASELINES = (("10.2", "baseline"), ("12.3.3", "baseline"))  # row 1 of both tables looks at the traffic
_OLD_ACTIVE = (Stage.FIRST_DONE, Stage.BACK_SECOND, Stage.FORCED, Stage.FRESH)


# the state before


def nothing_forward(here: Here) -> Finding:
    """R7, 3.1.4.5: what runs in the cluster is waited for, never reversed.

    An OOS server without a text (3.1.4.4: the promoted Upgrade Director has no history) goes nobody knows where.
    """
    here.memo["rule"] = "R7"
    state = here.state
    if state.stage in FORWARD:
        named = state.other is not None and state.other.operation.doing is Doing.RUNNING
        what = (
            "an upgrade runs and is waited for"
            if named
            else "something runs, in which direction is not shown"
        )
        return Finding.unknown(f"{what}: {state.why}")
    if state.stage in (Stage.MOVING, Stage.ODD):
        return Finding.unknown(state.why)
    return Finding.yes(state.why)


def may_begin_back(here: Here) -> Finding:
    """12.3.3/1, 12.3.4/1, 12.3.5/1: the clusters that come before it are done, and what stands before is recorded."""
    here.memo["rule"] = "R1"
    state = here.state
    if state.stage not in (Stage.FRESH, Stage.BACK_SECOND):
        wrong = list(rules_back.order(here.site, here.cluster, here.states))
        if wrong:
            said = "; ".join(refusal.reason for refusal in wrong)
            return Finding(Answer.UNKNOWN if all(r.passing for r in wrong) else Answer.NO, said)
    doubt = in_doubt(here.reading.judged)
    if doubt is not None:
        return doubt
    picture(here, Page.OVERVIEW, "overview")
    # what stands already is no reason to stay on this release: only what comes later is looked at
    here.memo["data"] = {"alarms": [[j.alarm.number, j.alarm.source] for j in not_understood(here)]}
    if state.stage is not Stage.DONE:
        return past(state)
    late = [s.name for s in state.servers if s.up_to_date is not UpToDate.YES]
    if late:
        here.memo["rule"] = "R8"
        return Finding.no(f"Up to Date does not read Y on {', '.join(late)}: {state.why}")
    return Finding.yes(f"{state.why}; Up to Date Y")


def traffic_before(here: Here) -> Finding:
    """Remembers whether the cluster carries traffic, for the proof after the failover back."""
    if here.state.stage in _OLD_ACTIVE and here.state.stage is not Stage.FIRST_DONE:
        return past(here.state)
    tps = traffic_now(here)
    here.memo["data"] = {"tps": tps}
    return Finding.yes(f"{here.cluster.name} carries {tps:g} TPS")


# one server


def first_backed_out(here: Here) -> Finding:
    """12.3.3/2, 12.3.4/2, 12.3.5/2: the standby is backed out, says so, and the target release is still active."""
    state = here.state
    if state.stage in _OLD_ACTIVE:
        return past(state)
    if state.stage in (Stage.MOVING, Stage.ODD, *FORWARD):
        return Finding.unknown(state.why)
    if state.stage is not Stage.SWITCHED:
        return Finding.no(state.why)
    return _ended_well(here, state.other)


def both_backed_out(here: Here) -> Finding:
    """12.3.3/5, 12.3.4/4, 12.3.5/8: both servers on the old release, active and standby, with the success message."""
    return _both(here, (Stage.FRESH,))


def backed_out_in_maintenance(here: Here) -> Finding:
    """12.3.5/6: the remaining server is on the old release too, and in forced standby until row 7."""
    return _both(here, (Stage.FRESH, Stage.FORCED))


def _both(here: Here, wanted: tuple[Stage, ...]) -> Finding:
    state = here.state
    if state.stage in (Stage.MOVING, Stage.ODD, *FORWARD):
        return Finding.unknown(state.why)
    if state.stage not in wanted:
        return Finding.no(state.why)
    return _ended_well(here, _ours(here) or state.other)


def _ours(here: Here) -> ServerState | None:
    rows = here.rows(Event.INTENDED, leg=here.leg.name)
    name = rows[-1].entry.server if rows else None
    return next((s for s in here.state.servers if s.name == name), None)


def _ended_well(here: Here, server: ServerState | None) -> Finding:
    """12.3.2: a server that we backed out shows the success message; and R9."""
    state = here.state
    if server is None:
        return Finding.unknown(state.why)
    ended = server.operation.doing is Doing.SUCCEEDED and server.operation.backout
    acts = here.rows(Event.INTENDED, Event.ADOPTED, Event.VERIFIED, leg=here.leg.name)
    # once seen it counts: the Upgrade Director forgets it with the failover of the primary CMP
    if not ended and acts and acts[-1].entry.event is not Event.VERIFIED and not is_released(here, server):
        return no_success(here, server, "shows no success message (12.3.2)")
    if not ended:
        return Finding.yes(f"found so: {state.why}")
    in_sync = back_in_sync(here, server)
    if not in_sync.is_yes:
        here.memo["rule"] = "R9"
        return Finding(Answer.NO, in_sync.evidence)
    return Finding.yes(f"{state.why}; {server.operation.text}; {in_sync.evidence}")


def back_in_sync(here: Here, server: ServerState) -> Finding:
    """R9, for the server that was backed out; the old GUI has no Upgrade Log, the mark has to do there."""
    if server.sync_broken:
        return Finding.no(f"{server.name} shows the Sync Broken mark")
    if in_old_gui(here):
        return Finding.yes(f"{server.name} shows no Sync Broken mark")
    key = f"replicated:{server.name}:{server.operation.text}"
    known = here.memo.get(key)
    if isinstance(known, Finding):
        return known
    found = rules_back.replicated(server, here.console.upgrade_log(here.state.name))
    if found.is_yes:
        here.memo[key] = found
    return found


def in_old_gui(here: Here) -> bool:
    """Does the console serve System Maintenance: is the active primary CMP on 10.5 or 11.5?"""
    active = here.states[here.site.cmp.primary.name].active
    return active is not None and active.release is not None and active.release.has_old_gui


def first_going_back(here: Here) -> Finding:
    return _going(here, Stage.BACK_FIRST)


def second_going_back(here: Here) -> Finding:
    return _going(here, Stage.BACK_SECOND)


def _going(here: Here, stage: Stage) -> Finding:
    state = here.state
    if state.stage is stage:
        return Finding.yes(state.why)
    if state.stage in (Stage.MOVING, *FORWARD) or state.stage.is_back:
        return Finding.unknown(state.why)
    return Finding.no(state.why)


# failover


def failed_back(here: Here) -> Finding:
    """12.3.3/3, 12.3.4/3, 12.3.5/3: the old release is active, and the other server is back in standby."""
    found = old_is_active(here)
    other = here.state.other
    back = other is None or other.role in (Role.STANDBY, Role.FORCED_STANDBY)
    if found.is_yes and here.state.stage is Stage.FIRST_DONE and other is not None and not back:
        return Finding.unknown(f"{other.name} is {other.role}: {found.evidence}")
    return found


def applied_back(here: Here) -> Finding:
    """12.3.3/4: the version has changed to the old release; an MRA shows nothing else."""
    if here.state.stage not in _OLD_ACTIVE:
        return Finding.unknown(here.state.why)
    page = here.console.cluster_page(here.cluster.name)
    if page.version.same_release(here.site.source_release):
        return Finding.yes(f"{page.cluster}: version {page.version}, status {page.status}")
    return Finding.no(f"{page.cluster}: version {page.version}, not {here.site.source}")


def traffic_is_proven(here: Here) -> Finding:
    """After 12.3.3/4: traffic runs over the old release, if it ran before."""
    here.memo["rule"] = "traffic"
    state = here.state
    if state.stage in (Stage.FRESH, Stage.FORCED, Stage.BACK_SECOND) and not here.rows(
        Event.INTENDED, step="12.3.3/3"
    ):
        return past(state)
    tps = traffic_now(here)
    if tps > 0:
        here.memo["data"] = {"tps": tps}
        return Finding.yes(f"{here.cluster.name} carries {tps:g} TPS on {here.site.source_release.short}")
    before = _carried(here)
    if before is None:
        return Finding.unknown(
            f"{here.cluster.name} carries no traffic, and nobody looked whether it did before"
        )
    if not before:
        return Finding.yes(f"{here.cluster.name} carried no traffic before either: nothing to prove")
    return Finding.no(f"{here.cluster.name} carries no traffic")


def _carried(here: Here) -> bool | None:
    """Did it carry traffic before the backout, or before the upgrade (10.2/1)? None: nobody looked."""
    ledger, site, name = here.house.ledger, here.site.name, here.cluster.name
    known = []
    for procedure, leg in _BASELINES:
        rows = ledger.rows(site=site, procedure=procedure, step=1, cluster=name, events=(Event.OBSERVED,))
        seen = [r.entry.data["tps"] for r in rows if r.entry.leg == leg and "tps" in r.entry.data]
        known += seen[-1:]
    return any(tps > 0 for tps in known) if known else None


# the rules


def may_back_out(here: Here) -> Iterable[Refusal]:
    """R1 to R3, R5, R7, R8 and R15 for the start of one server. R12 never stands in the way."""
    cluster, states = here.cluster, here.states
    yield from _common(here)
    yield from rules.room(here.site, cluster, states)
    yield from rules.stagger(here.site, cluster, states, here.last_start())
    yield from rules_back.start(cluster, here.state)
    yield from new_alarms(here)


def may_fail_back(here: Here) -> Iterable[Refusal]:
    """R1, R4 to R9 and R15 for the failover to the old release."""
    cluster, states = here.cluster, here.states
    yield from _common(here)
    if here.state.stage is not Stage.SWITCHED or here.state.other is None:
        yield Refusal("R4", f"{cluster.name} is not ready for a failover: {here.state.why}", passing=True)
        return
    yield from rules.failover(
        here.site, cluster, states, here.alarms, Finding.yes(""), mate_reachable(here), to_new=False
    )
    in_sync = back_in_sync(here, here.state.other)
    if not in_sync.is_yes:
        yield Refusal("R9", in_sync.evidence, passing=True)
    waits_for = unproven(here) if cluster.kind is not Kind.CMP else None
    if waits_for is not None:
        yield Refusal("R4", waits_for, passing=True)
    yield from new_alarms(here)


def _common(here: Here) -> Iterator[Refusal]:
    others = [row for row in stopping(here.house, back=True) if row.cluster != here.scope.cluster]
    yield from rules.stopped(
        here.cluster, [f"{row.cluster} stopped at {row.procedure}/{row.step}: {row.reason}" for row in others]
    )
    yield from trouble_shown(here)
    yield from rules_back.order(here.site, here.cluster, here.states)
    yield from just_turned(here)


def may_cancel(here: Here) -> Iterable[Refusal]:
    """12.3.5/7: both servers are on the old release, and one is still forced."""
    yield from trouble_shown(here)
    if here.state.stage is not Stage.FORCED:
        yield Refusal("R7", f"{here.cluster.name} has no server to release: {here.state.why}", passing=True)


# alarms


def no_new_alarm(here: Here) -> Finding:
    """R15 in a backout: nothing unexplained stands on this cluster that did not stand before the backout began."""
    here.memo["rule"] = "R15"
    bad = list(_new(here, {here.cluster.name}))
    if bad:
        return Finding.no("; ".join(bad))
    doubt = in_doubt(here.reading.alarms_on(here.cluster.name))
    if doubt is not None:
        return doubt
    return Finding.yes(f"no new unexplained alarm on {here.cluster.name}")


def new_alarms(here: Here) -> Iterator[Refusal]:
    places = {here.cluster.name, *(cluster.name for cluster in here.site.cmp_clusters), None}
    for said in _new(here, places):
        yield Refusal("R15", said, passing=True)


def _new(here: Here, places: set[str | None] | set[str]) -> Iterator[str]:
    rows = here.rows(Event.OBSERVED, step=f"{here.step.procedure}/1")
    known = {(int(n), str(source)) for row in rows for n, source in row.entry.data.get("alarms", ())}
    for item in not_understood(here):
        if item.cluster in places and item.alarm.key not in known:
            yield (
                f"alarm {item.alarm.number} ({item.alarm.severity.word}) on {item.alarm.source}: "
                f"{item.alarm.text}: {item.why}"
            )


# the primary CMP


def old_gui(here: Here) -> Finding:
    """Does 12.3.5/6-7 apply? For 10.5 and 11.5 only."""
    if here.site.source_release.has_old_gui:
        return Finding.yes("System Maintenance of the old release")
    return Finding.no(f"for a rollback to 10.5 or 11.5 only; this one is to {here.site.source_release.short}")


def new_gui(here: Here) -> Finding:
    """Does 12.3.5/8 apply? For 12.0 and 12.1.1 only."""
    if here.site.source_release.has_old_gui:
        return Finding.no(
            f"for a rollback to 12.0 or 12.1 only; this one is to {here.site.source_release.short}"
        )
    return Finding.yes("the Upgrade Manager")


def logged_in_back(here: Here) -> Finding:
    """12.3.5/4: the console serves the old release's GUI and takes our login."""
    if here.state.stage not in _OLD_ACTIVE:
        return Finding.unknown(f"the primary CMP has not failed over: {here.state.why}")
    release = here.console.about()
    if release.same_release(here.site.source_release):
        return Finding.yes(f"logged in to the console of {release}")
    return Finding.no(f"the console serves {release}")


def about_is_source(here: Here) -> Finding:
    """12.3.5/5: Help > About shows the old release."""
    release = here.console.about()
    if not release.same_release(here.site.source_release):
        return Finding.no(f"Help > About shows {release}, not {here.site.source}")
    picture(here, Page.ABOUT, "about")
    return Finding.yes(f"Help > About shows {release}")


def forced_is_gone(here: Here) -> Finding:
    """12.3.5/7: the remaining server is standby again."""
    state = here.state
    if state.stage is Stage.FRESH:
        return Finding.yes(state.why)
    return Finding(Answer.NO if state.stage is Stage.FORCED else Answer.UNKNOWN, state.why)


def cell_mark(here: Here) -> Mapping[str, Any]:
    """The old GUI keeps no log: the server's cell before the act is what a trace is looked for in."""
    other = here.state.other
    return {"server": other.name if other else None, "cell": other.operation.text if other else ""}


def cell_trace(here: Here) -> Finding:
    """Did the act leave a trace: another text in its cell, or another role?"""
    intention = here.rows(Event.INTENDED, leg=here.leg.name)[-1]
    server = here.reading.snapshot.server(str(intention.entry.server))
    if server.operation.text != intention.entry.data.get("cell"):
        return Finding.yes(f"{server.name}: {server.operation.text}")
    if server.role not in (Role.STANDBY, Role.FORCED_STANDBY):
        return Finding.yes(f"{server.name} is {server.role}")
    return after_settling(here, intention.at, f"{server.name} shows nothing new")


# the end


def scope_clusters(here: Here) -> list[Cluster]:
    """Of what rows 6 and 7 of 12.3.3 and row 9 of 12.3.5 speak: the run's scope, else all that the table is for."""
    key = here.scope.key
    if key is not None:
        return [here.site.cluster(name) for name in clusters_of(here.site, key)]
    return list(here.site.traffic_clusters if here.step.procedure == "12.3.3" else here.site.cmp_clusters)


def all_backed_out(here: Here) -> Finding:
    """12.3.3/6: the rows were repeated for every cluster of the scope."""
    clusters = scope_clusters(here)
    left = [here.states[c.name] for c in clusters if here.states[c.name].stage is not Stage.FRESH]
    if left:
        return Finding.no("; ".join(state.why for state in left))
    return Finding.yes(
        f"all {len(clusters)} clusters run {here.site.source_release.short}, active and standby"
    )


def all_healthy(here: Here) -> Finding:
    """12.3.3/7, 12.3.5/9: syscheck finds every class OK on all servers that were backed out."""
    here.memo["rule"] = "syscheck"
    sick, names = [], [name for cluster in scope_clusters(here) for name in cluster.server_names]
    for name in names:
        key = f"healthy:{name}"
        if key in here.memo:
            continue
        health = syscheck.ask(here.house.servers, name)
        if health.healthy:
            here.memo[key] = True
        else:
            sick.append(f"{name}: " + "; ".join(" ".join(part) for part in health.trouble))
    if sick:
        return Finding.no("; ".join(sick))
    return Finding.yes(f"syscheck is OK on {', '.join(names)}")
