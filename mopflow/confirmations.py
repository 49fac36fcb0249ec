"""What no system can tell us: a person confirms it by name, with a date, and the ledger keeps it (4.1)."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from datetime import datetime
from enum import StrEnum

from mopflow.here import Here
from mopflow.ledger import Confirmation, Entry, Event, Ledger
from mopflow.questions import CONFIRM, ITEM
from mopflow.scopes import backout_scopes, clusters_of
from mopflow.site import Autonomy, AutonomyKind, Site
from mopflow.step import Finding, Refusal
from mopflow.turning import newest_act

TWIN = "lab.answers"  # source of what the site file of a twin answers in a person's place


class ConfirmItem(StrEnum):
    """What is confirmed; the value is what a person types."""

    RELEASE_NOTES = "release_notes"
    BULLETINS = "bulletins"
    CUSTOMER_CARE = "customer_care"
    UPGRADE_KIT = "upgrade_kit"
    PMAC_VERSION = "pmac_version"
    TVOE_VERSION = "tvoe_version"
    FIRMWARE = "firmware"
    NETBACKUP = "netbackup"
    TRAFFIC_FALL = "traffic_fall"
    NO_NEW_FEATURES = "no_new_features"
    ORACLE_CONSULTED = "oracle_consulted"
    NETBACKUP_BACKOUT = "netbackup_backout"

    @property
    def wants_text(self) -> bool:
        """Is the name alone not enough?"""
        return self is ConfirmItem.ORACLE_CONSULTED

    @property
    def sentence(self) -> str:
        """What the person stands for."""
        return _SENTENCES[self]


_SENTENCES = {
    ConfirmItem.RELEASE_NOTES: "The Release Notes of the target release are reviewed (4.1 step 2).",
    ConfirmItem.BULLETINS: "The Technical Service Bulletins that relate to this upgrade are reviewed.",
    ConfirmItem.CUSTOMER_CARE: "The Oracle Customer Care Center is informed of the upgrade plans.",
    ConfirmItem.UPGRADE_KIT: "The upgrade procedure is the one of the Upgrade Kit, and the documents and TPD images of "
    "2.9 are at hand.",
    ConfirmItem.PMAC_VERSION: "PM&C runs 6.0.1.0.0_60.21.0 or a later 6.0 (1.4, 4.2).",
    ConfirmItem.TVOE_VERSION: "TVOE runs 3.0.2.0.0_86.28.0 or a later 3.0 (1.4, 4.2).",
    ConfirmItem.FIRMWARE: "The firmware of the servers is that of Firmware Upgrade Pack 2.2.8 or higher (1.4, 4.3).",
    ConfirmItem.NETBACKUP: "The pre and post upgrade steps of Veritas NetBackup are known and planned (4, first note).",
    ConfirmItem.TRAFFIC_FALL: "The fall of the traffic that the post-upgrade check asked about (11 step 3) is understood.",
    ConfirmItem.NO_NEW_FEATURES: "No new policies or features were configured or used on the new release (12.2, 1).",
    ConfirmItem.ORACLE_CONSULTED: "Oracle was consulted about this backout (12, 12.3): name and ticket, or the reason "
    "why not.",
    ConfirmItem.NETBACKUP_BACKOUT: "The additional backout steps of Veritas NetBackup are known and planned (12.2, note).",
}


def needed_items(site: Site) -> list[ConfirmItem]:
    """What a person has to confirm for this site. NetBackup and a fall of the traffic are asked about only where they are found."""
    of_pmac = (ConfirmItem.PMAC_VERSION, ConfirmItem.TVOE_VERSION) if site.pmac is not None else ()
    return [
        ConfirmItem.RELEASE_NOTES,
        ConfirmItem.BULLETINS,
        ConfirmItem.CUSTOMER_CARE,
        ConfirmItem.UPGRADE_KIT,
        *of_pmac,
        ConfirmItem.FIRMWARE,
    ]


def confirmed(here: Here, *items: ConfirmItem) -> Finding:
    """Has a person confirmed all of them? What is missing is named together, each with what to type."""
    found = [_confirmed(here, item) for item in items]
    missing = [finding for finding in found if not finding.is_yes]
    if missing:
        here.memo["rule"] = CONFIRM
        item = next(one for one, finding in zip(items, found, strict=True) if not finding.is_yes)
        here.memo[ITEM] = (item.value, None)  # one after the other: each is a word of its own
    return Finding(
        missing[0].answer if missing else found[0].answer,
        " ".join(finding.evidence for finding in missing or found),
    )


def _confirmed(here: Here, item: ConfirmItem) -> Finding:
    """On a twin the site file may answer in a person's place; that is kept as such."""
    ledger, site = here.house.ledger, here.site
    kept = ledger.confirmation(site.name, item.value)
    answer = site.lab.answers.get(item.value) if site.lab is not None else None
    if kept is None and answer is not None:
        ledger.confirm(site.name, item.value, TWIN, answer, TWIN)
        kept = ledger.confirmation(site.name, item.value)
    if kept is None:
        return Finding.no(f"nobody has confirmed: {item.sentence} Type: {command(here, item)}")
    known = here.memo.setdefault("data", {})
    known[item.value] = {"by": kept.by, "at": kept.at.isoformat(), "source": kept.source}
    return Finding.yes(_said(item, kept))


