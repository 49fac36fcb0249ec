"""A run dies by SIGKILL, and the next one takes its place: real processes, a real Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from cli.prefect_server import PrefectServer
from mopflow.ledger import Event, Executor, Ledger
from mopflow.processes import me
from mopflow.slots import Slot
from tasks.slots import PrefectSlots
from tasks.succession import AlreadyAtWork, Inheritance, succeed

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


class Scene:
    """One site: its ledger, runs of it that can be killed, and successors in this process."""

    def __init__(self, url: str, server: PrefectServer, stack: ExitStack) -> None:
        self.url = url
        self.site = f"site{os.urandom(4).hex()}"
        self.ledger = stack.enter_context(Ledger.open(url))
        self._server = server
        self._stack = stack

    def run(self, scope: str, *clusters: str, how: str = "bare") -> subprocess.Popen[str]:
        """A run in a process of its own that has a place for every cluster, and the failover for the first."""
        process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parent / "holder_process.py"),
                self.url,
                self.site,
                scope,
                how,
                *clusters,
            ],
            env={**os.environ, **self._server.environment(), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        self._stack.callback(process.stdout.close)
        assert process.stdout.readline() == "ready\n"
        return process

    def successor(self, scope: str) -> tuple[Executor, PrefectSlots]:
        mark = me()
        campaign = self.ledger.campaign(self.site, "12.1.1.0.0_1", "12.1.2.0.0_2", None)
        mine = self.ledger.register(
            campaign, self.site, "upgrade-segment", scope, mark.host, mark.pid, mark.born
        )
        slots = PrefectSlots(self.site, self.ledger, mine.id, poll=0.1)
        return mine, self._stack.enter_context(slots)

    def succeed(self, scope: str, *clusters: str) -> tuple[Inheritance, PrefectSlots]:
        mine, slots = self.successor(scope)
        return succeed(self.ledger, slots, mine, clusters), slots

    def in_use(self, slot: Slot) -> int:
        with get_client(sync_client=True) as client:
            return client.read_global_concurrency_limit_by_name(f"mopflow-{self.site}-{slot}").active_slots


@pytest.fixture
def scene(tmp_path: Path, in_prefect: PrefectServer) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(f"sqlite:///{tmp_path / 'ledger.db'}", in_prefect, stack)


def refuse_to_wait(reason: str) -> None:
    if "does not answer" not in reason:  # Prefect on SQLite may be busy for a moment
        pytest.fail(f"it had to wait for {reason}")


def test_another_scope_with_the_same_clusters_is_refused_while_its_run_lives(scene: Scene) -> None:
    """An upgrade of a segment is ended before one of its clusters is backed out."""
    works_on = {"segment-1": ("mpe-1", "mpe-2"), "segment-2": ("mpe-3",)}
    running = scene.run("segment-1", "mpe-1")
    mine, slots = scene.successor("mpe-2")
    with pytest.raises(AlreadyAtWork, match="on the same clusters"):
        succeed(scene.ledger, slots, mine, ["mpe-2"], lambda scope: works_on.get(scope, ()))
    other, slots = scene.successor("mpe-3")
    left = succeed(scene.ledger, slots, other, ["mpe-3"], lambda scope: works_on.get(scope, ()))
    assert [one.pid for one in left.alive] == [running.pid]


def test_after_a_kill_the_clusters_in_flight_have_their_places_before_any_other(scene: Scene) -> None:
    killed = scene.run("segment-1", "mpe-1", "mpe-2", "mpe-3", "mpe-4")
    assert scene.in_use(Slot.CLUSTER) == 4
    killed.kill()
    killed.wait()

    left, slots = scene.succeed("segment-1", "mpe-1", "mpe-2", "mpe-3", "mpe-4", "mpe-5")

    assert sorted(left.in_flight) == ["mpe-1", "mpe-2", "mpe-3", "mpe-4"]
    assert [dead.pid for dead in left.dead] == [killed.pid]
    assert scene.in_use(Slot.CLUSTER) == 4
    assert scene.in_use(Slot.FAILOVER) == 0
    with pytest.raises(AssertionError), slots.take(Slot.CLUSTER, "mpe-5", waiting=_assert_nothing):
        pytest.fail("a fifth cluster came in")
    for cluster in left.in_flight:
        with slots.take(Slot.CLUSTER, cluster, waiting=refuse_to_wait):
            assert slots.holds(Slot.CLUSTER, cluster)
    with slots.take(Slot.CLUSTER, "mpe-5", waiting=refuse_to_wait):
        assert scene.in_use(Slot.CLUSTER) == 1


def _assert_nothing(_reason: str) -> None:
    raise AssertionError


def test_the_runs_of_a_killed_process_are_marked_crashed_and_the_ledger_says_so(scene: Scene) -> None:
    killed = scene.run("segment-1", "mpe-1", "mpe-2", how="flows")
    [executor] = scene.ledger.executors(scene.site, running_only=True)
    runs = [UUID(run) for run, _ in scene.ledger.flow_runs(executor.id)]
    assert [cluster for _, cluster in scene.ledger.flow_runs(executor.id)] == [None, "mpe-1", "mpe-2"]
    killed.kill()
    killed.wait()

    scene.succeed("segment-1", "mpe-1", "mpe-2")

    with get_client(sync_client=True) as client:
        assert {client.read_flow_run(run).state_name for run in runs} == {"Crashed"}
        lines = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=runs)))
        assert {line.state_name for line in lines} <= {"Crashed"}
    [mine] = scene.ledger.executors(scene.site, running_only=True)
    assert mine.pid == os.getpid()
    [note] = scene.ledger.rows(site=scene.site, events=[Event.NOTE])
    assert "3 of its flow runs are marked Crashed" in note.entry.text
    assert note.entry.data["in_flight"] == ["mpe-1", "mpe-2"]
    again, _ = scene.succeed("segment-2")
    assert again.dead == ()


def test_a_run_that_works_is_left_alone_and_keeps_others_from_its_scope(scene: Scene) -> None:
    working = scene.run("segment-1", "mpe-1", "mpe-2")
    with pytest.raises(AlreadyAtWork, match=f"pid {working.pid}"):
        scene.succeed("segment-1", "mpe-1", "mpe-2")
    assert scene.in_use(Slot.CLUSTER) == 2

    left, slots = scene.succeed("segment-2", "mra-1")
    assert (left.in_flight, left.elsewhere, left.dead) == ((), (), ())
    assert [alive.pid for alive in left.alive] == [working.pid]
    assert scene.in_use(Slot.CLUSTER) == 2
    with slots.take(Slot.CLUSTER, "mra-1", waiting=refuse_to_wait):
        assert scene.in_use(Slot.CLUSTER) == 3
    with pytest.raises(AssertionError), slots.take(Slot.FAILOVER, "mra-1", waiting=_assert_nothing):
        pytest.fail("the failover of a run that works was taken away")


def test_a_refused_run_is_not_in_the_way_of_the_next(scene: Scene) -> None:
    working = scene.run("segment-1", "mpe-1")
    with pytest.raises(AlreadyAtWork):
        scene.succeed("segment-1", "mpe-1")
    working.kill()
    working.wait()
    left, _ = scene.succeed("segment-1", "mpe-1")
    assert left.in_flight == ("mpe-1",)


def test_clusters_of_another_scope_free_their_places_and_are_found_by_its_own_run(scene: Scene) -> None:
    killed = scene.run("segment-1", "mpe-1", "mpe-2")
    killed.kill()
    killed.wait()
    first, _ = scene.succeed("segment-2", "mra-1")
    assert first.in_flight == ()
    assert sorted(first.elsewhere) == ["mpe-1", "mpe-2"]
    assert scene.in_use(Slot.CLUSTER) == 0
    second, _ = scene.succeed("segment-1", "mpe-1", "mpe-2")
    assert sorted(second.in_flight) == ["mpe-1", "mpe-2"]
    assert scene.in_use(Slot.CLUSTER) == 2


def test_a_cluster_in_flight_is_not_forgotten_when_the_successor_dies_too(scene: Scene) -> None:
    killed = scene.run("segment-1", "mpe-1")
    killed.kill()
    killed.wait()
    mine, slots = scene.successor("segment-1")
    succeed(scene.ledger, slots, mine, ["mpe-1"])
    scene.ledger.end_executor(mine.id, "gone without giving anything back")
    third, _ = scene.succeed("segment-1", "mpe-1")
    assert third.in_flight == ("mpe-1",)
    assert scene.in_use(Slot.CLUSTER) == 1


def test_an_inherited_place_that_is_not_needed_is_let_go(scene: Scene) -> None:
    killed = scene.run("segment-1", "mpe-1")
    killed.kill()
    killed.wait()
    _, slots = scene.succeed("segment-1", "mpe-1")
    assert scene.in_use(Slot.CLUSTER) == 1
    slots.let_go("mpe-1")
    assert scene.in_use(Slot.CLUSTER) == 0
    assert scene.ledger.leases(site=scene.site) == []


@pytest.mark.parametrize("alone", [True, False])
def test_a_place_that_nobody_recorded_is_freed_only_by_a_run_that_is_alone(scene: Scene, alone: bool) -> None:
    """Killed between Prefect's answer and the ledger: no id is known to anybody."""
    if not alone:
        scene.run("segment-2", "mra-1")
    _, earlier = scene.successor("segment-3")
    with get_client(sync_client=True) as client:
        client.increment_concurrency_slots_with_lease(
            names=[f"mopflow-{scene.site}-start"], slots=1, mode="concurrency", lease_duration=60
        )
    earlier.close()
    for executor in scene.ledger.executors(scene.site, running_only=True):
        if executor.scope == "segment-3":
            scene.ledger.end_executor(executor.id, "killed")

    _, slots = scene.succeed("segment-1", "mpe-1")

    assert scene.in_use(Slot.START) == (0 if alone else 1)
    if alone:
        with slots.take(Slot.START, "mpe-1", waiting=refuse_to_wait):
            assert scene.in_use(Slot.START) == 1
