"""What a run works on, by the word that a person types: a cluster, a segment, all MPE and MRA, or everything."""

from __future__ import annotations

from mopflow.errors import BadInput
from mopflow.here import Scope
from mopflow.site import Cluster, Site

MPE_MRA, ALL = "mpe-mra", "all"
_CMP = "cmp"  # the scope of upgrade-cmp


def clusters_of(site: Site, scope: str) -> tuple[str, ...]:
    """Names of the clusters of a run's scope, in the order of the site file; none for a scope without clusters."""
    if scope in {c.name for c in site.clusters}:
        return (scope,)
    if scope in {s.name for s in site.segments}:
        return tuple(c.name for c in site.segment(scope).clusters)
    named = {
        MPE_MRA: site.traffic_clusters,
        ALL: site.clusters,
        _CMP: site.cmp_clusters,
    }
    return tuple(c.name for c in named.get(scope, ()))


def clusters_behind(site: Site, name: str) -> tuple[Cluster, ...]:
    """The clusters that a name of the journal belongs to: a cluster, one of its servers, a segment. None: any other."""
    for cluster in site.clusters:
        if name == cluster.name or name in cluster.server_names:
            return (cluster,)
    return next((segment.clusters for segment in site.segments if segment.name == name), ())


def backout_scopes(site: Site) -> list[str]:
    """Everything that can be backed out, as a person types it."""
    return [ALL, MPE_MRA, *(s.name for s in site.segments), *(c.name for c in site.clusters)]


def require_scope(site: Site, scope: str) -> tuple[str, ...]:
    """Its clusters. Raises BadInput for what cannot be backed out."""
    if scope not in backout_scopes(site):
        raise BadInput(
            f"the site {site.name} has nothing named {scope} to back out; there are "
            + ", ".join(backout_scopes(site))
        )
    return clusters_of(site, scope)


def step_scope(site: Site, scope: str) -> Scope:
    """On what the rows stand that speak of the whole scope."""
    if scope in {c.name for c in site.clusters}:
        return Scope(cluster=scope)
    if scope in {s.name for s in site.segments}:
        return Scope(segment=scope)
    return Scope()
