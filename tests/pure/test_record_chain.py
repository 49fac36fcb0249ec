"""The chain of a record: any changed byte of anything is found, and named by its file and place."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_system import Place, make_place

from mopflow.errors import BadInput, Held
from mopflow.here import Scope
from mopflow.ledger import Ledger
from mopflow.procedures.table import step
from mopflow.record import chain
from mopflow.record.chain import BLOCK, FILE, Covered, canonical, seal
from mopflow.record.folder import ChainFile, put_together
from mopflow.record.verify import Verdict, compare, verify
from mopflow.run import carry_out

ROOT = Path(__file__).parents[2]
SCOPE = Scope(cluster="mpe-1")


def make_chain(*contents: dict[str, object]) -> bytes:
    data, before = b"", chain.BEGINNING
    for number, content in enumerate(contents):
        link, line = seal(number, "2026-11-24T20:00:00+00:00", before, content)
        data, before = data + line, link.hash
    return data


CHAIN = make_chain(
    {"begin": {"site": "é"}}, {"rows": [{"id": 1, "x": 1.5, "t": 'q"\\\n'}]}, {"note": None}, {}
)


def test_a_chain_reads_back() -> None:
    links, flaws = chain.read(CHAIN)
    assert flaws == []
    assert [link.number for link in links] == [0, 1, 2, 3]
    assert Covered.of(links).rows == {1: {"id": 1, "x": 1.5, "t": 'q"\\\n'}}


@given(st.integers(0, len(CHAIN) - 1), st.integers(1, 255))
def test_any_changed_byte_of_a_chain_is_found_in_its_line(at: int, mask: int) -> None:
    changed = bytearray(CHAIN)
    changed[at] ^= mask
    _, flaws = chain.read(bytes(changed))
    assert flaws
    line = CHAIN.count(b"\n", 0, at) + 1
    assert any(flaw.place.startswith(f"line {line} ") for flaw in flaws)


@given(st.integers(0, len(CHAIN)), st.binary(min_size=1, max_size=40))
def test_any_byte_put_in_is_found(at: int, more: bytes) -> None:
    assert chain.read(CHAIN[:at] + more + CHAIN[at:])[1]


@given(st.data())
def test_any_byte_taken_out_is_found(data: st.DataObject) -> None:
    """But for whole lines at the end: those only a hash kept elsewhere can miss."""
    begin = data.draw(st.integers(0, len(CHAIN) - 1))
    end = data.draw(st.integers(begin + 1, len(CHAIN)))
    left = CHAIN[:begin] + CHAIN[end:]
    lines_off_the_end = end == len(CHAIN) and left.endswith(b"\n")
    assert bool(chain.read(left)[1]) is not lines_off_the_end


@given(st.permutations(range(4)).filter(lambda order: order != [0, 1, 2, 3]))
def test_lines_in_another_order_are_found(order: list[int]) -> None:
    lines = CHAIN.splitlines(keepends=True)
    assert chain.read(b"".join(lines[n] for n in order))[1]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    )
)
def test_whatever_json_says_is_sealed_and_read(value: object) -> None:
    try:
        canonical(value)
    except UnicodeEncodeError:
        return  # a lone surrogate is no Unicode: the ledger escapes it before it comes here
    data = make_chain({"value": value})
    links, flaws = chain.read(data)
    assert flaws == [] and links[0].content == {"value": value}


# the file


def test_two_processes_append_one_after_the_other(tmp_path: Path) -> None:
    one, two = ChainFile(tmp_path), ChainFile(tmp_path)
    for number in range(6):
        file = (one, two)[number % 2]
        with file.locked() as covered:
            assert covered.links == number
            file.append({"rows": [{"id": number}]})
    links, flaws = chain.read((tmp_path / FILE).read_bytes())
    assert flaws == []
    assert sorted(Covered.of(links).rows) == list(range(6))


APPENDS = """
import sys
from pathlib import Path
from mopflow.record.folder import ChainFile
file = ChainFile(Path(sys.argv[1]))
for number in range(25):
    with file.locked():
        file.append({"rows": [{"id": int(sys.argv[2]) * 1000 + number}]})
