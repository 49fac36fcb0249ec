"""Is a record as it was written? Recomputes the chain and everything that it speaks for; needs the folder alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mopflow.errors import BadInput
from mopflow.ledger import Ledger
from mopflow.record import chain
from mopflow.record.chain import Covered, Flaw
from mopflow.record.documents import evidence_document, row_document
from mopflow.record.folder import RECORD_HTML, is_part, undisturbed
from mopflow.record.sources import Strike


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it. ``notes``: what could not be looked at, and why that is no flaw."""

    folder: Path
    campaign: str
    entries: int
    files: int  # that were hashed
    head: str
    flaws: tuple[Flaw, ...]
    notes: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.flaws


def verify(folder: Path, head: str | None = None) -> Verdict:
    """Look at all of it. ``head``: a hash that was sent out or printed; it must be one of the chain.

    Raises BadInput for a folder that holds no record.
    """
    try:
        with undisturbed(folder) as data:
            return _verdict(folder, data, head)
    except FileNotFoundError:
        raise BadInput(
            f"{folder} holds no record: there is no {chain.FILE}; name the folder of a campaign in the evidence store, "
            "or one that `mopflow record --out` has made"
        ) from None
    except OSError as error:
        raise BadInput(f"{folder} cannot be read: {error.strerror or error}") from None


def _verdict(folder: Path, data: bytes, head: str | None) -> Verdict:
    links, flaws = chain.read(data)
    covered = Covered.of(links)
    looked = _Folder(folder, covered)
    flaws += looked.flaws()
    if head is not None and head not in {link.hash for link in links}:
        flaws.append(
            Flaw(
                chain.FILE, "", f"no entry has the hash {head}: this is another chain, or its end was cut off"
            )
        )
    return Verdict(
        folder=folder,
        campaign=str(covered.began.get("campaign", "")),
        entries=len(links),
        files=looked.hashed,
        head=covered.head,
        flaws=tuple(flaws),
        notes=tuple(looked.notes),
    )


class _Folder:
    """The files of the folder beside what the chain says of them."""

    def __init__(self, folder: Path, covered: Covered) -> None:
        self._folder = folder
        self._covered = covered
        self.hashed = 0
        self.notes: list[str] = []

    def flaws(self) -> list[Flaw]:
        return [
            *self._pages(),
            *self._growing(),
            *self._evidence(),
            *self._unknown(),
        ]

    def _read(self, name: str) -> bytes | None:
        try:
            content = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        self.hashed += 1
        return content

    def _pages(self) -> Iterator[Flaw]:
        for name, said in self._covered.pages.items():
            content = self._read(name)
            if content is None:
                yield Flaw(name, "", "it is not here")
            elif chain.digest(content) != said["sha256"]:
                yield Flaw(name, _place(content, said.get("blocks", ())), "it is not what was written")

    def _growing(self) -> Iterator[Flaw]:
        for name, pieces in self._covered.growing.items():
            content = self._read(name)
            if content is None:
                yield Flaw(name, "", "it is not here")
                continue
            for piece in pieces:
                part = content[piece["from"] : piece["to"]]
                if chain.digest(part) != piece["sha256"]:
                    place = f"bytes {piece['from']} to {piece['to'] - 1} ({_lines(content, piece['from'], piece['to'])})"
                    yield Flaw(name, place, "they are not what was written")
            end = self._covered.length(name)
            if len(content) > end:
                yield Flaw(name, f"from byte {end} on", _NOT_COVERED)

    def _evidence(self) -> Iterator[Flaw]:
        elsewhere = 0
        for said in self._covered.evidence.values():
            content = self._read(said["path"])
            if content is None and not said["here"]:
                elsewhere += 1
            elif content is None:
                yield Flaw(said["path"], "", "it is not here")
            elif chain.digest(content) != said["sha256"]:
                yield Flaw(said["path"], _size(content, said), "it is not what was kept")
        known = {said["path"] for said in self._covered.evidence.values()}
        for path, said in self._covered.strays.items():
            content = self._read(path) if path not in known else None
            if path not in known and content is None:
                yield Flaw(path, "", "it is not here")
            elif content is not None and chain.digest(content) != said["sha256"]:
                yield Flaw(path, _size(content, said), "it is not what was found")
        if elsewhere:
            self.notes.append(
                f"{elsewhere} files of the evidence did not lie here when they were entered (another machine keeps "
                "them, or they were gone already): they are not looked at"
            )

    def _unknown(self) -> Iterator[Flaw]:
        known = {said["path"] for said in self._covered.evidence.values()} | self._covered.strays.keys()
        known |= self._covered.pages.keys() | self._covered.growing.keys() | {chain.FILE}
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            if path.is_file() and name not in known and not is_part(path):
                yield Flaw(name, "", _NOT_COVERED)
        if RECORD_HTML not in self._covered.pages:
            self.notes.append("the pages of the record were not written yet: mopflow record SITE")


_NOT_COVERED = (
    "no entry of the chain speaks for it: it was put there by somebody, or a run is under way or was killed "
    "(then mopflow record SITE takes it in)"
)


def _size(content: bytes, said: Mapping[str, Any]) -> str:
    return f"{len(content)} bytes, were {said['size']}" if len(content) != said["size"] else ""


def _place(content: bytes, blocks: Sequence[str]) -> str:
    """The first block that differs, in bytes and lines."""
    found = chain.blocks(content)
    if not blocks:
        return ""
    at = next((n for n, (one, two) in enumerate(zip(found, blocks, strict=False)) if one != two), None)
    if at is None:
        at = min(len(found), len(blocks))
    begin, end = at * chain.BLOCK, min((at + 1) * chain.BLOCK, len(content))
    if begin >= len(content):
        return f"its end: {len(content)} bytes are here"
    return f"between bytes {begin} and {end - 1} ({_lines(content, begin, end)})"


def _lines(content: bytes, begin: int, end: int) -> str:
    first = content.count(b"\n", 0, begin) + 1
    last = first + content.count(b"\n", begin, max(begin, end - 1))
    return f"line {first}" if first == last else f"lines {first} to {last}"


def compare(folder: Path, ledger: Ledger, strike: Strike) -> list[Flaw]:
    """The rows and the list of evidence in the chain beside those of the ledger, where that is at hand.

    Raises BadInput as `verify` does, LedgerUnavailable.
    """
    try:
        with undisturbed(folder) as data:
            covered = Covered.of(chain.read(data)[0])
    except OSError as error:
        raise BadInput(f"{folder / chain.FILE} cannot be read: {error.strerror or error}") from None
    campaign = str(covered.began.get("campaign", ""))
    found: list[Flaw] = []
    rows = {row.id: row_document(row, strike) for row in ledger.rows(campaign=campaign)}
    found += _differing("row", covered.rows, rows)
    kept = {one.id: evidence_document(one, True) for one in ledger.evidence(campaign)}
    chained = {number: {**one, "here": True} for number, one in covered.evidence.items()}
    found += _differing("evidence", chained, kept)
    return found


def _differing(
    what: str, chained: Mapping[int, Mapping[str, Any]], kept: Mapping[int, Mapping[str, Any]]
) -> Iterator[Flaw]:
    for number in sorted(chained.keys() | kept.keys()):
        place = f"{what} {number}"
        if number not in kept:
            yield Flaw("the ledger", place, "the chain has it and the ledger has not")
        elif number not in chained:
            yield Flaw(
                "the ledger",
                place,
                "the ledger has it and the chain has not (mopflow record SITE takes it in)",
            )
        elif chained[number] != kept[number]:
            yield Flaw("the ledger", place, "it is another one than in the chain")
