"""What a backup is called, and what real find, gzip, dd, od, sha256sum and ps say of it (tests/replies/backups)."""

from __future__ import annotations

from pathlib import Path

import pytest

from mopflow.backups import BackupFile, BackupKind, Copy, Source, misnamed
from mopflow.errors import UnreadableReply
from mopflow.media import ImageType
from mopflow.probes.backups import parse_gzip, parse_hash, parse_listing, parse_menus, parse_volume
from mopflow.release import Release
from mopflow.ssh import Reply

REPLIES = Path(__file__).parents[1] / "replies" / "backups"
WHOLE, CUT, SHORT = 659_456, 200_000, 20_000  # bytes of the images that were recorded
ARCHIVE = "/var/camiant/backup/local_archive"
MPE = Source(("mpe-1a",), ImageType.MPE, Release.parse("12.1.1.0.0_14.1.0"))


def reply(name: str) -> str:
    return (REPLIES / f"{name}.txt").read_text()


# ---- names ----


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("serverbackup/mpe-1a-mpe_12.1.1.0.0_14.1.0-serverbackup-201411221530.iso", BackupKind.SERVER),
        ("serverbackup/MPE-1A-mpe_12.1.1.0_14.1.0-serverbackup-20141122153000.iso", BackupKind.SERVER),
        ("serverbackup/mpe-1a-12.1.1.0.0_14.1.0-serverbackup-20141122.iso", BackupKind.SERVER),
        ("systembackup/mpe-1a-mpe_12.1.1.0.0_14.1.0-systembackup-201411221530.tar.gz", BackupKind.SYSTEM),
    ],
)
def test_the_documented_names_of_the_running_release_are_good(name: str, kind: BackupKind) -> None:
    assert misnamed(f"{ARCHIVE}/{name}", kind, MPE) is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/tmp/mpe-1a-mpe_12.1.1.0.0_14.1.0-serverbackup-201411221530.iso", "does not lie in"),
        (
            f"{ARCHIVE}/serverbackup/../x/mpe-1a-12.1.1.0.0_14.1.0-serverbackup-20141122.iso",
            "does not lie in",
        ),
        (f"{ARCHIVE}/serverbackup/mpe-1a-mpe_12.1.1.0.0_14.1.0-serverbackup-201411221530.tar.gz", "end in"),
        (f"{ARCHIVE}/serverbackup/mpe-1b-mpe_12.1.1.0.0_14.1.0-serverbackup-201411221530.iso", "host name"),
        (f"{ARCHIVE}/serverbackup/mpe-1a-mra_12.1.1.0.0_14.1.0-serverbackup-201411221530.iso", "type mra"),
        (
            f"{ARCHIVE}/serverbackup/mpe-1a-mpe_12.1.2.0.0_22.1.0-serverbackup-201411221530.iso",
            "the server runs",
        ),
        (f"{ARCHIVE}/serverbackup/mpe-1a-mpe_12.1.1.0.0_14.1.0-systembackup-201411221530.iso", "not named"),
        (f"{ARCHIVE}/serverbackup/mpe-1a-mpe_12.1.1.0.0_14.1.0-serverbackup.iso", "not named"),
        (f"{ARCHIVE}/serverbackup/mpe-1a.iso", "host name"),
    ],
)
def test_every_other_name_is_refused_with_its_reason(path: str, says: str) -> None:
    assert says in (misnamed(path, BackupKind.SERVER, MPE) or "")


def test_an_mpe_li_may_be_named_as_an_mpe_but_not_the_other_way_round() -> None:
    li = Source(("li-1",), ImageType.MPE_LI, MPE.release)
    for product in ("mpe", "mpe-li"):
        path = f"{ARCHIVE}/serverbackup/li-1-{product}_12.1.1.0.0_14.1.0-serverbackup-201411221530.iso"
        assert misnamed(path, BackupKind.SERVER, li) is None
    path = f"{ARCHIVE}/serverbackup/mpe-1a-mpe-li_12.1.1.0.0_14.1.0-serverbackup-201411221530.iso"
    assert misnamed(path, BackupKind.SERVER, MPE) is not None


def test_a_copy_survives_the_ledger() -> None:
    copy = Copy(BackupKind.SYSTEM, "cmp-1a", "12.1.1", "a.tar.gz", 5, "0" * 64, "/b/a.tar.gz", "2026-01-01")
    assert Copy.read(copy.document()) == copy


