"""Every command that was sent to a server, with its reply, written as it comes: the transcript of a run."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopflow.ledger.models import plain_json
from mopflow.record.chain import digest
from mopflow.record.growing import Growing, entries

if TYPE_CHECKING:
    from mopflow.here import Scope
    from mopflow.site import Site
    from mopflow.ssh import Reply
    from mopflow.step import Step

LONGEST = (
    20_000  # characters of a reply that are kept; of a longer one beginning and end, and the SHA-256 of all
)

# By design no hash and no key leaves a server; should one be shown all the same, it is not kept.
_HASH = re.compile(r"\$(1|2[abxy]?|5|6|7|y|gy)\$[^\s:'\"]{8,}")
_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_STARS = "********"


def without_hashes(text: str) -> str:
    """`text` without password hashes and private keys."""
    return _KEY.sub(rf"\1 {_STARS} \2", _HASH.sub(rf"$\1${_STARS}", text))


@dataclass(frozen=True, slots=True)
class _Work:
    """A step that is under way."""

    step: str
    scope: str
    servers: frozenset[str]  # on which it works


_WORK: ContextVar[_Work | None] = ContextVar("mopflow_record_work", default=None)


class Commands:
    """The transcript of one run. May be used from any thread; `failed` is told when a line cannot be written."""

    def __init__(
        self, path: Path, site: Site, strike: Callable[[str], str], failed: Callable[[OSError], None]
    ) -> None:
        self._file = Growing(path)
        self._site = site
        self._strike = strike
        self._failed = failed
        self._lock = threading.Lock()
        self._working: list[_Work] = []

    @contextmanager
    def of(self, step: Step, scope: Scope) -> Iterator[None]:
        """Commands of this thread belong to this step, and so do those that helpers of it send to its servers."""
        work = _Work(step.key, str(scope), _servers(self._site, scope))
        token = _WORK.set(work)
        with self._lock:
            self._working.append(work)
        try:
            yield
        finally:
            with self._lock:
                self._working.remove(work)
            _WORK.reset(token)

    def __call__(self, server: str, user: str, command: str, reply: Reply | None) -> None:
        """As `ssh.Servers` tells it, secrets struck; None: the reply was lost."""
        work = _WORK.get() or self._guess(server)
        entry: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(),
            "step": work.step if work is not None else None,
            "scope": work.scope if work is not None else None,
            "server": server,
            "user": user,
            "command": self._plain(command),
            "status": reply.status if reply is not None else None,
            "stdout": self._shortened(reply.stdout) if reply is not None else "",
            "stderr": self._shortened(reply.stderr) if reply is not None else "",
        }
        try:
            self._file.add(plain_json(entry))
        except OSError as error:
            self._failed(error)

    def close(self) -> None:
        self._file.close()

    def _guess(self, server: str) -> _Work | None:
        """The step that works on this server, when its own thread did not say; the one with the fewest servers."""
        with self._lock:
            mine = [work for work in self._working if server in work.servers]
        return min(mine, key=lambda work: len(work.servers), default=None)

    def _plain(self, text: str) -> str:
        return without_hashes(self._strike(text))

    def _shortened(self, text: str) -> str:
        text = self._plain(text)
        if len(text) <= LONGEST:
            return text
        left_out = len(text) - LONGEST
        sha256 = digest(text.encode("utf-8", "backslashreplace"))
        head, tail = text[: LONGEST // 2], text[-LONGEST // 2 :]
        return f"{head}\n[... {left_out} characters are left out here; SHA-256 of the whole reply: {sha256} ...]\n{tail}"


def _servers(site: Site, scope: Scope) -> frozenset[str]:
    if scope.server is not None:
        return frozenset({scope.server})
    if scope.cluster is not None:
        return frozenset(site.cluster(scope.cluster).server_names)
    if scope.segment is not None:
        return frozenset(name for c in site.segment(scope.segment).clusters for name in c.server_names)
    return frozenset({*(server.name for server in site.servers), *site.further_hosts})


def commands_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The commands of one run, in the order of their replies."""
    return entries(path)
