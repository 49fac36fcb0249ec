"""4.6.3.1, with the notes of 4.6, 4.6.1 and 4.6.3: each server has one image, of its own type, whole.

The table has one numbered row. It is carried out per server, or for the whole system where the console brings the
images; `row` gives it for one task of `mopflow.distribution`, `scope` says on what.
"""

from __future__ import annotations

from collections.abc import Iterable

from mopflow.acts import deploy, images
from mopflow.distribution import Does, Task
from mopflow.goals import no_trace_in_time
from mopflow.here import Here, Scope
from mopflow.media import ImageType
from mopflow.step import Actor, DeadlineKind, Finding, Leg, Procedure, Refusal, Step

NUMBER, TITLE, MINUTES = "4.6.3.1", "Transfer ISO files to Policy server.", 10
NOTE = (
    "4.6.1 wants a single image of the server's own type; 4.6.3 wants it done before the maintenance window"
)

_ANSWERS = Leg(deploy.answers, name="server", applies=deploy.lacking)
_MEDIUM = Leg(deploy.medium_right, name="media", applies=deploy.lacking)
_OLD = Leg(
    deploy.only_ours,
    name="old",
    readings=1,
    act=deploy.remove_old,
    guard=deploy.may_remove,
    trace=deploy.no_trace,
    applies=deploy.lacking,
)


def _image(source: str | None) -> Leg:
    return Leg(
        deploy.in_place,
        name="image",
        readings=1,
        act=deploy.bring(source),
        guard=deploy.may_bring,
        deadline=DeadlineKind.TRANSFER,
        trace=deploy.no_trace,
    )


def _row(actor: Actor, *legs: Leg) -> Step:
    return Step(NUMBER, 1, TITLE, actor, legs, MINUTES, source_note=NOTE)


def bring(source: str | None = None) -> Step:
    """Scope: a server. Its image from this machine, or from the server `source`, which has it."""
    first = (_ANSWERS, _MEDIUM) if source is None else (_ANSWERS,)
    return _row(Actor.SSH, *first, _OLD, _image(source))


def clear() -> Step:
    """Scope: a server. Old images away: the console brings the new one."""
    return _row(Actor.SSH, _ANSWERS, _OLD)


def check() -> Step:
    """Scope: a server. Exactly the right image lies there, by the server's own MD5."""
    return _row(Actor.CHECK, _ANSWERS, Leg(deploy.in_place, name="image"))


def upload(image_type: ImageType, targets: tuple[str, ...]) -> Step:
    """Scope: the whole system. ISO Maintenance > Upload ISO to `targets`, from a server of the type that has it."""

    def there(here: Here) -> Finding:
        here.memo["rule"] = "R10"
        return images.all_uploaded(here, image_type, targets)

    def under_way(here: Here) -> Finding:
        return images.being_uploaded(here, targets)

    def guard(here: Here) -> Iterable[Refusal]:
        yield from deploy.undisturbed(here)

    return _row(
        Actor.GUI,
        Leg(
            there,
            name=f"upload {image_type}",
            readings=1,
            act=images.upload(image_type, targets),
            under_way=under_way,
            guard=guard,
            deadline=DeadlineKind.UPLOAD_ISO,
            trace=no_trace_in_time,
        ),
    )


def row(task: Task) -> Step:
    """The numbered row for one task."""
    match task.does:
        case Does.BRING:
            return bring(task.source)
        case Does.CLEAR:
            return clear()
        case Does.UPLOAD:
            return upload(task.image_type, task.targets)
        case Does.CHECK:
            return check()


def scope(task: Task) -> Scope:
    return Scope() if task.server is None else Scope(server=task.server)


DISTRIBUTE = Procedure(NUMBER, "Manual Distribution", (bring(),))
