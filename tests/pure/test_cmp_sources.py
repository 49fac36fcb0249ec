"""Chapters 6 to 9 from their first row to their last, against a small system that begins on each source release."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mopflow.console.protocol import Operation
from mopflow.errors import Held, MayHaveRun, Unreachable
from mopflow.here import Scope
from mopflow.holds import reconsider
from mopflow.house import House
from mopflow.ledger import Event
from mopflow.procedures.table import cmp_procedures, step
from mopflow.run import Outcome, Result, carry_out
from mopflow.site import Autonomy, AutonomyRules, Deadline
from mopflow.system import Role
from tests.pure.small_system import TARGET, Killed, Place, alarm
from tests.pure.whole_system import SCRIPTS, SOURCES, WholeServers, WholeSystem, whole_place

OLD = ("10.5", "11.5")
PUSH, FORCE, START = "Push Script", "Force Standby", "Start Upgrade"
SWITCH, INITIATE, FAILOVER = "Switch ForceStandby", "Initiate upgrade", "Failover to new version"
ONCE = (FORCE, START, SWITCH, INITIATE, FAILOVER)  # never sent twice for one server or cluster


@pytest.fixture
def new_place(tmp_path: Path, empty_ledger: Path) -> Callable[..., Place]:
    numbers = iter(range(10_000))
    return lambda source, **pace: whole_place(tmp_path / str(next(numbers)), empty_ledger, source, **pace)


def system_of(place: Place) -> WholeSystem:
    assert isinstance(place.system, WholeSystem)
    return place.system


def servers_of(place: Place) -> WholeServers:
    assert isinstance(place.servers, WholeServers)
    return place.servers


def primary(house: House, first: int = 1, last: int = 99) -> dict[str, Result]:
    """Rows of the primary's table, as the flow carries them out."""
    table = cmp_procedures(house.site.source_release)[0]
    scope = Scope(cluster="cmp-1")
    return {s.key: carry_out(s, scope, house) for s in table.steps if first <= s.number <= last}


def everything(house: House) -> dict[str, Result]:
    results = primary(house)
    table = cmp_procedures(house.site.source_release)[1]
    return results | {s.key: carry_out(s, Scope(cluster="cmp-2"), house) for s in table.steps}


def releases(place: Place) -> set[str]:
    return {box.release for name in ("cmp-1", "cmp-2") for box in place.system.of(name)}


def sent_once(place: Place) -> bool:
    found = Counter((name, who) for name, who in place.system.sent if name in ONCE)
    return all(count == 1 for count in found.values())


def rows(place: Place, key: str, leg: str = "") -> list[Event]:
    procedure, number = key.split("/")
    with place.ledger() as ledger:
        found = ledger.rows(procedure=procedure, step=int(number), cluster="cmp-1")
    return [row.entry.event for row in found if row.entry.leg == leg]


# from the first row to the last


@pytest.mark.parametrize("source", SOURCES)
def test_both_cmp_clusters_from_every_release(new_place: Callable[..., Place], source: str) -> None:
    place = new_place(source)
    with place.house() as house:
        everything(house)
    assert releases(place) == {TARGET}
    roles = [box.role for name in ("cmp-1", "cmp-2") for box in place.system.of(name)]
    assert sorted(roles) == sorted([Role.ACTIVE, Role.STANDBY] * 2)
    acts = [(name, who) for name, who in place.system.sent if name not in ("upload", "delete", "select")]
    secondary = [(INITIATE, "cmp-2b"), (FAILOVER, "cmp-2"), (INITIATE, "cmp-2a")]
    if source in OLD:
        old = [(FORCE, "cmp-1b"), (START, "cmp-1b"), (SWITCH, "cmp-1"), (INITIATE, "cmp-1a")]
        assert acts == [(PUSH, "all"), *old, *secondary]
    else:
        new = [(INITIATE, "cmp-1b"), (FAILOVER, "cmp-1"), (INITIATE, "cmp-1a")]
        assert acts == [*([(PUSH, "all")] if source == "12.0" else []), *new, *secondary]
    users = {who for name, who in place.system.sent if name == "upload"}
    assert users == {"root" if source == "10.5" else "admusr"}


@pytest.mark.parametrize("source", SOURCES)
def test_a_second_run_finds_all_done(new_place: Callable[..., Place], source: str) -> None:
    place = new_place(source)
    with place.house() as house:
        everything(house)
    sent, typed = list(place.system.sent), list(servers_of(place).commands)
    place.campaign = "another"  # which knows nothing: the live system alone says it
    with place.house() as house:
        results = everything(house)
        assert house.acts == 0
    assert (place.system.sent, servers_of(place).commands) == (sent, typed)
    assert results[f"{cmp_procedures(place.site.source_release)[0].number}/9"].outcome in (
        Outcome.FOUND_DONE,
        Outcome.DONE,
    )


