"""docs/traceability.md: every numbered row of the document, what carries it out, and where it is shown.

python tests/checker/traceability.py > docs/traceability.md
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mopflow.procedures.table import PROCEDURES
from mopflow.step import Step

ROOT = Path(__file__).parents[2]

# Tests that carry out the rows of a procedure, or look at the goals of all of them.
TESTS: dict[str, tuple[str, ...]] = {
    "4.1": ("pure/test_health_rows.py", "twin/test_prep_health.py"),
    "4.5": ("pure/test_health_rows.py", "twin/test_prep_health.py", "twin/test_health_real.py"),
    "4.6.2": ("pure/test_goals_pmac.py", "pure/test_pmac_room.py", "twin/test_pmac_twin.py"),
    "4.6.3.1": (
        "pure/test_goals_servers.py",
        "pure/test_images_plan.py",
        "twin/test_prep_images.py",
        "twin/test_transfer_real.py",
    ),
    "4.6.3.2": ("pure/test_goals_pmac.py", "pure/test_pmac_reading.py", "twin/test_pmac_twin.py"),
    "4.6.4": (
        "pure/test_goals_servers.py",
        "pure/test_backups.py",
        "twin/test_prep_backups.py",
        "twin/test_screen_real.py",
    ),
    "4.6.5": (
        "pure/test_goals_servers.py",
        "pure/test_rehash.py",
        "twin/test_prep_passwords.py",
        "twin/test_rehash_real.py",
    ),
    "6.1.1": (
        "pure/test_cmp_sources.py",
        "pure/test_goals_old.py",
        "pure/test_goals_upgrade.py",
        "twin/test_cmp_sources_twin.py",
    ),
    "6.1.2": ("pure/test_cmp_sources.py", "twin/test_cmp_sources_twin.py"),
    "7.1.1": ("pure/test_cmp_sources.py", "pure/test_goals_old.py", "pure/test_goals_upgrade.py"),
    "7.1.2": ("pure/test_cmp_sources.py",),
    "8.1.1": ("pure/test_cmp_sources.py", "pure/test_goals_old.py", "pure/test_goals_upgrade.py"),
    "8.1.2": ("pure/test_cmp_sources.py",),
    "9.1.1": ("pure/test_cmp_sources.py", "pure/test_goals_upgrade.py", "e2e/test_nights.py"),
    "9.1.2": ("pure/test_cmp_sources.py", "e2e/test_nights.py"),
    "10.1.1": ("pure/test_goals_upgrade.py", "e2e/test_nights.py"),
    "10.2": ("pure/test_run.py", "pure/test_goals_upgrade.py", "e2e/test_nights.py"),
    "11": ("pure/test_post_check.py",),
    "12.3.3": ("pure/test_backout.py", "pure/test_backout_states.py"),
    "12.3.4": ("pure/test_backout.py", "pure/test_backout_states.py"),
    "12.3.5": ("pure/test_backout.py", "pure/test_backout_states.py"),
}
EVERY_ROW = ("pure/test_tables.py", "pure/test_unreadable.py")


def name_of(function: Callable[..., Any]) -> str:
    """Such as goals.switched; a question made for one type of image is called by its maker."""
    while isinstance(function, functools.partial):
        function = function.func
    module = function.__module__.removeprefix("mopflow.")
    return f"{module}.{function.__qualname__.split('.<locals>')[0]}"


def _names(functions: Iterable[Callable[..., Any] | None]) -> str:
    return ", ".join(dict.fromkeys(f"`{name_of(f)}`" for f in functions if f is not None)) or "looks only"


def _row(step: Step) -> str:
    title = step.title.replace("|", "/")
    acts, goals = _names(leg.act for leg in step.legs), _names(leg.goal for leg in step.legs)
    return f"| {step.key} | {title} | {acts} | {goals} |"


def lines() -> Iterator[str]:
    rows = sum(len(procedure.steps) for procedure in PROCEDURES.values())
    yield "# From the document to the code"
    yield ""
    yield f"All {rows} numbered rows of E75412-01 with the functions that carry them out. Written by `python tests/checker/traceability.py`; a test compares."
    yield ""
    everywhere = ", ".join(f"`tests/{file}`" for file in EVERY_ROW)
    yield f"Every row is looked at by {everywhere}: its alarms are those that the document prints, and what its goal cannot read is never a yes. `make quick` fails unless its tests have seen every goal answer no before its act, yes after it, and unknown on unreadable input."
    for number, procedure in PROCEDURES.items():
        yield ""
        yield f"## {number} {procedure.title}"
        yield ""
        yield "Shown in " + ", ".join(f"`tests/{file}`" for file in TESTS[number]) + "."
        yield ""
        yield "| row | title | act | goal |"
        yield "|---|---|---|---|"
        yield from (_row(step) for step in procedure.steps)


def page() -> str:
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
