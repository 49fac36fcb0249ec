"""The Main Menu at the left of every page; of the real one only what the twin has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A link (with `href`) or a folder (with `children`); `here` marks the way to the page that is shown."""

    text: str
    href: str | None
    children: tuple[Entry, ...]
    here: bool


_Tree = tuple[tuple[str, "str | _Tree"], ...]

_TREE: _Tree = (
    (
        "Software",
        (("Software Inventory", "software/inventory"), ("Manage Software Images", "software/images")),
    ),
    ("Task Monitoring", "tasks"),
    ("Logout", "logout"),
)


def tree(key: str) -> tuple[Entry, ...]:
    """The menu as seen from the page `key`."""

    def entry(text: str, below: str | _Tree) -> Entry:
        if isinstance(below, str):
            return Entry(text, f"/gui/{below}", (), key == below)
        children = tuple(entry(*child) for child in below)
        return Entry(text, None, children, any(child.here for child in children))

    return tuple(entry(*item) for item in _TREE)
