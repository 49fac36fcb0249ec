"""Is the platform of this server healthy? (`syscheck`, 12.3.x "Final Syscheck" and the health checks)

The grammar is that of sister products: `Running modules in class NAME...`, then `OK`, per class, then where the log
lies. Line breaks vary and the classes differ from product to product, so neither is relied on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import named
from mopflow.ssh import Reply, Servers

COMMAND = "sudo syscheck"
CHECKING = 300  # seconds

_CLASS = re.compile(r"Running modules in class ([\w-]+)\.\.\.")
_END = re.compile(r"LOG LOCATION:|The log is available at:")


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict. `classes`: all that were announced; `trouble`: class (or "exit status") and what it printed."""

    healthy: bool
    classes: tuple[str, ...]
    trouble: tuple[tuple[str, str], ...]


def parse(reply: Reply) -> Health:
    """Healthy means: exit status 0 and every announced class followed by OK and nothing else.

    Raises UnreadableReply when no class was announced, when something stands before the first one, or when the
    end is missing.
    """
    text = reply.stdout
    heads = list(_CLASS.finditer(text))
    if not heads:
        raise UnreadableReply(
            "syscheck", f"no class announced, exit status {reply.status}", text or reply.stderr
        )
    if text[: heads[0].start()].strip():
        raise UnreadableReply("syscheck", "does not begin with a class", text)
    end = _END.search(text)
    if end is None or end.start() < heads[-1].end():
        raise UnreadableReply("syscheck", "the end is missing", text[-300:])
    stops = [head.start() for head in heads[1:]] + [end.start()]
    trouble = []
    for head, stop in zip(heads, stops, strict=True):
        said = " ".join(text[head.end() : stop].split())
        if said != "OK":
            trouble.append((head[1], said or "no verdict"))
    if reply.status != 0:
        trouble.append(("exit status", str(reply.status)))
    return Health(not trouble, tuple(head[1] for head in heads), tuple(trouble))


def ask(servers: Servers, server: str) -> Health:
    """Run syscheck; changes nothing."""
    return named(server, lambda: parse(servers.run(server, COMMAND, timeout=CHECKING)))
