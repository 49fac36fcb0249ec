"""Names and initials of the people who had a say."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mopflow.confirmations import TWIN
from mopflow.record.model import Person

_SHORT = 4


def initials(name: str) -> str:
    """J. Doe is JD; a single word is what the person is called here and stays: ops, jdoe."""
    if name == TWIN:
        return "twin"
    words = re.findall(r"[^\W\d_]+", name)
    if len(words) > 1:
        return "".join(word[0] for word in words).upper()
    bare = name.strip()
    return bare.upper() if len(bare) <= _SHORT else bare


def people(said: Iterable[tuple[str, str]]) -> tuple[Person, ...]:
    """Each person once, in the order of their first word. ``said``: name and what it was about.

    Two people with the same initials are told apart by a number.
    """
    words: dict[str, list[str]] = {}
    for name, what in said:
        mine = words.setdefault(name, [])
        if what not in mine:
            mine.append(what)
    taken: dict[str, int] = {}
    found = []
    for name, mine in words.items():
        short = initials(name)
        taken[short] = taken.get(short, 0) + 1
        mark = short if taken[short] == 1 else f"{short}{taken[short]}"
        found.append(Person(initials=mark, name=name, said=tuple(mine)))
    return tuple(found)
