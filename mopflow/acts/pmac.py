"""What is so on PM&C: which images are registered and intact, where images lie, where there is room (4.6.2, 4.6.3.2).

Everything here only looks. An image counts as registered and intact when the GUI lists it and the MD5 of its file in
the repository is that of the site file. The two tables lead to the same registered images.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mopflow import local_media
from mopflow.console.pmac_protocol import SoftwareImage, Task, TaskState
from mopflow.console.reading import names_in
from mopflow.errors import BadInput, CommandFailed, UnreadableReply
from mopflow.here import Here
from mopflow.media import UPGRADE_DIR, ImageName
from mopflow.probes import disk, images, named
from mopflow.site import Autonomy, Medium
from mopflow.step import Refusal

OTHER_DIR = "/var/TKLC/smac/image/isoimages/home/smacftpusr"  # "which has more available space" (4.6.2/3)
REPOSITORY = "/var/TKLC/smac/image/repository"
FREE = 3 * (1 << 20)  # KiB: 3.0 GB (4.6.2/2)
BUSY = "pmac_busy"


def host(here: Here) -> str:
    """Name of the PM&C server for SSH. Raises BadInput when the site has none."""
    if here.site.pmac is None:
        raise BadInput("pmac: the site file names no PM&C server; 4.6.2 and 4.6.3.2 are not for it")
    return here.site.pmac.server.name


def local(here: Here, file: str) -> Path | None:
    """The file in the site's folder of media on this machine; None when the site file names no folder."""
    folder = local_media.folder_of(here.site, here.house.site_path.resolve().parent)
    return None if folder is None else folder / file


# files on the host


def listing(here: Here, folder: str) -> tuple[images.Entry, ...]:
    """What lies directly in a folder of PM&C, also where only root may look."""
    name = host(here)
    reply = here.house.servers.check(name, f"LC_ALL=C sudo ls -lA {shlex.quote(folder)}")
    return named(name, lambda: images.entries(reply))


def md5(here: Here, path: str, size: int) -> str:
    """Hash of a file on PM&C; read once per step as long as its size stays."""
    known: dict[tuple[str, int], str] = here.memo.setdefault("md5", {})
    if (path, size) not in known:
        name = host(here)
        command = f"LC_ALL=C sudo md5sum {shlex.quote(path)}"
        reply = here.house.servers.check(name, command, timeout=images.HASHING)
        known[path, size] = named(name, lambda: images.parse_hash(reply, path))
    return known[path, size]


@dataclass(frozen=True, slots=True)
class Place:
    """A directory from which PM&C adds images. `free` in KiB."""

    folder: str
    free: int
    ours: tuple[images.Entry, ...]  # the site's images, and parts of them
    removable: tuple[images.Entry, ...]  # other Policy images
    others: tuple[images.Entry, ...]

    @property
    def in_the_end(self) -> int:
        """KiB free once our own images have gone into the repository."""
        return self.free + _kib(self.ours)

    @property
    def without_old(self) -> int:
        return self.in_the_end + _kib(self.removable)

    def __str__(self) -> str:
        free = f"{self.folder} has {gib(self.free)} GB free"
        lying = [*self.ours, *self.removable, *self.others]
        files = ", ".join(f"{entry.name} ({gib(entry.size // 1024)} GB)" for entry in lying)
        return f"{free}; there lie {files}" if files else f"{free}, nothing lies there"


