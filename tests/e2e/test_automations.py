"""Runs that died and cannot speak for themselves: what Prefect's server does about them, on a real one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from catchers import Post, post, until
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import TERMINAL_STATES, StateType
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Paused, Suspended

from cli.prefect_server import PrefectServer
from mopflow.errors import BadInput
from tasks.automations import DEFINITIONS, Did, arrange, definitions
from tasks.states import HELD

pytestmark = [pytest.mark.e2e]
ROOT = Path(__file__).parents[2]
FLOWS = {
    name
    for file in (ROOT / "flows").glob("*.py")
    for name in re.findall(r'name="([a-z-]+)"', file.read_text(encoding="utf-8"))
}
LOST = "Lost"


@pytest.fixture
def endpoint() -> Iterator[Post]:
    with post() as server:
        yield server


def save_block(endpoint: Post) -> str:
    block = CustomWebhookNotificationBlock(
        name="ops",
        url=f"http://127.0.0.1:{endpoint.server_port}/ops",
        json_data={"title": "{{subject}}", "message": "{{body}}"},
    )
    name = f"ops-{uuid4().hex[:6]}"
    block.save(name)
    return f"custom-webhook/{name}"


# the data


def test_every_flow_is_watched_and_every_end_is_waited_for() -> None:
    marks, tells = definitions(uuid4(), 30)
    assert set(marks.trigger.match_related["prefect.resource.name"]) == FLOWS  # type: ignore[union-attr]
    ends = [Completed(), Failed(), Failed(name=HELD), Crashed(), Cancelled(), Suspended(), Paused()]
    names = {state.name for state in ends} | {LOST}
    assert {state.type for state in ends} >= TERMINAL_STATES | {StateType.PAUSED}
    expected = marks.trigger.expect  # type: ignore[union-attr]
    assert {f"prefect.flow-run.{name}" for name in names} <= expected
    assert (
        f"prefect.flow-run.{AwaitingRetry().name}" not in expected
    )  # else a run that waits could be forgotten
    assert marks.trigger.within.total_seconds() == 75  # type: ignore[union-attr]
    started = {d["name"] for d in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    assert set(tells.trigger.match_related["prefect.resource.name"]) == started  # type: ignore[union-attr]


def test_without_a_block_the_server_only_marks() -> None:
    (marks,) = definitions(None, 180)
    assert [action.type for action in marks.actions] == ["change-flow-run-state"]


# on a server


@pytest.mark.usefixtures("in_prefect")
def test_they_are_made_once_changed_when_they_differ_and_removed(endpoint: Post) -> None:
    block, other = save_block(endpoint), save_block(endpoint)
    names = [one["name"] for one in yaml.safe_load(DEFINITIONS.read_text())["automations"]]
    assert [(c.name, c.did) for c in arrange(block)] == [(name, Did.MADE) for name in names]
    assert [c.did for c in arrange(block)] == [Did.KEPT, Did.KEPT]
    assert [c.did for c in arrange(other)] == [Did.KEPT, Did.CHANGED]
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
        assert [c.did for c in arrange(other)] == [Did.CHANGED, Did.KEPT]
        assert [c.did for c in arrange()] == [Did.KEPT, Did.REMOVED]
    with get_client(sync_client=True) as client:
        (left,) = client.read_automations()
        assert (left.name, left.enabled) == (names[0], True)
        client.create_automation(definitions(None, 30)[0])  # somebody made it twice
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
            assert [c.did for c in arrange()] == [Did.CHANGED]
        (left,) = client.read_automations()
        client.delete_automation(left.id)


@pytest.mark.usefixtures("in_prefect")
def test_a_block_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="no block slack-webhook/nobody"):
        arrange("slack-webhook/nobody")


SLEEPS = """
import sys, threading
from prefect import flow

@flow(name="upgrade-segment", flow_run_name="upgrade segment-1")
def silent():
    print("at work", flush=True)
    threading.Event().wait()

silent()
"""


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_run_that_died_alone_is_marked_and_told(in_prefect: PrefectServer, endpoint: Post) -> None:
    """No worker, no hook: the process is gone, and only the server can say so."""
    beats = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
        arrange(save_block(endpoint))
    run = subprocess.Popen(
        [sys.executable, "-c", SLEEPS],
        env={**os.environ, **in_prefect.environment(), **beats},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert run.stdout is not None
        assert any("at work" in line for line in run.stdout)
        until(lambda: _heartbeats() > 0, "no heartbeat came")
        run.send_signal(signal.SIGKILL)
        run.wait()
        waited = 0
        while not endpoint.arrived.wait(10) and waited < 40:
            waited += 1
        assert endpoint.titles == ["FAILED upgrade-segment: nothing is heard of it any more"]
        assert "The run upgrade segment-1 of upgrade-segment" in endpoint.taken[0]["message"]
        assert "/runs/flow-run/" in endpoint.taken[0]["message"]
        with get_client(sync_client=True) as client:
            (found,) = [r for r in client.read_flow_runs() if r.name == "upgrade segment-1"]
            assert found.state is not None
            assert (found.state.name, found.state.type) == (LOST, StateType.CRASHED)
    finally:
        run.kill()
        run.wait()
        with get_client(sync_client=True) as client:
            for one in client.read_automations():
                client.delete_automation(one.id)


def _heartbeats() -> int:
    with get_client(sync_client=True) as client:
        answer = client._client.post(
            "/events/count-by/event",
            json={
                "filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}},
                "time_unit": "day",
                "time_interval": 1,
            },
        )
        return sum(int(one["count"]) for one in answer.json())