@pytest.mark.parametrize("source", SOURCES)
def test_without_a_secondary(new_place: Callable[..., Place], source: str) -> None:
    place = new_place(source)
    alone = place.site.cmp.model_copy(update={"secondary": None})
    place.site = place.site.model_copy(update={"cmp": alone})
    place.system = WholeSystem(place.site)
    place.servers = WholeServers(place.system)
    with place.house() as house:
        last = list(primary(house).values())[-1]
    assert "no secondary CMP cluster" in last.text
    assert {box.release for box in place.system.of("cmp-1")} == {TARGET}


def started_again(place: Place, after: Iterable[int]) -> None:
    """Every run goes one stretch further, with a campaign that knows nothing of the ones before it."""
    for row in after:
        place.campaign = f"up-to-{row}"
        with place.house() as house:
            primary(house, last=row)
    assert sent_once(place)
    assert {box.release for box in place.system.of("cmp-1")} == {TARGET}
    assert [name for name, _ in place.system.sent].count("select") == 1


def test_started_again_after_every_act(new_place: Callable[..., Place]) -> None:
    started_again(new_place("10.5"), (7, 9, 10, 13, 18, 19, 23))


@pytest.mark.soak
@pytest.mark.parametrize("source", SOURCES)
def test_started_again_after_any_row(new_place: Callable[..., Place], source: str) -> None:
    place = new_place(source)
    started_again(place, [row.number for row in cmp_procedures(place.site.source_release)[0].steps])


# keys and scripts


@pytest.mark.parametrize("source, row", [("10.5", 7), ("11.5", 6)])
def test_scripts_are_copied_and_the_image_is_unmounted(
    new_place: Callable[..., Place], source: str, row: int
) -> None:
    place = new_place(source)
    servers = servers_of(place)
    with place.house() as house:
        primary(house, last=row)
    assert SCRIPTS.items() <= servers.bin.items()
    assert servers.mounted == {}
    copied, keys = (command for _, command in servers.commands)
    assert copied == "sudo cp /mnt/upgrade/upgrade/policyScripts/*.pl /opt/camiant/bin"
    assert keys == "sudo qpSSHKeyProv.pl --prov" + (" --user=root" if source == "10.5" else "")
    place.campaign = "another"
    with place.house() as house:
        primary(house, first=row, last=row)
    assert len(servers.commands) == 2


def test_a_script_that_differs_is_copied_again(new_place: Callable[..., Place]) -> None:
    place = new_place("11.5")
    servers = servers_of(place)
    servers.bin |= SCRIPTS | {"qpPolicy.pl": "f" * 32}
    with place.house() as house:
        result = primary(house, last=6)["7.1.1/6"]
    assert result.outcome is Outcome.DONE
    assert SCRIPTS.items() <= servers.bin.items()


def test_unmounted_also_after_a_failed_copy(new_place: Callable[..., Place]) -> None:
    place = new_place("11.5")
    servers = servers_of(place)
    servers.broken_copy = True
    with place.house() as house, pytest.raises(Held, match="No space left"):
        primary(house, last=6)
    assert servers.mounted == {}
    assert not any("cp" in command for _, command in servers.commands)


@pytest.mark.parametrize("image", ["cmp-12.1.2.0.0_22.1.0-x86_64.iso", "another.iso"])
def test_what_is_mounted_already(new_place: Callable[..., Place], image: str) -> None:
    """Ours, left by a run that was killed, is used and unmounted; another one is somebody else's."""
    place = new_place("11.5", late=0.3)
    servers = servers_of(place)
    servers.mounted["cmp-1a"] = f"/var/TKLC/upgrade/{image}"
    with place.house() as house:
        if image.startswith("cmp"):
            primary(house, last=6)
            assert servers.mounted == {}
        else:
            with pytest.raises(Held, match=r"another\.iso is mounted at /mnt/upgrade"):
                primary(house, last=6)
            assert servers.mounted != {}


@pytest.mark.parametrize("source, row", [("10.5", 8), ("11.5", 7), ("12.0", 8)])
def test_scripts_are_pushed_again_when_the_answer_was_lost(
    new_place: Callable[..., Place], source: str, row: int
) -> None:
    place = new_place(source)
    lost: list[str] = []

    def lose(call: str) -> None:
        if call == f"operate {PUSH}" and not lost:
            lost.append(call)
            raise MayHaveRun("no answer")

    place.system.after = lose
    with place.house() as house:
        primary(house, last=row)
    assert system_of(place).pushed == 2
    key = f"{cmp_procedures(place.site.source_release)[0].number}/{row}"
    assert [event for event in rows(place, key) if event is not Event.OBSERVED] == [
        Event.INTENDED,
        Event.LOST,
        Event.INTENDED,
        Event.ACTED,
        Event.VERIFIED,
    ]


