"""Which alarm is this, and is it expected here and now?

An alarm is expected only by its number **and** on the cluster whose step lists it; 70500 and the CMP's replication
alarms are system-wide. Which step a cluster is in is read from the live system (its stage), so an alarm is judged
alike whoever works on the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mopflow.site import Site
from mopflow.step import AlarmLists
from mopflow.system import Alarm, ClusterState, Kind, Severity, Stage

OPERATION_FAILED = 70506  # UPGRADE_OPERATION_FAILED (3.1.4.7); the document prints no number: an assumption
FORCED_STANDBY = 70503
PENDING_ACCEPT = (
    32532  # sister products raise it on every upgraded server; tolerated, and never accepted (R14)
)
SYSTEM_MIXED = 70500
REPLICATION = frozenset({31101, 31102, 31106, 31107, 31113, 31114, 70025})  # of the CMP: system-wide


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """An alarm as the document names it."""

    number: int
    name: str
    severities: tuple[Severity, ...]  # as printed; the document is not of one mind about some
    places: tuple[str, ...]  # "Table 3" or procedure/step


def _at(places: str) -> tuple[str, ...]:
    return tuple(place.replace("_", " ") for place in places.split())


_C, _MA, _MI = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR
_OLD_FIRST = "6.1.1/10 7.1.1/10"
_OLD_SECOND = "6.1.1/21 6.1.1/22 7.1.1/21 7.1.1/22"
_SECONDARY = "6.1.2/2 6.1.2/3 7.1.2/2 7.1.2/3 8.1.2/2 8.1.2/3 9.1.2/2 9.1.2/3"
_NEW_CMP = "8.1.1/11 8.1.1/18 9.1.1/10 9.1.1/17"
_BACKOUT = "12.3.3/2 12.3.3/3 12.3.3/5 12.3.4/2"

CATALOGUE: dict[int, CatalogueEntry] = {
    entry.number: entry
    for entry in (
        CatalogueEntry(
            31101,
            "Database replication to slave failure",
            (_MI, _C),
            _at(
                f"Table_3 {_OLD_FIRST} 6.1.1/16 7.1.1/16 {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} "
                f"10.2/3 10.2/6 10.2/9 {_BACKOUT} 12.3.5/2 12.3.5/6 12.3.5/8"
            ),
        ),
        CatalogueEntry(
            31102,
            "Database replication from master failure",
            (_MI,),
            _at(f"10.2/9 {_BACKOUT} 12.3.5/2 12.3.5/6 12.3.5/8"),
        ),
        CatalogueEntry(
            31106,
            "Database merge to parent failure",
            (_MI,),
            _at(
                f"Table_3 {_OLD_FIRST} {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} 10.2/3 10.2/9 {_BACKOUT} "
                "12.3.5/2 12.3.5/6 12.3.5/8"
            ),
        ),
        CatalogueEntry(
            31107,
            "Database merge from child failure",
            (_MI,),
            _at(
                f"Table_3 {_OLD_FIRST} {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} 10.2/3 10.2/9 {_BACKOUT} "
                "12.3.5/2 12.3.5/6 12.3.5/8"
            ),
        ),
        CatalogueEntry(
            31113,
            "DB replication manually disabled",
            (_MI,),
            _at(f"10.2/6 10.2/9 {_BACKOUT} 12.3.5/2 12.3.5/6 12.3.5/8"),
        ),
        CatalogueEntry(
            31114,
            "DB replication over SOAP has failed",
            (_MI,),
            _at(
                f"Table_3 {_OLD_FIRST} {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} 10.2/3 10.2/9 {_BACKOUT} "
                "12.3.5/2 12.3.5/6 12.3.5/8"
            ),
        ),
        CatalogueEntry(31126, "Audit blocked", (_MA,), _at("12.3.3/3 12.3.3/5 12.3.4/2")),
        CatalogueEntry(
            31227,
            "HA availability status failed",
            (_C,),
            _at(f"Table_3 8.1.1/11 9.1.1/10 10.2/3 10.2/9 {_BACKOUT} 12.3.5/2 12.3.5/8"),
        ),
        CatalogueEntry(
            31233,
            "HA Path Down",
            (_MA,),
            _at(f"Table_3 {_OLD_FIRST} {_OLD_SECOND} 10.2/3 {_BACKOUT} 12.3.5/2 12.3.5/6"),
        ),
        CatalogueEntry(31236, "HA Link Down", (_C, _MA), _at("12.3.5/2 12.3.5/6")),
        CatalogueEntry(
            31282,
            "HA Management Fault",
            (_MI,),
            _at(f"Table_3 {_SECONDARY} {_NEW_CMP} 10.2/3 {_BACKOUT}"),
        ),
        CatalogueEntry(
            31283,
            "Lost Communication with server",
            (_C,),
            _at(
                f"Table_3 {_OLD_FIRST} {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} 10.2/3 10.2/9 {_BACKOUT} "
                "12.3.5/2 12.3.5/6 12.3.5/8"
            ),
        ),
        CatalogueEntry(31284, "HA Remote Subscriber Heartbeat Warning", (_MI,), _at("12.3.5/6")),
        CatalogueEntry(
            70001,
            "QP_procmgr failed",
            (_C,),
            _at(
                f"Table_3 {_OLD_SECOND} {_SECONDARY} 8.1.1/18 9.1.1/17 10.2/3 10.2/9 {_BACKOUT} 12.3.5/2 12.3.5/8"
            ),
        ),
        CatalogueEntry(
            70004,
            "QP Processes down for maintenance",
            (_MA,),
            _at(
                f"Table_3 {_OLD_FIRST} {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} 10.2/3 10.2/9 {_BACKOUT} "
                "12.3.5/2 12.3.5/6 12.3.5/8"
            ),
        ),
        CatalogueEntry(70021, "QP slave database is unconnected to the master", (_MA,), _at(_OLD_FIRST)),
        CatalogueEntry(
            70025,
            "QP Slave database is a different version than the master",
            (_C,),
            _at(
                f"Table_3 6.1.1/12 6.1.1/16 6.1.1/20 7.1.1/12 7.1.1/16 {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} "
                "8.1.1/16 9.1.1/15 12.3.4/3 12.3.4/4"
            ),
        ),
        CatalogueEntry(
            70500,
            "System Mixed Version",
            (_MI,),
            _at(
                f"Table_3 6.1.1/20 7.1.1/20 {_OLD_SECOND} {_SECONDARY} 6.1.2/5 7.1.2/5 8.1.2/5 9.1.2/5 8.1.1/16 "
                f"{_NEW_CMP} 10.2/3 10.2/6 10.2/9 {_BACKOUT} 12.3.4/3 12.3.4/4 12.3.5/2 12.3.5/8"
            ),
        ),
        CatalogueEntry(
            70501,
            "Cluster Mixed Version",
            (_MI,),
            _at(
                f"Table_3 6.1.1/20 7.1.1/20 {_OLD_SECOND} {_SECONDARY} 8.1.1/16 {_NEW_CMP} 10.2/3 10.2/6 10.2/9 "
                f"{_BACKOUT} 12.3.4/3 12.3.5/2 12.3.5/8"
            ),
        ),
        CatalogueEntry(
            70502,
            "Cluster Replication Inhibited",
            (_MI,),
            _at(f"Table_3 10.2/6 10.2/9 {_BACKOUT} 12.3.5/2 12.3.5/8"),
        ),
        CatalogueEntry(
            70503,
            "Server Forced Standby",
            (_MI,),
            _at(
                f"Table_3 {_OLD_SECOND} {_SECONDARY} 8.1.1/16 {_NEW_CMP} 10.2/3 10.2/6 10.2/9 {_BACKOUT} "
                "12.3.4/3 12.3.5/2 12.3.5/8"
            ),
        ),
        CatalogueEntry(
            70507,
            "Upgrade In Progress",
            (_MI,),
            _at(f"Table_3 {_OLD_SECOND} {_SECONDARY} {_NEW_CMP} 10.2/3 10.2/9 {_BACKOUT} 12.3.5/2 12.3.5/8"),
        ),
        CatalogueEntry(71402, "Connectivity Lost", (_MI,), _at("10.2/6")),
        CatalogueEntry(
            78001,
            "Rsync Failed",
            (_MI,),
            _at(f"10.2/3 10.2/6 10.2/9 {_BACKOUT} 12.3.4/3 12.3.5/2 12.3.5/8"),
        ),
    )
}


class Standing(StrEnum):
    """What an alarm means here and now."""

    BASELINE = "baseline"  # a person has understood it before
    EXPECTED = "expected"
    OVERSTAYING = "overstaying"  # its step is over and so is its grace
    UNEXPECTED = "unexpected"


JUST_SEEN = "just seen, looking again"


@dataclass(frozen=True, slots=True)
class Judged:
    alarm: Alarm
    cluster: str | None  # of this site; None: a source that the site file does not know
    standing: Standing
    why: str

    @property
    def in_doubt(self) -> bool:
        """Nobody lists it, and it was seen too few times to say so."""
        return self.standing is Standing.EXPECTED and self.why == JUST_SEEN


NO_ALARMS = AlarmLists()


@dataclass(frozen=True, slots=True)
class StageAlarms:
    """The alarm lists of the rows that a cluster passes, by what its stage says."""

    first: AlarmLists  # row that starts the first server
    switched: AlarmLists  # row that lists the alarms after the failover
    second: AlarmLists  # row that starts the second server
    done: frozenset[int] = frozenset()  # may stand on a finished cluster while the rest is not
    forced: frozenset[int] = frozenset()  # may stand once the standby was forced (6.1.1/9)
    # the same of a backout: 12.3.3/2, 3, 5 and their sisters in 12.3.4 and 12.3.5
    back_first: AlarmLists = NO_ALARMS
    back_switched: AlarmLists = NO_ALARMS
    back_second: AlarmLists = NO_ALARMS

    def listed(self, stage: Stage, *, back: bool = False) -> frozenset[int]:
        """Numbers that may stand on the cluster itself in this stage; ``back``: it is being backed out."""
        switched = self.switched.during | self.switched.after
        back_switched = self.back_switched.during | self.back_switched.after
        if back and stage in (Stage.SWITCHED, Stage.FIRST_DONE, Stage.MOVING, Stage.FORCED, Stage.FRESH):
            returned = self.back_second.after if stage in (Stage.FORCED, Stage.FRESH) else frozenset()
            return back_switched | self.back_first.after | returned
        return {
            Stage.FRESH: frozenset(),
            Stage.FORCED: self.forced,
            Stage.FIRST_RUNNING: self.first.during | self.first.after,
            Stage.FIRST_DONE: self.first.after | switched,
            Stage.SWITCHED: switched,
            Stage.SECOND_RUNNING: self.second.during | self.second.after,
            Stage.DONE: self.second.after | self.done,
            Stage.MOVING: switched | self.first.during,
            Stage.BACK_FIRST: self.back_first.during | self.back_first.after,
            Stage.BACK_SECOND: self.back_second.during | self.back_second.after,
        }.get(stage, frozenset())

    def awaited(self, stage: Stage, *, back: bool = False) -> frozenset[int]:
        """Numbers that the row of this stage lists for just now: what it lists for later does not count as absent.

        None for a cluster at rest on one release, and for one between two states.
        """
        if back and stage in (Stage.SWITCHED, Stage.FIRST_DONE):
            return self.back_first.after if stage is Stage.SWITCHED else self.back_switched.after
        return {
            Stage.FORCED: self.forced,
            Stage.FIRST_RUNNING: self.first.during,
            Stage.FIRST_DONE: self.first.after,
            Stage.SWITCHED: self.switched.after or self.switched.during,
            Stage.SECOND_RUNNING: self.second.during,
            Stage.BACK_FIRST: self.back_first.during,
            Stage.BACK_SECOND: self.back_second.during,
        }.get(stage, frozenset())


def absent(
    alarms: Iterable[Alarm],
    site: Site,
    states: Mapping[str, ClusterState],
    lists: Mapping[str, StageAlarms],
) -> list[tuple[int, str]]:
    """What is expected and does not stand: (number, cluster), by cluster in the order of the site.

    The document says of its lists that these alarms "may be generated", so an absent one is told and decides nothing.
    One that is system-wide is there when it stands anywhere.
    """
    there = {(alarm.number, _cluster_name(site, alarm.source)) for alarm in alarms}
    anywhere = {number for number, _ in there} & (REPLICATION | {SYSTEM_MIXED})
    return [
        (number, cluster.name)
        for cluster in site.clusters
        if (state := states.get(cluster.name)) is not None
        for number in sorted(
            lists[cluster.name].awaited(state.stage, back=state.going_back(site.target_release))
        )
        if number not in anywhere and (number, cluster.name) not in there
    ]


def _cluster_name(site: Site, source: str) -> str | None:
    cluster = site.cluster_of(source)
    return cluster.name if cluster is not None else None


def judge(
    alarms: Iterable[Alarm],
    site: Site,
    states: Mapping[str, ClusterState],
    lists: Mapping[str, StageAlarms],
) -> list[Judged]:
    """Each alarm with what it means now: baseline, expected or unexpected (time is `AlarmWatch`'s business)."""
    accepted = {(a.number, a.source) for a in site.accepted_alarms}
    numbers = {
        name: lists[name].listed(state.stage, back=state.going_back(site.target_release))
        for name, state in states.items()
    }
    mixed = any(state.stage is not Stage.FRESH for state in states.values()) and any(
        state.stage is not Stage.DONE for state in states.values()
    )
    # the replication of the CMP reaches every server when a CMP is worked on; else it shows on the CMP only
    everywhere: set[int] = {SYSTEM_MIXED} if mixed else set()
    on_cmp: set[int] = set()
    for each in states:
        listed = numbers[each] & REPLICATION
        on_cmp |= listed
        if is_cmp(site, each):
            everywhere |= listed
    judged = []
    for alarm in alarms:
        cluster = site.cluster_of(alarm.source)
        name = cluster.name if cluster else None
        if (alarm.number, alarm.source) in accepted:
            judged.append(Judged(alarm, name, Standing.BASELINE, "accepted in the site file"))
        elif alarm.number == PENDING_ACCEPT:
            judged.append(
                Judged(alarm, name, Standing.EXPECTED, "stands until a later release accepts the upgrade")
            )
        elif alarm.number in everywhere or (alarm.number in on_cmp and is_cmp(site, name)):
            judged.append(Judged(alarm, name, Standing.EXPECTED, "system-wide while releases differ"))
        elif (
            name is not None
            and name in states
            and alarm.number != SYSTEM_MIXED
            and alarm.number in numbers[name]
        ):
            judged.append(
                Judged(alarm, name, Standing.EXPECTED, f"listed while {name} has {states[name].stage}")
            )
        else:
            where = f"{name}: {states[name].stage}" if name is not None and name in states else "no step"
            judged.append(Judged(alarm, name, Standing.UNEXPECTED, f"not listed for {where}"))
    return judged


@dataclass(slots=True)
class AlarmWatch:
    """Follows alarms over time: what was expected may overstay for a grace, what never was is unexpected.

    ``grace`` in seconds of the site's clock; ``readings``: so many readings in a row must show it.
    """

    grace: float
    readings: int
    _unexplained: dict[tuple[int, str], tuple[float, int, bool]] = field(default_factory=dict)
    _was_expected: dict[tuple[int, str], float] = field(default_factory=dict)

    def look(self, judged: Iterable[Judged], at: float, *, anew: bool = True) -> list[Judged]:
        """Take in one reading (``at``: its monotonic time) and return it with overstaying ones settled.

        ``anew``: the alarms were read for this reading, not carried over from the one before.

        A fresh unexplained alarm stays EXPECTED-in-doubt (not returned as unexpected) until it was seen in
        ``readings`` readings; one that was expected before, until its grace is over.
        """
        seen: set[tuple[int, str]] = set()
        result: list[Judged] = []
        for item in judged:
            key = item.alarm.key
            seen.add(key)
            if item.standing is not Standing.UNEXPECTED:
                self._was_expected[key] = at
                self._unexplained.pop(key, None)
                result.append(item)
                continue
            # what was expected long ago and comes again is another alarm
            before = self._was_expected.get(key)
            just_over = before is not None and at - before <= self.grace
            since, count, known = self._unexplained.get(key, (at, 0, just_over))
            count += anew
            self._unexplained[key] = (since, count, known)
            if known and at - since <= self.grace:
                result.append(Judged(item.alarm, item.cluster, Standing.EXPECTED, "its step is just over"))
            elif known:
                result.append(
                    Judged(
                        item.alarm,
                        item.cluster,
                        Standing.OVERSTAYING,
                        "it should have cleared after its step",
                    )
                )
            elif count < self.readings:
                result.append(Judged(item.alarm, item.cluster, Standing.EXPECTED, JUST_SEEN))
            else:
                result.append(item)
        for key in set(self._unexplained) - seen:
            del self._unexplained[key]
        return result


def is_cmp(site: Site, cluster: str | None) -> bool:
    return cluster is not None and site.cluster(cluster).kind is Kind.CMP
