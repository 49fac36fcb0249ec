"""Carry out the parts of the preparation, many servers at once, and keep what each result is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from mopflow.errors import Held, LedgerUnavailable, MopflowError
from mopflow.here import Scope
from mopflow.house import House
from mopflow.ledger import CheckOutcome, CheckResult
from mopflow.readiness import Check, Standing, keeps_until
from mopflow.run import Outcome, Result
from mopflow.step import Procedure, Step
from tasks.fanout import Ending, How, why
from tasks.steps import as_line, carry_out

STILL_COUNTS = (Standing.OK, Standing.OVERRIDDEN)  # what is ageing is better done anew

W = TypeVar("W")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that together answer one check, in their order. ``server`` None: of the whole system."""

    check: Check
    server: str | None
    rows: tuple[tuple[Step, Scope], ...]
    also: Check | None = None  # a check of the whole system that the same rows answer

    @property
    def where(self) -> str:
        return self.server or "system"


def carry_out_parts(
    house: House, parts: Sequence[Part], *, at_once: int = 1, again: bool = False, stop: bool = False
) -> list[Ending]:
    """Carry out every part; one that cannot go on holds nobody else.

    A result that counts already is left alone unless ``again``. ``at_once``: so many parts side by side. ``stop``:
    the first part that does not end well ends all (one after another only). Raises LedgerUnavailable.
    """
    known = {(item.check, item.server): item for item in house.readiness().items}

    def one(part: Part) -> Ending:
        items = [known[part.check, part.server]] + ([known[part.also, None]] if part.also is not None else [])
        if not again and all(item.standing in STILL_COUNTS for item in items):
            return as_line(
                f"{part.check}, {part.where}",
                lambda: Ending(part.where, How.DONE, f"counts already: {items[0].text}"),
                lambda ending: ("Found done", ending.text),
            )
        return _carry_out(house, part)

    if at_once == 1:
        endings: list[Ending] = []
        for part in parts:
            endings.append(one(part))
            if stop and endings[-1].how is not How.DONE:
                break
        return endings
    return side_by_side(one, parts, at_once)


def _carry_out(house: House, part: Part) -> Ending:
    ending, results = attempt(house, part.where, part.rows)
    needed = any(result.outcome is not Outcome.SKIPPED for result in results)
    outcome, text = CheckOutcome.OK if needed else CheckOutcome.NOT_NEEDED, ending.text
    if ending.how is not How.DONE:
        outcome, text = CheckOutcome.FAILED, why(ending)
    keep(house, part.check, part.server, outcome, text)
    if part.also is not None:
        keep(house, part.also, None, outcome, text)
    return ending


def attempt(house: House, where: str, rows: Iterable[tuple[Step, Scope]]) -> tuple[Ending, list[Result]]:
    """Carry out rows until one does not end well; what came of them. Raises LedgerUnavailable."""
    results: list[Result] = []
    try:
        for step, scope in rows:
            results.append(carry_out(step, scope, house))
    except LedgerUnavailable:
        raise
    except Held as held:
        return Ending(where, How.HELD, str(held), error=held), results
    except MopflowError as error:
        return Ending(where, How.FAILED, house.vault.strike(str(error)), error=error), results
    text = next((result.text for result in reversed(results) if result.text), "")
    return Ending(where, How.DONE, text), results


def each_row(house: House, procedure: Procedure) -> list[Ending]:
    """Every row of a procedure that only looks, on the whole system; one that does not end well stops no other."""
    return [attempt(house, step.key, [(step, Scope())])[0] for step in procedure.steps]


def side_by_side(work: Callable[[W], R], items: Sequence[W], at_once: int) -> list[R]:
    """``work`` for every item, at most ``at_once`` at a time; each in a context of its own, where Prefect finds the run."""
    with ThreadPoolExecutor(max_workers=max(1, at_once), thread_name_prefix="part") as pool:
        waiting = [pool.submit(copy_context().run, work, item) for item in items]
        return [each.result() for each in waiting]


def keep(
    house: House,
    check: Check,
    server: str | None,
    outcome: CheckOutcome,
    text: str,
    *,
    by: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Enter a result, with the release that it was obtained on."""
    now = datetime.now(UTC)
    facts = dict(data or {})
    of = server or active_cmp(house)
    release = house.running_releases().get(of)
    if release is not None:
        facts |= {"release": str(release), "server": of}
    house.ledger.add_check(
        house.site.name,
        house.campaign,
        CheckResult(check.value, server, outcome, text, now, keeps_until(check, house.site, now), by, facts),
    )


def active_cmp(house: House) -> str:
    """The active server of the primary CMP cluster; the first one while nobody knows."""
    latest = house.eye.latest
    active = latest.state(house.site.cmp.primary.name).active if latest is not None else None
    return active.name if active is not None else house.site.cmp.primary.server_names[0]


def of_each_server(
    house: House,
    check: Check,
    rows: Callable[[str], Sequence[Step]],
    servers: Sequence[str] | None = None,
    *,
    also: Mapping[str, Check] | None = None,
) -> list[Part]:
    """One part per server: ``rows(server)`` on that server. ``also``: what the rows of a server answer besides."""
    names = [server.name for server in house.site.servers] if servers is None else list(servers)
    return [
        Part(check, name, tuple((step, Scope(server=name)) for step in rows(name)), (also or {}).get(name))
        for name in names
    ]


def of_system(check: Check, steps: Sequence[Step]) -> Part:
    return Part(check, None, tuple((step, Scope()) for step in steps))
