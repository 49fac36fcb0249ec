"""One subflow per cluster, all at once, each in a thread of its own; none can end another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun

from mopflow.errors import Held
from tasks.context import at_home
from tasks.states import error_of

LAST_WORDS = 20.0  # seconds that all threads together get to end by themselves when the run is interrupted


class How(StrEnum):
    DONE = "done"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work on one cluster ended. ``text`` is one sentence for a person."""

    cluster: str
    how: How
    text: str
    result: Any = None  # what the subflow returned
    error: BaseException | None = None


def why(ending: Ending) -> str:
    """Why it did not end well, and what a person should do; what was found, if it did."""
    if isinstance(ending.error, Held):
        return f"{ending.error.reason} To do: {ending.error.remedy}"
    return ending.text


def for_each_cluster(
    flow: Flow[..., Any],
    clusters: Iterable[str],
    house: object,
    *,
    began: Callable[[str, str], None] | None = None,
    ended: Callable[[Ending], None] | None = None,
    stop: Callable[[], None] | None = None,
    **parameters: Any,
) -> list[Ending]:
    """Run `flow(cluster=name, **parameters)` for every cluster at once; their endings in the given order.

    Returns when the last one has ended, whatever became of the others. ``parameters`` are JSON; the house is found
    by `current(House)`. ``began(flow_run_id, cluster)`` is called before the flow's first line, ``ended(ending)``
    after its last; both in the cluster's thread. An interrupt (Ctrl-C, SIGTERM) calls ``stop``, which asks the
    threads to end, waits for them a while, and passes on.
    """
    names = list(clusters)
    endings: dict[str, Ending] = {}
    # Prefect on SQLite answers 503 to runs that are created at the same moment, and its client then sleeps for
    # seconds: one is created after the other, in the given order.
    created = {name: threading.Event() for name in names}

    def work(name: str, before: threading.Event | None) -> None:
        def note_run(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:
            created[name].set()
            if began is not None:
                began(str(flow_run.id), name)

        shown: Callable[..., Any] = flow.with_options(on_running=[*(flow.on_running_hooks or ()), note_run])
        try:
            if before is not None:
                before.wait()
            with at_home(house):
                endings[name] = _ending(name, shown(cluster=name, **parameters, return_state=True))
        except BaseException as error:  # noqa: BLE001  a thread has no caller: the error is the ending
            endings[name] = Ending(name, How.FAILED, _sentence(error), error=error)
        finally:
            created[name].set()
            if ended is not None:
                ended(endings[name])

    # Daemons: after an interrupt the process must be able to end although a thread waits for a server.
    threads = [
        threading.Thread(
            target=copy_context().run,
            args=(work, name, created[before] if before is not None else None),
            name=f"cluster {name}",
            daemon=True,
        )
        for before, name in zip([None, *names], names, strict=False)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        if stop is not None:
            stop()
        for thread in threads:
            thread.join(LAST_WORDS / len(threads))
        raise
    return [endings[name] for name in names]


def _ending(cluster: str, state: State[Any]) -> Ending:
    error = error_of(state)
    if error is None:
        return Ending(cluster, How.DONE, state.message or "done", result=state.result(raise_on_failure=False))
    if isinstance(error, Held):
        return Ending(cluster, How.HELD, str(error), error=error)
    return Ending(cluster, How.FAILED, _sentence(error), error=error)


def _sentence(error: BaseException) -> str:
    return str(error) or type(error).__name__
