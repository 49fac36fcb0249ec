"""Each safety rule: what it refuses, and what it does not."""

from __future__ import annotations

import pytest

from mopflow import rules
from mopflow.alarms import Judged, Standing
from mopflow.console.protocol import LogLine
from mopflow.release import Release
from mopflow.rules import FOLLOWS, LIMIT, StartSeen
from mopflow.site import Cluster, Segment, Server, Site
from mopflow.step import Answer, Finding, Refusal
from mopflow.system import (
    Alarm,
    ClusterState,
    Kind,
    Operation,
    Role,
    ServerState,
    Severity,
    Stage,
    UpToDate,
    read_cluster,
)
from tests.pure.small_system import SOURCE, TARGET, alarm, small_site

RUNS = "[Step 20] 4% Initiate upgrade - Initiate upgrade (Elapsed Time: 0:00:33)"
DONE = "Initiate upgrade Completed Successfully at Jul 12, 2016 13:14:59."


def the_site(clusters: int = 6) -> Site:
    site = small_site()
    more = tuple(
        Cluster(
            name=f"mpe-{n}",
            kind=Kind.MPE,
            servers=tuple(Server(name=f"mpe-{n}{x}", address=f"127.0.8.{n}{i}") for i, x in enumerate("ab")),
        )
        for n in range(1, clusters + 1)
    )
    return site.model_copy(update={"segments": (Segment(name="segment-1", clusters=more),)})


SITE = the_site()


def row(name: str, role: Role, release: str, operation: str = "n/a", *, broken: bool = False) -> ServerState:
    cluster = name[:-1]
    return ServerState(
        name, cluster, role, Release.parse(release), "", UpToDate.NO, Operation.read(operation), broken, None
    )


def state(*servers: ServerState) -> ClusterState:
    return read_cluster(servers[0].cluster, servers, Release.parse(SOURCE), Release.parse(TARGET))


def at(cluster: str, stage: Stage) -> ClusterState:
    """A cluster in this stage."""
    a, b = f"{cluster}a", f"{cluster}b"
    active, standby, forced, oos = Role.ACTIVE, Role.STANDBY, Role.FORCED_STANDBY, Role.OOS
    made = {
        Stage.FRESH: (row(a, active, SOURCE), row(b, standby, SOURCE)),
        Stage.FIRST_RUNNING: (row(a, active, SOURCE), row(b, oos, SOURCE, RUNS)),
        Stage.FIRST_DONE: (row(a, active, SOURCE), row(b, forced, TARGET, DONE)),
        Stage.SWITCHED: (row(a, forced, SOURCE), row(b, active, TARGET, DONE)),
        Stage.SECOND_RUNNING: (row(a, oos, SOURCE, RUNS), row(b, active, TARGET)),
        Stage.DONE: (row(a, standby, TARGET, DONE), row(b, active, TARGET)),
        Stage.MOVING: (row(a, standby, SOURCE), row(b, standby, SOURCE)),
        Stage.ODD: (row(a, active, SOURCE), row(b, active, SOURCE)),
        Stage.FORCED: (row(a, active, SOURCE), row(b, forced, SOURCE)),
        Stage.BACK_FIRST: (
            row(a, active, TARGET),
            row(b, oos, TARGET, "[Step 2] 3% Initiate backout - x (Elapsed Time: 0:00:33)"),
        ),
        Stage.BACK_SECOND: (
            row(a, active, SOURCE),
            row(b, oos, TARGET, "[Step 2] 3% Initiate backout - x (Elapsed Time: 0:00:33)"),
        ),
    }[stage]
    found = state(*made)
    assert found.stage is stage
    return found


def system(**stages: Stage) -> dict[str, ClusterState]:
    wanted = {"cmp_1": Stage.DONE, "cmp_2": Stage.DONE} | stages
    return {c.name: at(c.name, wanted.get(c.name.replace("-", "_"), Stage.FRESH)) for c in SITE.clusters}


def named(refusals: object) -> list[tuple[str, bool]]:
    return [(r.rule, r.passing) for r in refusals]  # type: ignore[attr-defined]


MPE = SITE.cluster("mpe-1")


# R1, R13


