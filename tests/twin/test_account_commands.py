"""Links, modes and accounts of the twin against the real tools of this machine: same command lines, same answers."""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import random
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.files import FileTree
from lab.flight import FlightRecord
from lab.ssh import file_commands as files
from lab.ssh import shell_commands, text_commands
from lab.ssh.account_commands import _ageing
from lab.ssh.file_commands import FileCommands
from lab.ssh.shell import Body, Program, Shell, ShellExit, Streams
from lab.ssh.streams import Collector, Empty
from lab.ssh.view import View
from lab.unix_accounts import SHADOW, SYSTEM_AUTH, Entry, UnixAccounts
from lab.unix_crypt import crypt, fits

REPLIES = Path(__file__).parents[1] / "replies"


class _Machine:
    """A server without a twin around it: files and the commands that this test needs."""

    name = "cmp-1a"

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        listing = FileCommands(self, lambda _: datetime(2016, 1, 25, tzinfo=UTC))
        table: dict[str, Body] = {
            name: getattr(files, name)
            for name in ("cat", "cp", "mv", "rm", "mkdir", "rmdir", "readlink", "cmp", "chmod", "touch")
        }
        table |= {
            "ls": listing.ls,
            "stat": listing.stat,
            "sed": text_commands.sed,
            "grep": text_commands.grep,
        }
        table["sha256sum"] = files.digest("sha256")
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

    def record_su(self, user: str, by: str, *, ok: bool) -> None:
        return None


def tree(tmp_path: Path) -> FileTree:
    return FileTree("cmp-1a", FlightRecord(lambda: 0.0, tmp_path / "flight.jsonl"), lambda: 0.0)


SETUP = {"one": b"first\n", "two": b"second\n"}


def on_the_twin(command: str, tmp_path: Path) -> tuple[int, str]:
    made = tree(tmp_path)
    for name, content in SETUP.items():
        made.write(f"/root/{name}", content)
    made.symlink("/root/link", "one")
    out = Collector()
    shell = Shell(_Machine(made), "root")
    try:
        status = asyncio.run(shell.run(command, Streams(Empty(), out, Collector())))
    except ShellExit as end:
        status = end.status
    return status, out.data.decode()


def really(command: str, tmp_path: Path) -> tuple[int, str]:
    folder = tmp_path / "really"
    folder.mkdir(mode=0o755)
    for name, content in SETUP.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)
    (folder / "link").symlink_to("one")
    done = subprocess.run(["bash", "-c", f"umask 022; {command}"], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "cat link; readlink link; readlink one; echo $?",
        "basename=$(readlink -f link); test -n $basename && echo found; readlink -f missing >/dev/null; echo $?",
        "test -L link && echo link; test -L one || echo file; test -f link && echo a file too",
        "echo more >>link; cat one; test -L link && echo still",
        "cp link copy; test -L copy || echo followed; cp -a link kept; readlink kept; cp -P link again; readlink again",
        "mv two link; test -L link || echo replaced; cat link one",
        "rm link; cat one; ls",
        "sed -i s/first/third/ link; test -L link || echo replaced; cat link one",
        "sha256sum link; echo '00  link' | sha256sum --status -c - ; echo $?",
        "sha256sum one >sums; sha256sum --status -c sums; echo $?",
        "cmp one link && echo same; cmp -s one two; echo $?; cmp one two; cmp -s one missing; echo $?",
        "echo x | cmp -s - one; echo $?",
        "umask 077; echo x >new; mkdir made; stat -c '%a %F' new made; umask",
        "mkdir -m 700 own && stat -c %a own; mkdir own; echo $?; mkdir -p -m 711 a/b; stat -c %a a a/b",
        "umask 027; cp one copy; stat -c %a copy; chmod 600 copy; cp two copy; stat -c %a copy; cp -a copy c; stat -c %a c",
        "chmod 640 one; sed s/f/g/ one >one.new; cp -a one keep; cat one.new >keep; mv -f keep one; stat -c %a one; cat one",
        "mkdir d && cp one d/x && mv d e && ls e && cat e/x; test -d d || echo moved",
        "mkdir -p d/e && touch d/e/f && rm d; echo $?; rmdir d; echo $?; rm -r d; test -d d || echo gone; rm -rf d; echo $?",
        "stat -c %F link one; stat -L -c %F link",
        'n="$(sed -n /fir/p one)"; test "$n" = "$(cat link)" && echo same || echo other',
        "{ echo a; exit 3; } || echo no; echo never",
        "false || { s=$?; echo $s; }; true || { echo no; }; echo end",
        ": >empty; test -s empty || echo empty; cat missing 2>/dev/null >trace; s=$?; echo exit=$s >>trace; cat trace",
    ],
)  # fmt: skip
def test_files_behave_as_the_real_ones(command: str, tmp_path: Path) -> None:
    assert on_the_twin(command, tmp_path) == really(command, tmp_path)


