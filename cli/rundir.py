"""The folder of one run on a twin: what lies where, and the passwords that live as long as the run."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from cli.twin_files import VARIABLES
from mopflow.errors import BadInput


class RunDir:
    """Paths of a run. `create` makes the folder and refuses a used one."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.twin_yaml = self.path / "twin.yaml"
        self.site_yaml = self.path / "site.yaml"
        self.secrets_env = self.path / "secrets.env"
        self.pids = self.path / "pids.json"
        self.endpoints = self.path / "endpoints.json"
        self.flight = self.path / "flight.jsonl"
        self.world = self.path / "world.json"
        self.ledger = self.path / "ledger.db"
        self.evidence = self.path / "evidence"
        self.prefect = self.path / "prefect"
        self.media = self.path / "media"
        self.backups = self.path / "backups"
        self.certificate = self.path / "certificate.json"

    @classmethod
    def create(cls, path: Path | None) -> RunDir:
        """Default: runs/<UTC time> under the current folder. Raises BadInput."""
        run = cls(path if path is not None else Path("runs") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        try:
            if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
                raise BadInput(
                    f"--out {run.path}: is used already; every run has a folder of its own, name another"
                )
            run.logs.mkdir(parents=True)
        except OSError as error:
            raise BadInput(
                f"--out {run.path}: cannot be made: {error.strerror}; name a folder that can"
            ) from None
        return run

    def write_yaml(self, path: Path, comment: str, content: Mapping[str, Any]) -> None:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
        path.write_text(f"# {comment}\n{text}", encoding="utf-8")

    def note_pids(self, pids: Mapping[str, int | None]) -> None:
        """Who belongs to this run, so that a person can end what is left of it."""
        self.pids.write_text(json.dumps(pids, indent=1) + "\n", encoding="utf-8")


class Passwords:
    """Random passwords of one run. They go into the environment of its processes and into secrets.env, nowhere else."""

    def __init__(self) -> None:
        # with the characters that URLs, shells and base64 treat in ways of their own
        self._values = {
            name: f"{secrets.token_urlsafe(9)}/+%{secrets.token_urlsafe(9)}" for name in VARIABLES
        }

    def __repr__(self) -> str:
        return "<Passwords ********>"

    def environment(self) -> dict[str, str]:
        return dict(self._values)

    def write(self, path: Path, others: Mapping[str, str]) -> None:
        """For a person's shell: `NAME='value'` lines, readable by the owner alone."""
        lines = [f"{name}='{value}'\n" for name, value in {**self._values, **others}.items()]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.writelines(lines)
