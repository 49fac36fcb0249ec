"""What differs between the releases of the document: the GUI, the scripts of the upgrade, who logs in."""

from __future__ import annotations

from enum import StrEnum


class Family(StrEnum):
    """The first two numbers of a Policy release."""

    R10_5 = "10.5"
    R11_5 = "11.5"
    R12_0 = "12.0"
    R12_1 = "12.1"
    OTHER = "other"


class ScriptPage(StrEnum):
    """A page whose Operations menu may have Push Script."""

    ISO = "ISO Maintenance"
    MAINTENANCE = "System Maintenance"


_OLD_GUI = (Family.R10_5, Family.R11_5)
# 6.1.1/8, 7.1.1/7; 8.1.1/8 names System Maintenance, in the 12.0 GUI both pages have it (assumption)
_PUSH_SCRIPT: dict[Family, tuple[ScriptPage, ...]] = {
    Family.R10_5: (ScriptPage.MAINTENANCE,),
    Family.R11_5: (ScriptPage.ISO,),
    Family.R12_0: (ScriptPage.ISO, ScriptPage.MAINTENANCE),
}


def family(release: str) -> Family:
    found = ".".join(release.split(".")[:2])
    return Family(found) if found in list(Family) else Family.OTHER


def has_director(release: str) -> bool:
    """Upgrade Manager and Upgrade Director; 10.5 and 11.5 work on servers one by one in System Maintenance."""
    return family(release) not in _OLD_GUI


def copies_scripts(release: str) -> bool:
    """The image is mounted on the active CMP server and its scripts are copied before they are pushed (6.1.1/7, 7.1.1/6)."""
    return family(release) in _OLD_GUI


def needs_scripts(release: str) -> bool:
    """A server of this release can be upgraded after the scripts were pushed to it (6.1.1/8, 7.1.1/7, 8.1.1/8)."""
    return family(release) in (*_OLD_GUI, Family.R12_0)


def root_logs_in(release: str) -> bool:
    """On 10.5 root logs in and there is no admusr; every later release has admusr, and root by sudo only (2.9.2)."""
    return family(release) is Family.R10_5


def pushes_scripts(release: str, page: ScriptPage) -> bool:
    return page in _PUSH_SCRIPT.get(family(release), (ScriptPage.MAINTENANCE,))
