"""Which Chromium, with which arguments, and how nothing of it stays behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mopflow.errors import BadInput

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (  # a closed network: the browser speaks to nobody but the console
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--process-per-site",  # all tabs show the one console: a process for each of them only takes time and memory
)
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "FONTCONFIG_FILE")
_SWEEP = (
    'cat >/dev/null; n=0; while [ -e "$1" ] && [ $n -lt 40 ]; do rm -rf -- "$1"; n=$((n+1)); sleep 0.25; done'
)


def find(setting: Path | None, own: Path | None = None) -> Path:
    """The site's setting, else one on the PATH, else `own` (Playwright's). Raises BadInput with the remedy."""
    if setting is not None:
        if not (setting.is_file() and os.access(setting, os.X_OK)):
            raise BadInput(f"console.chromium: {setting} is not a program that can be run")
        return setting
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    if own is not None and own.is_file():
        return own
    raise BadInput(
        f"no Chromium found: none of {', '.join(NAMES)} is on the PATH and Playwright has none; install the "
        "distribution's package, run `playwright install chromium`, or set console.chromium in the site file"
    )


def arguments(host: str, port: int, door: int, pin: str) -> list[str]:
    """For a browser that reaches the console alone, and that only through the loopback port `door`."""
    name = f"[{host}]" if ":" in host else host
    return [
        *_QUIET,
        f"--host-resolver-rules=MAP {name}:{port} 127.0.0.1:{door}, MAP * ~NOTFOUND",
        f"--ignore-certificate-errors-spki-list={pin}",
    ]


def sandboxed() -> bool:
    """Chromium refuses its sandbox to root, and only to root do we switch it off."""
    return os.geteuid() != 0


class Home:
    """A private folder for everything that one Chromium writes.

    It goes when it is closed, and also when this process is killed: a small shell holds the other end of a pipe and
    sweeps as soon as we are gone. Chromium itself hangs on a pipe to Playwright's driver, the driver on one to us.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="mopflow-browser-"))
        self._sweeper = subprocess.Popen(
            ["/bin/sh", "-c", _SWEEP, "sh", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a signal to our group must not reach it
        )

    @property
    def profile(self) -> Path:
        return self.path / "profile"

    def environment(self) -> Mapping[str, str]:
        """What Chromium may know of ours: nothing that could hold a secret, no proxy."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {**kept, "HOME": str(self.path), "TMPDIR": str(self.path)}

    def kill(self) -> None:
        """End the Chromium that lives here; known by its profile folder, which nobody else has."""
        mark = f"--user-data-dir={self.profile}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):  # it ended while we looked, or it is not ours
                if mark in (entry / "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)

    def close(self) -> None:
        """Sweep, and wait for it."""
        if self._sweeper.stdin is not None:
            self._sweeper.stdin.close()
        self._sweeper.wait()