@pytest.mark.parametrize(
    "cluster, stages, refused",
    [
        ("cmp-1", {"cmp_1": Stage.FRESH, "cmp_2": Stage.FRESH}, []),
        ("cmp-1", {"cmp_1": Stage.SWITCHED, "cmp_2": Stage.FRESH}, []),
        ("cmp-2", {"cmp_2": Stage.FRESH}, []),
        ("cmp-2", {"cmp_1": Stage.FRESH, "cmp_2": Stage.FRESH}, ["R1"]),
        ("cmp-2", {"cmp_1": Stage.SECOND_RUNNING, "cmp_2": Stage.FRESH}, ["R1"]),
        ("mpe-1", {}, []),
        ("mpe-1", {"cmp_2": Stage.SECOND_RUNNING}, ["R1"]),
        ("mpe-1", {"cmp_1": Stage.FRESH, "cmp_2": Stage.FRESH}, ["R1", "R1"]),
        ("mpe-1", {"cmp_1": Stage.MOVING}, ["R1"]),
        ("cmp-1", {"cmp_1": Stage.FRESH, "cmp_2": Stage.FRESH, "mpe_3": Stage.DONE}, ["R13"]),
        ("cmp-1", {"cmp_1": Stage.FRESH, "cmp_2": Stage.FRESH, "mpe_3": Stage.SWITCHED}, ["R13"]),
    ],
)
def test_order(cluster: str, stages: dict[str, Stage], refused: list[str]) -> None:
    found = list(rules.order(SITE, SITE.cluster(cluster), system(**stages)))
    assert [r.rule for r in found] == refused
    assert not any(r.passing for r in found)


def test_order_without_a_secondary() -> None:
    site = SITE.model_copy(update={"cmp": SITE.cmp.model_copy(update={"secondary": None})})
    states = system()
    del states["cmp-2"]
    assert list(rules.order(site, MPE, states)) == []


# R2

BUSY = [s for s in Stage if s not in (Stage.FRESH, Stage.DONE)]


@pytest.mark.parametrize("stage", BUSY)
def test_room_is_counted_on_the_live_system(stage: Stage) -> None:
    four = {f"mpe_{n}": stage for n in range(2, 2 + LIMIT)}
    three = dict(list(four.items())[:-1])
    assert named(rules.room(SITE, MPE, system(**four))) == [("R2", True)]
    assert named(rules.room(SITE, MPE, system(**three))) == []
    assert named(rules.room(SITE, MPE, system(**three, mpe_1=Stage.SWITCHED))) == []  # itself does not count


def test_room_is_for_mpe_and_mra() -> None:
    four = {f"mpe_{n}": Stage.FIRST_RUNNING for n in range(2, 6)}
    assert named(rules.room(SITE, SITE.cmp.primary, system(**four))) == []


# R3


def paced(stagger: float) -> Site:
    return SITE.model_copy(update={"pace": SITE.pace.model_copy(update={"stagger": stagger})})


@pytest.mark.parametrize(
    "ago, refused", [(0.0, [("R3", True)]), (59.9, [("R3", True)]), (60.0, []), (1e6, [])]
)
def test_a_minute_between_starts(ago: float, refused: list[tuple[str, bool]]) -> None:
    last = StartSeen("mpe-2", "mpe-2b", ago)
    assert named(rules.stagger(paced(60), MPE, system(), last)) == refused


def test_the_first_start_waits_for_nothing() -> None:
    assert named(rules.stagger(paced(60), MPE, system(), None)) == []


@pytest.mark.parametrize("role", [Role.STANDBY, Role.FORCED_STANDBY])
def test_not_before_the_one_before_shows_oos(role: Role) -> None:
    states = system()
    states["mpe-2"] = state(row("mpe-2a", Role.ACTIVE, SOURCE), row("mpe-2b", role, SOURCE, RUNS))
    assert named(rules.stagger(SITE, MPE, states, None)) == [("R3", True)]
    assert named(rules.stagger(SITE, MPE, system(mpe_2=Stage.FIRST_RUNNING), None)) == []
    assert named(rules.stagger(SITE, SITE.cmp.primary, states, None)) == []


