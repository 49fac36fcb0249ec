"""What no system can tell us: a person confirms it by name, with a date, and the ledger keeps it (4.1)."""

from __future__ import annotations

import shlex
from enum import StrEnum

from mopflow.here import Here
from mopflow.ledger import Confirmation
from mopflow.site import Site
from mopflow.step import Finding

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
        here.memo["rule"] = "confirm"
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
    return f"mopflow confirm {shlex.quote(str(here.house.site_path))} {item.value} --by NAME"


def _said(item: ConfirmItem, kept: Confirmation) -> str:
    who = f"the twin's site file ({kept.source})" if kept.source == TWIN else kept.by
    text = f" ({kept.text})" if kept.text else ""
    return f"{item.sentence} Confirmed by {who}, {kept.at:%Y-%m-%d %H:%M} UTC{text}."
