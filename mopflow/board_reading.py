"""The board's material, read from the ledger: from inside of a run or from outside, while any process works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mopflow.board import Board, Run, build
from mopflow.ledger import Event, Executor, Ledger
from mopflow.processes import ProcessMark, is_dead
from mopflow.site import Site

REHEARSED = ("4.4", 0)  # procedure and step under which a run notes whether its plan was rehearsed


def read(
    site: Site, ledger: Ledger, now: datetime, *, picture: tuple[datetime, Mapping[str, Any]] | None = None
) -> Board:
    """The board at ``now`` (UTC). ``picture``: a newer one of the system than the ledger's.

    Raises LedgerUnavailable.
    """
    name = site.name
    campaigns = ledger.campaigns(name)
    campaign = campaigns[-1].id if campaigns else None
    running = ledger.executors(name, running_only=True)
    return build(
        site,
        ledger.board(name, campaign),
        picture if picture is not None else ledger.snapshot(name),
        ledger.holds(name),
        now,
        campaign=campaign,
        runs=[_run(one) for one in running],
        rehearsed=_rehearsed(ledger, name, running),
    )


def _run(executor: Executor) -> Run:
    dead = is_dead(ProcessMark(executor.host, executor.pid, executor.born))
    return Run(
        flow=executor.flow,
        scope=executor.scope,
        since=executor.begun,
        host=executor.host,
        pid=executor.pid,
        alive=None if dead is None else not dead,
    )


def _rehearsed(ledger: Ledger, site: str, running: Sequence[Executor]) -> str:
    """What the newest run of those that are under way has noted."""
    procedure, step = REHEARSED
    row = ledger.last(site=site, procedure=procedure, step=step, events=[Event.NOTE])
    return row.entry.text if row is not None and row.executor in {one.id for one in running} else ""
