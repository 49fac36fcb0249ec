"""The support pack: what is in it, what is never in it, and that it stands in nobody's way."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from small_system import Place, alarm, make_place

from mopflow import contact, holds, support_pack
from mopflow.errors import Held, Unreachable
from mopflow.here import Here, Scope
from mopflow.house import House, snapshot_document
from mopflow.ledger import Event
from mopflow.procedures.table import step
from mopflow.rules import FOLLOWS
from mopflow.run import carry_out
from mopflow.secrets import SecretRef, forms
from mopflow.step import Refusal
from mopflow.support_pack import KIND, Gathered, Occasion, make, read_console, scope_keys
from mopflow.system import Role

MPE = Scope(cluster="mpe-1")
FAILED = "Initiate upgrade Failed at Aug 16, 2016 9:21:11"
SECRETS = {"PACK_CONSOLE": 'pa"ss\\wörd', "PACK_SSH": "s3cret&more", "PACK_ROOT": "r00t-of-all"}

Pack = dict[str, bytes]


@pytest.fixture
def place(tmp_path: Path, empty_ledger: Path) -> Place:
    return make_place(tmp_path / "place", empty_ledger, late=0.3)


def unpack(content: bytes) -> Pack:
    """The files by name, without the folder that all lie in."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        members = tar.getmembers()
        assert [m.name for m in members] == sorted(m.name for m in members)
        assert len({m.name.split("/")[0] for m in members}) == 1
        return {m.name.split("/", 1)[1]: tar.extractfile(m).read() for m in members}  # type: ignore[union-attr]


