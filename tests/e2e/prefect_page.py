"""The pages of Prefect's UI, as a person uses them in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright


@contextmanager
def a_browser() -> Iterator[Page]:
    """A page of a Chromium of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser.new_page(viewport={"width": 1280, "height": 1000})
        finally:
            browser.close()


def resume(page: Page, ui: str, run: str, fields: dict[str, str], picture: Path | None = None) -> None:
    """Open the run, press Resume, fill in the form and submit it. ``fields``: by the beginning of their labels."""
    page.goto(f"{ui}/runs/flow-run/{run}")
    page.get_by_role("button", name="Resume").first.click()
    dialog = page.locator(".p-modal, [role=dialog]").last
    dialog.get_by_text("Answer", exact=True).first.wait_for()
    for label, value in fields.items():
        field = _field(dialog, label)
        if label == "Answer":
            # a click opens the list and closes it again
            field.locator("button.p-select-button__control").press("ArrowDown")
            page.locator(".p-select-option", has_text=value).first.click()
        else:
            field.locator("textarea, input").first.fill(value)
    if picture is not None:
        page.screenshot(path=picture)
    dialog.get_by_role("button", name="Submit").click()
    dialog.wait_for(state="hidden")
    page.goto("about:blank")  # the UI draws all the time


def _field(dialog: Locator, label: str) -> Locator:
    header = dialog.page.locator(".schema-form-property__label", has_text=label)
    return dialog.locator(".schema-form-property", has=header).last
