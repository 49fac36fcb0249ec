"""Chapters 4.1 and 4.5 of E75412-01: is everything at hand, and is the system healthy?

4.1/1-2 and 4.5/1-3 are of the whole system, 4.5/4 is of each server. Nothing here changes anything.
"""

from __future__ import annotations

from dataclasses import replace

from mopflow.confirmations import ConfirmItem
from mopflow.procedures import health_server, health_system, materials
from mopflow.step import Actor, Leg, Procedure, Step

PREREQUISITES = Procedure(
    "4.1",
    "Pre-requisites",
    (
        Step(
            "4.1",
            1,
            "Verify all required materials are present",
            Actor.CHECK,
            (
                Leg(materials.media_right, name="media", applies=materials.media_given),
                Leg(materials.logins_work, name="logins"),
                Leg(materials.console_open, name="console"),
                replace(
                    materials.confirms(ConfirmItem.PMAC_VERSION, ConfirmItem.TVOE_VERSION),
                    applies=materials.has_pmac,
                ),
                materials.confirms(ConfirmItem.FIRMWARE),
            ),
            5,
            source_note="As listed in 2.9; the versions are those of 1.4",
        ),
        Step(
            "4.1",
            2,
            "Review Release Notes",
            Actor.OPERATOR,
            (
                materials.confirms(
                    ConfirmItem.RELEASE_NOTES,
                    ConfirmItem.BULLETINS,
                    ConfirmItem.CUSTOMER_CARE,
                    ConfirmItem.UPGRADE_KIT,
                ),
            ),
            60,
            source_note="with the cautions of the title page: bulletins, Oracle Customer Care, Upgrade Kit",
        ),
    ),
)

HEALTH = Procedure(
    "4.5",
    "Perform System Health Check",
    (
        Step("4.5", 1, "CMP GUI Access", Actor.GUI, (Leg(health_system.console_of_the_site),), 1),
        Step("4.5", 2, "View Active Alarms", Actor.GUI, (Leg(health_system.alarms_accepted),), 5),
        Step("4.5", 3, "View KPI reports", Actor.GUI, (Leg(health_system.kpis_expected),), 5),
        Step(
            "4.5",
            4,
            "Confirm NTP servers reachable from all the servers (CMP, MPEs and MRAs) to be upgraded",
            Actor.SSH,
            (
                Leg(health_server.ntp_reachable, name="ntp reachable"),
                Leg(health_server.synchronized, name="ntp"),
                Leg(health_server.date_right, name="date"),
                Leg(health_server.bios_clock_right, name="hwclock"),
                Leg(health_server.platform_healthy, name="syscheck"),
                Leg(health_server.accounts_lasting, name="accounts"),
                Leg(health_server.room, name="space"),
                Leg(health_server.netbackup_known, name="netbackup"),
            ),
            2,
            source_note="syscheck, accounts, room and NetBackup are ours: what 4.6, 4.6.5 and the note of 4 build on",
        ),
    ),
)