"""


def test_real_processes_side_by_side_make_one_chain(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", APPENDS, str(tmp_path), str(n)], cwd=ROOT, env=environment)
        for n in range(3)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    links, flaws = chain.read((tmp_path / FILE).read_bytes())
    assert flaws == []
    assert len(Covered.of(links).rows) == 75


def test_a_line_that_a_killed_process_left_half_is_kept_in_the_next_one(tmp_path: Path) -> None:
    first = ChainFile(tmp_path)
    with first.locked():
        first.append({"rows": [{"id": 1}]})
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + b'{"n": 1, "at')
    assert chain.read((tmp_path / FILE).read_bytes())[1]
    later = ChainFile(tmp_path)
    with later.locked() as covered:
        assert covered.links == 1
        later.append({"rows": [{"id": 2}]})
    links, flaws = chain.read((tmp_path / FILE).read_bytes())
    assert flaws == []
    assert links[1].content["torn"] == '{"n": 1, "at'


FULL = """
import resource, sys
from pathlib import Path
from mopflow.record.folder import ChainFile, put_together
folder = Path(sys.argv[1])
file = ChainFile(folder)
with file.locked():
    file.append({"note": "fits"})
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
said = []
with file.locked():
    try:
        file.append({"note": "x" * 5000})
    except OSError as error:
        said.append("chain")
try:
    with put_together(folder, {"small": b"z", "page": b"y" * 5000}):
        said.append("never")
except OSError as error:
    said.append("page")
with file.locked():
    file.append({"note": "fits again"})
print(said)
"""


def test_a_full_disk_leaves_no_half_line_and_no_half_page(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"the old one")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['chain', 'page']", done.stderr
    links, flaws = chain.read((tmp_path / FILE).read_bytes())
    assert flaws == [] and len(links) == 2
    assert (tmp_path / "page").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, "page"]


def test_pages_are_the_old_ones_or_the_new_ones(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        with put_together(tmp_path, {"page": content, "other": content}):
            pass
    assert [(tmp_path / name).read_bytes() for name in ("page", "other")] == [b"two", b"two"]
    with pytest.raises(BadInput), put_together(tmp_path, {"page": b"three", "other": b"three"}):
        raise BadInput("the chain does not take it")
    assert [(tmp_path / name).read_bytes() for name in ("page", "other")] == [b"two", b"two"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "page"]


# a whole record


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A night in which one cluster was begun and is held."""
    folder = tmp_path_factory.mktemp("record")
    Ledger.open(f"sqlite:///{folder / 'empty.db'}").close()
    place = make_place(folder / "place", folder / "empty.db", late=0.3)
    place.recorded = True
    with place.house() as house:
        house.recorder.command("mpe-1a", "admusr", "uptime", None)  # type: ignore[union-attr]
        for number in (1, 2):
            carry_out(step(f"10.2/{number}"), SCOPE, house)
    place.system.fails.add("mpe-1b")
    with pytest.raises(Held), place.house() as house:
        carry_out(step("10.2/3"), SCOPE, house)
    return place


def folder_of(place: Place) -> Path:
    assert place.campaign is not None
    return place.folder / "evidence" / place.campaign


@pytest.fixture
def copy(recorded: Place, tmp_path: Path) -> Path:
    """May be changed at will."""
    return Path(shutil.copytree(folder_of(recorded), tmp_path / "copy"))


def named(verdict: Verdict) -> set[str]:
    return {flaw.file for flaw in verdict.flaws}


def test_the_record_of_a_night_is_sound_and_ends_with_the_hash_that_was_told(recorded: Place) -> None:
    verdict = verify(folder_of(recorded), recorded.head)
    assert verdict.flaws == ()
    assert verdict.notes == ()
    assert verdict.head == recorded.head
    assert verdict.campaign == recorded.campaign
    assert (
        verdict.files == sum(path.is_file() for path in folder_of(recorded).rglob("*")) - 1
    )  # the chain itself
    with recorded.ledger() as ledger:
        assert compare(folder_of(recorded), ledger, str) == []


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(st.randoms(use_true_random=False))
def test_one_changed_byte_anywhere_is_found_in_its_file(recorded: Place, random: random.Random) -> None:
    """Put back afterwards: a copy of the folder per example would be most of the work."""
    files = sorted(path for path in folder_of(recorded).rglob("*") if path.is_file() and path.stat().st_size)
    path = random.choice(files)
    content = path.read_bytes()
    at = random.randrange(len(content))
    changed = bytearray(content)
    changed[at] ^= random.randrange(1, 256)
    try:
        path.write_bytes(bytes(changed))
        verdict = verify(folder_of(recorded))
        name = path.relative_to(folder_of(recorded)).as_posix()
        assert name in named(verdict)
        if name in ("record.json", "record.html"):
            (flaw,) = (flaw for flaw in verdict.flaws if flaw.file == name)
            begin = at // BLOCK * BLOCK
            assert flaw.place.startswith(f"between bytes {begin} and ")
    finally:
        path.write_bytes(content)
    assert verify(folder_of(recorded)).sound


