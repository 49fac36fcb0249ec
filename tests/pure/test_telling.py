"""What people are told of a run, and a run that ended without a word is spoken for by its hook."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from catchers import Post, post
from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Crashed, Failed

from mopflow.errors import Held, MopflowError
from mopflow.house import House, ledger_url
from mopflow.ledger import Ledger
from mopflow.messages import Kind
from mopflow.site_file import load
from tasks.fanout import Ending, How
from tasks.hooks import speak, spoken_for
from tasks.states import held
from tasks.telling import Phase, cluster_ended, run_link
from tests.pure.small_system import Place, make_place

SMALL = Path(__file__).parents[1] / "sites" / "small.yaml"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    file = tmp_path / "empty.db"
    Ledger.open(f"sqlite:///{file}").close()
    return make_place(tmp_path / "place", file)


def told(place: Place) -> list[tuple[str, str]]:
    with place.ledger() as ledger:
        return [(notice.kind, notice.subject) for notice in ledger.notices("small")]


def bodies(place: Place) -> list[str]:
    with place.ledger() as ledger:
        return [notice.body for notice in ledger.notices("small")]


# a run tells of itself


def test_a_phase_begins_and_ends_and_the_campaign_begins_once(place: Place) -> None:
    for _ in range(2):
        with place.house() as house:
            house.eye.now()
            phase = Phase(house, "upgrade-segment", "segment-1")
            phase.begins()
            phase.is_done()
    subjects = [
        ("phase-begins", "small: upgrade-segment segment-1 begins"),
        ("phase-ends", "small: upgrade-segment segment-1 is done"),
    ]
    assert told(place) == [("campaign-begins", f"small: campaign {place.campaign} begins"), *subjects * 2]
    assert "2 CMP and 2 MPE and MRA clusters in 1 segments from 12.1.1 to 12.1.2" in bodies(place)[0]
    assert "To do: next: mopflow upgrade-segment" in bodies(place)[2]


def ends(house: House, flow: str, scope: str) -> None:
    house.eye.now()
    Phase(house, flow, scope).is_done()


def test_success_is_told_to_everybody_last_of_all(place: Place) -> None:
    with place.house() as house:
        ends(house, "post-check", "post-check")
    assert told(place) == [
        ("phase-ends", "small: post-check is done"),
        ("all-done", "ALL DONE upgraded to 12.1.2 (small)"),
    ]
    with place.ledger() as ledger:
        assert ledger.notices("small")[-1].tags == "duty, manager, customer"


def test_a_backout_of_everything_ends_the_campaign_and_one_of_a_part_does_not(place: Place) -> None:
    with place.house() as house:
        ends(house, "back-out", "mpe-mra")
        ends(house, "back-out", "all")
    assert [kind for kind, _ in told(place)] == ["phase-ends", "phase-ends", "campaign-ends"]
    assert "everything is back on 12.1.1" in bodies(place)[-1]


def test_a_preparation_names_what_is_missing(place: Place) -> None:
    with place.house() as house:
        ends(house, "prepare", "preparation")
    assert "mopflow prepare" in bodies(place)[0] and "--only" in bodies(place)[0]


def test_a_hold_and_a_failure_end_a_phase_with_what_to_do(place: Place) -> None:
    with place.house() as house:
        phase = Phase(house, "upgrade-cmp", "cmp")
        phase.is_held(Held("0815", "9.1.1/10 cmp-1", "two images", "remove one"))
        phase.has_failed(MopflowError("the console is away"))
    assert told(place) == [
        ("phase-ends", "small: upgrade-cmp ended with a hold"),
        ("failure", "FAILED upgrade-cmp (small)"),
    ]
    assert "To do: remove one" in bodies(place)[0]
    assert "the console is away" in bodies(place)[1] and "start the same command again" in bodies(place)[1]


def test_what_became_of_a_cluster(place: Place) -> None:
    for box in place.system.boxes.values():
        box.release = place.site.target if box.cluster in ("cmp-1", "cmp-2", "mpe-1") else place.site.source
    with place.house() as house:
        house.eye.now()
        cluster_ended(house, Ending("mpe-1", How.DONE, "done"))
        cluster_ended(house, Ending("mpe-2", How.DONE, "done"))
        cluster_ended(house, Ending("mpe-1", How.HELD, "held"))  # told as the hold
        cluster_ended(house, Ending("mpe-1", How.FAILED, "the console is away"))
    assert told(place) == [
        ("cluster-done", "small: mpe-1 runs 12.1.2"),
        ("cluster-done", "small: mpe-2 is back on 12.1.1"),
        ("failure", "FAILED mpe-1 (small)"),
    ]


def test_outside_of_a_run_there_is_no_link() -> None:
    assert run_link() == ""


# a run that could not speak


@pytest.fixture
def endpoint() -> Iterator[Post]:
    with post() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: Post) -> Path:
    """A site whose one channel is the endpoint; nothing else of it can be opened."""
    file = tmp_path / "site.yaml"
    shutil.copy(SMALL, file)
    document = {"notifications": {"urls": [{"env": "MOPFLOW_TRY_URL"}]}}
    file.write_text(file.read_text() + yaml.safe_dump(document))
    monkeypatch.setenv("MOPFLOW_TRY_URL", endpoint.url)
    for name in ("GUI", "ADMUSR", "OSSI"):
        monkeypatch.delenv(f"MOPFLOW_LAB_{name}_PASSWORD", raising=False)
    return file


@flow(name="upgrade-segment")
def nothing(site: str, segment: str) -> None:
    """A flow by that name; it is not run."""


def a_run(site: Path, **others: object) -> FlowRun:
    parameters = {"site": str(site), "segment": "segment-1", "campaign": None}
    return FlowRun.model_validate(
        {"flow_id": uuid4(), "name": "upgrade segment-1", "parameters": parameters, **others}
    )


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Crashed(message="process exited with status -9"), "ended as Crashed"),
        (Failed(message="BadInput: no such segment"), "BadInput: no such segment"),
        (Cancelled(), "ended as Cancelled"),
    ],
)
def test_a_run_that_ended_without_a_word_is_spoken_for(
    site: Path, endpoint: Post, state: object, said: str
) -> None:
    speak(flow=nothing, flow_run=a_run(site), state=state)  # type: ignore[arg-type]
    assert endpoint.titles == ["FAILED upgrade-segment segment-1 (small)"]
    assert said in endpoint.taken[0]["message"]
    assert "start the same command again" in endpoint.taken[0]["message"]
    known = load(site)
    with Ledger.open(ledger_url(known, site.parent)) as ledger:
        (notice,) = ledger.notices("small")
        assert (notice.kind, notice.delivered) == (Kind.FAILURE.value, True)


def test_who_spoke_already_is_not_spoken_for(site: Path, endpoint: Post) -> None:
    own = a_run(site)
    spoken_for(str(own.id))
    speak(nothing, own, Failed(message="x"))
    speak(nothing, a_run(site), held("two images"))  # the hold was told
    speak(nothing, a_run(site, parent_task_run_id=uuid4()), Failed(message="x"))  # its parent speaks
    assert endpoint.taken == []


def test_a_site_that_cannot_be_opened_is_logged_and_nothing_is_raised(
    site: Path, endpoint: Post, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOPFLOW_TRY_URL")
    speak(nothing, a_run(site), Crashed(message="x"))
    speak(nothing, a_run(site.parent / "no-such.yaml"), Crashed(message="x"))
    assert caplog.text.count("cannot be told to anybody") == 2
    assert "MOPFLOW_TRY_URL" in caplog.text
