"""Schedule the preparation before each window of a site file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cli import output
from cli.work import need_server
from mopflow.site_file import load
from mopflow.windows import prefix, preparation_runs


def schedule_preparation(site_path: Path, as_json: bool) -> int:
    """0: Prefect has exactly one run for each window ahead; windows whose time has come are named."""
    need_server()
    site = load(site_path)
    now = datetime.now(UTC)
    runs = preparation_runs(site, now)
    ahead = [run for run in runs if not run.is_past(now)]
    from tasks.schedules import arrange

    changes = arrange(ahead, prefix(site), str(site_path.resolve()))
    late = [run for run in runs if run.is_past(now)]
    content = {
        "site": site.name,
        "schedules": [{"key": c.key, "did": c.did.value, "at": c.at or None} for c in changes],
        "too_late": [{"window": run.window.name, "was_due": run.at.isoformat()} for run in late],
    }

    def lines() -> list[str]:
        said = [f"{change.key}: {change.did}" + (f", {change.at}" if change.at else "") for change in changes]
        said += [
            f"window {run.window.name}: its preparation was due {run.at.isoformat()}; start it now: "
            f"mopflow prepare {site_path}"
            for run in late
        ]
        return said or [f"{site.name} has no window ahead; give windows in {site_path}"]

    output.answer(as_json, content, lambda console: console.print("\n".join(lines()), markup=False))
    return output.OK
