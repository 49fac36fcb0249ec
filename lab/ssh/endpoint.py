"""The SSH daemon of one server: logins, sessions, and its disappearance while the server is away."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import asyncssh

from lab.faults import Name
from lab.sockets import ReservedPort
from lab.state import Server
from lab.world import World

from .machine import TwinMachine
from .sftp import TwinSftp
from .shell import INTERRUPTED, CommandError, Shell, ShellExit, Streams
from .streams import BrokenPipe, Lines
from .tty import ChannelInput, ChannelOutput, HangUp, Interrupted, Terminal

log = logging.getLogger("lab.ssh")

_LOGIN_SECONDS = 60  # real seconds until a connection that does not log in is dropped
_LEGACY_KEX = ("diffie-hellman-group-exchange-sha1", "diffie-hellman-group1-sha1")  # as the old daemons offer


@dataclass(frozen=True, slots=True)
class HostKeys:
    """A server's own keys."""

    ed25519: asyncssh.SSHKey
    rsa: asyncssh.SSHKey

    @classmethod
    def new(cls) -> HostKeys:
        return cls(
            asyncssh.generate_private_key("ssh-ed25519"),
            asyncssh.generate_private_key("ssh-rsa", key_size=2048),
        )

    def known_hosts_line(self, address: str, port: int) -> str:
        public = self.ed25519.export_public_key("openssh").decode().split()
        return f"[{address}]:{port} {public[0]} {public[1]}\n"


class _Daemon(asyncssh.SSHServer):
    """One connection: who may log in."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._machine = endpoint.machine
        self._user = ""
        self._connection: asyncssh.SSHServerConnection | None = None
        self._decided = False  # an event about this attempt stands in the record

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._endpoint.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._endpoint.connections.discard(self._connection)
        if self._user and not self._decided:  # it only offered keys, and none was accepted
            self._machine.record_login(self._user, ok=False)

    def begin_auth(self, username: str) -> bool:
        self._user = username
        return True

    def auth_completed(self) -> None:
        self._decided = True
        self._machine.record_login(self._user, ok=True)

    def kbdint_auth_supported(self) -> bool:
        return False

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        right = self._machine.password_is_right(username, password)
        allowed = username != "root" or self._machine.root_may_use_password()
        who = "root" if self._machine.root_may_use_password() else "admusr"
        if username == who and right and self._endpoint.refuses_right_password():
            right = False
        if not (right and allowed):
            self._decided = True
            self._machine.record_login(username, ok=False)
        return right and allowed

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if not self._machine.has_account(username):
            return False
        return any(_is_key(line, key) for line in self._machine.authorized_keys(username))


def _is_key(line: str, key: asyncssh.SSHKey) -> bool:
    try:
        known = asyncssh.import_public_key(line)
    except asyncssh.KeyImportError:
        return False  # a line with options or a comment: no key of ours
    return known.public_data == key.public_data


class Endpoint:
    """Listens on the server's own address whenever the server is reachable, always on the same port."""

    def __init__(
        self, world: World, server: Server, keys: HostKeys, machine: TwinMachine | None = None
    ) -> None:
        self.world = world
        self.server = server
        self.keys = keys
        self.machine = machine or TwinMachine(world, server)
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._sessions: set[asyncio.Task[None]] = set()
        self._port = ReservedPort(server.address, server.port)
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._changed = asyncio.Event()
        self.address, self.port = self._port.address, self._port.port
        server.port = self.port
        world.machines[server.name] = self.machine
        world.host_keys[server.name] = [
            " ".join(key.export_public_key("openssh").decode().split()[:2])
            for key in (keys.ed25519, keys.rsa)
        ]
        world.reachable_changed.append(self._reachable_changed)
        world.connections_cut.append(self._cut)

    @property
    def known_hosts_line(self) -> str:
        if self.world.faults.stands(Name.HOST_KEY_CHANGED, self.server.name):
            former = asyncssh.generate_private_key("ssh-ed25519")
            return HostKeys(former, self.keys.rsa).known_hosts_line(self.address, self.port)
        return self.keys.known_hosts_line(self.address, self.port)

    def refuses_right_password(self) -> bool:
        """The password of admusr (10.5: root) is right, and yet it is refused."""
        return self.world.faults.stands(Name.WRONG_PASSWORD, self.server.name)

    def _reachable_changed(self, name: str, up: bool) -> None:
        if name != self.server.name:
            return
        if up:
            self.machine.platform.booted = self.world.now()
        else:
            self._shut()
        self._changed.set()

    async def start(self) -> None:
        """Listens, if the server is reachable."""
        if self.server.reachable and self._acceptor is None:
            self._acceptor = await asyncssh.listen(
                sock=self._port.socket(),
                server_factory=lambda: _Daemon(self),
                server_host_keys=[self.keys.ed25519, self.keys.rsa],
                process_factory=self._process,
                sftp_factory=self._sftp,
                sftp_version=3,
                allow_scp=True,
                encoding=None,
                line_editor=False,
                login_timeout=_LOGIN_SECONDS,
                kex_algs=f"+{','.join(_LEGACY_KEX)}",
                agent_forwarding=False,
                x11_forwarding=False,
                compression_algs=None,
            )
            if not self.server.reachable:  # it has gone again meanwhile
                self._shut()

    async def follow(self) -> None:
        """Runs until cancelled: listens again whenever the server has come back."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.start()

    def _shut(self) -> None:
        """From now on connections are refused, and those that were open are cut off."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        self._cut(self.server.name)

    def _cut(self, name: str) -> None:
        if name != self.server.name:
            return
        for connection in list(self.connections):
            connection.abort()
        for session in list(self._sessions):
            session.cancel()

    async def stop(self) -> None:
        self.world.reachable_changed.remove(self._reachable_changed)
        self.world.connections_cut.remove(self._cut)
        self._shut()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=2)
        self._port.close()

    # ---- sessions ----

    def _sftp(self, chan: asyncssh.SSHServerChannel[bytes]) -> TwinSftp:
        user = chan.get_extra_info("username")
        return TwinSftp(chan, self.machine.view(user), self.world.wall(0.0).timestamp())

    def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.create_task(self._session(process))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)

    async def _session(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            status = await self._talk(process)
        except Interrupted:
            status = INTERRUPTED
        except (HangUp, BrokenPipe, ConnectionError, asyncssh.Error) as gone:
            log.info("%s: a session ended early: %s", self.server.name, type(gone).__name__)
            return
        except CommandError as wrong:
            process.stderr.write(f"bash: {wrong}\n".encode())
            status = wrong.status
        except Exception:
            log.exception("%s: a session failed", self.server.name)
            status = 255
        if not process.is_closing():
            process.exit(status)

    async def _talk(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        user = process.get_extra_info("username")
        terminal = Terminal(process) if process.term_type is not None else None
        shell = Shell(self.machine, user, terminal)
        if process.subsystem is not None:
            raise CommandError(f"{process.subsystem}: no such subsystem", 127)
        if terminal is not None:
            if process.command is None:
                return await shell.interact()
            io = Streams(terminal, terminal, terminal)
        else:
            io = Streams(ChannelInput(process), ChannelOutput(process.stdout), ChannelOutput(process.stderr))
            if process.command is None:
                return await shell.script(Lines(io.stdin), io)
        self.machine.record_command(user, process.command)
        try:
            return await shell.run(process.command, io)
        except ShellExit as end:
            return end.status
