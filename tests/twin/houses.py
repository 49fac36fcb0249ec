"""A real twin and an open house on it, without Prefect: for tests of rows, one by one."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from nights import SMALL, site_yaml
from small_system import OpenSlots

from cli.twin_files import VARIABLES, make_images, site_document, twin_document
from mopflow import processes
from mopflow.console.opening import open_console
from mopflow.house import House, ledger_url, open_house
from mopflow.ledger import Hold, Ledger
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.site_file import load

ROOT_DIR = Path(__file__).parents[2]


@dataclass(slots=True)
class OnTwin:
    """A twin that runs; `open` is one run of mopflow on it."""

    folder: Path
    passwords: Mapping[str, str]

    @property
    def site_file(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def site(self) -> Site:
        return load(self.site_file)

    def change(self, **keys: Any) -> None:
        """Put top-level keys of the site file in the place of what they were."""
        document = yaml.safe_load(self.site_file.read_text())
        self.site_file.write_text(yaml.safe_dump({**document, **keys}, sort_keys=False))

    @contextmanager
    def open(self) -> Iterator[House]:
        """A run of its own: new sessions, the same ledger and campaign."""
        site, vault = self.site, Vault()
        before = {name: os.environ.get(name) for name in self.passwords}
        os.environ.update(self.passwords)
        try:
            with self.ledger() as ledger:
                campaign = ledger.campaign(site.name, site.source, site.target, None)
                me = processes.me()
                executor = ledger.register(campaign, site.name, "test", "test", me.host, me.pid, me.born)
                with open_house(
                    site,
                    self.site_file,
                    vault=vault,
                    ledger=ledger,
                    campaign=campaign,
                    executor=executor.id,
                    slots=OpenSlots(),
                    make_console=open_console,
                ) as house:
                    yield house
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def ledger(self) -> Ledger:
        return Ledger.open(ledger_url(self.site, self.folder))

    def holds(self) -> list[Hold]:
        with self.ledger() as ledger:
            return ledger.holds(self.site.name)

    def events(self, event: str, **wanted: Any) -> list[dict[str, Any]]:
        """What the twin recorded, oldest first."""
        lines = (self.folder / "flight.jsonl").read_text().splitlines(keepends=True)
        found = (json.loads(line) for line in lines if line.endswith("\n"))
        return [
            e
            for e in found
            if e["event"] == event and all(e.get(key) == value for key, value in wanted.items())
        ]


@contextmanager
def on_twin(
    folder: Path,
    *,
    clusters: Sequence[tuple[str, str]] = SMALL,
    faults: Sequence[str] = (),
    seed: int = 1,
    speed: float = 60,
    site: Mapping[str, Any] | None = None,
    **lab: Any,
) -> Iterator[OnTwin]:
    """Start a twin that nobody has prepared: an old image on every server, the new ones in ``folder``/media.

    ``site``: further top-level keys of the site file; ``lab``: keys of its section lab.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "draft.yaml"
    document = {**site_yaml(f"twin-{secrets.token_hex(4)}", clusters, 4, **lab), **(site or {})}
    draft.write_text(yaml.safe_dump(document, sort_keys=False))
    plan = load(draft)
    made = make_images(plan, folder / "media")
    (folder / "twin.yaml").write_text(
        yaml.safe_dump(twin_document(plan, seed, speed, list(faults), made), sort_keys=False)
    )
    passwords = {name: f"{secrets.token_urlsafe(9)}/+%{secrets.token_urlsafe(9)}" for name in VARIABLES}
    with (folder / "twin.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", str(folder / "twin.yaml"), "--out", str(folder)],
            cwd=ROOT_DIR,
            env={**os.environ, **passwords},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        ends = time.monotonic() + 60
        while not (folder / "endpoints.json").exists():
            assert process.poll() is None, (folder / "twin.log").read_text()
            assert time.monotonic() < ends, "the twin did not come up"
            time.sleep(0.05)
        endpoints = json.loads((folder / "endpoints.json").read_text())
        (folder / "site.yaml").write_text(
            yaml.safe_dump(site_document(plan, endpoints, speed, made), sort_keys=False)
        )
        yield OnTwin(folder, passwords)
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def house_on_twin(folder: Path, **options: Any) -> Iterator[tuple[OnTwin, House]]:
    """`on_twin` with one run that is open already."""
    with on_twin(folder, **options) as twin, twin.open() as house:
        yield twin, house
