"""The site file: everything that is particular to one deployment, as pydantic models.

`load(path)` reports every mistake at once, each with file, line and path, what is wrong and what would be right.
Secrets are never in it: it names environment variables or Prefect blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mopflow.errors import UnreadableReply
from mopflow.media import ImageName, ImageType
from mopflow.messages import Kind as MessageKind
from mopflow.messages import Tag
from mopflow.release import Release, upgrade_path
from mopflow.secrets import SecretRef
from mopflow.system import Kind

Seconds = Annotated[float, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Autonomy(StrEnum):
    """Who acts: a person (we check, time and record), we after asking, or we alone."""

    OBSERVE = "observe"
    CONFIRM = "confirm"
    AUTO = "auto"


class AutonomyKind(StrEnum):
    """Which setting of the site's autonomy decides who acts."""

    DEFAULT = "default"
    CMP_SWITCH = "cmp_switch"
    FIRST_FAILOVER = "first_failover"
    ROLLBACK = "rollback"  # of R11: always automatic
    BACKOUT = "backout"  # every act of chapter 12


class AutonomyRules(_Model):
    """Autonomy per kind of step (section 5 of the design). The defaults ask before what cannot be taken back."""

    default: Autonomy = Autonomy.AUTO
    cmp_switch: Autonomy = Autonomy.CONFIRM
    first_failover: Autonomy = Autonomy.CONFIRM  # of each segment
    backout: Autonomy = Autonomy.CONFIRM  # not the rollback of R11

    def of(self, kind: AutonomyKind) -> Autonomy:
        match kind:
            case AutonomyKind.ROLLBACK:
                return Autonomy.AUTO
            case AutonomyKind.CMP_SWITCH:
                return self.cmp_switch
            case AutonomyKind.FIRST_FAILOVER:
                return self.first_failover
            case AutonomyKind.BACKOUT:
                return self.backout
            case AutonomyKind.DEFAULT:
                return self.default


class Server(_Model):
    name: str = Field(min_length=1)  # host name as the console prints it
    address: str = Field(min_length=1)
    port: int = Field(default=22, ge=1, le=65535)
    ilo: str | None = None


class Cluster(_Model):
    """A pair of servers. ``name`` is printed by the console."""

    name: str = Field(min_length=1)
    kind: Kind
    site: str = ""
    servers: tuple[Server, ...]

    @property
    def server_names(self) -> tuple[str, ...]:
        return tuple(server.name for server in self.servers)

    def mate(self, server: str) -> str:
        first, second = self.server_names
        return second if server == first else first

    @property
    def image_type(self) -> ImageType:
        return {
            Kind.CMP: ImageType.CMP,
            Kind.MPE: ImageType.MPE,
            Kind.MPE_LI: ImageType.MPE_LI,
            Kind.MRA: ImageType.MRA,
        }[self.kind]

    @property
    def is_mpe(self) -> bool:
        """10.2 step 10 is for these only."""
        return self.kind in (Kind.MPE, Kind.MPE_LI)


class CmpCluster(Cluster):
    kind: Kind = Kind.CMP
    vip: str = Field(min_length=1)  # host or host:port of the console


class CmpPair(_Model):
    primary: CmpCluster
    secondary: CmpCluster | None = None


class Segment(_Model):
    name: str = Field(min_length=1)
    clusters: tuple[Cluster, ...] = Field(min_length=1)


class Medium(_Model):
    """One image of the target release (2.9.1)."""

    file: str
    type: ImageType
    md5: str

    @field_validator("md5")
    @classmethod
    def _hash(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-fA-F]{32}", value):
            raise ValueError("must be an MD5 hash of 32 hexadecimal digits, as printed by md5sum")
        return value.lower()


class Driver(StrEnum):
    BROWSER = "browser"
    OPERATOR = "operator"


class ConsoleAccess(_Model):
    driver: Driver = Driver.BROWSER
    ca: Path | None = None  # PEM file of the CA; relative to the site file; None: the system's CAs
    user: str
    password: SecretRef
    chromium: Path | None = None  # None: found on the PATH, else Playwright's own


