"""Questions of 4.6.4: is the backup taken, whole, kept at the repository, and does the ledger say where?

What this campaign knows of a backup stands in its rows: the listing before (INTENDED of step 1), files that were found
bad (NOTE of step 2), and verified copies (NOTE and VERIFIED of step 3). The live system and the repository decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mopflow import repository
from mopflow.acts import backup as act
from mopflow.acts.configuration import at_once
from mopflow.backups import BackupFile, BackupKind, Copy, Source, misnamed
from mopflow.errors import ActRefused, CommandFailed, MayHaveRun, NothingRun, UnreadableReply
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.probes import backups as probe
from mopflow.probes import hostname, product
from mopflow.repository import Repository, RepositoryRefused
from mopflow.run import FINAL
from mopflow.step import DeadlineKind, Finding, Refusal

TAKEN, CHECKED, KEPT = "4.6.4/1", "4.6.4/2", "4.6.4/3"
BREAKS = 3  # transfers in a row whose connection was lost, after which a person looks
STILL = 10.0  # seconds of the server's clock without a change after which a file counts as written

Question = Callable[[Here], Finding]


# what is known


def source(here: Here) -> Source:
    """Names, type and running release of the server, asked once per step."""
    known: Source | None = here.memo.get("source")
    if known is None:
        name, servers = here.server.name, here.house.servers
        printed = hostname.ask(servers, name)
        if not hostname.is_server(printed, name):
            raise UnreadableReply(f"{name}: hostname", "another server answers at this address", printed)
        hosts = tuple(dict.fromkeys((printed, printed.split(".")[0])))
        known = Source(hosts, here.cluster.image_type, product.ask(servers, name))
        here.memo["source"] = known
    return known


def _own(here: Here) -> dict[str, Any]:
    """What this leg remembers while it is carried out; the two legs of a row share one memo."""
    own: dict[str, Any] = here.memo.setdefault(f"leg {here.leg.name}", {})
    return own


def the_repository(here: Here) -> Repository:
    return repository.of(here.site, here.house.site_path.resolve().parent, here.house.servers)


def kept_copy(here: Here, kind: BackupKind) -> Copy | None:
    """The newest verified copy of the release that runs, if the repository still has it with its size and hash."""
    rows = here.rows(Event.NOTE, Event.VERIFIED, Event.FOUND_DONE, step=KEPT, leg=kind.value)
    copies = [Copy.read(row.entry.data["copy"]) for row in rows if "copy" in row.entry.data]
    release = str(source(here).release)
    for copy in [c for c in reversed(copies) if c.release == release][:1]:
        known = here.memo.get("kept", {})
        if known.get(copy.place) == copy:
            return copy
        if the_repository(here).look(copy.server, copy.name) == (copy.size, copy.sha256):
            here.memo.setdefault("kept", {})[copy.place] = copy
            return copy
    return None


def files(here: Here, kind: BackupKind) -> tuple[list[BackupFile], float]:
    """Backups that this campaign made and that lie on the server, oldest first, and the server's clock.

    Files that lay there before it began, and those of other names, are somebody else's.
    """
    intended = here.rows(Event.INTENDED, step=TAKEN, leg=kind.value)
    if not intended:
        return [], 0.0
    before = [tuple(mark) for mark in intended[0].entry.data.get("before", ())]
    bad = [tuple(row.entry.data["bad"]) for row in _bad(here, kind)]
    listing = probe.ask(here.house.servers, here.server.name, kind)
    mine = [
        file
        for file in listing.files
        if tuple(file.mark) not in before
        and tuple(file.mark) not in bad
        and misnamed(file.path, kind, source(here)) is None
    ]
    return mine, listing.now


def _bad(here: Here, kind: BackupKind) -> list[Any]:
    return [r for r in here.rows(Event.NOTE, step=CHECKED, leg=kind.value) if "bad" in r.entry.data]


def broken(here: Here, kind: BackupKind, file: BackupFile) -> str | None:
    least = here.site.backups.server_bytes if kind is BackupKind.SERVER else here.site.backups.system_bytes
    return probe.ask_broken(here.house.servers, here.server.name, file, kind, least)


def _no(here: Here, evidence: str) -> Finding:
    """A plain no, after which nothing is waited for."""
    _own(here)["plain no"] = True
    return Finding.no(evidence)


def _ask_anew(here: Here) -> None:
    here.memo["rule"] = "backup"
    _own(here)["plain no"] = False


# does the system backup belong to this server?


def on_primary(here: Here) -> Finding:
    """The system backup is taken on the active server of the primary CMP cluster only (4.6.4 step 1, note)."""
    primary = here.site.cmp.primary
    if here.cluster.name != primary.name:
        return Finding.no(f"{here.server.name} is no server of {primary.name}: no system backup")
    active = here.state.active
    if active is not None and active.name != here.server.name:
        return Finding.no(f"{active.name} is the active server of {primary.name}: no system backup here")
    if active is None:
        return Finding.unknown(f"no server of {primary.name} is active now: {here.state.why}")
    return Finding.yes(f"{here.server.name} is the active server of {primary.name}")


# step 1: taken


def taken(kind: BackupKind) -> Question:
    def goal(here: Here) -> Finding:
        """A backup of this campaign is there, on the server or verified at the repository."""
        _ask_anew(here)
        copy = kept_copy(here, kind)
        if copy is not None:
            return Finding.yes(f"verified at the repository already: {copy}")
        mine, now = files(here, kind)
        if not mine:
            return _no(here, f"{here.server.name} has no {kind} backup of this campaign in {kind.folder}")
        newest = mine[-1]
        if now - float(newest.changed) < STILL:
            return Finding.unknown(f"{newest.path} is still being written ({newest.size} bytes)")
        if not _finished(here):
            wrong = broken(here, kind, newest)
            if wrong is not None:
                return _no(here, f"{newest.path} is left over from a backup that did not end: {wrong}")
        here.memo["data"] = {"file": newest.mark, "release": str(source(here).release)}
        return Finding.yes(f"{newest.path}, {newest.size} bytes")

    return goal


def _finished(here: Here) -> bool:
    """Did we see the end of the newest backup that we began?"""
    rows = here.rows(Event.INTENDED, Event.ACTED, Event.VERIFIED, leg=here.leg.name)
    return bool(rows) and rows[-1].entry.event is not Event.INTENDED


def take(kind: BackupKind) -> Callable[[Here], None]:
    def deed(here: Here) -> None:
        try:
            act.take(
                here.house.servers,
                here.server.name,
                kind,
                source(here),
                strike=here.house.vault.strike,
                tell=here.line.waits,
                patience=here.late(DeadlineKind.BACKUP).total_seconds(),
            )
        except act.NoMenu as unknown:
            here.keep("platcfg.txt", unknown.shown, "screen")
            _own(here)["refused"] = "platcfg", str(unknown)
            raise
        except ActRefused as refused:
            _own(here)["refused"] = "backup", str(refused)
            raise
        except UnreadableReply as unknown:
            here.keep("platcfg.txt", unknown.reply, "screen")
            _own(here)["refused"] = "platcfg", str(unknown)
            raise
        _own(here)["ended"] = True

    return deed


def before(kind: BackupKind) -> Callable[[Here], Mapping[str, Any]]:
    def mark(here: Here) -> Mapping[str, Any]:
        """What lay in the folder before; of several intentions the first counts."""
        listing = probe.ask(here.house.servers, here.server.name, kind)
        return {"before": [file.mark for file in listing.files], "server": here.server.name}

    return mark


def may_take(kind: BackupKind) -> Callable[[Here], Iterable[Refusal]]:
    def guard(here: Here) -> Iterable[Refusal]:
        if "refused" in _own(here):
            yield Refusal(*_own(here)["refused"])
            return
        open_menus = probe.ask_menus(here.house.servers, here.server.name)
        if open_menus:
            who = f"platcfg is open on {here.server.name} (process {', '.join(map(str, open_menus))})"
            yield Refusal("platcfg", who, passing=True)
        if kind is BackupKind.SYSTEM and not on_primary(here).is_yes:
            yield Refusal("backup", on_primary(here).evidence, passing=True)

    return guard


def left_trace(kind: BackupKind) -> Question:
    def trace(here: Here) -> Finding:
        """After a lost answer: does the menu still run, or did a backup come of it?"""
        open_menus = probe.ask_menus(here.house.servers, here.server.name)
        if open_menus:
            return Finding.yes(f"platcfg is open (process {', '.join(map(str, open_menus))})")
        intention = here.rows(Event.INTENDED, leg=kind.value)[-1]
        if datetime.now(UTC) - intention.at < timedelta(seconds=here.site.pace.settle):
            return Finding.unknown("no menu is open, no backup came of it yet")
        return Finding.no("no menu is open, and no whole backup came of it")

    return trace


def until_taken(here: Here) -> datetime:
    """A backup whose end we saw and that is not there is not waited for."""
    own = _own(here)
    if own.get("ended") and own.get("plain no"):
        return at_once(here)
    since: datetime = own.setdefault("since", datetime.now(UTC))
    intended = here.rows(Event.INTENDED, leg=here.leg.name)
    return max([since, *(row.at for row in intended[-1:])]) + here.late(DeadlineKind.BACKUP)


# step 2: whole


def whole(kind: BackupKind) -> Question:
    def goal(here: Here) -> Finding:
        """The file is there under its documented name, not absurdly small, and whole by its own marks."""
        _ask_anew(here)
        copy = kept_copy(here, kind)
        if copy is not None:
            return Finding.yes(f"verified at the repository already: {copy}")
        mine, _ = files(here, kind)
        if not mine:
            return _no(here, f"there is no {kind} backup of this campaign in {kind.folder}")
        newest = mine[-1]
        wrong = broken(here, kind, newest)
        if wrong is not None:
            here.record(Event.NOTE, f"{newest.path} does not count: {wrong}", data={"bad": newest.mark})
            return _no(here, f"{newest.path} does not count: {wrong}")
        here.memo["data"] = {"file": newest.mark}
        return Finding.yes(f"{newest.path}, {newest.size} bytes, whole")

    return goal


def until_no(here: Here) -> datetime:
    """What could not be read is asked again for a while; a plain no is final."""
    if _own(here).get("plain no"):
        return at_once(here)
    since: datetime = _own(here).setdefault("since", datetime.now(UTC))
    return since + here.late(DeadlineKind.SHORT)


# step 3: kept


def kept(kind: BackupKind) -> Question:
    def goal(here: Here) -> Finding:
        """A copy is verified at the repository, and the server's file is gone."""
        _ask_anew(here)
        copy = kept_copy(here, kind)
        if copy is None:
            return Finding.no(f"no {kind} backup of {here.server.name} is verified at the repository")
        listing = probe.ask(here.house.servers, here.server.name, kind)
        if any(file.name == copy.name for file in listing.files):
            return Finding.no(f"verified at {copy.place}, still on {here.server.name}")
        here.memo["data"] = {"copy": copy.document()}
        return Finding.yes(f"kept and verified: {copy}")

    return goal


