"""What a look at a console page means. Pure: cells in, typed rows out; anything unknown is UnreadableReply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from mopflow.console.labels import Columns, HasLogin, Labels, Names, is_one_of, plain
from mopflow.console.protocol import (
    Act,
    Gui,
    Intended,
    IsoImage,
    IsoRow,
    Kit,
    KpiRow,
    LogLine,
    Overview,
    RepRow,
    TopologyRow,
    TrendRow,
)
from mopflow.console.protocol import Operation as Operate
from mopflow.errors import NotAnnounced, UnreadableReply
from mopflow.release import Release
from mopflow.system import Alarm, Operation, Role, ServerState, Severity, UpToDate


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Model):
    text: str  # lines separated by \n
    marks: tuple[str, ...] = ()  # accessible names of pictures

    @property
    def line(self) -> str:
        return " ".join(self.text.split())


class Box(_Model):
    name: str
    ticked: bool
    enabled: bool


class GridRow(_Model):
    cells: Mapping[int, Cell]
    boxes: tuple[Box, ...] = ()
    selected: bool | None = None


class Grid(_Model):
    headings: tuple[str, ...]
    rows: tuple[GridRow, ...]
    in_dialog: bool = False


class Button(_Model):
    name: str
    enabled: bool
    hint: str = ""
    in_dialog: bool = False


class Field(_Model):
    name: str
    secret: bool
    filled: bool
    value: str  # empty for a secret field
    in_dialog: bool
    options: tuple[str, ...] = ()  # of a list to choose from


class Message(_Model):
    role: str  # status | alert
    text: str


class Dialog(_Model):
    name: str
    text: str
    progress: str | None = None


class Look(_Model):
    """What one look at a page saw (look.js)."""

    heading: str = ""
    lines: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    messages: tuple[Message, ...] = ()
    dialogs: int = 0
    dialog: Dialog | None = None
    tooltips: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    buttons: tuple[Button, ...] = ()
    fields: tuple[Field, ...] = ()

    @classmethod
    def parse(cls, raw: Any) -> Look:
        """From plain data or JSON. Raises UnreadableReply when the page answered something else."""
        try:
            return cls.model_validate_json(raw) if isinstance(raw, str) else cls.model_validate(raw)
        except ValidationError as error:
            raise UnreadableReply(
                "console page", f"{error.error_count()} parts of unknown shape", ""
            ) from None

    def has_secret_field(self) -> bool:
        return any(field.secret for field in self.fields)

    def is_login(self, labels: HasLogin) -> bool:
        """A login form stands where a page was expected."""
        login = labels.login
        fields = [field for field in self.fields if not field.in_dialog]
        return (
            any(field.secret and is_one_of(field.name, login.password) for field in fields)
            and any(not field.secret and is_one_of(field.name, login.user) for field in fields)
            and any(is_one_of(button.name, login.button) for button in self.buttons)
        )

    def grid(self, columns: Columns, source: str, *, in_dialog: bool = False) -> list[TypedRow]:
        """The rows of the one grid that has all these columns, cells by our word for the column."""
        found = []
        for grid in self.grids:
            if grid.in_dialog is in_dialog:
                at = {word: _positions(grid.headings, names) for word, names in columns.items()}
                if all(at.values()):
                    found.append((grid, at))
        if len(found) != 1:
            seen = "; ".join(", ".join(grid.headings) for grid in self.grids if grid.in_dialog is in_dialog)
            wanted = ", ".join(names[0] for _, names in columns.items())
            what = "no grid" if not found else f"{len(found)} grids"
            raise UnreadableReply(source, f"{what} with the columns {wanted}", seen or self.heading)
        grid, at = found[0]
        for word, positions in at.items():
            if len(positions) > 1:
                raise UnreadableReply(source, f"two columns for {word}", ", ".join(grid.headings))
        return [TypedRow(source, row, {word: at[word][0] for word in at}) for row in grid.rows]

    def button(self, names: Names, source: str, *, in_dialog: bool = False) -> Button:
        """The one button with one of these names. Raises UnreadableReply for none or several."""
        found = [b for b in self.buttons if b.in_dialog is in_dialog and is_one_of(b.name, names)]
        if len(found) != 1:
            seen = ", ".join(button.name for button in self.buttons if button.in_dialog is in_dialog)
            raise UnreadableReply(source, f"{len(found)} buttons named {' or '.join(names)}", seen)
        return found[0]


def _positions(headings: Sequence[str], names: Names) -> list[int]:
    return [at for at, heading in enumerate(headings) if heading and is_one_of(heading, names)]


class TypedRow:
    """A row of a grid whose columns are known."""

    def __init__(self, source: str, row: GridRow, at: Mapping[str, int]) -> None:
        self._source = source
        self.row = row
        self._at = at

    def cell(self, word: str) -> Cell:
        """Raises UnreadableReply when the row has no such cell."""
        cell = self.row.cells.get(self._at[word])
        if cell is None:
            self.fail(f"a row without a cell for {word}")
        return cell

    def __getitem__(self, word: str) -> str:
        return self.cell(word).line

    def required(self, word: str) -> str:
        text = self[word]
        if not text:
            self.fail(f"an empty cell for {word}")
        return text

    def integer(self, word: str) -> int:
        text = self[word]
        if not re.fullmatch(r"\d+", text):
            self.fail(f"{word} is not a number")
        return int(text)

    @property
    def text(self) -> str:
        return " | ".join(cell.line for _, cell in sorted(self.row.cells.items()))

    def fail(self, what: str) -> NoReturn:
        raise UnreadableReply(self._source, what, self.text)


def number(text: str, source: str) -> float:
    """A number as printed, thousands perhaps separated by commas."""
    if not re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?|-?\d+(\.\d+)?", text.strip()):
        raise UnreadableReply(source, "not a number", text)
    return float(text.replace(",", ""))


# --- Upgrade


def _by_cluster(rows: Iterable[TypedRow], labels: Labels, source: str) -> list[tuple[str, TypedRow]]:
    """(cluster, row of a server): cluster rows head their servers and say how many there are."""
    found: list[tuple[str, TypedRow]] = []
    cluster, wanted = "", 0
    counts: dict[str, int] = {}
    heads: dict[str, int] = {}
    names: set[str] = set()
    for row in rows:
        first = row.required("name")
        head = re.match(labels.texts.cluster_row, first)
        if head:
            cluster, wanted = head["name"], int(head["count"])
            if cluster in heads:
                row.fail(f"the cluster {cluster} stands there twice")
            heads[cluster] = wanted
            counts[cluster] = 0
            continue
        if not cluster:
            row.fail("a server above the first cluster")
        if first in names:
            row.fail(f"the server {first} stands there twice")
        names.add(first)
        counts[cluster] += 1
        found.append((cluster, row))
    for cluster, wanted in heads.items():
        if counts[cluster] != wanted:
            raise UnreadableReply(
                source, f"{cluster} announces {wanted} servers, {counts[cluster]} are shown", ""
            )
    if not found:
        raise UnreadableReply(source, "no servers are shown", "")
    return found


def overview(look: Look, labels: Labels) -> Overview:
    """The page that shows every server in this family."""
    return (upgrade_manager if labels.gui is Gui.DIRECTOR else system_maintenance)(look, labels)


def upgrade_manager(look: Look, labels: Labels) -> Overview:
    """The table of Figures 1 and 3 and the label of Current ISO (3.1.3)."""
    source = "Upgrade Manager"
    columns = labels.upgrade_manager.columns
    servers = tuple(
        ServerState(
            name=row["name"],
            cluster=cluster,
            role=Role.read(row["role"]),
            release=_running(row),
            prev_release=row["previous"],
            up_to_date=UpToDate.read(row["up_to_date"]),
            operation=Operation.read(row["operation"]),
            sync_broken=_has_broken_mark(row, labels),
            alarm_severity=Severity.read(row["severity"]) if row["severity"] else None,
        )
        for cluster, row in _by_cluster(look.grid(columns, source), labels, source)
    )
    return Overview(servers, current_iso(look, labels))


def system_maintenance(look: Look, labels: Labels) -> Overview:
    """The table of System Maintenance (6.1.1 steps 6 and 9 to 13, 12.3.5 steps 6 and 7).

    A server is in sync only where Replication is On and no Sync Broken mark stands.
    """
    source = "System Maintenance"
    servers = tuple(
        ServerState(
            name=row["name"],
            cluster=cluster,
            role=Role.read(row["role"]),
            release=_running(row),
            prev_release="",
            up_to_date=UpToDate.NOT_APPLICABLE,
            operation=Operation.read(row["operation"]),
            sync_broken=_has_broken_mark(row, labels)
            or not is_one_of(row["replication"], labels.texts.replication_on),
            alarm_severity=None,
        )
        for cluster, row in _by_cluster(look.grid(labels.grids.system_maintenance, source), labels, source)
    )
    return Overview(servers, "", Gui.MAINTENANCE)


def _running(row: TypedRow) -> Release | None:
    """None when it cannot be read: the state of a cluster says what that means."""
    try:
        return Release.parse(row["running"])
    except UnreadableReply:
        return None


def _has_broken_mark(row: TypedRow, labels: Labels) -> bool:
    marks = (mark for cell in row.row.cells.values() for mark in cell.marks)
    return any(is_one_of(mark, labels.texts.sync_broken) for mark in marks)


def current_iso(look: Look, labels: Labels) -> str:
    """The label on the button Current ISO."""
    pattern = labels.upgrade_manager.buttons.current_iso
    found = [re.match(pattern, b.name) for b in look.buttons if not b.in_dialog]
    labelled = [match["label"] for match in found if match]
    if len(labelled) != 1:
        raise UnreadableReply("Upgrade Manager", f"{len(labelled)} buttons for Current ISO", look.heading)
    return str(labelled[0])


def upgrade_log(look: Look, labels: Labels, *, in_dialog: bool) -> tuple[LogLine, ...]:
    """The Upgrade Log (3.1.1)."""
    return tuple(
        LogLine(
            id=row.integer("id"),
            parent=row.integer("parent"),
            action=row.required("action"),
            start=row["start"],
            end=row["end"],
            duration=row["duration"],
            scope=row["scope"],
            hostname=row["hostname"],
            result=row["result"],
            mode=row["mode"],
            description=row["description"],
        )
        for row in look.grid(labels.upgrade_manager.log, "Upgrade Log", in_dialog=in_dialog)
    )


def kits(look: Look, labels: Labels, *, in_dialog: bool) -> tuple[Kit, ...]:
    """The dialog behind Current ISO (9.1.1 step 9)."""
    return tuple(
        Kit(row["label"], row["release"], row.required("path"), row["description"])
        for row in look.grid(labels.upgrade_manager.kits, "Current ISO", in_dialog=in_dialog)
    )


def iso_maintenance(look: Look, labels: Labels) -> tuple[IsoRow, ...]:
    """The ISO column of ISO Maintenance (9.1.1 steps 5 to 7)."""
    source = "ISO Maintenance"
    return tuple(
        IsoRow(
            row["name"], row.required("appl_type"), row["ip"], images(row.cell("iso").text, labels, source)
        )
        for _, row in _by_cluster(look.grid(labels.grids.iso_maintenance, source), labels, source)
    )


def images(cell: str, labels: Labels, source: str = "ISO Maintenance") -> tuple[IsoImage, ...]:
    """`x.iso[43%]`, one per line; no percent on one that was copied by hand (9.1.1 step 7)."""
    found = []
    for line in filter(None, map(str.strip, cell.splitlines())):
        match = re.match(labels.texts.iso_image, line)
        if match is None or (match["percent"] and int(match["percent"]) > 100):
            raise UnreadableReply(source, "an ISO cell of unknown shape", line)
        found.append(IsoImage(match["file"], int(match["percent"]) if match["percent"] else None))
    return tuple(found)


# --- reports and topology


def active_alarms(look: Look, labels: Labels) -> tuple[Alarm, ...]:
    """The whole list of Active Alarms; the line above it must say that this is all."""
    source = "Active Alarms"
    texts = labels.texts
    counts = [match["count"] for line in look.lines if (match := re.match(texts.alarms_found, line))]
    none = any(re.match(texts.alarms_none, line) for line in look.lines)
    if len(counts) + none != 1:
        raise UnreadableReply(
            source, "no line that says how many alarms there are", " ".join(look.lines[-8:])
        )
    expected = 0 if none else 1 if plain(counts[0]) == "one" else int(counts[0])
    if none and not any(_positions(grid.headings, labels.grids.active_alarms.number) for grid in look.grids):
        return ()
    alarms = []
    for row in look.grid(labels.grids.active_alarms, source):
        if none and any(texts_match(row, texts.alarms_none)):
            continue
        host = re.match(texts.alarm_source, row.required("source"))
        if host is None:
            row.fail("a source that is not host@address")
        alarms.append(
            Alarm(
                number=row.integer("number"),
                severity=Severity.read(row["severity"]),
                text=row["text"],
                source=host["host"],
                occurrence=row["occurrence"],
            )
        )
    if len(alarms) != expected:
        raise UnreadableReply(source, f"{expected} alarms are announced, {len(alarms)} are shown", "")
    return tuple(alarms)


def texts_match(row: TypedRow, pattern: str) -> Iterable[bool]:
    return (bool(re.match(pattern, cell.line)) for cell in row.row.cells.values())


def topology(look: Look, labels: Labels) -> tuple[TopologyRow, ...]:
    """Topology Settings > All Clusters; (P) and (S) mark the CMP clusters (9.1.1 step 2)."""
    rows = []
    for row in look.grid(labels.grids.topology, "Topology Settings"):
        name = re.match(labels.texts.topology_mark, row.required("name"))
        if name is None:
            row.fail("a cluster name of unknown shape")
        servers = tuple(server for server in (row["server_a"], row["server_b"]) if server)
        rows.append(TopologyRow(name["name"], name["mark"] or "", row.required("appl_type"), servers))
    if not rows:
        raise UnreadableReply("Topology Settings", "no clusters are shown", "")
    return tuple(rows)


def kpi_dashboard(look: Look, labels: Labels) -> tuple[KpiRow, ...]:
    """The KPI Dashboard; TPS is 0 without traffic, never empty."""
    source = "KPI Dashboard"
    return tuple(
        KpiRow(row.required("name"), number(row["tps"], source), values)
        for row, values in _printed(look, labels.grids.kpi_dashboard, source)
    )


def trending(look: Look, labels: Labels) -> tuple[TrendRow, ...]:
    """Trending Reports (11 step 4): a row per cluster and interval; none before the first interval has ended."""
    return tuple(
        TrendRow(row.required("name"), values)
        for row, values in _printed(look, labels.grids.trending, "Trending Reports")
        if row.required("start")
    )


def rep_stats(look: Look, labels: Labels) -> tuple[RepRow, ...]:
    """MPE/MRA Rep Stats (11 step 5)."""
    return tuple(
        RepRow(row.required("name"), row.required("peer"), row.required("status"), values)
        for row, values in _printed(look, labels.grids.rep_stats, "MPE/MRA Rep Stats")
    )


def _printed(look: Look, columns: Columns, source: str) -> list[tuple[TypedRow, dict[str, str]]]:
    """Each row of the grid with these columns, and all that it prints by heading."""
    rows = look.grid(columns, source)
    (headings,) = (g.headings for g in look.grids if not g.in_dialog and _has_columns(g, columns))
    found = []
    for row in rows:
        cells = row.row.cells
        if not set(range(len(headings))) <= set(cells):
            row.fail("a row with fewer cells than headings")
        found.append((row, {name: cells[at].line for at, name in enumerate(headings) if name}))
    return found


def _has_columns(grid: Grid, columns: Columns) -> bool:
    return all(_positions(grid.headings, names) for _, names in columns.items())


def about(look: Look, labels: Labels) -> Release:
    """Help > About (9.1.1 step 14)."""
    found = [match["release"] for line in look.lines if (match := re.match(labels.texts.about, line))]
    if len(found) != 1:
        raise UnreadableReply("About", "no line with the release", " ".join(look.lines[-8:]))
    return Release.parse(found[0])


# --- one cluster


def cluster_system(look: Look, labels: Labels, cluster: str) -> tuple[str, Release, tuple[str, ...]]:
    """(status, release of the applied configuration, servers with a Config mismatch) (10.2 step 5)."""
    source = f"System tab of {cluster}"
    shown = _fact(look, labels.facts.name, source)
    if shown != cluster:
        raise UnreadableReply(source, "the page is that of another cluster", shown)
    status = _fact(look, labels.facts.status, source)
    if not is_one_of(status, labels.statuses):
        raise UnreadableReply(source, "a status that is not known", status)
    version = Release.parse(_fact(look, labels.facts.version, source))
    rows = look.grid(labels.grids.cluster_system, source)
    if not rows:
        raise UnreadableReply(source, "no servers are shown", "")
    mismatch = []
    for row in rows:
        if is_one_of(row["config"], labels.texts.config_mismatch):
            mismatch.append(row.required("name"))
        elif not is_one_of(row["config"], labels.texts.config_good):
            row.fail("a Config cell that is not known")
    return status, version, tuple(mismatch)


def cluster_reports(look: Look, labels: Labels, cluster: str) -> dict[str, float]:
    """The counters of the Reports tab by name."""
    source = f"Reports tab of {cluster}"
    if look.heading != cluster:
        raise UnreadableReply(source, "the page is that of another cluster", look.heading)
    found: dict[str, float] = {}
    for row in look.grid(labels.grids.cluster_reports, source):
        name = row.required("counter")
        if name in found:
            row.fail("a counter stands there twice")
        found[name] = number(row["value"], source)
    if not found:
        raise UnreadableReply(source, "no counters are shown", "")
    return found


def _fact(look: Look, names: Names, source: str) -> str:
    found = [value for name, value in look.facts if is_one_of(name.rstrip(":"), names)]
    if len(found) != 1:
        raise UnreadableReply(source, f"{len(found)} entries {names[0]}", str(look.facts))
    return found[0]


# --- check boxes of the maintenance pages


@dataclass(frozen=True, slots=True)
class Ticks:
    """The check boxes of a page that has one for each cluster and one for each server."""

    members: Mapping[str, AbstractSet[str]]  # servers by cluster
    boxes: Mapping[str, str]  # name of the check box by cluster
    servers: AbstractSet[str]  # that are ticked
    clusters: AbstractSet[str]  # whose own check box is ticked
    strange: AbstractSet[str]  # ticked check boxes that are neither

    @property
    def all_servers(self) -> set[str]:
        return {server for servers in self.members.values() for server in servers}

    def are_servers(self, wanted: AbstractSet[str]) -> bool:
        """Exactly these servers are ticked; the check box of a cluster may stand for them, if all its servers are."""
        whole = all(self.members[cluster] <= wanted for cluster in self.clusters)
        return self.servers == wanted and whole and not self.strange

    def are_cluster(self, wanted: str) -> bool:
        """Exactly the check box of this cluster is ticked; those of all its servers may be ticked with it."""
        inside = not self.servers or self.servers == self.members.get(wanted)
        return self.clusters == {wanted} and inside and not self.strange

    def __str__(self) -> str:
        return ", ".join(sorted(self.servers | self.clusters | self.strange)) or "nothing"


def ticks(look: Look, labels: Labels, columns: Columns, source: str) -> Ticks:
    """What is ticked there. Raises UnreadableReply for a table that is not whole."""
    rows = look.grid(columns, source)
    members: dict[str, set[str]] = {}
    for cluster, row in _by_cluster(rows, labels, source):
        members.setdefault(cluster, set()).add(row["name"])
    boxes: dict[str, str] = {}
    servers, clusters = set(), set()
    strange = {box.name for grid in look.grids for row in grid.rows for box in row.boxes if box.ticked}
    for row in rows:
        own = row.row.boxes
        head = re.match(labels.texts.cluster_row, row["name"])
        if head and len(own) == 1 and own[0].name:
            boxes[head["name"]] = own[0].name
            if own[0].ticked:
                clusters.add(head["name"])
                strange.discard(own[0].name)
        elif not head and any(box.ticked and box.name == row["name"] for box in own):
            servers.add(row["name"])
            strange.discard(row["name"])
    return Ticks(members, boxes, servers, clusters, strange)


# --- what the console announces


def names_in(text: str, known: Iterable[str]) -> set[str]:
    """Which of these names stand in the text as whole words; a name inside a longer known one does not count."""
    found = set()
    for name in sorted(set(known), key=len, reverse=True):
        pattern = rf"(?<![\w.@/-]){re.escape(name)}(?![\w@/-])(?!\.\w)"
        text, hits = re.subn(pattern, "\0", text)
        if hits:
            found.add(name)
    return found


def says(text: str, words: Names) -> bool:
    """One of the phrases stands in the text, as whole words, whatever the case."""
    flat = plain(text)
    return any(re.search(rf"(?<![\w-]){re.escape(plain(phrase))}(?![\w-])", flat) for phrase in words)


def require_announced(
    text: str, intended: Intended, clusters: AbstractSet[str], servers: Mapping[str, str], labels: Labels
) -> None:
    """Does this text announce exactly the intended act, on exactly its server or cluster?

    `servers` gives the cluster of each server that the page shows. Raises NotAnnounced. ValueError when the
    intended act is of a server and names none.
    """
    text = " ".join(text.split())
    of_server = intended.act in (Act.INITIATE_UPGRADE, Act.INITIATE_BACKOUT)
    if of_server and intended.server is None:
        raise ValueError(f"{intended.act} needs the server that it is meant for")
    acts = {act for act, words in labels.upgrade_manager.words.items() if says(text, words)}
    target = intended.server if of_server and intended.server else intended.cluster
    named = names_in(text, {*clusters, *servers, target, intended.cluster})
    allowed = {target, intended.cluster}
    if acts != {intended.act} or target not in named or not named <= allowed:
        raise NotAnnounced(str(intended), text or "nothing")


def require_names(
    text: str, phrase: Names, wanted: AbstractSet[str], known: AbstractSet[str], expected: str
) -> None:
    """Does this dialog say the phrase and name exactly these? Raises NotAnnounced."""
    named = names_in(text, known | wanted)
    if not says(text, phrase) or named != set(wanted):
        raise NotAnnounced(expected, " ".join(text.split()) or "nothing")


def require_operation(
    text: str, operation: Operate, wanted: AbstractSet[str], known: AbstractSet[str], labels: Labels
) -> None:
    """Does this dialog say the words of this entry of Operations alone, and name exactly these?

    Raises NotAnnounced.
    """
    expected = f"{operation} {', '.join(sorted(wanted))}"
    said = {one for one, words in labels.operations.words.items() if says(text, words.dialog)}
    if said != {operation}:
        raise NotAnnounced(expected, " ".join(text.split()) or "nothing")
    require_names(text, labels.operations.words[operation].dialog, wanted, known, expected)
