"""The evidence: what a step saw, as files under one root, each entered into the ledger with its SHA-256.

    <root>/<campaign>/<procedure>/<step>-<cluster or "system">/<NNN>-<name>

A file is written and synced to the disk before it is entered: the ledger never names a file that is not there.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mopflow.errors import LedgerUnavailable
from mopflow.ledger import Ledger

Strike = Callable[[str], str]
ROOM = (
    64 << 20
)  # bytes that must be free before an act: pictures, exports and the rows of the ledger beside them
PROBE = 1 << 20  # bytes that are written and taken away again: a quota shows in no count of free blocks
RESERVE = 16 << 20  # bytes that are held back, for what must be ended when the disk is full all the same
NEARLY_FULL = 4 << 20  # bytes free below which the reserve is given up


class EvidenceStore:
    """The evidence of one campaign. May be used from any thread and by several processes at once.

    `strike` takes the secrets out of a text (`Vault.strike`); nothing is written without it.
    """

    def __init__(self, root: Path, ledger: Ledger, site: str, campaign: str, strike: Strike) -> None:
        self._root = root.absolute()
        self._ledger = ledger
        self._site = site
        self._campaign = campaign
        self._strike = strike
        self._lock = threading.Lock()
        self._given: set[Path] = set()

    @property
    def root(self) -> Path:
        return self._root

    def keep_text(
        self, procedure: str, step: int, cluster: str | None, name: str, text: str, kind: str
    ) -> Path:
        """Keep `text` (UTF-8, secrets struck) as a new file and give its path.

        Raises LedgerUnavailable when it cannot be written, a full disk included; then no part of it stays.
        """
        content = self._strike(text).encode("utf-8", "backslashreplace")
        return self.keep_bytes(procedure, step, cluster, name, content, kind)

    def keep_bytes(
        self, procedure: str, step: int, cluster: str | None, name: str, content: bytes, kind: str
    ) -> Path:
        """Keep `content`, whose texts were struck by whoever made it, as `keep_text` does."""
        path = self._next(procedure, step, cluster, name)
        try:
            _write_new(path, content)
        except OSError as error:
            if not self._give_up_reserve():
                raise _not_kept(path, error) from None
            try:
                _write_new(path, content)
            except OSError as again:
                raise _not_kept(path, again) from None
        self._enter(procedure, step, cluster, kind, path, content)
        return path

    def require_room(self) -> None:
        """Before an act: can what it will show be kept? Raises LedgerUnavailable when there is too little room.

        More is asked for than one act needs, and some is held back: a failover is followed by a re-apply and a proof
        that nothing may stop.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            _probe(self._root / f".room-{os.getpid()}-{threading.get_ident()}")
            disk = os.statvfs(self._root)
            free = disk.f_bavail * disk.f_frsize
            if free >= ROOM and not self._reserve.exists():
                with self._reserve.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, RESERVE)
        except OSError as error:
            raise _not_kept(self._root, error) from None
        if free < ROOM:
            raise LedgerUnavailable(
                f"evidence cannot be kept in {self._root}: {free >> 20} MiB are free, an act wants {ROOM >> 20}; make "
                "room, then start again"
            )

    @property
    def _reserve(self) -> Path:
        return self._root / ".reserve"

    def _give_up_reserve(self) -> bool:
        """For what is under way; no other act is begun before it is there again."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def _ease(self) -> None:
        with suppress(OSError):  # whoever writes next says what is wrong
            disk = os.statvfs(self._root)
            if disk.f_bavail * disk.f_frsize < NEARLY_FULL:
                self._give_up_reserve()

    def shots(self, procedure: str, step: int, cluster: str | None) -> EvidenceShots:
        """Where one act leaves its pictures."""
        return EvidenceShots(self, procedure, step, cluster)

    def _next(self, procedure: str, step: int, cluster: str | None, name: str) -> Path:
        """A path that is not used yet and is not given out again; its folder is there."""
        folder = (
            self._root / _safe(self._campaign) / _safe(procedure) / f"{step}-{_safe(cluster or 'system')}"
        )
        with self._lock:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                used = {entry.name for entry in folder.iterdir()}
            except OSError as error:
                raise _not_kept(folder, error) from None
            used |= {path.name for path in self._given if path.parent == folder}
            numbers = [int(found[1]) for found in (re.match(r"(\d+)-", entry) for entry in used) if found]
            path = folder / f"{max(numbers, default=0) + 1:03}-{_safe(name)}"
            self._given.add(path)
        return path

    def _enter(
        self, procedure: str, step: int, cluster: str | None, kind: str, path: Path, content: bytes
    ) -> None:
        self._ledger.add_evidence(
            self._campaign,
            self._site,
            procedure,
            step,
            cluster,
            kind,
            path.relative_to(self._root).as_posix(),
            hashlib.sha256(content).hexdigest(),
            len(content),
            datetime.now(UTC),
        )


class EvidenceShots:
    """The pictures of one act (`console.protocol.Shots`). What was written is evidence once `commit` was called."""

    def __init__(self, store: EvidenceStore, procedure: str, step: int, cluster: str | None) -> None:
        self._store = store
        self._where = procedure, step, cluster
        self._given: list[Path] = []

    def next(self, label: str) -> Path:
        """A path that is not used yet; the caller writes the PNG there. Raises LedgerUnavailable on a full disk."""
        self._store._ease()  # the picture is written by somebody who knows no reserve
        path = self._store._next(*self._where, f"{label}.png")
        self._given.append(path)
        return path

    def commit(self) -> list[Path]:
        """Enter every picture that was written since the last call into the ledger, and give their paths.

        Raises LedgerUnavailable when one cannot be read or entered; that one and those after it can be tried again.
        """
        kept: list[Path] = []
        for path in [path for path in self._given if path.exists()]:
            try:
                with path.open("rb") as file:
                    content = file.read()
                    os.fsync(file.fileno())
                sync_folder(path.parent)
            except OSError as error:
                raise _not_kept(path, error) from None
            self._store._enter(*self._where, "screenshot", path, content)
            self._given.remove(path)
            kept.append(path)
        return kept


def _write_new(path: Path, content: bytes) -> None:
    """Raises OSError; then no part of it stays."""
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _probe(path: Path) -> None:
    try:
        with path.open("wb") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def _safe(name: str) -> str:
    """`name` as one part of a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".")[:100] or "_"


def sync_folder(folder: Path) -> None:
    """Without this the file is on the disk after a power cut, but not its name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_kept(path: Path, error: OSError) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"evidence cannot be written to {path}: {error.strerror or error}; make room or mend that place, then start "
        "again"
    )
