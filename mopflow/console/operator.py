"""The console in a person's hands: the driver `operator`.

The same acts as instructions with an answer. Readings go to another console where there is one; else the person
copies the table out of the browser and pastes it, and the same readers read it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, Protocol, TextIO, TypeVar

from mopflow.console import reading
from mopflow.console.labels import (
    Columns,
    DirectorLabels,
    Labels,
    Names,
    Place,
    labels_for,
    pages_with,
    plain,
)
from mopflow.console.protocol import (
    Act,
    ClusterPage,
    Console,
    Gui,
    Intended,
    IsoRow,
    Kit,
    KpiRow,
    LogLine,
    Operation,
    Overview,
    Page,
    RepRow,
    Shots,
    TopologyRow,
    TrendRow,
    Urgency,
)
from mopflow.console.reading import Button, Cell, Grid, GridRow, Look
from mopflow.errors import ActRefused, MayHaveRun, NotAnnounced, NothingRun, Unreachable, UnreadableReply
from mopflow.release import Release
from mopflow.system import Alarm

T = TypeVar("T")
_PNG = b"\x89PNG\r\n\x1a\n"


class Said(StrEnum):
    """What a person may answer to an instruction."""

    DONE = "done"
    OTHER = "other"  # the console announced something else; nothing was confirmed
    REFUSED = "refused"  # the console said no
    NOT_DONE = "not done"
    UNSURE = "unsure"  # confirmed, but no message came


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a person is to do, click by click."""

    title: str
    steps: tuple[str, ...]
    answers: tuple[Said, ...] = tuple(Said)


