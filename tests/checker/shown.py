"""Which answers the goals of every numbered row gave while the tests ran, and which are missing.

As a pytest plugin (tests/conftest.py) it writes them down; `python tests/checker/shown.py` then names every row whose goal
was not seen to answer no before its act, yes after it, and unknown on unreadable input.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from mopflow import run
from mopflow.procedures.table import PROCEDURES
from mopflow.step import Answer, Finding, Leg, Step

FOLDER = Path(".shown")
Key = tuple[str, str]  # row and leg
Seen = Mapping[Key, set[str]]

# What only a person, the ledger or the site file decides cannot be unreadable.
ALWAYS_READABLE = {
    ("10.2/12", ""),  # never accepted (R14): there is nothing to read
}


class Recorder:
    """Listens to `mopflow.run` in this process."""

    def __init__(self) -> None:
        self.seen: defaultdict[Key, set[str]] = defaultdict(set)

    def install(self) -> None:
        goal = run._Leg._goal

        def listening(leg: run._Leg) -> Finding:
            found = goal(leg)
            self.note(leg.here.step, leg.leg, found.answer)
            return found

        run._Leg._goal = listening  # type: ignore[method-assign]

    def note(self, step: Step, leg: Leg, answer: Answer) -> None:
        self.seen[step.key, leg.name].add(answer.value)

    def write(self) -> None:
        if self.seen:
            FOLDER.mkdir(exist_ok=True)
            rows = [[*key, sorted(answers)] for key, answers in sorted(self.seen.items())]
            (FOLDER / f"{os.getpid()}.json").write_text(json.dumps(rows))


RECORDER = Recorder()


def read() -> Seen:
    seen: defaultdict[Key, set[str]] = defaultdict(set)
    for file in FOLDER.glob("*.json"):
        for row, leg, answers in json.loads(file.read_text()):
            seen[row, leg].update(answers)
    return seen


def missing(seen: Seen) -> Iterator[str]:
    """One line for each goal that was not shown whole. A row that only looks has no "before the act"."""
    for procedure in PROCEDURES.values():
        for step in procedure.steps:
            for leg in step.legs:
                key = (step.key, leg.name)
                wanted = {Answer.YES.value}
                if leg.act is not None:
                    wanted.add(Answer.NO.value)
                if key not in ALWAYS_READABLE:
                    wanted.add(Answer.UNKNOWN.value)
                lacking = wanted - seen.get(key, set())
                if lacking:
                    yield f"{step.key} {leg.name or 'goal'}: no test shows {', '.join(sorted(lacking))}"


def main() -> int:
    lines = list(missing(read()))
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
