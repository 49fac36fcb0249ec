"""The alarm lists of the rows of 9.1.1, 9.1.2 and 10.2, by number, as the document prints them."""

from __future__ import annotations

from mopflow.step import AlarmLists
from mopflow.system import Severity

CMP_REPLICATION = frozenset(
    {31101, 31106, 31107, 31114}
)  # the CMP clusters' own replication, off while they differ

_CMP_MINOR = frozenset({70503, 70507, 70500, 70501, 31106, 31107, 31101, 31114, 31282})
_CMP_SECOND = _CMP_MINOR | {31283, 70001, 70025, 70004}

# 9.1.1/15 prints 70025 only; the lost minor alarms are those that 8.1.1/16 shows
CMP_SWITCHED = AlarmLists(
    after=frozenset({70025, 70503, 70501, 70500}),
    borrowed=frozenset({70503, 70501, 70500}),
    until="all CMPs have been upgraded to the same version",
)

CMP_FIRST = AlarmLists(
    during=_CMP_MINOR | {31283, 31227, 70025, 70004},
    after=frozenset({70025, 70503, 70501, 70500, 31101}),
    borrowed=frozenset(),
    until="the upgrade activities are over",
)
CMP_SECOND = AlarmLists(during=_CMP_SECOND, until="the upgrade of the remaining server is over")
CMP2_FIRST = AlarmLists(
    during=_CMP_SECOND,
    after=frozenset({70025, 70503, 70501, 70500, 31101}),
    until="the upgrade activities are over",
)
CMP2_SECOND = AlarmLists(
    during=_CMP_SECOND, after=frozenset({70500}), until="the upgrade activities are over"
)
CMP_DONE = AlarmLists(after=frozenset({70500}), until="every server of the system is on the target release")

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

NONE = AlarmLists()
