"""The small system from its beginning, on any source release: both GUIs, images, scripts, keys and the kit.

Which GUI it serves follows the release of the active primary CMP, as on the real one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from mopflow.console.protocol import (
    Act,
    Gui,
    Intended,
    IsoImage,
    IsoRow,
    Kit,
    LogLine,
    Operation,
    Overview,
    Shots,
)
from mopflow.errors import ActRefused, CommandFailed, NotAnnounced, Unreachable, UnreadableReply
from mopflow.release import Release
from mopflow.site import Deadline, Site
from mopflow.ssh import Answers, Reply
from mopflow.system import Alarm, Doing, Role, ServerState, Severity, UpToDate
from mopflow.system import Operation as OperationCell
from tests.pure.small_system import (
    MD5,
    STEPS,
    TARGET,
    Box,
    Place,
    SmallServers,
    SmallSystem,
    Work,
    make_place,
)

SOURCES = {
    "10.5": "10.5.6.0.0_41.1.0",
    "11.5": "11.5.2.0.0_38.1.0",
    "12.0": "12.0.0.0.0_45.1.0",
    "12.1.1": "12.1.1.0.0_14.1.0",
}
OLD_IMAGE = "cmp-12.0.0.0.0_45.1.0-x86_64.iso"
SCRIPTS = {"qpUpgrade.pl": "a" * 32, "qpPolicy.pl": "b" * 32}
COMPLETED = "Completed: upgrade was completed at Aug 18, 2016 23:09:07"
BACKED_OUT = "Completed: backout was completed at Aug 18, 2016 23:09:07"


class WholeSystem(SmallSystem):
    """``sent`` has the entries of Operations too, with the server, the cluster, or ``all``."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        for cluster in site.clusters:
            for box, role in zip(self.of(cluster.name), (Role.ACTIVE, Role.STANDBY), strict=True):
                box.release, box.operation, box.role = self.source, "n/a", role
            self.config[cluster.name] = self.source
        self.iso = "Install Kit"
        for name in self.images:
            holds = name in ("cmp-1a", "mpe-1b")
            self.images[name] = self.images[name] if holds else OLD_IMAGE if name == "cmp-2a" else ""
        self.completed = COMPLETED  # how the old GUI says that an upgrade is over
        self.pushed = 0
        self.idle = 0  # ticks before an accepted switch shows at all
        self._switching: Work | None = None

    # the world

    @property
    def primary(self) -> str:
        return self.site.cmp.primary.name

    @property
    def gui(self) -> Gui:
        active = self.active(self.primary)
        if active is None:
            raise Unreachable("the console", "no active server")
        return Gui.MAINTENANCE if Release.parse(active.release).has_old_gui else Gui.DIRECTOR

    def tick(self) -> None:
        if self._switching is not None and self.idle > 0:
            self.idle -= 1
            if self.idle == 0:
                self._begin_switch()
        super().tick()

    def next_act(self, cluster: str) -> Intended | None:
        directed = self.gui is Gui.DIRECTOR and self.iso != "Install Kit"
        return super().next_act(cluster) if directed else None

    def back_act(self, cluster: str) -> Intended | None:
        return super().back_act(cluster) if self.gui is Gui.DIRECTOR else None

    def _upgrade(self, work: Work, box: Box) -> None:
        """In System Maintenance a server stays in forced standby, whatever became of it."""
        if self.active(self.primary) is None or self.gui is Gui.DIRECTOR:
            super()._upgrade(work, box)
            return
        back = work.act is Act.INITIATE_BACKOUT
        if work.left > 0:
            box.role = Role.OOS
            box.operation = (
                f"{'Backing out' if back else 'Upgrading'}: {100 - work.left}% (Elapsed Time: 0:12:33)"
            )
            return
        box.role = Role.FORCED_STANDBY
        if box.name in self.fails:
            box.operation = "Error: upgrade failed at Aug 18, 2016 23:09:07"
        elif back:
            box.release, box.operation = self.source, BACKED_OUT
        else:
            box.release, box.operation = TARGET, self.completed

    def _begin_switch(self) -> None:
        work = self._switching
        assert work is not None
        self._switching = None
        active = self.active(work.cluster)
        assert active is not None
        active.role = Role.OFFLINE
        self.work.append(work)

    def _fail_over(self, work: Work) -> None:
        if not any(box.role is Role.OFFLINE for box in self.of(work.cluster)):
            super()._fail_over(work)
        elif work.left <= 0:
            for box in self.of(work.cluster):
                gone = box.role is Role.OFFLINE
                box.role, box.operation = (Role.FORCED_STANDBY if gone else Role.ACTIVE), "n/a"

    # the Console

    def about(self) -> Release:
        self._call("about")
        with self.lock:
            assert self.gui
            active = self.active(self.primary)
            assert active is not None
            return Release.parse(active.release)

    def overview(self) -> Overview:
        with self.lock:
            self.readings += 1
            self.read()
            try:
                gui = self.gui
                old = gui is Gui.MAINTENANCE
                return Overview(
                    tuple(self._row(box) for box in self.boxes.values()), "" if old else self.iso, gui
                )
            finally:
                self.tick()

    def _row(self, box: Box) -> ServerState:
        row = super()._row(box)
        old = self.gui is Gui.MAINTENANCE
        if old or self.iso == "Install Kit":
            ended = row.operation.doing is Doing.SUCCEEDED and row.operation.backout
            return replace(
                row,
                prev_release="",
                up_to_date=UpToDate.NOT_APPLICABLE,
                operation=OperationCell.read(BACKED_OUT) if old and ended else row.operation,
            )
        return row

    def upgrade_log(self, cluster: str) -> tuple[LogLine, ...]:
        if self.gui is Gui.MAINTENANCE:
            raise UnreadableReply("Upgrade Log", "the old GUI has none", "")
        return super().upgrade_log(cluster)

    def active_alarms(self) -> tuple[Alarm, ...]:
        with self.lock:
            found = list(super().active_alarms())
            releases = {box.release for c in self.site.cmp_clusters for box in self.of(c.name)}
            if len(releases) > 1:
                behind = [b for b in self.boxes.values() if b.cluster.startswith("cmp")]
                found += [
                    Alarm(70025, Severity.CRITICAL, "another schema version", box.name, "")
                    for box in behind
                    if box.release != TARGET
                ]
            if self.active(self.primary) is not None and self.gui is Gui.DIRECTOR and len(releases) > 1:
                active = self.active(self.primary)
                assert active is not None
                found.append(Alarm(70500, Severity.MINOR, "System Mixed Version", active.name, ""))
            return tuple(found)

    def iso_maintenance(self) -> tuple[IsoRow, ...]:
        self._call("iso_maintenance")
        return tuple(
            IsoRow(name, "", "", (IsoImage(file, 100),) if file else ()) for name, file in self.images.items()
        )

    def kits(self) -> tuple[Kit, ...]:
        self._call("kits")
        active = self.active(self.primary)
        if active is None or self.gui is Gui.MAINTENANCE or active.name not in self.offered:
            return ()
        return (Kit(f"standard-{TARGET}", TARGET, f"/var/camiant/iso/{self._image(active.name)}", ""),)

    def _image(self, server: str) -> str:
        return f"{self._type(server)}-{TARGET}-x86_64.iso"

    offered: frozenset[str] = frozenset()  # servers with the kit

    def _accept(self, name: str, who: str) -> str:
        self.sent.append((name, who))
        return "Operation successful."

    def operate(self, operation: Operation, names: Sequence[str], *, shots: Shots | None = None) -> str:
        self._call(f"operate {operation}")
        with self.lock:
            answer = self._operate(operation, names)
        self._acted(f"operate {operation}")
        return answer

    def _operate(self, operation: Operation, names: Sequence[str]) -> str:
        if operation is Operation.PUSH_SCRIPTS:
            assert set(names) == set(self.boxes)
            self.pushed += 1
            return self._accept(operation, "all")
        if self.gui is Gui.DIRECTOR:
            raise NotAnnounced(str(operation), "the Upgrade Manager has no such entry")
        (name,) = names
        if operation is Operation.SWITCH_FORCE_STANDBY:
            if self._switching is not None or self.other(name).role is not Role.FORCED_STANDBY:
                raise ActRefused("nothing to switch")
            self._switching = Work(Act.FAILOVER_TO_NEW, name, None, STEPS[Act.FAILOVER_TO_NEW])
            if self.idle == 0:
                self._begin_switch()
            return self._accept(operation, name)
        box = self.boxes[name]
        forced = box.role is Role.FORCED_STANDBY
        if operation is Operation.FORCE_STANDBY and box.role is Role.STANDBY:
            box.role = Role.FORCED_STANDBY
        elif operation is Operation.CANCEL_FORCE_STANDBY and forced:
            box.role = Role.STANDBY
        elif operation is Operation.BACKOUT and forced and box.release == TARGET:
            self.work.append(Work(Act.INITIATE_BACKOUT, box.cluster, name, STEPS[Act.INITIATE_BACKOUT]))
            box.operation = "Backing out: 0% (Elapsed Time: 0:00:01)"
        elif operation is Operation.START_UPGRADE and forced and box.release != TARGET:
            self.work.append(Work(Act.INITIATE_UPGRADE, box.cluster, name, STEPS[Act.INITIATE_UPGRADE]))
            box.operation = "Upgrading: 0% (Elapsed Time: 0:00:01)"
        else:
            raise ActRefused(f"{operation} of {name} ({box.role})")
        return self._accept(operation, name)

    def select_iso(self, path: str, *, shots: Shots | None = None) -> str:
        self._call("select_iso")
        with self.lock:
            assert [kit.path for kit in self.kits()] == [path]
            self.iso = f"standard-{TARGET}"
            self.sent.append(("select", path))
        self._acted("select_iso")
        return "accepted"

    def delete_iso(self, servers: Sequence[str], *, shots: Shots | None = None) -> str:
        self._call("delete_iso")
        for name in servers:
            self.images[name] = ""
        self.sent.append(("delete", ",".join(servers)))
        return "accepted"

    def upload_iso(
        self, servers: Sequence[str], host: str, user: str, password: str, path: str,
        *, shots: Shots | None = None,
    ) -> str:  # fmt: skip
        self._call("upload_iso")
        for name in servers:
            self.images[name] = path.rpartition("/")[2]
        self.sent.append(("upload", user))
        self._acted("upload_iso")
        return "accepted"


