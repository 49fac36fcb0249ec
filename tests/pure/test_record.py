"""The record: what it says of a night with a rollback, an override, questions, a kill and people at work."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_asking import Person, asking

from mopflow.answers import Given
from mopflow.asking import until_answered
from mopflow.console.protocol import Act, Intended
from mopflow.errors import Held, LedgerUnavailable, Unreachable
from mopflow.here import Here, Scope
from mopflow.house import House, _recording
from mopflow.ledger import CheckOutcome, CheckResult, Event, Ledger
from mopflow.procedures.table import PROCEDURES, step
from mopflow.record.by_hand import words
from mopflow.record.commands import LONGEST, without_hashes
from mopflow.record.folder import CONTINUE_TXT, RECORD_HTML, RECORD_JSON
from mopflow.record.model import Hand, Kind, Record, Result, StepRecord
from mopflow.record.people import initials, people
from mopflow.record.verify import verify
from mopflow.record.writer import Writer
from mopflow.run import carry_out
from mopflow.secrets import SecretRef, Vault, forms
from mopflow.site import AcceptedAlarm, Deadline
from mopflow.ssh import Reply
from mopflow.step import Procedure
from mopflow.system import Alarm, Severity, Stage
from tests.pure.backouts import ANSWERS, back_out_rows, bring, confirm
from tests.pure.small_system import SOURCE, TARGET, Killed, Place, alarm, make_place

ROOT = Path(__file__).parents[2]
START, FAILOVER = Act.INITIATE_UPGRADE, Act.FAILOVER_TO_NEW
MPE_1, MPE_2 = Scope(cluster="mpe-1"), Scope(cluster="mpe-2")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ledger") / "empty.db"
    Ledger.open(f"sqlite:///{file}").close()
    return file


def new_place(folder: Path, template: Path, **pace: object) -> Place:
    place = make_place(folder, template, **pace)
    place.recorded = True
    return place


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Place:
    return new_place(tmp_path / "place", template)


def cluster_run(house: House, scope: Scope, first: int = 1, last: int = 10) -> None:
    """10.2 on one cluster, as the flow does it."""
    for number in range(first, last + 1):
        carry_out(step(f"10.2/{number}"), scope, house, glance=number == 6)


def folder_of(place: Place) -> Path:
    assert place.campaign is not None
    return place.folder / "evidence" / place.campaign


def record_of(place: Place) -> Record:
    return Record.model_validate_json((folder_of(place) / RECORD_JSON).read_text(encoding="utf-8"))


def page_of(place: Place) -> str:
    return (folder_of(place) / RECORD_HTML).read_text(encoding="utf-8")


def paper_of(place: Place) -> str:
    return (folder_of(place) / CONTINUE_TXT).read_text(encoding="utf-8")


def row_of(record: Record, key: str) -> StepRecord:
    return next(row for procedure in record.procedures for row in procedure.steps if row.key == key)


def of_kind(record: Record, kind: Kind) -> list[tuple[str, tuple[str, ...], str, str]]:
    return [(d.step, d.scopes, d.by, d.reason) for d in record.deviations if d.kind is kind]


# a night with one rollback and one person's override


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Place:
    """mpe-2 goes through; mpe-1 carries no traffic over the target and is rolled back."""
    place = new_place(tmp_path_factory.mktemp("night") / "place", template)
    accepted = AcceptedAlarm(number=71402, source="mpe-2a", by="Max Other", reason="a link is being renewed")
    place.site = place.site.model_copy(update={"accepted_alarms": (accepted,)})
    place.system.site = place.site
    place.system.alarms = [alarm(71402, "mpe-2a")]
    place.system.no_traffic = {"mpe-1"}
    now = datetime.now(UTC)
    with place.ledger() as ledger:
        overridden = CheckResult(
            "health",
            "mpe-1a",
            CheckOutcome.OVERRIDDEN,
            "the clock is known",
            now,
            now + timedelta(hours=8),
            "J. Doe",
        )
        ledger.add_check(place.site.name, None, overridden)
    with pytest.raises(Held), place.house() as house:
        cluster_run(house, MPE_2)
        assert house.recorder is not None
        house.recorder.command("mpe-1a", "admusr", "uptime", Reply(0, "up 3 days\n", ""))
        cluster_run(house, MPE_1)
    return place


def test_the_rows_stand_in_the_order_of_the_document_with_every_carrying_out(night: Place) -> None:
    record = record_of(night)
    numbers = [procedure.number for procedure in record.procedures]
    assert numbers == [n for n in PROCEDURES if n in numbers]
    assert {"9.1.1", "10.1.1", "10.2", "11", "12.3.3"} <= set(numbers)
    assert not {"6.1.1", "7.1.1", "8.1.1"} & set(numbers)  # chapters of other source releases
    assert [row.number for row in next(p for p in record.procedures if p.number == "10.2").steps] == list(
        range(1, 13)
    )
    for number in range(1, 9):
        assert [turn.scope for turn in row_of(record, f"10.2/{number}").iterations] == ["mpe-2", "mpe-1"]
    assert [turn.scope for turn in row_of(record, "10.2/9").iterations] == ["mpe-2"]
    assert row_of(record, "10.2/11").iterations == ()


def test_each_says_where_when_by_whom_and_what_came_of_it(night: Place) -> None:
    record = record_of(night)
    first = row_of(record, "10.2/3").iterations[0]
    assert first.servers == ("mpe-2b",)
    assert first.by.hand is Hand.AUTOMATIC
    assert first.result is Result.DONE
    assert "Completed Successfully" in first.text
    (act,) = first.acts
    assert act.server == "mpe-2b"
    assert act.answered is not None and act.verified is not None
    assert first.begin <= act.intended <= act.answered <= act.verified <= first.end
    assert row_of(record, "10.2/8").iterations[0].result is Result.SKIPPED
    assert [turn.result for turn in row_of(record, "10.2/7").iterations] == [Result.DONE, Result.ROLLED_BACK]
    assert row_of(record, "10.2/8").iterations[1].result is Result.HELD


def test_the_alarms_that_stood_meanwhile_are_named_on_their_cluster_only(night: Place) -> None:
    record = record_of(night)
    switched = row_of(record, "10.2/9").iterations[0]
    numbers = {(alarm.number, alarm.source, alarm.standing) for alarm in switched.alarms}
    assert (70503, "mpe-2a", "expected") in numbers
    assert (71402, "mpe-2a", "baseline") in numbers
    assert {source for _, source, _ in numbers} <= {"mpe-2a", "mpe-2b"}
    assert not [
        alarm for alarm in row_of(record, "10.2/1").iterations[1].alarms if alarm.source.startswith("mpe-2")
    ]


def test_its_evidence_stands_with_its_hash_and_lies_where_it_says(night: Place) -> None:
    record = record_of(night)
    with night.ledger() as ledger:
        kept = {one.path.split("/", 1)[1]: one.sha256 for one in ledger.evidence(record.campaign)}
    told = {file.path: file.sha256 for _, turn in record.iterations for file in turn.evidence}
    assert told == kept
    assert {file.state for _, turn in record.iterations for file in turn.evidence} == {"as kept"}
    assert all((folder_of(night) / path).is_file() for path in told)
    page = page_of(night)
    assert all(sha256 in page for sha256 in kept.values())
    pictures = [path for path in told if path.endswith(".png")]
    assert pictures and all(f'<img src="{path}"' in page for path in pictures)


def test_deviations_stand_with_their_reason_and_the_person(night: Place) -> None:
    record = record_of(night)
    ((where, scopes, by, reason),) = of_kind(record, Kind.ROLLBACK)
    assert (where, scopes, by) == ("10.2/7", ("mpe-1",), "")
    assert "carries no traffic" in reason
    assert of_kind(record, Kind.OVERRIDE) == [("", ("mpe-1a",), "J. Doe", "the clock is known")]
    assert of_kind(record, Kind.ACCEPTED_ALARM) == [("", ("mpe-2a",), "Max Other", "a link is being renewed")]
    ((where, scopes, _, reason),) = of_kind(record, Kind.HOLD)
    assert (where, scopes) == ("10.2/8", ("mpe-1",))
    assert "mpe-1 was rolled back" in reason and reason.endswith("It is open.")
    assert of_kind(record, Kind.SKIPPED)[0][:2] == ("10.2/8", ("mpe-2",))
    assert [d.number for d in record.deviations] == list(range(1, len(record.deviations) + 1))
    rollback = next(d for d in record.deviations if d.kind is Kind.ROLLBACK)
    assert rollback.number in row_of(record, "10.2/7").iterations[1].deviations
    marks = {person.name: person.initials for person in record.people}
    assert marks == {"J. Doe": "JD", "Max Other": "MO"}
    assert "rolled back: mpe-1; 1 hold open" in record.outcome


def test_the_page_needs_nothing_from_elsewhere_and_shows_what_the_json_says(night: Place) -> None:
    page, record = page_of(night), record_of(night)
    assert "<script" not in page and "@import" not in page
    sources = {part.split('"')[0] for part in page.split('src="')[1:]}
    links = {part.split('"')[0] for part in page.split('href="')[1:]}
    assert not [one for one in sources | links if ":" in one or one.startswith("/")]
    assert record.outcome in page
    for deviation in record.deviations:
        assert f'id="d{deviation.number}"' in page
    assert record.chain.head in page
    assert "admusr@mpe-1a$ uptime  <b>= 0</b>\nup 3 days</pre>" in page


def test_the_timeline_shows_servers_failovers_the_rollback_the_hold_and_alarms(night: Place) -> None:
    page = page_of(night)
    assert page.count("<svg") == 1
    for server in night.site.servers:
        assert f">{server.name}</text>" in page
    assert "mpe-1 failed over to mpe-1b" in page
    assert "mpe-1 rolled back to mpe-1a" in page
    assert "mpe-2 failed over to mpe-2b" in page
    assert "mpe-2 rolled back" not in page
    assert "<title>hold at 10.2/8 on mpe-1" in page
    assert "<title>70503 Server Forced Standby" in page
    assert "mpe-2b: OOS" in page


def test_a_night_of_which_no_reading_was_kept_has_a_page_all_the_same(night: Place, tmp_path: Path) -> None:
    """Such as one of an earlier version: the ledger alone."""
    with night.ledger() as ledger:
        assert night.campaign is not None
        writer = Writer(tmp_path / "elsewhere", night.site, ledger, night.campaign, str)
        writer.pages()
    page = (tmp_path / "elsewhere" / RECORD_HTML).read_text()
    assert "there is nothing to draw" in page
    assert "not here" in page  # the evidence lies in another folder
    record = Record.model_validate_json((tmp_path / "elsewhere" / RECORD_JSON).read_text())
    assert {file.state for _, turn in record.iterations for file in turn.evidence} == {"not here"}
    verdict = verify(tmp_path / "elsewhere")
    assert verdict.sound
    assert "did not lie here when they were entered" in verdict.notes[0]


@pytest.mark.parametrize("how", ["done", "held"])
def test_every_run_writes_it_at_its_end_and_tells_people_the_hash(place: Place, how: str) -> None:
    with place.ledger() as ledger:
        campaign = ledger.campaign("small", SOURCE, TARGET, None)
        place.campaign = campaign
        me = ledger.register(campaign, "small", "upgrade-segment", "segment-1", "host", 1, 1.0).id
        told: list[str] = []
        notices = SimpleNamespace(tell=lambda _kind, _what, body: told.append(body))
        root = place.folder / "evidence"
        with (
            contextlib.suppress(Held),
            _recording(root, place.site, ledger, campaign, me, Vault(), notices),  # type: ignore[arg-type]
        ):
            if how == "held":
                raise Held("1", "10.2/3", "why", "do")
    (run,) = record_of(place).runs
    assert (run.how, run.end is not None) == (how, True)
    (body,) = told
    assert verify(folder_of(place), body.rsplit(" ", 1)[-1]).sound


# people


def test_who_confirmed_stands_with_the_act(place: Place) -> None:
    with place.house() as house:
        person = asking(house, Given("go", "Jane Roe", "now is fine", typed="mpe-1"))
        cluster_run(house, MPE_1, last=3)
        until_answered(house, lambda: carry_out(step("10.2/4"), MPE_1, house))
        assert isinstance(person, Person) and len(person.asked) == 1
    record = record_of(place)
    (turn,) = row_of(record, "10.2/4").iterations
    assert (turn.by.hand, turn.by.initials, turn.by.name, turn.by.via) == (
        Hand.CONFIRMED,
        "JR",
        "Jane Roe",
        "test",
    )
    assert turn.result is Result.DONE
    assert row_of(record, "10.2/3").iterations[0].by.hand is Hand.AUTOMATIC
    assert of_kind(record, Kind.HOLD) == []  # a question is no deviation
    (hold,) = record.holds
    assert (hold.kind, hold.answer, hold.by, hold.why) == ("question", "go", "Jane Roe", "now is fine")
    assert "automatic, confirmed by JR" in page_of(place)


def test_a_question_that_was_left_is_a_deviation(place: Place) -> None:
    with pytest.raises(Held), place.house() as house:
        asking(house, Given("leave", "Jane Roe", "not tonight"))
        cluster_run(house, MPE_1, last=3)
        until_answered(house, lambda: carry_out(step("10.2/4"), MPE_1, house))
    ((where, scopes, by, reason),) = of_kind(record_of(place), Kind.HOLD)
    assert (where, scopes, by) == ("10.2/4", ("mpe-1",), "Jane Roe")
    assert "not tonight" in reason


def test_initials() -> None:
    assert [initials(n) for n in ("J. Doe", "Ada King Lovelace", "ops", "jdoe2", "Éva Ödön")] == [
        "JD", "AKL", "OPS", "jdoe2", "ÉÖ",
    ]  # fmt: skip
    found = people([("J. Doe", "x"), ("Jim Dee", "y"), ("J. Doe", "z"), ("J. Doe", "x")])
    assert [(p.initials, p.name, p.said) for p in found] == [
        ("JD", "J. Doe", ("x", "z")),
        ("JD2", "Jim Dee", ("y",)),
    ]


# the paper that is left


def kill_at(place: Place, call: str) -> Callable[[str], None]:
    def before(name: str) -> None:
        if name == call:
            raise Killed

    return before


def test_the_machine_dies_people_go_on_with_the_paper_and_mopflow_takes_it_over(place: Place) -> None:
    """Killed right before the re-apply; a person does the rest of mpe-1 as the paper has it."""
    place.system.before = kill_at(place, "reapply")
    with pytest.raises(Killed), place.house() as house:
        cluster_run(house, MPE_1)
    paper = paper_of(place)
    assert ">>> continue here at 10.2 step 5 on mpe-1" in paper
    assert "A failover of this cluster stands open" in paper
    assert paper.index("10.2 step 5 on mpe-1") < paper.index("10.2 step 9 on mpe-1")
    left = paper.split("ROWS THAT ARE LEFT")[1]
    assert "10.2 step 4 on mpe-1" not in left and "10.2 step 3 on mpe-2" in left
    assert "where   mpe-1a (remaining server of mpe-1)" in left  # by its host name
    assert "where   mpe-2b (standby server of mpe-2)" in left
    assert "it must announce the upgrade of mpe-1a" in left

    place.system.before = lambda _call: None
    place.system.sent.clear()
    place.system.config["mpe-1"] = TARGET  # step 5
    place.system.begin(Intended(START, "mpe-1", "mpe-1a"))  # step 9
    while place.system.work:
        place.system.tick()
    by_people = list(place.system.sent)
    with place.house() as house:
        cluster_run(house, MPE_1)
    assert [act for act, _ in place.system.sent[len(by_people) :]] == []  # nothing was done twice

    record = record_of(place)
    assert {(where, scopes) for where, scopes, _, _ in of_kind(record, Kind.BY_HAND)} == {
        ("10.2/9", ("mpe-1",)),
        ("10.2/10", ("mpe-1",)),
    }
    assert row_of(record, "10.2/9").iterations[-1].by.hand is Hand.NOT_US
    killed, taken_over = row_of(record, "10.2/5").iterations
    assert killed.result is Result.UNFINISHED
    assert taken_over.result.is_good
    assert [turn.turn for turn in (killed, taken_over)] == [1, 2]
    assert ("10.2/5", ("mpe-1",)) in [d[:2] for d in of_kind(record, Kind.LOST)]
    assert verify(folder_of(place)).sound
    assert ">>> continue here at 10.2 step 10 on mpe-1" not in paper_of(place)


def test_what_a_person_has_begun_is_adopted_and_said(place: Place) -> None:
    with place.house() as house:
        cluster_run(house, MPE_1, last=2)
        place.system.begin(Intended(START, "mpe-1", "mpe-1b"))
        carry_out(step("10.2/3"), MPE_1, house)
    record = record_of(place)
    (turn,) = row_of(record, "10.2/3").iterations
    assert (turn.result, turn.by.hand) == (Result.ADOPTED, Hand.NOT_US)
    assert [d[:2] for d in of_kind(record, Kind.ADOPTED)] == [("10.2/3", ("mpe-1",))]


def test_the_paper_is_there_at_every_step_boundary(place: Place) -> None:
    with place.house() as house:
        for number in range(1, 11):
            carry_out(step(f"10.2/{number}"), MPE_1, house, glance=number == 6)
            if number < 10:
                assert f">>> continue here at 10.2 step {number + 1} on mpe-1" in paper_of(place)
            assert [f for f in verify(folder_of(place)).flaws if f.file.startswith("continue")] == []
    assert ">>> continue here at 9.1.1 step 1 on cmp-1" in paper_of(
        place
    )  # the plan's first row that nobody has done


def test_a_row_that_was_asked_for_and_not_seen_to_end_says_look_first(place: Place) -> None:
    def gone(call: str) -> None:
        if call == f"advance {START}":
            raise Killed

    place.system.after = gone
    with pytest.raises(Killed), place.house() as house:
        cluster_run(house, MPE_1)
    with place.house() as house:  # another cluster: its boundary writes what is known of the first one
        carry_out(step("10.2/1"), MPE_2, house)
    paper = paper_of(place)
    assert ">>> continue here at 10.2 step 3 on mpe-1" in paper
    assert "intended on mpe-1b; its end was not seen: look before you act" in paper


def test_a_cluster_that_was_rolled_back_waits_for_the_decision_alone(night: Place) -> None:
    left = paper_of(night).split("ROWS THAT ARE LEFT")[1]
    assert "10.2 step 8 on mpe-1" in left
    assert "10.2 step 9 on mpe-1" not in left and "10.2 step 10 on mpe-1" not in left
    assert "stands open" not in paper_of(night)


def test_a_failover_that_was_never_asked_for_is_not_called_open(place: Place) -> None:
    with place.house() as house:
        cluster_run(house, MPE_1, last=3)
    place.system.boxes["mpe-1b"].sync_broken = True  # R9 keeps it back
    place.site = place.site.model_copy(
        update={"pace": place.site.pace.model_copy(update={"failover": Deadline(usual=0.01, late=0.1)})}
    )
    with pytest.raises(Held), place.house() as house:
        carry_out(step("10.2/4"), MPE_1, house)
    paper = paper_of(place)
    assert ">>> continue here at 10.2 step 4 on mpe-1" in paper
    assert "stands open" not in paper


def test_a_backout_leaves_a_paper_of_its_own(place: Place) -> None:
    bring(place.system, "mpe-1", Stage.DONE)
    bring(place.system, "mpe-2", Stage.DONE)
    confirm(place, *ANSWERS, "back-out:mpe-mra")
    with place.house() as house:
        back = house.ledger.register(house.campaign, "small", "back-out", "mpe-mra", "host", 2, 2.0)
        house.executor = back.id
        back_out_rows(house, "mpe-1")
    paper = paper_of(place)
    assert "being backed out" in paper
    left = paper.split("ROWS THAT ARE LEFT")[1]
    assert "12.3.3 step 2 on mpe-1" not in left
    assert "12.3.3 step 2 on mpe-2" in left and "it must announce the backout of mpe-2a" in left
    assert "10.2 step" not in left and "9.1.1" not in left
    turn = row_of(record_of(place), "12.3.3/3").iterations[0]
    assert (turn.by.hand, turn.by.initials) == (Hand.CONFIRMED, "ADA")


def acts_of(*procedures: Procedure) -> Iterator[tuple[str, Callable[..., object]]]:
    for procedure in procedures:
        for row in procedure.steps:
            for leg in row.legs:
                if leg.act is not None:
                    yield row.key, leg.act


def test_every_act_of_the_window_has_words_for_a_person() -> None:
    names = {"cluster": "mpe-1", "active": "mpe-1a", "other": "mpe-1b", "left": "mpe-1b"}
    window = [p for number, p in PROCEDURES.items() if not number.startswith("4.")]
    for key, act in acts_of(*window):
        text = words(act)
        assert text, key
        assert "{" not in text.format(**names)


# what goes wrong


FULL = """
import contextlib, resource, sqlite3, sys
from pathlib import Path
sys.path[:0] = ["tests/pure"]
from mopflow.errors import LedgerUnavailable
from mopflow.here import Scope
from mopflow.procedures.table import step
from mopflow.run import carry_out
from tests.pure.small_system import make_place
place = make_place(Path(sys.argv[1]), Path(sys.argv[2]))
place.recorded = True
try:
    with place.house() as house:
        for number in (1, 2):
            carry_out(step(f"10.2/{number}"), Scope(cluster="mpe-1"), house)
        place.system.sent.clear()
        with contextlib.closing(sqlite3.connect(place.folder / "ledger.db")) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
        carry_out(step("10.2/3"), Scope(cluster="mpe-1"), house)
