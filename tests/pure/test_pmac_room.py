"""Room on PM&C: what counts as free, where the next image goes, and file by file when not all fit (4.6.2/2-3)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mopflow.acts import pmac, pmac_add, pmac_prepare
from mopflow.errors import ActRefused
from mopflow.here import Here
from mopflow.media import UPGRADE_DIR
from mopflow.probes.images import Entry

GB = 1 << 20  # KiB


def place(free: float, ours: float = 0, old: float = 0, folder: str = UPGRADE_DIR) -> pmac.Place:
    def entries(name: str, size: float) -> tuple[Entry, ...]:
        return (Entry(name, "-", int(size * GB) * 1024),) if size else ()

    return pmac.Place(folder, int(free * GB), entries("cmp.iso", ours), entries("old.iso", old), ())


def test_our_own_images_and_old_ones_do_not_take_room_for_good() -> None:
    found = place(1.5, ours=1, old=0.75)
    assert (found.in_the_end, found.without_old) == (int(2.5 * GB), int(3.25 * GB))
    assert str(found) == (f"{UPGRADE_DIR} has 1.50 GB free; there lie cmp.iso (1.00 GB), old.iso (0.75 GB)")


@pytest.mark.parametrize(
    ("upgrade", "other", "goes_to"),
    [
        (4.0, 50.0, UPGRADE_DIR),
        (2.0, 50.0, pmac.OTHER_DIR),  # less than 3.0 GB: the other one was chosen
        (2.0, 2.5, UPGRADE_DIR),
        (0.9, 0.8, None),
    ],
)
def test_where_the_next_image_goes(
    monkeypatch: pytest.MonkeyPatch, upgrade: float, other: float, goes_to: str | None
) -> None:
    found = [place(upgrade), place(other, folder=pmac.OTHER_DIR)]
    monkeypatch.setattr(pmac, "places", lambda _here: found)
    assert pmac_prepare._folder_for(cast(Here, None), GB) == goes_to


def test_a_full_directory_is_emptied_into_the_repository_before_the_next_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Four images of 1 GB where three find room: the three are registered, then the fourth comes."""
    lie: list[str] = []
    done: list[str] = []
    media = [SimpleNamespace(file=f"{name}.iso", md5="") for name in "abcd"]
    for medium in media:
        with (tmp_path / medium.file).open("wb") as file:
            file.truncate(GB * 1024)

    def places(_here: Here) -> list[pmac.Place]:
        return [place(3.5 - len(lie), ours=len(lie))]

    def copy(_here: Here, source: Path, target: str, _md5: str) -> None:
        lie.append(source.name)
        done.append(f"copy {target}")

    def register(_here: Here) -> None:
        done.append(f"add {' '.join(lie)}")
        lie.clear()

    monkeypatch.setattr(pmac, "places", places)
    monkeypatch.setattr(pmac, "local", lambda _here, file: tmp_path / file)
    monkeypatch.setattr(pmac_prepare, "to_bring", lambda _here: list(media))
    monkeypatch.setattr(pmac_prepare, "_clear", lambda *_: None)
    monkeypatch.setattr(pmac_prepare, "copy", copy)
    monkeypatch.setattr(pmac_add, "register_what_lies", register)
    pmac_prepare.bring(cast(Here, None))
    copies = [f"copy {UPGRADE_DIR}/{name}.iso" for name in "abcd"]
    assert done == [*copies[:3], "add a.iso b.iso c.iso", copies[3]]


def test_no_room_even_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    medium: Any = SimpleNamespace(file="a.iso", md5="")
    (tmp_path / "a.iso").write_bytes(b"x")
    monkeypatch.setattr(pmac, "places", lambda _here: [place(0.01)])
    monkeypatch.setattr(pmac, "local", lambda _here, file: tmp_path / file)
    monkeypatch.setattr(pmac_prepare, "to_bring", lambda _here: [medium])
    monkeypatch.setattr(pmac_add, "register_what_lies", lambda _here: None)
    with pytest.raises(ActRefused, match=r"no room for a\.iso"):
        pmac_prepare.bring(cast(Here, None))
