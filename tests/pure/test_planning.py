"""The plan of the windows, its hash, its page, and the certificates of rehearsals."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli import output
from cli.main import main
from cli.rehearsal import asks
from cli.twin_files import twin_document
from mopflow import certificate
from mopflow.certificate import Certificate, folder_of, of_rehearsal, read, rehearsed, write
from mopflow.errors import BadInput
from mopflow.ledger import CheckOutcome, CheckResult, Event, Ledger
from mopflow.plan import content, plan_hash
from mopflow.plan_page import hours
from mopflow.planning import Fit, planning
from mopflow.rehearsals import note
from mopflow.secrets import SecretRef
from mopflow.site import (
    Autonomy,
    AutonomyRules,
    Contact,
    Deadline,
    Pace,
    PasswordRules,
    PmacAccess,
    Server,
    Site,
    Way,
    Window,
)
from mopflow.site_file import load
from tests.pure.small_system import Place, SmallSystem, small_site

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deployments" / "example-site.yaml"
NOW = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def site() -> Site:
    return load(EXAMPLE)


@pytest.fixture(scope="module")
def lab() -> Site:
    return load(ROOT / "deployments" / "lab.yaml")


def window(name: str, hour: float, length: float, **more: Any) -> Window:
    start = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(hours=hour)
    return Window(name=name, start=start, end=start + timedelta(hours=length), **more)


def with_windows(site: Site, *windows: Window) -> Site:
    return site.model_copy(update={"windows": windows})


# windows and work


def test_work_goes_into_the_window_of_its_name_with_table_4_and_its_rows(site: Site) -> None:
    made = planning(site)
    assert [(job.work, job.window and job.window.name) for job in made.jobs] == [
        ("cmp", "CMP"), ("leipzig", "leipzig"), ("dresden", "dresden"),
    ]  # fmt: skip
    cmp, leipzig, _ = made.jobs
    assert (cmp.table_4, leipzig.table_4) == (180, 120)
    rows = [row for row in made.rows if row.command == "upgrade-cmp"]
    assert cmp.minutes == sum(row.minutes for row in rows)
    one = sum(row.minutes for row in made.rows if row.cluster == "mpe-le-1")
    alone = sum(row.minutes for row in made.rows if row.segment == "leipzig" and row.cluster is None)
    # side by side, a minute between two starts; an MRA has a row less
    assert alone + one <= leipzig.minutes <= alone + one + 2
    assert {job.fit for job in made.jobs} == {Fit.WITH_BACKOUT}


def test_batches_have_at_most_four_clusters_and_cmp_clusters_go_one_by_one(lab: Site) -> None:
    cmp, first, second = planning(lab).jobs
    assert [len(batch) for batch in cmp.batches] == [1, 1]
    assert [len(batch) for batch in first.batches] == [4, 1]
    assert [len(batch) for batch in second.batches] == [2]
    assert first.table_4 == 240
    assert tuple(cluster for batch in first.batches for cluster in batch) == first.clusters
    assert planning(lab).warnings == (
        "the site file has no windows: enter them, each with its work and its engineers",
    )


def test_the_site_file_says_what_is_done_in_a_window(site: Site) -> None:
    named = with_windows(
        site, window("one", 0, 12, work=("cmp", "leipzig"), engineers=("J. Doe",)), window("leipzig", 24, 6)
    )
    made = planning(named)
    assert [job.window and job.window.name for job in made.jobs] == ["one", "one", "leipzig"]
    assert [job.why for job in made.jobs] == [
        "as the site file says", "as the site file says", "the first in which it fits",
    ]  # fmt: skip
    assert [person.name for person in made.windows[0].engineers] == ["J. Doe"]
    assert made.windows[0].planned == 300
    assert made.warnings == ("window leipzig: nobody is named; enter engineers (names of contacts)",)


@pytest.mark.parametrize(
    ("length", "fit"), [(6, Fit.WITH_BACKOUT), (5.9, Fit.ALONE), (3, Fit.ALONE), (2.9, Fit.NOT)]
)
def test_a_window_that_is_too_short_is_said(site: Site, length: float, fit: Fit) -> None:
    made = planning(with_windows(site, window("night", 0, length, work=("cmp",))))
    assert made.jobs[0].fit is fit
    assert any("R1" in warning for warning in made.warnings) == (fit is not Fit.WITH_BACKOUT)


def test_work_that_fits_nowhere_and_work_in_the_wrong_order_are_said(site: Site) -> None:
    made = planning(with_windows(site, window("leipzig", 0, 6), window("cmp", 24, 6)))
    assert [job.window and job.window.name for job in made.jobs] == ["cmp", "leipzig", "cmp"]
    assert "leipzig is planned before cmp, which comes first (R1)" in made.warnings
    short = planning(with_windows(site, window("cmp", 0, 6, work=("cmp",))))
    assert short.jobs[1].fit is Fit.NO_WINDOW
    assert any("leipzig: has no window; enter one" in warning for warning in short.warnings)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("work: [cmp, berlin]", "berlin is no work of this site; there is cmp, leipzig, dresden"),
        ("work: [cmp, cmp]", "cmp is the work of the window CMP already"),
        ("engineers: [Nobody]", "Nobody is no contact; contacts has J. Doe, A. Boss, Oracle Support"),
    ],
)
def test_a_window_names_work_and_people_that_exist(tmp_path: Path, line: str, wanted: str) -> None:
    text = EXAMPLE.read_text()
    changed = re.sub(r"(name: CMP, [^}]*?)(, work: [^}]*)?\}", rf"\1, {line}}}", text, count=1)
    assert changed != text
    path = tmp_path / "site.yaml"
    path.write_text(changed)
    with pytest.raises(BadInput, match=re.escape(wanted)):
        load(path)


@pytest.mark.parametrize(
    ("minutes", "wanted"), [(45, "45 min"), (119, "119 min"), (120, "2 h"), (161, "2 h 41 min")]
)
def test_hours(minutes: float, wanted: str) -> None:
    assert hours(minutes) == wanted


# the hash


CHANGES: dict[str, Mapping[str, Any]] = {
    "source": {"source": "12.0.0.0.0_45.1.0"},
    "autonomy": {"autonomy": AutonomyRules(default=Autonomy.CONFIRM)},
    "limits": {"pace": Pace(stagger=90)},
    "deadline": {"pace": Pace(failover=Deadline(usual=60, late=900))},
    "passwords": {"passwords": PasswordRules(default=True)},
}
NO_CHANGES: dict[str, Mapping[str, Any]] = {
    "windows": {"windows": ()},
    "contacts": {"contacts": (Contact(name="Somebody", role="engineer"),)},
    "how often it looks": {"pace": Pace(poll=5, minute=1, failover=Deadline(usual=10, late=600))},
    "ledger": {"ledger": "postgresql+psycopg://db/x", "evidence": Path("elsewhere")},
    "ntp": {"ntp": ()},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_decides_the_work_changes_the_hash(site: Site, change: Mapping[str, Any]) -> None:
    assert plan_hash(site.model_copy(update=dict(change))) != plan_hash(site)


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_does_not_decide_it_does_not(site: Site, change: Mapping[str, Any]) -> None:
    assert plan_hash(site.model_copy(update=dict(change))) == plan_hash(site)


def moved(text: str) -> str:
    """The same site elsewhere: other addresses, other secrets."""
    text = text.replace("192.0.2.", "203.0.113.").replace("MOPFLOW_NE_", "MOPFLOW_OTHER_")
    return text.replace("north-east.known_hosts", "hosts").replace("port: 22", "port: 2222")


def test_addresses_and_secrets_do_not_change_the_hash_and_names_do(tmp_path: Path, site: Site) -> None:
    there = tmp_path / "there.yaml"
    there.write_text(moved(EXAMPLE.read_text()))
    assert load(there) != site
    assert plan_hash(load(there)) == plan_hash(site)
    there.write_text(EXAMPLE.read_text().replace("mpe-le-1a", "mpe-le-9a"))
    assert plan_hash(load(there)) != plan_hash(site)


def test_a_default_that_is_written_out_is_the_same_plan(tmp_path: Path) -> None:
    """60 in the file is 60.0, the default is 60."""
    path = tmp_path / "site.yaml"
    text = EXAMPLE.read_text()
    assert "stagger: 60" in text
    path.write_text(re.sub(r"\n  stagger: 60.*", "", text))
    assert plan_hash(load(path)) == plan_hash(load(EXAMPLE))


def test_the_hash_holds_no_secret_and_no_address(site: Site) -> None:
    text = json.dumps(content(site))
    for word in ("MOPFLOW_NE", "192.0.2", "known_hosts", "admusr'", "sqlite"):
        assert word not in text


# certificates


def a_certificate(site: Site, at: datetime = NOW, **more: Any) -> Certificate:
    values: dict[str, Any] = {
        "seed": 7, "speed": 60.0, "faults": [], "outcome": "upgraded", "checks": {"commands": {"prepare": 0}}, **more,
    }  # fmt: skip
    return of_rehearsal(site, at - timedelta(minutes=12), at, **values)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "north-east.yaml"
    path.write_text(EXAMPLE.read_text())
    return path


def stored(made: Certificate, file: Path) -> Path:
    return write(made, folder_of(file) / made.name)


def test_a_certificate_says_what_was_rehearsed_and_is_read_as_it_was_written(file: Path, site: Site) -> None:
    made = a_certificate(site, faults=["zombie@mpe-le-1b"])
    path = stored(made, file)
    assert path.parent.name == "north-east-certificates"
    assert read(path) == made
    document = json.loads(path.read_text())
    assert (document["plan_hash"], document["seed"], document["seconds"]) == (plan_hash(site), 7, 720)
    assert (document["faults"], document["mopflow"]) == (["zombie@mpe-le-1b"], document["plan"]["mopflow"])


def test_exactly_this_plan_was_rehearsed(file: Path, site: Site) -> None:
    stored(a_certificate(site), file)
    newest = stored(a_certificate(site, NOW + timedelta(hours=2), faults=["zombie@mpe-le-1b"]), file)
    stored(
        a_certificate(site.model_copy(update={"source": "12.0.0.0.0_45.1.0"}), NOW + timedelta(hours=3)), file
    )
    found = rehearsed(site, file)
    assert (found.exactly, found.certificate) == (True, newest)
    assert "rehearsed on 2026-11-20 16:05 UTC with zombie@mpe-le-1b" in found.text
    assert f"north-east-certificates/{newest.name}" in found.text


def test_without_a_certificate_it_was_not_rehearsed(file: Path, site: Site, lab: Site) -> None:
    found = rehearsed(site, file)
    assert not found.exactly
    assert "there is no certificate in north-east-certificates" in found.text
    assert rehearsed(lab, file).text == "this system is a twin: its runs are the rehearsals"


def differs(site: Site, **change: Any) -> str:
    return "; ".join(certificate.differences(content(site), content(site.model_copy(update=change))))


def test_the_differences_are_named(site: Site) -> None:
    assert differs(site) == ""
    a_person = dict.fromkeys(("cmp_switch", "first_failover", "backout"), Autonomy.OBSERVE)
    assert differs(site, autonomy=AutonomyRules(**a_person)) == (
        "autonomy cmp_switch: confirm, now observe; autonomy first_failover: confirm, now observe; "
        "autonomy backout: confirm, now observe"
    )
    assert differs(site, pace=Pace(stagger=90)) == "limits stagger: 60, now 90"
    assert differs(site, images=site.images.model_copy(update={"way": Way.RELAY})) == (
        "way of the images: iso-maintenance, now relay"
    )
    assert differs(site, segments=site.segments[:1]) == (
        "cluster mpe-dd-1: MPE mpe-dd-1a and mpe-dd-1b in dresden, now not there; "
        "cluster mra-dd-1: MRA mra-dd-1a and mra-dd-1b in dresden, now not there"
    )
    assert differs(site, segments=site.segments[::-1]) == "the order of the clusters"
    new = site.media[0].model_copy(update={"md5": "0" * 32})
    assert differs(site, media=(new, *site.media[1:])).startswith("images cmp: cmp-12.1.2")


def test_where_only_the_rows_differ_they_are_named(site: Site) -> None:
    mine = content(site)
    theirs = {**mine, "rows": [row for row in mine["rows"] if row[1] != "10.2/10"]}
    assert list(certificate.differences(theirs, mine)) == ["rows only planned: 10.2/10"]
    other = {**mine, "rows": [[*row[:5], [], []] if row[1] == "10.2/9" else row for row in mine["rows"]]}
    (said,) = certificate.differences(other, mine)
    assert said == "rows of which order, alarms or who acts is another: 10.2/9"


def test_another_plan_is_named_with_its_differences(file: Path, site: Site) -> None:
    stored(
        a_certificate(site.model_copy(update={"autonomy": AutonomyRules(cmp_switch=Autonomy.OBSERVE)})), file
    )
    text = rehearsed(site, file).text
    assert "was not rehearsed. The rehearsal of 2026-11-20 14:05 UTC" in text
    assert "autonomy cmp_switch: observe, now confirm" in text


def test_a_new_version_of_mopflow_is_another_plan(file: Path, site: Site) -> None:
    made = a_certificate(site)
    plan = {**made.plan, "mopflow": "0.0.1"}
    stored(replace(made, plan=plan, plan_hash=certificate.hash_of(plan)), file)
    found = rehearsed(site, file)
    assert not found.exactly
    assert "mopflow: 0.0.1, now " in found.text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.update(seed=8), "was changed since it was written"),
        (lambda d: d["plan"].update(source="12.0"), "was changed since it was written"),
        (lambda d: d.pop("sha256"), "was changed since it was written"),
        (lambda d: d.update(kind="a shopping list"), "no certificate of a rehearsal"),
    ],
)
def test_a_certificate_that_was_tampered_with_does_not_count(
    file: Path, site: Site, change: Any, why: str
) -> None:
    path = stored(a_certificate(site), file)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    found = rehearsed(site, file)
    assert not found.exactly
    assert why in found.text
    assert path.name in found.text


def test_one_that_was_sealed_anew_over_another_plan_does_not_count(file: Path, site: Site) -> None:
    made = a_certificate(site)
    other = replace(made, plan={**made.plan, "source": "12.0"})
    stored(other, file)
    assert "names another plan than it holds" in rehearsed(site, file).text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "mopflow rehearsal certificate"}'])
def test_a_file_that_is_none_is_said(file: Path, site: Site, text: str) -> None:
    folder_of(file).mkdir()
    (folder_of(file) / "x.json").write_text(text)
    found = rehearsed(site, file)
    assert not found.exactly
    assert "x.json" in found.text


def test_the_start_of_a_window_notes_it_in_the_journal(tmp_path: Path) -> None:
    small = small_site()
    with Place(tmp_path, small, SmallSystem(small)).house() as house:
        first = note(house)
        assert not first.exactly
        stored(a_certificate(house.site), house.site_path)
        second = note(house)
        assert second.exactly
        rows = house.ledger.rows(site=house.site.name, procedure="4.4", events=[Event.NOTE])
    assert [row.entry.text for row in rows] == [first.text, second.text]
    assert rows[1].entry.data == {
        "plan_hash": plan_hash(house.site), "exactly": True, "certificate": str(second.certificate),
    }  # fmt: skip


def test_the_twin_of_a_site_with_a_pmac_has_one(site: Site) -> None:
    """Its rows are in the plan, so they have to be rehearsed."""
    assert "pmac" not in twin_document(site, 1, 60, [])
    pmac = PmacAccess(
        url="https://192.0.2.8",
        password=SecretRef(env="ONE"),
        server=Server(name="pmac-1", address="192.0.2.8"),
        ssh_password=SecretRef(env="TWO"),
    )
    with_pmac = site.model_copy(update={"pmac": pmac})
    assert {"4.6.2", "4.6.3.2"} <= {row[1].split("/")[0] for row in content(with_pmac)["rows"]}
    assert "pmac" in twin_document(with_pmac, 1, 60, [])


def test_a_rehearsal_that_asks_is_of_the_plan_of_a_site_that_asks(site: Site, lab: Site) -> None:
    mine = AutonomyRules(cmp_switch=Autonomy.AUTO, first_failover=Autonomy.CONFIRM)
    confirms = site.model_copy(update={"autonomy": mine})
    assert plan_hash(asks(confirms)) == plan_hash(confirms)
    assert asks(site).autonomy == AutonomyRules()  # it has a person act, which is asked for instead
    assert asks(lab).autonomy == AutonomyRules()  # it asks nothing of its own


# the command and the page


def test_plan_as_a_document(file: Path, capsys: pytest.CaptureFixture[str], site: Site) -> None:
    assert main(["plan", str(file), "--json"]) == output.OK
    found = json.loads(capsys.readouterr().out)
    assert found["plan_hash"] == plan_hash(site)
    assert found["rehearsed"]["exactly"] is False
    assert [window["work"] for window in found["windows"]] == [["cmp"], ["leipzig"], ["dresden"]]
    assert found["work"][1]["batches"] == [["mpe-le-1", "mpe-li-le-1", "mra-le-1"]]
    assert len(found["rows"]) == len(planning(site).rows)


def test_plan_for_a_person(file: Path, capsys: pytest.CaptureFixture[str], site: Site) -> None:
    stored(a_certificate(site), file)
    assert main(["plan", str(file)]) == output.OK
    out = capsys.readouterr().out
    assert f"plan {plan_hash(site)}" in out
    assert "exactly this plan" in out
    assert "2 h 41 min" in out
    assert "CMP Site1 Cluster | CMP Site2 Cluster" in out


def test_the_page_has_everything_and_needs_nothing_from_outside(file: Path, site: Site) -> None:
    page = file.with_name("plan.html")
    assert main(["plan", str(file), "--html", str(page)]) == output.OK
    text = page.read_text()
    assert plan_hash(site) in text
    for cluster in site.clusters:
        assert cluster.name in text
        for name in cluster.server_names:
            assert name in text
    for row in planning(site).rows:
        assert f"<td>{row.key}</td>" in text
    assert "2026-11-24 22:00 UTC+01:00" in text
    assert "Preparation due 2026-11-23 16:00" in text
    assert "Oracle Support" in text
    assert "Nothing was prepared yet" in text
    assert not re.search(r"(src|href)=|url\(|@import|<script", text)
    assert not file.with_name("north-east.db").exists()  # looking makes no ledger


def test_the_page_says_how_far_the_preparation_is(file: Path, site: Site) -> None:
    with Ledger.open(f"sqlite:///{file.with_name('north-east.db')}") as ledger:
        ledger.confirm(site.name, "release_notes", "J. Doe", "read", "person")
        for server in site.servers[:-1]:
            ledger.add_check(
                site.name,
                None,
                CheckResult("image", server.name, CheckOutcome.OK, "one image", datetime.now(UTC)),
            )
    page = file.with_name("plan.html")
    assert main(["plan", str(file), "--html", str(page)]) == output.OK
    text = page.read_text()
    assert "confirmed by J. Doe on" in text
    count = len(site.servers)
    assert f"{count - 1} of {count}; missing: {site.servers[-1].name}" in text


def test_a_name_with_html_in_it_stays_a_name(file: Path) -> None:
    file.write_text(file.read_text().replace("J. Doe", "J. <b>Doe</b>"))
    page = file.with_name("plan.html")
    assert main(["plan", str(file), "--html", str(page)]) == output.OK
    assert "J. &lt;b&gt;Doe&lt;/b&gt;" in page.read_text()


def test_a_page_that_cannot_be_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(file), "--html", str(file / "no" / "such")]) == output.ERROR
    assert "name a file that can" in capsys.readouterr().err