@pytest.mark.parametrize(
    "role, operation, shown",
    [
        (Role.OOS, RUNS, Answer.YES),
        (Role.OFFLINE, RUNS, Answer.YES),
        (Role.ZOMBIE, "n/a", Answer.YES),
        (Role.STANDBY, DONE, Answer.YES),
        (Role.STANDBY, "Initiate upgrade Failed at noon", Answer.YES),
        (Role.STANDBY, RUNS, Answer.NO),
        (Role.STANDBY, "before", Answer.NO),
    ],
)
def test_a_start_shows_itself(role: Role, operation: str, shown: Answer) -> None:
    seen = state(row("mpe-1a", Role.ACTIVE, SOURCE), row("mpe-1b", role, SOURCE, operation))
    assert rules.shows_started(seen, "mpe-1b", "before").answer is shown
    assert rules.shows_started(seen, "mpe-1b", operation).answer is (
        Answer.YES if role not in (Role.STANDBY,) else Answer.NO
    )
    assert rules.shows_started(seen, "mpe-9b", "before").answer is Answer.UNKNOWN


# R5, R6, R7, R9 at a start


def start(made: ClusterState, server: ServerState | str | None = "other") -> list[tuple[str, bool]]:
    states = system() | {"mpe-1": made}
    who = made.other if server == "other" else server
    assert not isinstance(who, str)
    return named(rules.start(SITE, MPE, states, who))


@pytest.mark.parametrize("stage", [Stage.FRESH, Stage.SWITCHED])
def test_start(stage: Stage) -> None:
    assert start(at("mpe-1", stage)) == []


@pytest.mark.parametrize("stage", [s for s in Stage if s not in (Stage.FRESH, Stage.SWITCHED)])
def test_no_start_elsewhere(stage: Stage) -> None:
    assert start(at("mpe-1", stage)) == [("R7", stage is not Stage.ODD)]


def test_never_the_active_server() -> None:
    made = at("mpe-1", Stage.FRESH)
    assert start(made, made.active) == [("R5", False)]
    assert start(made, None) == [("R5", True)]


@pytest.mark.parametrize("broken", ["a", "b"])
def test_no_start_out_of_sync(broken: str) -> None:
    made = state(
        row("mpe-1a", Role.ACTIVE, SOURCE, broken=broken == "a"),
        row("mpe-1b", Role.STANDBY, SOURCE, broken=broken == "b"),
    )
    assert start(made) == [("R9", True)]


# R4, R5, R6, R9 at a failover

YES, NO = Finding.yes("it is so"), Finding.no("it is not so")


def failover(
    made: ClusterState,
    alarms: tuple[Alarm, ...] = (),
    replication: Finding = YES,
    reachable: Finding = YES,
    *,
    to_new: bool = True,
) -> list[tuple[str, bool]]:
    states = system() | {"mpe-1": made}
    return named(rules.failover(SITE, MPE, states, alarms, replication, reachable, to_new=to_new))


def test_failover() -> None:
    assert failover(at("mpe-1", Stage.FIRST_DONE)) == []
    assert failover(at("mpe-1", Stage.SWITCHED), to_new=False) == []
    # the replication of the old release's server is not asked for on the way back
    assert failover(at("mpe-1", Stage.SWITCHED), replication=NO, to_new=False) == []


@pytest.mark.parametrize("to_new", [True, False])
@pytest.mark.parametrize("stage", list(Stage))
def test_failover_from_its_one_stage_only(stage: Stage, to_new: bool) -> None:
    ready = Stage.FIRST_DONE if to_new else Stage.SWITCHED
    wanted = [] if stage is ready else [("R4", stage is Stage.MOVING)]
    assert failover(at("mpe-1", stage), to_new=to_new) == wanted


@pytest.mark.parametrize("to_new", [True, False])
def test_no_failover_to_an_unreachable_mate(to_new: bool) -> None:
    stage = Stage.FIRST_DONE if to_new else Stage.SWITCHED
    for reachable in (NO, Finding.unknown("nobody knows")):
        assert failover(at("mpe-1", stage), reachable=reachable, to_new=to_new) == [("R4", True)]


def test_no_failover_without_replication() -> None:
    for replication in (NO, Finding.unknown("nobody knows")):
        assert failover(at("mpe-1", Stage.FIRST_DONE), replication=replication) == [("R9", True)]


def test_no_failover_with_the_sync_broken_mark() -> None:
    made = state(
        row("mpe-1a", Role.ACTIVE, SOURCE), row("mpe-1b", Role.FORCED_STANDBY, TARGET, DONE, broken=True)
    )
    assert failover(made) == [("R9", True)]


