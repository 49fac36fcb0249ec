"""The live board: what every server and every cluster is doing, from the ledger's lines and its last snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mopflow.ledger.records import BoardLine, Hold
from mopflow.site import Site


class Timeliness(StrEnum):
    """Where a step is against the time that is normal for it."""

    NONE = ""  # it does not run
    NORMAL = "normal"
    LONGER = "longer than usual"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class AlarmMark:
    """An active alarm of a server. ``standing``: baseline, expected, overstaying, unexpected, as judged by the run."""

    number: int
    severity: str
    source: str
    cluster: str | None
    standing: str
    text: str

    @property
    def is_fine(self) -> bool:
        return self.standing in ("expected", "baseline")


@dataclass(frozen=True, slots=True)
class Work:
    """What is being done in a scope (cluster, segment, system)."""

    scope: str
    procedure: str
    number: int
    title: str
    state: str
    since: datetime
    usual_until: datetime | None
    late_at: datetime | None
    says: str  # what it waits for, or how it ended
    timeliness: Timeliness

    @property
    def key(self) -> str:
        return f"{self.procedure}/{self.number}"


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server as the last snapshot shows it; "?" where no snapshot has it."""

    name: str
    role: str
    release: str
    operation: str
    percent: int | None
    doing: str
    up_to_date: str
    sync_broken: bool
    alarms: tuple[AlarmMark, ...]
    work: Work | None = None  # what is done on this server alone

    @property
    def expected(self) -> int:
        return sum(alarm.is_fine for alarm in self.alarms)

    @property
    def unexpected(self) -> tuple[AlarmMark, ...]:
        return tuple(alarm for alarm in self.alarms if not alarm.is_fine)


@dataclass(frozen=True, slots=True)
class ClusterRow:
    name: str
    kind: str
    segment: str | None
    stage: str  # in words; "" while nothing has been read
    servers: tuple[ServerRow, ...]
    work: Work | None


@dataclass(frozen=True, slots=True)
class Board:
    site: str
    taken: datetime | None  # when the snapshot was kept, UTC
    current_iso: str
    clusters: tuple[ClusterRow, ...]
    elsewhere: tuple[Work, ...]  # work on a segment or on the whole system
    loose_alarms: tuple[AlarmMark, ...]  # of sources that the site file does not have
    holds: tuple[Hold, ...]


def build(
    site: Site,
    lines: Sequence[BoardLine],
    snapshot: tuple[datetime, Mapping[str, Any]] | None,
    holds: Iterable[Hold],
    now: datetime,
) -> Board:
    """Put the pieces together. ``snapshot`` is what `Ledger.snapshot` returns, ``now`` is UTC and aware."""
    taken, document = snapshot if snapshot is not None else (None, {})
    alarms = [_alarm(item) for item in document.get("alarms", ())]
    shown = {cluster["name"]: cluster for cluster in document.get("clusters", ())}
    work = {line.cluster: _work(line, now) for line in lines}
    segments = {cluster.name: segment.name for segment in site.segments for cluster in segment.clusters}
    clusters = []
    for cluster in site.clusters:
        there = shown.get(cluster.name, {})
        rows = {server["name"]: server for server in there.get("servers", ())}
        clusters.append(
            ClusterRow(
                name=cluster.name,
                kind=cluster.kind.value,
                segment=segments.get(cluster.name),
                stage=there.get("stage", ""),
                servers=tuple(
                    _server(name, rows.get(name), alarms, work.pop(name, None))
                    for name in cluster.server_names
                ),
                work=work.pop(cluster.name, None),
            )
        )
    known = {server.name for server in site.servers}
    return Board(
        site=site.name,
        taken=taken,
        current_iso=document.get("current_iso", ""),
        clusters=tuple(clusters),
        elsewhere=tuple(work.values()),
        loose_alarms=tuple(alarm for alarm in alarms if alarm.source not in known),
        holds=tuple(holds),
    )


def _server(
    name: str, shown: Mapping[str, Any] | None, alarms: Sequence[AlarmMark], work: Work | None
) -> ServerRow:
    mine = tuple(alarm for alarm in alarms if alarm.source == name)
    if shown is None:
        return ServerRow(name, "?", "?", "", None, "", "?", False, mine, work)
    return ServerRow(
        name=name,
        role=shown["role"],
        release=shown["release"] or "?",
        operation=shown["operation"],
        percent=shown["percent"],
        doing=shown["doing"],
        up_to_date=shown["up_to_date"],
        sync_broken=shown["sync_broken"],
        alarms=mine,
        work=work,
    )


def _alarm(item: Mapping[str, Any]) -> AlarmMark:
    return AlarmMark(
        item["number"], item["severity"], item["source"], item.get("cluster"), item["standing"], item["text"]
    )


def _work(line: BoardLine, now: datetime) -> Work:
    running = line.state in ("working", "waiting")
    timeliness = Timeliness.NONE
    if running and line.late_at is not None and now >= line.late_at:
        timeliness = Timeliness.LATE
    elif running and line.usual_until is not None and now >= line.usual_until:
        timeliness = Timeliness.LONGER
    elif running:
        timeliness = Timeliness.NORMAL
    return Work(
        scope=line.cluster,
        procedure=line.procedure,
        number=line.step,
        title=line.title,
        state=line.state,
        since=line.since,
        usual_until=line.usual_until,
        late_at=line.late_at,
        says=line.waits_for,
        timeliness=timeliness,
    )
