"""The twin as a process of its own, with everything that a flow needs to find it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from cli.processes import Child
from cli.rundir import Passwords, RunDir
from cli.twin_files import make_images, site_document, twin_document
from mopflow.errors import MopflowError
from mopflow.site import Site

UP_WITHIN = 60.0  # seconds; 2 on an idle machine with two cores
_LOOK = 0.05
_PATIENCE = 3600.0


class TwinFailed(MopflowError):
    """The twin did not come up; the text says why."""


class Twin:
    """Starts `python -m lab` for a site, in the folder of a run, and ends it."""

    def __init__(self, run: RunDir, site: Site, passwords: Passwords, tell: Sequence[str] = ()) -> None:
        self.run = run
        self.site = site
        self.passwords = passwords
        self.tell = tell
        self.endpoints: dict[str, Any] = {}
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def died(self) -> bool:
        return self._child is not None and self._child.status is not None

    def start(self, seed: int, speed: float, faults: Sequence[str] = ()) -> None:
        """Make the images, write twin.yaml, start the twin, wait until it listens, write site.yaml.

        Raises TwinFailed.
        """
        run = self.run
        made = make_images(self.site, run.media)
        run.write_yaml(
            run.twin_yaml,
            "the twin's input, written from the site file",
            twin_document(self.site, seed, speed, faults, made),
        )
        self._child = Child(
            "twin",
            "lab",
            [str(run.twin_yaml), "--out", str(run.path)],
            run.logs / "twin.log",
            self.passwords.environment(),
            run.path,
        )
        self._wait(self._child)
        self.endpoints = json.loads(run.endpoints.read_text(encoding="utf-8"))
        run.write_yaml(
            run.site_yaml,
            f"the twin's site, {speed:g} times faster than real time",
            site_document(self.site, self.endpoints, speed, made, self.tell),
        )

    def _wait(self, child: Child) -> None:
        deadline = time.monotonic() + UP_WITHIN
        while not self.run.endpoints.exists():
            if child.wait(_LOOK) is not None:
                raise TwinFailed(f"the twin did not start:\n{child.last_words()}")
            if time.monotonic() > deadline:
                raise TwinFailed(f"the twin was not up after {UP_WITHIN:g} s; look into {child.log}")

    def wait(self) -> None:
        """Return when the twin has ended by itself."""
        while self._child is not None and self._child.wait(_PATIENCE) is None:
            pass  # an interrupt comes between two waits

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def visit(self) -> list[str]:
        """How a person looks around, a line each."""
        gui = self.endpoints["gui"]
        name, server = next(iter(self.endpoints["servers"].items()))
        return [
            *(f"GUI of {cluster}: {url}" for cluster, url in gui.items()),
            f"GUI user: {self.site.console.user}, password: $MOPFLOW_LAB_GUI_PASSWORD; its CA: {self.run.path / 'ca.pem'}",
            f"passwords: set -a; source {self.run.secrets_env}; set +a",
            f"SSH into {name}: ssh -p {server['port']} -o UserKnownHostsFile={self.run.path / 'known_hosts'} "
            f"admusr@{server['address']}   (all servers: {self.run.endpoints})",
        ]
