"""Who gets its image from whom, the cap, the progress, the local media, and what counts as an old image."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mopflow import local_media
from mopflow.acts.deploy import disturbances, judge
from mopflow.bandwidth import BURST, MB, Bucket, bucket_of, share_of
from mopflow.distribution import Does, Standing, Task, next_wave, waves
from mopflow.errors import UnreadableReply
from mopflow.media import ImageType
from mopflow.probes import folder
from mopflow.probes.folder import Entry, Folder
from mopflow.progress import Meter, Progress
from mopflow.relay import command
from mopflow.release import Release
from mopflow.site import ImageDelivery, Server, Site, Way
from mopflow.system import Operation, Role, ServerState, Stage, UpToDate, read_cluster

TARGET = "12.1.2.0.0_22.1.0"


def site_of(way: Way, mpes: int = 3, mras: int = 1, parallel: int = 4, **more: Any) -> Site:
    number = itertools.count(1)

    def pair(name: str, **keys: Any) -> dict[str, Any]:
        servers = [{"name": f"{name}{s}", "address": f"192.0.2.{next(number)}"} for s in "ab"]
        return {"name": name, "servers": servers, **keys}

    clusters = [pair(f"mpe-{n}", kind="MPE") for n in range(mpes)]
    clusters += [pair(f"mra-{n}", kind="MRA") for n in range(mras)]
    return Site.model_validate(
        {
            "name": "plan", "source": "12.1.1.0.0_14.1.0", "target": TARGET,
            "console": {"user": "a", "password": {"env": "X"}},
            "ssh": {"password": {"env": "X"}, "known_hosts": "k"},
            "cmp": {"primary": pair("cmp-1", vip="192.0.2.99")},
            "segments": [{"name": "s", "clusters": clusters}],
            "media": [
                {"file": f"{kind}-{TARGET}-x86_64.iso", "type": kind, "md5": f"{n:032x}"}
                for n, kind in enumerate(("cmp", "mpe", "mra"))
            ],
            "images": {"way": way, "parallel": parallel},
            **more,
        }
    )  # fmt: skip


def names_of(site: Site) -> set[str]:
    return {server.name for server in site.servers}


# ---- who from whom ----


def test_direct_is_one_wave_from_here() -> None:
    site = site_of(Way.DIRECT)
    (wave,) = waves(site)
    assert {task.server for task in wave} == names_of(site)
    assert {(task.does, task.source) for task in wave} == {(Does.BRING, None)}
    assert all(task.image_type is _type(site, task.server) for task in wave)


def _type(site: Site, server: str | None) -> ImageType:
    return next(c.image_type for c in site.clusters if server in c.server_names)


def test_relay_doubles() -> None:
    """32 servers of one type: six rounds, where one after the other would be 32."""
    site = site_of(Way.RELAY, mpes=16, mras=1, parallel=32)
    plan = waves(site)
    mpe = [sum(task.image_type is ImageType.MPE for task in wave) for wave in plan]
    assert mpe == [1, 1, 2, 4, 8, 16]
    assert [task.source for task in plan[0]] == [None, None, None]
    assert sum(task.source is None for wave in plan for task in wave) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 6),
    st.sampled_from(list(Way)),
    st.data(),
)
def test_whatever_fails_every_server_is_tried_once_and_sources_have_the_image(
    mpes: int, mras: int, parallel: int, way: Way, data: st.DataObject
) -> None:
    site = site_of(way, mpes, mras, parallel)
    all_names = sorted(names_of(site))
    standing = Standing(finished=frozenset(data.draw(st.sets(st.sampled_from(all_names)))))
    begun_with = standing.finished
    for _ in range(3 * len(all_names) + 5):
        wave = next_wave(site, standing)
        if not wave:
            break
        servers = [t.server for t in wave if t.server is not None]
        assert len(servers) == len(set(servers))
        for task in wave:
            names = {task.server} if task.server is not None else set(task.targets)
            assert not names & (standing.finished | standing.out), str(task)
            assert {_type(site, name) for name in names} == {task.image_type}
            if task.source is not None:
                assert task.source in standing.finished
                assert _type(site, task.source) is task.image_type
            if task.does is Does.UPLOAD:
                assert names <= standing.cleared
                assert any(_type(site, name) is task.image_type for name in standing.finished)
        if way is Way.RELAY:
            assert len(wave) <= parallel
            sources = [t.source for t in wave if t.source is not None]
            assert len(sources) == len(set(sources))  # nobody serves two at once
            for kind in ImageType:  # and this machine sends an image of each type to one server at most
                assert sum(t.source is None and t.image_type is kind for t in wave) <= 1
        held = [task for task in wave if data.draw(st.booleans(), label=str(task))]
        standing = standing.after(wave, held)
    assert next_wave(site, standing) == ()
    assert standing.finished | standing.out == set(all_names)
    assert begun_with <= standing.finished


def test_iso_maintenance_clears_before_it_uploads_and_checks_after() -> None:
    site = site_of(Way.ISO_MAINTENANCE)
    plan = waves(site)
    assert [sorted({task.does for task in wave}) for wave in plan] == [
        ["bring", "clear"],
        ["upload"], ["check"], ["upload"], ["check"], ["upload"], ["check"],
    ]  # fmt: skip
    brought = [task.server for task in plan[0] if task.does is Does.BRING]
    assert brought == ["cmp-1a", "mpe-0a", "mra-0a"]
    assert plan[1][0] == Task(Does.UPLOAD, ImageType.CMP, targets=("cmp-1b",))
    assert "ISO Maintenance uploads" in str(plan[1][0])


def test_another_server_becomes_the_holder_when_the_first_is_held() -> None:
    site = site_of(Way.ISO_MAINTENANCE)
    first = next_wave(site, Standing())
    held = [task for task in first if task.server == "mpe-0a"]
    second = next_wave(site, Standing().after(first, held))
    assert [str(task) for task in second] == ["mpe-0b gets the mpe image from here"]


# ---- the cap ----


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@settings(max_examples=80, deadline=None)
@given(
    st.floats(1_000, 1e9),
    st.lists(st.tuples(st.integers(1, 5 << 20), st.floats(0, 3)), min_size=1, max_size=40),
)
def test_never_more_than_the_cap_and_not_much_less(rate: float, takes: list[tuple[int, float]]) -> None:
    clock = Clock()
    bucket = Bucket(rate, now=clock, pause=clock.sleep)
    begun, taken, idle = clock.now, 0, 0.0
    for size, rest in takes:
        bucket.take(size)
        taken += size
        assert taken <= rate * (clock.now - begun + BURST) * (1 + 1e-9) + 1
        clock.now += rest
        idle += rest
    busy = clock.now - begun - idle
    assert busy <= taken / rate + 1e-6  # it waits no longer than the bytes need


def test_no_cap_never_waits_and_a_wrong_one_is_refused() -> None:
    clock = Clock()
    assert Bucket(None, now=clock, pause=clock.sleep).take(1 << 40) == 0
    assert clock.slept == []
    with pytest.raises(ValueError, match="more than 0"):
        Bucket(0)


def test_all_transfers_of_a_site_share_one_bucket() -> None:
    assert bucket_of("s", 2.0) is bucket_of("s", 2.0)
    assert bucket_of("s", 2.0).rate == 2 * MB
    assert bucket_of("s", 3.0).rate == 3 * MB
    assert bucket_of("other", 3.0) is not bucket_of("s", 3.0)
    assert bucket_of("free", None).rate is None
    assert share_of(None, 4) is None
    assert share_of(10.0, 4) == 20_000  # kbit/s: 2.5 MB/s each
    assert share_of(0.00001, 32) == 1


# ---- progress ----


def test_progress_in_words() -> None:
    assert str(Progress(42, 100, 80.34, 12.4)) == "42 %, 80.3 MB/s, 0:12 left"
    assert str(Progress(0, 100, None, None)) == "0 %"
    assert str(Progress(999, 1000, 1.0, 3671)) == "99 %, 1.0 MB/s, 61:11 left"
    assert Progress(0, 0, None, None).percent == 100


def test_the_meter_takes_the_rate_of_the_last_seconds_and_is_not_told_too_often() -> None:
    clock, told = Clock(), list[Progress]()
    meter = Meter(1_000 * MB, told.append, now=clock)
    meter.begin(500 * MB)
    for _ in range(200):  # 20 s at 10 MB/s
        clock.now += 0.1
        meter.moved(MB)
    for _ in range(200):  # 20 s at 5 MB/s
        clock.now += 0.1
        meter.moved(MB // 2)
    last = meter.progress()
    assert last.done == 800 * MB
    assert last.rate == pytest.approx(5, rel=0.02)
    assert last.left == pytest.approx(40, rel=0.02)
    assert len(told) <= 40 / 0.5 + 1
    meter.at(1_000 * MB)
    assert told[-1].percent == 100


# ---- the media here ----


def media_site(tmp_path: Path, md5: dict[str, str]) -> Site:
    site = site_of(Way.DIRECT, media_dir=str(tmp_path))
    return site.model_copy(
        update={"media": tuple(replace_md5(m, md5.get(m.file, m.md5)) for m in site.media)}
    )


def replace_md5(medium: Any, md5: str) -> Any:
    return medium.model_copy(update={"md5": md5})


def test_local_media(tmp_path: Path) -> None:
    file = f"cmp-{TARGET}-x86_64.iso"
    content = b"an image"
    md5 = hashlib.md5(content).hexdigest()
    site = media_site(tmp_path, {file: md5})
    medium = site.medium(ImageType.CMP)
    listing = tmp_path / "md5sum.out"

    def found() -> str:
        return "; ".join(local_media.problems(site, tmp_path, medium))

    assert "md5sum.out cannot be read" in found()
    assert f"{file} is not there" in found()
    (tmp_path / file).write_bytes(content)
    listing.write_text(f"{md5}/home/build/build/PLATFORM-70/iso/{file}\n")  # the hash touches the path
    assert found() == ""
    listing.write_text(f"{md5.upper()}  *{file}\n\n")
    assert found() == ""
    listing.write_text(f"{'0' * 32}/home/x/{file}\n")
    assert f"says {'0' * 32}" in found()
    listing.write_text(f"{md5}/home/x/mpe-{TARGET}-x86_64.iso\n")
    assert f"does not list {file}" in found()
    listing.write_text("what is this\n")
    assert "a line without a hash" in found()
    listing.write_text(f"{md5}/x/{file}\n")
    (tmp_path / file).write_bytes(b"another")
    assert f"the site file says {md5}" in found()
    (tmp_path / file).unlink()
    (tmp_path / file).mkdir()
    assert "no plain file" in found()
    nowhere = site.model_copy(update={"media_dir": None})
    assert "names no media_dir" in local_media.problems(nowhere, tmp_path, medium)[0]


# ---- what lies there ----


def entry(name: str, kind: str = "f", size: int = 1000) -> Entry:
    return Entry(name, kind, size, 7, 1_400_000_000.0)


MEDIUM = site_of(Way.DIRECT).medium(ImageType.MPE)
MINE = MEDIUM.file
OTHERS = {
    "mpe-12.1.1.0.0_14.1.0-x86_64.iso": "old", "cmp-12.1.2.0.0_22.1.0-x86_64.iso": "old",
    "mpe-li-12.1.2.0.0_22.1.0-x86_64.iso": "old", "notes.txt": "stranger", "something.iso": "stranger",
    "mpe-12.1.1.0.0_14.1.0-x86_64.iso.part": "stranger", ".hidden": "stranger", "mpe.iso": "stranger",
}  # fmt: skip


@given(
    st.dictionaries(st.sampled_from([*OTHERS, MINE, f"{MINE}.part"]), st.sampled_from("fdl"), max_size=6),
    st.booleans(),
)
def test_only_plain_policy_images_are_removed_and_only_our_part_is_ours(
    files: dict[str, str], whole: bool
) -> None:
    seen = Folder(1_500_000_000.0, {name: entry(name, kind) for name, kind in files.items()})
    md5 = (MEDIUM.md5 if whole else "f" * 32) if files.get(MINE) == "f" else None
    found = judge("mpe-0a", MEDIUM, seen, md5)
    right = files.get(MINE) == "f" and whole
    assert found.right is right
    removable = {e.name for e in found.removable}
    for name in removable:
        assert files[name] == "f"
        assert OTHERS.get(name) == "old" or name in (MINE, f"{MINE}.part")
    assert (MINE in removable) is (files.get(MINE) == "f" and not whole)
    assert (f"{MINE}.part" in removable) is (files.get(f"{MINE}.part") == "f" and right)
    named = removable | {e.name for e in found.strangers} | ({found.part.name} if found.part else set())
    assert named == set(files) - ({MINE} if right else set())
    assert found.in_place is (set(files) == {MINE} and right)


REAL = """1732457002
f 5 48497 1732457001.9876543210 mpe-12.1.2.0.0_22.1.0-x86_64.iso.part
d 4096 12 1400000000.0000000000 two words
l 9 13 1732457003.5000000000 link.iso
"""


def test_the_folder_probe() -> None:
    found = folder.parse(REAL)
    assert found.entries["two words"].kind == "d"
    assert found.being_written("mpe-12.1.2.0.0_22.1.0-x86_64.iso.part")
    assert found.being_written("link.iso")  # dated in the future: its clock cannot tell
    assert not found.being_written("two words")
    assert not found.being_written("not there")
    assert folder.parse("1732457002\n").entries == {}
    assert folder.plain_size(found, "/x/mpe-12.1.2.0.0_22.1.0-x86_64.iso.part") == 5
    assert folder.plain_size(found, "/x/nothing") is None
    with pytest.raises(UnreadableReply, match="not a plain file"):
        folder.plain_size(found, "/x/link.iso")


REPLIES = Path(__file__).parents[1] / "replies/folder"


def test_the_folder_probe_on_captured_output() -> None:
    found = folder.parse((REPLIES / "findutils-4.9.0-mixed.txt").read_text())
    assert {name: e.kind for name, e in found.entries.items()} == {
        "mpe-12.1.2.0.0_22.1.0-x86_64.iso.part": "f",
        "mpe-12.1.1.0.0_14.1.0-x86_64.iso": "f",
        "two words": "d",
        "link.iso": "l",
        "pipe": "p",
    }
    assert found.entries["two words"].mtime == 1_400_000_000.25
    assert found.being_written("mpe-12.1.2.0.0_22.1.0-x86_64.iso.part")
    with pytest.raises(UnreadableReply, match="not an entry"):  # a name with a line break
        folder.parse((REPLIES / "findutils-4.9.0-line-break.txt").read_text())


@pytest.mark.parametrize(
    "reply",
    [
        "", "f 5 1 1.0 x\n", "1732457002", "1732457002\nf 5 1 1.0 x", "1732457002\nf 5 1 1.0 two\nlines\n",
        "1732457002\nf five 1 1.0 x\n", "1732457002\nf 5 1 1.0 a/b\n", "1732457002\nf 5 1 1.0 x\nf 5 1 1.0 x\n",
        "find: `/x': No such file or directory\n",
    ],
)  # fmt: skip
def test_the_folder_probe_fails_closed(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        folder.parse(reply)


# ---- never while anything runs ----


def server_state(name: str, role: Role, release: str, cell: str = "n/a") -> ServerState:
    return ServerState(
        name, "mpe-0", role, Release.parse(release), "", UpToDate.YES, Operation.read(cell), False, None
    )


OLD, RUNS = "12.1.1.0.0_14.1.0", "[Step 18] 12% Initiate upgrade mpe-0b (Elapsed Time: 0:03:10)"


@pytest.mark.parametrize(
    ("other", "touched"),
    [
        (server_state("mpe-0b", Role.STANDBY, OLD), True),
        (server_state("mpe-0b", Role.STANDBY, OLD, "Initiate upgrade completed successfully at x"), True),
        (server_state("mpe-0b", Role.STANDBY, OLD, RUNS), False),
        (server_state("mpe-0b", Role.OOS, OLD, RUNS), False),
        (server_state("mpe-0b", Role.STANDBY, OLD, "what is this"), False),
        (server_state("mpe-0b", Role.FORCED_STANDBY, TARGET), False),
        (server_state("mpe-0b", Role.ZOMBIE, OLD), False),
    ],
)
def test_images_are_touched_only_while_everything_is_whole_and_at_rest(
    other: ServerState, touched: bool
) -> None:
    site = site_of(Way.DIRECT)
    rows = (server_state("mpe-0a", Role.ACTIVE, OLD), other)
    state = read_cluster("mpe-0", rows, site.source_release, site.target_release)
    found = list(disturbances([state]))
    assert (found == []) is touched
    assert all(refusal.rule == "mixed" and not refusal.passing for refusal in found)


def test_nor_when_a_cluster_is_done_already() -> None:
    """The others still run the old release: a mixed version."""
    site = site_of(Way.DIRECT)
    rows = tuple(server_state(n, r, TARGET) for n, r in (("mpe-0a", Role.ACTIVE), ("mpe-0b", Role.STANDBY)))
    state = read_cluster("mpe-0", rows, site.source_release, site.target_release)
    assert state.stage is Stage.DONE
    assert list(disturbances([state]))


# ---- the line for scp ----


def test_the_relay_types_no_secret_and_trusts_nobody() -> None:
    source, target = (
        Server(name="a", address="192.0.2.1"),
        Server(name="b b", address="2001:db8::2", port=2022),
    )
    line = command(source, target, "admusr", "/var/TKLC/upgrade/x.iso", 500)
    assert line == (
        'LC_ALL=C scp -q -P 2022 -l 500 -o UserKnownHostsFile="$HOME/.mopflow-known-hosts-b_b" '
        "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o NumberOfPasswordPrompts=1 "
        "-o ServerAliveInterval=15 -o ServerAliveCountMax=4 /var/TKLC/upgrade/x.iso "
        "'admusr@[2001:db8::2]:/var/TKLC/upgrade/x.iso.part'"
    )
    assert "-l" not in command(source, replace_address(target), "root", "/x.iso", None)


def replace_address(server: Server) -> Server:
    return server.model_copy(update={"address": "192.0.2.2"})


def test_delivery_defaults() -> None:
    assert ImageDelivery().way is Way.ISO_MAINTENANCE
    assert replace(Standing(), out=frozenset({"x"})).out == {"x"}
