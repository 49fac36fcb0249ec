"""4.6.5 against real programs: sshd with PAM, passwd, su, sudo, sed, chpasswd, chage and RCS in a throwaway root."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from throwaway_root import LOGIN_DEFS, SYSTEM_AUTH, ThrowawayRoot, lacking

from mopflow.acts.rehash import checkouts, edits, kept, logins
from mopflow.acts.rehash.checkouts import Op
from mopflow.acts.rehash.kept import Checkout
from mopflow.acts.rehash.logins import Credential, Line
from mopflow.acts.rehash.root import Root
from mopflow.errors import ActRefused, CommandFailed, LoginRefused, MayHaveRun
from mopflow.probes import shadow
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.ssh import Logins, Servers

pytestmark = [pytest.mark.service, pytest.mark.skipif(bool(lacking()), reason=lacking())]

SERVER = "cmp-1a"
PASSWORDS = {"admusr": "Adm-usr 77/x", "root": "R00t %pass-w", "oper1": "nobody-Knows-1"}
KIND = {"password": ("PasswordAuthentication yes", "KbdInteractiveAuthentication no"),
        "keyboard-interactive": ("PasswordAuthentication no", "KbdInteractiveAuthentication yes")}  # fmt: skip


def site_of(port: int) -> Site:
    rest = [{"name": f"other-{n}", "address": f"192.0.2.{n}"} for n in range(1, 4)]
    return Site.model_validate(
        {
            "name": "real",
            "source": "12.1.1.0.0_14.1.0",
            "target": "12.1.2.0.0_22.1.0",
            "console": {"user": "admin", "password": {"env": "NO_GUI"}},
            "ssh": {
                "user": "admusr",
                "password": {"env": "TEST_ADMUSR"},
                "root_password": {"env": "TEST_ROOT"},
                "known_hosts": "known_hosts",
            },
            "cmp": {
                "primary": {
                    "name": "CMP",
                    "vip": "192.0.2.9",
                    "servers": [{"name": SERVER, "address": "127.0.0.1", "port": port}, rest[0]],
                }
            },
            "segments": [{"name": "s", "clusters": [{"name": "mpe", "kind": "MPE", "servers": rest[1:]}]}],
            "media": [
                {"file": f"{kind}-12.1.2.0.0_22.1.0-x86_64.iso", "type": kind, "md5": "0" * 32}
                for kind in ("cmp", "mpe")
            ],
        }
    )


@pytest.fixture(params=["admusr", "root"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """Logged in as admusr (root is refused by SSH, keyboard-interactive), or as root itself as on 10.5."""
    user = request.param
    monkeypatch.setenv("TEST_ADMUSR", PASSWORDS["admusr"])
    monkeypatch.setenv("TEST_ROOT", PASSWORDS["root"])
    options = KIND["keyboard-interactive" if user == "admusr" else "password"]
    place = ThrowawayRoot(
        tmp_path, PASSWORDS, *options, f"PermitRootLogin {'no' if user == 'admusr' else 'yes'}"
    )
    servers = Servers(site_of(place.port), Vault(), tmp_path, user_of=lambda _: user, logins=Logins())
    try:
        yield Root(servers, SERVER)
    finally:
        servers.close()
        place.close()


as_admusr = pytest.mark.parametrize("root", ["admusr"], indirect=True)


def credential(account: str, new: str = "") -> Credential:
    old = SecretStr(PASSWORDS[account])
    return Credential(account, SecretStr(new) if new else old, old, bool(new))


def prefixes(root: Root) -> dict[str, str]:
    return {a.name: a.prefix for a in shadow.ask(root.servers, SERVER).accounts if a.prefix}


def edit_all(root: Root) -> list[Op]:
    done = []
    for file in edits.FILES:
        assert checkouts.check_out(root, file) == "1.1"
        checkouts.change(root, file)
        done.append(checkouts.end(root, file))
    return done


def state(root: Root, path: str) -> str:
    """Owner, group, mode and inode's kind of a file."""
    return root.check(f"stat -c '%U:%G %a %F' {path}").strip()


