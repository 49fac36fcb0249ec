"""R4: which clusters failed over and are not known to be re-applied and to carry traffic, in either direction.

Where a cluster stands is read from the live system; the proof of its traffic (10.2/7-8, 12.3.3/4) is in the ledger of
the site.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mopflow.ledger import Event, Ledger, Row
from mopflow.site import Site
from mopflow.system import ClusterState, Stage
from mopflow.turning import not_refused

if TYPE_CHECKING:
    from mopflow.here import Here

_TO_NEW = (("10.2", 4, ""),)
_TO_OLD = (("10.2", 7, "rollback"), ("12.3.3", 3, ""))
_EVENTS = (Event.INTENDED, Event.ADOPTED, Event.REFUSED, Event.SKIPPED, Event.OBSERVED)


def open_failovers(ledger: Ledger, site: Site, states: Mapping[str, ClusterState]) -> list[str]:
    """Names of the MPE and MRA clusters whose failover is not proven, in the order of the site file."""
    return [c.name for c in site.traffic_clusters if _is_open(ledger, site, states[c.name])]


def _is_open(ledger: Ledger, site: Site, state: ClusterState) -> bool:
    if state.stage not in (Stage.SWITCHED, Stage.FIRST_DONE):
        return False
    rows = [
        row
        for procedure in ("10.2", "12.3.3")
        for row in ledger.rows(site=site.name, procedure=procedure, cluster=state.name, events=_EVENTS)
    ]
    kinds = _TO_NEW if state.stage is Stage.SWITCHED else _TO_OLD
    failovers = [r.id for r in not_refused(rows) if (r.entry.procedure, r.entry.step, r.entry.leg) in kinds]
    proofs = [row.id for row in rows if _is_proof(row)]
    if failovers:
        return max(proofs, default=0) < max(failovers)
    # nobody here failed it over: which release was active before shows in Prev Release
    went_back = state.going_back(site.target_release)
    by_person = went_back is (state.stage is Stage.FIRST_DONE)
    return by_person and not proofs


def _is_proof(row: Row) -> bool:
    entry = row.entry
    if (entry.procedure, entry.step) == ("10.2", 8):
        return entry.event is Event.SKIPPED or (entry.event, entry.leg) == (Event.OBSERVED, "traffic")
    return (entry.procedure, entry.step, entry.leg, entry.event) == ("12.3.3", 4, "traffic", Event.OBSERVED)


def unproven(here: Here) -> str | None:
    """Another cluster that failed over and is not proven yet, or None.

    Where several stand open (a person's work), each may first mend itself: nobody waits for the others then.
    """
    found = open_failovers(here.house.ledger, here.site, here.states)
    if not found or here.scope.cluster in found:
        return None
    return f"{found[0]} failed over last; its re-apply and its traffic are not proven yet"
