"""The words of the PM&C GUI (4.6.2, 4.6.3.2): what can be read from it and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from mopflow.console.protocol import Shots


@dataclass(frozen=True, slots=True)
class SoftwareImage:
    """A row of Manage Software Images."""

    name: str  # as printed; PM&C prints the file name without .iso
    architecture: str
    description: str

    @property
    def file(self) -> str:
        return self.name if self.name.lower().endswith(".iso") else f"{self.name}.iso"


class TaskState(StrEnum):
    """What the words of the column State mean."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Task:
    """A row of Task Monitoring."""

    id: int
    task: str  # as printed: Add Image, ...
    adds: bool  # it is one that adds an image
    target: str
    status: str  # the step that it is at, in words
    state: TaskState
    word: str  # the state as printed
    progress: int | None  # percent

    def __str__(self) -> str:
        percent = "" if self.progress is None else f" {self.progress}%"
        return f"task {self.id} ({self.task}) {self.word}{percent}: {self.status}"


class PmacPage(StrEnum):
    """Pages by their visible names."""

    MAIN_MENU = "Main Menu"
    IMAGES = "Manage Software Images"
    ADD_IMAGE = "Add Image"
    TASKS = "Task Monitoring"


class Pmac(Protocol):
    """The GUI of the PM&C server.

    Every reading raises Unreachable, LoginRefused, IdentityChanged or UnreadableReply. Every act raises NotAnnounced
    or ActRefused (nothing was run), another NothingRun before its last click, and MayHaveRun once the prompt was
    answered with OK and PM&C said nothing. All methods may be called from any thread.
    """

    def log_in(self) -> None: ...

    def images(self) -> tuple[SoftwareImage, ...]: ...

    def tasks(self) -> tuple[Task, ...]: ...

    def offered(self) -> tuple[str, ...]:
        """The paths that the dropdown Path of the page Add Image offers."""
        ...

    def add_image(self, path: str, description: str, *, shots: Shots | None = None) -> int:
        """Add Image with OK at its prompt: `path` is removed once it is in the repository. The task's id."""
        ...

    def delete_image(self, name: str, *, shots: Shots | None = None) -> str:
        """Remove the image `name` (as printed) from the repository. What PM&C says to it."""
        ...

    def screenshot(self, page: PmacPage, to: Path) -> Path: ...

    def close(self) -> None: ...
