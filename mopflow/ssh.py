"""How do we run a command on a server? The only module that opens SSH.

One connection per server is kept and shared by all threads. SSH goes to the address of the server itself, never to
a VIP. The errors of the library become ours here, and one distinction matters above all: "nothing was run" and "it
may have run" are different classes.
"""

from __future__ import annotations

import logging
import re
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import paramiko
from pydantic import SecretStr

from mopflow.channel import Conversation
from mopflow.errors import (
    BadInput,
    CommandFailed,
    IdentityChanged,
    LoginRefused,
    LoginsSpent,
    MayHaveRun,
    Unreachable,
)
from mopflow.feed import LostError, Watch, feed
from mopflow.secrets import SecretRef, Vault, forms
from mopflow.sftp import SftpFiles
from mopflow.site import Server, Site
from mopflow.wire import Wire

CONNECT, BANNER, HANDSHAKE, AUTH, CHANNEL = 15.0, 60.0, 60.0, 60.0, 15.0
CHANNELS = 8  # commands at once on one connection; OpenSSH refuses more than 10 (MaxSessions)
REFUSING = 5.0  # seconds that a server may refuse a further channel
KEEPALIVE = 15
QUIET = 60.0  # seconds without a byte after which a transfer counts as lost
SILENT = 45_000  # milliseconds without an acknowledgement after which the kernel gives a connection up
UNANSWERED = 3  # logins in a row that ended without an answer, after which a password counts as refused
STARS = "********"

_GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # least CPU per byte, but last in paramiko's list
_RSA = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
_SHA2 = ("rsa-sha2-256", "rsa-sha2-512")
_BEFORE_SHA2 = re.compile(r"OpenSSH_(?:[1-6]\.|7\.[01](?!\d))")  # RSA signatures with SHA-2 came with 7.2

# The library logs a traceback for each lost connection, at ERROR; we raise an error that says the same.
_WIRE = "mopflow.ssh.wire"
logging.getLogger(_WIRE).setLevel(logging.CRITICAL)

