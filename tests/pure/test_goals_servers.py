"""4.6.3.1, 4.6.4 and 4.6.5: no before, yes after, by what one server says. What cannot be read: test_unreadable."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Answering, ask, at, goal, ok
from small_system import TARGET, Place, make_place
from test_rehash import NEW, OLD

from mopflow.acts.rehash import kept as kept_of
from mopflow.acts.rehash.edits import FILES, Edited
from mopflow.backups import BackupKind
from mopflow.here import Here, Scope
from mopflow.house import House
from mopflow.ledger import Event, Ledger
from mopflow.secrets import SecretRef, Vault
from mopflow.site import BackupRepository, Medium
from mopflow.ssh import Reply
from mopflow.step import Answer, Finding

REPLIES = Path(__file__).parents[1] / "replies"
SERVER, ACTIVE_CMP = Scope(server="mpe-1a"), Scope(server="cmp-1a")
IMAGE = f"mpe-{TARGET}-x86_64.iso"
OLD_IMAGE = "mpe-12.0.0.0.0_45.1.0-x86_64.iso"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ledger") / "empty.db"
    Ledger.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Place:
    made = make_place(tmp_path / "place", template)
    made.servers = Answering(made)
    made.site = made.site.model_copy(update={"backup_repository": BackupRepository(folder=Path("kept"))})
    return made


def answers(place: Place) -> dict[str, Callable[[str], Reply] | Reply]:
    assert isinstance(place.servers, Answering)
    return place.servers.answers


def act(here: Here) -> None:
    assert here.leg.act is not None
    here.leg.act(here)


# ---- 4.6.3.1: images ----


@pytest.fixture
def lying(place: Place) -> dict[str, str]:
    """The upgrade folder of the server: name -> MD5. The media here are two small files."""
    media = []
    (place.folder / "media").mkdir()
    for medium in place.site.media:
        content = medium.file.encode()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        (place.folder / "media" / medium.file).write_bytes(content)
        media.append(Medium(file=medium.file, type=medium.type, md5=md5))
    listing = "".join(f"{medium.md5}  {medium.file}\n" for medium in media)
    (place.folder / "media" / "md5sum.out").write_text(listing)
    place.site = place.site.model_copy(update={"media": tuple(media), "media_dir": Path("media")})
    files: dict[str, str] = {}

    def find(_server: str) -> Reply:
        return ok(
            "1700000000\n" + "".join(f"f 900 {n} 1600000000.0 {name}\n" for n, name in enumerate(files))
        )

    def asked(_server: str) -> str:
        servers = place.servers
        assert isinstance(servers, Answering)
        return servers.asked[-1][1]

    def digest(server: str) -> Reply:
        path = asked(server).split()[-1]
        return ok(f"{files[path.rpartition('/')[2]]}  {path}\n")

    def remove(server: str) -> Reply:
        for path in shlex.split(asked(server))[2:]:
            del files[path.rpartition("/")[2]]
        return ok("")

    answers(place).update({"find /var/TKLC/upgrade": find, "md5sum": digest, "rm -f": remove})
    return files


def md5_of(place: Place) -> str:
    return next(medium.md5 for medium in place.site.media if medium.file == IMAGE)


def test_nothing_strange_lies_in_the_folder(place: Place, lying: dict[str, str]) -> None:
    lying["notes.txt"] = ""
    with place.house() as house:
        assert "a file notes.txt" in ask(house, "4.6.3.1/1", "server").evidence
        del lying["notes.txt"]
        assert ask(house, "4.6.3.1/1", "server").is_yes


def test_the_medium_here_is_the_right_one(place: Place, lying: dict[str, str]) -> None:
    image = place.folder / "media" / IMAGE
    with place.house() as house:
        assert ask(house, "4.6.3.1/1", "media").is_yes
        image.write_bytes(b"another image")
        assert f"{image} has MD5" in ask(house, "4.6.3.1/1", "media").evidence


def test_an_old_image_goes(place: Place, lying: dict[str, str]) -> None:
    lying[OLD_IMAGE] = "a" * 32
    with place.house() as house:
        here = at(house, "4.6.3.1/1", "old")
        assert goal(here) == Finding.no(f"mpe-1a: old: {OLD_IMAGE}")
        act(here)
        assert lying == {}
        assert goal(here).is_yes


def test_exactly_the_right_image_is_in_place(place: Place, lying: dict[str, str]) -> None:
    with place.house() as house:
        assert "no whole" in ask(house, "4.6.3.1/1", "image").evidence
        lying[IMAGE] = "b" * 32
        assert ask(house, "4.6.3.1/1", "image").answer is Answer.NO
        lying[IMAGE] = md5_of(place)
        assert ask(house, "4.6.3.1/1", "image").is_yes
        lying[OLD_IMAGE] = "a" * 32
        assert ask(house, "4.6.3.1/1", "image").answer is Answer.NO


# ---- 4.6.4: backups ----

KINDS = pytest.mark.parametrize("kind", BackupKind, ids=lambda kind: kind.value)
SIZES = {
    BackupKind.SERVER: 659_456,
    BackupKind.SYSTEM: 20_000,
}  # the first: of the image in tests/replies/backups
CONTENT = b"a backup"


class Backups:
    """One server and what lies in its backup folder."""

    def __init__(self, place: Place, kind: BackupKind) -> None:
        self.place, self.kind = place, kind
        self.scope = SERVER if kind is BackupKind.SERVER else ACTIVE_CMP
        self.host = str(self.scope.server)
        image = "mpe" if kind is BackupKind.SERVER else "cmp"
        self.name = f"{self.host}-{image}_{TARGET}-{kind.value}backup-201608162230{kind.ending}"
        self.changed: float | None = None
        volume = (REPLIES / "backups" / "od-whole.txt").read_text()
        answers(place).update(
            {
                "getPolicyRev": ok(f"{TARGET}\n"),
                "find /var/camiant/backup": self.listing,
                "dd if=": ok(volume),
                "gzip -t": ok(""),
                "rm -f": self.removed,
            }
        )

    def listing(self, _server: str) -> Reply:
        lines = ["1700001000\n"]
        if self.changed is not None:
            lines.append(f"{SIZES[self.kind]} {self.changed} {self.kind.folder}/{self.name}\n")
        return ok("".join(lines))

    def removed(self, _server: str) -> Reply:
        self.changed = None
        return ok("")

    def begun(self, house: House) -> None:
        """Row 1 has asked the menu for it."""
        here = at(house, "4.6.4/1", self.kind.value, self.scope)
        here.record(Event.INTENDED, "take it", token="t", data={"before": []})

    def verified(self, house: House) -> None:
        """Row 3 has brought it to the repository."""
        folder = self.place.folder / "kept" / self.host
        folder.mkdir(parents=True)
        (folder / self.name).write_bytes(CONTENT)
        copy = {
            "kind": self.kind.value,
            "server": self.host,
            "release": TARGET,
            "name": self.name,
            "size": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "place": str(folder / self.name),
            "taken": "2016-08-16T22:30:00+00:00",
        }
        here = at(house, "4.6.4/3", self.kind.value, self.scope)
        here.record(Event.NOTE, "verified", data={"copy": copy})

    def goal(self, house: House, row: int, leg: str | None = None) -> Finding:
        return ask(house, f"4.6.4/{row}", self.kind.value if leg is None else leg, self.scope)


@pytest.fixture
def small_backups(place: Place) -> None:
    limits = place.site.backups.model_copy(update={"server_bytes": 1000, "system_bytes": 1000})
    place.site = place.site.model_copy(update={"backups": limits})


@KINDS
@pytest.mark.usefixtures("small_backups")
def test_a_backup_is_taken(place: Place, kind: BackupKind) -> None:
    backups = Backups(place, kind)
    with place.house() as house:
        assert backups.goal(house, 1).answer is Answer.NO
        backups.changed = 1700000900.0  # there already, and nobody of this campaign has asked for it
        assert backups.goal(house, 1).answer is Answer.NO
        backups.begun(house)
        assert backups.name in backups.goal(house, 1).evidence
        assert backups.goal(house, 1).is_yes
        backups.changed = 1700000999.0
        assert backups.goal(house, 1).answer is Answer.UNKNOWN  # it is still being written


@KINDS
@pytest.mark.usefixtures("small_backups")
def test_a_backup_is_whole(place: Place, kind: BackupKind) -> None:
    backups = Backups(place, kind)
    with place.house() as house:
        assert backups.goal(house, 2).answer is Answer.NO
        backups.begun(house)
        backups.changed = 1700000900.0
        assert backups.goal(house, 2).is_yes
        answers(place)["dd if="] = ok("")
        answers(place)["gzip -t"] = Reply(1, "", "gzip: x: unexpected end of file\n")
        wanted = Answer.UNKNOWN if kind is BackupKind.SERVER else Answer.NO
        assert backups.goal(house, 2).answer is wanted


@KINDS
def test_a_verified_copy_is_kept_and_the_servers_file_goes(place: Place, kind: BackupKind) -> None:
    backups = Backups(place, kind)
    with place.house() as house:
        assert "is verified at the repository" in backups.goal(house, 3).evidence
        backups.changed = 1700000900.0
        backups.verified(house)
        here = at(house, "4.6.4/3", kind.value, backups.scope)
        assert f"still on {backups.host}" in goal(here).evidence
        act(here)
        assert backups.changed is None
        assert goal(here).is_yes


def test_where_the_backups_are_is_written_down(place: Place) -> None:
    """An active CMP server has two of them."""
    server, system = Backups(place, BackupKind.SERVER), Backups(place, BackupKind.SYSTEM)
    with place.house() as house:
        assert "no verified server backup" in server.goal(house, 4, "").evidence
        server.verified(house)
        assert server.goal(house, 4, "").is_yes
        system.verified(house)
        assert system.goal(house, 4, "") == Finding.no(
            "no verified server backup of cmp-1a at the repository"
        )


# ---- 4.6.5: hashes ----


class Accounts(Answering):
    """A server whose shadow file, three files and kept copies are what the test says."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.kept: set[str] | None = None
        self.weak = {server.name for server in place.site.servers}
        self.passwords = {"root": "$1$", "admusr": "$1$"}
        self.set: set[str] = set()  # accounts whose line is as our passwd left it
        self.texts = {file.path: f"{OLD[file]}\n" for file in FILES}
        self.proven: list[str] = []
        self.answers = {
            "echo kept:": lambda _: ok("" if self.kept is None else "\n".join(["kept:", *sorted(self.kept)])),
            "id -u": ok("0\n"),
            "mkdir -m 700": self.keep,
            "rm -rf": self._remove,
            "cmp -s": ok(""),
            "echo missing": self._line,
            "sed -n -e": self._shadow,
            "readlink -f": lambda _: ok(self._path() + "\n"),
            "sha256sum": lambda _: ok(
                hashlib.sha256(self.texts[self._path()].encode()).hexdigest() + "  x\n"
            ),
            "cat /etc": lambda _: ok(self.texts[self._path()]),
        }

    def _script(self) -> str:
        return self.asked[-1][1]

    def _path(self) -> str:
        return next(path for path in self.texts if path in self._script())

    def keep(self, _server: str) -> Reply:
        self.kept = {"system-auth", "login.defs", "libuser.conf", "shadow"}
        return ok("")

    def _remove(self, _server: str) -> Reply:
        self.kept = None
        return ok("")

    def _line(self, _server: str) -> Reply:
        account = next(name for name in self.passwords if f"{name}:" in self._script())
        return ok("set\n" if account in self.set else "kept\n")

    def _shadow(self, server: str) -> Reply:
        strong = server not in self.weak
        return ok("".join(f"{name} {'$6$' if strong else kind}\n" for name, kind in self.passwords.items()))

    # the logins

    def prove(self, server: str, account: str, password: Any) -> None:
        self.proven.append(account)

    def will_try(self, server: str, account: str, password: Any) -> None:
        pass

    def converse(self, server: str, command: str, answers: Any, *, timeout: float) -> Reply:
        self.proven.append("root")
        return ok("Password: \r\n0\r\n")


