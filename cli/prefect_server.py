"""A Prefect server of our own: own home, free port, no analytics. The rehearsal and the tests use it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx

from mopflow.errors import MopflowError

HEALTHY_WITHIN = 120.0  # seconds; 7 to 15 on an idle machine with two cores
STOP_WITHIN = 15.0  # seconds from SIGTERM to SIGKILL
ATTEMPTS = 3  # another process may take the free port before the server binds it


class ServerFailed(MopflowError):
    """The Prefect server did not come up; the text names its log."""


class PrefectServer:
    """Starts and stops `prefect server start` as a process of its own.

    The server outlives a caller that does not stop it, and is not ended by the caller's Ctrl-C.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.api: str = ""  # such as http://127.0.0.1:42001/api
        self.home: Path | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def ui(self) -> str:
        """The address for a person's browser."""
        return self.api.removesuffix("/api")

    def start(self, home: Path, log: Path) -> str:
        """Start with ``home`` as PREFECT_HOME, output appended to ``log``; the URL of the API when it is healthy.

        Raises ServerFailed.
        """
        home = home.resolve()
        home.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        why = ""
        for _ in range(ATTEMPTS):
            port = _free_port()
            self.api = f"http://127.0.0.1:{port}/api"
            self.home = home
            with log.open("ab") as out:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "prefect",
                        "server",
                        "start",
                        "--host",
                        "127.0.0.1",
                        "--port",
                        str(port),
                    ],
                    env=_server_environment(home, self.api),
                    cwd=home,  # a prefect.toml or .env of the caller's directory is not the server's
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            why = self._wait_healthy()
            if not why:
                return self.api
            self.stop()
        raise ServerFailed(f"the Prefect server did not start: {why}; look into {log}")

    def environment(self) -> dict[str, str]:
        """Variables under which a client process speaks to this server; add them to its environment."""
        assert self.home is not None, "start the server first"
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api,
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    def stop(self) -> None:
        """End the server and what it started. A second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def __enter__(self) -> PrefectServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_healthy(self) -> str:
        """Empty when it is healthy, else why not."""
        process = self._process
        assert process is not None
        deadline = time.monotonic() + HEALTHY_WITHIN
        with httpx.Client(trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                status = process.poll()
                if status is not None:
                    return f"it ended with status {status}"
                try:
                    if client.get(f"{self.api}/health").is_success:
                        return ""
                except httpx.TransportError:
                    pass  # not listening yet
                time.sleep(0.2)
        return f"not healthy within {HEALTHY_WITHIN:g} s"


def _server_environment(home: Path, api: str) -> dict[str, str]:
    """Nothing of another Prefect may leak into this one: neither its database nor its profile."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": api,  # the UI calls this address
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        # leases in files: with those in memory a restarted server would count their places for ever
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_COLORS": "false",
        "NO_COLOR": "1",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
