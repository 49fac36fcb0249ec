"""4.6.3.1 on the twin: three ways, every fault, what the operator sees, and that a second run mends it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from houses import OnTwin, on_twin
from image_runs import Run, distribute, images_by_server, old_images, writes

from mopflow.acts import deploy
from mopflow.distribution import Does
from mopflow.errors import Held
from mopflow.house import House
from mopflow.media import UPGRADE_DIR
from mopflow.probes import folder as folder_probe
from mopflow.site import LabSettings
from mopflow.ssh import Reply

pytestmark = [pytest.mark.twin, pytest.mark.browser]

ALL = ("cmp-1a", "cmp-1b", "cmp-2a", "cmp-2b", "mpe-1a", "mpe-1b", "mpe-2a", "mpe-2b", "mra-1a", "mra-1b")


@contextmanager
def twin_with(folder: Path, way: str, *faults: str, **images: Any) -> Iterator[OnTwin]:
    with on_twin(folder, speed=180, faults=faults, site={"images": {"way": way, **images}}) as twin:
        yield twin


def wanted(house: House, server: str) -> str:
    cluster = house.site.cluster_of(server)
    assert cluster is not None
    return house.site.medium(cluster.image_type).file


def all_have_exactly_theirs(house: House) -> None:
    """By the servers' own words: one file each, the right one."""
    for name, found in deploy.survey(house).items():
        assert isinstance(found, deploy.Look), found
        assert found.in_place, str(found)
        assert list(found.folder.entries) == [wanted(house, name)]


def never_two(twin: OnTwin, first: dict[str, set[str]]) -> None:
    """By the flight record: no server had two images after the first old one was removed, and one in the end."""
    site = twin.site
    for name, states in images_by_server(twin, first).items():
        cluster = site.cluster_of(name)
        assert cluster is not None
        assert all(len(state) <= 1 for state in states[1:]), (name, states)
        assert states[-1] == {site.medium(cluster.image_type).file}, (name, states)


def second_run_touches_nothing(twin: OnTwin) -> None:
    before = len(twin.events("file"))
    with twin.open() as house:
        run = distribute(house)
        assert (run.waves, run.held) == ([], {})
        assert run.standing.finished == set(ALL)
    assert writes(twin, before) == []


# ---- the three ways ----


def test_direct(tmp_path: Path) -> None:
    with twin_with(tmp_path, "direct") as twin:
        with twin.open() as house:
            run = distribute(house)
            assert run.held == {}
            assert {t.source for wave in run.waves for t in wave} == {None}
            assert run.outcome("mpe-1a") == ["done"]
            all_have_exactly_theirs(house)
            rows = house.ledger.rows(campaign=house.campaign, procedure="4.6.3.1", step=1, cluster="mpe-1a")
            removed = [row.entry.data["old"] for row in rows if "old" in row.entry.data]
            assert [old["file"] for old in removed[0]] == ["mpe-12.1.1.0.0_14.1.0-x86_64.iso"]
            assert len(removed[0][0]["md5"]) == 32
            done = rows[-1].entry.data
            assert (done["file"], done["from"]) == (wanted(house, "mpe-1a"), "here")
            assert done["sent"] == done["size"] == LabSettings().image_size
        never_two(twin, old_images(twin, ALL))
        second_run_touches_nothing(twin)


def test_relay(tmp_path: Path) -> None:
    with twin_with(tmp_path, "relay", parallel=3) as twin:
        with twin.open() as house:
            run = distribute(house)
            assert run.held == {}
            assert max(len(wave) for wave in run.waves) <= 3
            sources = Counter(task.source for wave in run.waves for task in wave)
            assert sources[None] == 3  # one of each type
            assert sum(sources.values()) == len(ALL)
            all_have_exactly_theirs(house)
        never_two(twin, old_images(twin, ALL))
        typed = [e["command"] for e in twin.events("ssh_command") if " scp " in e["command"]]
        assert len(typed) == len(ALL) - 3
        assert all("StrictHostKeyChecking=yes" in command for command in typed)
        assert not any(p in str(twin.events("ssh_command")) for p in twin.passwords.values())
        second_run_touches_nothing(twin)


