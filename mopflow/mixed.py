"""Mixed version (2.3.2): which components may run on the source release beside which on 12.1.2 (Table 1).

Pure. A cluster counts for the release of its active server: that one works. The CMP counts as upgraded only when
its active server is, so a CMP of the source release never manages an MPE or MRA on 12.1.2 (R13).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mopflow.site import Cluster, Site
from mopflow.system import ClusterState, Kind, Stage

# Table 1, row by row: a component on the source release, and what may run on 12.1.2 beside it
TABLE_1: Mapping[Kind, frozenset[Kind]] = {
    Kind.CMP: frozenset({Kind.CMP}),
    Kind.MRA: frozenset({Kind.CMP, Kind.MRA, Kind.MPE}),
    Kind.MPE: frozenset({Kind.CMP, Kind.MRA, Kind.MPE}),
}
ON_TARGET = (Stage.SWITCHED, Stage.SECOND_RUNNING, Stage.DONE, Stage.BACK_FIRST)

NOT_MEANWHILE = (
    "enable no new feature, and use no condition or action in a policy rule that is new in 12.1.2",
    "do not change policy rules; what cannot wait is reviewed together with Oracle first",
    "configure MPE and MRA only with parameters that the source release has",
    "change nothing else in the configuration: it is discouraged and has limited support",
)


def component(kind: Kind) -> Kind:
    """As Table 1 names it: an MPE-Li is an MPE."""
    return Kind.MPE if kind is Kind.MPE_LI else kind


def allowed(old: Kind, new: Kind) -> bool:
    """May ``old`` run the source release while ``new`` runs 12.1.2?"""
    return component(new) in TABLE_1[component(old)]


def offences(old: Iterable[Cluster], new: Collection[Cluster]) -> Iterator[str]:
    """Every pair of clusters that Table 1 does not allow, as a sentence."""
    for behind in old:
        for ahead in new:
            if ahead.name != behind.name and not allowed(behind.kind, ahead.kind):
                yield (
                    f"Table 1 does not allow {ahead.kind} {ahead.name} on the target release "
                    f"beside {behind.kind} {behind.name} on the source release"
                )


def on_target(state: ClusterState) -> bool:
    """Does the active server run the target release? What cannot be told counts as the source release."""
    return state.stage in ON_TARGET


@dataclass(frozen=True, slots=True)
class Phase:
    """Clusters that are upgraded by one command, in any order among themselves."""

    command: str
    clusters: tuple[Cluster, ...]


def phases(site: Site) -> tuple[Phase, ...]:
    """The order of 2.3.1: primary CMP, secondary CMP, then MPE and MRA segment by segment."""
    return (
        *(Phase("upgrade-cmp", (cluster,)) for cluster in site.cmp_clusters),
        *(Phase(f"upgrade-segment {s.name}", s.clusters) for s in site.segments),
    )


def check(planned: Iterable[Phase], done: Collection[str] = ()) -> list[str]:
    """What is wrong with any state that these phases pass through; ``done``: on the target release already.

    While a phase runs, each of its clusters may be behind or ahead of every other.
    """
    wrong: dict[str, None] = {}
    left = list(planned)
    everything = [cluster for phase in left for cluster in phase.clusters]
    ahead = [cluster for cluster in everything if cluster.name in done]
    for phase in left:
        behind = [c for c in everything if c.name not in {a.name for a in ahead}]
        moving = [c for c in phase.clusters if c in behind]
        wrong |= dict.fromkeys(offences(behind, [*ahead, *moving]))
        ahead += moving
    return list(wrong)


def ahead(site: Site, states: Mapping[str, ClusterState]) -> list[str]:
    """The same from where the live system stands. A cluster between two states is left out: it tells nothing."""
    clear = {name for name, state in states.items() if state.stage not in (Stage.MOVING, Stage.ODD)}
    left = [
        Phase(phase.command, tuple(c for c in phase.clusters if c.name in clear)) for phase in phases(site)
    ]
    return check(left, {name for name in clear if on_target(states[name])})
