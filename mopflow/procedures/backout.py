"""12.3.3 to 12.3.5: the backout of fully upgraded clusters, from whatever state they are found in. Read top to bottom."""

from __future__ import annotations

from dataclasses import replace

from mopflow.acts import backout as act
from mopflow.acts import configuration as conf
from mopflow.goals import log_mark, log_trace, no_trace_in_time, settled, switching
from mopflow.goals_back import (
    about_is_source,
    all_backed_out,
    all_healthy,
    applied_back,
    backed_out_in_maintenance,
    both_backed_out,
    cell_mark,
    cell_trace,
    failed_back,
    first_backed_out,
    first_going_back,
    forced_is_gone,
    logged_in_back,
    may_back_out,
    may_begin_back,
    may_cancel,
    may_fail_back,
    new_gui,
    no_new_alarm,
    nothing_forward,
    old_gui,
    second_going_back,
    traffic_before,
    traffic_is_proven,
)
from mopflow.procedures import checks, lists
from mopflow.site import AutonomyKind
from mopflow.slots import Slot
from mopflow.step import Actor, DeadlineKind, Leg, Procedure, Question, Step


def _server(
    goal: Question, under_way: Question, *, slot: Slot | None = None, applies: Question | None = None
) -> Leg:
    """Start Rollback or Continue Rollback: the server that is not active."""
    return Leg(
        goal,
        act=act.start_backout,
        under_way=under_way,
        guard=may_back_out,
        deadline=DeadlineKind.INITIATE_BACKOUT,
        slot=slot,
        mark=log_mark,
        trace=log_trace,
        settled=settled,
        autonomy=AutonomyKind.BACKOUT,
        applies=applies,
    )


_WAIT = Leg(nothing_forward, name="quiet", deadline=DeadlineKind.INITIATE_UPGRADE)
_STATUS = Leg(may_begin_back, name="status")
_ALARMS = Leg(no_new_alarm, name="alarms")
_FAILOVER = Leg(
    failed_back,
    act=act.fail_over_back,
    under_way=switching,
    guard=may_fail_back,
    deadline=DeadlineKind.FAILOVER,
    mark=log_mark,
    trace=log_trace,
    autonomy=AutonomyKind.BACKOUT,
)
_CMP_FIRST = _server(first_backed_out, first_going_back)
_CMP_SECOND = _server(both_backed_out, second_going_back)

MPE_MRA = Procedure(
    "12.3.3",
    "Backout Fully Upgraded MPE/MRA Cluster",
    (
        Step(
            "12.3.3",
            1,
            "Verify the status of affected clusters",
            Actor.CHECK,
            (_WAIT, _STATUS, Leg(traffic_before, name="baseline")),
            1,
        ),
        Step(
            "12.3.3",
            2,
            "Rollback standby MPE/MRA clusters",
            Actor.GUI,
            (_server(first_backed_out, first_going_back, slot=Slot.START), _ALARMS),
            40,
            lists.BACKOUT_MPE_FIRST,
        ),
        Step(
            "12.3.3",
            3,
            "Continue the backout of the MRA/MPE clusters: failover",
            Actor.GUI,
            (_FAILOVER,),
            2,
            lists.BACKOUT_MPE_SWITCHED,
        ),
        Step(
            "12.3.3",
            4,
            "Reapply the configuration",
            Actor.GUI,
            (
                Leg(
                    applied_back,
                    name="reapply",
                    readings=1,
                    act=conf.reapply,
                    deadline=DeadlineKind.REAPPLY,
                    slot=Slot.FAILOVER,
                    trace=no_trace_in_time,
                    autonomy=AutonomyKind.BACKOUT,
                ),
                Leg(traffic_is_proven, name="traffic"),
            ),
            1,
            source_note="an MRA shows no progress of the re-apply; the version on its page is what counts",
            after_harbour=True,
        ),
        Step(
            "12.3.3",
            5,
            "Complete backout of cluster(s)",
            Actor.GUI,
            (_server(both_backed_out, second_going_back, slot=Slot.START), _ALARMS),
            35,
            lists.BACKOUT_MPE_SECOND,
        ),
        Step(
            "12.3.3",
            6,
            "Repeat for the remaining MPE/MRA servers",
            Actor.CHECK,
            (Leg(all_backed_out),),
            1,
        ),
        Step("12.3.3", 7, "Final Syscheck", Actor.CHECK, (Leg(all_healthy, readings=1),), 1),
    ),
)

