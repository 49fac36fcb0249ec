"""OSSI: query and reply as XML, and a real HTTPS server that looks for the password in everything but the URL."""

from __future__ import annotations

import base64
import http.server
import io
import logging
import ssl
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus, urlsplit
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mopflow.errors import ActRefused, BadInput, LoginRefused, MopflowError, Unreachable, UnreadableReply
from mopflow.ossi import Ossi, query, read_reply

PASSWORD = "s3cret +/&%=ü"
START = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
END = START + timedelta(minutes=15)

SAMPLE = """<Sample><StartTime>2026-11-22T21:00:00Z</StartTime><EndTime>2026-11-22T21:15:00Z</EndTime>
<PolicyServer>mpe-1</PolicyServer><IsComplete>false</IsComplete><Type>TOTAL</Type>
<CurrentAfSessionCount>12</CurrentAfSessionCount><MsgInCount>-1.5</MsgInCount></Sample>"""
REPLY = f"""<?xml version="1.0" encoding="UTF-8"?>
<Statistics><AFSessionStats>{SAMPLE}{SAMPLE.replace("mpe-1", "mpe-2").replace("false", "true")}</AFSessionStats></Statistics>"""


def refusal(text: str, result: str = "1", count: str = "1") -> str:
    return (
        f"<Response><Result>{result}</Result><Command type='XmlInterfaceResponse'>"
        f"<Success count='0'></Success><Failure count='{count}'>{text}</Failure></Command></Response>"
    )


# ---- XML ----


def test_a_query_has_the_documented_shape() -> None:
    zone = timezone(timedelta(hours=2))
    root = ElementTree.fromstring(
        query(["mpe-1", "a<b&c"], START.astimezone(zone), END, ["AFSessionStats", "X"])
    )
    ask = root[0]
    assert (root.tag, ask.tag, ask.attrib) == ("XmlInterfaceRequest", "QueryOmStats", {"DeltaCount": "false"})
    assert [child.tag for child in ask] == ["StartTime", "EndTime", "AFSessionStats", "X"]
    assert (ask[0].text, ask[1].text) == ("2026-11-22T21:00:00", "2026-11-22T21:15:00")
    assert [server.text for server in ask[2]] == ["mpe-1", "a<b&c"]


@pytest.mark.parametrize(("start", "end"), [(START.replace(tzinfo=None), END), (END, START), (START, START)])
def test_times_without_sense_are_refused(start: datetime, end: datetime) -> None:
    with pytest.raises(ValueError, match="time zone"):
        query(["mpe-1"], start, end)


def test_samples_are_read() -> None:
    first, second = read_reply(REPLY)
    assert (first.group, first.policy_server, first.complete) == ("AFSessionStats", "mpe-1", False)
    assert (first.start, first.end) == (START, END)
    assert first.values == {"Type": "TOTAL", "CurrentAfSessionCount": 12.0, "MsgInCount": -1.5}
    assert (second.policy_server, second.complete) == ("mpe-2", True)


@pytest.mark.parametrize(
    "wrap", ["<Response><Result>0</Result>{}</Response>", "<XmlInterfaceResponse>{}</XmlInterfaceResponse>"]
)
def test_the_unknown_outer_wrapper_does_not_matter(wrap: str) -> None:
    assert len(read_reply(wrap.format(REPLY.split("?>")[1]))) == 2


def test_no_sample_is_an_answer() -> None:
    assert read_reply("<Statistics><AFSessionStats></AFSessionStats></Statistics>") == []


@pytest.mark.parametrize(
    "text",
    [refusal("no such server"), refusal("no such server", result="0"), refusal("no such server", count="0")],
)
def test_a_refusal_is_told(text: str) -> None:
    with pytest.raises(ActRefused, match="no such server"):
        read_reply(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Service unavailable",
        "<html><body>Login</body></html>",
        "<Response><Result>0</Result></Response>",
        REPLY[:-5],
        REPLY.replace("<AFSessionStats>", "< AFSessionStats >"),
        "<!DOCTYPE x [<!ENTITY a 'b'>]>" + REPLY.split("?>")[1],
        REPLY.replace("21:00:00Z", "21:00:00"),
        REPLY.replace("2026-11-22T21:00:00Z", "yesterday"),
        REPLY.replace("<StartTime>2026-11-22T21:00:00Z</StartTime>", ""),
        REPLY.replace("21:15:00Z", "20:15:00Z"),
        REPLY.replace("false", "perhaps"),
        REPLY.replace("<PolicyServer>mpe-1</PolicyServer>", "<PolicyServer/>"),
        REPLY.replace("<Type>TOTAL</Type>", "<Type><Kind>TOTAL</Kind></Type>"),
        REPLY.replace("<Type>TOTAL</Type>", "<Type>A</Type><Type>B</Type>"),
        REPLY.replace("Sample>", "Simple>"),
    ],
)
def test_any_other_reply_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableReply):
        read_reply(text)


@given(st.text())
def test_text_is_never_read_as_samples(text: str) -> None:
    with pytest.raises(UnreadableReply):
        read_reply(text)


# ---- a real server ----


class Cmp(http.server.ThreadingHTTPServer):
    """Answers `status` and `body`, and remembers what it was sent."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.status, self.body, self.cut = 200, REPLY.encode(), False
        self.seen: list[tuple[str, str, bytes]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us hangs up; that is its right."""


