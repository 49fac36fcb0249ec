"""What people are told: the kinds of messages, whom each is for, and how one is written. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from html import escape


class Tag(StrEnum):
    """Whom a message is for, and whom a channel reaches."""

    DUTY = "duty"
    MANAGER = "manager"
    CUSTOMER = "customer"


class Kind(StrEnum):
    """What a message is about; the value stands in the ledger and in the site file."""

    CAMPAIGN_BEGINS = "campaign-begins"
    CAMPAIGN_ENDS = "campaign-ends"
    WINDOW_BEGINS = "window-begins"
    WINDOW_ENDS = "window-ends"
    PHASE_BEGINS = "phase-begins"
    PHASE_ENDS = "phase-ends"
    CLUSTER_DONE = "cluster-done"
    HOLD = "hold"
    QUESTION = "question"  # a hold that asks whether an act may be done
    HOLD_AGAIN = "hold-again"
    ANSWER = "answer"
    FAILURE = "failure"
    ROLLBACK = "rollback"
    ALARM = "alarm"
    CHANGE = "change"  # somebody changed the configuration
    FORECAST_AMBER = "forecast-amber"
    FORECAST_RED = "forecast-red"
    ALL_DONE = "all-done"
    RECORD = "record"  # written, with the hash that it can be compared with
    TEST = "test"


class Haste(StrEnum):
    """How long a message may wait for others that could go out with it."""

    NOW = "now"  # not at all, and it goes out alone: a person is needed
    SOON = "soon"  # not at all, unless too many went out already
    GATHERED = "gathered"  # a while: where there is one, there are more


class Tone(IntEnum):
    """How serious it is; a group is as serious as its worst message."""

    INFO = 0
    GOOD = 1
    WARNING = 2
    BAD = 3


@dataclass(frozen=True, slots=True)
class Manner:
    """How messages of a kind are told. ``subject`` has the places {about} and {site}; ``once``: in a campaign."""

    subject: str
    tags: tuple[Tag, ...]
    haste: Haste = Haste.SOON
    tone: Tone = Tone.INFO
    once: bool = False


_DUTY = (Tag.DUTY,)
_BOTH = (Tag.DUTY, Tag.MANAGER)
_ALL = tuple(Tag)

MANNERS: dict[Kind, Manner] = {
    Kind.CAMPAIGN_BEGINS: Manner("{site}: campaign {about} begins", _ALL, Haste.NOW, once=True),
    Kind.CAMPAIGN_ENDS: Manner("{site}: campaign {about} is over", _ALL, Haste.NOW),
    Kind.WINDOW_BEGINS: Manner("{site}: window {about} is open", _ALL, Haste.NOW, once=True),
    Kind.WINDOW_ENDS: Manner("{site}: window {about} is over", _ALL, Haste.NOW, once=True),
    Kind.PHASE_BEGINS: Manner("{site}: {about} begins", _BOTH),
    Kind.PHASE_ENDS: Manner("{site}: {about}", _BOTH),
    Kind.CLUSTER_DONE: Manner("{site}: {about}", _DUTY, tone=Tone.GOOD),
    Kind.HOLD: Manner("HOLD {about} ({site})", _DUTY, Haste.NOW, Tone.BAD),
    Kind.QUESTION: Manner("QUESTION {about} ({site})", _DUTY, Haste.NOW, Tone.WARNING),
    Kind.HOLD_AGAIN: Manner("STILL HELD {about} ({site})", _BOTH, Haste.NOW, Tone.BAD),
    Kind.ANSWER: Manner("ANSWERED {about} ({site})", _BOTH),
    Kind.FAILURE: Manner("FAILED {about} ({site})", _BOTH, tone=Tone.BAD),
    Kind.ROLLBACK: Manner("ROLLBACK {about} ({site})", _BOTH, Haste.NOW, Tone.BAD),
    Kind.ALARM: Manner("ALARM {about} ({site})", _DUTY, Haste.GATHERED, Tone.WARNING),
    Kind.CHANGE: Manner("CHANGED {about} ({site})", _DUTY, Haste.GATHERED, Tone.WARNING),
    Kind.FORECAST_AMBER: Manner("FORECAST AMBER {about} ({site})", _DUTY, tone=Tone.WARNING),
    Kind.FORECAST_RED: Manner("FORECAST RED {about} ({site})", _BOTH, Haste.NOW, Tone.BAD),
    Kind.ALL_DONE: Manner("ALL DONE {about} ({site})", _ALL, Haste.NOW, Tone.GOOD),
    Kind.RECORD: Manner("RECORD {about} ({site})", _DUTY, Haste.GATHERED),
    Kind.TEST: Manner("TEST {about} ({site})", _ALL, Haste.NOW),
}

SUBJECT = 78  # characters: what a mail program and a phone show of it
_MANY = {Kind.ALARM: "unexpected alarms", Kind.CHANGE: "changes of the configuration"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message to people. ``what`` happened, what is ``to_do`` next, ``link``: the run in Prefect.

    ``holds``: ids of holds that count as told once it was delivered. ``contact``: the name of one whose own channel it
    goes to besides the channels of its tags. ``parts``: the messages that were put together in this one.
    """

    kind: Kind
    site: str
    campaign: str | None
    subject: str
    what: str
    to_do: str
    at: datetime  # UTC
    tags: tuple[Tag, ...]
    link: str = ""
    holds: tuple[str, ...] = ()
    contact: str = ""
    parts: tuple[Message, ...] = ()

    @property
    def haste(self) -> Haste:
        return MANNERS[self.kind].haste

    @property
    def tone(self) -> Tone:
        return max((part.tone for part in self.parts), default=MANNERS[self.kind].tone)

    @property
    def body(self) -> str:
        """What happened, what to do next, where to look."""
        lines = [self.what]
        if self.to_do:
            lines += ["", f"To do: {self.to_do}"]
        if self.link:
            lines += ["", f"Run: {self.link}"]
        return "\n".join([*lines, "", self.foot])

    @property
    def html(self) -> str:
        """The same as `body`, for what shows HTML; nothing in it is fetched from anywhere."""
        parts = [f"<p>{_lines(self.what)}</p>"]
        if self.to_do:
            parts.append(f"<p><b>To do:</b> {_lines(self.to_do)}</p>")
        if self.link:
            link = escape(self.link)
            parts.append(f'<p>Run: <a href="{link}">{link}</a></p>')
        foot = _lines(self.foot)
        return "\n".join([*parts, f'<p style="color: #666; font-size: small">{foot}</p>'])

    @property
    def foot(self) -> str:
        """Of which site and campaign, and when."""
        of = f"{self.site}, campaign {self.campaign}" if self.campaign else self.site
        return f"{of}, {self.at:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def whom(self) -> str:
        """Whom it is for, as words."""
        return ", ".join([*self.tags, *([self.contact] if self.contact else [])])


