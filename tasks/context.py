"""How the house reaches flows and tasks without being one of their parameters.

Prefect validates, hashes and stores the parameters of a flow and looks into those of a task. The house (open
sessions, threads, secrets) must go through none of that. So parameters are words only (site, cluster, campaign),
and the house travels beside them in a context variable:

    with open_house(site, ...) as house, at_home(house):              # in the flow that an operator starts
        endings = for_each_cluster(upgrade_cluster, clusters, house)  # copies the context into each thread

    def upgrade_cluster(cluster: str) -> ...:                         # a subflow: JSON parameters only
        house = current(House)

What goes from here into Prefect's database (the sentences of states) is struck by the function that `strike_with`
was given; call it as soon as there is a vault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from mopflow.errors import BadInput

H = TypeVar("H")

_HOUSE: ContextVar[object] = ContextVar("mopflow_house")
_STRIKE: ContextVar[Callable[[str], str]] = ContextVar("mopflow_strike")


@contextmanager
def at_home(house: H) -> Iterator[H]:
    """Inside, and in every context copied inside, ``current`` answers with this house."""
    token = _HOUSE.set(house)
    try:
        yield house
    finally:
        _HOUSE.reset(token)


def current(kind: type[H]) -> H:
    """The house of this run. Raises BadInput when the flow was called by itself, outside of a run."""
    house = _HOUSE.get(None)
    if not isinstance(house, kind):
        raise BadInput(
            "this flow works inside a run only; start upgrade-cmp or upgrade-segment, which open the site"
        )
    return house


def at_hand(kind: type[H]) -> H | None:
    """The house of this run, None when the flow was called by itself."""
    house = _HOUSE.get(None)
    return house if isinstance(house, kind) else None


def strike_with(strike: Callable[[str], str]) -> None:
    """From here on, in this context and those copied from it, `struck` strikes with this (`Vault.strike`)."""
    _STRIKE.set(strike)


def struck(text: str) -> str:
    """``text`` without the secrets of this run."""
    strike = _STRIKE.get(None)
    return text if strike is None else strike(text)
