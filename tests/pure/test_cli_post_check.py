"""`mopflow post-check --json`: each row of chapter 11 with what it saw, however the check ended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import State
from prefect.states import Completed

from cli import flows_call
from cli.main import main
from mopflow.errors import Held, MopflowError
from tasks.endings import Summary, ended
from tasks.fanout import Ending, How
from tasks.states import failed_by

LAB = Path(__file__).parents[2] / "deployments" / "lab.yaml"
HELD = Held("h1", "11/2 system", "31283 Critical on mpe-1a", "find out what the alarm means.")
DONE = [Ending(f"11/{n}", How.DONE, f"seen in row {n}") for n in range(1, 6)]


class _House:
    campaign, acts = "c-1", 0


def ends(endings: list[Ending]) -> State[Summary]:
    house: Any = _House()
    try:
        return Completed(data=ended(house, endings))
    except MopflowError as error:
        return failed_by(error)


@pytest.fixture
def post_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[State[Any]], Any]:
    """The command on a site of its own, with a flow that ends in the given state."""
    site = Path(shutil.copy(LAB, tmp_path / "lab.yaml"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    for name in ("GUI", "ADMUSR", "OSSI"):
        monkeypatch.setenv(f"MOPFLOW_LAB_{name}_PASSWORD", "x")
    monkeypatch.setattr("tasks.logs.quiet_terminal", lambda: None)

    def run(state: State[Any]) -> Any:
        monkeypatch.setattr(flows_call, "_flow", lambda _name: lambda **_parameters: state)
        code = main(("post-check", str(site), "--json"))
        document = json.loads(capsys.readouterr().out)
        assert document["exit"] == code
        return document

    return run


def test_every_row_and_what_it_saw(post_check: Callable[[State[Any]], Any]) -> None:
    said = post_check(ends(DONE))
    assert said["exit"] == 0
    assert [row["row"] for row in said["rows"]] == [f"11/{n}" for n in range(1, 6)]
    assert said["rows"][2] == {
        "row": "11/3",
        "title": "View current KPIs",
        "result": "done",
        "found": "seen in row 3",
    }


def test_a_row_that_is_held_says_why_and_what_to_do(post_check: Callable[[State[Any]], Any]) -> None:
    said = post_check(ends([DONE[0], Ending("11/2", How.HELD, str(HELD), error=HELD), *DONE[2:]]))
    assert said["exit"] == 3
    assert [row["result"] for row in said["rows"]] == ["done", "held", "done", "done", "done"]
    assert said["rows"][1]["found"] == "31283 Critical on mpe-1a To do: find out what the alarm means."
    assert said["rows"][4]["found"] == "seen in row 5"


def test_a_row_that_failed_takes_no_other_with_it(post_check: Callable[[State[Any]], Any]) -> None:
    lost = Ending("11/4", How.FAILED, "the console cannot be reached", error=MopflowError("away"))
    said = post_check(ends([*DONE[:3], lost, DONE[4]]))
    assert said["exit"] == 1
    assert [row["result"] for row in said["rows"]] == ["done", "done", "done", "failed", "done"]
    assert said["rows"][3]["found"] == "the console cannot be reached"


def test_refused_before_the_first_row(post_check: Callable[[State[Any]], Any]) -> None:
    said = post_check(failed_by(HELD))
    assert (said["exit"], said["rows"]) == (3, [])
