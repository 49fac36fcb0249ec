"""Goals that no whole run in memory comes by: images of every type, logging in, 10.1.1, and the ends of 10.2."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask, at, goal

from mopflow.here import Scope
from mopflow.ledger import Ledger
from mopflow.media import ImageType
from mopflow.release import Release
from mopflow.run import carry_out
from mopflow.site import Cluster, Medium, Server
from mopflow.step import Answer, Finding
from mopflow.system import Kind
from tests.pure.small_system import MD5, SOURCE, TARGET, Place, make_place
from tests.pure.whole_system import SOURCES, WholeServers, WholeSystem, whole_place

UPLOADS = {"10.5": "6.1.1/4", "11.5": "7.1.1/5", "12.0": "8.1.1/5", "12.1.1": "9.1.1/6"}
OF_TYPE = {ImageType.CMP: "cmp-2", ImageType.MPE: "mpe-1", ImageType.MPE_LI: "li-1", ImageType.MRA: "mra-1"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ledger") / "empty.db"
    Ledger.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Place:
    """Both CMP clusters run the target release."""
    return make_place(tmp_path / "place", template)


def of_every_type(folder: Path, template: Path, source: str) -> Place:
    """With an MPE-Li and an MRA cluster beside the others, and no new image anywhere."""
    place = whole_place(folder, template, source)
    (segment,) = place.site.segments
    more = tuple(
        Cluster(
            name=name,
            kind=kind,
            servers=tuple(Server(name=f"{name}{x}", address=f"127.0.9.{n + i}") for i, x in enumerate("ab")),
        )
        for n, (name, kind) in zip((60, 70), (("li-1", Kind.MPE_LI), ("mra-1", Kind.MRA)), strict=True)
    )
    segment = segment.model_copy(update={"clusters": (*segment.clusters, *more)})
    media = tuple(Medium(file=f"{kind}-{TARGET}-x86_64.iso", type=kind, md5=MD5) for kind in ImageType)
    place.site = place.site.model_copy(update={"segments": (segment,), "media": media})
    place.system = WholeSystem(place.site)
    place.system.images = dict.fromkeys(place.system.images, "")
    place.servers = WholeServers(place.system)
    return place


@pytest.mark.parametrize("source", SOURCES)
def test_images_of_every_type_are_uploaded(tmp_path: Path, template: Path, source: str) -> None:
    place = of_every_type(tmp_path / "place", template, source)
    images = place.system.images
    with place.house() as house:
        for kind, cluster in OF_TYPE.items():
            images[f"{cluster}a"] = f"{kind}-{TARGET}-x86_64.iso"  # copied by hand (4.6.3.1)
            here = at(house, UPLOADS[source], kind.value)
            found = goal(here)
            assert found.answer is Answer.NO
            assert f"{cluster}b" in found.evidence
            assert here.leg.act is not None
            here.leg.act(here)
            assert goal(here) == Finding.yes(f"every {kind} server shows the new image")


@pytest.mark.parametrize(
    "key", ["6.1.1/14", "7.1.1/14", "8.1.1/14", "9.1.1/13", "6.1.1/15", "7.1.1/15", "8.1.1/15", "9.1.1/14"]
)
def test_the_console_is_the_targets_after_the_switch(
    place: Place, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    with place.house() as house:
        monkeypatch.setattr(place.system, "about", lambda: Release.parse(SOURCE))
        assert SOURCE in ask(house, key).evidence
        assert ask(house, key).answer is Answer.NO
        monkeypatch.undo()
        assert ask(house, key).is_yes


@pytest.mark.parametrize("key", ["12.3.5/4", "12.3.5/5"])
def test_and_the_old_releases_after_the_switch_back(
    place: Place, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    for box in place.system.of("cmp-1"):
        box.release, box.prev_release, box.operation = SOURCE, "", "n/a"
    with place.house() as house:
        monkeypatch.setattr(place.system, "about", lambda: Release.parse(TARGET))
        assert ask(house, key).answer is Answer.NO
        monkeypatch.undo()
        assert ask(house, key).is_yes


def test_a_segment_begins_under_the_target_release(place: Place) -> None:
    for box in place.system.of("cmp-1"):
        box.release, box.prev_release, box.operation = SOURCE, "", "n/a"
    with place.house() as house:
        assert "the CMP clusters are upgraded first" in ask(house, "10.1.1/1").evidence
        assert ask(house, "10.1.1/1").answer is Answer.NO
        assert ask(house, "10.1.1/2").answer is Answer.NO
        place.system.finish("cmp-1")
        assert ask(house, "10.1.1/1").is_yes
        assert ask(house, "10.1.1/2", "topology").is_yes
        assert "4 servers have exactly their image" in ask(house, "10.1.1/2").evidence
        assert ask(house, "10.1.1/2").is_yes


def test_a_segment_is_done_with_its_last_cluster(place: Place) -> None:
    with place.house() as house:
        place.system.finish("mpe-1")
        found = ask(house, "10.2/11")
        assert found.answer is Answer.NO
        assert "mpe-2" in found.evidence
        assert "mpe-1" not in found.evidence
        place.system.finish("mpe-2")
        assert ask(house, "10.2/11").is_yes


def test_nothing_is_ever_accepted(place: Place) -> None:
    with place.house() as house:
        carry_out(at(house, "10.2/12").step, Scope(segment="segment-1"), house)
        assert house.acts == 0
        assert "nothing was accepted" in ask(house, "10.2/12").evidence
    assert place.system.sent == []


def test_what_becomes_of_a_rolled_back_cluster_is_for_a_person(place: Place) -> None:
    with place.house() as house:
        found = ask(house, "10.2/8", "decision")
    assert found.answer is Answer.NO
    assert "mpe-1 was rolled back" in found.evidence
