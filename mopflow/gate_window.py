"""No new cluster is begun past its latest start: so late that it could not be finished, and everything begun backed
out, before the window ends.

It never stands in the way of finishing or backing out what was begun, nor outside of a window. A person may let a
cluster begin all the same, with name and reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mopflow.goals_old import forced
from mopflow.ledger import Event
from mopflow.questions import ITEM, WINDOW
from mopflow.site import Site, Window
from mopflow.step import DeadlineKind, Refusal
from mopflow.system import Kind, Stage
from mopflow.window_words import word_on
from mopflow.windows import open_window

if TYPE_CHECKING:
    from mopflow.forecast.prices import Need
    from mopflow.here import Here

_MEMO = "latest start"


def past_latest_start(here: Here) -> Iterator[Refusal]:
    """A refusal of rule "window" when this leg would begin a fresh MPE or MRA cluster, or the primary CMP, too late."""
    now = datetime.now(UTC)
    window = open_window(here.site, now)
    if window is None or not _begins(here):
        return
    latest, need = _latest_start(here, window, now)
    if now <= latest:
        return
    name = here.cluster.name
    reason = _reason(here.site, name, window, latest, need)
    word = word_on(here.house.ledger, here.site, name, window)
    if word is None:
        here.memo[ITEM] = (f"{WINDOW}:{name}", name)
        yield Refusal(WINDOW, reason)
    elif word.at != here.memo.get(WINDOW):
        here.memo[WINDOW] = word.at
        here.record(Event.NOTE, f"{word.by} lets it begin all the same: {word.text}. {reason}")


def _begins(here: Here) -> bool:
    """Is this the act with which the upgrade of a cluster begins?"""
    if here.scope.cluster is None or here.state.stage not in (Stage.FRESH, Stage.FORCED):
        return False
    if here.cluster.kind is Kind.CMP and here.cluster.name != here.site.cmp.primary.name:
        return False  # the primary was begun: both CMP belong into one window (R1)
    return here.leg.deadline is DeadlineKind.INITIATE_UPGRADE or here.leg.goal is forced


def _latest_start(here: Here, window: Window, now: datetime) -> tuple[datetime, Need]:
    """Calculated anew only when another cluster was begun or has come further."""
    # the tables of the procedures, from which a forecast is made, need the run that asks here
    from mopflow.forecast.durations import Beliefs
    from mopflow.forecast.prices import Prices, minute_of
    from mopflow.forecast.reader import read
    from mopflow.forecast.window import begun_for

    stages = {name: state.stage for name, state in here.states.items()}
    known = here.memo.get(_MEMO)
    if known is not None and known[0] == (stages, window):
        return known[1], known[2]
    found = read(here.site, here.house.ledger, now)
    night = replace(found.night, stages=stages)
    need = Prices(night, Beliefs(found.history)).needed(begun_for(night, window), here.cluster.name)
    latest = window.end - timedelta(seconds=(need.finish + need.back_out) * minute_of(night))
    here.memo[_MEMO] = (stages, window), latest, need
    return latest, need


def _reason(site: Site, cluster: str, window: Window, latest: datetime, need: Need) -> str:
    from mopflow.forecast.words import clock, minutes_of

    unit = timedelta(seconds=site.pace.minute or 60.0)
    what = "it" if cluster != site.cmp.primary.name else "both CMP clusters"
    return (
        f"{cluster} could be begun until {clock(latest, window)}: to finish {what} takes up to "
        f"{minutes_of(need.finish * unit)}, and to back out everything begun ({need.clusters} clusters) up to "
        f"{minutes_of(need.back_out * unit)}, nine times out of ten; the window {window.name} ends "
        f"{clock(window.end, window)}"
    )


def said(site: Site, now: datetime) -> str:
    """Of the window, for a run that begins: when it ends, or that none is open. "" for a site without windows."""
    from mopflow.forecast.words import clock, no_window

    if not site.windows:
        return ""
    window = open_window(site, now)
    if window is None:
        return no_window(site, now)
    return f"the window {window.name} ends {clock(window.end, window)}"
