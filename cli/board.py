"""The live board on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum, auto

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from mopflow import board_words as words
from mopflow.alarms import Standing
from mopflow.board import Board, ClusterRow, ServerRow, Timeliness, Work
from mopflow.errors import UnreadableReply
from mopflow.ledger.records import Hold, HoldKind
from mopflow.release import Release

_STATE = {"working": "cyan", "waiting": "cyan", "done": "green", "held": "bold red", "failed": "bold red"}
_ROLE = {"Active": "green", "Standby": "", "Forced Standby": "yellow", "OOS": "yellow", "Zombie": "bold red"}
_TROUBLE = (Standing.UNEXPECTED, Standing.OVERSTAYING)
_BAR = 10  # cells of a progress bar
_NAME, _ROLE_WIDTH, _OPERATION = 24, len("Forced Standby"), _BAR + 6
_WIDE = 120  # from here on a release is shown as the console prints it


class Detail(Enum):
    """How much is shown; the first that fits the terminal's height."""

    FULL = auto()
    FOLDED = auto()  # clusters at rest in one line together
    TIGHT = auto()  # a line per cluster, and only the alarms that are not understood


class View:
    """The board for a terminal of any width. ``fit``: give up detail until it fits the terminal's height."""

    def __init__(self, board: Board, *, fit: bool = False) -> None:
        self._board = board
        self._fit = fit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for detail in Detail:
            parts = list(_parts(self._board, detail, options.max_width, options.ascii_only))
            height = sum(len(console.render_lines(part, options, pad=False)) for part in parts)
            if not self._fit or detail is Detail.TIGHT or height < options.size.height:
                yield from parts
                return


def render(board: Board) -> RenderableType:
    """The whole board."""
    return View(board)


def _parts(board: Board, detail: Detail, width: int, ascii_only: bool) -> Iterator[RenderableType]:
    yield from _header(board)
    for hold in board.holds:
        yield from _hold(hold, board, detail)
    yield from _clusters(board, detail, width, ascii_only)
    yield from _alarms(board, detail)


def _header(board: Board) -> Iterator[RenderableType]:
    campaign = f", campaign {board.campaign}" if board.campaign is not None else ""
    yield Text(f"{board.site} at {words.clock(board.now, exact=True)} UTC{campaign}", style="bold")
    for said in words.runs(board):
        yield _hanging(said, "" if board.at_work else "yellow" if not board.runs else "bold red")
    for place, said in enumerate(words.stop(board)):
        yield _hanging(said, "bold yellow" if place == 0 else "yellow")
    if board.window is not None:
        yield _hanging(words.window(board.window, board.now))
    if board.rehearsed:
        yield _hanging(board.rehearsed)
    yield _hanging(f"system: {words.age(board)}, Current ISO: {board.current_iso or '-'}", "dim")


def _hanging(text: str, style: str = "", indent: int = 0) -> RenderableType:
    """Wrapped at the terminal's edge, never cut."""
    return Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, indent), expand=False)


# holds


def _hold(hold: Hold, board: Board, detail: Detail) -> Iterator[RenderableType]:
    style = "bold yellow" if hold.kind is HoldKind.QUESTION else "bold red"
    yield _hanging(words.hold_title(hold, board), style)
    yield _hanging(hold.reason, indent=2)
    if detail is not Detail.TIGHT:
        yield _hanging(f"to do: {hold.remedy}", indent=2)
        for said in words.answering(hold, board):
            yield _hanging(said, "bold" if said.startswith("type") else "", indent=2)


# clusters and servers


def _clusters(board: Board, detail: Detail, width: int, ascii_only: bool) -> Iterator[RenderableType]:
    yield Text("")
    for work in board.elsewhere:
        if work.state != "done" or detail is Detail.FULL:
            yield Text(work.scope, style="bold")
            yield from _work(work, board, detail)
    names = [server.name for cluster in board.clusters for server in cluster.servers]
    column = min(_NAME, max((len(name) for name in names), default=0))
    for cluster in board.clusters:
        if detail is Detail.FULL or not cluster.quiet:
            yield from _cluster(cluster, board, detail, column, width, ascii_only)
    if detail is not Detail.FULL:
        yield from _at_rest(cluster for cluster in board.clusters if cluster.quiet)


def _at_rest(clusters: Iterable[ClusterRow]) -> Iterator[RenderableType]:
    by_stage: dict[str, list[str]] = {}
    for cluster in clusters:
        by_stage.setdefault(cluster.stage or "not read yet", []).append(cluster.name)
    for stage, names in by_stage.items():
        yield _hanging(f"{stage}: {', '.join(names)}", "dim")


