"""The accounts of one server, as its files keep them: /etc/passwd and /etc/shadow decide who may log in.

A server with weak hashes is set up as the platform was before Policy 12.0 (4.6.5.1): MD5 for root, admusr and one
further account, and MD5 demanded by system-auth, login.defs and libuser.conf. Every other server has SHA512 throughout.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from lab.files import FileTree
from lab.unix_crypt import ALGORITHMS, crypt, fits

PASSWD, SHADOW = "/etc/passwd", "/etc/shadow"
SYSTEM_AUTH, LOGIN_DEFS, LIBUSER_CONF = "/etc/pam.d/system-auth", "/etc/login.defs", "/etc/libuser.conf"
OTHER = "oper1"  # a further account, whose password nobody here knows

_EPOCH = date(1970, 1, 1)
_LAST_CHANGE = 16825  # days: as in the example of 4.6.5 step 2
_SALT = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_PASSWD = """\
root:x:0:0:root:/root:/bin/bash
bin:x:1:1:bin:/bin:/sbin/nologin
daemon:x:2:2:daemon:/sbin:/sbin/nologin
sshd:x:74:74:Privilege-separated SSH:/var/empty/sshd:/sbin/nologin
admusr:x:500:500:Administrative User:/home/admusr:/bin/bash
oper1:x:501:501::/home/oper1:/bin/bash
"""

_SYSTEM_AUTH = """\
#%PAM-1.0
# This file is auto-generated.
# User changes will be destroyed the next time authconfig is run.
auth        required      pam_env.so
auth        sufficient    pam_unix.so nullok try_first_pass
auth        requisite     pam_succeed_if.so uid >= 500 quiet
auth        required      pam_deny.so

account     required      pam_unix.so
account     sufficient    pam_localuser.so
account     sufficient    pam_succeed_if.so uid < 500 quiet
account     required      pam_permit.so

password    requisite     pam_cracklib.so try_first_pass retry=3 type= enforce_for_root minclass=3
password    sufficient    pam_unix.so {style} shadow nullok try_first_pass use_authtok
password    required      pam_deny.so

