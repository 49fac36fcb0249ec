"""Chapter 11 on a small system: what counts as healthy after the upgrade, what does not, and what is unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from small_system import TARGET, Place, alarm, make_place

from mopflow import gate
from mopflow.errors import Held, Unreachable, UnreadableReply
from mopflow.here import Here, Scope
from mopflow.ledger import Event
from mopflow.post_check_page import PageRow, markdown
from mopflow.procedures import post_check
from mopflow.procedures.post_check import POST_CHECK
from mopflow.procedures.table import step
from mopflow.run import carry_out
from mopflow.site import AcceptedAlarm
from mopflow.step import Answer, Finding, Question
from mopflow.system import Operation, Role, Severity, UpToDate


@pytest.fixture
def place(tmp_path: Path, empty_ledger: Path) -> Place:
    """Upgraded altogether."""
    made = make_place(tmp_path / "place", empty_ledger, late=0.1)
    for cluster in made.site.clusters:
        made.system.finish(cluster.name)
    return made


@contextmanager
def standing(place: Place, number: int = 1) -> Iterator[Here]:
    with place.house() as house:
        yield Here(house, POST_CHECK.step(number), Scope(), house.eye.now())


def ask(place: Place, question: Question, number: int = 1) -> Finding:
    with standing(place, number) as here:
        return question(here)


def health_check(place: Place, number: int) -> None:
    """Row 4.5/2 or 4.5/3, before the upgrade."""
    with place.house() as house:
        carry_out(step(f"4.5/{number}"), Scope(), house)


# row 1


def test_every_server_is_upgraded(place: Place) -> None:
    place.system.boxes["cmp-1a"].operation = "n/a"  # its operation was not the Director's, or is forgotten
    found = ask(place, post_check.upgraded_everywhere)
    assert found.is_yes
    assert "all 8 servers run 12.1.2" in found.evidence
    assert "no operation is remembered of cmp-1a" in found.evidence


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"operation": "Initiate upgrade Failed at Aug 16, 2016 9:21:11"}, "shows no success message"),
        (
            {"operation": "Initiate backout Completed Successfully at Aug 16, 2016 9:21:11"},
            "no success message",
        ),
        ({"operation": "[Step 20] 40% Initiate upgrade (Elapsed Time: 0:00:33)"}, "no success message"),
        ({"sync_broken": True}, "Sync Broken"),
        ({"release": "12.1.2.0.0_21.1.0"}, "mpe-2b runs 12.1.2.0.0"),
        ({"release": "12.1.1.0.0_14.1.0"}, "mpe-2b shows N in Up to Date"),
        ({"role": Role.FORCED_STANDBY}, "mpe-2b Forced Standby"),
    ],
)
def test_a_server_that_is_not(place: Place, change: dict[str, Any], says: str) -> None:
    for name, value in change.items():
        setattr(place.system.boxes["mpe-2b"], name, value)
    found = ask(place, post_check.upgraded_everywhere)
    assert found.answer is Answer.NO
    assert says in found.evidence


def test_a_partially_upgraded_cluster_calls_for_oracle(place: Place) -> None:
    place.system.boxes["mpe-2b"].operation = "Initiate upgrade Failed at Aug 16, 2016 9:21:11"
    with place.house() as house, pytest.raises(Held) as held:
        carry_out(POST_CHECK.step(1), Scope(), house)
    assert "contact Oracle Support" in held.value.remedy
    assert "support-small-system" in held.value.remedy


def test_the_servers_cannot_be_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    row = place.system._row

    def unread(box: Any) -> Any:
        found = row(box)
        object.__setattr__(found, "up_to_date", UpToDate.UNKNOWN)
        object.__setattr__(found, "operation", Operation.read("no such words"))
        return found

    monkeypatch.setattr(place.system, "_row", unread)
    assert ask(place, post_check.upgraded_everywhere).answer is Answer.NO


def test_syscheck_on_every_server(place: Place) -> None:
    assert ask(place, post_check.every_server_healthy).is_yes
    place.servers.sick = {"cmp-2b"}
    found = ask(place, post_check.every_server_healthy)
    assert found.answer is Answer.NO
    assert "cmp-2b" in found.evidence
    assert "mpe-1a" not in found.evidence
    place.servers.away = {"mpe-1a"}
    with pytest.raises(Unreachable):
        ask(place, post_check.every_server_healthy)


def test_not_before_everything_is_upgraded(place: Place) -> None:
    with place.house() as house:
        assert gate.require_upgraded(house, POST_CHECK.step(1)) == "all 4 clusters run 12.1.2"
    place.system.boxes["mpe-1b"].release = "12.1.1.0.0_14.1.0"
    with place.house() as house, pytest.raises(Held, match=r"mpe-1b Standby on 12\.1\.1") as held:
        gate.require_upgraded(house, POST_CHECK.step(1))
    assert "mpe-2" not in held.value.reason


# row 2


def test_alarms_that_stood_before_or_are_accepted(place: Place) -> None:
    accepted = AcceptedAlarm(number=31283, source="mpe-1a", by="E. Ngineer", reason="known")
    place.site = place.site.model_copy(update={"accepted_alarms": (accepted,)})
    place.system.alarms = [alarm(31283, "mpe-1a")]
    health_check(place, 2)
    place.site = place.site.model_copy(update={"accepted_alarms": ()})  # it was accepted then
    place.system.alarms.append(alarm(32532, "mpe-2a", Severity.MAJOR))  # tolerated, never accepted
    found = ask(place, post_check.alarms_as_before, 2)
    assert found.is_yes
    assert "31283 on mpe-1a (stood before the upgrade)" in found.evidence


@pytest.mark.parametrize(
    "number, source", [(31283, "mpe-1b"), (70500, "cmp-1a"), (70501, "mpe-1a"), (70025, "cmp-2a")]
)
def test_alarms_that_may_not_stand(place: Place, number: int, source: str) -> None:
    accepted = tuple(
        AcceptedAlarm(number=n, source=s, by="E. Ngineer", reason="known")
        for n, s in ((31283, "mpe-1a"), (70500, "cmp-1a"))
    )
    place.site = place.site.model_copy(update={"accepted_alarms": accepted})
    place.system.alarms = [alarm(number, source)]
    found = ask(place, post_check.alarms_as_before, 2)
    assert found.answer is Answer.NO
    assert f"{number} Critical on {source}" in found.evidence


def test_what_was_only_expected_in_a_mixed_system_is_no_baseline(place: Place) -> None:
    """A health check between two segments sees the alarms of the upgrade itself."""
    for box in place.system.of("mpe-2"):
        box.release = "12.1.1.0.0_14.1.0"
    place.system.alarms = [alarm(70025, "cmp-1a")]
    with place.ledger() as ledger:
        place.campaign = ledger.campaign(place.site.name, place.site.source, place.site.target, None)
    seen = [
        {"number": 70025, "source": "cmp-1a", "standing": "expected", "accepted_by": "expected: system-wide"}
    ]
    observed(place, 2, {"alarms": seen})
    place.system.finish("mpe-2")
    assert ask(place, post_check.alarms_as_before, 2).answer is Answer.NO


def observed(place: Place, number: int, data: dict[str, Any]) -> None:
    with place.house() as house:
        Here(house, step(f"4.5/{number}"), Scope(), house.eye.now()).record(Event.OBSERVED, "", data=data)


def test_unreadable_alarms_are_unknown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing(place, 2) as here:
        monkeypatch.setattr(place.system, "active_alarms", unreadable("Active Alarms"))
        with pytest.raises(UnreadableReply):
            post_check.alarms_as_before(here)


def unreadable(page: str) -> Callable[[], Any]:
    def read() -> Any:
        raise UnreadableReply(page, "no such table", "")

    return read


# row 3


def test_traffic_as_before(place: Place) -> None:
    health_check(place, 3)
    found = ask(place, post_check.kpis_as_before, 3)
    assert found == Finding.yes("2 clusters, 500 TPS together")


def test_without_a_health_check_it_is_said(place: Place) -> None:
    found = ask(place, post_check.kpis_as_before, 3)
    assert found.is_yes
    assert "no health check of this campaign to compare with" in found.evidence


def test_a_cluster_that_lost_its_traffic(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    health_check(place, 3)
    monkeypatch.setattr(place.system, "traffic", lambda cluster: cluster != "mpe-1")
    found = ask(place, post_check.kpis_as_before, 3)
    assert found == Finding.no("mpe-1 carried 250 TPS before the upgrade and carries none")


def test_a_cluster_that_never_carried_any(place: Place) -> None:
    observed(
        place,
        3,
        {"kpis": {"mpe-1": {"tps": 0.0, "why": "status Degraded"}, "mpe-2": {"tps": 250.0, "why": ""}}},
    )
    place.system.no_traffic = {"mpe-1"}
    found = ask(place, post_check.kpis_as_before, 3)
    assert found == Finding.yes("2 clusters, 250 TPS together; mpe-1 carries no traffic: status Degraded")


def test_a_fall_is_a_question_and_a_person_answers_it(place: Place) -> None:
    observed(place, 3, {"kpis": {name: {"tps": 501.0, "why": ""} for name in ("mpe-1", "mpe-2")}})
    with place.ledger() as ledger:  # said before anybody asked: it answers nothing
        ledger.confirm("small", "traffic_fall", "E. Ngineer", "early", "person")
    with place.house() as house, pytest.raises(Held, match="mpe-1 carries 250 TPS, 501 before") as held:
        carry_out(POST_CHECK.step(3), Scope(), house)
    assert "traffic_fall --by NAME" in held.value.reason
    with place.ledger() as ledger:
        ledger.confirm("small", "traffic_fall", "E. Ngineer", "night", "person")
    found = ask(place, post_check.kpis_as_before, 3)
    assert found.is_yes
    assert "understood by E. Ngineer (night)" in found.evidence


def test_half_of_the_traffic_is_no_question(place: Place) -> None:
    observed(place, 3, {"kpis": {name: {"tps": 500.0, "why": ""} for name in ("mpe-1", "mpe-2")}})
    assert ask(place, post_check.kpis_as_before, 3).is_yes


def test_the_baseline_is_from_before_the_first_act(place: Place) -> None:
    observed(place, 3, {"kpis": {"mpe-1": {"tps": 900.0, "why": ""}}})
    with place.house() as house:
        Here(house, step("10.2/3"), Scope(cluster="mpe-1"), house.eye.now()).record(Event.INTENDED, "")
    observed(place, 3, {"kpis": {"mpe-1": {"tps": 1.0, "why": ""}}})
    with standing(place, 3) as here:
        assert post_check.before_the_upgrade(here, 3, "kpis")["mpe-1"]["tps"] == 900.0


def test_unreadable_kpis_are_unknown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.system, "kpi_dashboard", lambda: ())
    with pytest.raises(UnreadableReply, match="no row for mpe-1"):
        ask(place, post_check.kpis_as_before, 3)


# rows 4 and 5


def test_trends(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(place, post_check.trends_shown, 4)
    assert found == Finding.yes("2 intervals, of all 2 MPE and MRA clusters")
    rows = place.system.trending()
    monkeypatch.setattr(place.system, "trending", lambda: rows[1:])
    assert ask(place, post_check.trends_shown, 4) == Finding.no("Trending Reports have nothing of mpe-1")
    monkeypatch.setattr(place.system, "trending", unreadable("Trending Reports"))
    with pytest.raises(UnreadableReply):
        ask(place, post_check.trends_shown, 4)


def test_replication(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(place, post_check.replication_everywhere, 5)
    assert found == Finding.yes("replication is OK on all 4 MPE and MRA servers")
    rows = place.system.rep_stats()
    monkeypatch.setattr(place.system, "rep_stats", lambda: rows[1:])
    assert ask(place, post_check.replication_everywhere, 5) == Finding.no(
        "the Rep Stats have no row of mpe-1a"
    )
    monkeypatch.undo()
    place.system.boxes["mpe-2b"].sync_broken = True
    assert ask(place, post_check.replication_everywhere, 5) == Finding.no("mpe-2b from cmp-1a: Broken")
    monkeypatch.setattr(place.system, "rep_stats", unreadable("Rep Stats"))
    with pytest.raises(UnreadableReply):
        ask(place, post_check.replication_everywhere, 5)


def test_all_rows_one_after_the_other(place: Place) -> None:
    health_check(place, 2)
    health_check(place, 3)
    with place.house() as house:
        for row in POST_CHECK.steps:
            carry_out(row, Scope(), house)
        assert house.acts == 0
        kept = {one.path.rsplit("/", 1)[-1].split("-", 1)[1] for one in house.ledger.evidence(house.campaign)}
    wanted = {"overview.png", "topology.png", "active-alarms.csv", "active-alarms.png", "kpi-dashboard.csv"}
    wanted |= {
        "kpi-dashboard.png",
        "trending-reports.csv",
        "trending-reports.png",
        "rep-stats.csv",
        "rep-stats.png",
    }
    assert wanted <= kept
    assert place.system.sent == []


def test_the_page_says_the_worst(place: Place) -> None:
    from datetime import UTC, datetime

    rows = [
        PageRow("11/1", "Verify", "done", "all"),
        PageRow("11/2", "View | alarms", "held", "31283\non mpe-1a"),
    ]
    page = markdown(place.site, "c-1", rows, datetime(2026, 1, 2, tzinfo=UTC))
    assert page.startswith("# small: not as healthy as before")
    assert "| 11/2 | View \\| alarms | held | 31283 on mpe-1a |" in page
    assert markdown(place.site, "c-1", rows[:1], datetime.now(UTC)).startswith(
        "# small: as healthy as before"
    )
    assert TARGET in page