class OssiAccess(_Model):
    user: str
    password: SecretRef


class SshAccess(_Model):
    user: str = "admusr"
    password: SecretRef
    root_password: SecretRef | None = None
    key: Path | None = None
    known_hosts: Path  # relative to the site file
    legacy: tuple[
        str, ...
    ] = ()  # servers that need the algorithms of OpenSSH 5.3 although they do not say so
    logins_per_hour: int = Field(default=30, ge=1)


class Deadline(_Model):
    """How long a kind of operation usually takes, and when it is late, in seconds."""

    usual: Seconds
    late: Seconds

    @model_validator(mode="after")
    def _order(self) -> Deadline:
        if self.late < self.usual:
            raise ValueError(f"late ({self.late:g} s) must not be before usual ({self.usual:g} s)")
        return self


class Pace(_Model):
    """Every interval and deadline, in seconds of the clock that the system lives by."""

    poll: Seconds = 10  # the Upgrade Manager refreshes every ten seconds
    poll_floor: Seconds = 1  # never read more often
    alarms_every: Seconds = 30
    stagger: Seconds = 60  # R3
    traffic_window: Seconds = 90  # R11
    settle: Seconds = 60  # how long an act that left no trace may take to show one
    alarm_grace: Seconds = 300  # how long an alarm may overstay its step
    stable_readings: int = Field(default=2, ge=1)
    minute: Seconds = 60  # one minute of the document
    initiate_upgrade: Deadline = Deadline(usual=2400, late=5400)
    initiate_backout: Deadline = Deadline(usual=2400, late=5400)
    failover: Deadline = Deadline(usual=60, late=600)
    reapply: Deadline = Deadline(usual=60, late=600)
    upload_iso: Deadline = Deadline(usual=300, late=3600)
    transfer: Deadline = Deadline(usual=600, late=14400)  # one image to one server
    backup: Deadline = Deadline(usual=600, late=3600)  # one backup in platcfg
    pmac_task: Deadline = Deadline(usual=300, late=3600)  # PM&C adds one image
    health_keeps: Seconds = 36 * 3600  # 4.5: a health check is at most so old at the start of a window
    ageing: Seconds = 6 * 3600  # before the end of its time a result is shown as ageing
    prepare_before: Seconds = (
        30 * 3600
    )  # preparation is scheduled so long before a window (4.5: 24 to 36 hours)
    short: Deadline = Deadline(usual=60, late=300)  # everything that answers at once

    @property
    def every(self) -> float:
        return max(self.poll, self.poll_floor)


CMP_WORK = "cmp"  # what a window's work calls the CMP clusters; a segment is called by its name


class Window(_Model):
    """A maintenance window. ``work``: what is done in it; left out, the plan finds a window for everything."""

    name: str
    start: datetime
    end: datetime
    work: tuple[str, ...] = ()  # cmp, or names of segments
    engineers: tuple[str, ...] = ()  # names of contacts

    @model_validator(mode="after")
    def _order(self) -> Window:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("give start and end with a time zone, such as 2026-11-22T23:00:00+01:00")
        if self.end <= self.start:
            raise ValueError(f"the window must end after it starts ({self.start.isoformat()})")
        return self


class Contact(_Model):
    """Whom to call. The order of the file is the order in which people are reminded of a hold that nobody answers."""

    name: str = Field(min_length=1)
    role: str
    reach: str = ""
    tag: Tag | None = None  # reminded through the channels with this tag ...
    url: SecretRef | None = None  # ... or through a channel of their own

    @property
    def has_channel(self) -> bool:
        return self.tag is not None or self.url is not None


class ChannelRef(SecretRef):
    """The name of a secret that holds apprise URLs. Without ``tags`` they are told of everything."""

    tags: tuple[Tag, ...] = ()


class Notifications(_Model):
    """Who is told of what, and how often. Apprise URLs are secrets because they carry a token."""

    urls: tuple[ChannelRef, ...] = ()
    kinds: dict[MessageKind, tuple[Tag, ...]] = Field(default_factory=dict)  # told to others than usual
    remind_after: Seconds = 900  # a hold that nobody answers is told again, to the next contact; 0: never
    gather: Seconds = 30  # alarms of so long are one message
    at_most: int = Field(default=10, ge=1)  # messages to the same people ...
    per: Seconds = 300  # ... within so many seconds; what is more is one message


