"""Add Image, and its task followed to the end (4.6.2/5-6, 4.6.3.2/2-6).

One image at a time: nothing is added while PM&C still works on another one. A task that runs is adopted, whoever
started it, and never started again beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mopflow.acts import pmac
from mopflow.acts.pmac_files import remove
from mopflow.console.pmac_protocol import PmacPage, Task, TaskState
from mopflow.errors import ActRefused, MayHaveRun
from mopflow.goals import after_settling
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.media import ImageType
from mopflow.probes import disk, mounts
from mopflow.site import Medium
from mopflow.step import DeadlineKind, Deed, Finding, Guard, Question, Refusal

TASK, ROOM, MEDIA, MISSING = "pmac_task", "pmac_room", "pmac_media", "pmac_missing"


def medium_of(here: Here, image_type: ImageType) -> Medium | None:
    return next((medium for medium in here.site.media if medium.type is image_type), None)


def wanted(image_type: ImageType) -> Question:
    def question(here: Here) -> Finding:
        if medium_of(here, image_type) is None:
            return Finding.no(f"the site has no image of type {image_type}")
        return Finding.yes(f"an image of type {image_type}")

    return question


# 4.6.2/5 and 4.6.3.2/3: one leg per image


def added(image_type: ImageType) -> Question:
    """It is registered, or a task that names it runs."""

    def question(here: Here) -> Finding:
        medium = here.site.medium(image_type)
        why = pmac.unregistered(here, medium, pmac.target_images(here))
        if why is None:
            return Finding.yes(f"{medium.file} is registered, with the right MD5")
        tasks = pmac.add_tasks(here)
        for task in pmac.running(tasks):
            if pmac.names(here, task) == {medium.file}:
                return Finding.yes(f"{medium.file} is being added: {task}")
        ended = _ended_badly(here, medium, _mark_of(here), tasks)
        here.memo["failed"] = ended is not None
        if ended is None:
            return Finding.no(why)
        here.memo["rule"] = TASK
        return Finding.no(f"{why}: {ended}")

    return question


def adding(image_type: ImageType) -> Question:
    """A running task whose line names no image may be ours: then it is waited for."""

    def question(here: Here) -> Finding:
        for task in pmac.running(pmac.add_tasks(here)):
            if not pmac.names(here, task):
                return Finding.unknown(f"PM&C adds an image that it does not name: {task}")
        return Finding.no(f"nothing adds the {image_type} image")

    return question


def may_add(image_type: ImageType) -> Guard:
    def guard(here: Here) -> Iterable[Refusal]:
        yield from pmac.not_while_a_task_runs(here)
        medium = here.site.medium(image_type)
        yield from pmac.left_to_a_person(here, f"add {medium.file}")
        places = pmac.places(here)
        if pmac.lying(here, medium, places) is None:
            yield Refusal(
                MISSING, f"{medium.file} does not lie in {' or '.join(p.folder for p in places)}, whole"
            )
            return
        size = next(e.size for p in places for e in p.ours if e.name == medium.file)
        volume = disk.ask_for(here.house.servers, pmac.host(here), pmac.REPOSITORY)
        if volume.free < size // 1024:
            yield Refusal(
                ROOM, f"{pmac.REPOSITORY} has {pmac.gib(volume.free)} GB free, too little for {medium.file}"
            )

    return guard


def add(image_type: ImageType) -> Deed:
    def deed(here: Here) -> None:
        _add(here, here.site.medium(image_type))

    return deed


def _add(here: Here, medium: Medium) -> int:
    path = pmac.lying(here, medium, pmac.places(here))
    if path is None:
        raise ActRefused(f"{medium.file} does not lie on PM&C, whole")
    description = f"Policy Management {here.site.target_release.short} {medium.type}"
    return here.house.pmac().add_image(path, description, shots=here.shots())


def mark(here: Here) -> Mapping[str, Any]:
    """Written with the intention: the newest task before it."""
    return {"task": max((task.id for task in here.house.pmac().tasks()), default=0)}


def _mark_of(here: Here) -> int | None:
    """The newest task before our last Add of this leg, None when there was none."""
    rows = here.rows(Event.INTENDED, leg=here.leg.name)
    return int(rows[-1].entry.data.get("task", 0)) if rows else None


def trace(image_type: ImageType) -> Question:
    """After a lost answer: is there a task newer than the intention? One that ended badly may be followed by another."""

    def question(here: Here) -> Finding:
        medium = here.site.medium(image_type)
        rows = here.rows(Event.INTENDED, leg=here.leg.name)
        found = pmac.last_task(here, medium.file, _mark_of(here) or 0, pmac.add_tasks(here))
        if found is None:
            return after_settling(here, rows[-1].at, f"Task Monitoring has no task for {medium.file}")
        if found.state is TaskState.FAILED:
            return Finding.no(f"it ran and ended: {found}")
        return Finding.yes(str(found))

    return question


def _ended_badly(here: Here, medium: Medium, after: int | None, tasks: Iterable[Task]) -> Task | None:
    """The task of our last Add, when it ended in failure."""
    task = None if after is None else pmac.last_task(here, medium.file, after, tasks)
    return task if task is not None and task.state is TaskState.FAILED else None


def patience(here: Here) -> datetime:
    """The deadline of one task from the leg's beginning; at once when the task has ended in failure."""
    key = f"begun:{here.leg.name}"
    begun: datetime = here.memo.setdefault(key, datetime.now(UTC))
    rows = here.rows(Event.INTENDED, leg=here.leg.name)
    if here.memo.get("failed"):
        return begun
    return max(begun, rows[-1].at if rows else begun) + here.late(DeadlineKind.PMAC_TASK)


# 4.6.2/6, 4.6.3.2/3 and 5


