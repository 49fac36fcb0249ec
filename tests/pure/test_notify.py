"""Notifications, sent to a real HTTP endpoint on loopback and to a port where nobody listens."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mopflow.errors import SecretMissing
from mopflow.ledger import Ledger, Notice
from mopflow.notify import Notices

TOKEN = "t0ken-that-nobody-may-see"
LONG = 60.0  # seconds; a test that waits this long has failed


class Endpoint(ThreadingHTTPServer):
    """Takes notifications; answers only while `open` is set, and with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.taken: list[dict[str, Any]] = []
        self.arrived = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.status = 200

    @property
    def url(self) -> str:
        return f"json://robot:{TOKEN}@127.0.0.1:{self.server_port}/{TOKEN}?rto={LONG}"


class Taker(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.arrived.set()
        assert self.server.open.wait(LONG)
        self.server.taken.append(document)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to the terminal."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.open.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def dead() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"json://robot:{TOKEN}@127.0.0.1:{port}/{TOKEN}"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.campaign("lab", "12.1.1", "12.1.2", "night-1")
    return ledger


def notices(ledger: Ledger, urls: Any) -> Notices:
    return Notices(urls, ledger, "lab", "night-1", lambda text: text.replace("geheim", "********"))


def told(ledger: Ledger) -> list[tuple[str, bool, str]]:
    return [(notice.subject, notice.delivered, notice.why) for notice in ledger.notices("lab", "night-1")]


def test_a_notice_arrives_without_secrets_and_is_noted(ledger: Ledger, endpoint: Endpoint) -> None:
    sender = notices(ledger, [SecretStr(endpoint.url)])
    sender.tell("segment 1 began", "the password is geheim; 5 clusters")
    assert sender.close(LONG) is True
    (document,) = endpoint.taken
    assert document["title"] == "segment 1 began"
    assert document["message"] == "the password is ********; 5 clusters"
    assert told(ledger) == [("segment 1 began", True, "")]


def test_a_dead_endpoint_is_noted_and_the_others_are_served(
    ledger: Ledger, endpoint: Endpoint, dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("apprise", "urllib3.connectionpool", "requests"):
            caplog.set_level(logging.DEBUG, logger=name)
        sender = notices(ledger, [SecretStr(dead), SecretStr(endpoint.url)])
        sender.tell("held", "mpe-1")
        assert sender.close(LONG) is True
    assert [document["title"] for document in endpoint.taken] == ["held"]
    ((subject, delivered, why),) = told(ledger)
    assert (subject, delivered) == ("held", False)
    assert why.startswith("endpoint 1 (json): ")
    assert "onnection" in why
    assert "endpoint 2" not in why
    assert "was not delivered: endpoint 1 (json)" in caplog.text
    for secret in (TOKEN, "robot", dead):
        assert secret not in caplog.text
        assert secret not in why


def test_an_endpoint_that_refuses_is_noted(ledger: Ledger, endpoint: Endpoint) -> None:
    endpoint.status = 401
    sender = notices(ledger, lambda: [endpoint.url])
    sender.tell("end", "done")
    sender.close(LONG)
    ((_, delivered, why),) = told(ledger)
    assert delivered is False
    assert "401" in why


def test_a_url_that_apprise_does_not_know_is_noted_without_it(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        sender = notices(ledger, [f"nosuchkind://{TOKEN}/{TOKEN}", f"{TOKEN}"])
        sender.tell("end", "done")
        sender.close(LONG)
    ((_, delivered, why),) = told(ledger)
    assert delivered is False
    assert "endpoint 1 (nosuchkind)" in why
    assert "endpoint 2: " in why
    assert TOKEN not in why + caplog.text


def test_telling_does_not_wait_and_what_still_waits_at_the_end_is_noted(
    ledger: Ledger, endpoint: Endpoint
) -> None:
    endpoint.open.clear()
    sender = notices(ledger, [endpoint.url])
    sender.tell("first", "x")  # returns, although the endpoint does not answer
    assert endpoint.arrived.wait(LONG)
    sender.tell("second", "x")
    assert sender.close(0) is False
    assert told(ledger) == [("second", False, "mopflow ended before it was sent")]


def test_no_endpoint_is_no_error(ledger: Ledger) -> None:
    sender = notices(ledger, [])
    sender.tell("start", "x")
    assert sender.close(LONG) is True
    assert told(ledger) == [("start", False, "no endpoint is named")]


def test_endpoints_that_cannot_be_read_are_asked_for_again(ledger: Ledger, endpoint: Endpoint) -> None:
    answers: list[Exception | Sequence[str]] = [
        SecretMissing("Prefect block pager cannot be read"),
        RuntimeError(TOKEN),
        [endpoint.url],
    ]

    def urls() -> Sequence[str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sender = notices(ledger, urls)
    for subject in ("1", "2", "3", "4"):
        sender.tell(subject, "x")
    assert sender.close(LONG) is True
    assert told(ledger) == [
        ("1", False, "Prefect block pager cannot be read"),
        ("2", False, "the endpoints cannot be read (RuntimeError)"),
        ("3", True, ""),
        ("4", True, ""),
    ]


def test_a_ledger_that_is_gone_stops_no_notice(
    ledger: Ledger, endpoint: Endpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ledger.db").unlink()
    sender = notices(ledger, [endpoint.url])
    sender.tell("start", "x")
    sender.tell("end", "x")
    assert sender.close(LONG) is True
    assert [document["title"] for document in endpoint.taken] == ["start", "end"]
    assert "cannot be entered" in caplog.text


def test_other_threads_keep_their_log_lines(
    ledger: Ledger, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.open.clear()
    sender = notices(ledger, [endpoint.url])
    sender.tell("start", "x")
    assert endpoint.arrived.wait(LONG)
    logging.getLogger("apprise").warning("somebody else's line")
    endpoint.open.set()
    assert sender.close(LONG) is True
    assert "somebody else's line" in caplog.text
    assert told(ledger) == [("start", True, "")]


def test_notices_are_values(ledger: Ledger) -> None:
    ledger.add_notice("lab", None, "before any campaign", True, "")
    (notice,) = ledger.notices("lab")
    assert isinstance(notice, Notice)
    assert notice.campaign is None
    assert ledger.notices("lab", "night-1") == []