class HoldRules(_Model):
    """What a run does where it needs a person: it waits for the answer, or (``wait: false``) it ends held.

    ``wait`` left out: it waits, but not on a twin. ``answered_by``: who may answer, by name; nobody named: everyone who
    can reach the ledger.
    """

    wait: bool | None = None
    answered_by: tuple[str, ...] = ()


class AcceptedAlarm(_Model):
    """A standing alarm that a person has understood: one number on one source, with name and reason (R15)."""

    number: int
    source: str
    by: str
    reason: str


class Way(StrEnum):
    """How images reach the servers (4.6.3)."""

    DIRECT = "direct"  # from here to every server
    ISO_MAINTENANCE = "iso-maintenance"  # 4.6.3.1: to one server of each type, the console brings the rest
    RELAY = "relay"  # one server hands on to the next over scp


class ImageDelivery(_Model):
    way: Way = Way.ISO_MAINTENANCE
    bandwidth: float | None = Field(default=None, gt=0)  # MB/s over all transfers of a run; None: no cap
    parallel: int = Field(default=4, ge=1, le=32)  # transfers at one time


class HealthLimits(_Model):
    """What still counts as healthy (4.5)."""

    ntp_offset: float = Field(default=100, gt=0)  # milliseconds
    clock_skew: Seconds = 2  # seconds between the clocks of the servers, and ours
    hwclock_skew: Seconds = 5  # seconds between BIOS clock and system clock
    password_days: int = Field(default=14, ge=0)  # a password that expires sooner is named
    free_kib: int = Field(default=1 << 20, ge=0)  # KiB free on /var/TKLC and /var/camiant
    # the part of a cluster's TPS that may be missing after the upgrade; the hours of a day differ, so it is wide
    tps_fall: float = Field(default=0.5, ge=0, lt=1)


class BackupRules(_Model):
    """Below these sizes a backup is not believed (4.6.4 step 2)."""

    server_bytes: int = Field(default=50_000_000, ge=1)
    system_bytes: int = Field(default=1_000_000, ge=1)


class BackupRepository(_Model):
    """Where backups are kept, off the servers (4.6.4 step 3): a folder here, or a host that is reached over SSH."""

    folder: Path | None = None  # relative to the site file
    host: Server | None = None
    user: str = "admusr"
    password: SecretRef | None = None
    path: str = "."  # on the host

    @model_validator(mode="after")
    def _one(self) -> BackupRepository:
        if (self.folder is None) == (self.host is None):
            raise ValueError(
                "name exactly one of folder (on this machine) and host (with user, password, path)"
            )
        if self.host is not None and self.password is None:
            raise ValueError("name the password of the host's user")
        return self


class PasswordRules(_Model):
    """4.6.5 is for passwords that are not the default ones; the same ones are set again unless new ones are named."""

    default: bool = False
    new_admusr: SecretRef | None = None
    new_root: SecretRef | None = None


class PmacAccess(_Model):
    """The PM&C server of the site, if there is one (4.6.2)."""

    url: str = Field(min_length=1, pattern=r"^https://")
    ca: Path | None = None  # as for the console
    user: str = "guiadmin"
    password: SecretRef
    server: Server
    ssh_user: str = "admusr"
    ssh_password: SecretRef


class LabSettings(_Model):
    """For the twin only."""

    durations: dict[str, float | dict[str, float]] = Field(
        default_factory=dict
    )  # minutes, by operation and kind (or one for all)
    gui_style: Literal["table", "grid"] = "table"
    image_size: int = Field(default=4 << 20, ge=1 << 16)  # bytes of each image of the target release
    weak_hashes: tuple[str, ...] = ()  # servers on which root and admusr have an MD5 hash
    pmac: bool = False  # the twin has a PM&C server of its own
    answers: dict[str, str] = Field(default_factory=dict)  # what a person would confirm, by item