def test_scripts_get_their_minute(new_place: Callable[..., Place]) -> None:
    place = new_place("12.0", minute=0.2)
    with place.house() as house:
        primary(house, last=8)
        (acted,) = house.ledger.rows(procedure="8.1.1", step=8, events=[Event.ACTED])
        (verified,) = house.ledger.rows(procedure="8.1.1", step=8, events=[Event.VERIFIED])
    assert (verified.at - acted.at).total_seconds() >= 0.2


def test_the_minute_is_not_late(new_place: Callable[..., Place]) -> None:
    place = new_place("12.0", minute=0.3, late=0.2)
    with place.house() as house:
        primary(house, last=7)
        primary(house, first=8, last=8)
    assert system_of(place).pushed == 1


def test_another_answer_to_push_script_is_a_refusal(new_place: Callable[..., Place]) -> None:
    place = new_place("12.0")
    place.system.operate = lambda *_a, **_k: "Operation failed on cmp-2a."  # type: ignore[method-assign]
    with place.house() as house, pytest.raises(Held, match="failed on cmp-2a"):
        primary(house, last=8)
    assert rows(place, "8.1.1/8").count(Event.REFUSED) == 2


# System Maintenance


@pytest.mark.parametrize("source", OLD)
def test_a_failed_upgrade_holds(new_place: Callable[..., Place], source: str) -> None:
    place = new_place(source)
    place.system.fails.add("cmp-1b")
    with place.house() as house, pytest.raises(Held, match="upgrade failed") as held:
        primary(house)
    assert "Oracle" in held.value.remedy
    assert [name for name, _ in place.system.sent if name in (START, SWITCH)] == [START]
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
    assert (hold.rule, hold.step) == ("R8", 10)


@pytest.mark.parametrize(
    "said, why",
    [
        ("Completed: Initiate upgrade Completed Successfully", "stop here and contact Oracle"),
        ("Completed: upgrade was completed partially, see log", None),  # it does say so
        ("Done", "a status that the document does not know"),
        ("n/a", "stop here and contact Oracle"),
    ],
)
def test_another_message_at_the_end(new_place: Callable[..., Place], said: str, why: str | None) -> None:
    place = new_place("10.5", late=0.5)
    system_of(place).completed = said
    with place.house() as house:
        if why is None:
            primary(house)
            return
        with pytest.raises(Held, match=why):
            primary(house)
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
    assert (hold.rule, hold.procedure, hold.step) == ("R8", "6.1.1", 10)
    assert place.system.count(SWITCH) == 0


@pytest.mark.parametrize("source", OLD)
@pytest.mark.parametrize("server", ["cmp-1a", "cmp-1b"])
def test_sync_broken_holds_before_the_switch(
    new_place: Callable[..., Place], source: str, server: str
) -> None:
    place = new_place(source, late=0.5)
    with place.house() as house:
        primary(house, last=10)
        place.system.boxes[server].sync_broken = True
        with pytest.raises(Held, match=f"Sync Broken mark on {server}"):
            primary(house, first=11)
    with place.ledger() as ledger:
        (hold,) = ledger.holds("small")
    assert (hold.rule, hold.step) == ("R9", 11)
    with place.house() as house, pytest.raises(Held, match="Sync Broken"):
        primary(house, first=13)  # the guard of the switch itself
    assert place.system.count(SWITCH) == 0
    place.system.boxes[server].sync_broken = False
    with place.house() as house:
        primary(house)
    assert place.system.count(SWITCH) == 1


def test_sync_that_comes_is_waited_for(new_place: Callable[..., Place]) -> None:
    place = new_place("10.5")
    with place.house() as house:
        primary(house, last=10)
        place.system.boxes["cmp-1b"].sync_broken = True
        seen = place.system.readings

        def mend() -> None:
            if place.system.readings > seen + 5:
                place.system.boxes["cmp-1b"].sync_broken = False

        place.system.read = mend
        primary(house, first=11)
    assert place.system.count(SWITCH) == 1