class WholeServers(SmallServers):
    """SSH to it. ``commands``: what changed something, with the server."""

    def __init__(self, system: WholeSystem) -> None:
        super().__init__(system)
        self._whole = system
        self.keys = False
        self.mounted: dict[str, str] = {}  # server -> image
        self.bin: dict[str, str] = {"other.pl": "c" * 32}
        self.commands: list[tuple[str, str]] = []
        self.broken_copy = False

    def login_user(self, server: str) -> str:
        return "root" if self._whole.boxes[server].release.startswith("10.5") else "admusr"

    def password_of(self, server: str) -> SecretStr:
        return SecretStr("secret")

    def converse(self, server: str, command: str, answers: Answers, *, timeout: float) -> Reply:
        self._whole._call("converse")
        assert ("--user=root" in command) == (self.login_user(server) == "root")
        self.keys = True
        self.commands.append((server, command))
        self._whole._acted("converse")
        return Reply(0, "keys are provisioned\n", "")

    def run(self, server: str, command: str, *, timeout: float = 60) -> Reply:
        if "qpSSHKeyProv.pl --check" in command:
            return Reply(0, "SSH keys are OK.\n" if self.keys else "not yet\n", "")
        if command.startswith("md5sum /opt/camiant/bin"):
            wanted = [path.rpartition("/")[2] for path in command.split()[1:]]
            found = [n for n in wanted if n in self.bin]
            text = "".join(f"{self.bin[n]}  /opt/camiant/bin/{n}\n" for n in found)
            return Reply(int(found != wanted), text, "" if found == wanted else "md5sum: No such file")
        return super().run(server, command, timeout=timeout)

    def check(self, server: str, command: str, *, timeout: float = 60) -> str:
        system = self._whole
        if command == "LC_ALL=C mount":
            lines = ["/dev/mapper/vgroot-plat_root on / type ext4 (rw)"]
            if server in self.mounted:
                lines.append(f"{self.mounted[server]} on /mnt/upgrade type iso9660 (rw,loop=/dev/loop0)")
            return "\n".join(lines) + "\n"
        if command.startswith("sudo mount"):
            match = re.fullmatch(r"sudo mount -o loop (\S+) /mnt/upgrade/", command)
            assert match is not None
            if server in self.mounted or not system.images[server]:
                raise CommandFailed(server, command, 32, "mount failed")
            self.mounted[server] = match[1]
            system._acted("mount")
            return ""
        if command == "sudo umount /mnt/upgrade":
            del self.mounted[server]
            return ""
        if "/mnt/upgrade/upgrade/policyScripts/*.pl" in command:
            assert server in self.mounted
            if command.startswith("md5sum"):
                folder = "/mnt/upgrade/upgrade/policyScripts"
                return "".join(f"{md5}  {folder}/{name}\n" for name, md5 in SCRIPTS.items())
            assert command == "sudo cp /mnt/upgrade/upgrade/policyScripts/*.pl /opt/camiant/bin"
            if self.broken_copy:
                raise CommandFailed(server, command, 1, "cp: No space left on device")
            self.bin |= SCRIPTS
            self.commands.append((server, command))
            system._acted("cp")
            return ""
        if "/var/camiant/iso" in command:
            return self._kit(server, command)
        if " ls " in command and not system.images[server]:
            return "total 0\n"
        return super().check(server, command, timeout=timeout)

    def _kit(self, server: str, command: str) -> str:
        system, file = self._whole, self._whole._image(server)
        if " ls " in command:
            listed = f"-rw-r--r-- 1 root root 900 Aug 16 09:21 {file}\n" if server in system.offered else ""
            return f"total 1\n{listed}"
        if "df " in command:
            head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
            return f"{head}/dev/sda1 100000 1000 90000 2% /var/camiant\n"
        if "md5sum" in command:
            return f"{MD5}  {command.split()[-1]}\n"
        if command.startswith("sudo mv"):
            system.offered |= {server}
            self.commands.append((server, "offer the kit"))
            system._acted("kit")
        return ""


def upgraded_cmps(place: Place) -> None:
    """Both CMP clusters run the target release, every other one the source release."""
    system = place.system
    system.iso = f"standard-{TARGET}"
    for cluster in place.site.cmp_clusters:
        system.finish(cluster.name)


def whole_place(folder: Path, template: Path, source: str, **pace: object) -> Place:
    """A place on this source release (a key of SOURCES) before anything was done to it."""
    place = make_place(folder, template, **pace)
    site = place.site.model_copy(update={"source": SOURCES[source]})
    failover = Deadline(usual=0.01, late=3.0)
    place.site = site.model_copy(update={"pace": site.pace.model_copy(update={"failover": failover})})
    place.system = WholeSystem(place.site)
    place.servers = WholeServers(place.system)
    return place
