"""4.6.5, the pure parts: the three edits, the order, what is read of the shadow file, whose password is which."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_system import small_site

from mopflow.acts.rehash import edits, kept, logins
from mopflow.acts.rehash.edits import FILES, LIBUSER_CONF, LOGIN_DEFS, SYSTEM_AUTH, Edited
from mopflow.acts.rehash.kept import Checkout
from mopflow.acts.rehash.order import before, order
from mopflow.credentials import Has, has
from mopflow.errors import UnreadableReply
from mopflow.ledger import Entry, Event, Row
from mopflow.probes import rcs, shadow
from mopflow.probes.shadow import Account, Field
from mopflow.system import ClusterState, Operation, Role, ServerState, Stage, UpToDate

REPLIES = Path(__file__).parents[1] / "replies"
OLD = {
    SYSTEM_AUTH: "password    sufficient    pam_unix.so md5 shadow nullok try_first_pass use_authtok",
    LOGIN_DEFS: "ENCRYPT_METHOD MD5",
    LIBUSER_CONF: "crypt_style = md5",
}
NEW = {
    SYSTEM_AUTH: "password    sufficient    pam_unix.so sha512 shadow nullok try_first_pass use_authtok",
    LOGIN_DEFS: "ENCRYPT_METHOD SHA512",
    LIBUSER_CONF: "crypt_style = sha512",
}
files = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)

# lines that no edit may touch, among them near misses of the ones that are edited
OTHERS = st.one_of(
    st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\\"), max_size=40).filter(
        lambda line: not re.search(r"pam_unix|ENCRYPT_METHOD|MD5_CRYPT_ENAB|crypt_style", line)
    ),
    st.sampled_from(
        [
            "",
            "# ENCRYPT_METHOD MD5",
            "#crypt_style = md5",
            "# password sufficient pam_unix.so md5",
            "auth        sufficient    pam_unix.so nullok md5 try_first_pass",
            "password    requisite     pam_cracklib.so md5 retry=3",
            "MD5_CRYPT_ENAB no",
            "# MD5_CRYPT_ENAB yes",
            "crypt_styles = md5",
            "md5",
            "Größe ß \u20ac\t",
        ]
    ),
)


@files
@given(
    above=st.lists(OTHERS, max_size=8), below=st.lists(OTHERS, max_size=8), end=st.sampled_from(["", "\n"])
)
def test_an_edit_changes_exactly_its_line(file: Edited, above: list[str], below: list[str], end: str) -> None:
    text = "\n".join([*above, OLD[file], *below]) + end
    edit = file.edit(text)
    assert edit.text == "\n".join([*above, NEW[file], *below]) + end
    assert [change.line for change in edit.changes] == [len(above) + 1]
    again = file.edit(edit.text)
    assert again.text == edit.text and again.changes == ()


@given(st.lists(OTHERS, max_size=5), st.sampled_from(["MD5_CRYPT_ENAB yes", "\tMD5_CRYPT_ENAB   YES"]))
def test_the_old_switch_of_login_defs_becomes_a_comment(lines: list[str], switch: str) -> None:
    edit = edits.login_defs("\n".join([switch, *lines, "ENCRYPT_METHOD SHA512", "x"]))
    commented = switch.replace("MD5_CRYPT_ENAB", "# MD5_CRYPT_ENAB")
    assert edit.text == "\n".join([commented, *lines, "ENCRYPT_METHOD SHA512", "x"])
    assert edits.login_defs(edit.text).changes == ()


@files
@given(above=st.lists(OTHERS, max_size=4), below=st.lists(OTHERS, max_size=4))
def test_sed_makes_the_same_of_it(file: Edited, above: list[str], below: list[str]) -> None:
    text = "\n".join([*above, OLD[file], *below]).replace("\r", "") + "\n"
    edit = file.edit(text)
    script = [word for change in edit.changes for word in ("-e", change.sed)]
    made = subprocess.run(
        ["sed", *script],
        input=text.encode(),
        capture_output=True,
        check=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    assert made.stdout == edit.text.encode()


PAM = "password sufficient pam_unix.so "


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (SYSTEM_AUTH, ""),
        (SYSTEM_AUTH, "auth sufficient pam_unix.so md5\n"),
        (SYSTEM_AUTH, f"{PAM}md5\n{PAM}md5\n"),
        (SYSTEM_AUTH, f"{PAM}shadow nullok\n"),
        (SYSTEM_AUTH, f"{PAM}md5 sha512\n"),
        (SYSTEM_AUTH, f"{PAM}sha256\n"),
        (SYSTEM_AUTH, f"{PAM}md5 \\\n shadow\n"),
        (SYSTEM_AUTH, f"password sufficient \\\n{PAM}md5\n"),
        (SYSTEM_AUTH, "password sufficient /lib/md5/pam_unix.so md5\n"),
        (LOGIN_DEFS, "MD5_CRYPT_ENAB yes\n"),
        (LOGIN_DEFS, "ENCRYPT_METHOD DES\n"),
        (LOGIN_DEFS, "ENCRYPT_METHOD MD5\nENCRYPT_METHOD SHA512\n"),
        (LOGIN_DEFS, "MD5_CRYPT_ENAB yes\nMD5_CRYPT_ENAB yes\nENCRYPT_METHOD MD5\n"),
        (LIBUSER_CONF, "[defaults]\n"),
        (LIBUSER_CONF, "crypt_style = sha256\n"),
        (LIBUSER_CONF, "crypt_style = md5\ncrypt_style = md5\n"),
    ],
)
def test_a_file_of_another_form_is_refused(file: Edited, text: str) -> None:
    with pytest.raises(UnreadableReply):
        file.edit(text)


@pytest.mark.parametrize(
    "line",
    [
        "password [success=1 default=ignore] pam_unix.so obscure md5",
        "-password\tsufficient\t/lib64/security/pam_unix.so md5 shadow",
        "PASSWORD sufficient pam_unix.so nullok md5 # by hand",
    ],
)
def test_pam_lines_of_other_systems_are_edited_too(line: str) -> None:
    assert edits.system_auth(f"{line}\n").text == line.replace("md5", "sha512") + "\n"


def test_keywords_of_rcs_do_not_count_as_a_change() -> None:
    one = "# $Id: login.defs,v 1.1 2016/01/24 12:00:00 root Exp $\nUMASK 077\n"
    assert edits.same_but_keywords(one, one.replace("1.1", "1.2").replace("Exp", "Exp root"))
    assert edits.same_but_keywords(one, "# $Id$\nUMASK 077\n")
    assert not edits.same_but_keywords(one, one.replace("077", "022"))
    assert not edits.same_but_keywords("PRICE $5: a $\n", "PRICE $5: b $\n")


# ---- order ----

site = small_site()


def states(*active: str, unknown: str = "") -> dict[str, ClusterState]:
    def server(name: str, cluster: str) -> ServerState:
        role = Role.UNKNOWN if name == unknown else Role.ACTIVE if name in active else Role.STANDBY
        return ServerState(
            name, cluster, role, None, "", UpToDate.UNKNOWN, Operation.read("n/a"), False, None
        )  # fmt: skip

    return {
        c.name: ClusterState(
            c.name, Stage.FRESH, "", None, None, tuple(server(n, c.name) for n in c.server_names)
        )
        for c in site.clusters
    }


def test_standby_cmps_first_active_mpes_last() -> None:
    groups = order(site, states("cmp-1a", "cmp-2b", "mpe-1b", "mpe-2a"))
    assert groups == [["cmp-1b", "cmp-2a"], ["cmp-1a", "cmp-2b"], ["mpe-1a", "mpe-2b"], ["mpe-1b", "mpe-2a"]]
    assert before(groups, "mpe-2b") == ["cmp-1b", "cmp-2a", "cmp-1a", "cmp-2b"]
    assert before(groups, "cmp-2a") == []
    with pytest.raises(KeyError):
        before(groups, "nobody")


def test_an_unreadable_role_counts_as_active() -> None:
    groups = order(site, states("cmp-1a", "cmp-2a", "mpe-1a", "mpe-2a", unknown="mpe-1b"))
    assert groups[-1] == ["mpe-1a", "mpe-1b", "mpe-2a"]
    assert order(site, {})[-1] == ["mpe-1a", "mpe-1b", "mpe-2a", "mpe-2b"]


@given(st.sets(st.sampled_from([s.name for s in site.servers])))
def test_every_server_has_one_place_and_active_ones_are_after_their_kind(active: set[str]) -> None:
    groups = order(site, states(*active))
    assert sorted(name for group in groups for name in group) == sorted(s.name for s in site.servers)
    place = {
        name: (number, name.startswith("mpe"), name in active)
        for number, g in enumerate(groups)
        for name in g
    }
    assert [rest for _, *rest in sorted(place.values())] == sorted([*rest] for _, *rest in place.values())


# ---- shadow ----

HASH = "83n5G8dR3CgBJjMEABi6b4847EXusUnzTaWNJgEi347B.WhLbIc"
SHADOW = f"""\
root:$6$mErKrEsA${HASH}:16825:0:99999:7:::
bin:*:15980:0:99999:7:::
admusr:$1$UstAfa${HASH[:22]}:16825:0:0:0:0:0
old:ab{HASH[:11]}:16825:0:99999:7:::
open::16825:0:99999:7:::
shut:!$6$mErKrEsA${HASH}:16825:0:99999:7:::
new:!!:16825:0:99999:7:::
odd:$y$j9T$abc${HASH}:1:::::
weird:$bogus:1:::::
+nis::::::::
"""


def test_the_hash_is_cut_off_on_the_server_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text(SHADOW)
    command = shadow.COMMAND.replace("/etc/shadow", str(tmp_path / "shadow"))
    reply = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"mErKrEsA|UstAfa|83n5|j9T|bogus", reply)
    found = shadow.parse(reply)
    assert [str(a) for a in found.accounts] == [
        "root $6$", "bin locked", "admusr $1$", "old other", "open empty", "shut locked", "new locked", "odd $y$",
        "weird other", "+nis empty",
    ]  # fmt: skip
    assert [a.name for a in found.accounts if a.weak] == ["admusr", "old", "odd", "weird"]
    assert [a.name for a in found.weak_others] == ["old", "odd", "weird"]
    assert found.get("root") == Account("root", Field.HASH, "$6$")
    assert found.get("nobody") is None


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "admusr $6$\n",
        f"root:$6$mErKrEsA${HASH}:16825:0:99999:7:::\n",
        f"root $6$mErKrEsA${HASH}\n",
        "root $6$\nroot $1$\n",
        "root $6$\nsed: can't read /etc/shadow: Permission denied\n",
    ],
)
def test_any_other_listing_is_refused_without_being_shown(reply: str) -> None:
    with pytest.raises(UnreadableReply) as refused:
        shadow.parse(reply)
    assert HASH not in str(refused.value)


@given(st.text(max_size=80))
def test_what_is_no_listing_is_never_read_as_one(text: str) -> None:
    try:
        found = shadow.parse(text)
    except UnreadableReply:
        return
    assert [str(a) for a in found.accounts] == text.splitlines()


@pytest.mark.parametrize("path", sorted((REPLIES / "shadow").glob("*.txt")), ids=lambda path: path.stem)
def test_captured_listings_are_read(path: Path) -> None:
    found = shadow.parse(path.read_text())
    assert found.get("root") is not None and len(found.accounts) == len(path.read_text().splitlines())


# ---- rcstool and what is kept ----


@pytest.mark.parametrize(
    ("reply", "version"),
    [
        ("RCS_VERSION=1.1\n", "1.1"),
        ("some notice\nRCS_VERSION=1.12\n", "1.12"),
        ("RCS_VERSION=1.2.1.3\r\n", "1.2.1.3"),
    ],
)
def test_the_revision_is_read(reply: str, version: str) -> None:
    assert rcs.parse_version(reply) == version


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "RCS_VERSION=\n",
        "RCS_VERSION=1\n",
        "RCS_VERSION=1.x\n",
        "RCS_VERSION=1.1\nRCS_VERSION=1.2\n",
        " 1.1\n",
    ],
)
def test_no_revision_is_read_from_anything_else(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        rcs.parse_version(reply)


COPIES = "kept:\nlibuser.conf\nlogin.defs\nshadow\nsystem-auth\n"


def test_the_kept_directory_says_how_far_it_got() -> None:
    assert not kept.parse("").there
    fresh = kept.parse(COPIES)
    assert fresh.there and not fresh.begun and fresh.checkout(LOGIN_DEFS) is Checkout.NONE
    cases = {
        "login.defs.co.part": Checkout.UNCLEAR,
        "login.defs.co": Checkout.OUT,
        "login.defs.co\nlogin.defs.ci.part": Checkout.OUT,
        "login.defs.co\nlogin.defs.ci": Checkout.DONE,
        "login.defs.co\nlogin.defs.unco": Checkout.DONE,
    }
    for names, wanted in cases.items():
        state = kept.parse(f"{COPIES}{names}\n")
        assert state.checkout(LOGIN_DEFS) is wanted and state.begun
        assert state.checkout(SYSTEM_AUTH) is Checkout.NONE
    assert kept.parse(f"{COPIES}passwd.root\n").touched("root")
    assert not kept.parse(f"{COPIES}passwd.root\n").touched("admusr")


@pytest.mark.parametrize(
    "reply", ["ls: cannot access\n", "kept:\n", COPIES.replace("shadow\n", ""), "login.defs\n"]
)
def test_what_is_kept_is_never_guessed(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        kept.parse(reply)


# ---- whose password is which ----

INT, REF, VER, NOTE = Event.INTENDED, Event.REFUSED, Event.VERIFIED, Event.NOTE
NEW_SET: dict[str, Any] = {"password": "new"}
PROVEN: dict[str, Any] = {"password": "new", "accounts": {"admusr": "new", "root": "same"}}


def rows(*said: tuple[int, str, Event, dict[str, Any]]) -> list[Row]:
    return [
        Row(n, "s", "c", "e", datetime.now(UTC), Entry("4.6.5", step, leg, "mpe-1a", event, "", data=data))
        for n, (step, leg, event, data) in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ([], Has.OLD),
        ([(14, "admusr", INT, {"password": "same"})], Has.OLD),
        ([(14, "root", INT, NEW_SET)], Has.OLD),
        ([(14, "admusr", INT, NEW_SET)], Has.MAY_BE_NEW),
        ([(14, "admusr", INT, NEW_SET), (14, "admusr", REF, {})], Has.OLD),
        ([(14, "admusr", INT, NEW_SET), (14, "root", REF, {})], Has.MAY_BE_NEW),
        ([(14, "admusr", INT, NEW_SET), (15, "login", VER, PROVEN)], Has.NEW),
        ([(14, "admusr", INT, NEW_SET), (15, "login", VER, PROVEN), (14, "admusr", INT, NEW_SET)], Has.NEW),
        ([(14, "admusr", INT, NEW_SET), (15, "login", VER, PROVEN), (15, "tidy", VER, {})], Has.NEW),
        ([(14, "admusr", INT, NEW_SET), (15, "login", NOTE, {"put_back": ["admusr"]})], Has.OLD),
        ([(14, "admusr", INT, NEW_SET), (15, "login", NOTE, {"put_back": ["root"]})], Has.MAY_BE_NEW),
    ],
)
def test_the_ledger_says_which_password_a_server_has(said: Any, wanted: Has) -> None:
    assert has(rows(*said), "admusr") is wanted


# ---- what real passwd and su print ----


def prompts(name: str) -> list[str]:
    """The captured transcript, cut behind each prompt: what is fresh whenever the program waits."""
    text = (REPLIES / name).read_text()
    return [match.group() for match in re.finditer(r"(?s).*?assword: ?(?=\n|$)", text)]


def test_real_prompts_are_told_apart() -> None:
    first, second = prompts("passwd/done.txt")
    assert logins._NEW.search(first) and not logins._AGAIN.search(first)
    assert logins._AGAIN.search(second) and not logins._NEW.search(second)
    assert logins._UPDATED in (REPLIES / "passwd" / "done.txt").read_text()


def test_a_real_refusal_asks_for_the_new_password_again() -> None:
    first, *more = prompts("passwd/bad.txt")
    assert logins._NEW.search(first)
    for again in more:
        assert not logins._AGAIN.search(again)  # so nothing is sent
        assert logins._NEW.search(again.rsplit("\n", 1)[-1])  # and it is seen that it asks again
    assert logins._UPDATED not in (REPLIES / "passwd" / "bad.txt").read_text()
    assert logins._NEW.search(prompts("passwd/mismatch.txt")[-1].rsplit("\n", 1)[-1])


def test_real_su() -> None:
    for name, last in (("su/accepted.txt", "0"), ("su/refused.txt", "failure")):
        text = (REPLIES / name).read_text()
        assert logins._PASSWORD.search(text.split("\n")[0])
        assert text.split()[-1] == last
