"""9.1.1 and 9.1.2: the CMP clusters from 12.1.1 to 12.1.2. Read top to bottom, like the printed tables."""

from __future__ import annotations

from mopflow.acts import images, keys_step, upgrade
from mopflow.goals import (
    alarms_explained,
    both_upgraded,
    first_running,
    first_upgraded,
    log_mark,
    log_trace,
    may_fail_over,
    may_start,
    no_trace_in_time,
    second_running,
    settled,
    switched,
    switching,
)
from mopflow.media import ImageType
from mopflow.procedures import checks, lists
from mopflow.site import AutonomyKind
from mopflow.step import Actor, DeadlineKind, Leg, Procedure, Question, Step


def _look(goal: Question) -> tuple[Leg, ...]:
    return (Leg(goal),)


_FIRST_SERVER = Leg(
    first_upgraded,
    act=upgrade.start_server,
    under_way=first_running,
    guard=may_start,
    deadline=DeadlineKind.INITIATE_UPGRADE,
    mark=log_mark,
    trace=log_trace,
    settled=settled,
)
_SECOND_SERVER = Leg(
    both_upgraded,
    name="second server",
    act=upgrade.start_server,
    under_way=second_running,
    guard=may_start,
    deadline=DeadlineKind.INITIATE_UPGRADE,
    mark=log_mark,
    trace=log_trace,
    settled=settled,
)
_FAILOVER = Leg(
    switched,
    name="failover",
    act=upgrade.fail_over,
    under_way=switching,
    guard=may_fail_over,
    deadline=DeadlineKind.FAILOVER,
    mark=log_mark,
    trace=log_trace,
    autonomy=AutonomyKind.CMP_SWITCH,
)
_ALARMS = Leg(alarms_explained, name="alarms")


def _upload(image_type: ImageType) -> Leg:
    return Leg(
        images.distributed(image_type),
        name=image_type.value,
        readings=1,
        act=images.upload(image_type),
        under_way=images.distributing(image_type),
        guard=images.not_while_mixed,
        deadline=DeadlineKind.UPLOAD_ISO,
        trace=no_trace_in_time,
        applies=images.type_needed(image_type),
    )


