"""The visible names of a release family's console, one data file per family."""

from __future__ import annotations

import re
from functools import cached_property
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

from mopflow.console.protocol import Act
from mopflow.errors import BadInput

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
    upgrade_manager: Place
    iso_maintenance: Place
    active_alarms: Place
    topology: Place
    kpi_dashboard: Place
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


class SystemColumns(Columns):
    name: Names
    config: Names


class ReportColumns(Columns):
    counter: Names
    value: Names


class Grids(LabelModel):
    upgrade_manager: UpgradeManagerColumns
    upgrade_log: UpgradeLogColumns
    kits: KitColumns
    iso_maintenance: IsoColumns
    active_alarms: AlarmColumns
    topology: TopologyColumns
    kpi_dashboard: KpiColumns
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


class Buttons(_WithGroups):
    upgrade: Names
    rollback: Names
    log: Names
    current_iso: Pattern
    select: Names
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


class ActWords(LabelModel):
    initiate_upgrade: Names
    failover_to_new: Names
    initiate_backout: Names
    failover_to_old: Names


class DialogWords(LabelModel):
    select_iso: Names
    delete_iso: Names
    upload_iso: Names
    reapply: Names
    reset_counters: Names


class Labels(LabelModel):
    """All visible names of one family."""

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
    acts: ActWords
    dialogs: DialogWords

    @cached_property
    def words(self) -> dict[Act, Names]:
        """The words that announce each act."""
        return {
            Act.INITIATE_UPGRADE: self.acts.initiate_upgrade,
            Act.FAILOVER_TO_NEW: self.acts.failover_to_new,
            Act.INITIATE_BACKOUT: self.acts.initiate_backout,
            Act.FAILOVER_TO_OLD: self.acts.failover_to_old,
        }

    @model_validator(mode="after")
    def _acts_differ(self) -> Labels:
        owner: dict[str, Act] = {}
        for act, names in self.words.items():
            for name in names:
                for other, whose in owner.items():
                    if whose is not act and (plain(name) in other or other in plain(name)):
                        raise ValueError(f"acts: {name!r} could announce {whose} as well as {act}")
                owner[plain(name)] = act
        return self


DEFAULT = "12.x"
FAMILIES: dict[str, Path] = {DEFAULT: Path(__file__).with_name("labels_12x.yaml")}


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


def labels_for(release: str) -> Labels:
    """The labels of the family that `release` belongs to. Raises BadInput when there is none."""
    for path in FAMILIES.values():
        labels = load(path)
        if any(re.match(pattern, release) for pattern in labels.releases):
            return labels
    raise BadInput(f"no label file knows the console of release {release}; there are {', '.join(FAMILIES)}")
