"""A forecast in words and as JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from mopflow.forecast.outlook import Colour, Forecast, Likely, Standing, WindowPlan
from mopflow.site import Site, Window
from mopflow.windows import windows_ahead


def zone_of(window: Window | None) -> tzinfo | None:
    """The zone in which times are shown: the window's own, else (None) that of this machine."""
    return window.start.tzinfo if window is not None else None


def clock(at: datetime, window: Window | None) -> str:
    """A moment in the window's own zone, with the date where it is not that of the window's beginning or end."""
    zone = zone_of(window)
    shown = at.astimezone(zone)
    if window is not None and shown.date() in (window.start.date(), window.end.astimezone(zone).date()):
        return f"{shown:%H:%M}"
    return f"{shown:%Y-%m-%d %H:%M}"


def named(window: Window) -> str:
    """A window for a person, such as `leipzig, 2026-11-25 23:00 to 05:00 UTC+01:00`."""
    end = window.end.astimezone(zone_of(window))
    until = f"{end:%H:%M}" if (window.end - window.start) < timedelta(days=1) else f"{end:%Y-%m-%d %H:%M}"
    return f"{window.name}, {window.start:%Y-%m-%d %H:%M} to {until} {window.start:%Z}"


def no_window(site: Site, now: datetime) -> str:
    """That no window is open, and when the next one begins."""
    ahead = windows_ahead(site, now)
    if not ahead:
        return "no window is open, and the site file has none ahead"
    return f"no window is open; next begins {ahead[0].name} at {ahead[0].start:%Y-%m-%d %H:%M}"


def minutes_of(length: timedelta) -> str:
    """Such as 1 h 05 min."""
    whole = max(0, round(length.total_seconds() / 60))
    return f"{whole // 60} h {whole % 60:02d} min" if whole >= 60 else f"{whole} min"


def backout_sentence(made: Forecast) -> str | None:
    """Until when a backout of everything begun can be decided on, and what it takes. None: nothing is begun."""
    back = made.backout
    if back is None:
        return None
    price = f"it takes {minutes_of(back.p50)}, nine times out of ten at most {minutes_of(back.p90)}"
    if back.decide_before is None:
        return f"a backout of everything begun ({len(back.clusters)} clusters): {price}"
    if back.too_late:
        return f"it is too late to back out everything begun before the window ends: {price}"
    at = clock(back.decide_before, made.plan.window)
    return f"you can still back out everything if you decide before {at}; {price}"


def lines(made: Forecast) -> list[str]:
    """A few lines for a person: the colour with its reasons, the end of each phase, the last moment to turn round."""
    window = made.plan.window
    said = [f"{made.colour}: {'; '.join(made.why) or 'everything planned fits'}"]
    if not made.plan.phases:
        said.append(_nothing(made))
    for phase in made.plan.phases:
        half, nine = clock(phase.ends.p50, window), clock(phase.ends.p90, window)
        said.append(f"{phase.name} ends {half}, nine times out of ten before {nine}")
    sentence = backout_sentence(made)
    return [*said, *([sentence] if sentence else []), *made.notes]


def _nothing(made: Forecast) -> str:
    left = any(row.standing in (Standing.LATER, Standing.HELD) for row in made.clusters)
    return "nothing is planned here" if left else "nothing is left to do"


def turned(before: Forecast | None, after: Forecast) -> str | None:
    """The sentence for people when the colour has become worse, else None."""
    was = before.colour if before is not None else Colour.GREEN
    if after.colour.rank <= was.rank:
        return None
    window = after.plan.window
    of = f" of the window {window.name}" if window is not None else ""
    sentence = backout_sentence(after)
    why = "; ".join(after.why)
    return f"the forecast{of} turned {after.colour}: {why}" + (f". {sentence}" if sentence else "")


def document(made: Forecast) -> dict[str, Any]:
    """For a program: times in UTC, lengths in seconds."""
    back = made.backout
    return {
        "site": made.site,
        "now": _utc(made.now),
        "picture_taken": _utc(made.taken),
        "way": made.way.value,
        "colour": made.colour.value,
        "why": list(made.why),
        "windows": [_window(plan) for plan in made.plans],
        "clusters": [
            {
                "cluster": row.cluster,
                "standing": row.standing.value,
                "starts": _span(row.starts),
                "ends": _span(row.ends),
                "latest_start": _utc(row.latest_start),
                "overridden_by": row.overridden_by,
                "why": row.why or None,
            }
            for row in made.clusters
        ],
        "backout": None
        if back is None
        else {
            "clusters": list(back.clusters),
            "p50": back.p50.total_seconds(),
            "p90": back.p90.total_seconds(),
            "decide_before": _utc(back.decide_before),
            "too_late": back.too_late,
            "says": backout_sentence(made),
        },
        "notes": list(made.notes),
        "mixed_version": list(made.mixed),
        "rests_on": list(made.basis),
    }


def _window(plan: WindowPlan) -> dict[str, Any]:
    window = plan.window
    return {
        "name": window.name if window is not None else None,
        "start": _utc(window.start) if window is not None else None,
        "end": _utc(window.end) if window is not None else None,
        "open": plan.is_open,
        "ends": _span(plan.ends),
        "phases": [
            {
                "name": phase.name,
                "clusters": list(phase.clusters),
                "begins": _span(phase.begins),
                "ends": _span(phase.ends),
            }
            for phase in plan.phases
        ],
    }


def _utc(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at is not None else None


def _span(likely: Likely | None) -> dict[str, str | None] | None:
    return None if likely is None else {"p50": _utc(likely.p50), "p90": _utc(likely.p90)}
