"""Which server is this? Asked before anything is done on it: the wrong server is the first fear."""

from __future__ import annotations

import re

from mopflow.errors import UnreadableReply
from mopflow.probes import read
from mopflow.ssh import Servers

COMMAND = "hostname"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def parse(reply: str) -> str:
    """The host name as printed. Raises UnreadableReply for anything but one name."""
    name = reply.strip()
    if _NAME.fullmatch(name) is None:
        raise UnreadableReply("hostname", "not one host name", reply)
    return name


def is_server(hostname: str, server: str) -> bool:
    """Is this the host name of `server` of the site file? A domain behind it does not count, nor does case."""
    printed, wanted = hostname.lower(), server.lower()
    return printed == wanted or printed.split(".")[0] == wanted


def ask(servers: Servers, server: str) -> str:
    """The host name that the server gives itself."""
    return read(servers, server, COMMAND, parse)
