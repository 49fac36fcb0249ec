"""Where messages go: apprise URLs with the tags of the people whom each reaches. Pure; a URL is a secret.

A secret holds one URL, or several lines. As in apprise's text configuration, tags may stand before a URL:

    duty,manager=mailtos://user:password@example.net?to=duty@example.net
    customer=slack://TokenA/TokenB/TokenC
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from mopflow.errors import BadInput
from mopflow.messages import Haste, Message, Tag

_TAGGED = re.compile(r"(?P<tags>[A-Za-z, ]+)=(?P<url>[A-Za-z][\w+.-]*://.*)")


@dataclass(frozen=True, slots=True)
class Channel:
    """One apprise URL. Without ``tags`` it is told of everything; ``contact``: only of what is meant for this one."""

    url: SecretStr
    tags: frozenset[Tag] = frozenset()
    contact: str = ""

    def reaches(self, message: Message) -> bool:
        """Is this message for the people of this channel?"""
        if self.contact:
            return self.contact == message.contact
        return not self.tags or not self.tags.isdisjoint(message.tags)


def channels_of(secret: SecretStr, tags: Sequence[Tag], where: str) -> list[Channel]:
    """The channels that a secret holds; a line with tags of its own keeps those, any other one has ``tags``.

    Raises BadInput, which names the secret (``where``) and nothing of what it holds.
    """
    return list(_lines(secret.get_secret_value(), frozenset(tags), where))


def _lines(text: str, tags: frozenset[Tag], where: str) -> Iterator[Channel]:
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith(("#", ";")):
            continue
        tagged = _TAGGED.fullmatch(line)
        if tagged is None:
            yield Channel(SecretStr(line), tags)
            continue
        own = [word.lower() for word in re.split(r"[, ]+", tagged["tags"]) if word]
        wrong = [word for word in own if word not in set(Tag)]
        if wrong:
            raise BadInput(f"{where}: line {number} has the tag {wrong[0]}; the tags are {', '.join(Tag)}")
        yield Channel(SecretStr(tagged["url"]), frozenset(Tag(word) for word in own))


def receivers(channels: Sequence[Channel], message: Message) -> list[Channel]:
    """The channels that this message goes to.

    What needs a person at once is not lost over its tags: where nobody has one of them it goes to all but the
    customer, and to the customer where there is nobody else.
    """
    found = [channel for channel in channels if channel.reaches(message)]
    if found or message.haste is not Haste.NOW:
        return found
    people = [channel for channel in channels if not channel.contact]
    ours = [channel for channel in people if channel.tags != {Tag.CUSTOMER}]
    return ours or people