# ---- hashes ----

PASSWORDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=80)
SALTS = st.text("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=1, max_size=16)


def libcrypt(password: str, setting: str) -> str | None:
    name = ctypes.util.find_library("crypt")
    if name is None:
        return None
    function = ctypes.CDLL(name).crypt
    function.restype = ctypes.c_char_p
    found = function(password.encode(), setting.encode())
    return None if found is None else str(found.decode())


@pytest.mark.skipif(ctypes.util.find_library("crypt") is None, reason="no libcrypt to compare with")
@settings(max_examples=60, deadline=None)
@given(PASSWORDS, SALTS, st.sampled_from("16"))
def test_hashes_are_those_of_libcrypt(password: str, salt: str, scheme: str) -> None:
    setting = f"${scheme}${salt[:8] if scheme == '1' else salt}"
    assert crypt(password, setting) == libcrypt(password, setting)


def test_published_hashes() -> None:
    """As the specification of SHA-crypt and `openssl passwd` have them."""
    assert crypt("Hello world!", "$6$saltstring") == (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    )
    assert crypt("Hello", "$1$abcdefgh") == "$1$abcdefgh$z4O2wwcAk.pg7rbbF1/0f0"
    assert fits("Hello", "$1$abcdefgh$z4O2wwcAk.pg7rbbF1/0f0")
    for kept in ("", "*", "!!", "$1$abcdefgh$", "$5$a$b", "Hello", "$y$j9T$abc$def"):
        assert not fits("Hello", kept)


# ---- accounts ----


def accounts(tmp_path: Path, *, weak: bool) -> UnixAccounts:
    passwords = {"root": "R00t-pass", "admusr": "Adm-pass1"}
    return UnixAccounts(tree(tmp_path), random.Random(1), passwords, weak=weak)


@pytest.mark.parametrize(("weak", "prefix"), [(True, "$1$"), (False, "$6$")])
def test_the_shadow_file_decides(tmp_path: Path, weak: bool, prefix: str) -> None:
    it = accounts(tmp_path, weak=weak)
    hashes = {entry.name: entry.hash for entry in it.entries()}
    assert [name for name, kept in hashes.items() if kept.startswith(prefix)] == ["root", "admusr", "oper1"]
    assert it.is_right("admusr", "Adm-pass1") and not it.is_right("admusr", "R00t-pass")
    assert not it.is_right("nobody", "Adm-pass1") and not it.is_right("bin", "*")
    it.put(Entry("admusr", hashes["root"], "16825", ("0", "99999", "7", "", "", "")))
    assert it.is_right("admusr", "R00t-pass") and not it.is_right("admusr", "Adm-pass1")
    assert it._tree.stat(SHADOW).mode == 0


def test_passwd_makes_what_system_auth_demands(tmp_path: Path) -> None:
    it = accounts(tmp_path, weak=True)
    assert it.set("root", "New-pass1", date(2016, 1, 25)) == "MD5"
    text = it._tree.read(SYSTEM_AUTH).replace(b"pam_unix.so md5", b"pam_unix.so sha512")
    it._tree.write(SYSTEM_AUTH, text)
    assert it.set("root", "New-pass1", date(2016, 1, 25)) == "SHA512"
    entry = it.get("root")
    assert entry is not None and entry.hash.startswith("$6$") and entry.changed == "16825"
    with pytest.raises(KeyError):
        it.set("nobody", "x", date(2016, 1, 25))


@pytest.mark.parametrize(
    ("password", "bad"),
    [
        ("Adm-pass1", None),
        ("abcDEF12", None),
        ("onlylowercase", "not enough character classes"),
        ("lower-case", "not enough character classes"),
        ("aB1-", "it is too short"),
    ],
)
def test_the_rule_for_good_passwords(tmp_path: Path, password: str, bad: str | None) -> None:
    it = accounts(tmp_path, weak=True)
    assert it.why_bad(password) == bad
    assert it.binds_root


def test_chage_prints_as_the_real_one() -> None:
    entry = Entry("admusr", "$1$x$y", "16825", ("0", "99999", "7", "", "", ""))
    shown = "".join(f"{label}{text}\n" for label, text in _ageing(entry))
    assert shown == (REPLIES / "chage" / "shadow-utils-4.13.txt").read_text()
    ageing = dict(_ageing(Entry("a", "x", "16825", ("1", "90", "7", "30", "17000", ""))))
    assert [*ageing.values()] == [
        "Jan 25, 2016",
        "Apr 24, 2016",
        "May 24, 2016",
        "Jul 18, 2016",
        "1",
        "90",
        "7",
    ]
    must = _ageing(Entry("a", "x", "0", ("0", "90", "7", "", "", "")))
    assert {text for _, text in must[:3]} == {"password must be changed"}
