"""The visible names of a release family's console, one data file per family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from mopflow.console.protocol import Act, Gui, Operation, Page
from mopflow.errors import BadInput, UnreadableReply
from mopflow.release import Release

Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


def plain(text: str) -> str:
    """How names are compared: without regard to case, runs of white space count as one blank."""
    return " ".join(text.split()).casefold()


def is_one_of(text: str, names: Names) -> bool:
    return plain(text) in {plain(name) for name in names}


M = TypeVar("M", bound=BaseModel)


class LabelModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Login(LabelModel):
    user: Names
    password: Names
    button: Names


class HasLogin(Protocol):
    """The labels of any GUI with a login form."""

    @property
    def login(self) -> Login: ...


class Place(LabelModel):
    """A page: the way to it through the navigation, and its heading."""

    way: Names
    heading: Names


class Pages(LabelModel):
    iso_maintenance: Place
    system_maintenance: Place
    active_alarms: Place
    topology: Place
    kpi_dashboard: Place
    trending: Place
    rep_stats: Place
    about: Place


class Tabs(LabelModel):
    system: Names
    reports: Names


class Columns(LabelModel):
    """Headings of a grid by our word for the column; every one of them must be there."""

    def items(self) -> tuple[tuple[str, Names], ...]:
        return tuple((field, getattr(self, field)) for field in type(self).model_fields)


class UpgradeManagerColumns(Columns):
    name: Names
    severity: Names
    up_to_date: Names
    role: Names
    previous: Names
    running: Names
    operation: Names


class UpgradeLogColumns(Columns):
    id: Names
    parent: Names
    action: Names
    start: Names
    end: Names
    duration: Names
    scope: Names
    hostname: Names
    result: Names
    mode: Names
    description: Names


class KitColumns(Columns):
    label: Names
    release: Names
    path: Names
    description: Names


class IsoColumns(Columns):
    name: Names
    appl_type: Names
    ip: Names
    iso: Names


class MaintenanceColumns(Columns):
    name: Names
    appl_type: Names
    ip: Names
    role: Names
    running: Names
    replication: Names
    operation: Names


class AlarmColumns(Columns):
    occurrence: Names
    severity: Names
    number: Names
    text: Names
    source: Names


class TopologyColumns(Columns):
    name: Names
    appl_type: Names
    server_a: Names
    server_b: Names


class KpiColumns(Columns):
    name: Names
    tps: Names


class TrendColumns(Columns):
    name: Names
    start: Names


class RepColumns(Columns):
    name: Names
    peer: Names
    status: Names


class SystemColumns(Columns):
    name: Names
    config: Names


class ReportColumns(Columns):
    counter: Names
    value: Names


class Grids(LabelModel):
    iso_maintenance: IsoColumns
    system_maintenance: MaintenanceColumns
    active_alarms: AlarmColumns
    topology: TopologyColumns
    kpi_dashboard: KpiColumns
    trending: TrendColumns
    rep_stats: RepColumns
    cluster_system: SystemColumns
    cluster_reports: ReportColumns


_GROUPS = {
    "cluster_row": {"name", "count"},
    "topology_mark": {"name", "mark"},
    "alarms_found": {"count"},
    "alarm_source": {"host", "address"},
    "iso_image": {"file", "percent"},
    "about": {"release"},
    "current_iso": {"label"},
}


class _WithGroups(LabelModel):
    @model_validator(mode="after")
    def _groups(self) -> _WithGroups:
        for field, wanted in _GROUPS.items():
            pattern = getattr(self, field, None)
            if pattern is None:
                continue
            missing = wanted - set(re.compile(pattern).groupindex)
            if missing:
                raise ValueError(f"{field}: the pattern lacks the group(s) {', '.join(sorted(missing))}")
        return self


class Texts(_WithGroups):
    cluster_row: Pattern
    sync_broken: Names
    replication_on: Names
    topology_mark: Pattern
    alarms_found: Pattern
    alarms_none: Pattern
    alarm_source: Pattern
    iso_image: Pattern
    config_good: Names
    config_mismatch: Names
    about: Pattern
    done: Pattern
    failed: Pattern


class FactNames(LabelModel):
    name: Names
    status: Names
    version: Names


class Buttons(LabelModel):
    ok: Names
    cancel: Names
    close: Names
    add: Names
    operations: Names
    upload_iso: Names
    delete_iso: Names
    reapply: Names
    reset_counters: Names


class UploadForm(LabelModel):
    mode: Names
    scp: Name
    host: Names
    user: Names
    password: Names
    path: Names


class DialogWords(LabelModel):
    delete_iso: Names
    upload_iso: Names
    reapply: Names
    reset_counters: Names


class OperationWords(LabelModel):
    """An entry of the menu Operations, and what its dialog says besides names."""

    entry: Names
    dialog: Names


class Operations(LabelModel):
    push_scripts: OperationWords
    force_standby: OperationWords
    cancel_force_standby: OperationWords
    switch_force_standby: OperationWords
    start_upgrade: OperationWords
    backout: OperationWords

    @cached_property
    def words(self) -> dict[Operation, OperationWords]:
        return {operation: getattr(self, operation.name.lower()) for operation in Operation}

    @model_validator(mode="after")
    def _dialogs_differ(self) -> Operations:
        _require_different({operation: words.dialog for operation, words in self.words.items()})
        return self


class ActWords(LabelModel):
    initiate_upgrade: Names
    failover_to_new: Names
    initiate_backout: Names
    failover_to_old: Names


class DirectorButtons(_WithGroups):
    upgrade: Names
    rollback: Names
    log: Names
    current_iso: Pattern
    select: Names


class DirectorLabels(LabelModel):
    """The Upgrade Manager, with its dialogs and the words that announce an act."""

    page: Place
    columns: UpgradeManagerColumns
    log: UpgradeLogColumns
    kits: KitColumns
    buttons: DirectorButtons
    acts: ActWords
    select_iso: Names

    @cached_property
    def words(self) -> dict[Act, Names]:
        """The words that announce each act."""
        return {act: getattr(self.acts, act.name.lower()) for act in Act}

    @model_validator(mode="after")
    def _acts_differ(self) -> DirectorLabels:
        _require_different(self.words)
        return self


def _require_different(words: Mapping[Any, Names]) -> None:
    """No phrase may announce two things. Raises ValueError."""
    owner: dict[str, Any] = {}
    for what, names in words.items():
        for name in names:
            for other, whose in owner.items():
                if whose is not what and (plain(name) in other or other in plain(name)):
                    raise ValueError(f"{name!r} could announce {whose} as well as {what}")
            owner[plain(name)] = what


class Labels(LabelModel):
    """All visible names of one family. `director`: None where the console has no Upgrade Manager."""

    family: str
    releases: tuple[Pattern, ...] = Field(min_length=1)
    login: Login
    pages: Pages
    cluster_lists: tuple[Place, ...] = Field(min_length=1)
    tabs: Tabs
    all_clusters: Names
    grids: Grids
    texts: Texts
    facts: FactNames
    statuses: Names
    buttons: Buttons
    upload: UploadForm
    dialogs: DialogWords
    operations: Operations
    director: DirectorLabels | None = None

    @property
    def gui(self) -> Gui:
        return Gui.MAINTENANCE if self.director is None else Gui.DIRECTOR

    @property
    def overview(self) -> Page:
        """The page that shows every server."""
        return Page.SYSTEM_MAINTENANCE if self.director is None else Page.UPGRADE_MANAGER

    @property
    def upgrade_manager(self) -> DirectorLabels:
        """Raises UnreadableReply where there is none."""
        if self.director is None:
            raise UnreadableReply("Upgrade Manager", f"the console of {self.family} has none", "")
        return self.director

    def place(self, page: Page) -> Place:
        """Where a page is. Raises UnreadableReply for one that there is not, BadInput for the page of a cluster."""
        pages = self.pages
        match page:
            case Page.OVERVIEW:
                return self.place(self.overview)
            case Page.UPGRADE_MANAGER:
                return self.upgrade_manager.page
            case Page.SYSTEM_MAINTENANCE:
                return pages.system_maintenance
            case Page.ISO_MAINTENANCE:
                return pages.iso_maintenance
            case Page.ACTIVE_ALARMS:
                return pages.active_alarms
            case Page.TOPOLOGY:
                return pages.topology
            case Page.KPI_DASHBOARD:
                return pages.kpi_dashboard
            case Page.TRENDING:
                return pages.trending
            case Page.REP_STATS:
                return pages.rep_stats
            case Page.ABOUT:
                return pages.about
            case Page.CLUSTER_SYSTEM | Page.CLUSTER_REPORTS:
                raise BadInput(f"the page {page} needs the name of a cluster")


def pages_with(operation: Operation) -> tuple[Page, ...]:
    """Where the entry of Operations may be, in the order of trying.

    Push Script has moved: 6.1.1/8 has it in System Maintenance, 7.1.1/7 in ISO Maintenance.
    """
    if operation is Operation.PUSH_SCRIPTS:
        return Page.SYSTEM_MAINTENANCE, Page.ISO_MAINTENANCE
    return (Page.SYSTEM_MAINTENANCE,)


DEFAULT = "12.x"
FAMILIES: dict[str, Path] = {
    DEFAULT: Path(__file__).with_name("labels_12x.yaml"),
    "10.5/11.5": Path(__file__).with_name("labels_10x.yaml"),
}


def load(path: Path) -> Labels:
    """Read a label file of the CMP console. Raises BadInput with every mistake and its place."""
    return load_as(path, Labels)


def load_as(path: Path, shape: type[M]) -> M:
    """Read a label file of this shape. Raises BadInput with every mistake and its place."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: cannot be read as YAML: {error}") from None
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        raise BadInput(
            *(
                f"{path}: {'.'.join(str(part) for part in mistake['loc']) or 'labels'}: {mistake['msg']}"
                for mistake in error.errors()
            )
        ) from None


@cache
def family(name: str) -> Labels:
    """The labels of this entry of FAMILIES."""
    return load(FAMILIES[name])


def labels_for(release: Release) -> Labels:
    """The labels of the family that `release` belongs to. Raises UnreadableReply when there is none."""
    for labels in map(family, FAMILIES):
        if any(re.match(pattern, release.text) for pattern in labels.releases):
            return labels
    raise UnreadableReply("About", f"a release of no known family ({', '.join(FAMILIES)})", release.text)
