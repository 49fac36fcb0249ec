"""Which row's alarm list holds for a cluster in which stage."""

from __future__ import annotations

from collections.abc import Mapping

from mopflow.alarms import StageAlarms
from mopflow.procedures import lists
from mopflow.site import Site
from mopflow.system import ClusterState, Kind, Stage


def stage_alarms(site: Site, states: Mapping[str, ClusterState]) -> dict[str, StageAlarms]:
    """By cluster. What the CMP rows let stand until all CMP are upgraded stands on a finished CMP until then."""
    cmps = [cluster.name for cluster in site.cmp_clusters]
    cmp_done = all(states[name].stage is Stage.DONE for name in cmps)
    waiting = frozenset() if cmp_done else lists.CMP_SWITCHED.after | lists.CMP_REPLICATION
    found = {}
    for cluster in site.clusters:
        if cluster.kind is not Kind.CMP:
            found[cluster.name] = StageAlarms(
                first=lists.MPE_FIRST, switched=lists.MPE_SWITCHED, second=lists.MPE_SECOND
            )
        elif cluster.name == site.cmp.primary.name:
            found[cluster.name] = StageAlarms(
                first=lists.CMP_FIRST, switched=lists.CMP_SWITCHED, second=lists.CMP_SECOND, done=waiting
            )
        else:
            found[cluster.name] = StageAlarms(
                first=lists.CMP2_FIRST, switched=lists.CMP_SWITCHED, second=lists.CMP2_SECOND, done=waiting
            )
    return found
