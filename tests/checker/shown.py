"""Which answers the goals of every numbered row gave while the tests ran, and which are missing.

Each goal is to be seen answering no before its act, yes after it, and unknown on unreadable input. tests/conftest.py
listens in every run; with `pytest --traces` (the quick tests of the Makefile) a run fails that has not seen them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from mopflow import run
from mopflow.procedures.table import PROCEDURES
from mopflow.step import Answer, Finding, Leg, Step

Key = tuple[str, str]  # row and leg
Seen = Mapping[Key, set[str]]

# What only a person, the ledger or the site file decides cannot be unreadable.
ALWAYS_READABLE = {
    ("10.2/12", ""),  # never accepted (R14): there is nothing to read
    ("4.1/1", "pmac version"),  # confirmed by name, in the ledger
    ("4.1/1", "firmware"),
    ("4.1/2", "release notes"),
}
# After a rollback a person decides: this goal is there to be held, and nothing makes it a yes.
NEVER_YES = {("10.2/8", "decision")}


class Recorder:
    """Listens to `mopflow.run` in this process, and takes over what other processes have heard."""

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

    def rows(self) -> list[list[str]]:
        """Row, leg and answers, as plain lists of text: for another process."""
        return [[*key, *sorted(answers)] for key, answers in sorted(self.seen.items())]

    def take(self, rows: Iterable[Iterable[str]]) -> None:
        """What `rows` of another process gave."""
        for row, leg, *answers in rows:
            self.seen[row, leg].update(answers)


RECORDER = Recorder()


def missing(seen: Seen) -> Iterator[str]:
    """One line for each goal that was not shown whole. A row that only looks has no "before the act"."""
    for procedure in PROCEDURES.values():
        for step in procedure.steps:
            for leg in step.legs:
                lacking = _wanted((step.key, leg.name), leg) - seen.get((step.key, leg.name), set())
                if lacking:
                    yield f"{step.key} {leg.name or 'goal'}: no test shows {', '.join(sorted(lacking))}"


def _wanted(key: Key, leg: Leg) -> set[str]:
    wanted = set() if key in NEVER_YES else {Answer.YES.value}
    if leg.act is not None or key in NEVER_YES:
        wanted.add(Answer.NO.value)
    if key not in ALWAYS_READABLE:
        wanted.add(Answer.UNKNOWN.value)
    return wanted
