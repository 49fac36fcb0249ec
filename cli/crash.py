"""What nobody foresaw: its traceback goes to a file, the person gets one sentence and the place of the file."""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from mopflow.secrets import forms

_SECRET_WORDS = ("PASSWORD", "SECRET", "TOKEN", "NOTIFY_URL")


def keep(error: BaseException) -> str:
    """Write the traceback, without secrets, and return what to tell the person."""
    text = _struck("".join(traceback.format_exception(error)))
    name = f"error-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue  # the next folder may be writable
        return f"mopflow failed in a way that it does not know: {type(error).__name__}; the details lie in {path}"
    return f"mopflow failed in a way that it does not know, and no log could be written:\n{text}"


def _folders() -> list[Path]:
    state = os.environ.get("XDG_STATE_HOME")
    own = os.environ.get("MOPFLOW_LOGS")  # set by the rehearsal for its children
    found = [Path(own)] if own else []
    home = Path(state) if state else Path.home() / ".local" / "state"
    return [*found, home / "mopflow", Path(tempfile.gettempdir())]


def _struck(text: str) -> str:
    secrets = [
        value
        for name, value in os.environ.items()
        if len(value) > 3 and any(word in name.upper() for word in _SECRET_WORDS)
    ]
    for form in forms(secrets):
        text = text.replace(form, "********")
    return text
