"""What the readings of a run showed, as changes: servers, stages and alarms over time. One file per run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopflow.ledger.models import plain_json
from mopflow.record.growing import Growing, entries

if TYPE_CHECKING:
    from mopflow.eye import Reading

_WORST = ("unexpected", "overstaying", "expected", "baseline")


class Readings:
    """Writes what changed from one reading to the next. `failed` is told when a line cannot be written."""

    def __init__(self, path: Path, strike: Callable[[str], str], failed: Callable[[OSError], None]) -> None:
        self._file = Growing(path)
        self._strike = strike
        self._failed = failed
        self._servers: dict[str, list[Any]] = {}
        self._stages: dict[str, str] = {}
        self._alarms: dict[str, list[Any]] = {}
        self._seen: datetime | None = None
        self._written: datetime | None = None

    def __call__(self, reading: Reading) -> None:
        """Take in a reading. Called by the one thread that reads."""
        servers = {
            s.name: [
                s.role.value,
                s.release.short if s.release is not None else None,
                s.operation.doing.value,
                s.operation.backout,
                s.sync_broken,
            ]
            for s in reading.snapshot.servers
        }
        stages = {name: state.stage.value for name, state in reading.states.items()}
        alarms = {
            f"{item.alarm.number} {item.alarm.source}": [
                item.alarm.severity.word,
                item.standing.value,
                item.cluster,
                self._strike(item.alarm.text),
            ]
            for item in reading.judged
        }
        changes = {
            "servers": _changed(self._servers, servers),
            "stages": _changed(self._stages, stages),
            "alarms": _changed(self._alarms, alarms),
            "cleared": sorted(self._alarms.keys() - alarms.keys()),
        }
        first = self._seen is None
        self._seen = reading.snapshot.taken
        self._servers, self._stages, self._alarms = servers, stages, alarms
        if first or any(changes.values()):
            self._write({key: value for key, value in changes.items() if value})

    def mark(self) -> None:
        """Say until when the last picture was seen to stand."""
        if self._seen is not None and self._seen != self._written:
            self._write({})

    def close(self) -> None:
        self._file.close()

    def _write(self, changes: Mapping[str, Any]) -> None:
        assert self._seen is not None
        seen = self._seen
        try:
            self._file.add(plain_json({"at": seen.isoformat(), **changes}))
        except OSError as error:
            self._failed(error)
        else:
            self._written = seen


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in now.items() if before.get(key) != value}


# reading it back


@dataclass(frozen=True, slots=True)
class Spell:
    """How a server stood from `begin` to `end`. `release`: such as 12.1.2, None when it could not be read."""

    begin: datetime
    end: datetime
    role: str
    release: str | None
    doing: str
    backout: bool
    sync_broken: bool


@dataclass(frozen=True, slots=True)
class AlarmSpell:
    """An alarm while it stood. `standing`: the worst that it was taken for; `open`: it stood in the last reading."""

    begin: datetime
    end: datetime
    number: int
    source: str
    severity: str
    standing: str
    cluster: str | None
    text: str
    open: bool = False


@dataclass(slots=True)
class Seen:
    """What all runs of a campaign have seen."""

    servers: dict[str, list[Spell]] = field(default_factory=dict)  # by server, in the order of time
    alarms: list[AlarmSpell] = field(default_factory=list)
    first: datetime | None = None
    last: datetime | None = None

    def alarms_in(self, begin: datetime, end: datetime) -> list[AlarmSpell]:
        return [spell for spell in self.alarms if spell.begin <= end and spell.end >= begin]


def read(folder: Path) -> Seen:
    """Everything that the files of a folder hold, put together."""
    seen = Seen()
    alarms: list[AlarmSpell] = []
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        found = _Run()
        for entry in entries(path):
            found.take(entry)
        found.end()
        for name, spells in found.done.items():
            seen.servers.setdefault(name, []).extend(spells)
        alarms += found.alarms
        moments = [moment for moment in (seen.first, found.first) if moment is not None]
        seen.first = min(moments, default=None)
        moments = [moment for moment in (seen.last, found.last) if moment is not None]
        seen.last = max(moments, default=None)
    for spells in seen.servers.values():
        spells.sort(key=lambda spell: spell.begin)
    seen.alarms = _joined(alarms)
    return seen


class _Run:
    """The file of one run, line by line."""

    def __init__(self) -> None:
        self.done: dict[str, list[Spell]] = {}
        self.alarms: list[AlarmSpell] = []
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._servers: dict[str, tuple[datetime, list[Any]]] = {}
        self._alarms: dict[str, AlarmSpell] = {}

    def take(self, entry: Mapping[str, Any]) -> None:
        at = datetime.fromisoformat(entry["at"])
        self.first, self.last = self.first or at, at
        for name, values in entry.get("servers", {}).items():
            self._end_of(name, at)
            self._servers[name] = at, values
        for key, (severity, standing, cluster, text) in entry.get("alarms", {}).items():
            number, _, source = key.partition(" ")
            before = self._alarms.get(key)
            begin = before.begin if before is not None else at
            worst = min((standing, before.standing if before else standing), key=_rank)
            self._alarms[key] = AlarmSpell(
                begin, at, int(number), source, severity, worst, cluster, text, True
            )
        for key in entry.get("cleared", ()):
            self._alarm_over(key, at, is_open=False)

    def end(self) -> None:
        if self.last is None:
            return
        for name in list(self._servers):
            self._end_of(name, self.last)
        for key in list(self._alarms):
            self._alarm_over(key, self.last, is_open=True)

    def _end_of(self, name: str, at: datetime) -> None:
        if name in self._servers:
            begin, values = self._servers.pop(name)
            self.done.setdefault(name, []).append(Spell(begin, at, *values))

    def _alarm_over(self, key: str, at: datetime, *, is_open: bool) -> None:
        spell = self._alarms.pop(key, None)
        if spell is not None:
            self.alarms.append(replace(spell, end=at, open=is_open))


def _rank(standing: str) -> int:
    return _WORST.index(standing) if standing in _WORST else 0


def _joined(spells: Iterable[AlarmSpell]) -> list[AlarmSpell]:
    """Two runs that saw one alarm at the same time saw one alarm."""
    joined: list[AlarmSpell] = []
    newest: dict[tuple[int, str], int] = {}
    for spell in sorted(spells, key=lambda spell: spell.begin):
        key = spell.number, spell.source
        at = newest.get(key)
        if at is not None and joined[at].end >= spell.begin:
            before = joined[at]
            later = max(before, spell, key=lambda one: one.end)
            worst = min(before.standing, spell.standing, key=_rank)
            joined[at] = replace(before, end=later.end, open=later.open, standing=worst)
        else:
            newest[key] = len(joined)
            joined.append(spell)
    return joined
