"""Exchange SSH keys from the active server of the primary CMP to all servers (6.1.1/7, 7.1.1/6, 8.1.1/7, 9.1.1/4)."""

from __future__ import annotations

import re

from pydantic import SecretStr

from mopflow.errors import CommandFailed
from mopflow.ssh import Servers

COMMAND = "sudo qpSSHKeyProv.pl --prov"
PROMPT = re.compile(r"The password of \S+ in topology:\s*$")
PROVISIONING = 900  # seconds: it logs in to one server after the other


def exchange(servers: Servers, server: str, password: SecretStr, *, user: str = "admusr") -> str:
    """Provision the keys; the transcript, without the password. Safe to repeat.

    `password` is that of `user` on all servers (root on 10.5, which has no admusr; else admusr); it is typed on the terminal, once. Whether the keys work is asked
    afterwards (probes.keys). Raises CommandFailed when the script says that it failed, and what
    `Servers.converse` raises: MayHaveRun when it asks a second time, so a wrong password is not tried again.
    """
    command = f"{COMMAND} --user=root" if user == "root" else COMMAND
    reply = servers.converse(server, command, [(PROMPT, password)], timeout=PROVISIONING)
    if reply.status != 0:
        lines = [line for line in reply.stdout.splitlines() if line.strip()]
        raise CommandFailed(server, command, reply.status, "\n".join(lines[-3:]))
    return reply.stdout
