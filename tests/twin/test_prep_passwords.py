"""4.6.5 on the twin, row by row: what it changes, what each fault leaves, and that nobody is ever locked out.

One twin serves the whole module. A test that needs no fault makes its server weak again first and counts from there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from houses import OnTwin, on_twin
from rulebook import check_dir

from cli.twin_files import ADMUSR, ROOT
from lab.unix_crypt import crypt
from mopflow.acts.rehash import checkouts, kept, logins
from mopflow.acts.rehash.logins import Line
from mopflow.acts.rehash.order import order
from mopflow.acts.rehash.root import Root
from mopflow.errors import Held
from mopflow.here import Scope
from mopflow.house import House
from mopflow.ledger import Entry, Event, Hold
from mopflow.probes import shadow
from mopflow.procedures.prep_passwords import REHASH
from mopflow.run import Outcome, Result, carry_out
from mopflow.ssh import LOGINS

pytestmark = pytest.mark.twin

FAULTS = (
    "rcs_fails@mpe-2b:2",
    "passwd_refuses@mpe-3b:1",
    "passwd_refuses@mpe-4b:2",
    "login_fails_after@mpe-5b:1",
    "login_fails_after@mpe-6b:2",
    "login_fails_after@mpe-7b:1",
    "login_fails_after@mpe-8b:2",
)
WEAK = [f"mpe-{n}b" for n in range(1, 9)]
FILES = ("/etc/pam.d/system-auth-ac", "/etc/login.defs", "/etc/libuser.conf")


class Killed(BaseException):
    """The process is gone (kill -9): nothing of mopflow may catch this."""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnTwin]:
    clusters = [(f"mpe-{n}", "MPE") for n in range(1, 9)]
    folder = tmp_path_factory.mktemp("rehash")
    with on_twin(folder, speed=180, clusters=clusters, faults=FAULTS, weak_hashes=WEAK) as it:
        yield it


@pytest.fixture(scope="module")
def house(twin: OnTwin) -> Iterator[House]:
    with twin.open() as it:
        yield it


class Case:
    """One server, and what the twin has recorded of it since the case began."""

    def __init__(self, twin: OnTwin, house: House, server: str = WEAK[0]) -> None:
        self.twin = twin
        self.house = house
        self.server = server
        self.root = Root(house.servers, server)
        self._before = {name: len(twin.events(name, server=server)) for name in EVENTS}
        self._held = len(self.holds())

    def run(self, rows: Sequence[int] = range(1, 16), house: House | None = None) -> dict[int, Result]:
        scope = Scope(server=self.server)
        return {n: carry_out(REHASH.step(n), scope, house or self.house) for n in rows}

    @contextmanager
    def again(self) -> Iterator[House]:
        """A new process on the same ledger, for this server."""
        with self.twin.open() as it:
            yield it

    def events(self, name: str, **wanted: Any) -> list[dict[str, Any]]:
        since = self.twin.events(name, server=self.server)[self._before[name] :]
        return [e for e in since if all(e.get(key) == value for key, value in wanted.items())]

    def refused(self) -> list[str]:
        """Whose logins were refused."""
        return [e["user"] for name in ("ssh_login", "su") for e in self.events(name, ok=False)]

    def prefixes(self, house: House | None = None) -> dict[str, str]:
        found = shadow.ask((house or self.house).servers, self.server)
        return {a.name: a.prefix for a in found.accounts if a.prefix}

    def holds(self) -> list[Hold]:
        return [hold for hold in self.twin.holds() if hold.cluster == self.server]

    def new_holds(self) -> list[Hold]:
        return self.holds()[self._held :]

    def nothing_is_out(self) -> bool:
        """Every check-out has ended, by exactly one of ci and unco."""
        out: set[str] = set()
        for event in self.events("rcs"):
            assert (event["path"] in out) is (event["op"] != "co"), event
            out ^= {event["path"]}
        return not out

    def weaken(self) -> None:
        """As the server was set up: MD5 everywhere, the passwords of the site file, nothing kept."""
        kept.remove(self.root)
        undo = {
            FILES[0]: "s/sha512/md5/",
            FILES[1]: "s/^# MD5_CRYPT_ENAB/MD5_CRYPT_ENAB/;s/^ENCRYPT_METHOD SHA512/ENCRYPT_METHOD MD5/",
            FILES[2]: "s/= sha512/= md5/",
        }
        for path, script in undo.items():
            self.root.check(f"rcstool co {path} && sed -i '{script}' {path} && rcstool ci {path}")
        for user, variable in (("root", ROOT), ("admusr", ADMUSR)):
            line = f"{user}:{crypt(os.environ[variable], '$1$weakened')}"
            self.root.check(f"echo '{line}' | chpasswd -e && chage -d 16825 {user}")
        entry = Entry("4.6.5", 15, "login", self.server, Event.NOTE, "by the test", data={"put_back": USERS})
        self.house.ledger.record(self.house.campaign, self.house.site.name, self.house.executor, entry)


USERS = ["root", "admusr"]
EVENTS = ("file", "rcs", "password_set", "su", "ssh_login")


@pytest.fixture
def case(twin: OnTwin, house: House) -> Case:
    it = Case(twin, house)
    if it.prefixes()["root"] != "$1$" or kept.ask(it.root).there:
        it.weaken()
    return Case(twin, house)


@contextmanager
def new_passwords(monkeypatch: pytest.MonkeyPatch, case: Case, *accounts: str) -> Iterator[House]:
    """A run on a site file that names new passwords; its server is weak again afterwards."""
    for name in accounts:
        monkeypatch.setenv(f"NEW_{name.upper()}", f"Nw-{secrets.token_hex(6)}")
    case.twin.change(passwords={f"new_{name}": {"env": f"NEW_{name.upper()}"} for name in accounts})
    try:
        with case.twin.open() as house:
            yield house
    finally:
        case.twin.change(passwords={})


def test_a_server_gets_sha512_and_nothing_else_changes(case: Case) -> None:
    before = {path: case.root.check(f"cat {path}") for path in FILES}
    assert case.prefixes() == {"root": "$1$", "admusr": "$1$", "oper1": "$1$"}

    done = case.run()

    assert {n: r.outcome for n, r in done.items()} == dict.fromkeys(range(1, 16), Outcome.DONE)
    assert "oper1" in done[2].text and "expire" in done[2].text
    assert case.prefixes() == {"root": "$6$", "admusr": "$6$", "oper1": "$1$"}
    assert {path: case.root.check(f"cat {path}") for path in FILES} == {
        FILES[0]: before[FILES[0]].replace("pam_unix.so md5 ", "pam_unix.so sha512 "),
        FILES[1]: before[FILES[1]]
        .replace("\nMD5_CRYPT_ENAB", "\n# MD5_CRYPT_ENAB")
        .replace("\nENCRYPT_METHOD MD5", "\nENCRYPT_METHOD SHA512"),
        FILES[2]: before[FILES[2]].replace("= md5", "= sha512"),
    }
    assert case.root.check("readlink /etc/pam.d/system-auth").strip() == "system-auth-ac"
    assert case.root.check("ls -A /root").strip() == ""
    assert [e["op"] for e in case.events("rcs")] == ["co", "ci"] * 3
    assert [(e["user"], e["algorithm"]) for e in case.events("password_set")] == [
        ("root", "SHA512"),
        ("admusr", "SHA512"),
    ]
    assert case.refused() == [] and case.new_holds() == []


def test_a_second_run_and_a_strong_server_change_nothing(case: Case) -> None:
    case.run()
    for server in (case.server, "cmp-1a"):
        again = Case(case.twin, case.house, server)
        done = again.run()
        assert all(done[n].outcome is Outcome.SKIPPED for n in range(3, 16)), done
        assert "not needed" in done[3].text
        assert not [e for name in ("file", "rcs", "password_set", "su") for e in again.events(name)]
        assert again.refused() == []


def test_default_passwords_are_left_alone(case: Case) -> None:
    case.twin.change(passwords={"default": True})
    try:
        with case.again() as house:
            done = case.run(house=house)
    finally:
        case.twin.change(passwords={})
    assert all(done[n].outcome is Outcome.SKIPPED for n in range(3, 16))
    assert "default" in done[3].text
    assert case.prefixes()["root"] == "$1$"
    assert case.events("rcs") == case.events("file") == case.events("password_set") == []


def test_no_secret_is_written_anywhere(case: Case) -> None:
    before = case.root.check("cat /etc/shadow")
    case.run()
    after = case.root.check("cat /etc/shadow")
    hashes = {line.split(":")[1] for line in (before + after).splitlines() if "$" in line}
    assert len(hashes) == 5
    secret = [*case.twin.passwords.values(), *(h.rpartition("$")[2] for h in hashes)]
    looked = [path for path in case.twin.folder.rglob("*") if path.is_file()]
    for kind in ("flight.jsonl", "hashes.txt", "passwd-root.txt", ".db"):
        assert any(path.name.endswith(kind) for path in looked), kind
    for path in looked:
        content = path.read_bytes()
        # `weaken` of this test module gives a hash to a command; mopflow does not
        assert not [s for s in secret if s.encode() in content and s not in _given_by_us(case)], path


def _given_by_us(case: Case) -> str:
    return " ".join(
        e["command"]
        for e in case.twin.events("ssh_command", server=case.server)
        if "$1$weakened" in e["command"]
    )


@pytest.mark.soak
def test_the_order_is_kept(tmp_path: Path) -> None:
    weak = ("cmp-1a", "cmp-2b", "mpe-1a", "mpe-1b")
    with (
        on_twin(tmp_path, speed=180, clusters=(("mpe-1", "MPE"),), weak_hashes=list(weak)) as twin,
        twin.open() as house,
    ):
        groups = order(house.site, house.eye.now().states)
        assert groups == [["cmp-1b", "cmp-2b"], ["cmp-1a", "cmp-2a"], ["mpe-1b"], ["mpe-1a"]]
        early = Case(twin, house, "mpe-1b")
        with pytest.raises(Held, match="cmp-2b, cmp-1a come first and still need it"):
            early.run()
        assert twin.events("password_set") == twin.events("rcs") == []
        cases = [Case(twin, house, server) for group in groups for server in group]
        for case in cases:
            case.run()
            assert case.nothing_is_out() and case.refused() == []
        done = [e["server"] for e in twin.events("password_set", user="admusr")]
        assert done == ["cmp-2b", "cmp-1a", "mpe-1b", "mpe-1a"]


def test_new_passwords_are_set_and_used_from_then_on(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_passwords(monkeypatch, case, "admusr", "root") as house:
        case.run(house=house)
        row = house.ledger.last(procedure="4.6.5", step=15, cluster=case.server, events=(Event.VERIFIED,))
        rows = house.ledger.rows(procedure="4.6.5", step=15, cluster=case.server, events=(Event.VERIFIED,))
        proof = [row for row in rows if row.entry.leg == "login"][-1]
        assert row is not None and row.entry.leg == "tidy"
        assert proof.entry.data["password"] == "new"
        assert proof.entry.data["accounts"] == {"admusr": "new", "root": "new"}
        with case.again() as later:  # by the ledger's word it logs in with the new one at once
            assert case.run(house=later)[15].outcome is Outcome.SKIPPED
            other = Case(case.twin, later, "cmp-1a")
            assert other.run()[15].outcome is Outcome.SKIPPED  # and with the old one elsewhere
            assert other.refused() == []
    assert case.refused() == []


# ---- killed ----


def dead(*_: Any) -> None:
    raise Killed


def die_after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, when: int) -> None:
    """The process dies as soon as the `when`-th call of `module.name` has come back."""
    real, calls = getattr(module, name), iter(range(1, 1000))

    def dying(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if next(calls) == when:
            raise Killed
        return result

    monkeypatch.setattr(module, name, dying)


@pytest.mark.parametrize(
    "new", [pytest.param(False, id="same"), pytest.param(True, id="new", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize(
    "when", [pytest.param(1, id="root set"), pytest.param(2, id="both set", marks=pytest.mark.soak)]
)
def test_killed_between_passwd_and_the_new_login(
    case: Case, monkeypatch: pytest.MonkeyPatch, when: int, new: bool
) -> None:
    with new_passwords(monkeypatch, case, *(("admusr", "root") if new else ())) as house:
        with monkeypatch.context() as patch:
            die_after(patch, logins, "set_password", when)
            with pytest.raises(Killed):
                case.run(house=house)
        with case.again() as later:
            done = case.run(house=later)
            assert done[15].outcome is Outcome.DONE
            assert case.prefixes(later) == {"root": "$6$", "admusr": "$6$", "oper1": "$1$"}
            assert not kept.ask(Root(later.servers, case.server)).there
    assert [e["user"] for e in case.events("password_set")] == ["root", "admusr"]  # each once
    assert case.nothing_is_out() and case.refused() == []


@pytest.mark.soak
def test_killed_before_passwd_with_a_new_password_tries_each_once(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_passwords(monkeypatch, case, "admusr") as house:
        with monkeypatch.context() as patch:
            case.run(range(1, 14), house)
            real = logins.set_password
            patch.setattr(logins, "set_password", lambda r, c: real(r, c) if c.account == "root" else dead())
            with pytest.raises(Killed):
                case.run([14], house)
        with case.again() as later:
            assert case.run(house=later)[15].outcome is Outcome.DONE
    assert case.refused() == ["admusr"]  # the new one, once; then the old one
    assert case.new_holds() == []


@pytest.mark.soak
@pytest.mark.parametrize("row", [5, 6, 9, 11])
def test_killed_with_a_file_checked_out(case: Case, row: int) -> None:
    case.run(range(1, row + 1))
    assert not case.nothing_is_out()
    case.run()
    assert case.prefixes()["root"] == "$6$"
    assert case.nothing_is_out()
    assert [e["op"] for e in case.events("rcs")] == ["co", "ci"] * 3


@pytest.mark.soak
@pytest.mark.parametrize("when", [1, 2, 3])
def test_killed_between_rcstool_and_its_answer(
    case: Case, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """co, ci, co: the server has done it, and nobody heard."""
    with monkeypatch.context() as patch:
        die_after(patch, checkouts, "_rcstool", when)
        with pytest.raises(Killed):
            case.run()
    case.run()
    assert case.prefixes()["root"] == "$6$"
    assert [e["op"] for e in case.events("rcs")] == ["co", "ci"] * 3
    assert case.nothing_is_out() and case.refused() == []


@pytest.mark.soak
def test_a_run_that_ends_in_the_middle_can_let_go(case: Case) -> None:
    before = case.root.check("cat /etc/login.defs")
    assert checkouts.release(case.root) == []
    case.run(range(1, 10))
    assert checkouts.release(case.root) == ["/etc/login.defs"]
    assert checkouts.release(case.root) == []
    assert case.root.check("cat /etc/login.defs") == before
    assert case.nothing_is_out()
    case.run()
    assert case.prefixes()["root"] == "$6$" and case.nothing_is_out()


@pytest.mark.soak
def test_killed_after_the_proof_only_tidies_up(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(kept, "remove", dead)
        with pytest.raises(Killed):
            case.run()
    proofs = len(case.events("su"))
    case.run()
    assert not kept.ask(case.root).there
    assert len(case.events("su")) == proofs
    assert case.refused() == []


# ---- faults ----


def test_rcstool_fails_at_ci(twin: OnTwin, house: House) -> None:
    case = Case(twin, house, "mpe-2b")
    before = case.root.check("cat /etc/login.defs")
    with pytest.raises(Held, match=r"rcstool ci /etc/login\.defs failed.*as it was"):
        case.run()
    assert case.root.check("cat /etc/login.defs") == before
    assert case.nothing_is_out()
    assert case.events("password_set") == []
    assert [hold.rule for hold in case.new_holds()] == ["rcs"]
    case.run()
    assert case.prefixes()["admusr"] == "$6$"
    assert case.nothing_is_out() and case.refused() == []


@pytest.mark.parametrize(
    ("server", "which"), [pytest.param("mpe-3b", 1, marks=pytest.mark.soak), ("mpe-4b", 2)]
)
def test_passwd_refuses(twin: OnTwin, house: House, server: str, which: int) -> None:
    case, account = Case(twin, house, server), ("root", "admusr")[which - 1]
    with pytest.raises(Held, match=f"passwd {account} has changed nothing.*BAD PASSWORD") as held:
        case.run()
    assert "Nobody is locked out" in held.value.remedy
    assert case.prefixes()[account] == "$1$"
    assert len(case.events("password_set")) == which - 1
    assert len(case.events("su", ok=True)) == which  # what was set before it is proven at once
    case.run()
    assert case.prefixes() == {"root": "$6$", "admusr": "$6$", "oper1": "$1$"}
    assert case.nothing_is_out() and case.refused() == []


@pytest.mark.parametrize(
    ("server", "account", "new"),
    [
        pytest.param("mpe-5b", "root", False, marks=pytest.mark.soak),
        ("mpe-6b", "admusr", False),
        pytest.param("mpe-7b", "root", True, marks=pytest.mark.soak),
        pytest.param("mpe-8b", "admusr", True, marks=pytest.mark.soak),
    ],
)
def test_a_new_login_fails_and_all_is_put_back(
    twin: OnTwin, house: House, monkeypatch: pytest.MonkeyPatch, server: str, account: str, new: bool
) -> None:
    case = Case(twin, house, server)
    files = {path: case.root.check(f"cat {path}") for path in (*FILES, "/etc/shadow")}
    with new_passwords(monkeypatch, case, *(("admusr", "root") if new else ())) as first:
        with pytest.raises(Held, match="is back on") as held:
            case.run(house=first)
        assert held.value.remedy.endswith("Nobody is locked out.")
        assert {path: case.root.check(f"cat {path}") for path in files} == files
        assert not kept.ask(case.root).there
        assert case.events("su" if account == "root" else "ssh_login", user=account)[-1]["ok"]
        assert case.refused() == [account]
        assert case.nothing_is_out()
        with case.again() as later:
            case.run(house=later)
            assert case.prefixes(later) == {"root": "$6$", "admusr": "$6$", "oper1": "$1$"}
    assert case.refused() == [account]
    assert case.nothing_is_out()


# ---- what persons have done ----


def test_a_wrong_root_password_stops_before_anything_is_changed(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG", "Wr0ng-password")
    ssh = case.twin.site.ssh.model_dump(mode="json", exclude_none=True)
    case.twin.change(ssh={**ssh, "root_password": {"env": "WRONG"}})
    try:
        with case.again() as house:
            for _ in range(2):
                with pytest.raises(Held, match="refused the login of root"):
                    case.run(house=house)
    finally:
        case.twin.change(ssh=ssh)
    assert not kept.ask(case.root).there
    assert case.refused() == ["root"]  # not sent a second time
    assert case.events("rcs") == case.events("password_set") == []


def test_a_file_of_another_form_is_left_alone(case: Case) -> None:
    path = "/etc/libuser.conf"
    case.root.check(f"rcstool co {path} && sed -i s/md5/sha256/ {path} && rcstool ci {path}")
    with pytest.raises(Held, match="crypt_style is neither md5 nor sha512"):
        case.run()
    assert "crypt_style = sha256" in case.root.check(f"cat {path}")
    assert case.nothing_is_out() and case.events("password_set") == []
    case.root.check(f"rcstool co {path} && sed -i s/sha256/md5/ {path} && rcstool ci {path}")


def test_another_persons_check_out_is_left_alone(case: Case) -> None:
    path = "/etc/login.defs"
    case.root.check(f"rcstool co {path} && echo '# mine' >>{path}")
    with pytest.raises(Held, match="already checked out"):
        case.run()
    assert case.root.check(f"tail -n 1 {path}") == "# mine\n"
    case.root.check(f"rcstool ci {path}")
    case.run()
    text = case.root.check(f"cat {path}")
    assert "# mine" in text and "\nENCRYPT_METHOD SHA512" in text
    assert case.nothing_is_out()


def test_a_change_outside_of_rcs_is_not_lost(case: Case) -> None:
    path = "/etc/login.defs"
    case.root.check(f"echo '# not checked in' >>{path}")
    before = case.root.check(f"cat {path}")
    with pytest.raises(Held, match="differs from its last revision"):
        case.run()
    assert case.root.check(f"cat {path}") == before
    assert case.nothing_is_out()


def test_a_password_that_a_person_has_set_meanwhile_stays(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before passwd; then somebody sets root's password by hand."""
    case.run(range(1, 14))
    case.root.check("echo root:By-Hand-77 | chpasswd")
    mine = case.root.check("grep ^root: /etc/shadow")
    ref = case.house.site.ssh.root_password
    assert ref is not None
    with pytest.raises(Held, match="refused the login of root"):
        case.run()
    assert case.root.check("grep ^root: /etc/shadow") == mine
    LOGINS.pardon(case.house.site.server(case.server), "root", case.house.vault.get(ref))
    monkeypatch.setenv(ROOT, "By-Hand-77")  # the person tells us
    case.run(range(1, 5))
    assert logins.line_of(case.root, "root") is Line.KEPT  # what would be put back is theirs
    case.run(range(5, 16))
    assert case.prefixes()["root"] == "$6$" and case.nothing_is_out()
    assert case.refused() == ["root"]


def test_the_checker_knows_what_was_recorded(case: Case) -> None:
    """Nothing that this module made the twin record is unknown to the checker, and no rule is broken."""
    case.run()
    assert check_dir(case.twin.folder) == []
