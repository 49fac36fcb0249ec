"""Which row's alarm list holds for a cluster in which stage, on the way forward and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mopflow.alarms import StageAlarms
from mopflow.procedures import lists
from mopflow.site import Site
from mopflow.system import ClusterState, Kind, Stage

_MPE = StageAlarms(
    first=lists.MPE_FIRST,
    switched=lists.MPE_SWITCHED,
    second=lists.MPE_SECOND,
    back_first=lists.BACKOUT_MPE_FIRST,
    back_switched=lists.BACKOUT_MPE_SWITCHED,
    back_second=lists.BACKOUT_MPE_SECOND,
)
_PRIMARY = StageAlarms(  # 8.1.1 and 9.1.1, 12.3.5
    first=lists.CMP_FIRST,
    switched=lists.CMP_SWITCHED,
    second=lists.CMP_SECOND,
    back_first=lists.BACKOUT_CMP_FIRST,
    back_switched=lists.BACKOUT_CMP_SWITCHED,
    back_second=lists.BACKOUT_CMP_SECOND,
)
_OLD_PRIMARY = StageAlarms(  # 6.1.1 and 7.1.1, 12.3.5
    forced=lists.FORCED,
    first=lists.OLD_FIRST,
    switched=lists.OLD_BETWEEN,
    second=lists.OLD_SECOND,
    back_first=lists.BACKOUT_CMP_FIRST,
    back_switched=lists.BACKOUT_CMP_SWITCHED,
    back_second=lists.BACKOUT_CMP_OLD_SECOND,
)
_SECONDARY = StageAlarms(
    first=lists.CMP2_FIRST,
    switched=lists.CMP_SWITCHED,
    second=lists.CMP2_SECOND,
    back_first=lists.BACKOUT_CMP2_FIRST,
    back_switched=lists.BACKOUT_CMP2_SWITCHED,
    back_second=lists.BACKOUT_CMP2_SECOND,
)


def stage_alarms(site: Site, states: Mapping[str, ClusterState]) -> dict[str, StageAlarms]:
    """By cluster. What the CMP rows let stand until all CMP are upgraded stands on a finished CMP until then."""
    primary = _OLD_PRIMARY if site.source_release.has_old_gui else _PRIMARY
    all_done = all(states[cluster.name].stage is Stage.DONE for cluster in site.cmp_clusters)
    waiting = frozenset() if all_done else primary.switched.after | lists.CMP_REPLICATION
    return {
        cluster.name: _MPE
        if cluster.kind is not Kind.CMP
        else replace(primary if cluster.name == site.cmp.primary.name else _SECONDARY, done=waiting)
        for cluster in site.clusters
    }