def test_a_standby_that_lost_its_forced_standby_is_not_switched_to(new_place: Callable[..., Place]) -> None:
    place = new_place("11.5", late=0.5)
    with place.house() as house:
        primary(house, last=10)
        place.system.boxes["cmp-1b"].role = Role.STANDBY
        with pytest.raises(Held, match="expected Forced Standby"):
            primary(house, first=11)
        with pytest.raises(Held, match="not in forced standby"):
            primary(house, first=13)
    assert place.system.count(SWITCH) == 0


def test_a_switch_is_not_made_to_a_server_that_does_not_answer(new_place: Callable[..., Place]) -> None:
    place = new_place("10.5", late=0.5)
    with place.house() as house:
        primary(house, last=12)
        place.servers.away.add("cmp-1b")
        with pytest.raises(Held, match="does not answer over SSH"):
            primary(house, first=13)
    assert place.system.count(SWITCH) == 0


def test_the_switch_is_confirmed_where_the_site_says_so(new_place: Callable[..., Place]) -> None:
    place = new_place("10.5")
    place.site = place.site.model_copy(update={"autonomy": AutonomyRules(cmp_switch=Autonomy.CONFIRM)})
    with place.house() as house, pytest.raises(Held, match="be done on cmp-1 now"):
        primary(house)
    assert [name for name, _ in place.system.sent if name in ONCE] == [FORCE, START]


@pytest.mark.parametrize("idle", [0, 40])
@pytest.mark.parametrize("source", OLD)
def test_the_answer_of_the_switch_is_lost(new_place: Callable[..., Place], source: str, idle: int) -> None:
    """The browser's session ends with the switch; it may also be long before anything shows."""
    place = new_place(source)
    patient = place.site.pace.model_copy(update={"failover": Deadline(usual=0.01, late=60.0)})
    place.site = place.site.model_copy(update={"pace": patient})  # forty readings may take long here
    system_of(place).idle = idle

    def lose(call: str) -> None:
        if call == f"operate {SWITCH}":
            raise MayHaveRun("the session ended")

    place.system.after = lose
    with place.house() as house:
        primary(house)
    assert place.system.count(SWITCH) == 1
    assert {box.release for box in place.system.of("cmp-1")} == {TARGET}


def test_a_switch_that_was_never_run_is_asked_for_again_only_after_long(
    new_place: Callable[..., Place],
) -> None:
    place = new_place("10.5")
    lost: list[str] = []

    def lose(call: str) -> None:
        if call == f"operate {SWITCH}" and not lost:
            lost.append(call)
            raise MayHaveRun("the session ended before the click")

    place.system.before = lose
    with place.house() as house:
        primary(house)
        first, second = house.ledger.rows(procedure="6.1.1", step=13, events=[Event.INTENDED])
    assert (second.at - first.at).total_seconds() >= place.site.pace.failover.late / 2
    assert place.system.count(SWITCH) == 1


def test_a_person_did_the_rows_of_system_maintenance(new_place: Callable[..., Place]) -> None:
    """What they began is adopted, what they finished is found done."""
    place = new_place("11.5")
    with place.house() as house:
        primary(house, last=8)
    system = system_of(place)
    system.boxes["cmp-1b"].role = Role.FORCED_STANDBY
    with place.house() as house:
        results = primary(house, last=9)
        assert results["7.1.1/9"].outcome is Outcome.FOUND_DONE
        assert results["7.1.1/3"].outcome is Outcome.DONE
        system.operate(Operation.START_UPGRADE, ["cmp-1b"])
        results = primary(house, first=10)
    assert results["7.1.1/10"].text.count("Completed: upgrade was completed")
    assert rows(place, "7.1.1/10") == [Event.ADOPTED, Event.VERIFIED]
    assert system.count(START) == 1


# the kit in a mixed version (R16)


@pytest.mark.parametrize("source", OLD)
def test_the_kit_is_not_chosen_when_more_than_the_primary_is_mixed(
    new_place: Callable[..., Place], source: str
) -> None:
    place = new_place(source)
    with place.house() as house:
        primary(house, last=18)
        place.system.boxes["mpe-1b"].role = Role.FORCED_STANDBY
        with pytest.raises(Held, match="mpe-1 has"):
            primary(house, first=19, last=19)
    assert not [name for name, _ in place.system.sent if name == "select"]
    with place.ledger() as ledger:
        assert [hold.rule for hold in ledger.holds("small")] == ["R16"]


def test_on_12_0_the_kit_is_not_chosen_in_a_mixed_version(new_place: Callable[..., Place]) -> None:
    place = new_place("12.0")
    with place.house() as house:
        primary(house, last=9)
        box = place.system.boxes["cmp-1b"]
        box.release, box.role = TARGET, Role.FORCED_STANDBY
        place.system.boxes["cmp-1a"].role = Role.ACTIVE
        result = primary(house, first=10, last=10)["8.1.1/10"]
        assert result.outcome is Outcome.FOUND_DONE  # past this row, nothing was clicked
    assert not [name for name, _ in place.system.sent if name == "select"]


