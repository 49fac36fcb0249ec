"""Holds that nobody answers, windows that open and close, alarms that are new: what is told of them, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mopflow.alarm_news import AlarmNews, newly, standing
from mopflow.alarms import Judged, Standing
from mopflow.eye import Eye
from mopflow.house import snapshot_document
from mopflow.ledger import BoardLine, Choice, Hold, Ledger
from mopflow.messages import Kind, Tag
from mopflow.reminders import Reminders, due
from mopflow.rules import FOLLOWS
from mopflow.site import Contact, Notifications, Site, Window
from mopflow.stops import STOP
from mopflow.window_news import WindowNews, crossed
from tests.pure.small_system import SmallSystem, alarm, small_site

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
DOE = Contact(name="J. Doe", role="on duty", reach="+49 30 555 0100", tag=Tag.DUTY)
BOSS = Contact.model_validate({"name": "A. Boss", "role": "manager", "url": {"env": "MOPFLOW_BOSS"}})
ORACLE = Contact(name="Oracle Support", role="vendor", reach="+1 800 555 0199")


class Said:
    """Takes what is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def tell(self, kind: Kind, about: str, what: str, to_do: str = "", **others: Any) -> None:
        self.told.append({"kind": kind, "about": about, "what": what, "to_do": to_do, **others})

    @property
    def kinds(self) -> list[Kind]:
        return [one["kind"] for one in self.told]


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.campaign("small", "12.1.1", "12.1.2", "night-1")
        yield ledger


def a_hold(minutes: float = 0, told: float | None = None, times: int = 0, rule: str = "R8") -> Hold:
    """Opened and told so many minutes before NOW."""
    return Hold(
        id="0815",
        site="small",
        campaign="night-1",
        cluster="mpe-1",
        procedure="10.2",
        step=3,
        rule=rule,
        reason="why",
        remedy="what to do",
        seen={},
        opened=NOW - timedelta(minutes=minutes),
        told=None if told is None else NOW - timedelta(minutes=told),
        told_times=times,
    )


# when, and to whom


@pytest.mark.parametrize(
    ("hold", "whom", "times"),
    [
        (a_hold(14), None, 0),  # opened just now, it is being told
        (a_hold(16), "J. Doe", 1),  # telling them failed altogether
        (a_hold(60, told=14, times=1), None, 0),
        (a_hold(60, told=16, times=1), "A. Boss", 2),
        (a_hold(60, told=16, times=2), "Oracle Support", 3),
        (a_hold(60, told=16, times=9), "Oracle Support", 10),  # the last one, for as long as nobody answers
        (a_hold(60, told=15, times=1), "A. Boss", 2),
        (a_hold(600, rule=FOLLOWS), None, 0),
        (a_hold(600, rule=STOP), None, 0),
        (replace(a_hold(600), closed=NOW), None, 0),
    ],
)
def test_a_hold_is_told_again_to_the_next_contact(hold: Hold, whom: str | None, times: int) -> None:
    found = due([hold], (), (DOE, BOSS, ORACLE), NOW, QUARTER)
    assert [(r.contact.name if r.contact else "", r.times) for r in found] == (
        [] if whom is None else [(whom, times)]
    )


def test_an_answered_hold_is_left_alone() -> None:
    assert due([a_hold(60)], {"0815"}, (DOE,), NOW, QUARTER) == []


def test_without_contacts_the_same_people_are_told_again() -> None:
    (reminder,) = due([a_hold(60, told=16, times=3)], (), (), NOW, QUARTER)
    assert (reminder.contact, reminder.times) == (None, 4)


# with a ledger


def a_site(*contacts: Contact, **others: Any) -> Site:
    rules = Notifications(remind_after=900)
    return small_site().model_copy(update={"contacts": contacts, "notifications": rules, **others})


def opened(ledger: Ledger, cluster: str = "mpe-1", told: int = 1) -> Hold:
    hold = ledger.open_hold("small", "night-1", cluster, "10.2", 3, "R8", "why", f"mend {cluster}", {})
    for _ in range(told):
        ledger.told(hold.id)
    return hold


def look(ledger: Ledger, said: Said, site: Site, after: timedelta) -> None:
    Reminders(said, ledger, site, "night-1", "site.yaml")(datetime.now(UTC) + after)  # type: ignore[arg-type]


