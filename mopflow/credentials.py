"""Which password does an account of a server have now, when the site names a new one (4.6.5)?

The site file names the old password under `ssh` and may name a new one under `passwords`. Which of them a server has,
server by server, is in the ledger: the intention of 4.6.5/14 says that the new one may have been set, the proof of
4.6.5/15 that it was. A run that was killed in between leaves both possible: then the new one is tried first, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from mopflow.ledger import Event, Ledger, Row
from mopflow.secrets import SecretRef
from mopflow.site import Site

PROCEDURE, SET, PROOF = "4.6.5", 14, 15
_EVENTS = (Event.INTENDED, Event.REFUSED, Event.VERIFIED, Event.FOUND_DONE, Event.NOTE)


class Has(StrEnum):
    OLD = "old"
    MAY_BE_NEW = "may be new"
    NEW = "new"


def has(rows: Iterable[Row], user: str) -> Has:
    """What the ledger's rows of 4.6.5 on one server, oldest first, say of the password of `user`."""
    found = Has.OLD
    before = Has.OLD
    for row in rows:
        entry = row.entry
        if user in entry.data.get("put_back", ()):
            found = Has.OLD
        elif entry.step == SET and entry.leg == user and entry.event is Event.INTENDED:
            if entry.data.get("password") == "new" and found is not Has.NEW:
                before, found = found, Has.MAY_BE_NEW
        elif entry.step == SET and entry.leg == user and entry.event is Event.REFUSED:
            found = before if found is Has.MAY_BE_NEW else found
        elif entry.step == PROOF and entry.event in (Event.VERIFIED, Event.FOUND_DONE):
            found = Has.NEW if entry.data.get("accounts", {}).get(user) == "new" else found
    return found


def secrets_of(site: Site, ledger: Ledger) -> Callable[[str, str], tuple[SecretRef, ...]]:
    """For `Servers(secrets_of=...)`: the passwords that an account may have, likeliest first."""

    def passwords(server: str, user: str) -> tuple[SecretRef, ...]:
        old = site.ssh.root_password if user == "root" else site.ssh.password
        new = {"root": site.passwords.new_root, "admusr": site.passwords.new_admusr}.get(user)
        if new is None or new == old:
            return () if old is None else (old,)
        rows = ledger.rows(site=site.name, procedure=PROCEDURE, cluster=server, events=_EVENTS)
        match has((row for row in rows if row.entry.step in (SET, PROOF)), user):
            case Has.NEW | Has.MAY_BE_NEW:  # a server may have been brought back from an old backup
                return (new,) if old is None else (new, old)
            case Has.OLD:
                return () if old is None else (old,)

    return passwords
