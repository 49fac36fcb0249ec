"""Parsers of the probes on captured-style replies: right values for the forms that we know, refusal of all else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopflow.errors import UnreadableReply
from mopflow.probes import disk, hostname, images, keys, product, syscheck
from mopflow.probes.images import Image
from mopflow.ssh import Reply

# ---- hostname ----


@pytest.mark.parametrize(
    ("reply", "name"), [("cmp-1a\n", "cmp-1a"), ("CMP2-35.example.net\n", "CMP2-35.example.net")]
)
def test_a_host_name_is_read(reply: str, name: str) -> None:
    assert hostname.parse(reply) == name


@pytest.mark.parametrize("reply", ["", "\n", "cmp-1a\ncmp-1b\n", "hostname: not found\n", "-cmp\n"])
def test_what_is_no_host_name_is_refused(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        hostname.parse(reply)


@pytest.mark.parametrize(
    ("printed", "server", "same"),
    [
        ("cmp-1a", "cmp-1a", True),
        ("CMP-1A.example.net", "cmp-1a", True),
        ("cmp-1a.example.net", "cmp-1a.example.net", True),
        ("cmp-1b", "cmp-1a", False),
        ("cmp-1", "cmp-1a", False),
        ("cmp-1a.other.net", "cmp-1a.example.net", False),
    ],
)
def test_a_server_is_known_by_its_name(printed: str, server: str, same: bool) -> None:
    assert hostname.is_server(printed, server) is same


# ---- product ----


@pytest.mark.parametrize(
    ("reply", "family"),
    [
        ("12.1.2.0.0_22.1.0\n", (12, 1, 2)),
        ("12.1.1.0.0_14.1.0\n", (12, 1, 1)),
        ("10.5.6_1_1_0\n", (10, 5, 6)),
        ("\n12.0.0.0_45.1.0\r\n", (12, 0, 0)),
    ],
)
def test_the_release_is_read(reply: str, family: tuple[int, int, int]) -> None:
    assert product.parse(reply).family == family


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "12.1.2.0.0_22.1.0\n12.1.1.0.0_14.1.0\n",
        "TPD 7.0.2.0.0_86.28.0\n",
        "7.0.2.0.0_86.28.0\n",  # the platform's release has the same shape
        "bash: getPolicyRev: command not found\n",
        "12.1.2.0.0_22.1.0 cmp\n",
        "12\n",
        "12.1\n",
        "unknown\n",
    ],
)
def test_what_is_no_policy_release_is_refused(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        product.parse(reply)


@given(st.text(max_size=60))
def test_a_release_is_read_only_from_a_release(text: str) -> None:
    try:
        release = product.parse(text)
    except UnreadableReply:
        return
    assert text.strip() == release.text
    assert set(release.text) <= set("0123456789._")


# ---- disk ----

DF = """\
Filesystem                        1024-blocks     Used Available Capacity Mounted on
/dev/mapper/vgroot-plat_root          1032088   413648    618440      41% /
tmpfs                                 8165972        0   8165972       0% /dev/shm
/dev/mapper/vgroot-plat_var_tklc     20642428  2203180  18439248      11% /var/TKLC
nas:/export/a b                      20642428  2203180  18439248      11% /mnt/with space
proc                                        0        0         0       -  /proc
gone                                        -        -         -       -  /mnt/gone
"""


def test_volumes_are_read() -> None:
    found = disk.parse(DF)
    assert found["/var/TKLC"].free == 18439248
    assert found["/mnt/with space"].device == "nas:/export/a b"
    assert list(found) == ["/", "/dev/shm", "/var/TKLC", "/mnt/with space", "/proc"]


HEAD = DF.splitlines()[0] + "\n"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        HEAD,
        DF.replace("1024-blocks", "1K-blocks"),
        HEAD.replace("1024", "512") + "/dev/a 1 1 1 1% /\n",
        HEAD + "/dev/mapper/vgroot-plat_var_tklc\n     20642428  2203180  18439248      11% /var/TKLC\n",
        HEAD + "/dev/a 1 1 1.5G 1% /\n",
        HEAD + "/dev/a 1 1 1 1%\n",
        "df: `/nowhere': No such file or directory\n",
    ],
)
def test_what_df_pk_does_not_print_is_refused(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        disk.parse(reply)


def test_one_path_has_one_volume() -> None:
    assert disk.parse_one(HEAD + "/dev/a 100 60 40 60% /var\n").free == 40
    with pytest.raises(UnreadableReply):
        disk.parse_one(DF)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"/[a-z]{1,8}(/[a-z ]{0,6}[a-z])?", fullmatch=True),
            st.integers(0, 10**12),
            st.integers(0, 10**12),
        ),
        min_size=1,
        unique_by=lambda row: row[0],
    )
)
def test_every_volume_that_df_prints_is_read(rows: list[tuple[str, int, int]]) -> None:
    text = HEAD + "".join(f"/dev/x {used + free} {used} {free} 7% {mount}\n" for mount, used, free in rows)
    found = disk.parse(text)
    assert {mount: (volume.used, volume.free) for mount, volume in found.items()} == {
        mount: (used, free) for mount, used, free in rows
    }


# ---- images ----

LS = """\
total 3145732
-rw-r--r--. 1 admusr admgrp 1073741824 Nov 21 09:12 cmp-12.1.2.0.0_22.1.0-x86_64.iso
-rw-r--r--  1 root   root           33 Jan  5  2016 md5sum.out
drwxr-xr-x+ 2 root   root         4096 Nov 21 09:12 old.iso.d
-rw-------  1 root   root            7 Nov  1 23:59 with space.ISO
lrwxrwxrwx  1 root   root            9 Nov  1 23:59 latest -> md5sum.out
brw-rw----  1 root   disk       8,   0 Nov  1 23:59 sda
"""


def test_images_are_listed_with_their_sizes() -> None:
    assert images.parse(LS) == (
        Image("cmp-12.1.2.0.0_22.1.0-x86_64.iso", 1073741824),
        Image("with space.ISO", 7),
    )


def test_an_empty_folder_has_no_image() -> None:
    assert images.parse("total 0\n") == ()


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "cmp-12.1.2.0.0_22.1.0-x86_64.iso\n",
        "-rw-r--r-- 1 root root 7 Nov 21 09:12 a.iso\n",  # no total: not the listing of a folder
        "total 4\nrw-r--r-- 1 root root 7 Nov 21 09:12 a.iso\n",
        "total 4\n-rw-r--r-- 1 root root 7K Nov 21 09:12 a.iso\n",
        "total 4\n-????????? ? ?    ?    ?            ? a.iso\n",
        "total 4\nlrwxrwxrwx 1 root root 7 Nov 21 09:12 a.iso -> /tmp/b.iso\n",
        "total 4\ndrwxr-xr-x 1 root root 7 Nov 21 09:12 a.iso\n",
        "total 4\nls: cannot access a.iso\n",
    ],
)
def test_a_listing_that_we_do_not_know_is_refused(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        images.parse(reply)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9 ._-]{0,20}(\.iso|\.out|\.part)", fullmatch=True),
            st.integers(0, 2**40),
        ),
        unique_by=lambda row: row[0],
    )
)
def test_no_image_is_overlooked(rows: list[tuple[str, int]]) -> None:
    text = "total 1\n" + "".join(f"-rw-r--r--. 1 a b {size:>10} Nov 21 09:12 {name}\n" for name, size in rows)
    wanted = sorted((name, size) for name, size in rows if name.endswith(".iso"))
    assert [(image.file, image.size) for image in images.parse(text)] == wanted


HASH = "cca84e669c8db680f3264a93fe83aab7"


@pytest.mark.parametrize("reply", [f"{HASH}  /a/b.iso\n", f"{HASH.upper()} */a/b.iso\n"])
def test_the_hash_of_a_file_is_read(reply: str) -> None:
    assert images.parse_hash(reply, "/a/b.iso") == HASH


@pytest.mark.parametrize(
    "reply",
    [
        "",
        f"{HASH}  /a/c.iso\n",
        f"{HASH}  /a/b.iso\n{HASH}  /a/c.iso\n",
        f"{HASH[:-1]}  /a/b.iso\n",
        f"{HASH}\n",
        "md5sum: /a/b.iso: Is a directory\n",
    ],
)
def test_another_hash_is_refused(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        images.parse_hash(reply, "/a/b.iso")


# ---- keys (example of 9.1.1 step 4) ----

KEYS = """\
Connecting to admusr@mpe-1c (10.250.1.1) ...
Connecting to admusr@cmp-1b (10.250.1.2) ...
[1/2] Provisioning SSH keys on mpe-1c (10.250.1.1) ...

