"""TWIN.yaml: what the twin consists of. Every mistake is named with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from lab.state import Kind, Role


class ConfigError(ValueError):
    """TWIN.yaml or the environment cannot be used; the text names place and remedy."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SystemPassword(_Model):
    env: str = Field(min_length=1)


class GuiAccount(_Model):
    user: str = Field(min_length=1)
    env: str = Field(min_length=1)


class Credentials(_Model):
    """Names of environment variables; no secret stands in the file."""

    admusr: SystemPassword = SystemPassword(env="MOPFLOW_LAB_ADMUSR_PASSWORD")
    root: SystemPassword = SystemPassword(env="MOPFLOW_LAB_ROOT_PASSWORD")
    gui: GuiAccount = GuiAccount(user="admin", env="MOPFLOW_LAB_GUI_PASSWORD")
    ossi: GuiAccount = GuiAccount(user="ossi", env="MOPFLOW_LAB_OSSI_PASSWORD")
    pmac_gui: GuiAccount = GuiAccount(user="guiadmin", env="MOPFLOW_LAB_PMAC_GUI_PASSWORD")
    pmac_admusr: SystemPassword = SystemPassword(env="MOPFLOW_LAB_PMAC_ADMUSR_PASSWORD")


class Secrets(_Model):
    """The passwords themselves; their repr shows stars."""

    admusr: SecretStr
    root: SecretStr
    gui_user: str
    gui: SecretStr
    ossi_user: str
    ossi: SecretStr
    pmac_gui_user: str = ""
    pmac_gui: SecretStr = SecretStr("")
    pmac_admusr: SecretStr = SecretStr("")

    @classmethod
    def from_environment(
        cls, names: Credentials, environ: Mapping[str, str], *, pmac: bool = False
    ) -> Secrets:
        """Raises ConfigError that lists every variable that is not set. `pmac`: there is a PM&C server."""
        wanted = [names.admusr.env, names.root.env, names.gui.env, names.ossi.env]
        wanted += [names.pmac_gui.env, names.pmac_admusr.env] if pmac else []
        missing = sorted({name for name in wanted if not environ.get(name)})
        if missing:
            raise ConfigError(f"credentials: set the environment variable(s) {', '.join(missing)}")
        return cls(
            admusr=SecretStr(environ[names.admusr.env]),
            root=SecretStr(environ[names.root.env]),
            gui_user=names.gui.user,
            gui=SecretStr(environ[names.gui.env]),
            ossi_user=names.ossi.user,
            ossi=SecretStr(environ[names.ossi.env]),
            pmac_gui_user=names.pmac_gui.user,
            pmac_gui=SecretStr(environ[names.pmac_gui.env] if pmac else ""),
            pmac_admusr=SecretStr(environ[names.pmac_admusr.env] if pmac else ""),
        )


class Media(_Model):
    """An image that exists in this world; its content is never stored, only size and MD5."""

    file: str = Field(pattern=r"^[^/]+\.iso$")
    type: Literal["cmp", "mpe", "mpe-li", "mra"]
    size: int = Field(gt=0)  # bytes
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")


class ServerConfig(_Model):
    name: str = Field(min_length=1)
    address: str  # a loopback address of its own
    port: int = Field(default=0, ge=0, le=65535)  # 0 = choose
    role: Role
    release: str | None = None  # None = source
    prev_release: str | None = (
        None  # None = the source on a server of another release, else that of a new server
    )
    images: tuple[str, ...] = ()  # file names in /var/TKLC/upgrade

    @field_validator("role")
    @classmethod
    def _settled(cls, value: Role) -> Role:
        if value in (Role.OOS, Role.OFFLINE):
            raise ValueError("a server begins as Active, Standby, Forced Standby or Zombie")
        return value

    @field_validator("address")
    @classmethod
    def _loopback(cls, value: str) -> str:
        if not value.startswith("127."):
            raise ValueError("must be a loopback address (127.x.y.z): the twin serves nobody else")
        return value


class ClusterConfig(_Model):
    name: str = Field(min_length=1)
    kind: Kind
    primary: bool | None = None
    site: str
    segment: str | None = None
    vip: str
    servers: tuple[ServerConfig, ServerConfig]

    @model_validator(mode="after")
    def _kind_and_mark(self) -> Self:
        if (self.kind is Kind.CMP) != (self.primary is not None):
            raise ValueError("`primary` is true or false for a CMP cluster and null for every other")
        if [server.role for server in self.servers].count(Role.ACTIVE) > 1:
            raise ValueError("one server at most is Active")
        return self


class PmacConfig(_Model):
    """The PM&C server: its host over SSH, and its GUI on an address of its own."""

    name: str = Field(min_length=1)
    address: str
    port: int = Field(default=0, ge=0, le=65535)
    gui_address: str


