"""sed and grep of the twin against the real ones of this machine: the same command lines, the same answers."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.files import FileTree
from lab.flight import FlightRecord
from lab.ssh import shell_commands, text_commands
from lab.ssh.file_commands import cat
from lab.ssh.shell import Program, Shell, Streams
from lab.ssh.streams import Collector, Empty
from lab.ssh.view import View

pytestmark = pytest.mark.skipif(shutil.which("sed") is None, reason="no sed to compare with")

SYSTEM_AUTH = b"""#%PAM-1.0
# This file is auto-generated.
auth        required      pam_env.so
auth        sufficient    pam_unix.so nullok try_first_pass

password    requisite     pam_cracklib.so try_first_pass retry=3 type= enforce for root minclass=3
password    sufficient    pam_unix.so md5 shadow nullok try_first_pass use_authtok
password    required      pam_deny.so
session     [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid
"""
SHADOW = b"""root:$1$saltsalt$abcdefghijklmnopqrstu.:16825:0:99999:7:::
bin:*:15628:0:99999:7:::
daemon:!!:15628::::::
guest::16825:0:90:7:::
old:abJnggxhB/yWI:16825:0:90:7:30:17000:
admusr:$6$UstAfa$gn2B8Tsw1Zd7mqD333999Xd6NZnAEg/:16825:0:0:0:0:0
"""
FILES = {"auth": SYSTEM_AUTH, "shadow": SHADOW, "plain": b"one\ntwo\nthree\nfour\nfive", "empty": b""}


class _Machine:
    """A server without a twin around it: files and three commands."""

    name = "cmp-1a"

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        table = {"sed": text_commands.sed, "cat": cat}
        table |= dict.fromkeys(("grep", "egrep", "fgrep"), text_commands.grep)
        self._table = shell_commands.programs()
        self._table |= {name: Program(body, f"/bin/{name}") for name, body in table.items()}

    def view(self, user: str) -> View:
        return View(self._tree, user, lambda: 0.0)

    def commands(self) -> dict[str, Program]:
        return self._table

    def password_is_right(self, user: str, password: str) -> bool:
        return False

    def record_command(self, user: str, text: str) -> None:
        return None


def twin(
    command: str, tmp_path: Path, user: str = "root"
) -> tuple[int, bytes, bytes, Callable[[str], bytes]]:
    tree = FileTree("cmp-1a", FlightRecord(lambda: 0.0, tmp_path / "flight.jsonl"), lambda: 0.0)
    for name, content in FILES.items():
        tree.write(f"/root/{name}", content)
    out, err = Collector(), Collector()
    shell = Shell(_Machine(tree), user)
    shell.cwd = "/root"
    status = asyncio.run(shell.run(command, Streams(Empty(), out, err)))
    return status, bytes(out.data), bytes(err.data), lambda name: tree.read(f"/root/{name}")


SCRIPTS = [
    "sed -n 's/^password.*pam_unix.so \\([a-z0-9]*\\) .*/\\1/p' auth",
    "sed 's/ md5 / sha512 /' auth",
    "sed '/^password.*pam_unix/s/\\bmd5\\b/sha512/' auth",
    "sed -r 's/^(password +sufficient +pam_unix\\.so) md5/\\1 sha512/' auth",
    "sed -E 's/([a-z]+)=([0-9]+)/\\2=\\1/g' auth",
    "sed '/^#/d;/^$/d' auth",
    "sed -n '/^auth/,/^password/p' auth",
    "sed -n '2,4p' auth",
    "sed -n '$p' plain",
    "sed '$d' plain",
    "sed -n '$=' plain",
    "sed = plain",
    "sed '2q' plain",
    "sed -n '2{p;q}' plain",
    "sed '2,3!d' plain",
    "sed '/two/,+1d' plain",
    "sed '0~2d' plain",
    "sed '1~3d' plain",
    "sed '0,/o/s/o/0/' plain",
    "sed '/TWO/Id' plain",
    "sed 's/O/0/I' plain",
    "sed 's/e/E/2' plain",
    "sed 's/[aeiou]/<&>/g' plain",
    "sed 's/x*/-/g' plain",
    "sed 's|/|_|g' shadow",
    "sed 's/o/\\n/' plain",
    "sed 'N;s/\\n/ /' plain",
    "sed ':a;N;$!ba;s/\\n/,/g' plain",
    "sed -n 'H;${x;s/\\n/;/g;p}' plain",
    "sed 'G' plain",
    "sed '1!G;h;$!d' plain",
    "sed 'n;d' plain",
    "sed -n 'P;N;D' plain",
    "sed 'y/abc/xyz/' plain",
    "sed '/two/a after' plain",
    "sed '/five/a after' plain",
    "sed '/two/i before' plain",
    "sed '/two/c instead' plain",
    "sed '2,3c instead' plain",
    "sed -e 's/one/1/' -e 's/two/2/' plain",
    "sed -n -e '/o/{s/o/0/;p}' plain",
    "sed 's/one/a\\/b/' plain",
    "sed 's,one,a\\,b,' plain",
    "sed 's/[/]/x/' shadow",
    "sed 's/[[:space:]]\\+/ /g' auth",
    "sed 's/[^[:alnum:]]//g' auth",
    "sed -n '/^[a-z]*:[!*]/p' shadow",
    "sed -n -e 's/^\\(root\\|admusr\\):\\(\\$[0-9a-z]*\\$\\)[^:]*/\\1:\\2/p' shadow",
    "sed 's/^\\([^:]*\\):[^:]*:/\\1:x:/' shadow",
    "sed 's/t/T/3;t;s/e/E/' plain",
    "sed -n '/one/,/one/p' plain",
    "sed -n '/two/,2p' plain",
    "sed -s -n '$p' plain auth",
    "sed -n '$p' plain auth",
    "sed -n '3p' empty plain",
    "cat plain | sed 's/o/0/g'",
    "sed s/x/y/ nothing plain",
    "sed 's/x' plain",
    "sed 'k' plain",
    "sed '{p' plain",
    "sed 's/\\(a/b/' plain",
    "sed 's/a/\\1/' plain",
    "sed --expression=s/one/1/ plain",
    "sed --quiet --regexp-extended 's/(t)(w)/\\2\\1/p' plain",
    "egrep '^(root|admusr)' shadow",
    "grep -E '^(root|admusr):' shadow",
    "grep '^root\\|^admusr' shadow",
    "grep -c o plain",
    "grep -n o plain",
    "grep -v o plain",
    "grep -x two plain",
    "grep -w pass auth",
    "grep -w so auth",
    "grep -i PASSWORD auth",
    "grep -o 'pam_[a-z]*' auth",
    "grep -F 'pam_unix.so' auth",
    "fgrep '[success=1' auth",
    "grep '^password .*pam_unix\\.so.* sha512 ' auth",
    "grep -q two plain && echo yes",
    "grep -q nothing plain || echo no",
    "grep -l two plain auth",
    "grep -h two plain auth",
    "grep two plain auth",
    "grep -m1 o plain",
    "grep '[[:digit:]]\\{5\\}' shadow",
    "egrep '[0-9]{5}:0:9{5}' shadow",
    "grep -E 'a{' auth",
    "grep '$1' shadow",
    "grep '\\$1\\$' shadow",
    "grep two nothing",
    "grep -s two nothing",
    "grep '\\(' plain",
    "grep -e one -c plain",
]


@pytest.mark.parametrize("command", SCRIPTS)
def test_the_same_answer_as_the_real_one(command: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    real = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        check=False,
    )
    status, out, err, _ = twin(command, tmp_path)
    assert (status, out) == (real.returncode, real.stdout), (err, real.stderr)
    assert bool(err) == bool(
        [x for x in real.stderr.splitlines() if b"warning" not in x and b"obsolescent" not in x]
    )


@pytest.mark.parametrize(
    "command",
    [
        "sed -i '/^password.*pam_unix/s/ md5 / sha512 /' auth",
        "sed -i.old 's/one/1/' plain",
        "sed -i 's/five/5/' plain auth",
        "sed -i -e '1d' -e '$d' plain",
        "sed -n -i p plain",
        "sed -i 's/nothing/x/' nothing plain",
    ],
)
def test_in_place_the_same_files_as_the_real_one(command: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    real = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    status, out, _, read = twin(command, tmp_path)
    assert (status, out) == (real.returncode, real.stdout)
    for path in tmp_path.iterdir():
        if path.name != "flight.jsonl":
            assert read(path.name) == path.read_bytes(), path.name


def test_who_may_not_write_in_the_folder_changes_nothing_in_place(tmp_path: Path) -> None:
    tree = FileTree("cmp-1a", FlightRecord(lambda: 0.0, tmp_path / "flight.jsonl"), lambda: 0.0)
    tree.write("/etc/conf", b"md5\n")
    err = Collector()
    shell = Shell(_Machine(tree), "admusr")
    status = asyncio.run(shell.run("sed -i s/md5/sha512/ /etc/conf", Streams(Empty(), Collector(), err)))
    assert status == 4
    assert b"couldn't open temporary file /etc/" in err.data
    assert tree.read("/etc/conf") == b"md5\n"


def test_a_script_without_an_end_ends(tmp_path: Path) -> None:
    status, _, err, _ = twin("sed ':a;ba' plain", tmp_path)
    assert status == 1
    assert b"does not end" in err