session     optional      pam_keyinit.so revoke
session     required      pam_limits.so
session     [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid
session     required      pam_unix.so
"""

_LOGIN_DEFS = """\
# *REQUIRED*
#   Directory where mailboxes reside, _or_ name of file, relative to the
#   home directory.  If you _do_ define both, MAIL_DIR takes precedence.
#   QMAIL_DIR is for Qmail
#
#QMAIL_DIR	Maildir
MAIL_DIR	/var/spool/mail

# Password aging controls:
PASS_MAX_DAYS	99999
PASS_MIN_DAYS	0
PASS_MIN_LEN	5
PASS_WARN_AGE	7

#
# Min/max values for automatic uid selection in useradd
#
UID_MIN			  500
UID_MAX			60000

CREATE_HOME	yes

# The permission mask is initialized to this value. If not specified,
# the permission mask will be initialized to 022.
UMASK           077

USERGROUPS_ENAB yes

# Use {style} to encrypt password.
{enabled}ENCRYPT_METHOD {style}

"""

_LIBUSER_CONF = """\
[import]
# Data from these files is used when libuser.conf does not define a value.
# The mapping is documented in the man page.
login_defs = /etc/login.defs
default_useradd = /etc/default/useradd

[defaults]
# The default (/usr/lib*/libuser) is usually correct
# moduledir = /your/custom/directory
skeleton = /etc/skel
mailspooldir = /var/mail

crypt_style = {style}
modules = files shadow
create_modules = files shadow

[userdefaults]
LU_USERNAME = %n
LU_GIDNUMBER = %u

[groupdefaults]
LU_GROUPNAME = %n
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of /etc/shadow. Days are counted from 1970; "" is an empty field."""

    name: str
    hash: str
    changed: str
    rest: tuple[str, ...]  # min, max, warn, inactive, expire, reserved

    @classmethod
    def read(cls, line: str) -> Entry:
        name, kept, changed, *rest = [*line.split(":"), "", ""]
        return cls(name, kept, changed, tuple(rest[:6]))

    def __str__(self) -> str:
        return ":".join((self.name, self.hash, self.changed, *self.rest))


class UnixAccounts:
    """Reads the files at every question, so whoever changes them changes who may log in."""

    def __init__(
        self, tree: FileTree, dice: random.Random, passwords: Mapping[str, str], *, weak: bool
    ) -> None:
        self._tree = tree
        self._dice = dice
        self.refused: dict[str, str] = {}  # account -> a hash with which PAM lets nobody in (a fault)
        self._set_up(passwords, "1" if weak else "6")

    def _set_up(self, passwords: Mapping[str, str], scheme: str) -> None:
        known = {**passwords, OTHER: f"{self._dice.getrandbits(128):x}"}
        lines = []
        for line in _PASSWD.splitlines():
            name = line.split(":")[0]
            kept = self._hash(known[name], scheme) if name in known else "*"
            lines.append(str(Entry(name, kept, str(_LAST_CHANGE), ("0", "99999", "7", "", "", ""))))
        style = "md5" if scheme == "1" else "sha512"
        enabled = "MD5_CRYPT_ENAB yes\n" if scheme == "1" else "# MD5_CRYPT_ENAB yes\n"
        self._tree.mkdir("/etc/pam.d")
        self._write(PASSWD, _PASSWD)
        self._write(SHADOW, "\n".join(lines) + "\n", mode=0)
        self._write(f"{SYSTEM_AUTH}-ac", _SYSTEM_AUTH.format(style=style))
        self._tree.symlink(SYSTEM_AUTH, "system-auth-ac")
        self._write(LOGIN_DEFS, _LOGIN_DEFS.format(style=style.upper(), enabled=enabled))
        self._write(LIBUSER_CONF, _LIBUSER_CONF.format(style=style))

    def _write(self, path: str, text: str, mode: int = 0o644) -> None:
        self._tree.write(path, text.encode(), mode=mode, quiet=True)

    def _hash(self, password: str, scheme: str) -> str:
        salt = "".join(self._dice.choice(_SALT) for _ in range(8))
        return crypt(password, f"${scheme}${salt}")

    def _text(self, path: str) -> str:
        return self._tree.read(path).decode() if path in self._tree else ""

    # ---- looking ----

    def entries(self) -> list[Entry]:
        return [Entry.read(line) for line in self._text(SHADOW).splitlines() if line]

    def get(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries() if entry.name == name), None)

    def is_right(self, name: str, password: str) -> bool:
        """Would a login with this password succeed?"""
        entry = self.get(name)
        known = any(line.split(":")[0] == name for line in self._text(PASSWD).splitlines())
        if entry is None or not known or self.refused.get(name) == entry.hash:
            return False
        return fits(password, entry.hash)

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def scheme(self) -> str:
        """Which hash passwd makes: the one that pam_unix in system-auth is told, MD5 where it is told none we know."""
        for line in self._text(SYSTEM_AUTH).splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["password"] and "pam_unix.so" in words:
                return "6" if "sha512" in words else "1"
        return "1"

    def why_bad(self, password: str) -> str | None:
        """What pam_cracklib has against a password; None = nothing."""
        line = next((n for n in self._text(SYSTEM_AUTH).splitlines() if "pam_cracklib.so" in n), "")
        wanted = re.search(r"\bminclass=(\d+)", line)
        kinds = (str.islower, str.isupper, str.isdigit, lambda sign: not sign.isalnum())
        if len(password) < 6:
            return "it is too short"
        if wanted is not None and sum(any(map(kind, password)) for kind in kinds) < int(wanted[1]):
            return "not enough character classes"
        return None

    @property
    def binds_root(self) -> bool:
        """Does the rule for good passwords hold for root too?"""
        return "enforce_for_root" in self._text(SYSTEM_AUTH)

    # ---- changing ----

    def add(self, name: str, password: str) -> None:
        """The account that a release brings with it, with the hash of that release; one that is there stays."""
        if self.has(name):
            return
        line = next(line for line in _PASSWD.splitlines() if line.split(":")[0] == name)
        entry = Entry(name, self._hash(password, "6"), str(_LAST_CHANGE), ("0", "99999", "7", "", "", ""))
        self._write(PASSWD, f"{self._text(PASSWD)}{line}\n")
        self._write(SHADOW, f"{self._text(SHADOW)}{entry}\n", mode=self._tree.stat(SHADOW).mode)

    def remove(self, name: str) -> None:
        """Where the release has no such account."""
        for path in (PASSWD, SHADOW):
            kept = [line for line in self._text(path).splitlines() if line.split(":")[0] != name]
            self._write(path, "".join(f"{line}\n" for line in kept), mode=self._tree.stat(path).mode)

    def put(self, entry: Entry) -> None:
        """Replace the line of an account; all others stay as they are."""
        lines = [
            str(entry) if line.split(":")[0] == entry.name else line
            for line in self._text(SHADOW).splitlines()
        ]
        mode = self._tree.stat(SHADOW).mode
        self._tree.write(SHADOW, ("\n".join(lines) + "\n").encode(), mode=mode)

    def set(self, name: str, password: str, today: date) -> str:
        """Give an account a password; the name of the algorithm. Raises KeyError when there is no such account."""
        return self.set_hash(name, self._hash(password, self.scheme()), today)

    def set_hash(self, name: str, kept: str, today: date) -> str:
        """Put a ready hash into the file; the name of its algorithm, or what stands there."""
        entry = self.get(name)
        if entry is None:
            raise KeyError(name)
        self.put(replace(entry, hash=kept, changed=str((today - _EPOCH).days)))
        scheme = kept.split("$")[1] if kept.startswith("$") else ""
        return ALGORITHMS.get(scheme, scheme or "none")


def day(number: str) -> date | None:
    """The day of a field of the shadow file; None where it is empty or negative."""
    return date.fromordinal(_EPOCH.toordinal() + int(number)) if number.isdigit() else None
