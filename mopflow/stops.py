"""A person asked the runs of a site to stop: where does that take effect (`mopflow stop`)?

At the next harbour: what was begun is finished, nothing new is begun. With --now: before the next act. Never between a
failover and the proof of its traffic, for the cluster may not be fully functional there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mopflow.ledger import Event, StopRequest
from mopflow.step import Refusal
from mopflow.system import Stage
from mopflow.turning import goes_back

if TYPE_CHECKING:
    from mopflow.here import Here
    from mopflow.house import House

STOP = "stop"  # the rule of a hold that a stop has made


def asked(house: House) -> StopRequest | None:
    """The request that this run has to obey: one that came after it began."""
    return house.ledger.stop_asked(house.site.name, house.began)


def objections(here: Here) -> Iterator[Refusal]:
    """A refusal where this act is the first one that a stop keeps from being done."""
    request = asked(here.house)
    if request is None or here.step.after_harbour or here.urgent:
        return
    if request.now or not _is_begun(here):
        yield Refusal(STOP, said(request))


def said(request: StopRequest) -> str:
    """The request as a sentence."""
    how = "now" if request.now else "at the next harbour"
    return f"{request.by} asked at {request.at:%H:%M:%S} UTC to stop {how}" + (
        f": {request.why}" if request.why else ""
    )


def _is_begun(here: Here) -> bool:
    """Would leaving now leave something half done?"""
    back = goes_back(here.step.procedure)
    untouched = Stage.DONE if back else Stage.FRESH
    cluster = here.scope.cluster
    if cluster is None:
        return _is_under_way(here)
    cmps = [one.name for one in here.site.cmp_clusters]
    # both CMP clusters on one release: only then the system may be left
    together = cmps if cluster in cmps else [cluster]
    return any(here.states[name].stage is not untouched for name in together)


def _is_under_way(here: Here) -> bool:
    """A row of the preparation: has this run acted in this procedure on this server already?"""
    rows = here.house.ledger.rows(
        campaign=here.house.campaign,
        procedure=here.step.procedure,
        cluster=here.scope.key,
        events=(Event.INTENDED,),
    )
    return any(row.executor == here.house.executor and row.entry.cluster == here.scope.key for row in rows)
