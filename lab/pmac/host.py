"""The state of PM&C and its verbs: files, registered images, background tasks, who is logged in to its GUI.

What its user's guide of a later 6.x says: an image is added in the background by a task whose progress is shown;
before that PM&C sees that the file exists, that no such image is registered yet, and validates its content. Images
lie in the repository, each mounted; a deleted one is unmounted and its file removed. Wording is assumed.
"""

from __future__ import annotations

import hmac
import secrets as tokens
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lab.clock import Script, drive
from lab.config import PmacConfig
from lab.disks import Disks
from lab.errors import Refused
from lab.faults import Name
from lab.files import UPGRADE_DIR, File, FileTree
from lab.state import Kind, Role, Server
from lab.unix_accounts import UnixAccounts

if TYPE_CHECKING:
    from lab.world import World

RELEASE = "6.0.1.0.0_60.20.0"  # 4.2: PM&C 6.0 goes with 12.1.2
REPOSITORY = "/var/TKLC/smac/image/repository"
FTP_HOME = "/var/TKLC/smac/image/isoimages/home/smacftpusr"
SEARCH = (UPGRADE_DIR, FTP_HOME)  # the local search paths of 4.6.3.2
FAILURES_UNTIL_LOCKED = 3
GB = 1 << 30
PLATFORM_IMAGE = "TPD.install-7.0.2.0.0_86.28.0-OracleLinux6.6-x86_64"
MOUNTS = (  # device, size in KiB, used by what is not in the file tree, where
    ("/dev/mapper/vgroot-plat_root", 1032088, 402112, "/"),
    ("/dev/vda1", 253871, 46320, "/boot"),
    ("/dev/mapper/vgroot-plat_tmp", 1032088, 34052, "/tmp"),
    ("/dev/mapper/vgroot-plat_usr", 5160576, 2510448, "/usr"),
    ("/dev/mapper/vgroot-plat_var", 1032088, 388904, "/var"),
    ("/dev/mapper/vgroot-plat_var_tklc", 5160576, 301624, "/var/TKLC"),
    ("/dev/mapper/vgroot-smac_var", 1032088, 62300, "/var/TKLC/smac"),
    ("/dev/mapper/vgroot-smac_isoimages", 61927420, 184268, "/var/TKLC/smac/image"),
)
_STEPS = 20  # in which the progress of a task moves


class TaskState(StrEnum):
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


@dataclass(slots=True)
class Image:
    """A row of Manage Software Images."""

    name: str  # of the file, without .iso
    kind: str  # Bootable | Upgrade
    architecture: str
    description: str


@dataclass(slots=True)
class Task:
    """A row of Task Monitoring. Times are twin seconds."""

    id: int
    name: str
    target: str
    status: str
    state: TaskState
    started: float
    ended: float | None = None
    progress: int = 0


@dataclass(slots=True)
class Session:
    token: str
    user: str
    message: str = ""  # shown once, on the next page
    bad: bool = False  # it is an error


