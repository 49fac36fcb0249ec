"""The directory of our own under /root: what was there before any change, and how far the change has got.

It holds copies of the three files and of /etc/shadow (mode 0600, the directory 0700), and a trace of each thing that
was begun. It gets its name only when all copies are whole, and it goes only when the new logins are proven or the old
state is back. So the server itself says what a killed run has left, whatever became of its ledger.

    login.defs, ...         the copy
    login.defs.co           rcstool co has answered with 0 and this text; .co.part: no answer, or a bad one
    login.defs.ci, .unco    the same of the end of the check-out
    passwd.root             passwd was begun for root
    set.root                the line of root in the shadow file as passwd left it
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from mopflow.acts.rehash.edits import FILES, Edited
from mopflow.acts.rehash.root import Root
from mopflow.errors import UnreadableReply

FOLDER = "/root/.mopflow-rehash"
SHADOW = "/etc/shadow"
_COPIES = (*((file.path, file.name) for file in FILES), (SHADOW, "shadow"))


class Checkout(StrEnum):
    """How far the check-out of a file has got."""

    NONE = "none"
    OUT = "out"  # ours, and not ended
    UNCLEAR = "unclear"  # rcstool co was begun, and what it answered is not known
    DONE = "done"  # ended by ci or unco


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies in the directory; `names` is None when there is no such directory."""

    names: frozenset[str] | None

    @property
    def there(self) -> bool:
        return self.names is not None

    @property
    def begun(self) -> bool:
        """Has anything been changed, or may it have been?"""
        return any(name not in {copy for _, copy in _COPIES} for name in self.names or ())

    def checkout(self, file: Edited) -> Checkout:
        names = self.names or frozenset()
        if f"{file.name}.ci" in names or f"{file.name}.unco" in names:
            return Checkout.DONE
        if f"{file.name}.co" in names:
            return Checkout.OUT
        return Checkout.UNCLEAR if f"{file.name}.co.part" in names else Checkout.NONE

    def touched(self, account: str) -> bool:
        """Was passwd begun for this account?"""
        return f"passwd.{account}" in (self.names or ())


def parse(reply: str) -> Kept:
    """What `ask` prints. Raises UnreadableReply for a listing that does not begin as ours, or lacks a copy."""
    lines = reply.splitlines()
    if not lines:
        return Kept(None)
    if lines[0] != "kept:":
        raise UnreadableReply(FOLDER, "not the listing of what is kept", reply)
    names = frozenset(lines[1:])
    missing = [copy for _, copy in _COPIES if copy not in names]
    if missing:
        raise UnreadableReply(FOLDER, f"the copy of {', '.join(missing)} is missing", reply)
    return Kept(names)


def ask(root: Root) -> Kept:
    """What is kept on the server; changes nothing."""
    return parse(root.check(f"test ! -d {FOLDER} || {{ echo kept:; ls -1A {FOLDER}; }}"))


def make(root: Root) -> None:
    """Keep the three files and /etc/shadow as they are now, in the place of copies that nothing was done with yet.

    Raises CommandFailed, and keeps nothing, when a copy cannot be made.
    """
    new = f"{FOLDER}.new"
    copies = " && ".join(f"cp {path} {new}/{name} && chmod 600 {new}/{name}" for path, name in _COPIES)
    root.check(
        f"rm -rf {new} {FOLDER} && mkdir -m 700 {new} && {copies} && sync && mv {new} {FOLDER}"
        f" || {{ s=$?; rm -rf {new}; exit $s; }}"
    )


def is_fresh(root: Root, accounts: tuple[str, ...]) -> bool:
    """Do the copies still show what is there? Of the shadow file only the lines of `accounts` count."""
    same = [f"cmp -s {path} {FOLDER}/{name}" for path, name in _COPIES if path != SHADOW]
    lines = [f'test "{_line(name, SHADOW)}" = "{_line(name, f"{FOLDER}/shadow")}"' for name in accounts]
    return root.run(" && ".join([*same, *lines])).status == 0


def renew_line(root: Root, account: str) -> None:
    """Keep the line of an account as it is now: somebody has changed it, and passwd has not touched it yet."""
    new = f"{FOLDER}/shadow.part"
    root.check(
        f"sed '/^{account}:/d' {FOLDER}/shadow >{new} && sed -n '/^{account}:/p' {SHADOW} >>{new}"
        f" && chmod 600 {new} && mv -f {new} {FOLDER}/shadow"
    )


def _line(account: str, file: str) -> str:
    return f"$(sed -n '/^{account}:/p' {file})"


def remove(root: Root) -> None:
    """Remove the directory with all that is in it."""
    root.check(f"rm -rf {FOLDER} {FOLDER}.new")


def forget(root: Root, file: Edited) -> None:
    """Remove the traces of a check-out that is undone; the copy stays."""
    ends = " ".join(
        f"{FOLDER}/{file.name}.{op}{part}" for op in ("co", "ci", "unco") for part in ("", ".part")
    )
    root.check(f"rm -f {ends}")


def untouched(root: Root, account: str) -> None:
    """Remove the traces of a passwd that changed nothing, or whose change is undone."""
    root.check(f"rm -f {FOLDER}/passwd.{account} {FOLDER}/set.{account}")


# ---- the files themselves ----


def real_path(root: Root, file: Edited) -> str:
    """The file that the path leads to: /etc/pam.d/system-auth is a link on some systems."""
    found = root.check(f"readlink -f {file.path}").strip()
    if not found.startswith("/etc/") or shlex.quote(found) != found:
        raise UnreadableReply(file.path, "leads to no plain path under /etc", found)
    return found


def text_of(root: Root, path: str) -> str:
    """The content of a file. Raises UnreadableReply when it is no text that comes over unchanged."""
    text = root.check(f"cat {path}")
    said = root.check(f"sha256sum {path}").split()
    if not said or said[0] != sha256(text.encode()).hexdigest():
        raise UnreadableReply(
            path, "what was read is not what lies there: no UTF-8, or it changes just now", ""
        )
    return text


def kept_text(root: Root, file: Edited) -> str:
    """The content as it was before any change."""
    return text_of(root, f"{FOLDER}/{file.name}")


def put_back(root: Root, file: Edited) -> None:
    """Give the file the content that was kept; owner, mode and the link that leads to it stay as they are."""
    path, copy = real_path(root, file), f"{FOLDER}/{file.name}"
    replace(root, path, f"cat {copy}", f"cmp -s {copy} {path}.mopflow")


def replace(root: Root, path: str, make: str, verify: str) -> None:
    """Put what `make` prints in the place of the file `path`, in one move, if `verify` is content with it.

    The new file is a copy of the old one with another content, so owner, mode and label are the same. Raises
    CommandFailed, and changes nothing, when a part of it fails.
    """
    new = f"{path}.mopflow"
    root.check(
        f"rm -f {new} && cp -a {path} {new} && {make} >{new} && {verify} && mv -f {new} {path}"
        f" || {{ s=$?; rm -f {new}; exit $s; }}"
    )
