"""KPI samples from the CMP by OSSI XML (`/mi/xmlInterfaceRequest.do`), for the record of 4.5 and chapter 11.

The interface takes user and password in the query of the URL. So the URL is completed in the lowest layer only, below
everything that logs or raises: neither a log line of a library nor an error ever holds it.

Assumptions, because the book of 12.1.2 was not at hand: POST, the path and shapes of 12.4, request times in UTC.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx
from pydantic import SecretStr

from mopflow.errors import ActRefused, BadInput, LoginRefused, Unreachable, UnreadableReply
from mopflow.secrets import forms

PATH = "/mi/xmlInterfaceRequest.do"
SOURCE = "OSSI"
GROUPS = ("AFSessionStats",)  # the group that Oracle's description shows
TIMEOUT = httpx.Timeout(60, connect=15)  # seconds

logging.getLogger("httpcore").setLevel(logging.WARNING)  # at DEBUG it prints headers, which may echo the URL

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_LOGIN = re.compile(r"password|log ?in|credential|authenticat|authori[sz]|privilege", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one statistic group; a sample covers 15 minutes."""

    group: str
    policy_server: str
    start: datetime  # UTC
    end: datetime  # UTC
    complete: bool  # False: the interval had not ended when it was asked
    values: dict[str, float | str]  # by name as printed


class Ossi:
    """The OSSI interface of one CMP. May be used from any thread.

    `base_url` such as https://10.0.0.1 (the VIP); only https. `ca`: PEM file of the CA, None: the system's CAs.
    """

    def __init__(self, base_url: str, user: str, password: SecretStr, ca: Path | None = None) -> None:
        url = httpx.URL(base_url)
        if url.scheme != "https" or not url.host or url.userinfo:
            raise BadInput(
                "ossi: the address must be https://HOST[:PORT] without user or password in it; "
                "the password is sent in the URL, which nothing but TLS protects"
            )
        try:
            trust = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
        except OSError as wrong:
            raise BadInput(
                f"console.ca: {ca} is no usable PEM file of a CA ({wrong.strerror or wrong})"
            ) from wrong
        self._who = f"OSSI of {url.host}" + (f":{url.port}" if url.port else "")
        self._user = user
        self._password = password
        self._lock = threading.Lock()
        self._refused = False
        # trust_env off: neither a proxy nor a .netrc of this machine has any business with these requests.
        self._client = httpx.Client(
            base_url=url,
            transport=_WithCredentials(user, password, trust),
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=False,
        )

    def stats(
        self,
        policy_servers: Sequence[str],
        start: datetime,
        end: datetime,
        *,
        groups: Sequence[str] = GROUPS,
        delta: bool = False,
    ) -> list[Sample]:
        """Samples between `start` and `end` (with time zone) of these clusters, in the order of the reply.

        `delta`: counters as differences. Raises Unreachable, LoginRefused (and from then on without asking again),
        ActRefused when the CMP refuses the query, UnreadableReply.
        """
        body = query(policy_servers, start, end, groups, delta=delta)
        with self._lock:  # one at a time: after a refusal nobody sends the password again
            if self._refused:
                raise LoginRefused(
                    self._who, self._user, "refused before; correct the secret and start again"
                )
            try:
                return read_reply(self._ask(body))
            except LoginRefused:
                self._refused = True
                raise
            except ActRefused as refusal:
                said = self._clean(str(refusal))  # again: what XML hides is plain now
                if _LOGIN.search(said) is None:
                    raise ActRefused(said) from None
                self._refused = True
                raise LoginRefused(self._who, self._user, said) from None

    def close(self) -> None:
        self._client.close()

    def _ask(self, body: bytes) -> str:
        try:
            answer = self._client.post(PATH, content=body, headers={"Content-Type": "text/xml"})
        except httpx.TransportError as lost:
            # `from None`: what the library knows of the request stays with the library.
            raise Unreachable(self._who, self._clean(f"{type(lost).__name__} {lost}".strip())) from None
        except httpx.DecodingError as wrong:
            raise UnreadableReply(SOURCE, "the reply cannot be decoded", self._clean(str(wrong))) from None
        text = self._clean(answer.text)
        if answer.status_code in (401, 403):
            raise LoginRefused(self._who, self._user, f"HTTP status {answer.status_code}")
        if answer.status_code != 200:
            raise UnreadableReply(SOURCE, f"HTTP status {answer.status_code}", text)
        return text

    def _clean(self, text: str) -> str:
        for form in forms([self._password.get_secret_value()]):
            text = text.replace(form, "********").replace(escape(form), "********")
        return text


