"""What must be so before a flow begins at all.

R7: no upgrade begins while a backout runs in its cluster. R12: no upgrade phase starts before its servers are ready; it
never stands in the way of work that was begun. The
post-upgrade check is for a system that runs the target release altogether (first note of chapter 11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from mopflow import gate_window, mixed
from mopflow.here import Here, Scope
from mopflow.holds import hold
from mopflow.house import House
from mopflow.readiness import needed_for
from mopflow.step import Refusal, Step
from mopflow.system import Stage

NAMED = 12  # so many missing items are named one by one


def require_forward(house: House, rows: Mapping[str, Step]) -> str:
    """That no backout runs in these clusters, as a sentence. ``rows``: cluster -> the row that its upgrade begins with.

    Raises Held with R7 at once: how long a backout takes is no matter of a row's patience, and whether it is to be
    finished is for a person. The same command looks anew when it is started again.
    """
    reading = house.eye.soon()
    for name, step in rows.items():
        state = reading.state(name)
        if state.stage.is_back:
            here = Here(house, step, Scope(cluster=name), reading)
            hold(here, Refusal("R7", f"a backout runs in {name}, it is never reversed: {state.why}"))
    return f"no backout runs in {', '.join(rows)}"


def require_ready(house: House, clusters: Sequence[str], step: Step, scope: Scope) -> str:
    """What is ready, as a sentence. Raises Held that names what is missing for clusters that were not begun yet."""
    reading = house.eye.soon()
    fresh = [
        house.site.cluster(name)
        for name in clusters
        if reading.state(name).stage in (Stage.FRESH, Stage.FORCED)
    ]
    if not fresh:
        return "nothing is to be begun here"
    wrong = mixed.ahead(house.site, reading.states)
    if wrong:
        hold(Here(house, step, scope, reading), Refusal("R13", "; ".join(wrong)))
    report = house.readiness()
    servers = needed_for(fresh)
    missing = report.missing(servers)
    if missing:
        named = "; ".join(f"{item.where}: {item.check} {item.standing}" for item in missing[:NAMED])
        more = f"; and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        here = Here(house, step, scope, reading)
        reason = f"not prepared: {named}{more}. Next: {report.next_thing(str(house.site_path), servers)}"
        hold(
            here,
            Refusal("R12", reason),
            "\n".join(f"{i.where}: {i.check} {i.standing}: {i.text}" for i in missing),
        )
    window = gate_window.said(house.site, datetime.now(UTC))
    overridden = [f"{i.check} of {i.where} by {i.by}" for i in report.items if i.by is not None]
    return (
        f"{len(fresh)} clusters are prepared"
        + (f"; overridden: {', '.join(overridden)}" if overridden else "")
        + (f"; {window}" if window else "")
    )


def require_upgraded(house: House, step: Step) -> str:
    """What is upgraded, as a sentence. Raises Held that names every cluster that is not on the target release."""
    reading = house.eye.now()
    left = [state.why for state in reading.states.values() if state.stage is not Stage.DONE]
    target = house.site.target_release.short
    if left:
        reason = f"not every cluster runs {target} yet: {'; '.join(left)}"
        hold(Here(house, step, Scope(), reading), Refusal("not upgraded", reason))
    return f"all {len(reading.states)} clusters run {target}"
