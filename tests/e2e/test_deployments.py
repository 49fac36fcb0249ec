"""What `prefect deploy --all` and `prefect block register -m blocks` find in this repository."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def test_all_flows_are_deployed_into_the_pool() -> None:
    assert {d["name"] for d in DEPLOYMENTS} == {
        "prepare",
        "health-check",
        "load-pmac",
        "distribute-images",
        "back-up",
        "rehash-passwords",
        "upgrade-cmp",
        "upgrade-segment",
        "back-out",
        "post-check",
    }
    assert {d["work_pool"]["name"] for d in DEPLOYMENTS} == {"mopflow"}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: str(d["name"]))
def test_an_entrypoint_loads_and_takes_the_parameters(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert flow.name == deployment["name"]
    taken = flow.validate_parameters(deployment["parameters"])
    assert set(taken) == set(flow.parameters.properties) == set(deployment["parameters"])
    assert (ROOT / deployment["parameters"]["site"]).is_file()


def test_no_flow_file_hides_a_module() -> None:
    """The folder of an entrypoint comes first on the path of the process that runs it."""
    ours = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert names
    assert names.isdisjoint(sys.stdlib_module_names | ours)
