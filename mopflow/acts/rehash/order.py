"""In which order 4.6.5 goes through the servers of a system in service (its table of order, and step 3). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mopflow.site import Site
from mopflow.system import ClusterState, Kind, Role


def order(site: Site, states: Mapping[str, ClusterState]) -> list[list[str]]:
    """The groups, one after the other: standby CMPs, active CMPs, standby MPEs and MRAs, active MPEs and MRAs.

    Within a group one server at a time, in the order of the site file. Empty groups are left out. A server whose role
    is Active counts as active, and one whose role cannot be read as well: the later place is the safer one. Every
    other one (Standby, Forced Standby, OOS, Offline) carries no traffic and goes first.
    """
    groups: list[list[str]] = [[], [], [], []]
    for cluster in site.clusters:
        state = states.get(cluster.name)
        roles = {server.name: server.role for server in state.servers} if state is not None else {}
        first = 0 if cluster.kind is Kind.CMP else 2
        for name in cluster.server_names:
            active = roles.get(name, Role.UNKNOWN) in (Role.ACTIVE, Role.UNKNOWN)
            groups[first + active].append(name)
    return [group for group in groups if group]


def before(groups: list[list[str]], server: str) -> list[str]:
    """The servers of all groups that come before the one of `server`."""
    found: list[str] = []
    for group in groups:
        if server in group:
            return found
        found += group
    raise KeyError(server)
