"""A small Policy Management system in memory, for the tests of the run loop: a Console that behaves as 12.x does.

It has no clock: the world moves one tick with each reading of the Upgrade Manager. It knows of mopflow only the words
of the Console protocol. `Killed` is how a test ends "the process": no `except` of the product catches it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mopflow.console.protocol import (
    Act,
    ClusterPage,
    Intended,
    IsoImage,
    IsoRow,
    Kit,
    KpiRow,
    LogLine,
    Overview,
    Page,
    RepRow,
    Shots,
    TopologyRow,
    TrendRow,
    Urgency,
)
from mopflow.console.protocol import Operation as Operate
from mopflow.errors import ActRefused, Held, MopflowError, NotAnnounced, Unreachable
from mopflow.evidence import EvidenceStore
from mopflow.eye import Eye
from mopflow.house import House
from mopflow.ledger import Ledger
from mopflow.notify import Notices
from mopflow.record.recorder import Recorder
from mopflow.release import Release
from mopflow.secrets import SecretRef, Vault
from mopflow.site import (
    Autonomy,
    AutonomyRules,
    Cluster,
    CmpCluster,
    CmpPair,
    ConsoleAccess,
    Deadline,
    Medium,
    Pace,
    Segment,
    Server,
    Site,
    SshAccess,
)
from mopflow.slots import Slot
from mopflow.ssh import Reply
from mopflow.system import Alarm, Kind, Operation, Role, ServerState, Severity, UpToDate

SOURCE, TARGET = "12.1.1.0.0_14.1.0", "12.1.2.0.0_22.1.0"
MD5 = "0123456789abcdef0123456789abcdef"
STEPS = {
    Act.INITIATE_UPGRADE: 4,
    Act.INITIATE_BACKOUT: 4,
    Act.FAILOVER_TO_NEW: 2,
    Act.FAILOVER_TO_OLD: 2,
}  # ticks


class Killed(BaseException):
    """The process is gone (kill -9): nothing of mopflow may catch this."""


def small_site(**pace: Any) -> Site:
    """Two CMP clusters and two MPE clusters, at a pace of hundredths of a second."""

    def pair(name: str, number: int) -> tuple[Server, ...]:
        return tuple(Server(name=f"{name}{x}", address=f"127.0.9.{number + i}") for i, x in enumerate("ab"))

    quick = Deadline(usual=0.01, late=pace.pop("late", 5.0))
    kinds = ("initiate_upgrade", "initiate_backout", "failover", "reapply", "upload_iso", "short")
    usual: dict[str, Any] = {
        "poll": 0.003,
        "poll_floor": 0.003,
        "alarms_every": 0,
        "stagger": 0,
        "traffic_window": 0.05,
        "settle": 0.02,
        "alarm_grace": 0.05,
        "minute": 0.01,
    }
    return Site(
        name="small",
        source=SOURCE,
        target=TARGET,
        console=ConsoleAccess(user="admin", password=SecretRef(env="NOT_USED")),
        ssh=SshAccess(password=SecretRef(env="NOT_USED"), known_hosts=Path("known_hosts")),
        cmp=CmpPair(
            primary=CmpCluster(name="cmp-1", servers=pair("cmp-1", 10), vip="127.0.9.1"),
            secondary=CmpCluster(name="cmp-2", servers=pair("cmp-2", 20), vip="127.0.9.2"),
        ),
        segments=(
            Segment(
                name="segment-1",
                clusters=tuple(
                    Cluster(name=f"mpe-{n}", kind=Kind.MPE, servers=pair(f"mpe-{n}", 30 + 10 * n))
                    for n in (1, 2)
                ),
            ),
        ),
        media=tuple(
            Medium(file=f"{kind}-{TARGET}-x86_64.iso", type=kind, md5=MD5)  # type: ignore[arg-type]
            for kind in ("cmp", "mpe")
        ),
        autonomy=AutonomyRules(cmp_switch=Autonomy.AUTO, first_failover=Autonomy.AUTO),
        pace=Pace(**dict.fromkeys(kinds, quick), **(usual | pace)),
    )


@dataclass
class Box:
    """A server."""

    name: str
    cluster: str
    role: Role
    release: str
    operation: str = "n/a"
    sync_broken: bool = False
    prev_release: str = ""


@dataclass
class Work:
    """An operation that runs, and for how many ticks more."""

    act: Act
    cluster: str
    server: str | None
    left: int


class SmallSystem:
    """The Console. ``sent``: the acts that it accepted, in order, with the server or cluster."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.source = str(site.source_release)
        self.boxes: dict[str, Box] = {}
        self.config = {c.name: self.source for c in site.clusters}
        self.logs: dict[str, list[LogLine]] = {c.name: [] for c in site.clusters}
        self.work: list[Work] = []
        self.sent: list[tuple[str, str]] = []
        self.no_traffic: set[str] = set()  # clusters that carry none over the target release
        self.fails: set[str] = set()  # servers whose upgrade fails
        self.alarms: list[Alarm] = []  # in addition to those of the state
        self.iso = f"standard-{TARGET}"
        self.images = {s.name: f"{self._type(s.name)}-{TARGET}-x86_64.iso" for s in site.servers}
        self.reset_at: dict[str, int] = {}
        self.ticks = 1000
        self.lock = threading.RLock()
        self.before: Callable[[str], None] = lambda _call: None  # a hook before each call of the main thread
        self.after: Callable[[str], None] = lambda _call: None  # and after the effect of an act
        self.read: Callable[[], None] = lambda: None  # a hook in each reading
        self.readings = 0
        for cluster in site.clusters:
            for server, role in zip(cluster.servers, (Role.ACTIVE, Role.STANDBY), strict=True):
                self.boxes[server.name] = Box(server.name, cluster.name, role, self.source)
        for cluster in site.cmp_clusters:
            self.finish(cluster.name)

    def _type(self, server: str) -> str:
        cluster = self.site.cluster_of(server)
        assert cluster is not None
        return cluster.image_type.value

    # the world

    def finish(self, cluster: str) -> None:
        """Put a cluster on the target release, as after a whole upgrade."""
        for box in self.of(cluster):
            box.release, box.operation = (
                TARGET,
                "Initiate upgrade Completed Successfully at Aug 16, 2016 9:21:11",
            )
            box.prev_release = self.source
        self.config[cluster] = TARGET

    def of(self, cluster: str) -> list[Box]:
        return [box for box in self.boxes.values() if box.cluster == cluster]

    def active(self, cluster: str) -> Box | None:
        return next((box for box in self.of(cluster) if box.role is Role.ACTIVE), None)

    def other(self, cluster: str) -> Box:
        return next(box for box in self.of(cluster) if box.role is not Role.ACTIVE)

    def next_act(self, cluster: str) -> Intended | None:
        """What the upgrade button announces."""
        active = self.active(cluster)
        if active is None or any(w.cluster == cluster for w in self.work):
            return None
        other = self.other(cluster)
        if active.release == other.release == TARGET:
            return None
        if other.release == TARGET:
            return Intended(Act.FAILOVER_TO_NEW, cluster)
        return Intended(Act.INITIATE_UPGRADE, cluster, other.name)

    def back_act(self, cluster: str) -> Intended | None:
        """What the rollback button announces."""
        active = self.active(cluster)
        if active is None or any(w.cluster == cluster for w in self.work):
            return None
        other = self.other(cluster)
        if active.release == TARGET and other.release == self.source:
            return Intended(Act.FAILOVER_TO_OLD, cluster)
        if other.release == TARGET:
            return Intended(Act.INITIATE_BACKOUT, cluster, other.name)
        return None

    def begin(self, intended: Intended) -> None:
        """Accept an act, whoever clicked it."""
        self.sent.append((intended.act.value, intended.server or intended.cluster))
        self.work.append(Work(intended.act, intended.cluster, intended.server, STEPS[intended.act]))
        name = "Preflight Check" if intended.server else intended.act.value
        self._log(intended.cluster, name, intended.server or intended.cluster, "Success")
        if intended.server:
            self._log(intended.cluster, str(intended.act), intended.server, "")
            self.boxes[
                intended.server
            ].operation = f"[Step 1] 0% {intended.act} - Preflight Check (Elapsed Time: 0:00:01)"

    def _log(self, cluster: str, action: str, hostname: str, result: str) -> None:
        lines = self.logs[cluster]
        at = "8/18/2016 22:30:51"
        lines.append(
            LogLine(len(lines) + 1, 0, action, at, at, "0:00:01", "Server", hostname, result, "Manual", "")
        )

    def tick(self) -> None:
        self.ticks += 1
        for work in list(self.work):
            work.left -= 1
            if work.server is None:
                self._fail_over(work)
            else:
                self._upgrade(work, self.boxes[work.server])
            if work.left <= 0:
                self.work.remove(work)

    def _fail_over(self, work: Work) -> None:
        if work.left > 0:
            return
        old, new = self.active(work.cluster), self.other(work.cluster)
        assert old is not None
        old.role, new.role = Role.FORCED_STANDBY, Role.ACTIVE

    def _upgrade(self, work: Work, box: Box) -> None:
        """An upgrade, or a backout."""
        if work.left > 0:
            box.role = Role.OOS
            box.operation = f"[Step 20] {100 - work.left}% {work.act} - {work.act} (Elapsed Time: 0:00:33)"
            return
        if box.name in self.fails:
            box.role, box.operation = Role.STANDBY, f"{work.act} Failed at Aug 16, 2016 9:21:11"
            return
        goal = self.source if work.act is Act.INITIATE_BACKOUT else TARGET
        box.prev_release, box.release = box.release, goal
        mate = next(b for b in self.of(box.cluster) if b is not box)
        box.role = Role.STANDBY if mate.release == goal else Role.FORCED_STANDBY
        if mate.release == goal and mate.role is Role.FORCED_STANDBY:
            mate.role = Role.STANDBY
        box.operation = f"{work.act} Completed Successfully at Aug 16, 2016 9:21:{self.ticks % 60}"
        self._log(box.cluster, "Wait for replication to synchronize", box.name, "Success")

    def traffic(self, cluster: str) -> bool:
        active = self.active(cluster)
        if active is None:
            return False
        return self.config[cluster] == active.release and not (
            cluster in self.no_traffic and active.release == TARGET
        )

    # what a person of the test does

    def count(self, act: Act | str, of: str | None = None) -> int:
        return sum(1 for name, who in self.sent if name == str(act) and of in (None, who))

    # the Console

    def _call(self, name: str) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before(name)

    def _acted(self, name: str) -> None:
        if threading.current_thread() is threading.main_thread():
            self.after(name)

    def log_in(self) -> None:
        self._call("log_in")

    def about(self) -> Release:
        self._call("about")
        active = self.active(self.site.cmp.primary.name)
        if active is None:
            raise Unreachable("the console", "a CMP switch")
        return Release.parse(active.release)

    def overview(self) -> Overview:
        with self.lock:
            self.readings += 1
            self.read()
            page = Overview(tuple(self._row(box) for box in self.boxes.values()), self.iso)
            self.tick()
            return page

    def _row(self, box: Box) -> ServerState:
        return ServerState(
            box.name,
            box.cluster,
            box.role,
            Release.parse(box.release),
            box.prev_release,
            UpToDate.YES if box.release == TARGET else UpToDate.NO,
            Operation.read(box.operation),
            box.sync_broken,
            None,
        )

    def upgrade_log(self, cluster: str) -> tuple[LogLine, ...]:
        self._call("upgrade_log")
        with self.lock:
            return tuple(self.logs[cluster])

    def active_alarms(self) -> tuple[Alarm, ...]:
        with self.lock:
            found = [
                Alarm(70503, Severity.MINOR, "Server Forced Standby", box.name, "")
                for box in self.boxes.values()
                if box.role is Role.FORCED_STANDBY
            ]
            return (*found, *self.alarms)

    def topology(self) -> tuple[TopologyRow, ...]:
        self._call("topology")
        primary = self.site.cmp.primary.name
        marks = {c.name: "P" if c.name == primary else "S" for c in self.site.cmp_clusters}
        return tuple(
            TopologyRow(c.name, marks.get(c.name, ""), f"{c.kind} Site Cluster", c.server_names)
            for c in self.site.clusters
        )

    def iso_maintenance(self) -> tuple[IsoRow, ...]:
        self._call("iso_maintenance")
        return tuple(IsoRow(name, "", "", (IsoImage(file, 100),)) for name, file in self.images.items())

    def kpi_dashboard(self) -> tuple[KpiRow, ...]:
        self._call("kpi_dashboard")
        with self.lock:
            return tuple(
                KpiRow(c.name, 250.0 if self.traffic(c.name) else 0.0, {}) for c in self.site.traffic_clusters
            )

    def cluster_page(self, cluster: str) -> ClusterPage:
        self._call("cluster_page")
        with self.lock:
            config = self.config[cluster]
            mismatch = tuple(box.name for box in self.of(cluster) if box.release != config)
            since = self.ticks - self.reset_at.get(cluster, 0)
            counters = {"Messages In": float(since * 10)}
            return ClusterPage(cluster, "OK", Release.parse(config), mismatch, counters)

    def trending(self) -> tuple[TrendRow, ...]:
        self._call("trending")
        return tuple(TrendRow(c.name, {"Messages In": "10"}) for c in self.site.traffic_clusters)

    def rep_stats(self) -> tuple[RepRow, ...]:
        self._call("rep_stats")
        master = self.site.cmp.primary.server_names[0]
        names = [name for c in self.site.traffic_clusters for name in c.server_names]
        return tuple(
            RepRow(name, master, "Broken" if self.boxes[name].sync_broken else "OK", {}) for name in names
        )

    def kits(self) -> tuple[Kit, ...]:
        return ()

    def screenshot(self, page: Page, to: Path, cluster: str | None = None) -> Path:
        self._call("screenshot")
        to.write_bytes(b"\x89PNG")
        return to

    def advance(
        self, intended: Intended, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str:
        self._call(f"advance {intended.act}")
        with self.lock:
            back = intended.act in (Act.FAILOVER_TO_OLD, Act.INITIATE_BACKOUT)
            offered = self.back_act(intended.cluster) if back else self.next_act(intended.cluster)
            if offered != intended:
                raise NotAnnounced(str(intended), str(offered))
            self.begin(intended)
        self._acted(f"advance {intended.act}")
        return "accepted"

    def operate(self, operation: Operate, names: Sequence[str], *, shots: Shots | None = None) -> str:
        raise NotAnnounced(str(operation), "the Upgrade Manager has no such entry")

    def select_iso(self, path: str, *, shots: Shots | None = None) -> str:
        raise ActRefused("not in this system")

    def delete_iso(self, servers: Sequence[str], *, shots: Shots | None = None) -> str:
        raise ActRefused("not in this system")

    def upload_iso(
        self,
        servers: Sequence[str],
        host: str,
        user: str,
        password: str,
        path: str,
        *,
        shots: Shots | None = None,
    ) -> str:
        raise ActRefused("not in this system")

    def reapply_configuration(
        self, cluster: str, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str:
        self._call("reapply")
        with self.lock:
            active = self.active(cluster)
            if active is None:
                raise ActRefused("no active server")
            self.config[cluster] = active.release
            self.sent.append(("reapply", cluster))
        self._acted("reapply")
        return "accepted"

    def reset_counters(self, cluster: str, *, shots: Shots | None = None) -> str:
        self._call("reset_counters")
        with self.lock:
            self.reset_at[cluster] = self.ticks
            self.sent.append(("reset", cluster))
        self._acted("reset_counters")
        return "accepted"

    def close(self) -> None:
        pass


class SmallServers:
    """SSH: every server answers under its name and has its image."""

    def __init__(self, system: SmallSystem) -> None:
        self._system = system
        self.away: set[str] = set()
        self.sick: set[str] = set()

    def run(self, server: str, command: str, *, timeout: float = 60) -> Reply:
        return Reply(0, self.check(server, command, timeout=timeout), "")

    def check(self, server: str, command: str, *, timeout: float = 60) -> str:
        if server in self.away:
            raise Unreachable(server, "no route to host")
        file = self._system.images[server]
        if command == "hostname":
            return f"{server}\n"
        if "syscheck" in command:
            verdict = "FAIL" if server in self.sick else "OK"
            return f"Running modules in class disk...\n {verdict}\nLOG LOCATION: /var/TKLC/log/syscheck/fail_log\n"
        if " ls " in command:
            return f"total 1\n-rw-r--r-- 1 root root 900 Aug 16 09:21 {file}\n"
        assert "md5sum" in command
        return f"{MD5}  /var/TKLC/upgrade/{file}\n"


class OpenSlots:
    """Places for everyone; ``taken`` says who took what."""

    def __init__(self) -> None:
        self.taken: list[tuple[Slot, str]] = []

    @contextmanager
    def take(
        self, slot: Slot, cluster: str, *, first: bool = False, waiting: Callable[[str], None] | None = None
    ) -> Iterator[None]:
        self.taken.append((slot, cluster))
        yield

    def holds(self, slot: Slot, cluster: str) -> bool:
        return False


class FullSlots(OpenSlots):
    """No place is free: whoever asks is told so until its ``waiting`` gives up."""

    @contextmanager
    def take(
        self, slot: Slot, cluster: str, *, first: bool = False, waiting: Callable[[str], None] | None = None
    ) -> Iterator[None]:
        assert waiting is not None
        waiting("all places are taken")
        yield


class MortalLedger:
    """A ledger whose process may die right before or right after any call of the main thread."""

    def __init__(self, ledger: Ledger, called: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._called = called

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            mine = threading.current_thread() is threading.main_thread()
            if mine:
                self._called(f"before {name}")
            result = method(*args, **kwargs)
            if mine:
                self._called(f"after {name}")
            return result

        return call


@dataclass
class Place:
    """Where runs happen: one ledger file, one evidence store, one system; each `house` is a process of its own."""

    folder: Path
    site: Site
    system: SmallSystem
    campaign: str | None = None
    servers: SmallServers = field(init=False)
    slots: OpenSlots = field(default_factory=OpenSlots)
    called: Callable[[str], None] | None = None  # told of every call of the ledger
    recorded: bool = False  # write the record, as a real run does
    head: str | None = None  # of its chain, when the last run ended

    def __post_init__(self) -> None:
        self.servers = SmallServers(self.system)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.db'}"

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with Ledger.open(self.url) as ledger:
            yield ledger

    @contextmanager
    def house(self) -> Iterator[House]:
        """A run of its own on this place."""
        vault = Vault()
        with Ledger.open(self.url) as real:
            self.campaign = real.campaign(self.site.name, self.site.source, self.site.target, self.campaign)
            executor = real.register(self.campaign, self.site.name, "test", "test", "host", 1, 1.0).id
            ledger: Any = real if self.called is None else MortalLedger(real, self.called)
            notices = Notices([], real, self.site.name, self.campaign, vault.strike)
            with (
                self._recording(real, executor, vault) as recorder,
                Eye(self.site, self.system, recorder.seen if recorder is not None else None) as eye,
            ):
                try:
                    yield House(
                        site=self.site,
                        site_path=self.folder / "site.yaml",
                        vault=vault,
                        ledger=ledger,
                        campaign=self.campaign,
                        executor=executor,
                        console=self.system,
                        operator=None,
                        servers=self.servers,  # type: ignore[arg-type]
                        ossi=None,
                        evidence=EvidenceStore(
                            self.folder / "evidence", real, self.site.name, self.campaign, vault.strike
                        ),
                        notices=notices,
                        slots=self.slots,
                        eye=eye,
                        recorder=recorder,
                    )
                finally:
                    notices.close(10)

    @contextmanager
    def _recording(self, ledger: Ledger, executor: str, vault: Vault) -> Iterator[Recorder | None]:
        """The record, where a test wants one. A process that is killed writes nothing any more."""
        if not self.recorded:
            yield None
            return
        assert self.campaign is not None
        recorder = Recorder(
            self.folder / "evidence", self.site, ledger, self.campaign, executor, vault.strike
        )
        how = "killed"
        try:
            yield recorder
            how = "done"
        except MopflowError as error:
            how = "held" if isinstance(error, Held) else "error"
            raise
        finally:
            if how == "killed":
                recorder.stop()
            else:
                self.head = recorder.close(how)
                ledger.end_executor(executor, how)


def make_place(folder: Path, template: Path, **pace: Any) -> Place:
    """A place with a ledger copied from ``template`` (an empty, migrated one)."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / "ledger.db")
    site = small_site(**pace)
    return Place(folder, site, SmallSystem(site))


def until(wanted: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something in another thread is so."""
    ends = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < ends, "it did not come"
        threading.Event().wait(0.002)


def alarm(number: int, source: str, severity: Severity = Severity.CRITICAL) -> Alarm:
    return Alarm(number, severity, "made by the test", source, "")
