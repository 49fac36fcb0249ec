"""A person who answers every question of a rehearsal: in Prefect's UI, or by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page
from prefect_page import resume

NAME = "A. Engineer"
WHY = "seen on the console"


class Way(StrEnum):
    UI = "Prefect"
    LINE = "command line"


@dataclass
class Person:
    """Answers what a rehearsal in ``folder`` asks; ``answered`` has the question and the way of each answer."""

    folder: Path
    page: Page
    ways: Sequence[Way]  # in turn
    answered: list[tuple[str, Way]] = field(default_factory=list)
    pictures: Path | None = None
    _done: set[str] = field(default_factory=set)

    @property
    def site(self) -> Path:
        return self.folder / "site.yaml"

    def look(self) -> None:
        """Answer what is open now."""
        if not self.site.exists():
            return
        for hold in self._holds():
            if hold["kind"] != "question" or hold["answer"] is not None or hold["id"] in self._done:
                continue
            way = self.ways[len(self.answered) % len(self.ways)]
            if way is Way.LINE:
                self._by_line(hold)
            elif not self._in_ui(hold):
                continue  # the run is not shown as paused yet
            self._done.add(hold["id"])
            self.answered.append((hold["question"], way))

    def _holds(self) -> list[dict[str, Any]]:
        ended = subprocess.run(
            [sys.executable, "-m", "cli.main", "holds", str(self.site), "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if ended.returncode not in (0, 3):
            return []  # the ledger is being made
        found: list[dict[str, Any]] = json.loads(ended.stdout)["holds"]
        return found

    def _by_line(self, hold: dict[str, Any]) -> None:
        typed = ["--type", hold["typed"]] if hold["typed"] else []
        words = ["answer", str(self.site), hold["id"], "go", "--by", NAME, "--why", WHY, *typed]
        ended = subprocess.run(
            [sys.executable, "-m", "cli.main", *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def _in_ui(self, hold: dict[str, Any]) -> bool:
        api = self._api()
        reply = httpx.post(
            f"{api}/flow_runs/filter",
            json={"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}},
            timeout=30,
        )
        reply.raise_for_status()
        for run in reply.json():
            key = (run["state"]["state_details"] or {}).get("pause_key") or ""
            if key.startswith(hold["id"]):
                fields = {"Answer": "go", "Your name": NAME, "Why": WHY}
                if hold["typed"]:
                    fields["Type the name"] = hold["typed"]
                picture = self.pictures / f"{hold['id']}.png" if self.pictures is not None else None
                resume(self.page, api.removesuffix("/api"), run["id"], fields, picture)
                return True
        return False

    def _api(self) -> str:
        lines = (self.folder / "secrets.env").read_text(encoding="utf-8").splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return values["PREFECT_API_URL"].strip("'")
