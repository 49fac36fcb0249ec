"""One task run per numbered step, named as the document numbers it: `10.2/4 Failover, mpe-1`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from mopflow import gate, gate_back, places, rehearsals, run
from mopflow.asking import until_answered
from mopflow.site import Autonomy
from tasks.context import struck
from tasks.states import failed_by, report

if TYPE_CHECKING:
    from mopflow.here import Scope
    from mopflow.house import House
    from mopflow.run import Result
    from mopflow.step import Step

T = TypeVar("T")


@dataclass(slots=True)
class _Work:
    """What the task run does, and what came of it: never seen by Prefect."""

    do: Callable[[], object]
    show: Callable[[Any], tuple[str, str]]
    result: object = None
    error: BaseException | None = None


_WORK: ContextVar[_Work] = ContextVar("mopflow_work")


# Retries are decided inside mopflow, which knows whether anything was run. No tags: Prefect would ask its server
# for a place per tag, and a step must not depend on that.
@task(
    name="step",
    task_run_name="{line}",
    retries=0,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def _one_line(line: str) -> State[Any]:
    work = _WORK.get()
    try:
        work.result = work.do()
    except Exception as error:  # noqa: BLE001  it is not swallowed: `as_line` raises it
        work.error = error
        report(error)
        return failed_by(error)
    except BaseException as error:
        work.error = error
        raise
    name, message = work.show(work.result)
    return Completed(name=name, message=struck(message))


def as_line(line: str, do: Callable[[], T], show: Callable[[T], tuple[str, str]]) -> T:
    """Do it as one task run named ``line``; ``show`` gives the name and message of its final state.

    Raises what ``do`` raises. Prefect sees the line and the two words of ``show``, never the result.
    """
    work = _Work(do, show)
    token = _WORK.set(work)
    try:
        _one_line(line, return_state=True)
    finally:
        _WORK.reset(token)
    if work.error is not None:
        raise work.error
    return work.result  # type: ignore[return-value]  # it is what `do` returned


def require_forward(house: House, rows: Mapping[str, Step]) -> None:
    """R7 as one task run: raises Held when a backout runs in one of these clusters (name -> its first row).

    Nobody is asked: it ends by itself, and the command looks anew when it is started again.
    """
    as_line(
        f"R7 Direction, {', '.join(rows)}",
        lambda: gate.require_forward(house, rows),
        lambda text: ("Clear", text),
    )


def tell_rehearsed(house: House) -> None:
    """Was exactly this plan rehearsed (4.4)? One task run that says so, and a note in the journal; it refuses nothing."""
    as_line(
        "4.4 Was this plan rehearsed?",
        lambda: rehearsals.note(house),
        lambda found: ("Rehearsed" if found.exactly else "Not rehearsed", found.text),
    )


def require_ready(house: House, clusters: Sequence[str], step: Step, scope: Scope) -> None:
    """R12 as one task run: raises Held when the preparation of these clusters is missing."""
    as_line(
        f"R12 Readiness, {scope}",
        lambda: until_answered(house, lambda: gate.require_ready(house, clusters, step, scope)),
        lambda text: ("Ready", text),
    )


def require_upgraded(house: House, step: Step) -> None:
    """As one task run: raises Held when a cluster of the site is not on the target release."""
    as_line(
        f"{step.procedure} The whole system is upgraded",
        lambda: until_answered(house, lambda: gate.require_upgraded(house, step)),
        lambda text: ("Ready", text),
    )


def require_backout(house: House, scope: str) -> None:
    """The order, the price and what a person has confirmed, as one task run. Raises Held for what is refused."""
    as_line(
        f"12.2 Pre-requisites of the backout, {scope}",
        lambda: until_answered(house, lambda: gate_back.require_backout(house, scope)),
        lambda text: ("Legal", text),
    )


def approved(step: Step, scope: Scope, house: House) -> None:
    """Where the site wants this row's act confirmed: ask before a place is taken of which there is only one.

    Raises Held when nobody can be asked, or the person wants the cluster left.
    """
    rules = house.site.autonomy
    if any(leg.act is not None and rules.of(leg.autonomy) is Autonomy.CONFIRM for leg in step.legs):
        as_line(
            f"{step.key} Confirm: {step.title}, {scope}",
            lambda: until_answered(house, lambda: places.approval(house, step, scope)),
            lambda text: ("Approved", text),
        )


def carry_out(step: Step, scope: Scope, house: House, *, glance: bool = False) -> Result:
    """Carry out one numbered step as one task run. Raises what `mopflow.run.carry_out` raises."""
    return as_line(
        f"{step.key} {step.title}, {scope}",
        lambda: until_answered(house, lambda: run.carry_out(step, scope, house, glance=glance)),
        lambda result: (str(result.outcome).capitalize(), result.text),
    )
