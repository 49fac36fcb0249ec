"""The live board: what every server and every cluster is doing, from the ledger's lines and its last snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mopflow.alarms import CATALOGUE, JUST_SEEN, Standing
from mopflow.ledger.records import BoardLine, Hold, HoldAnswer, StopRequest
from mopflow.readiness import window_of
from mopflow.site import Site, Window
from mopflow.system import Doing, Stage

REAL_MINUTE = 60  # seconds; a site whose minute is shorter is a twin, and its times need seconds
AT_REST = (Stage.FRESH, Stage.DONE)
UNDER_WAY = ("working", "waiting")  # states of a line


class Timeliness(StrEnum):
    """Where a step is against the time that is normal for it."""

    NONE = ""  # it does not run
    NORMAL = "normal"
    LONGER = "longer than usual"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class AlarmMark:
    """An active alarm of a server with its standing, as judged by the run, and why."""

    number: int
    severity: str
    source: str
    cluster: str | None
    standing: Standing
    text: str
    why: str = ""

    @property
    def is_fine(self) -> bool:
        return self.standing in (Standing.EXPECTED, Standing.BASELINE)

    @property
    def in_doubt(self) -> bool:
        """Nobody lists it, and it was seen too few times to call it unexpected."""
        return self.standing is Standing.EXPECTED and self.why == JUST_SEEN


@dataclass(frozen=True, slots=True)
class AbsentAlarm:
    """The row that a cluster is in lists this alarm, and it does not stand."""

    number: int
    name: str
    cluster: str


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

    @property
    def under_way(self) -> bool:
        return self.state in UNDER_WAY


@dataclass(frozen=True, slots=True)
class Run:
    """A process that works on the site. ``alive``: None when that cannot be told from this machine."""

    flow: str
    scope: str
    since: datetime
    host: str
    pid: int
    alive: bool | None


@dataclass(frozen=True, slots=True)
class Stop:
    """A person asked the runs to stop. ``effects``: where it took effect, a sentence each; none: not yet."""

    request: StopRequest
    effects: tuple[str, ...]


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
    def running(self) -> bool:
        """Does the console show an operation that runs on it?"""
        return self.doing == Doing.RUNNING

    @property
    def ended(self) -> bool:
        """Does the console show how its last operation ended?"""
        return self.doing in (Doing.SUCCEEDED, Doing.FAILED)

    def count(self, standing: Standing) -> int:
        """How many alarms of it have this standing; one that was seen too few times has none."""
        return sum(alarm.standing is standing and not alarm.in_doubt for alarm in self.alarms)

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

    @property
    def quiet(self) -> bool:
        """At rest on one release, nothing is done on it, and no alarm of it needs an explanation."""
        works = [self.work, *(server.work for server in self.servers)]
        return (
            (not self.stage or self.stage in AT_REST)
            and all(work is None or work.state == "done" for work in works)
            and not any(server.running or server.unexpected or server.sync_broken for server in self.servers)
        )


@dataclass(frozen=True, slots=True)
class Board:
    site: str
    now: datetime  # UTC
    exact: bool  # times are shown with their seconds: the site is a twin
    taken: datetime | None  # when the snapshot was kept, UTC
    current_iso: str
    clusters: tuple[ClusterRow, ...]
    elsewhere: tuple[Work, ...]  # work on a segment or on the whole system
    loose_alarms: tuple[AlarmMark, ...]  # of sources that the site file does not have
    absent: tuple[AbsentAlarm, ...]
    holds: tuple[Hold, ...]
    file: str = "SITE"  # the site file, for the commands that a person types
    answers: tuple[HoldAnswer, ...] = ()  # to open holds: the run has not taken them yet
    campaign: str | None = None
    runs: tuple[Run, ...] = ()
    stop: Stop | None = None
    window: Window | None = None  # the one that is open, else the next one
    rehearsed: str = ""  # whether this plan was rehearsed, in words; "" while nobody has asked

    @property
    def at_work(self) -> bool:
        """Is there a run that is not known to be dead?"""
        return any(run.alive is not False for run in self.runs)

    def answer(self, hold: Hold) -> HoldAnswer | None:
        """What was answered to an open hold and not taken yet."""
        return next((one for one in self.answers if one.hold == hold.id), None)

    @property
    def alarms(self) -> tuple[AlarmMark, ...]:
        """Every active alarm, by cluster in the order of the site; those of unknown sources last."""
        mine = (alarm for cluster in self.clusters for server in cluster.servers for alarm in server.alarms)
        return (*mine, *self.loose_alarms)

    def standing(self, *standings: Standing) -> list[AlarmMark]:
        """The alarms of these standings; one that was seen too few times counts for none."""
        return [alarm for alarm in self.alarms if alarm.standing in standings and not alarm.in_doubt]


def build(
    site: Site,
    lines: Sequence[BoardLine],
    snapshot: tuple[datetime, Mapping[str, Any]] | None,
    holds: Iterable[Hold],
    now: datetime,
    *,
    file: str = "SITE",
    answers: Iterable[HoldAnswer] = (),
    campaign: str | None = None,
    runs: Iterable[Run] = (),
    stop: Stop | None = None,
    rehearsed: str = "",
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
        now=now,
        exact=site.pace.minute < REAL_MINUTE,
        taken=taken,
        current_iso=document.get("current_iso", ""),
        clusters=tuple(clusters),
        elsewhere=tuple(work.values()),
        loose_alarms=tuple(alarm for alarm in alarms if alarm.source not in known),
        absent=tuple(_absent(item) for item in document.get("absent", ())),
        holds=tuple(holds),
        file=file,
        answers=tuple(answers),
        campaign=campaign,
        runs=tuple(runs),
        stop=stop,
        window=window_of(site.windows, now),
        rehearsed=rehearsed,
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
        item["number"],
        item["severity"],
        item["source"],
        item.get("cluster"),
        Standing(item["standing"]),
        item["text"],
        item.get("why", ""),
    )


def _absent(item: Mapping[str, Any]) -> AbsentAlarm:
    entry = CATALOGUE.get(item["number"])
    return AbsentAlarm(item["number"], entry.name if entry is not None else "", item["cluster"])


def _work(line: BoardLine, now: datetime) -> Work:
    running = line.state in UNDER_WAY
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
