"""Replies that real programs gave (or, where the file says so, that were typed after them): tests/replies/."""

from __future__ import annotations

import re
from pathlib import Path

from mopflow.ssh import Reply

FOLDER = Path(__file__).parents[1] / "replies"
_FORM = re.compile(
    r"source: (?P<source>.+)\nstatus: (?P<status>\d+)\n--- stdout\n(?P<out>.*)--- stderr\n(?P<err>.*)",
    re.DOTALL,
)


def reply(name: str) -> Reply:
    """Such as ntp/ntpsec-1.2.2-synced."""
    match = _FORM.fullmatch((FOLDER / f"{name}.txt").read_text())
    assert match is not None, f"{name} is no captured reply"
    return Reply(int(match["status"]), match["out"], match["err"])