def _cluster(
    cluster: ClusterRow, board: Board, detail: Detail, column: int, width: int, ascii_only: bool
) -> Iterator[RenderableType]:
    if detail is not Detail.TIGHT:
        title = Text(no_wrap=True, overflow="ellipsis")
        title.append(cluster.name, style="bold")
        title.append(f"  {words.title(cluster)}", style="dim")
        if cluster.stage:
            title.append(f": {cluster.stage}")
        yield title
        for server in cluster.servers:
            yield _server(server, column, width, ascii_only)
    for server in cluster.servers:
        if server.work is not None and (server.work.state != "done" or detail is Detail.FULL):
            yield from _work(server.work, board, detail)
    if cluster.work is not None:
        yield from _work(cluster.work, board, detail)


def _server(server: ServerRow, column: int, width: int, ascii_only: bool) -> Text:
    """Who, in which role, on which release, how far, and its alarms; only the alarms are cut at the edge."""
    release = server.release if width >= _WIDE else _short(server.release)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"  {_cut(server.name, column):<{column}} ")
    line.append(f"{server.role:<{_ROLE_WIDTH}} ", style=_ROLE.get(server.role, ""))
    line.append(f"{release:<{18 if width >= _WIDE else 7}} ")
    line.append(f"{_progress(server, ascii_only):<{_OPERATION}} ", style="cyan")
    if server.sync_broken:
        line.append("Sync Broken ", style="bold red")
    for alarm in server.unexpected:
        line.append(f"{alarm.number} {alarm.standing} ", style="bold red")
    for alarm in server.alarms:
        if alarm.in_doubt:
            line.append(f"{alarm.number} just seen ", style="yellow")
    counts = [(server.count(standing), standing) for standing in (Standing.EXPECTED, Standing.BASELINE)]
    line.append(", ".join(f"{count} {standing}" for count, standing in counts if count), style="dim")
    return line


def _progress(server: ServerRow, ascii_only: bool) -> str:
    if not server.running:
        return "" if server.doing in ("nothing", "") else server.doing
    if server.percent is None:
        return "runs"
    full = round(min(server.percent, 100) * _BAR / 100)
    done, left = ("#", "-") if ascii_only else ("█", "░")
    return f"{done * full}{left * (_BAR - full)} {server.percent:>3} %"


def _work(work: Work, board: Board, detail: Detail) -> Iterator[RenderableType]:
    """Which step, what it waits for, since when, usual and late."""
    style = _STATE.get(work.state, "")
    if work.state == "done":
        line = Text(f"  {work.key} {work.title}: {words.doing(work)}", style="dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        yield line
        return
    tight = detail is Detail.TIGHT
    where = f"{work.scope}: " if tight else ""
    yield _hanging(f"{where}{work.key} {work.title}: {words.doing(work)}", style, indent=0 if tight else 2)
    late = {Timeliness.LATE: "bold red", Timeliness.LONGER: "yellow"}.get(work.timeliness, "")
    yield _hanging(words.times(work, board), late, indent=4)


def _short(release: str) -> str:
    try:
        return Release.parse(release).short
    except UnreadableReply:
        return release


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


# the alarms against what is expected


def _alarms(board: Board, detail: Detail) -> Iterator[RenderableType]:
    doubtful = [alarm for alarm in board.alarms if alarm.in_doubt]
    counts = [f"{len(board.standing(standing))} {standing}" for standing in reversed(Standing)]
    if doubtful:
        counts.append(f"{len(doubtful)} just seen")
    counts.append(f"{len(board.absent)} expected but absent")
    yield Text("")
    yield _hanging(f"alarms: {', '.join(counts)}", "bold")
    for standing in _TROUBLE:
        for alarm in board.standing(standing):
            yield _hanging(f"{standing}: {words.alarm(alarm)}", "bold red", indent=2)
    if detail is Detail.TIGHT:
        return
    for alarm in doubtful:
        yield _hanging(f"just seen: {words.alarm(alarm)}", "yellow", indent=2)
    for alarm in board.standing(Standing.BASELINE):
        yield _hanging(f"baseline: {words.alarm(alarm)}", indent=2)
    yield from _by_cluster("expected", words.numbers(board.standing(Standing.EXPECTED)))
    yield from _by_cluster("expected but absent", words.absent(board.absent))


def _by_cluster(what: str, numbers: dict[str, list[int]]) -> Iterator[RenderableType]:
    for cluster, those in numbers.items():
        yield _hanging(f"{what} on {cluster}: {' '.join(map(str, those))}", "dim", indent=2)
