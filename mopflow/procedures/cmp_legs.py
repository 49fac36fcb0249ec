"""The kinds of rows that chapters 6 to 9 are made of: what a row does, whatever its number there.

Each function gives the legs of one row; the tables cmp_10_5, cmp_11_5, cmp_12_0 and cmp_12_1_1 put them in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from mopflow import goals_old as old
from mopflow.acts import images, keys_step, maintenance, policy_scripts, upgrade
from mopflow.goals import (
    alarms_explained,
    both_upgraded,
    first_running,
    first_upgraded,
    log_mark,
    log_trace,
    may_fail_over,
    no_trace_in_time,
    second_running,
    settled,
    switched,
    switching,
)
from mopflow.media import ImageType
from mopflow.procedures import checks, lists
from mopflow.procedures.upgrade_legs import server_leg
from mopflow.site import AutonomyKind
from mopflow.step import Actor, AlarmLists, DeadlineKind, Leg, Procedure, Question, Step
from mopflow.system import Stage

SYSTEM, CMPS, SERVERS = "the whole system", "all CMP clusters", "all servers"
ACTIVE, STANDBY = "active server of {cluster}", "standby server of {cluster}"
REMAINING = "remaining server of {cluster}"


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows of one kind have in common, in every table."""

    actor: Actor
    legs: tuple[Leg, ...]
    where: str = ""
    minutes: float = 1


@dataclass(frozen=True, slots=True)
class Row:
    """A row as printed; its number is its place in the table."""

    title: str
    kind: Kind
    alarms: AlarmLists = lists.NONE
    minutes: float | None = None  # where the document prints another time than the kind's
    note: str = ""


def procedure(number: str, title: str, *rows: Row) -> Procedure:
    return Procedure(
        number,
        title,
        tuple(
            Step(
                number,
                place,
                row.title,
                row.kind.actor,
                row.kind.legs,
                row.kind.minutes if row.minutes is None else row.minutes,
                row.alarms,
                row.kind.where,
                row.note,
            )
            for place, row in enumerate(rows, 1)
        ),
    )


def _look(*goals: Question, where: str = "") -> Kind:
    return Kind(Actor.CHECK, tuple(Leg(goal) for goal in goals), where)


_ALARMS = Leg(alarms_explained, name="alarms")

# before the upgrade

