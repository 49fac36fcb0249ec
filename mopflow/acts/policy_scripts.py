"""The policy scripts of the CMP image on the active primary CMP (6.1.1/7, 7.1.1/6): mount it, copy, unmount."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from mopflow.acts.images import active_cmp, cmp_medium
from mopflow.errors import ActRefused, UnreadableReply
from mopflow.goals import begun, past
from mopflow.here import Here
from mopflow.media import UPGRADE_DIR, parse_md5sum
from mopflow.probes import named
from mopflow.ssh import Servers
from mopflow.step import Finding

MOUNT_POINT = "/mnt/upgrade"
SCRIPTS = f"{MOUNT_POINT}/upgrade/policyScripts"
BIN = "/opt/camiant/bin"

_MOUNT = re.compile(r"(?P<what>\S+) on (?P<where>/\S*) type \S+ \(.*\)")


def scripts_there(here: Here) -> Finding:
    """Every script of the image is in /opt/camiant/bin, with the same content."""
    if begun(here.state):
        return past(here.state)
    server = active_cmp(here)
    if "scripts" not in here.memo:
        wrong = differing(here.house.servers, server, _image(here))
        if wrong:
            return Finding.no(
                f"{server}: {BIN} lacks {', '.join(wrong)} of the image, or has another content"
            )
        here.memo["scripts"] = f"{server}: {BIN} has the policy scripts of the image"
    return Finding.yes(str(here.memo["scripts"]))


def copy_scripts(here: Here) -> None:
    copy(here.house.servers, active_cmp(here), _image(here))


def _image(here: Here) -> str:
    return f"{UPGRADE_DIR}/{cmp_medium(here.site).file}"


def differing(servers: Servers, server: str, image: str) -> list[str]:
    """Names of the image's scripts that the server does not have, or has with another content.

    Raises CommandFailed when the image cannot be mounted or holds no script.
    """
    with mounted(servers, server, image):
        offered = _hashes(server, servers.check(server, f"md5sum {SCRIPTS}/*.pl"))
    paths = " ".join(shlex.quote(f"{BIN}/{name}") for name in sorted(offered))
    # it answers 1 when a file is missing, and prints the others
    have = _hashes(server, servers.run(server, f"md5sum {paths}").stdout)
    return sorted(name for name, md5 in offered.items() if have.get(name) != md5)


def copy(servers: Servers, server: str, image: str) -> None:
    """Safe to repeat."""
    with mounted(servers, server, image):
        servers.check(server, f"sudo cp {SCRIPTS}/*.pl {BIN}")


def _hashes(server: str, reply: str) -> dict[str, str]:
    """By file name."""
    return named(server, lambda: {path.rpartition("/")[2]: md5 for path, md5 in parse_md5sum(reply).items()})


@contextmanager
def mounted(servers: Servers, server: str, image: str) -> Iterator[None]:
    """The image at /mnt/upgrade. It is unmounted in every case, also when a killed run had left it there.

    Raises ActRefused when something else is mounted there.
    """
    there = named(server, lambda: what_is_at(servers.check(server, "LC_ALL=C mount"), MOUNT_POINT))
    if there is not None and there != image:
        raise ActRefused(f"{server}: {there} is mounted at {MOUNT_POINT}; unmount it first")
    try:
        if there is None:
            servers.check(server, f"sudo mount -o loop {shlex.quote(image)} {MOUNT_POINT}/")
        yield
    finally:
        # also after a mount whose answer was lost
        if what_is_at(servers.check(server, "LC_ALL=C mount"), MOUNT_POINT) is not None:
            servers.check(server, f"sudo umount {MOUNT_POINT}")


def what_is_at(reply: str, where: str) -> str | None:
    """`mount` -> what is mounted there. Raises UnreadableReply on a line that is not one of mount."""
    found = None
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    if not lines:
        raise UnreadableReply("mount", "nothing is mounted at all", reply)
    for line in lines:
        match = _MOUNT.fullmatch(line)
        if match is None:
            raise UnreadableReply("mount", "not a line of mount", line)
        if match["where"].rstrip("/") == where:
            found = match["what"]
    return found