class Site(_Model):
    """One deployment."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    source: str
    target: str
    console: ConsoleAccess
    ssh: SshAccess
    ossi: OssiAccess | None = None
    cmp: CmpPair
    segments: tuple[Segment, ...] = Field(min_length=1)
    media: tuple[Medium, ...] = Field(min_length=1)
    ntp: tuple[str, ...] = ()
    media_dir: Path | None = None  # folder here with the images and md5sum.out; relative to the site file
    images: ImageDelivery = ImageDelivery()
    health: HealthLimits = HealthLimits()
    backup_repository: BackupRepository | None = None
    backups: BackupRules = BackupRules()
    passwords: PasswordRules = PasswordRules()
    pmac: PmacAccess | None = None
    ledger: str = (
        "sqlite:///mopflow-ledger.db"  # SQLAlchemy URL; a relative SQLite path is relative to the site file
    )
    evidence: Path = Path("mopflow-evidence")
    windows: tuple[Window, ...] = ()
    contacts: tuple[Contact, ...] = ()
    notifications: Notifications = Notifications()
    autonomy: AutonomyRules = AutonomyRules()
    holds: HoldRules = HoldRules()
    accepted_alarms: tuple[AcceptedAlarm, ...] = ()
    pace: Pace = Pace()
    lab: LabSettings | None = None

    @property
    def source_release(self) -> Release:
        return Release.parse(self.source)

    @property
    def target_release(self) -> Release:
        return Release.parse(self.target)

    @property
    def waits_for_people(self) -> bool:
        """Does a run wait where it needs a person?"""
        return self.lab is None if self.holds.wait is None else self.holds.wait

    @property
    def cmp_clusters(self) -> tuple[CmpCluster, ...]:
        return tuple(c for c in (self.cmp.primary, self.cmp.secondary) if c is not None)

    @property
    def traffic_clusters(self) -> tuple[Cluster, ...]:
        """All MPE, MPE-Li and MRA clusters, in the order of the file."""
        return tuple(cluster for segment in self.segments for cluster in segment.clusters)

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        return (*self.cmp_clusters, *self.traffic_clusters)

    @property
    def servers(self) -> tuple[Server, ...]:
        return tuple(server for cluster in self.clusters for server in cluster.servers)

    @property
    def further_hosts(self) -> tuple[str, ...]:
        """Names of the hosts that are no Policy servers: PM&C and backup repository."""
        hosts = (
            self.pmac.server if self.pmac is not None else None,
            self.backup_repository.host if self.backup_repository is not None else None,
        )
        return tuple(host.name for host in hosts if host is not None)

    def cluster(self, name: str) -> Cluster:
        return next(c for c in self.clusters if c.name == name)

    def cluster_of(self, server: str) -> Cluster | None:
        return next((c for c in self.clusters if server in c.server_names), None)

    def server(self, name: str) -> Server:
        return next(s for s in self.servers if s.name == name)

    def segment(self, name: str) -> Segment:
        return next(s for s in self.segments if s.name == name)

    def medium(self, image_type: ImageType) -> Medium:
        return next(m for m in self.media if m.type is image_type)

    @field_validator("source", "target")
    @classmethod
    def _release(cls, value: str) -> str:
        try:
            Release.parse(value)
        except UnreadableReply:
            raise ValueError(
                f"{value!r} is not a release; write it as printed, such as 12.1.2.0.0_22.1.0"
            ) from None
        return value

    @model_validator(mode="after")
    def _whole(self) -> Site:
        mistakes = list(_mistakes(self))
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self


def _mistakes(site: Site) -> Iterator[str]:
    """Mistakes that show only when the parts are seen together; `path: sentence` each."""
    why = upgrade_path(site.source_release, site.target_release)
    if why:
        yield f"source: {why}"
    seen: dict[str, str] = {}
    for where, name in _names(site):
        if name in seen:
            yield f"{where}: the name {name} is used by {seen[name]} already; names of servers and clusters are unique"
        else:
            seen[name] = where
    addresses: dict[tuple[str, int], str] = {}
    for server in site.servers:
        key = (server.address, server.port)
        if key in addresses:
            yield f"servers: {server.name} has the address of {addresses[key]} ({server.address}:{server.port})"
        addresses.setdefault(key, server.name)
    for where, cluster in _clusters(site):
        if len(cluster.servers) != 2:
            yield f"{where}.servers: {cluster.name} has {len(cluster.servers)} servers; a cluster is a pair (R17)"
        is_cmp = where.startswith("cmp.")
        if is_cmp and cluster.kind is not Kind.CMP:
            yield f"{where}.kind: a CMP cluster has kind CMP, not {cluster.kind}"
        if not is_cmp and cluster.kind is Kind.CMP:
            yield f"{where}.kind: CMP clusters belong under cmp, a segment has MPE, MPE-Li and MRA clusters"
    have: dict[ImageType, str] = {}
    for i, medium in enumerate(site.media):
        if medium.type in have:
            yield f"media[{i}]: a second image of type {medium.type} ({have[medium.type]} is there); give one per type"
        have.setdefault(medium.type, medium.file)
        try:
            image = ImageName.parse(medium.file)
        except UnreadableReply:
            yield f"media[{i}].file: {medium.file!r} is not the name of a Policy image such as cmp-12.1.2.0.0_22.1.0-x86_64.iso"
            continue
        if image.type is not medium.type:
            yield f"media[{i}]: {medium.file} is an image of type {image.type}, not {medium.type}"
        if not image.release.same_build(site.target_release):
            yield f"media[{i}].file: {medium.file} is release {image.release}, the target is {site.target}"
    for where, cluster in _clusters(site):
        if cluster.image_type not in have:
            yield f"media: no image of type {cluster.image_type}, needed by {cluster.name} ({where})"
            have[cluster.image_type] = "missing"
    yield from _window_mistakes(site)
    known = set(seen)
    for i, alarm in enumerate(site.accepted_alarms):
        if alarm.source not in known:
            yield f"accepted_alarms[{i}].source: {alarm.source} is no server or cluster of this site"
    for i, name in enumerate(site.lab.weak_hashes if site.lab is not None else ()):
        if name not in known:
            yield f"lab.weak_hashes[{i}]: {name} is no server of this site"
    if site.lab is not None and site.lab.answers:
        real = [server.name for server in site.servers if not server.address.startswith("127.")]
        if real:
            yield f"lab.answers: a twin has answers, a real system has persons; {real[0]} is not on loopback"
    if site.pmac is not None and site.pmac.server.name in known:
        yield f"pmac.server.name: the name {site.pmac.server.name} is used already"
    for i, name in enumerate(site.ssh.legacy):
        if name not in known:
            yield f"ssh.legacy[{i}]: {name} is no server of this site"


def _window_mistakes(site: Site) -> Iterator[str]:
    known = [CMP_WORK, *(segment.name for segment in site.segments)]
    people = [contact.name for contact in site.contacts]
    placed: dict[str, str] = {}
    for i, window in enumerate(site.windows):
        for work in window.work:
            if work not in known:
                yield f"windows[{i}].work: {work} is no work of this site; there is {', '.join(known)}"
            elif work in placed:
                yield f"windows[{i}].work: {work} is the work of the window {placed[work]} already"
            placed.setdefault(work, window.name)
        for name in window.engineers:
            if name not in people:
                yield f"windows[{i}].engineers: {name} is no contact; contacts has {', '.join(people) or 'nobody'}"


def _clusters(site: Site) -> Iterator[tuple[str, Cluster]]:
    yield "cmp.primary", site.cmp.primary
    if site.cmp.secondary is not None:
        yield "cmp.secondary", site.cmp.secondary
    for i, segment in enumerate(site.segments):
        for j, cluster in enumerate(segment.clusters):
            yield f"segments[{i}].clusters[{j}]", cluster


def _names(site: Site) -> Iterator[tuple[str, str]]:
    for i, segment in enumerate(site.segments):
        yield f"segments[{i}].name", f"segment {segment.name}"
    for where, cluster in _clusters(site):
        yield f"{where}.name", cluster.name
        for k, server in enumerate(cluster.servers):
            yield f"{where}.servers[{k}].name", server.name
