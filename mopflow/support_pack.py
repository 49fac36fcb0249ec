"""One archive with everything that Oracle Support asks about, without secrets.

What the ledger and the evidence hold goes in first; the console is asked for the present moment, but for no longer
than a short deadline, and what it does not answer is named in the manifest.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.metadata
import io
import json
import platform
import re
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopflow import contact
from mopflow.console import chromium
from mopflow.console.protocol import Console
from mopflow.errors import BadInput, MopflowError, SecretMissing
from mopflow.ledger import Evidence, Hold, Ledger
from mopflow.scopes import clusters_behind
from mopflow.secrets import Vault, refs_of
from mopflow.site import Site
from mopflow.step import Step

if TYPE_CHECKING:
    from mopflow.here import Here

KIND = "support pack"
LIVE = 10.0  # seconds for what the console says now
_PACKAGES = ("mopflow", "prefect", "playwright", "paramiko", "sqlalchemy", "pydantic")


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a pack is made."""

    scope: str | None  # cluster, server or segment; None: the whole system
    step: Step | None
    rule: str = ""
    reason: str = ""
    hold: str = ""

    @classmethod
    def of(cls, row: Hold, step: Step | None) -> Occasion:
        return cls(row.cluster, step, row.rule, row.reason, row.id)


@dataclass(slots=True)
class Gathered:
    """Files by name, and what is missing with the reason. Closed: whoever comes later comes too late."""

    strike: Callable[[str], str]
    files: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False

    def text(self, name: str, text: str) -> None:
        self._put(name, self.strike(text).encode("utf-8", "backslashreplace"))

    def document(self, name: str, value: Any) -> None:
        self._put(name, self.as_document(value))

    def as_document(self, value: Any) -> bytes:
        """JSON. Struck before it is written, too: what JSON escapes would look like another word."""
        text = json.dumps(self.struck(value), indent=1, ensure_ascii=False, default=str) + "\n"
        return self.strike(text).encode("utf-8", "backslashreplace")

    def close(self) -> None:
        """What comes from now on comes too late."""
        with self.lock:
            self.closed = True

    def table(self, name: str, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(heading)
        writer.writerows([self.strike(str(cell)) for cell in row] for row in rows)
        self.text(name, out.getvalue())

    def file(self, name: str, content: bytes) -> None:
        """A file as it was kept: text is struck, another one that holds a secret stays out."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            plain = content.decode("latin-1")
            if self.strike(plain) == plain:
                self._put(name, content)
            else:
                self.lacks(name, "it holds a secret")
            return
        self.text(name, text)

    def lacks(self, name: str, why: str) -> None:
        with self.lock:
            if not self.closed:
                self.missing[name] = self.strike(why)

    def ask(self, name: str, question: Callable[[], None]) -> None:
        """One question to the console; that it fails is written down."""
        try:
            question()
        except MopflowError as error:
            self.lacks(name, str(error))

    def _put(self, name: str, content: bytes) -> None:
        with self.lock:
            if not self.closed:
                self.files[name] = content

    def struck(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.strike(value)
        if isinstance(value, dict):
            return {self.strike(str(key)): self.struck(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.struck(item) for item in value]
        return value


Live = Callable[[Gathered], None]  # puts in what the system says at this moment


# what is made


def for_hold(here: Here, row: Hold) -> Path:
    """The pack of a hold, in the evidence of its row. Raises whatever keeps it from being made."""
    house = here.house
    console = read_console(house.console, clusters_of(house.site, row.cluster))
    content = make(
        house.site,
        house.ledger,
        house.campaign,
        house.evidence.root,
        house.vault,
        Occasion.of(row, here.step),
        console,
    )
    name = f"{_folder(house.site, row.cluster, row.id)}.tar.gz"
    return house.evidence.keep_bytes(
        here.step.procedure, here.step.number, str(here.scope), name, content, KIND
    )


def make(
    site: Site,
    ledger: Ledger,
    campaign: str,
    evidence: Path,
    vault: Vault,
    occasion: Occasion,
    live: Live | None,
    deadline: float = LIVE,
) -> bytes:
    """The archive. ``evidence``: the root of the evidence store."""
    unknown = know_secrets(site, vault)
    got = Gathered(vault.strike)
    keys = scope_keys(site, occasion.scope)
    now = datetime.now(UTC)
    _versions(got, site, ledger)
    _snapshot(got, site, ledger)
    _timeline(got, ledger, campaign, keys)
    _holds(got, site, ledger, campaign)
    _evidence(got, ledger.evidence(campaign), evidence, keys)
    got.text("README.txt", _summary(site, campaign, occasion, now))
    if live is None:
        got.lacks("live", "the console was not asked")
    else:
        _look(got, live, deadline)
    got.close()
    manifest = {
        "made": now.isoformat(),
        "site": site.name,
        "campaign": campaign,
        "scope": occasion.scope,
        "hold": occasion.hold or None,
        "files": [
            {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for name, content in sorted(got.files.items())
        ],
        "missing": [{"what": what, "why": why} for what, why in sorted(got.missing.items())],
        "secrets_not_at_hand": unknown,
    }
    files = {**got.files, "manifest.json": got.as_document(manifest)}
    return _archive(_folder(site, occasion.scope, occasion.hold), files, now)


def scope_keys(site: Site, scope: str | None) -> frozenset[str] | None:
    """Under which names the ledger and the evidence speak of this scope; None: everything counts.

    What was seen of the whole system and of the segment belongs to each of its clusters.
    """
    clusters = clusters_of(site, scope)
    if scope is None or not clusters:
        return None
    segments = {segment.name for segment in site.segments for c in segment.clusters if c.name in clusters}
    servers = {name for cluster in clusters for name in site.cluster(cluster).server_names}
    return frozenset({*clusters, *servers, *segments, "system"})


def clusters_of(site: Site, scope: str | None) -> list[str]:
    """The clusters of a scope; all of them for the whole system."""
    if scope is None:
        return [cluster.name for cluster in site.clusters]
    return [cluster.name for cluster in clusters_behind(site, scope)]


def read_console(console: Console, clusters: Sequence[str]) -> Live:
    """Releases and roles, alarms, and the Upgrade Log of these clusters as the console shows them now."""

    def read(got: Gathered) -> None:
        for cluster in clusters:
            name = f"live/upgrade-log-{cluster}.csv"
            got.ask(name, lambda name=name, cluster=cluster: _upgrade_log(got, name, console, cluster))  # type: ignore[misc]
        got.ask("live/servers.csv", lambda: _servers(got, console))
        got.ask("live/active-alarms.csv", lambda: _alarms(got, console))
        got.ask("live/about.txt", lambda: got.text("live/about.txt", f"Release {console.about()}\n"))

    return read


def _upgrade_log(got: Gathered, name: str, console: Console, cluster: str) -> None:
    lines = [asdict(line) for line in console.upgrade_log(cluster)]
    got.table(
        name, list(lines[0]) if lines else ["the Upgrade Log is empty"], [list(x.values()) for x in lines]
    )


def _servers(got: Gathered, console: Console) -> None:
    page = console.overview()
    got.table(
        "live/servers.csv",
        [
            "cluster",
            "server",
            "role",
            "running release",
            "prev release",
            "up to date",
            "operation",
            "sync broken",
        ],
        [
            [
                s.cluster,
                s.name,
                s.role,
                s.release,
                s.prev_release,
                s.up_to_date,
                s.operation.text,
                s.sync_broken,
            ]
            for s in page.servers
        ],
    )


def _alarms(got: Gathered, console: Console) -> None:
    got.table(
        "live/active-alarms.csv",
        ["occurrence", "severity", "alarm", "source", "text"],
        [[a.occurrence, a.severity.word, a.number, a.source, a.text] for a in console.active_alarms()],
    )


def _look(got: Gathered, live: Live, deadline: float) -> None:
    """Ask the system, but wait no longer than the deadline. The thread is left to itself then: it only reads."""
    failed: list[str] = []

    def read() -> None:
        try:
            live(got)
        except Exception as error:  # noqa: BLE001  whatever it is, the rest of the pack is worth having
            failed.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=copy_context().run, args=(read,), name="support pack", daemon=True)
    thread.start()
    thread.join(deadline)
    if thread.is_alive():
        got.lacks("live", f"the console did not answer everything within {deadline:g} s")
    elif failed:
        got.lacks("live", failed[0])


# what goes in


def know_secrets(site: Site, vault: Vault) -> list[str]:
    """Let the vault strike also what this run has not used; names of secrets that are not at hand.

    Those of Prefect blocks are known when they were used, and what was written was struck when it was written.
    """
    unknown = []
    for ref in refs_of(site):
        if ref.env is None:
            continue
        try:
            vault.get(ref)
        except SecretMissing:
            unknown.append(str(ref))
    return unknown


def _versions(got: Gathered, site: Site, ledger: Ledger) -> None:
    kept = ledger.snapshot(site.name)
    clusters = kept[1].get("clusters", ()) if kept is not None else ()
    versions: dict[str, Any] = {name: _package(name) for name in _PACKAGES}
    got.document(
        "versions.json",
        {
            **versions,
            "python": platform.python_version(),
            "machine": platform.platform(),
            "chromium": _chromium(site.console.chromium),
            "document": "E75412-01",
            "source": site.source,
            "target": site.target,
            "servers": {s["name"]: s["release"] for c in clusters for s in c["servers"]},
        },
    )


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"


@lru_cache(maxsize=4)
def _chromium(setting: Path | None) -> str:
    try:
        program = chromium.find(setting)
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=True)
    except (BadInput, OSError, subprocess.SubprocessError) as error:
        return f"cannot be told: {error}"
    return done.stdout.strip()


def _snapshot(got: Gathered, site: Site, ledger: Ledger) -> None:
    kept = ledger.snapshot(site.name)
    if kept is None:
        got.lacks("snapshot.json", "the ledger has no picture of the system yet")
        return
    got.document("snapshot.json", {"kept": kept[0].isoformat(), **kept[1]})


def _timeline(got: Gathered, ledger: Ledger, campaign: str, keys: frozenset[str] | None) -> None:
    rows = [
        [
            row.id,
            row.at.isoformat(),
            f"{row.entry.procedure}/{row.entry.step}",
            row.entry.leg,
            row.entry.cluster or "system",
            row.entry.server or "",
            row.entry.event.value,
            row.entry.text,
            json.dumps(got.struck(row.entry.data), ensure_ascii=False, default=str) if row.entry.data else "",
        ]
        for row in ledger.rows(campaign=campaign)
        if keys is None or (row.entry.cluster or "system") in keys
    ]
    heading = ["id", "at", "step", "leg", "scope", "server", "event", "text", "data"]
    got.table("timeline.csv", heading, rows)


def _holds(got: Gathered, site: Site, ledger: Ledger, campaign: str) -> None:
    holds = [asdict(hold) for hold in ledger.holds(site.name, campaign=campaign, open_only=False)]
    got.document("holds.json", holds)


def _evidence(got: Gathered, found: Iterable[Evidence], root: Path, keys: frozenset[str] | None) -> None:
    for one in found:
        if one.kind == KIND or (keys is not None and (one.cluster or "system") not in keys):
            continue
        name = f"evidence/{one.path.split('/', 1)[-1]}"  # the campaign is in the name of the pack's folder anyway
        try:
            content = (root / one.path).read_bytes()
        except OSError as error:
            got.lacks(name, f"{error.strerror or error}")
            continue
        if hashlib.sha256(content).hexdigest() != one.sha256:
            got.lacks(f"{name} as it was kept", "the file differs from what the ledger entered")
        got.file(name, content)


def _summary(site: Site, campaign: str, occasion: Occasion, now: datetime) -> str:
    lines = [
        f"Support pack of {site.name}, {occasion.scope or 'the whole system'}",
        f"made {now:%Y-%m-%d %H:%M:%S} UTC, campaign {campaign}",
        f"upgrade from {site.source} to {site.target} as E75412-01 describes it",
        "",
    ]
    if occasion.step is not None:
        lines += [f"Step {occasion.step.key}: {occasion.step.title}", *in_our_words(occasion.step), ""]
    if occasion.reason:
        rule = f" (rule {occasion.rule})" if occasion.rule else ""
        lines += [f"Held{rule}: {occasion.reason}"]
        place = (
            contact.place_of(occasion.rule, occasion.step.procedure, occasion.step.number)
            if occasion.step is not None
            else None
        )
        lines += [f"The document there ({place.where}): {place.says}"] if place is not None else []
        lines += [""]
    lines += [
        "manifest.json   every file with its SHA-256, and what could not be had",
        "versions.json   programs here, releases of the servers",
        "snapshot.json   roles, releases, operations and alarms as last read",
        "live/           the same at the moment of the pack, and the Upgrade Log",
        "timeline.csv    what was meant, done and seen, step by step",
        "holds.json      where work waits or has waited for a person",
        "evidence/       transcripts, exports and pictures by procedure, step and scope",
    ]
    return "\n".join(lines) + "\n"


def in_our_words(step: Step) -> list[str]:
    """What each part of a row asks of the system."""
    words = []
    for leg in step.legs:
        said = (getdoc(leg.goal) or "").strip().split("\n\n")[0]
        if said:
            words.append(f"  {leg.name + ': ' if leg.name else ''}{' '.join(said.split())}")
    if step.source_note:
        words.append(f"  note: {step.source_note}")
    return words


def _folder(site: Site, scope: str | None, hold: str) -> str:
    words = ["support", site.name, scope or "system", *([hold] if hold else [])]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(words))


def _archive(folder: str, files: dict[str, bytes], made: datetime) -> bytes:
    """tar.gz with sorted names; the same content at the same moment gives the same bytes."""
    out = io.BytesIO()
    at = int(made.timestamp())
    with gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=at) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in sorted(files.items()):
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size, member.mtime, member.mode = len(content), at, 0o644
                tar.addfile(member, io.BytesIO(content))
    return out.getvalue()
