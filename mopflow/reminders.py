"""Holds that nobody answers are told again, each time to the next contact of the site file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mopflow.ledger import Hold, Ledger
from mopflow.messages import Kind
from mopflow.notify import Notices
from mopflow.rules import FOLLOWS
from mopflow.site import Contact, Site
from mopflow.stops import STOP

LOOKS = 10  # within the time after which a hold is told again, so often it is looked whether there is one


@dataclass(frozen=True, slots=True)
class Reminder:
    """Tell ``contact`` (None: the site file names none) of this hold; it is the ``times``-th time that it is told."""

    hold: Hold
    contact: Contact | None
    times: int


def due(
    holds: Iterable[Hold],
    answered: Collection[str],
    contacts: Sequence[Contact],
    now: datetime,
    after: timedelta,
) -> list[Reminder]:
    """The reminders whose time has come. Pure.

    The first contact is told when a hold opens, and again when that failed; then the next one each time, and the last
    one of the list for as long as nobody answers. A hold that only follows another one, or a request to stop, waits for
    no answer of its own.
    """
    reminders = []
    for hold in holds:
        if hold.closed is not None or hold.id in answered or hold.rule in (FOLLOWS, STOP):
            continue
        if now - (hold.told or hold.opened) < after:
            continue
        place = min(hold.told_times, len(contacts) - 1)
        reminders.append(Reminder(hold, contacts[place] if contacts else None, hold.told_times + 1))
    return reminders


class Reminders:
    """A watch for `Notices`: reads the holds of the campaign and tells of those that nobody answers."""

    def __init__(self, notices: Notices, ledger: Ledger, site: Site, campaign: str, site_path: str) -> None:
        self._notices = notices
        self._ledger = ledger
        self._site = site
        self._campaign = campaign
        self._path = site_path

    def __call__(self, now: datetime) -> None:
        """Raises LedgerUnavailable."""
        holds = self._ledger.holds(self._site.name, campaign=self._campaign)
        answered = {hold.id for hold in holds if self._ledger.answer_to(hold.id) is not None}
        after = timedelta(seconds=self._site.notifications.remind_after)
        to_tell: dict[Contact | None, list[Hold]] = {}
        for one in due(holds, answered, self._site.contacts, now, after):
            if self._ledger.told(one.hold.id, times=one.times):  # else another run tells of it
                to_tell.setdefault(one.contact, []).append(one.hold)
        for contact, held in to_tell.items():
            self._tell(contact, held, now)

    def _tell(self, contact: Contact | None, holds: Sequence[Hold], now: datetime) -> None:
        first = holds[0]
        about = f"{first.cluster or 'system'} at {first.procedure}/{first.step}"
        what = "\n".join(_line(hold, now) for hold in holds)
        about = about if len(holds) == 1 else f"{about} and {len(holds) - 1} more"
        to_do = _to_do(holds, contact, self._path)
        if contact is None or not contact.has_channel:
            self._notices.tell(Kind.HOLD_AGAIN, about, what, to_do)
        else:
            tags = [contact.tag] if contact.tag is not None else []
            self._notices.tell(Kind.HOLD_AGAIN, about, what, to_do, tags=tags, contact=contact.name)


def _line(hold: Hold, now: datetime) -> str:
    minutes = (now - hold.opened).total_seconds() / 60
    rule = f" ({hold.rule})" if hold.rule else ""
    return (
        f"{hold.cluster or 'The system'} waits at {hold.procedure}/{hold.step}{rule} since {hold.opened:%H:%M} UTC "
        f"({minutes:.0f} min), and nobody has answered: {hold.reason} [hold {hold.id}]"
    )


def _to_do(holds: Sequence[Hold], contact: Contact | None, path: str) -> str:
    remedies = list(dict.fromkeys(hold.remedy for hold in holds))
    words = remedies[0] if len(remedies) == 1 else "".join(f"\n- {remedy}" for remedy in remedies)
    words += f"\nWhat waits, and how it is answered: mopflow holds {path}"
    if contact is None:
        return words
    reach = f", {contact.reach}" if contact.reach else ""
    return f"{words}\nNext to be called: {contact.name} ({contact.role}{reach})"
