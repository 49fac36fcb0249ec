"""Did a run of the twin keep the safety rules? Reads `flight.jsonl` and `world.json`, and nothing else.

    python tests/checker/rulebook.py DIR [--complete] [--failures-stop] [--until T] [--answered T]

prints one line per violation of R1 to R11, on the way there and on the way back, of the record's own form
(`record`) and of "no act is sent twice" (`twice`). Exit code 0: none, 1: some, 2: DIR cannot be read.
From a test: `assert check_dir(folder) == []`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flight_record import Event, UnreadableRunError, Violation, World, load, read_events, read_world
from flight_replay import Limits, RuleMaker, replay
from rules_failover import NothingNew, OneFailover, TrafficOrBack
from rules_service import ForcedStandby, SomebodyServes
from rules_start import (
    Bookkeeping,
    FourClusters,
    InSync,
    NothingTwice,
    OneDirection,
    OneImage,
    Order,
    Stagger,
)

__all__ = ["Limits", "UnreadableRunError", "Violation", "check", "check_dir", "main"]

RULES: tuple[RuleMaker, ...] = (
    Bookkeeping,
    Order,
    FourClusters,
    Stagger,
    OneFailover,
    SomebodyServes,
    ForcedStandby,
    OneDirection,
    TrafficOrBack,
    NothingNew,
    NothingTwice,
    InSync,
    OneImage,
)

_DEFAULT = Limits()


def _judge(
    world: World,
    events: Sequence[Event],
    problems: Iterable[Violation],
    limits: Limits,
    until: float | None,
) -> list[Violation]:
    if until is not None:
        events = [event for event in events if event.t <= until]
        problems = [problem for problem in problems if problem.t <= until]
    return sorted([*problems, *replay(world, events, limits, RULES)], key=lambda violation: violation.t)


def check(
    flight: Sequence[Mapping[str, Any]],
    world: Mapping[str, Any],
    limits: Limits = _DEFAULT,
    until: float | None = None,
) -> list[Violation]:
    """The violations of a record given as parsed lines and a parsed `world.json`, in the order of time.

    Args:
        limits: the numbers of the rules, in twin seconds.
        until: judges the record as if it had been cut off at that twin second.

    Raises:
        UnreadableRunError: the world makes no sense.
    """
    start = read_world(world)
    events, problems = read_events(flight, start)
    return _judge(start, events, problems, limits, until)


def check_dir(folder: Path | str, limits: Limits = _DEFAULT, until: float | None = None) -> list[Violation]:
    """The same for the folder of a run, which holds `flight.jsonl` and `world.json`.

    Raises:
        UnreadableRunError: a file is missing or `world.json` cannot be read; the message names it.
    """
    world, events, problems = load(Path(folder))
    return _judge(world, events, problems, limits, until)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Checks a flight record against the safety rules.")
    parser.add_argument("folder", type=Path, help="holds flight.jsonl and world.json")
    parser.add_argument("--complete", action="store_true", help="the run ended: no action may be left open")
    parser.add_argument("--failures-stop", action="store_true", help="R8 after any failed operation as well")
    parser.add_argument("--until", type=float, metavar="T", help="judge only up to this twin second")
    parser.add_argument("--answered", type=float, metavar="T", help="twin second at which a person answered")
    chosen = parser.parse_args(arguments)
    limits = Limits(complete=chosen.complete, failures_stop=chosen.failures_stop, answered=chosen.answered)
    try:
        violations = check_dir(chosen.folder, limits, chosen.until)
    except UnreadableRunError as problem:
        print(problem, file=sys.stderr)
        return 2
    for violation in violations:
        print(violation)
    print(f"{len(violations)} violations" if violations else "every rule was kept", file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
