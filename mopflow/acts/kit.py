"""Offer the upgrade kit to the Upgrade Director: the CMP image in /var/camiant/iso (9.1.1 step 8).

The document copies from `/var/TKLC/cmp-12.1.x.iso`; the image lies in `/var/TKLC/upgrade/`.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from mopflow.errors import ActRefused
from mopflow.media import KIT_DIR, UPGRADE_DIR
from mopflow.probes import disk, images
from mopflow.ssh import Servers

COPYING = 900  # seconds


@dataclass(frozen=True, slots=True)
class Kit:
    """The kit on the server: its path and MD5, and whether it lay there before we did anything."""

    path: str
    md5: str
    found: bool


def path_of(file: str) -> str:
    return f"{KIT_DIR}/{file}"


def is_there(servers: Servers, server: str, file: str, md5: str) -> bool:
    """Does the kit lie on the server, whole? Changes nothing."""
    names = [image.file for image in images.ask(servers, server, KIT_DIR)]
    return file in names and images.ask_hash(servers, server, path_of(file)) == md5.lower()


def offer(servers: Servers, server: str, file: str, md5: str) -> Kit:
    """Copy the image `file` to the kits and verify it against `md5` (of the medium). Safe to repeat.

    The kit gets its name only when it is whole, so that the Upgrade Director never sees half an image. Raises
    ActRefused when the image is missing, is not the medium, or finds no room, or when the copy differs.
    """
    if is_there(servers, server, file, md5):
        return Kit(path_of(file), md5.lower(), found=True)
    source = f"{UPGRADE_DIR}/{file}"
    sizes = {image.file: image.size for image in images.ask(servers, server, UPGRADE_DIR)}
    if file not in sizes:
        raise ActRefused(
            f"{server}: {source} is not there; bring the image to this server first (9.1.1 step 6)"
        )
    _must_be(images.ask_hash(servers, server, source), md5, f"{server}: {source}")
    volume, needed = disk.ask_for(servers, server, KIT_DIR), -(-sizes[file] // 1024)
    if volume.free < needed:
        raise ActRefused(
            f"{server}: {volume.mount} has {volume.free} KiB free, the image needs {needed}; remove old images from {KIT_DIR}"
        )
    part = f"{path_of(file)}.part"
    servers.check(server, f"sudo cp -p {shlex.quote(source)} {shlex.quote(part)}", timeout=COPYING)
    _must_be(images.ask_hash(servers, server, part), md5, f"{server}: the copy {part}")
    servers.check(server, f"sudo mv -f {shlex.quote(part)} {shlex.quote(path_of(file))}")
    return Kit(path_of(file), md5.lower(), found=False)


def _must_be(found: str, wanted: str, what: str) -> None:
    if found != wanted.lower():
        raise ActRefused(
            f"{what} has MD5 {found}, the medium has {wanted.lower()}; it is damaged or another image"
        )
