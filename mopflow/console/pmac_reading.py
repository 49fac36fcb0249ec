"""What a look at a page of the PM&C GUI means. Pure: cells in, typed rows out; anything unknown is UnreadableReply."""

from __future__ import annotations

import posixpath
import re

from mopflow.console.labels import is_one_of
from mopflow.console.labels_pmac import PmacLabels
from mopflow.console.pmac_protocol import SoftwareImage, Task, TaskState
from mopflow.console.reading import Look, TypedRow, names_in, says
from mopflow.errors import NotAnnounced, UnreadableReply


def images(look: Look, labels: PmacLabels) -> tuple[SoftwareImage, ...]:
    """Manage Software Images, in the order of the page."""
    found: dict[str, SoftwareImage] = {}
    for row in look.grid(labels.grids.images, "Manage Software Images"):
        name = row.required("name")
        if name in found:
            row.fail("an image stands there twice")
        found[name] = SoftwareImage(name, row["architecture"], row["description"])
    return tuple(found.values())


def tasks(look: Look, labels: PmacLabels) -> tuple[Task, ...]:
    """Task Monitoring, by id."""
    found: dict[int, Task] = {}
    for row in look.grid(labels.grids.tasks, "Task Monitoring"):
        number = row.integer("id")
        if number in found:
            row.fail("a task stands there twice")
        found[number] = Task(
            id=number,
            task=row.required("task"),
            adds=is_one_of(row["task"], labels.add_task),
            target=row["target"],
            status=row["status"],
            state=_state(row, labels),
            word=row["state"],
            progress=_progress(row, labels),
        )
    return tuple(found[number] for number in sorted(found))


def _state(row: TypedRow, labels: PmacLabels) -> TaskState:
    word = row.required("state")
    known = [state for state in TaskState if is_one_of(word, getattr(labels.states, state.value))]
    if len(known) != 1:
        row.fail("a state of a task that is not known")
    return known[0]


def _progress(row: TypedRow, labels: PmacLabels) -> int | None:
    text = row["progress"]
    if not text:
        return None
    match = re.match(labels.texts.progress, text)
    if match is None or int(match["percent"]) > 100:
        row.fail("a progress that is not a percentage")
    return int(match["percent"])


def offered(look: Look, labels: PmacLabels) -> tuple[str, ...]:
    """The paths to choose from on the page Add Image."""
    fields = [field for field in look.fields if is_one_of(field.name, labels.form.path)]
    if len(fields) != 1:
        raise UnreadableReply("Add Image", f"{len(fields)} fields named {labels.form.path[0]}", look.heading)
    return tuple(option for option in fields[0].options if option.startswith("/"))


def selected(look: Look, labels: PmacLabels) -> list[str]:
    """Names of the images whose rows are highlighted."""
    rows = look.grid(labels.grids.images, "Manage Software Images")
    return [row["name"] for row in rows if row.row.selected]


def added(look: Look, labels: PmacLabels, path: str) -> int | None:
    """The task's id when the page says that this path is being added."""
    for text in _said(look):
        for match in re.finditer(labels.texts.added, text):
            if match["path"].rstrip(".") == path:
                return int(match["id"])
    return None


def deleted(look: Look, labels: PmacLabels, name: str) -> str | None:
    """What the page says when this image is gone from the repository."""
    for text in _said(look):
        for match in re.finditer(labels.texts.deleted, text):
            if match["name"] == name:
                return match[0]
    return None


def complaint(look: Look) -> str | None:
    """An error that the page shows."""
    return next((message.text for message in look.messages if message.role == "alert"), None)


def _said(look: Look) -> list[str]:
    return [*(message.text for message in look.messages), " ".join(look.lines)]


def require_move(text: str, path: str, labels: PmacLabels, expected: str) -> None:
    """Does this prompt ask whether `path` is removed from its own directory? Raises NotAnnounced."""
    folder = posixpath.dirname(path)
    if not says(text, labels.prompts.remove) or not names_in(text, {folder, f"{folder}/"}):
        raise NotAnnounced(expected, text or "nothing")


def require_deletion(text: str, name: str, known: frozenset[str], labels: PmacLabels, expected: str) -> None:
    """Does this prompt ask whether exactly this image is deleted? Raises NotAnnounced."""
    if not says(text, labels.prompts.delete) or names_in(text, known | {name}) != {name}:
        raise NotAnnounced(expected, text or "nothing")
