"""A night on the twin's world in this process, on a clock that is turned by hand: no forecast knows this code.

It follows the rows of the document as the flows do (one start a minute, four clusters, one failover with its re-apply
and proof, readings every ten seconds, two of them agreeing), lets a person take their time where one is asked, and
keeps the journal that mopflow would have kept. How long things last is drawn by the twin, and by dice of its own.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from cli.twin_files import twin_document
from lab.clock import ManualClock, Script, drive
from lab.config import Secrets, TwinConfig
from lab.flight import FlightRecord
from lab.state import Act, Role
from lab.world import World
from mopflow.ledger.records import Entry, Event, Executor, Row
from mopflow.procedures.table import cmp_procedures
from mopflow.site import Cluster, Site
from mopflow.step import DeadlineKind, Procedure
from mopflow.system import Stage

Key = tuple[str, int, str, str]  # procedure, step, leg, cluster
POLL = 10.0  # seconds between two readings
BY = "night"


@dataclass(frozen=True, slots=True)
class People:
    """How long the persons of a site take, in seconds."""

    command: tuple[float, float] = (60.0, 420.0)  # to start the next command: evenly between
    answer: float = 150.0  # to answer a question, in the mean

    def to_start(self, dice: random.Random) -> float:
        return dice.uniform(*self.command)

    def to_answer(self, dice: random.Random) -> float:
        return dice.gammavariate(2.0, self.answer / 2.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about an act, and when it was answered."""

    id: str
    cluster: str
    at: datetime
    answered: datetime


@dataclass(slots=True)
class Record:
    """One night as the ledger would have it; ``looks``: the stage of every cluster at the moments asked for."""

    campaign: str
    start: datetime
    rows: list[Row] = field(default_factory=list)
    executors: list[Executor] = field(default_factory=list)
    questions: list[Asked] = field(default_factory=list)
    ends: dict[str, datetime] = field(default_factory=dict)  # of the phases
    looks: dict[datetime, dict[str, Stage]] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return max(self.ends.values())


