"""The alarm lists of the rows of chapters 6 to 10 and 12, by number, as the document prints them.

Rows of two procedures that print the same numbers share one list; the names of the rows stand beside it.
"""

from __future__ import annotations

from mopflow.step import AlarmLists
from mopflow.system import Severity

CMP_REPLICATION = frozenset(
    {31101, 31106, 31107, 31114}
)  # the CMP clusters' own replication, off while they differ

_CMP_MINOR = frozenset({70503, 70507, 70500, 70501, 31106, 31107, 31101, 31114, 31282})
_CMP_SECOND = _CMP_MINOR | {31283, 70001, 70025, 70004}

_MIXED = frozenset({70503, 70501, 70500})

# 10.5 and 11.5, the primary: System Maintenance, then the Upgrade Manager

_OLD_REPLICATION = frozenset({31114, 31106, 31107, 31101})
FORCED = frozenset({70503})  # says only that the server is what it is; first printed in 6.1.1/21

# 6.1.1/10, 7.1.1/10: the alarm of a forced standby is that of 6.1.1/21
OLD_FIRST = AlarmLists(
    during=_OLD_REPLICATION | {31283, 31233, 70004, 70021} | FORCED,
    after=frozenset({31101, 70503}),
    borrowed=FORCED,
    until="the upgrade activities are over",
)
# 6.1.1/12, 7.1.1/12
OLD_FIRST_DONE = AlarmLists(after=frozenset({70025}), until="the cluster is fully upgraded")
# 6.1.1/16, 7.1.1/16
OLD_SWITCHED = AlarmLists(after=frozenset({70025, 31101}), until="all CMP servers are upgraded")
# 6.1.1/20 prints 70025 as "the active critical alarm"; 7.1.1/20 leaves its number to row 16
OLD_MIXED = AlarmLists(after=frozenset({70501, 70500, 70025}), until="all CMP servers are upgraded")
OLD_MIXED_11 = AlarmLists(
    after=frozenset({70501, 70500, 70025}), borrowed=frozenset({70025}), until="all CMP servers are upgraded"
)
# 6.1.1/21-22, 7.1.1/21-22
OLD_SECOND = AlarmLists(
    during=_OLD_REPLICATION | _MIXED | {31283, 70001, 70025, 31233, 70004, 70507},
    until="the upgrade of the remaining server is over",
)
# what the rows 12 to 20 let stand between the switch and the second server, 70503 as in 8.1.1/16
OLD_BETWEEN = AlarmLists(
    after=OLD_FIRST_DONE.after | OLD_SWITCHED.after | OLD_MIXED.after | FORCED, borrowed=FORCED
)

# 12.0 and 12.1.1, the primary; every secondary

# 8.1.1/16
CMP_SWITCHED_12_0 = AlarmLists(
    after=_MIXED | {70025}, until="all CMPs have been upgraded to the same version"
)
# 9.1.1/15 prints 70025 only; the lost minor alarms are those that 8.1.1/16 shows
CMP_SWITCHED = AlarmLists(
    after=_MIXED | {70025}, borrowed=_MIXED, until="all CMPs have been upgraded to the same version"
)
# 8.1.1/11, 9.1.1/10
CMP_FIRST = AlarmLists(
    during=_CMP_MINOR | {31283, 31227, 70025, 70004},
    after=_MIXED | {70025, 31101},
    until="the upgrade activities are over",
)
# 8.1.1/18, 9.1.1/17
CMP_SECOND = AlarmLists(during=_CMP_SECOND, until="the upgrade of the remaining server is over")
# 6.1.2/2, 7.1.2/2, 8.1.2/2, 9.1.2/2
CMP2_FIRST = AlarmLists(
    during=_CMP_SECOND,
    after=_MIXED | {70025, 31101},
    until="the upgrade activities are over",
)
# 6.1.2/3, 7.1.2/3, 8.1.2/3, 9.1.2/3
CMP2_SECOND = AlarmLists(
    during=_CMP_SECOND, after=frozenset({70500}), until="the upgrade activities are over"
)
# 6.1.2/5, 7.1.2/5, 8.1.2/5, 9.1.2/5
CMP_DONE = AlarmLists(after=frozenset({70500}), until="every server of the system is on the target release")

