"""Notifications to people, by apprise. They tell; they never decide, and no work stops because one was not delivered."""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyFormat
from pydantic import SecretStr

from mopflow.errors import MopflowError
from mopflow.ledger import Ledger
from mopflow.secrets import forms

Url = SecretStr | str
_log = logging.getLogger(__name__)
_LIBRARIES = ("apprise", "requests", "urllib3.connectionpool")  # their log lines may hold a URL


@dataclass(frozen=True, slots=True)
class _Message:
    subject: str
    body: str


class Notices:
    """Sends notifications in a thread of its own and notes in the ledger what became of each.

    `urls` are apprise URLs, or what gives them (asked in that thread, so that nobody waits for it; asked again for the
    next message when it failed). They hold secrets: no log line, row or error has one. `strike` takes other secrets
    out of what is told (`Vault.strike`).
    """

    def __init__(
        self,
        urls: Callable[[], Sequence[Url]] | Sequence[Url],
        ledger: Ledger,
        site: str,
        campaign: str | None,
        strike: Callable[[str], str],
    ) -> None:
        self._urls = urls
        self._ledger = ledger
        self._site = site
        self._campaign = campaign
        self._strike = strike
        self._endpoints: list[_Endpoint] | None = None
        self._waiting: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        # The context is copied so that log lines still find the flow run that they belong to.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name="notices", daemon=True
        )
        self._thread.start()

    def tell(self, subject: str, body: str) -> None:
        """Send this to every endpoint. Returns at once and never raises; what fails is logged and in the ledger."""
        self._waiting.put(_Message(self._strike(subject), self._strike(body)))

    def close(self, timeout: float) -> bool:
        """Send what still waits, but for no longer than `timeout` seconds; True when everything was tried.

        What was not is noted in the ledger as not delivered.
        """
        self._waiting.put(None)
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return True
        while True:
            try:
                message = self._waiting.get_nowait()
            except queue.Empty:
                return False
            if message is not None:
                self._note(message, False, "mopflow ended before it was sent")

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            failed = self._send(message)
            self._note(message, not failed, "; ".join(failed))

    def _send(self, message: _Message) -> list[str]:
        """Why it was not delivered everywhere; empty when it was."""
        try:
            if self._endpoints is None:
                urls = self._urls() if callable(self._urls) else self._urls
                self._endpoints = [_Endpoint(number, url) for number, url in enumerate(urls, start=1)]
        except MopflowError as error:
            return [self._strike(str(error))]
        except Exception as error:  # noqa: BLE001 - whoever gives the URLs may raise anything; work goes on
            return [f"the endpoints cannot be read ({type(error).__name__})"]
        if not self._endpoints:
            return ["no endpoint is named"]
        answers = [(endpoint, endpoint.send(message)) for endpoint in self._endpoints]
        return [f"{endpoint.name}: {self._strike(why)}" for endpoint, why in answers if why is not None]

    def _note(self, message: _Message, delivered: bool, why: str) -> None:
        if not delivered and self._endpoints != []:  # a site without endpoints wants no notifications
            _log.warning("notification %r was not delivered: %s", message.subject, why)
        try:
            self._ledger.add_notice(self._site, self._campaign, message.subject, delivered, why)
        except MopflowError as error:
            _log.warning("the notification %r cannot be entered: %s", message.subject, error)


class _Endpoint:
    """One apprise URL. It is known by its number and kind, for in many of them even the host is a secret."""

    def __init__(self, number: int, url: Url) -> None:
        self._url = url.get_secret_value() if isinstance(url, SecretStr) else url
        kind, found, rest = self._url.partition("://")
        self.name = f"endpoint {number}" + (f" ({kind})" if found else "")
        parts = {part for part in re.split(r"[/?&=@:#,]+", rest if found else kind) if len(part) > 2}
        self._secrets = forms({self._url, rest, *parts, *map(unquote, parts)})
        self._sender: Apprise | None = None

    def send(self, message: _Message) -> str | None:
        """Why it was not delivered, None when it was."""
        with _overheard() as said:
            try:
                if self._sender is None:
                    sender = Apprise(asset=AppriseAsset(async_mode=False))
                    if not sender.add(self._url):
                        return self._reason(said, "its URL is not one that apprise knows")
                    self._sender = sender
                done = self._sender.notify(
                    body=message.body or message.subject,
                    title=message.subject,
                    body_format=NotifyFormat.TEXT,
                )
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; a notice never stops work
                return self._reason(said, type(error).__name__)
        return None if done else self._reason(said, "it was not accepted")

    def _reason(self, said: list[str], otherwise: str) -> str:
        text = " ".join(" ".join(said).split()) or otherwise
        for form in self._secrets:
            text = text.replace(form, "********")
        return text[:500]


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Keep from the logs what the libraries say in this thread, and collect their warnings: why it failed."""
    said: list[str] = []
    me = threading.get_ident()

    def overhear(record: logging.LogRecord) -> bool:
        if record.thread != me:
            return True
        if record.levelno >= logging.WARNING:
            said.append(record.getMessage())
        return False

    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(overhear)
    try:
        yield said
    finally:
        for name in _LIBRARIES:
            logging.getLogger(name).removeFilter(overhear)
