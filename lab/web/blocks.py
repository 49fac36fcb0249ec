"""What a page consists of: plain data, drawn by the templates in either grid style."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a grid; several lines are separated by line breaks."""

    lines: tuple[str, ...] = ("",)
    href: str | None = None
    tick: str | None = None  # accessible name of a check box in front of the text
    broken: bool = False  # the Sync Broken mark
    percent: int | None = None  # progress drawn under the text, 0..100
    look: str = ""
    span: int = 1

    @property
    def text(self) -> str:
        return " ".join(self.lines)


def cell(value: object, look: str = "") -> Cell:
    """A cell that shows one value as text."""
    return Cell(lines=(str(value),), look=look)


def number(value: float) -> Cell:
    """A cell that shows a number, without decimals when it is whole."""
    return cell(int(value) if value == int(value) else f"{value:.1f}", "num")


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    cells: tuple[Cell, ...]
    look: str = "plain"  # plain | cluster | server
    cluster: str = ""
    server: str = ""
    kind: str = ""
    selectable: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    form: ClassVar[str] = "grid"
    label: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    id: str = "grid"


@dataclass(frozen=True, slots=True)
class Line:
    form: ClassVar[str] = "line"
    text: str


@dataclass(frozen=True, slots=True)
class Heading:
    form: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    form: ClassVar[str] = "facts"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    text: str
    href: str
    level: int
    here: bool


@dataclass(frozen=True, slots=True)
class Tree:
    form: ClassVar[str] = "tree"
    label: str
    entries: tuple[TreeEntry, ...]


Block = Grid | Line | Heading | Facts | Tree


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of a menu: plain (menuitem), one of several (menuitemradio), on or off (menuitemcheckbox)."""

    text: str
    value: str
    role: str = "menuitem"
    checked: bool | None = None


@dataclass(frozen=True, slots=True)
class Menu:
    label: str
    id: str  # columns | filters | operations
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Tab:
    text: str
    href: str
    here: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A page; `key` is its path below /mi/ and below /mi/fragment/."""

    key: str
    title: str
    toolbar: str = ""  # manager | system | reports
    menus: tuple[Menu, ...] = ()
    tabs: tuple[Tab, ...] = ()
    cluster: str = ""
    refreshed: bool = True
    blocks: tuple[Block, ...] = field(default=())