ALARM_STATUS = _look(checks.alarms_understood, where=SYSTEM)
TOPOLOGY = _look(checks.topology_agrees, where=SYSTEM)
CMP_STATUS = Kind(Actor.CHECK, (Leg(checks.cmps_ready), Leg(checks.servers_healthy, name="syscheck")), CMPS)
OLD_IMAGES = Kind(
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
    SERVERS,
    2,
)
BLANK = "a blank ISO column is read as no image but the target's, which must be there already"
UPLOAD = Kind(
    Actor.GUI,
    tuple(
        Leg(
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
        for image_type in ImageType
    ),
    SERVERS,
    15,
)
IMAGES = Kind(Actor.CHECK, (Leg(images.verified),), SERVERS, 2)
BY_HAND = "no [100%] appears for an image that was copied by hand"
_KEYS = Leg(keys_step.exchanged, readings=1, act=keys_step.exchange, trace=no_trace_in_time)
KEYS = Kind(Actor.SSH, (_KEYS,), SERVERS, 2)
SCRIPTS_AND_KEYS = Kind(
    Actor.SSH,
    (
        Leg(
            policy_scripts.scripts_there,
            name="scripts",
            readings=1,
            act=policy_scripts.copy_scripts,
            trace=no_trace_in_time,
        ),
        _KEYS,
    ),
    SERVERS,
    2,
)
PUSH = Kind(
    Actor.GUI,
    # safe to run several times as needed: a lost answer is pushed again
    (
        Leg(
            old.pushed,
            readings=1,
            act=maintenance.push_scripts,
            trace=no_trace_in_time,
            until=old.push_late,
        ),
    ),
    SERVERS,
    2,
)


def _offer(at: Stage) -> Kind:
    return Kind(
        Actor.SSH,
        (Leg(images.kit_offered(at), readings=1, act=images.offer_kit, trace=no_trace_in_time),),
        ACTIVE,
        2,
    )


def _choose(at: Stage) -> Kind:
    leg = Leg(
        images.kit_chosen(at),
        readings=1,
        act=images.choose_kit,
        guard=images.may_choose(at),
        trace=no_trace_in_time,
    )
    return Kind(Actor.GUI, (leg,), SYSTEM)


COPY_KIT, CHOOSE_KIT = _offer(Stage.FRESH), _choose(Stage.FRESH)
COPY_KIT_LATE, CHOOSE_KIT_LATE = _offer(Stage.SWITCHED), _choose(Stage.SWITCHED)
WHERE_IT_LIES = "copied from /var/TKLC/upgrade, where the image lies; the document prints /var/TKLC"

# the Upgrade Manager: 12.0, 12.1.1, every secondary, and the second server everywhere

_FIRST = server_leg(first_upgraded, first_running)
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
_SECOND = server_leg(both_upgraded, second_running, name="second server")
FIRST_SERVER = Kind(Actor.GUI, (_FIRST, _ALARMS), STANDBY, 30)
FIRST_VERIFIED = _look(checks.first_is_done)
FAILOVER = Kind(Actor.GUI, (_FAILOVER,))
SECOND_SERVER = Kind(Actor.GUI, (_SECOND,), REMAINING, 30)
FAILOVER_AND_SECOND = Kind(
    Actor.GUI, (_FAILOVER, _SECOND), "{cluster}, then its remaining server", FAILOVER.minutes + 30
)

# System Maintenance: the primary on 10.5 and 11.5

FORCE_STANDBY = Kind(
    Actor.GUI,
    (
        Leg(
            old.forced,
            act=maintenance.force_standby,
            guard=old.may_force,
            mark=old.server_mark,
            trace=old.server_trace,
        ),
    ),
    STANDBY,
)
FIRST_SERVER_OLD = Kind(
    Actor.GUI,
    (
        Leg(
            old.ended,
            act=maintenance.start_upgrade,
            under_way=first_running,
            guard=old.may_start_forced,
            deadline=DeadlineKind.INITIATE_UPGRADE,
            mark=old.server_mark,
            trace=old.server_trace,
            settled=settled,
        ),
        Leg(old.says_completed, name="message", until=old.message_late),
        _ALARMS,
    ),
    "server of {cluster} in forced standby",
    40,
)
FIRST_VERIFIED_OLD = _look(old.upgraded_and_forced)
SWITCH = Kind(
    Actor.GUI,
    (
        Leg(
            switched,
            name="failover",
            act=maintenance.switch_force_standby,
            under_way=switching,
            guard=old.may_switch,
            deadline=DeadlineKind.FAILOVER,
            mark=old.server_mark,
            trace=old.switch_trace,
            autonomy=AutonomyKind.CMP_SWITCH,
        ),
    ),
)

# after the switch

LOG_IN = Kind(Actor.GUI, (Leg(checks.logged_in, readings=1, act=checks.log_in, trace=no_trace_in_time),))
ABOUT = _look(checks.about_is_target)
LISTED_ALARMS = _look(checks.switched_alarms)
TARGET_ACTIVE = _look(checks.target_is_active)
TRACKED = _look(checks.upgrade_verified)
VERIFIED = Kind(Actor.CHECK, (Leg(checks.upgrade_verified), _ALARMS))
SECONDARY_NEXT = _look(checks.secondary_waits, where=CMPS)

# the secondary

PRIMARY_DONE = _look(checks.primary_is_done)
ONLY_MIXED = _look(checks.only_mixed_version)
CMPS_DONE = _look(checks.cmps_done, where=SYSTEM)
