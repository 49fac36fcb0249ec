"""However a transfer breaks off, is damaged, or finds something else: in the end the file is whole or has no name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.blob import PAGE, Blob
from mopflow.bandwidth import Bucket
from mopflow.errors import CommandFailed, MayHaveRun, TransferStopped, Unreachable
from mopflow.progress import tell_nobody
from mopflow.transfer import BREAKS, Parcel, Sending

CONTENT = bytes(range(256)) * 16
PATH = "/up/x.iso"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class Disk:
    """A server's folder as `Far` sees it; each connection has its fate."""

    files: dict[str, bytes] = field(default_factory=dict)
    free: int = 1 << 30
    fates: list[tuple[str, int]] = field(default_factory=list)
    fate: tuple[str, int] = ("well", 0)
    seen_final: list[bytes] = field(default_factory=list)

    @contextmanager
    def connect(self) -> Iterator[Disk]:
        self.fate = self.fates.pop(0) if self.fates else ("well", 0)
        if self.fate[0] == "away":
            raise Unreachable("s", "down")
        yield self

    def size(self, path: str) -> int | None:
        return len(self.files[path]) if path in self.files else None

    def room(self, path: str) -> int:
        return self.free - sum(map(len, self.files.values()))

    def digest(self, path: str, size: int | None = None) -> str:
        return md5(self.files[path][:size])

    def append(self, path: str, blocks: Iterable[bytes], at: int) -> None:
        have = self.files.get(path, b"")
        assert at in (0, len(have))
        self.files[path] = have[:at]
        data = b"".join(blocks)
        kind, place = self.fate
        place %= len(data)
        if kind == "cut":
            self.files[path] += data[:place]
            raise MayHaveRun("the connection ended")
        if kind == "flip":
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        if kind == "cut and flip":
            data = data[: place // 2] + bytes([data[place // 2] ^ 1]) + data[place // 2 + 1 :]
            self.files[path] += data[: place + 1]
            raise MayHaveRun("the connection ended")
        if kind == "full":
            self.files[path] += data[:place]
            self.free = sum(map(len, self.files.values()))
            raise CommandFailed("s", "cat", 1, "cat: write error: No space left on device")
        self.files[path] += data

    def rename(self, old: str, new: str) -> None:
        assert new not in self.files
        self.files[new] = self.files.pop(old)
        self.seen_final.append(self.files[new])
        if self.fate[0] == "lost after the name":
            raise MayHaveRun("the answer was lost")

    def remove(self, path: str) -> None:
        self.files.pop(path, None)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("local") / "x.iso"
    path.write_bytes(CONTENT)
    return path


def sending(disk: Disk, local: Path, waits: list[float] | None = None) -> Sending:
    slept = waits if waits is not None else []
    return Sending(
        disk.connect,
        "s",
        Parcel(local, PATH, len(CONTENT), md5(CONTENT)),
        bucket=Bucket(None),
        tell=tell_nobody,
        reserve=100,
        again=(1.0, 2.0),
        pause=slept.append,
    )


FATES = st.tuples(
    st.sampled_from(["well", "cut", "flip", "cut and flip", "away", "full", "lost after the name"]),
    st.integers(0, len(CONTENT) - 1),
)
BEGINNINGS = st.one_of(
    st.none(),
    st.integers(0, len(CONTENT)).map(lambda n: CONTENT[:n]),
    st.binary(max_size=len(CONTENT) + 50),
    st.integers(1, len(CONTENT)).map(lambda n: CONTENT[: n - 1] + b"?"),
    st.just(CONTENT + b"more"),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BEGINNINGS, st.lists(FATES, max_size=12))
def test_whole_or_nameless(local: Path, begun: bytes | None, fates: list[tuple[str, int]]) -> None:
    disk = Disk(fates=list(fates))
    if begun is not None:
        disk.files[PATH + ".part"] = begun
    try:
        sent = sending(disk, local).run()
    except TransferStopped as stopped:
        assert stopped.rule in ("disk", "transfer")
        assert PATH not in disk.files or disk.files[PATH] == CONTENT
        if stopped.rule == "disk":
            assert disk.files == {}
    else:
        assert disk.files == {PATH: CONTENT}
        assert sent.resumed + sent.sent >= len(CONTENT) or sent.found or sent.restarts
    assert all(content == CONTENT for content in disk.seen_final)
    disk.free, disk.fates = 1 << 30, []
    sending(disk, local).run()  # the second run mends it, whatever it was
    assert disk.files == {PATH: CONTENT}


def test_what_arrived_before_the_break_is_not_sent_again(local: Path) -> None:
    disk = Disk(fates=[("cut", 1000), ("cut", 2000)])
    sent = sending(disk, local).run()
    assert (sent.breaks, sent.restarts) == (2, 0)
    assert disk.files == {PATH: CONTENT}
    assert disk.seen_final == [CONTENT]


def test_breaks_without_end_are_given_up_but_not_those_that_bring_something(local: Path) -> None:
    waits: list[float] = []
    disk = Disk(fates=[("away", 0)] * 50)
    with pytest.raises(TransferStopped, match=f"broken off {BREAKS} times"):
        sending(disk, local, waits).run()
    assert waits == [2.0] * (BREAKS - 1)
    disk = Disk(fates=[("cut", 100)] * 30)
    sending(disk, local).run()
    assert disk.files == {PATH: CONTENT}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 3 * PAGE), st.booleans()),
            st.tuples(st.just("write"), st.integers(0, 5 * PAGE), st.booleans()),
            st.tuples(st.just("resize"), st.integers(0, 5 * PAGE), st.booleans()),
        ),
        max_size=8,
    ),
    st.integers(0, 2 * PAGE),
)
def test_the_twins_large_files_are_bytes(steps: list[tuple[str, int, bool]], size: int) -> None:
    blob, plain = Blob(), bytearray()
    for number, (what, value, zeros) in enumerate(steps):
        data = bytes(size) if zeros else bytes([number + 1]) * size
        if what == "append":
            blob.append(data)
            plain += data
        elif what == "write":
            copy, before = blob.copy(), bytes(plain)
            blob.write_at(value, data)
            plain.extend(bytes(max(0, value - len(plain))))
            plain[value : value + len(data)] = data
            assert copy.read(0, len(copy)) == before  # a copy keeps what it was
        else:
            blob.resize(value)
            plain = plain[:value].ljust(value, b"\0")
        assert len(blob) == len(plain)
        assert b"".join(blob) == plain
        assert blob.read(PAGE - 7, 20) == plain[PAGE - 7 : PAGE + 13]
    assert blob.stored <= len(plain) + PAGE


def test_zeros_take_no_memory() -> None:
    blob = Blob()
    blob.resize(1 << 30)
    assert len(blob) == 1 << 30
    assert blob.stored == 0
