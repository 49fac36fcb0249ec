"""Run the subflows of a flow and say how it all ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from prefect import Flow, State

from mopflow.errors import BadInput, Held, LedgerUnavailable, MopflowError
from mopflow.failovers import open_failovers
from mopflow.house import House
from mopflow.ledger import Entry, Event
from mopflow.scopes import require_scope
from mopflow.site import Site
from mopflow.slots import Slot
from mopflow.step import Procedure
from tasks.fanout import Ending, How, for_each_cluster, why
from tasks.slots import PrefectSlots
from tasks.states import error_of
from tasks.telling import cluster_ended


@dataclass(frozen=True, slots=True)
class ClusterEnding:
    cluster: str
    how: str
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did. ``acts``: acts that it sent to the system; 0 means that nothing was left to do."""

    campaign: str
    acts: int
    clusters: tuple[ClusterEnding, ...]

    def document(self) -> dict[str, Any]:
        return asdict(self)


class SomeHeld(Held):
    """Clusters of this run wait for a person; each is named with what a person should do."""

    def __init__(self, endings: Sequence[Ending]) -> None:
        self.endings = tuple(endings)
        held = [e.error for e in endings if isinstance(e.error, Held)]
        first = held[0]
        super().__init__(first.hold, first.where, "; ".join(h.reason for h in held), first.remedy)


class SomeFailed(MopflowError):
    """Parts of this run failed with an error; others may have ended well or be held."""

    def __init__(self, endings: Sequence[Ending]) -> None:
        self.endings = tuple(endings)
        super().__init__("; ".join(f"{e.cluster}: {e.text}" for e in endings if e.how is How.FAILED))


def parts_of(error: BaseException) -> tuple[ClusterEnding, ...]:
    """What became of each part of a run that did not end well; none where it ended before its first part."""
    endings = error.endings if isinstance(error, (SomeHeld, SomeFailed)) else ()
    return tuple(ClusterEnding(e.cluster, e.how.value, why(e)) for e in endings)


def segment_clusters(segment: str) -> Callable[[Site], tuple[str, ...]]:
    """Names of the segment's clusters. Raises BadInput for a segment that the site does not have."""

    def names(site: Site) -> tuple[str, ...]:
        known = [s.name for s in site.segments]
        if segment not in known:
            raise BadInput(f"the site {site.name} has no segment {segment}; it has {', '.join(known)}")
        return tuple(cluster.name for cluster in site.segment(segment).clusters)

    return names


def scope_clusters(scope: str) -> Callable[[Site], tuple[str, ...]]:
    """Names of the clusters of a backout's scope. Raises BadInput for a scope that the site does not have."""
    return lambda site: require_scope(site, scope)


def one_after_the_other(flow: Flow[..., Any], work: Iterable[tuple[str, str]], house: House) -> Summary:
    """Run ``flow(cluster, procedure)`` for each; the first that does not end well ends the run (R1)."""
    endings: list[Ending] = []
    for cluster, procedure in work:
        endings += for_each_cluster(
            flow,
            [cluster],
            house,
            began=_began(house),
            ended=lambda ending: cluster_ended(house, ending),
            procedure=procedure,
        )
        if endings[-1].how is not How.DONE:
            break
    return ended(house, endings)


def all_at_once(flow: Flow[..., Any], clusters: Sequence[str], house: House, slots: PrefectSlots) -> Summary:
    """Run ``flow(cluster)`` for all. Clusters in flight have their place among the four before a new one asks."""
    states = house.eye.now().states
    places: dict[str, ExitStack] = {}
    # a failover that stands open lets no other one begin: its cluster may not wait for one of the four places
    first = open_failovers(house.ledger, house.site, states)
    flying = sorted((n for n in clusters if states[n].in_upgrade), key=lambda name: name not in first)
    try:
        for name in flying[: Slot.CLUSTER.limit]:
            places[name] = ExitStack()
            places[name].enter_context(house.slots.take(Slot.CLUSTER, name))

        def over(ending: Ending) -> None:
            if ending.cluster in places:
                places.pop(ending.cluster).close()
            slots.let_go(ending.cluster)
            cluster_ended(house, ending)

        return ended(house, for_each_cluster(flow, clusters, house, began=_began(house), ended=over))
    finally:
        for place in list(places.values()):
            place.close()


def together(house: House, parts: Sequence[Summary]) -> Summary:
    """The sum of parts that ended well."""
    return Summary(house.campaign, house.acts, tuple(one for part in parts for one in part.clusters))


def _began(house: House) -> Callable[[str, str], None]:
    return lambda run, cluster: house.ledger.add_flow_run(house.executor, run, cluster)


def skipped(house: House, procedure: Procedure, why: str) -> None:
    """Record every row of a procedure that this site does not need."""
    for step in procedure.steps:
        house.ledger.record(
            house.campaign,
            house.site.name,
            house.executor,
            Entry(step.procedure, step.number, "", None, Event.SKIPPED, why),
        )


def joined(parts: Iterable[Flow[..., Any]], **parameters: Any) -> list[Ending]:
    """Run one subflow after the other; what one of them could not do keeps no other one from its work.

    Raises what ends a run altogether, such as LedgerUnavailable.
    """
    endings: list[Ending] = []
    for part in parts:
        shown: Callable[..., Any] = part
        state: State[Any] = shown(**parameters, return_state=True)
        error = error_of(state)
        if error is None:
            summary: Summary = state.result()
            endings += [Ending(e.cluster, How(e.how), e.text) for e in summary.clusters]
        elif isinstance(error, SomeHeld):
            endings += error.endings
        elif isinstance(error, Held):
            endings.append(Ending(part.name, How.HELD, str(error), error=error))
        elif isinstance(error, MopflowError) and not isinstance(error, LedgerUnavailable):
            endings.append(Ending(part.name, How.FAILED, str(error), error=error))
        else:
            raise error
    return endings


def ended(house: House, endings: Sequence[Ending]) -> Summary:
    """The sum of the endings. Raises SomeHeld, or SomeFailed when one of them failed."""
    if any(e.how is How.FAILED for e in endings):
        raise SomeFailed(endings)
    if any(e.how is How.HELD for e in endings):
        raise SomeHeld(endings)
    return Summary(
        house.campaign,
        house.acts,
        tuple(ClusterEnding(e.cluster, e.how.value, e.text) for e in endings),
    )
