"""The words of the CMP console: what can be read from it and what can be done with it.

Two drivers speak them: `browser` (the GUI in a real Chromium) and `operator` (a person acts, we ask). Whether an
act worked is always read from the system afterwards, never from the click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from mopflow.release import Release
from mopflow.system import Alarm, ServerState


class Act(StrEnum):
    """What a click on the Upgrade Manager's buttons can start."""

    INITIATE_UPGRADE = "Initiate upgrade"
    FAILOVER_TO_NEW = "Failover to new version"
    INITIATE_BACKOUT = "Initiate backout"
    FAILOVER_TO_OLD = "Failover to old version"


@dataclass(frozen=True, slots=True)
class Intended:
    """The act that a step means to start: the hover text and the dialog must name exactly this."""

    act: Act
    cluster: str
    server: str | None = None  # the server that Initiate ... works on; None for a failover

    def __str__(self) -> str:
        return f"{self.act} {self.server or self.cluster}"


class Urgency(StrEnum):
    """Which waiting act goes first; readings come last."""

    ROLLBACK = "rollback"
    ACT = "act"
    READ = "read"


class Gui(StrEnum):
    """Which pages the console serves: that follows the release of the active CMP server."""

    MAINTENANCE = "System Maintenance"  # 10.5 and 11.5: servers are worked on one by one
    DIRECTOR = "Upgrade Manager"  # 12.x: the Upgrade Director works on clusters


class Operation(StrEnum):
    """The entries of the Operations menu in System Maintenance (10.5, 11.5), and Push Script."""

    PUSH_SCRIPTS = "Push Script"
    FORCE_STANDBY = "Force Standby"
    CANCEL_FORCE_STANDBY = "Cancel Force Standby"
    SWITCH_FORCE_STANDBY = "Switch ForceStandby"
    START_UPGRADE = "Start Upgrade"
    BACKOUT = "Backout"


@dataclass(frozen=True, slots=True)
class Overview:
    """The page that shows every server: the Upgrade Manager, or System Maintenance in the old GUI.

    In the old GUI there is no Prev Release ("") and no Up to Date (N/A), and no Current ISO ("").
    """

    servers: tuple[ServerState, ...]
    current_iso: str  # label, "Install Kit" before a choice
    gui: Gui = Gui.DIRECTOR


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the Upgrade Log (3.1.1). Times stay as printed."""

    id: int
    parent: int
    action: str
    start: str
    end: str
    duration: str
    scope: str  # Server | Cluster
    hostname: str
    result: str  # Success, Failed, "" while it runs
    mode: str
    description: str


@dataclass(frozen=True, slots=True)
class IsoImage:
    file: str
    percent: int | None  # None: copied by hand, no indicator (9.1.1 step 7)


@dataclass(frozen=True, slots=True)
class IsoRow:
    server: str
    appl_type: str
    ip: str
    images: tuple[IsoImage, ...]


@dataclass(frozen=True, slots=True)
class TopologyRow:
    cluster: str  # without the mark
    mark: str  # "P", "S" or ""
    appl_type: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kit:
    """A row of the Current ISO dialog."""

    label: str
    release: str
    path: str
    description: str


@dataclass(frozen=True, slots=True)
class ClusterPage:
    """System and Reports tabs of one MPE or MRA cluster."""

    cluster: str
    status: str  # OK, Degraded, Offline
    version: Release  # release of the configuration that was applied last
    mismatch: tuple[str, ...]  # servers that show "Config mismatch"
    counters: dict[str, float]  # by name as printed


@dataclass(frozen=True, slots=True)
class KpiRow:
    cluster: str
    tps: float
    values: dict[str, str]  # all columns as printed


@dataclass(frozen=True, slots=True)
class TrendRow:
    """One interval of one cluster in Trending Reports."""

    cluster: str
    values: dict[str, str]  # all columns as printed


@dataclass(frozen=True, slots=True)
class RepRow:
    """Replication of one MPE or MRA server as MPE/MRA Rep Stats shows it."""

    server: str
    peer: str
    status: str  # "OK" is good, anything else is not
    values: dict[str, str]  # all columns as printed


class Console(Protocol):
    """The console of the active primary CMP.

    Every reading raises Unreachable, LoginRefused or UnreadableReply. Every act raises NotAnnounced or ActRefused
    (nothing was run), another NothingRun before anything was clicked, and MayHaveRun once OK was clicked and no
    answer came. An act returns the message that the page printed. A lost session is logged in again for readings
    and before an act's last click, within the login budget. All methods may be called from any thread; acts run
    one after another, `urgency` decides who is next.
    """

    def log_in(self) -> None: ...

    def about(self) -> Release: ...

    def overview(self) -> Overview: ...

    def upgrade_log(self, cluster: str) -> tuple[LogLine, ...]: ...

    def active_alarms(self) -> tuple[Alarm, ...]: ...

    def topology(self) -> tuple[TopologyRow, ...]: ...

    def iso_maintenance(self) -> tuple[IsoRow, ...]: ...

    def kpi_dashboard(self) -> tuple[KpiRow, ...]: ...

    def trending(self) -> tuple[TrendRow, ...]: ...

    def rep_stats(self) -> tuple[RepRow, ...]: ...

    def cluster_page(self, cluster: str) -> ClusterPage: ...

    def kits(self) -> tuple[Kit, ...]: ...

    def screenshot(self, page: Page, to: Path, cluster: str | None = None) -> Path:
        """Take a fresh picture of a page (PNG, no form fields with secrets)."""
        ...

    def advance(
        self, intended: Intended, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str:
        """Upgrade button (Start/Continue Upgrade) for FAILOVER_TO_NEW and INITIATE_UPGRADE, rollback button else."""
        ...

    def operate(self, operation: Operation, names: Sequence[str], *, shots: Shots | None = None) -> str:
        """An entry of Operations on exactly these servers (SWITCH_FORCE_STANDBY: on exactly this one cluster).

        Raises NotAnnounced where the page that the console serves has no such entry (12.1 has no Start Upgrade there).
        """
        ...

    def select_iso(self, path: str, *, shots: Shots | None = None) -> str: ...

    def delete_iso(self, servers: Sequence[str], *, shots: Shots | None = None) -> str: ...

    def upload_iso(
        self,
        servers: Sequence[str],
        host: str,
        user: str,
        password: str,
        path: str,
        *,
        shots: Shots | None = None,
    ) -> str: ...

    def reapply_configuration(
        self, cluster: str, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str: ...

    def reset_counters(self, cluster: str, *, shots: Shots | None = None) -> str: ...

    def close(self) -> None: ...


class Page(StrEnum):
    """Pages by their visible names."""

    UPGRADE_MANAGER = "Upgrade Manager"
    SYSTEM_MAINTENANCE = "System Maintenance"
    OVERVIEW = "Overview"  # whichever of the two shows the system here
    ISO_MAINTENANCE = "ISO Maintenance"
    ACTIVE_ALARMS = "Active Alarms"
    TOPOLOGY = "Topology Settings"
    KPI_DASHBOARD = "KPI Dashboard"
    TRENDING = "Trending Reports"
    REP_STATS = "MPE/MRA Rep Stats"
    ABOUT = "About"
    CLUSTER_SYSTEM = "System"
    CLUSTER_REPORTS = "Reports"


class Shots(Protocol):
    """Where an act leaves its pictures (before the last click, and after it)."""

    def next(self, label: str) -> Path:
        """A path that is not used yet; the caller writes the PNG there."""
        ...
