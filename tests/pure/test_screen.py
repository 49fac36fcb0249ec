"""The picture of a terminal, from what real whiptail, dialog and newt programs wrote (tests/replies/screen)."""

from __future__ import annotations

from pathlib import Path

import pytest

from mopflow.errors import UnreadableReply
from mopflow.screen import Screen, Span

REPLIES = Path(__file__).parents[1] / "replies" / "screen"
ENTRIES = ["Maintenance", "Diagnostics", "Policy Configuration", "Exit"]


def screen_of(name: str, piece: int = 0) -> Screen:
    """The screen after the recorded bytes, fed in pieces of so many bytes (0: all at once)."""
    screen, data = Screen(120, 40), (REPLIES / f"{name}.bin").read_bytes()
    for at in range(0, len(data), piece or len(data)):
        screen.feed(data[at : at + (piece or len(data))])
    return screen


def pieces(screen: Screen) -> list[Span]:
    assert screen.active is not None
    return list(screen.pieces(screen.active))


def marked(screen: Screen) -> list[str]:
    return [p.text for p in pieces(screen) if screen.marked(p)]


@pytest.mark.parametrize("name", ["whiptail-menu", "whiptail-menu-utf8", "whiptail-menu-mono", "dialog-menu"])
def test_a_menu_shows_its_title_entries_and_the_one_that_is_marked(name: str) -> None:
    screen = screen_of(name)
    window = screen.active
    assert window is not None and window.title == "Main Menu"
    assert [p.text for p in pieces(screen) if p.text in ENTRIES] == ENTRIES
    assert [text for text in marked(screen) if text in ENTRIES] == ["Diagnostics"]
    assert sorted(screen.button(p).lower() for p in pieces(screen) if screen.button(p)) == ["cancel", "ok"]


@pytest.mark.parametrize("name", ["whiptail-menu-utf8", "dialog-menu", "newt-stacked", "whiptail-gauge"])
def test_a_screen_that_comes_byte_by_byte_is_the_same(name: str) -> None:
    at_once, slowly = screen_of(name), screen_of(name, 1)
    assert slowly.text == at_once.text
    assert slowly.windows() == at_once.windows()


def test_frames_are_drawn_whole_where_a_character_is_repeated_by_a_control_sequence() -> None:
    assert b"\x1b[" in (REPLIES / "dialog-message.bin").read_bytes()
    screen = screen_of("dialog-message")
    window = screen.active
    assert window is not None and window.title == "Message"
    assert screen.message(window) == "Server backup complete."


def test_the_terminal_says_how_its_arrows_are_sent() -> None:
    assert not screen_of("whiptail-menu").keypad
    assert screen_of("dialog-menu").keypad


def test_the_focus_stands_where_the_cursor_is() -> None:
    on_list = screen_of("whiptail-menu")
    assert [p.text for p in pieces(on_list) if on_list.on(p)] == ["Diagnostics"]
    on_button = screen_of("whiptail-menu-button")  # two tabs: Cancel
    assert [p.text for p in pieces(on_button) if on_button.on(p)] == ["<Cancel>"]
    assert marked(on_button) == ["Maintenance", "<Cancel>"]
    field = screen_of("whiptail-form")
    assert [p.row for p in pieces(field) if field.on(p)] == [
        p.row for p in pieces(field) if "x.iso" in p.text
    ]


def test_full_buttons_are_boxes_with_one_word() -> None:
    screen = screen_of("whiptail-menu-full")  # one tab: the focus is on Ok
    buttons = {screen.button(p): screen.marked(p) for p in pieces(screen) if screen.button(p)}
    assert buttons == {"Ok": True, "Cancel": False}


def test_of_windows_that_cover_each_other_the_one_with_the_cursor_counts() -> None:
    screen = screen_of("newt-stacked")
    window = screen.active
    assert window is not None and window.title == "Server Backup"
    assert screen.message(window) == "The backup was not taken: disk full"
    assert marked(screen) == ["OK"]


@pytest.mark.parametrize("name", ["whiptail-long", "dialog-long"])
def test_a_list_that_is_longer_than_its_window_shows_it(name: str) -> None:
    screen = screen_of(name)
    assert screen.active is not None and screen.scrolls(screen.active)


@pytest.mark.parametrize("name", ["whiptail-menu", "dialog-menu", "newt-stacked", "whiptail-form"])
def test_a_short_list_does_not_seem_to_go_on(name: str) -> None:
    screen = screen_of(name)
    assert screen.active is not None and not screen.scrolls(screen.active)


def test_a_gauge_has_no_button_and_says_its_percent() -> None:
    screen = screen_of("whiptail-gauge")
    assert "Creating the backup" in screen.text and "42%" in screen.text


def test_dialog_without_colours_marks_nothing_that_could_be_taken_for_one_entry() -> None:
    screen = screen_of("dialog-menu-mono")
    assert len([text for text in marked(screen) if text in ENTRIES]) == 4


def test_a_shell_prompt_is_no_window() -> None:
    screen = Screen(120, 40)
    screen.feed(b"-bash: platcfg: command not found\r\n[admusr@mpe-1a ~]$ ")
    assert screen.active is None and screen.windows() == ()


def test_a_sequence_that_breaks_the_emulation_is_unreadable() -> None:
    screen = Screen(120, 40)
    with pytest.raises(UnreadableReply):
        screen.feed(b"\x1b[?5G\x1b[?6G")


def test_a_frame_with_a_hole_is_no_window() -> None:
    screen = Screen(120, 40)
    screen.feed("\x1b[H┌────┐\r\n│ a  │\r\n  b  │\r\n└────┘\x1b[2;3H".encode())
    assert screen.windows() == ()
