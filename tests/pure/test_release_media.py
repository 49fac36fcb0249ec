"""Releases and images: which is which, whatever the separators."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopflow.errors import UnreadableReply
from mopflow.media import ImageName, ImageType, parse_md5sum
from mopflow.release import Release, upgrade_path

HASH = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    "text, family",
    [
        ("12.1.2.0.0_22.1.0", (12, 1, 2)),
        (" 12.1.2.0_22.1.0 ", (12, 1, 2)),
        ("12.1.2.0.22.1.0", (12, 1, 2)),
        ("10.5.6_1.1.0", (10, 5, 6)),
        ("10.5.6_1_1_0", (10, 5, 6)),
        ("11.1.2.3.1.0", (11, 1, 2)),
        ("12.1", (12, 1, 0)),
    ],
)
def test_release(text: str, family: tuple[int, int, int]) -> None:
    release = Release.parse(text)
    assert release.family == family
    assert release.short == ".".join(map(str, family))
    assert str(release) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "n/a",
        "TPD 7.0.2.0.0_86.28.0",
        "12.1.x",
        "12..1",
        "12.1.",
        "_12.1",
        "12.1.2 (patched)",
        "v12.1.2",
        "12,1,2",
        "10.5.6, 11.5",
    ],
)
def test_not_a_release(text: str) -> None:
    with pytest.raises(UnreadableReply):
        Release.parse(text)


@given(st.text())
def test_any_text_is_a_release_or_refused(text: str) -> None:
    try:
        release = Release.parse(text)
    except UnreadableReply:
        return
    assert len(release.numbers) >= 2
    assert len(release.family) == 3


SAME = ("12.1.2.0.0_22.1.0", "12.1.2.0_22.1.0", "12.1.2.0.22.1.0", "12.1.2_22.1.0", "12_1_2_0_0_22_1_0")


@pytest.mark.parametrize("one", SAME)
@pytest.mark.parametrize("two", SAME)
def test_same_build_whatever_the_separators(one: str, two: str) -> None:
    assert Release.parse(one).same_build(Release.parse(two))


@pytest.mark.parametrize(
    "other",
    [
        "12.1.2.0.0_22.2.0",
        "12.1.2.0.0_23.1.0",
        "12.1.2.0.0_22.0.1",
        "12.1.2.0.1_22.1.0",
        "12.1.2",
        "12.1.1.0.0_22.1.0",
    ],
)
def test_another_build(other: str) -> None:
    target = Release.parse(SAME[0])
    assert not target.same_build(Release.parse(other))
    assert not Release.parse(other).same_build(target)
    assert target.same_release(Release.parse(other)) is (other.startswith("12.1.2"))


numbers = st.lists(st.integers(0, 99), min_size=4, max_size=8)


@given(numbers, numbers)
def test_same_build_is_an_equivalence_that_needs_the_same_release(one: list[int], two: list[int]) -> None:
    a, b = (Release.parse(".".join(map(str, n))) for n in (one, two))
    assert a.same_build(a)
    assert a.same_build(b) == b.same_build(a)
    assert not a.same_build(b) or a.same_release(b)


@given(st.integers(0, 3), st.lists(st.integers(1, 99), min_size=2, max_size=3), st.data())
def test_a_changed_number_of_the_build_is_another_build(
    zeros: int, build: list[int], data: st.DataObject
) -> None:
    changed = list(build)
    changed[data.draw(st.integers(0, len(build) - 1))] += 1
    texts = [".".join(map(str, [12, 1, 2, *[0] * zeros, *b])) for b in (build, changed)]
    assert not Release.parse(texts[0]).same_build(Release.parse(texts[1]))


@pytest.mark.parametrize("source", ["10.5.6_1.1.0", "11.5.0.0.0_1.0", "12.0.0.22.1.0", "12.1.1.0.0_14.1.0"])
def test_paths_of_section_2_2(source: str) -> None:
    assert upgrade_path(Release.parse(source), Release.parse(SAME[0])) is None


@pytest.mark.parametrize(
    "source, target",
    [
        ("9.9.0", "12.1.2"),
        ("10.0.0", "12.1.2"),
        ("11.1.2.3.1.0", "12.1.2"),
        ("12.1.0.0", "12.1.2"),
        ("12.1.2.0.0_1.1.0", "12.1.2"),
        ("13.0.0", "12.1.2"),
        ("12.1.1", "12.1.3"),
        ("12.1.1", "12.2.0"),
    ],
)
def test_no_path(source: str, target: str) -> None:
    why = upgrade_path(Release.parse(source), Release.parse(target))
    assert why is not None
    assert "12.1" in why


# images


@pytest.mark.parametrize(
    "file, kind, release",
    [
        ("cmp-12.1.2.0.0_22.1.0-x86_64.iso", ImageType.CMP, "12.1.2.0.0_22.1.0"),
        ("mpe-12.1.2.0.0_22.1.0-x86_64.iso", ImageType.MPE, "12.1.2.0.0_22.1.0"),
        ("mpe-li-12.1.2.0.0_22.1.0-x86_64.iso", ImageType.MPE_LI, "12.1.2.0.0_22.1.0"),
        ("mra-12.1.2.0.0_22.1.0-x86_64.iso", ImageType.MRA, "12.1.2.0.0_22.1.0"),
        ("cmp-12.1.2.0.0_22.1.5.iso", ImageType.CMP, "12.1.2.0.0_22.1.5"),  # the release whole, not a part
        ("cmp-12.1.2.0.0_22.1.5.x86_64.iso", ImageType.CMP, "12.1.2.0.0_22.1.5"),
    ],
)
def test_image_name(file: str, kind: ImageType, release: str) -> None:
    name = ImageName.parse(file)
    assert (name.file, name.type, name.release.text) == (file, kind, release)


@pytest.mark.parametrize(
    "file",
    [
        "",
        "cmp.iso",
        "cmp-12.iso",
        "CMP-12.1.2-x86_64.iso",
        "mpe-lx-12.1.2-x86_64.iso",
        "cmp-12.1.2-x86_64.iso.part",
        "cmp-12.1.2-x86_64.ISO",
        "/var/TKLC/upgrade/cmp-12.1.2-x86_64.iso",
        "cmp-12.1.2-x/../../etc.iso",
        "cmp-12.1.2-x86_64.iso\n",
        "old-cmp-12.1.2.iso",
        "TPD.install-7.0.2.0.0_86.28.0-x86_64.iso",
    ],
)
def test_not_an_image_of_ours(file: str) -> None:
    with pytest.raises(UnreadableReply):
        ImageName.parse(file)


@given(st.text(max_size=40))
def test_any_name_is_an_image_or_refused(file: str) -> None:
    try:
        name = ImageName.parse(file)
    except UnreadableReply:
        return
    assert file.startswith(f"{name.type}-{name.release}")


def test_md5sum() -> None:
    reply = (
        f"{HASH}  /a/cmp.iso\n{HASH.upper()} */b/mpe.iso\n\n{HASH}/c/mra.iso\n"  # 4.6.2: the hash may touch
    )
    assert parse_md5sum(reply) == {"/a/cmp.iso": HASH, "/b/mpe.iso": HASH, "/c/mra.iso": HASH}


@pytest.mark.parametrize(
    "reply", ["md5sum: /a: No such file or directory", HASH, f"{HASH[:-1]}  /a/x.iso", "/a/x.iso"]
)
def test_a_line_without_a_hash(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        parse_md5sum(reply)


def test_no_lines_are_no_hashes() -> None:
    assert parse_md5sum("\n") == {}
