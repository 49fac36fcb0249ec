"""What a backout of a scope takes, from the live states alone: the order, the price, and what refuses it. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mopflow import mixed, rules, rules_back
from mopflow.procedures.backout import MPE_MRA, PRIMARY_CMP, SECONDARY_CMP
from mopflow.scopes import require_scope
from mopflow.site import Cluster, Site
from mopflow.step import Procedure, Refusal
from mopflow.system import ClusterState, Doing, Kind, Stage

STAGGER = 1.0  # minutes between two starts (12.3.1.1, note)
PLACES = 4  # MPE and MRA clusters at one time (12.3.3/2)


class Need(StrEnum):
    """What a cluster needs before it is backed out."""

    NOTHING = "nothing"
    RELEASE = "release of the forced standby"
    ONE = "one server"
    FAILOVER_ONE = "failover and one server"
    TWO = "two servers and a failover"
    REFUSED = "cannot be backed out as it is"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """One cluster of the backout. ``minutes``: of the document, with the running action at its usual length."""

    cluster: str
    kind: Kind
    procedure: str
    phase: int  # 1: MPE/MRA, 2: secondary CMP, 3: primary CMP
    found: str
    need: Need
    waits: bool  # for what runs in it
    rows: tuple[str, ...]  # that act
    servers: int  # to back out
    failovers: int
    minutes: float
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class BackoutPlan:
    """The whole backout of a scope, in its order."""

    scope: str
    clusters: tuple[ClusterPlan, ...]
    minutes: float
    failovers: int
    mixes: tuple[str, ...]  # combinations of Table 1 on the way

    @property
    def refusals(self) -> list[Refusal]:
        return [refusal for cluster in self.clusters for refusal in cluster.refusals]

    @property
    def nothing(self) -> bool:
        return all(cluster.need is Need.NOTHING for cluster in self.clusters)

    def phase(self, number: int) -> list[ClusterPlan]:
        return [cluster for cluster in self.clusters if cluster.phase == number]


def procedure_of(site: Site, cluster: Cluster) -> Procedure:
    if cluster.kind is not Kind.CMP:
        return MPE_MRA
    return PRIMARY_CMP if cluster.name == site.cmp.primary.name else SECONDARY_CMP


def plan(
    site: Site,
    scope: str,
    states: Mapping[str, ClusterState],
    accepted: Mapping[str, frozenset[tuple[str, str]]] | None = None,
) -> BackoutPlan:
    """``accepted``: by cluster, the trouble that a person has released. Raises BadInput for an unknown scope."""
    stopped = {
        name: rules.trouble(state, (), (accepted or {}).get(name, rules.NO_TROUBLE))
        for name, state in states.items()
    }
    names = require_scope(site, scope)
    clusters = [site.cluster(name) for name in names]
    phases = {MPE_MRA.number: 1, SECONDARY_CMP.number: 2, PRIMARY_CMP.number: 3}
    plans = [
        _cluster(site, cluster, states, phases[procedure_of(site, cluster).number], names, stopped)
        for cluster in clusters
    ]
    plans.sort(key=lambda one: one.phase)
    minutes = side_by_side([one.minutes for one in plans if one.phase == 1 and one.minutes])
    minutes += sum(one.minutes for one in plans if one.phase > 1)
    return BackoutPlan(
        scope, tuple(plans), minutes, sum(one.failovers for one in plans), tuple(_mixes(site, plans, states))
    )


# after what runs has ended, the cluster is in this stage
_BECOMES = {
    Stage.FIRST_RUNNING: Stage.FIRST_DONE,
    Stage.SECOND_RUNNING: Stage.DONE,
    Stage.BACK_FIRST: Stage.SWITCHED,
    Stage.BACK_SECOND: Stage.FRESH,
}
_NEEDS = {
    Stage.FRESH: Need.NOTHING,
    Stage.FORCED: Need.RELEASE,
    Stage.FIRST_DONE: Need.ONE,
    Stage.SWITCHED: Need.FAILOVER_ONE,
    Stage.DONE: Need.TWO,
}


def _cluster(
    site: Site,
    cluster: Cluster,
    states: Mapping[str, ClusterState],
    phase: int,
    scope: Sequence[str],
    stopped: Mapping[str, Refusal | None],
) -> ClusterPlan:
    state = states[cluster.name]
    procedure = procedure_of(site, cluster)
    refusals = tuple(_refusals(site, cluster, states, scope, stopped))
    waits = state.is_busy
    stage = _BECOMES.get(state.stage, state.stage)
    need = Need.REFUSED if refusals else _NEEDS.get(stage, Need.FAILOVER_ONE if waits else Need.REFUSED)
    if need is Need.RELEASE and not _is_old_primary(site, cluster):
        need = Need.REFUSED
    rows = _rows(site, procedure, need)
    minutes = sum(procedure.step(n).minutes for n in rows)
    if waits and state.stage is not Stage.MOVING:
        minutes += procedure.step(2).minutes
    failovers = int(need in (Need.TWO, Need.FAILOVER_ONE))
    servers = {Need.TWO: 2, Need.FAILOVER_ONE: 1, Need.ONE: 1}.get(need, 0)
    return ClusterPlan(
        cluster.name,
        cluster.kind,
        procedure.number,
        phase,
        state.why,
        need,
        waits,
        tuple(f"{procedure.number}/{n}" for n in rows),
        servers,
        failovers,
        minutes,
        refusals,
    )


def _rows(site: Site, procedure: Procedure, need: Need) -> list[int]:
    """The numbers of the rows that act; those of the other source releases are left out."""
    first, failover, second = {
        MPE_MRA.number: ([2], [3, 4], [5]),
        SECONDARY_CMP.number: ([2], [3], [4]),
        PRIMARY_CMP.number: ([2], [3, 4], [6, 7] if site.source_release.has_old_gui else [8]),
    }[procedure.number]
    return {
        Need.TWO: first + failover + second,
        Need.FAILOVER_ONE: failover + second,
        Need.ONE: second,
        Need.RELEASE: [7],
    }.get(need, [])


def _is_old_primary(site: Site, cluster: Cluster) -> bool:
    return site.source_release.has_old_gui and cluster.name == site.cmp.primary.name


def _refusals(
    site: Site,
    cluster: Cluster,
    states: Mapping[str, ClusterState],
    scope: Sequence[str],
    stopped: Mapping[str, Refusal | None],
) -> Iterator[Refusal]:
    """What no waiting cures; a cluster that this run backs out before does not stand in the way."""
    state = states[cluster.name]
    trouble = stopped[cluster.name]
    if trouble is not None:
        yield Refusal(trouble.rule, f"{cluster.name}: {trouble.reason} (12.3.2: contact Oracle Support)")
        return
    if state.stage is Stage.FORCED and not _is_old_primary(site, cluster):
        yield Refusal("R8", f"{state.why}: the document knows no such state (12.3.2: contact Oracle Support)")
    if _unknown_direction(state):
        yield Refusal(
            "R7",
            f"{state.why}: something runs, and in which direction is not shown (3.1.4.4, 3.1.4.5): it is waited for",
            passing=True,
        )
    if state.stage is Stage.FRESH:
        return
    done = {  # as if everything before it in this run were backed out already; what is stopped will not be
        name: _as_done(states[name])
        if name in scope and name != site.cmp.primary.name and stopped[name] is None
        else states[name]
        for name in states
    }
    done[cluster.name] = state
    for refusal in rules_back.order(site, cluster, done):
        if not refusal.passing or state.stage not in rules_back.UNCLEAR:
            yield refusal


def _unknown_direction(state: ClusterState) -> bool:
    other = state.other
    return (
        state.stage in (Stage.FIRST_RUNNING, Stage.SECOND_RUNNING)
        and other is not None
        and other.operation.doing is not Doing.RUNNING
    )


def _as_done(state: ClusterState) -> ClusterState:
    return ClusterState(
        state.name,
        Stage.FRESH,
        f"{state.name} is backed out before",
        state.active,
        state.other,
        state.servers,
    )


def side_by_side(minutes: Sequence[float]) -> float:
    """Minutes until the last of these clusters is done: four at one time, started one by one."""
    places = [0.0] * PLACES
    start, end = -STAGGER, 0.0
    for length in minutes:
        start = max(heapq.heappop(places), start + STAGGER)
        heapq.heappush(places, start + length)
        end = max(end, start + length)
    return end


def _mixes(site: Site, plans: Sequence[ClusterPlan], states: Mapping[str, ClusterState]) -> Iterator[str]:
    """The combinations of Table 1 that occur before the end, phase by phase, each with the table's answer."""
    releases = {c.name: {mixed.on_target(states[c.name])} for c in site.clusters}  # True: on the target
    seen: set[tuple[Kind, Kind]] = set()
    for phase in (1, 2, 3):
        mine = [one for one in plans if one.phase == phase and one.need is not Need.NOTHING]
        if not mine:
            continue
        for one in mine:
            releases[one.cluster].add(False)
        old, new = (
            {mixed.component(site.cluster(name).kind) for name, found in releases.items() if side in found}
            for side in (False, True)
        )
        for pair in ((o, n) for o in sorted(old) for n in sorted(new)):
            if pair not in seen:
                seen.add(pair)
                answer = "allowed" if mixed.allowed(*pair) else "NOT allowed"
                yield (
                    f"{pair[0]} on {site.source_release.short} beside {pair[1]} on {site.target_release.short}: "
                    f"{answer} (Table 1)"
                )
        for one in mine:
            releases[one.cluster] = {False}
