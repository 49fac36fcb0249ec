"""9.1.1 and 9.1.2: the CMP clusters from 12.1.1 to 12.1.2. Read top to bottom, like the printed tables."""

from __future__ import annotations

from mopflow.procedures import cmp_legs as legs
from mopflow.procedures import lists
from mopflow.procedures.cmp_legs import Row, procedure

PRIMARY = procedure(
    "9.1.1",
    "Upgrade Primary CMP Cluster",
    Row("Verify alarm status", legs.ALARM_STATUS),
    Row("Identify and record the CMP cluster(s)", legs.TOPOLOGY),
    Row("Verify status of CMP clusters", legs.CMP_STATUS),
    Row("Exchange keys", legs.KEYS),
    Row("Remove old ISO files from servers", legs.OLD_IMAGES, note=legs.BLANK),
    Row("Distribute ISO files to CMP/MPE/MRA servers", legs.UPLOAD),
    Row("Verify ISO file distribution to all the servers", legs.IMAGES, note=legs.BY_HAND),
    Row(
        "Copy ISO file to /var/camiant/iso on the primary active CMP", legs.COPY_KIT, note=legs.WHERE_IT_LIES
    ),
    Row("Locate the new 12.1.2 Upgrade Manual", legs.CHOOSE_KIT),
    Row("Upgrade the Primary CMP cluster", legs.FIRST_SERVER, lists.CMP_FIRST),
    Row("Verify the upgrade is successful", legs.FIRST_VERIFIED),
    Row("Continue to upgrade CMP cluster: failover", legs.FAILOVER),
    Row("Log into the CMP server VIP", legs.LOG_IN),
    Row("Verify new Policy Management release", legs.ABOUT),
    Row(
        "Critical alarms",
        legs.LISTED_ALARMS,
        lists.CMP_SWITCHED,
        note="the lost minor alarms are those of 8.1.1/16",
    ),
    Row("Verify the Policy Management release 12.1.2 CMP is Active", legs.TARGET_ACTIVE),
    Row("Complete the upgrade of the Primary CMP cluster", legs.SECOND_SERVER, lists.CMP_SECOND),
    Row("Tracking the upgrade complete", legs.TRACKED),
    Row("Verify the status of upgraded CMP server", legs.VERIFIED),
    Row("Proceed to next upgrade procedure", legs.SECONDARY_NEXT),
)

SECONDARY = procedure(
    "9.1.2",
    "Upgrade Secondary CMP Cluster",
    Row("Verify the status of the CMP cluster", legs.PRIMARY_DONE),
    Row(
        "Upgrade the Secondary CMP cluster",
        legs.FIRST_SERVER,
        lists.CMP2_FIRST,
        note="the text between rows 2 and 3 is lost; 8.1.2 is the pattern, its rows 2 and 3 list the same alarms",
    ),
    Row(
        "Continue upgrade of Secondary CMP cluster: failover, then the remaining server",
        legs.FAILOVER_AND_SECOND,
        lists.CMP2_SECOND,
        note="number and title are lost; 8.1.2/3 is the pattern",
    ),
    Row("Verify that the upgrade is successful", legs.TRACKED),
    Row("Verify alarms", legs.ONLY_MIXED, lists.CMP_DONE),
    Row("Procedure is complete", legs.CMPS_DONE),
)
