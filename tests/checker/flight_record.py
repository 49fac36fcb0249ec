"""Reads `flight.jsonl` and `world.json` and says whether they are well formed.

Nothing here imports the product or the twin: the record is bytes on disk, so a mistake in either
cannot hide itself. The format is the one that the twin's documentation promises; fields that it
does not name are tolerated, events that it does not name are reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROLES = ("Active", "Standby", "Forced Standby", "OOS", "Offline", "Zombie")
KINDS = ("CMP", "MPE", "MPE-Li", "MRA")
INITIATES = ("initiate_upgrade", "initiate_backout")
"""By the Upgrade Director, or server by server in System Maintenance of 10.5 and 11.5: the record calls both alike."""
HAND_OVERS = ("failover", "switch_force_standby")
"""Another server of the cluster becomes active: by the Director, or in System Maintenance."""
ACTIONS = (
    *INITIATES,
    "failover",
    "reapply",
    "force_standby",
    "cancel_force_standby",
    "switch_force_standby",
    "push_scripts",
    "upload_iso",
    "delete_iso",
    "select_iso",
    "reset_counters",
)
SYSTEM_WIDE = ("push_scripts", "upload_iso", "delete_iso", "select_iso")
"""Actions whose cluster may be null."""


class UnreadableRunError(Exception):
    """A folder without a usable `world.json` or `flight.jsonl`: nothing can be judged."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: `rule` is R1 .. R11, `twice` (an act sent twice) or `record` (the record itself)."""

    t: float  # twin seconds since the start of the run
    rule: str
    text: str
    cluster: str | None = None
    server: str | None = None

    def __str__(self) -> str:
        where = " / ".join(name for name in (self.cluster, self.server) if name) or "-"
        return f"t={self.t:.1f} {self.rule} [{where}] {self.text}"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the record."""

    t: float
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def get(self, key: str) -> Any:
        return self.fields.get(key)


@dataclass(frozen=True, slots=True)
class WorldServer:
    name: str
    role: str
    release: str
    images: tuple[str, ...] | None = None  # file names in /var/TKLC/upgrade; None: the world does not say it


@dataclass(frozen=True, slots=True)
class WorldCluster:
    name: str
    kind: str
    primary: bool
    servers: tuple[WorldServer, ...]


@dataclass(frozen=True, slots=True)
class World:
    """How the run began."""

    clusters: tuple[WorldCluster, ...]
    source: str
    target: str
    hosts: frozenset[str] = (
        frozenset()
    )  # beside the clusters, such as PM&C: only files and shells happen there


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _text_or_null(value: object) -> bool:
    return value is None or _text(value)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _size(value: object) -> bool:
    return value is None or (_whole(value) and int(str(value)) >= 0)


def _one_of(*words: str) -> Callable[[object], bool]:
    return lambda value: value in words


_PLACE = {"server": _text, "cluster": _text, "kind": _one_of(*KINDS)}
_ACT = {
    "cluster": _text_or_null,
    "server": _text_or_null,
    "action": _one_of(*ACTIONS),
    "by": _text,
}
_ALARM = {"number": _whole, "severity": _text}

SCHEMA: Mapping[str, Mapping[str, Callable[[object], bool]]] = {
    "role": {**_PLACE, "from": _one_of(*ROLES), "to": _one_of(*ROLES)},
    "release": {**_PLACE, "from": _text, "to": _text},
    "action_started": _ACT,
    "action_ended": {**_ACT, "result": _one_of("Success", "Failed")},
    "refused": {**_ACT, "why": _text},
    "alarm_raised": _ALARM,
    "alarm_cleared": _ALARM,
    "replication": {"server": _text, "in_sync": _flag},
    "reachable": {"server": _text, "up": _flag},
    "traffic": {"cluster": _text, "active": _flag},
    "ssh_login": {"server": _text, "user": _text, "ok": _flag},
    "ssh_command": {"server": _text, "user": _text, "command": lambda value: isinstance(value, str)},
    "su": {"server": _text, "user": _text, "by": _text, "ok": _flag},
    "password_set": {"server": _text, "user": _text, "algorithm": _text},
    "rcs": {"server": _text, "path": _text, "op": _one_of("co", "ci", "unco")},
    "file": {"server": _text, "path": _text, "op": _one_of("write", "delete"), "size": _size},
    "gui_login": {"user": lambda value: isinstance(value, str), "ok": _flag},
    "pmac": {"op": _one_of("login", "add", "delete", "task"), "image": _text_or_null, "ok": _flag},
    "backup": {"server": _text, "what": _one_of("server", "system"), "path": _text, "size": _size},
    "fault": {"name": _text, "where": _text},
}
"""Event -> field -> what its value must be. A kind that later work adds to the record is added here."""


OF_HOSTS = frozenset({"ssh_login", "ssh_command", "file", "su", "password_set", "rcs"})


def read_world(document: Any) -> World:
    """The parsed `world.json`.

    Raises:
        UnreadableRunError: a field is missing or has no sense; the message names it.
    """
    try:
        clusters = tuple(
            WorldCluster(
                name=cluster["name"],
                kind=cluster["kind"],
                primary=bool(cluster.get("primary")),
                servers=tuple(
                    WorldServer(server["name"], server["role"], server["release"], _images(server))
                    for server in cluster["servers"]
                ),
            )
            for cluster in document["clusters"]
        )
        hosts = frozenset(str(name) for name in document.get("hosts", ()))
        world = World(clusters, document["source"], document["target"], hosts)
    except (KeyError, TypeError, AttributeError) as problem:
        raise UnreadableRunError(f"world.json: {type(problem).__name__}: {problem}") from problem
    for cluster in clusters:
        if cluster.kind not in KINDS:
            raise UnreadableRunError(f"world.json: cluster {cluster.name}: unknown kind {cluster.kind!r}")
        for server in cluster.servers:
            if server.role not in ROLES:
                raise UnreadableRunError(f"world.json: server {server.name}: unknown role {server.role!r}")
    names = [cluster.name for cluster in clusters]
    names += [server.name for cluster in clusters for server in cluster.servers]
    if len(set(names)) != len(names):
        raise UnreadableRunError("world.json: a name of a cluster or server occurs twice")
    return world


def _images(server: Mapping[str, Any]) -> tuple[str, ...] | None:
    return tuple(str(name) for name in server["images"]) if "images" in server else None


def parse_lines(text: str) -> tuple[list[Any], list[Violation]]:
    """The JSON documents of a record. A last line without its newline was cut by a kill and is skipped."""
    documents: list[Any] = []
    problems: list[Violation] = []
    lines = text.split("\n")
    whole, rest = lines[:-1], lines[-1]
    for number, line in enumerate(whole, start=1):
        try:
            documents.append(json.loads(line))
        except json.JSONDecodeError as problem:
            problems.append(Violation(0.0, "record", f"line {number} is not JSON: {problem}"))
    if rest:
        try:
            documents.append(json.loads(rest))
        except json.JSONDecodeError:
            rest = ""  # half a line: the writer was killed while it wrote
    return documents, problems


def read_events(documents: Sequence[Any], world: World) -> tuple[list[Event], list[Violation]]:
    """The usable events in their order, and what is wrong with the others."""
    events: list[Event] = []
    problems: list[Violation] = []
    homes = {server.name: cluster for cluster in world.clusters for server in cluster.servers}
    clusters = {cluster.name for cluster in world.clusters}
    latest = 0.0
    for number, document in enumerate(documents, start=1):
        complaints: list[str] = []
        t = document.get("t") if isinstance(document, dict) else None
        if not isinstance(t, int | float) or isinstance(t, bool):
            problems.append(Violation(latest, "record", f"line {number} is no object with a time t"))
            continue
        if t < latest:
            complaints.append(f"time runs backwards: {t} after {latest}")
        latest = max(latest, float(t))
        name = document.get("event")
        if name not in SCHEMA:
            problems.append(Violation(latest, "record", f"line {number}: unknown event {name!r}"))
            continue
        fatal = [
            f"{name}: field {key!r} is {'missing' if key not in document else repr(document[key])}"
            for key, fits in SCHEMA[name].items()
            if key not in document or not fits(document[key])
        ]
        complaints += fatal
        if not fatal:
            beside = name in OF_HOSTS and document.get("server") in world.hosts
            places = [] if beside else _place_complaints(name, document, homes, clusters)
            complaints += places
            if not places:
                fields = {key: value for key, value in document.items() if key not in ("t", "event")}
                events.append(Event(latest, name, fields))
        problems += [
            Violation(
                latest,
                "record",
                f"line {number}: {complaint}",
                cluster=document.get("cluster") if isinstance(document.get("cluster"), str) else None,
                server=document.get("server") if isinstance(document.get("server"), str) else None,
            )
            for complaint in complaints
        ]
    return events, problems


def _place_complaints(
    name: str, document: Mapping[str, Any], homes: Mapping[str, WorldCluster], clusters: set[str]
) -> list[str]:
    server, cluster = document.get("server"), document.get("cluster")
    complaints: list[str] = []
    if name.startswith("alarm_") and server is None and cluster is None:
        complaints.append(f"{name}: neither server nor cluster")
    if name in ("action_started", "action_ended"):
        if cluster is None and document["action"] not in SYSTEM_WIDE:
            complaints.append(f"{name}: {document['action']} without its cluster")
        if server is None and document["action"] in INITIATES:
            complaints.append(f"{name}: {document['action']} without its server")
    if server is not None and server not in homes:
        complaints.append(f"{name}: no server {server!r} in world.json")
    if cluster is not None and cluster not in clusters:
        complaints.append(f"{name}: no cluster {cluster!r} in world.json")
    if not complaints and server is not None and cluster is not None and homes[server].name != cluster:
        complaints.append(f"{name}: {server} belongs to {homes[server].name}, not to {cluster}")
    if not complaints and "kind" in SCHEMA[name] and homes[document["server"]].kind != document["kind"]:
        complaints.append(f"{name}: {server} is of kind {homes[document['server']].kind}")
    return complaints


def load(folder: Path) -> tuple[World, list[Event], list[Violation]]:
    """World, usable events and complaints of one run's folder.

    Raises:
        UnreadableRunError: a file is missing, or `world.json` cannot be read.
    """
    try:
        world_text = (folder / "world.json").read_text(encoding="utf-8")
        flight_text = (folder / "flight.jsonl").read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise UnreadableRunError(f"{folder}: {problem.strerror}: {problem.filename}") from problem
    try:
        world = read_world(json.loads(world_text))
    except json.JSONDecodeError as problem:
        raise UnreadableRunError(f"{folder / 'world.json'} is not JSON: {problem}") from problem
    documents, broken = parse_lines(flight_text)
    events, problems = read_events(documents, world)
    return world, events, broken + problems