class PmacHost:
    def __init__(self, world: World, config: PmacConfig) -> None:
        self.world = world
        self.config = config
        # the shells want a server; this one stands in no list of the world and has no Policy application
        self.server = Server(
            config.name, "", Kind.CMP, config.address, config.port, Role.ACTIVE, RELEASE, RELEASE
        )
        self.tree = FileTree(config.name, world.flight, world.clock.now, dirs=_FOLDERS)
        world.files[config.name] = self.tree
        world.unix[config.name] = UnixAccounts(
            self.tree,
            world.dice(config.name, "salts"),
            {"root": tokens.token_urlsafe(18), "admusr": world.secrets.pmac_admusr.get_secret_value()},
            weak=False,
        )
        world.disks[config.name] = disks = Disks(self.tree, {}, MOUNTS)
        self.tree.room = disks.room
        self.tree.arrives = lambda path, at, data: world.transfers.arrives(config.name, path, at, data)
        self.images: dict[str, Image] = {}
        self.tasks: list[Task] = []
        self._sessions: dict[str, Session] = {}
        self._failures = 0
        self._register(PLATFORM_IMAGE, "Bootable", "TPD", File(900 << 20, "7" * 32, None, 0.0))
        self._mounted()

    # --- what lies there from the start
    def _register(self, name: str, kind: str, description: str, file: File) -> None:
        self.tree.put(f"{REPOSITORY}/{name}.iso", file, quiet=True)
        self.images[name] = Image(name, kind, _architecture(name), description)

    def begin_full(self, *, everywhere: bool) -> None:
        """Less than 3 GB free in the upload directory; `everywhere`: in the other one as well."""
        log = "savelogs_plat.20160712_101500.tgz"
        size = (5160576 - 301624) * 1024 - 19 * GB // 10
        self.tree.put(f"{UPGRADE_DIR}/{log}", File(size, "5" * 32, None, 0.0), quiet=True)
        if everywhere:
            self.tree.put(f"{FTP_HOME}/guest-backup.tar", File(58 * GB, "6" * 32, None, 0.0), quiet=True)

    def begin_with_old_files(self) -> None:
        """Images of the source release lie in the upload directory, so that less than 3 GB are free."""
        for kind in ("cmp", "mpe", "mra"):
            name = f"{kind}-{self.world.config.source}-x86_64.iso"
            self.tree.put(f"{UPGRADE_DIR}/{name}", File(7 * GB // 10, "4" * 32, None, 0.0), quiet=True)

    def begin_with_wrong_image(self) -> None:
        """An image of the target's CMP is registered whose content is another."""
        name = f"cmp-{self.world.config.target}-x86_64"
        self._register(name, "Upgrade", "", File(1 << 20, "0" * 32, None, 0.0))
        self._mounted()

    # --- logins
    @property
    def locked(self) -> bool:
        return self._failures >= FAILURES_UNTIL_LOCKED

    def login(self, user: str, password: str) -> Session | None:
        """None = refused; `locked` tells whether the account is locked."""
        secrets = self.world.secrets
        right = _same(user, secrets.pmac_gui_user) and _same(password, secrets.pmac_gui.get_secret_value())
        ok = right and not self.locked and not self.world.faults.bites(Name.PMAC_LOGIN_REFUSED, "pmac")
        self._record("login", None, ok=ok, user=user)
        if not ok:
            self._failures += 1
            return None
        self._failures = 0
        session = Session(tokens.token_urlsafe(24), user)
        self._sessions[session.token] = session
        return session

    def session(self, token: str | None) -> Session | None:
        return None if token is None else self._sessions.get(token)

    def logout(self, session: Session) -> None:
        self._sessions.pop(session.token, None)

    # --- verbs
    def offered(self) -> list[str]:
        """Paths of the dropdown of Add Image: what lies in the local search paths."""
        return [
            f"{folder}/{name}"
            for folder in SEARCH
            for name in self.tree.list(folder)
            if name.endswith(".iso") and f"{folder}/{name}" in self.tree
        ]

    def add(self, path: str, description: str, *, remove: bool) -> Task:
        """Add Image. Raises Refused; then the task goes on by itself."""
        name = PurePosixPath(path).name.removesuffix(".iso")
        why = None
        if path not in self.offered():
            why = f"Image file {path} does not exist."
        elif name in self.images:
            why = f"Image {name} already exists in the repository."
        elif any(t.state is TaskState.IN_PROGRESS and t.status.endswith(name) for t in self.tasks):
            why = f"Image {name} is being added already."
        if why is not None:
            self._record("add", name, ok=False, why=why)
            raise Refused(why)
        task = Task(
            len(self.tasks) + 1,
            "Add Image",
            "",
            f"Adding image: {name}",
            TaskState.IN_PROGRESS,
            self.world.now(),
        )
        self.tasks.append(task)
        self._record("add", name, ok=True, task=task.id, remove=remove)

        def broken(error: Exception) -> None:
            self._end(task, name, f"{name}: {error}")

        drive(self.world.clock, self._adding(task, path, name, description, remove), lambda: None, broken)
        return task

    def _adding(self, task: Task, path: str, name: str, description: str, remove: bool) -> Script:
        fails = self.world.faults.bites(Name.PMAC_ADD_FAILS, "pmac")
        dice = self.world.dice("pmac", f"add:{task.id}")
        step = self.world.config.durations.pmac_add * 60.0 * dice.uniform(0.9, 1.1) / _STEPS
        for n in range(_STEPS):
            task.progress = n * 100 // _STEPS
            yield step
            if path not in self.tree:
                self._end(task, name, f"{path}: no such file")
                return
            if fails and task.progress >= 60:
                self._end(task, name, f"{name}: copying to the repository ended with an I/O error")
                return
        file = self.tree.stat(path)
        known = self.world.media.get(f"{name}.iso")
        if known is not None and known.md5 != file.md5:
            self._end(task, name, f"{name}: validation of the image failed")
            return
        self.tree.put(f"{REPOSITORY}/{name}.iso", replace(file, mtime=self.world.now(), percent=None))
        self.images[name] = Image(name, "Upgrade", _architecture(name), description)
        if remove:
            self.tree.delete(path)
        self._mounted()
        self._end(task, name, None)

    def _end(self, task: Task, name: str, why: str | None) -> None:
        task.ended = self.world.now()
        task.state = TaskState.COMPLETE if why is None else TaskState.FAILED
        task.status = f"Done: {name}" if why is None else f"Failed: {why}"
        task.progress = 100 if why is None else task.progress
        self._record("task", name, ok=why is None, task=task.id)

    def delete(self, name: str) -> None:
        """Delete Image: unmounted, its file removed. Raises Refused."""
        why = None
        if name not in self.images:
            why = f"Image {name} does not exist in the repository."
        elif self.images[name].kind == "Bootable":
            why = f"Image {name} is in use."
        if why is not None:
            self._record("delete", name, ok=False, why=why)
            raise Refused(why)
        del self.images[name]
        self.tree.delete(f"{REPOSITORY}/{name}.iso")
        self._mounted()
        self._record("delete", name, ok=True)

    # --- inside
    def _mounted(self) -> None:
        """What the kernel says is mounted: the disks, and every image of the repository."""
        disks = [f"{device} {where} ext4 rw,relatime 0 0" for device, _, _, where in MOUNTS]
        loops = [
            f"/dev/loop{n} {_MOUNTED_BELOW}/{name} iso9660 ro,relatime 0 0"
            for n, name in enumerate(self.images)
        ]
        text = "\n".join(["rootfs / rootfs rw 0 0", "proc /proc proc rw,relatime 0 0", *disks, *loops, ""])
        self.tree.write("/proc/mounts", text.encode(), mode=0o444, quiet=True)

    def _record(self, op: str, image: str | None, **facts: object) -> None:
        self.world.flight.write("pmac", op=op, image=image, **facts)


_MOUNTED_BELOW = "/usr/TKLC/smac/html/TPD"
_FOLDERS = (
    "/root", "/home/admusr", "/tmp", "/etc", "/etc/pam.d", "/proc", UPGRADE_DIR, REPOSITORY, FTP_HOME, _MOUNTED_BELOW,
    "/var/TKLC/log/upgrade", "/var/TKLC/log/syscheck", "/media",
)  # fmt: skip


def _architecture(name: str) -> str:
    return "x86_64" if name.endswith("x86_64") else "i386"


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
