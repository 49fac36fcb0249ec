"""The images on this machine: are they what the site file and the delivered md5sum.out say? (2.9.1, 4.6.2 step 4)"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mopflow.errors import UnreadableReply
from mopflow.media import ImageName, parse_md5sum
from mopflow.site import Medium, Site

CHECKSUMS = "md5sum.out"  # as Oracle delivers it; the hash may touch the path of the build machine
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image that was found to be the medium; `size` in bytes."""

    path: Path
    size: int
    md5: str


class _Hashes:
    """An image is read once per process, not once per server; one that changed is read again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: dict[Path, threading.Lock] = {}
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def of(self, path: Path) -> str:
        with self._lock:
            busy = self._busy.setdefault(path, threading.Lock())
        with busy, path.open("rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            state = found.st_size, found.st_mtime_ns, found.st_ino
            known = self._known.get(path)
            if known is None or known[0] != state:
                digest = hashlib.md5(usedforsecurity=False)
                while block := file.read(_BLOCK):
                    digest.update(block)
                known = state, digest.hexdigest()
                self._known[path] = known
            return known[1]


_HASHES = _Hashes()


def folder_of(site: Site, base: Path) -> Path | None:
    """The folder with the media; `base`: the folder of the site file."""
    return None if site.media_dir is None else base / site.media_dir.expanduser()


def path_of(site: Site, base: Path, medium: Medium) -> Path | None:
    folder = folder_of(site, base)
    return None if folder is None else folder / medium.file


def problems(site: Site, base: Path, medium: Medium) -> list[str]:
    """What speaks against sending this image: every reason in a sentence; none: it is the medium."""
    path = path_of(site, base, medium)
    if path is None:
        return ["the site file names no media_dir: the folder here with the images and md5sum.out"]
    found = [*_name(site, medium), *_listed(path.parent, medium)]
    try:
        if not path.is_file():
            return [*found, f"{path} is not there, or is no plain file"]
        md5 = _HASHES.of(path)
    except OSError as wrong:
        return [*found, f"{path} cannot be read: {wrong.strerror}"]
    if md5 != medium.md5:
        found.append(f"{path} has MD5 {md5}, the site file says {medium.md5}")
    return found


def _name(site: Site, medium: Medium) -> list[str]:
    try:
        name = ImageName.parse(medium.file)
    except UnreadableReply as wrong:
        return [str(wrong)]
    found = []
    if name.type is not medium.type:
        found.append(f"{medium.file} is an image of type {name.type}, not {medium.type}")
    if not name.release.same_build(site.target_release):
        found.append(f"{medium.file} is release {name.release}, the target is {site.target}")
    return found


def _listed(folder: Path, medium: Medium) -> list[str]:
    """The delivered list: only the last part of a path counts, the rest is the build machine's."""
    listing = folder / CHECKSUMS
    try:
        listed = parse_md5sum(listing.read_text(errors="replace"))
    except OSError as wrong:
        return [f"{listing} cannot be read: {wrong.strerror}"]
    except UnreadableReply as wrong:
        return [f"{listing}: {wrong}"]
    hashes = {md5 for path, md5 in listed.items() if PurePosixPath(path).name == medium.file}
    if not hashes:
        return [f"{listing} does not list {medium.file}"]
    if hashes != {medium.md5}:
        return [f"{listing} says {', '.join(sorted(hashes))} for {medium.file}, the site file {medium.md5}"]
    return []


def image(site: Site, base: Path, medium: Medium) -> LocalImage:
    """The local image as it is now. Raises OSError; `problems` says whether it is the medium."""
    path = path_of(site, base, medium)
    if path is None:
        raise FileNotFoundError("media_dir")
    return LocalImage(path, path.stat().st_size, medium.md5)
