"""What Oracle gets when something stops, opened and looked into."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaks import leaks
from nights import Night

from mopflow.procedures.table import step
from mopflow.support_pack import KIND


@dataclass(frozen=True, slots=True)
class Pack:
    """An opened support pack; its members by name, without the folder that all lie in."""

    path: Path
    files: dict[str, bytes]

    def text(self, name: str) -> str:
        return self.files[name].decode()

    def document(self, name: str) -> Any:
        return json.loads(self.files[name])

    def table(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text(name))))


def packs(night: Night, cluster: str) -> list[Pack]:
    """The packs that were made by themselves for this cluster, each with the hash that the ledger has entered."""
    with night.ledger() as ledger:
        kept = [
            one
            for campaign in {row.campaign for row in ledger.rows(site=night.site.name)}
            for one in ledger.evidence(campaign)
            if one.kind == KIND and one.cluster == cluster
        ]
    found = []
    for one in kept:
        path = night.folder / "evidence" / one.path
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == one.sha256
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            files = {}
            for member in tar.getmembers():
                file = tar.extractfile(member)
                assert file is not None
                files[member.name.split("/", 1)[1]] = file.read()
        found.append(Pack(path, files))
    return found


def complete(night: Night, cluster: str, server: str, *, failed: str, old_gui: bool = False) -> Pack:
    """The newest pack of a hold of this cluster has everything that Oracle asks about, and no secret of the site.

    ``server``: the one in trouble; ``failed``: what its cell says. The old GUI has no Upgrade Log to give.
    """
    with night.ledger() as ledger:
        (hold,) = [h for h in ledger.holds(night.site.name) if h.cluster == cluster]
    pack = packs(night, cluster)[-1]
    assert str(pack.path) in hold.remedy
    manifest = pack.document("manifest.json")
    listed = {f["name"]: f["sha256"] for f in manifest["files"]}
    assert listed == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in pack.files.items()
        if name != "manifest.json"
    }
    log = f"live/upgrade-log-{cluster}.csv"
    assert [m["what"] for m in manifest["missing"]] == ([log] if old_gui else [])
    assert manifest["hold"] == hold.id
    # upgrade log, alarms, releases, roles: as shown at that moment
    if not old_gui:
        assert any(line["hostname"] == server and line["result"] == "Failed" for line in pack.table(log))
        assert ("70506", server) in {(a["alarm"], a["source"]) for a in pack.table("live/active-alarms.csv")}
    shown = {row["server"]: row for row in pack.table("live/servers.csv")}
    assert set(shown) == {s.name for s in night.site.servers}
    assert failed in shown[server]["operation"] or failed in shown[server]["role"]
    assert all(row["role"] and row["running release"] for row in shown.values())
    kept = {s["name"]: s for c in pack.document("snapshot.json")["clusters"] for s in c["servers"]}
    assert set(kept) == set(shown)
    # number and text of the step, the hold, what was done until then
    row = step(f"{hold.procedure}/{hold.step}")
    readme = pack.text("README.txt")
    assert f"Step {row.key}: {row.title}" in readme
    assert f"Held (rule {hold.rule}): {hold.reason}" in readme
    assert "The document there (" in readme
    events = [(line["step"], line["event"]) for line in pack.table("timeline.csv")]
    assert (row.key, "held") in events
    assert any(event == "intended" for _, event in events)
    assert hold.id in {h["id"] for h in pack.document("holds.json")}
    versions = pack.document("versions.json")
    assert {"mopflow", "prefect", "playwright", "chromium", "python"} <= set(versions)
    assert set(versions["servers"]) == set(shown)
    # pictures and what was read
    evidence = [name for name in pack.files if name.startswith("evidence/")]
    pictures = [name for name in evidence if name.endswith(".png")]
    assert pictures and all(pack.files[name].startswith(b"\x89PNG") for name in pictures)
    assert [name for name in evidence if not name.endswith(".png")]
    assert not [name for name in evidence if name.endswith(".gz")]
    opened = night.folder / "opened" / hold.id
    for name, content in pack.files.items():
        place = opened / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    assert leaks(night, opened) == []
    return pack
