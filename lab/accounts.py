"""Who is logged in to which CMP GUI. Three refused logins in a row lock the account."""

from __future__ import annotations

import hmac
import secrets as tokens
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.state import Session

if TYPE_CHECKING:
    from lab.world import World

FAILURES_UNTIL_LOCKED = 3


class Accounts:
    def __init__(self, world: World) -> None:
        self._world = world
        self._failures: dict[str, int] = {}
        self.sessions: dict[str, Session] = {}

    def is_locked(self, user: str) -> bool:
        return self._failures.get(user, 0) >= FAILURES_UNTIL_LOCKED

    def login(self, cmp_cluster: str, user: str, password: str) -> Session | None:
        secrets = self._world.secrets
        right = _same(user, secrets.gui_user) and _same(password, secrets.gui.get_secret_value())
        ok = right and not self.is_locked(user) and not self._world.faults.refuses_login()
        self._world.flight.write("gui_login", user=user, ok=ok)
        if not ok:
            self._failures[user] = self._failures.get(user, 0) + 1
            return None
        self._failures.pop(user, None)
        session = Session(tokens.token_urlsafe(24), user, cmp_cluster)
        self.sessions[session.token] = session
        return session

    def valid(self, token: str, cmp_cluster: str) -> Session | None:
        session = self.sessions.get(token)
        return session if session is not None and session.cluster == cmp_cluster else None

    def end(self, which: Callable[[Session], bool]) -> None:
        for session in [s for s in self.sessions.values() if which(s)]:
            del self.sessions[session.token]

    def ossi(self, user: str, password: str) -> bool:
        secrets = self._world.secrets
        return _same(user, secrets.ossi_user) and _same(password, secrets.ossi.get_secret_value())


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
