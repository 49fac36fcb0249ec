"""Record what real full-screen programs write to a terminal of 120 columns and 40 rows: `python3 record.py`.

Needs whiptail, dialog and python3-newt of Debian 12 (newt 0.52.23, dialog 1.3-20230209). Each file holds the raw
bytes up to a settled screen, after the keys that its line names.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from pathlib import Path

HERE = Path(__file__).parent
MENU = ["--title", "Main Menu", "--menu", "Select", "18", "60", "8"]
MENU += [x for name in ("Maintenance", "Diagnostics", "Policy Configuration", "Exit") for x in (name, "")]
LONG = [
    "--title",
    "Long",
    "--menu",
    "Select",
    "18",
    "60",
    "8",
    *[x for n in range(40) for x in (f"Entry {n}", "")],
]
FORM = ["--title", "Server Backup", "--inputbox", "ISO path", "10", "100", "/var/camiant/backup/x.iso"]
MESSAGE = ["--title", "Message", "--msgbox", "Server backup complete.", "10", "50"]
GAUGE = ["--title", "Please wait", "--gauge", "Creating the backup", "8", "50", "42"]
STACKED = """
import snack
s = snack.SnackScreen()
s.drawRootText(0, 0, "Platform Configuration Utility")
one = snack.GridForm(s, "Main Menu", 1, 1)
box = snack.Listbox(10, width=40)
for n, name in enumerate(("Maintenance", "Policy Configuration", "Exit")):
    box.append(name, n)
one.add(box, 0, 0)
one.draw()
two = snack.GridForm(s, "Server Backup", 1, 2)
two.add(snack.Textbox(30, 2, "The backup was not taken:\\ndisk full"), 0, 0)
two.add(snack.Button("OK"), 0, 1)
two.runOnce()
"""
DOWN, KEYPAD_DOWN, TAB = b"\x1b[B", b"\x1bOB", b"\t"
WANTED = [
    ("whiptail-menu", ["whiptail", *MENU], "xterm", "C", [KEYPAD_DOWN]),
    ("whiptail-menu-utf8", ["whiptail", *MENU], "xterm", "C.UTF-8", [KEYPAD_DOWN]),
    ("whiptail-menu-mono", ["whiptail", *MENU], "vt100", "C", [KEYPAD_DOWN]),
    ("whiptail-menu-button", ["whiptail", *MENU], "xterm", "C", [TAB, TAB]),
    ("whiptail-menu-full", ["whiptail", "--fullbuttons", *MENU], "xterm", "C", [TAB]),
    ("whiptail-long", ["whiptail", *LONG], "xterm", "C", []),
    ("whiptail-form", ["whiptail", *FORM], "xterm", "C", []),
    ("whiptail-form-button", ["whiptail", *FORM], "xterm", "C", [TAB]),
    ("whiptail-message", ["whiptail", *MESSAGE], "xterm", "C", []),
    ("whiptail-gauge", ["sh", "-c", 'sleep 3 | "$@"', "sh", "whiptail", *GAUGE], "xterm", "C", []),
    ("dialog-menu", ["dialog", *MENU], "xterm", "C.UTF-8", [KEYPAD_DOWN]),
    ("dialog-menu-mono", ["dialog", *MENU], "vt100", "C", [KEYPAD_DOWN]),
    ("dialog-long", ["dialog", *LONG], "xterm", "C", []),
    ("dialog-form", ["dialog", *FORM], "xterm", "C", []),
    ("dialog-message", ["dialog", *MESSAGE], "xterm", "C", []),
    ("newt-stacked", ["/usr/bin/python3", "-c", STACKED], "xterm", "C", []),
]


def drain(end: int, quiet: float = 0.5) -> bytes:
    found = b""
    while select.select([end], [], [], quiet)[0]:
        try:
            data = os.read(end, 65536)
        except OSError:
            break
        if not data:
            break
        found += data
    return found


def record(argv: list[str], term: str, locale: str, keys: list[bytes]) -> bytes:
    child, end = pty.fork()
    if child == 0:
        os.environ.update(TERM=term, LC_ALL=locale)
        time.sleep(0.2)  # until the size is set
        os.execvp(argv[0], argv)
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    found = drain(end, 1.0)
    for key in keys:
        os.write(end, key)
        found += drain(end)
    os.close(end)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return found


for name, argv, term, locale, keys in WANTED:
    data = record(argv, term, locale, keys)
    assert data, name
    (HERE / f"{name}.bin").write_bytes(data)
    sys.stdout.write(f"{name}: {len(data)} bytes\n")