def test_by_iso_maintenance(tmp_path: Path) -> None:
    with twin_with(tmp_path, "iso-maintenance") as twin:
        with twin.open() as house:
            run = distribute(house)
            assert run.held == {}
            does = Counter(task.does for wave in run.waves for task in wave)
            assert does == {Does.BRING: 3, Does.CLEAR: 7, Does.UPLOAD: 3, Does.CHECK: 7}
            all_have_exactly_theirs(house)
        uploaded = {e["server"] for e in twin.events("action_started", action="upload_iso")}
        assert uploaded == {"cmp-1b", "cmp-2a", "cmp-2b", "mpe-1b", "mpe-2a", "mpe-2b", "mra-1b"}
        never_two(twin, old_images(twin, ALL))
        second_run_touches_nothing(twin)


# ---- what goes wrong ----


def strange_images(twin: OnTwin) -> dict[str, set[str]]:
    """wrong_image@mpe-1a and two_images@mpe-1b: what the twin put there."""
    with twin.open() as house:
        found = deploy.survey(house)
        looks = {name: found[name] for name in ("mpe-1a", "mpe-1b")}
    assert all(isinstance(look, deploy.Look) for look in looks.values())
    return {
        name: {entry for entry in look.folder.entries if entry.endswith(".iso")}
        for name, look in looks.items()
        if isinstance(look, deploy.Look)
    }


FAULTS = (
    "disk_full@mpe-2a", "connection_cut@mpe-2b", "corrupt_transfer@mra-1b", "stray_file@cmp-2b",
    "wrong_image@mpe-1a", "two_images@mpe-1b",
)  # fmt: skip


def bitten(twin: OnTwin) -> set[str]:
    return {f"{e['name']}@{e['where']}" for e in twin.events("fault")}


def stray_is_moved_away(twin: OnTwin, run: Run) -> None:
    held = run.hold("cmp-2b")
    assert "a file README.first" in held.reason
    assert "move it away" in held.remedy
    with twin.open() as house:
        there = folder_probe.ask(house.servers, "cmp-2b", UPGRADE_DIR).entries
        assert set(there) == {"README.first", "cmp-12.1.1.0.0_14.1.0-x86_64.iso"}  # nothing was touched
        house.servers.check("cmp-2b", f"mv {UPGRADE_DIR}/README.first /tmp/")


def test_direct_when_things_go_wrong(tmp_path: Path) -> None:
    """A full disk and a stray file hold their own server; everything else is mended in the same run."""
    with twin_with(tmp_path, "direct", *FAULTS) as twin:
        first = strange_images(twin)
        assert first == {
            "mpe-1a": {"cmp-12.1.2.0.0_22.1.0-x86_64.iso"},
            "mpe-1b": {"mpe-12.1.2.0.0_22.1.0-x86_64.iso", "mpe-12.1.1.0.0_14.1.0-x86_64.iso"},
        }
        with twin.open() as house:
            run = distribute(house)
            assert run.held_servers == {"mpe-2a", "cmp-2b"}
            assert bitten(twin) == set(FAULTS)
            full = run.hold("mpe-2a")
            assert "the disk became full when" in full.reason
            assert ".part was removed, for it would have kept the disk full" in full.reason
            assert "make room" in full.remedy
            assert set(folder_probe.ask(house.servers, "mpe-2a", UPGRADE_DIR).entries) == set()
            rows = {
                name: house.ledger.rows(campaign=house.campaign, procedure="4.6.3.1", step=1, cluster=name)
                for name in ("mpe-2b", "mra-1b")
            }
            cut, damaged = rows["mpe-2b"][-1].entry.data, rows["mra-1b"][-1].entry.data
            assert (cut["breaks"], cut["restarts"]) == (1, 0)
            assert cut["sent"] < 2 * cut["size"]  # it went on where it was
            assert (damaged["breaks"], damaged["restarts"], damaged["sent"]) == (0, 1, 2 * damaged["size"])
        assert {hold.cluster for hold in twin.holds() if hold.closed is None} == {"mpe-2a", "cmp-2b"}
        stray_is_moved_away(twin, run)
        with twin.open() as house:
            again = distribute(house)
            assert again.held == {}
            assert {task.server for task in again.results} == {"mpe-2a", "cmp-2b"}
            all_have_exactly_theirs(house)
        never_two(twin, {**old_images(twin, ALL), **first})
        second_run_touches_nothing(twin)


