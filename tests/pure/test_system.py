"""What the cells of the Upgrade Manager mean, and what the rows of one cluster mean together."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopflow.errors import UnreadableReply
from mopflow.release import Release
from mopflow.system import (
    Alarm,
    ClusterState,
    Doing,
    Operation,
    Role,
    ServerState,
    Severity,
    Snapshot,
    Stage,
    UpToDate,
    read_cluster,
)

SOURCE, TARGET = Release.parse("12.1.1.0.0_14.1.0"), Release.parse("12.1.2.0.0_22.1.0")
OTHER_BUILD = Release.parse("12.1.2.0.0_23.1.0")
RUNS = "[Step 20] 4% Initiate upgrade - Initiate upgrade (Elapsed Time: 0:00:33)"
BACKS_OUT = "[Step 20] 4% Initiate backout - Initiate backout (Elapsed Time: 0:00:33)"
DONE = "Initiate upgrade Completed Successfully at Jul 12, 2016 13:14:59."


# cells


@pytest.mark.parametrize(
    "cell, doing, percent, backout",
    [
        ("n/a", Doing.NOTHING, None, False),  # Figure 3
        ("N/A", Doing.NOTHING, None, False),  # Figure 1
        ("", Doing.NOTHING, None, False),
        ("  ", Doing.NOTHING, None, False),
        (DONE, Doing.SUCCEEDED, 100, False),
        ("Initiate upgrade Completed Successfully at Feb 8, 2015 21:30:15", Doing.SUCCEEDED, 100, False),
        (
            "Initial upgrade Completed Successfully at Sep 28, 2016 0:08:14",
            Doing.SUCCEEDED,
            100,
            False,
        ),  # 12.3.3
        ("Initial backout Completed Successfully at Sep 28, 2016 1:20:02", Doing.SUCCEEDED, 100, True),
        (RUNS, Doing.RUNNING, 4, False),
        (BACKS_OUT, Doing.RUNNING, 4, True),
        (
            "[Step 1]\n 0% Initiate upgrade -\n Preflight Check (Elapsed Time: 0:00:03)",
            Doing.RUNNING,
            0,
            False,
        ),
        ("Rollback in progress", Doing.RUNNING, None, True),
        ("Initiate upgrade Failed at Jul 12, 2016 13:14:59", Doing.FAILED, None, False),
        ("Initiate backout failed: see the log", Doing.FAILED, None, True),
        ("[Step 3] 7% Initiate upgrade - failure of the preflight check", Doing.FAILED, None, False),
        # fails closed
        ("Initiate upgrade was not Completed Successfully", Doing.UNKNOWN, None, False),
        ("Initiate upgrade Completed Successfully, replication failed", Doing.FAILED, None, False),
        ("Completed with errors", Doing.UNKNOWN, None, False),
        ("Completed Successfullyish", Doing.UNKNOWN, None, False),
        ("NS", Doing.UNKNOWN, None, False),
        ("-", Doing.UNKNOWN, None, False),
    ],
)
def test_operation(cell: str, doing: Doing, percent: int | None, backout: bool) -> None:
    read = Operation.read(cell)
    assert (read.doing, read.percent, read.backout) == (doing, percent, backout)
    assert read.text == " ".join(cell.split())


@given(st.text())
def test_any_operation_is_read_and_never_as_good_by_chance(cell: str) -> None:
    read = Operation.read(cell)
    if read.doing is Doing.SUCCEEDED:
        assert "completed successfully" in read.text.lower()
        assert "fail" not in read.text.lower().split()
    if read.doing is Doing.NOTHING:
        assert read.text.lower() in ("", "n/a", "na")


@pytest.mark.parametrize(
    "cell, role",
    [
        ("Active", Role.ACTIVE),
        (" standby ", Role.STANDBY),
        ("Forced Standby", Role.FORCED_STANDBY),
        ("Force Standby", Role.FORCED_STANDBY),
        ("Forced\nStandby", Role.FORCED_STANDBY),
        ("OOS", Role.OOS),
        ("Out of Service", Role.OOS),
        ("Offline", Role.OFFLINE),
        ("Zombie", Role.ZOMBIE),
        ("Spare", Role.SPARE),
        ("", Role.UNKNOWN),
        ("Activee", Role.UNKNOWN),
        ("Not Active", Role.UNKNOWN),
        ("Active (unreachable)", Role.UNKNOWN),
    ],
)
def test_role(cell: str, role: Role) -> None:
    assert Role.read(cell) is role


@given(st.text())
def test_no_cell_breaks_the_reading(cell: str) -> None:
    assert Role.read(cell) in Role
    assert UpToDate.read(cell) in UpToDate
    assert Severity.read(cell) in Severity


@pytest.mark.parametrize(
    "cell, answer",
    [
        ("Y", UpToDate.YES),
        ("n", UpToDate.NO),
        ("N/A", UpToDate.NOT_APPLICABLE),
        ("", UpToDate.UNKNOWN),
        ("Yes", "unknown"),
    ],
)
def test_up_to_date(cell: str, answer: UpToDate) -> None:
    assert UpToDate.read(cell) == answer


def test_severity() -> None:
    assert [Severity.read(w) for w in ("Critical", "major", " Minor ", "Info", "?")] == [
        Severity.CRITICAL,
        Severity.MAJOR,
        Severity.MINOR,
        Severity.INFO,
        Severity.UNKNOWN,
    ]
    assert min(Severity.MINOR, Severity.CRITICAL).word == "Critical"


# one cluster


def server(
    name: str,
    role: Role,
    release: Release | None,
    operation: str = "n/a",
) -> ServerState:
    return ServerState(name, "mpe-1", role, release, "", UpToDate.NO, Operation.read(operation), False, None)


def read(*servers: ServerState) -> ClusterState:
    return read_cluster("mpe-1", servers, SOURCE, TARGET)


def pair(role: Role, active: Release | None, other: Release | None, operation: str = "n/a") -> ClusterState:
    return read(server("a", Role.ACTIVE, active), server("b", role, other, operation))


STANDBY, FORCED, OOS = Role.STANDBY, Role.FORCED_STANDBY, Role.OOS


@pytest.mark.parametrize(
    "role, active, other, operation, stage",
    [
        (STANDBY, SOURCE, SOURCE, "n/a", Stage.FRESH),
        (STANDBY, SOURCE, SOURCE, RUNS, Stage.FIRST_RUNNING),  # preflight
        (FORCED, SOURCE, SOURCE, RUNS, Stage.FIRST_RUNNING),
        (OOS, SOURCE, SOURCE, RUNS, Stage.FIRST_RUNNING),
        (OOS, SOURCE, None, "", Stage.FIRST_RUNNING),  # away: nothing of it can be read
        (OOS, SOURCE, TARGET, RUNS, Stage.FIRST_RUNNING),
        (STANDBY, SOURCE, TARGET, DONE, Stage.FIRST_DONE),  # 12.x may print Standby
        (FORCED, SOURCE, TARGET, DONE, Stage.FIRST_DONE),
        (FORCED, TARGET, SOURCE, "n/a", Stage.SWITCHED),
        (STANDBY, TARGET, SOURCE, "n/a", Stage.SWITCHED),
        (OOS, TARGET, SOURCE, RUNS, Stage.SECOND_RUNNING),
        (STANDBY, TARGET, SOURCE, RUNS, Stage.SECOND_RUNNING),
        (OOS, TARGET, TARGET, RUNS, Stage.SECOND_RUNNING),
        (STANDBY, TARGET, TARGET, DONE, Stage.DONE),
        (OOS, SOURCE, TARGET, BACKS_OUT, Stage.BACK_SECOND),
        (OOS, TARGET, TARGET, BACKS_OUT, Stage.BACK_FIRST),
        # between two states
        (FORCED, SOURCE, SOURCE, "n/a", Stage.FORCED),
        (FORCED, TARGET, TARGET, DONE, Stage.MOVING),
        (Role.OFFLINE, SOURCE, SOURCE, "n/a", Stage.MOVING),
        (Role.OFFLINE, TARGET, None, "n/a", Stage.MOVING),
        # not states of the procedure
        (Role.ACTIVE, SOURCE, SOURCE, "n/a", Stage.ODD),
        (Role.ACTIVE, SOURCE, TARGET, "n/a", Stage.ODD),
        (Role.ZOMBIE, SOURCE, SOURCE, "n/a", Stage.ODD),
        (Role.SPARE, SOURCE, SOURCE, "n/a", Stage.ODD),
        (Role.UNKNOWN, SOURCE, SOURCE, "n/a", Stage.ODD),
        (STANDBY, None, SOURCE, "n/a", Stage.ODD),
        (STANDBY, SOURCE, None, "n/a", Stage.ODD),
        (STANDBY, OTHER_BUILD, SOURCE, "n/a", Stage.ODD),
        (STANDBY, SOURCE, OTHER_BUILD, "n/a", Stage.ODD),
        (STANDBY, Release.parse("12.0.0"), SOURCE, "n/a", Stage.ODD),
        (STANDBY, SOURCE, Release.parse("13.1.0"), "n/a", Stage.ODD),
    ],
)
def test_stage(
    role: Role, active: Release | None, other: Release | None, operation: str, stage: Stage
) -> None:
    state = pair(role, active, other, operation)
    assert state.stage is stage, state.why
    mirrored = read(server("b", role, other, operation), server("a", Role.ACTIVE, active))
    assert mirrored.stage is stage
    if stage not in (Stage.ODD, Stage.MOVING):
        for read_so in (state, mirrored):
            assert read_so.active is not None
            assert read_so.other is not None
            assert (read_so.active.name, read_so.other.name) == ("a", "b")


def test_an_operation_on_the_active_server_is_odd() -> None:
    state = read(server("a", Role.ACTIVE, SOURCE, RUNS), server("b", STANDBY, SOURCE))
    assert state.stage is Stage.ODD
    assert "active server a" in state.why


def test_nobody_active() -> None:
    state = read(server("a", STANDBY, SOURCE), server("b", OOS, TARGET))
    assert state.stage is Stage.MOVING
    assert "no server of mpe-1 is Active" in state.why


@pytest.mark.parametrize("count", [0, 1, 3])
def test_not_a_pair(count: int) -> None:
    state = read(*(server(f"s{n}", Role.ACTIVE, SOURCE) for n in range(count)))
    assert state.stage is Stage.ODD
    assert "not a pair" in state.why


def test_builds_of_the_target_differ_but_not_those_of_the_source() -> None:
    patched = Release.parse("12.1.1.0.0_15.2.0")
    assert pair(STANDBY, patched, SOURCE).stage is Stage.FRESH
    assert pair(STANDBY, Release.parse("12.1.2.0_22.1.0"), TARGET).stage is Stage.DONE


releases = st.sampled_from(
    [None, SOURCE, TARGET, OTHER_BUILD, Release.parse("12.0.0"), Release.parse("10.5.6_1.1.0")]
)
cells = st.one_of(
    st.sampled_from(["n/a", "", RUNS, BACKS_OUT, DONE, "Initiate upgrade Failed at noon", "NS"]),
    st.text(max_size=12),
)
states = st.builds(server, st.just("a"), st.sampled_from(list(Role)), releases, cells)


def on(release: Release | None, wanted: Release) -> bool:
    return release is not None and (
        release.same_build(wanted) if wanted is TARGET else release.same_release(wanted)
    )


@given(states, states)
def test_no_stage_that_its_definition_does_not_allow(one: ServerState, two: ServerState) -> None:
    two = ServerState(**{f: getattr(two, f) for f in ServerState.__slots__} | {"name": "b"})  # type: ignore[arg-type]
    state = read(one, two)
    assert state.why
    roles = {one.role, two.role}
    actives = [s for s in (one, two) if s.role is Role.ACTIVE]
    if state.stage in (Stage.ODD, Stage.MOVING):
        return
    assert len(actives) == 1
    (active,) = actives
    other = two if active is one else one
    assert (state.active, state.other) == (active, other)
    assert not roles & {Role.ZOMBIE, Role.SPARE, Role.UNKNOWN}
    assert active.operation.doing is not Doing.RUNNING
    works = other.role is OOS or other.operation.doing is Doing.RUNNING
    assert other.role is not Role.OFFLINE or works  # it may be away while it is worked on
    match state.stage:
        case Stage.FRESH:
            assert on(active.release, SOURCE) and on(other.release, SOURCE) and other.role is STANDBY
            assert not works
        case Stage.FIRST_RUNNING:
            assert on(active.release, SOURCE) and works
        case Stage.FIRST_DONE:
            assert on(active.release, SOURCE) and on(other.release, TARGET) and not works
        case Stage.SWITCHED:
            assert on(active.release, TARGET) and on(other.release, SOURCE) and not works
        case Stage.SECOND_RUNNING:
            assert on(active.release, TARGET) and works
        case Stage.DONE:
            assert on(active.release, TARGET) and on(other.release, TARGET) and other.role is STANDBY
            assert not works
        case Stage.FORCED:
            assert on(active.release, SOURCE) and on(other.release, SOURCE) and other.role is FORCED
            assert not works
        case Stage.BACK_FIRST:
            assert works and other.operation.backout and on(active.release, TARGET)
        case Stage.BACK_SECOND:
            assert works and other.operation.backout and on(active.release, SOURCE)


@given(st.lists(states, max_size=4))
def test_any_rows_are_read(servers: list[ServerState]) -> None:
    state = read(*servers)
    if len(servers) != 2:
        assert state.stage is Stage.ODD
    assert state.in_upgrade == (state.stage not in (Stage.FRESH, Stage.DONE))


def test_the_order_of_stages() -> None:
    along = [s for s in sorted(Stage, key=lambda s: s.order) if s.order >= 0]
    assert along == [
        Stage.FRESH,
        Stage.FIRST_RUNNING,
        Stage.FIRST_DONE,
        Stage.SWITCHED,
        Stage.SECOND_RUNNING,
        Stage.DONE,
    ]
    outside = {Stage.FORCED, Stage.MOVING, Stage.ODD}
    assert {s for s in Stage if s.order < 0} == outside | {Stage.BACK_FIRST, Stage.BACK_SECOND}
    assert {s for s in Stage if s.back_order < 0} == outside | {Stage.FIRST_RUNNING, Stage.SECOND_RUNNING}


# the snapshot


def test_snapshot() -> None:
    a, b = server("a", Role.ACTIVE, SOURCE), server("b", STANDBY, SOURCE)
    seen = Snapshot(datetime.now(UTC), 1.0, (a, b), "Install Kit")
    assert seen.cluster("mpe-1") == (a, b)
    assert seen.cluster("mpe-2") == ()
    assert seen.clusters == ("mpe-1",)
    assert seen.server("b") is b
    with pytest.raises(UnreadableReply, match="no row for server c"):
        seen.server("c")


def test_the_key_of_an_alarm_has_no_severity() -> None:
    one = Alarm(70025, Severity.CRITICAL, "x", "cmp-1a", "")
    two = Alarm(70025, Severity.MINOR, "y", "cmp-1a", "later")
    assert one.key == two.key == (70025, "cmp-1a")
