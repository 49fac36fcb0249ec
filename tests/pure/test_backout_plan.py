"""The plan of a backout: order, price, what refuses it, and what is asked of a person."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cli.back_out import as_document, render
from cli.readiness import confirm_item
from mopflow import rules_back
from mopflow.backout_plan import BackoutPlan, Need, plan, side_by_side
from mopflow.confirmations import backout_items, backout_word, sentence_of
from mopflow.console.protocol import LogLine
from mopflow.errors import BadInput
from mopflow.gate_back import command
from mopflow.ledger import Ledger
from mopflow.scopes import clusters_of, require_scope, step_scope
from mopflow.site import Autonomy, Site
from mopflow.site_file import load
from mopflow.step import Answer
from mopflow.system import ClusterState, Stage
from tests.pure.test_rules import DONE, at, row

ROOT = Path(__file__).parents[2]
LAB = load(ROOT / "deployments" / "lab.yaml")


def states(site: Site, **stages: Stage) -> dict[str, ClusterState]:
    """Every cluster upgraded, but those that are named (with _ for everything that is no letter)."""
    found = {}
    for cluster in site.clusters:
        key = "".join(c if c.isalnum() else "_" for c in cluster.name)
        state = at(cluster.name, stages.get(key, Stage.DONE))
        found[cluster.name] = state
    return found


def need(found: BackoutPlan, cluster: str) -> Need:
    return next(one.need for one in found.clusters if one.cluster == cluster)


def test_everything_is_backed_out_in_the_reverse_order() -> None:
    found = plan(LAB, "all", states(LAB))
    names = [one.cluster for one in found.clusters]
    assert names[-2:] == ["CMP Site2 Cluster", "CMP Site1 Cluster"]
    assert set(names[:-2]) == {c.name for c in LAB.traffic_clusters}
    assert found.refusals == []
    assert {one.need for one in found.clusters} == {Need.TWO}
    assert found.failovers == len(LAB.clusters)
    secondary, primary = found.clusters[-2:]
    assert (secondary.rows, secondary.minutes) == (("12.3.4/2", "12.3.4/3", "12.3.4/4"), 82)
    assert (primary.rows, primary.minutes) == (("12.3.5/2", "12.3.5/3", "12.3.5/4", "12.3.5/8"), 83)
    traffic = side_by_side([40 + 2 + 1 + 35] * len(LAB.traffic_clusters))
    assert found.minutes == traffic + 82 + 83


def test_the_rows_of_the_primary_follow_the_source_release() -> None:
    old = LAB.model_copy(update={"source": "10.5.6_1.1.0"})
    primary = plan(old, "all", states(LAB)).clusters[-1]
    assert primary.rows == ("12.3.5/2", "12.3.5/3", "12.3.5/4", "12.3.5/6", "12.3.5/7")
    assert primary.minutes == 40 + 2 + 1 + 30 + 1


@pytest.mark.parametrize(
    "stage, wanted, waits, minutes, failovers",
    [
        (Stage.FRESH, Need.NOTHING, False, 0, 0),
        (Stage.FIRST_RUNNING, Need.ONE, True, 40 + 35, 0),
        (Stage.FIRST_DONE, Need.ONE, False, 35, 0),
        (Stage.SWITCHED, Need.FAILOVER_ONE, False, 2 + 1 + 35, 1),
        (Stage.SECOND_RUNNING, Need.TWO, True, 40 + 78, 1),
        (Stage.DONE, Need.TWO, False, 78, 1),
        (Stage.BACK_FIRST, Need.FAILOVER_ONE, True, 40 + 38, 1),
        (Stage.BACK_SECOND, Need.NOTHING, True, 40, 0),
    ],
)
def test_the_price_of_a_cluster_follows_its_state(
    stage: Stage, wanted: Need, waits: bool, minutes: float, failovers: int
) -> None:
    (one,) = plan(LAB, "mpe-1", states(LAB, mpe_1=stage)).clusters
    assert (one.need, one.waits, one.minutes, one.failovers) == (wanted, waits, minutes, failovers)
    assert one.refusals == ()


def test_at_most_four_at_one_time_and_one_start_a_minute() -> None:
    assert side_by_side([]) == 0
    assert side_by_side([78]) == 78
    assert side_by_side([78, 78, 78, 78]) == 81
    assert side_by_side([78] * 5) == 156


def test_a_cmp_is_refused_with_its_section() -> None:
    found = plan(LAB, "CMP Site2 Cluster", states(LAB))
    assert need(found, "CMP Site2 Cluster") is Need.REFUSED
    assert any("12.2, 2" in refusal.reason for refusal in found.refusals)
    back = {"".join(c if c.isalnum() else "_" for c in c0.name): Stage.FRESH for c0 in LAB.traffic_clusters}
    assert plan(LAB, "CMP Site2 Cluster", states(LAB, **back)).refusals == []
    primary = plan(LAB, "CMP Site1 Cluster", states(LAB, **back)).refusals
    assert ["comes last" in refusal.reason for refusal in primary] == [True]


def test_what_is_not_a_state_of_the_procedure_is_refused() -> None:
    found = plan(LAB, "mpe-mra", states(LAB, mpe_1=Stage.ODD))
    (refusal,) = found.refusals
    assert refusal.rule == "R8"
    assert "12.3.2" in refusal.reason
    cmps = plan(LAB, "all", states(LAB, mpe_1=Stage.ODD))
    assert {one.cluster for one in cmps.clusters if one.refusals} == {
        "mpe-1",
        "CMP Site1 Cluster",
        "CMP Site2 Cluster",
    }


def test_mixed_versions_on_the_way_are_those_of_table_1() -> None:
    found = plan(LAB, "all", states(LAB)).mixes
    assert found
    assert all("allowed (Table 1)" in line and "NOT" not in line for line in found)
    assert any(line.startswith("MPE on 12.1.1 beside CMP on 12.1.2") for line in found)
    assert any(line.startswith("CMP on 12.1.1 beside CMP on 12.1.2") for line in found)
    assert not any(line.startswith("CMP on 12.1.1 beside MPE") for line in found)


def test_scopes() -> None:
    assert clusters_of(LAB, "all") == tuple(c.name for c in LAB.clusters)
    assert clusters_of(LAB, "mpe-mra") == tuple(c.name for c in LAB.traffic_clusters)
    assert clusters_of(LAB, "cmp") == tuple(c.name for c in LAB.cmp_clusters)
    assert clusters_of(LAB, "preparation") == ()
    segment = LAB.segments[0]
    assert require_scope(LAB, segment.name) == tuple(c.name for c in segment.clusters)
    assert str(step_scope(LAB, segment.name)) == segment.name
    for wrong in ("cmp", "nothing"):
        with pytest.raises(BadInput, match=f"nothing named {wrong}"):
            require_scope(LAB, wrong)


def test_the_plan_says_everything_that_a_person_must_know() -> None:
    site = LAB.model_copy(update={"autonomy": LAB.autonomy.model_copy(update={"backout": Autonomy.CONFIRM})})
    found = plan(site, "all", states(site, mpe_1=Stage.SECOND_RUNNING, mpe_2=Stage.ODD))
    questions = [
        {
            "item": item,
            "sentence": sentence_of(site, item),
            "confirmed_by": "Ada" if item == "oracle_consulted" else None,
            "text": "SR 3-1234",
            "type": command("site.yaml", item),
        }
        for item in backout_items(None, site, "all")
    ]
    out = StringIO()
    render(Console(file=out, width=220), as_document(found, questions))
    text = out.getvalue()
    for part in (
        f"about {found.minutes:g} minutes, {found.failovers} failovers",
        "at most four at one time",
        "then the secondary CMP",
        "then the primary CMP",
        "two servers and a failover, waits for what runs",
        "REFUSED mpe-2: R8",
        "12.3.2",
        "mixed version: ",
        "confirmed by Ada (SR 3-1234)",
        "mopflow confirm site.yaml no_new_features --by NAME",
        "mopflow confirm site.yaml back-out:all --by NAME",
        "12.2, 1",
    ):
        assert part in text, part


def test_oracle_is_confirmed_with_a_ticket_or_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text((ROOT / "deployments" / "lab.yaml").read_text())
    with pytest.raises(BadInput, match="--text is blank"):
        confirm_item(file, "oracle_consulted", "Ada", " ", False)
    with pytest.raises(BadInput, match="back-out:SCOPE"):
        confirm_item(file, "back-out:nowhere", "Ada", "", False)
    assert confirm_item(file, "oracle_consulted", "Ada", "SR 3-1234", False) == 0
    assert confirm_item(file, "back-out:mpe-1", "Ada", "", False) == 0
    site = load(file)
    with Ledger.open(f"sqlite:///{tmp_path / 'mopflow-ledger.db'}") as ledger:
        word = backout_word(ledger, site, "oracle_consulted", ["mpe-1"])
    assert word is not None
    assert (word.by, word.text) == ("Ada", "SR 3-1234")


# the rules


def line(number: int, action: str, result: str = "Success") -> LogLine:
    return LogLine(number, 0, action, "", "", "", "Server", "mpe-1b", result, "Manual", "")


BACK, WAIT = "Initiate backout", "Wait for replication to synchronize"


@pytest.mark.parametrize(
    "lines, wanted",
    [
        ([], Answer.YES),  # the document shows that wait for upgrades only
        ([line(1, BACK)], Answer.YES),
        ([line(1, BACK), line(2, WAIT)], Answer.YES),
        ([line(1, BACK), line(2, WAIT, "")], Answer.NO),
        ([line(1, BACK), line(2, WAIT, "Failed")], Answer.NO),
        ([line(1, WAIT, "Failed"), line(2, BACK)], Answer.YES),
        ([line(1, BACK), line(2, WAIT, "Failed"), line(3, WAIT)], Answer.YES),
    ],
)
def test_replication_after_a_backout(lines: list[LogLine], wanted: Answer) -> None:
    server = at("mpe-1", Stage.FIRST_DONE).other
    assert server is not None
    assert rules_back.replicated(server, lines).answer is wanted


def test_a_sync_broken_mark_is_never_in_sync() -> None:
    from mopflow.system import Role

    server = row("mpe-1b", Role.STANDBY, "12.1.1.0.0_14.1.0", DONE, broken=True)
    assert rules_back.replicated(server, [line(1, BACK), line(2, WAIT)]).answer is Answer.NO


@pytest.mark.parametrize("stage", list(Stage))
def test_a_server_is_backed_out_only_from_two_stages(stage: Stage) -> None:
    found = list(rules_back.start(LAB.cluster("mpe-1"), at("mpe-1", stage)))
    if stage in (Stage.DONE, Stage.FIRST_DONE):
        assert found == []
    else:
        assert [r.rule for r in found] == ["R7"]
        assert found[0].passing is (stage is not Stage.ODD)