@pytest.mark.parametrize("new", ["", "Brand-new 9 pass"], ids=["same", "new"])
def test_the_whole_procedure(root: Root, new: str) -> None:
    assert root.must_be_root().startswith("root" if root.is_login else "admusr")
    assert prefixes(root) == {"root": "$1$", "admusr": "$1$", "oper1": "$1$"}
    for account in ("admusr", "root"):
        logins.prove(root.servers, SERVER, account, SecretStr(PASSWORDS[account]))
    modes = {file.path: state(root, file.path) for file in edits.FILES}
    shadow_mode = state(root, "/etc/shadow")
    lines = root.check("grep -v -e ^root: -e ^admusr: /etc/shadow")

    assert not kept.ask(root).there
    kept.make(root)
    assert kept.ask(root).there and not kept.ask(root).begun
    assert state(root, kept.FOLDER) == "root:root 700 directory"
    assert root.check(f"stat -c %a {kept.FOLDER}/*").split() == ["600"] * 4
    assert kept.is_fresh(root, ("root", "admusr"))

    assert edit_all(root) == [Op.CI] * 3
    assert all(checkouts.is_configured(root, file) for file in edits.FILES)
    assert all(kept.ask(root).checkout(file) is Checkout.DONE for file in edits.FILES)
    assert {file.path: state(root, file.path) for file in edits.FILES} == modes
    assert root.check("readlink /etc/pam.d/system-auth").strip() == "system-auth-ac"
    assert root.check("cat /etc/pam.d/system-auth") == SYSTEM_AUTH.replace("so md5", "so sha512")
    wanted = LOGIN_DEFS.replace("\nMD5_C", "\n# MD5_C").replace("METHOD MD5", "METHOD SHA512")
    assert edits.same_but_keywords(root.check("cat /etc/login.defs"), wanted)

    for account in ("root", "admusr"):
        assert logins.line_of(root, account) is Line.KEPT
        said = logins.set_password(root, credential(account, new))
        assert "updated successfully" in said and (new or PASSWORDS[account]) not in said
        assert logins.line_of(root, account) is Line.SET
    assert prefixes(root) == {"root": "$6$", "admusr": "$6$", "oper1": "$1$"}
    for account in ("admusr", "root"):
        logins.prove(root.servers, SERVER, account, credential(account, new).password)
    assert root.check("grep -v -e ^root: -e ^admusr: /etc/shadow") == lines
    assert state(root, "/etc/shadow") == shadow_mode
    kept.remove(root)
    assert not kept.ask(root).there
    assert root.check("ls -A /root").strip() == ""


def test_all_comes_back_when_the_new_login_fails(root: Root) -> None:
    """PAM lets nobody in whose hash is SHA512; the old line in the shadow file cures it."""
    kept.make(root)
    before = {path: root.check(f"cat {path}") for path in ("/etc/shadow", *(f.path for f in edits.FILES))}
    edit_all(root)
    for account in ("root", "admusr"):
        logins.set_password(root, credential(account))
    root.check(
        "printf '#!/bin/sh\\n! grep -q ^$PAM_USER:.6 /etc/shadow\\n' >/usr/local/bin/no6; chmod 755 /usr/local/bin/no6"
    )
    root.check("sed -i '1i auth requisite pam_exec.so quiet /usr/local/bin/no6' /etc/pam.d/sshd")
    with pytest.raises(LoginRefused):
        logins.prove(root.servers, SERVER, "admusr", SecretStr(PASSWORDS["admusr"]))
    with pytest.raises(LoginRefused, match="not sent again"):
        logins.prove(root.servers, SERVER, "admusr", SecretStr(PASSWORDS["admusr"]))

    for account in ("root", "admusr"):
        logins.restore(root, account)
        assert logins.line_of(root, account) is Line.KEPT
    assert checkouts.restore(root) == []
    after = {path: root.check(f"cat {path}") for path in before}
    assert after["/etc/shadow"] == before["/etc/shadow"]
    assert all(edits.same_but_keywords(after[path], before[path]) for path in before)
    root.servers.pardon(SERVER, "admusr", SecretStr(PASSWORDS["admusr"]))
    for account in ("admusr", "root"):
        logins.prove(root.servers, SERVER, account, SecretStr(PASSWORDS[account]))
    assert root.check("rlog -R -L /etc/RCS/*,v") == ""  # nothing is checked out


@as_admusr
def test_a_password_that_is_not_good_enough_changes_nothing(root: Root) -> None:
    kept.make(root)
    edit_all(root)
    with pytest.raises(MayHaveRun, match=r"asked again.*BAD PASSWORD") as refused:
        logins.set_password(root, credential("root", "onlylowercaseletters"))
    assert "onlylower" not in str(refused.value)
    assert logins.line_of(root, "root") is Line.KEPT
    assert prefixes(root)["root"] == "$1$"
    logins.prove(root.servers, SERVER, "root", SecretStr(PASSWORDS["root"]))


