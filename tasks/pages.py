"""Pages that Prefect shows as artifacts and the evidence keeps."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from prefect.artifacts import create_markdown_artifact

from mopflow.house import House
from mopflow.readiness import Readiness
from mopflow.readiness_page import markdown
from tasks.context import struck


def show_readiness(house: House) -> Readiness:
    """The page of readiness as an artifact of this run, and as evidence under chapter 4."""
    report = house.readiness()
    page = struck(markdown(report, str(house.site_path), datetime.now(UTC)))
    house.evidence.keep_text("4", 0, None, "readiness.md", page, "readiness")
    key = re.sub(r"[^a-z0-9]+", "-", f"readiness-{house.site.name}".lower()).strip("-")
    create_markdown_artifact(page, key=key, description=f"Readiness of {house.site.name}")
    return report
