"""Where output goes: with --json stdout holds exactly one JSON document, everything else goes to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from mopflow.errors import MopflowError, SecretMissing

OK, ERROR, HELD = 0, 1, 3  # exit codes of every command
PIPE_WIDTH = 200  # columns: a file or a pipe has no edge to wrap at


def for_people(as_json: bool) -> Console:
    """The console for what a person reads."""
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def document(content: Any) -> None:
    """Write the one JSON document."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def answer(as_json: bool, content: Any, show: Callable[[Console], None]) -> None:
    """The document for a program, or the same shown to a person."""
    if as_json:
        document(content)
    else:
        show(for_people(False))


def complain(text: str) -> None:
    """An error for a person, on stderr."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


def explain(error: MopflowError) -> str:
    """The error's sentence, with where the passwords of a twin are to be had when they are what is missing."""
    if isinstance(error, SecretMissing) and "MOPFLOW_LAB_" in str(error):
        return (
            f"{error}\nThe passwords of a twin lie beside its site file while it lives: "
            "set -a; source DIR/secrets.env; set +a"
        )
    return str(error)
