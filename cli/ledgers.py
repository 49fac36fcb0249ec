"""The ledger of a site for commands that only look: looking makes no ledger."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from mopflow.house import ledger_url
from mopflow.ledger import Ledger
from mopflow.site import Site

_SQLITE = "sqlite:///"


def existing_ledger(site: Site, base: Path) -> AbstractContextManager[Ledger | None]:
    """The site's ledger, None while nothing was done yet. ``base``: the folder of the site file."""
    url = ledger_url(site, base)
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
        return nullcontext(None)
    return Ledger.open(url)
