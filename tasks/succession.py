"""Who worked here before: a run that died is proved dead, tidied up after, and its clusters in flight are taken over.

A process is dead by its host, pid and start time, never because it was silent for long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

import httpx
from prefect import State
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from mopflow.errors import NothingRun
from mopflow.ledger import Entry, Event, Executor, Lease, Ledger
from mopflow.processes import ProcessMark, is_dead
from mopflow.slots import Slot
from tasks.limits import ServerAway
from tasks.slots import PrefectSlots

log = logging.getLogger("mopflow.succession")

UNENDED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]


class AlreadyAtWork(NothingRun):
    """Another process works on the same scope, or it cannot be proved that it does not."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What runs that died have left.

    ``in_flight``: clusters of this run that were in work; this run has their places already. ``elsewhere``: clusters
    of other scopes that were in work; the live system counts them (R2), their places are given back.
    """

    in_flight: tuple[str, ...]
    elsewhere: tuple[str, ...]
    dead: tuple[Executor, ...]
    alive: tuple[Executor, ...]  # on other scopes of this site


def succeed(
    ledger: Ledger,
    slots: PrefectSlots,
    me: Executor,
    clusters: Collection[str],
    works_on: Callable[[str], Collection[str]] = lambda _scope: (),
) -> Inheritance:
    """Take the place of every run of this site that died. Call it after `register` and before anything is started.

    ``clusters``: those that this run works on; ``works_on``: those of another run, by its scope. A process whose
    clusters are also ours counts as one on the same scope: an upgrade is stopped before it is turned round. Raises AlreadyAtWork when a process works on the same scope (then
    ``me`` is entered as ended), LedgerUnavailable, NoSlot, and ServerAway when Prefect's server does not answer.
    """
    others = [other for other in ledger.executors(me.site) if other.id != me.id]
    verdicts = {
        other.id: is_dead(ProcessMark(other.host, other.pid, other.born))
        for other in others
        if other.ended is None
    }
    dead = [other for other in others if verdicts.get(other.id) is True]
    alive = [other for other in others if other.ended is None and verdicts[other.id] is not True]
    for other in alive:
        if other.scope == me.scope or set(works_on(other.scope)) & set(clusters):
            ledger.end_executor(me.id, "refused: another run works on the same scope")
            raise AlreadyAtWork(_why_not(other, verdicts[other.id]))

    gone = {other.id for other in others if other.ended is not None} | {other.id for other in dead}
    in_flight, elsewhere = _tidy_leases(ledger, slots, me, gone, clusters)
    for other in dead:
        runs = [run for run, _ in ledger.flow_runs(other.id)]
        marked = _mark_crashed(runs, other)
        ledger.record(me.campaign, me.site, me.id, _note(other, marked, in_flight))
        ledger.end_executor(other.id, f"died; proved by {me.id} from host, pid and start time")
    return Inheritance(tuple(in_flight), tuple(elsewhere), tuple(dead), tuple(alive))


def _why_not(other: Executor, verdict: bool | None) -> str:
    who = f"{other.flow} {other.scope} (pid {other.pid} on {other.host.split('/')[0]}, since {other.begun:%H:%M:%S} UTC)"
    if verdict is None:
        return (
            f"whether the run {who} still works cannot be seen from this machine; "
            "start this command on that machine, which can prove it"
        )
    return f"{who} is at work on the same clusters or scope; wait until it ends, or end that process and start this command again"


def _tidy_leases(
    ledger: Ledger, slots: PrefectSlots, me: Executor, gone: set[str], clusters: Collection[str]
) -> tuple[list[str], list[str]]:
    """Free the places of everybody who is gone, and take those of our clusters in flight for ourselves."""
    ours: dict[str, Lease] = {}
    elsewhere: list[str] = []
    for lease in ledger.leases(site=me.site):
        if lease.executor not in gone:
            continue
        if lease.slot != Slot.CLUSTER or lease.cluster in ours:
            slots.give_back(lease)
        elif lease.cluster in clusters:
            ours[lease.cluster] = lease
            slots.free(lease)
        else:
            elsewhere.append(lease.cluster)
            slots.free(lease)  # the ledger keeps it for the run that goes on with that cluster
    if all(other.id in gone | {me.id} for other in ledger.executors(me.site, running_only=True)):
        _forget_strays(slots)
    for lease in ours.values():
        slots.take_over(lease)
    return list(ours), elsewhere


def _forget_strays(slots: PrefectSlots) -> None:
    strays = slots.forget_strays()
    if strays:
        log.warning("places that nobody holds any more were freed: %s", ", ".join(strays))


def _note(other: Executor, marked: int, in_flight: list[str]) -> Entry:
    text = (
        f"the run {other.flow} {other.scope} (pid {other.pid}, since {other.begun:%Y-%m-%d %H:%M:%S} UTC) died; "
        f"its leases are given back, {marked} of its flow runs are marked Crashed; "
        f"in flight: {', '.join(in_flight) or 'nothing'}"
    )
    return Entry(
        procedure="",
        step=0,
        leg="",
        cluster=None,
        event=Event.NOTE,
        text=text,
        data={"dead": other.id, "in_flight": in_flight},
    )


def _mark_crashed(runs: list[str], dead: Executor) -> int:
    """Mark the flow runs of a dead process, and what ran in them, as Crashed; how many flow runs.

    Raises ServerAway. A run that this process itself carries on (`prefect flow-run retry` uses it again) is left.
    """
    context = FlowRunContext.get()
    mine = str(context.flow_run.id) if context is not None and context.flow_run is not None else None
    state: State[None] = Crashed(
        message=f"Its process (pid {dead.pid}) died; a new run goes on with its work."
    )
    marked = 0
    try:
        with get_client(httpx_settings={"timeout": 15}, sync_client=True) as client:
            for run in _unended(client, [UUID(run) for run in runs if run != mine]):
                client.set_flow_run_state(run, state, force=True)
                marked += 1
    except (httpx.TransportError, httpx.HTTPStatusError) as away:
        raise ServerAway(f"flow runs of a dead process cannot be marked: {type(away).__name__}") from None
    return marked


def _unended(client: SyncPrefectClient, runs: list[UUID]) -> Iterator[UUID]:
    """Those of the runs that have not ended; before each, its task runs are ended."""
    if not runs:
        return
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=runs))
    )
    wanted = [*(child.id for child in children), *runs]
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            id=FlowRunFilterId(any_=wanted),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNENDED)),
        )
    )
    unended = {run.id for run in found}
    for run in dict.fromkeys(wanted):
        if run not in unended:
            continue
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])),
            task_run_filter=TaskRunFilter(
                state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNENDED))
            ),
        )
        for task in tasks:
            try:
                client.set_task_run_state(task.id, Crashed(message="Its process died."), force=True)
            except ObjectNotFound:
                continue
        yield run
