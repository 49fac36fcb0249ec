"""4.6.2 and 4.6.3.2 on a PM&C on paper: no before each act, yes after it. What cannot be read: test_unreadable."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask, at, goal, with_pmac
from paper_pmac import REPOSITORY, SUMS, UPLOADS, PaperPmac
from small_system import MD5, TARGET, make_place

from mopflow.house import House
from mopflow.ledger import Ledger
from mopflow.media import ImageType
from mopflow.step import Answer, Finding

FILES = {kind: f"{kind}-{TARGET}-x86_64.iso" for kind in ImageType}
OLD = "cmp-12.0.0.0.0_45.1.0-x86_64.iso"
OTHER_BUILD = "mpe-12.1.2.0.0_21.1.0-x86_64.iso"
ADDS = [(key, kind) for key in ("4.6.2/5", "4.6.3.2/3") for kind in ImageType]


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("pmac")
    Ledger.open(f"sqlite:///{folder / 'template.db'}").close()
    place = make_place(folder / "place", folder / "template.db")
    media = Path("media")
    (folder / "place" / media).mkdir()
    (folder / "place" / media / "md5sum.out").write_text(
        "".join(f"{MD5}  iso/{file}\n" for file in FILES.values())
    )
    place.site = with_pmac(place.site).model_copy(update={"media_dir": media})
    with place.house() as it:
        yield it


@pytest.fixture
def pmac() -> PaperPmac:
    return PaperPmac()


@pytest.fixture
def house(houses: House, pmac: PaperPmac) -> House:
    paper: Any = pmac
    return dataclasses.replace(houses, servers=paper, pmac=lambda: paper)


def acts(house: House, key: str, leg: str = "") -> Finding:
    """The goal before the act, which is a no; the act; the goal after it."""
    here = at(house, key, leg)
    assert goal(here).answer is Answer.NO
    assert here.leg.act is not None
    here.leg.act(here)
    return goal(here)


def test_a_wrong_image_is_removed_from_the_repository(house: House, pmac: PaperPmac) -> None:
    pmac.register(FILES[ImageType.CMP], OTHER_BUILD, OLD)
    found = acts(house, "4.6.2/1")
    assert found == Finding.yes(
        "registered already, with the right MD5: " + FILES[ImageType.CMP].removesuffix(".iso")
    )
    assert {image.file for image in pmac.images()} == {FILES[ImageType.CMP], OLD}


def test_room_is_made_of_old_images(house: House, pmac: PaperPmac) -> None:
    pmac.bring(OLD)
    pmac.free = (3 << 20) - 1  # one KiB too little; the old image holds one
    here = at(house, "4.6.2/2")
    assert "old images to be removed" in goal(here).evidence
    assert here.leg.act is not None
    here.leg.act(here)
    assert pmac.files == {}
    assert goal(here).answer is Answer.NO  # the disk says it, not our sum
    pmac.free += 1
    assert goal(here).is_yes


def test_every_image_is_to_be_there(house: House, pmac: PaperPmac) -> None:
    first, *rest = FILES.values()
    pmac.bring(*rest)
    pmac.bring(first, md5="f" * 32)
    assert ask(house, "4.6.2/3") == Finding.no(f"not on PM&C yet: {first}")
    pmac.bring(first)
    assert ask(house, "4.6.2/3").is_yes


def test_the_checksum_file_is_brought_and_agrees(house: House, pmac: PaperPmac) -> None:
    pmac.bring(*FILES.values())
    assert acts(house, "4.6.2/4").is_yes
    pmac.texts[SUMS] = pmac.texts[SUMS].replace(MD5, "0" * 32, 1)
    found = ask(house, "4.6.2/4")
    assert found.answer is Answer.NO
    assert "the site file" in found.evidence


@pytest.mark.parametrize(("key", "kind"), ADDS)
def test_an_image_is_added(house: House, pmac: PaperPmac, key: str, kind: ImageType) -> None:
    pmac.bring(FILES[kind])
    found = acts(house, key, kind.value)
    assert found == Finding.yes(f"{FILES[kind]} is registered, with the right MD5")
    assert [task.target for task in pmac.shown] == [FILES[kind]]


@pytest.mark.parametrize(("key", "leg"), [("4.6.2/6", ""), ("4.6.3.2/3", "end"), ("4.6.3.2/5", "")])
def test_all_are_registered_when_no_task_runs_any_more(
    house: House, pmac: PaperPmac, key: str, leg: str
) -> None:
    pmac.register(*FILES.values())
    del pmac.files[f"{REPOSITORY}/{FILES[ImageType.MRA]}"]
    assert ask(house, key, leg).answer is Answer.NO
    pmac.task_runs = True
    pmac.bring(FILES[ImageType.MRA])
    pmac.add_image(f"{UPLOADS}/{FILES[ImageType.MRA]}", "")
    pmac.register(FILES[ImageType.MRA])
    assert "Adding mra" in ask(house, key, leg).evidence
    pmac.shown.clear()
    assert ask(house, key, leg).is_yes


def test_logged_in(house: House, pmac: PaperPmac) -> None:
    assert ask(house, "4.6.3.2/1") == Finding.yes("logged in to PM&C as guiadmin")
    assert pmac.pages


def test_what_lies_there_can_be_selected(house: House, pmac: PaperPmac) -> None:
    first, *rest = FILES.values()
    pmac.register(*rest)
    assert "does not offer " + first in ask(house, "4.6.3.2/2").evidence
    pmac.bring(first)
    assert ask(house, "4.6.3.2/2").is_yes


def test_copies_of_what_is_registered_go(house: House, pmac: PaperPmac) -> None:
    pmac.register(FILES[ImageType.CMP])
    pmac.bring(FILES[ImageType.CMP], OLD)
    assert acts(house, "4.6.3.2/4").is_yes
    assert pmac.offered() == (f"{UPLOADS}/{OLD}",)


def test_no_medium_stays_mounted(house: House, pmac: PaperPmac) -> None:
    pmac.mounted = "/dev/sr0 /mnt/upgrade iso9660 ro 0 0\n"
    assert ask(house, "4.6.3.2/6") == Finding.no("/dev/sr0 is mounted at /mnt/upgrade")
    pmac.mounted = ""
    assert ask(house, "4.6.3.2/6").is_yes