@dataclass(frozen=True, slots=True)
class Answer:
    said: Said
    text: str = ""  # the console's words, or the person's


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is to copy from the console. `lines`: a whole table; else one line."""

    title: str
    steps: tuple[str, ...]
    lines: bool = field(default=True)


class Asker(Protocol):
    """How a person is reached. Both wait as long as it takes; Unreachable when there is nobody."""

    def instruct(self, instruction: Instruction) -> Answer: ...

    def question(self, question: Question) -> str: ...


class TerminalAsker:
    """Asks on a terminal: speaks on stderr, listens on stdin; one thing at a time."""

    def __init__(self, listen: TextIO | None = None, speak: TextIO | None = None) -> None:
        self._listen = listen if listen is not None else sys.stdin
        self._speak = speak if speak is not None else sys.stderr
        self._lock = threading.Lock()

    def instruct(self, instruction: Instruction) -> Answer:
        with self._lock:
            self._present(instruction.title, instruction.steps)
            known = {str(said): said for said in instruction.answers}
            while True:
                word = " ".join(self._ask(f"Answer ({', '.join(known)}): ").lower().split())
                if word in known:
                    break
                self._say(f"Please answer with one of: {', '.join(known)}")
            text = (
                "" if known[word] is Said.NOT_DONE else self._ask("What did the console say (may be empty): ")
            )
            return Answer(known[word], text)

    def question(self, question: Question) -> str:
        with self._lock:
            self._present(question.title, question.steps)
            if not question.lines:
                return self._ask("> ")
            self._say("End with a line that holds a single full stop.")
            found: list[str] = []
            while (line := self._line()) != ".":
                found.append(line)
            return "\n".join(found)

    def _present(self, title: str, steps: Sequence[str]) -> None:
        self._say(f"\n=== {title}")
        for at, step in enumerate(steps, 1):
            self._say(f"  {at}. {step}")

    def _ask(self, prompt: str) -> str:
        self._speak.write(prompt)
        self._speak.flush()
        return self._line().strip()

    def _line(self) -> str:
        line = self._listen.readline()
        if not line:
            raise Unreachable("the operator", "nobody answers: the input has ended")
        return line.rstrip("\r\n")

    def _say(self, text: str) -> None:
        self._speak.write(text + "\n")
        self._speak.flush()


class OperatorConsole:
    """A person at the CMP's GUI. `readings`: another console that does the readings and pictures, if there is one.

    Errors are those of the protocol: a person who saw another announcement gives NotAnnounced, a refusal ActRefused,
    a missing message MayHaveRun.

    The words depend on the release that the console shows. With other readings it is read for each instruction;
    else the person is asked first, and again after whatever may have changed it.
    """

    def __init__(self, asker: Asker, readings: Console | None = None) -> None:
        self._asker = asker
        self._readings = readings
        self._told: Labels | None = None  # those of the release that the person told last

    # --- acts
    def advance(
        self, intended: Intended, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str:
        """Told with the exact words that hover text and dialog must have."""
        director = self._director(str(intended))
        forward = intended.act in (Act.INITIATE_UPGRADE, Act.FAILOVER_TO_NEW)
        names = director.buttons.upgrade if forward else director.buttons.rollback
        words = director.words[intended.act][0]
        target = intended.server or intended.cluster
        steps = (
            _way(director.page),
            f"Tick the check box of the cluster {intended.cluster}, and no other.",
            f"Hover over {' / '.join(names)}. It must say: {words} ... {target}. Else answer: {Said.OTHER}",
            f"Click it. The dialog must name {words!r} and {target!r}. Else click Cancel and answer: {Said.OTHER}",
            "Click OK and wait for the message.",
        )
        failover = intended.act in (Act.FAILOVER_TO_NEW, Act.FAILOVER_TO_OLD)
        return self._instruct(str(intended), steps, shots, changes_gui=failover)

    def operate(self, operation: Operation, names: Sequence[str], *, shots: Shots | None = None) -> str:
        labels = self._labels()
        words = labels.operations.words[operation]
        entry = " / ".join(words.entry)
        title = f"{operation} {', '.join(names)}"
        ways = [_way(labels.place(page)) for page in pages_with(operation)]
        switch = operation is Operation.SWITCH_FORCE_STANDBY
        what = "the check box of the cluster" if switch else "the check boxes of these servers"
        steps = (
            ways[0],
            *(f"Where its menu Operations has no {entry}: {way}" for way in ways[1:]),
            f"Tick {what}, and no others: {', '.join(names)}. If there is no {entry}, answer: {Said.OTHER}",
            f"Operations > {entry}. The dialog must say {' or '.join(map(repr, words.dialog))} and name exactly "
            f"{', '.join(names)}. Else click Cancel and answer: {Said.OTHER}",
            "Click OK and wait for the message."
            + (" If the connection is lost before it comes, answer: unsure" if switch else ""),
        )
        return self._instruct(title, steps, shots, changes_gui=switch)

    def select_iso(self, path: str, *, shots: Shots | None = None) -> str:
        steps = (
            _way(self._director(f"Select ISO {path}").page),
            "Click Current ISO (upper right).",
            f"Highlight the row with the File Path {path}, exactly this one; click Select (bottom right).",
            "Click OK in the confirmation and wait for the message.",
        )
        return self._instruct(f"Select ISO {path}", steps, shots)

    def delete_iso(self, servers: Sequence[str], *, shots: Shots | None = None) -> str:
        names = ", ".join(servers)
        steps = (
            self._way(Page.ISO_MAINTENANCE),
            f"Tick these servers and no others: {names}.",
            "Operations > Delete ISO. The dialog must name exactly these servers; click OK.",
        )
        return self._instruct(f"Delete ISO of {names}", steps, shots)

    def upload_iso(
        self,
        servers: Sequence[str],
        host: str,
        user: str,
        password: str,
        path: str,
        *,
        shots: Shots | None = None,
    ) -> str:
        """The password is never shown: the person has to know it."""
        names = ", ".join(servers)
        steps = (
            self._way(Page.ISO_MAINTENANCE),
            f"Tick these servers and no others: {names}.",
            f"Operations > Upload ISO. Mode {self._labels().upload.scp}, ISO Server Hostname/IP {host}, User {user}, "
            f"the password of {user} on that server, Source ISO file full path {path}.",
            "Click Add.",
        )
        return self._instruct(f"Upload ISO {path} to {names}", steps, shots)

    def reapply_configuration(
        self, cluster: str, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str:
        steps = (
            self._way_to_cluster(cluster, "System"),
            "Operations > Reapply Configuration, OK. An MPE shows a progress bar: wait until it has gone.",
        )
        return self._instruct(f"Reapply Configuration of {cluster}", steps, shots)

    def reset_counters(self, cluster: str, *, shots: Shots | None = None) -> str:
        steps = (self._way_to_cluster(cluster, "Reports"), "Reset Counters, OK.")
        return self._instruct(f"Reset Counters of {cluster}", steps, shots)

    # --- readings
    def log_in(self) -> None:
        if self._readings is not None:
            self._readings.log_in()
            return
        self._told = None
        answer = self._asker.instruct(
            Instruction(
                "Log in at the CMP's VIP",
                ("Close the old browser tab, open the CMP's VIP in a new one, and log in.",),
                (Said.DONE, Said.REFUSED, Said.NOT_DONE),
            )
        )
        if answer.said is not Said.DONE:
            raise Unreachable("the console", answer.text or f"the operator answered: {answer.said}")

    def about(self) -> Release:
        if self._readings is not None:
            return self._readings.about()
        text = self._asker.question(
            Question("Release of the CMP", ("Help > About. Copy the release number.",), lines=False)
        )
        release = Release.parse(text.strip().removeprefix("Release").strip())
        self._told = labels_for(release)
        return release

    def overview(self) -> Overview:
        if self._readings is not None:
            return self._readings.overview()
        labels = self._labels()
        look = self._paste(str(labels.overview), self._way(Page.OVERVIEW))
        if labels.gui is Gui.DIRECTOR:
            steps = ("Type what stands behind `Current ISO:` (upper right).",)
            iso = self._asker.question(Question("Current ISO", steps, lines=False))
            button = Button(name=f"Current ISO: {iso.strip()}", enabled=True)
            look = look.model_copy(update={"buttons": (button,)})
        steps = ("Type the names of servers with a Sync Broken mark, with blanks between; empty for none.",)
        broken = self._asker.question(Question("Sync Broken", steps, lines=False))
        marked = _marked(look, broken.replace(",", " ").split(), labels)
        return self._understand(reading.overview, marked)

    def upgrade_log(self, cluster: str) -> tuple[LogLine, ...]:
        if self._readings is not None:
            return self._readings.upgrade_log(cluster)
        tick = f"Tick the cluster {cluster}, click View Upgrade Log."
        look = self._paste(f"Upgrade Log of {cluster}", self._way(Page.UPGRADE_MANAGER), tick)
        return self._understand(lambda look, labels: reading.upgrade_log(look, labels, in_dialog=False), look)

    def active_alarms(self) -> tuple[Alarm, ...]:
        if self._readings is not None:
            return self._readings.active_alarms()
        note = "Copy the line `... Alarms found, displaying all Alarms.` as well."
        return self._pasted(Page.ACTIVE_ALARMS, reading.active_alarms, note)

    def topology(self) -> tuple[TopologyRow, ...]:
        if self._readings is not None:
            return self._readings.topology()
        return self._pasted(Page.TOPOLOGY, reading.topology, "Choose All Clusters.")

    def iso_maintenance(self) -> tuple[IsoRow, ...]:
        if self._readings is not None:
            return self._readings.iso_maintenance()
        return self._pasted(Page.ISO_MAINTENANCE, reading.iso_maintenance)

    def kpi_dashboard(self) -> tuple[KpiRow, ...]:
        if self._readings is not None:
            return self._readings.kpi_dashboard()
        return self._pasted(Page.KPI_DASHBOARD, reading.kpi_dashboard)

    def trending(self) -> tuple[TrendRow, ...]:
        if self._readings is not None:
            return self._readings.trending()
        return self._pasted(Page.TRENDING, reading.trending)

    def rep_stats(self) -> tuple[RepRow, ...]:
        if self._readings is not None:
            return self._readings.rep_stats()
        return self._pasted(Page.REP_STATS, reading.rep_stats)

    def kits(self) -> tuple[Kit, ...]:
        if self._readings is not None:
            return self._readings.kits()
        steps = (self._way(Page.UPGRADE_MANAGER), "Click Current ISO, copy the table, then click Cancel.")
        look = self._paste("Upgrade kits", *steps)
        return self._understand(lambda look, labels: reading.kits(look, labels, in_dialog=False), look)

    def cluster_page(self, cluster: str) -> ClusterPage:
        if self._readings is not None:
            return self._readings.cluster_page(cluster)
        steps = self._way_to_cluster(cluster, "System")
        note = "Copy the lines Name, Status and Version and the table of servers."
        system = self._paste(f"System tab of {cluster}", steps, note)
        status, version, mismatch = self._understand(
            lambda look, labels: reading.cluster_system(look, labels, cluster), system
        )
        reports = self._paste(f"Reports tab of {cluster}", self._way_to_cluster(cluster, "Reports"))
        counters = self._understand(
            lambda look, labels: reading.cluster_reports(look, labels, cluster),
            reports.model_copy(update={"heading": cluster}),
        )
        return ClusterPage(cluster, status, version, mismatch, counters)

    def screenshot(self, page: Page, to: Path, cluster: str | None = None) -> Path:
        """The person saves the picture at `to`. Raises NothingRun when there is no PNG afterwards."""
        if self._readings is not None:
            return self._readings.screenshot(page, to, cluster)
        where = self._way_to_cluster(cluster, page) if cluster else self._way(page)
        self._picture(where, to)
        return to

    def close(self) -> None:
        if self._readings is not None:
            self._readings.close()

    # --- inside
    def _labels(self) -> Labels:
        if self._readings is not None:
            return labels_for(self._readings.about())
        if self._told is None:
            self.about()
        assert self._told is not None
        return self._told

    def _director(self, expected: str) -> DirectorLabels:
        labels = self._labels()
        if labels.director is None:
            raise NotAnnounced(expected, f"no Upgrade Manager: the console is that of {labels.family}")
        return labels.director

    def _instruct(
        self, title: str, steps: tuple[str, ...], shots: Shots | None, *, changes_gui: bool = False
    ) -> str:
        if shots is not None:
            steps = (
                *steps[:-1],
                f"Before the last click save a screenshot as {shots.next('dialog')}.",
                steps[-1],
            )
        if changes_gui:
            self._told = None
        answer = self._asker.instruct(Instruction(title, steps))
        match answer.said:
            case Said.DONE:
                return answer.text or "done by the operator"
            case Said.OTHER:
                raise NotAnnounced(title, answer.text or "something else")
            case Said.REFUSED:
                raise ActRefused(f"{title}: the console refused: {answer.text or 'no text given'}")
            case Said.NOT_DONE:
                raise NothingRun(f"{title}: the operator did not do it")
            case Said.UNSURE:
                raise MayHaveRun(f"{title}: the operator confirmed it and saw no answer: {answer.text}")

    def _picture(self, where: str, to: Path) -> None:
        answer = self._asker.instruct(
            Instruction(
                f"Screenshot {to.name}",
                (where, f"Save a screenshot as {to}."),
                (Said.DONE, Said.NOT_DONE),
            )
        )
        if answer.said is not Said.DONE:
            raise NothingRun(f"no screenshot {to.name}: the operator answered: {answer.said}")
        try:
            with to.open("rb") as file:
                whole = file.read(len(_PNG)) == _PNG
        except OSError as error:
            raise NothingRun(f"no screenshot at {to}: {error.strerror}") from None
        if not whole:
            raise NothingRun(f"{to} is not a PNG file")

    def _way(self, page: Page) -> str:
        return _way(self._labels().place(page))

    def _way_to_cluster(self, cluster: str, tab: str) -> str:
        ways = " or ".join(" > ".join(place.way) for place in self._labels().cluster_lists)
        return f"Open {ways} > {cluster} > {tab}."

    def _paste(self, title: str, *steps: str) -> Look:
        text = self._asker.question(
            Question(title, (*steps, "Copy the table with its headings and paste it here."))
        )
        return self._understand(lambda _, labels: parse_paste(text, labels), Look())

    def _pasted(self, page: Page, read: Callable[[Look, Labels], T], note: str = "") -> T:
        look = self._paste(str(page), " ".join(filter(None, (self._way(page), note))))
        return self._understand(read, look)

    def _understand(self, read: Callable[[Look, Labels], T], look: Look) -> T:
        """What cannot be read may be of another release than the person told."""
        try:
            return read(look, self._labels())
        except UnreadableReply:
            self._told = None
            raise


def _way(place: Place) -> str:
    return f"Open {' > '.join(place.way)}."


def _marked(look: Look, servers: Sequence[str], labels: Labels) -> Look:
    """The Sync Broken marks are pictures, and pictures do not paste."""
    mark = labels.texts.sync_broken[0]
    missing = set(servers)
    grids = []
    for grid in look.grids:
        rows = []
        for row in grid.rows:
            name = row.cells[0].line if 0 in row.cells else ""
            if name in missing:
                missing.discard(name)
                first = Cell(text=row.cells[0].text, marks=(mark,))
                row = row.model_copy(update={"cells": {**row.cells, 0: first}})
            rows.append(row)
        grids.append(grid.model_copy(update={"rows": tuple(rows)}))
    if missing:
        _fail("Sync Broken", "no such servers", ", ".join(sorted(missing)))
    return look.model_copy(update={"grids": tuple(grids)})


def parse_paste(text: str, labels: Labels) -> Look:
    """A table as browsers copy it: a line per row, cells apart by tabs.

    The first line that is the headings of a grid we know begins the table. Lines above it are kept as text, and
    those of two parts as facts. A line without a tab below a row with fewer cells than headings heads a cluster.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    start = next((at for at, line in enumerate(lines) if _is_header(line.split("\t"), labels)), None)
    above = lines if start is None else lines[:start]
    facts = tuple(_fact(line) for line in above if "\t" in line or ":" in line)
    if start is None:
        return Look(lines=tuple(above), facts=facts)
    headings = tuple(" ".join(cell.split()) for cell in lines[start].split("\t"))
    rows: list[GridRow] = []
    after: list[str] = []
    for line in lines[start + 1 :]:
        cells = line.split("\t")
        if len(cells) > len(headings):
            _fail("pasted table", f"a row of {len(cells)} cells under {len(headings)} headings", line)
        padded = cells if len(cells) == 1 else [*cells, *[""] * (len(headings) - len(cells))]
        if len(cells) == 1 and len(headings) > 1:
            after.append(line)
        rows.append(GridRow(cells={at: Cell(text=cell.strip()) for at, cell in enumerate(padded)}))
    grid = Grid(headings=headings, rows=tuple(rows))
    return Look(lines=(*above, *after), facts=facts, grids=(grid,))


def _is_header(cells: Sequence[str], labels: Labels) -> bool:
    """Every column of some grid has a cell here."""
    have = {plain(cell) for cell in cells}
    return any(all(_among(names, have) for _, names in columns.items()) for columns in _grids(labels))


def _grids(labels: Labels) -> Iterator[Columns]:
    grids = labels.grids
    yield from (getattr(grids, name) for name in type(grids).model_fields)
    if labels.director is not None:
        yield from (labels.director.columns, labels.director.log, labels.director.kits)


def _among(names: Names, have: set[str]) -> bool:
    return any(plain(name) in have for name in names)


def _fact(line: str) -> tuple[str, str]:
    name, _, value = line.partition("\t") if "\t" in line else line.partition(":")
    return name.strip(), value.strip()


def _fail(source: str, what: str, text: str) -> NoReturn:
    raise UnreadableReply(source, what, text)
