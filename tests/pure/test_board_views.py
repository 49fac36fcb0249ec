"""The board on terminals of any size, in sentences, as pages, and as read from a ledger."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from rich.console import Console

from cli import output
from cli.board import View
from cli.board_lines import Changes
from cli.live import Screen, Source
from cli.main import main
from mopflow import board_pages, processes
from mopflow import board_words as words
from mopflow.alarms import JUST_SEEN, absent
from mopflow.board import Board, Run, Stop, build
from mopflow.board_pages import Form, Page
from mopflow.board_reading import read
from mopflow.errors import LedgerUnavailable
from mopflow.ledger import (
    BoardLine,
    Choice,
    Entry,
    Event,
    Hold,
    HoldKind,
    Ledger,
    StopRequest,
)
from mopflow.procedures.stages import stage_alarms
from mopflow.site import Pace, Site, Window
from mopflow.site_file import load
from mopflow.system import Alarm, ClusterState, Stage
from tasks import showing
from tasks.showing import Showing
from tests.pure.small_system import alarm, small_site

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
SOURCE, TARGET = "12.1.1.0.0_14.1.0", "12.1.2.0.0_22.1.0"


@pytest.fixture(scope="module")
def lab() -> Site:
    return load(ROOT / "deployments" / "lab.yaml")


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def line(cluster: str = "mpe-1", **changes: Any) -> BoardLine:
    whole = BoardLine(
        cluster, "10.2", 3, "Upgrade clusters", NOW - minutes(10), NOW + minutes(30), NOW + minutes(80),
        "mpe-1b: [Step 20] 40% Initiate upgrade", "waiting",
    )  # fmt: skip
    return replace(whole, **changes)


def server(
    name: str, role: str, release: str = SOURCE, operation: str = "n/a", **more: Any
) -> dict[str, Any]:
    return {
        "name": name, "role": role, "release": release, "prev_release": "n/a", "up_to_date": "N",
        "operation": operation, "percent": None, "doing": "nothing", "sync_broken": False, "alarm_severity": "",
        **more,
    }  # fmt: skip


def mark(number: int, source: str, cluster: str | None, standing: str, why: str = "why") -> dict[str, Any]:
    return {"number": number, "severity": "Minor", "source": source, "cluster": cluster, "standing": standing,
            "text": f"text of {number}", "why": why}  # fmt: skip


def picture(site: Site, *, percent: int = 40) -> tuple[datetime, dict[str, Any]]:
    """One server of mpe-1 is upgraded; all other clusters are at rest."""
    clusters = [
        {
            "name": cluster.name,
            "stage": Stage.FRESH.value,
            "why": "",
            "servers": [
                server(name, role)
                for name, role in zip(cluster.server_names, ("Active", "Standby"), strict=True)
            ],
        }
        for cluster in site.clusters
    ]
    mine = next(c for c in clusters if c["name"] == "mpe-1")
    mine["stage"] = Stage.FIRST_RUNNING.value
    mine["servers"] = [
        server("mpe-1a", "Active"),
        server("mpe-1b", "OOS", operation=f"[Step 20] {percent}%", percent=percent, doing="running"),
    ]
    alarms = [
        mark(70507, "mpe-1b", "mpe-1", "expected"),
        mark(70006, "mra-1a", "mra-1", "baseline"),
        mark(70001, "mpe-2b", "mpe-2", "overstaying"),
        mark(31999, "mpe-3a", "mpe-3", "unexpected"),
        mark(31998, "mpe-3b", "mpe-3", "expected", JUST_SEEN),
    ]
    gone = [{"number": 31283, "cluster": "mpe-1"}]
    return NOW - timedelta(seconds=4), {
        "current_iso": "-", "clusters": clusters, "alarms": alarms, "absent": gone,
    }  # fmt: skip


HOLD = Hold(
    "3f2a1b9c",
    "lab",
    "c1",
    "mra-1",
    "10.2",
    9,
    "R8",
    "mra-1b is Zombie",
    "call Oracle",
    {},
    NOW - minutes(12),
)
QUESTION = replace(
    HOLD, id="77aa01de", cluster="mpe-1", step=4, rule="", reason="may mpe-1 fail over?", kind=HoldKind.QUESTION,
    choices=(Choice.GO, Choice.LEAVE), typed="mpe-1",
)  # fmt: skip


def board_of(site: Site, *lines: BoardLine, **more: Any) -> Board:
    holds = more.pop("holds", [])
    return build(
        site, lines or [line()], more.pop("picture", picture(site)), holds, more.pop("now", NOW), **more
    )


def shown(board: Board, width: int, height: int | None = None) -> list[str]:
    out = StringIO()
    console = Console(file=out, width=width, height=height or 100)
    console.print(View(board, fit=height is not None))
    return out.getvalue().rstrip("\n").split("\n")


# on a terminal


def test_eighty_columns_show_every_server_with_its_percent_and_no_line_is_longer(lab: Site) -> None:
    lines = shown(board_of(lab, holds=[HOLD, QUESTION]), 80)
    assert max(len(one) for one in lines) <= 80
    row = next(one for one in lines if one.strip().startswith("mpe-1b"))
    assert ("OOS" in row, "12.1.1" in row, "████░░░░░░  40 %" in row, "1 expected" in row) == (True,) * 4
    text = " ".join(" ".join(lines).split())
    for name in (one.name for one in lab.servers):
        assert f" {name} " in text
    assert "waits: mpe-1b: [Step 20] 40% Initiate upgrade" in text
    assert "since 22:50 (10 min), usually until 23:30, late at 00:20" in text


def test_a_low_terminal_gets_the_clusters_at_work_and_the_rest_in_a_line(lab: Site) -> None:
    board = board_of(lab)
    full = shown(board, 100)
    low = shown(board, 100, height=32)
    assert len(low) < 32 < len(full)
    assert any(one.strip().startswith("mpe-1b") for one in low)
    at_rest = next(one for one in low if one.startswith(Stage.FRESH.value))
    assert "mra-2" in at_rest
    assert "mpe-3" not in at_rest  # an alarm of it is not understood


def test_the_lowest_terminal_keeps_waits_and_alarms_that_are_not_understood(lab: Site) -> None:
    low = "\n".join(shown(board_of(lab, holds=[HOLD]), 80, height=10))
    assert "mpe-1: 10.2/3 Upgrade clusters: waits" in low
    assert "unexpected: 31999" in low
    assert "overstaying: 70001" in low
    assert "HOLD 3f2a1b9c" in low
    assert "expected on mpe-1" not in low


def test_a_high_terminal_gets_everything(lab: Site) -> None:
    board = board_of(lab)
    assert shown(board, 100, height=200) == shown(board, 100)


def test_the_alarms_stand_against_what_is_expected(lab: Site) -> None:
    text = "\n".join(shown(board_of(lab), 120))
    assert (
        "alarms: 1 unexpected, 1 overstaying, 1 expected, 1 baseline, 1 just seen, 1 expected but absent"
        in text
    )
    assert "unexpected: 31999 Minor on mpe-3a: text of 31999 (why)" in text
    assert "expected on mpe-1: 70507" in text
    assert "expected but absent on mpe-1: 31283" in text


def test_a_hold_says_what_to_type(lab: Site) -> None:
    text = "\n".join(shown(board_of(lab, holds=[HOLD, QUESTION], file="north.yaml"), 160))
    assert "HOLD 3f2a1b9c: mra-1 at 10.2/9 (R8), open since 22:48 (12 min)" in text
    assert "type: mopflow answer north.yaml 3f2a1b9c again --by NAME --why TEXT" in text
    assert "QUESTION 77aa01de: mpe-1 at 10.2/4" in text
    assert "choices: go or leave" in text
    assert "type: mopflow answer north.yaml 77aa01de go --by NAME --type mpe-1" in text


# in sentences


@pytest.mark.parametrize(
    ("changes", "after", "wanted"),
    [
        ({}, 0, "since 22:50 (10 min), usually until 23:30, late at 00:20"),
        ({}, 31, "since 22:50 (41 min), usually until 23:30, 60 s over, late at 00:20"),
        ({}, 90, "since 22:50 (100 min), usually until 23:30, 60 min over, LATE since 00:20"),
        ({"late_at": None}, 0, "since 22:50 (10 min), usually until 23:30, no deadline of its own"),
        ({"state": "held"}, 120, "since 22:50 (2 h 10 min)"),
    ],
)
def test_every_wait_says_since_when_usual_and_late(
    lab: Site, changes: dict[str, Any], after: float, wanted: str
) -> None:
    board = board_of(lab, line(**changes), now=NOW + minutes(after))
    work = next(c for c in board.clusters if c.name == "mpe-1").work
    assert work is not None
    assert words.times(work, board) == wanted


def test_the_times_of_a_twin_have_seconds(lab: Site) -> None:
    twin = lab.model_copy(update={"pace": Pace(minute=1)})
    board = board_of(twin)
    work = next(c for c in board.clusters if c.name == "mpe-1").work
    assert work is not None
    assert words.times(work, board).startswith("since 22:50:00 ")


def test_a_run_that_died_is_said_loudly(lab: Site) -> None:
    run = Run("upgrade-segment", "segment-1", NOW - minutes(5), "jump/1/2", 4711, alive=False)
    (said,) = words.runs(board_of(lab, runs=[run]))
    assert "ITS PROCESS 4711 HAS DIED; start the same command again" in said
    assert list(words.runs(board_of(lab))) == ["no run is at work"]
    (far,) = words.runs(board_of(lab, runs=[replace(run, alive=None)]))
    assert far.endswith("(process 4711 on jump)")


def test_a_stop_says_where_it_took_effect(lab: Site) -> None:
    request = StopRequest(1, "lab", False, "J. Doe", "an outage", NOW - minutes(3))
    run = Run("upgrade-segment", "segment-1", NOW - minutes(5), "jump/1/2", 4711, alive=True)
    asked, effect = words.stop(board_of(lab, stop=Stop(request, ()), runs=[run]))
    assert asked == "STOP: J. Doe asked at 22:57:00 UTC to stop at the next harbour: an outage"
    assert effect == "it has not taken effect yet"
    assert (
        words.stop(board_of(lab, stop=Stop(request, ("mpe-2 at 10.2/3",))))[1]
        == "it took effect: mpe-2 at 10.2/3"
    )


def test_the_window_that_is_open_and_the_next_one(lab: Site) -> None:
    window = Window(name="night", start=NOW - minutes(60), end=NOW + minutes(185))
    assert words.window(window, NOW) == "window night: open until 02:05 UTC, 3 h 05 min left"
    assert words.window(window, NOW - minutes(90)) == "next window night: 2026-11-22 22:00 UTC, in 30 min"
    site = lab.model_copy(update={"windows": (window,)})
    assert "window night: open until" in "\n".join(shown(board_of(site), 100))


# a line per change


def test_what_is_no_more_is_said_in_a_line(lab: Site) -> None:
    changes = Changes()
    run = Run("upgrade-segment", "segment-1", NOW, "jump/1/2", 4711, alive=True)
    first = changes.lines(board_of(lab, holds=[HOLD], runs=[run]))
    assert "upgrade-segment segment-1 is at work" in first
    assert any(one.startswith("HOLD 3f2a1b9c mra-1 at 10.2/9: mra-1b is Zombie") for one in first)
    calm = picture(lab)[1] | {"alarms": []}
    later = changes.lines(board_of(lab, picture=(NOW, calm), runs=[replace(run, alive=False)]))
    assert any(one.startswith("no more: HOLD 3f2a1b9c") for one in later)
    assert any(one.startswith("no more: unexpected alarm 31999") for one in later)
    assert "upgrade-segment segment-1 is at work, BUT ITS PROCESS 4711 HAS DIED" in later
    assert changes.lines(board_of(lab, picture=(NOW, calm), runs=[replace(run, alive=False)])) == []


# expected but absent


def state(name: str, stage: Stage) -> ClusterState:
    return ClusterState(name, stage, "", None, None, ())


def absents(alarms: list[Alarm], **stages: Stage) -> dict[str, set[int]]:
    site = small_site()
    names = [cluster.name for cluster in site.clusters]
    seen = {name: state(name, stages.get(name.replace("-", "_"), Stage.FRESH)) for name in names}
    found: dict[str, set[int]] = {}
    for number, cluster in absent(alarms, site, seen, stage_alarms(site, seen)):
        found.setdefault(cluster, set()).add(number)
    return found


def test_nothing_is_absent_where_nothing_is_under_way() -> None:
    assert absents([]) == {}
    assert absents([], mpe_1=Stage.MOVING, mpe_2=Stage.ODD) == {}


def test_what_the_row_lists_for_now_is_absent_until_it_stands() -> None:
    everything = absents([], mpe_1=Stage.FIRST_RUNNING)
    assert set(everything) == {"mpe-1"}
    assert {70507, 70503, 31283, 70500, 31101} <= everything["mpe-1"]
    some = absents([alarm(70507, "mpe-1b"), alarm(31283, "mpe-2a")], mpe_1=Stage.FIRST_RUNNING)
    assert everything["mpe-1"] - some["mpe-1"] == {70507}  # 31283 stands on another cluster
    system = absents([alarm(70500, "cmp-1a"), alarm(31101, "cmp-1a")], mpe_1=Stage.FIRST_RUNNING)
    assert everything["mpe-1"] - system["mpe-1"] == {70500, 31101}  # of the whole system


def test_what_a_later_row_lists_is_not_missed_yet() -> None:
    assert 71402 not in absents([], mpe_1=Stage.FIRST_DONE)["mpe-1"]  # of 10.2/6, after the failover
    assert 71402 in absents([], mpe_1=Stage.SWITCHED)["mpe-1"]


# from a ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


SITE_FILE = Path("my sites/north.yaml")


def begin(ledger: Ledger, site: Site, **mark: Any) -> tuple[str, str]:
    campaign = ledger.campaign(site.name, site.source, site.target, None)
    me = processes.me()
    one = ledger.register(
        campaign,
        site.name,
        "upgrade-segment",
        "segment-1",
        me.host,
        mark.get("pid", me.pid),
        mark.get("born", me.born),
    )
    return campaign, one.id


def test_the_board_is_read_from_the_ledger_alone(lab: Site, ledger: Ledger) -> None:
    campaign, executor = begin(ledger, lab)
    ledger.put_board(lab.name, campaign, line())
    ledger.put_snapshot(lab.name, campaign, picture(lab)[1])
    row = ledger.open_hold(lab.name, campaign, "mra-1", "10.2", 9, "R8", "Zombie", "call", {})
    ledger.answer(row.id, Choice.AGAIN, "J. Doe", "mended", "command line")
    ledger.record(
        campaign, lab.name, executor, Entry("4.4", 0, "", None, Event.NOTE, "exactly this plan was rehearsed")
    )
    board = read(lab, SITE_FILE, ledger, datetime.now(UTC))
    assert (board.campaign, board.rehearsed) == (campaign, "exactly this plan was rehearsed")
    assert [(run.flow, run.scope, run.alive) for run in board.runs] == [
        ("upgrade-segment", "segment-1", True)
    ]
    assert words.answering(board.holds[0], board) == [
        "answered again by J. Doe: the run takes it at its next look"
    ]
    ledger.end_executor(executor, "done")
    later = read(lab, SITE_FILE, ledger, datetime.now(UTC))
    assert (later.runs, later.rehearsed) == ((), "")  # what another run noted is not this one's
    assert later.file == "'my sites/north.yaml'"


def test_a_process_that_is_gone_shows_as_dead(lab: Site, ledger: Ledger) -> None:
    begin(ledger, lab, born=1.0)  # nothing here has our pid and was born then
    board = read(lab, SITE_FILE, ledger, datetime.now(UTC))
    assert [run.alive for run in board.runs] == [False]
    assert not board.at_work


def test_a_stop_is_that_of_the_runs_under_way(lab: Site, ledger: Ledger) -> None:
    ledger.ask_to_stop(lab.name, "A. Early", "", now=False)
    campaign, executor = begin(ledger, lab)
    assert read(lab, SITE_FILE, ledger, datetime.now(UTC)).stop is None
    ledger.ask_to_stop(lab.name, "J. Doe", "over", now=True)
    ledger.open_hold(lab.name, campaign, "mpe-2", "10.2", 3, "stop", "asked", "again", {})
    ledger.open_hold(lab.name, campaign, "mpe-3", "10.2", 3, "R8", "other", "again", {})
    ledger.end_executor(executor, "held")
    stop = read(lab, SITE_FILE, ledger, datetime.now(UTC)).stop
    assert stop is not None
    assert (stop.request.by, stop.effects) == ("J. Doe", ("mpe-2 at 10.2/3",))


# watching


def site_file(folder: Path) -> Path:
    path = folder / "site.yaml"
    path.write_text((ROOT / "deployments" / "lab.yaml").read_text() + "\nledger: sqlite:///ledger.db\n")
    return path


def test_watch_once_in_words_and_as_a_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site_file(tmp_path)
    assert main(["watch", str(path), "--once"]) == output.ERROR
    assert "there is no ledger" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]  # looking makes nothing
    site = load(path)
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        campaign, _ = begin(ledger, site)
        ledger.put_board(site.name, campaign, line())
        ledger.put_snapshot(site.name, campaign, picture(site)[1])
    assert main(["watch", str(path), "--once"]) == output.OK
    assert "10.2/3 Upgrade clusters: waits: mpe-1b" in capsys.readouterr().out
    assert main(["watch", str(path), "--once", "--json"]) == output.OK
    document = json.loads(capsys.readouterr().out)
    assert document["absent_alarms"] == [
        {"number": 31283, "name": "Lost Communication with server", "cluster": "mpe-1"}
    ]
    assert document["runs"][0]["alive"] is True
    assert main(["watch", str(path), "--json"]) == output.ERROR
    assert "--once" in capsys.readouterr().err


def test_watch_goes_on_until_it_is_interrupted(tmp_path: Path) -> None:
    """From another process, while this one works: what changes is a line, and Ctrl-C is a good end."""
    path = site_file(tmp_path)
    site = load(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "watch", str(path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert "there is no ledger" in process.stdout.readline()
        with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
            campaign, _ = begin(ledger, site)
            ledger.put_board(site.name, campaign, line())
            said = ""
            while "10.2/3 Upgrade clusters" not in said:
                said = process.stdout.readline()
                assert said, process.communicate()
            ledger.put_board(site.name, campaign, line(state="done", waits_for="done: all is well"))
            assert process.stdout.readline().endswith("mpe-1: 10.2/3 Upgrade clusters: done: all is well\n")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (output.OK, "")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_ledger_that_is_away_is_said_once_and_opened_again(lab: Site, ledger: Ledger) -> None:
    begin(ledger, lab)
    doors: list[Any] = [LedgerUnavailable("the ledger x cannot be used: locked"), ledger]

    def door() -> Any:
        found = doors.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    source = Source(lab, SITE_FILE, door)
    out = StringIO()
    with Screen(Console(file=out, width=100), leave=True) as screen:
        assert source.look() is None
        screen.say(source.why)
        screen.say(source.why)
        board = source.look()
        assert board is not None
        screen.show(board)
    assert out.getvalue().count("cannot be used: locked") == 1
    assert "upgrade-segment segment-1 is at work" in out.getvalue()


# as pages


def test_the_keys_of_the_pages_are_stable_and_as_prefect_takes_them(lab: Site) -> None:
    keys = [page.key for page in board_pages.pages(board_of(lab), "Segment 1/Ost")]
    assert keys == ["board-lab-segment-1-ost", "alarms-lab-segment-1-ost", "holds-lab-segment-1-ost"]


def test_the_table_has_a_row_per_cluster_and_server(lab: Site) -> None:
    table = board_pages.pages(board_of(lab, line(), line("segment-1", state="done")), "segment-1")[0]
    assert isinstance(table.content, list)
    rows = {row["where"]: row for row in table.content}
    assert len(rows) == 1 + len(lab.clusters) + len(lab.servers)
    assert rows["mpe-1"]["what happens"] == "waits: mpe-1b: [Step 20] 40% Initiate upgrade"
    assert [rows["mpe-1"][name] for name in ("since (UTC)", "usually until", "late at")] == [
        "22:50",
        "23:30",
        "00:20",
    ]
    assert (rows["· mpe-1b"]["role"], rows["· mpe-1b"]["operation"]) == ("OOS", "[Step 20] 40%")
    assert rows["· mpe-3a"]["alarms"] == "31999 unexpected"


def test_the_pages_change_only_when_something_has_changed(lab: Site) -> None:
    first = board_pages.pages(board_of(lab, holds=[HOLD]), "segment-1")
    assert board_pages.pages(board_of(lab, holds=[HOLD], now=NOW + minutes(2)), "segment-1") == first
    assert (
        board_pages.pages(board_of(lab, picture=picture(lab, percent=41), holds=[HOLD]), "segment-1") != first
    )


def test_the_page_of_alarms_has_a_table_per_standing(lab: Site) -> None:
    page = str(board_pages.pages(board_of(lab), "segment-1")[1].content)
    assert "| 31999 | Minor | mpe-3a | text of 31999 | why |" in page
    assert "## Expected but absent: 1" in page
    assert "| 31283 | Lost Communication with server | mpe-1 |" in page
    assert "## Baseline: accepted in the site file: 1" in page


def test_a_bar_in_a_text_breaks_no_table(lab: Site) -> None:
    odd = picture(lab)[1]
    odd["alarms"][3]["text"] = "a | b\nc"
    page = str(board_pages.pages(board_of(lab, picture=(NOW, odd)), "x")[1].content)
    assert "a \\| b c" in page


# the thread's round


class Shelf:
    """Where pages are put, and a server that can be away."""

    def __init__(self) -> None:
        self.put_up: list[Page] = []
        self.away = False

    def put(self, page: Page, _task_run: UUID | None) -> None:
        if self.away:
            raise httpx.ConnectError("nobody listens")
        self.put_up.append(page)

    def taken(self) -> list[Page]:
        found, self.put_up = self.put_up, []
        return found


class Boards:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.percent = 40
        self.doing = "running"
        self.now = NOW

    def __call__(self) -> Board:
        document = picture(self.site, percent=self.percent)[1]
        next(c for c in document["clusters"] if c["name"] == "mpe-1")["servers"][1]["doing"] = self.doing
        return board_of(self.site, picture=(NOW, document), now=self.now)


def test_a_round_puts_up_what_has_changed(lab: Site) -> None:
    boards, shelf = Boards(lab), Shelf()
    rounds = Showing(boards, "segment-1", lambda text: text.replace("text of 31999", "****"))
    rounds.round(shelf.put)
    first = shelf.taken()
    assert [page.form for page in first] == [Form.TABLE, Form.MARKDOWN, Form.MARKDOWN, Form.PROGRESS]
    assert "as of 23:00:00 UTC" in first[0].title
    assert "text of 31999" not in str(first[1].content)
    rounds.round(shelf.put)
    assert shelf.taken() == []
    boards.percent = 41
    rounds.meter("4.6.3.1/1 mpe-2a", 50.0, "half")
    rounds.round(shelf.put)
    assert [page.key for page in shelf.taken()] == [
        "board-lab-segment-1", "progress-lab-mpe-1b", "progress-lab-4-6-3-1-1-mpe-2a",
    ]  # fmt: skip
    boards.now += timedelta(seconds=showing.AT_LEAST)
    rounds.round(shelf.put)
    assert ["as of 23:01:00 UTC" in page.title for page in shelf.taken()] == [True, True, True]


@pytest.mark.parametrize(("doing", "percent", "wanted"), [("succeeded", 100, 100.0), ("failed", 0, 40.0)])
def test_the_progress_of_an_operation_ends_as_it_ended(
    lab: Site, doing: str, percent: int, wanted: float
) -> None:
    boards, shelf = Boards(lab), Shelf()
    rounds = Showing(boards, "segment-1", str)
    rounds.round(shelf.put)
    shelf.taken()
    boards.doing, boards.percent = doing, percent
    rounds.round(shelf.put)
    assert [page.content for page in shelf.taken() if page.form is Form.PROGRESS] == [wanted]


def test_an_operation_that_ended_before_this_run_has_no_progress(lab: Site) -> None:
    boards, shelf = Boards(lab), Shelf()
    boards.doing = "succeeded"
    Showing(boards, "segment-1", str).round(shelf.put)
    assert [page for page in shelf.taken() if page.form is Form.PROGRESS] == []


def test_while_the_server_is_away_it_is_said_once_and_caught_up_later(
    lab: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="mopflow.showing")
    boards, shelf = Boards(lab), Shelf()
    rounds = Showing(boards, "segment-1", str)
    shelf.away = True
    for percent in (41, 42, 43):
        boards.percent = percent
        rounds.round(shelf.put)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    shelf.away = False
    rounds.round(shelf.put)
    assert next(page for page in shelf.taken() if page.form is Form.PROGRESS).content == 43.0
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_ledger_that_cannot_be_read_costs_one_round(lab: Site, caplog: pytest.LogCaptureFixture) -> None:
    boards, shelf = Boards(lab), Shelf()
    broken = [True]

    def look() -> Board:
        if broken.pop() if broken else False:
            raise LedgerUnavailable("the ledger x cannot be used: secret")
        return boards()

    rounds = Showing(look, "segment-1", lambda text: text.replace("secret", "****"))
    rounds.round(shelf.put)
    assert shelf.taken() == []
    assert "cannot be used: ****" in caplog.text
    rounds.round(shelf.put)
    assert len(shelf.taken()) == 4
