"""Set a password, prove it by a login of its own, put the old one back (4.6.5 steps 14 and 15)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from mopflow.acts.rehash.kept import FOLDER, SHADOW
from mopflow.acts.rehash.root import Root
from mopflow.errors import ActRefused, LoginRefused, MayHaveRun, Unreachable, UnreadableReply
from mopflow.ssh import Servers

ASKING = 60  # seconds for one conversation
ACCOUNTS = ("admusr", "root")  # in the order in which they are proven: the login first

_NEW = re.compile(r"(?i)(?:^|\n)\s*(?:enter )?new (?:unix )?password:\s*$")
_AGAIN = re.compile(r"(?i)re-?(?:type|enter) (?:the )?new (?:unix )?password:\s*$")
_UPDATED = "updated successfully"
_PASSWORD = re.compile(r"(?i)password:\s*$")


@dataclass(frozen=True, slots=True)
class Credential:
    """The password that an account is to have. `old`: the one that it has; None when nobody named it."""

    account: str
    password: SecretStr
    old: SecretStr | None
    new: bool  # the site names a new one; else the same is set again

    @property
    def word(self) -> str:
        return "new" if self.new else "same"


class Line(StrEnum):
    """An account's line in /etc/shadow, compared with what was kept. Nothing of the line leaves the server."""

    KEPT = "kept"  # as it was before us
    SET = "set"  # as our passwd has left it
    CHANGED = "changed"  # another than before us, and our passwd did not come to note its own
    OTHER = "other"  # somebody has changed it after our passwd


def line_of(root: Root, account: str) -> Line:
    """How the line of the account stands. Raises UnreadableReply when there is none."""
    shown = f"$(sed -n '/^{account}:/p' {SHADOW})"
    before = f"$(sed -n '/^{account}:/p' {FOLDER}/shadow)"
    mark = f"{FOLDER}/set.{account}"
    reply = root.check(
        f'n="{shown}"; test -n "$n" || {{ echo missing; exit 0; }}; '
        f'test "$n" != "{before}" || {{ echo kept; exit 0; }}; '
        f"test -s {mark} || {{ echo changed; exit 0; }}; "
        f'test "$n" = "$(cat {mark})" && echo set || echo other'
    ).strip()
    try:
        return Line(reply)
    except ValueError:
        raise UnreadableReply(SHADOW, f"the line of {account}", reply) from None


def set_password(root: Root, credential: Credential) -> str:
    """`passwd ACCOUNT` on a terminal; the transcript. Never sent again on doubt: look at `line_of` afterwards.

    Raises ActRefused when passwd ended badly, UnreadableReply when it did not say that the password was set, and
    MayHaveRun when it asked a second time (the password was not good enough) or its end was not seen. When our
    connection breaks, passwd finds its terminal gone; the line that it has left is noted all the same.
    """
    name = credential.account
    reply = root.converse(
        f"trap '' HUP; : >{FOLDER}/passwd.{name}; passwd {name}; s=$?; "
        f"sed -n '/^{name}:/p' {SHADOW} >{FOLDER}/set.{name}; exit $s",
        [(_NEW, credential.password), (_AGAIN, credential.password)],
        timeout=ASKING,
    )
    if reply.status != 0:
        raise ActRefused(f"{root.server}: passwd {name}: {_last_lines(reply.stdout)}")
    if _UPDATED not in reply.stdout:
        raise UnreadableReply(root.server, f"passwd {name} did not say that it was done", reply.stdout)
    return reply.stdout


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-3:]) or "it ended without a word"


def prove(servers: Servers, server: str, account: str, password: SecretStr) -> str:
    """A new login with this password; in words how. One try, from the budget of logins.

    Root is proven by `su` where SSH refuses root. Raises LoginRefused when the server refuses it, LoginsSpent when our
    own limit does, Unreachable when there was no answer.
    """
    if account != "root" or servers.login_user(server) == "root":
        servers.prove(server, account, password)
        return f"{account} logs in over a new connection"
    servers.will_try(server, "root", password)
    try:
        reply = servers.converse(
            server, "LC_ALL=C su - root -c 'id -u'", [(_PASSWORD, password)], timeout=ASKING
        )
    except MayHaveRun as lost:
        raise Unreachable(server, f"su gave no answer ({lost})") from None
    lines = reply.stdout.split()
    if reply.status != 0 or lines[-1:] != ["0"]:
        servers.was_refused(server, "root", password)
        raise LoginRefused(server, "root", f"su: {_last_lines(reply.stdout)}")
    if "assword" not in reply.stdout:
        raise UnreadableReply(server, "su did not ask for a password, so it proves none", reply.stdout)
    return "su - root with its password becomes root"


def restore(root: Root, account: str) -> None:
    """Give the account the hash that was kept, and the day of its last change; nothing else in the file changes.

    The tools of the system do it, with their own lock. Raises CommandFailed or ActRefused when the line is not as it
    was afterwards.
    """
    entry = f"sed -n 's/^\\({account}:[^:]*\\):.*/\\1/p' {FOLDER}/shadow"
    day = f"sed -n 's/^{account}:[^:]*:\\([0-9]*\\):.*/\\1/p' {FOLDER}/shadow"
    root.check(f'{entry} | chpasswd -e && d="$({day})" && {{ test -z "$d" || chage -d "$d" {account}; }}')
    if line_of(root, account) is not Line.KEPT:
        raise ActRefused(f"{root.server}: the line of {account} in {SHADOW} is not what was kept")