def packs(place: Place) -> list[Path]:
    with place.ledger() as ledger:
        assert place.campaign is not None
        found = [one for one in ledger.evidence(place.campaign) if one.kind == KIND]
    for one in found:
        content = (place.folder / "evidence" / one.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == one.sha256
    return [place.folder / "evidence" / one.path for one in found]


def fail(place: Place) -> None:
    place.system.boxes["mpe-1b"].operation = FAILED
    place.system.alarms = [alarm(70506, "mpe-1b")]


def held(place: Place, key: str = "10.2/3") -> Held:
    with place.house() as house, pytest.raises(Held) as found:
        house.ledger.put_snapshot(house.site.name, house.campaign, snapshot_document(house.eye.now()))
        carry_out(step(key), MPE, house)
    return found.value


# at a hold


def test_a_hold_of_r8_brings_its_pack(place: Place) -> None:
    fail(place)
    place.system._log("mpe-1", "Initiate upgrade", "mpe-1b", "Failed")
    error = held(place)
    (path,) = packs(place)
    assert f"Support pack for Oracle: {path}" in error.remedy
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
        assert hold.remedy == error.remedy
        notes = ledger.rows(procedure="10.2", step=3, events=[Event.NOTE])
        assert [row.entry.data["support_pack"] for row in notes] == [str(path)]
        notices = ledger.notices("small")
    assert any(n.subject.startswith("HOLD mpe-1") for n in notices)
    files = unpack(path.read_bytes())
    assert "Initiate upgrade,8/18/2016" in files["live/upgrade-log-mpe-1.csv"].decode()
    assert "70506" in files["live/active-alarms.csv"].decode()
    assert "mpe-1b" in files["live/servers.csv"].decode()
    snapshot = json.loads(files["snapshot.json"])
    assert {s["name"] for c in snapshot["clusters"] for s in c["servers"]} >= {"mpe-1a", "mpe-1b"}
    assert ",held,R8: UPGRADE_OPERATION_FAILED on mpe-1b" in files["timeline.csv"].decode()
    (packed,) = json.loads(files["holds.json"])
    assert packed["id"] == hold.id
    readme = files["README.txt"].decode()
    assert "Step 10.2/3: Upgrade clusters" in readme
    assert "The first server is upgraded, says so, and its replication is in sync" in readme
    assert "Held (rule R8): UPGRADE_OPERATION_FAILED on mpe-1b" in readme
    assert "The document there (12.3.2)" in readme
    versions = json.loads(files["versions.json"])
    assert versions["servers"]["mpe-1a"].startswith("12.1.1")
    assert {"mopflow", "prefect", "python", "chromium"} <= set(versions)


def test_the_manifest_names_every_file_with_its_hash(place: Place) -> None:
    fail(place)
    held(place)
    files = unpack(packs(place)[0].read_bytes())
    manifest = json.loads(files.pop("manifest.json"))
    assert {f["name"]: (f["sha256"], f["size"]) for f in manifest["files"]} == {
        name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()
    }
    assert manifest["scope"] == "mpe-1"
    assert manifest["missing"] == []
    assert manifest["secrets_not_at_hand"] == ["environment variable NOT_USED"]


def test_evidence_of_the_cluster_and_the_system_is_in_it_and_of_others_is_not(place: Place) -> None:
    with place.house() as house:
        for scope, name in ((MPE, "mine.txt"), (Scope(cluster="mpe-2"), "theirs.txt"), (Scope(), "all.txt")):
            Here(house, step("10.2/1"), scope, house.eye.now()).keep(name, "seen", "transcript")
        shots = house.evidence.shots("10.2", 4, "mpe-1")
        shots.next("before").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
        shots.commit()
    fail(place)
    held(place)
    held(place)  # the second pack does not hold the first
    names = [unpack(path.read_bytes()).keys() for path in packs(place)]
    assert len(names) == 2
    for found in names:
        told = {name.split("/")[-1] for name in found if name.startswith("evidence/")}
        assert {"001-mine.txt", "001-all.txt", "001-before.png"} <= told
        assert not [name for name in told if "theirs" in name or name.endswith(".gz")]


@pytest.mark.parametrize(
    "key, trouble",
    [
        ("10.2/3", "zombie"),
        ("10.2/3", "failed"),
        ("10.2/3", "alarm"),
        ("10.2/3", "status"),
        ("10.2/3", "version"),
    ],
)
def test_every_trouble_of_a_partially_upgraded_cluster(place: Place, key: str, trouble: str) -> None:
    box = place.system.boxes["mpe-1b"]
    match trouble:
        case "zombie":
            box.role = Role.ZOMBIE
        case "failed":
            box.operation = FAILED
        case "alarm":
            place.system.alarms = [alarm(70506, "mpe-1b")]
        case "status":
            box.operation = "Something else happened"
        case "version":
            box.release = "12.1.2.0.0_21.1.0"
    error = held(place, key)
    assert len(packs(place)) == 1
    assert "contact Oracle Support" in error.remedy


def test_replication_that_does_not_come_in_sync(place: Place) -> None:
    place.system.boxes["mpe-1b"].sync_broken = True
    error = held(place)
    assert "not in sync" in error.remedy
    assert len(packs(place)) == 1


def test_the_places_where_the_document_sends_to_oracle() -> None:
    def where(rule: str, procedure: str, number: int) -> str | None:
        place = contact.place_of(rule, procedure, number)
        return place.where if place is not None else None

    assert where("R8", "10.2", 3) == "12.3.2"
    assert where("R8", "12.3.3", 2) == "12.3.2"
    assert where("R8", "6.1.1", 10) == where("", "6.1.1", 10) == "6.1.1/10"
    assert where("", "7.1.1", 10) == "7.1.1/10"
    assert where("", "10.2", 8) == where("R11", "10.2", 8) == "10.2/8"
    assert where("R9", "9.1.1", 10) == "6.1.1/11, 7.1.1/11"
    for rule, procedure, number in (
        (FOLLOWS, "10.2", 3),
        ("", "10.2", 3),
        ("R15", "6.1.1", 10),
        ("login", "10.2", 8),
    ):
        assert where(rule, procedure, number) is None


@pytest.mark.parametrize("rule", ["R15", "R1", FOLLOWS, ""])
def test_other_holds_have_none(place: Place, rule: str) -> None:
    with place.house() as house, pytest.raises(Held) as found:
        here = Here(house, step("10.2/3"), MPE, house.eye.now())
        holds.hold(here, Refusal(rule, "why"))
    assert "Support pack" not in found.value.remedy
    assert packs(place) == []


# it stands in nobody's way


def test_a_pack_that_cannot_be_made_does_not_hide_the_hold(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> bytes:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(support_pack, "_archive", broken)
    fail(place)
    error = held(place)
    assert "UPGRADE_OPERATION_FAILED" in error.reason
    assert "could not be made (ZeroDivisionError: a mistake)" in error.remedy
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
        assert hold.remedy == error.remedy
        assert ledger.rows(procedure="10.2", step=3, events=[Event.NOTE])
    assert packs(place) == []


def test_evidence_that_is_gone_or_changed_is_named(place: Place) -> None:
    with place.house() as house:
        here = Here(house, step("10.2/1"), MPE, house.eye.now())
        gone, changed = here.keep("gone.txt", "x"), here.keep("changed.txt", "x")
    gone.unlink()
    changed.write_text("y")
    fail(place)
    held(place)
    manifest = json.loads(unpack(packs(place)[0].read_bytes())["manifest.json"])
    assert {m["what"]: m["why"] for m in manifest["missing"]} == {
        "evidence/10.2/1-mpe-1/001-gone.txt": "No such file or directory",
        "evidence/10.2/1-mpe-1/002-changed.txt as it was kept": "the file differs from what the ledger entered",
    }


def test_a_console_that_is_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_cluster: str) -> Any:
        raise Unreachable("the console", "no route")

    with place.house() as house:
        monkeypatch.setattr(place.system, "upgrade_log", away)
        manifest = json.loads(pack(house)["manifest.json"])
    assert {
        "what": "live/upgrade-log-mpe-1.csv",
        "why": "the console cannot be reached: no route",
    } in manifest["missing"]


def test_a_console_that_does_not_answer_is_not_waited_for(place: Place) -> None:
    answer = threading.Event()

    def silent(got: Gathered) -> None:
        got.text("live/first.txt", "in time")
        answer.wait(30)
        got.text("live/late.txt", "too late")

    with place.house() as house:
        files = pack(house, live=silent, deadline=0.05)
        answer.set()
    assert files["live/first.txt"] == b"in time"
    assert "live/late.txt" not in files
    missing = {m["what"]: m["why"] for m in json.loads(files["manifest.json"])["missing"]}
    assert missing["live"] == "the console did not answer everything within 0.05 s"


def test_the_same_content_gives_the_same_bytes() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    one = support_pack._archive("f", {"b": b"2", "a": b"1"}, at)
    assert one == support_pack._archive("f", {"a": b"1", "b": b"2"}, at)
    assert unpack(one) == {"a": b"1", "b": b"2"}


def test_scopes() -> None:
    from small_system import small_site

    site = small_site()
    both = {"mpe-1", "mpe-1a", "mpe-1b"}
    assert scope_keys(site, "mpe-1") == scope_keys(site, "mpe-1b") == both | {"segment-1", "system"}
    assert scope_keys(site, None) is None
    assert scope_keys(site, "cmp-1") == {"cmp-1", "cmp-1a", "cmp-1b", "system"}
    segment = scope_keys(site, "segment-1")
    assert segment is not None
    assert both < segment


# without secrets


def pack(
    house: House,
    *,
    live: Callable[[Gathered], None] | None = None,
    deadline: float = 5.0,
    scope: str = "mpe-1",
) -> Pack:
    content = make(
        house.site,
        house.ledger,
        house.campaign,
        house.evidence.root,
        house.vault,
        Occasion(scope, step("10.2/3"), "R8", "why", "h"),
        live or read_console(house.console, [scope]),
        deadline,
    )
    return unpack(content)


@contextmanager
def with_secrets(place: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A site whose secrets are set, and that this run has not used: its vault knows none of them yet."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    site = place.site
    refs = {name: SecretRef(env=name) for name in SECRETS}
    console = site.console.model_copy(update={"password": refs["PACK_CONSOLE"]})
    ssh = site.ssh.model_copy(update={"password": refs["PACK_SSH"], "root_password": refs["PACK_ROOT"]})
    place.site = site.model_copy(update={"console": console, "ssh": ssh})
    with place.house() as house:
        yield house


def test_no_secret_is_in_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place that a text can come from says every secret in every form."""
    said = " ".join(forms(SECRETS.values()))
    place.system._log("mpe-1", said, "mpe-1b", said)
    place.system.boxes["mpe-1b"].operation = said
    place.system.alarms = [alarm(70506, said)]
    with with_secrets(place, monkeypatch) as house:
        here = Here(house, step("10.2/3"), MPE, house.eye.now())
        house.ledger.put_snapshot("small", house.campaign, snapshot_document(here.reading))
        house.ledger.record(
            house.campaign,
            "small",
            house.executor,
            here.record(Event.NOTE, said, data={said: [said, {"deep": said}]}).entry,
        )
        house.ledger.open_hold("small", house.campaign, "mpe-1", "10.2", 3, "R8", said, said, {"seen": said})
        here.keep("said.txt", said, "transcript")
        here.keep("said.json", json.dumps([said]), "transcript")
        shots = house.evidence.shots("10.2", 3, "mpe-1")
        shots.next("before").write_bytes(b"\x89PNG\xff\xfe" + SECRETS["PACK_SSH"].encode())
        shots.commit()
        content = make(
            house.site,
            house.ledger,
            house.campaign,
            house.evidence.root,
            house.vault,
            Occasion("mpe-1", here.step, "R8", said, "h"),
            read_console(house.console, ["mpe-1"]),
        )
    plain = gzip.decompress(content)
    files = unpack(content)
    assert {"timeline.csv", "holds.json", "snapshot.json", "live/upgrade-log-mpe-1.csv"} <= files.keys()
    assert [name for name in files if name.endswith("said.json")]
    assert not [name for name in files if name.endswith(".png")]
    for form in forms(SECRETS.values()):
        assert form.encode() not in plain, form
    assert "it holds a secret" in files["manifest.json"].decode()
    assert json.loads(files["manifest.json"])["secrets_not_at_hand"] == []
    for name in files:
        if name.endswith(".json"):
            json.loads(files[name])
