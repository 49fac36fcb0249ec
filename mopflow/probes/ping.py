"""Does a host answer this server? (4.5 step 4: IP connectivity between server and NTP servers)"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import named
from mopflow.ssh import Reply, Servers

WAITS = 2  # seconds for the answer to the one packet

_COUNTS = re.compile(
    r"^(?P<sent>\d+) packets transmitted, (?P<received>\d+) (?:packets )?received,(?: \+\d+ errors,)? "
    r"[\d.]+% packet loss",
    re.MULTILINE,
)
_TIME = re.compile(r"^rtt min/avg/max/mdev = [\d.]+/(?P<average>[\d.]+)/", re.MULTILINE)
_NO_WAY = re.compile(
    r"Network is unreachable|No route to host|unknown host|Name or service not known|"
    r"Temporary failure in name resolution|Invalid argument|Permission denied|Operation not permitted"
)
_ERROR = re.compile(r"^From .*? (?:icmp_seq=\d+ )?(?P<why>[A-Z].*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Echo:
    """Whether the answer came; `milliseconds` of its round trip, or `why` it did not come."""

    answered: bool
    milliseconds: float | None = None
    why: str = ""


def command(host: str) -> str:
    return f"LC_ALL=C ping -c 1 -W {WAITS} {shlex.quote(host)}"


def parse(reply: Reply) -> Echo:
    """One packet was sent: it came back, or why not. Raises UnreadableReply for anything else.

    The exit status and the counts must agree: iputils ends with 0 for an answer, 1 for none, 2 for other errors.
    """
    text = reply.stdout
    counts = _COUNTS.search(text)
    if counts is None:
        wrong = _NO_WAY.search(reply.stderr) or _NO_WAY.search(text)
        if reply.status != 0 and wrong is not None:
            return Echo(False, why=wrong.group())
        raise UnreadableReply("ping", f"no counts, exit status {reply.status}", text or reply.stderr)
    sent, received = int(counts["sent"]), int(counts["received"])
    if sent != 1 or received > 1 or (reply.status == 0) is not (received == 1):
        raise UnreadableReply("ping", f"{received} of {sent} received, exit status {reply.status}", text)
    if received == 0:
        error = _ERROR.search(text)
        return Echo(False, why=error["why"] if error is not None else f"no answer in {WAITS} s")
    time = _TIME.search(text)
    if time is None:
        raise UnreadableReply("ping", "an answer without its time", text)
    return Echo(True, float(time["average"]))


def ask(servers: Servers, server: str, host: str) -> Echo:
    """Send one packet from `server` to `host`."""
    return named(server, lambda: parse(servers.run(server, command(host), timeout=WAITS + 30)))