def keep(kind: BackupKind) -> Callable[[Here], None]:
    def deed(here: Here) -> None:
        servers, name = here.house.servers, here.server.name
        copy = kept_copy(here, kind)
        if copy is None:
            mine, _ = files(here, kind)
            if not mine:
                raise ActRefused(f"{name} has no {kind} backup of this campaign; take it anew (4.6.4 step 1)")
            copy = _kept(here, kind, mine[-1])
            here.memo.setdefault("kept", {})[copy.place] = copy
            here.record(Event.NOTE, f"verified at the repository: {copy}", data={"copy": copy.document()})
        act.remove(servers, name, f"{kind.folder}/{copy.name}")
        listing = probe.ask(servers, name, kind)
        bad = [tuple(row.entry.data["bad"]) for row in _bad(here, kind)]
        for file in listing.files:
            if tuple(file.mark) in bad:  # ours, and of no use to anybody
                act.remove(servers, name, file.path)

    return deed


def _kept(here: Here, kind: BackupKind, file: BackupFile) -> Copy:
    """Copy and verify. What can be repeated is repeated; then the guard has a reason to stop."""
    own, servers = _own(here), here.house.servers
    for last in (False, True):
        try:
            where = the_repository(here)
            return act.keep(servers, here.server.name, where, file, kind, source(here), here.line.waits)
        except RepositoryRefused as refused:
            own["refused"] = "repository", str(refused)
            raise
        except (ActRefused, CommandFailed) as refused:
            if last:
                own["refused"] = "backup", str(refused)
                raise
        except MayHaveRun as lost:
            own["lost"] = own.get("lost", 0) + 1
            if own["lost"] >= BREAKS:
                own["refused"] = "repository", f"the transfer was broken off {BREAKS} times: {lost}"
            raise
    raise AssertionError("the last try answers or raises")


