"""Subflows, steps and their endings as Prefect's API shows them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from prefect import State, flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType, TaskRun

from cli.prefect_server import PrefectServer
from mopflow.errors import ActRefused, BadInput, Held
from tasks.context import at_home, current, strike_with
from tasks.fanout import Ending, How, for_each_cluster
from tasks.logs import struck_logs
from tasks.states import HELD, ends_as_state, held
from tasks.steps import as_line

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("in_prefect")]


@dataclass
class House:
    """What a run shares; it cannot be made JSON, pickled or copied."""

    inside: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    lock: Any = field(default_factory=threading.Lock)


@flow(name="try-cluster", flow_run_name="{cluster}")
@ends_as_state
def try_cluster(cluster: str) -> dict[str, str]:
    house = current(House)
    as_line(f"10.2/1 Reset counters, {cluster}", lambda: 7, lambda seven: ("Found done", f"{seven} counters"))
    house.inside.wait(60)
    match cluster:
        case "held":

            def stop() -> None:
                raise Held("h1", "10.2/4 held", "the mate is not in sync.", "look at it.")

            as_line("10.2/4 Failover, held", stop, lambda _: ("Done", ""))
        case "refused":
            raise ActRefused("the console refused it")
        case "broken":
            raise ZeroDivisionError("a mistake in a program")
    as_line(f"10.2/4 Failover, {cluster}", lambda: None, lambda _: ("Done", "it is active"))
    return {"upgraded": cluster}


@flow(name="try-segment", flow_run_name="{segment}")
def try_segment(segment: str, clusters: list[str]) -> Any:
    began: dict[str, str] = {}
    ended: list[str] = []
    house = House(threading.Barrier(len(clusters)))
    endings = for_each_cluster(
        try_cluster,
        clusters,
        house,
        began=lambda run, cluster: began.__setitem__(cluster, run),
        ended=lambda ending: ended.append(ending.cluster),
    )
    return held("some clusters wait for a person", (endings, began, ended))


def run_segment(*clusters: str) -> tuple[list[Ending], dict[str, str], list[str]]:
    state = try_segment("segment-1", list(clusters), return_state=True)
    assert (state.type, state.name) == (StateType.FAILED, HELD)
    found: tuple[list[Ending], dict[str, str], list[str]] = state.result(raise_on_failure=False)
    return found


def flow_run(run: str) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run)  # type: ignore[arg-type]


def task_runs(run: str, count: int) -> dict[str, TaskRun]:
    """By name; Prefect records task runs some time after they end."""
    pause = threading.Event()
    for _ in range(600):
        with get_client(sync_client=True) as client:
            found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))  # type: ignore[list-item]
        if len([one for one in found if one.state is not None and one.state.is_final()]) >= count:
            return {one.name: one for one in found}
        pause.wait(0.1)
    pytest.fail(f"{count} task runs of {run} were not recorded; there are {[one.name for one in found]}")


def test_every_cluster_ends_by_itself_and_each_shows_how() -> None:
    """All five are inside at the same time: the barrier of the house opens only then."""
    endings, began, ended = run_segment("mpe-1", "held", "refused", "broken", "mra-1")
    assert [(one.cluster, one.how) for one in endings] == [
        ("mpe-1", How.DONE),
        ("held", How.HELD),
        ("refused", How.FAILED),
        ("broken", How.FAILED),
        ("mra-1", How.DONE),
    ]
    by_name = {one.cluster: one for one in endings}
    assert by_name["mpe-1"].result == {"upgraded": "mpe-1"}
    assert isinstance(by_name["held"].error, Held)
    assert by_name["held"].error.hold == "h1"
    assert by_name["refused"].text == "the console refused it"
    assert isinstance(by_name["broken"].error, ZeroDivisionError)
    assert sorted(ended) == sorted(began)

    runs = {cluster: flow_run(run) for cluster, run in began.items()}
    assert {cluster: run.name for cluster, run in runs.items()} == {name: name for name in by_name}
    assert all(run.parent_task_run_id for run in runs.values())
    assert {cluster: (run.state_type, run.state_name) for cluster, run in runs.items()} == {
        "mpe-1": (StateType.COMPLETED, "Completed"),
        "held": (StateType.FAILED, "Held"),
        "refused": (StateType.FAILED, "Failed"),
        "broken": (StateType.FAILED, "Failed"),
        "mra-1": (StateType.COMPLETED, "Completed"),
    }
    waiting = runs["held"].state
    assert waiting is not None
    assert waiting.message == "held at 10.2/4 held: the mate is not in sync. To do: look at it."
    assert runs["mpe-1"].parameters == {"cluster": "mpe-1"}


def test_a_step_is_one_task_run_with_its_number_its_outcome_and_its_sentence() -> None:
    _, began, _ = run_segment("held", "mpe-1")
    lines = task_runs(began["held"], 2)
    assert set(lines) == {"10.2/1 Reset counters, held", "10.2/4 Failover, held"}
    found, stopped = lines["10.2/1 Reset counters, held"], lines["10.2/4 Failover, held"]
    assert (found.state_type, found.state_name) == (StateType.COMPLETED, "Found done")
    assert found.state is not None
    assert found.state.message == "7 counters"
    assert (stopped.state_type, stopped.state_name) == (StateType.FAILED, "Held")
    done = task_runs(began["mpe-1"], 2)["10.2/4 Failover, mpe-1"]
    assert (done.state_name, done.run_count) == ("Done", 1)


def test_a_subflow_that_is_called_without_asking_for_its_state_raises_what_ended_it() -> None:
    with at_home(House()), pytest.raises(Held) as caught:
        try_cluster("held")
    assert caught.value.remedy == "look at it."


def test_a_flow_that_needs_a_house_says_so_when_it_has_none() -> None:
    state = try_cluster("mpe-1", return_state=True)
    assert state.is_failed()
    with pytest.raises(BadInput, match="start upgrade-cmp or upgrade-segment"):
        state.result()


class Interrupted(BaseException):
    """As a signal raises it in the main thread."""


@contextmanager
def interrupt_when_joined(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first thread that the caller waits for is one whose wait a signal ends."""
    join, main = threading.Thread.join, threading.current_thread()
    interrupted = []

    def joined(self: threading.Thread, timeout: float | None = None) -> None:
        if threading.current_thread() is main and self.name.startswith("cluster") and not interrupted:
            interrupted.append(self)
            raise Interrupted
        join(self, timeout)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", joined)
        yield


