"""The board as a line per change, where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator

from mopflow import board_words as words
from mopflow.board import Board, Timeliness, Work


class Changes:
    """Says in lines what has changed since the board before."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], str] = {}

    def lines(self, board: Board) -> list[str]:
        facts = dict(_facts(board))
        new = [text for key, text in facts.items() if self._said.get(key) != text]
        gone = [
            f"no more: {text.strip()}" for key, text in self._said.items() if _ends(key) and key not in facts
        ]
        self._said = {**{k: t for k, t in self._said.items() if not _ends(k)}, **facts}
        return new + gone


def _ends(key: tuple[str, str]) -> bool:
    """Is it worth a line that this is no more?"""
    return key[0] in ("alarm", "hold", "run")


def _facts(board: Board) -> Iterator[tuple[tuple[str, str], str]]:
    for run in board.runs:
        dead = f", BUT ITS PROCESS {run.pid} HAS DIED" if run.alive is False else ""
        yield ("run", f"{run.flow} {run.scope} {run.since}"), f"{run.flow} {run.scope} is at work{dead}"
    if board.rehearsed:
        yield ("rehearsed", ""), board.rehearsed
    for place, said in enumerate(words.stop(board)):
        yield ("stop", str(place)), said
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
    for alarm in board.alarms:
        if not alarm.is_fine:
            yield (
                ("alarm", f"{alarm.number} {alarm.source}"),
                f"  {alarm.standing} alarm {words.alarm(alarm)}",
            )
    for hold in board.holds:
        where = f"{hold.cluster or 'the run'} at {hold.procedure}/{hold.step}"
        yield ("hold", hold.id), f"HOLD {hold.id} {where}: {hold.reason} To do: {hold.remedy}"


def _work_line(work: Work) -> str:
    said = f"{work.scope}: {work.key} {work.title}"
    if work.state == "done":
        return f"{said}: {work.says}"
    if not work.under_way:
        return f"{said}: {work.state}, {work.says}"
    return said + (", late" if work.timeliness is Timeliness.LATE else "")
