"""What a rehearsal writes for the twin and for the flows, and what it reads from the twin's record."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.rehearsal import begin_on
from cli.rundir import Passwords, RunDir
from cli.summary import ClusterEnd, ServerEnd, as_hours, read_flight, summarize
from cli.twin_files import VARIABLES, pace_document, site_document, twin_document
from lab.config import Secrets, TwinConfig
from lab.state import Role
from mopflow.errors import BadInput
from mopflow.site import Pace, Site
from mopflow.site_file import load

ROOT = Path(__file__).parents[2]
SITES = [
    ROOT / "deployments" / "lab.yaml",
    ROOT / "deployments" / "example-site.yaml",
    ROOT / "tests" / "sites" / "small.yaml",
]


@pytest.fixture(params=SITES, ids=lambda path: path.stem)
def site(request: pytest.FixtureRequest) -> Site:
    return load(request.param)


@pytest.fixture
def small() -> Site:
    return load(SITES[2])


def twin_of(site: Site, *faults: str) -> TwinConfig:
    return TwinConfig.model_validate(
        yaml.safe_load(yaml.safe_dump(twin_document(site, 7, 60, faults)))
    )  # the twin's own model takes it


def endpoints_of(config: TwinConfig) -> dict[str, Any]:
    servers = [server for cluster in config.clusters for server in cluster.servers]
    return {
        "gui": {c.name: f"https://{c.vip}:{9000 + i}" for i, c in enumerate(config.clusters) if c.primary is not None},
        "servers": {s.name: {"address": s.address, "port": 8000 + i} for i, s in enumerate(servers)},
    }  # fmt: skip


def test_the_twin_takes_its_input(site: Site) -> None:
    config = twin_of(site)
    assert (config.seed, config.speed) == (7, 60)
    assert [c.name for c in config.clusters] == [c.name for c in site.clusters]
    assert [c.name for c in config.clusters if c.primary] == [site.cmp.primary.name]
    for cluster in config.clusters:
        assert [server.role for server in cluster.servers] == [Role.ACTIVE, Role.STANDBY]
        assert all(server.release is None and server.port == 0 for server in cluster.servers)
    addresses = [server.address for cluster in config.clusters for server in cluster.servers]
    assert len(set(addresses)) == len(addresses)


def test_the_new_image_lies_on_one_server_of_each_type_and_an_old_one_on_all_others(site: Site) -> None:
    config = twin_of(site)
    new = {medium.file: medium for medium in site.media}
    holders: dict[str, list[str]] = {}
    for cluster in config.clusters:
        image_type = site.cluster(cluster.name).image_type
        for server in cluster.servers:
            (image,) = server.images
            assert image.startswith(f"{image_type}-")
            if image in new:
                holders.setdefault(image, []).append(server.name)
            else:
                assert site.source in image
    assert {medium.file for medium in site.media} >= set(holders)
    assert all(len(names) == 1 for names in holders.values())
    assert {name.rsplit("-12", 1)[0] for name in holders} == {c.image_type.value for c in site.clusters}
    assert {m.md5 for m in config.media if m.file in new} == {m.md5 for m in site.media}


def test_durations_for_all_kinds_are_written_out(small: Site) -> None:
    durations = twin_of(small).durations
    assert set(durations.initiate_upgrade.values()) == {4}
    assert durations.upload_iso == 0.5


def test_faults_are_passed_on_for_the_twin_to_judge(small: Site) -> None:
    assert twin_of(small, "zombie@mpe-1b:2").faults == ("zombie@mpe-1b:2",)


def test_the_flows_find_the_twin_by_the_site_file(site: Site, tmp_path: Path) -> None:
    endpoints = endpoints_of(twin_of(site))
    run = RunDir.create(tmp_path / "run")
    run.write_yaml(run.site_yaml, "a test", site_document(site, endpoints, 60))
    there = load(run.site_yaml)
    assert [c.name for c in there.clusters] == [c.name for c in site.clusters]
    for server in there.servers:
        assert {"address": server.address, "port": server.port} == endpoints["servers"][server.name]
    for cluster in there.cmp_clusters:
        assert f"https://{cluster.vip}" == endpoints["gui"][cluster.name]
    assert (there.ledger, str(there.evidence)) == ("sqlite:///ledger.db", "evidence")
    assert (str(there.console.ca), str(there.ssh.known_hosts)) == ("ca.pem", "known_hosts")
    assert there.notifications.urls == ()  # a rehearsal tells nobody outside
    assert [contact.url for contact in there.contacts] == [None] * len(site.contacts)
    assert {there.console.password.env, there.ssh.password.env} <= set(VARIABLES)


def test_who_is_told_of_a_rehearsal_is_said_by_whoever_starts_it(site: Site, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run")
    there = site_document(site, endpoints_of(twin_of(site)), 60, tell=["MOPFLOW_TRY"])
    run.write_yaml(run.site_yaml, "a test", there)
    rules = load(run.site_yaml).notifications
    assert [ref.env for ref in rules.urls] == ["MOPFLOW_TRY"]
    assert (rules.remind_after, rules.gather, rules.per) == (15, 0.5, 5)
    assert (rules.at_most, rules.kinds) == (site.notifications.at_most, site.notifications.kinds)


def test_every_second_is_divided_by_the_speed() -> None:
    fast = Pace.model_validate(pace_document(Pace(), 60))
    assert fast.poll_floor == 0.1
    assert fast.stable_readings == Pace().stable_readings
    assert fast.stagger == pytest.approx(1)
    assert fast.traffic_window == pytest.approx(1.5)
    assert fast.initiate_upgrade.late == pytest.approx(90)
    assert fast.minute == pytest.approx(1)
    others = set(Pace.model_fields) - {"poll_floor", "stable_readings"}
    for name in others:
        slow, quick = getattr(Pace(), name), getattr(fast, name)
        if isinstance(slow, float | int):
            assert quick == pytest.approx(slow / 60, abs=1e-6), name
        else:
            assert (quick.usual, quick.late) == pytest.approx((slow.usual / 60, slow.late / 60)), name


def test_passwords_are_random_and_a_shell_reads_them_back(tmp_path: Path) -> None:
    first, second = Passwords(), Passwords()
    assert not set(first.environment().values()) & set(second.environment().values())
    assert all(value not in repr(first) for value in first.environment().values())
    path = tmp_path / "secrets.env"
    first.write(path, {"PREFECT_API_URL": "http://127.0.0.1:4200/api"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = subprocess.run(
        ["/bin/sh", "-c", f"set -a; . {shlex.quote(str(path))}; env -0"], capture_output=True, check=True,
        env={"PATH": os.defpath},
    ).stdout  # fmt: skip
    read = dict(entry.split("=", 1) for entry in said.decode().split("\0") if entry)
    for name, value in first.environment().items():
        assert read[name] == value
    assert read["PREFECT_API_URL"].endswith("/api")
    secrets = Secrets.from_environment(twin_of(load(SITES[2])).credentials, first.environment())
    assert secrets.gui.get_secret_value() == first.environment()["MOPFLOW_LAB_GUI_PASSWORD"]


def test_a_run_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDir.create(None)
    assert run.path.parent == tmp_path / "runs"
    with pytest.raises(BadInput, match="is used already"):
        RunDir.create(run.path)
    (tmp_path / "empty").mkdir()
    assert RunDir.create(tmp_path / "empty").logs.is_dir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="is used already"):
        RunDir.create(tmp_path / "file")


# the twin's record

WORLD = {
    "source": "12.1.1",
    "target": "12.1.2",
    "clusters": [
        {"name": name, "kind": "MPE", "segment": "s", "servers": [
            {"name": f"{name}a", "role": "Active", "release": "12.1.1"},
            {"name": f"{name}b", "role": "Standby", "release": "12.1.1"},
        ]}
        for name in ("m1", "m2", "m3")
    ],
}  # fmt: skip


def act(t: float, event: str, server: str, action: str = "initiate_upgrade") -> dict[str, Any]:
    return {"t": t, "event": event, "cluster": server[:2], "server": server, "action": action, "by": "admin"}


RECORD: list[dict[str, Any]] = [
    act(100, "action_started", "m1b"),
    act(150, "action_started", "m2b"),  # both at once count once
    {"t": 160, "event": "fault", "name": "zombie", "where": "m2b"},
    {"t": 200, "event": "release", "server": "m1b", "cluster": "m1", "kind": "MPE", "from": "12.1.1", "to": "12.1.2"},
    act(200, "action_ended", "m1b"),
    {"t": 210, "event": "role", "server": "m2b", "cluster": "m2", "kind": "MPE", "from": "OOS", "to": "Zombie"},
    {"t": 220, "event": "release", "server": "m2b", "cluster": "m2", "kind": "MPE", "from": "12.1.1", "to": "12.1.2"},
    act(250, "action_ended", "m2b"),
    {"t": 300, "event": "release", "server": "m1a", "cluster": "m1", "kind": "MPE", "from": "12.1.1", "to": "12.1.2"},
    {"t": 400, "event": "traffic", "cluster": "m1", "active": True},
]  # fmt: skip


def test_the_summary_counts_what_the_twin_recorded(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text(json.dumps(WORLD), encoding="utf-8")
    record = (
        "".join(json.dumps(event) + "\n" for event in RECORD) + '{"t": 999, "event": "ro'
    )  # still being written
    (tmp_path / "flight.jsonl").write_text(record, encoding="utf-8")
    flight = read_flight(tmp_path / "world.json", tmp_path / "flight.jsonl")
    assert flight.seconds == 400
    assert flight.idle == pytest.approx(400 - 150)
    assert flight.faults == ("zombie@m2b",)
    ends = {cluster.name: cluster for cluster in flight.clusters}
    assert [name for name, cluster in ends.items() if cluster.upgraded] == ["m1"]
    assert [name for name, cluster in ends.items() if cluster.untouched] == ["m3"]
    assert ends["m2"].servers[1].role == "Zombie"


def test_a_cluster_on_the_target_without_a_standby_is_not_upgraded() -> None:
    forced = [*RECORD, {"t": 401, "event": "role", "server": "m1a", "from": "Active", "to": "Forced Standby"}]
    assert not any(cluster.upgraded for cluster in summarize(WORLD, forced).clusters)


def test_an_empty_record() -> None:
    flight = summarize(WORLD, [])
    assert (flight.seconds, flight.idle, flight.faults) == (0, 0, ())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 min"), (3540, "59 min"), (3600, "1 h 00 min"), (11_100, "3 h 05 min")]
)
def test_hours(seconds: float, text: str) -> None:
    assert as_hours(seconds) == text


@pytest.mark.parametrize(
    ("named", "short"),
    [("10.5", "10.5.6"), ("11.5", "11.5.2"), ("12.0", "12.0.0"), ("12.1.1.0.0_9", "12.1.1")],
)
def test_a_rehearsal_may_begin_on_another_release(named: str, short: str) -> None:
    site = begin_on(load(SITES[0]), named)
    assert site.source_release.short == short
    config = TwinConfig.model_validate(twin_document(site, 7, 60, ()))
    assert config.source == site.source
    assert {image for c in config.clusters for s in c.servers for image in s.images} <= {
        m.file for m in config.media
    }
    endpoints = endpoints_of(config)
    assert site_document(site, endpoints, 60)["source"] == site.source


@pytest.mark.parametrize("named", ["9.3", "12.1.0", "12.1.2", "latest"])
def test_a_release_without_a_path_is_refused_by_name(named: str) -> None:
    with pytest.raises(BadInput, match=rf"--from {re.escape(named)}: .*10\.5, 11\.5, 12\.0, 12\.1\.1"):
        begin_on(load(SITES[0]), named)


def test_backed_out_is_the_old_release_with_one_server_active() -> None:
    def ended(release: str, *roles: str) -> ClusterEnd:
        servers = tuple(
            ServerEnd(f"mpe-1{x}", role, "12.0", release) for x, role in zip("ab", roles, strict=True)
        )
        return ClusterEnd("mpe-1", "MPE", None, servers, "12.1.2")

    assert ended("12.0", "Standby", "Active").backed_out
    assert not ended("12.0", "Forced Standby", "Active").backed_out
    assert not ended("12.1.2", "Standby", "Active").backed_out
