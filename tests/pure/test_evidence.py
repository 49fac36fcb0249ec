"""The evidence store: files that the ledger can vouch for."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from mopflow import evidence
from mopflow.errors import LedgerUnavailable
from mopflow.evidence import EvidenceStore
from mopflow.ledger import Ledger
from mopflow.secrets import SecretRef, Vault

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def vault() -> Vault:
    vault = Vault(read_block=lambda _: SecretStr("Geheim 7+/"))
    vault.get(SecretRef(block="console"))
    return vault


@pytest.fixture
def store(tmp_path: Path, ledger: Ledger, vault: Vault) -> EvidenceStore:
    campaign = ledger.campaign("lab", "12.1.1", "12.1.2", "night-1")
    return EvidenceStore(tmp_path / "evidence", ledger, "lab", campaign, vault.strike)


def vouched(store: EvidenceStore, ledger: Ledger) -> list[str]:
    """Paths of all evidence of the campaign; fails when a file is not what the ledger says."""
    paths = []
    for entry in ledger.evidence("night-1"):
        content = (store.root / entry.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert len(content) == entry.size
        paths.append(entry.path)
    return paths


def test_a_text_lies_where_its_step_says_and_in_the_ledger(store: EvidenceStore, ledger: Ledger) -> None:
    first = store.keep_text("10.2", 4, "mpe-1", "alarms.txt", "70500 é\n", "alarms")
    store.keep_text("10.2", 4, "mpe-1", "kpi.txt", "TPS 0\r\n", "kpi")
    store.keep_text("9.1.1", 2, None, "topology.txt", "", "topology")
    assert first.read_text(encoding="utf-8") == "70500 é\n"
    assert vouched(store, ledger) == [
        "night-1/10.2/4-mpe-1/001-alarms.txt",
        "night-1/10.2/4-mpe-1/002-kpi.txt",
        "night-1/9.1.1/2-system/001-topology.txt",
    ]
    entry = ledger.evidence("night-1")[0]
    assert (entry.site, entry.procedure, entry.step, entry.cluster, entry.kind) == (
        "lab",
        "10.2",
        4,
        "mpe-1",
        "alarms",
    )


def test_no_secret_gets_into_a_file(store: EvidenceStore) -> None:
    text = "login: Geheim 7+/ url: Geheim%207%2B%2F base64: R2VoZWltIDcrLw=="
    kept = store.keep_text("9.1.1", 4, None, "session", text, "transcript").read_text()
    assert kept == "login: ******** url: ******** base64: ********"


def test_a_terminal_may_say_what_is_not_unicode(store: EvidenceStore, ledger: Ledger) -> None:
    path = store.keep_text("9.1.1", 4, None, "session", "\0 \udcff", "transcript")
    assert path.read_bytes() == b"\0 \\udcff"
    assert len(vouched(store, ledger)) == 1


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", ".", "", "a/b", "a\0b", "é" * 300])
def test_no_name_leads_out_of_the_store(store: EvidenceStore, ledger: Ledger, name: str) -> None:
    path = store.keep_text("10.2", 1, name, name, "x", "note")
    assert path.resolve().is_relative_to(store.root.resolve())
    assert len(path.relative_to(store.root).parts) == 4
    assert len(vouched(store, ledger)) == 1


def test_threads_never_get_the_same_path(store: EvidenceStore, ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = [str(number) for number in range(40)]
        paths = list(
            pool.map(lambda text: store.keep_text("10.2", 2, "mra-1", "reading", text, "note"), texts)
        )
    assert [path.read_text() for path in paths] == texts
    assert len(set(vouched(store, ledger))) == 40
    assert sorted(path.name[:3] for path in paths) == [f"{number:03}" for number in range(1, 41)]


def test_a_later_run_goes_on_counting(store: EvidenceStore, ledger: Ledger) -> None:
    store.keep_text("10.2", 2, "mra-1", "a", "1", "note")
    again = EvidenceStore(store.root, ledger, "lab", "night-1", str)
    assert again.keep_text("10.2", 2, "mra-1", "b", "2", "note").name == "002-b"


def test_shots_become_evidence_when_they_are_committed(store: EvidenceStore, ledger: Ledger) -> None:
    shots = store.shots("10.2", 4, "mpe-1")
    before, after, never = shots.next("before OK"), shots.next("after"), shots.next("not taken")
    assert len({before, after, never}) == 3
    before.write_bytes(b"png 1")
    assert vouched(store, ledger) == []
    assert shots.commit() == [before]
    assert shots.commit() == []
    after.write_bytes(b"png 2")
    assert shots.commit() == [after]
    assert vouched(store, ledger) == [
        "night-1/10.2/4-mpe-1/001-before_OK.png",
        "night-1/10.2/4-mpe-1/002-after.png",
    ]
    assert {entry.kind for entry in ledger.evidence("night-1")} == {"screenshot"}


def test_where_no_folder_can_be_made_it_says_so(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "taken").write_text("a file")
    ledger.campaign("lab", "12.1.1", "12.1.2", "night-1")
    store = EvidenceStore(tmp_path / "taken", ledger, "lab", "night-1", str)
    with pytest.raises(LedgerUnavailable, match=r"evidence cannot be written to .*taken"):
        store.keep_text("10.2", 1, None, "x", "x", "note")
    with pytest.raises(LedgerUnavailable, match=r"evidence cannot be written to .*taken"):
        store.shots("10.2", 1, None).next("x")


FILLS_THE_DISK = """
import resource, sys
from pathlib import Path
from mopflow.errors import LedgerUnavailable
from mopflow.evidence import EvidenceStore
from mopflow.ledger import Ledger
root = Path(sys.argv[1])
ledger = Ledger.open(f"sqlite:///{root / 'ledger.db'}")
store = EvidenceStore(root / "evidence", ledger, "lab", "night-1", str)
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
store.keep_text("10.2", 1, None, "fits", "x" * 1000, "note")
try:
    store.keep_text("10.2", 1, None, "does not fit", "x" * 5_000_000, "note")