except LedgerUnavailable as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(place.campaign, place.system.sent, error, sep="|")
"""


def run_full(place: Place, template: Path, limit: int) -> tuple[str, str, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(place.folder), str(template), str(limit)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    campaign, sent, error = done.stdout.strip().split("|")
    return campaign, sent, error


def test_on_a_full_disk_no_act_is_done_and_the_record_says_so(place: Place, template: Path) -> None:
    """The kernel itself refuses to write more than a megabyte into one file: the ledger's rows fit, the evidence does not."""
    campaign, sent, error = run_full(place, template, 1_000_000)
    assert sent == "[]"
    assert "evidence cannot be written to" in error and "make room" in error
    place.campaign = campaign
    with place.ledger() as ledger:
        notes = ledger.rows(events=[Event.NOTE], procedure="10.2", step=3)
        assert [row.entry.data for row in notes] == [{"unkept": True}]
        assert ledger.rows(events=[Event.INTENDED], procedure="10.2", step=3) == []
        Writer(folder_of(place), place.site, ledger, campaign, str).pages()  # there is room again
    ((where, scopes, _, reason),) = of_kind(record_of(place), Kind.UNKEPT)
    assert (where, scopes) == ("10.2/3", ("mpe-1",))
    assert "make room" in reason
    verdict = verify(folder_of(place))
    assert verdict.sound
    assert of_kind(record_of(place), Kind.UNFINISHED) == []
    assert not list(folder_of(place).rglob(".*"))


