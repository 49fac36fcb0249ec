"""Brings a campaign into its folder: what the ledger has into the chain, what is left as a paper, all of it as pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopflow.ledger import Evidence, Executor, Ledger, Row
from mopflow.processes import ProcessMark, is_dead
from mopflow.readiness import Item, assess, needed_for
from mopflow.record import chain, paper
from mopflow.record.collect import collect
from mopflow.record.documents import evidence_document, hold_document, path_of, row_document
from mopflow.record.folder import (
    COMMANDS,
    CONTINUE_HTML,
    CONTINUE_TXT,
    READINGS,
    RECORD_HTML,
    RECORD_JSON,
    ChainFile,
    is_part,
    put_together,
)
from mopflow.record.model import ChainHead
from mopflow.record.page import render
from mopflow.record.remaining import Steps, remaining
from mopflow.record.sources import Strike, campaign_of, gather
from mopflow.release import Release
from mopflow.site import Site
from mopflow.system import Stage

if TYPE_CHECKING:
    from mopflow.eye import Reading

Picture = tuple[datetime, Mapping[str, Any]]  # of the system, with the moment of it
LATECOMERS = (
    50  # rows that may have been written later under an earlier number, by another process (PostgreSQL)
)
PAGES = (RECORD_JSON, RECORD_HTML, CONTINUE_HTML, CONTINUE_TXT)
GROWING = (READINGS, COMMANDS)
_EXACT = (RECORD_JSON, RECORD_HTML)  # pages of which a changed byte is named by its place


class Writer:
    """The folder of one campaign. One thread at a time; other processes may write beside it.

    All of it raises OSError where the disk, and LedgerUnavailable where the ledger does not do its part.
    """

    def __init__(self, folder: Path, site: Site, ledger: Ledger, campaign: str, strike: Strike) -> None:
        self.folder = folder
        self.reading: Reading | None = None  # the newest, when a run has one
        self._site = site
        self._ledger = ledger
        self._campaign = campaign
        self._strike = strike
        self._steps: Steps | None = None
        self._file: ChainFile | None = None
        self._rows: dict[int, Row] = {}
        self._newest = 0

    def boundary(self) -> None:
        """Chain what is new, and write the paper anew. Raises OSError, LedgerUnavailable."""
        self._read_rows()
        with self._chain().locked() as covered:
            content = self._new(covered)
            pages = self._paper()
            self._put(pages, content)

    def pages(self, ending: tuple[str, str] | None = None) -> str:
        """Write everything: chain, paper, record.json, record.html. The head of the chain afterwards.

        ``ending``: an executor that is ending right now, and how. Raises OSError, LedgerUnavailable.
        """
        now = datetime.now(UTC)
        self._read_rows()
        sources = gather(
            self._ledger, campaign_of(self._ledger, self._site.name, self._campaign), self.folder
        )
        with self._chain().locked() as covered:
            content = self._new(covered)
            if not any(_at_work(one) for one in sources.executors if ending is None or one.id != ending[0]):
                content["strays"] = self._strays(sources.evidence, covered)
            if any(content.values()):
                self._chain().append({key: value for key, value in content.items() if value})
            known = {path_of(one) for one in sources.evidence}
            record = collect(
                self._site,
                sources,
                now=now,
                strike=self._strike,
                look=self._look,
                strays=sorted(covered.strays.keys() - known),
                chain=ChainHead(entries=covered.links, head=covered.head),
                ending=ending,
            )
            # struck once more as a whole: what two texts make together was never seen by itself
            pages = {
                **self._paper(),
                RECORD_JSON: self._bytes(record.model_dump_json(indent=1) + "\n"),
                RECORD_HTML: self._bytes(render(self._site, record)),
            }
            self._put(pages, {})
            return covered.head

    # the chain

    def _chain(self) -> ChainFile:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for part in filter(is_part, self.folder.iterdir()):
                part.unlink(missing_ok=True)
            self._file = ChainFile(self.folder)
        return self._file

    def _read_rows(self) -> None:
        for row in self._ledger.rows(campaign=self._campaign, after=max(0, self._newest - LATECOMERS)):
            self._rows[row.id] = row
        self._newest = max(self._rows, default=0)

    def _new(self, covered: chain.Covered) -> dict[str, Any]:
        """What the chain does not speak for yet."""
        content: dict[str, Any] = {}
        if covered.links == 0:
            content["begin"] = {
                "format": "mopflow-chain/1",
                "site": self._site.name,
                "campaign": self._campaign,
                "source": self._site.source,
                "target": self._site.target,
            }
        content["rows"] = [
            row_document(row, self._strike)
            for id_, row in sorted(self._rows.items())
            if id_ not in covered.rows
        ]
        newest = max(covered.evidence, default=0)
        content["evidence"] = [
            evidence_document(one, (self.folder / path_of(one)).exists())
            for one in self._ledger.evidence(self._campaign, after=max(0, newest - LATECOMERS))
            if one.id not in covered.evidence
        ]
        holds = [
            hold_document(hold, self._ledger.answer_to(hold.id), self._strike)
            for hold in self._ledger.holds(self._site.name, campaign=self._campaign, open_only=False)
        ]
        content["holds"] = [hold for hold in holds if covered.holds.get(hold["id"]) != hold]
        content["growing"] = list(self._grown(covered))
        return content

    def _grown(self, covered: chain.Covered) -> Iterator[dict[str, Any]]:
        """The new whole lines of the files that grow, of every run, also of one that died."""
        for kind in GROWING:
            for path in sorted((self.folder / kind).glob("*.jsonl")):
                name = f"{kind}/{path.name}"
                begin = covered.length(name)
                with path.open("rb") as file:
                    file.seek(begin)
                    data = file.read()
                end = data.rfind(b"\n") + 1
                if end:
                    piece = data[:end]
                    yield {"file": name, "from": begin, "to": begin + end, "sha256": chain.digest(piece)}

    def _strays(self, evidence: Sequence[Evidence], covered: chain.Covered) -> list[dict[str, Any]]:
        """Files of the evidence that the ledger does not know: their run died between file and entry."""
        known = {path_of(one) for one in evidence} | covered.strays.keys()
        own = {chain.FILE, *PAGES}
        found = []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if (
                path.is_file()
                and name not in known | own
                and not name.startswith(tuple(f"{k}/" for k in GROWING))
            ):
                content = path.read_bytes()
                found.append({"path": name, "sha256": chain.digest(content), "size": len(content)})
        return found

    def _look(self, one: Evidence) -> str:
        try:
            content = (self.folder / path_of(one)).read_bytes()
        except OSError:
            return "not here"
        return "as kept" if chain.digest(content) == one.sha256 else "changed"

    # pages

    def _put(self, pages: Mapping[str, bytes], content: Mapping[str, Any]) -> None:
        """Chain and pages: the pages lie ready before the chain speaks of them, and take their place after it."""
        entries = [
            {
                "name": name,
                "sha256": chain.digest(page),
                "size": len(page),
                **({"blocks": chain.blocks(page)} if name in _EXACT else {}),
            }
            for name, page in pages.items()
        ]
        with put_together(self.folder, pages):
            self._chain().append(
                {**{key: value for key, value in content.items() if value}, "pages": entries}
            )

    def _paper(self) -> dict[str, bytes]:
        now = datetime.now(UTC)
        if self._steps is None:
            self._steps = Steps(self._site)
        executors = [one for one in self._ledger.executors(self._site.name) if one.campaign == self._campaign]
        snapshot = self._snapshot()
        left = remaining(
            self._site,
            self._campaign,
            self._steps,
            [self._rows[id_] for id_ in sorted(self._rows)],
            executors,
            snapshot,
            self._missing(snapshot, now),
            self._ledger.holds(self._site.name),
        )
        found = paper.render(left, now)
        return {name: self._bytes(text) for name, text in found.items()}

    def _missing(self, snapshot: Picture | None, now: datetime) -> list[Item]:
        """Checks of the preparation that clusters wait for which were not begun."""
        stages = (
            {c["name"]: c["stage"] for c in snapshot[1].get("clusters", ())} if snapshot is not None else {}
        )
        fresh = [
            c for c in self._site.clusters if stages.get(c.name, Stage.FRESH) in (Stage.FRESH, Stage.FORCED)
        ]
        if not fresh:
            return []
        checks = self._ledger.checks(self._site.name)
        return assess(self._site, checks, now, _releases(snapshot)).missing(needed_for(fresh))

    def _bytes(self, text: str) -> bytes:
        return self._strike(text).encode("utf-8", "backslashreplace")

    def _snapshot(self) -> Picture | None:
        from mopflow.house import snapshot_document  # the house imports this module

        if self.reading is not None:
            return self.reading.snapshot.taken, snapshot_document(self.reading)
        return self._ledger.snapshot(self._site.name)


def _at_work(one: Executor) -> bool:
    """May it still write? What cannot be seen from here is believed to be at work."""
    return one.ended is None and is_dead(ProcessMark(one.host, one.pid, one.born)) is not True


def _releases(snapshot: Picture | None) -> dict[str, Release | None]:
    clusters = snapshot[1].get("clusters", ()) if snapshot is not None else ()
    return {
        s["name"]: Release.parse(s["release"]) if s["release"] else None
        for cluster in clusters
        for s in cluster["servers"]
    }