def test_relay_when_things_go_wrong(tmp_path: Path) -> None:
    faults = (*FAULTS[:1], "connection_cut@mpe-2b", "corrupt_transfer@cmp-2a", *FAULTS[3:])
    with twin_with(tmp_path, "relay", *faults, parallel=4) as twin:
        first = strange_images(twin)
        with twin.open() as house:
            run = distribute(house)
            assert run.held_servers == {"mpe-2a", "cmp-2b"}
            assert bitten(twin) == set(faults)
            assert "the disk became full" in run.hold("mpe-2a").reason
            sources = {task.server: task.source for wave in run.waves for task in wave}
            assert sources["cmp-2a"] is not None
            assert sources["mpe-2b"] is not None
        stray_is_moved_away(twin, run)
        with twin.open() as house:
            again = distribute(house)
            assert again.held == {}
            # servers that were finished hand on to those that were not
            assert all(task.source is not None for task in again.results)
            all_have_exactly_theirs(house)
        never_two(twin, {**old_images(twin, ALL), **first})
        second_run_touches_nothing(twin)


@pytest.mark.soak
def test_iso_maintenance_when_things_go_wrong(tmp_path: Path) -> None:
    """What the console brought damaged is found by the server's own MD5; a broken upload is late and is removed."""
    faults = ("corrupt_transfer@mpe-2a", "connection_cut@mra-1b", *FAULTS[3:])
    pace = {"upload_iso": {"usual": 3, "late": 8}}
    with twin_with(tmp_path, "iso-maintenance", *faults) as twin:
        twin.change(pace={**twin.site.pace.model_dump(mode="json"), **pace})
        first = strange_images(twin)
        with twin.open() as house:
            run = distribute(house)
            assert run.held_servers == {"mpe-2a", "mra-1b", "cmp-2b"}
            assert bitten(twin) == set(faults)
            assert "old: mpe-12.1.2.0.0_22.1.0-x86_64.iso" in run.hold("mpe-2a").reason
            assert "mra-1b 50%" in run.hold("mra-1b").reason
        stray_is_moved_away(twin, run)
        with twin.open() as house:
            again = distribute(house)
            assert again.held == {}
            all_have_exactly_theirs(house)
        never_two(twin, {**old_images(twin, ALL), **first})
        second_run_touches_nothing(twin)


def test_who_cannot_be_reached_or_has_no_room_or_is_not_the_medium_holds_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import houses

    document = houses.twin_document

    def small(*args: Any, **more: Any) -> dict[str, Any]:
        """Room for the old image and one more, but not for the reserve."""
        return {**document(*args, **more), "disk_kib": {"/var/TKLC": 2203180 + 60 * 1024}}

    monkeypatch.setattr(houses, "twin_document", small)
    with twin_with(tmp_path, "direct") as twin:
        site = twin.site
        (tmp_path / "media" / site.media[0].file).write_bytes(b"not the medium")  # cmp
        document_now = site.model_dump(mode="json")["segments"]
        away = document_now[0]["clusters"][2]["servers"][1]
        assert away["name"] == "mra-1b"
        away["port"] = 1
        twin.change(segments=document_now)
        with twin.open() as house:
            run = distribute(house)
            assert run.held_servers == set(ALL)
            assert "cannot be reached" in run.hold("mra-1b").reason
            assert "bring the server back" in run.hold("mra-1b").remedy
            assert "the site file says" in run.hold("cmp-1a").reason
            assert "media_dir" in run.hold("cmp-1a").remedy
            assert "are to stay free" in run.hold("mpe-1a").reason
            assert "make room" in run.hold("mpe-1a").remedy
        assert writes(twin) == []  # nothing was removed either
        first = strange_images(twin)
        assert len(first["mpe-1a"]) == 1


