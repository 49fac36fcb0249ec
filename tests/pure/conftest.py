"""What most tests of this folder begin with: an empty ledger to copy, and a place where runs happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from mopflow.ledger import Ledger
from tests.pure.small_system import Place, make_place


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; `make_place` copies it."""
    file = tmp_path_factory.mktemp("ledger") / "empty.db"
    Ledger.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def place(tmp_path: Path, empty_ledger: Path) -> Place:
    return make_place(tmp_path / "place", empty_ledger)
