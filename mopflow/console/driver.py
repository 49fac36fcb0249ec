"""What every driver of a GUI shares: one logged-in Chromium, one thread that owns it, readings and acts through it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from mopflow.console.gateway import Origin
from mopflow.console.labels import HasLogin
from mopflow.console.owner import Owner
from mopflow.console.protocol import Urgency
from mopflow.console.session import Session, SessionLost
from mopflow.errors import Unreachable

T = TypeVar("T")


class Driver:
    """A GUI, driven through its visible names. Any thread may call; the browser is started at the first use.

    `refresh`: seconds that a reading of a page may be old (it is shared by all who ask within that time; 0 shares
    only with those who wait already). `deadline`: seconds for one action of a page. `login_budget`: logins in any
    hour. `ca`: PEM file, None for the system's CAs.
    """

    def __init__(
        self,
        origin: Origin,
        user: str,
        password: SecretStr,
        labels: HasLogin,
        *,
        ca: Path | None,
        chromium: Path | None,
        refresh: float,
        deadline: float,
        login_budget: int,
    ) -> None:
        self._refresh = refresh
        self._deadline = deadline
        self._session = Session(
            origin, user, password, labels, ca, chromium, deadline, login_budget, self._moved, refresh
        )
        self._owner = Owner(
            str(origin), self._session.close, self._session.kill, self._session.tidy, 3 * deadline + 10
        )

    def _moved(self) -> None:
        self._owner.moved()

    def log_in(self) -> None:
        """Log in unless a session is open. Verifies the certificate anew."""
        self._owner.submit(Urgency.READ, self._session.log_in)

    def close(self) -> None:
        """End the browser. Nothing may be called afterwards."""
        self._owner.close(self._deadline + 10)

    def _logged_in(self, work: Callable[[], T]) -> T:
        """On the owner's thread: with a login before it, if that is needed."""
        return self._session.logged_in(work)

    def _read(self, key: str, work: Callable[[], T]) -> T:
        """On the caller's thread."""
        return self._owner.share(key, lambda: self._logged_in(work), self._refresh)

    def _act(self, urgency: Urgency, prepare: Callable[[], Callable[[], T]]) -> T:
        """On the caller's thread. A lost session is logged in again until `prepare` has answered the last click."""

        def work() -> T:
            try:
                try:
                    return self._logged_in(prepare)()
                except SessionLost:  # after it was prepared, before it was confirmed
                    return self._logged_in(prepare)()
            except SessionLost:
                why = "the session was lost twice before the last click; nothing was confirmed"
                raise Unreachable(self._session.who, why) from None
            finally:
                self._session.acted_at = time.time()
                self._owner.forget()

        return self._owner.submit(urgency, work)