@as_admusr
def test_a_wrong_password_is_refused_once(root: Root) -> None:
    wrong = SecretStr("not the-1 password")
    for account in ("admusr", "root"):
        for _ in range(2):
            with pytest.raises(LoginRefused):
                logins.prove(root.servers, SERVER, account, wrong)
        assert root.servers.logins_left(SERVER, account) >= 28
    assert root.must_be_root()  # the kept connection is not touched


@as_admusr
def test_rcs_that_fails_leaves_the_file_as_it_was(root: Root) -> None:
    kept.make(root)
    before = root.check("cat /etc/login.defs")
    file = edits.LOGIN_DEFS
    checkouts.check_out(root, file)
    assert [c.sed for c in checkouts.change(root, file)] == [
        "8s/MD5_CRYPT_ENAB/# MD5_CRYPT_ENAB/",
        "9s/MD5/SHA512/",
    ]
    root.check("touch /etc/ci-fails")
    with pytest.raises(ActRefused, match=r"cannot write.*as it was"):
        checkouts.end(root, file)
    assert edits.same_but_keywords(root.check("cat /etc/login.defs"), before)
    assert kept.ask(root).checkout(file) is Checkout.NONE
    assert root.check("rlog -R -L /etc/RCS/*,v") == ""
    root.check("rm /etc/ci-fails")
    assert edit_all(root)[1] is Op.CI


@as_admusr
def test_a_second_check_out_and_an_unchanged_file(root: Root) -> None:
    kept.make(root)
    file = edits.LIBUSER_CONF
    root.check(f"rcstool co {file.path}")
    with pytest.raises(ActRefused, match="checked out already"):
        checkouts.check_out(root, file)
    assert kept.ask(root).checkout(file) is Checkout.NONE
    root.check(f"sed -i 's/= md5/= sha512/' {file.path} && rcstool ci {file.path}")
    kept.remove(root)
    kept.make(root)
    assert checkouts.check_out(root, file) == "1.2"
    assert checkouts.change(root, file) == ()
    assert checkouts.end(root, file) is Op.UNCO
    assert root.check("rlog -R -L /etc/RCS/*,v") == ""


@as_admusr
def test_a_full_disk_takes_nothing_away(root: Root) -> None:
    """The new file does not fit: the old one stays, whole."""
    kept.make(root)
    file = edits.LOGIN_DEFS
    checkouts.check_out(root, file)
    size = 64 << 10
    root.check(
        f"mkdir /etc/room && mount -t tmpfs -o size={size} tmpfs /etc/room && mv /etc/login.defs /etc/room/"
        " && ln -s room/login.defs /etc/login.defs; dd if=/dev/zero of=/etc/room/full 2>/dev/null || true"
    )
    before = root.check("cat /etc/login.defs")
    with pytest.raises(CommandFailed, match="No space left"):
        checkouts.change(root, file)
    assert root.check("cat /etc/login.defs") == before
    assert root.check("ls /etc/room").split() == ["full", "login.defs"]


@as_admusr
def test_a_connection_that_breaks_at_the_prompt_changes_nothing(root: Root) -> None:
    """passwd waits for its first answer when we are gone: it ends, and the line is as it was."""
    kept.make(root)
    never = [(re.compile("no such prompt"), SecretStr("Never-sent 1"))]
    with pytest.raises(MayHaveRun):
        root.converse(
            "trap '' HUP; echo $$ >/run/waiting; passwd root; echo $? >/run/ended", never, timeout=2
        )
    root.check(
        "for i in 1 2 3 4 5 6 7 8 9 10; do test -s /run/ended && exit 0; sleep 0.5; done; exit 1", timeout=20
    )
    assert root.check("cat /run/ended").strip() != "0"
    assert logins.line_of(root, "root") is Line.KEPT
    logins.prove(root.servers, SERVER, "root", SecretStr(PASSWORDS["root"]))


@as_admusr
def test_a_line_that_somebody_has_changed_is_kept_anew(root: Root) -> None:
    kept.make(root)
    root.check("echo 'root:By-Hand 77x' | chpasswd")
    assert logins.line_of(root, "root") is Line.CHANGED
    others = root.check(f"grep -v ^root: {kept.FOLDER}/shadow")
    kept.renew_line(root, "root")
    assert logins.line_of(root, "root") is Line.KEPT
    assert root.check(f"grep -v ^root: {kept.FOLDER}/shadow") == others
    assert root.check(f"stat -c %a {kept.FOLDER}/shadow").strip() == "600"
