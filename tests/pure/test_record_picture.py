"""Readings kept as changes and put together again, and the axis on which they are drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_system import SmallSystem, alarm, small_site

from mopflow.alarms import judge
from mopflow.eye import Reading
from mopflow.procedures.stages import stage_alarms
from mopflow.record.model import AlarmSeen, HoldRecord, Record, ServerSpell
from mopflow.record.readings import Readings, read
from mopflow.record.timeline import axis, timeline
from mopflow.site import Site
from mopflow.system import Role, Snapshot

T0 = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


@pytest.fixture(scope="module")
def site() -> Site:
    return small_site()


class Watched:
    """A system that is looked at now and then."""

    def __init__(self, site: Site, path: Path) -> None:
        self.site = site
        self.system = SmallSystem(site)
        self.failed: list[OSError] = []
        self.readings = Readings(path, lambda text: text.replace("geheim", "********"), self.failed.append)

    def look(self, minutes: float) -> None:
        alarms = self.system.active_alarms()
        page = self.system.overview()
        reading = Reading(
            self.site, Snapshot(at(minutes), minutes, page.servers, page.current_iso, alarms), []
        )
        reading.judged = judge(alarms, self.site, reading.states, stage_alarms(self.site, reading.states))
        self.readings(reading)


def test_what_was_seen_comes_back_as_spells(site: Site, tmp_path: Path) -> None:
    watched = Watched(site, tmp_path / "one.jsonl")
    watched.look(0)
    watched.look(1)
    watched.system.boxes["mpe-1b"].role = Role.OOS
    watched.system.alarms = [alarm(31283, "mpe-1b"), alarm(9, "mpe-2a")]
    watched.look(2)
    watched.system.alarms = []
    watched.look(5)
    watched.readings.mark()
    watched.look(6)
    watched.readings.mark()
    watched.readings.close()
    lines = (tmp_path / "one.jsonl").read_text().splitlines()
    assert len(lines) == 4  # the beginning, two changes, and until when it stood
    assert json.loads(lines[1])["servers"].keys() == {"mpe-1b"}
    seen = read(tmp_path)
    assert (seen.first, seen.last) == (at(0), at(6))
    assert [(s.role, s.begin, s.end) for s in seen.servers["mpe-1b"]] == [
        ("Standby", at(0), at(2)),
        ("OOS", at(2), at(6)),
    ]
    assert {(a.number, a.source, a.standing, a.begin, a.end, a.open) for a in seen.alarms} == {
        (31283, "mpe-1b", "expected", at(2), at(5), False),
        (9, "mpe-2a", "unexpected", at(2), at(5), False),
    }
    assert seen.alarms_in(at(0), at(1)) == []
    assert len(seen.alarms_in(at(4), at(4))) == 2


def test_two_runs_that_saw_the_same_alarm_saw_one(site: Site, tmp_path: Path) -> None:
    for name, moments in (("a", (0, 1, 2, 3)), ("b", (2, 4))):
        watched = Watched(site, tmp_path / f"{name}.jsonl")
        watched.system.alarms = [alarm(9, "mpe-2a")]
        for minutes in moments:
            watched.look(minutes)
        watched.readings.mark()
        watched.readings.close()
    (one,) = read(tmp_path).alarms
    assert (one.begin, one.end, one.open) == (at(0), at(4), True)


def test_a_half_line_of_a_killed_run_hides_nothing_else(site: Site, tmp_path: Path) -> None:
    watched = Watched(site, tmp_path / "one.jsonl")
    watched.look(0)
    watched.readings.close()
    with (tmp_path / "one.jsonl").open("a") as file:
        file.write('{"at": "2026-1')
    assert set(read(tmp_path).servers) == {server.name for server in site.servers}


def test_readings_that_cannot_be_written_are_told_and_end_nothing(site: Site, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    watched = Watched(site, tmp_path / "taken" / "one.jsonl")
    watched.look(0)
    assert len(watched.failed) == 1
    assert read(tmp_path / "nowhere").servers == {}


# the axis


@given(st.lists(st.floats(0, 3000), min_size=1, max_size=40))
def test_the_axis_keeps_order_and_stays_inside(minutes: list[float]) -> None:
    moments = sorted(at(m) for m in minutes)
    on = axis(moments, 100, 1100)
    places = [on.x(moment) for moment in moments]
    assert all(one <= two + 1e-6 for one, two in pairwise(places))
    assert all(99.9 <= x <= 1100.1 for x in places)
    assert abs(on.x(moments[0]) - 100) < 1e-6
    for begin, end, left, right in on.parts:
        assert left <= right and begin <= end


def test_a_day_between_preparation_and_window_takes_no_room() -> None:
    moments = [*(at(m) for m in range(10)), *(at(24 * 60 + m) for m in range(30))]
    on = axis(moments, 0, 1000)
    assert len(on.breaks) == 1
    assert 200 < on.x(at(9)) < 280 and on.x(at(24 * 60)) - on.x(at(9)) == pytest.approx(26)
    assert on.x(at(600)) == on.x(at(24 * 60))  # a moment in the pause is at its edge


# the picture


def picture(
    site: Site, spells: list[ServerSpell], alarms: Sequence[AlarmSeen] = (), holds: Sequence[HoldRecord] = ()
) -> str:
    record = Record(
        site=site.name, campaign="c", source=site.source, target=site.target, begun=at(0), ended=None, how=None,
        written=at(30), mopflow="x", outcome="", people=(), runs=(), servers=(), servers_at=None, procedures=(),
        deviations=(), holds=tuple(holds), confirmed=(), spells=tuple(spells), alarms=tuple(alarms),
    )  # fmt: skip
    return timeline(site, record)


def spell(
    server: str, begin: float, end: float, role: str, release: str = "12.1.1", doing: str = "nothing"
) -> ServerSpell:
    return ServerSpell(
        server=server, begin=at(begin), end=at(end), role=role, release=release, doing=doing, backout=False,
        sync_broken=False,
    )  # fmt: skip


def test_nothing_seen_is_no_picture(site: Site) -> None:
    assert picture(site, []) == ""


def test_it_is_well_formed_whatever_the_alarm_says(site: Site) -> None:
    spells = [
        spell("mpe-1a", 0, 10, "Active"),
        spell("mpe-1a", 10, 20, "Forced Standby"),
        spell("mpe-1b", 0, 5, "Standby"),
        spell("mpe-1b", 5, 9, "OOS", doing="running"),
        spell("mpe-1b", 9, 20, "Active", "12.1.2"),
        spell("mpe-2a", 0, 20, "Zombie"),
    ]
    alarms = [
        AlarmSeen(
            number=9, source=source, cluster=None, severity="Minor", standing="unexpected", text='<&"> it\'s',
            begin=at(3), end=at(4), open=False,
        )
        for source in ("mpe-1b", "a server that the site does not have")
    ]  # fmt: skip
    hold = HoldRecord(
        id="1", kind="trouble", step="10.2/3", scope="segment-1", rule="R8", reason="<b>", remedy="", opened=at(12),
        closed=None, closed_why=None, answer=None, by="", why="", answered=None,
    )  # fmt: skip
    svg = picture(site, spells, alarms, [hold])
    root = ElementTree.fromstring(svg)
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "mpe-1 failed over to mpe-1b 22:09:00" in titles
    assert sum("it's" in (title or "") for title in titles) == 1
    assert any("hold at 10.2/3 on segment-1" in (title or "") for title in titles)
    assert any("mpe-2a: Zombie" in (title or "") for title in titles)
    width = float(root.attrib["viewBox"].split()[2])
    for element in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= float(element.attrib["x"]) <= width
        assert float(element.attrib["x"]) + float(element.attrib["width"]) <= width + 1