# alarms


@pytest.mark.parametrize("number, source", [(70021, "10.5"), (31233, "11.5")])
def test_alarms_of_row_10_are_expected_there_only(
    new_place: Callable[..., Place], number: int, source: str
) -> None:
    place = new_place(source, late=0.5)
    shown: list[str] = []

    def raise_it() -> None:
        running = place.system.boxes["cmp-1b"].role is Role.OOS
        place.system.alarms = [alarm(number, "cmp-1a")] if running else []
        shown.extend(["seen"] * running)

    place.system.read = raise_it
    with place.house() as house:
        primary(house)
    assert shown
    other = new_place(source, late=0.5)
    other.system.alarms = [alarm(number, "cmp-1a")]
    with other.house() as house, pytest.raises(Held, match=str(number)):
        primary(house)
    assert other.system.sent == []


# kill -9, at any moment


def listen(place: Place, called: Callable[[str], None]) -> None:
    place.called = lambda call: (
        called(call) if call.split()[1] in ("record", "open_hold", "put_board") else None
    )
    place.system.before = lambda call: called(f"before {call}")
    place.system.after = lambda call: called(f"after {call}")


def killed_at(place: Place, at: int, first: int, last: int) -> list[str]:
    """A run that is killed at its call number ``at`` of these rows; all calls that it made."""
    calls: list[str] = []

    def called(call: str) -> None:
        calls.append(call)
        if len(calls) - 1 == at:
            raise Killed

    listen(place, called)
    try:
        with place.house() as house, contextlib.suppress(Killed):
            primary(house, first=first, last=last)
    finally:
        place.called = None
        place.system.before = place.system.after = lambda _call: None
    return calls


def resumed(place: Place) -> None:
    with place.house() as house:
        reconsider(house, house.eye.soon(), {c.name for c in house.site.clusters})
        primary(house)


def test_a_run_that_begins_while_the_console_is_away_waits_for_it(new_place: Callable[..., Place]) -> None:
    place = new_place("10.5")
    away = iter(range(6))

    def gone() -> None:
        if next(away, None) is not None:
            raise Unreachable("the console", "a switch is under way")

    place.system.read = gone
    with place.house() as house:
        assert house.eye.soon().states["cmp-1"].active is not None


def test_a_console_that_stays_away_is_given_up(new_place: Callable[..., Place]) -> None:
    place = new_place("10.5")
    short = place.site.pace.model_copy(update={"failover": Deadline(usual=0.01, late=0.1)})
    place.site = place.site.model_copy(update={"pace": short})
    place.system.boxes["cmp-1a"].role = Role.OFFLINE
    with place.house() as house, pytest.raises(Unreachable):
        house.eye.soon()


def kill_matrix(
    new_place: Callable[..., Place], source: str, choose: Callable[[list[str]], list[int]]
) -> None:
    first, last = 7, 19
    sample = new_place(source)
    with sample.house() as house:
        primary(house, last=first - 1)
    calls = killed_at(sample, -1, first, last)
    for at in choose(calls):
        place = new_place(source)
        with place.house() as house:
            primary(house, last=first - 1)
        killed_at(place, at, first, last)
        resumed(place)
        where = (at, calls[at] if at < len(calls) else "", place.system.sent)
        assert sent_once(place), where
        assert {box.release for box in place.system.of("cmp-1")} == {TARGET}, where
        assert servers_of(place).mounted == {}, where
        assert [name for name, _ in place.system.sent].count("select") == 1, where


@pytest.mark.parametrize("source", OLD)
def test_killed_around_every_act_of_system_maintenance(new_place: Callable[..., Place], source: str) -> None:
    kill_matrix(
        new_place,
        source,
        lambda calls: [
            n
            for n, call in enumerate(calls)
            if any(call.endswith(act) for act in (FORCE, START, SWITCH))
            and call.split()[0] in ("before", "after")
        ],
    )


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", OLD)
def test_killed_at_every_call_of_the_old_rows(new_place: Callable[..., Place], source: str) -> None:
    kill_matrix(new_place, source, lambda calls: list(range(len(calls))))


def test_rows_of_both_releases_are_the_same_functions() -> None:
    """One function per kind of row: the old GUI's rows of 10.5 and 11.5 differ in their tables only."""
    for number in range(9, 24):
        assert [leg.goal for leg in step(f"6.1.1/{number}").legs] == [
            leg.goal for leg in step(f"7.1.1/{number}").legs
        ]
