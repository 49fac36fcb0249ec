"""Real servers on loopback that catch messages: a mail server, and an HTTP endpoint."""

from __future__ import annotations

import email
import json
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

LONG = 60.0  # seconds; a test that waits this long has failed
USER, PASSWORD = "robot", "t0ken-that-nobody-may-see"


class Post(ThreadingHTTPServer):
    """Takes what is posted to it; answers only while `open` is set, with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.taken: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.arrived = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.status = 200

    @property
    def url(self) -> str:
        return f"json://{USER}:{PASSWORD}@127.0.0.1:{self.server_port}/{PASSWORD}?rto={LONG}"

    @property
    def titles(self) -> list[str]:
        return [str(document["title"]) for document in self.taken]


class _Taker(BaseHTTPRequestHandler):
    server: Post

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.arrived.set()
        assert self.server.open.wait(LONG)
        self.server.paths.append(self.path)
        if self.server.status == 200:
            self.server.taken.append(document)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing to the terminal."""


@contextmanager
def post() -> Iterator[Post]:
    """An HTTP endpoint, until the end of the block."""
    server = Post()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.open.set()
        server.shutdown()
        server.server_close()


class Mail:
    """A mail server with a user and a password. ``refusal``: how it answers a recipient instead of taking the mail."""

    def __init__(self, port: int = 0) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.logins: list[str] = []
        self.refusal = ""
        self.refusals = 0
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=port or free_port(),
            authenticator=self._check,
            auth_require_tls=False,
            auth_required=True,
        )

    @property
    def port(self) -> int:
        return int(self._controller.port)

    def url(self, to: str = "duty@example.net") -> str:
        return (
            f"mailto://{USER}:{PASSWORD}@127.0.0.1:{self.port}?from=mopflow@example.net&to={to}&mode=insecure"
        )

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def _check(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        given = cast(LoginPassword, data)
        self.logins.append(given.login.decode())
        return AuthResult(
            success=given.password.decode() == PASSWORD, handled=False
        )  # it is not answered yet

    # aiosmtpd calls these

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusal:
            self.refusals += 1
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.recipients.append(list(envelope.rcpt_tos))
        self.mails.append(cast(EmailMessage, email.message_from_bytes(content, policy=default)))
        return "250 OK"


@contextmanager
def mail() -> Iterator[Mail]:
    """A mail server, until the end of the block."""
    server = Mail()
    server.start()
    try:
        # it answers before anybody sends
        with smtplib.SMTP("127.0.0.1", server.port, timeout=LONG) as probe:
            probe.noop()
        yield server
    finally:
        server.stop()


@contextmanager
def mute() -> Iterator[tuple[int, threading.Event]]:
    """A port that takes every connection and never says a word; the event is set once somebody is connected."""
    taken: list[socket.socket] = []
    connected = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return  # it was closed
                connected.set()

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], connected
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(LONG)
            for each in taken:
                each.close()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(wanted: Callable[[], Any], what: str = "it did not come") -> None:
    """Wait until something in another thread is so."""
    waiting = threading.Event()
    for _ in range(int(LONG / 0.01)):
        if wanted():
            return
        waiting.wait(0.01)
    raise AssertionError(what)
