"""Open the console that the site file names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from mopflow.console.browser import BrowserConsole
from mopflow.console.operator import OperatorConsole, TerminalAsker
from mopflow.console.pmac import PmacConsole
from mopflow.console.pmac_protocol import Pmac
from mopflow.console.protocol import Console
from mopflow.errors import BadInput
from mopflow.secrets import Vault
from mopflow.site import Driver, Site

T = TypeVar("T")


def open_console(site: Site, vault: Vault, base: Path) -> Console:
    """The console of the primary CMP's VIP. ``base``: the folder of the site file, which relative paths start from."""
    access = site.console
    browser = BrowserConsole(
        f"https://{site.cmp.primary.vip}/",
        access.user,
        vault.get(access.password),
        ca=None if access.ca is None else base / access.ca,
        chromium=access.chromium,
        refresh=site.pace.every / 2,
        deadline=max(30.0, site.pace.short.usual),
        login_budget=site.ssh.logins_per_hour,
    )
    if access.driver is Driver.OPERATOR:
        return open_operator(browser)
    return browser


def open_pmac(site: Site, vault: Vault, base: Path) -> Pmac:
    """The GUI of the site's PM&C server. Raises BadInput when it has none."""
    access = site.pmac
    if access is None:
        raise BadInput("pmac: the site file names no PM&C server")
    return PmacConsole(
        access.url,
        access.user,
        vault.get(access.password),
        ca=None if access.ca is None else base / access.ca,
        chromium=site.console.chromium,
        refresh=site.pace.every / 2,
        deadline=max(30.0, site.pace.short.usual),
        login_budget=site.ssh.logins_per_hour,
    )


class Door(Generic[T]):
    """Opens something at its first use, once, for all threads; what was never used is never opened."""

    def __init__(self, make: Callable[[], T], close: Callable[[T], None]) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._opened: T | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._opened is None:
                self._opened = self._make()
            return self._opened

    def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            self._close(opened)


def open_operator(readings: Console) -> Console:
    """A person does the acts, the given console does the readings."""
    return OperatorConsole(TerminalAsker(), readings)
