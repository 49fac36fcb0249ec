"""How runs end in Prefect: a hold as Failed, named Held; another refusal as Failed with one sentence.

A state that is returned (not an exception that is raised) keeps the sentence, has no traceback, and writes nothing
into Prefect's result storage.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import State, get_run_logger
from prefect.states import Failed

from mopflow.errors import Held, MopflowError
from tasks.context import struck

P = ParamSpec("P")
R = TypeVar("R")

HELD = "Held"


def held(message: str, data: object = None) -> State[Any]:
    """The end of a run that waits for a person: type FAILED, name Held. ``data`` stays in this process."""
    return Failed(name=HELD, message=message, data=data)


def failed_by(error: Exception) -> State[Any]:
    """The state in which ``error`` ends a run; the error itself is the state's data, in this process only."""
    if isinstance(error, Held):
        return held(struck(str(error)), error)
    return Failed(message=struck(f"{type(error).__name__}: {error}"), data=error)


def report(error: Exception) -> None:
    """Log the traceback of an error that nobody foresaw; one of mopflow's own says all in its sentence."""
    if not isinstance(error, MopflowError):
        get_run_logger().error("a mistake in the program: %s", type(error).__name__, exc_info=error)


def ends_as_state(body: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Put this below `@flow`: an error ends the run as the state that shows it.

    Called as `flow(..., return_state=True)`, or without it: then the error is raised to the caller as it was.
    """

    @functools.wraps(body)
    def ended(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            return body(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  it is not swallowed: it is the state, and raised from there
            report(error)
            return failed_by(error)

    return ended


def error_of(state: State[Any]) -> BaseException | None:
    """What ended the run, None when it went well."""
    if state.is_completed():
        return None
    found = state.result(raise_on_failure=False)
    if isinstance(found, BaseException):
        return found
    return MopflowError(state.message or f"ended as {state.name}")
