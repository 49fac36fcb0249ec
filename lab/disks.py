"""The disks of one server: how large they are, what lies on them, and that no more goes on than there is room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.files import FileTree

Mount = tuple[str, int, int, str]  # device, size in KiB, used by what is not in the file tree, where
MOUNTS: tuple[Mount, ...] = (
    ("/dev/mapper/vgroot-plat_root", 1032088, 413648, "/"),
    ("/dev/sda1", 253871, 46320, "/boot"),
    ("/dev/mapper/vgroot-plat_tmp", 1032088, 34144, "/tmp"),
    ("/dev/mapper/vgroot-plat_usr", 5160576, 2457212, "/usr"),
    ("/dev/mapper/vgroot-plat_var", 1032088, 391132, "/var"),
    ("/dev/mapper/vgroot-plat_var_tklc", 20642428, 2203180, "/var/TKLC"),
    ("/dev/mapper/vgroot-camiant", 41284928, 3518472, "/var/camiant"),
)


def below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


@dataclass(frozen=True, slots=True)
class Volume:
    """One line of df; sizes in KiB."""

    device: str
    size: int
    used: int
    mount: str

    @property
    def free(self) -> int:
        return self.size - self.used


class Disks:
    """Counts what the file tree holds. `sizes`: KiB by mount point, where a server has other disks than usual."""

    def __init__(self, tree: FileTree, sizes: Mapping[str, int], mounts: tuple[Mount, ...] = MOUNTS) -> None:
        self._tree = tree
        self._mounts = tuple(
            (device, sizes.get(mount, size), base, mount) for device, size, base, mount in mounts
        )
        self._full: dict[str, str] = {}  # mount -> the file that keeps it full (fault disk_full)

    def volumes(self) -> list[Volume]:
        stored = {mount: 0 for *_, mount in self._mounts}
        for path, file in self._tree.walk():
            stored[self._mount(path)] += file.size
        found = []
        for device, size, base, mount in self._mounts:
            used = size if self._is_full(mount) else min(size, base + -(-stored[mount] // 1024))
            found.append(Volume(device, size, used, mount))
        return found

    def volume(self, path: str) -> Volume:
        """The file system that `path` lies on."""
        mount = self._mount(path)
        return next(volume for volume in self.volumes() if volume.mount == mount)

    def room(self, path: str) -> float:
        """Bytes that may still be written to a file there."""
        return self.volume(path).free * 1024.0

    def fill(self, path: str) -> None:
        """Somebody else has written the rest of that disk full; it has room again once `path` is gone."""
        self._full[self._mount(path)] = path

    def _is_full(self, mount: str) -> bool:
        path = self._full.get(mount)
        if path is not None and path not in self._tree:
            del self._full[mount]
            return False
        return path is not None

    def _mount(self, path: str) -> str:
        return max((mount for *_, mount in self._mounts if below(path, mount)), key=len)
