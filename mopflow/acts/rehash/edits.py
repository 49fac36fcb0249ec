"""What 4.6.5 changes in /etc/pam.d/system-auth, /etc/login.defs and /etc/libuser.conf (steps 6, 9 and 12). Pure.

An edit is a list of words that are replaced in lines given by their numbers, so that the same edit can be carried out by
sed on the server and compared, byte for byte, with what was computed here. A file that does not have exactly the line
that the document shows is refused: nobody guesses in the files that decide who may log in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mopflow.errors import UnreadableReply

HASHES = frozenset({"md5", "sha256", "sha512", "bigcrypt", "blowfish", "yescrypt", "gost_yescrypt"})

_PAM = re.compile(r"\s*-?password\s+(?:\[[^\]]*\]|\S+)\s+(?P<module>\S+)(?P<arguments>.*)", re.IGNORECASE)
_METHOD = re.compile(r"\s*ENCRYPT_METHOD\s+\"?(?P<value>[^\s\"]+)\"?\s*")
_ENABLED = re.compile(r"\s*MD5_CRYPT_ENAB\s+\"?yes\"?\s*", re.IGNORECASE)
_STYLE = re.compile(r"\s*crypt_style\s*=\s*(?P<value>\S+)\s*")
_KEYWORD = re.compile(
    r"\$(Author|Date|Header|Id|Locker|Log|Name|RCSfile|Revision|Source|State)(?::[^$\n]*)?\$"
)
_SAFE = re.compile(r"[A-Za-z0-9_# ]+")


@dataclass(frozen=True, slots=True)
class Change:
    """The first `old` in line `line` (counted from 1) becomes `new`."""

    line: int
    old: str
    new: str

    @property
    def sed(self) -> str:
        """The same as a command of sed."""
        return f"{self.line}s/{self.old}/{self.new}/"


@dataclass(frozen=True, slots=True)
class Edit:
    """A file as it is to be, and what has to be changed for it; nothing when it is so already."""

    text: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Edited:
    """One of the three files and the pure function that computes its edit."""

    path: str
    edit: Callable[[str], Edit]

    @property
    def name(self) -> str:
        """Such as login.defs: its name among what is kept."""
        return self.path.rpartition("/")[2]


def same_but_keywords(one: str, other: str) -> bool:
    """Equal, but for what RCS writes into its own keywords ($Id$ and the like) when a file is checked out or in."""
    return _KEYWORD.sub(r"$\1$", one) == _KEYWORD.sub(r"$\1$", other)


def system_auth(text: str) -> Edit:
    """Step 6: md5 -> sha512 in the password line of pam_unix. Raises UnreadableReply for any other form."""
    source = "/etc/pam.d/system-auth"
    found: list[tuple[int, str]] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        match = _PAM.match(line.partition("#")[0])
        if match is not None and match["module"].rpartition("/")[2] == "pam_unix.so":
            found.append((number, match["arguments"]))
    if len(found) != 1:
        raise UnreadableReply(source, f"{len(found)} password lines of pam_unix instead of one", "")
    ((number, arguments),) = found
    line = lines[number - 1]
    before = lines[number - 2] if number > 1 else ""
    if line.rstrip("\r").endswith("\\") or before.rstrip("\r").endswith("\\"):
        raise UnreadableReply(source, "the password line of pam_unix is continued on another one", line)
    words = [word for word in arguments.split() if word in HASHES]
    if words == ["sha512"]:
        return Edit(text, ())
    if words != ["md5"]:
        raise UnreadableReply(source, "the password line of pam_unix has neither md5 nor sha512 alone", line)
    return _edited(source, text, [(number, "md5", "sha512")])


def login_defs(text: str) -> Edit:
    """Step 9: ENCRYPT_METHOD MD5 -> SHA512; MD5_CRYPT_ENAB yes becomes a comment.

    Raises UnreadableReply for any other form.
    """
    source = "/etc/login.defs"
    changes: list[tuple[int, str, str]] = []
    methods: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        method = _METHOD.fullmatch(line)
        if method is not None:
            methods.append((number, method["value"]))
        elif _ENABLED.fullmatch(line):
            changes.append((number, "MD5_CRYPT_ENAB", "# MD5_CRYPT_ENAB"))
    if len(methods) != 1:
        raise UnreadableReply(source, f"{len(methods)} lines ENCRYPT_METHOD instead of one", "")
    if len(changes) > 1:
        raise UnreadableReply(source, f"{len(changes)} lines MD5_CRYPT_ENAB yes instead of one", "")
    ((number, value),) = methods
    if value == "MD5":
        changes.append((number, "MD5", "SHA512"))
    elif value != "SHA512":
        raise UnreadableReply(source, "ENCRYPT_METHOD is neither MD5 nor SHA512", value)
    return _edited(source, text, sorted(changes))


def libuser_conf(text: str) -> Edit:
    """Step 12: crypt_style = md5 -> sha512. Raises UnreadableReply for any other form."""
    source = "/etc/libuser.conf"
    found = [
        (number, match["value"])
        for number, line in enumerate(text.split("\n"), 1)
        if (match := _STYLE.fullmatch(line)) is not None
    ]
    if len(found) != 1:
        raise UnreadableReply(source, f"{len(found)} lines crypt_style instead of one", "")
    ((number, value),) = found
    if value == "sha512":
        return Edit(text, ())
    if value != "md5":
        raise UnreadableReply(source, "crypt_style is neither md5 nor sha512", value)
    return _edited(source, text, [(number, "md5", "sha512")])


def _edited(source: str, text: str, wanted: list[tuple[int, str, str]]) -> Edit:
    """Apply the changes; each word must be the only one of its kind in its line."""
    lines = text.split("\n")
    changes = []
    for number, old, new in wanted:
        line = lines[number - 1]
        if len(re.findall(rf"(?i){re.escape(old)}", line)) != 1:
            raise UnreadableReply(source, f"{old} stands more than once in the line to be changed", line)
        assert _SAFE.fullmatch(old) and _SAFE.fullmatch(new)  # no sign that sed would read differently
        lines[number - 1] = line.replace(old, new, 1)
        changes.append(Change(number, old, new))
    return Edit("\n".join(lines), tuple(changes))


SYSTEM_AUTH = Edited("/etc/pam.d/system-auth", system_auth)
LOGIN_DEFS = Edited("/etc/login.defs", login_defs)
LIBUSER_CONF = Edited("/etc/libuser.conf", libuser_conf)
FILES = (SYSTEM_AUTH, LOGIN_DEFS, LIBUSER_CONF)
