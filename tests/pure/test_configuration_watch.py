"""A change of the configuration while releases are mixed is told once, and the upgrade's own steps are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_system import SOURCE, TARGET, Place, make_place

from mopflow.configuration_watch import KEY, changes
from mopflow.console.protocol import TopologyRow
from mopflow.errors import Unreachable
from mopflow.here import Here, Scope
from mopflow.ledger import Event
from mopflow.procedures.checks import topology_agrees
from mopflow.procedures.table import step
from mopflow.release import Release
from mopflow.step import Finding

SEGMENT = Scope(segment="segment-1")


@pytest.fixture
def place(tmp_path: Path, empty_ledger: Path) -> Place:
    made = make_place(tmp_path / "place", empty_ledger)
    topology(made)
    return made


def topology(place: Place, **other: TopologyRow) -> None:
    marks = {"cmp-1": "P", "cmp-2": "S"}
    rows = {
        c.name: TopologyRow(c.name, marks.get(c.name, ""), f"{c.kind} Site Cluster", c.server_names)
        for c in place.site.clusters
    }
    rows |= {name.replace("_", "-"): row for name, row in other.items()}
    place.system.topology = lambda: tuple(rows.values())  # type: ignore[method-assign]


def look(place: Place, scope: Scope = SEGMENT) -> Finding:
    with place.house() as house:
        return topology_agrees(Here(house, step("10.1.1/2"), scope, house.eye.now()))


def told(place: Place) -> list[str]:
    with place.ledger() as ledger:
        return [notice.subject for notice in ledger.notices("small")]


def rows(place: Place) -> list[Event]:
    with place.ledger() as ledger:
        return [row.entry.event for row in ledger.rows(campaign=place.campaign) if KEY in row.entry.data]


def test_it_is_remembered_at_the_first_look(place: Place) -> None:
    assert look(place).is_yes
    assert look(place).is_yes
    assert rows(place) == [Event.NOTE]
    assert told(place) == []


def test_a_changed_topology_is_told_once(place: Place) -> None:
    assert look(place).is_yes
    topology(place, mpe_9=TopologyRow("mpe-9", "", "MPE Site Cluster", ("mpe-9a", "mpe-9b")))
    first = look(place)
    assert "the topology has a new cluster mpe-9 (mpe-9a, mpe-9b)" in first.evidence
    assert "2.3.2" in first.evidence
    assert "the configuration" not in look(place).evidence
    assert rows(place) == [Event.NOTE, Event.OBSERVED]
    assert told(place) == ["CHANGED configuration (small)"]
    topology(place)
    assert "no cluster mpe-9 any more" in look(place).evidence
    assert len(told(place)) == 2


def test_the_upgrade_itself_is_no_change(place: Place) -> None:
    assert look(place).is_yes
    place.system.config["mpe-1"] = TARGET
    found = look(place)
    assert found.is_yes
    assert "configuration" not in found.evidence
    assert told(place) == []


def test_a_configuration_of_a_third_release(place: Place) -> None:
    assert look(place).is_yes
    place.system.config["mpe-1"] = "12.0.0.0.0_45.1.0"
    found = look(place)
    assert found.is_yes  # it is observed, it stops nothing
    assert "the configuration of mpe-1 is 12.0.0" in found.evidence
    assert told(place) == ["CHANGED configuration (small)"]


def test_a_page_that_cannot_be_read_stops_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_cluster: str) -> object:
        raise Unreachable("the console", "gone")

    monkeypatch.setattr(place.system, "cluster_page", away)
    found = look(place)
    assert found.is_yes
    assert "could not be compared: the console cannot be reached" in found.evidence
    assert rows(place) == []


@pytest.mark.parametrize(
    "old, new, says",
    [
        ({"mark": "P"}, {"mark": "S"}, "x is now CMP marked S with a, b, it was CMP marked P with a, b"),
        ({"servers": ["a", "b"]}, {"servers": ["a", "c"]}, "x is now CMP with a, c, it was CMP with a, b"),
        ({"type": "CMP"}, {"type": "MPE"}, "x is now MPE with a, b, it was CMP with a, b"),
        ({}, {}, None),
    ],
)
def test_changes_of_a_cluster(old: dict[str, object], new: dict[str, object], says: str | None) -> None:
    bare = {"mark": "", "type": "CMP", "servers": ["a", "b"]}
    pictures = [{"about": SOURCE, "topology": {"x": bare | one}, "applied": {}} for one in (old, new)]
    found = list(changes(pictures[0], pictures[1], Release.parse(SOURCE), Release.parse(TARGET)))
    assert found == ([says] if says else [])
