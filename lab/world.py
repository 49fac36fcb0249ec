"""The one state of the twin and its verbs. SSH and the GUI show it and call it; nothing else changes it.

Every verb is a plain synchronous call in the loop's thread: it is accepted (and goes on by itself on the world's
clock), raises `Refused` (the GUI refuses; event `refused`), or raises `OperationFailed` (accepted and failed at once).
What needs explaining lives next door: director (what is next), operations, maintenance and images (what lasts), alarms,
traffic, accounts, views (tables of the GUI), faults.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from lab import alarms, director, images, maintenance, operations, releases, views
from lab.accounts import Accounts
from lab.clock import Clock, Script, drive
from lab.config import Secrets, TwinConfig, media_type
from lab.disks import Disks
from lab.errors import OperationFailed, Refused
from lab.faults import Faults
from lab.files import KIT_DIR, UPGRADE_DIR, File, FileTree
from lab.flight import FlightRecord
from lab.pmac.host import PmacHost
from lab.state import (
    Act,
    Action,
    Alarm,
    Announced,
    Cluster,
    Fate,
    IsoFile,
    Kind,
    Kit,
    KpiRow,
    LogEntry,
    OmSample,
    RepRow,
    Role,
    Server,
    Session,
    Severity,
)
from lab.traffic import Traffic
from lab.transfers import Transfers
from lab.unix_accounts import UnixAccounts

__all__ = ["OperationFailed", "Refused", "World"]

log = logging.getLogger("lab.world")

FACTORY_RELEASE = "TPD 7.0.2.0.0_86.28.0"  # what Prev Release shows before the first upgrade (9.1.1 step 10)


class World:
    """Times are twin seconds since the start. Names of servers and clusters are unique."""

    def __init__(
        self,
        config: TwinConfig,
        secrets: Secrets,
        clock: Clock,
        flight: FlightRecord,
        start: datetime | None = None,
    ) -> None:
        self.config = config
        self.secrets = secrets
        self.clock = clock
        self.flight = flight
        self.start = start or datetime.now().astimezone()
        self.media = {media.file: media for media in config.media}
        self.clusters: dict[str, Cluster] = {}
        self.servers: dict[str, Server] = {}
        self.files: dict[str, FileTree] = {}
        self.unix: dict[str, UnixAccounts] = {}  # server -> who may log in over SSH
        self.disks: dict[str, Disks] = {}
        self.transfers = Transfers(self)
        self.machines: dict[str, Any] = {}  # server -> what its shells and logins see; the SSH side enters it
        self.host_keys: dict[str, list[str]] = {}  # server -> its public host keys, type and base64
        self.alarms: list[Alarm] = []
        self.logs: list[LogEntry] = []
        self.actions: list[Action] = []  # running
        self.scripts_pushed: set[str] = set()  # servers that have the scripts of the target's image
        self.keys_exchanged: set[str] = set()  # servers to which qpSSHKeyProv.pl --prov has brought the key
        self.current_iso: str | None = None  # path of the kit; None = "Install Kit"
        self.current_label = (
            ""  # of the kit that was chosen; the file may lie on another server than is active now
        )
        self.target: str | None = None  # release of the kit, a few seconds after it was chosen
        self.last_active: dict[str, str] = {}  # cluster -> the server that is or was last Active
        self.forced_by_hand: set[str] = set()
        self.backups_running: set[str] = set()  # servers on which platcfg makes a backup
        self.failed: set[str] = set()  # servers with UPGRADE_OPERATION_FAILED
        self.strange: dict[str, tuple[int, Severity, str]] = {}  # server -> an alarm that no step lists
        self.unseen: set[str] = set()  # not reached yet by a Director that was promoted meanwhile (3.1.4.4)
        self.rolling_back: set[str] = set()  # clusters whose direction is back
        self.no_traffic: set[str] = set()  # clusters that carry none on the target (fault)
        self.gui_down_until: dict[str, float] = {}
        self.reachable_changed: list[
            Callable[[str, bool], None]
        ] = []  # (server, up): SSH cuts its connections
        self.connections_cut: list[Callable[[str], None]] = []  # (server): its SSH connections end, once
        self.gui_changed: list[
            Callable[[str], None]
        ] = []  # (CMP cluster): its VIP moves, HTTPS cuts connections
        self._log_id = 0
        self._occurrence: dict[tuple[str, Act], int] = {}
        self._build()
        self._begin_in_the_middle()
        self._choose_kit()
        self.pmac = PmacHost(self, config.pmac) if config.pmac is not None else None
        self.faults = Faults(self, config.faults)
        self.accounts = Accounts(self)
        self.traffic = Traffic(self)
        self.faults.prepare()
        self.settle()

    def _build(self) -> None:
        source = self.config.source
        for made in self.config.clusters:
            first, second = made.servers
            active = next((s for s in made.servers if s.role is Role.ACTIVE), first)
            self.clusters[made.name] = Cluster(
                made.name, made.kind, made.primary, made.site, made.segment, made.vip, (first.name, second.name),
                config_release=active.release or source,
            )  # fmt: skip
            self.last_active[made.name] = active.name
            for s in made.servers:
                release = s.release or source
                prev = s.prev_release or (source if release != source else FACTORY_RELEASE)
                self.servers[s.name] = Server(
                    s.name, made.name, made.kind, s.address, s.port, s.role, release, prev
                )
                self.files[s.name] = tree = FileTree(s.name, self.flight, self.clock.now)
                tree.on_change = lambda name=s.name: self._mirror(name)  # type: ignore[misc]
                self.unix[s.name] = UnixAccounts(
                    tree,
                    self.dice(s.name, "salts"),
                    {
                        "root": self.secrets.root.get_secret_value(),
                        "admusr": self.secrets.admusr.get_secret_value(),
                    },
                    weak=s.name in self.config.weak_hashes,
                )
                self._fit_accounts(s.name)
                self.disks[s.name] = disks = Disks(tree, self.config.disk_kib)
                tree.room = disks.room
                tree.arrives = lambda path, at, data, name=s.name: self.transfers.arrives(
                    name, path, at, data
                )  # type: ignore[misc]
                for image in s.images:
                    self.place_image(s.name, image)

    def _begin_in_the_middle(self) -> None:
        """Where servers are upgraded already, the scripts were pushed, and the Director forces mixed clusters only."""
        releases_there = {server.release for server in self.servers.values()}
        if len(releases_there) > 1 or self.config.target in releases_there:
            self.scripts_pushed.update(self.servers)
        for server in self.servers.values():
            mixed = self.mate(server.name).release != server.release
            if server.role is Role.FORCED_STANDBY and not mixed:
                self.forced_by_hand.add(server.name)

    def _fit_accounts(self, server: str) -> None:
        """10.5 has no admusr; a later release brings it, and a backout takes it away with that release."""
        if releases.root_logs_in(self.servers[server].release):
            self.unix[server].remove("admusr")
        else:
            self.unix[server].add("admusr", self.secrets.admusr.get_secret_value())

    def may_log_in(self, server: Server, user: str, password: str) -> bool:
        """By password: root does so on 10.5 only."""
        right = self.unix[server.name].is_right(user, password)
        return right and (user != "root" or releases.root_logs_in(server.release))

    def _choose_kit(self) -> None:
        """A run that begins in the middle: the kit lies on the CMP servers and is chosen already."""
        image = self.config.current_iso
        if image is None:
            return
        for server in self.servers.values():
            if server.kind is Kind.CMP:
                self.place_image(server.name, image, KIT_DIR)
        self.current_iso = f"{KIT_DIR}/{image}"
        self.current_label = next(kit.label for kit in self.kits() if kit.path == self.current_iso)
        self.target = self.config.target

    def place_image(self, server: str, image: str, folder: str = UPGRADE_DIR) -> None:
        """Puts an image of the media list there as if it had always been there (no flight event)."""
        media = self.media[image]
        self.files[server].put(f"{folder}/{image}", File(media.size, media.md5, None, 0.0), quiet=True)

    def _mirror(self, server: str) -> None:
        """The files are the truth; `isos` is what ISO Maintenance shows of them."""
        tree = self.files[server]
        self.servers[server].isos = {
            name: IsoFile(name, file.size, file.percent)
            for name in tree.list(UPGRADE_DIR)
            if name.endswith(".iso") and not tree.is_dir(f"{UPGRADE_DIR}/{name}")
            for file in [tree.stat(f"{UPGRADE_DIR}/{name}")]
        }

    # --- time and chance
    def now(self) -> float:
        return self.clock.now()

    def wall(self, t: float) -> datetime:
        """The twin's calendar: the moment of the start plus `t`."""
        return self.start + timedelta(seconds=t)

    def dice(self, where: str, act: str) -> random.Random:
        """A generator that depends on seed, place and act alone, never on the order of events."""
        return random.Random(f"{self.config.seed}:{where}:{act}")

    def draw(self, where: str, act: Act) -> random.Random:
        """The dice of this occurrence of `act` at `where`; the next call is the next occurrence."""
        n = self._occurrence[(where, act)] = self._occurrence.get((where, act), 0) + 1
        return self.dice(where, f"{act.value}:{n}")

    def lasting(self, act: Act, where: str, minutes: float) -> float:
        """Twin seconds that this occurrence of `act` at `where` takes: +-10 % by the seed."""
        return minutes * 60.0 * self.draw(where, act).uniform(0.9, 1.1)

    # --- looking
    def cluster_of(self, server: str) -> Cluster:
        return self.clusters[self.servers[server].cluster]

    def mate(self, server: str) -> Server:
        first, second = self.cluster_of(server).servers
        return self.servers[second if server == first else first]

    def active(self, cluster: str) -> Server | None:
        """The server whose true role is Active."""
        return next(
            (self.servers[n] for n in self.clusters[cluster].servers if self.servers[n].role is Role.ACTIVE),
            None,
        )

    @property
    def primary(self) -> Cluster:
        """The primary CMP cluster."""
        return next(cluster for cluster in self.clusters.values() if cluster.primary)

    def running(self, cluster: str, *acts: Act) -> list[Action]:
        """Actions of that cluster that have not ended; of those kinds, or of any."""
        return [a for a in self.actions if a.cluster == cluster and (not acts or a.act in acts)]

    @property
    def has_director(self) -> bool:
        """Does an Upgrade Director manage the system? That of the primary CMP's active server; 10.5 and 11.5 have none."""
        return releases.has_director(self.servers[self.last_active[self.primary.name]].release)

    def on_target(self, server: Server) -> bool:
        """On the target of the whole work, whether or not the kit has been chosen."""
        return server.release == (self.target or self.config.target)

    def log(self, cluster: str) -> list[LogEntry]:
        """The Upgrade Log of a cluster, oldest first."""
        return [entry for entry in self.logs if entry.cluster == cluster]

    def kits(self) -> list[Kit]:
        """What the Current ISO dialog offers."""
        return director.kits(self)

    def up_to_date(self, server: str) -> str:
        """Y, N or N/A."""
        return director.up_to_date(self, server)

    def printed_role(self, server: str) -> str:
        """Server Role (12.x: Standby for a forced standby of a mixed cluster) or Server State (10.5, 11.5)."""
        return director.printed_role(self, server)

    def operation_cell(self, server: str) -> str:
        """The cell Upgrade Operation as it reads now."""
        return views.operation_cell(self, server)

    def alarm_severity(self, server: str) -> str:
        """Critical, Major, Minor or empty."""
        return alarms.worst(self, server)

    def next_upgrade(self, cluster: str) -> Announced | None:
        """What the upgrade button announces; None = it is grey."""
        return director.next_upgrade(self, cluster)

    def next_rollback(self, cluster: str) -> Announced | None:
        return director.next_rollback(self, cluster)

    def optional(self, cluster: str) -> list[Announced]:
        """The entries of Optional Actions."""
        return director.optional(self, cluster)

    def upgrade_label(self, cluster: str) -> str:
        """Start Upgrade, Continue Upgrade or Resume Upgrade."""
        return director.upgrade_label(self, cluster)

    def rollback_label(self, cluster: str) -> str:
        """Start Rollback or Continue Rollback."""
        return director.rollback_label(self, cluster)

    def counters(self, cluster: str) -> dict[str, int | float]:
        """The Reports tab: Messages In, Messages Out, Current TPS, Seconds since reset."""
        return views.counters(self, cluster)

    def kpis(self) -> list[KpiRow]:
        return views.kpis(self)

    def rep_stats(self) -> list[RepRow]:
        return views.rep_stats(self)

    def om_samples(self, cluster: str, begin: float, end: float) -> list[OmSample]:
        """Samples of 15 minutes (of the twin's calendar) that overlap begin..end (twin seconds)."""
        return views.om_samples(self, cluster, begin, end)

    def cluster_status(self, cluster: str) -> str:
        """OK, Degraded (a server is away or of another release) or Offline."""
        return views.cluster_status(self, cluster)

    def config_state(self, server: str) -> str:
        """OK or Config mismatch."""
        return views.config_state(self, server)

    def reapply_progress(self, cluster: str) -> int | None:
        """Percent of the running re-apply, None when none runs."""
        return views.reapply_progress(self, cluster)

    def gui_up(self, cmp_cluster: str) -> bool:
        """False while the VIP moves or nobody is active: the HTTPS listener drops connections."""
        return self.active(cmp_cluster) is not None and self.now() >= self.gui_down_until.get(
            cmp_cluster, 0.0
        )

    def release_of_gui(self, cmp_cluster: str) -> str:
        """The release whose login page the VIP serves."""
        return (self.active(cmp_cluster) or self.servers[self.last_active[cmp_cluster]]).release

    # --- sessions
    def login(self, cmp_cluster: str, user: str, password: str) -> Session | None:
        """None = refused; `is_locked` tells whether the account is locked."""
        return self.accounts.login(cmp_cluster, user, password)

    def logout(self, token: str) -> None:
        self.accounts.sessions.pop(token, None)

    def session(self, token: str, cmp_cluster: str) -> Session | None:
        """The living session of that cookie at that VIP, else None."""
        return self.accounts.valid(token, cmp_cluster)

    def is_locked(self, user: str) -> bool:
        return self.accounts.is_locked(user)

    def ossi_login(self, user: str, password: str) -> bool:
        return self.accounts.ossi(user, password)

    def before_dialog(self, announced: Announced, by: str) -> None:
        """The web calls this when it opens the confirmation dialog of an act."""
        self.faults.dialog_opens(announced, by)

    def answer_fate(self, cluster: str | None, token: str | None) -> Fate:
        """The web calls this once after every accepted act in `cluster`, before it answers.

        On SESSION_LOST the session of `token` is dead already.
        """
        return self.faults.answer(cluster, token)

    # --- verbs of the GUI
    def perform(self, announced: Announced, by: str) -> str:
        """Does exactly what the dialog said. Answers the message of the GUI."""
        operations.perform(self, announced, by)
        return "Operation successful."

    def select_iso(self, path: str, by: str) -> None:
        """3.1.3: the current procedure is abandoned; a few seconds later Up to Date tells old from new."""
        images.select_iso(self, path, by)

    def upload_iso(
        self, servers: Sequence[str], host: str, user: str, password: str, path: str, by: str
    ) -> None:
        """ISO Maintenance > Upload ISO: every server fetches `path` from `host` (an address or a name)."""
        images.upload_iso(self, servers, host, user, password, path, by)

    def delete_iso(self, servers: Sequence[str], by: str) -> None:
        """ISO Maintenance > Delete ISO: every image in /var/TKLC/upgrade of those servers."""
        images.delete_iso(self, servers, by)

    def push_scripts(self, servers: Sequence[str], by: str) -> None:
        maintenance.push_scripts(self, servers, by)

    def force_standby(self, server: str, by: str) -> None:
        maintenance.force_standby(self, server, by)

    def cancel_force_standby(self, server: str, by: str) -> None:
        maintenance.cancel_force_standby(self, server, by)

    def switch_force_standby(self, cluster: str, by: str) -> None:
        operations.switch_force_standby(self, cluster, by)

    def start_upgrade(self, servers: Sequence[str], by: str) -> None:
        """System Maintenance of 10.5 and 11.5 (6.1.1/10)."""
        operations.initiate_by_server(self, servers, Act.INITIATE_UPGRADE, by)

    def back_out(self, servers: Sequence[str], by: str) -> None:
        """System Maintenance of 10.5 and 11.5 (12.3.5/6)."""
        operations.initiate_by_server(self, servers, Act.INITIATE_BACKOUT, by)

    def reapply(self, cluster: str, by: str) -> None:
        maintenance.reapply(self, cluster, by)

    def reset_counters(self, cluster: str, by: str) -> None:
        maintenance.reset_counters(self, cluster, by)

    # --- actions: every begin has exactly one finish
    def begin(
        self, act: Act, cluster: str | None, server: str | None, by: str, *, back: bool = False
    ) -> Action:
        action = Action(act, cluster, server, by, self.now(), back=back)
        self.actions.append(action)
        self.flight.write("action_started", cluster=cluster, server=server, action=act.value, by=by)
        return action

    def finish(self, action: Action, result: str) -> None:
        """`Success` or `Failed`; a second call for the same action changes nothing."""
        if action.ended:
            return
        action.ended = True
        action.phase = None
        self.actions.remove(action)
        self.flight.write(
            "action_ended", cluster=action.cluster, server=action.server, action=action.act.value, by=action.by,
            result=result,
        )  # fmt: skip

    def run(self, action: Action, script: Script) -> None:
        """Lets the script of an accepted action go on by itself; whatever happens, the action ends once."""

        def broken(error: Exception) -> None:
            log.error("the script of %s in %s failed", action.act, action.cluster, exc_info=error)
            self.finish(action, "Failed")
            self.settle()

        drive(self.clock, script, self.settle, broken)

    def refuse(self, why: str, act: Act, cluster: str | None, server: str | None, by: str) -> Refused:
        """Writes the event; the caller raises what it gets."""
        self.flight.write("refused", cluster=cluster, server=server, action=act.value, by=by, why=why)
        return Refused(why)

    def close(self) -> None:
        """The twin ends: what still runs will never succeed."""
        for action in list(self.actions):
            self.finish(action, "Failed")

    # --- changes of state, each with its event
    def set_role(self, server: Server, role: Role) -> None:
        if server.role is role:
            return
        self.flight.write(
            "role", **{"server": server.name, "cluster": server.cluster, "kind": server.kind.value,
                       "from": server.role.value, "to": role.value},
        )  # fmt: skip
        was, server.role = server.role, role
        if Role.ACTIVE not in (was, role):
            return
        promoted = role is Role.ACTIVE and self.last_active[server.cluster] != server.name
        if role is Role.ACTIVE:
            self.last_active[server.cluster] = server.name
        if server.kind is Kind.CMP:
            director.vip_moves(self, self.clusters[server.cluster], promoted=promoted)

    def set_release(self, server: Server, release: str) -> None:
        if server.release == release:
            return
        self.flight.write(
            "release", **{"server": server.name, "cluster": server.cluster, "kind": server.kind.value,
                          "from": server.release, "to": release},
        )  # fmt: skip
        server.prev_release, server.release = server.release, release
        self._fit_accounts(server.name)

    def set_reachable(self, server: Server, up: bool) -> None:
        if server.reachable == up:
            return
        server.reachable = up
        if up:
            self.unseen.discard(server.name)
        self.flight.write("reachable", server=server.name, up=up)
        for listener in self.reachable_changed:
            listener(server.name, up)

    def cut_connections(self, server: str) -> None:
        """Every SSH connection to the server breaks off; new ones are taken at once."""
        for listener in self.connections_cut:
            listener(server)

    def set_sync(self, server: Server, in_sync: bool) -> None:
        if server.in_sync == in_sync:
            return
        server.in_sync = in_sync
        self.flight.write("replication", server=server.name, in_sync=in_sync)

    def add_log(self, cluster: str, name: str, parent: int, scope: str, mode: str, hostname: str) -> LogEntry:
        """A new line of the Upgrade Log, running."""
        self._log_id += 1
        who = "User initiated action" if mode == "Manual" else "Automatic action"
        entry = LogEntry(
            self._log_id, parent, name, self.now(), None, scope, hostname, "", mode,
            f"{who}: {name} on {hostname}", cluster,
        )  # fmt: skip
        self.logs.append(entry)
        return entry

    def image_problem(self, server: Server) -> str | None:
        """Why an upgrade of this server cannot succeed with the images that lie there (R10), None = it can."""
        found = server.isos
        if len(found) != 1:
            return f"{len(found)} images in {UPGRADE_DIR}, exactly one is needed"
        (image,) = found.values()
        if image.percent is not None and image.percent < 100:
            return f"{image.name} is still being transferred"
        if media_type(image.name, self.media) != server.kind.value.lower():
            return f"{image.name} is not an image for {server.kind.value}"
        target = self.target or self.config.target
        if f"-{target}-" not in PurePosixPath(image.name).name:
            return f"{image.name} is not of release {target}"
        known = self.media.get(image.name)
        if known is not None and self.files[server.name].stat(f"{UPGRADE_DIR}/{image.name}").md5 != known.md5:
            return f"{image.name} is damaged"
        return None

    def settle(self) -> None:
        """What follows from the state by itself: traffic, alarms. Called after every change."""
        self.traffic.reconsider()
        alarms.update(self)

    def snapshot(self) -> dict[str, object]:
        """The content of world.json: how the twin began."""
        return views.world_json(self)
