"""Open the console that the site file names."""

from __future__ import annotations

from pathlib import Path

from mopflow.console.browser import BrowserConsole
from mopflow.console.labels import labels_for
from mopflow.console.operator import OperatorConsole, TerminalAsker
from mopflow.console.protocol import Console
from mopflow.secrets import Vault
from mopflow.site import Driver, Site


def open_console(site: Site, vault: Vault, base: Path) -> Console:
    """The console of the primary CMP's VIP. ``base``: the folder of the site file, which relative paths start from."""
    access = site.console
    browser = BrowserConsole(
        f"https://{site.cmp.primary.vip}/",
        access.user,
        vault.get(access.password),
        labels=labels_for(site.source),
        ca=None if access.ca is None else base / access.ca,
        chromium=access.chromium,
        refresh=site.pace.every / 2,
        deadline=max(30.0, site.pace.short.usual),
        login_budget=site.ssh.logins_per_hour,
    )
    if access.driver is Driver.OPERATOR:
        return open_operator(browser)
    return browser


def open_operator(readings: Console) -> Console:
    """A person does the acts, the given console does the readings."""
    return OperatorConsole(TerminalAsker(), readings)
