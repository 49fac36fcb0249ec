"""The page that leads from the document to the code is complete and current."""

from __future__ import annotations

import traceability

from mopflow.procedures.table import PROCEDURES

ROOT = traceability.ROOT


def test_every_row_has_a_home_and_the_page_is_current() -> None:
    assert sum(len(p.steps) for p in PROCEDURES.values()) == 188
    assert (ROOT / "docs" / "traceability.md").read_text(encoding="utf-8") == traceability.page(), (
        "write it anew: python tests/checker/traceability.py > docs/traceability.md"
    )


def test_every_procedure_names_files_that_hold_tests() -> None:
    assert set(traceability.TESTS) == set(PROCEDURES)
    for files in (*traceability.TESTS.values(), traceability.EVERY_ROW):
        assert files
        for file in files:
            assert (ROOT / "tests" / file).read_text(encoding="utf-8").count("def test_") > 0