def test_where_nothing_can_be_written_at_all_it_still_ends_with_a_clear_error(
    place: Place, template: Path
) -> None:
    campaign, sent, error = run_full(place, template, 1000)
    assert sent == "[]"
    assert "cannot be" in error
    place.campaign = campaign
    with place.ledger() as ledger:
        Writer(folder_of(place), place.site, ledger, campaign, str).pages()
    assert verify(folder_of(place)).sound


def test_a_record_that_cannot_be_written_stops_the_next_act_but_not_inside_of_a_decision(
    place: Place,
) -> None:
    with place.house() as house:
        cluster_run(house, MPE_1, last=4)
        place.system.sent.clear()
        assert house.recorder is not None
        folder = folder_of(place)
        chain = folder / "chain.jsonl"
        kept = chain.read_bytes()
        chain.unlink()
        chain.mkdir()  # as where the disk says no
        carry_out(step("10.2/5"), MPE_1, house)  # between failover and proof: it is ended
        assert place.system.sent == [("reapply", "mpe-1")]
        cluster_run(house, MPE_1, first=6, last=8)
        with pytest.raises(LedgerUnavailable, match=r"the record cannot be written to .*Is a directory"):
            carry_out(step("10.2/9"), MPE_1, house)
        assert place.system.sent == [("reapply", "mpe-1")]
        chain.rmdir()
        chain.write_bytes(kept)
        carry_out(step("10.2/9"), MPE_1, house)
        assert (START, "mpe-1a") in place.system.sent
    assert verify(folder_of(place)).sound
    assert of_kind(record_of(place), Kind.UNKEPT)


