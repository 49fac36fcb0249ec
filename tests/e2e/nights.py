"""Small systems on the twin, and the real commands run on them. Used by the tests of this folder."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rulebook import Limits, Violation, check_dir

from cli.twin_files import ADMUSR, GUI, OSSI, VARIABLES, make_images, old_image, site_document, twin_document
from mopflow.ledger import CheckOutcome, CheckResult, Entry, Ledger, Row
from mopflow.readiness import assess, keeps_until
from mopflow.site import Site
from mopflow.site_file import load
from mopflow.system import Stage

ROOT_DIR = Path(__file__).parents[2]
PATIENCE = 420.0  # seconds for one command of a test
SPEED = 60  # twin seconds in a second
CLICKING = 10.0  # seconds that an act through a browser may take: two on an idle machine, more on a busy one
SOURCE = "12.1.1.0.0_14.1.0"
TARGET = "12.1.2.0.0_22.1.0"
UPGRADE = "/var/TKLC/upgrade/"


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str


def site_yaml(name: str, clusters: Sequence[tuple[str, str]], minutes: float, **lab: Any) -> dict[str, Any]:
    """A site with two CMP clusters and one segment of ``clusters`` (name, kind); each server takes ``minutes``."""
    number = iter(range(11, 250))

    def pair(cluster: str, **more: Any) -> dict[str, Any]:
        servers = [{"name": f"{cluster}{side}", "address": f"127.0.3.{next(number)}"} for side in "ab"]
        return {"site": "site-1", "servers": servers, **more}

    kinds = {"cmp", *(kind.lower() for _, kind in clusters)}
    return {
        "name": name,
        "source": SOURCE,
        "target": TARGET,
        "console": {"user": "admin", "password": {"env": GUI}},
        "ssh": {"user": "admusr", "password": {"env": ADMUSR}, "known_hosts": "known_hosts"},
        "ossi": {"user": "ossi", "password": {"env": OSSI}},
        "cmp": {
            "primary": pair("cmp-1", name="CMP Site1 Cluster", vip="127.0.3.1"),
            "secondary": pair("cmp-2", name="CMP Site2 Cluster", vip="127.0.3.2"),
        },
        "segments": [{"name": "segment-1", "clusters": [pair(c, name=c, kind=kind) for c, kind in clusters]}],
        "media": [
            {"file": f"{kind}-{TARGET}-x86_64.iso", "type": kind, "md5": f"{n:032x}"}
            for n, kind in enumerate(sorted(kinds), 1)
        ],
        "autonomy": {"cmp_switch": "auto", "first_failover": "auto", "backout": "auto"},
        "lab": {
            "durations": {"initiate_upgrade": minutes, "initiate_backout": minutes, "upload_iso": 1},
            **lab,
        },
    }


SMALL = (("mpe-1", "MPE"), ("mpe-2", "MPE"), ("mra-1", "MRA"))


@dataclass(slots=True)
class Night:
    """A twin that runs, and the commands of mopflow on it."""

    folder: Path
    environment: Mapping[str, str]
    passwords: Mapping[str, str]
    twin: subprocess.Popen[bytes] | None
    site: Site
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    first: Ended = Ended(-1, "", "")  # of the rehearsal that began the night

    @property
    def site_file(self) -> Path:
        return self.folder / "site.yaml"

    def mopflow(self, *arguments: str, patience: float = PATIENCE) -> Ended:
        """Run a command of mopflow to its end."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"mopflow {arguments} did not end:\n{out}\n{err}") from None
        return Ended(process.returncode, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT_DIR,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """SIGKILL to the command itself, as a machine's end would; its browser must end by itself."""
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def segment(self, **options: float) -> Ended:
        return self.mopflow("upgrade-segment", str(self.site_file), "segment-1", **options)

    def cmp(self) -> Ended:
        return self.mopflow("upgrade-cmp", str(self.site_file))

    # what the twin and the ledger recorded

    def flight(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "flight.jsonl").read_text().splitlines() if line]

    def events(self, event: str, **wanted: Any) -> list[dict[str, Any]]:
        return [
            e for e in self.flight() if e["event"] == event and all(e.get(k) == v for k, v in wanted.items())
        ]

    def starts(self, action: str, cluster: str | None = None) -> list[dict[str, Any]]:
        found = self.events("action_started", action=action)
        return [e for e in found if cluster is None or e["cluster"] == cluster]

    def violations(self, **limits: Any) -> list[Violation]:
        """The rules' own limits; beside the two that end with a click of ours, what the click itself takes.

        Reading, hover text, dialog and pictures take as long as on a real system, while everything else is SPEED times
        faster: the 300 s between failover and re-apply are five here, of which the browser takes two or more.
        """
        rule, clicking = Limits(), CLICKING * SPEED
        limits.setdefault("failback_margin", rule.failback_margin + clicking)
        limits.setdefault("reapply_within", rule.reapply_within + clicking)
        return check_dir(self.folder, Limits(**limits))

    def ledger(self) -> Ledger:
        return Ledger.open(f"sqlite:///{self.folder / 'ledger.db'}")

    def rows(self) -> list[Row]:
        with self.ledger() as ledger:
            return ledger.rows(site=self.site.name)

    def entries(self, key: str, cluster: str | None = None) -> list[Entry]:
        return [
            row.entry
            for row in self.rows()
            if f"{row.entry.procedure}/{row.entry.step}" == key and cluster in (None, row.entry.cluster)
        ]

    def record(self) -> Path:
        """The folder of the record of the newest campaign."""
        with self.ledger() as ledger:
            return self.folder / load(self.site_file).evidence / ledger.campaigns(self.site.name)[-1].id

    def holds(self) -> dict[str, str]:
        """Rule of each open hold, by what is held."""
        with self.ledger() as ledger:
            return {hold.cluster or "": hold.rule for hold in ledger.holds(self.site.name)}

    def releases(self) -> dict[str, str]:
        """Release of every server now, from the flight record."""
        world = json.loads((self.folder / "world.json").read_text())
        now = {s["name"]: s["release"] for c in world["clusters"] for s in c["servers"]}
        for event in self.events("release"):
            now[event["server"]] = event["to"]
        return now

    def images(self) -> dict[str, set[str]]:
        """What lies in each server's upgrade folder now, from the flight record. An old image lay on each at first."""
        world = yaml.safe_load((self.folder / "twin.yaml").read_text())
        now = {s["name"]: set(s["images"]) for c in world["clusters"] for s in c["servers"]}
        for event in self.events("file"):
            name = event["path"].removeprefix(UPGRADE)
            if event["server"] not in now or name == event["path"]:
                continue
            if event["op"] == "write":
                now[event["server"]].add(name)
            else:
                now[event["server"]].discard(name)
        return now

    def wait_for(self, happened: Callable[[], Any], patience: float = 300.0) -> Any:
        """Wait until the condition holds; what it answered."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            found = happened()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError("it did not happen in time")

    def all_at_rest(self) -> bool:
        """Has every act of the twin that was begun come to its end?"""
        return len(self.events("action_started")) == len(self.events("action_ended"))

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        if self.twin is not None and self.twin.poll() is None:
            self.twin.send_signal(signal.SIGTERM)
            self.twin.wait(timeout=30)


def begin(
    folder: Path,
    prefect: Mapping[str, str],
    *,
    clusters: Sequence[tuple[str, str]] = SMALL,
    minutes: float = 4,
    faults: Sequence[str] = (),
    seed: int = 1,
    cmp_done: bool = False,
    all_done: bool = False,
    source: str = SOURCE,
    gui_style: str = "table",
    stages: Mapping[str, Stage] | None = None,
    **lab: Any,
) -> Night:
    """Start a twin at SPEED, ready for its upgrade.

    ``cmp_done``: its CMP clusters run the target already and the images are there; ``all_done``: every cluster does.
    ``stages``: clusters that begin elsewhere, at FRESH, SWITCHED or DONE.
    """

    def change(document: dict[str, Any], site: Site) -> None:
        if cmp_done or all_done:
            _past_the_cmps(document, site)
        if all_done:
            for cluster in document["clusters"]:
                for server in cluster["servers"]:
                    server["release"] = TARGET
        for cluster in document["clusters"]:
            if stages is not None and cluster["name"] in stages:
                _put(cluster["servers"], stages[cluster["name"]])

    wanted = {**site_yaml(_name(), clusters, minutes, gui_style=gui_style, **lab), "source": source}
    site = _draft(folder, wanted)
    night = _start(folder, prefect, site, seed, faults, None, change)
    prepared(night)
    return night


def begin_unprepared(
    folder: Path,
    prefect: Mapping[str, str],
    *,
    clusters: Sequence[tuple[str, str]] = SMALL,
    minutes: float = 4,
    faults: Sequence[str] = (),
    seed: int = 1,
    site: Mapping[str, Any] | None = None,
    **lab: Any,
) -> Night:
    """Start a twin at SPEED that nobody has prepared. ``site``: more top-level keys; ``lab``: of that section."""
    document = {
        **site_yaml(_name(), clusters, minutes, **lab),
        "ntp": ["192.0.2.10", "192.0.2.11"],
        **(site or {}),
    }
    plan = _draft(folder, document)
    return _start(
        folder, prefect, plan, seed, faults, make_images(plan, folder / "media"), lambda _d, _s: None
    )


def _name() -> str:
    return f"night-{secrets.token_hex(4)}"


def _draft(folder: Path, document: Mapping[str, Any]) -> Site:
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "draft.yaml"
    draft.write_text(yaml.safe_dump(document, sort_keys=False))
    return load(draft)


def _start(
    folder: Path,
    prefect: Mapping[str, str],
    site: Site,
    seed: int,
    faults: Sequence[str],
    made: Mapping[str, str] | None,
    change: Callable[[dict[str, Any], Site], None],
) -> Night:
    document = twin_document(site, seed, SPEED, list(faults), made)
    change(document, site)
    (folder / "twin.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    passwords = {variable: secrets.token_urlsafe(18) for variable in VARIABLES}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment |= {**passwords, **prefect, "MOPFLOW_LOGS": str(folder / "logs")}
    (folder / "logs").mkdir(exist_ok=True)
    with (folder / "logs" / "twin.log").open("wb") as log:
        twin = subprocess.Popen(
            [sys.executable, "-m", "lab", str(folder / "twin.yaml"), "--out", str(folder)],
            cwd=ROOT_DIR,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    night = Night(folder, environment, passwords, twin, site)
    try:
        night.wait_for(lambda: (folder / "endpoints.json").exists() or twin.poll() is not None, 60)
        endpoints = json.loads((folder / "endpoints.json").read_text())
        site_document_ = site_document(site, endpoints, SPEED, made)
        (folder / "site.yaml").write_text(yaml.safe_dump(site_document_, sort_keys=False))
    except BaseException:
        night.close()
        raise
    return night


def prepared(night: Night) -> None:
    """Nobody prepares these systems: every check is overridden, as a person could."""
    now = datetime.now(UTC)
    with night.ledger() as ledger:
        for item in assess(night.site, [], now, {}).items:
            until = keeps_until(item.check, night.site, now)
            ledger.add_check(
                night.site.name,
                None,
                CheckResult(
                    item.check.value, item.server, CheckOutcome.OVERRIDDEN, "a test", now, until, "the tests"
                ),
            )


SMALL_SITE = ROOT_DIR / "tests" / "sites" / "small.yaml"
LAB_SITE = ROOT_DIR / "deployments" / "lab.yaml"


@contextmanager
def rehearsed(site: Path, folder: Path, *options: str, patience: float = 800.0) -> Iterator[Night]:
    """Run `mopflow rehearse --keep --json` to its end; twin and Prefect server are up inside, and ended after.

    The site file is copied first: its certificate is written beside it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    site = shutil.copy(site, folder.parent / site.name)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    command = [
        sys.executable,
        "-m",
        "cli.main",
        "rehearse",
        "--site",
        str(site),
        "--out",
        str(folder),
        "--keep",
        "--json",
    ]
    try:
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT_DIR,
            env=environment,
            capture_output=True,
            text=True,
            timeout=patience,
        )
        for line in (folder / "secrets.env").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            if name and not name.startswith("#"):
                environment[name.strip()] = value.strip().strip("'")
        passwords = {name: environment[name] for name in VARIABLES}
        night = Night(folder, environment, passwords, None, load(folder / "site.yaml"))
        night.first = Ended(done.returncode, done.stdout, done.stderr)
        yield night
    finally:
        pids = json.loads((folder / "pids.json").read_text()) if (folder / "pids.json").exists() else {}
        for pid in pids.values():
            if isinstance(pid, int) and _is_ours(pid):
                os.kill(pid, signal.SIGTERM)


def _is_ours(pid: int) -> bool:
    """A process of a rehearsal: the number may belong to another one by now."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return False
    return any(mark in command for mark in (b"-m lab", b"prefect server", b"cli.main"))


def _put(servers: Sequence[dict[str, Any]], stage: Stage) -> None:
    """A pair at this stage of its upgrade: its second server is upgraded first."""
    releases = {
        Stage.FRESH: (None, None),
        Stage.SWITCHED: (None, TARGET),
        Stage.DONE: (TARGET, TARGET),
    }[stage]
    roles = ("Forced Standby", "Active") if stage is Stage.SWITCHED else ("Active", "Standby")
    for server, release, role in zip(servers, releases, roles, strict=True):
        server["release"], server["role"] = release, role


def _past_the_cmps(document: dict[str, Any], site: Site) -> None:
    document["current_iso"] = f"cmp-{TARGET}-x86_64.iso"
    for cluster in document["clusters"]:
        for server in cluster["servers"]:
            server["images"] = [f"{cluster['kind'].lower()}-{TARGET}-x86_64.iso"]
            if cluster["kind"] == "CMP":
                server["release"] = TARGET
    assert all(old_image(site, "cmp") not in s["images"] for c in document["clusters"] for s in c["servers"])
