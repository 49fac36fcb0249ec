"""Where the night was not the plain procedure: decisions of people, holds, rollbacks, what was lost or late. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mopflow.ledger import Event, Executor, Hold, HoldAnswer
from mopflow.record.model import Deviation, Kind, Result
from mopflow.record.sources import Sources
from mopflow.record.turns import UNKEPT, WHOLE, Turn, adopted, broken, by_hand, late, result, text
from mopflow.site import Site

_RELEASE = "release-hold "  # of the confirmations
_CHANGING = ("6.", "7.", "8.", "9.", "10.", "12.")  # chapters that belong into a window


QUIET = frozenset({Kind.SKIPPED, Kind.READ_OTHERWISE})


@dataclass(slots=True, eq=False)
class Draft:
    """A deviation without its number, with the turns that it speaks of."""

    kind: Kind
    at: datetime
    step: str
    scopes: tuple[str, ...]
    what: str
    reason: str = ""
    by: str = ""
    turns: list[Turn] = field(default_factory=list)


def key_of(turn: Turn) -> str:
    return f"{turn.key[0]}/{turn.key[1]}"


def drafts(site: Site, sources: Sources, turns: Sequence[Turn], until: datetime) -> list[Draft]:
    """All of them, in the order of time, those of `QUIET` last. ``until``: when the record is written."""
    executors = {one.id: one for one in sources.executors}
    found = [
        *_of_turns(site, turns, executors),
        *_holds(sources.holds, sources.answers, turns),
        *_of_people(site, sources, until),
        *_skipped(turns, executors),
        *_windows(site, turns),
        *_read_otherwise(turns),
    ]
    # what is as the document wants it in the end comes last, so that the others are numbered without gaps
    return sorted(found, key=lambda draft: (draft.kind in QUIET, draft.at))


def numbered(found: Sequence[Draft]) -> list[Deviation]:
    return [
        Deviation(
            number=number,
            kind=draft.kind,
            at=draft.at,
            step=draft.step,
            scopes=draft.scopes,
            by=draft.by,
            what=draft.what,
            reason=draft.reason,
        )
        for number, draft in enumerate(found, 1)
    ]


def _of_turns(site: Site, turns: Sequence[Turn], executors: Mapping[str, Executor]) -> Iterator[Draft]:
    for turn in turns:
        step, scopes = key_of(turn), (turn.scope,)

        def draft(
            kind: Kind, at: datetime, what: str, reason: str = "", turn: Turn = turn, step: str = step
        ) -> Draft:
            return Draft(kind, at, step, (turn.scope,), what, reason, turns=[turn])

        came = result(turn, broken(turn, executors))
        if came is Result.ROLLED_BACK:
            at = next(
                r.at for r in turn.rows if r.entry.leg == "rollback" and r.entry.event is Event.INTENDED
            )
            proof = next((r.entry.text for r in turn.rows if r.entry.leg == "traffic"), "").removeprefix(
                "no: "
            )
            yield draft(Kind.ROLLBACK, at, "the cluster was rolled back to the old release (R11)", proof)
        unkept = [r for r in turn.rows if r.entry.event is Event.NOTE and r.entry.data.get(UNKEPT)]
        if came is Result.UNFINISHED and not unkept:
            run = executors.get(turn.executor)
            how = run.how if run is not None and run.how else "without a word"
            yield draft(
                Kind.UNFINISHED, turn.end, f"the run ended in the middle of this row ({how})", text(turn)
            )
        for row in by_hand(turn):
            yield draft(
                Kind.BY_HAND,
                row.at,
                "found done: by hand, or before this campaign",
                row.entry.text,
            )
        for row in adopted(turn):
            yield draft(Kind.ADOPTED, row.at, "it was under way already and was waited for", row.entry.text)
        for row in turn.events(Event.LOST):
            yield draft(
                Kind.LOST, row.at, "the answer to the act was lost; the system was asked", row.entry.text
            )
        for row in turn.events(Event.REFUSED):
            yield draft(Kind.REFUSED, row.at, "the act was refused, nothing was run", row.entry.text)
        for row in unkept:
            yield draft(Kind.UNKEPT, row.at, "something could not be written: the run ended", row.entry.text)
        for act, kind, seconds in late(turn, site):
            deadline = getattr(site.pace, kind.value).late
            yield Draft(
                Kind.LATE,
                act.verified or turn.end,
                step,
                scopes,
                f"it took {seconds:.1f} s; it counts as late after {deadline:g} s",
                turns=[turn],
            )


def _holds(
    holds: Sequence[Hold], answers: Mapping[str, HoldAnswer], turns: Sequence[Turn]
) -> Iterator[Draft]:
    """Every place where work waited for a person; a question is no deviation, what it was answered is with its row."""
    for hold in holds:
        answer = answers.get(hold.id)
        if hold.kind.value == "question" and (answer is None or answer.choice.value == "go"):
            continue
        rule = f" ({hold.rule})" if hold.rule else ""
        reason = hold.reason.rstrip(".") + "."
        if answer is not None:
            reason += f" Answered {answer.choice} by {answer.by}: {answer.why or 'without a word'}."
        if hold.closed is not None:
            reason += f" Closed {hold.closed:%H:%M:%S} UTC: {hold.closed_why}"
        else:
            reason += " It is open."
        scope = hold.cluster or WHOLE
        mine = [
            turn
            for turn in turns
            if (*turn.key, turn.scope) == (hold.procedure, hold.step, scope)
            and any(row.entry.data.get("hold") == hold.id for row in turn.events(Event.HELD))
        ]
        yield Draft(
            Kind.HOLD,
            hold.opened,
            f"{hold.procedure}/{hold.step}",
            (scope,),
            f"work waited for a person{rule}",
            reason,
            answer.by if answer is not None else "",
            mine,
        )


def _of_people(site: Site, sources: Sources, until: datetime) -> Iterator[Draft]:
    begun = sources.campaign.begun
    end = sources.campaign.ended or until
    for check in sources.overrides:
        if check.at <= end and (check.until is None or check.until >= begun):
            yield Draft(
                Kind.OVERRIDE,
                check.at,
                "",
                (check.server or WHOLE,),
                f"the check {check.check!r} was overridden",
                check.text,
                check.by or "",
            )
    for alarm in site.accepted_alarms:
        yield Draft(
            Kind.ACCEPTED_ALARM,
            begun,
            "",
            (alarm.source,),
            f"alarm {alarm.number} on {alarm.source} was accepted",
            alarm.reason,
            alarm.by,
        )
    for word in sources.confirmations:
        if word.item.startswith(_RELEASE) and begun <= word.at <= end:
            cluster = word.item.removeprefix(_RELEASE)
            yield Draft(
                Kind.RELEASE,
                word.at,
                "",
                (cluster,),
                f"{cluster} was let go on after a stop",
                word.text,
                word.by,
            )
    for stop in sources.stops:
        if begun <= stop.at <= end:
            what = "a stop before the next act was asked for" if stop.now else "a stop was asked for"
            yield Draft(Kind.STOP, stop.at, "", (WHOLE,), what, stop.why, stop.by)


def _skipped(turns: Sequence[Turn], executors: Mapping[str, Executor]) -> Iterator[Draft]:
    """Whole rows that were skipped, together where procedure and reason are the same."""
    groups: dict[tuple[str, str], list[Turn]] = {}
    for turn in turns:
        if result(turn, broken(turn, executors)) is Result.SKIPPED:
            groups.setdefault((turn.key[0], text(turn)), []).append(turn)
    for (_, reason), mine in groups.items():
        numbers = sorted({turn.key[1] for turn in mine})
        rows = f"row {numbers[0]} was" if len(numbers) == 1 else f"rows {_spans(numbers)} were"
        scopes = tuple(dict.fromkeys(turn.scope for turn in mine))
        yield Draft(
            Kind.SKIPPED, mine[0].begin, key_of(mine[0]), scopes, f"{rows} not needed", reason, turns=mine
        )


def _spans(numbers: Sequence[int]) -> str:
    """Such as 3 to 15, or 6 and 8."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " and ".join(str(a) if a == b else f"{a} to {b}" for a, b in spans)


