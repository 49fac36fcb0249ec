"""Is the system ready for an upgrade? What the preparation has found, and how long it counts (rule R12).

Pure: it looks at the newest results in the ledger, at the releases that run, and at the clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mopflow.ledger.records import CheckOutcome, CheckResult
from mopflow.release import Release
from mopflow.site import Cluster, Site, Window


class Check(StrEnum):
    """What is checked, in the order of chapter 4."""

    PREREQUISITES = "prerequisites"  # 4.1
    CONSOLE = "console"  # 4.5/1
    ALARMS = "alarms"  # 4.5/2
    KPIS = "kpis"  # 4.5/3
    HEALTH = "health"  # 4.5/4, each server
    PMAC = "pmac"  # 4.6.2, 4.6.3.2
    IMAGE = "image"  # 4.6.3.1, each server
    BACKUP = "backup"  # 4.6.4, each server
    SYSTEM_BACKUP = "system backup"  # 4.6.4, active primary CMP
    PASSWORDS = "passwords"  # 4.6.5, each server

    @property
    def of_servers(self) -> bool:
        return self in _OF_SERVERS

    @property
    def part(self) -> str:
        """The part of `mopflow prepare` that does it (`--only`)."""
        return _PARTS[self]

    @property
    def procedures(self) -> frozenset[str]:
        """The tables whose rows answer it."""
        return frozenset(_PROCEDURES[self])

    @property
    def needed(self) -> bool:
        """Does an upgrade wait for it? PM&C is for later installations only (4.6.2)."""
        return self is not Check.PMAC

    @property
    def keeps(self) -> bool:
        """Does it age? 4.5: at most 36 hours old at the start of a window."""
        return self in _AGES


_OF_SERVERS = frozenset({Check.HEALTH, Check.IMAGE, Check.BACKUP, Check.PASSWORDS})
_AGES = frozenset({Check.CONSOLE, Check.ALARMS, Check.KPIS, Check.HEALTH})
_OF_RELEASE = frozenset({Check.IMAGE, Check.BACKUP, Check.SYSTEM_BACKUP, Check.PASSWORDS})
_PROCEDURES = {
    Check.PREREQUISITES: ("4.1",),
    Check.CONSOLE: ("4.5",),
    Check.ALARMS: ("4.5",),
    Check.KPIS: ("4.5",),
    Check.HEALTH: ("4.5",),
    Check.PMAC: ("4.6.2", "4.6.3.2"),
    Check.IMAGE: ("4.6.3.1",),
    Check.BACKUP: ("4.6.4",),
    Check.SYSTEM_BACKUP: ("4.6.4",),
    Check.PASSWORDS: ("4.6.5",),
}
_PARTS = {
    Check.PREREQUISITES: "health-check",
    Check.CONSOLE: "health-check",
    Check.ALARMS: "health-check",
    Check.KPIS: "health-check",
    Check.HEALTH: "health-check",
    Check.PMAC: "load-pmac",
    Check.IMAGE: "distribute-images",
    Check.BACKUP: "back-up",
    Check.SYSTEM_BACKUP: "back-up",
    Check.PASSWORDS: "rehash-passwords",
}


class Standing(StrEnum):
    """What a result is worth now."""

    OK = "ok"
    AGEING = "ageing"  # counts, but not for much longer
    EXPIRED = "expired"
    FAILED = "failed"
    NOT_DONE = "not done"
    NOT_NEEDED = "not needed"
    OVERRIDDEN = "overridden"

    @property
    def counts(self) -> bool:
        return self in _COUNTS


_COUNTS = frozenset({Standing.OK, Standing.AGEING, Standing.NOT_NEEDED, Standing.OVERRIDDEN})


@dataclass(frozen=True, slots=True)
class Item:
    """One check on one server, or of the whole system (``server`` None)."""

    check: Check
    server: str | None
    standing: Standing
    text: str
    at: datetime | None = None
    until: datetime | None = None
    by: str | None = None

    @property
    def where(self) -> str:
        return self.server or "system"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Every check that the site needs, in the order of chapter 4."""

    site: str
    window: Window | None  # the window that the checks have to keep for
    items: tuple[Item, ...]

    def item(self, check: Check, server: str | None = None) -> Item:
        """Raises KeyError for a check that this site does not have."""
        for item in self.items:
            if item.check is check and item.server == server:
                return item
        raise KeyError(f"{check} of {server or 'the system'}")

    @property
    def ready(self) -> bool:
        return not self.missing()

    def missing(self, servers: Collection[str] | None = None) -> list[Item]:
        """What an upgrade of these servers (None: of all) still waits for."""
        return [
            item
            for item in self.items
            if item.check.needed
            and not item.standing.counts
            and (item.server is None or servers is None or item.server in servers)
        ]

    def next_thing(self, file: str, servers: Collection[str] | None = None) -> str:
        """The one next thing to do for these servers (None: all), as a sentence with the command."""
        missing = self.missing(servers)
        if not missing:
            return "nothing: every check counts"
        first = missing[0]
        if first.standing is Standing.FAILED:
            return f"{first.where}: {first.text} Mend that, then: mopflow prepare {file} --only {first.check.part}"
        return f"mopflow prepare {file} --only {first.check.part}   ({first.where}: {first.check} is {first.standing})"