def test_the_next_contact_is_told_what_waits_and_how_it_is_answered(ledger: Ledger, said: Said) -> None:
    site = a_site(DOE, BOSS, ORACLE)
    hold = opened(ledger)
    look(ledger, said, site, timedelta(minutes=14))
    assert said.told == []
    look(ledger, said, site, timedelta(minutes=16))
    (told,) = said.told
    assert (told["kind"], told["about"]) == (Kind.HOLD_AGAIN, "mpe-1 at 10.2/3")
    assert (told["tags"], told["contact"]) == ([], "A. Boss")
    assert "(16 min), and nobody has answered: why" in told["what"] and hold.id in told["what"]
    assert "mend mpe-1" in told["to_do"] and "mopflow holds site.yaml" in told["to_do"]
    assert "Next to be called: A. Boss (manager)" in told["to_do"]
    assert ledger.hold(hold.id).told_times == 2


def test_a_contact_without_a_channel_is_named_to_those_on_duty(ledger: Ledger, said: Said) -> None:
    opened(ledger, told=2)
    look(ledger, said, a_site(DOE, BOSS, ORACLE), timedelta(minutes=16))
    (told,) = said.told
    assert "tags" not in told and "contact" not in told
    assert "Next to be called: Oracle Support (vendor, +1 800 555 0199)" in told["to_do"]


def test_several_holds_for_the_same_contact_are_one_message(ledger: Ledger, said: Said) -> None:
    for cluster in ("mpe-1", "mpe-2", "mra-1"):
        opened(ledger, cluster)
    opened(ledger, "mpe-9", told=0)
    look(ledger, said, a_site(DOE, BOSS), timedelta(minutes=16))
    assert [(t["about"], t["contact"], t["tags"]) for t in said.told] == [
        ("mpe-1 at 10.2/3 and 2 more", "A. Boss", []),
        ("mpe-9 at 10.2/3", "J. Doe", [Tag.DUTY]),
    ]
    assert said.told[0]["what"].count("\n") == 2


def test_two_runs_that_see_the_same_moment_remind_once(
    ledger: Ledger, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(ledger)
    seen = ledger.holds("small")
    monkeypatch.setattr(ledger, "holds", lambda *_, **__: seen)
    for _ in range(2):
        look(ledger, said, a_site(DOE, BOSS), timedelta(minutes=16))
    assert len(said.told) == 1


def test_an_answer_and_a_closed_hold_end_the_reminders(ledger: Ledger, said: Said) -> None:
    answered, closed = opened(ledger, "mpe-1"), opened(ledger, "mpe-2")
    ledger.answer(answered.id, Choice.LEAVE, "A. Engineer", "", "a test")
    ledger.close_hold(closed.id, "it is mended")
    look(ledger, said, a_site(DOE, BOSS), timedelta(hours=3))
    assert said.told == []


def test_told_counts_once_for_the_first_time_and_by_number_afterwards(ledger: Ledger) -> None:
    hold = opened(ledger, told=0)
    assert [ledger.told(hold.id, times=1), ledger.told(hold.id, times=1)] == [True, False]
    first = ledger.hold(hold.id)
    assert [ledger.told(hold.id, times=2), ledger.told(hold.id, times=2)] == [True, False]
    assert (first.told_times, ledger.hold(hold.id).told_times) == (1, 2)
    assert ledger.told(hold.id) is True
    assert ledger.hold(hold.id).told_times == 3
    before = ledger.hold(hold.id).told
    assert ledger.told(hold.id, times=1) is False  # told anew, as when a run was started again
    now = ledger.hold(hold.id)
    assert now.told_times == 3 and before is not None and now.told is not None and now.told >= before


# windows

WINDOW = Window(name="CMP", start=NOW, end=NOW + timedelta(hours=6))
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        (None, -HOUR, []),
        (None, HOUR, [Kind.WINDOW_BEGINS]),  # a run that starts in the middle of it
        (None, 7 * HOUR, []),
        (-HOUR, timedelta(0), [Kind.WINDOW_BEGINS]),
        (timedelta(0), HOUR, []),
        (5 * HOUR, 6 * HOUR, [Kind.WINDOW_ENDS]),
        (6 * HOUR, 7 * HOUR, []),
        (-HOUR, 7 * HOUR, [Kind.WINDOW_BEGINS, Kind.WINDOW_ENDS]),  # the machine slept
    ],
)
def test_a_window_is_seen_once_when_it_opens_and_once_when_it_closes(
    before: timedelta | None, now: timedelta, found: list[Kind]
) -> None:
    since = None if before is None else NOW + before
    assert [kind for kind, _ in crossed([WINDOW], since, NOW + now)] == found