class Durations(_Model):
    """Twin minutes; defaults follow the logs of 3.1.1, 6.1.2 and 8.1.2 and the notes of the steps."""

    initiate_upgrade: dict[Kind, float] = Field(default_factory=dict)
    initiate_backout: dict[Kind, float] = Field(default_factory=dict)
    failover: float = Field(default=0.5, gt=0)
    reapply: float = Field(default=0.3, gt=0)
    upload_iso: float = Field(default=3.0, gt=0)
    preflight: float = Field(default=0.25, gt=0)
    push_scripts: float = Field(default=0.5, gt=0)
    reboot_fraction: float = Field(
        default=0.5, gt=0, lt=0.9
    )  # share of an initiate in which the server is away
    replication_timeout: float = Field(default=10.0, gt=0)  # until "Wait for replication" gives up
    server_backup: float = Field(default=3.0, gt=0)
    system_backup: float = Field(default=2.0, gt=0)
    pmac_add: float = Field(default=2.0, gt=0)  # one image into the repository of PM&C

    def upgrade(self, kind: Kind, *, old_primary: bool = False) -> float:
        """`old_primary`: a server of the primary CMP that comes from 10.5 or 11.5."""
        usual = (
            30.0 if kind is Kind.CMP and not old_primary else 40.0
        )  # 6.1.1/10+21, 6.1.2/2, 9.1.1/10, 10.2/3
        return self.initiate_upgrade.get(kind, usual)

    def backout(self, kind: Kind, *, second: bool = False, by_server: bool = False) -> float:
        """`by_server`: in System Maintenance of 10.5 or 11.5."""
        usual = 40.0  # 12.3.3/2, 12.3.4/2, 12.3.5/2+8
        if by_server:
            usual = 30.0  # 12.3.5/6
        elif second and kind is not Kind.CMP:
            usual = 35.0  # 12.3.3/5
        return self.initiate_backout.get(kind, usual)


class TwinConfig(_Model):
    source: str = Field(min_length=1)
    target: str = Field(min_length=1)
    seed: int = 1
    speed: float = Field(default=60.0, gt=0)
    gui_style: Literal["table", "grid"] = "table"
    print_forced_standby: bool = False  # 12.x prints Standby (3.1.4.6, figures of 10.2)
    credentials: Credentials = Credentials()
    clusters: tuple[ClusterConfig, ...] = Field(min_length=1)
    media: tuple[Media, ...] = ()
    current_iso: str | None = None  # image of the kit that is chosen when the run begins; None = Install Kit
    durations: Durations = Durations()
    ntp: tuple[str, ...] = ("192.0.2.10", "192.0.2.11")  # the first is the selected peer
    weak_hashes: tuple[str, ...] = ()  # servers on which root and admusr have an MD5 hash
    pmac: PmacConfig | None = None
    disk_kib: dict[str, int] = Field(
        default_factory=dict
    )  # size of a file system by mount point, of every server
    faults: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        mistakes: list[str] = []
        servers = [server for cluster in self.clusters for server in cluster.servers]
        names = [cluster.name for cluster in self.clusters] + [server.name for server in servers]
        mistakes += [f"the name {name!r} occurs {n} times" for name, n in Counter(names).items() if n > 1]
        endpoints = [(server.address, server.port) for server in servers if server.port]
        mistakes += [
            f"the endpoint {a}:{p} occurs {n} times" for (a, p), n in Counter(endpoints).items() if n > 1
        ]
        primaries = [cluster.name for cluster in self.clusters if cluster.primary]
        if len(primaries) != 1:
            mistakes.append(f"exactly one CMP cluster is primary, found {len(primaries)}: {primaries}")
        known = {media.file for media in self.media}
        mistakes += [
            f"server {server.name}: image {image!r} is not listed under media"
            for server in servers
            for image in server.images
            if image not in known
        ]
        server_names = {server.name for server in servers}
        mistakes += [
            f"weak_hashes: {name!r} is no server" for name in self.weak_hashes if name not in server_names
        ]
        if self.current_iso is not None and self.current_iso not in known:
            mistakes.append(f"current_iso: image {self.current_iso!r} is not listed under media")
        if self.source == self.target:
            mistakes.append("source and target are the same release")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    def image_of(self, kind: Kind, release: str) -> Media | None:
        """The image of that type and release, by its file name, as Table 2 names it."""
        wanted = f"{kind.value.lower()}-{release}-x86_64.iso"
        return next((media for media in self.media if media.file == wanted), None)


def load(path: Path) -> TwinConfig:
    """Reads TWIN.yaml.

    Raises ConfigError with every mistake on a line of its own: file, place, what is wrong.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    try:
        return TwinConfig.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(str(part) for part in item['loc']) or 'whole file'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from None


def media_type(file: str, media: Mapping[str, Media]) -> str | None:
    """The type of an image: from the media list, else from the beginning of its name (Table 2)."""
    name = PurePosixPath(file).name
    if name in media:
        return media[name].type
    for kind in ("mpe-li", "cmp", "mpe", "mra"):
        if name.startswith(f"{kind}-"):
            return kind
    return None