def test_an_interrupt_asks_the_clusters_to_stop_waits_for_them_and_passes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = threading.Event()
    ended: list[str] = []

    @flow(name="try-long")
    def long(cluster: str) -> str:
        stop.wait(60)
        return cluster

    with interrupt_when_joined(monkeypatch), pytest.raises(Interrupted):
        for_each_cluster(
            long,
            ["mpe-1", "mpe-2"],
            House(),
            ended=lambda ending: ended.append(ending.cluster),
            stop=stop.set,
        )
    assert sorted(ended) == ["mpe-1", "mpe-2"]


def test_no_secret_reaches_prefect(prefect_server: PrefectServer) -> None:
    """Neither by a line, nor by a traceback, nor by the sentence of a state, nor by a stored result."""
    secret = "correct-horse-battery"

    @flow(name="try-secret")
    @ends_as_state
    def leaky() -> None:
        get_run_logger().warning("the password is %s", secret)

        def leak() -> None:
            raise ValueError(f"in a step: {secret}")

        with pytest.raises(ValueError, match=secret):
            as_line("10.2/4 Failover", leak, lambda _: ("Done", ""))
        as_line("10.2/5 Re-apply", lambda: None, lambda _: ("Done", f"with {secret}"))
        raise ValueError(f"in the flow: {secret}")

    def strike(text: str) -> str:
        return text.replace(secret, "********")

    def in_context() -> State[Any]:
        strike_with(strike)
        return leaky(return_state=True)

    with struck_logs(strike):
        state = copy_context().run(in_context)
        run = str(state.state_details.flow_run_id)
        texts = logged(run, "ValueError: in the flow: ********")
    assert "the password is ********" in texts
    assert any("ValueError: in a step: ********" in text for text in texts)
    lines = task_runs(run, 2)
    assert {line.state.message for line in lines.values() if line.state} == {
        "ValueError: in a step: ********",
        "with ********",
    }
    assert prefect_server.home is not None
    files = [file for file in prefect_server.home.rglob("*") if file.is_file()]
    assert any(b"ValueError: in the flow: ********" in file.read_bytes() for file in files)
    assert [file for file in files if secret.encode() in file.read_bytes()] == []


def logged(run: str, last: str) -> list[str]:
    """The lines of a run in Prefect once ``last`` is among them."""
    pause = threading.Event()
    texts: list[str] = []
    for _ in range(300):
        with get_client(sync_client=True) as client:
            lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run)])))
        texts = [line.message for line in lines]
        if any(last in text for text in texts):
            return texts
        pause.wait(0.1)
    pytest.fail(f"{last!r} was not logged; there is {texts}")
