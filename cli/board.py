"""The live board on a terminal, and as a document."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mopflow.board import AlarmMark, Board, ServerRow, Timeliness, Work

_STATE = {"working": "cyan", "waiting": "cyan", "done": "green", "held": "bold red", "failed": "bold red"}
_HEADINGS = ("", "role, since", "release, normal until", "alarms", "what happens")
_SENTENCES = 4
_WIDEST = 36
_ROLE = {"Active": "green", "Standby": "", "Forced Standby": "yellow", "OOS": "yellow", "Zombie": "bold red"}


def render(board: Board) -> RenderableType:
    """One table: a line per cluster with its step, a line per server beneath it."""
    parts: list[RenderableType] = [Text(_title(board), style="bold")]
    rows = list(_rows(board))
    table = Table(box=None, pad_edge=False, expand=True)
    for place, heading in enumerate(_HEADINGS):
        if place == _SENTENCES:  # these are cut to what is left, never what says who, where and when
            table.add_column(heading, overflow="ellipsis", no_wrap=True, ratio=1)
        else:
            needed = max(cell_len(heading), *(cell_len(row[place].plain) for row in rows))
            table.add_column(heading, overflow="ellipsis", no_wrap=True, width=min(needed, _WIDEST))
    for row in rows:
        table.add_row(*row)
    parts.append(table)
    for alarm in board.loose_alarms:
        parts.append(
            Text(f"alarm of a source that the site file does not have: {_alarm(alarm)}", style="red")
        )
    for hold in board.holds:
        where = hold.cluster or "the run"
        parts.append(Text(f"HOLD {where} at {hold.procedure}/{hold.step}: {hold.reason}", style="bold red"))
        parts.append(Text(f"  to do: {hold.remedy}"))
    return Group(*parts)


def _title(board: Board) -> str:
    if board.taken is None:
        return f"{board.site}: nothing has been read yet"
    return f"{board.site} as of {_clock(board.taken)} UTC, Current ISO: {board.current_iso or '-'}"


def _rows(board: Board) -> Iterator[tuple[Text, Text, Text, Text, Text]]:
    """A line per scope with its step, a line per server beneath its cluster."""
    for work in board.elsewhere:
        since, until, words = _step(work)
        yield Text(work.scope, style="bold"), since, until, Text(), words
    for cluster in board.clusters:
        name = Text(cluster.name, style="bold")
        if cluster.work is not None:
            since, until, words = _step(cluster.work)
            yield name, since, until, Text(), words
        else:
            yield name, Text(), Text(), Text(), Text(cluster.stage)
        for server in cluster.servers:
            yield (
                Text(f"  {server.name}"),
                Text(server.role, style=_ROLE.get(server.role, "")),
                Text(server.release),
                _alarms(server),
                _on_server(server),
            )


def _step(work: Work) -> tuple[Text, Text, Text]:
    """Since when, until when it is normal, and which step with what it waits for."""
    words = f"{work.key} {work.title}"
    if work.says:
        words += f" ({work.state}: {work.says})" if work.state in ("held", "failed") else f" ({work.says})"
    until = _clock(work.usual_until) if work.usual_until is not None and work.timeliness else ""
    late = work.timeliness in (Timeliness.LATE, Timeliness.LONGER)
    return (
        Text(_clock(work.since)),
        Text(f"{until} {work.timeliness}" if late else until, style="yellow" if late else ""),
        Text(words, style=_STATE.get(work.state, "")),
    )


def _on_server(server: ServerRow) -> Text:
    """The operation that the console shows, else what we do on this server."""
    operation = _operation(server)
    if operation or server.work is None or server.work.state == "done":
        return Text(operation)
    _, _, words = _step(server.work)
    return words


def _operation(server: ServerRow) -> str:
    if server.doing == "nothing":
        return ""
    return " ".join(server.operation.split())[:60]


def _alarms(server: ServerRow) -> Text:
    text = Text()
    if server.sync_broken:
        text.append("Sync Broken ", style="bold red")
    if server.expected:
        text.append(f"{server.expected} expected ")
    if server.unexpected:
        text.append(
            " ".join(f"{alarm.number} {alarm.standing}" for alarm in server.unexpected), style="bold red"
        )
    return text


def _alarm(alarm: AlarmMark) -> str:
    return f"{alarm.number} {alarm.severity} on {alarm.source}: {alarm.text} ({alarm.standing})"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S}"


# a line per change, where there is no terminal


class Changes:
    """Says in lines what has changed since the board before."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], str] = {}

    def lines(self, board: Board) -> list[str]:
        return [text for key, text in _facts(board) if self._is_new(key, text)]

    def _is_new(self, key: tuple[str, str], text: str) -> bool:
        if self._said.get(key) == text:
            return False
        self._said[key] = text
        return True


