"""A PM&C on paper: files with an MD5, an image list, tasks. What its host answers over SSH, and its GUI.

It knows of mopflow only the words of the `Pmac` protocol and the commands that the document names.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import basename, dirname
from typing import Any

from small_system import MD5

from mopflow.console.pmac_protocol import PmacPage, SoftwareImage, Task, TaskState
from mopflow.errors import CommandFailed
from mopflow.ssh import Reply

UPLOADS = "/var/TKLC/upgrade"
REPOSITORY = "/var/TKLC/smac/image/repository"
SUMS = "/var/camiant/tmp/md5sum.out"
ROOT = "/dev/mapper/vgroot-plat_root / ext4 rw 0 0\n"


@dataclass
class PaperPmac:
    """`files`: path -> MD5. `free`: KiB of every disk. `task_runs`: what is added stays in the works."""

    files: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    free: int = 4 << 20
    mounted: str = ""
    task_runs: bool = False
    shown: list[Task] = field(default_factory=list)
    pages: list[PmacPage] = field(default_factory=list)

    # the host

    def run(self, server: str, command: str, *, timeout: float = 60) -> Reply:
        words = [word for word in shlex.split(command) if word not in ("sudo", "LC_ALL=C")]
        match words:
            case ["ls", "-lA", folder]:
                names = sorted(basename(path) for path in self.files if dirname(path) == folder)
                lines = [f"-rw-r--r-- 1 root root 900 Aug 16 09:21 {name}\n" for name in names]
                return Reply(0, "".join(["total 1\n", *lines]), "")
            case ["md5sum", path] if path in self.files:
                return Reply(0, f"{self.files[path]}  {path}\n", "")
            case ["df", "-Pk", path]:
                head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
                return Reply(0, f"{head}/dev/sda1 90000000 1000 {self.free} 1% {path}\n", "")
            case ["test", *_]:
                return Reply(1, "", "")  # the other directory is not there
            case ["rm", "-f", path]:
                del self.files[path]
                return Reply(0, "", "")
            case ["cat", "/proc/mounts"]:
                return Reply(0, ROOT + self.mounted, "")
            case ["cat", path]:
                known = path in self.texts
                return Reply(int(not known), self.texts.get(path, ""), "" if known else "cat: no such file")
            case ["mkdir", "-p", _, "&&", "printf", "%s", text, "|", "tee", path, *_]:
                self.texts[path] = text
                return Reply(0, "", "")
        raise AssertionError(f"nobody has told PM&C on paper what {command!r} is")

    def check(self, server: str, command: str, *, timeout: float = 60) -> str:
        reply = self.run(server, command)
        if reply.status:
            raise CommandFailed(server, command, reply.status, reply.stderr)
        return reply.stdout

    # the GUI

    def log_in(self) -> None:
        self.pages.append(PmacPage.MAIN_MENU)

    def images(self) -> tuple[SoftwareImage, ...]:
        stored = [basename(path) for path in self.files if dirname(path) == REPOSITORY]
        return tuple(SoftwareImage(name.removesuffix(".iso"), "x86_64", "") for name in stored)

    def tasks(self) -> tuple[Task, ...]:
        return tuple(self.shown)

    def offered(self) -> tuple[str, ...]:
        return tuple(path for path in self.files if dirname(path) == UPLOADS)

    def add_image(self, path: str, description: str, *, shots: Any = None) -> int:
        number, file = len(self.shown) + 1, basename(path)
        state = TaskState.RUNNING if self.task_runs else TaskState.COMPLETE
        self.shown.append(Task(number, "Add Image", True, file, f"Adding {file}", state, state.value, 50))
        if not self.task_runs:
            self.files[f"{REPOSITORY}/{file}"] = self.files.pop(path)
        return number

    def delete_image(self, name: str, *, shots: Any = None) -> str:
        del self.files[f"{REPOSITORY}/{name}.iso"]
        return "deleted"

    def screenshot(self, page: PmacPage, to: Path) -> Path:
        to.write_bytes(b"\x89PNG")
        return to

    def close(self) -> None:
        pass

    # what a test does

    def bring(self, *files: str, md5: str = MD5) -> None:
        """Images into the upload directory."""
        self.files |= {f"{UPLOADS}/{file}": md5 for file in files}

    def register(self, *files: str, md5: str = MD5) -> None:
        """Images into the repository."""
        self.files |= {f"{REPOSITORY}/{file}": md5 for file in files}
