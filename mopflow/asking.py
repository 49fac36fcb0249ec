"""A hold is put before people, and work goes on with their answer; without anybody to ask, the run ends held."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from mopflow import answers, questions, stops
from mopflow.errors import Held, NothingRun, UnreadableReply
from mopflow.holds import hold, stopping
from mopflow.ledger import Choice, Entry, Event, Hold, HoldAnswer, HoldKind
from mopflow.messages import Kind
from mopflow.rules import FOLLOWS
from mopflow.step import Refusal
from mopflow.turning import goes_back

if TYPE_CHECKING:
    from mopflow.here import Here
    from mopflow.house import House

T = TypeVar("T")


class Asker(Protocol):
    """Puts a hold before people."""

    def wait(self, row: Hold, over: Callable[[], bool]) -> HoldAnswer | None:
        """Show the hold until it is answered, closed, or ``over()``; None when there is no answer. Never expires."""
        ...

    def wait_until(self, over: Callable[[], bool]) -> None:
        """Wait for what other people or clusters do."""
        ...


def until_answered(house: House, do: Callable[[], T]) -> T:
    """Do it; where it is held, ask, and do it again when a person said so.

    Raises Held where nobody can be asked, where the person wants the work left, and where it was stopped.
    """
    while True:
        try:
            return do()
        except Held as held:
            if house.asker is None:
                raise
            row = house.ledger.hold(held.hold)
            if row.rule == stops.STOP:
                raise
            if row.rule == FOLLOWS:
                _wait_for_others(house, house.asker, row, held)
            else:
                _answered(house, house.asker, row, held)


def _answered(house: House, asker: Asker, row: Hold, held: Held) -> None:
    """Returns when the step is to be done again."""

    def over() -> bool:
        request = stops.asked(house)
        return (request is not None and request.now) or _untrue(house, row) is not None

    answer = asker.wait(row, over)
    if answer is None:
        if house.ledger.hold(row.id).closed is not None:
            return  # somebody closed it another way (mopflow release-hold): look anew
        if (untrue := _untrue(house, row)) is not None:
            house.ledger.close_hold(row.id, f"{answers.UNTRUE}: {untrue}")
            return
        request = stops.asked(house)
        raise Held(
            row.id,
            held.where,
            f"{held.reason} ({stops.said(request) if request else 'stopped'})",
            held.remedy,
        )
    words = f"{answer.by} ({answer.via}) answers {answer.choice}" + (f": {answer.why}" if answer.why else "")
    if answer.choice is Choice.LEAVE:
        _note(house, row, words)
        if row.kind is HoldKind.QUESTION:
            house.ledger.close_hold(row.id, words)  # all is well there: the next run asks anew
        raise Held(row.id, held.where, f"{held.reason} ({words})", held.remedy)
    if (untrue := _untrue(house, row)) is not None:
        words = f"{answers.REFUSED} {answer.by} is refused, the system changed since the question was put: {untrue}"
        _note(house, row, words)
        house.ledger.close_hold(row.id, words)
        house.notices.tell(Kind.ANSWER, f"and refused: {_where(row)}", words, "the question is put anew.")
        return
    item = row.asked.get("item")
    if item is not None:
        house.ledger.confirm(house.site.name, item, answer.by, answer.why, answer.via)
    _note(house, row, words)
    house.ledger.close_hold(row.id, words)
    house.notices.tell(Kind.ANSWER, _where(row), f"{answers.question(row)}\n{words}")


def _untrue(house: House, row: Hold) -> str | None:
    """Why a question is no longer true on the live system. A console that is away says nothing."""
    if not row.asked.get("system"):
        return None
    try:
        return questions.changed(row, house.eye.soon())
    except (NothingRun, UnreadableReply):
        return None


def stop_if_stopped(here: Here) -> None:
    """Nothing new is begun while another cluster stopped (R8), or a person asked to stop.

    Where a person is asked, it waits for the answer; else, and where the person wants the work left, it raises Held.
    """
    for refusal in stops.objections(here):
        hold(here, refusal)
    house, name = here.house, str(here.scope)
    back = goes_back(here.step.procedure)
    found = _others(house, name, back=back)
    if not found:
        return
    first = found[0]
    if house.asker is None or not _others_answered(
        house, house.asker, lambda: _others(house, name, back=back)
    ):
        hold(
            here,
            Refusal(FOLLOWS, f"{first.cluster} stopped at {first.procedure}/{first.step}: {first.reason}"),
        )


def _wait_for_others(house: House, asker: Asker, row: Hold, held: Held) -> None:
    """Returns when nothing stops this cluster any more; raises Held when a person wants the work left, or stopped."""
    back = goes_back(row.procedure)
    if not _others_answered(house, asker, lambda: _others(house, row.cluster, back=back)):
        raise held
    house.ledger.close_hold(row.id, "what stopped it was answered")


def _others_answered(house: House, asker: Asker, others: Callable[[], list[Hold]]) -> bool:
    """Wait until nothing of it is open. False: a person wants the work left, or stopped now."""

    def over() -> bool:
        found = others()
        request = stops.asked(house)
        answers = [house.ledger.answer_to(one.id) for one in found]
        left = any(answer is not None and answer.choice is Choice.LEAVE for answer in answers)
        return not found or left or (request is not None and request.now)

    asker.wait_until(over)
    return not others()


def _others(house: House, cluster: str | None, *, back: bool) -> list[Hold]:
    """What stops this cluster because another one stopped."""
    return [row for row in stopping(house, back=back) if row.cluster != cluster]


def _where(row: Hold) -> str:
    return f"{row.cluster or 'system'} at {row.procedure}/{row.step}"


def _note(house: House, row: Hold, text: str) -> None:
    entry = Entry(
        row.procedure,
        row.step,
        "",
        row.cluster,
        Event.NOTE,
        house.vault.strike(text),
        data={"hold": row.id},
    )
    house.ledger.record(house.campaign, house.site.name, house.executor, entry)
