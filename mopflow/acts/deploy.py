"""Bring each server its image (4.6, 4.6.1, 4.6.3.1): old ones away, the right one there, one image in the end (R10)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename

from mopflow import local_media, relay, transfer
from mopflow.bandwidth import bucket_of
from mopflow.errors import (
    CommandFailed,
    MayHaveRun,
    MopflowError,
    NothingRun,
    TransferStopped,
    UnreadableReply,
)
from mopflow.goals import begun, past
from mopflow.here import Here
from mopflow.house import House
from mopflow.ledger import Event
from mopflow.media import UPGRADE_DIR, ImageName
from mopflow.probes import disk, folder, hostname, images
from mopflow.probes.folder import Entry, Folder
from mopflow.progress import Progress
from mopflow.site import Medium, Site
from mopflow.ssh import Servers
from mopflow.step import Deed, Finding, Refusal
from mopflow.system import ClusterState, Doing, Stage
from mopflow.transfer import PART, RESERVE, Parcel

PARALLEL = 8  # servers asked over SSH at one time
AGAIN = 2  # so often an act may fail before a person looks


# ---- what lies there ----


@dataclass(frozen=True, slots=True)
class Look:
    """The upgrade folder of one server, judged. `md5`: of the file that has the wanted name, None: there is none."""

    server: str
    medium: Medium
    folder: Folder
    strangers: tuple[Entry, ...]  # for a person: no plain file, no Policy image, somebody else's part
    old: tuple[Entry, ...]  # Policy images that are not the wanted one, whole
    part: Entry | None  # what arrived of ours
    right: bool
    md5: str | None

    @property
    def in_place(self) -> bool:
        """Exactly one file: the right one."""
        return self.right and not (self.old or self.strangers or self.part)

    @property
    def removable(self) -> tuple[Entry, ...]:
        """Our own part, too, when the image is there already: nobody will ever need it."""
        return (*self.old, *((self.part,) if self.part is not None and self.right else ()))

    def __str__(self) -> str:
        said = [f"{self.medium.file} with the right MD5" if self.right else f"no whole {self.medium.file}"]
        said += [f"old: {entry.name}" for entry in self.old]
        said += [f"not ours: {entry.name}" for entry in self.strangers]
        if self.part is not None:
            said.append(f"{self.part.size} bytes of {self.part.name}")
        return f"{self.server}: {'; '.join(said)}"


def judge(server: str, medium: Medium, seen: Folder, md5: str | None) -> Look:
    """Pure. `md5`: of the plain file with the medium's name, if there is one."""
    strangers, old, part, right = [], [], None, False
    for entry in sorted(seen.entries.values(), key=lambda e: e.name):
        if entry.kind != "f":
            strangers.append(entry)
        elif entry.name == medium.file:
            right = md5 == medium.md5
            if not right:
                old.append(entry)
        elif entry.name == medium.file + PART:
            part = entry
        elif _is_image(entry.name):
            old.append(entry)
        else:
            strangers.append(entry)
    return Look(server, medium, seen, tuple(strangers), tuple(old), part, right, md5)


def _is_image(name: str) -> bool:
    try:
        ImageName.parse(name)
    except UnreadableReply:
        return False
    return True


def look(servers: Servers, site: Site, server: str, hashes: dict[str, str] | None = None) -> Look:
    """Ask the server. `hashes`: those taken before, by the state of the file; an image is read once."""
    cluster = site.cluster_of(server)
    if cluster is None:
        raise UnreadableReply("site file", "no such server", server)
    medium = site.medium(cluster.image_type)
    seen = folder.ask(servers, server, UPGRADE_DIR)
    entry, md5 = seen.entries.get(medium.file), None
    if entry is not None and entry.kind == "f":
        known = hashes if hashes is not None else {}
        if entry.state not in known:
            known[entry.state] = images.ask_hash(servers, server, f"{UPGRADE_DIR}/{medium.file}")
        md5 = known[entry.state]
    return judge(server, medium, seen, md5)


def survey(house: House) -> dict[str, Look | MopflowError]:
    """All servers of the site at once: what lies there, or why that cannot be told. Changes nothing."""

    def one(name: str) -> Look | MopflowError:
        try:
            return look(house.servers, house.site, name)
        except MopflowError as wrong:
            return wrong

    names = [server.name for server in house.site.servers]
    with ThreadPoolExecutor(PARALLEL) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def finished(house: House) -> frozenset[str]:
    """Servers that have exactly their image: for `distribution.Standing`."""
    return frozenset(
        name for name, found in survey(house).items() if isinstance(found, Look) and found.in_place
    )


def _look(here: Here) -> Look:
    hashes: dict[str, str] = here.memo.setdefault("hashes", {})
    return look(here.house.servers, here.site, here.server.name, hashes)


# ---- goals ----