def line(cluster: str, state: str) -> BoardLine:
    return BoardLine(cluster, "10.2", 3, "Upgrade clusters", NOW, None, None, "39 %", state)


@pytest.mark.parametrize("busy", [True, False])
def test_what_is_still_at_work_is_said_when_a_window_closes(ledger: Ledger, said: Said, busy: bool) -> None:
    ledger.put_board("small", "night-1", line("mpe-1", "waiting" if busy else "done"))
    ledger.put_board("small", "night-1", line("mpe-2", "done"))
    news = WindowNews(said, ledger, a_site(windows=(WINDOW,)), "night-1")  # type: ignore[arg-type]
    news(NOW + HOUR)
    news(NOW + 2 * HOUR)
    news(NOW + 7 * HOUR)
    assert said.kinds == [Kind.WINDOW_BEGINS, Kind.WINDOW_ENDS]
    assert "2026-11-25 08:00 UTC" in said.told[0]["what"]
    assert ("mpe-1: 10.2/3 Upgrade clusters, 39 %" in said.told[1]["what"]) is busy
    assert "mpe-2" not in said.told[1]["what"]
    assert bool(said.told[1]["to_do"]) is busy


# alarms


def judged(number: int, source: str, how: Standing = Standing.UNEXPECTED) -> Judged:
    return Judged(alarm(number, source), source[:-1], how, "not listed")


def test_an_alarm_is_new_once_and_again_after_it_cleared() -> None:
    first, second = judged(70004, "mpe-1a"), judged(70004, "mpe-1b")
    doubted = judged(70004, "mpe-1b", Standing.EXPECTED)
    new, known = newly([first], frozenset())
    assert new == [first]
    new, known = newly([first, second], known)
    assert new == [second]
    for there in ([second], [doubted], [second]):  # judged anew by a run that has just begun
        new, known = newly(there, known)
        assert new == []
    new, known = newly([first, second], known)
    assert new == [first]


def readings(site: Site, alarms: Sequence[Sequence[Any]], news: AlarmNews, ledger: Ledger) -> None:
    """Two readings of each list of alarms, as a run takes them: the news first, then the picture is kept."""
    system = SmallSystem(site)

    def observe(reading: Any) -> None:
        news(reading)
        ledger.put_snapshot(site.name, "night-1", snapshot_document(reading))

    with Eye(site, system, observe) as eye:
        for each in alarms:
            system.alarms = list(each)
            for _ in range(site.pace.stable_readings + 1):
                eye.now()


def test_an_unexpected_alarm_is_told_when_it_is_sure_and_not_while_it_stands(
    ledger: Ledger, said: Said
) -> None:
    site = small_site(alarm_grace=0)
    there = [alarm(70006, "mpe-1a")]
    news = AlarmNews(said, ledger, site.name)  # type: ignore[arg-type]
    readings(site, [there, there, [], there], news, ledger)
    assert said.kinds == [Kind.ALARM, Kind.ALARM]  # it cleared and came again
    assert said.told[0]["about"] == "70006 on mpe-1a"
    assert "unexpected, not listed for mpe-1" in said.told[0]["what"]
    assert "accepted_alarms" in said.told[0]["to_do"]


def test_what_another_run_has_seen_it_has_told(ledger: Ledger) -> None:
    site = small_site(alarm_grace=0)
    there = [alarm(70006, "mpe-1a")]
    first, second = Said(), Said()
    readings(site, [there], AlarmNews(first, ledger, site.name), ledger)  # type: ignore[arg-type]
    more = [*there, alarm(70006, "mpe-2a")]
    readings(site, [there, more], AlarmNews(second, ledger, site.name), ledger)  # type: ignore[arg-type]
    assert [one["about"] for one in first.told] == ["70006 on mpe-1a"]
    assert [one["about"] for one in second.told] == ["70006 on mpe-2a"]


def test_what_stands_in_a_picture_is_what_was_not_explained() -> None:
    picture = {
        "alarms": [
            {"number": 1, "source": "a", "standing": "expected"},
            {"number": 2, "source": "b", "standing": "unexpected"},
            {"number": 3, "source": "c", "standing": "overstaying"},
        ]
    }
    assert standing(picture) == {(2, "b"), (3, "c")}
    assert standing({}) == frozenset()