PRIMARY = Procedure(
    "9.1.1",
    "Upgrade Primary CMP Cluster",
    tuple(
        Step("9.1.1", number, title, actor, legs, minutes, alarms, note)
        for number, title, actor, legs, minutes, alarms, note in (
            (1, "Verify alarm status", Actor.CHECK, _look(checks.alarms_understood), 1, lists.NONE, ""),
            (
                2,
                "Identify and record the CMP cluster(s)",
                Actor.CHECK,
                _look(checks.topology_agrees),
                1,
                lists.NONE,
                "",
            ),
            (
                3,
                "Verify status of CMP clusters",
                Actor.CHECK,
                (Leg(checks.cmps_ready), Leg(checks.servers_healthy, name="syscheck")),
                1,
                lists.NONE,
                "",
            ),
            (
                4,
                "Exchange keys",
                Actor.SSH,
                (Leg(keys_step.exchanged, readings=1, act=keys_step.exchange, trace=no_trace_in_time),),
                2,
                lists.NONE,
                "",
            ),
            (
                5,
                "Remove old ISO files from servers",
                Actor.GUI,
                (
                    Leg(
                        images.only_new_ones,
                        readings=1,
                        act=images.delete_old,
                        guard=images.nothing_strange,
                        trace=no_trace_in_time,
                    ),
                ),
                2,
                lists.NONE,
                "a blank ISO column is read as no image but the target's, which must be there already",
            ),
            (
                6,
                "Distribute ISO files to CMP/MPE/MRA servers",
                Actor.GUI,
                tuple(_upload(image_type) for image_type in ImageType),
                15,
                lists.NONE,
                "",
            ),
            (
                7,
                "Verify ISO file distribution to all the servers",
                Actor.CHECK,
                _look(images.verified),
                2,
                lists.NONE,
                "no [100%] appears for an image that was copied by hand",
            ),
            (
                8,
                "Copy ISO file to /var/camiant/iso on the primary active CMP",
                Actor.SSH,
                (Leg(images.kit_offered, readings=1, act=images.offer_kit, trace=no_trace_in_time),),
                2,
                lists.NONE,
                "copied from /var/TKLC/upgrade, where the image lies; the document prints /var/TKLC",
            ),
            (
                9,
                "Locate the new 12.1.2 Upgrade Manual",
                Actor.GUI,
                (
                    Leg(
                        images.kit_chosen,
                        readings=1,
                        act=images.choose_kit,
                        guard=images.may_choose,
                        trace=no_trace_in_time,
                    ),
                ),
                1,
                lists.NONE,
                "",
            ),
            (
                10,
                "Upgrade the Primary CMP cluster",
                Actor.GUI,
                (_FIRST_SERVER, _ALARMS),
                30,
                lists.CMP_FIRST,
                "",
            ),
            (
                11,
                "Verify the upgrade is successful",
                Actor.CHECK,
                _look(checks.first_is_done),
                1,
                lists.NONE,
                "",
            ),
            (12, "Continue to upgrade CMP cluster: failover", Actor.GUI, (_FAILOVER,), 1, lists.NONE, ""),
            (
                13,
                "Log into the CMP server VIP",
                Actor.GUI,
                (Leg(checks.logged_in, readings=1, act=checks.log_in, trace=no_trace_in_time),),
                1,
                lists.NONE,
                "",
            ),
            (
                14,
                "Verify new Policy Management release",
                Actor.CHECK,
                _look(checks.about_is_target),
                1,
                lists.NONE,
                "",
            ),
            (
                15,
                "Critical alarms",
                Actor.CHECK,
                _look(checks.switched_alarms),
                1,
                lists.CMP_SWITCHED,
                "the lost minor alarms are those of 8.1.1/16",
            ),
            (
                16,
                "Verify the Policy Management release 12.1.2 CMP is Active",
                Actor.CHECK,
                _look(checks.target_is_active),
                1,
                lists.NONE,
                "",
            ),
            (
                17,
                "Complete the upgrade of the Primary CMP cluster",
                Actor.GUI,
                (_SECOND_SERVER,),
                30,
                lists.CMP_SECOND,
                "",
            ),
            (
                18,
                "Tracking the upgrade complete",
                Actor.CHECK,
                _look(checks.upgrade_verified),
                1,
                lists.NONE,
                "",
            ),
            (
                19,
                "Verify the status of upgraded CMP server",
                Actor.CHECK,
                (Leg(checks.upgrade_verified), _ALARMS),
                1,
                lists.NONE,
                "",
            ),
            (
                20,
                "Proceed to next upgrade procedure",
                Actor.CHECK,
                _look(checks.secondary_waits),
                1,
                lists.NONE,
                "",
            ),
        )
    ),
)

SECONDARY = Procedure(
    "9.1.2",
    "Upgrade Secondary CMP Cluster",
    tuple(
        Step("9.1.2", number, title, actor, legs, minutes, alarms, note)
        for number, title, actor, legs, minutes, alarms, note in (
            (
                1,
                "Verify the status of the CMP cluster",
                Actor.CHECK,
                _look(checks.primary_is_done),
                1,
                lists.NONE,
                "",
            ),
            (
                2,
                "Upgrade the Secondary CMP cluster",
                Actor.GUI,
                (_FIRST_SERVER, _ALARMS),
                30,
                lists.CMP2_FIRST,
                "the text between rows 2 and 3 is lost; 8.1.2 is the pattern, its rows 2 and 3 list the same alarms",
            ),
            (
                3,
                "Continue upgrade of Secondary CMP cluster: failover, then the remaining server",
                Actor.GUI,
                (_FAILOVER, _SECOND_SERVER),
                31,
                lists.CMP2_SECOND,
                "number and title are lost; 8.1.2/3 is the pattern",
            ),
            (
                4,
                "Verify that the upgrade is successful",
                Actor.CHECK,
                _look(checks.upgrade_verified),
                1,
                lists.NONE,
                "",
            ),
            (5, "Verify alarms", Actor.CHECK, _look(checks.only_mixed_version), 1, lists.CMP_DONE, ""),
            (6, "Procedure is complete", Actor.CHECK, _look(checks.cmps_done), 1, lists.NONE, ""),
        )
    ),
)
