"""10.1.1 and 10.2: MPE and MRA clusters, the same from every source release. Read top to bottom."""

from __future__ import annotations

from collections.abc import Iterable

from mopflow import rules
from mopflow.acts import configuration as conf
from mopflow.acts import upgrade
from mopflow.goals import (
    alarms_explained,
    both_upgraded,
    first_running,
    first_upgraded,
    log_mark,
    log_trace,
    mate_reachable,
    may_fail_over,
    no_rollback,
    no_trace_in_time,
    none_severe,
    rolled_back,
    second_running,
    switched,
    switching,
)
from mopflow.here import Here
from mopflow.procedures import checks, lists
from mopflow.procedures.upgrade_legs import server_leg
from mopflow.site import AutonomyKind
from mopflow.slots import Slot
from mopflow.step import Actor, DeadlineKind, Finding, Leg, Procedure, Refusal, Step


def _may_roll_back(here: Here) -> Iterable[Refusal]:
    """R4 holds for the failover back; R8 and R15 do not stand in its way."""
    unneeded = Finding.yes("the old release's server was left in sync")
    yield from rules.failover(
        here.site, here.cluster, here.states, here.alarms, unneeded, mate_reachable(here), to_new=False
    )


PREPARE = Procedure(
    "10.1.1",
    "Configuration Preparation",
    (
        Step(
            "10.1.1",
            1,
            "Access into CMP server",
            Actor.GUI,
            (Leg(checks.console_access, readings=1, act=checks.log_in, trace=no_trace_in_time),),
            1,
        ),
        Step(
            "10.1.1",
            2,
            "Verify current Upgrade Manager status and software release 12.1.2 ISO files",
            Actor.CHECK,
            (Leg(checks.topology_agrees, name="topology"), Leg(checks.segment_ready)),
            2,
        ),
    ),
)

UPGRADE = Procedure(
    "10.2",
    "Upgrade MRA and MPE Servers",
    (
        Step(
            "10.2",
            1,
            "Health Checks",
            Actor.GUI,
            (
                Leg(alarms_explained, name="alarms", applies=no_rollback),
                Leg(checks.servers_healthy, name="syscheck", applies=no_rollback),
                Leg(
                    conf.counters_were_reset,
                    name="counters",
                    readings=1,
                    act=conf.reset_counters,
                    mark=conf.counters_mark,
                    trace=no_trace_in_time,
                    applies=no_rollback,
                ),
                Leg(conf.baseline_kept, name="baseline", applies=no_rollback),
            ),
            2,
        ),
        Step("10.2", 2, "Verify the upgrade status", Actor.CHECK, (Leg(checks.cluster_ready),), 1),
        Step(
            "10.2",
            3,
            "Upgrade clusters",
            Actor.GUI,
            (
                server_leg(first_upgraded, first_running, slot=Slot.START),
                Leg(alarms_explained, name="alarms", applies=no_rollback),
            ),
            40,
            lists.MPE_FIRST,
        ),
        Step(
            "10.2",
            4,
            "Failover",
            Actor.GUI,
            (
                Leg(
                    switched,
                    act=upgrade.fail_over,
                    under_way=switching,
                    guard=may_fail_over,
                    deadline=DeadlineKind.FAILOVER,
                    mark=log_mark,
                    trace=log_trace,
                    autonomy=AutonomyKind.FIRST_FAILOVER,
                    applies=no_rollback,
                ),
            ),
            1,
        ),
        Step(
            "10.2",
            5,
            "Reapply configuration",
            Actor.GUI,
            (
                Leg(
                    conf.applied_new,
                    readings=1,
                    act=conf.reapply,
                    deadline=DeadlineKind.REAPPLY,
                    trace=no_trace_in_time,
                    applies=no_rollback,
                ),
            ),
            1,
            after_harbour=True,
        ),
        Step(
            "10.2",
            6,
            "Current alarms",
            Actor.CHECK,
            (Leg(none_severe, applies=no_rollback),),
            1,
            lists.MPE_SWITCHED,
            after_harbour=True,
        ),
        Step(
            "10.2",
            7,
            "If traffic does not become active within 90 seconds",
            Actor.GUI,
            (
                Leg(
                    conf.traffic_is_active,
                    name="traffic",
                    until=conf.traffic_window,
                    no_is_an_answer=True,
                    applies=no_rollback,
                ),
                Leg(
                    conf.old_is_active,
                    name="rollback",
                    act=upgrade.roll_back,
                    under_way=switching,
                    guard=_may_roll_back,
                    deadline=DeadlineKind.FAILOVER,
                    # the button announces another act once it has run: it cannot be clicked twice
                    trace=no_trace_in_time,
                    autonomy=AutonomyKind.ROLLBACK,
                    applies=conf.traffic_lost,
                ),
            ),
            2,
            after_harbour=True,
        ),
        Step(
            "10.2",
            8,
            "Reapply the configuration back to the source release",
            Actor.GUI,
            (
                Leg(
                    conf.applied_old,
                    name="reapply",
                    readings=1,
                    act=conf.reapply,
                    deadline=DeadlineKind.REAPPLY,
                    trace=no_trace_in_time,
                    applies=rolled_back,
                    autonomy=AutonomyKind.ROLLBACK,
                ),
                Leg(conf.traffic_is_back, name="traffic", applies=rolled_back),
                Leg(conf.person_decides, name="decision", applies=rolled_back, until=conf.at_once),
            ),
            2,
            after_harbour=True,
        ),
        Step(
            "10.2",
            9,
            "Continue the upgrade: remaining server",
            Actor.GUI,
            (server_leg(both_upgraded, second_running, slot=Slot.START),),
            40,
            lists.MPE_SECOND,
        ),
        Step(
            "10.2",
            10,
            "Reapply configuration (MPE only)",
            Actor.GUI,
            (
                Leg(
                    conf.applied_again,
                    readings=1,
                    act=conf.reapply,
                    deadline=DeadlineKind.REAPPLY,
                    slot=Slot.FAILOVER,
                    trace=no_trace_in_time,
                    applies=conf.mpe_only,
                ),
                Leg(alarms_explained, name="alarms"),
            ),
            1,
        ),
        Step(
            "10.2",
            11,
            "Repeat for the next MPE or MRA clusters",
            Actor.CHECK,
            (Leg(checks.segment_done),),
            1,
            source_note='printed as "steps 1-9"; step 10 is part of the work for an MPE',
        ),
        Step("10.2", 12, "Accept upgrade requirement", Actor.OPERATOR, (Leg(checks.never_accepted),), 0),
    ),
)
