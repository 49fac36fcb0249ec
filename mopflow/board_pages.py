"""The board as pages for Prefect's UI: a table, and Markdown for alarms and holds. Pure.

No page says "12 minutes ago": what is shown changes only when something has changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from mopflow import board_words as words
from mopflow.alarms import Standing
from mopflow.board import AlarmMark, Board, ServerRow, Timeliness, Work
from mopflow.ledger.records import Hold, HoldKind


class Form(StrEnum):
    """What Prefect makes of a page."""

    TABLE = "table"
    MARKDOWN = "markdown"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Page:
    """``key`` as Prefect takes it; ``content`` by its form: rows, a text, or a percentage."""

    key: str
    form: Form
    title: str
    content: list[dict[str, str]] | str | float


def key(*words_: str) -> str:
    """Lower-case letters, digits and dashes: the same for the same words, so that Prefect shows a history."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words_).lower()).strip("-")


def pages(board: Board, scope: str) -> list[Page]:
    """The pages of a run on ``scope``."""
    site = board.site
    return [
        Page(key("board", site, scope), Form.TABLE, f"{site}: clusters and servers", _table(board)),
        Page(key("alarms", site, scope), Form.MARKDOWN, f"{site}: {_counts(board)}", _alarms(board)),
        Page(key("holds", site, scope), Form.MARKDOWN, f"{site}: {_open(board)}", _holds(board)),
    ]


def progress(site: str, server: ServerRow, percent: int) -> Page:
    """How far the operation is that the console shows on this server."""
    operation = " ".join(server.operation.split())
    words_ = f"{server.name}: {operation}"
    return Page(key("progress", site, server.name), Form.PROGRESS, words_, float(min(max(percent, 0), 100)))


def transfer(site: str, what: str, percent: float, said: str) -> Page:
    """How far a long act of our own is."""
    return Page(
        key("progress", site, what), Form.PROGRESS, f"{what}: {said}", float(min(max(percent, 0.0), 100.0))
    )


def struck(page: Page, strike: Callable[[str], str]) -> Page:
    """The page without secrets (`Vault.strike`)."""
    content = page.content
    if isinstance(content, list):
        content = [{name: strike(text) for name, text in row.items()} for row in content]
    elif isinstance(content, str):
        content = strike(content)
    return replace(page, title=strike(page.title), content=content)


# clusters and servers


def _table(board: Board) -> list[dict[str, str]]:
    rows = [_row(board, work.scope, work) for work in board.elsewhere]
    for cluster in board.clusters:
        rows.append(_row(board, cluster.name, cluster.work, stage=cluster.stage))
        rows += [_row(board, f"· {server.name}", server.work, server=server) for server in cluster.servers]
    return rows


def _row(
    board: Board, where: str, work: Work | None, *, stage: str = "", server: ServerRow | None = None
) -> dict[str, str]:
    def moment(at: datetime | None) -> str:
        return words.clock(at, exact=board.exact) if at is not None else ""

    under_way = work is not None and work.under_way
    return {
        "where": where,
        "role": server.role if server is not None else "",
        "release": server.release if server is not None else "",
        "operation": _operation(server) if server is not None else stage,
        "alarms": _marks(server) if server is not None else "",
        "step": f"{work.key} {work.title}" if work is not None else "",
        "what happens": words.doing(work) if work is not None else "",
        "since (UTC)": moment(work.since) if work is not None else "",
        "usually until": moment(work.usual_until) if work is not None and under_way else "",
        "late at": _late(work, moment(work.late_at)) if work is not None and under_way else "",
    }


def _late(work: Work, at: str) -> str:
    return f"{at} LATE" if work.timeliness is Timeliness.LATE else at


def _operation(server: ServerRow) -> str:
    return "" if server.doing in ("nothing", "") else " ".join(server.operation.split())


def _marks(server: ServerRow) -> str:
    parts = ["Sync Broken"] if server.sync_broken else []
    parts += [f"{alarm.number} {alarm.standing}" for alarm in server.unexpected]
    parts += [f"{alarm.number} just seen" for alarm in server.alarms if alarm.in_doubt]
    for standing in (Standing.EXPECTED, Standing.BASELINE):
        if server.count(standing):
            parts.append(f"{server.count(standing)} {standing}")
    return ", ".join(parts)


# the alarms against what is expected


def _counts(board: Board) -> str:
    counts = [f"{len(board.standing(standing))} {standing}" for standing in reversed(Standing)]
    return f"alarms: {', '.join(counts)}, {len(board.absent)} expected but absent"


def _alarms(board: Board) -> str:
    return "\n".join(_alarm_lines(board)) + "\n"


_HEADINGS = {
    Standing.UNEXPECTED: "Unexpected: no row that is under way lists them",
    Standing.OVERSTAYING: "Overstaying: they should have cleared after their step",
    Standing.EXPECTED: "Expected here and now",
    Standing.BASELINE: "Baseline: accepted in the site file",
}


def _alarm_lines(board: Board) -> Iterator[str]:
    yield f"# {board.site}: the alarms against what is expected"
    for standing, heading in _HEADINGS.items():
        yield from _alarm_table(heading, board.standing(standing))
    doubtful = [alarm for alarm in board.alarms if alarm.in_doubt]
    yield from _alarm_table("Just seen, looked at once more", doubtful)
    yield from ["", f"## Expected but absent: {len(board.absent) or 'none'}", ""]
    if board.absent:
        yield from ["| alarm | name | cluster |", "|---|---|---|"]
        for one in board.absent:
            yield f"| {one.number} | {cell(one.name)} | {cell(one.cluster)} |"


def _alarm_table(heading: str, alarms: list[AlarmMark]) -> Iterator[str]:
    yield from ["", f"## {heading}: {len(alarms) or 'none'}", ""]
    if alarms:
        yield from ["| alarm | severity | on | text | why |", "|---|---|---|---|---|"]
        for one in alarms:
            words_ = (str(one.number), one.severity, one.source, one.text, one.why)
            yield f"| {' | '.join(cell(word) for word in words_)} |"


# holds


def _open(board: Board) -> str:
    if not board.holds:
        return "no open hold"
    return f"{len(board.holds)} open hold{'s'[: len(board.holds) != 1]}"


def _holds(board: Board) -> str:
    return "\n".join(_hold_lines(board)) + "\n"


def _hold_lines(board: Board) -> Iterator[str]:
    yield f"# {board.site}: {_open(board)}"
    for said in words.stop(board):
        yield from ["", f"**{cell(said)}**"]
    for hold in board.holds:
        yield from ["", f"## {_hold_title(hold)}", ""]
        yield f"Open since {words.clock(hold.opened, exact=board.exact)} UTC. {cell(hold.reason)}"
        yield ""
        yield f"To do: {cell(hold.remedy)}"
        for said in words.answering(hold, board):
            yield from ["", cell(said)]


def _hold_title(hold: Hold) -> str:
    word = "Question" if hold.kind is HoldKind.QUESTION else "Hold"
    rule = f" ({hold.rule})" if hold.rule else ""
    return f"{word} {hold.id}: {cell(hold.cluster or 'the run')} at {hold.procedure}/{hold.step}{rule}"


def cell(text: str) -> str:
    """In a table or a line of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")
