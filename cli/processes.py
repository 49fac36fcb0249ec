"""Processes that a command starts: each in a session of its own, so that it is ended by us and by nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LAST_WORDS = 25.0  # seconds from SIGTERM to SIGKILL; a flow closes its browser and gives its places back


class Child:
    """`python -m MODULE ...` with its output in a log file."""

    def __init__(
        self,
        name: str,
        module: str,
        words: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                # -P: the folder of the run has subfolders with the names of packages
                [sys.executable, "-P", "-m", module, *words],
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """The exit status as soon as it ends, None after ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, patience: float = LAST_WORDS) -> None:
        """End it, and whatever it started in its session that is still there. A second call does nothing."""
        if self._process.poll() is None:
            self._process.terminate()
            if self.wait(patience) is None:
                self._process.kill()
                self._process.wait()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing of it is left, as it should be

    def last_words(self, lines: int = 5) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
