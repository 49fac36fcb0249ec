"""The plan from the site file, and the live board from what the ledger holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.board import render
from cli.board_document import as_document
from cli.board_lines import Changes
from mopflow.alarms import Standing
from mopflow.board import Board, Timeliness, build
from mopflow.errors import BadInput
from mopflow.ledger import BoardLine, Hold
from mopflow.plan import PREPARATION, Who, mixed_version, plan, who
from mopflow.procedures.table import PROCEDURES
from mopflow.site import Autonomy, AutonomyRules, Site
from mopflow.site_file import load

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def lab() -> Site:
    return load(ROOT / "deployments" / "lab.yaml")


def test_the_plan_has_every_row_in_the_order_of_the_document(lab: Site) -> None:
    rows = plan(lab)
    assert [row.order for row in rows] == list(range(1, len(rows) + 1))
    before = [row for row in rows if row.command == "prepare"]
    assert rows[: len(before)] == before
    assert len(before) == 38
    assert list(dict.fromkeys(row.procedure for row in before)) == list(PREPARATION)
    cmp = rows[len(before) :]
    assert [row.key for row in cmp[:20]] == [f"9.1.1/{n}" for n in range(1, 21)]
    assert [row.key for row in cmp[20:26]] == [f"9.1.2/{n}" for n in range(1, 7)]
    assert {row.cluster for row in cmp[20:26]} == {"CMP Site2 Cluster"}
    after = rows[-5:]
    assert [row.key for row in after] == [f"11/{n}" for n in range(1, 6)]
    assert {(row.command, row.where, row.segment) for row in after} == {
        ("post-check", "the whole system", None)
    }
    assert rows[-6].key == "10.2/12"
    for segment in lab.segments:
        mine = [row for row in rows if row.segment == segment.name]
        assert [row.key for row in mine[:2]] == ["10.1.1/1", "10.1.1/2"]
        assert [row.key for row in mine[-2:]] == ["10.2/11", "10.2/12"]
        for cluster in segment.clusters:
            last = 10 if cluster.kind.value.startswith("MPE") else 9
            assert [row.number for row in mine if row.cluster == cluster.name] == list(range(1, last + 1))


def test_the_plan_of_a_site_without_a_secondary(lab: Site) -> None:
    alone = lab.model_copy(update={"cmp": lab.cmp.model_copy(update={"secondary": None})})
    assert "9.1.2" not in {row.procedure for row in plan(alone)}


def test_the_plan_names_alarms_and_duration_of_its_row(lab: Site) -> None:
    row = next(row for row in plan(lab) if row.key == "10.2/3" and row.cluster == "mpe-1")
    assert row.where == "standby server of mpe-1"
    assert row.minutes == 40
    assert {31283, 70507} <= set(row.during)
    assert set(row.after) == {78001, 70500, 70501, 70503}


@pytest.mark.parametrize(
    ("source", "primary", "secondary", "rows"),
    [
        ("10.5.6.0.0_41.1.0", "6.1.1", "6.1.2", 29),
        ("11.5.2.0.0_38.1.0", "7.1.1", "7.1.2", 29),
        ("12.0.0.0.0_45.1.0", "8.1.1", "8.1.2", 27),
    ],
)
def test_the_plan_from_the_other_releases(
    lab: Site, source: str, primary: str, secondary: str, rows: int
) -> None:
    found = plan(lab.model_copy(update={"source": source}))
    cmp = [row for row in found if row.command == "upgrade-cmp"]
    assert [row.procedure for row in cmp] == [primary] * (rows - 6) + [secondary] * 6
    assert {row.where for row in cmp if "{" in row.where} == set()
    others = [row.key for row in plan(lab) if row.command != "upgrade-cmp"]
    assert [row.key for row in found if row.command != "upgrade-cmp"] == others


def test_a_source_release_without_tables_is_refused(lab: Site) -> None:
    with pytest.raises(BadInput, match=r"no CMP upgrade from 9\.9\.0"):
        plan(lab.model_copy(update={"source": "9.9.0.0.0_41.1.0"}))


@pytest.mark.parametrize(
    ("source", "first"),
    [("10.5.6.0.0_41.1.0", "6.1.1/10"), ("12.0.0.0.0_45.1.0", "8.1.1/11"), ("12.1.1.0.0_14.1.0", "9.1.1/10")],
)
def test_the_plan_says_when_the_system_is_in_mixed_version(lab: Site, source: str, first: str) -> None:
    rows = plan(lab.model_copy(update={"source": source}))
    mixed = [row for row in rows if row.mixed]
    assert (mixed[0].key, mixed[-1].key) == (first, "10.2/9")
    assert [row.order for row in mixed] == list(range(mixed[0].order, mixed[-1].order + 1))
    said = " ".join(mixed_version(rows))
    assert f"from step {mixed[0].order} ({first}, " in said
    assert f"end of step {mixed[-1].order} (10.2/9, " in said
    assert "no new feature" in said
    assert "70500" in said


@pytest.mark.parametrize(
    ("key", "rules", "wanted"),
    [
        ("9.1.1/12", AutonomyRules(), Who.WE_ASK),
        ("9.1.1/12", AutonomyRules(cmp_switch=Autonomy.AUTO), Who.AUTOMATIC),
        ("9.1.2/3", AutonomyRules(default=Autonomy.OBSERVE), Who.PERSON),  # its second leg is a start
        ("9.1.1/10", AutonomyRules(default=Autonomy.CONFIRM), Who.WE_ASK),
        ("9.1.1/11", AutonomyRules(default=Autonomy.OBSERVE), Who.AUTOMATIC),  # it only looks
        ("10.2/4", AutonomyRules(first_failover=Autonomy.OBSERVE), Who.PERSON),
        ("10.2/7", AutonomyRules(default=Autonomy.OBSERVE, backout=Autonomy.OBSERVE), Who.AUTOMATIC),  # R11
    ],
)
def test_who_acts(key: str, rules: AutonomyRules, wanted: Who) -> None:
    procedure, number = key.split("/")
    assert who(PROCEDURES[procedure].step(int(number)), rules) is wanted


# the board


def line(cluster: str = "mpe-1", **changes: Any) -> BoardLine:
    whole = BoardLine(
        cluster, "10.2", 3, "Upgrade clusters", NOW - timedelta(minutes=10), NOW + timedelta(minutes=30),
        NOW + timedelta(minutes=80), "mpe-1b: [Step 20] 40%", "waiting",
    )  # fmt: skip
    return replace(whole, **changes)


def picture(role: str = "OOS", standing: str = "expected") -> tuple[datetime, dict[str, Any]]:
    def server(name: str, role: str) -> dict[str, Any]:
        return {
            "name": name, "role": role, "release": "12.1.1.0.0_14.1.0", "prev_release": "n/a", "up_to_date": "N",
            "operation": "[Step 20] 40% Initiate upgrade", "percent": 40, "doing": "running",
            "sync_broken": False, "alarm_severity": "Minor",
        }  # fmt: skip

    alarm = {"number": 70507, "severity": "Minor", "source": "mpe-1b", "cluster": "mpe-1", "standing": standing,
             "text": "upgrade in progress", "why": ""}  # fmt: skip
    stranger = {**alarm, "source": "elsewhere", "cluster": None, "standing": "unexpected"}
    clusters = [{"name": "mpe-1", "stage": "first server being upgraded", "why": "",
                 "servers": [server("mpe-1a", "Active"), server("mpe-1b", role)]}]  # fmt: skip
    return NOW, {"current_iso": "standard-12.1.2", "clusters": clusters, "alarms": [alarm, stranger]}


def hold() -> Hold:
    return Hold(
        "h1", "lab", "c1", "mpe-2", "10.2", 3, "R8", "mpe-2b is Zombie", "call Oracle", {}, NOW, None, None
    )


def text_of(board: Board) -> str:
    out = StringIO()
    Console(file=out, width=240).print(render(board))
    return out.getvalue()


def test_the_board_shows_every_server_of_the_site_and_what_is_known(lab: Site) -> None:
    board = build(lab, [line(), line("segment-1", state="done")], picture(), [hold()], NOW)
    assert [c.name for c in board.clusters] == [c.name for c in lab.clusters]
    mpe = next(c for c in board.clusters if c.name == "mpe-1")
    assert [(s.name, s.role, s.percent) for s in mpe.servers] == [
        ("mpe-1a", "Active", 40),
        ("mpe-1b", "OOS", 40),
    ]
    assert (mpe.servers[1].count(Standing.EXPECTED), mpe.servers[1].unexpected) == (1, ())
    assert [work.scope for work in board.elsewhere] == ["segment-1"]
    assert [alarm.source for alarm in board.loose_alarms] == ["elsewhere"]
    shown = text_of(board)
    for part in ("mpe-1b", "OOS", "40%", "10.2/3 Upgrade clusters", "since 22:50 (10 min)", "usually until 23:30",
                 "late at 00:20", "HOLD h1: mpe-2", "call Oracle", "mopflow answer SITE h1 again --by NAME",
                 "1 expected", "elsewhere"):  # fmt: skip
        assert part in shown
    assert as_document(board)["holds"][0]["to_do"] == "call Oracle"


def test_an_alarm_that_is_not_expected_stands_out(lab: Site) -> None:
    board = build(lab, [], picture(standing="unexpected"), [], NOW)
    mpe = next(c for c in board.clusters if c.name == "mpe-1")
    assert [alarm.number for alarm in mpe.servers[1].unexpected] == [70507]
    assert "70507 unexpected" in text_of(board)


@pytest.mark.parametrize(
    ("minutes", "state", "wanted"),
    [
        (0, "waiting", Timeliness.NORMAL),
        (31, "working", Timeliness.LONGER),
        (81, "waiting", Timeliness.LATE),
        (81, "done", Timeliness.NONE),
    ],
)
def test_timeliness(lab: Site, minutes: float, state: str, wanted: Timeliness) -> None:
    board = build(lab, [line(state=state)], None, [], NOW + timedelta(minutes=minutes))
    work = next(c for c in board.clusters if c.name == "mpe-1").work
    assert work is not None
    assert work.timeliness is wanted


def test_without_a_terminal_only_changes_are_said(lab: Site) -> None:
    changes = Changes()
    first = changes.lines(build(lab, [line()], picture(), [], NOW))
    assert "  mpe-1b: OOS, 12.1.1.0.0_14.1.0" in first
    assert changes.lines(build(lab, [line(waits_for="41%")], picture(), [], NOW)) == []
    assert changes.lines(build(lab, [line(state="done", waits_for="done: good")], picture("Standby"), [], NOW)) == [
        "mpe-1: 10.2/3 Upgrade clusters: done: good",
        "  mpe-1b: Standby, 12.1.1.0.0_14.1.0",
    ]  # fmt: skip


def test_an_empty_board(lab: Site) -> None:
    board = build(lab, [], None, [], NOW)
    assert "nothing has been read yet" in text_of(board)
    assert {s.role for c in board.clusters for s in c.servers} == {"?"}
