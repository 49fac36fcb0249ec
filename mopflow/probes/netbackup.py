"""Is Veritas NetBackup installed on this server? (chapter 4, first note: it has pre and post upgrade steps of its own)

Assumption: it lies where Veritas installs its client.
"""

from __future__ import annotations

from mopflow.errors import UnreadableReply
from mopflow.probes import named
from mopflow.ssh import Reply, Servers

FOLDER = "/usr/openv/netbackup"
COMMAND = f"LC_ALL=C ls -d {FOLDER}"


def parse(reply: Reply) -> bool:
    """Present: ls names it. Absent: ls says that there is no such file. Raises UnreadableReply for all else."""
    if reply.status == 0 and reply.stdout.strip() == FOLDER:
        return True
    if reply.status != 0 and not reply.stdout.strip() and "No such file or directory" in reply.stderr:
        return False
    raise UnreadableReply("netbackup", f"exit status {reply.status}", reply.stdout or reply.stderr)


def ask(servers: Servers, server: str) -> bool:
    """Changes nothing."""
    return named(server, lambda: parse(servers.run(server, COMMAND)))
