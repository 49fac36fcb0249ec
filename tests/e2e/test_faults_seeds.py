"""Ten seeds over the four source releases, with and without the way back: every flight record keeps every rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nights import TARGET, begin

from cli.prefect_server import PrefectServer
from cli.rehearsal import SOURCES

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.twin,
    pytest.mark.browser,
    pytest.mark.soak,
    pytest.mark.timeout(1800),
]

ANSWERS = {"no_new_features": "nothing new was used", "oracle_consulted": "a rehearsal: nobody to consult"}
PLAN = [  # seed, source release, backed out in the end
    *[(seed, release, False) for seed, release in enumerate(SOURCES, 1)],
    *[(seed, release, True) for seed, release in enumerate(SOURCES, 5)],
    (9, "10.5", True),
    (10, "12.1.1", True),
]


def test_the_plan_has_every_release_both_ways() -> None:
    assert len({seed for seed, _, _ in PLAN}) == 10
    for way in (False, True):
        assert {release for _, release, back in PLAN if back is way} == set(SOURCES)


@pytest.mark.parametrize(
    "seed, release, back", PLAN, ids=[f"{s}-{r}-{'back' if b else 'there'}" for s, r, b in PLAN]
)
def test_a_night_keeps_every_rule(
    seed: int, release: str, back: bool, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    night = begin(
        tmp_path / "night",
        prefect_server.environment(),
        minutes=2,
        seed=seed,
        source=SOURCES[release],
        gui_style="grid" if seed % 2 else "table",
        answers=ANSWERS,
    )
    try:
        for ended in (night.cmp(), night.segment()):
            assert ended.code == 0, ended.err
        assert set(night.releases().values()) == {TARGET}
        assert night.violations(complete=True) == []
        if back:
            ended = night.mopflow("back-out", str(night.site_file), "all", "--json")
            assert ended.code == 0, ended.err
            assert json.loads(ended.out)["exit"] == 0
            assert set(night.releases().values()) == {SOURCES[release]}
            assert night.violations(complete=True) == []
        assert night.holds() == {}
    finally:
        night.close()