def all_registered(here: Here) -> Finding:
    """Every image of the site is listed, its file in the repository has the right MD5, and no task runs any more."""
    registered, tasks = pmac.target_images(here), pmac.add_tasks(here)
    missing = {}
    for medium in here.site.media:
        why = pmac.unregistered(here, medium, registered)
        if why is not None:
            missing[medium.file] = why
    busy = pmac.running(tasks)
    failed = {
        file: task
        for file, why in missing.items()
        for task in [pmac.last_task(here, file, 0, tasks)]
        if task is not None and task.state is TaskState.FAILED
    }
    here.memo["failed"] = bool(failed) and not busy
    if busy:
        return Finding.no("; ".join(str(task) for task in busy))
    if missing:
        here.memo["rule"] = TASK
        return Finding.no("; ".join(f"{why}{_because(failed.get(file))}" for file, why in missing.items()))
    if "pictured" not in here.memo:
        for page in (PmacPage.TASKS, PmacPage.IMAGES):
            here.house.pmac().screenshot(page, here.shots().next(page.value))
        here.memo["pictured"] = True
    here.memo["data"] = {"images": {medium.file: medium.md5 for medium in here.site.media}}
    return Finding.yes(f"registered, with the right MD5: {', '.join(m.file for m in here.site.media)}")


def _because(task: Task | None) -> str:
    return f" ({task})" if task is not None else ""


def not_all_registered(here: Here) -> Finding:
    """Is there an end to wait for?"""
    registered = pmac.target_images(here)
    missing = [m.file for m in here.site.media if pmac.unregistered(here, m, registered) is not None]
    if missing:
        return Finding.yes(f"not registered yet: {', '.join(missing)}")
    return Finding.no("every image is registered already")


def register_what_lies(here: Here) -> None:
    """4.6.2/3 where the directory becomes full: what lies there goes into the repository, one after the other.

    Raises ActRefused when a task ends in failure, MayHaveRun when it is late.
    """
    for refusal in pmac.left_to_a_person(here, "add what lies in the upload directory"):
        raise ActRefused(refusal.reason)
    registered, places = pmac.target_images(here), pmac.places(here)
    for medium in here.site.media:
        if pmac.unregistered(here, medium, registered) is not None and pmac.lying(here, medium, places):
            follow(here, _add(here, medium), medium)


def follow(here: Here, number: int, medium: Medium) -> None:
    """Wait for the end of a task, and say on the board how far it is."""
    ends = time.monotonic() + here.site.pace.pmac_task.late
    while True:
        task = next((task for task in here.house.pmac().tasks() if task.id == number), None)
        if task is not None and task.state is TaskState.FAILED:
            raise ActRefused(f"{medium.file} was not added: {task}")
        if task is not None and task.state is TaskState.COMPLETE:
            return
        if time.monotonic() > ends:
            raise MayHaveRun(f"{medium.file}: {task or f'task {number} is not shown'}, and it is late")
        here.line.waits(str(task) if task is not None else f"task {number} of {medium.file}")
        time.sleep(here.site.pace.every)


# 4.6.3.2/1, 2, 4 and 6


def logged_in(here: Here) -> Finding:
    """guiadmin is logged in and the Main Menu is there."""
    here.house.pmac().log_in()
    if "pictured" not in here.memo:
        here.house.pmac().screenshot(PmacPage.MAIN_MENU, here.shots().next(PmacPage.MAIN_MENU.value))
        here.memo["pictured"] = True
    access = here.site.pmac
    return Finding.yes(f"logged in to PM&C as {access.user if access is not None else ''}")


def selectable(here: Here) -> Finding:
    """Each image that is not registered or being added yet is offered by the page Add Image."""
    here.memo["rule"] = MISSING
    registered, offered = pmac.target_images(here), here.house.pmac().offered()
    busy = {file for task in pmac.running(pmac.add_tasks(here)) for file in pmac.names(here, task)}
    missing = [
        medium.file
        for medium in here.site.media
        if pmac.unregistered(here, medium, registered) is not None
        and medium.file not in busy
        and not any(path.endswith(f"/{medium.file}") for path in offered)
    ]
    if missing:
        return Finding.no(f"Add Image does not offer {', '.join(missing)}; bring it to PM&C first (4.6.2)")
    return Finding.yes("each image is registered already or can be selected")


def gone(here: Here) -> Finding:
    """`sudo ls` shows none of the site's images any more in the directories that they were added from."""
    left = [f"{place.folder}/{entry.name}" for place in pmac.places(here) for entry in place.ours]
    if left:
        return Finding.no(f"still there: {', '.join(left)}")
    return Finding.yes("none of the images lies in the upload directory any more")


def may_clear(here: Here) -> Iterable[Refusal]:
    """A copy may go once its image is registered and intact (it was added with Cancel, say)."""
    yield from pmac.not_while_a_task_runs(here)
    registered = pmac.target_images(here)
    for place in pmac.places(here):
        for entry in place.ours:
            medium = next((m for m in here.site.media if entry.name == m.file), None)
            why = None if medium is None else pmac.unregistered(here, medium, registered)
            if why is not None:
                yield Refusal(TASK, f"{why}, so {place.folder}/{entry.name} is not removed")


def clear(here: Here) -> None:
    for place in pmac.places(here):
        if place.ours:
            remove(here, place.ours, place.folder)


def media_removed(here: Here) -> Finding:
    """4.6.3.2/6: no CD, DVD, USB or mounted image is left on PM&C. We mount none ourselves."""
    here.memo["rule"] = MEDIA
    left = [mount for mount in mounts.ask(here.house.servers, pmac.host(here)) if mount.is_medium]
    if left:
        return Finding.no("; ".join(f"{mount.device} is mounted at {mount.where}" for mount in left))
    return Finding.yes("no medium is mounted")