def command(here: Here, item: ConfirmItem) -> str:
    """What a person types to confirm it."""
    text = " --text TEXT" if item.wants_text else ""
    return f"mopflow confirm {shlex.quote(str(here.house.site_path))} {item.value} --by NAME{text}"


def _said(item: ConfirmItem, kept: Confirmation) -> str:
    who = f"the twin's site file ({kept.source})" if kept.source == TWIN else kept.by
    text = f" ({kept.text})" if kept.text else ""
    return f"{item.sentence} Confirmed by {who}, {kept.at:%Y-%m-%d %H:%M} UTC{text}."


# the backout (chapter 12): a word counts for the run that follows it

BACK_OUT = "back-out"  # what a person confirms is `back-out:SCOPE`
_DONE = ("12", 0)  # procedure and step of the note that a backout came to its end


def backout_items(ledger: Ledger | None, site: Site, scope: str) -> list[str]:
    """What has to be confirmed before this scope is backed out, as a person types it.

    NetBackup only where the health check found it: there a person was asked about it.
    """
    items = [ConfirmItem.NO_NEW_FEATURES.value, ConfirmItem.ORACLE_CONSULTED.value]
    if ledger is not None and ledger.confirmation(site.name, ConfirmItem.NETBACKUP.value) is not None:
        items.append(ConfirmItem.NETBACKUP_BACKOUT.value)
    if site.autonomy.of(AutonomyKind.BACKOUT) is Autonomy.CONFIRM:
        items.append(f"{BACK_OUT}:{scope}")
    return items


def sentence_of(site: Site, item: str) -> str:
    """What a person stands for who confirms it."""
    if not item.startswith(f"{BACK_OUT}:"):
        return ConfirmItem(item).sentence
    names = clusters_of(site, item.removeprefix(f"{BACK_OUT}:"))
    return f"{', '.join(names)} may be backed out to {site.source_release.short} (chapter 12)."


def backout_word(ledger: Ledger, site: Site, item: str, names: Collection[str]) -> Confirmation | None:
    """A person's word on the backout of these clusters, None when there is none that still counts.

    It counts until one of the clusters is worked on forward again, or a backout of them has come to its end. On a twin
    the site file may answer in a person's place; that is kept as such.
    """
    kept = ledger.confirmation(site.name, item)
    if kept is not None and _still_counts(ledger, site, kept.at, names):
        return kept
    if site.lab is None:
        return None
    answer = site.lab.answers.get(item, site.lab.answers.get(item.split(":")[0]))
    if answer is None:
        return None
    ledger.confirm(site.name, item, TWIN, answer, TWIN)
    return ledger.confirmation(site.name, item)


def _still_counts(ledger: Ledger, site: Site, at: datetime, names: Collection[str]) -> bool:
    forward = (newest_act(ledger, site.name, name, back=False) for name in names)
    if any(row is not None and row.at > at for row in forward):
        return False
    procedure, step = _DONE
    ends = ledger.rows(site=site.name, procedure=procedure, step=step, events=(Event.NOTE,))
    return not any(row.at > at and set(row.entry.data.get("clusters", ())) & set(names) for row in ends)


def backout_is_over(here: Here, scope: str) -> None:
    """Enter that the backout of the scope has come to its end: what was confirmed for it counts no longer."""
    procedure, step = _DONE
    clusters = list(clusters_of(here.site, scope))
    entry = Entry(
        procedure, step, "", None, Event.NOTE, f"{scope} is backed out", data={"clusters": clusters}
    )
    here.house.ledger.record(here.house.campaign, here.site.name, here.house.executor, entry)


def backout_unconfirmed(here: Here) -> Iterator[Refusal]:
    """Where the site wants backouts confirmed: a refusal unless a person has done so for this cluster."""
    ledger, site, name = here.house.ledger, here.site, here.cluster.name
    for scope in backout_scopes(site):
        names = clusters_of(site, scope)
        if name in names and backout_word(ledger, site, f"{BACK_OUT}:{scope}", names) is not None:
            return
    site_file = shlex.quote(str(here.house.site_path))
    yield Refusal(
        "confirm",
        f"nobody has confirmed the backout of {name}. Type: mopflow confirm {site_file} "
        f"{shlex.quote(f'{BACK_OUT}:{name}')} --by NAME",
    )
