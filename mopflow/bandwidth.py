"""One cap on what all transfers of this process send: a token bucket in bytes per second.

The site file's `images.bandwidth` is in MB/s (10^6 bytes). A relay runs between two servers, where no bucket of ours
reaches; it gets a fixed share of the cap instead (`share_of`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MB = 1_000_000
BURST = 0.25  # seconds of the rate that may be sent at once after a pause


class Bucket:
    """Tokens for bytes. `rate` in bytes per second; None: no cap. May be used from any thread.

    Whoever takes more than there is goes into debt and waits until the debt is paid, so that takers are served in
    the order of their coming and no piece is too large to be taken.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate is not None and rate <= 0:
            raise ValueError("a rate is more than 0 bytes per second")
        self._rate = rate
        self._now = now
        self._pause = pause
        self._lock = threading.Lock()
        self._tokens = 0.0 if rate is None else rate * BURST
        self._at = now()

    @property
    def rate(self) -> float | None:
        """Bytes per second; None: no cap."""
        return self._rate

    def take(self, size: int) -> float:
        """Wait until `size` bytes may be sent; the seconds that were waited."""
        if self._rate is None:
            return 0.0
        with self._lock:
            now = self._now()
            self._tokens = min(self._rate * BURST, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= size
            wait = max(0.0, -self._tokens / self._rate)
        if wait:
            self._pause(wait)
        return wait


_BUCKETS: dict[str, tuple[float | None, Bucket]] = {}
_LOCK = threading.Lock()


def bucket_of(site: str, megabytes: float | None) -> Bucket:
    """The bucket that every transfer of this process to `site` takes from; a changed cap makes a new one."""
    with _LOCK:
        known = _BUCKETS.get(site)
        if known is None or known[0] != megabytes:
            known = megabytes, Bucket(None if megabytes is None else megabytes * MB)
            _BUCKETS[site] = known
        return known[1]


def share_of(megabytes: float | None, parallel: int) -> int | None:
    """A relay's share of the cap, in kbit/s as `scp -l` wants it; None: no cap."""
    if megabytes is None:
        return None
    return max(1, int(megabytes * 8000 / max(1, parallel)))
