"""What the twin consists of: plain data that the world changes and the wires (SSH, HTTPS) show."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """True HA role of a server (section 2.1 of E75412-01)."""

    ACTIVE = "Active"
    STANDBY = "Standby"
    FORCED_STANDBY = "Forced Standby"
    OOS = "OOS"
    OFFLINE = "Offline"
    ZOMBIE = "Zombie"


class Kind(StrEnum):
    CMP = "CMP"
    MPE = "MPE"
    MPE_LI = "MPE-Li"
    MRA = "MRA"


class Severity(StrEnum):
    CRITICAL = "Critical"
    MAJOR = "Major"
    MINOR = "Minor"


class Act(StrEnum):
    """Every act that the flight record knows."""

    INITIATE_UPGRADE = "initiate_upgrade"
    INITIATE_BACKOUT = "initiate_backout"
    FAILOVER = "failover"
    REAPPLY = "reapply"
    FORCE_STANDBY = "force_standby"
    CANCEL_FORCE_STANDBY = "cancel_force_standby"
    SWITCH_FORCE_STANDBY = "switch_force_standby"
    PUSH_SCRIPTS = "push_scripts"
    UPLOAD_ISO = "upload_iso"
    DELETE_ISO = "delete_iso"
    SELECT_ISO = "select_iso"
    RESET_COUNTERS = "reset_counters"


@dataclass(slots=True)
class IsoFile:
    """An image directly in /var/TKLC/upgrade of one server."""

    name: str
    size: int  # bytes
    percent: int | None = None  # 0..100 when ISO Maintenance brought it here, None when it was copied by hand


@dataclass(slots=True)
class Server:
    name: str
    cluster: str
    kind: Kind
    address: str  # where its SSH endpoint listens
    port: int
    role: Role
    release: str  # such as 12.1.1.0.0_14.1.0
    prev_release: str  # may be a TPD release
    reachable: bool = True
    in_sync: bool = (
        True  # False = the GUI's Sync Broken mark; a planned inhibition (70502) is not out of sync
    )
    operation: str = "n/a"  # how the last one ended; the cell as it reads now is World.operation_cell
    isos: dict[str, IsoFile] = field(default_factory=dict)


@dataclass(slots=True)
class Cluster:
    name: str
    kind: Kind
    primary: bool | None  # CMP only
    site: str
    segment: str | None
    vip: str
    servers: tuple[str, str]
    config_release: str  # release whose configuration was last applied (MPE, MPE-Li, MRA)
    traffic: bool = True
    counters_since: float = 0.0  # twin seconds of the last Reset Counters


@dataclass(slots=True)
class Alarm:
    """Key is (number, server or cluster)."""

    number: int
    severity: Severity
    text: str
    raised: float  # twin seconds
    server: str | None = None
    cluster: str | None = None


@dataclass(slots=True)
class LogEntry:
    """One line of the Upgrade Log (Figure 2)."""

    id: int
    parent: int
    name: str  # Preflight Check, Initiate upgrade, Modify the role/replication ..., Wait for replication to sync...
    start: float  # twin seconds
    end: float | None
    scope: str  # Server | Cluster
    hostname: str  # cluster name when scope is Cluster
    result: str  # Success | Failed | "" while it runs
    mode: str  # Manual | Automatic
    description: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Announced:
    """What a button will do when it is clicked: the hover text says it."""

    act: Act
    cluster: str
    server: str | None
    hover: str  # "Initiate upgrade CMP2-36 (next)", "Failover to new version mpe-1 (next)", "... (back)"
    dialog: str  # the question of the confirmation dialog; names the same act and the same server or cluster
    back: bool = False  # towards the old release
    takeover: str | None = None  # a failover: who becomes Active


class Phase(StrEnum):
    """Where an initiate_upgrade or initiate_backout is (3.1.4.2 and the log of 3.1.1)."""

    PREFLIGHT = "Preflight Check"
    MODIFY = "Modify the role/replication"
    DOWN = "processes down"  # OOS, still reachable
    AWAY = "rebooting"  # OOS and unreachable
    BACK = "coming back"  # OOS, reachable, on its new release
    SYNC = "Wait for replication to synchronize"


@dataclass(slots=True, eq=False)
class Action:
    """Something accepted that has not ended; the flight record has its action_started."""

    act: Act
    cluster: str | None
    server: str | None
    by: str
    started: float  # twin seconds
    back: bool = False
    second: bool = False  # the mate was already on the release that this goes to
    goal: str = ""  # an initiate: the release that the server will run
    takeover: str | None = None  # a failover: who becomes Active
    phase: Phase | None = None  # an initiate
    work: tuple[float, float] = (0.0, 0.0)  # twin seconds: begin and expected end of the long part
    by_server: bool = False  # an initiate in System Maintenance of 10.5 or 11.5, not by the Director
    orphan: bool = False  # begun under a Director that is no longer the active one: no cell, no log (3.1.4.4)
    ended: bool = False


class Fate(StrEnum):
    """What becomes of the HTTP answer to an accepted act."""

    DELIVER = "deliver"
    SESSION_LOST = "session_lost"  # the session is dead already; the answer is a redirect to the login form
    ANSWER_LOST = "answer_lost"  # close the connection without an answer


@dataclass(frozen=True, slots=True)
class Session:
    token: str
    user: str
    cluster: str  # CMP cluster whose VIP served the login


@dataclass(frozen=True, slots=True)
class Kit:
    """A row of the Current ISO dialog (9.1.1 step 9)."""

    label: str  # standard-12.1.2.0.0_22.1.0
    release: str
    path: str
    description: str


@dataclass(frozen=True, slots=True)
class KpiRow:
    """A row of the KPI Dashboard."""

    name: str
    kind: Kind
    tps: int
    pdn_connections: int
    active_subscribers: int
    critical: int
    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class RepRow:
    """A row of MPE/MRA Rep Stats."""

    name: str  # server
    peer: str  # server
    status: str  # OK | Broken
    delay: float | None  # seconds; None while broken


@dataclass(frozen=True, slots=True)
class OmSample:
    """15 minutes of one cluster's traffic; begin and end in twin seconds (negative = before the start)."""

    begin: float
    end: float
    complete: bool
    messages_in: int
    messages_out: int