def _windows(site: Site, turns: Sequence[Turn]) -> Iterator[Draft]:
    """Acts of the upgrade and of the backout outside of every window of the site file."""
    if not site.windows:
        return
    outside: dict[str, list[tuple[Turn, datetime]]] = {}
    for turn in turns:
        for row in turn.events(Event.INTENDED):
            inside = any(window.start <= row.at <= window.end for window in site.windows)
            if turn.key[0].startswith(_CHANGING) and not inside:
                outside.setdefault(turn.executor, []).append((turn, row.at))
    for found in outside.values():
        mine = list({id(turn): turn for turn, _ in found}.values())
        scopes = tuple(dict.fromkeys(turn.scope for turn in mine))
        yield Draft(
            Kind.OUT_OF_WINDOW,
            found[0][1],
            key_of(found[0][0]),
            scopes,
            f"{len(found)} acts outside of every window of the site file, the first here",
            turns=mine,
        )


def _read_otherwise(turns: Sequence[Turn]) -> Iterator[Draft]:
    """Rows of the document that had to be read together with another one, once each."""
    seen: set[str] = set()
    for turn in turns:
        key = key_of(turn)
        if turn.step is not None and turn.step.source_note and key not in seen:
            seen.add(key)
            yield Draft(
                Kind.READ_OTHERWISE, turn.begin, key, (), "the row is not carried out as printed",
                turn.step.source_note,
            )  # fmt: skip