def write(
    kind: Kind,
    site: str,
    campaign: str | None,
    about: str,
    what: str,
    to_do: str = "",
    *,
    at: datetime,
    link: str = "",
    tags: Sequence[Tag] | None = None,
    holds: Sequence[str] = (),
    contact: str = "",
) -> Message:
    """A message of this kind. ``about``: a few words for the subject. ``tags`` None: those of the kind."""
    manner = MANNERS[kind]
    return Message(
        kind=kind,
        site=site,
        campaign=campaign,
        subject=_subject(manner.subject, about, site),
        what=what,
        to_do=to_do,
        at=at,
        tags=manner.tags if tags is None else tuple(tags),
        link=link,
        holds=tuple(holds),
        contact=contact,
    )


def together(messages: Sequence[Message]) -> Message:
    """One message that says all of these, in their order. They are for the same people."""
    first = messages[0]
    if len(messages) == 1:
        return first
    worst = max(messages, key=lambda message: message.tone)
    counted = Counter(message.kind for message in messages)
    if len(counted) == 1 and first.kind in _MANY:
        template, about = MANNERS[first.kind].subject, f"{len(messages)} {_MANY[first.kind]}"
    else:
        template = "{about} ({site})"
        about = f"{len(messages)} messages: " + ", ".join(f"{n} {kind}" for kind, n in counted.items())
    to_do = list(dict.fromkeys(message.to_do for message in messages if message.to_do))
    return replace(
        worst,
        subject=_subject(template, about, first.site),
        what="\n".join(f"{message.at:%H:%M:%S} {_line(message)}" for message in messages),
        to_do=to_do[0] if len(to_do) == 1 else "".join(f"\n- {one}" for one in to_do),
        at=messages[-1].at,
        link=next((message.link for message in messages if message.link), ""),
        holds=tuple(hold for message in messages for hold in message.holds),
        parts=tuple(messages),
    )


def _line(message: Message) -> str:
    """A message within a group. What is said of an alarm names it already."""
    if message.kind in _MANY:
        return message.what
    return f"{message.subject}: {message.what}" if message.what else message.subject


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _subject(template: str, about: str, site: str) -> str:
    """The whole subject on one line; ``about`` is cut where it would be too long."""
    about = " ".join(about.split())
    room = SUBJECT - len(template.format(about="", site=site))
    if len(about) > max(room, 8):
        about = about[: max(room, 8) - 1].rstrip() + "…"
    return template.format(about=about, site=site)
