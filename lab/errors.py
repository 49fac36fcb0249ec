"""What a verb of the world may raise."""

from __future__ import annotations


class Refused(Exception):
    """The GUI refuses: nothing was done. The text says why and is shown to the user."""


class OperationFailed(Exception):
    """The act was accepted and failed at once (`Operation failed: <text>`)."""