Record = Callable[[str, str, str, "Reply | None"], None]
Answers = Sequence[tuple[re.Pattern[str], SecretStr | str]]
SecretsOf = Callable[
    [str, str], Sequence[SecretRef]
]  # (server, user): the passwords that may be right, likeliest first


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command answered. Over a terminal (`converse`) everything is in `stdout`."""

    status: int
    stdout: str
    stderr: str


@dataclass(slots=True)
class _Account:
    tries: deque[float] = field(default_factory=deque)  # monotonic seconds of each attempt
    refused: list[SecretStr] = field(default_factory=list)
    unanswered: int = 0


class Logins:
    """Counts logins and remembers refused passwords, so that no account is ever locked by us.

    One book serves the whole process: a new `Servers` must not start counting again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[tuple[str, int, str], _Account] = {}

    def spend(self, server: Server, user: str, per_hour: int) -> None:
        """Take one login from the budget. Raises LoginsSpent when none is left."""
        with self._lock:
            tries, now = self._of(server, user).tries, time.monotonic()
            while tries and now - tries[0] >= 3600:
                tries.popleft()
            if len(tries) >= per_hour:
                wait = int((3600 - (now - tries[0])) // 60) + 1
                raise LoginsSpent(
                    server.name,
                    user,
                    f"our own limit of {per_hour} logins per hour (ssh.logins_per_hour) is used up; "
                    f"the next is possible in {wait} min",
                )
            tries.append(now)

    def left(self, server: Server, user: str, per_hour: int) -> int:
        """How many logins the budget still has at this moment."""
        with self._lock:
            now = time.monotonic()
            return per_hour - sum(now - at < 3600 for at in self._of(server, user).tries)

    def may_send(self, server: Server, user: str, password: SecretStr) -> None:
        """Raises LoginRefused when this password was refused already."""
        with self._lock:
            if password in self._of(server, user).refused:
                raise LoginRefused(
                    server.name,
                    user,
                    "this password was refused before and is not sent again; correct the secret and start again",
                )

    def refused(self, server: Server, user: str, password: SecretStr) -> None:
        with self._lock:
            self._of(server, user).refused.append(password)

    def pardon(self, server: Server, user: str, password: SecretStr) -> None:
        """The account has got this password, or has it again: that it was refused before says nothing any more."""
        with self._lock:
            account = self._of(server, user)
            account.refused = [other for other in account.refused if other != password]

    def unanswered(self, server: Server, user: str, password: SecretStr) -> bool:
        """Note a login whose answer was lost; True when it now counts as refused.

        A server may close the connection instead of refusing a password, so this must not go on for ever.
        """
        with self._lock:
            account = self._of(server, user)
            account.unanswered += 1
            if account.unanswered < UNANSWERED:
                return False
            account.refused.append(password)
            return True

    def accepted(self, server: Server, user: str) -> None:
        with self._lock:
            self._of(server, user).unanswered = 0

    def _of(self, server: Server, user: str) -> _Account:
        return self._accounts.setdefault((server.address, server.port, user), _Account())


LOGINS = Logins()


@dataclass(slots=True)
class _Line:
    """The kept connection to one server. The lock guards opening it, not the commands that share it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    room: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(CHANNELS))
    transport: paramiko.Transport | None = None

    def drop(self, transport: paramiko.Transport | None = None) -> None:
        """Close the connection (only if it still is `transport`, when given)."""
        if self.transport is not None and (transport is None or transport is self.transport):
            self.transport.close()
            self.transport = None


class Servers:
    """Runs commands on the servers of a site, on its PM&C and on its backup repository.

    All methods may be called from any thread.

    `base` is the directory of the site file, from which its relative paths count. `user_of` names the login user of
    a server at this moment (it follows the release that the server runs); default is `ssh.user`. `record` is told
    every command with its reply (None when the reply was lost), secrets struck. `secrets_of` names the passwords
    that an account may have at this moment, likeliest first (4.6.5 may have set a new one); each is tried at most
    once. Default is the one that the site file names under `ssh`.

    Every method raises, before anything was run: Unreachable, LoginRefused, IdentityChanged, BadInput. It raises
    MayHaveRun when the command was sent and the connection or the deadline ended before its exit status came: then
    look at the server, and never send again what is not safe to repeat.
    """

    def __init__(
        self,
        site: Site,
        vault: Vault,
        base: Path,
        user_of: Callable[[str], str] | None = None,
        record: Record | None = None,
        logins: Logins = LOGINS,
        secrets_of: SecretsOf | None = None,
    ) -> None:
        self._access = site.ssh
        self._servers = {server.name: server for server in site.servers}
        self._own: dict[
            str, tuple[str, SecretRef]
        ] = {}  # hosts with an account of their own: user and password
        if site.pmac is not None:
            self._add(site.pmac.server, site.pmac.ssh_user, site.pmac.ssh_password)
        repository = site.backup_repository
        if repository is not None and repository.host is not None and repository.password is not None:
            self._add(repository.host, repository.user, repository.password)
        self._vault = vault
        self._base = base
        self._user_of = user_of or (lambda _server: site.ssh.user)
        self._record = record
        self._logins = logins
        self._secrets_of = secrets_of
        self._lines: dict[tuple[str, str], _Line] = {}  # by server and user
        self._transfers: set[paramiko.Transport] = set()  # their own connections
        self._closed = False

    # ---- what the rest of mopflow uses ----

    def run(self, server: str, command: str, *, timeout: float = 60) -> Reply:
        """Run `command` by the login shell; a non-zero exit status is an answer like any other.

        `timeout`: seconds from the sending of the command to its end. The command has no input.
        """
        return self._carry_out(server, command, timeout, None)

    def check(self, server: str, command: str, *, timeout: float = 60) -> str:
        """stdout of `command`. Raises CommandFailed in addition when it ends non-zero."""
        reply = self.run(server, command, timeout=timeout)
        if reply.status != 0:
            raise CommandFailed(
                server, self._vault.strike(command), reply.status, reply.stderr or reply.stdout
            )
        return reply.stdout

    def converse(self, server: str, command: str, answers: Answers, *, timeout: float) -> Reply:
        """Run `command` on a terminal and answer its prompts, in this order, each once.

        A pattern is searched in what was printed since the previous answer; nothing is sent before its prompt is
        there. A command that ends before all prompts came is an ordinary Reply. One that asks again for what was
        answered is interrupted (MayHaveRun): an answer that was not good is never repeated. Secret
        answers are struck from the Reply, should the server echo them.
        """
        return self._carry_out(server, command, timeout, answers)

    def prove(self, name: str, user: str, password: SecretStr, *, timeout: float = 60) -> None:
        """Log in with this password over a connection of its own, and see a command run there.

        One try, from the budget; nothing is kept of it, and the kept connection is not touched. Raises LoginRefused
        when the server refuses the password or gives no session for it, Unreachable when there was no answer.
        """
        server = self._server(name)
        transport = self._shake_hands(server)
        try:
            self._send_password(transport, server, user, password, "the password")
            reply = self._exchange(
                _open_session(transport), time.monotonic() + timeout, name, "id -un", None, self._vault.strike
            )
        except MayHaveRun as lost:
            raise Unreachable(name, f"lost after the login of {user} ({lost})") from None
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise Unreachable(name, f"no session after the login of {user} ({_reason(lost)})") from lost
        finally:
            transport.close()
        self._tell(name, user, "id -un", reply)
        if reply.status != 0 or reply.stdout.split()[-1:] != [user]:
            said = " ".join((reply.stderr or reply.stdout).split())
            raise LoginRefused(
                name, user, f"the password is accepted, but no command can be run: {said[:200]}"
            )

    def logins_left(self, name: str, user: str) -> int:
        """How many more logins our own budget allows this hour."""
        return self._logins.left(self._server(name), user, self._access.logins_per_hour)

    def will_try(self, name: str, user: str, password: SecretStr) -> None:
        """Say that this password is about to be given to the server by another way than a login (`su`).

        It counts like a login. Raises LoginRefused when it was refused before, LoginsSpent when none is left.
        """
        server = self._server(name)
        self._logins.may_send(server, user, password)
        self._logins.spend(server, user, self._access.logins_per_hour)

    def was_refused(self, name: str, user: str, password: SecretStr) -> None:
        """Say that a password that `will_try` announced was refused: it is not sent again."""
        self._logins.refused(self._server(name), user, password)

    def pardon(self, name: str, user: str, password: SecretStr) -> None:
        """Say that the account was given this password just now: it may be tried although it was refused before."""
        self._logins.pardon(self._server(name), user, password)

    def feed(self, server: str, command: str, blocks: Iterable[bytes], *, quiet: float = QUIET) -> Reply:
        """Run `command` with `blocks` as its input, over a connection of its own (one login; see `mopflow.feed`).

        It has no deadline over all: it is lost when nothing moved for `quiet` seconds. A command that ends before it
        has read everything is an ordinary Reply. What `blocks` raises passes through; the command then sees the end
        of its input or of its connection.
        """
        there, user = self._server(server), self._login_user(server)
        struck = self._vault.strike(command)
        with self._own_connection(there, user) as transport:
            try:
                channel = _open_session(transport)
            except (paramiko.SSHException, OSError, EOFError) as lost:
                raise Unreachable(server, f"no channel ({_reason(lost)})") from lost
            try:
                status, out, err = feed(channel, command, blocks, quiet)
            except LostError as lost:
                self._tell(server, user, struck, None)
                raise MayHaveRun(f"{server}: `{struck}` was sent its input, but {lost}") from None
        reply = Reply(status, self._vault.strike(out), self._vault.strike(err))
        self._tell(server, user, struck, reply)
        return reply

    @contextmanager
    def sftp(self, server: str, *, quiet: float = QUIET) -> Iterator[SftpFiles]:
        """Files of an account that has no shell, over a connection of its own (one login).

        What is asked of it raises MayHaveRun when the connection ends or nothing moves for `quiet` seconds.
        """
        there, user = self._server(server), self._login_user(server)
        with self._own_connection(there, user) as transport, Watch(transport, quiet) as watch:
            try:
                client = paramiko.SFTPClient.from_transport(transport)
            except (paramiko.SSHException, OSError, EOFError) as lost:
                raise Unreachable(server, f"no SFTP ({_reason(lost)})") from lost
            if client is None:
                raise Unreachable(server, "no SFTP (the server gave no channel)")
            yield SftpFiles(client, server, watch)

    def login_user(self, server: str) -> str:
        """Who logs in to the server at this moment (10.5: root)."""
        return self._login_user(server)

    def password_of(self, server: str) -> SecretStr:
        """The password of its login user, for the prompt of a server that logs in to it. Raises BadInput."""
        refs = self._passwords_of(self._server(server), self._login_user(server))
        if not refs:
            raise BadInput(f"ssh.root_password: missing; it is needed for the login of root on {server}")
        return self._vault.get(refs[0])

    def spend_login(self, server: str) -> None:
        """Count a login that another server makes on our behalf. Raises LoginRefused when the budget is used up."""
        self._logins.spend(self._server(server), self._login_user(server), self._access.logins_per_hour)

    def known_hosts_of(self, server: str) -> str:
        """Lines of known_hosts for one server as we know it, so that another server can check it, too."""
        there = self._server(server)
        lines = [f"{_host(there)} {key.get_name()} {key.get_base64()}\n" for key in self._known_keys(there)]
        if not lines:
            raise BadInput(
                f"ssh.known_hosts: {self._access.known_hosts} has no key of {_host(there)} ({server})"
            )
        return "".join(lines)

    @contextmanager
    def session(
        self, server: str, command: str, *, terminal: tuple[int, int] | None = None
    ) -> Iterator[Conversation]:
        """Run `command` and talk with it, on the kept connection; see `Conversation`.

        `terminal`: columns and rows of an xterm on which it runs; None: without a terminal. The channel is closed with
        the block, which hangs a terminal up: nothing that runs on it stays. Raises MayHaveRun once it was sent.
        """
        user, what = self._login_user(server), self._vault.strike(command)
        line = self._lines.setdefault((server, user), _Line())
        with line.room:
            channel = self._channel(self._server(server), user, line)
            lost, sent, reply = partial(_lost_session, server, what), False, None
            try:
                if terminal is not None:
                    self._terminal(channel, server, time.monotonic() + CHANNEL, "xterm", *terminal)
                sent = True
                try:
                    with _closing_at(channel, time.monotonic() + CHANNEL):
                        channel.exec_command(command)
                except (paramiko.SSHException, OSError, EOFError) as wrong:
                    raise lost(_reason(wrong)) from None
                yield Conversation(channel, lost)
                if channel.exit_status_ready() and channel.exit_status >= 0:
                    reply = Reply(channel.exit_status, "", "")  # its bytes are kept by whoever talked with it
            finally:
                with suppress(EOFError, OSError, paramiko.SSHException):  # the connection may be gone already
                    channel.close()
                if sent:
                    self._tell(server, user, what, reply)

    def close(self) -> None:
        """Close all connections. Commands of other threads end as MayHaveRun."""
        self._closed = True
        for line in list(self._lines.values()):
            line.drop()
        for transport in list(self._transfers):
            transport.close()

    # ---- one command ----

    def _carry_out(self, name: str, command: str, timeout: float, answers: Answers | None) -> Reply:
        server = self._server(name)
        user = self._login_user(name)
        secrets = [a.get_secret_value() for _, a in answers or () if isinstance(a, SecretStr)]

        def strike(text: str) -> str:
            for form in forms(secrets):
                text = text.replace(form, STARS)
            return self._vault.strike(text)

        line = self._lines.setdefault((name, user), _Line())
        with line.room:
            channel = self._channel(server, user, line)
            ends = time.monotonic() + timeout
            try:
                if answers is not None:
                    self._terminal(channel, name, ends)
                reply = self._exchange(channel, ends, name, command, answers, strike)
            except MayHaveRun:
                self._tell(name, user, strike(command), None)
                raise
            finally:
                with suppress(EOFError, OSError, paramiko.SSHException):  # the connection may be gone already
                    channel.close()
        self._tell(name, user, strike(command), reply)
        return reply

    def _terminal(
        self,
        channel: paramiko.Channel,
        name: str,
        ends: float,
        kind: str = "vt100",
        columns: int = 200,
        rows: int = 50,
    ) -> None:
        try:
            with _closing_at(channel, ends):
                channel.get_pty(kind, columns, rows)
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise Unreachable(name, f"no terminal ({_reason(lost)})") from lost

    def _exchange(
        self,
        channel: paramiko.Channel,
        ends: float,
        name: str,
        command: str,
        answers: Answers | None,
        strike: Callable[[str], str],
    ) -> Reply:
        try:
            reply = _Exchange(channel, ends, answers).run(command)
        except _LostError as lost:
            raise MayHaveRun(
                f"{name}: `{strike(command)}` was sent, but {strike(str(lost))}; look at the server before it is sent again"
            ) from None
        return Reply(reply.status, strike(reply.stdout), strike(reply.stderr))

    def _tell(self, name: str, user: str, command: str, reply: Reply | None) -> None:
        if self._record is not None:
            self._record(name, user, command, reply)

    def _add(self, server: Server, user: str, password: SecretRef) -> None:
        self._servers[server.name] = server
        self._own[server.name] = user, password

    def _login_user(self, name: str) -> str:
        own = self._own.get(name)
        return own[0] if own is not None else self._user_of(name)

    def _passwords_of(self, server: Server, user: str) -> Sequence[SecretRef]:
        own = self._own.get(server.name)
        if own is not None:
            return (own[1],)
        if self._secrets_of is not None:
            return self._secrets_of(server.name, user)
        ref = self._access.root_password if user == "root" else self._access.password
        return () if ref is None else (ref,)

    def _server(self, name: str) -> Server:
        try:
            return self._servers[name]
        except KeyError:
            raise BadInput(f"{name} is no server of this site") from None

    # ---- connections ----

    def _channel(self, server: Server, user: str, line: _Line) -> paramiko.Channel:
        """A fresh channel, on the kept connection if that still answers. Nothing was run when this fails."""
        kept = line.transport
        if kept is not None and kept.is_active():
            try:
                return _open_session(kept)
            except paramiko.ChannelException as refused:  # the connection is sound, others work on it
                raise Unreachable(server.name, f"no channel ({_reason(refused)})") from refused
            except (paramiko.SSHException, OSError, EOFError):
                with line.lock:
                    line.drop(kept)
        try:
            return _open_session(self._connection(server, user, line))
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise Unreachable(server.name, f"no channel ({_reason(lost)})") from lost

    def _connection(self, server: Server, user: str, line: _Line) -> paramiko.Transport:
        with line.lock:
            if self._closed:
                raise Unreachable(server.name, "the connections of this run are closed already")
            if line.transport is None or not line.transport.is_active():
                line.drop()
                line.transport = self._connect(server, user)
            return line.transport

    @contextmanager
    def _own_connection(self, server: Server, user: str) -> Iterator[paramiko.Transport]:
        """A connection for one transfer; closed at its end."""
        if self._closed:
            raise Unreachable(server.name, "the connections of this run are closed already")
        transport = self._connect(server, user)
        self._transfers.add(transport)
        try:
            if self._closed:  # closed while we logged in
                raise Unreachable(server.name, "the connections of this run are closed already")
            yield transport
        finally:
            self._transfers.discard(transport)
            transport.close()

    def _connect(self, server: Server, user: str) -> paramiko.Transport:
        transport = self._shake_hands(server)
        try:
            self._log_in(transport, server, user)
            transport.set_keepalive(KEEPALIVE)
        except BaseException:
            transport.close()
            raise
        return transport

    def _shake_hands(self, server: Server) -> paramiko.Transport:
        known = self._known_keys(server)
        try:
            wire = socket.create_connection((server.address, server.port), timeout=CONNECT)
        except OSError as lost:
            raise Unreachable(server.name, f"{server.address} port {server.port}: {_reason(lost)}") from lost
        _tune(wire)
        transport = Wire(wire)
        try:
            self._negotiate(transport, server, known)
        except BaseException:
            transport.close()
            raise
        return transport

    def _negotiate(
        self, transport: paramiko.Transport, server: Server, known: Sequence[paramiko.PKey]
    ) -> None:
        """Agree on algorithms and check the host key."""
        transport.set_log_channel(_WIRE)
        transport.banner_timeout, transport.handshake_timeout = BANNER, HANDSHAKE
        transport.auth_timeout = AUTH
        options = transport.get_security_options()
        options.ciphers = (*_GCM, *(c for c in options.ciphers if c not in _GCM))
        # Ask first for a key of a type that we know, so that a further key of the server is no changed identity.
        types = dict.fromkeys(key.get_name() for key in known)
        wanted = [t for name in types for t in (_RSA if name == "ssh-rsa" else (name,))]
        wanted = [t for t in wanted if t in options.key_types]
        options.key_types = (*wanted, *(t for t in options.key_types if t not in wanted))
        try:
            transport.start_client(timeout=HANDSHAKE)
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise Unreachable(server.name, f"no SSH session ({_reason(lost)})") from lost
        offered = transport.get_remote_server_key()
        if not any(key.asbytes() == offered.asbytes() for key in known):
            shown = ", ".join(_fingerprint(key) for key in known)
            raise IdentityChanged(
                server.name,
                shown or f"none (no entry for {_host(server)} in {self._access.known_hosts})",
                _fingerprint(offered),
            )

    def _known_keys(self, server: Server) -> list[paramiko.PKey]:
        """Keys of the server, read afresh: a person may have corrected the file."""
        path = self._base / self._access.known_hosts
        try:
            text = path.read_text()
        except OSError as wrong:
            raise BadInput(
                f"ssh.known_hosts: {path} cannot be read ({wrong.strerror}); collect the host keys with ssh-keyscan, "
                "compare their fingerprints with the servers' own, and name the file in the site file"
            ) from wrong
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("@"):
                raise BadInput(
                    f"ssh.known_hosts: {path}, line {number}: marks such as {line.split()[0]} are not understood here; "
                    "remove the line, and the plain lines of a revoked key"
                )
            key = _key_of(line, number, _host(server))
            if key is not None:
                found.append(key)
        return found

    # ---- login ----

    def _log_in(self, transport: paramiko.Transport, server: Server, user: str) -> None:
        """Key first, then passwords; each at most once."""
        key, why = self._key(), None
        if key is not None:
            self._logins.spend(server, user, self._access.logins_per_hour)
            why = self._offer_key(transport, server, user, key)
            if why is None:
                return None
            why = f"key {self._access.key}: {why}"
            if not transport.is_active():
                raise LoginRefused(server.name, user, why)
        refs = self._passwords_of(server, user)
        if not refs and why is not None:
            raise LoginRefused(server.name, user, f"{why}; no ssh.root_password is given")
        if not refs:
            raise BadInput(f"ssh.root_password: missing; it is needed for the login of root on {server.name}")
        for ref in refs[:-1]:
            try:
                return self._offer_password(transport, server, user, ref)
            except LoginRefused:
                if not transport.is_active():
                    raise  # the server hung up; the next password waits for the next connection
        return self._offer_password(transport, server, user, refs[-1])

    def _key(self) -> paramiko.PKey | None:
        if self._access.key is None:
            return None
        path = self._base / self._access.key.expanduser()
        try:
            return paramiko.PKey.from_path(path)
        except (OSError, ValueError, TypeError, paramiko.SSHException) as wrong:
            raise BadInput(
                f"ssh.key: {path} is no usable private key ({_reason(wrong)}); give one without a passphrase, RSA for "
                "servers with OpenSSH before 6.5"
            ) from wrong

    def _offer_key(
        self, transport: paramiko.Transport, server: Server, user: str, key: paramiko.PKey
    ) -> str | None:
        """None when the key was accepted, else why not."""
        if server.name in self._access.legacy or _BEFORE_SHA2.search(transport.remote_version):
            # Such servers verify RSA signatures with SHA-1 only; modern ones refuse these, hence per server.
            transport.disabled_algorithms = {**(transport.disabled_algorithms or {}), "pubkeys": list(_SHA2)}
        try:
            more = transport.auth_publickey(user, key)
        except (paramiko.SSHException, OSError, EOFError) as wrong:
            if _answer_lost(wrong):
                raise Unreachable(server.name, f"lost during the login ({_reason(wrong)})") from wrong
            return _reason(wrong)
        return f"it asks for {', '.join(more)} in addition" if more else None

    def _offer_password(
        self, transport: paramiko.Transport, server: Server, user: str, ref: SecretRef
    ) -> None:
        self._send_password(transport, server, user, self._vault.get(ref), str(ref))

    def _send_password(
        self, transport: paramiko.Transport, server: Server, user: str, password: SecretStr, what: str
    ) -> None:
        """One try, from the budget. `what`: the password's name in an error."""
        self._logins.may_send(server, user, password)
        self._logins.spend(server, user, self._access.logins_per_hour)
        try:
            more = transport.auth_password(user, password.get_secret_value())
        except (paramiko.SSHException, OSError, EOFError) as wrong:
            if _answer_lost(wrong) and not self._logins.unanswered(server, user, password):
                raise Unreachable(server.name, f"lost during the login ({_reason(wrong)})") from None
            # Where only keyboard-interactive is allowed, the library sends the password that way, and raises
            # BadAuthenticationType all the same when it was refused.
            unsent = isinstance(wrong, paramiko.BadAuthenticationType) and (
                "keyboard-interactive" not in wrong.allowed_types
            )
            if not unsent:
                self._logins.refused(server, user, password)
            raise LoginRefused(server.name, user, f"{what}: {_reason(wrong)}") from None
        if more:
            raise LoginRefused(server.name, user, f"it asks for {', '.join(more)} in addition")
        self._logins.accepted(server, user)


# ---- one exchange on a channel ----


class _LostError(Exception):
    """The command was sent and its end was not seen; the text says why."""


class _Exchange:
    """Sends a command on a channel and collects its reply, with a deadline over all."""

    def __init__(self, channel: paramiko.Channel, ends: float, answers: Answers | None) -> None:
        self._channel = channel
        self._ends = ends
        self._terminal = answers is not None
        self._answers = deque(answers or ())
        self._prompts = [pattern for pattern, _ in answers or ()]
        self._out = bytearray()
        self._err = bytearray()
        self._answered = 0  # characters of the output that an answer has dealt with

    def run(self, command: str) -> Reply:
        """Raises _LostError when the command may have run and no exit status came in time."""
        channel = self._channel
        try:
            with _closing_at(channel, self._ends):
                channel.exec_command(command)
                if not self._terminal:
                    channel.shutdown_write()  # no input: a command that asks must end, not wait
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise self._lost(lost) from None
        self._listen()
        if not channel.status_event.wait(max(0.0, self._ends - time.monotonic())):
            raise self._lost()
        complete = channel.eof_received or channel.get_transport().is_active()
        if channel.exit_status < 0 or not complete:
            raise self._lost()
        return Reply(channel.exit_status, self._text(), self._err.decode(errors="replace"))

    def _listen(self) -> None:
        """Collect output, and answer prompts, until the output ends."""
        waiting = select.poll()  # not select(): descriptors may be numbered above 1023
        waiting.register(self._channel.fileno(), select.POLLIN)
        while True:
            over = self._channel.eof_received or self._channel.closed
            self._drain()  # after `over` was read: what came before the end is complete
            if over:
                return
            self._answer()
            left = self._ends - time.monotonic()
            if left <= 0:
                raise self._lost()
            waiting.poll(left * 1000 + 1)

    def _drain(self) -> None:
        while self._channel.recv_ready():
            self._out += self._channel.recv(65536)
        while self._channel.recv_stderr_ready():
            self._err += self._channel.recv_stderr(65536)

    def _answer(self) -> None:
        if not self._prompts:
            return
        text = self._text()
        fresh = text[self._answered :]
        if self._answers:
            prompt, answer = self._answers[0]
            if prompt.search(fresh) is None:
                self._refuse_to_repeat(fresh, self._prompts[: -len(self._answers)])
                return
            self._answers.popleft()
            self._answered = len(text)
            self._send(answer.get_secret_value() if isinstance(answer, SecretStr) else answer)
            return
        self._refuse_to_repeat(fresh, self._prompts)

    def _refuse_to_repeat(self, fresh: str, answered: Sequence[re.Pattern[str]]) -> None:
        """It asks again for what was answered: interrupt it, and say what it had printed before."""
        said, _, last = fresh.rpartition("\n")
        if last and any(prompt.search(last) for prompt in answered):
            with suppress(OSError, EOFError, paramiko.SSHException):  # already lost is no worse
                self._channel.send(b"\x03")
            because = " ".join(said.split())[-200:]
            raise _LostError(
                "it asked again for what was answered, and was interrupted"
                + (f" (it had said: {because})" if because else "")
            )

    def _send(self, answer: str) -> None:
        self._channel.settimeout(max(0.1, self._ends - time.monotonic()))
        try:
            self._channel.sendall(answer.encode() + b"\n")
        except (OSError, EOFError, paramiko.SSHException) as lost:
            raise self._lost(lost) from None

    def _text(self) -> str:
        text = self._out.decode(errors="replace")
        return text.replace("\r\n", "\n") if self._terminal else text

    def _lost(self, cause: BaseException | None = None) -> _LostError:
        if time.monotonic() >= self._ends:
            return _LostError("it did not end within its time")
        if not self._channel.get_transport().is_active():
            return _LostError("the connection ended before its exit status came")
        return _LostError(f"the server gave no exit status{f' ({_reason(cause)})' if cause else ''}")


def _open_session(transport: paramiko.Transport) -> paramiko.Channel:
    """A new channel. A server that is slow to forget sessions that have ended refuses a while; nothing was run.

    Raises ChannelException when it goes on refusing, and what else the library raises when the connection is lost.
    """
    ends, pause = time.monotonic() + REFUSING, 0.02
    while True:
        try:
            return transport.open_session(timeout=CHANNEL)
        except paramiko.SSHException as refused:
            if not _refused(transport, refused):
                raise
            if time.monotonic() + pause >= ends:
                raise paramiko.ChannelException(2, "Connect failed") from refused
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


def _refused(transport: paramiko.Transport, wrong: paramiko.SSHException) -> bool:
    """Was the channel refused on a sound connection?

    The library keeps one error per connection: of two channels that are refused at the same moment, one loses its
    reason and says only that it could not be opened. Read as a lost connection, it would end everybody's commands.
    """
    if isinstance(wrong, paramiko.ChannelException):
        return True
    return transport.is_active() and str(wrong) == "Unable to open channel."


def _lost_session(server: str, command: str, why: str) -> MayHaveRun:
    return MayHaveRun(f"{server}: `{command}` was run, but {why}; look at the server before it is run again")


@contextmanager
def _closing_at(channel: paramiko.Channel, ends: float) -> Iterator[None]:
    """Close the channel at `ends`: the library waits for the answer to a request without any limit of its own."""
    alarm = threading.Timer(max(0.0, ends - time.monotonic()), channel.close)
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


# ---- small things ----


def _tune(wire: socket.socket) -> None:
    """Without TCP_NODELAY each command costs some 40 ms; the rest finds dead connections."""
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT)


def _host(server: Server) -> str:
    return server.address if server.port == 22 else f"[{server.address}]:{server.port}"


def _key_of(line: str, number: int, host: str) -> paramiko.PKey | None:
    """The key that a line of known_hosts gives for the host; None for other hosts and for types that we cannot use."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(line.strip(), number)
    except (paramiko.SSHException, paramiko.hostkeys.InvalidHostKey, ValueError):
        return None
    if entry is None or entry.key is None:
        return None
    alone = paramiko.HostKeys()  # knows how hashed names are compared
    for name in entry.hostnames or ():
        alone.add(name, entry.key.get_name(), entry.key)
    return entry.key if alone.lookup(host) is not None else None


def _fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -lf` prints it."""
    return f"{key.get_name()} {key.fingerprint}"


def _answer_lost(wrong: BaseException) -> bool:
    """Did a login end without an answer? The library has one class for refused and for lost."""
    if isinstance(wrong, paramiko.AuthenticationException):
        said = str(wrong)
        return "timeout" in said.lower() or "transport shut down" in said
    return True


def _reason(wrong: BaseException) -> str:
    if isinstance(wrong, OSError) and wrong.strerror:
        return wrong.strerror
    return str(wrong) or type(wrong).__name__
