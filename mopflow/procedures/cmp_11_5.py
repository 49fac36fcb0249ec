"""7.1.1 and 7.1.2: the CMP clusters from 11.5 to 12.1.2. Read top to bottom, like the printed tables."""

from __future__ import annotations

from mopflow.procedures import cmp_legs as legs
from mopflow.procedures import lists
from mopflow.procedures.cmp_legs import Row, procedure

PRIMARY = procedure(
    "7.1.1",
    "Upgrade Primary CMP Cluster",
    Row("Verify alarm status", legs.ALARM_STATUS),
    Row("Identify and record the CMP cluster(s)", legs.TOPOLOGY),
    Row("Verify status of CMP clusters", legs.CMP_STATUS),
    Row("Remove old ISO files from servers", legs.OLD_IMAGES, note=legs.BLANK),
    Row("Distribute ISO files to CMP/MPE/MRA servers", legs.UPLOAD),
    Row("Exchange keys", legs.SCRIPTS_AND_KEYS),
    Row("Push the show 12.1.2 upgrade scripts to all servers in the segment topology", legs.PUSH),
    Row("Verify ISO file distribution to all the servers", legs.IMAGES, note=legs.BY_HAND),
    Row("Set Force Standby mode on the Standby CMP in the Primary cluster", legs.FORCE_STANDBY),
    Row("Upgrade the Force-Standby CMP server at the primary site", legs.FIRST_SERVER_OLD, lists.OLD_FIRST),
    Row("Verify that the upgrade completed successfully", legs.FIRST_VERIFIED_OLD),
    Row("Verify alarms", legs.LISTED_ALARMS, lists.OLD_FIRST_DONE),
    Row("Switch the upgraded show 12.1.2 CMP server to Active", legs.SWITCH),
    Row("Login to the CMP server VIP", legs.LOG_IN),
    Row("Verify new Policy Manager version", legs.ABOUT),
    Row("Critical alarms", legs.LISTED_ALARMS, lists.OLD_SWITCHED),
    Row("Verify that Policy Manager shows 12.1.2 CMP is Active", legs.TARGET_ACTIVE),
    Row("ssh to primary active CMP and copy iso to /var/camiant/iso", legs.COPY_KIT_LATE),
    Row("Locate the new 12.1.2 Upgrade Manual", legs.CHOOSE_KIT_LATE),
    Row(
        "New alarms introduced with 12.1.2",
        legs.LISTED_ALARMS,
        lists.OLD_MIXED_11,
        note="the critical alarm that is already active is that of row 16, printed in 6.1.1/20",
    ),
    Row("Complete the upgrade of the Primary CMP cluster", legs.SECOND_SERVER, lists.OLD_SECOND, 40),
    Row("Verify the status of upgraded CMP server", legs.VERIFIED, lists.OLD_SECOND),
    Row("Proceed to next upgrade procedure", legs.SECONDARY_NEXT),
)

SECONDARY = procedure(
    "7.1.2",
    "Upgrade Secondary CMP Cluster",
    Row("Verify the status of the CMP cluster", legs.PRIMARY_DONE),
    Row("Upgrade the Secondary CMP cluster", legs.FIRST_SERVER, lists.CMP2_FIRST),
    Row("Continue to upgrade the Secondary CMP cluster", legs.FAILOVER_AND_SECOND, lists.CMP2_SECOND),
    Row("Verify that the upgrade completed successfully", legs.TRACKED),
    Row("Verify alarm", legs.ONLY_MIXED, lists.CMP_DONE),
    Row("Procedure is complete", legs.CMPS_DONE),
)
