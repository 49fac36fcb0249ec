"""Is everything at hand? (4.1 step 1, materials of 2.9): images here, credentials of every server, the console."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mopflow.confirmations import ConfirmItem, confirmed
from mopflow.errors import (
    CommandFailed,
    IdentityChanged,
    LoginRefused,
    MayHaveRun,
    MopflowError,
    NothingRun,
    UnreadableReply,
)
from mopflow.here import Here
from mopflow.holds import hold
from mopflow.media import parse_md5sum
from mopflow.probes import hostname
from mopflow.step import Finding, Leg, Refusal

MD5SUMS = "md5sum.out"
AT_ONCE = 16  # logins
UNANSWERED = (NothingRun, CommandFailed, MayHaveRun, UnreadableReply)


def media_given(here: Here) -> Finding:
    if here.site.media_dir is None:
        return Finding.no("the site file names no media_dir: nobody says that the images are on this machine")
    return Finding.yes("")


def media_right(here: Here) -> Finding:
    """Each image of the site file lies in media_dir, has its MD5, and md5sum.out there says the same."""
    here.memo["rule"] = "media"
    assert here.site.media_dir is not None
    folder = here.house.site_path.resolve().parent / here.site.media_dir
    wrong = []
    try:
        listed = _listed(folder / MD5SUMS)
    except OSError as missing:
        return Finding.no(f"{folder / MD5SUMS} cannot be read: {missing.strerror}")
    for medium in here.site.media:
        path = folder / medium.file
        said = listed.get(medium.file)
        if said is None:
            wrong.append(f"{MD5SUMS} has no line for {medium.file}")
        elif said != {medium.md5}:
            wrong.append(
                f"{MD5SUMS} gives {medium.file} the MD5 {', '.join(sorted(said))}, the site file {medium.md5}"
            )
        try:
            found = _md5(here, path)
        except OSError as missing:
            wrong.append(f"{path} cannot be read: {missing.strerror}")
            continue
        if found != medium.md5:
            wrong.append(f"{path} has MD5 {found}, the site file says {medium.md5}")
    if wrong:
        return Finding.no("; ".join(wrong))
    here.memo["data"] = {"folder": str(folder), "md5": {m.file: m.md5 for m in here.site.media}}
    return Finding.yes(
        f"{len(here.site.media)} images in {folder}, each with the MD5 of the site file and of {MD5SUMS}"
    )


def _listed(path: Path) -> dict[str, set[str]]:
    """Hashes by file name: the paths of md5sum.out are those of the machine where the images were built."""
    try:
        text = path.read_text()
    except UnicodeDecodeError as wrong:
        raise UnreadableReply(MD5SUMS, "no text", "") from wrong
    found: dict[str, set[str]] = {}
    for where, md5 in parse_md5sum(text).items():
        found.setdefault(where.rpartition("/")[2], set()).add(md5)
    return found


def _md5(here: Here, path: Path) -> str:
    """Read again only when the file has changed."""
    with path.open("rb") as file:
        now = os.fstat(file.fileno())
        key = f"md5 {path} {now.st_ino} {now.st_size} {now.st_mtime_ns}"
        if key not in here.memo:
            here.memo[key] = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        found: str = here.memo[key]
    return found


def logins_work(here: Here) -> Finding:
    """Each server takes our login and is the one that the site file means. Each is tried once; all refusals are listed."""
    here.memo["rule"] = "unreachable"
    names = [server.name for server in here.site.servers]
    with ThreadPoolExecutor(AT_ONCE, "login") as pool:
        outcomes = list(pool.map(partial(_log_in, here), names))
    refused = [error for error in outcomes if isinstance(error, LoginRefused | IdentityChanged)]
    if refused:
        rule = "login" if any(isinstance(error, LoginRefused) for error in refused) else "identity"
        hold(here, Refusal(rule, "; ".join(str(error) for error in refused)), _together(outcomes))
    away = [str(error) for error in outcomes if isinstance(error, MopflowError)]
    if away:
        return Finding.unknown("; ".join(away))
    others = [error for error in outcomes if isinstance(error, str)]
    if others:
        here.memo["rule"] = "R17"
        return Finding.no("; ".join(others))
    return Finding.yes(f"{len(names)} servers take the login and have the host names of the site file")


def _log_in(here: Here, name: str) -> MopflowError | str | None:
    """What is wrong: an error, or another host's name. BadInput is nobody's answer and ends the run."""
    try:
        printed = hostname.ask(here.house.servers, name)
    except (LoginRefused, IdentityChanged) as refused:
        return refused
    except UNANSWERED as away:
        return away
    return None if hostname.is_server(printed, name) else f"{name} calls itself {printed}"


def _together(outcomes: list[MopflowError | str | None]) -> str:
    bad = [str(outcome) for outcome in outcomes if outcome is not None]
    return f"{len(outcomes) - len(bad)} of {len(outcomes)} servers took the login; " + "; ".join(bad)


def console_open(here: Here) -> Finding:
    """The console takes the login and says which release serves it."""
    here.memo["rule"] = "console"
    return Finding.yes(f"logged in to the console of {here.console.about()}")


def has_pmac(here: Here) -> Finding:
    if here.site.pmac is None:
        return Finding.no("the site file names no PM&C: 4.2 is for systems that have one")
    return Finding.yes("")


def confirms(*items: ConfirmItem) -> Leg:
    """A person has confirmed them. Nothing is waited for: a person is called at once."""
    return Leg(partial(_confirms, items), name=items[0].value.replace("_", " "), until=_at_once)


def _confirms(items: tuple[ConfirmItem, ...], here: Here) -> Finding:
    return confirmed(here, *items)


def _at_once(_here: Here) -> datetime:
    return datetime.min.replace(tzinfo=UTC)
