"""The post-upgrade health check as a page: each row of chapter 11 and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mopflow.site import Site


@dataclass(frozen=True, slots=True)
class PageRow:
    key: str
    title: str
    how: str  # done | held | failed
    text: str  # what was found, or why it is held and what to do


def markdown(site: Site, campaign: str, rows: Sequence[PageRow], now: datetime) -> str:
    good = all(row.how == "done" for row in rows)
    lines = [
        f"# {site.name}: {'as healthy as before' if good else 'not as healthy as before'}",
        "",
        f"Upgraded from {site.source} to {site.target}, campaign {campaign}. "
        f"As of {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC.",
        "",
        "| row | what | result | found |",
        "|---|---|---|---|",
        *(f"| {row.key} | {_cell(row.title)} | {row.how} | {_cell(row.text)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