[2/2] Provisioning SSH keys on cmp-1b (10.250.1.2) ...

SSH keys are OK.
"""


def test_good_keys_are_good() -> None:
    assert keys.parse(Reply(0, KEYS, "")) == keys.Keys(True, ("mpe-1c", "cmp-1b"), ())


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (Reply(1, KEYS, ""), "exit status 1"),
        (Reply(0, KEYS.replace("OK.", "NOT OK: mpe-1c"), ""), "SSH keys are NOT OK: mpe-1c"),
        (Reply(0, KEYS.replace("(10.250.1.2) ...\n\nSSH", "(10.250.1.2) ... FAILED\n\nSSH"), ""), "FAILED"),
        (Reply(0, KEYS + "ERROR: SSH keys do not work on mpe-1c\n", ""), "do not work"),
        (Reply(0, KEYS, "Permission denied (publickey)\n"), "Permission denied"),
        (Reply(0, KEYS.replace("SSH keys are OK.\n", ""), ""), "is missing"),
        (Reply(1, "", "sudo: qpSSHKeyProv.pl: command not found\n"), "not found"),
    ],
)
def test_anything_else_is_trouble(reply: Reply, trouble: str) -> None:
    verdict = keys.parse(reply)
    assert not verdict.ok
    assert any(trouble in line for line in verdict.trouble)


def test_silence_is_no_verdict_on_keys() -> None:
    with pytest.raises(UnreadableReply):
        keys.parse(Reply(0, "\n", ""))


# ---- syscheck ----

SYSCHECK = """\
Running modules in class disk...
                                                 OK
