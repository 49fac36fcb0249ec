"""Chapters 6 to 8, row by row, against a real twin through a real browser, from distribution to the last row."""

from __future__ import annotations

from pathlib import Path

import pytest
from houses import house_on_twin
from image_runs import distribute
from rulebook import check_dir

from mopflow.here import Scope
from mopflow.procedures.table import cmp_procedures
from mopflow.run import carry_out
from mopflow.system import Stage
from tests.pure.whole_system import SOURCES

pytestmark = [pytest.mark.twin, pytest.mark.browser, pytest.mark.soak]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", ["10.5", "11.5", "12.0"])
def test_both_cmp_clusters(tmp_path: Path, source: str) -> None:
    autonomy = {"cmp_switch": "auto"}
    site = {"source": SOURCES[source], "autonomy": autonomy}
    with house_on_twin(tmp_path, clusters=(("mpe-1", "MPE"),), site=site) as (twin, house):
        assert not distribute(house).held
        for table, cluster in zip(
            cmp_procedures(house.site.source_release), house.site.cmp_clusters, strict=True
        ):
            for row in table.steps:
                carry_out(row, Scope(cluster=cluster.name), house)
        states = house.eye.now().states
        assert {states[c.name].stage for c in house.site.cmp_clusters} == {Stage.DONE}
        assert twin.holds() == []
    assert check_dir(tmp_path) == []
