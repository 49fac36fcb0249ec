"""A hold as a paused run of a real Prefect server, answered in a real Chromium, through the API and in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect_page import a_browser, resume

from cli.prefect_server import PrefectServer
from mopflow import answers
from mopflow.answers import Given
from mopflow.ledger import Choice, Hold, HoldAnswer, HoldKind, Ledger
from tasks.asking import PrefectAsker
from tests.pure.small_system import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


@pytest.fixture
def question(ledger: Ledger) -> Hold:
    campaign = ledger.campaign("north", "12.1.1", "12.1.2", None)
    return ledger.open_hold(
        "north",
        campaign,
        "mpe-1",
        "10.2",
        4,
        "approve",
        "may 'Failover' be done on mpe-1 now?",
        "see that the system is as you want it, then answer.",
        {"evidence": "mpe-1a Active on 12.1.1, mpe-1b Forced Standby on 12.1.2"},
        kind=HoldKind.QUESTION,
        choices=(Choice.GO, Choice.LEAVE),
        typed="mpe-1",
    )


@dataclass
class Asked:
    """A flow run that waits for an answer in a thread of its own."""

    server: PrefectServer
    asker: PrefectAsker
    row: Hold
    over: Callable[[], bool] = lambda: False
    run: UUID | None = None
    came: list[HoldAnswer | None] = field(default_factory=list)
    thread: threading.Thread | None = None

    def start(self) -> None:
        @flow(name="upgrade-cluster", flow_run_name="{cluster}", log_prints=False)
        def waits(cluster: str) -> None:
            context = FlowRunContext.get()
            assert context is not None and context.flow_run is not None
            self.run = context.flow_run.id
            self.came.append(self.asker.wait(self.row, self.over))

        self.thread = threading.Thread(target=waits, args=("mpe-1",), daemon=True)
        self.thread.start()
        until(lambda: self.state() == "PAUSED", 30)

    def state(self) -> str:
        if self.run is None:
            return ""
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(self.run).state
            return found.type.value if found is not None else ""

    def submit(self, **content: Any) -> dict[str, Any]:
        """What the UI sends."""
        url = f"{self.server.api}/flow_runs/{self.run}/resume"
        reply = httpx.post(url, json={"run_input": content}, timeout=30)
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()
        return found

    def end(self) -> HoldAnswer | None:
        assert self.thread is not None
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert self.state() == "COMPLETED"
        return self.came[0]


def test_a_person_answers_in_the_ui(
    in_prefect: PrefectServer, ledger: Ledger, question: Hold, tmp_path: Path
) -> None:
    """A wrong name is not taken: the form comes again and says so. Then it counts."""
    asked = Asked(in_prefect, PrefectAsker(ledger, every=0.3), question)
    asked.start()
    fields = {"Answer": "go", "Your name": "A. Engineer", "Type the name": "mpe-2", "Why": "CHG-4711"}
    with a_browser() as page:
        page.set_default_timeout(60_000)
        first = asked.run
        resume(page, in_prefect.ui, str(first), fields)
        until(lambda: "type the name mpe-1" in _description(asked), 30)
        assert ledger.answer_to(question.id) is None
        resume(page, in_prefect.ui, str(first), {**fields, "Type the name": "mpe-1"}, tmp_path / "form.png")
    answer = asked.end()
    assert answer is not None
    assert (answer.choice, answer.by, answer.why, answer.via) == (
        Choice.GO,
        "A. Engineer",
        "CHG-4711",
        "Prefect",
    )


def _description(asked: Asked) -> str:
    """What stands above the form now."""
    assert asked.run is not None
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(asked.run).state
        keys = state.state_details.run_input_keyset if state is not None else None
        return client.read_flow_run_input(asked.run, keys["description"]) if keys else ""


def test_an_answer_by_the_command_line_ends_the_pause(
    in_prefect: PrefectServer, ledger: Ledger, question: Hold
) -> None:
    asked = Asked(in_prefect, PrefectAsker(ledger, every=0.3), question)
    asked.start()
    given = Given("go", "A. Engineer", typed="mpe-1")
    assert answers.give(ledger, question, given, "command line") is None
    answer = asked.end()
    assert answer is not None and answer.via == "command line"


def test_an_empty_form_resumes_nothing(in_prefect: PrefectServer, ledger: Ledger, question: Hold) -> None:
    asked = Asked(in_prefect, PrefectAsker(ledger, every=0.3), question)
    asked.start()
    assert asked.submit()["status"] == "REJECT"
    assert asked.submit(name="A. Engineer", typed="mpe-1")["status"] == "REJECT"
    assert asked.state() == "PAUSED"
    assert asked.submit(choice="leave", name="A. Engineer", typed="")["status"] == "ACCEPT"
    answer = asked.end()
    assert answer is not None and answer.choice is Choice.LEAVE


def test_an_expired_pause_is_put_anew_and_never_fails(
    in_prefect: PrefectServer, ledger: Ledger, question: Hold
) -> None:
    """Its time is over while nobody looks; the run waits on, and is answered later."""
    asked = Asked(in_prefect, PrefectAsker(ledger, every=0.3, pause=2), question)
    asked.start()
    keys: set[str] = set()

    def put_again() -> bool:
        assert asked.state() in ("PAUSED", "RUNNING")
        assert asked.run is not None
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(asked.run).state
        if state is not None and state.state_details.pause_key:
            keys.add(state.state_details.pause_key)
        return len(keys) >= 3

    until(put_again, 60)
    assert answers.give(ledger, question, Given("leave", "A. Engineer"), "command line") is None
    assert asked.end() is not None


def test_the_first_of_two_answers_counts(in_prefect: PrefectServer, ledger: Ledger, question: Hold) -> None:
    """The form is submitted when the ledger has an answer already, before the run has seen it."""
    asked = Asked(in_prefect, PrefectAsker(ledger, every=2), question)
    asked.start()
    begin = threading.Barrier(2)

    def by_form() -> None:
        begin.wait()
        asked.submit(choice="go", name="By Form", typed="mpe-1")

    form = threading.Thread(target=by_form)
    form.start()
    begin.wait()
    answers.give(ledger, question, Given("leave", "By Line"), "command line")
    form.join(30)
    answer = asked.end()
    assert answer is not None
    assert answer == ledger.answer_to(question.id)
