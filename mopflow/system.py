"""The snapshot: what the CMP shows of the whole system at one moment, and what one cluster's state means."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from mopflow.errors import UnreadableReply
from mopflow.release import Release


class Kind(StrEnum):
    """Kind of a cluster."""

    CMP = "CMP"
    MPE = "MPE"
    MPE_LI = "MPE-Li"
    MRA = "MRA"


class Role(StrEnum):
    """Role of a server as the console prints it (section 2.1); UNKNOWN is what we could not read."""

    ACTIVE = "Active"
    STANDBY = "Standby"
    FORCED_STANDBY = "Forced Standby"
    OOS = "OOS"
    OFFLINE = "Offline"
    ZOMBIE = "Zombie"
    SPARE = "Spare"
    UNKNOWN = "unknown"

    @classmethod
    def read(cls, cell: str) -> Role:
        """Read a Server Role cell; anything not known is UNKNOWN, never a guess."""
        words = " ".join(cell.split()).lower()
        return _ROLES.get(words, cls.UNKNOWN)


_ROLES = {
    "active": Role.ACTIVE,
    "standby": Role.STANDBY,
    "forced standby": Role.FORCED_STANDBY,
    "force standby": Role.FORCED_STANDBY,
    "forcestandby": Role.FORCED_STANDBY,
    "oos": Role.OOS,
    "out of service": Role.OOS,
    "offline": Role.OFFLINE,
    "zombie": Role.ZOMBIE,
    "spare": Role.SPARE,
}


class UpToDate(StrEnum):
    YES = "Y"
    NO = "N"
    NOT_APPLICABLE = "N/A"
    UNKNOWN = "unknown"

    @classmethod
    def read(cls, cell: str) -> UpToDate:
        return {"y": cls.YES, "n": cls.NO, "n/a": cls.NOT_APPLICABLE, "na": cls.NOT_APPLICABLE}.get(
            cell.strip().lower(), cls.UNKNOWN
        )


class Severity(IntEnum):
    """Severity of an alarm; an attribute, never a key."""

    CRITICAL = 1
    MAJOR = 2
    MINOR = 3
    INFO = 4
    UNKNOWN = 9

    @classmethod
    def read(cls, cell: str) -> Severity:
        return {"critical": cls.CRITICAL, "major": cls.MAJOR, "minor": cls.MINOR, "info": cls.INFO}.get(
            cell.strip().lower(), cls.UNKNOWN
        )

    @property
    def word(self) -> str:
        return self.name.capitalize()


class Doing(StrEnum):
    """What the cell "Upgrade Operation" says."""

    NOTHING = "nothing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """The cell "Upgrade Operation" of one server, read."""

    doing: Doing
    text: str  # the whole cell
    percent: int | None = None
    backout: bool = False

    @classmethod
    def read(cls, cell: str) -> Operation:
        """Read the cell; the forms are those of Figures 1 and 3, of 12.3.3, and of 6.1.1/10 and 12.3.5/6 (old GUI).

        Step numbers and percents are shown, never calculated with: they differ from release to release.
        """
        text = " ".join(cell.split())
        low = text.lower()
        backout = "backout" in low or "rollback" in low or "backing out" in low
        if low in ("", "n/a", "na"):
            return cls(Doing.NOTHING, text)
        if re.search(r"\bfail(ed|ure|s)?\b", low):
            return cls(Doing.FAILED, text, None, backout)
        if re.search(
            r"\bcompleted successfully\b|\b(upgrade|backout) was completed\b|\bbackout complete\b", low
        ):
            doing = Doing.UNKNOWN if re.search(r"\b(not|never)\b", low) else Doing.SUCCEEDED
            return cls(doing, text, 100 if doing is Doing.SUCCEEDED else None, backout)
        running = re.search(r"(\d{1,3})\s?%", text)
        if running or "elapsed time" in low or "in progress" in low:
            return cls(Doing.RUNNING, text, int(running[1]) if running else None, backout)
        return cls(Doing.UNKNOWN, text, None, backout)


@dataclass(frozen=True, slots=True)
class ServerState:
    """One row of the Upgrade Manager."""

    name: str
    cluster: str
    role: Role
    release: Release | None  # running; None when it could not be read
    prev_release: str  # as printed; may be a TPD release
    up_to_date: UpToDate
    operation: Operation
    sync_broken: bool
    alarm_severity: Severity | None  # None: the column is empty

    @property
    def unreadable(self) -> bool:
        """Its role, or its release while nothing works on it."""
        at_rest = self.role in (Role.ACTIVE, Role.STANDBY, Role.FORCED_STANDBY)
        return self.role is Role.UNKNOWN or (at_rest and self.release is None)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One row of Active Alarms. Severity is an attribute, the key is number and source."""

    number: int
    severity: Severity
    text: str
    source: str  # host name of the server that it stands on
    occurrence: str  # as printed

    @property
    def key(self) -> tuple[int, str]:
        return self.number, self.source


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the CMP showed of the whole system at one moment."""

    taken: datetime  # UTC
    at: float  # monotonic seconds of this process: for "is it fresher than"
    servers: tuple[ServerState, ...]
    current_iso: str  # label as printed, "Install Kit" before a choice
    alarms: tuple[Alarm, ...] = field(default_factory=tuple)
    alarms_at: float = 0.0  # monotonic seconds at which the alarms were read

    def cluster(self, name: str) -> tuple[ServerState, ...]:
        return tuple(server for server in self.servers if server.cluster == name)

    def server(self, name: str) -> ServerState:
        """Raises UnreadableReply when the console does not show the server."""
        for server in self.servers:
            if server.name == name:
                return server
        raise UnreadableReply("Upgrade Manager", f"no row for server {name}", "")

    @property
    def clusters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(server.cluster for server in self.servers))


class Stage(StrEnum):
    """How far one cluster is between two releases, read from the live system alone."""

    FRESH = "both on the source release"
    FORCED = "both on the source release, one in forced standby"
    FIRST_RUNNING = "first server being upgraded"
    FIRST_DONE = "first server upgraded, source release active"
    SWITCHED = "target release active"
    SECOND_RUNNING = "second server being upgraded"
    DONE = "both on the target release"
    BACK_FIRST = "first server being backed out"
    BACK_SECOND = "second server being backed out"
    MOVING = "between two states"
    ODD = "not a state of the procedure"

    @property
    def order(self) -> int:
        """Position along the upgrade; -1 for states outside of it."""
        return _UPGRADE.index(self) if self in _UPGRADE else -1

    @property
    def back_order(self) -> int:
        """Position along the backout, which is the reverse; -1 for states outside of it."""
        return _BACKOUT.index(self) if self in _BACKOUT else -1

    @property
    def is_back(self) -> bool:
        """Does a backout run in the cluster?"""
        return self in (Stage.BACK_FIRST, Stage.BACK_SECOND)


_RUNNING = (Stage.FIRST_RUNNING, Stage.SECOND_RUNNING)
_UPGRADE = (
    Stage.FRESH,
    Stage.FIRST_RUNNING,
    Stage.FIRST_DONE,
    Stage.SWITCHED,
    Stage.SECOND_RUNNING,
    Stage.DONE,
)
_BACKOUT = (
    Stage.DONE,
    Stage.BACK_FIRST,
    Stage.SWITCHED,
    Stage.FIRST_DONE,
    Stage.BACK_SECOND,
    Stage.FRESH,
)


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The stage of one cluster with its evidence and who is who."""

    name: str
    stage: Stage
    why: str
    active: ServerState | None
    other: ServerState | None  # the server that is not active; None when that is not clear
    servers: tuple[ServerState, ...]

    @property
    def in_upgrade(self) -> bool:
        """Counts for the limit of four (R2): begun and not yet on one release, active and standby."""
        return self.stage not in (Stage.FRESH, Stage.DONE)

    @property
    def is_busy(self) -> bool:
        """Does something run in it, whatever the direction?"""
        return self.stage is Stage.MOVING or self.stage.is_back or self.stage in _RUNNING

    def going_back(self, target: Release) -> bool:
        """Was a server of it backed out: does one that runs another release have the target as Prev Release?

        The old GUI prints no Prev Release and does not tell.
        """
        return any(
            server.release is not None
            and not server.release.same_release(target)
            and _is_release(server.prev_release, target)
            for server in self.servers
        )


