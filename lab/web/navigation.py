"""The navigation tree at the left of every page (names as in the menu paths of E75412-01)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A link (with `href`) or a group (with `children`); `here` marks the way to the page that is shown."""

    text: str
    href: str | None
    children: tuple[Entry, ...]
    here: bool


_Tree = tuple[tuple[str, "str | _Tree"], ...]

_DIRECTOR: _Tree = (
    ("Upgrade Manager", "upgrade/manager"),
    ("ISO Maintenance", "upgrade/iso"),
    ("System Maintenance", "upgrade/maintenance"),
)
_TREE: _Tree = (
    ("Policy Server", (("Configuration", "policyserver/configuration"),)),
    ("MRA", (("Configuration", "mra/configuration"),)),
    (
        "System Wide Reports",
        (
            ("Alarms", (("Active Alarms", "reports/alarms"),)),
            ("KPI Dashboard", "reports/kpi"),
            ("Trending Reports", "reports/trending"),
            ("Others", (("MPE/MRA Rep Stats", "reports/repstats"),)),
        ),
    ),
    ("Platform Setting", (("Topology Settings", "platform/topology"),)),
    ("Upgrade", _DIRECTOR),
    ("Help", (("About", "help/about"), ("Logout", "logout"))),
)

# 6.1.1, 7.1.1: the group has the name that a page of 12.x has
_OLD_UPGRADE: tuple[str, _Tree] = ("Upgrade Manager", _DIRECTOR[1:])


def tree(key: str, *, director: bool = True) -> tuple[Entry, ...]:
    """The tree as seen from the page with path `key` below /mi/; 10.5 and 11.5 have no `director`."""

    def entry(text: str, below: str | _Tree) -> Entry:
        if isinstance(below, str):
            return Entry(text, f"/mi/{below}", (), key == below or key.startswith(f"{below}/"))
        children = tuple(entry(*child) for child in below)
        return Entry(text, None, children, any(child.here for child in children))

    branches = _TREE if director else tuple(_OLD_UPGRADE if b[0] == "Upgrade" else b for b in _TREE)
    return tuple(entry(*branch) for branch in branches)
