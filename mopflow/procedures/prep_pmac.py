"""4.6.2 and 4.6.3.2: the images of the target in the repository of PM&C, for later installations. Only with a PM&C.

Both tables lead to the same registered images: after 4.6.2 the rows of 4.6.3.2 are found done. Read top to bottom.
"""

from __future__ import annotations

from mopflow.acts import pmac_add, pmac_prepare
from mopflow.goals import no_trace_in_time
from mopflow.here import Here
from mopflow.media import ImageType
from mopflow.step import Actor, DeadlineKind, Finding, Leg, Procedure, Step


def _repeatable(_here: Here) -> Finding:
    """Of an act that goes on where it was, or does only what is still to do: it may be sent again at once."""
    return Finding.no("it may be done again: it goes on where it was")


def _add_legs() -> tuple[Leg, ...]:
    """One image after the other, each with its own intention: a task is never started twice."""
    return tuple(
        Leg(
            pmac_add.added(image_type),
            name=image_type.value,
            act=pmac_add.add(image_type),
            under_way=pmac_add.adding(image_type),
            guard=pmac_add.may_add(image_type),
            deadline=DeadlineKind.PMAC_TASK,
            readings=1,
            mark=pmac_add.mark,
            trace=pmac_add.trace(image_type),
            applies=pmac_add.wanted(image_type),
            until=pmac_add.patience,
        )
        for image_type in ImageType
    )


COPY_TO_PMAC = Procedure(
    "4.6.2",
    "Copy ISO Image Files to Management Server (PM&C)",
    (
        Step(
            "4.6.2",
            1,
            "PM&C GUI: Verify that there are no release 12.1.2 ISO files on the server",
            Actor.GUI,
            (
                Leg(
                    pmac_prepare.none_unwanted,
                    act=pmac_prepare.delete_unwanted,
                    guard=pmac_prepare.may_delete,
                    readings=1,
                    trace=no_trace_in_time,
                ),
            ),
            1,
            source_note='"remove them": images that are registered intact stay, so that a second run removes nothing',
        ),
        Step(
            "4.6.2",
            2,
            "SSH to PM&C server as admusr",
            Actor.SSH,
            (
                Leg(
                    pmac_prepare.room,
                    act=pmac_prepare.make_room,
                    guard=pmac_prepare.may_make_room,
                    readings=1,
                    trace=_repeatable,
                ),
            ),
            1,
        ),
        Step(
            "4.6.2",
            3,
            "Copy release 12.1.2 ISO files to the target directory in the PM&C server",
            Actor.SSH,
            (
                Leg(
                    pmac_prepare.brought,
                    act=pmac_prepare.bring,
                    guard=pmac_prepare.may_bring,
                    deadline=DeadlineKind.TRANSFER,
                    readings=1,
                    trace=_repeatable,
                ),
            ),
            20,
        ),
        Step(
            "4.6.2",
            4,
            "Check the checksum file",
            Actor.SSH,
            (
                Leg(
                    pmac_prepare.checksums_agree,
                    act=pmac_prepare.bring_checksums,
                    guard=pmac_prepare.may_bring_checksums,
                    readings=1,
                    trace=_repeatable,
                ),
            ),
            2,
        ),
        Step(
            "4.6.2",
            5,
            "PM&C GUI: Adding the new release 12.1.2 ISO files",
            Actor.GUI,
            _add_legs(),
            10,
        ),
        Step(
            "4.6.2",
            6,
            "PM&C GUI: Verify the new ISO files are added successfully",
            Actor.CHECK,
            (
                Leg(
                    pmac_add.all_registered,
                    deadline=DeadlineKind.PMAC_TASK,
                    until=pmac_add.patience,
                ),
            ),
            5,
        ),
    ),
)

DISTRIBUTE_TO_PMAC = Procedure(
    "4.6.3.2",
    "PM&C Distribution",
    (
        Step("4.6.3.2", 1, "Log in to PM&C", Actor.GUI, (Leg(pmac_add.logged_in),), 1),
        Step("4.6.3.2", 2, "Select the ISO image", Actor.GUI, (Leg(pmac_add.selectable),), 1),
        Step(
            "4.6.3.2",
            3,
            "Move the ISO file to the repository",
            Actor.GUI,
            (
                *_add_legs(),
                Leg(
                    pmac_add.all_registered,
                    name="end",
                    applies=pmac_add.not_all_registered,
                    deadline=DeadlineKind.PMAC_TASK,
                    until=pmac_add.patience,
                ),
            ),
            10,
        ),
        Step(
            "4.6.3.2",
            4,
            "Verify that the image is no longer in the directory",
            Actor.SSH,
            (
                Leg(
                    pmac_add.gone,
                    act=pmac_add.clear,
                    guard=pmac_add.may_clear,
                    readings=1,
                    trace=_repeatable,
                ),
            ),
            1,
        ),
        Step(
            "4.6.3.2",
            5,
            "Load addition files",
            Actor.CHECK,
            (Leg(pmac_add.all_registered),),
            1,
            source_note="the title is printed so; row 3 has added every image already, one after the other",
        ),
        Step("4.6.3.2", 6, "Remove media", Actor.SSH, (Leg(pmac_add.media_removed),), 1),
    ),
)
