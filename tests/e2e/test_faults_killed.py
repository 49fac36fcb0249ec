"""kill -9 in each phase of the CMP upgrade and of its backout, and the same command again, one night from end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from nights import TARGET, Night, begin

from cli.prefect_server import PrefectServer
from mopflow.ledger import Event

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.twin,
    pytest.mark.browser,
    pytest.mark.soak,
    pytest.mark.timeout(1800),
]

PRIMARY, SECONDARY = "CMP Site1 Cluster", "CMP Site2 Cluster"
ANSWERS = {"no_new_features": "nothing new was used", "oracle_consulted": "a rehearsal: nobody to consult"}
Happened = Callable[[Night], bool]


def started(action: str, cluster: str, count: int = 1) -> Happened:
    """The twin has accepted the act; whether the answer arrived is another matter."""
    return lambda night: len(night.starts(action, cluster)) >= count


def over(action: str, cluster: str, count: int = 1) -> Happened:
    """The act has come to its end on the twin, and nobody has begun anything after it."""
    return lambda night: len(night.events("action_ended", action=action, cluster=cluster)) >= count


def intended(key: str, cluster: str) -> Happened:
    """The intention is written, the act may or may not have been sent."""
    return lambda night: any(e.event is Event.INTENDED for e in night.entries(key, cluster))


def noted(key: str, cluster: str) -> Happened:
    """The row has come to an end of any kind."""
    wanted = (Event.VERIFIED, Event.OBSERVED, Event.FOUND_DONE)
    return lambda night: any(e.event in wanted for e in night.entries(key, cluster))


# by release: each moment of the upgrade in the order in which it comes
UPGRADE: dict[str, dict[str, Happened]] = {
    "12.1.1": {
        "before the first start": noted("9.1.1/5", PRIMARY),
        "between intention and answer of the first start": intended("9.1.1/10", PRIMARY),
        "the first server is being upgraded": started("initiate_upgrade", PRIMARY),
        "before the switch": over("initiate_upgrade", PRIMARY),
        "the switch was accepted": started("failover", PRIMARY),
        "after the switch": over("failover", PRIMARY),
        "logged in again": noted("9.1.1/13", PRIMARY),
        "the second server is being upgraded": started("initiate_upgrade", PRIMARY, 2),
        "the secondary's first server": started("initiate_upgrade", SECONDARY),
        "the secondary's failover": started("failover", SECONDARY),
        "the secondary's second server": started("initiate_upgrade", SECONDARY, 2),
    },
    "10.5": {
        "scripts and keys": noted("6.1.1/7", PRIMARY),
        "forced standby": started("force_standby", PRIMARY),
        "between intention and answer of the first start": intended("6.1.1/10", PRIMARY),
        "before the switch": over("initiate_upgrade", PRIMARY),
        "the switch was accepted": started("switch_force_standby", PRIMARY),
        "logged in again": noted("6.1.1/14", PRIMARY),
        "the second server is being upgraded": started("initiate_upgrade", PRIMARY, 2),
        "the secondary's failover": started("failover", SECONDARY),
    },
}
BACKOUT: dict[str, dict[str, Happened]] = {
    "12.1.1": {
        "the secondary's first server": started("initiate_backout", SECONDARY),
        "the secondary's failover": started("failover", SECONDARY, 2),
        "the secondary's second server": started("initiate_backout", SECONDARY, 2),
        "between intention and answer of the primary's start": intended("12.3.5/2", PRIMARY),
        "the primary's first server": over("initiate_backout", PRIMARY),
        "the primary's failover": started("failover", PRIMARY, 2),
        "logged in again": noted("12.3.5/4", PRIMARY),
        "the primary's second server": started("initiate_backout", PRIMARY, 2),
    },
    "10.5": {
        "the secondary's failover": started("failover", SECONDARY, 2),
        "the primary's failover": started("failover", PRIMARY),
        "logged in again": noted("12.3.5/4", PRIMARY),
        "between intention and answer in System Maintenance": intended("12.3.5/6", PRIMARY),
        "the primary's second server": over("initiate_backout", PRIMARY, 2),
        "its forced standby is cancelled": started("cancel_force_standby", PRIMARY),
    },
}
ONCE = ("failover", "switch_force_standby", "force_standby", "cancel_force_standby", "select_iso")


def killed_in_each(night: Night, moments: dict[str, Happened], *command: str) -> None:
    """Killed at each moment that comes before the end, then the same command once more to its end."""
    for name, happened in moments.items():
        process = night.start(*command)
        night.wait_for(
            lambda happened=happened, process=process: happened(night) or process.poll() is not None, 300
        )  # type: ignore[misc]
        assert process.poll() is None, (name, *process.communicate())
        night.kill(process)
    ended = night.mopflow(*command)
    assert ended.code == 0, ended.err


def acts(night: Night) -> dict[tuple[str, str], int]:
    """How often each act that must not come twice was begun, by server or cluster."""
    found: dict[tuple[str, str], int] = {}
    for event in night.events("action_started"):
        if event["action"] in (*ONCE, "initiate_upgrade", "initiate_backout"):
            key = (event["action"], event["server"] or event["cluster"] or "")
            found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize("release, source", [("12.1.1", None), ("10.5", "10.5.6_1.1.0")])
def test_killed_in_each_phase_there_and_back(
    release: str, source: str | None, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    more = {"source": source} if source is not None else {}
    night = begin(
        tmp_path / "night",
        prefect_server.environment(),
        clusters=(("mpe-1", "MPE"),),
        minutes=3,
        answers=ANSWERS,
        **more,
    )
    try:
        site = str(night.site_file)
        killed_in_each(night, UPGRADE[release], "upgrade-cmp", site)
        assert {night.releases()[f"cmp-{n}{x}"] for n in "12" for x in "ab"} == {TARGET}
        assert night.violations(complete=True) == []
        there = acts(night)
        assert {n for (action, _), n in there.items() if action == "initiate_upgrade"} == {1}
        assert set(there.values()) == {1}, there

        killed_in_each(night, BACKOUT[release], "back-out", site, "all")
        assert set(night.releases().values()) == {night.site.source}
        assert night.violations(complete=True) == []
        back = {key: count - there.get(key, 0) for key, count in acts(night).items()}
        assert {count for count in back.values() if count} == {1}, back
        with night.ledger() as ledger:
            notes = [r.entry.text for r in ledger.rows(site=night.site.name, events=(Event.NOTE,))]
            assert sum("died" in note for note in notes) == len(UPGRADE[release]) + len(BACKOUT[release])
            assert ledger.leases(site=night.site.name) == []
        assert night.holds() == {}
    finally:
        night.close()
