"""What the runs of a campaign are called, and which one comes next. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mopflow.site import Site
from mopflow.system import ClusterState, Stage

_WITH_SCOPE = ("upgrade-segment", "back-out")


def phase_name(flow: str, scope: str) -> str:
    """As it is typed: `upgrade-segment leipzig`, `upgrade-cmp`."""
    return f"{flow} {scope}" if flow in _WITH_SCOPE else flow


def next_phase(site: Site, path: str, states: Mapping[str, ClusterState]) -> str:
    """The command that comes next on the way to the target release, as a sentence; ``path``: the site file."""

    def done(names: list[str]) -> bool:
        return all(name in states and states[name].stage is Stage.DONE for name in names)

    if not done([cluster.name for cluster in site.cmp_clusters]):
        return f"next in the window: mopflow upgrade-cmp {path}"
    for segment in site.segments:
        if not done([cluster.name for cluster in segment.clusters]):
            return f"next: mopflow upgrade-segment {path} {segment.name}"
    return f"every cluster runs {site.target_release.short}; next: mopflow post-check {path}"
