"""The board's material, read from the ledger: from inside of a run or from outside, while any process works."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mopflow import rehearsals
from mopflow.board import Board, Run, Stop, build
from mopflow.ledger import Event, Executor, Ledger
from mopflow.processes import ProcessMark, is_dead
from mopflow.site import Site
from mopflow.stops import STOP


def read(
    site: Site,
    site_path: Path,
    ledger: Ledger,
    now: datetime,
    *,
    picture: tuple[datetime, Mapping[str, Any]] | None = None,
) -> Board:
    """The board at ``now`` (UTC). ``picture``: a newer one of the system than the ledger's.

    Raises LedgerUnavailable.
    """
    name = site.name
    campaigns = ledger.campaigns(name)
    campaign = campaigns[-1].id if campaigns else None
    executors = ledger.executors(name)
    running = [one for one in executors if one.ended is None]
    holds = ledger.holds(name)
    given = (ledger.answer_to(hold.id) for hold in holds)
    return build(
        site,
        ledger.board(name, campaign),
        picture if picture is not None else ledger.snapshot(name),
        holds,
        now,
        file=shlex.quote(str(site_path)),
        answers=[answer for answer in given if answer is not None],
        campaign=campaign,
        stop=_stop(ledger, name, running or executors[-1:]),
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


def _stop(ledger: Ledger, site: str, runs: Sequence[Executor]) -> Stop | None:
    """The request that these runs have to obey, and the steps at which it took effect."""
    if not runs:
        return None
    request = ledger.stop_asked(site, min(one.begun for one in runs))
    if request is None:
        return None
    stopped = [h for h in ledger.holds(site, open_only=False) if h.rule == STOP and h.opened >= request.at]
    return Stop(
        request, tuple(f"{hold.cluster or 'the run'} at {hold.procedure}/{hold.step}" for hold in stopped)
    )


def _rehearsed(ledger: Ledger, site: str, running: Sequence[Executor]) -> str:
    """What the newest run of those that are under way has noted."""
    procedure, step = rehearsals.PLACE
    row = ledger.last(site=site, procedure=procedure, step=step, events=[Event.NOTE])
    return row.entry.text if row is not None and row.executor in {one.id for one in running} else ""