def _kib(entries: Iterable[images.Entry]) -> int:
    return sum(-(-entry.size // 1024) for entry in entries)


def gib(kib: int) -> str:
    return f"{kib / (1 << 20):.2f}"


def place(here: Here, folder: str) -> Place:
    site, ours, removable, others = here.site, [], [], []
    own = {name for medium in site.media for name in (medium.file, f"{medium.file}.part")}
    for entry in listing(here, folder):
        if entry.kind == "-" and entry.name in own:
            ours.append(entry)
        elif entry.kind == "-" and is_policy_image(entry.name):
            removable.append(entry)
        else:
            others.append(entry)
    volume = disk.ask_for(here.house.servers, host(here), folder)
    return Place(folder, volume.free, tuple(ours), tuple(removable), tuple(others))


def is_policy_image(file: str) -> bool:
    try:
        ImageName.parse(file)
    except UnreadableReply:
        return False
    return True


def places(here: Here) -> list[Place]:
    """The upload directory, and the other one where it is there and we may write to it."""
    found = [place(here, UPGRADE_DIR)]
    folder = shlex.quote(OTHER_DIR)
    test = f"test -d {folder} -a -w {folder}"
    reply = here.house.servers.run(host(here), test)
    if reply.status not in (0, 1):
        raise CommandFailed(host(here), test, reply.status, reply.stderr)
    return [*found, place(here, OTHER_DIR)] if reply.status == 0 else found


def lying(here: Here, medium: Medium, among: Iterable[Place]) -> str | None:
    """Path of the image where it lies whole, with the right MD5, or None."""
    for candidate in among:
        for entry in candidate.ours:
            path = f"{candidate.folder}/{entry.name}"
            if entry.name == medium.file and md5(here, path, entry.size) == medium.md5:
                return path
    return None


# images in the repository


def target_images(here: Here) -> list[SoftwareImage]:
    """Registered Policy images of the target release (of any build)."""
    found = []
    for image in here.house.pmac().images():
        if is_policy_image(image.file):
            name = ImageName.parse(image.file)
            if name.release.same_release(here.site.target_release):
                found.append(image)
    return found


def stored_md5(here: Here, image: SoftwareImage) -> str:
    """MD5 of a registered image's file. Raises UnreadableReply when the repository has no such file."""
    for entry in listing(here, REPOSITORY):
        if entry.name == image.file and entry.kind == "-":
            return md5(here, f"{REPOSITORY}/{entry.name}", entry.size)
    raise UnreadableReply("PM&C", f"{image.name} is listed, but {REPOSITORY} has no {image.file}", "")


def unregistered(here: Here, medium: Medium, registered: Iterable[SoftwareImage]) -> str | None:
    """Why this medium is not registered and intact, or None."""
    image = next((image for image in registered if image.file == medium.file), None)
    if image is None:
        return f"{medium.file} is not registered"
    found = stored_md5(here, image)
    if found != medium.md5:
        return f"{medium.file} is registered, but its file has MD5 {found} instead of {medium.md5}"
    return None


# tasks


def add_tasks(here: Here) -> list[Task]:
    return [task for task in here.house.pmac().tasks() if task.adds]


def running(tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if task.state is TaskState.RUNNING]


def names(here: Here, task: Task) -> set[str]:
    """Files of the site's media that a task's line names."""
    by_name = {medium.file: medium.file for medium in here.site.media}
    by_name |= {medium.file.removesuffix(".iso"): medium.file for medium in here.site.media}
    words = " ".join([task.target, task.status]).replace("/", " ")
    return {by_name[name] for name in names_in(words, by_name)}


def last_task(here: Here, file: str, after: int, tasks: Iterable[Task]) -> Task | None:
    """The newest task with an id above `after` that may be the one that adds this image.

    A line that names no image of ours may be it as well: nobody has published what PM&C prints there.
    """
    newer = [task for task in tasks if task.id > after and names(here, task) in ({file}, set())]
    return newer[-1] if newer else None


def not_while_a_task_runs(here: Here) -> Iterable[Refusal]:
    """Nothing is removed or sent while PM&C works on an image."""
    for task in running(here.house.pmac().tasks()):
        yield Refusal(BUSY, f"PM&C is busy: {task}", passing=True)


def left_to_a_person(here: Here, what: str) -> Iterable[Refusal]:
    """Autonomy observe: a person acts in the PM&C GUI, we wait for what comes of it."""
    if here.site.autonomy.of(here.leg.autonomy) is Autonomy.OBSERVE:
        yield Refusal(BUSY, f"the site leaves this to a person: {what} in the PM&C GUI", passing=True)
