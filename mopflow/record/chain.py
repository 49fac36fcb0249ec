"""A chain of entries, one JSON object a line, each with the SHA-256 of the one before. Pure.

    {"n": 7, "at": "...", "before": "<hash of line 6>", "content": {...}, "hash": "<of all the rest of this line>"}

A line is written in one form only (`canonical`), so that a byte that differs is a line that differs, whatever a JSON
parser makes of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FILE = "chain.jsonl"
BEGINNING = "0" * 64  # what stands before the first line
BLOCK = 4096  # bytes: as exactly is the place of a changed byte of a page named
_SHORT = 16  # hexadecimal digits of a block's hash; they name a place, the hash of the whole proves


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is not as it was written: in which file, where in it, and what is wrong."""

    file: str
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.what}" if self.place else f"{self.file}: {self.what}"


@dataclass(frozen=True, slots=True)
class Link:
    """One line of the chain."""

    number: int
    at: str
    before: str
    content: Mapping[str, Any] = field(hash=False)
    hash: str


def canonical(value: Any) -> bytes:
    """`value` as JSON in the one form that is used here. Raises ValueError for what JSON cannot say (NaN)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blocks(content: bytes) -> list[str]:
    """A short hash of every block, so that a verifier can say where a file differs."""
    return [digest(content[at : at + BLOCK])[:_SHORT] for at in range(0, len(content), BLOCK)]


def seal(number: int, at: str, before: str, content: Mapping[str, Any]) -> tuple[Link, bytes]:
    """The next line of a chain, with its line feed."""
    bare = {"n": number, "at": at, "before": before, "content": content}
    link = Link(number, at, before, content, digest(canonical(bare)))
    return link, canonical({**bare, "hash": link.hash}) + b"\n"


def parse(line: bytes) -> Link | None:
    """A line without its line feed; None when it is not, to the byte, what `seal` writes."""
    try:
        read = json.loads(line)
        bare = {key: read[key] for key in ("n", "at", "before", "content")}
        link = Link(read["n"], read["at"], read["before"], read["content"], read["hash"])
        whole = canonical({**bare, "hash": link.hash})
        if whole != line or digest(canonical(bare)) != link.hash or not isinstance(link.content, dict):
            return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return link


def read(data: bytes) -> tuple[list[Link], list[Flaw]]:
    """The sound lines of a chain file, and everything that is wrong with it, by line and byte."""
    links: list[Link] = []
    flaws: list[Flaw] = []
    before, expected = BEGINNING, 0
    for line in _lines(data):
        place = f"line {line.number} (byte {line.at})"
        if not line.ended:
            flaws.append(Flaw(FILE, place, "the line is cut off, or its end was changed"))
            continue
        link = parse(line.text)
        if link is None:
            flaws.append(Flaw(FILE, place, "the line is not what was written"))
            # what follows is judged by itself: one changed byte is one flaw, not a hundred
            before, expected = "", expected + 1
            continue
        if before and (link.before != before or link.number != expected):
            flaws.append(
                Flaw(FILE, place, "it does not follow the line before: lines were taken out or put in")
            )
        links.append(link)
        before, expected = link.hash, link.number + 1
    if not data:
        flaws.append(Flaw(FILE, "", "it is empty"))
    return links, flaws


@dataclass(frozen=True, slots=True)
class _Line:
    number: int  # from 1, as an editor counts
    at: int
    text: bytes
    ended: bool


def _lines(data: bytes) -> Iterator[_Line]:
    at = 0
    for number, part in enumerate(data.split(b"\n"), 1):
        ended = at + len(part) < len(data)
        if part or ended:
            yield _Line(number, at, part, ended)
        at += len(part) + 1


@dataclass(slots=True)
class Covered:
    """What a chain speaks for, taken together."""

    links: int = 0
    head: str = BEGINNING
    rows: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # of the journal, by id
    evidence: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # by id in the ledger
    strays: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # files that the ledger does not know
    holds: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # as last written
    growing: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)  # pieces, by file
    pages: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # as last written
    began: Mapping[str, Any] = field(default_factory=dict)

    def take(self, link: Link) -> None:
        content = link.content
        self.links, self.head = link.number + 1, link.hash
        if "begin" in content and not self.began:
            self.began = content["begin"]
        self.rows |= {row["id"]: row for row in content.get("rows", ())}
        self.evidence |= {one["id"]: one for one in content.get("evidence", ())}
        self.strays |= {one["path"]: one for one in content.get("strays", ())}
        self.holds |= {hold["id"]: hold for hold in content.get("holds", ())}
        for piece in content.get("growing", ()):
            self.growing.setdefault(piece["file"], []).append(piece)
        self.pages |= {page["name"]: page for page in content.get("pages", ())}

    def length(self, file: str) -> int:
        """So many bytes of a growing file are spoken for."""
        pieces = self.growing.get(file)
        return pieces[-1]["to"] if pieces else 0

    @classmethod
    def of(cls, links: list[Link]) -> Covered:
        covered = cls()
        for link in links:
            covered.take(link)
        return covered
