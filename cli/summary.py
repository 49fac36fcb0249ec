"""How a rehearsal ended: the twin's own record and the ledger's holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServerEnd:
    name: str
    role: str
    began_on: str
    release: str


@dataclass(frozen=True, slots=True)
class ClusterEnd:
    name: str
    kind: str
    segment: str | None
    servers: tuple[ServerEnd, ...]
    target: str

    @property
    def upgraded(self) -> bool:
        """Both servers on the target release, one active and one standby."""
        return all(server.release == self.target for server in self.servers) and sorted(
            server.role for server in self.servers
        ) == ["Active", "Standby"]

    @property
    def untouched(self) -> bool:
        return all(server.release == server.began_on for server in self.servers)

    @property
    def backed_out(self) -> bool:
        """Both servers on the release that they began on, one active and one standby."""
        return self.untouched and sorted(server.role for server in self.servers) == ["Active", "Standby"]


@dataclass(frozen=True, slots=True)
class Flight:
    """What the twin recorded. Times in twin seconds; idle is time in which no action ran anywhere."""

    clusters: tuple[ClusterEnd, ...]
    seconds: float
    idle: float
    faults: tuple[str, ...]


def read_flight(world: Path, record: Path) -> Flight:
    """Raises OSError, ValueError when the twin's files are not whole."""
    with record.open(encoding="utf-8") as stream:
        events = [json.loads(line) for line in stream if line.endswith("\n")]
    return summarize(json.loads(world.read_text(encoding="utf-8")), events)


def summarize(world: Mapping[str, Any], events: Iterable[Event]) -> Flight:
    """Pure: `world` as in world.json, `events` as in flight.jsonl."""
    role = {s["name"]: s["role"] for c in world["clusters"] for s in c["servers"]}
    began = {s["name"]: s["release"] for c in world["clusters"] for s in c["servers"]}
    release = dict(began)
    running: Counter[tuple[Any, Any, Any]] = Counter()
    now = busy = 0.0
    faults = []
    for event in events:
        if running.total() > 0:
            busy += event["t"] - now
        now = event["t"]
        match event["event"]:
            case "role":
                role[event["server"]] = event["to"]
            case "release":
                release[event["server"]] = event["to"]
            case "action_started":
                running[_action(event)] += 1
            case "action_ended":
                running[_action(event)] -= 1
            case "fault":
                faults.append(f"{event['name']}@{event['where']}")
    clusters = tuple(
        ClusterEnd(
            c["name"],
            c["kind"],
            c["segment"],
            tuple(
                ServerEnd(s["name"], role[s["name"]], began[s["name"]], release[s["name"]])
                for s in c["servers"]
            ),
            world["target"],
        )
        for c in world["clusters"]
    )
    return Flight(clusters, now, max(0.0, now - busy), tuple(faults))


def _action(event: Event) -> tuple[Any, Any, Any]:
    return event.get("cluster"), event.get("server"), event["action"]


def as_hours(seconds: float) -> str:
    """Such as 3 h 05 min."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