class _WithCredentials(httpx.BaseTransport):
    """Sends requests with the credentials in the query; the request that the client knows, and logs, has none."""

    def __init__(self, user: str, password: SecretStr, trust: ssl.SSLContext) -> None:
        self._inner = httpx.HTTPTransport(verify=trust, trust_env=False)
        self._user = user
        self._password = password

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(
            httpx.Request(
                request.method,
                request.url.copy_merge_params({"user": self._user, "pwd": self._password.get_secret_value()}),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )

    def close(self) -> None:
        self._inner.close()


def query(
    policy_servers: Sequence[str],
    start: datetime,
    end: datetime,
    groups: Sequence[str] = GROUPS,
    *,
    delta: bool = False,
) -> bytes:
    """The body of a QueryOmStats request. Raises ValueError for times without zone or in the wrong order."""
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        raise ValueError("give start and end with a time zone, the start first")
    root = ElementTree.Element("XmlInterfaceRequest")
    ask = ElementTree.SubElement(root, "QueryOmStats", DeltaCount=str(delta).lower())
    for name, moment in (("StartTime", start), ("EndTime", end)):
        ElementTree.SubElement(ask, name).text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    for group in groups:
        element = ElementTree.SubElement(ask, group)
        for server in policy_servers:
            ElementTree.SubElement(element, "PolicyServer").text = server
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode").encode()
    )


def read_reply(text: str) -> list[Sample]:
    """The samples of a reply. Raises ActRefused for a reply that refuses, UnreadableReply for any other shape."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UnreadableReply(SOURCE, "declares a document type, which no reply has", text)
    try:
        root = ElementTree.fromstring(_DECLARATION.sub("", text))  # it is decoded already
    except (ElementTree.ParseError, ValueError, LookupError) as wrong:
        raise UnreadableReply(SOURCE, f"no XML ({wrong})", text) from None
    result = root if root.tag == "Result" else root.find(".//Result")
    if result is not None:
        failure = root.find(".//Failure")
        count = failure.get("count", "0") if failure is not None else "0"
        if (result.text or "").strip() != "0" or count != "0":
            said = "".join(failure.itertext()).strip() if failure is not None else ""
            raise ActRefused(f"OSSI refuses the query: {said or 'no reason given'} (Result {result.text})")
    statistics = root if root.tag == "Statistics" else root.find(".//Statistics")
    if statistics is None:
        raise UnreadableReply(SOURCE, "no Statistics", text)
    found = []
    for group in statistics:
        for sample in group:
            if sample.tag != "Sample":
                raise UnreadableReply(SOURCE, f"{sample.tag} where samples should be", text)
            found.append(_sample(group.tag, sample))
    return found


def _sample(group: str, element: ElementTree.Element) -> Sample:
    texts: dict[str, str] = {}
    for child in element:
        if child.tag in texts or len(child):
            raise UnreadableReply(SOURCE, f"{child.tag} is there twice or has parts", _shown(element))
        texts[child.tag] = (child.text or "").strip()
    try:
        start, end = _moment(texts.pop("StartTime")), _moment(texts.pop("EndTime"))
        server, complete = texts.pop("PolicyServer"), texts.pop("IsComplete")
    except (KeyError, ValueError) as wrong:
        raise UnreadableReply(SOURCE, f"a sample without a good {wrong}", _shown(element)) from None
    if not server or complete not in ("true", "false") or end <= start:
        raise UnreadableReply(SOURCE, "a sample that makes no sense", _shown(element))
    values: dict[str, float | str] = {
        name: float(value) if _NUMBER.fullmatch(value) else value for name, value in texts.items()
    }
    return Sample(group, server, start, end, complete == "true", values)


def _moment(text: str) -> datetime:
    """Replies carry Z. Raises ValueError for a time without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time zone in {text!r}")
    return moment.astimezone(UTC)


def _shown(element: ElementTree.Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")
