"""A whole distribution as the flow does it, wave by wave, and what the flight record says of images."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from houses import OnTwin

from mopflow.acts import deploy
from mopflow.distribution import Standing, Task, next_wave
from mopflow.errors import Held, MopflowError
from mopflow.house import House
from mopflow.media import UPGRADE_DIR
from mopflow.procedures import prep_images
from mopflow.run import Result, carry_out


@dataclass
class Run:
    """What came of every task, and who is held with which hold."""

    results: dict[Task, Result] = field(default_factory=dict)
    held: dict[Task, Held] = field(default_factory=dict)
    waves: list[tuple[Task, ...]] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)

    def outcome(self, server: str) -> list[str]:
        return [result.outcome.value for task, result in self.results.items() if task.server == server]

    def hold(self, server: str) -> Held:
        return next(held for task, held in self.held.items() if server in (task.server, *task.targets))

    @property
    def held_servers(self) -> set[str]:
        return {name for task in self.held for name in ((task.server,) if task.server else task.targets)}


def distribute(house: House) -> Run:
    run = Run(standing=Standing(finished=deploy.finished(house)))
    while wave := next_wave(house.site, run.standing):
        with ThreadPoolExecutor(house.site.images.parallel) as pool:
            for task, ended in zip(wave, pool.map(lambda t: one(house, t), wave), strict=True):
                if isinstance(ended, Held):
                    run.held[task] = ended
                    print(f"{task}: {ended}")  # shown when the test fails
                else:
                    run.results[task] = ended
        run.waves.append(wave)
        run.standing = run.standing.after(wave, [task for task in wave if task in run.held])
    return run


def one(house: House, task: Task) -> Result | Held:
    try:
        return carry_out(prep_images.row(task), prep_images.scope(task), house)
    except Held as held:
        return held
    except MopflowError as wrong:
        raise AssertionError(f"{task}: {wrong}") from wrong


def images_by_server(twin: OnTwin, first: dict[str, set[str]]) -> dict[str, list[set[str]]]:
    """Every set of `*.iso` that lay on a server, one after the other; `first`: at the beginning."""
    found = {name: [set(files)] for name, files in first.items()}
    for event in twin.events("file"):
        folder, _, name = event["path"].rpartition("/")
        if folder != UPGRADE_DIR or not name.endswith(".iso"):
            continue
        last = found[event["server"]][-1]
        found[event["server"]].append(last | {name} if event["op"] == "write" else last - {name})
    return found


def writes(twin: OnTwin, since: int = 0) -> list[dict[str, Any]]:
    """Everything that was written or removed in an upgrade folder."""
    return [e for e in twin.events("file")[since:] if e["path"].startswith(f"{UPGRADE_DIR}/")]


def old_images(twin: OnTwin, names: Iterable[str]) -> dict[str, set[str]]:
    site = twin.site
    found = {}
    for name in names:
        cluster = site.cluster_of(name)
        assert cluster is not None
        found[name] = {f"{cluster.image_type}-{site.source}-x86_64.iso"}
    return found