def test_too_little_room_stops_an_act_before_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.house() as house:
        carry_out(step("10.2/1"), MPE_1, house)
        place.system.sent.clear()
        monkeypatch.setattr("mopflow.evidence.ROOM", 1 << 60)
        with pytest.raises(LedgerUnavailable, match="MiB are free"):
            carry_out(step("10.2/3"), MPE_1, house)
    assert place.system.sent == []


@contextlib.contextmanager
def changed(environment: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_no_secret_is_in_any_file_of_the_record(place: Place) -> None:
    """Also not one that nobody knew of when the row was written."""
    secrets = {"REC_A": 'pa"ss\\wörd/+%<&>', "REC_B": "s3cret&more"}
    spoken = " and ".join(secrets.values())
    shadow = "root:$6$abcdefgh$Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy:17000:0:99999:7:::"
    with changed(secrets), pytest.raises(Unreachable), place.house() as house:
        for name in secrets:
            house.vault.get(SecretRef(env=name))
        assert house.recorder is not None
        here = Here(house, step("10.2/1"), MPE_1, house.eye.now())
        here.record(Event.NOTE, spoken, data={spoken: [spoken]})
        here.keep("told.txt", spoken)
        house.ledger.open_hold("small", house.campaign, "mpe-1", "10.2", 1, "", spoken, spoken, {"x": spoken})
        house.ledger.add_check(
            "small",
            None,
            CheckResult("health", "mpe-1a", CheckOutcome.OVERRIDDEN, spoken, datetime.now(UTC), by=spoken),
        )
        house.ledger.confirm("small", "bulletins", spoken, spoken, "person")
        house.recorder.command(
            "mpe-1a", "admusr", f"echo {spoken}", Reply(0, f"{spoken}\n{shadow}\n", spoken)
        )
        place.system.alarms = [Alarm(1, Severity.MINOR, spoken, "mpe-1a", "")]
        house.eye.now()
        house.eye.now()
        house.recorder.boundary()
        raise Unreachable("a server", spoken)
    files = [path for path in folder_of(place).rglob("*") if path.is_file()]
    assert len(files) >= 8
    for path in files:
        content = path.read_bytes().decode("utf-8")
        for form in forms(secrets.values()):
            assert form not in content, path.name
        assert "Zm9vYmFy" not in content, path.name
    assert "********" in page_of(place)
    assert verify(folder_of(place)).sound


def test_hashes_and_keys_are_never_kept() -> None:
    assert without_hashes("x:$1$ab$cdefghijkl:1") == "x:$1$********:1"
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
    assert "MIIE" not in without_hashes(f"a\n{key}\nb") and without_hashes(f"a\n{key}\nb").endswith("\nb")
    assert "MIIE" not in without_hashes("-----BEGIN OPENSSH PRIVATE KEY-----\nMIIE")
    assert without_hashes("cost $5 and $6") == "cost $5 and $6"


def test_commands_belong_to_the_row_that_sent_them_or_works_on_the_server(place: Place) -> None:
    with place.house() as house:
        recorder = house.recorder
        assert recorder is not None
        with recorder.at_work(step("10.2/1"), MPE_1):
            recorder.command("mpe-2a", "admusr", "mine, though of another cluster", Reply(0, "", ""))
            helper = threading.Thread(
                target=recorder.command,
                args=("mpe-1a", "admusr", "of a helper", Reply(1, "a\n" * LONGEST, "")),
            )
            helper.start()
            helper.join()
            for _ in range(3):
                recorder.command("mpe-1b", "admusr", "again", Reply(0, "same", ""))
            carry_out(step("10.2/2"), MPE_1, house)
        carry_out(step("10.2/1"), MPE_1, house)
        recorder.command("mpe-1a", "admusr", "of nobody", None)
    record = record_of(place)
    told = {c.command: c for c in row_of(record, "10.2/1").iterations[0].commands}
    assert set(told) == {"mine, though of another cluster", "of a helper", "again"}
    assert told["again"].times == 3
    assert told["of a helper"].status == 1
    assert (
        len(told["of a helper"].stdout) < LONGEST + 300
        and "SHA-256 of the whole reply" in told["of a helper"].stdout
    )
    assert [(c.command, c.status) for c in record.other_commands] == [("of nobody", None)]


def test_a_picture_that_its_run_could_not_enter_is_said_and_chained(place: Place) -> None:
    with pytest.raises(Killed), place.house() as house:
        carry_out(step("10.2/1"), MPE_1, house)
        house.evidence.shots("10.2", 3, "mpe-1").next("dialog").write_bytes(b"half a night")
        raise Killed
    with place.ledger() as ledger:
        for one in ledger.executors("small"):
            ledger.end_executor(one.id, "died")
    with place.house() as house:
        carry_out(step("10.2/2"), MPE_1, house)
    assert record_of(place).strays == ("10.2/3-mpe-1/001-dialog.png",)
    assert verify(folder_of(place)).sound
    (folder_of(place) / "10.2/3-mpe-1/001-dialog.png").write_bytes(b"half a nighT")
    assert [flaw.file for flaw in verify(folder_of(place)).flaws] == ["10.2/3-mpe-1/001-dialog.png"]


def test_source_and_target_are_those_of_the_site(night: Place) -> None:
    document = json.loads((folder_of(night) / RECORD_JSON).read_text())
    assert (document["format"], document["source"], document["target"]) == (
        "mopflow-record/1",
        SOURCE,
        TARGET,
    )


def test_the_vault_of_a_run_is_asked_for_every_page(night: Place, tmp_path: Path) -> None:
    """What a text of the site file says, too."""
    vault = Vault()
    with changed({"REC_C": "link is being"}):
        vault.get(SecretRef(env="REC_C"))
    with night.ledger() as ledger:
        assert night.campaign is not None
        Writer(tmp_path / "x", night.site, ledger, night.campaign, vault.strike).pages()
    assert "a link is being renewed" in page_of(night)
    for name in (RECORD_HTML, RECORD_JSON):
        assert "link is being" not in (tmp_path / "x" / name).read_text()
