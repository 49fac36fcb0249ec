"""The visible names of the PM&C GUI; their values stand in labels_pmac.yaml."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import model_validator

from mopflow.console.labels import Columns, LabelModel, Login, Names, Pattern, Place, load_as

FILE = Path(__file__).with_name("labels_pmac.yaml")
_GROUPS = {"added": {"path", "id"}, "deleted": {"name"}, "progress": {"percent"}}


class Pages(LabelModel):
    images: Place
    tasks: Place


class ImageColumns(Columns):
    name: Names
    architecture: Names
    description: Names


class TaskColumns(Columns):
    id: Names
    task: Names
    target: Names
    status: Names
    state: Names
    progress: Names


class Grids(LabelModel):
    images: ImageColumns
    tasks: TaskColumns


class States(LabelModel):
    running: Names
    complete: Names
    failed: Names


class Buttons(LabelModel):
    add_image: Names
    add_new: Names
    delete_image: Names


class Form(LabelModel):
    path: Names
    description: Names


class Prompts(LabelModel):
    remove: Names
    delete: Names


class Texts(LabelModel):
    added: Pattern
    deleted: Pattern
    progress: Pattern

    @model_validator(mode="after")
    def _groups(self) -> Texts:
        for field, wanted in _GROUPS.items():
            missing = wanted - set(re.compile(getattr(self, field)).groupindex)
            if missing:
                raise ValueError(f"{field}: the pattern lacks the group(s) {', '.join(sorted(missing))}")
        return self


class PmacLabels(LabelModel):
    """All visible names of the PM&C GUI."""

    login: Login
    pages: Pages
    add_heading: Names
    grids: Grids
    states: States
    add_task: Names
    buttons: Buttons
    form: Form
    prompts: Prompts
    texts: Texts


def load_pmac(path: Path = FILE) -> PmacLabels:
    """Raises BadInput with every mistake and its place."""
    return load_as(path, PmacLabels)
