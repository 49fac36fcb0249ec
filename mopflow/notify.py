"""Tells people, and never stands in the way: messages are grouped, sent, tried again and noted in threads of its own.

It tells; it never decides, and no work waits for a message or stops because one was not delivered.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mopflow.channels import Channel, receivers
from mopflow.courier import WAITS, Attempt, Courier
from mopflow.endpoint import Endpoint
from mopflow.errors import MopflowError
from mopflow.grouping import Grouper, Rates
from mopflow.ledger import Ledger
from mopflow.messages import MANNERS, Kind, Message, Tag, write

_log = logging.getLogger(__name__)
ENDED = "mopflow ended before it was sent"
NOBODY = "no endpoint is named"
NEW_HOLD = frozenset({Kind.HOLD, Kind.QUESTION})


@dataclass(slots=True)
class _Sending:
    """A message on its way: its row in the ledger, and how many endpoints have not ended with it."""

    message: Message
    row: int | None  # None: the ledger could not be written
    open: int = 0
    tries: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def why(self) -> str:
        return "; ".join(f"{name}: {why}" for name, why in self.failures.items())


@dataclass(slots=True)
class _Watch:
    look: Callable[[datetime], None]
    every: float
    due: float = 0.0


class Notices:
    """The messages of one run.

    ``strike`` takes secrets out of what is told (`Vault.strike`). ``tags``: kinds that the site wants told to others
    than is usual. ``first``: the contact whose own channel, if there is one, is told of every new hold. ``link`` gives
    the address of the run in which a message was told, "" where there is none; it never raises.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        ledger: Ledger,
        site: str,
        campaign: str | None,
        strike: Callable[[str], str],
        *,
        rates: Rates = Rates(),  # noqa: B008  it is frozen
        tags: Mapping[Kind, tuple[Tag, ...]] | None = None,
        first: str = "",
        link: Callable[[], str] = str,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._ledger = ledger
        self._site = site
        self._campaign = campaign
        self._strike = strike
        self._tags = tags or {}
        self._first = first
        self._link = link
        self._grouper = Grouper(rates)
        self._waiting: queue.SimpleQueue[Message | _Watch | None] = queue.SimpleQueue()
        self._watches: list[_Watch] = []
        self._lock = threading.Lock()
        self._sending: dict[int, _Sending] = {}  # by the identity of the message
        self._couriers = {
            channel: Courier(Endpoint(number, channel.url), self._report, waits)
            for number, channel in enumerate(channels, start=1)
        }
        for courier in self._couriers.values():
            courier.start()
        # The context is copied so that log lines still find the flow run that they belong to.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name="notices", daemon=True
        )
        self._thread.start()

    @property
    def has_channels(self) -> bool:
        """Is there anybody who can be told?"""
        return bool(self._couriers)

    def tell(
        self,
        kind: Kind,
        about: str,
        what: str,
        to_do: str = "",
        *,
        holds: Sequence[str] = (),
        tags: Sequence[Tag] | None = None,
        contact: str = "",
    ) -> None:
        """Tell people of this. Returns at once and never raises; what fails is logged and in the ledger.

        ``about``: a few words for the subject. ``what`` happened, what is ``to_do`` next. ``holds``: they count as
        told when it was delivered. ``tags``: other people than those of the kind; ``contact``: besides, one contact of
        the site file by a channel of its own.
        """
        self._waiting.put(
            write(
                kind,
                self._site,
                self._campaign,
                self._strike(about),
                self._strike(what),
                self._strike(to_do),
                at=datetime.now(UTC),
                link=self._link(),
                tags=self._tags.get(kind) if tags is None else tags,
                holds=holds,
                contact=contact or (self._first if kind in NEW_HOLD else ""),
            )
        )

    def watch(self, look: Callable[[datetime], None], every: float) -> None:
        """Call ``look(now)`` in the thread of the messages, now and every so many seconds as long as the run lives."""
        self._waiting.put(_Watch(look, every))

    def close(self, timeout: float) -> bool:
        """Send what still waits, but for no longer than `timeout` seconds; True when everything was tried.

        What was not is noted in the ledger as not delivered.
        """
        until = time.monotonic() + timeout
        self._waiting.put(None)
        self._thread.join(timeout)
        for courier in self._couriers.values():
            courier.close(until)
        for courier in self._couriers.values():
            courier.join(max(0.0, until - time.monotonic()))
        with self._lock:
            left = list(self._sending.values())
            self._sending.clear()
        for sending in left:
            with sending.lock:
                why = f"{ENDED}; {sending.why}" if sending.failures else ENDED
                self._settle(sending, delivered=False, why=why)
        return not self._forsaken() and not left

    def _forsaken(self) -> bool:
        """Note what the thread has not even taken in. Is there any?"""
        found = False
        while True:
            try:
                message = self._waiting.get_nowait()
            except queue.Empty:
                return found
            if isinstance(message, Message):
                found = True
                if (sending := self._entered(message)) is not None:
                    self._settle(sending, delivered=False, why=ENDED)

    # in the thread

    def _work(self) -> None:
        while True:
            try:
                item = self._waiting.get(timeout=self._patience())
            except queue.Empty:
                pass
            else:
                if item is None:
                    break
                if isinstance(item, _Watch):
                    self._watches.append(item)
                else:
                    self._send_all(self._grouper.take(item, time.monotonic()))
            self._send_all(self._grouper.due(time.monotonic()))
            self._look()
        self._send_all(self._grouper.flush())

    def _patience(self) -> float | None:
        times = [watch.due for watch in self._watches]
        due = self._grouper.next_at()
        times += [due] if due is not None else []
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _look(self) -> None:
        for watch in self._watches:
            if watch.due > time.monotonic():
                continue
            try:
                watch.look(datetime.now(UTC))
            except MopflowError as error:
                _log.warning("what people have to be told cannot be seen: %s", error)
            except Exception as error:  # noqa: BLE001 - a mistake there must not silence the other messages
                _log.error("a mistake in the program: %s", type(error).__name__, exc_info=error)
            watch.due = time.monotonic() + watch.every

    def _send_all(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._send(message)

    def _send(self, message: Message) -> None:
        sending = self._entered(message)
        if sending is None:
            return
        to = receivers(list(self._couriers), message)
        if not to:
            why = f"no channel has the tag {message.whom}" if self._couriers else NOBODY
            self._settle(sending, delivered=False, why=why)
            return
        sending.open = len(to)
        with self._lock:
            self._sending[id(message)] = sending
        for channel in to:
            self._couriers[channel].take(message)

    # in the threads of the couriers

    def _report(self, message: Message, attempt: Attempt) -> None:
        with self._lock:
            sending = self._sending.get(id(message))
        if sending is None:
            return  # the run has ended, and said that it was not delivered
        with sending.lock:  # what is written last is what happened last
            sending.tries = max(sending.tries, attempt.tries)
            if attempt.why is None:
                sending.failures.pop(attempt.endpoint, None)
                self._told(message)
            else:
                sending.failures[attempt.endpoint] = self._strike(attempt.why)
            sending.open -= attempt.over
            over = sending.open == 0
            if over:
                with self._lock:
                    self._sending.pop(id(message), None)
            self._settle(sending, delivered=over and not sending.failures, why=sending.why, over=over)

    # the ledger

    def _entered(self, message: Message) -> _Sending | None:
        """The message with its row in the ledger; None for one that is told once and was told before."""
        try:
            row = self._ledger.add_notice(
                self._site,
                self._campaign,
                message.subject,
                False,
                "on its way",
                kind=message.kind.value,
                body=message.body,
                tags=message.whom,
                tries=0,
                once=MANNERS[message.kind].once,
            )
        except MopflowError as error:
            _log.warning("the notification %r cannot be entered: %s", message.subject, error)
            return _Sending(message, None)
        return None if row is None else _Sending(message, row)

    def _settle(self, sending: _Sending, *, delivered: bool, why: str, over: bool = True) -> None:
        subject = sending.message.subject
        if over and not delivered and self._couriers:  # a site without endpoints wants no notifications
            _log.warning("notification %r was not delivered: %s", subject, why)
        if sending.row is None:
            return
        try:
            self._ledger.settle_notice(sending.row, delivered, why, sending.tries)
        except MopflowError as error:
            _log.warning("what became of the notification %r cannot be entered: %s", subject, error)

    def _told(self, message: Message) -> None:
        for hold in message.holds:
            try:
                self._ledger.told(hold, times=1)
            except MopflowError as error:
                _log.warning("that people were told of hold %s cannot be entered: %s", hold, error)