Running modules in class net...
                                                 OK

LOG LOCATION: /var/TKLC/log/syscheck/fail_log
"""
OLDER = """\
Running modules in class disk...
OK Running modules in class net...
                             OK
The log is available at:
-->/opt/TKLCplat/log/syscheck/fail_log
"""


@pytest.mark.parametrize("text", [SYSCHECK, OLDER])
def test_a_healthy_server_is_healthy(text: str) -> None:
    assert syscheck.parse(Reply(0, text, "")) == syscheck.Health(True, ("disk", "net"), ())


@pytest.mark.parametrize(
    ("text", "status", "trouble"),
    [
        (SYSCHECK, 1, ("exit status", "1")),
        (SYSCHECK.replace(" OK\nRunning", " FAILURE\nRunning"), 0, ("disk", "FAILURE")),
        (SYSCHECK.replace(" OK\nRunning", "\nRunning"), 0, ("disk", "no verdict")),
        (SYSCHECK.replace(" OK\n\nLOG", " NOT OK\n\nLOG"), 0, ("net", "NOT OK")),
        (
            SYSCHECK.replace(" OK\n\nLOG", " OK\n* net: FAILURE:: MINOR::5000000000000001\n\nLOG"),
            0,
            ("net", "OK * net: FAILURE:: MINOR::5000000000000001"),
        ),
    ],
)
def test_a_class_without_a_plain_ok_is_trouble(text: str, status: int, trouble: tuple[str, str]) -> None:
    health = syscheck.parse(Reply(status, text, ""))
    assert not health.healthy
    assert health.trouble == (trouble,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OK\n",
        "LOG LOCATION: /x\n",
        SYSCHECK.split("LOG")[0],  # cut off
        "LOG LOCATION: /x\n" + SYSCHECK.split("LOG")[0],
        "One or more module failed\n" + SYSCHECK,
    ],
)
def test_what_syscheck_does_not_print_is_refused(text: str) -> None:
    with pytest.raises(UnreadableReply):
        syscheck.parse(Reply(0, text, ""))


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.sampled_from(["OK", "", "FAILED", "OK OK", "ok"])
        ),
        min_size=1,
    )
)
def test_health_is_the_health_of_every_class(classes: list[tuple[str, str]]) -> None:
    text = "".join(f"Running modules in class {name}...\n      {said}\n" for name, said in classes)
    health = syscheck.parse(Reply(0, text + "LOG LOCATION: /x\n", ""))
    assert health.healthy is all(said == "OK" for _, said in classes)
    assert [name for name, _ in health.trouble] == [name for name, said in classes if said != "OK"]
