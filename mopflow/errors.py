"""Everything that this package raises.

    MopflowError
    ├── BadInput            a file or parameter that a person wrote is wrong; names place and remedy
    │   └── SecretMissing       a secret that the site file names cannot be found
    ├── NothingRun          it failed, and nothing was run on the system: may be tried again
    │   ├── Unreachable         no session with a server or the console
    │   ├── LoginRefused        the credentials were refused; never tried again with the same ones
    │   │   └── LoginsSpent         our own limit of logins is used up; the server was not asked
    │   ├── IdentityChanged     a host key or certificate is not the known one
    │   ├── NotAnnounced        the console announced another act than the step expects; not clicked
    │   ├── ActRefused          the console or server refused the act and said so
    │   │   └── TransferStopped     a file could not be brought to a server; what arrived is no finished file
    │   └── NoSlot              a limit could not be taken
    ├── MayHaveRun          it was sent and the answer was lost: look at the system, never send again blindly
    ├── CommandFailed       a command ran and answered non-zero
    ├── UnreadableReply     a reply of a shape that we do not know; never read as good
    ├── LedgerUnavailable   the ledger cannot be written: no act without a written intention
    └── Held                a step may not go on; a person has to look

Catch the broadest class whose every member you would treat alike.
"""

from __future__ import annotations


class MopflowError(Exception):
    """Root of all errors of mopflow. The text is one sentence for a person and never holds a secret."""


class BadInput(MopflowError):
    """Something that a person wrote is wrong.

    ``mistakes`` has one sentence per mistake, each with its place and what would be right.
    """

    def __init__(self, *mistakes: str) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


class SecretMissing(BadInput):
    """A secret that the site file names is not there."""


class NothingRun(MopflowError):
    """It failed before anything was run on the system."""


class Unreachable(NothingRun):
    """No session with a server or with the console."""

    def __init__(self, who: str, why: str) -> None:
        self.who = who
        self.why = why
        super().__init__(f"{who} cannot be reached: {why}")


class LoginRefused(NothingRun):
    """The credentials were refused. Not tried again: another try may lock the account."""

    def __init__(self, who: str, user: str, why: str = "") -> None:
        self.who = who
        self.user = user
        super().__init__(f"{who} refused the login of {user}" + (f": {why}" if why else ""))


class LoginsSpent(LoginRefused):
    """Our own limit of logins to this account is used up; the server was not asked."""


class IdentityChanged(NothingRun):
    """A host key or certificate differs from the known one (fingerprints, not secrets)."""

    def __init__(self, who: str, known: str, offered: str) -> None:
        self.who = who
        self.known = known
        self.offered = offered
        super().__init__(f"{who} shows another identity: known {known}, offered {offered}")


class NotAnnounced(NothingRun):
    """The console announced another act than the step expects; nothing was clicked."""

    def __init__(self, expected: str, announced: str) -> None:
        self.expected = expected
        self.announced = announced
        super().__init__(f"expected {expected!r}, the console announces {announced!r}")


class ActRefused(NothingRun):
    """The console or a server refused the act and said so."""


class TransferStopped(ActRefused):
    """A file could not be brought to a server. Nothing lies under its final name; it may be tried again.

    ``rule``: whose business it is, as `holds.REMEDIES` knows it (disk, transfer, media).
    """

    def __init__(self, rule: str, why: str) -> None:
        self.rule = rule
        super().__init__(why)


class NoSlot(NothingRun):
    """A concurrency limit could not be taken."""


class MayHaveRun(MopflowError):
    """An act was sent and its answer was lost; whether it ran must be read from the system."""


class CommandFailed(MopflowError):
    """A command ran on a server and answered non-zero."""

    def __init__(self, server: str, command: str, status: int, stderr: str) -> None:
        self.server = server
        self.command = command
        self.status = status
        self.stderr = stderr
        super().__init__(f"{server}: `{command}` ended with {status}: {stderr.strip()[:500]}")


class UnreadableReply(MopflowError):
    """A reply of a shape that we do not know."""

    def __init__(self, source: str, what: str, reply: str) -> None:
        self.source = source
        self.what = what
        self.reply = reply
        super().__init__(f"{source}: {what}: {reply.strip()[:300]!r}")


class LedgerUnavailable(MopflowError):
    """The ledger cannot be read or written."""


class Held(MopflowError):
    """A step may not go on; a person has to look. The hold itself is a row of the ledger."""

    def __init__(self, hold: str, where: str, reason: str, remedy: str) -> None:
        self.hold = hold
        self.where = where
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"held at {where}: {reason} To do: {remedy}")