SECONDARY_CMP = Procedure(
    "12.3.4",
    "Backout Fully Upgraded Secondary CMP Cluster",
    (
        Step("12.3.4", 1, "Verify the status of the CMP clusters", Actor.CHECK, (_WAIT, _STATUS), 1),
        Step(
            "12.3.4",
            2,
            "Backout secondary CMP cluster",
            Actor.GUI,
            (_CMP_FIRST, _ALARMS),
            40,
            lists.BACKOUT_CMP2_FIRST,
        ),
        Step(
            "12.3.4",
            3,
            "Continue the backout: failover",
            Actor.GUI,
            (_FAILOVER,),
            2,
            lists.BACKOUT_CMP2_SWITCHED,
            'printed as "Continue Upgrade" and "Failover to new version"; 12.3.3/3 and 12.3.5/3 are the pattern',
        ),
        Step(
            "12.3.4",
            4,
            "Continue the backout: remaining server",
            Actor.GUI,
            (_CMP_SECOND, _ALARMS),
            40,
            lists.BACKOUT_CMP2_SECOND,
        ),
    ),
)

PRIMARY_CMP = Procedure(
    "12.3.5",
    "Backout Fully Upgraded Primary CMP Cluster",
    (
        Step("12.3.5", 1, "Verify the status of the CMP clusters", Actor.CHECK, (_WAIT, _STATUS), 1),
        Step(
            "12.3.5",
            2,
            "Backout standby Primary CMP cluster",
            Actor.GUI,
            (_CMP_FIRST, _ALARMS),
            40,
            lists.BACKOUT_CMP_FIRST,
        ),
        Step(
            "12.3.5",
            3,
            "Continue the backout: failover",
            Actor.GUI,
            (_FAILOVER,),
            2,
            lists.BACKOUT_CMP_SWITCHED,
            "the text says to select the Secondary CMP cluster; the row is the primary's",
        ),
        Step(
            "12.3.5",
            4,
            "Log back in to the Primary CMP VIP",
            Actor.GUI,
            (
                Leg(
                    logged_in_back,
                    readings=1,
                    act=checks.log_in,
                    deadline=DeadlineKind.FAILOVER,
                    trace=no_trace_in_time,
                    autonomy=AutonomyKind.BACKOUT,
                ),
            ),
            1,
        ),
        Step("12.3.5", 5, "Verify release", Actor.CHECK, (Leg(about_is_source),), 1),
        Step(
            "12.3.5",
            6,
            "Continue the backout of the Primary CMP cluster (10.5, 11.5)",
            Actor.GUI,
            (
                Leg(
                    backed_out_in_maintenance,
                    act=act.back_out_in_maintenance,
                    under_way=second_going_back,
                    guard=may_back_out,
                    deadline=DeadlineKind.INITIATE_BACKOUT,
                    mark=cell_mark,
                    trace=cell_trace,
                    settled=settled,
                    autonomy=AutonomyKind.BACKOUT,
                    applies=old_gui,
                ),
                replace(_ALARMS, applies=old_gui),
            ),
            30,
            lists.BACKOUT_CMP_OLD_SECOND,
        ),
        Step(
            "12.3.5",
            7,
            "Remove Forced Standby (10.5, 11.5)",
            Actor.GUI,
            (
                Leg(
                    forced_is_gone,
                    act=act.cancel_forced_standby,
                    guard=may_cancel,
                    trace=no_trace_in_time,
                    autonomy=AutonomyKind.BACKOUT,
                    applies=old_gui,
                ),
            ),
            1,
        ),
        Step(
            "12.3.5",
            8,
            "Continue the backout of the Primary CMP cluster (12.0, 12.1)",
            Actor.GUI,
            (
                _server(both_backed_out, second_going_back, applies=new_gui),
                replace(_ALARMS, applies=new_gui),
            ),
            40,
            lists.BACKOUT_CMP_SECOND,
            'printed as "Start Rollback"; a rollback is under way and the hover text decides',
        ),
        Step("12.3.5", 9, "Final Syscheck", Actor.CHECK, (Leg(all_healthy, readings=1),), 1),
    ),
)