def test_a_printed_standby_needs_the_proof_of_alarm_70503() -> None:
    made = state(row("mpe-1a", Role.ACTIVE, SOURCE), row("mpe-1b", Role.STANDBY, TARGET, DONE))
    assert failover(made) == [("R6", True)]
    assert failover(made, (alarm(70503, "mpe-1a"),)) == [("R6", True)]  # on that very server
    assert failover(made, (alarm(70503, "mpe-1b"),)) == []


# R9: the Upgrade Log


def line(number: int, action: str, host: str = "mpe-1b", result: str = "Success") -> LogLine:
    return LogLine(number, 0, action, "", "", "", "Server", host, result, "Automatic", "")


UP, WAIT = "Initiate upgrade", "Wait for replication to sync..."


@pytest.mark.parametrize(
    "lines, answer",
    [
        ([line(1, UP), line(2, WAIT)], Answer.YES),
        ([line(2, WAIT), line(1, UP)], Answer.YES),  # the order on the page says nothing
        ([], Answer.NO),
        ([line(1, UP)], Answer.NO),
        ([line(2, WAIT)], Answer.NO),
        ([line(1, UP), line(2, WAIT, result="")], Answer.NO),
        ([line(1, UP), line(2, WAIT, result="Failed")], Answer.NO),
        ([line(1, UP), line(2, WAIT, result="Success?")], Answer.NO),
        ([line(1, UP), line(2, WAIT), line(3, UP)], Answer.NO),  # of an earlier upgrade
        ([line(1, UP), line(2, WAIT, "mpe-1a")], Answer.NO),  # of its mate
        ([line(1, UP), line(2, WAIT), line(3, WAIT, result="Failed")], Answer.NO),
    ],
)
def test_replicated(lines: list[LogLine], answer: Answer) -> None:
    server = row("mpe-1b", Role.FORCED_STANDBY, TARGET, DONE)
    assert rules.replicated(server, lines).answer is answer
    broken = row("mpe-1b", Role.FORCED_STANDBY, TARGET, DONE, broken=True)
    assert rules.replicated(broken, lines).answer is Answer.NO


# R8


def test_a_stop_refuses_everyone() -> None:
    assert named(rules.stopped(MPE, [])) == []
    assert named(rules.stopped(MPE, ["mpe-2 stopped", "mpe-3 stopped"])) == [(FOLLOWS, False)] * 2


def trouble(made: ClusterState, *alarms: Alarm) -> str | None:
    judged = [Judged(a, "mpe-1", Standing.UNEXPECTED, "") for a in alarms]
    found = rules.trouble(made, judged)
    assert found is None or isinstance(found, Refusal)
    return found.rule if found else None


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.ODD])
def test_no_trouble_in_any_stage_of_the_procedure(stage: Stage) -> None:
    assert trouble(at("mpe-1", stage)) is None
    assert trouble(at("mpe-1", stage), alarm(31283, "mpe-1a")) is None


@pytest.mark.parametrize("stage", list(Stage))
def test_a_failed_operation_alarm_is_trouble_in_every_stage(stage: Stage) -> None:
    assert trouble(at("mpe-1", stage), alarm(70506, "mpe-1a", Severity.MAJOR)) == "R8"


@pytest.mark.parametrize(
    "role, operation, rule",
    [
        (Role.ZOMBIE, "n/a", "R8"),
        (Role.SPARE, "n/a", "R17"),
        (Role.UNKNOWN, "n/a", "R8"),
        (Role.STANDBY, "Initiate upgrade Failed at noon", "R8"),
        (Role.STANDBY, "something else", "R8"),  # a status other than the documented one
        (Role.OOS, "something else", "R8"),
        (Role.OOS, "", None),
        (Role.OFFLINE, "n/a", None),
    ],
)
def test_trouble(role: Role, operation: str, rule: str | None) -> None:
    assert trouble(state(row("mpe-1a", Role.ACTIVE, SOURCE), row("mpe-1b", role, SOURCE, operation))) == rule


def test_what_a_finished_cluster_says_of_its_past_is_no_trouble() -> None:
    made = state(
        row("mpe-1a", Role.ACTIVE, TARGET, "Initiate upgrade Failed at noon"),
        row("mpe-1b", Role.STANDBY, TARGET, "odd words"),
    )
    assert made.stage is Stage.DONE
    assert trouble(made) is None


def test_a_refusal_reads_as_a_sentence() -> None:
    assert str(Refusal("R2", "4 clusters are in upgrade already")) == "R2: 4 clusters are in upgrade already"