def in_place(here: Here) -> Finding:
    """Exactly one image, of the server's own type, with the right MD5 (R10). An upgraded server needs none."""
    here.memo["rule"] = "R10"
    if begun(here.state):
        return past(here.state)
    seen = _look(here)
    if not seen.in_place:
        return Finding.no(str(seen))
    entry = seen.folder.entries[seen.medium.file]
    here.memo["data"] = {
        "file": entry.name,
        "size": entry.size,
        "md5": seen.md5,
        **here.memo.get("done", {}),
    }
    return Finding.yes(str(seen))


def lacking(here: Here) -> Finding:
    """NO skips what a server does not need that has exactly its image: nothing is touched there."""
    found = in_place(here)
    here.memo.pop("data", None)
    return Finding.no(found.evidence) if found.is_yes else Finding.yes(found.evidence)


def answers(here: Here) -> Finding:
    """It is that server, and nothing lies in its upgrade folder that is not ours to touch."""
    here.memo["rule"] = "reach"
    name = here.server.name
    printed = hostname.ask(here.house.servers, name)
    if not hostname.is_server(printed, name):
        return Finding.no(f"the server at {here.server.address} calls itself {printed}, not {name}")
    seen = _look(here)
    if seen.strangers:
        here.memo["rule"] = "stray"
        found = ", ".join(f"{_KINDS.get(e.kind, 'something')} {e.name}" for e in seen.strangers)
        return Finding.no(f"{name}: {UPGRADE_DIR} has what is no image of this product: {found}")
    return Finding.yes(f"{name} answers; {seen}")


_KINDS = {"f": "a file", "d": "a folder", "l": "a link"}


def medium_right(here: Here) -> Finding:
    """The image here has the name, type, release and MD5 of the site file, and md5sum.out agrees."""
    here.memo["rule"] = "media"
    medium = _medium(here)
    wrong = local_media.problems(here.site, _base(here), medium)
    if wrong:
        return Finding.no("; ".join(wrong))
    return Finding.yes(
        f"{medium.file} has MD5 {medium.md5}, as the site file and {local_media.CHECKSUMS} say"
    )


def only_ours(here: Here) -> Finding:
    """No old image lies there any more."""
    here.memo["rule"] = "R10"
    seen = _look(here)
    if seen.removable:
        return Finding.no(f"{here.server.name}: old: {', '.join(e.name for e in seen.removable)}")
    if here.memo.get("done"):
        here.memo["data"] = here.memo["done"]
    return Finding.yes(f"{here.server.name}: no old image")


def _medium(here: Here) -> Medium:
    return here.site.medium(here.cluster.image_type)


def _base(here: Here) -> Path:
    return here.house.site_path.resolve().parent


# ---- guards ----


def undisturbed(here: Here) -> Iterable[Refusal]:
    """Images are touched only while nothing runs and no mixed version exists anywhere (as R16 has it)."""
    yield from disturbances(here.states.values())


def disturbances(states: Iterable[ClusterState]) -> Iterable[Refusal]:
    """Pure."""
    for state in states:
        busy = [s.name for s in state.servers if s.operation.doing in (Doing.RUNNING, Doing.UNKNOWN)]
        if state.stage is not Stage.FRESH:
            yield Refusal(
                "mixed", f"images are not touched while {state.name} has: {state.stage} ({state.why})"
            )
        elif busy:
            yield Refusal("mixed", f"images are not touched while an action runs on {', '.join(busy)}")


def nobody_writes(here: Here) -> Iterable[Refusal]:
    """Somebody, or the console, may be writing an image there at this moment; that passes."""
    seen = _look(here)
    for entry in (*seen.old, *((seen.part,) if seen.part is not None else ())):
        if seen.folder.being_written(entry.name):
            yield Refusal(
                "transfer",
                f"{here.server.name}: {entry.name} was written within the last minute; waiting until it rests",
                passing=True,
            )


def room(here: Here) -> Iterable[Refusal]:
    """Never an image into a folder that would overflow; what is removed first makes room."""
    seen, medium = _look(here), _medium(here)
    if seen.right:
        return
    size = _size(here)
    if size is None:
        yield Refusal("media", f"how large {medium.file} is cannot be told: it is not in media_dir")
        return
    free = disk.ask_for(here.house.servers, here.server.name, UPGRADE_DIR).free * 1024
    kept = [*seen.removable, *((seen.part,) if seen.part is not None else ())]
    coming = free + sum(entry.size for entry in kept)
    if coming < size + RESERVE:
        yield Refusal(
            "disk",
            f"{here.server.name}: {UPGRADE_DIR} would have {coming} bytes without what is removed, {medium.file} needs "
            f"{size} and {RESERVE} are to stay free",
        )


def not_failed(here: Here) -> Iterable[Refusal]:
    """What an act of this leg said before, so that the hold says it in its own words and with its own remedy."""
    refusal = here.memo.get("refusal")
    if isinstance(refusal, Refusal):
        yield refusal


