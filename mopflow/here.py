"""Where a step stands: the house, its scope, and the reading that it is decided on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopflow.errors import BadInput
from mopflow.ledger import Entry, Event, Row
from mopflow.rules import StartSeen
from mopflow.step import DeadlineKind, Leg, Step
from mopflow.system import Alarm, ClusterState
from mopflow.turning import goes_back, newest_act

if TYPE_CHECKING:
    from mopflow.console.protocol import Console, Shots
    from mopflow.eye import Reading
    from mopflow.house import House, Line
    from mopflow.site import Cluster, Server, Site


@dataclass(frozen=True, slots=True)
class Scope:
    """What a step is carried out on: one server, one cluster, one segment, or the whole system."""

    cluster: str | None = None
    segment: str | None = None
    server: str | None = None

    @property
    def key(self) -> str | None:
        """Its name in the ledger; None for the whole system."""
        return self.server or self.cluster or self.segment

    def __str__(self) -> str:
        return self.key or "system"


STARTS = ("10.2/3", "10.2/9", "12.3.3/2", "12.3.3/5")  # rows whose act starts an MPE or MRA server (R3)
STARTED = (Event.INTENDED, Event.ACTED, Event.LOST, Event.ADOPTED)


class Here:
    """What the functions of a step's table look at and act through. One per step that is carried out."""

    def __init__(
        self, house: House, step: Step, scope: Scope, reading: Reading, line: Line | None = None
    ) -> None:
        self.house = house
        self.step = step
        self.scope = scope
        self.reading = reading
        self._line = line
        self.leg: Leg = step.legs[0]
        self.memo: dict[str, Any] = {}  # facts that one step reads once, such as hashes over SSH
        self.urgent = False  # this step is part of a rollback
        self._turn: int | None = None

    # what is known

    @property
    def line(self) -> Line:
        """This step's line on the board, for what an act has to say while it runs."""
        if self._line is None:
            raise BadInput(f"{self.step.key} has no line on the board")
        return self._line

    @property
    def site(self) -> Site:
        return self.house.site

    @property
    def console(self) -> Console:
        return self.house.console

    @property
    def server(self) -> Server:
        """The server of the scope. Raises BadInput when the step has none."""
        if self.scope.server is None:
            raise BadInput(f"{self.step.key} needs a server")
        return self.site.server(self.scope.server)

    @property
    def cluster(self) -> Cluster:
        """The cluster of the scope, or that of its server. Raises BadInput when the step has none."""
        if self.scope.cluster is not None:
            return self.site.cluster(self.scope.cluster)
        found = self.site.cluster_of(self.scope.server) if self.scope.server is not None else None
        if found is None:
            raise BadInput(f"{self.step.key} needs a cluster")
        return found

    @property
    def state(self) -> ClusterState:
        return self.reading.state(self.cluster.name)

    @property
    def states(self) -> dict[str, ClusterState]:
        return self.reading.states

    @property
    def unreadable(self) -> bool:
        """Does the console show something of this scope that cannot be read: a role, or the release of a server at rest?"""
        scope = self.scope
        if scope.cluster is not None:
            clusters = [self.site.cluster(scope.cluster)]
        elif scope.server is not None:
            found = self.site.cluster_of(scope.server)
            clusters = [found] if found is not None else []
        else:
            clusters = list(self.site.segment(scope.segment).clusters) if scope.segment is not None else []
        return any(server.unreadable for c in clusters for server in self.states[c.name].servers)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        return self.reading.snapshot.alarms

    def look_again(self, *, alarms: bool = False) -> Reading:
        """Replace the reading by one that begins now."""
        self.reading = self.house.eye.after(time.monotonic(), alarms=alarms)
        return self.reading

    # the ledger

    def rows(self, *events: Event, step: str | None = None, leg: str | None = None) -> list[Row]:
        """This campaign's rows of this step (or ``step``, such as 10.2/3) on this scope, oldest first.

        Only since the cluster was last turned round: an upgrade after a backout begins anew, and the reverse.
        """
        procedure, number = (step or self.step.key).split("/")
        found = self.house.ledger.rows(
            campaign=self.house.campaign,
            procedure=procedure,
            step=int(number),
            cluster=self.scope.key,
            events=events or None,
        )
        return [
            row
            for row in found
            if (leg is None or row.entry.leg == leg)
            and row.entry.cluster == self.scope.key
            and row.id > self._turned()
        ]

    def _turned(self) -> int:
        """Id of the newest act of the other direction on this cluster; nobody turns it while a step works on it."""
        if self._turn is None:
            back = goes_back(self.step.procedure)
            last = newest_act(self.house.ledger, self.site.name, self.scope.key, back=not back)
            self._turn = last.id if last is not None else 0
        return self._turn

    def record(
        self,
        event: Event,
        text: str,
        *,
        token: str | None = None,
        server: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Row:
        return self.house.ledger.record(
            self.house.campaign,
            self.site.name,
            self.house.executor,
            Entry(
                procedure=self.step.procedure,
                step=self.step.number,
                leg=self.leg.name,
                cluster=self.scope.key,
                event=event,
                text=self.house.vault.strike(text),
                server=server or self.scope.server,
                token=token,
                data=dict(data or {}),
            ),
        )

    def last_start(self) -> StartSeen | None:
        """The newest start of an MPE or MRA server that was, or may have been, accepted, of any run on this site (R3).

        An intention without an answer counts too: its process may have died after the click.
        """
        newest: Row | None = None
        for key in STARTS:
            procedure, number = key.split("/")
            row = self.house.ledger.last(
                site=self.site.name, procedure=procedure, step=int(number), events=STARTED
            )
            if row is not None and (newest is None or row.at > newest.at):
                newest = row
        if newest is None:
            return None
        ago = (datetime.now(UTC) - newest.at).total_seconds()
        return StartSeen(newest.entry.cluster or "", newest.entry.server or "", ago)

    # time

    def usual(self, kind: DeadlineKind) -> timedelta:
        return timedelta(seconds=getattr(self.site.pace, kind.value).usual)

    def late(self, kind: DeadlineKind) -> timedelta:
        return timedelta(seconds=getattr(self.site.pace, kind.value).late)

    # evidence

    def keep(self, name: str, text: str, kind: str = "text") -> Path:
        return self.house.evidence.keep_text(
            self.step.procedure, self.step.number, str(self.scope), name, text, kind
        )

    def shots(self) -> Shots:
        """Where this step's pictures go; hashed and recorded when the step ends."""
        if "shots" not in self.memo:
            self.memo["shots"] = self.house.evidence.shots(
                self.step.procedure, self.step.number, str(self.scope)
            )
        shots: Shots = self.memo["shots"]
        return shots
