"""Which release is this, and is it the one that we mean?

The systems print releases in several ways (`12.1.2.0.0_22.1.0`, `12.1.2.0_22.1.0`, `12.1.2.0.22.1.0`,
`10.5.6_1_1_0`). The first three numbers decide the release; the build is compared apart, whatever the separators.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mopflow.errors import UnreadableReply

_NUMBERS = re.compile(r"^\d+(?:[._]\d+)+$")


@dataclass(frozen=True, slots=True)
class Release:
    """A Policy Management release, such as 12.1.2. Compares by its first three numbers only."""

    text: str  # as printed

    @classmethod
    def parse(cls, text: str) -> Release:
        """Read a printed release.

        Raises UnreadableReply for anything else, also for a TPD release, which is never a Policy release.
        """
        clean = text.strip()
        if not _NUMBERS.match(clean) or len(re.split(r"[._]", clean)) < 2:
            raise UnreadableReply("release", "not a Policy Management release", text)
        return cls(clean)

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.split(r"[._]", self.text))

    @property
    def family(self) -> tuple[int, int, int]:
        """The three numbers that decide the release; a missing third counts as 0."""
        first = (*self.numbers, 0, 0)[:3]
        return first[0], first[1], first[2]

    @property
    def short(self) -> str:
        """Such as 12.1.2."""
        return ".".join(str(n) for n in self.family)

    @property
    def has_old_gui(self) -> bool:
        """Is a CMP of this release worked on in System Maintenance, server by server (chapters 6 and 7)?"""
        return self.family[:2] in _OLD_GUI

    def same_release(self, other: Release) -> bool:
        return self.family == other.family

    def same_build(self, other: Release) -> bool:
        """The same release and the same build, whatever the separators; padding zeros around it do not count."""
        return self.family == other.family and _significant(self) == _significant(other)

    def __str__(self) -> str:
        return self.text


def _significant(release: Release) -> tuple[int, ...]:
    """What stands behind the first three numbers, without the zeros around it: these are what the printings vary.

    Zeros inside count: build 22.0.1 is not 22.1.0.
    """
    rest = release.numbers[3:]
    used = [i for i, n in enumerate(rest) if n]
    return rest[used[0] : used[-1] + 1] if used else ()


_OLD_GUI = ((10, 5), (11, 5))
SOURCES: tuple[tuple[int, int], ...] = ((10, 5), (11, 5), (12, 0), (12, 1))
TARGET = (12, 1, 2)


def upgrade_path(source: Release, target: Release) -> str | None:
    """Why the document has no path from source to target, or None if it has one (section 2.2)."""
    if target.family != TARGET:
        return f"the target must be 12.1.2, not {target.short}"
    if source.family[:2] not in SOURCES:
        return f"there is no upgrade path from {source.short}; there is one from 10.5, 11.5, 12.0 and 12.1.1"
    if source.family[:2] == (12, 1) and source.family != (12, 1, 1):
        return f"there is no upgrade path from {source.short}; of 12.1 only 12.1.1 has one"
    return None