def may_remove(here: Here) -> Iterable[Refusal]:
    yield from not_failed(here)
    yield from undisturbed(here)
    yield from nobody_writes(here)
    yield from room(here)


may_bring = may_remove


def _size(here: Here) -> int | None:
    """Bytes of the image: of the one here, else of one that another server has."""
    try:
        return local_media.image(here.site, _base(here), _medium(here)).size
    except OSError:
        return _elsewhere(here)


def _elsewhere(here: Here) -> int | None:
    for cluster in here.site.clusters:
        for name in cluster.server_names if cluster.image_type is here.cluster.image_type else ():
            if name != here.server.name:
                found = look(here.house.servers, here.site, name)
                if found.right:
                    return found.folder.entries[found.medium.file].size
    return None


# ---- acts ----


def _noting(deed: Deed) -> Deed:
    """An act that fails for the second time, or says whose business it is, is not sent again: a person looks."""

    def act(here: Here) -> None:
        try:
            deed(here)
        except TransferStopped as stopped:
            here.memo["refusal"] = Refusal(stopped.rule, str(stopped))
            raise
        except (NothingRun, CommandFailed, MayHaveRun, UnreadableReply) as failed:
            here.memo["failures"] = here.memo.get("failures", 0) + 1
            if here.memo["failures"] >= AGAIN:
                here.memo["refusal"] = Refusal("transfer", str(failed))
            raise

    return act


@_noting
def remove_old(here: Here) -> None:
    """Only Policy images directly in the folder, each with its hash into the ledger first."""
    servers, name = here.house.servers, here.server.name
    seen = _look(here)
    if seen.strangers:
        raise UnreadableReply(f"{name}: {UPGRADE_DIR}", "something else came there", str(seen))
    listed = [
        {
            "file": entry.name,
            "size": entry.size,
            "md5": images.ask_hash(servers, name, f"{UPGRADE_DIR}/{entry.name}"),
        }
        for entry in seen.removable
    ]
    here.record(
        Event.OBSERVED, f"to be removed: {', '.join(e.name for e in seen.removable)}", data={"old": listed}
    )
    text = "".join(f"{row['md5']}  {UPGRADE_DIR}/{row['file']}  {row['size']} bytes\n" for row in listed)
    here.keep("old-images.txt", text, "old images")
    paths = " ".join(shlex.quote(f"{UPGRADE_DIR}/{entry.name}") for entry in seen.removable)
    servers.check(name, f"rm -f {paths}")
    here.memo.setdefault("done", {})["removed"] = listed


def bring(source: str | None) -> Deed:
    """From this machine, or handed on by another server."""
    return _noting(_from_here) if source is None else _noting(lambda here: _hand_on(here, source))


def _parcel(here: Here) -> Parcel:
    medium = _medium(here)
    try:
        local = local_media.image(here.site, _base(here), medium)
    except OSError as wrong:
        raise TransferStopped("media", f"{medium.file} cannot be read here: {wrong.strerror}") from wrong
    return Parcel(local.path, f"{UPGRADE_DIR}/{medium.file}", local.size, medium.md5)


def _from_here(here: Here) -> None:
    site, parcel = here.site, _parcel(here)

    def tell(progress: Progress) -> None:
        here.line.at(progress.percent, f"{basename(parcel.path)}: {progress}")

    sent = transfer.send(
        here.house.servers,
        here.server.name,
        parcel,
        bucket=bucket_of(site.name, site.images.bandwidth),
        tell=tell,
    )
    here.memo.setdefault("done", {}).update(
        {
            "from": "here",
            "sent": sent.sent,
            "resumed": sent.resumed,
            "breaks": sent.breaks,
            "restarts": sent.restarts,
            "seconds": round(sent.seconds, 1),
        }
    )


def _hand_on(here: Here, source: str) -> None:
    site, servers = here.site, here.house.servers
    holder = look(servers, site, source)
    if not holder.right:
        raise TransferStopped("source", f"{source} has not the right image to hand on: {holder}")
    size = holder.folder.entries[holder.medium.file].size

    def tell(progress: Progress) -> None:
        here.line.at(progress.percent, f"{holder.medium.file} from {source}: {progress}")

    handed = relay.hand_on(
        servers,
        site.server(source),
        here.server,
        f"{UPGRADE_DIR}/{holder.medium.file}",
        size,
        holder.medium.md5,
        cap=site.images,
        timeout=site.pace.transfer.late,
        tell=tell,
    )
    here.memo.setdefault("done", {}).update(
        {"from": source, "sent": size, "breaks": handed.breaks, "seconds": round(handed.seconds, 1)}
    )


def no_trace(here: Here) -> Finding:
    """A transfer of ours ends with our process or its connection, and goes on from what arrived."""
    return Finding.no("what was sent is taken up where it ended")