def _is_release(printed: str, release: Release) -> bool:
    try:
        return Release.parse(printed).same_release(release)
    except UnreadableReply:
        return False  # a TPD release, or nothing


def read_cluster(
    name: str, servers: tuple[ServerState, ...], source: Release, target: Release
) -> ClusterState:
    """What the rows of one cluster mean. Anything that the procedure does not know is ODD, with the reason.

    An OOS server counts as being worked on; its release cell is not trusted meanwhile.
    """

    def state(
        stage: Stage, why: str, active: ServerState | None = None, other: ServerState | None = None
    ) -> ClusterState:
        return ClusterState(name, stage, why, active, other, servers)

    if len(servers) != 2:
        return state(Stage.ODD, f"{name} shows {len(servers)} servers, not a pair")
    for server in servers:
        if server.role in (Role.ZOMBIE, Role.SPARE, Role.UNKNOWN):
            return state(Stage.ODD, f"{server.name} is {server.role}")
    actives = [s for s in servers if s.role is Role.ACTIVE]
    if len(actives) == 2:
        return state(Stage.ODD, f"both servers of {name} are Active")
    if not actives:
        return state(
            Stage.MOVING,
            f"no server of {name} is Active: " + ", ".join(f"{s.name} {s.role}" for s in servers),
        )
    active = actives[0]
    other = servers[0] if servers[1] is active else servers[1]
    if active.release is None:
        return state(Stage.ODD, f"the running release of {active.name} cannot be read", active, other)
    if not (active.release.same_release(source) or active.release.same_build(target)):
        return state(
            Stage.ODD, f"{active.name} runs {active.release}, neither {source} nor {target}", active, other
        )
    on_target = active.release.same_build(target)
    said = f"{active.name} Active on {active.release.short}, {other.name} {other.role}"
    if active.operation.doing is Doing.RUNNING:
        return state(
            Stage.ODD,
            f"an operation runs on the active server {active.name}: {active.operation.text}",
            active,
            other,
        )
    busy = other.operation.doing is Doing.RUNNING or other.role is Role.OOS
    if busy:
        if other.operation.backout and other.operation.doing is Doing.RUNNING:
            back = Stage.BACK_FIRST if on_target else Stage.BACK_SECOND
            return state(back, f"{said}: {other.operation.text}", active, other)
        stage = Stage.SECOND_RUNNING if on_target else Stage.FIRST_RUNNING
        return state(stage, f"{said}: {other.operation.text}", active, other)
    if other.role is Role.OFFLINE:
        return state(Stage.MOVING, said, active, other)
    if other.release is None:
        return state(Stage.ODD, f"the running release of {other.name} cannot be read", active, other)
    said += f" on {other.release.short}"
    if not (other.release.same_release(source) or other.release.same_build(target)):
        return state(
            Stage.ODD, f"{other.name} runs {other.release}, neither {source} nor {target}", active, other
        )
    other_on_target = other.release.same_build(target)
    if on_target and other_on_target:
        if other.role is Role.STANDBY:
            return state(Stage.DONE, said, active, other)
        return state(Stage.MOVING, said, active, other)
    if on_target:
        return state(Stage.SWITCHED, said, active, other)
    if other_on_target:
        return state(Stage.FIRST_DONE, said, active, other)
    if other.role is Role.STANDBY:
        return state(Stage.FRESH, said, active, other)
    return state(Stage.FORCED, said, active, other)