# 10.2

_MPE_MINOR = frozenset({70503, 70507, 70500, 70501, 31114, 31106, 31107, 31101, 78001})
MPE_FIRST = AlarmLists(
    during=_MPE_MINOR | {31283, 70001, 31227, 70004, 31233, 31282},
    after=frozenset({78001, 70500, 70501, 70503}),
    until="the cluster is completely upgraded",
)
MPE_SWITCHED = AlarmLists(
    after=frozenset({70503, 70502, 70500, 70501, 71402, 78001, 31101, 31113}),
    none_of=(Severity.CRITICAL, Severity.MAJOR),
    until="the cluster is completely upgraded",
)
MPE_SECOND = AlarmLists(
    during=_MPE_MINOR | {31283, 31227, 70001, 70004, 70502, 31102, 31113},
    after=frozenset({78001, 70500}),
    until="the cluster is completely upgraded",
)

# 12.3.3 to 12.3.5: the backout

_BACKOUT = _OLD_REPLICATION | _MIXED | {
    31283, 31227, 70001, 70004, 31233, 70507, 78001, 70502, 31102, 31113,
}  # fmt: skip
_BACK_UNTIL = "the cluster is completely backed out"
# the CMP differ while they are backed out; only 12.3.4/3-4 print it
_VERSIONS = frozenset({70025})

BACKOUT_MPE_FIRST = AlarmLists(
    during=_BACKOUT | {31282}, after=_MIXED | {70502, 78001}, until=_BACK_UNTIL
)  # 12.3.3/2
BACKOUT_MPE_SWITCHED = AlarmLists(
    during=_BACKOUT | {31282, 31126}, after=_MIXED | {70502, 78001}, until=_BACK_UNTIL
)  # 12.3.3/3
BACKOUT_MPE_SECOND = AlarmLists(
    during=_BACKOUT | {31282, 31126}, after=frozenset({70500}), until=_BACK_UNTIL
)  # 12.3.3/5

BACKOUT_CMP2_FIRST = AlarmLists(
    during=_BACKOUT | {31282, 31126} | _VERSIONS,
    after=_MIXED | _VERSIONS | {31101},
    borrowed=_VERSIONS,
    until=_BACK_UNTIL,
)  # 12.3.4/2
BACKOUT_CMP2_SWITCHED = AlarmLists(after=_MIXED | _VERSIONS | {78001}, until=_BACK_UNTIL)  # 12.3.4/3
# 12.3.4/4 prints what stands at its end; the alarms while it runs are those of row 2
BACKOUT_CMP2_SECOND = AlarmLists(
    during=_BACKOUT | {31282, 31126} | _VERSIONS,
    after=frozenset({70025, 70500}),
    borrowed=(_BACKOUT | {31282, 31126}) - {70500},
    until="the primary CMP is backed out",
)

BACKOUT_CMP_FIRST = AlarmLists(
    during=_BACKOUT | {31236} | _VERSIONS,
    after=_MIXED | _VERSIONS | {31101},
    borrowed=_VERSIONS,
    until=_BACK_UNTIL,
)  # 12.3.5/2
# 12.3.5/3 prints none: those of 12.3.4/3
BACKOUT_CMP_SWITCHED = AlarmLists(
    after=BACKOUT_CMP2_SWITCHED.after, borrowed=BACKOUT_CMP2_SWITCHED.after, until=_BACK_UNTIL
)
BACKOUT_CMP_OLD_SECOND = AlarmLists(
    during=_OLD_REPLICATION | {31283, 31233, 31236, 70004, 31102, 31113, 31284} | _VERSIONS | FORCED,
    after=FORCED,
    borrowed=_VERSIONS | FORCED,
    until=_BACK_UNTIL,
)  # 12.3.5/6
BACKOUT_CMP_SECOND = AlarmLists(
    during=(_BACKOUT - {31233}) | _VERSIONS, borrowed=_VERSIONS, until=_BACK_UNTIL
)  # 12.3.5/8

NONE = AlarmLists()