def window_of(windows: Iterable[Window], now: datetime) -> Window | None:
    """The window that is open, else the next one."""
    ahead = sorted((w for w in windows if w.end > now), key=lambda w: w.start)
    return ahead[0] if ahead else None


def keeps_until(check: Check, site: Site, at: datetime) -> datetime | None:
    """Until when a result counts by its age; None: until the system changes."""
    return at + timedelta(seconds=site.pace.health_keeps) if check.keeps else None


def assess(
    site: Site, results: Sequence[CheckResult], now: datetime, running: Mapping[str, Release | None]
) -> Readiness:
    """What every check is worth at ``now``. ``running``: release of each server as last seen, None or absent: unknown."""
    window = window_of(site.windows, now)
    newest = {(result.check, result.server): result for result in results}
    return Readiness(
        site.name,
        window,
        tuple(
            _item(site, check, server, newest.get((check.value, server)), window, now, running)
            for check, server in _wanted(site)
        ),
    )


def _wanted(site: Site) -> Iterator[tuple[Check, str | None]]:
    for check in Check:
        if check is Check.PMAC and site.pmac is None:
            continue
        if check.of_servers:
            yield from ((check, server.name) for server in site.servers)
        else:
            yield check, None


def _item(
    site: Site,
    check: Check,
    server: str | None,
    result: CheckResult | None,
    window: Window | None,
    now: datetime,
    running: Mapping[str, Release | None],
) -> Item:
    if check in _OF_RELEASE and _is_upgraded(site, server, running):
        done = f"{server or site.cmp.primary.name} runs {site.target_release.short} already."
        return Item(check, server, Standing.NOT_NEEDED, done)
    if result is None:
        return Item(check, server, Standing.NOT_DONE, "not done yet.")
    standing, text = _standing(site, check, server, result, window, now, running)
    return Item(check, server, standing, text, result.at, result.until, result.by)


def _standing(
    site: Site,
    check: Check,
    server: str | None,
    result: CheckResult,
    window: Window | None,
    now: datetime,
    running: Mapping[str, Release | None],
) -> tuple[Standing, str]:
    if result.outcome is CheckOutcome.FAILED:
        return Standing.FAILED, result.text
    changed = _changed(check, server, result, running)
    if changed is not None:
        return Standing.EXPIRED, changed
    if result.until is not None and result.until < (window.start if window is not None else now):
        word = f"the window {window.name} begins {window.start.isoformat()}" if window else "its time is over"
        return Standing.EXPIRED, f"counts until {result.until.isoformat()}: {word}."
    if result.outcome is CheckOutcome.OVERRIDDEN:
        return Standing.OVERRIDDEN, f"overridden by {result.by}: {result.text}"
    if result.outcome is CheckOutcome.NOT_NEEDED:
        return Standing.NOT_NEEDED, result.text
    ageing = timedelta(seconds=site.pace.ageing)
    if window is None and result.until is not None and result.until - now < ageing:
        return Standing.AGEING, f"{result.text} Counts until {result.until.isoformat()}."
    return Standing.OK, result.text


def _is_upgraded(site: Site, server: str | None, running: Mapping[str, Release | None]) -> bool:
    """Does it run the target? Its image, backup and passwords were for the way there. None: the primary CMP."""
    names = site.cmp.primary.server_names if server is None else (server,)
    found = [running.get(name) for name in names]
    return all(release is not None and release.same_build(site.target_release) for release in found)


def _changed(
    check: Check, server: str | None, result: CheckResult, running: Mapping[str, Release | None]
) -> str | None:
    """Has the server another release than when the result was obtained? What is not known has not changed."""
    if check not in _OF_RELEASE:
        return None
    before = result.data.get("release")
    now = running.get(server or str(result.data.get("server", "")))
    if before is None or now is None or Release.parse(str(before)).same_build(now):
        return None
    return f"the system has changed: it ran {before}, it runs {now}."


def needed_for(clusters: Iterable[Cluster]) -> list[str]:
    """The servers whose readiness an upgrade of these clusters waits for."""
    return [name for cluster in clusters for name in cluster.server_names]
