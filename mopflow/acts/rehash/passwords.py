"""Rows 4, 14 and 15 of 4.6.5: the passwords themselves. Nobody is locked out by them.

The password that an account is to have is proven by a new login while the old session is still open. If it does not
work, the old hash comes back through that session, and the old login is proven, before anybody is called.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import SecretStr

from mopflow.acts.rehash import checkouts, kept, logins
from mopflow.acts.rehash.logins import ACCOUNTS, Credential, Line
from mopflow.acts.rehash.root import Root
from mopflow.acts.rehash.rows import FINISHED, accounts, all_in, only_if_needed, repeatable, root_on
from mopflow.acts.rehash.stop import stop
from mopflow.errors import (
    ActRefused,
    CommandFailed,
    LoginRefused,
    LoginsSpent,
    MayHaveRun,
    MopflowError,
    NothingRun,
    UnreadableReply,
)
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.probes import shadow
from mopflow.probes.shadow import STRONG
from mopflow.secrets import SecretRef
from mopflow.step import Deed, Finding, Question, Refusal

LOGINS_NEEDED = 4  # of each account: the proof of the new one, that of the old one, and as many to spare


def credentials(here: Here) -> list[Credential]:
    """What root and admusr are to have on this server, in the order in which it is proven.

    Raises BadInput (SecretMissing) when a secret cannot be read.
    """
    site, vault = here.site, here.house.vault
    found = {a.name for a in accounts(shadow.ask(here.house.servers, here.server.name))}
    named: dict[str, tuple[SecretRef | None, SecretRef | None]] = {
        "admusr": (site.ssh.password if site.ssh.user == "admusr" else None, site.passwords.new_admusr),
        "root": (site.ssh.root_password, site.passwords.new_root),
    }
    wanted = []
    for account in (name for name in ACCOUNTS if name in found):
        old_ref, new_ref = named[account]
        old = vault.get(old_ref) if old_ref is not None else None
        new = vault.get(new_ref) if new_ref is not None else None
        password = new or old
        if password is not None:
            wanted.append(Credential(account, password, old, new is not None and new != old))
    return wanted


def _credential(here: Here, account: str) -> Credential | None:
    return next((c for c in credentials(here) if c.account == account), None)


def _is_there(here: Here, account: str) -> bool:
    return any(a.name == account for a in accounts(shadow.ask(here.house.servers, here.server.name)))


def account_there(account: str) -> Question:
    def question(here: Here) -> Finding:
        if _is_there(here, account):
            return Finding.yes(f"{account} is there")
        return Finding.no(f"{account} is not on this server, or no password is right for it: left alone")

    return question


# row 4: what we know is right


def _set_already(here: Here) -> list[str]:
    """The accounts whose password passwd has changed since the copies were made."""
    root, state = root_on(here), kept.ask(root_on(here))
    return [a for a in ACCOUNTS if state.touched(a) and logins.line_of(root, a) is not Line.KEPT]


def nothing_set(here: Here) -> Finding:
    done = _set_already(here)
    if done:
        return Finding.no(f"the password of {', '.join(done)} was set already: row 15 proves it")
    return Finding.yes("no password was set yet")


def old_known(here: Here) -> Finding:
    """The passwords that we are to set again are those that the server has: a login has shown it in this run."""
    here.memo["rule"] = "passwords"
    missing = [a for a in ACCOUNTS if _is_there(here, a) and _credential(here, a) is None]
    if missing:
        what = {"root": "ssh.root_password (or passwords.new_root)", "admusr": "the password of admusr"}
        return Finding.no(f"the site file does not name {', '.join(what[a] for a in missing)}")
    if "old" in here.memo:
        return Finding.yes(str(here.memo["old"]))
    mine = here.rows(leg=here.leg.name)
    if mine and mine[-1].entry.event is Event.ACTED:
        return Finding.yes("proven by the run that ended after it")  # it was killed before it could say so
    return Finding.no("not proven yet")


def old_named(here: Here) -> Iterable[Refusal]:
    yield from only_if_needed(here)
    missing = [a for a in ACCOUNTS if _is_there(here, a) and _credential(here, a) is None]
    if missing:
        yield Refusal("passwords", old_known(here).evidence)


def prove_old(here: Here) -> None:
    """Log in with each old password once; a refused one stops here, before anything is changed."""
    told = [
        logins.prove(here.house.servers, here.server.name, c.account, c.old)
        for c in credentials(here)
        if c.old is not None
    ]
    here.memo["old"] = "; ".join(told) or "new passwords are named for all"


def nothing_left(here: Here) -> Finding:
    """A login leaves nothing behind: it may be made again."""
    return Finding.no("a login leaves nothing behind")


# row 14


def is_set(account: str) -> Question:
    """passwd was run for the account since the copies were made, and its hash is SHA512."""

    def question(here: Here) -> Finding:
        here.memo["rule"] = "passwords"
        root = root_on(here)
        found = shadow.ask(here.house.servers, here.server.name).get(account)
        prefix = (found.prefix or found.field.value) if found is not None else "missing"
        line = logins.line_of(root, account)
        if not kept.ask(root).touched(account) or line is Line.KEPT:
            return Finding.no(f"the password of {account} is not set yet ({prefix})")
        if prefix != STRONG:
            return Finding.no(f"passwd has set the password of {account}, and its hash is {prefix}")
        return Finding.yes(f"{account} {prefix}")

    return question


def may_set(here: Here) -> Iterable[Refusal]:
    yield from all_in(here)
    for credential in credentials(here):
        left = here.house.servers.logins_left(here.server.name, credential.account)
        if left < LOGINS_NEEDED:
            yield Refusal(
                "login",
                f"only {left} more logins of {credential.account} are allowed this hour (ssh.logins_per_hour); "
                f"{LOGINS_NEEDED} are needed to prove a password and to go back",
                passing=True,
            )


def word_of(here: Here) -> dict[str, str]:
    """Written with the intention: whether it is the same password or a new one (`mopflow.credentials` reads it)."""
    found = _credential(here, here.leg.name)
    return {"password": found.word if found is not None else "same"}


def set_trace(account: str) -> Question:
    """After a lost answer: has passwd changed anything?"""

    def question(here: Here) -> Finding:
        if logins.line_of(root_on(here), account) is Line.KEPT:
            return repeatable(here)
        return Finding.unknown(f"the password of {account} was changed")

    return question


def set_password(account: str) -> Deed:
    def deed(here: Here) -> None:
        root, credential = root_on(here), _credential(here, account)
        if credential is None:
            raise ActRefused(f"no password is named for {account}")
        transcript, wrong = "", ""
        try:
            transcript = logins.set_password(root, credential)
        except (ActRefused, UnreadableReply, CommandFailed, MayHaveRun) as failed:
            wrong = str(failed)
        try:
            line = logins.line_of(root, account)
            found = shadow.ask(here.house.servers, here.server.name).get(account)
        except (NothingRun, UnreadableReply, CommandFailed) as blind:
            raise MayHaveRun(f"passwd {account} was run; what came of it cannot be seen: {blind}") from blind
        if line is Line.KEPT:
            kept.untouched(root, account)
            _prove_or_put_back(here, root)  # what was set before this one must work before anybody is called
            stop(
                here,
                "passwords",
                f"passwd {account} has changed nothing on {here.server.name}: "
                + (wrong or "although it said so"),
            )
        here.house.servers.pardon(here.server.name, account, credential.password)
        if found is None or found.prefix != STRONG:
            _prove_or_put_back(here, root)
            stop(
                here,
                "passwords",
                f"passwd has set {account} on {here.server.name}, but not with SHA512: {found}",
            )
        if transcript:
            here.keep(f"passwd-{account}.txt", transcript, "transcript")

    return deed


# row 15


def proven(here: Here) -> Finding:
    """Every password that was set has its hash in SHA512 and was proven by a login after it was set."""
    here.memo["rule"] = "passwords"
    root = root_on(here)
    state = kept.ask(root)
    wanted = [c for c in credentials(here) if state.touched(c.account)]
    missing = [a for a in ACCOUNTS if _is_there(here, a) and a not in {c.account for c in wanted}]
    if missing:
        return Finding.unknown(f"the password of {', '.join(missing)} is not set: row 14 comes first")
    found = shadow.ask(here.house.servers, here.server.name)
    weak = [a for a in ACCOUNTS if (seen := found.get(a)) is not None and seen.weak]
    if weak:
        return Finding.unknown(f"{', '.join(weak)} has no SHA512 hash: row 14 comes first")
    told = here.memo.get("proven") or _proof(here)
    if told is None:
        return Finding.no("no new login has been made with the passwords that were set")
    here.memo["data"] = {
        "password": "new" if any(c.new for c in wanted) else "same",
        "accounts": {c.account: c.word for c in wanted},
        "prefixes": {c.account: STRONG for c in wanted},
    }
    return Finding.yes(f"{told}; " + ", ".join(f"{c.account} {STRONG}" for c in wanted))


def _proof(here: Here) -> str | None:
    """A proof of an earlier run of this campaign, newer than the last passwd."""
    proofs = here.rows(Event.ACTED, *FINISHED, leg=here.leg.name)
    sets = here.rows(Event.INTENDED, step=f"{here.step.procedure}/14")
    if proofs and (not sets or sets[-1].id < proofs[-1].id):
        return f"proven before: {proofs[-1].entry.text}"
    return None


def prove_new(here: Here) -> None:
    here.memo["proven"] = _prove_or_put_back(here, root_on(here))


def _prove_or_put_back(here: Here, root: Root) -> str:
    """Log in anew with every password that was set; in words how. If one does not work, put all back and hold."""
    state = kept.ask(root)
    told = []
    for credential in credentials(here):
        if not state.touched(credential.account):
            continue
        if logins.line_of(root, credential.account) is Line.KEPT:
            continue
        try:
            told.append(
                logins.prove(here.house.servers, here.server.name, credential.account, credential.password)
            )
        except LoginsSpent:
            raise  # the server was not asked: nothing is known against the password
        except LoginRefused as refused:
            _put_back(here, root, str(refused))
    return "; ".join(told)


def _put_back(here: Here, root: Root, why: str) -> None:
    """Through the session that is still open: the old hashes, the old files, then a login of the old kind. Raises Held."""
    server = here.server.name
    here.record(Event.NOTE, f"{why}: the old hashes and files are put back")
    state, wanted = kept.ask(root), credentials(here)
    trouble: list[str] = []
    back: list[Credential] = []
    for credential in wanted:
        if not state.touched(credential.account):
            continue
        try:
            if logins.line_of(root, credential.account) in (Line.OTHER, Line.CHANGED):
                trouble.append(f"somebody has changed {credential.account} after us: its hash is left alone")
                continue
            logins.restore(root, credential.account)
            kept.untouched(root, credential.account)
            back.append(credential)
        except MopflowError as wrong:
            trouble.append(f"{credential.account}: {wrong}")
    try:
        trouble += checkouts.restore(root)
    except MopflowError as wrong:
        trouble.append(str(wrong))
    trouble += _old_logins(here, back)
    if back:
        here.record(
            Event.NOTE,
            "the old hashes are back",
            data={"put_back": [c.account for c in back], "trouble": trouble},
        )
    if trouble:
        stop(here, "lock-out", f"{why}; {'; '.join(trouble)}")
    kept.remove(root)
    names = ", ".join(c.account for c in back)
    stop(here, "passwords", f"{why}; the old hash of {names} is back on {server} and its login is proven")


def _old_logins(here: Here, back: list[Credential]) -> list[str]:
    """Prove what was put back; what does not work, in words."""
    trouble = []
    for credential in back:
        old: SecretStr | None = credential.old
        if old is None:
            continue  # nobody has named it: the line itself is as it was
        here.house.servers.pardon(here.server.name, credential.account, old)
        try:
            logins.prove(here.house.servers, here.server.name, credential.account, old)
        except MopflowError as wrong:
            trouble.append(f"the old login does not work either: {wrong}")
    return trouble


def all_gone(here: Here) -> Finding:
    if kept.ask(root_on(here)).there:
        return Finding.no("the copies are still there")
    return Finding.yes("the copies are removed")


def remove_copies(here: Here) -> None:
    """Only after the proof: this leg comes after it, and nothing of it is begun on a server that needs nothing."""
    kept.remove(root_on(here))
