"""What the preparation's results are worth, and what an upgrade still waits for (R12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopflow.ledger import CheckOutcome, CheckResult, Ledger
from mopflow.readiness import Check, Readiness, Standing, assess, keeps_until, needed_for, window_of
from mopflow.readiness_page import markdown
from mopflow.release import Release
from mopflow.site import Site, Window
from mopflow.site_file import load
from mopflow.windows import prefix, preparation_runs

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LAB = load(Path(__file__).parents[2] / "deployments" / "lab.yaml")
OLD, NEW = Release.parse("12.1.1.0.0_14.1.0"), Release.parse("12.1.2.0.0_22.1.0")
OTHER = Release.parse("12.1.1.0.0_15.1.0")


def site(**more: Any) -> Site:
    return LAB.model_copy(update=more)


def window(begins_in: timedelta, name: str = "night", hours: float = 6) -> Window:
    return Window(name=name, start=NOW + begins_in, end=NOW + begins_in + timedelta(hours=hours))


def result(
    check: Check, server: str | None = None, *, ago: timedelta = timedelta(), **more: Any
) -> CheckResult:
    at = NOW - ago
    fields: dict[str, Any] = {
        "outcome": CheckOutcome.OK,
        "text": "good.",
        "until": keeps_until(check, LAB, at),
        "data": {"release": str(OLD), "server": server or "cmp-1a"},
    }
    return CheckResult(check.value, server, at=at, **{**fields, **more})


def all_good(ago: timedelta = timedelta()) -> list[CheckResult]:
    report = assess(LAB, [], NOW, {})
    return [result(item.check, item.server, ago=ago) for item in report.items]


def test_nothing_done_is_not_ready_and_says_where_to_begin() -> None:
    report = assess(LAB, [], NOW, {})
    assert {item.standing for item in report.items} == {Standing.NOT_DONE}
    assert not report.ready
    assert report.next_thing("site.yaml").startswith("mopflow prepare site.yaml --only health-check")


def test_everything_good_is_ready() -> None:
    report = assess(LAB, all_good(), NOW, {"mpe-1a": OLD})
    assert report.ready
    assert report.missing() == []
    assert "every check counts" in report.next_thing("site.yaml")


@pytest.mark.parametrize("check", [check for check in Check if check is not Check.PMAC])
def test_each_missing_check_is_missed(check: Check) -> None:
    results = [r for r in all_good() if r.check != check.value]
    report = assess(LAB, results, NOW, {})
    assert {item.check for item in report.missing()} == {check}
    assert check.part in report.next_thing("site.yaml")


def test_a_health_check_counts_for_36_hours_at_the_start_of_the_window() -> None:
    begins = window(timedelta(hours=30))
    fresh = assess(site(windows=(begins,)), all_good(timedelta(hours=5)), NOW, {})
    assert fresh.ready
    stale = assess(site(windows=(begins,)), all_good(timedelta(hours=7)), NOW, {})
    assert {item.standing for item in stale.missing()} == {Standing.EXPIRED}
    assert {item.check for item in stale.missing()} == {Check.CONSOLE, Check.ALARMS, Check.KPIS, Check.HEALTH}
    assert "night" in stale.item(Check.ALARMS).text


def test_what_counted_at_the_start_of_a_window_counts_in_it() -> None:
    open_now = window(-timedelta(hours=5))
    assert assess(site(windows=(open_now,)), all_good(timedelta(hours=40)), NOW, {}).ready


def test_the_window_that_is_open_goes_before_the_next() -> None:
    gone, ahead = window(-timedelta(hours=9), "gone", 3), window(timedelta(hours=20), "ahead")
    now = window(-timedelta(hours=1), "now")
    assert window_of([ahead, now, gone], NOW) == now
    assert window_of([ahead, gone], NOW) == ahead
    assert window_of([gone], NOW) is None


def test_near_its_end_a_result_is_ageing_and_still_counts() -> None:
    report = assess(LAB, all_good(timedelta(hours=31)), NOW, {})
    assert report.item(Check.HEALTH, "mpe-1a").standing is Standing.AGEING
    assert report.item(Check.IMAGE, "mpe-1a").standing is Standing.OK
    assert report.ready


def test_what_was_for_the_way_to_the_target_is_not_needed_there() -> None:
    """A segment is not held up because the CMPs, upgraded meanwhile, have no backup of their new release."""
    cmps = {name: NEW for cluster in LAB.cmp_clusters for name in cluster.server_names}
    report = assess(LAB, all_good(), NOW, cmps)
    assert report.ready
    assert report.item(Check.SYSTEM_BACKUP).standing is Standing.NOT_NEEDED
    assert report.item(Check.IMAGE, "cmp-1a").standing is Standing.NOT_NEEDED
    assert report.item(Check.HEALTH, "cmp-1a").standing is Standing.OK
    half = assess(LAB, all_good(), NOW, {"cmp-1a": OLD, "cmp-1b": NEW})
    assert half.item(Check.SYSTEM_BACKUP).standing is Standing.OK


def test_a_backup_of_another_release_does_not_count() -> None:
    report = assess(LAB, all_good(), NOW, {"mpe-1a": OTHER, "mpe-1b": OLD})
    missing = {(item.check, item.server) for item in report.missing()}
    assert missing == {(check, "mpe-1a") for check in (Check.IMAGE, Check.BACKUP, Check.PASSWORDS)}
    assert "it ran" in report.item(Check.BACKUP, "mpe-1a").text


def test_the_newest_result_counts(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.add_check("lab", None, result(Check.ALARMS))
        ledger.add_check("lab", None, result(Check.HEALTH, "mpe-1a"))
        ledger.add_check("other", None, result(Check.ALARMS, outcome=CheckOutcome.FAILED))
        ledger.add_check("lab", None, result(Check.ALARMS, outcome=CheckOutcome.FAILED, text="31283."))
        newest = {(r.check, r.server): r for r in ledger.checks("lab")}
        assert set(newest) == {("alarms", None), ("health", "mpe-1a")}
        assert newest["alarms", None].outcome is CheckOutcome.FAILED
        assert newest["health", "mpe-1a"].until == NOW + timedelta(hours=36)
        assert newest["health", "mpe-1a"].data["release"] == str(OLD)


def test_confirmations_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        assert ledger.confirmation("lab", "bulletins") is None
        ledger.confirm("lab", "bulletins", "J. Doe", "none applies", "person")
        ledger.confirm("lab", "bulletins", "M. Roe", "TSB 7", "person")
        found = ledger.confirmation("lab", "bulletins")
        assert found is not None
        assert (found.by, found.text, found.source) == ("M. Roe", "TSB 7", "person")


def test_an_override_counts_with_its_name_and_no_longer_than_a_result() -> None:
    override = result(
        Check.HEALTH,
        "mpe-1a",
        outcome=CheckOutcome.OVERRIDDEN,
        by="J. Doe",
        text="rack move",
        ago=timedelta(hours=1),
    )
    results = [*(r for r in all_good() if (r.check, r.server) != ("health", "mpe-1a")), override]
    report = assess(LAB, results, NOW, {})
    item = report.item(Check.HEALTH, "mpe-1a")
    assert (item.standing, item.by) == (Standing.OVERRIDDEN, "J. Doe")
    assert report.ready
    later = assess(LAB, results, NOW + timedelta(hours=36), {})
    assert later.item(Check.HEALTH, "mpe-1a").standing is Standing.EXPIRED


def test_only_the_servers_of_the_phase_are_waited_for() -> None:
    results = [r for r in all_good() if (r.check, r.server) != ("backup", "mra-3a")]
    report = assess(LAB, results, NOW, {})
    assert report.missing(needed_for(LAB.segment("segment-1").clusters)) == []
    assert [i.server for i in report.missing(needed_for(LAB.segment("segment-2").clusters))] == ["mra-3a"]


@given(ago=st.integers(0, 80), ahead=st.integers(1, 80))
def test_older_or_a_later_window_never_makes_a_result_count_more(ago: int, ahead: int) -> None:
    def counts(hours: int, begins: int) -> bool:
        with_window = site(windows=(window(timedelta(hours=begins)),))
        return (
            assess(with_window, [result(Check.ALARMS, ago=timedelta(hours=hours))], NOW, {})
            .item(Check.ALARMS)
            .standing.counts
        )

    assert counts(ago, ahead) is (ago + ahead <= 36)
    assert counts(ago, ahead) >= counts(ago + 1, ahead) >= counts(ago + 1, ahead + 1)


def pages(report: Readiness) -> str:
    return markdown(report, "site.yaml", NOW)


def test_the_page_names_what_is_missing_and_who_mends_it() -> None:
    results = [
        *(r for r in all_good() if (r.check, r.server) != ("health", "mpe-1b")),
        result(
            Check.HEALTH, "mpe-1b", outcome=CheckOutcome.FAILED, text="NTP server 192.0.2.10 | no answer."
        ),
    ]
    page = pages(assess(LAB, results, NOW, {}))
    assert "# lab: not ready" in page
    assert "mpe-1b: health failed" in page
    assert r"192.0.2.10 \| no answer." in page
    assert "Mended by who runs the servers" in page
    assert "# lab: ready" in pages(assess(LAB, all_good(), NOW, {}))


def test_the_preparation_is_due_30_hours_before_each_window() -> None:
    ahead = window(timedelta(hours=50), "Night 1 (CMP)")
    soon = window(timedelta(hours=10), "soon")
    gone = window(-timedelta(hours=1), "gone")
    runs = preparation_runs(site(windows=(ahead, soon, gone)), NOW)
    assert [(run.key, run.at - NOW) for run in runs] == [
        ("lab--soon", -timedelta(hours=20)),
        ("lab--night-1-cmp", timedelta(hours=20)),
    ]
    assert [run.is_past(NOW) for run in runs] == [True, False]
    assert all(run.key.startswith(prefix(LAB)) for run in runs)
    assert not prefix(site(name="lab-2")).startswith(prefix(LAB))