@pytest.fixture
def accounts(place: Place, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    monkeypatch.setenv("OF_ADMUSR", "one")
    monkeypatch.setenv("OF_ROOT", "other")
    secrets = {"password": SecretRef(env="OF_ADMUSR"), "root_password": SecretRef(env="OF_ROOT")}
    place.site = place.site.model_copy(update={"ssh": place.site.ssh.model_copy(update=secrets)})
    servers = Accounts(place)
    place.servers = servers
    return servers


@pytest.fixture
def house(place: Place, accounts: Accounts) -> Iterator[House]:
    with place.house() as it:
        yield dataclasses.replace(it, vault=Vault())


def test_the_right_server_answers_as_root(house: House, accounts: Accounts) -> None:
    assert "root by sudo" in ask(house, "4.6.5/1").evidence
    assert ask(house, "4.6.5/4", "root").is_yes
    accounts.answers["hostname"] = ok("mpe-9z\n")
    assert ask(house, "4.6.5/1") == Finding.no("the address of mpe-1a answers as mpe-9z")


def test_which_hashes_there_are(house: House, accounts: Accounts) -> None:
    assert ask(house, "4.6.5/2") == Finding.yes("root $1$, admusr $1$")
    accounts.passwords["root"] = "empty"
    assert ask(house, "4.6.5/2").answer is Answer.NO


def test_the_servers_that_come_first_are_done(house: House, accounts: Accounts) -> None:
    assert "come first and still need it" in ask(house, "4.6.5/3").evidence
    accounts.weak = {"mpe-1a"}
    assert ask(house, "4.6.5/3") == Finding.yes("group 4 of 4, all before it are done")


def test_the_old_passwords_are_proven(house: House, accounts: Accounts) -> None:
    here = at(house, "4.6.5/4", "known")
    assert goal(here) == Finding.no("not proven yet")
    act(here)
    assert goal(here).is_yes
    assert accounts.proven == ["admusr", "root"]


def test_copies_are_kept(house: House, accounts: Accounts) -> None:
    here = at(house, "4.6.5/4", "copies")
    assert goal(here) == Finding.no("nothing is kept yet")
    act(here)
    assert goal(here) == Finding.yes(f"kept in {kept_of.FOLDER}")


@pytest.mark.parametrize(
    ("file", "first"), list(zip(FILES, (5, 8, 11), strict=True)), ids=lambda x: getattr(x, "name", "")
)
def test_each_file_is_out_then_edited_then_in(
    house: House, accounts: Accounts, file: Edited, first: int
) -> None:
    out, edited, back = (f"4.6.5/{first + n}" for n in range(3))
    accounts.keep("")
    assert accounts.kept is not None
    assert ask(house, out).answer is Answer.NO
    accounts.kept.add(f"{file.name}.co")
    assert ask(house, out).is_yes
    assert ask(house, edited).answer is Answer.NO
    accounts.texts[file.path] = f"{NEW[file]}\n"
    assert ask(house, edited).is_yes
    assert ask(house, back).answer is Answer.NO
    accounts.kept.add(f"{file.name}.ci")
    assert ask(house, back).is_yes


@pytest.mark.parametrize("account", ["root", "admusr"])
def test_a_password_is_set_when_its_line_is_ours_and_strong(
    house: House, accounts: Accounts, account: str
) -> None:
    accounts.keep("")
    assert accounts.kept is not None
    assert ask(house, "4.6.5/14", account).answer is Answer.NO
    accounts.kept.add(f"passwd.{account}")
    accounts.set.add(account)
    assert ask(house, "4.6.5/14", account) == Finding.no(
        f"passwd has set the password of {account}, and its hash is $1$"
    )
    accounts.weak.clear()
    assert ask(house, "4.6.5/14", account) == Finding.yes(f"{account} $6$")


def test_new_logins_prove_it_and_the_copies_go(house: House, accounts: Accounts) -> None:
    accounts.keep("")
    assert accounts.kept is not None
    accounts.kept |= {"passwd.root", "passwd.admusr"}
    accounts.set |= {"root", "admusr"}
    accounts.weak.clear()
    here = at(house, "4.6.5/15", "login")
    assert goal(here).answer is Answer.NO
    act(here)
    assert goal(here).is_yes
    assert accounts.proven == ["admusr", "root"]
    here = at(house, "4.6.5/15", "tidy")
    assert goal(here).answer is Answer.NO
    act(here)
    assert goal(here).is_yes
