"""With which hash are the passwords of this server kept, and whose are weak? (4.6.5 step 2)

The hash itself is cut off on the server: only its prefix, such as `$6$`, ever comes over the wire.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.ssh import Servers

STRONG = "$6$"  # SHA512, the strongest hash of the platform

# Each expression works only on a line that none before it has changed: what they print has no colon.
_SED = " ".join(
    f"-e '{expression}'"
    for expression in (
        r"s/^\([^:]*\):\(\$[0-9a-z]*\$\)[^:]*:.*/\1 \2/p",
        r"s/^\([^:]*\)::.*/\1 empty/p",
        r"s/^\([^:]*\):[!*].*/\1 locked/p",
        r"s/^\([^:]*\):.*/\1 other/p",
    )
)
COMMAND = f"sed -n {_SED} /etc/shadow"

_LINE = re.compile(r"(?P<name>[^\s:$]+) (?P<what>\$[0-9a-z]*\$|empty|locked|other)")


class Field(StrEnum):
    """What stands in the password field."""

    HASH = "hash"  # with a prefix
    OTHER = "other"  # without one, as the hashes of DES: weaker still
    EMPTY = "empty"  # no password is needed
    LOCKED = "locked"  # no password is right


@dataclass(frozen=True, slots=True)
class Account:
    """A line of /etc/shadow without its hash."""

    name: str
    field: Field
    prefix: str = ""

    @property
    def weak(self) -> bool:
        """Kept with anything but SHA512."""
        return self.field is Field.OTHER or (self.field is Field.HASH and self.prefix != STRONG)

    def __str__(self) -> str:
        return f"{self.name} {self.prefix or self.field.value}"


@dataclass(frozen=True, slots=True)
class Shadow:
    accounts: tuple[Account, ...]

    def get(self, name: str) -> Account | None:
        return next((account for account in self.accounts if account.name == name), None)

    @property
    def weak_others(self) -> tuple[Account, ...]:
        """Accounts beside root and admusr whose password will expire in the upgrade (4.6.5.2)."""
        return tuple(a for a in self.accounts if a.weak and a.name not in ("root", "admusr"))


def parse(reply: str) -> Shadow:
    """The accounts in the order of the file.

    Raises UnreadableReply on a line of another form, on a name that stands twice, and when root is missing. What was
    read is not shown then: it might hold a hash.
    """
    found: dict[str, Account] = {}
    for line in reply.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise UnreadableReply("/etc/shadow", "a line whose hash could not be cut off", "")
        name, what = match["name"], match["what"]
        if name in found:
            raise UnreadableReply("/etc/shadow", f"two lines of {name}", "")
        found[name] = Account(name, Field.HASH, what) if what.startswith("$") else Account(name, Field(what))
    if "root" not in found:
        raise UnreadableReply("/etc/shadow", "no line of root", "")
    return Shadow(tuple(found.values()))


def ask(servers: Servers, server: str) -> Shadow:
    """Read the kinds of all hashes, as root or with sudo; changes nothing."""
    sudo = "" if servers.login_user(server) == "root" else "sudo -n "
    return read(servers, server, sudo + COMMAND, parse)