def test_a_file_of_the_right_name_that_is_not_whole_is_replaced(tmp_path: Path) -> None:
    with twin_with(tmp_path, "direct") as twin, twin.open() as house:
        file = wanted(house, "mra-1a")
        house.servers.check("mra-1a", f"rm -f {UPGRADE_DIR}/*.iso && echo half > {UPGRADE_DIR}/{file}")
        run = distribute(house)
        assert run.held == {}
        all_have_exactly_theirs(house)


@pytest.mark.soak
def test_somebody_elses_part_and_a_folder_are_named_and_left_alone(tmp_path: Path) -> None:
    with twin_with(tmp_path, "direct") as twin, twin.open() as house:
        house.servers.check("mra-1a", f"echo x > {UPGRADE_DIR}/mra-12.1.3.0.0_1.1.0-x86_64.iso.part")
        house.servers.check("mra-1b", f"mkdir {UPGRADE_DIR}/old.iso")
        run = distribute(house)
        assert run.held_servers == {"mra-1a", "mra-1b"}
        assert "a file mra-12.1.3.0.0_1.1.0-x86_64.iso.part" in run.hold("mra-1a").reason
        assert "a folder old.iso" in run.hold("mra-1b").reason
        assert isinstance(run.hold("mra-1b"), Held)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with twin_with(tmp_path, "direct", bandwidth=1.0, parallel=1) as twin:
        script = (
            "import sys; sys.path[:0] = ['tests/twin', 'tests/e2e', 'tests/pure', 'tests/checker']\n"
            "from pathlib import Path\n"
            "from houses import OnTwin\n"
            "from mopflow.here import Scope\n"
            "from mopflow.procedures import prep_images\n"
            "from mopflow.run import carry_out\n"
            "import os\n"
            "with OnTwin(Path(sys.argv[1]), {n: os.environ[n] for n in sys.argv[2:]}).open() as house:\n"
            "    carry_out(prep_images.bring(), Scope(server='mra-1a'), house)\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path), *twin.passwords]
        environment = {**os.environ, **twin.passwords, "PYTHONPATH": str(houses_root())}
        process = subprocess.Popen(command, cwd=houses_root(), env=environment)
        with twin.open() as house:
            part = f"{wanted(house, 'mra-1a')}.part"
            ends = time.monotonic() + 90
            while True:
                there = folder_probe.ask(house.servers, "mra-1a", UPGRADE_DIR).entries.get(part)
                if there is not None and there.size >= 1 << 20:
                    break
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < ends
                time.sleep(0.1)
            process.kill()
            process.wait(30)
            twin.change(images={"way": "direct"})
        with twin.open() as house:
            run = distribute(house)
            assert run.held == {}
            rows = house.ledger.rows(campaign=house.campaign, procedure="4.6.3.1", step=1, cluster="mra-1a")
            data = rows[-1].entry.data
            assert data["resumed"] >= 1 << 20
            assert data["sent"] == data["size"] - data["resumed"]
            all_have_exactly_theirs(house)
        never_two(twin, old_images(twin, ALL))


def houses_root() -> Path:
    return Path(__file__).parents[2]


# ---- the twin's scp ----

QUESTION = re.compile(r"\(yes/no\)\? $")
PASSWORD = re.compile(r"'s password: $")


def test_scp_between_servers_of_the_twin(tmp_path: Path) -> None:
    """Host key question, password prompt, and what it says when they are answered wrongly, as OpenSSH does."""
    with twin_with(tmp_path, "direct") as twin, twin.open() as house:
        site, servers = house.site, house.servers
        there = site.server("mra-1b")
        servers.check("mra-1a", "echo hello > /tmp/note")
        line = f"LC_ALL=C scp -P {there.port} /tmp/note admusr@{there.address}:/tmp/copy"
        password = servers.password_of("mra-1b")

        said = servers.run("mra-1a", line)  # no terminal, unknown host
        assert said.status == 1
        assert "Host key verification failed." in said.stderr
        no = servers.converse("mra-1a", line, [(QUESTION, "no")], timeout=30)
        assert no.status == 1
        assert "can't be established" in no.stdout
        wrong: Reply = servers.converse(
            "mra-1a",
            f"{line} -o NumberOfPasswordPrompts=1",
            [(QUESTION, "yes"), (PASSWORD, "wrong")],
            timeout=30,
        )
        assert "Permission denied" in wrong.stdout
        yes = servers.converse("mra-1a", line, [(PASSWORD, password)], timeout=30)  # it is known by now
        assert yes.status == 0, yes
        assert "100%" in yes.stdout
        assert password.get_secret_value() not in yes.stdout
        assert servers.check("mra-1b", "cat /tmp/copy") == "hello\n"
        assert [e["path"] for e in twin.events("file", server="mra-1b")] == ["/tmp/copy"]
        key = servers.known_hosts_of("mra-1a").split()[2]  # another server's
        servers.check("mra-1a", f"echo '[{there.address}]:{there.port} ssh-ed25519 {key}' > .ssh/known_hosts")
        changed = servers.converse("mra-1a", line, [(PASSWORD, password)], timeout=30)
        assert changed.status == 1
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in changed.stdout
        gone = servers.run("mra-1a", f"LC_ALL=C scp -B -P 1 /tmp/note admusr@{there.address}:/tmp/copy")
        assert "Connection refused" in gone.stderr
        root_s = servers.converse(
            "mra-1a",
            f"LC_ALL=C scp -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -P {there.port} /tmp/note "
            f"admusr@{there.address}:/opt/camiant/bin/x",
            [(PASSWORD, password)],
            timeout=30,
        )
        assert "Permission denied" in root_s.stdout


@pytest.mark.soak
def test_an_image_can_be_mounted(tmp_path: Path) -> None:
    with twin_with(tmp_path, "direct") as twin, twin.open() as house:
        run = distribute(house)
        assert run.held == {}
        image = f"{UPGRADE_DIR}/{wanted(house, 'cmp-1a')}"
        run_there = house.servers.run
        assert run_there("cmp-1a", f"mount -o loop {image} /mnt/upgrade").status == 1
        assert run_there("cmp-1a", f"sudo mount -o loop {image} /mnt/upgrade").status == 0
        assert ".pl" in house.servers.check("cmp-1a", "ls /mnt/upgrade/upgrade/policyScripts")
        assert "already mounted" in run_there("cmp-1a", f"sudo mount -o loop {image} /mnt/upgrade").stderr
        assert run_there("cmp-1a", "cd /mnt/upgrade && sudo umount /mnt/upgrade").status == 1
        assert run_there("cmp-1a", "sudo umount /mnt/upgrade").status == 0
        assert run_there("cmp-1a", "ls /mnt/upgrade/upgrade/policyScripts/*.pl").status != 0
        house.servers.check("cmp-1a", "head -c 1000 " + image + " > /tmp/part.iso")
        assert run_there("cmp-1a", "sudo mount -o loop /tmp/part.iso /mnt/upgrade").status == 32
