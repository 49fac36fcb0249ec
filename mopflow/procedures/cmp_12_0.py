"""8.1.1 and 8.1.2: the CMP clusters from 12.0 to 12.1.2. Read top to bottom, like the printed tables."""

from __future__ import annotations

from mopflow.procedures import cmp_legs as legs
from mopflow.procedures import lists
from mopflow.procedures.cmp_legs import Row, procedure

PRIMARY = procedure(
    "8.1.1",
    "Upgrade Primary CMP Cluster",
    Row("Verify alarm status", legs.ALARM_STATUS),
    Row("Identify and record the CMP cluster(s)", legs.TOPOLOGY),
    Row(
        "Verify the status of the CMP clusters", legs.CMP_STATUS, note="12.0 is meant where 12.1.1 is printed"
    ),
    Row("Remove old ISO files from servers", legs.OLD_IMAGES, note=legs.BLANK),
    Row("Distribute ISO files to CMP/MPE/MRA servers", legs.UPLOAD),
    Row("Verify ISO file distribution to all the servers", legs.IMAGES, note=legs.BY_HAND),
    Row("Exchange keys", legs.KEYS),
    Row("Push the release 12.1.2 upgrade scripts to all servers in the segment topology", legs.PUSH),
    Row(
        "ssh to primary active CMP and copy ISO file to /var/camiant/iso",
        legs.COPY_KIT,
        note=legs.WHERE_IT_LIES,
    ),
    Row("Locate the new 12.1.2 Upgrade Manual", legs.CHOOSE_KIT),
    Row("Upgrade the Primary CMP cluster", legs.FIRST_SERVER, lists.CMP_FIRST),
    Row("Verify the upgrade is successful", legs.FIRST_VERIFIED),
    Row("Continue to upgrade CMP cluster", legs.FAILOVER),
    Row("Login to the CMP server VIP", legs.LOG_IN),
    Row("Verify new Policy Management release", legs.ABOUT),
    Row("Critical alarms", legs.LISTED_ALARMS, lists.CMP_SWITCHED_12_0),
    Row("Verify the Policy Management release 12.1.2 CMP is Active", legs.TARGET_ACTIVE),
    Row("Complete the upgrade of the Primary CMP cluster", legs.SECOND_SERVER, lists.CMP_SECOND),
    Row("Tracking the upgrade complete", legs.TRACKED),
    Row("Verify the status of upgraded CMP server", legs.VERIFIED),
    Row("Proceed to next upgrade procedure", legs.SECONDARY_NEXT),
)

SECONDARY = procedure(
    "8.1.2",
    "Upgrade Secondary CMP Cluster",
    Row("Verify the status of the CMP cluster", legs.PRIMARY_DONE),
    Row("Upgrade Secondary CMP cluster", legs.FIRST_SERVER, lists.CMP2_FIRST),
    Row("Continue upgrade of Secondary CMP cluster", legs.FAILOVER_AND_SECOND, lists.CMP2_SECOND),
    Row("Verify that the upgrade completed successfully", legs.TRACKED),
    Row("Verify alarms", legs.ONLY_MIXED, lists.CMP_DONE),
    Row("Procedure is complete", legs.CMPS_DONE),
)
