"""One server hands its image on to another: scp on its terminal, as 4.6.3.1 has it, and checked over there.

The password is typed at scp's prompt and stands nowhere else. Who the other server is, the first one learns from us:
our own known host key goes along, so that nobody has to say yes to a fingerprint.
"""

from __future__ import annotations

import re
import shlex
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass
from posixpath import dirname

from mopflow.bandwidth import share_of
from mopflow.errors import LoginRefused, MayHaveRun, MopflowError, TransferStopped, Unreachable
from mopflow.far import ShellFar
from mopflow.progress import Meter, Tell
from mopflow.site import ImageDelivery, Server
from mopflow.ssh import QUIET, Reply, Servers
from mopflow.transfer import DAMAGED, PART, RESERVE

LOOK = 1.0  # seconds between two looks at what has arrived
BREAKS = 2  # so often scp may end early
PROMPT = re.compile(r"assword:\s*$")
_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_REFUSED = re.compile(r"Permission denied")
_STRANGER = re.compile(r"Host key verification failed|IDENTIFICATION HAS CHANGED")


@dataclass(slots=True)
class Handed:
    breaks: int = 0
    seconds: float = 0.0


def command(source: Server, target: Server, user: str, path: str, limit: int | None) -> str:
    """The line that is typed on the source. `limit` in kbit/s."""
    known = f'"$HOME/{known_hosts_name(target)}"'
    options = [
        f"-o UserKnownHostsFile={known}",
        "-o GlobalKnownHostsFile=/dev/null",
        "-o StrictHostKeyChecking=yes",
        "-o NumberOfPasswordPrompts=1",
        "-o ServerAliveInterval=15",
        "-o ServerAliveCountMax=4",
    ]
    if limit is not None:
        options.insert(0, f"-l {limit}")
    host = f"[{target.address}]" if ":" in target.address else target.address
    where = shlex.quote(f"{user}@{host}:{path}{PART}")
    return f"LC_ALL=C scp -q -P {target.port} {' '.join(options)} {shlex.quote(path)} {where}"


def known_hosts_name(target: Server) -> str:
    """In the home of the login user, which is closed to others; one file per target."""
    return f".mopflow-known-hosts-{re.sub(r'[^A-Za-z0-9._-]', '_', target.name)}"


def hand_on(
    servers: Servers,
    source: Server,
    target: Server,
    path: str,
    size: int,
    md5: str,
    *,
    cap: ImageDelivery,
    timeout: float,
    tell: Tell,
) -> Handed:
    """Copy `path` of the source to the same path of the target. Safe to repeat.

    scp cannot go on where it broke off: it begins anew. Raises TransferStopped (rules disk, transfer, source),
    LoginRefused when the target refuses the password (it is not tried again), and what asking the servers raises.
    """
    relay = _Relay(servers, source, target, path, size, md5, cap, timeout, Meter(size, tell))
    begun = time.monotonic()
    relay.run()
    relay.handed.seconds = time.monotonic() - begun
    return relay.handed


class _Relay:
    def __init__(
        self,
        servers: Servers,
        source: Server,
        target: Server,
        path: str,
        size: int,
        md5: str,
        cap: ImageDelivery,
        timeout: float,
        meter: Meter,
    ) -> None:
        self.servers = servers
        self.source = source
        self.target = target
        self.path = path
        self.part = path + PART
        self.size = size
        self.md5 = md5
        self.cap = cap
        self.timeout = timeout
        self.meter = meter
        self.far = ShellFar(servers, target.name, QUIET)
        self.handed = Handed()

    def run(self) -> None:
        damaged = 0
        while True:
            if self.far.size(self.path) is not None:
                raise self._stopped("transfer", f"a file of the name {self.path} lies there already")
            self.far.remove(self.part)
            free = self.far.room(dirname(self.path))
            if free < self.size + RESERVE:
                raise self._stopped(
                    "disk", f"{free} bytes are free, {self.size} are to come and {RESERVE} to stay free"
                )
            try:
                reply = self._copy()
            except MayHaveRun as lost:
                self._broken(str(lost))
                continue
            if reply.status != 0:
                self._failed(reply)
                continue
            if self.far.size(self.part) == self.size and self.far.digest(self.part) == self.md5:
                self.far.rename(self.part, self.path)
                return
            self.far.remove(self.part)
            damaged += 1
            if damaged >= DAMAGED:
                raise self._stopped("transfer", "what arrives has another MD5; it was removed")

    def _copy(self) -> Reply:
        """scp in a thread of its own; meanwhile we look at what has arrived."""
        name = self.source.name
        keys = shlex.quote(self.servers.known_hosts_of(self.target.name).rstrip("\n"))
        store = f'"$HOME/{known_hosts_name(self.target)}"'
        self.servers.check(name, f"printf '%s\\n' {keys} > {store}")
        user = self.servers.login_user(self.target.name)
        password = self.servers.password_of(self.target.name)
        self.servers.spend_login(self.target.name)
        line = command(
            self.source, self.target, user, self.path, share_of(self.cap.bandwidth, self.cap.parallel)
        )
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="relay") as pool:
                self.meter.begin(0)
                return self._watch(
                    pool.submit(self.servers.converse, name, line, [(PROMPT, password)], timeout=self.timeout)
                )
        finally:
            self._forget(name, store)

    def _forget(self, name: str, store: str) -> None:
        """The file holds public keys only: that it stays where the source cannot be reached does no harm."""
        try:
            self.servers.check(name, f"rm -f {store}")
        except (Unreachable, MayHaveRun):
            return

    def _watch(self, copying: Future[Reply]) -> Reply:
        while True:
            try:
                return copying.result(timeout=LOOK)
            except StillRunning:
                if copying.done():
                    raise
            try:
                self.meter.at(self.far.size(self.part) or 0)
            except MopflowError:
                continue  # how far it is cannot be told now; how it ends, scp says

    def _failed(self, reply: Reply) -> None:
        """What scp said. Raises unless it may be begun anew."""
        said = " ".join(reply.stdout.split())[-300:]
        who = f"{self.source.name} hands on"
        if _STRANGER.search(said):
            raise self._stopped(
                "source", f"{who}: {self.target.name} showed another host key than we know: {said}"
            )
        if _FULL.search(said):
            size = self.far.size(self.part)
            self.far.remove(self.part)
            raise self._stopped(
                "disk",
                f"the disk became full when {size} of {self.size} bytes were there; {self.part} was removed, "
                "for it would have kept the disk full",
            )
        if _REFUSED.search(said):
            if "password" in said or "publickey" in said:
                raise LoginRefused(
                    self.target.name,
                    self.servers.login_user(self.target.name),
                    f"asked by scp on {self.source.name}: {said}",
                )
            raise self._stopped("transfer", f"{who}: {said}")
        self._broken(said or f"scp ended with {reply.status}")

    def _broken(self, why: str) -> None:
        self.handed.breaks += 1
        if self.handed.breaks >= BREAKS:
            raise self._stopped("transfer", f"{self.source.name} broke off {self.handed.breaks} times: {why}")

    def _stopped(self, rule: str, why: str) -> TransferStopped:
        return TransferStopped(rule, f"{self.target.name}: {self.path}: {why}")
