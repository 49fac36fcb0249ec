"""Exchange SSH keys from the active server of the primary CMP to all servers (9.1.1 step 4)."""

from __future__ import annotations

import re

from pydantic import SecretStr

from mopflow.errors import CommandFailed
from mopflow.ssh import Servers

COMMAND = "sudo qpSSHKeyProv.pl --prov"
PROMPT = re.compile(r"The password of \S+ in topology:\s*$")
PROVISIONING = 900  # seconds: it logs in to one server after the other


def exchange(servers: Servers, server: str, password: SecretStr) -> str:
    """Provision the keys; the transcript, without the password. Safe to repeat.

    `password` is that of admusr on all servers; it is typed on the terminal, once. Whether the keys work is asked
    afterwards (probes.keys). Raises CommandFailed when the script says that it failed, and what
    `Servers.converse` raises: MayHaveRun when it asks a second time, so a wrong password is not tried again.
    """
    reply = servers.converse(server, COMMAND, [(PROMPT, password)], timeout=PROVISIONING)
    if reply.status != 0:
        lines = [line for line in reply.stdout.splitlines() if line.strip()]
        raise CommandFailed(server, COMMAND, reply.status, "\n".join(lines[-3:]))
    return reply.stdout