except LedgerUnavailable as error:
    print(error)
    sys.exit(7)
"""


def test_what_the_disk_does_not_take_is_an_error_and_leaves_nothing(
    store: EvidenceStore, ledger: Ledger, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLS_THE_DISK, os.fspath(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr
    assert "evidence cannot be written to" in done.stdout
    assert "make room" in done.stdout
    assert vouched(store, ledger) == ["night-1/10.2/1-system/001-fits"]
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == ["001-fits"]


def test_before_an_act_room_is_asked_for_and_some_is_held_back(
    store: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.require_room()
    assert [(path.name, path.stat().st_size) for path in store.root.iterdir()] == [
        (".reserve", evidence.RESERVE)
    ]
    monkeypatch.setattr(evidence, "ROOM", 1 << 62)
    with pytest.raises(LedgerUnavailable, match=r"MiB are free, an act wants .* make room"):
        store.require_room()
    assert [path.name for path in store.root.iterdir()] == [".reserve"]


def test_where_a_quota_says_no_no_act_is_done(store: EvidenceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(evidence, "_probe", full)
    with pytest.raises(LedgerUnavailable, match="Disk quota exceeded"):
        store.require_room()


def test_what_is_under_way_when_the_disk_fills_up_gets_what_was_held_back(
    store: EvidenceStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.require_room()
    write = evidence._write_new

    def full_but_for_the_reserve(path: Path, content: bytes) -> None:
        if (store.root / ".reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(evidence, "_write_new", full_but_for_the_reserve)
    store.keep_text("10.2", 5, "mpe-1", "seen", "x", "note")
    assert vouched(store, ledger) == ["night-1/10.2/5-mpe-1/001-seen"]
    assert not (store.root / ".reserve").exists()
    store.require_room()  # there is room, and it is held back again
    monkeypatch.setattr(evidence, "NEARLY_FULL", 1 << 62)
    store.shots("10.2", 5, "mpe-1").next("dialog")
    assert not (store.root / ".reserve").exists()