def may_keep(kind: BackupKind) -> Callable[[Here], Iterable[Refusal]]:
    def guard(here: Here) -> Iterable[Refusal]:
        if "refused" in _own(here):
            yield Refusal(*_own(here)["refused"])
            return
        if here.site.backup_repository is None:
            yield Refusal("repository", "the site file names no backup_repository")
            return
        mine, _ = files(here, kind)
        try:
            objection = the_repository(here).objection(mine[-1].size if mine else 0)
        except FINAL:
            raise
        except (NothingRun, CommandFailed, UnreadableReply) as away:
            yield Refusal("repository", f"the backup repository cannot be used: {away}", passing=True)
            return
        if objection is not None:
            yield Refusal("repository", objection)

    return guard


def may_repeat(_here: Here) -> Finding:
    """A copy that was broken off left nothing under its name: it is begun anew."""
    return Finding.no("a copy that was not verified has no name at the repository; it is made anew")


# step 4: known


def located(here: Here) -> Finding:
    """Where the backups are, and how a person gets at them: written down for recovery."""
    _ask_anew(here)
    wanted = [BackupKind.SERVER]
    system = on_primary(here)
    if system.is_yes:
        wanted.append(BackupKind.SYSTEM)
    elif here.cluster.name == here.site.cmp.primary.name and here.state.active is None:
        return Finding.unknown(system.evidence)
    copies = {kind: kept_copy(here, kind) for kind in wanted}
    missing = [kind.value for kind, copy in copies.items() if copy is None]
    if missing:
        return _no(
            here, f"no verified {' and '.join(missing)} backup of {here.server.name} at the repository"
        )
    access = the_repository(here).access()
    found = [copy for copy in copies.values() if copy is not None]
    lines = ["Backup location is:", *(f"  {copy.kind} backup: {copy}" for copy in found)]
    lines += ["Instructions to access to backups are as follows:", f"  {access}"]
    here.keep("backup-location.txt", "\n".join(lines) + "\n")
    here.memo["data"] = {"copies": [copy.document() for copy in found], "access": access}
    return Finding.yes("; ".join(f"{copy.kind} backup at {copy.place}" for copy in found))
