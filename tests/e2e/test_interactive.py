"""A night with real questions: each act that cannot be taken back is asked for, and done after the answer."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from people import NAME, Person, Way
from prefect_page import a_browser

from mopflow.ledger import HoldKind, Ledger
from mopflow.site_file import load

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.soak]

SMALL = Path(__file__).parents[1] / "sites" / "small.yaml"
LAB = Path(__file__).parents[2] / "deployments" / "lab.yaml"


@pytest.mark.parametrize("way", list(Way))
def test_the_questions_of_a_night_are_answered(tmp_path: Path, way: Way) -> None:
    night(tmp_path, SMALL, [way])


def night(tmp_path: Path, site: Path, ways: list[Way]) -> Person:
    """Rehearse the site with somebody who answers; every question has its one answer in the ledger."""
    folder = tmp_path / "night"
    log = (tmp_path / "rehearsal.log").open("w+")
    command = ["rehearse", "--interactive", "--site", str(site), "--out", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *command],
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        with a_browser() as page:
            page.set_default_timeout(60_000)
            person = Person(folder, page, ways, pictures=tmp_path)
            ends = time.monotonic() + 1800
            while True:
                try:
                    process.wait(1)
                    break
                except subprocess.TimeoutExpired:
                    assert time.monotonic() < ends, "the night did not end"
                    person.look()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        log.seek(0)
        said = log.read()
        log.close()
    assert process.returncode == 0, said[-3000:]
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        rows = ledger.holds(load(site).name, open_only=False)
        questions = [row for row in rows if row.kind is HoldKind.QUESTION]
        given = [ledger.answer_to(row.id) for row in questions]
    assert all(answer is not None and answer.by == NAME for answer in given)
    assert {answer.via for answer in given if answer is not None} == {str(way) for way in ways}
    asked = {f"{row.procedure}/{row.step}" for row in questions if row.rule == "approve"}
    assert "10.2/4" in asked and any(key.startswith("9.1.") for key in asked), asked
    return person