def test_a_changed_byte_is_named_by_its_place(copy: Path) -> None:
    page = copy / "record.html"
    content = page.read_bytes()
    at = content.index(b"Deviations")
    page.write_bytes(content.replace(b"Deviations", b"Deviationz", 1))
    (flaw,) = verify(copy).flaws
    begin = at // BLOCK * BLOCK
    assert str(flaw).startswith(f"record.html, between bytes {begin} and {begin + BLOCK - 1} (line")

    page.write_bytes(content[:-100])
    (flaw,) = verify(copy).flaws
    assert flaw.file == "record.html" and "bytes" in flaw.place


@pytest.mark.parametrize("what", ["evidence", "record.json", "continue.txt", "readings", "commands"])
def test_a_file_that_is_gone_is_named(copy: Path, what: str) -> None:
    names = {
        "evidence": next(copy.glob("10.2/*/*")),
        "readings": next(copy.glob("readings/*")),
        "commands": next(copy.glob("commands/*")),
    }
    path = names.get(what, copy / what)
    path.unlink()
    verdict = verify(copy)
    assert {(flaw.file, flaw.what) for flaw in verdict.flaws} == {
        (path.relative_to(copy).as_posix(), "it is not here")
    }


@pytest.mark.parametrize("name", ["10.2/3-mpe-1/099-more.txt", "more.html", "readings/other.jsonl"])
def test_a_file_that_was_put_in_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text("{}\n")
    assert named(verify(copy)) == {name}


def test_a_line_more_in_a_file_that_grows_is_named(copy: Path) -> None:
    path = next(copy.glob("readings/*"))
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b'{"at":"2026-11-24T20:00:00+00:00"}\n')
    (flaw,) = verify(copy).flaws
    assert (flaw.file, flaw.place) == (path.relative_to(copy).as_posix(), f"from byte {size} on")


def test_a_chain_whose_end_was_cut_off_fits_no_page(copy: Path) -> None:
    lines = (copy / FILE).read_bytes().splitlines(keepends=True)
    (copy / FILE).write_bytes(b"".join(lines[:-1]))
    assert "record.html" in named(verify(copy))


def test_a_record_made_anew_is_sound_by_itself_and_has_another_head(recorded: Place, copy: Path) -> None:
    """What a hash chain cannot prove, and what the hash that was sent out is for."""
    page = (copy / "record.html").read_bytes().replace(b"held", b"done")
    (copy / "record.html").write_bytes(page)
    links, _ = chain.read((copy / FILE).read_bytes())
    data, before = b"", chain.BEGINNING
    for link in links:
        content = dict(link.content)
        if any(p["name"] == "record.html" for p in content.get("pages", ())):
            entry = {"name": "record.html", "sha256": chain.digest(page), "size": len(page)}
            content["pages"] = [*(p for p in content["pages"] if p["name"] != "record.html"), entry]
        new, line = seal(link.number, link.at, before, content)
        data, before = data + line, new.hash
    (copy / FILE).write_bytes(data)
    assert verify(copy).sound
    (flaw,) = verify(copy, recorded.head).flaws
    assert "this is another chain" in flaw.what


def test_the_ledger_is_compared_where_it_is_at_hand(recorded: Place, copy: Path) -> None:
    links, _ = chain.read((copy / FILE).read_bytes())
    data, before = b"", chain.BEGINNING
    for link in links:
        content = dict(link.content)
        for row in content.get("rows", ()):
            row["text"] = row["text"].replace("failed", "succeeded").replace("Failed", "Succeeded")
        new, line = seal(link.number, link.at, before, content)
        data, before = data + line, new.hash
    (copy / FILE).write_bytes(data)
    with recorded.ledger() as ledger:
        found = compare(copy, ledger, str)
    assert found and all(flaw.file == "the ledger" and "another one" in flaw.what for flaw in found)


def test_a_folder_without_a_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no record"):
        verify(tmp_path)
    with pytest.raises(BadInput, match="holds no record"):
        verify(tmp_path / "nowhere")
