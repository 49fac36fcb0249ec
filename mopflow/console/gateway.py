"""The browser's only way out: a loopback door that verifies every TLS connection to the console itself.

Chromium takes no CA file, and its list of exempted keys accepts a strange leaf as long as an exempted key stands
anywhere in the chain. So Chromium is exempted for one key alone, a fresh one of this process, and every name that
it asks for leads to this door. The door opens the real connection with OpenSSL: CA, host name or address and
validity are checked anew for each connection, also after a CMP switch has put another server behind the VIP.

A second duty: a browser that loses a kept connection sends the request again by itself, a POST too. An act is never
sent twice, so the door answers 502 when the console hangs up on anything that is not a plain reading.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mopflow.errors import BadInput, IdentityChanged, MopflowError, Unreachable

_log = logging.getLogger(__name__)
_CHUNK = 1 << 16
_HUNG_UP = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_READINGS = (b"GET ", b"HEAD ")


@dataclass(frozen=True, slots=True)
class Origin:
    """Host and port of a GUI; `name` is what it is called in messages; `url` is where a person would begin."""

    url: str
    host: str
    port: int
    name: str = "the console"

    @classmethod
    def parse(cls, url: str, name: str = "the console") -> Origin:
        """Raises BadInput when it is not an https address, or holds a user or password."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise BadInput(f"{name}: the address must begin with https:// and name a host")
        if parts.username or parts.password:
            raise BadInput(f"{name}: the address must not hold a user or password")
        return cls(url, parts.hostname, parts.port or 443, name)

    def __str__(self) -> str:
        return f"{self.name} at {self.host}:{self.port}"


def client_context(ca: Path | None) -> ssl.SSLContext:
    """A context that verifies; `ca` is a PEM file, None means the system's CAs. Raises BadInput for a bad file."""
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"console CA file {ca}: cannot be read as PEM certificates ({error})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def verify(origin: Origin, context: ssl.SSLContext, ca: Path | None, timeout: float) -> None:
    """Shake hands with the console. Raises Unreachable, or IdentityChanged with both fingerprints."""
    try:
        with socket.create_connection((origin.host, origin.port), timeout=timeout) as raw:
            with context.wrap_socket(raw, server_hostname=origin.host):
                return
    except (OSError, ssl.SSLError) as error:
        raise _ours(error, origin, ca, timeout) from None


def _ours(error: Exception, origin: Origin, ca: Path | None, timeout: float) -> MopflowError:
    if isinstance(error, ssl.SSLCertVerificationError):
        known = f"a certificate for {origin.host} signed by {_authority(ca)}"
        why = error.verify_message or "not verified"
        return IdentityChanged(str(origin), known, f"{_offered(origin, timeout)} ({why})")
    return Unreachable(str(origin), _why(error))


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _authority(ca: Path | None) -> str:
    if ca is None:
        return "a CA of this machine"
    prints = [
        "SHA256:" + certificate.fingerprint(hashes.SHA256()).hex()
        for certificate in x509.load_pem_x509_certificates(ca.read_bytes())
    ]
    return f"{ca.name} ({', '.join(prints)})"


def _offered(origin: Origin, timeout: float) -> str:
    """Fingerprint of what the console shows; fetched without trust, for the message only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((origin.host, origin.port), timeout=timeout) as raw:
            with context.wrap_socket(raw, server_hostname=origin.host) as secured:
                shown = secured.getpeercert(binary_form=True) or b""
    except (OSError, ssl.SSLError) as error:
        return f"a certificate that could not be fetched again ({_why(error)})"
    return "SHA256:" + hashlib.sha256(shown).hexdigest()


class Gateway:
    """The door. `port` is its loopback port, `pin` the hash of the one key that the browser is told to accept."""

    def __init__(self, origin: Origin, ca: Path | None, timeout: float) -> None:
        self.origin = origin
        self._ca = ca
        self._timeout = timeout
        self._context = client_context(ca)
        self._server_context, self.pin = _own_identity(origin.host)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._trouble: MopflowError | None = None
        self._lock = threading.Lock()
        self._failed: OSError | None = None
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="console-gateway", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise Unreachable("the browser's way out", _why(self._failed))

    def verify(self) -> None:
        """Is the right system behind the address now? Raises Unreachable or IdentityChanged."""
        verify(self.origin, self._context, self._ca, self._timeout)

    def take_trouble(self) -> MopflowError | None:
        """Why the last connection to the console failed, once."""
        with self._lock:
            trouble, self._trouble = self._trouble, None
        return trouble

    def close(self) -> None:
        if not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed in the meantime
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._timeout)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(
                asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._server_context)
            )
        except OSError as error:
            self._failed = error
            self._ready.set()
            self._loop.close()
            return
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                up_reader, up_writer = await asyncio.wait_for(
                    asyncio.open_connection(
                        self.origin.host,
                        self.origin.port,
                        ssl=self._context,
                        server_hostname=self.origin.host,
                    ),
                    self._timeout,
                )
            except (OSError, ssl.SSLError) as error:
                trouble = await asyncio.to_thread(_ours, error, self.origin, self._ca, self._timeout)
                with self._lock:
                    self._trouble = trouble
                return
            with self._lock:
                self._trouble = None
            await _Exchange(reader, writer, up_reader, up_writer).run()
        finally:
            await _shut(writer)


class _Exchange:
    """One connection of the browser and its counterpart to the console."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._up_reader, self._up_writer = up_reader, up_writer
        self._waiting = False  # a request is out and no byte of its answer is in
        self._reading = False  # ... and it is a plain reading, which may be sent again

    async def run(self) -> None:
        there = asyncio.create_task(self._carry_up())
        back = asyncio.create_task(self._carry_down())
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            if self._waiting and not self._reading:
                with contextlib.suppress(OSError):  # the browser may be gone as well
                    self._writer.write(_HUNG_UP)
                    await self._writer.drain()
            await _shut(self._up_writer)

    async def _carry_up(self) -> None:
        with contextlib.suppress(OSError):  # either side hung up: the end of this exchange
            while chunk := await self._reader.read(_CHUNK):
                if not self._waiting:
                    self._waiting = True
                    self._reading = chunk.startswith(_READINGS)
                self._up_writer.write(chunk)
                await self._up_writer.drain()

    async def _carry_down(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := await self._up_reader.read(_CHUNK):
                self._waiting = False
                self._writer.write(chunk)
                await self._writer.drain()


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await asyncio.wait_for(writer.wait_closed(), 1)


def _own_identity(host: str) -> tuple[ssl.SSLContext, str]:
    """A key and certificate that live as long as this process, and the pin of the key for the browser."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mopflow gateway")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with TemporaryDirectory(prefix="mopflow-") as folder:  # ssl takes a key from a file only; mode 0700
        file = Path(folder) / "gateway.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(file)
    return context, pin
