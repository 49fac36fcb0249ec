"""Questions about the live system that the rows of the procedures ask, before and after their acts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mopflow import released, rules
from mopflow.alarms import Judged
from mopflow.errors import BadInput, MopflowError
from mopflow.failovers import unproven
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.probes import hostname
from mopflow.step import Answer, Finding, Refusal
from mopflow.system import ClusterState, Doing, Kind, ServerState, Severity, Stage, UpToDate
from mopflow.turning import just_turned, newest_act

IDLE_CELLS = (Doing.NOTHING, Doing.SUCCEEDED)


def begun(state: ClusterState) -> bool:
    """Is the cluster past the rows that look at the state before the upgrade?"""
    return state.stage.order > Stage.FRESH.order


def past(state: ClusterState) -> Finding:
    return Finding.yes(f"past this row already: {state.why}")


# the upgrade of one server


def first_upgraded(here: Here) -> Finding:
    """The first server is upgraded, says so, and its replication is in sync (10.2/3, 9.1.1/10, 9.1.2/2)."""
    return _upgraded(here, Stage.FIRST_DONE, Stage.FIRST_RUNNING)


def both_upgraded(here: Here) -> Finding:
    """Both servers are upgraded, active and standby, up to date and in sync (10.2/9, 9.1.1/17-18, 9.1.2/3)."""
    return _upgraded(here, Stage.DONE, Stage.SECOND_RUNNING)


def _upgraded(here: Here, wanted: Stage, running: Stage) -> Finding:
    state = here.state
    for word in ("rule", rules.TROUBLE):
        here.memo.pop(word, None)
    if state.stage.order > wanted.order:
        return past(state)
    if state.stage is not wanted:
        if state.stage in (Stage.MOVING, Stage.ODD) or state.stage.is_back:
            return Finding.unknown(state.why)
        return Finding.no(state.why)
    server = state.other
    if server is None:
        return Finding.unknown(state.why)
    if (
        server.operation.doing is not Doing.SUCCEEDED
        and (
            server.operation.doing is not Doing.NOTHING
            or here.rows(Event.INTENDED, Event.ADOPTED, leg=here.leg.name)
        )
        and not is_released(here, server)
    ):
        return no_success(here, server, "shows no success message")
    if server.up_to_date is not UpToDate.YES:
        return Finding.no(f"{server.name} is not up to date: {server.up_to_date}")
    if wanted is Stage.DONE and state.active is not None and state.active.up_to_date is not UpToDate.YES:
        return Finding.no(f"{state.active.name} is not up to date: {state.active.up_to_date}")
    replicated = replication(here)
    if replicated.answer is Answer.YES:
        return Finding.yes(f"{state.why}; {server.operation.text}; {replicated.evidence}")
    ours = here.rows(Event.INTENDED, Event.ADOPTED, leg=here.leg.name)
    if wanted is Stage.DONE and not ours and not any(s.sync_broken for s in state.servers):
        # done before this campaign: its Upgrade Log may be gone (3.1.4.4), the missing mark has to do
        return Finding.yes(f"{state.why}; no Sync Broken mark")
    here.memo["rule"] = "R9"
    return Finding(Answer.NO, replicated.evidence)


def no_success(here: Here, server: ServerState, what: str) -> Finding:
    """12.3.2: without the success message the cluster is partially upgraded (R8); what stands there can be released."""
    reason = f"{server.name} {what}: {server.operation.text or 'nothing'}"
    here.memo["rule"] = "R8"
    here.memo[rules.TROUBLE] = rules.Trouble("R8", server.name, server.operation.text, reason)
    return Finding.no(reason)


def is_released(here: Here, server: ServerState) -> bool:
    """Has a person accepted what the server's cell says in the place of a success message (12.3.2)?

    A word counts for what it was said about: not for a start of this row that came after it.
    """
    ledger, site, cluster = here.house.ledger, here.site.name, here.cluster.name
    if (server.name, server.operation.text) not in released.accepted(ledger, site, cluster):
        return False
    started = here.rows(Event.INTENDED, Event.ADOPTED)
    said = released.said_at(ledger, site, cluster)
    return said is not None and (not started or said > started[-1].at)


def replication(here: Here) -> Finding:
    """R9: read from the Upgrade Log once the server itself is done; a success is remembered."""
    state = here.state
    server = state.other
    if server is None:
        return Finding.unknown(state.why)
    key = f"replicated:{server.name}:{server.operation.text}"
    if server.sync_broken or (state.active is not None and state.active.sync_broken):
        return Finding.no(f"{state.name} shows the Sync Broken mark")
    known = here.memo.get(key)
    if isinstance(known, Finding):
        return known
    lines = here.console.upgrade_log(state.name)
    found = rules.replicated(server, lines)
    if not any(line.hostname == server.name for line in lines) and is_released(here, server):
        return Finding.yes(
            f"{server.name} shows no Sync Broken mark; its lines are gone from the Upgrade Log (3.1.4.4), and a person "
            "has released it as it is"
        )
    if found.is_yes:
        here.memo[key] = found
        text = "\n".join(
            f"{line.id} {line.parent} {line.action} {line.start} {line.end} {line.duration} {line.scope} "
            f"{line.hostname} {line.result} {line.mode}"
            for line in lines
        )
        here.keep("upgrade-log.txt", text, "upgrade log")
    return found


def first_running(here: Here) -> Finding:
    return _running(here, Stage.FIRST_RUNNING)


def second_running(here: Here) -> Finding:
    return _running(here, Stage.SECOND_RUNNING)


def _running(here: Here, stage: Stage) -> Finding:
    state = here.state
    if state.stage is stage:
        return Finding.yes(state.why)
    if state.stage is Stage.MOVING or state.stage.is_back:
        return Finding.unknown(state.why)
    return Finding.no(state.why)


def server_to_start(here: Here) -> str:
    """The server that the next start works on: the one that is not active. Raises BadInput when that is not clear."""
    other = here.state.other
    if other is None:
        raise BadInput(f"who is standby in {here.cluster.name} is not clear: {here.state.why}")
    return other.name


def settled(here: Here) -> Finding:
    """Has the start shown itself (OOS, or ended already)?"""
    rows = here.rows(Event.INTENDED, leg=here.leg.name)
    if not rows:
        return Finding.no("nothing was started")
    entry = rows[-1].entry
    return rules.shows_started(here.state, str(entry.server), str(entry.data.get("cell")))


def may_start(here: Here) -> Iterable[Refusal]:
    cluster, states = here.cluster, here.states
    yield from rules.stopped(cluster, stopping_reasons(here))
    yield from trouble_shown(here)
    yield from rules.order(here.site, cluster, states)
    yield from rules.room(here.site, cluster, states)
    yield from rules.stagger(here.site, cluster, states, here.last_start())
    yield from rules.start(here.site, cluster, states, here.state.other)
    yield from just_turned(here)
    yield from unexplained(here)


# failover


def switched(here: Here) -> Finding:
    """The target release is active (10.2/4, 9.1.1/12, 9.1.2/3)."""
    state = here.state
    if state.stage.order >= Stage.SWITCHED.order:
        return Finding.yes(state.why)
    if state.stage in (Stage.MOVING, Stage.ODD) or state.stage.is_back:
        return Finding.unknown(state.why)
    return Finding.no(state.why)


def switching(here: Here) -> Finding:
    if here.state.stage is Stage.MOVING:
        return Finding.unknown(here.state.why)
    return Finding.no(here.state.why)


def mate_reachable(here: Here) -> Finding:
    """R4: the server that becomes active answers under its own name over SSH; a good answer holds for a moment."""
    mate = here.state.other
    if mate is None:
        return Finding.unknown(here.state.why)
    at, known = here.memo.get(f"reachable:{mate.name}", (0.0, None))
    if isinstance(known, Finding) and time.monotonic() - at <= here.site.pace.alarms_every:
        return known
    found = _answers(here, mate.name)
    if found.is_yes:
        here.memo[f"reachable:{mate.name}"] = (time.monotonic(), found)
    return found


def _answers(here: Here, server: str) -> Finding:
    try:
        name = hostname.ask(here.house.servers, server)
    except MopflowError as error:
        return Finding.no(f"{server} does not answer over SSH: {error}")
    if not hostname.is_server(name, server):
        return Finding.no(f"the address of {server} answers as {name}")
    return Finding.yes(f"{server} answers over SSH")


def may_fail_over(here: Here) -> Iterable[Refusal]:
    cluster, states = here.cluster, here.states
    yield from rules.stopped(cluster, stopping_reasons(here))
    yield from trouble_shown(here)
    yield from rules.order(here.site, cluster, states)
    if here.state.stage is Stage.FIRST_DONE:
        yield from rules.failover(
            here.site, cluster, states, here.alarms, replication(here), mate_reachable(here)
        )
        waits_for = unproven(here) if cluster.kind is not Kind.CMP else None
        if waits_for is not None:
            yield Refusal("R4", waits_for, passing=True)
    else:
        yield Refusal("R4", f"{cluster.name} is not ready for a failover: {here.state.why}", passing=True)
    yield from just_turned(here)
    yield from unexplained(here)


# what stops

ROLLBACK_LEG = "rollback"


def rollback_begun(here: Here, cluster: str | None = None) -> bool:
    """Was a rollback (R11) begun in this cluster that is not undone yet? Read from the ledger of the site."""
    name = cluster or here.cluster.name
    begun_rows = [
        row
        for row in here.house.ledger.rows(
            site=here.site.name,
            procedure="10.2",
            step=7,
            cluster=name,
            events=(Event.INTENDED, Event.REFUSED),
        )
        if row.entry.leg == ROLLBACK_LEG
    ]
    if not begun_rows or begun_rows[-1].entry.event is Event.REFUSED:
        return False
    newest = begun_rows[-1].id
    ledger, site = here.house.ledger, here.site.name
    since = [  # a new start or failover, or a backout of the cluster: a person has decided
        ledger.last(
            site=site, procedure="10.2", step=3, cluster=name, events=(Event.INTENDED, Event.ADOPTED)
        ),
        ledger.last(site=site, procedure="10.2", step=4, cluster=name, events=(Event.INTENDED,)),
        newest_act(ledger, site, name, back=True),
    ]
    over = any(row is not None and row.id > newest for row in since)
    return not over and here.states[name].stage not in (Stage.FRESH, Stage.DONE)


def no_rollback(here: Here) -> Finding:
    if rollback_begun(here):
        return Finding.no("the cluster is rolled back: this row is not for it")
    return Finding.yes("no rollback")


def rolled_back(here: Here) -> Finding:
    if rollback_begun(here):
        return Finding.yes("a rollback was begun")
    return Finding.no("traffic is active, no rollback")


def stopping_reasons(here: Here) -> list[str]:
    from mopflow.holds import stopping

    mine = here.scope.cluster
    reasons = [
        f"{row.cluster} stopped at {row.procedure}/{row.step}: {row.reason}" for row in stopping(here.house)
    ]
    for cluster in here.site.traffic_clusters:
        if cluster.name != mine and rollback_begun(here, cluster.name):
            reasons.append(f"{cluster.name} is being rolled back (R11)")
    return reasons


def trouble_shown(here: Here) -> Iterable[Refusal]:
    """R8 a few readings before the cluster that it concerns holds: wait and see, but begin nothing meanwhile."""
    for name in here.states:
        found = released.trouble(here.house.ledger, here.site.name, here.reading, name)
        if found is not None:
            rule = found.rule if name == here.scope.cluster else rules.FOLLOWS
            yield Refusal(rule, f"{name}: {found.reason}", passing=True)


def unexplained(here: Here) -> Iterable[Refusal]:
    """R15: an alarm that no step lists, on this cluster or on a CMP, is never read as good."""
    cmps = {cluster.name for cluster in here.site.cmp_clusters}
    for item in not_understood(here):
        if item.cluster == here.scope.cluster or item.cluster in cmps or item.cluster is None:
            yield Refusal(
                "R15",
                f"alarm {item.alarm.number} ({item.alarm.severity.word}) on {item.alarm.source}: "
                f"{item.alarm.text}: {item.why}",
                passing=True,
            )


def not_understood(here: Here, cluster: str | None = None) -> list[Judged]:
    """Alarms that no step lists and that nobody has released, of one cluster or of the whole system."""
    return released.without_released(here.house.ledger, here.site.name, here.reading.unexplained(cluster))


def in_doubt(judged: Iterable[Judged]) -> Finding | None:
    """Unknown, if an alarm was seen once only: too few times to hold for it, and too few to pass it."""
    doubtful = [f"{j.alarm.number} on {j.alarm.source}" for j in judged if j.in_doubt]
    return Finding.unknown("looking again at " + ", ".join(doubtful)) if doubtful else None


def alarms_explained(here: Here) -> Finding:
    """No unexpected and no overstaying alarm on this cluster."""
    here.memo["rule"] = "R15"
    bad = not_understood(here, here.scope.cluster)
    if bad:
        return Finding.no(
            "; ".join(f"{j.alarm.number} on {j.alarm.source}: {j.alarm.text} ({j.why})" for j in bad)
        )
    mine = here.reading.alarms_on(here.cluster.name)
    doubt = in_doubt(mine)
    if doubt is not None:
        return doubt
    standing = sorted({j.alarm.number for j in mine})
    return Finding.yes(
        f"alarms on {here.cluster.name}: {', '.join(map(str, standing)) or 'none'}, all explained"
    )


def none_severe(here: Here) -> Finding:
    """10.2/6: only the listed minor alarms; no critical and no major one."""
    explained = alarms_explained(here)
    if not explained.is_yes:
        return explained
    severe = [
        j
        for j in here.reading.alarms_on(here.cluster.name)
        if j.alarm.severity in (Severity.CRITICAL, Severity.MAJOR)
        and j.standing.value != "baseline"
        and released.without_released(here.house.ledger, here.site.name, [j])
    ]
    if severe:
        return Finding.no(
            "; ".join(f"{j.alarm.severity.word} {j.alarm.number} on {j.alarm.source}" for j in severe)
        )
    return explained


# traces of acts whose answer was lost


def log_mark(here: Here) -> Mapping[str, Any]:
    """Written with the intention: the newest line of the cluster's Upgrade Log and the server's cell."""
    lines = here.console.upgrade_log(here.cluster.name)
    state = here.state
    other = state.other
    return {
        "log": max((line.id for line in lines), default=0),
        "server": other.name if other else None,
        "cell": other.operation.text if other else "",
    }


def log_trace(here: Here) -> Finding:
    """Did the act leave a line in the Upgrade Log? No, only when the log is whole and time enough has passed."""
    intention = here.rows(Event.INTENDED, leg=here.leg.name)[-1]
    mark = int(intention.entry.data.get("log", 0))
    lines = here.console.upgrade_log(here.cluster.name)
    newest = max((line.id for line in lines), default=0)
    if newest > mark:
        return Finding.yes(f"the Upgrade Log has new lines after {mark}")
    if newest < mark:
        return Finding.unknown("the Upgrade Log was begun anew, it cannot tell")
    return after_settling(here, intention.at, f"the Upgrade Log has no line after {mark}")


def no_trace_in_time(here: Here) -> Finding:
    """For acts that may be done twice without harm: no trace once their usual time has passed twice."""
    intention = here.rows(Event.INTENDED, leg=here.leg.name)[-1]
    wait = max(2 * here.usual(here.leg.deadline), timedelta(seconds=2 * here.site.pace.every))
    if datetime.now(UTC) - intention.at < wait:
        return Finding.unknown("the answer was lost, waiting for its effect")
    return Finding.no("it showed no effect in twice its usual time")


def after_settling(here: Here, since: datetime, evidence: str) -> Finding:
    if datetime.now(UTC) - since < timedelta(seconds=here.site.pace.settle):
        return Finding.unknown(f"{evidence} yet")
    return Finding.no(f"{evidence}: it was not run")


Rule = Callable[[Here], Iterable[Refusal]]
