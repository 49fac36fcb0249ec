"""What time is it on this server? (4.5 step 4: the date is correct)"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.ssh import Servers

COMMAND = "date +%s.%N"

_EPOCH = re.compile(r"\d{9,11}\.\d{9}")


@dataclass(frozen=True, slots=True)
class Moment:
    """A server's clock between two moments of ours: all in seconds, `epoch` since 1970, the others monotonic."""

    server: str
    epoch: float
    asked: float
    answered: float
    ours: float  # our own epoch in the middle between asked and answered

    @property
    def half(self) -> float:
        """Half of the round trip: the server read its clock so long before or after the middle at most."""
        return (self.answered - self.asked) / 2


def parse(reply: str) -> float:
    """Seconds since 1970. Raises UnreadableReply for anything but one number with nanoseconds."""
    text = reply.strip()
    if _EPOCH.fullmatch(text) is None:
        raise UnreadableReply("date", "not seconds and nanoseconds", reply)
    return float(text)


def ask(servers: Servers, server: str) -> Moment:
    """The server's clock. Ask something else before: a login in between makes the round trip long."""
    asked, begun = time.monotonic(), time.time()
    epoch = read(servers, server, COMMAND, parse)
    answered = time.monotonic()
    return Moment(server, epoch, asked, answered, begun + (answered - asked) / 2)