# ---- the folder ----


def test_find_names_every_file_with_size_and_time_and_the_clock_of_the_server() -> None:
    listing = parse_listing(reply("find"))
    folder = f"{ARCHIVE}/systembackup"
    assert listing.now == 1795531738
    assert listing.files == (
        BackupFile(f"{folder}/a-1.tar.gz", 300_308, "1795531738.3034209420"),
        BackupFile(f"{folder}/with space.tar.gz", 100_000, "1795531738.3049184220"),
    )
    assert parse_listing(reply("find-nothing")).files == ()


@pytest.mark.parametrize(
    "text", ["", "find: no such folder\n", "1795531738\ntotal 0\n", "12 3.4 /x\n", "1795531738\n12 /x\n"]
)
def test_what_find_does_not_print_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableReply):
        parse_listing(text)


def test_a_hash_is_that_of_its_file() -> None:
    path = f"{ARCHIVE}/systembackup/a-1.tar.gz"
    assert parse_hash(reply("sha256sum"), path).startswith("fac25ef3")
    for text in (reply("sha256sum").upper(), reply("sha256sum")[1:], "", reply("sha256sum") * 2):
        with pytest.raises(UnreadableReply):
            parse_hash(text, path)
    with pytest.raises(UnreadableReply):
        parse_hash(reply("sha256sum"), "/other")


# ---- whole or not ----


def test_a_whole_archive_makes_gzip_say_nothing() -> None:
    assert parse_gzip(Reply(0, "", reply("gzip-whole")), "x") is None


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("cut", 1, "unexpected end of file"),
        ("empty", 1, "unexpected end of file"),
        ("plain", 1, "not in gzip format"),
        ("flip", 1, "invalid compressed data"),
        ("trail", 2, "trailing garbage"),
    ],
)
def test_gzip_says_what_is_wrong_with_an_archive(name: str, status: int, says: str) -> None:
    assert parse_gzip(Reply(status, "", reply(f"gzip-{name}")), "x") == says


@pytest.mark.parametrize(
    "answer",
    [
        Reply(1, "", reply("gzip-missing")),
        Reply(127, "", "bash: gzip: command not found\n"),
        Reply(1, "", ""),
        Reply(0, "", "something\n"),
    ],
)
def test_a_complaint_that_says_nothing_of_the_archive_is_unreadable(answer: Reply) -> None:
    with pytest.raises(UnreadableReply):
        parse_gzip(answer, "x")


def test_a_whole_image_is_as_long_as_its_volume_says() -> None:
    assert parse_volume(reply("od-whole"), WHOLE) is None
    assert parse_volume(reply("od-whole"), WHOLE + 2048) is None  # padding behind it does no harm


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("od-cut", CUT, f"cut off: {CUT} bytes of the {WHOLE}"),
        ("od-whole", WHOLE - 1, "cut off"),
        ("od-short", SHORT, "ends before its volume descriptor"),
        ("od-no-image", 300_308, "no ISO 9660 image"),
    ],
)
def test_an_image_that_is_cut_off_or_none_is_found_out(name: str, size: int, says: str) -> None:
    assert says in (parse_volume(reply(name), size) or "")


def test_an_image_that_contradicts_itself_is_not_whole() -> None:
    words = reply("od-whole").split()
    words[84] = "7f"
    assert "contradicts itself" in (parse_volume(" ".join(words), WHOLE) or "")
    words = reply("od-whole").split()
    words[80:88] = ["00"] * 8
    assert "names no size" in (parse_volume(" ".join(words), WHOLE) or "")


@pytest.mark.parametrize("text", ["", "od: command not found\n", reply("od-whole")[:300]])
def test_less_than_a_sector_of_a_long_file_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableReply):
        parse_volume(text, WHOLE)


# ---- menus ----


def test_open_menus_are_found_among_the_processes_and_nothing_else() -> None:
    menus = parse_menus(reply("ps-menu"))
    listed = {int(line.split()[0]) for line in reply("ps-menu").splitlines() if " platcfg" in line}
    assert set(menus) == listed and len(listed) == 2
    assert parse_menus(reply("ps")) == ()


@pytest.mark.parametrize("text", ["", "ps: error\n"])
def test_what_is_no_process_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableReply):
        parse_menus(text)
