"""Questions to a server: per file a command and a pure parse, which fails closed.

A parse raises UnreadableReply for everything that it does not know; it never guesses and never reads an odd reply
as good. `ask` joins the two over SSH. Nothing here changes a server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mopflow.errors import UnreadableReply
from mopflow.ssh import Servers

Answer = TypeVar("Answer")


def read(
    servers: Servers, server: str, command: str, parse: Callable[[str], Answer], *, timeout: float = 60
) -> Answer:
    """The parsed stdout of `command` (seconds to answer: `timeout`).

    Raises what `Servers.check` raises, and UnreadableReply naming the server.
    """
    return named(server, lambda: parse(servers.check(server, command, timeout=timeout)))


def named(server: str, question: Callable[[], Answer]) -> Answer:
    """What `question` answers; an unreadable reply names the server."""
    try:
        return question()
    except UnreadableReply as wrong:
        raise UnreadableReply(f"{server}: {wrong.source}", wrong.what, wrong.reply) from wrong
