"""A person's answer to a hold: what it must have, whichever way it comes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mopflow.confirmations import ConfirmItem
from mopflow.errors import BadInput
from mopflow.ledger import Choice, Hold, HoldAnswer, HoldKind, Ledger
from mopflow.questions import WINDOW

MEANINGS = {
    Choice.GO: "do it",
    Choice.AGAIN: "the cause is mended: look at the live system anew and go on from there",
    Choice.LEAVE: "leave it: the work on this scope ends here, as it is",
}


# so begins why a hold was closed without its act
REFUSED, UNTRUE = "the answer of", "the question is no longer true"


def was_taken(row: Hold) -> bool:
    """Did the answer of a closed hold count, or had the system changed?"""
    return not (row.closed_why or "").startswith((REFUSED, UNTRUE))


@dataclass(frozen=True, slots=True)
class Given:
    """What a person typed."""

    choice: str
    by: str
    why: str = ""
    typed: str = ""


def give(
    ledger: Ledger, row: Hold, given: Given, via: str, allowed: Collection[str] = ()
) -> HoldAnswer | None:
    """Enter an answer. None: it counts; else the answer that somebody gave before.

    ``allowed``: who may answer (holds.answered_by of the site file); empty: everyone. Raises BadInput, with everything
    that is wrong with the answer.
    """
    mistakes = list(_mistakes(row, given, allowed))
    if mistakes:
        raise BadInput(*mistakes)
    return ledger.answer(row.id, Choice(given.choice), given.by.strip(), given.why.strip(), via)


def _mistakes(row: Hold, given: Given, allowed: Collection[str]) -> Iterator[str]:
    who, typed = given.by.strip(), given.typed.strip()
    if given.choice not in row.choices:
        yield f"choice: {given.choice!r} is none of {', '.join(row.choices)}"
    if len(who) < 2:
        yield "name: say who you are; the record keeps it"
    elif allowed and who.casefold() not in {name.casefold() for name in allowed}:
        yield f"name: {who} may not answer here; the site file names {', '.join(allowed)}"
    if given.choice == Choice.GO and row.typed is not None and typed != row.typed:
        yield f"typed: type the name {row.typed} to say that you mean it, not {typed!r}"
    if given.choice == Choice.GO and _wants_text(row) and not given.why.strip():
        yield "why: the name alone is not enough here; say what the question asks for"


def _wants_text(row: Hold) -> bool:
    item = row.asked.get("item")
    return row.rule == WINDOW or (item in list(ConfirmItem) and ConfirmItem(item).wants_text)


def question(row: Hold) -> str:
    """What is asked, as one sentence."""
    where = row.cluster or row.site
    if row.kind is HoldKind.QUESTION:
        return f"{where} at {row.procedure}/{row.step}: {row.reason}"
    return (
        f"{where} is held at {row.procedure}/{row.step}"
        + (f" ({row.rule})" if row.rule else "")
        + f": {row.reason}"
    )


def command(row: Hold, site_path: str) -> str:
    """What a person types to answer."""
    first = row.choices[0]
    typed = f" --type {row.typed}" if row.typed is not None and first is Choice.GO else ""
    why = " --why TEXT" if _wants_text(row) or row.kind is HoldKind.TROUBLE else ""
    return f"mopflow answer {site_path} {row.id} {first} --by NAME{typed}{why}"
