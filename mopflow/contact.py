"""Where the document says: stop, and contact Oracle. Each such hold brings a support pack with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence of the document that sends a person to Oracle."""

    where: str  # row or section
    says: str  # in our words
    rule: str = ""  # the holds that it stands behind: those of this rule,
    row: str = (
        ""  # those of this row (with the rule "": what went wrong there has no rule of its own), or both
    )


PLACES = (
    Place(
        "6.1.1/10", "a status other than 'upgrade was completed': decide whether to roll back", row="6.1.1/10"
    ),
    Place(
        "7.1.1/10", "a status other than 'upgrade was completed': decide whether to roll back", row="7.1.1/10"
    ),
    Place("10.2/8", "the configuration of the old release is not applied: consider a backout", row="10.2/8"),
    Place("10.2/8", "no traffic over the target release: consider a backout", rule="R11"),
    Place(
        "12.3.2",
        "a partially upgraded cluster: a wrong version, or no success message; also a Zombie and a failed operation "
        "(3.1.4.7)",
        rule="R8",
    ),
    Place(
        "6.1.1/11, 7.1.1/11", "Sync Broken: the replication of the cluster does not come in sync", rule="R9"
    ),
)


def place_of(rule: str, procedure: str, step: int) -> Place | None:
    """The sentence that stands behind a hold; None: the document does not send this one to Oracle."""
    row = f"{procedure}/{step}"
    for place in PLACES:
        if place.row == row and rule in ("", "R8"):
            return place
    return next((place for place in PLACES if place.rule and place.rule == rule), None)
