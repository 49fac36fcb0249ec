"""The board in sentences: what is waited for, since when, how long is usual, when it is late. Pure.

Times are UTC. A site whose minute is not a real one (the twin) gets its times with seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from mopflow import answers, stops
from mopflow.board import AbsentAlarm, AlarmMark, Board, ClusterRow, Run, Timeliness, Work
from mopflow.ledger.records import Hold, HoldKind
from mopflow.site import Window

SOON = 120  # below so many seconds a span is given in seconds


def clock(moment: datetime, *, exact: bool) -> str:
    return f"{moment.astimezone(UTC):{'%H:%M:%S' if exact else '%H:%M'}}"


def span(length: timedelta) -> str:
    """Such as 45 s, 12 min, 3 h 05 min."""
    seconds = max(0.0, length.total_seconds())
    if seconds < SOON:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def doing(work: Work) -> str:
    """What happens in this scope: what is waited for, or how it ended."""
    if work.state == "waiting":
        return f"waits: {work.says}" if work.says else "waits"
    if work.state == "working":
        return work.says or "works"
    return f"{work.state}: {work.says}" if work.says and work.state != "done" else work.says or work.state


def times(work: Work, board: Board) -> str:
    """Since when, until when it is usual, and when it is late."""
    since = f"since {clock(work.since, exact=board.exact)} ({span(board.now - work.since)})"
    if not work.under_way:
        return since
    parts = [since]
    if work.usual_until is not None:
        usual = f"usually until {clock(work.usual_until, exact=board.exact)}"
        over = board.now - work.usual_until
        parts.append(f"{usual}, {span(over)} over" if over > timedelta() else usual)
    if work.timeliness is Timeliness.LATE:
        parts.append(f"LATE since {clock(_late(work), exact=board.exact)}")
    elif work.late_at is not None:
        parts.append(f"late at {clock(work.late_at, exact=board.exact)}")
    else:
        parts.append("no deadline of its own")
    return ", ".join(parts)


def _late(work: Work) -> datetime:
    assert work.late_at is not None
    return work.late_at


def window(found: Window | None, now: datetime) -> str:
    """The window that is open, or the next one; its times as the site file has them."""
    if found is None:
        return "no window of the site file is open or to come"
    if found.start > now:
        return f"next window {found.name}: {found.start:%Y-%m-%d %H:%M %Z}, in {span(found.start - now)}"
    return f"window {found.name}: open until {found.end:%H:%M %Z}, {span(found.end - now)} left"


def age(board: Board) -> str:
    """How old the picture of the system is."""
    if board.taken is None:
        return "nothing has been read yet"
    old = board.now - board.taken
    return f"read at {clock(board.taken, exact=True)}, {span(old)} ago"


def runs(board: Board) -> Iterator[str]:
    """Who works, a sentence each."""
    if not board.runs:
        yield "no run is at work"
    for run in board.runs:
        said = f"{run.flow} {run.scope} since {clock(run.since, exact=board.exact)}"
        match run.alive:
            case True:
                yield f"{said} (process {run.pid} here)"
            case False:
                yield f"{said}: ITS PROCESS {run.pid} HAS DIED; start the same command again"
            case None:
                yield f"{said} (process {run.pid} on {host(run)})"


def host(run: Run) -> str:
    """The name of the machine; the mark has more behind it."""
    return run.host.split("/")[0]


def stop(board: Board) -> list[str]:
    """That a stop was asked, and at which steps it took effect."""
    if board.stop is None:
        return []
    asked = f"STOP: {stops.said(board.stop.request)}"
    if board.stop.effects:
        return [asked, f"it took effect: {'; '.join(board.stop.effects)}"]
    return [asked, "it has not taken effect yet" if board.at_work else "no run is at work any more"]


def answering(hold: Hold, board: Board) -> list[str]:
    """What a person does about a hold: the answer that is on its way, else what can be typed."""
    given = board.answer(hold)
    if given is not None:
        return [f"answered {given.choice} by {given.by}: the run takes it at its next look"]
    return [f"choices: {' or '.join(hold.choices)}", f"type: {answers.command(hold, board.file)}"]


def hold_title(hold: Hold, board: Board) -> str:
    """Which hold, where, and since when."""
    word = "QUESTION" if hold.kind is HoldKind.QUESTION else "HOLD"
    rule = f" ({hold.rule})" if hold.rule else ""
    since = f"open since {clock(hold.opened, exact=board.exact)} ({span(board.now - hold.opened)})"
    return f"{word} {hold.id}: {hold.cluster or 'the run'} at {hold.procedure}/{hold.step}{rule}, {since}"


def alarm(mark: AlarmMark) -> str:
    why = f" ({mark.why})" if mark.why else ""
    return f"{mark.number} {mark.severity} on {mark.source}: {mark.text}{why}"


def numbers(marks: Iterable[AlarmMark]) -> dict[str, list[int]]:
    """By cluster: which numbers stand, each once; "other" for a source that the site file does not have."""
    found: dict[str, set[int]] = {}
    for mark in marks:
        found.setdefault(mark.cluster or "other", set()).add(mark.number)
    return {cluster: sorted(those) for cluster, those in found.items()}


def absent(alarms: Iterable[AbsentAlarm]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in alarms:
        found.setdefault(one.cluster, []).append(one.number)
    return found


def title(cluster: ClusterRow) -> str:
    """Kind and segment, as they stand beside the name of a cluster."""
    return cluster.kind if cluster.segment is None else f"{cluster.kind}, {cluster.segment}"