def _facts(board: Board) -> Iterator[tuple[tuple[str, str], str]]:
    for work in board.elsewhere:
        yield ("work", work.scope), _work_line(work)
    for cluster in board.clusters:
        if cluster.work is not None:
            yield ("work", cluster.name), _work_line(cluster.work)
        for server in cluster.servers:
            if server.work is not None:
                yield ("work", server.name), f"  {_work_line(server.work)}"
            if server.role != "?":
                yield ("server", server.name), f"  {server.name}: {server.role}, {server.release}"
        for server in cluster.servers:
            for alarm in server.unexpected:
                yield ("alarm", f"{alarm.number} {alarm.source}"), f"  alarm {_alarm(alarm)}"
    for hold in board.holds:
        yield (
            ("hold", hold.id),
            f"HOLD {hold.cluster or 'the run'} at {hold.procedure}/{hold.step}: {hold.reason} To do: {hold.remedy}",
        )


def _work_line(work: Work) -> str:
    words = f"{work.scope}: {work.key} {work.title}"
    if work.state == "done":
        return f"{words}: {work.says}"
    if work.state not in ("working", "waiting"):
        return f"{words}: {work.state}, {work.says}"
    return words + (", late" if work.timeliness is Timeliness.LATE else "")


# as a document


def as_document(board: Board) -> dict[str, Any]:
    return {
        "site": board.site,
        "taken": board.taken.isoformat() if board.taken is not None else None,
        "current_iso": board.current_iso,
        "clusters": [
            {
                "name": cluster.name,
                "kind": cluster.kind,
                "segment": cluster.segment,
                "stage": cluster.stage,
                "step": _work_document(cluster.work) if cluster.work is not None else None,
                "servers": [
                    {
                        "name": server.name,
                        "role": server.role,
                        "release": server.release,
                        "operation": server.operation,
                        "percent": server.percent,
                        "up_to_date": server.up_to_date,
                        "sync_broken": server.sync_broken,
                        "step": _work_document(server.work) if server.work is not None else None,
                        "alarms": [_alarm_document(alarm) for alarm in server.alarms],
                    }
                    for server in cluster.servers
                ],
            }
            for cluster in board.clusters
        ],
        "elsewhere": [_work_document(work) for work in board.elsewhere],
        "other_alarms": [_alarm_document(alarm) for alarm in board.loose_alarms],
        "holds": [
            {
                "cluster": hold.cluster,
                "step": f"{hold.procedure}/{hold.step}",
                "rule": hold.rule,
                "reason": hold.reason,
                "to_do": hold.remedy,
                "since": hold.opened.isoformat(),
            }
            for hold in board.holds
        ],
    }


def _work_document(work: Work) -> dict[str, Any]:
    return {
        "scope": work.scope,
        "procedure": work.procedure,
        "number": work.number,
        "title": work.title,
        "state": work.state,
        "says": work.says,
        "since": work.since.isoformat(),
        "normal_until": work.usual_until.isoformat() if work.usual_until is not None else None,
        "late_at": work.late_at.isoformat() if work.late_at is not None else None,
        "timeliness": work.timeliness.value,
    }


def _alarm_document(alarm: AlarmMark) -> dict[str, Any]:
    return {
        "number": alarm.number,
        "severity": alarm.severity,
        "source": alarm.source,
        "standing": alarm.standing,
        "text": alarm.text,
    }
