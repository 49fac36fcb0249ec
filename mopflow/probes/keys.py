"""Can this CMP log in to all servers with its key? (9.1.1 step 4: `qpSSHKeyProv.pl --check`)"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import named
from mopflow.ssh import Reply, Servers

COMMAND = "sudo qpSSHKeyProv.pl --check"
CHECKING = 600  # seconds: it logs in to one server after the other

GOOD = "SSH keys are OK."

_CONNECTING = re.compile(r"^Connecting to \S+@(?P<host>\S+) \(\S+\) \.\.\.$")
_PROVISIONING = re.compile(r"^\[\d+/\d+\] \S.* SSH keys on (?P<host>\S+) \(\S+\) \.\.\.$")


@dataclass(frozen=True, slots=True)
class Keys:
    """The verdict on the keys. `servers`: hosts that were named, in order; `trouble`: lines that are not good."""

    ok: bool
    servers: tuple[str, ...]
    trouble: tuple[str, ...]


def parse(reply: Reply) -> Keys:
    """Good means: exit status 0, the last line is `SSH keys are OK.`, and every other line is one that we know.

    The forms of the lines are those of the example in 9.1.1 step 4; what a failure looks like is not public, so
    everything else counts as trouble. Raises UnreadableReply when nothing was printed.
    """
    lines = [line.strip() for line in (reply.stdout + "\n" + reply.stderr).splitlines() if line.strip()]
    if not lines:
        raise UnreadableReply("qpSSHKeyProv.pl --check", f"no output, exit status {reply.status}", "")
    hosts: dict[str, None] = {}
    trouble = []
    for line in lines:
        match = _CONNECTING.match(line) or _PROVISIONING.match(line)
        if match is not None:
            hosts[match["host"]] = None
        elif line != GOOD:
            trouble.append(line)
    if GOOD not in lines:
        trouble.append(f"the line {GOOD!r} is missing")
    if reply.status != 0:
        trouble.append(f"exit status {reply.status}")
    return Keys(not trouble, tuple(hosts), tuple(trouble))


def ask(servers: Servers, server: str) -> Keys:
    """Check the keys of a CMP server; changes nothing."""
    return named(server, lambda: parse(servers.run(server, COMMAND, timeout=CHECKING)))
