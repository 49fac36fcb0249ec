"""The paper that is left when the machine dies: what is still to do, as a page and as plain text."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup

from mopflow.record.folder import CONTINUE_HTML, CONTINUE_TXT
from mopflow.record.page import environment, style
from mopflow.record.remaining import Remaining


def render(left: Remaining, now: datetime) -> dict[str, str]:
    """Both pages by their file names. ``now``: UTC."""
    found = environment()
    return {
        CONTINUE_HTML: found.get_template(f"{CONTINUE_HTML}.j2").render(
            left=left, now=now, style=Markup(style())
        ),
        CONTINUE_TXT: found.get_template(f"{CONTINUE_TXT}.j2").render(left=left, now=now),
    }
