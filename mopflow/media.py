"""Which image belongs on which server, and is this file that image?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mopflow.errors import UnreadableReply
from mopflow.release import Release

UPGRADE_DIR = "/var/TKLC/upgrade"
KIT_DIR = "/var/camiant/iso"


class ImageType(StrEnum):
    """The four image types of section 2.9.1."""

    CMP = "cmp"
    MPE = "mpe"
    MPE_LI = "mpe-li"
    MRA = "mra"


# the release is taken whole, never a part of it (possessive)
_NAME = re.compile(r"(?P<type>cmp|mpe-li|mpe|mra)-(?P<release>\d++(?:[._]\d++)++)(?:[-.][^/\s]*)?\.iso")


@dataclass(frozen=True, slots=True)
class ImageName:
    """What the name of an image says."""

    file: str
    type: ImageType
    release: Release

    @classmethod
    def parse(cls, file: str) -> ImageName:
        """Read `cmp-12.1.2.0.0_22.1.0-x86_64.iso` and its kind. Raises UnreadableReply for other names."""
        match = _NAME.fullmatch(file)
        if match is None:
            raise UnreadableReply("image name", "not the name of a Policy image", file)
        return cls(file, ImageType(match["type"]), Release.parse(match["release"]))


def parse_md5sum(reply: str) -> dict[str, str]:
    """Output of `md5sum` -> lower-case hash by path.

    In Oracle's `md5sum.out` the hash may touch the path (4.6.2 step 4), so the first 32 hex digits count.
    Raises UnreadableReply on a line without a hash.
    """
    found: dict[str, str] = {}
    for line in reply.splitlines():
        if not line.strip():
            continue
        match = re.match(r"^\\?([0-9a-fA-F]{32})\s*\*?(\S.*)$", line.strip())
        if match is None:
            raise UnreadableReply("md5sum", "a line without a hash", line)
        found[match[2]] = match[1].lower()
    return found
