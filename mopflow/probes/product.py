"""Which Policy Management release runs on this server? (10.2 step 6 and others: verify the running release)

No public source shows the full output of `getPolicyRev` (assumption: the release alone on one line).
"""

from __future__ import annotations

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.release import Release
from mopflow.ssh import Servers

COMMAND = "getPolicyRev"

_OLDEST = 9  # a smaller first number is that of the platform (TPD 5 to 7), which is never a Policy release


def parse(reply: str) -> Release:
    """The release. Raises UnreadableReply unless the reply is exactly one Policy release."""
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    if len(lines) != 1:
        raise UnreadableReply("getPolicyRev", f"{len(lines)} lines instead of one release", reply)
    try:
        release = Release.parse(lines[0])
    except UnreadableReply as wrong:
        raise UnreadableReply("getPolicyRev", wrong.what, reply) from wrong
    if len(release.numbers) < 3 or release.numbers[0] < _OLDEST:
        raise UnreadableReply("getPolicyRev", "not a Policy Management release", reply)
    return release


def ask(servers: Servers, server: str) -> Release:
    """The release that the server says it runs."""
    return read(servers, server, COMMAND, parse)
