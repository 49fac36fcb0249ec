"""A person lets a cluster be begun past its latest start, with name and reason: `mopflow confirm SITE window:SCOPE`."""

from __future__ import annotations

from datetime import datetime

from mopflow.ledger import Confirmation, Ledger
from mopflow.questions import WINDOW
from mopflow.scopes import backout_scopes, clusters_of
from mopflow.site import Site, Window
from mopflow.windows import end_before, open_window


def word_on(ledger: Ledger, site: Site, cluster: str, window: Window) -> Confirmation | None:
    """The newest word for this cluster that counts in this window: one that was given since the window before it."""
    since = end_before(site, window)
    found = [
        kept
        for scope in backout_scopes(site)
        if cluster in clusters_of(site, scope)
        for kept in (ledger.confirmation(site.name, f"{WINDOW}:{scope}"),)
        if kept is not None and (since is None or kept.at > since)
    ]
    return max(found, key=lambda word: word.at, default=None)


def overridden(ledger: Ledger, site: Site, now: datetime) -> dict[str, str]:
    """Clusters that may be begun past their latest start in the window that is open, with who said so."""
    window = open_window(site, now)
    if window is None:
        return {}
    words = ((cluster.name, word_on(ledger, site, cluster.name, window)) for cluster in site.clusters)
    return {name: word.by for name, word in words if word is not None}