class _Queue:
    """First come, first served."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[str] = deque()

    def wait(self, who: str) -> Script:
        self._waiting.append(who)
        while self._waiting[0] != who or self._free == 0:
            yield 1.0
        self._waiting.popleft()
        self._free -= 1

    def give_back(self) -> None:
        self._free += 1


class NightOfTwin:
    """``asks``: a person is asked before a CMP switch and before the first failover of each segment."""

    def __init__(
        self,
        site: Site,
        seed: int,
        start: datetime,
        *,
        first_id: int = 1,
        people: People | None = None,
        asks: bool = True,
        look_after: tuple[float, ...] = (),
    ) -> None:
        self.site = site
        self.record = Record(f"night-{seed}", start)
        self._people = people or People()
        self._asks = asks
        self._dice = random.Random(f"night {site.name} {seed}")
        self._clock = ManualClock()
        self.flight = FlightRecord(self._clock.now)
        self._world = _world(site, seed, self._clock, self.flight, start)
        self._id = first_id
        self._executor = ""
        self._places, self._starts, self._failovers = _Queue(4), _Queue(1), _Queue(1)
        self._last_start = -1e9
        self._asked: set[str] = set()
        self._errors: list[Exception] = []
        for seconds in look_after:
            self._clock.call_later(seconds, self._look)

    def run(self) -> Record:
        """Raises what went wrong in a script of the night."""
        over: list[bool] = []

        def whole() -> Script:
            yield from self._night()
            over.append(True)

        drive(self._clock, whole(), lambda: None, self._errors.append)
        while not over:
            if self._errors:
                raise self._errors[0]
            self._clock.advance(30.0)
            if self._clock.now() > 3 * 86400:
                raise AssertionError("the night never ends")
        return self.record

    # the commands

    def _night(self) -> Script:
        primary, secondary = cmp_procedures(self.site.source_release)
        yield self._people.to_start(self._dice)
        with self._command("upgrade-cmp", "cmp"):
            yield self._dice.uniform(8.0, 20.0)
            yield from self._cmp(self.site.cmp.primary, primary, "primary CMP")
            if self.site.cmp.secondary is not None:
                yield from self._cmp(self.site.cmp.secondary, secondary, "secondary CMP")
            yield self._dice.uniform(1.0, 4.0)
        for segment in self.site.segments:
            yield self._people.to_start(self._dice)
            with self._command("upgrade-segment", segment.name):
                yield self._dice.uniform(8.0, 20.0)
                for number in (1, 2):
                    yield self._dice.uniform(5.0, 60.0)
                    self._row("10.1.1", number, "", segment.name, Event.OBSERVED)
                left = {cluster.name for cluster in segment.clusters}
                for cluster in segment.clusters:
                    drive(
                        self._clock,
                        self._cluster(cluster, segment.name, left),
                        lambda: None,
                        self._errors.append,
                    )
                while left:
                    yield 1.0
                for number in (11, 12):
                    yield self._dice.uniform(3.0, 20.0)
                    self._row("10.2", number, "", segment.name, Event.OBSERVED)
                self.record.ends[segment.name] = self._now()
                yield self._dice.uniform(1.0, 4.0)

    def _command(self, flow: str, scope: str) -> Any:
        return _Command(self, flow, scope)

    def begin(self, flow: str, scope: str) -> Executor:
        self._executor = f"{self.record.campaign}-{len(self.record.executors)}"
        return Executor(
            self._executor,
            self.record.campaign,
            self.site.name,
            flow,
            scope,
            "nowhere",
            1,
            0.0,
            self._now(),
            None,
            None,
        )

    # one CMP cluster

    def _cmp(self, cluster: Cluster, table: Procedure, name: str) -> Script:
        for step in table.steps:
            for leg in step.legs:
                key = (table.number, step.number, leg.name, cluster.name)
                if leg.act is not None and leg.deadline is DeadlineKind.INITIATE_UPGRADE:
                    yield self._dice.uniform(2.0, 10.0)
                    yield from self._upgrade(key, cluster)
                elif leg.act is not None and leg.deadline is DeadlineKind.FAILOVER and leg.name == "failover":
                    yield self._dice.uniform(2.0, 10.0)
                    yield from self._ask(key)
                    yield from self._fail_over(key, cluster)
                else:
                    yield self._dice.uniform(1.0, 25.0)
                    self._row(*key, Event.OBSERVED)
        self.record.ends[name] = self._now()

    # one MPE or MRA cluster

    def _cluster(self, cluster: Cluster, segment: str, left: set[str]) -> Script:
        name = cluster.name
        yield self._dice.uniform(0.0, 5.0)
        for leg in ("alarms", "syscheck", "counters", "baseline"):
            yield self._dice.uniform(1.0, 15.0)
            self._row("10.2", 1, leg, name, Event.OBSERVED)
        self._row("10.2", 2, "", name, Event.OBSERVED)
        yield from self._places.wait(name)
        yield from self._start(cluster, 3)
        yield from self._failovers.wait(name)
        yield self._dice.uniform(2.0, 10.0)
        failover = ("10.2", 4, "", name)
        if segment not in self._asked:
            self._asked.add(segment)
            yield from self._ask(failover)
        yield from self._fail_over(failover, cluster)
        yield from self._reapply(cluster, 5)
        yield self._dice.uniform(1.0, 5.0)
        self._row("10.2", 6, "", name, Event.OBSERVED)
        while not self._world.clusters[name].traffic:
            yield POLL
        self._row("10.2", 7, "traffic", name, Event.OBSERVED)
        self._row("10.2", 7, "rollback", name, Event.SKIPPED)
        for leg in ("reapply", "traffic", "decision"):
            self._row("10.2", 8, leg, name, Event.SKIPPED)
        self._failovers.give_back()
        yield from self._start(cluster, 9)
        if cluster.is_mpe:
            yield from self._failovers.wait(name)
            yield self._dice.uniform(1.0, 5.0)
            yield from self._reapply(cluster, 10)
            self._failovers.give_back()
        else:
            yield self._dice.uniform(1.0, 5.0)
            self._row("10.2", 10, "", name, Event.SKIPPED)
        self._row("10.2", 10, "alarms", name, Event.OBSERVED)
        self._places.give_back()
        left.discard(name)

    def _start(self, cluster: Cluster, number: int) -> Script:
        """R3: one at a time, a minute apart, and not before the one before shows OOS."""
        yield from self._starts.wait(cluster.name)
        yield self._dice.uniform(1.0, 10.0)
        while self._clock.now() - self._last_start < 60.0:
            yield POLL
        self._last_start = self._clock.now()
        key = ("10.2", number, "", cluster.name)
        yield from self._upgrade(key, cluster, shown=self._starts.give_back)
        if number == 3:
            self._row("10.2", 3, "alarms", cluster.name, Event.OBSERVED)

    # the acts

    def _upgrade(self, key: Key, cluster: Cluster, shown: Callable[[], None] | None = None) -> Script:
        announced = self._world.next_upgrade(cluster.name)
        assert announced is not None and announced.act is Act.INITIATE_UPGRADE, announced
        assert announced.server is not None
        self._row(*key, Event.INTENDED)
        yield self._dice.uniform(2.0, 6.0)
        self._world.perform(announced, BY)
        self._row(*key, Event.ACTED)
        server = self._world.servers[announced.server]
        yield POLL
        while shown is not None and server.role is not Role.OOS:
            yield POLL
        if shown is not None:
            shown()
        while self._world.running(cluster.name) or server.role is Role.OOS:
            yield POLL
        assert server.release == self.site.target, f"{server.name} failed"
        yield POLL  # read once more
        self._row(*key, Event.VERIFIED)

    def _fail_over(self, key: Key, cluster: Cluster) -> Script:
        announced = self._world.next_upgrade(cluster.name)
        assert announced is not None and announced.act is Act.FAILOVER, announced
        self._row(*key, Event.INTENDED)
        yield self._dice.uniform(2.0, 6.0)
        self._world.perform(announced, BY)
        self._row(*key, Event.ACTED)
        while self._world.running(cluster.name, Act.FAILOVER):
            yield POLL
        yield POLL
        self._row(*key, Event.VERIFIED)

    def _reapply(self, cluster: Cluster, number: int) -> Script:
        key = ("10.2", number, "", cluster.name)
        self._row(*key, Event.INTENDED)
        yield self._dice.uniform(2.0, 6.0)
        self._world.reapply(cluster.name, BY)
        self._row(*key, Event.ACTED)
        while self._world.running(cluster.name, Act.REAPPLY):
            yield POLL
        self._row(*key, Event.VERIFIED)

    def _ask(self, key: Key) -> Script:
        if self._asks:
            asked, number = self._now(), f"{self.record.campaign}-q{len(self.record.questions)}"
            self._row(*key, Event.HELD, {"hold": number})
            yield self._people.to_answer(self._dice)
            self.record.questions.append(Asked(number, key[3], asked, self._now()))

    # what is kept

    def _now(self) -> datetime:
        return self.record.start + timedelta(seconds=self._clock.now())

    def _row(
        self,
        procedure: str,
        step: int,
        leg: str,
        cluster: str,
        event: Event,
        data: dict[str, Any] | None = None,
    ) -> None:
        entry = Entry(procedure, step, leg, cluster, event, "", data=data or {})
        row = Row(self._id, self.site.name, self.record.campaign, self._executor, self._now(), entry)
        self._id += 1
        self.record.rows.append(row)

    def _look(self) -> None:
        self.record.looks[self._now()] = {c.name: self._stage(c.name) for c in self.site.clusters}

    def _stage(self, name: str) -> Stage:
        """As the Upgrade Manager shows it."""
        world = self._world
        active = world.active(name)
        if active is None:
            return Stage.MOVING
        other = world.mate(active.name)
        ahead = active.release == self.site.target
        if other.role is Role.OOS or world.running(name, Act.INITIATE_UPGRADE):
            return Stage.SECOND_RUNNING if ahead else Stage.FIRST_RUNNING
        if ahead:
            return Stage.DONE if other.release == self.site.target else Stage.SWITCHED
        return Stage.FIRST_DONE if other.release == self.site.target else Stage.FRESH


class _Command:
    """A run of a flow: entered in the ledger when it begins and when it ends."""

    def __init__(self, night: NightOfTwin, flow: str, scope: str) -> None:
        self._night = night
        self._begun = night.begin(flow, scope)

    def __enter__(self) -> None:
        self._night.record.executors.append(self._begun)

    def __exit__(self, kind: object, *_exc: object) -> None:
        if kind is not None:
            return
        b = self._begun
        ended = Executor(
            b.id,
            b.campaign,
            b.site,
            b.flow,
            b.scope,
            b.host,
            b.pid,
            b.born,
            b.begun,
            self._night._now(),
            "done",
        )
        self._night.record.executors[-1] = ended


def _world(site: Site, seed: int, clock: ManualClock, flight: FlightRecord, start: datetime) -> World:
    content = twin_document(site, seed, 60.0, ())
    for cluster in content["clusters"]:
        kind = "cmp" if cluster["kind"] == "CMP" else cluster["kind"].lower()
        for server in cluster["servers"]:
            server["images"] = [f"{kind}-{site.target}-x86_64.iso"]
    content["current_iso"] = f"cmp-{site.target}-x86_64.iso"
    content.pop("pmac", None)
    word = SecretStr("not used")
    secrets = Secrets(admusr=word, root=word, gui_user="admin", gui=word, ossi_user="ossi", ossi=word)
    world = World(TwinConfig.model_validate(content), secrets, clock, flight, start)
    world.scripts_pushed.update(world.servers)
    return world


def nights(
    site: Site, count: int, seed: int, *, people: People | None = None, look_after: tuple[float, ...] = ()
) -> Iterator[Record]:
    """So many nights of one site, a week apart."""
    first = 1
    for number in range(count):
        start = datetime(2026, 1, 5, 22, 0, tzinfo=UTC) + timedelta(days=7 * number)
        night = NightOfTwin(
            site, seed * 1000 + number, start, first_id=first, people=people, look_after=look_after
        )
        record = night.run()
        first = record.rows[-1].id + 1
        yield record
