"""Pages that Prefect shows as artifacts and the evidence keeps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from prefect.artifacts import create_markdown_artifact

from mopflow.house import House
from mopflow.post_check_page import PageRow
from mopflow.post_check_page import markdown as post_check_markdown
from mopflow.readiness import Readiness
from mopflow.readiness_page import markdown
from mopflow.step import Procedure
from tasks.context import struck
from tasks.fanout import Ending, why


def show_readiness(house: House) -> Readiness:
    """The page of readiness as an artifact of this run, and as evidence under chapter 4."""
    report = house.readiness()
    page = struck(markdown(report, str(house.site_path), datetime.now(UTC)))
    house.evidence.keep_text("4", 0, None, "readiness.md", page, "readiness")
    create_markdown_artifact(
        page, key=_key(f"readiness-{house.site.name}"), description=f"Readiness of {house.site.name}"
    )
    return report


def show_post_check(house: House, procedure: Procedure, endings: Sequence[Ending]) -> None:
    """What the rows of chapter 11 found, as an artifact of this run and as evidence."""
    rows = [
        PageRow(step.key, step.title, ending.how.value, why(ending))
        for step, ending in zip(procedure.steps, endings, strict=True)
    ]
    page = struck(post_check_markdown(house.site, house.campaign, rows, datetime.now(UTC)))
    house.evidence.keep_text(procedure.number, 0, None, "post-check.md", page, "post-check")
    name = house.site.name
    create_markdown_artifact(
        page, key=_key(f"post-check-{name}"), description=f"Post-upgrade health check of {name}"
    )


def _key(text: str) -> str:
    """As Prefect takes it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
