"""What a backup is: kinds, places and names on the server (4.6.4), and a copy that is kept off it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from mopflow.errors import UnreadableReply
from mopflow.media import ImageType
from mopflow.release import Release

ARCHIVE = "/var/camiant/backup/local_archive"
_NAME = re.compile(r"(?:(?P<type>[a-z-]+)_)?(?P<release>\d[\d._]*)-(?P<kind>server|system)backup-\d{8,14}")


class BackupKind(StrEnum):
    SERVER = "server"  # an image of one server, of every server
    SYSTEM = "system"  # the configuration of the whole system, of the active primary CMP server only

    @property
    def folder(self) -> str:
        """Where platcfg puts it unless it is told otherwise (4.6.4 steps 1 and 2)."""
        return f"{ARCHIVE}/{self.value}backup"

    @property
    def ending(self) -> str:
        return ".iso" if self is BackupKind.SERVER else ".tar.gz"

    @property
    def entry(self) -> str:
        """Its entry in the menu Backup and Restore."""
        return f"{self.value.capitalize()} Backup"


@dataclass(frozen=True, slots=True)
class Source:
    """The server that is backed up: the names that it gives itself, its type, and the release that it runs."""

    hosts: tuple[str, ...]
    type: ImageType
    release: Release


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A file in a backup folder of a server; `changed` in seconds since 1970 by the server's clock, as printed."""

    path: str
    size: int  # bytes
    changed: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def mark(self) -> list[Any]:
        """What tells it from every other file, for the ledger."""
        return [self.path, self.size, self.changed]


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup that was verified at the repository and may be relied on."""

    kind: BackupKind
    server: str
    release: str  # that the server ran
    name: str
    size: int
    sha256: str
    place: str  # where a person finds it
    taken: str  # when, UTC, ISO 8601

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Copy:
        return cls(**{**document, "kind": BackupKind(document["kind"])})

    def __str__(self) -> str:
        return f"{self.place} ({self.size} bytes, SHA-256 {self.sha256}, release {self.release}, taken {self.taken})"


def misnamed(path: str, kind: BackupKind, source: Source) -> str | None:
    """Why this is not the documented path of a backup of this server; None when it is.

    The document names the files by the target release (`12.1.2.0.0_22.1.0`) although they are taken before the
    upgrade: the release that runs is expected. The type in the name may be missing.
    """
    pure = PurePosixPath(path)
    if str(pure.parent) != kind.folder:
        return f"{path} does not lie in {kind.folder}"
    if not pure.name.endswith(kind.ending):
        return f"{pure.name} does not end in {kind.ending}"
    stem = pure.name.removesuffix(kind.ending)
    host = next((h for h in source.hosts if stem.lower().startswith(f"{h.lower()}-")), None)
    if host is None:
        return f"{pure.name} does not begin with the host name {source.hosts[0]}"
    match = _NAME.fullmatch(stem[len(host) + 1 :])
    if match is None or match["kind"] != kind.value:
        return f"{pure.name} is not named <host>-<type>_<release>-{kind.value}backup-<date>{kind.ending}"
    if match["type"] is not None and match["type"] not in _types(source.type):
        return f"{pure.name} is named as a backup of type {match['type']}, the server is {source.type}"
    try:
        release = Release.parse(match["release"])
    except UnreadableReply:
        return f"{pure.name} names no release"
    if not release.same_build(source.release):
        return f"{pure.name} names release {release}, the server runs {source.release}"
    return None


def _types(image: ImageType) -> tuple[str, ...]:
    """An MPE-Li may be named as the MPE that it is."""
    return (image.value, "mpe") if image is ImageType.MPE_LI else (image.value,)