class Answer(http.server.BaseHTTPRequestHandler):
    server: Cmp

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Host"], body))
        if self.server.cut:
            return
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header(
                "Location",
                f"https://127.0.0.1:{self.server.server_port}/elsewhere?{urlsplit(self.path).query}",
            )
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_args: object) -> None:
        """The server's own log is not what is tested."""


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cmp")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("ca") / "cmp.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def cmp(ca: Path) -> Iterator[Cmp]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca)
    server = Cmp(context)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(30)


def ossi_of(server: Cmp, ca: Path | None) -> Ossi:
    return Ossi(f"https://127.0.0.1:{server.server_port}", "ossi user", SecretStr(PASSWORD), ca)


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All that any library logs, at every level, with tracebacks."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def leaks(text: str) -> list[str]:
    raw = PASSWORD.encode()
    every = {
        PASSWORD,
        quote(PASSWORD, safe=""),
        quote_plus(PASSWORD),
        base64.b64encode(raw).decode(),
        "s3cret",
        "pwd=",
    }
    return [form for form in every if form in text]


def test_samples_come_over_https_with_the_credentials_in_the_query(cmp: Cmp, ca: Path) -> None:
    ossi = ossi_of(cmp, ca)
    samples = ossi.stats(["mpe-1", "mpe-2"], START, END, delta=True)
    ossi.close()
    assert [sample.policy_server for sample in samples] == ["mpe-1", "mpe-2"]
    ((target, host, body),) = cmp.seen
    assert urlsplit(target).path == "/mi/xmlInterfaceRequest.do"
    assert parse_qs(urlsplit(target).query) == {"user": ["ossi user"], "pwd": [PASSWORD]}
    assert host == f"127.0.0.1:{cmp.server_port}"
    assert body == query(["mpe-1", "mpe-2"], START, END, delta=True)


def test_no_library_logs_the_password(cmp: Cmp, ca: Path) -> None:
    with everything_logged() as log:
        ossi = ossi_of(cmp, ca)
        ossi.stats(["mpe-1"], START, END)
        ossi.close()
    assert (
        "HTTP Request: POST https://127.0.0.1" in log.getvalue()
    )  # httpx does log the URL, but not this one
    assert leaks(log.getvalue()) == []
    assert leaks(repr(vars(ossi))) == []


ECHO = f"you said user=ossi&pwd={quote(PASSWORD, safe='')} {PASSWORD}"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, ECHO, UnreadableReply),
        (200, "<!DOCTYPE x>" + ECHO, UnreadableReply),
        (200, refusal(ECHO.replace("&", "&amp;").replace("password", "")), ActRefused),
        (500, ECHO, UnreadableReply),
        (302, ECHO, UnreadableReply),
        (401, ECHO, LoginRefused),
        (403, ECHO, LoginRefused),
    ],
)
def test_no_error_holds_the_password(
    cmp: Cmp, ca: Path, status: int, body: str, error: type[MopflowError]
) -> None:
    cmp.status, cmp.body = status, body.encode()
    with everything_logged() as log:
        ossi = ossi_of(cmp, ca)
        with pytest.raises(error) as wrong:
            ossi.stats(["mpe-1"], START, END)
        ossi.close()
    shown = "".join(traceback.format_exception(wrong.value)) + repr(vars(wrong.value)) + log.getvalue()
    assert set(leaks(shown)) <= {"pwd="}
    assert len(cmp.seen) == 1  # neither repeated nor redirected


@pytest.mark.parametrize("where", ["nobody listens", "connection cut", "certificate not trusted"])
def test_a_lost_connection_is_unreachable_and_holds_no_password(cmp: Cmp, ca: Path, where: str) -> None:
    ossi = ossi_of(cmp, None if where == "certificate not trusted" else ca)
    if where == "nobody listens":
        ossi = Ossi("https://127.0.0.1:1", "ossi", SecretStr(PASSWORD), ca)
    cmp.cut = True
    with everything_logged() as log, pytest.raises(Unreachable) as wrong:
        ossi.stats(["mpe-1"], START, END)
    ossi.close()
    shown = "".join(traceback.format_exception(wrong.value)) + repr(vars(wrong.value)) + log.getvalue()
    assert leaks(shown) == []
    assert len(cmp.seen) == (where == "connection cut")


@pytest.mark.parametrize(
    ("status", "text"),
    [(401, ""), (200, refusal("ERROR_USER_INVALID_CREDENTIALS: the password is not correct"))],
)
def test_refused_credentials_are_not_sent_again(cmp: Cmp, ca: Path, status: int, text: str) -> None:
    cmp.status, cmp.body = status, text.encode()
    ossi = ossi_of(cmp, ca)
    for _ in range(2):
        with pytest.raises(LoginRefused):
            ossi.stats(["mpe-1"], START, END)
    ossi.close()
    assert len(cmp.seen) == 1


@pytest.mark.parametrize("url", ["http://cmp", "cmp", "https://", "https://u:s3cret@cmp"])
def test_only_https_without_credentials_will_do(url: str) -> None:
    with pytest.raises(BadInput) as wrong:
        Ossi(url, "ossi", SecretStr(PASSWORD))
    assert leaks(str(wrong.value)) == []


def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.pem"):
        Ossi("https://cmp", "ossi", SecretStr(PASSWORD), tmp_path / "nowhere.pem")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(BadInput, match=r"bad\.pem"):
        Ossi("https://cmp", "ossi", SecretStr(PASSWORD), tmp_path / "bad.pem")
