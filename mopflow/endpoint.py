"""The only module that speaks through apprise: one endpoint, one message, and why it was not taken."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, NotifyType
from pydantic import SecretStr

from mopflow.messages import Message, Tone
from mopflow.secrets import forms

_LIBRARIES = ("apprise", "requests", "urllib3.connectionpool")  # their log lines may hold a URL
_CAUSE = re.compile(r"(?:[\w/]+ )?Exception: (.*)", re.S)  # what apprise says below the level of a warning
_TYPES = {
    Tone.INFO: NotifyType.INFO,
    Tone.GOOD: NotifyType.SUCCESS,
    Tone.WARNING: NotifyType.WARNING,
    Tone.BAD: NotifyType.FAILURE,
}
# no pictures: a message must not make anybody's program fetch something from elsewhere
_ASSET = AppriseAsset(
    app_id="mopflow",
    app_desc="mopflow",
    app_url="",
    image_url_mask="",
    image_url_logo="",
    async_mode=False,
)


class Endpoint:
    """One apprise URL. It is known by its number and kind, for in many of them even the host is a secret."""

    def __init__(self, number: int, url: SecretStr) -> None:
        self._url = url.get_secret_value()
        kind, found, rest = self._url.partition("://")
        self.name = f"endpoint {number}" + (f" ({kind})" if found else "")
        self.usable = True  # False: its URL is none, it is not tried again
        parts = {part for part in re.split(r"[/?&=@:#,]+", rest if found else kind) if len(part) > 2}
        self._secrets = forms({self._url, rest, *parts, *map(unquote, parts)})
        self._sender: Apprise | None = None

    def send(self, message: Message) -> str | None:
        """Why it was not taken, None when it was. It may take as long as the endpoint's own timeouts; never raises."""
        with _overheard() as said:
            try:
                sender = self._opened()
                if sender is None:
                    self.usable = False
                    return self._reason(said, "it is not one URL that apprise knows")
                (plugin,) = sender
                plugin.logger = _listener(said)
                rich = plugin.notify_format is NotifyFormat.HTML
                done = sender.notify(
                    body=message.html if rich else message.body,
                    title=message.subject,
                    notify_type=_TYPES[message.tone],
                    body_format=NotifyFormat.HTML if rich else NotifyFormat.TEXT,
                )
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; a notice never stops work
                return self._reason(said, type(error).__name__)
        return None if done else self._reason(said, "it was not accepted")

    def _opened(self) -> Apprise | None:
        if self._sender is None:
            sender = Apprise(asset=_ASSET)
            if not sender.add(self._url) or len(sender) != 1:
                return None
            (plugin,) = sender
            if plugin.request_rate_per_sec == NotifyBase.request_rate_per_sec:
                # no limit of that service, but apprise's own between any two messages; ours is `Rates`
                plugin.request_rate_per_sec = 0
            self._sender = sender
        return self._sender

    def _reason(self, said: list[str], otherwise: str) -> str:
        text = " ".join(" ".join(said).split()) or otherwise
        for form in self._secrets:
            text = text.replace(form, "********")
        return text[:500]


def _listener(said: list[str]) -> logging.Logger:
    """A logger for a plugin alone: warnings and the cause of a failure go to ``said``, nothing goes to the logs."""
    logger = logging.Logger("endpoint", logging.DEBUG)  # stands outside of the tree of loggers
    logger.addHandler(_Listener(said))
    return logger


class _Listener(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        cause = _CAUSE.fullmatch(text)
        if record.levelno >= logging.WARNING:
            self._said.append(text)
        elif cause is not None:
            self._said.append(f"({cause[1]})")


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
