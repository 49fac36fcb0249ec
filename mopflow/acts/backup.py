"""Take a backup through the menu of platcfg, and bring it to the repository (4.6.4 steps 1 and 3)."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from mopflow.backups import BackupFile, BackupKind, Copy, Source, misnamed
from mopflow.errors import ActRefused, CommandFailed, MopflowError, UnreadableReply
from mopflow.menu import Menu
from mopflow.probes import backups as probe
from mopflow.repository import PART, QUIET, Repository
from mopflow.screen import Screen
from mopflow.ssh import Servers

COMMAND = "sudo su - platcfg"
SIZE = (200, 50)  # of the terminal: the default path of a backup has more than 100 characters
WAY = ("Policy Configuration", "Backup and Restore")
SAYS = 0.5  # seconds between two looks at what runs

_PATH = re.compile(r"(?:^|\s)(/\S*?)_*(?=\s|$)")  # a field is filled up with underscores
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3}) ?%")
_GOOD = re.compile(r"(?i)\b(success\w*|completed?|finished|done)\b")
_BAD = re.compile(
    r"(?i)\b(error|fail\w*|unable|cannot|could not|not|abort\w*|denied|full|invalid|interrupted)\b"
)

Tell = Callable[[str], None]


class NoMenu(ActRefused):
    """The menu was not as expected; nothing was begun in it. `shown`: the text of its screen."""

    def __init__(self, why: UnreadableReply) -> None:
        self.shown = why.reply
        lines = " | ".join(line.strip() for line in why.reply.splitlines())
        super().__init__(f"{why.source}: {why.what}: {lines[:600]}")


# ---- taking it ----


def take(
    servers: Servers,
    server: str,
    kind: BackupKind,
    source: Source,
    *,
    strike: Callable[[str], str],
    tell: Tell,
    patience: float,
) -> str:
    """Take a backup with the default path, follow it to its end, and leave the menu; the path.

    `patience`: seconds that the backup itself may take. Raises NoMenu when the way to it is not as expected, and
    ActRefused when platcfg says that it failed: no backup was made. Raises UnreadableReply when it was begun and its
    end was not understood, MayHaveRun when the connection was lost. The menu never stays open.
    """
    with servers.session(server, COMMAND, terminal=SIZE) as wire:
        menu = Menu(wire, f"{server}: platcfg", SIZE, strike)
        try:
            path = _way(menu, kind, source)
        except UnreadableReply as unknown:
            raise NoMenu(unknown) from unknown
        menu.push("OK")
        said = _follow(menu, kind, tell, patience)
        if said is not None:
            menu.push("OK")
        menu.leave()
    if said is not None and _BAD.search(said):
        raise ActRefused(f"{server}: platcfg says: {said}")
    return path


def _way(menu: Menu, kind: BackupKind, source: Source) -> str:
    """Through the menus to the form; the path that it shows."""
    for entry in (*WAY, kind.entry):
        menu.expect_entry(entry)
        menu.choose(entry)
    menu.expect("a form with OK and Cancel", lambda _: menu.buttons() == {"ok", "cancel"})
    window = menu.screen.active
    assert window is not None
    paths = [m[1] for p in menu.screen.pieces(window) for m in _PATH.finditer(p.text)]
    if len(paths) != 1:
        raise menu.unknown(f"{len(paths)} paths in the form instead of one")
    wrong = misnamed(paths[0], kind, source)
    if wrong is not None:
        raise menu.unknown(f"the default path is not the documented one: {wrong}")
    return paths[0]


def _follow(menu: Menu, kind: BackupKind, tell: Tell, patience: float) -> str | None:
    """Wait for the end; what the message says, None when it went back to its menu without one."""
    ends, since = time.monotonic() + patience, datetime.now(UTC)
    while True:
        settled = menu.look(SAYS)
        if menu.ended:
            raise menu.unknown("it ended during the backup")
        if time.monotonic() > ends:
            raise menu.unknown(f"the backup did not end within {patience:g} s")
        if not settled:
            continue
        buttons = menu.buttons()
        window = menu.screen.active
        if buttons == {"ok"} and window is not None:
            said = menu.screen.message(window)
            if not (_GOOD.search(said) or _BAD.search(said)):
                raise menu.unknown("a message that is not known")
            return said
        if not buttons and menu.has_entry(kind.entry):
            return None
        if buttons - {"ok", "cancel"}:  # these two are the form, until it is drawn over
            raise menu.unknown("it asks something that is not known")
        tell(_progress(menu.screen, since))


def _progress(screen: Screen, since: datetime) -> str:
    found = _PERCENT.findall(screen.text)
    return f"backup: {found[-1]} %" if found else f"backup runs since {since:%H:%M:%S} UTC"


# ---- keeping it ----


def keep(
    servers: Servers,
    server: str,
    repository: Repository,
    file: BackupFile,
    kind: BackupKind,
    source: Source,
    tell: Tell,
) -> Copy:
    """Copy a backup to the repository and verify it there; the server's file stays. Safe to repeat.

    The hash is taken in the same pass and must be that of the server's file, and that of what the repository reads.
    Raises RepositoryRefused, or ActRefused when the copy differs from the file.
    """
    there = probe.ask_hash(servers, server, file.path)
    if repository.look(server, file.name) != (file.size, there):
        _carry(servers, server, repository, file, there, tell)
    return Copy(
        kind,
        server,
        str(source.release),
        file.name,
        file.size,
        there,
        repository.place(server, file.name),
        datetime.fromtimestamp(float(file.changed), UTC).isoformat(timespec="seconds"),
    )


def _carry(
    servers: Servers, server: str, repository: Repository, file: BackupFile, wanted: str, tell: Tell
) -> None:
    digest, done, told, begun = hashlib.sha256(), 0, 0.0, time.monotonic()
    try:
        with repository.writing(server, file.name) as sink:
            with servers.session(server, f"sudo cat {shlex.quote(file.path)}") as wire:
                while (data := wire.receive(QUIET)) != b"":
                    if data is None:
                        raise ActRefused(f"{server}: {file.path}: nothing came for {QUIET:g} s")
                    sink.write(data)
                    digest.update(data)
                    done += len(data)
                    if time.monotonic() - told > SAYS:
                        told = time.monotonic()
                        tell(_rate(done, file.size, told - begun))
                status = wire.status(QUIET)
                if status != 0:
                    raise CommandFailed(server, f"sudo cat {file.path}", status, wire.complaints)
        if (done, digest.hexdigest()) != (file.size, wanted):
            raise ActRefused(f"{server}: {file.path} came with {done} of {file.size} bytes, or another hash")
        kept = repository.look(server, f"{file.name}{PART}")
        if kept != (file.size, wanted):
            raise ActRefused(
                f"{repository.place(server, file.name)} reads back as {kept}, not as it was sent"
            )
        repository.settle(server, file.name, wanted)
    except BaseException:
        with suppress(MopflowError):  # it may be gone; a part that stays is overwritten the next time
            repository.discard(server, file.name)
        raise


def _rate(done: int, size: int, seconds: float) -> str:
    percent = done * 100 // size if size else 0
    rate = done / seconds if seconds > 0 else 0.0
    left = f", {int((size - done) / rate) // 60}:{int((size - done) / rate) % 60:02d} left" if rate else ""
    return f"to the repository: {percent} %, {rate / 1e6:.1f} MB/s{left}"


def remove(servers: Servers, server: str, path: str) -> None:
    """Remove a backup from the server (4.6.4 step 3); one that has gone already is no error."""
    servers.check(server, f"sudo rm -f {shlex.quote(path)}")
