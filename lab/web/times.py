"""How the console prints times."""

from __future__ import annotations

from datetime import datetime


def occurrence(moment: datetime) -> str:
    """`Sep 28, 2015 07:44 PM EDT`, as in the figures of the alarm steps; the local zone if none is given."""
    local = moment.astimezone() if moment.tzinfo is None else moment
    return f"{local:%b %d, %Y %I:%M %p} {local.tzname()}"


def log_time(moment: datetime) -> str:
    """`2/9/2015 9:21:36`, as in Figure 2."""
    return f"{moment.month}/{moment.day}/{moment.year} {moment.hour}:{moment:%M:%S}"


def span(seconds: float) -> str:
    """`0:00:17`, as in Figure 2."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
