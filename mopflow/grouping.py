"""Which messages go out now, and which wait to go out together? Pure: the time is given, in seconds that only grow.

What needs a person goes out at once and alone. Alarms are gathered for a while, for where there is one there are
more, and after a group of them went out the next one waits longer: a storm is one message. Everything else goes out
at once until too many went to the same people; then it waits until there is room again, and goes out as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from mopflow.messages import Haste, Kind, Message, Tag, together

_Group = tuple[Kind, tuple[Tag, ...], str]  # kind, tags, contact
_People = tuple[tuple[Tag, ...], str]


@dataclass(frozen=True, slots=True)
class Rates:
    """``gather``: so many seconds alarms are gathered. At most ``at_most`` messages to the same people in ``per`` seconds.

    A group of alarms is followed by the next one after ``per`` seconds at the earliest.
    """

    gather: float = 30
    at_most: int = 10
    per: float = 300


@dataclass(slots=True)
class _Gathering:
    due: float
    messages: list[Message] = field(default_factory=list)


class Grouper:
    """Takes messages and gives them out, each exactly once, alone or in a group."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._gathered: dict[_Group, _Gathering] = {}
        self._last: dict[_Group, float] = {}  # when a group went out
        self._waiting: dict[_People, list[Message]] = {}
        self._went: dict[_People, deque[float]] = {}

    def take(self, message: Message, now: float) -> list[Message]:
        """Take one in; what goes out because of it."""
        people = (message.tags, message.contact)
        match message.haste:
            case Haste.NOW:
                self._count(people, now)
                return [message]
            case Haste.GATHERED:
                group = (message.kind, *people)
                if group not in self._gathered:
                    last = self._last.get(group)
                    due = now + self._rates.gather
                    if last is not None:
                        due = max(due, last + self._rates.per)
                    self._gathered[group] = _Gathering(due)
                self._gathered[group].messages.append(message)
                return []
            case Haste.SOON:
                if people in self._waiting or self._room_at(people, now) > now:
                    self._waiting.setdefault(people, []).append(message)
                    return []
                self._count(people, now)
                return [message]

    def due(self, now: float) -> list[Message]:
        """What goes out now because its time has come."""
        return list(self._due(now))

    def next_at(self) -> float | None:
        """When `due` will have something; None: not before something is taken in."""
        times = [gathering.due for gathering in self._gathered.values()]
        times += [self._room_at(people, 0.0) for people in self._waiting]
        return min(times, default=None)

    def flush(self) -> list[Message]:
        """Everything that waits."""
        groups = [gathering.messages for gathering in self._gathered.values()] + list(self._waiting.values())
        self._gathered.clear()
        self._waiting.clear()
        return [together(messages) for messages in groups]

    def _due(self, now: float) -> Iterator[Message]:
        for group, gathering in list(self._gathered.items()):
            if gathering.due <= now:
                del self._gathered[group]
                self._last[group] = now
                yield together(gathering.messages)
        for people in [people for people in self._waiting if self._room_at(people, now) <= now]:
            self._count(people, now)
            yield together(self._waiting.pop(people))

    def _room_at(self, people: _People, now: float) -> float:
        """When one more may go to these people: ``now``, or later."""
        went = self._went.get(people, deque())
        if len(went) < self._rates.at_most:
            return now
        return max(now, went[-self._rates.at_most] + self._rates.per)

    def _count(self, people: _People, now: float) -> None:
        went = self._went.setdefault(people, deque(maxlen=self._rates.at_most))
        went.append(now)
