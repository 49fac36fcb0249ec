"""Which accounts of this server have a weak password hash, and when do passwords expire? (4.6.5, asked by 4.5)

A hash never leaves the server: sed puts a word for its kind in the place of the field before anything is printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.ssh import Servers

# The fields from the third on are days; at least one colon more must follow. Each expression fits other lines, and
# what one has put in front (a word behind =) fits none of the others.
_FIELDS = (
    (r":", "=empty"),  # no password at all
    (r"[!*][^:]*:", "=locked"),
    (r"\(\$[0-9a-z]\{1,4\}\$\)[^:]*:", r"=\2"),  # $1$ and its kind
    (r"[./0-9A-Za-z]\{13\}:", "=des"),
)
_SCRIPT = " ".join(
    f"-e 's/^\\([^:]*\\):{field}\\(.*\\)$/\\1:{word}:\\{3 if '(' in field else 2}/p'"
    for field, word in _FIELDS
)
_REST = (
    r"-e '/^[^:]*:=/!s/^\([^:]*\):.*$/\1:=other:/p'"  # a field of no kind that we know is not shown either
)
COMMAND = f"date +%s && sudo sed -n {_SCRIPT} {_REST} /etc/shadow"

_WITHOUT = ("locked", "empty")  # nobody logs in to these by password
DAY = 86400
BEST = "$6$"  # SHA-512, the strongest that the platform knows (4.6.5.1)
OTHER = "other"

_LINE = re.compile(
    r"(?P<name>[^:\s]+):=(?:(?P<kind>empty|locked|des|\$[0-9a-z]{1,4}\$):(?P<rest>-?\d*(?::-?\d*){2,5}(?::[^:]*)?)|other:)"
)


@dataclass(frozen=True, slots=True)
class Account:
    """`kind`: prefix of the hash such as $6$, or des, locked, empty, other. Days are counted from today, None: never."""

    name: str
    kind: str
    password_days: int | None  # until the password must be changed; negative: it is too late already
    account_days: int | None  # until the account is disabled
    odd: str = ""  # what the days say and cannot mean

    @property
    def has_password(self) -> bool:
        return self.kind not in _WITHOUT

    @property
    def weak(self) -> bool:
        """Another hash than SHA-512: 4.6.5 is for these."""
        return self.has_password and self.kind != BEST

    @property
    def days(self) -> int | None:
        """Days until a login by password ends."""
        known = [days for days in (self.password_days, self.account_days) if days is not None]
        return min(known) if known else None


def parse(reply: str) -> tuple[Account, ...]:
    """All accounts, in the order of the file. Raises UnreadableReply when root is missing or a line is odd."""
    lines = [line.rstrip("\r") for line in reply.splitlines() if line.strip()]
    if not lines or re.fullmatch(r"\d{9,11}", lines[0].strip()) is None:
        raise UnreadableReply("accounts", "does not begin with the date", _kinds_only(reply))
    today = int(lines[0]) // DAY
    found: dict[str, Account] = {}
    for line in lines[1:]:
        match = _LINE.fullmatch(line)
        if match is None or match["name"] in found:
            raise UnreadableReply(
                "accounts", "not a line that sed was told to print, or twice", _kinds_only(line)
            )
        if match["kind"] is None:
            found[match["name"]] = Account(
                match["name"], OTHER, None, None, "a password field of no known kind"
            )
        else:
            found[match["name"]] = _account(match["name"], match["kind"], match["rest"].split(":"), today)
    if "root" not in found:
        raise UnreadableReply("accounts", "root is missing", ", ".join(found))
    return tuple(found.values())


def _account(name: str, kind: str, fields: list[str], today: int) -> Account:
    """`fields`: last change, minimum, maximum, warning, inactive, expire (as far as the line has them)."""
    changed, _, maximum, _, _, expire = [*fields, "", "", ""][:6]
    password_days = account_days = None
    odd = ""
    if changed == "0":
        password_days = 0  # must be changed at the next login
    elif maximum == "0" and changed:
        odd = "may be 0 days old"  # 4.6.5 step 2 shows such a line on a server that is in use
    elif changed and maximum and int(maximum) >= 0:
        password_days = int(changed) + int(maximum) - today
    if expire == "0":
        odd = odd or "expires on day 0"
    elif expire and int(expire) > 0:
        account_days = int(expire) - today
    return Account(name, kind, password_days, account_days, odd)


def _kinds_only(text: str) -> str:
    """Should a hash stand where none may be: no error shows it."""
    return re.sub(r"\$[^:\s]{6,}|[./0-9A-Za-z$]{13,}", "(hidden)", text)


def ask(servers: Servers, server: str) -> tuple[Account, ...]:
    """The accounts without their hashes; changes nothing."""
    return read(servers, server, COMMAND, parse)
