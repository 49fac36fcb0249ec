"""Every place where the document sends a person to Oracle: a hold with its support pack, and how it goes on after it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mopflow import contact, released
from mopflow.console.protocol import LogLine
from mopflow.errors import BadInput, Held
from mopflow.here import Scope
from mopflow.ledger import Hold
from mopflow.procedures.table import step
from mopflow.run import carry_out
from mopflow.site import Deadline
from mopflow.site import Site as SiteFile
from mopflow.support_pack import KIND
from mopflow.system import Role
from tests.pure.backouts import ANSWERS, back_out, confirm
from tests.pure.both_ways import NotDone, back_out_cmps, in_pairs, releases, run, two_way_place, upgrade_cmps
from tests.pure.small_system import TARGET, Place

Doing = Callable[[Place], None]
PATIENT, SHORT = 60.0, 3.0
SAID = ("E. Ngineer", "Oracle: go on", "SR 3-1234")


# the two ways of a cluster, without Prefect


def upgrade_mpe(place: Place) -> None:
    with run(place, "mpe-1") as house:
        for number in range(1, 11):
            carry_out(step(f"10.2/{number}"), Scope(cluster="mpe-1"), house, glance=number == 6)


def back_out_mpe(place: Place) -> None:
    confirm(place, *ANSWERS)
    with run(place, "mpe-1") as house:
        ends = back_out(house, "mpe-1")
    if ends != {"mpe-1": "done"}:
        raise NotDone(ends)


def up(place: Place, cluster: str) -> None:
    upgrade_mpe(place) if cluster == "mpe-1" else upgrade_cmps(place)


def back(place: Place, cluster: str) -> None:
    back_out_mpe(place) if cluster == "mpe-1" else back_out_cmps(place)


# what goes wrong


def fails(server: str) -> Doing:
    return lambda place: place.system.fails.add(server)


def says(text: str) -> Doing:
    """The old GUI ends the upgrade with another status."""

    def change(place: Place) -> None:
        place.system.completed = text  # type: ignore[attr-defined]

    return change


def ended(server: str, **fields: object) -> Doing:
    """When its upgrade or backout has just ended, the console shows this of the server."""

    def change(place: Place) -> None:
        upgrade = place.system._upgrade

        def then(work: object, box: object) -> None:
            upgrade(work, box)  # type: ignore[arg-type]
            if work.left <= 0 and box.name == server:  # type: ignore[attr-defined]
                for name, value in fields.items():
                    setattr(box, name, value)

        place.system._upgrade = then  # type: ignore[method-assign]

    return change


def forgotten(server: str) -> Doing:
    """The CMP failed over while it was upgraded: the promoted Upgrade Director has no history (3.1.4.4)."""

    def change(place: Place) -> None:
        ended(server, operation="n/a")(place)
        place.system._log = lambda *_: None  # type: ignore[method-assign]

    return change


def not_replicated(place: Place) -> None:
    """The Upgrade Log ends the wait for replication with Failed."""
    log = place.system._log

    def failed(cluster: str, action: str, hostname: str, result: str) -> None:
        log(cluster, action, hostname, "Failed" if action.startswith("Wait") else result)

    place.system._log = failed  # type: ignore[method-assign]


def not_applied(place: Place) -> None:
    """Without traffic on the target; the re-apply of the old configuration changes nothing."""
    place.system.no_traffic.add("mpe-1")
    page = place.system.cluster_page

    def stuck(cluster: str) -> object:
        found = page(cluster)
        rolled_back = (place.system.active("mpe-1") or place.system.other("mpe-1")).release != TARGET
        count = place.system.count("Failover to old version", "mpe-1")
        return replace(found, version=type(found.version).parse(TARGET)) if rolled_back and count else found

    place.system.cluster_page = stuck  # type: ignore[method-assign, assignment]


def without_traffic(place: Place) -> None:
    place.system.no_traffic.add("mpe-1")


# and how it is mended


def well_again(place: Place) -> None:
    """What failed once does not fail again, and the console shows what is so."""
    system = place.system
    system.fails.clear()
    system.no_traffic.clear()
    for name in ("_upgrade", "_log", "cluster_page"):
        vars(system).pop(name, None)
    for box in system.boxes.values():
        box.sync_broken = False
    for cluster, lines in system.logs.items():
        system.logs[cluster] = [_well(line) for line in lines]


def _well(line: LogLine) -> LogLine:
    return replace(line, result="Success") if line.action.startswith("Wait") else line


@dataclass(frozen=True, slots=True)
class Case:
    """``key``: the row at which it holds. ``on_the_way``: "up", or "back" from a finished system.

    ``late``: real seconds of patience; short where the hold comes only when they are over.
    """

    where: str
    key: str
    cluster: str
    wrong: Doing
    source: str = "12.1.1"
    on_the_way: str = "up"
    rule: str = "R8"
    never: str = ""  # why it cannot be released
    late: float = PATIENT

    def __str__(self) -> str:
        return f"{self.key} {self.source} {self.cluster}"


PARTIAL, SYNC = "12.3.2", "6.1.1/11, 7.1.1/11"
WARNINGS = "Completed: upgrade was finished with warnings at Aug 18, 2016 23:09:07"
BROKEN = {"sync_broken": True}
CASES = [
    # another message than the document's
    Case("6.1.1/10", "6.1.1/10", "cmp-1", says(WARNINGS), "10.5"),
    Case("7.1.1/10", "7.1.1/10", "cmp-1", says(WARNINGS), "11.5"),
    Case("6.1.1/10", "6.1.1/10", "cmp-1", says("Done"), "10.5"),
    Case("6.1.1/10", "6.1.1/10", "cmp-1", fails("cmp-1b"), "10.5"),
    Case("7.1.1/10", "7.1.1/10", "cmp-1", fails("cmp-1b"), "11.5"),
    # Sync Broken
    Case(SYNC, "6.1.1/11", "cmp-1", ended("cmp-1b", **BROKEN), "10.5", rule="R9", late=SHORT),
    Case(SYNC, "7.1.1/11", "cmp-1", ended("cmp-1b", **BROKEN), "11.5", rule="R9", late=SHORT),
    Case(SYNC, "8.1.1/11", "cmp-1", not_replicated, "12.0", rule="R9", late=SHORT),
    Case(SYNC, "9.1.1/10", "cmp-1", not_replicated, rule="R9", late=SHORT),
    Case(SYNC, "10.2/3", "mpe-1", not_replicated, rule="R9", late=SHORT),
    Case(SYNC, "10.2/3", "mpe-1", ended("mpe-1b", **BROKEN), rule="R9", late=SHORT),
    # partially upgraded, on the way there
    Case(PARTIAL, "6.1.1/21", "cmp-1", fails("cmp-1a"), "10.5"),
    Case(PARTIAL, "6.1.2/2", "cmp-2", fails("cmp-2b"), "10.5"),
    Case(PARTIAL, "7.1.1/21", "cmp-1", fails("cmp-1a"), "11.5"),
    Case(PARTIAL, "7.1.2/2", "cmp-2", fails("cmp-2b"), "11.5"),
    Case(PARTIAL, "8.1.1/11", "cmp-1", fails("cmp-1b"), "12.0"),
    Case(PARTIAL, "8.1.2/3", "cmp-2", fails("cmp-2a"), "12.0"),
    Case(PARTIAL, "9.1.1/10", "cmp-1", fails("cmp-1b")),
    Case(PARTIAL, "9.1.1/17", "cmp-1", fails("cmp-1a")),
    Case(PARTIAL, "9.1.2/2", "cmp-2", fails("cmp-2b")),
    Case(PARTIAL, "9.1.2/3", "cmp-2", fails("cmp-2a")),
    Case(PARTIAL, "10.2/3", "mpe-1", fails("mpe-1b")),
    Case(PARTIAL, "10.2/9", "mpe-1", fails("mpe-1a")),
    Case(PARTIAL, "10.2/3", "mpe-1", ended("mpe-1b", operation="No words for it")),
    Case(PARTIAL, "10.2/3", "mpe-1", ended("mpe-1b", operation="n/a"), late=SHORT),
    Case(PARTIAL, "10.2/9", "mpe-1", ended("mpe-1a", operation="n/a"), late=SHORT),
    Case(PARTIAL, "10.2/3", "mpe-1", forgotten("mpe-1b"), late=SHORT),
    Case(PARTIAL, "9.1.1/17", "cmp-1", forgotten("cmp-1a"), late=SHORT),
    Case(PARTIAL, "10.2/3", "mpe-1", ended("mpe-1b", role=Role.ZOMBIE), never="repair"),
    Case(PARTIAL, "10.2/3", "mpe-1", ended("mpe-1b", release="12.1.2.0.0_21.1.0"), never="12.1.2.0.0"),
    # ... and on the way back, on which the server goes first that was upgraded last
    Case(PARTIAL, "12.3.3/2", "mpe-1", fails("mpe-1a"), on_the_way="back"),
    Case(PARTIAL, "12.3.3/5", "mpe-1", fails("mpe-1b"), on_the_way="back"),
    Case(PARTIAL, "12.3.4/2", "cmp-2", fails("cmp-2a"), on_the_way="back"),
    Case(PARTIAL, "12.3.4/4", "cmp-2", fails("cmp-2b"), on_the_way="back"),
    Case(PARTIAL, "12.3.5/2", "cmp-1", fails("cmp-1a"), on_the_way="back"),
    Case(PARTIAL, "12.3.5/8", "cmp-1", fails("cmp-1b"), on_the_way="back"),
    Case(PARTIAL, "12.3.5/6", "cmp-1", fails("cmp-1b"), "10.5", on_the_way="back"),
    # a rollback without traffic: a person decides, and the way on is the way back
    Case("10.2/8", "10.2/8", "mpe-1", not_applied, rule="R11", never="no hold of R8 or R9", late=SHORT),
    Case("10.2/8", "10.2/8", "mpe-1", without_traffic, rule="R11", never="no hold of R8 or R9", late=SHORT),
]


def test_the_table_has_every_place() -> None:
    assert {case.where for case in CASES} == {place.where for place in contact.PLACES}
    for case in CASES:
        procedure, number = case.key.split("/")
        found = contact.place_of(case.rule, procedure, int(number))
        assert found is not None and found.where == case.where, case


def _with_patience(site: SiteFile, late: float) -> SiteFile:
    deadlines = {name: value for name, value in site.pace if isinstance(value, Deadline)}
    longer = {name: value.model_copy(update={"late": late}) for name, value in deadlines.items()}
    return site.model_copy(update={"pace": site.pace.model_copy(update=longer)})


class Site:
    """One case, brought to its hold."""

    def __init__(self, place: Place, case: Case) -> None:
        self.place, self.case = place, case
        if case.cluster == "mpe-1":
            self._past_the_cmps()
        if case.on_the_way == "back":
            up(place, case.cluster)
        case.wrong(place)
        with pytest.raises((Held, NotDone)):
            (up if case.on_the_way == "up" else back)(place, case.cluster)
        place.site = _with_patience(place.site, PATIENT)

    def _past_the_cmps(self) -> None:
        system = self.place.system
        for name in ("cmp-1", "cmp-2"):
            system.finish(name)
        system.iso = f"standard-{TARGET}"
        for name in system.images:
            system.images[name] = f"{system._type(name)}-{TARGET}-x86_64.iso"

    @property
    def hold(self) -> Hold:
        with self.place.ledger() as ledger:
            (found,) = ledger.holds("small")
        return found

    def packs(self) -> list[Path]:
        with self.place.ledger() as ledger:
            assert self.place.campaign is not None
            kept = [one for one in ledger.evidence(self.place.campaign) if one.kind == KIND]
        assert {one.cluster for one in kept} <= {self.case.cluster}
        return [self.place.folder / "evidence" / one.path for one in kept]

    def let_go(self) -> None:
        with self.place.ledger() as ledger:
            released.release(ledger, "small", self.case.cluster, *SAID)

    def is_new(self) -> bool:
        return self._runs(TARGET)

    def is_back(self) -> bool:
        return self._runs(self.place.site.source)

    def _runs(self, release: str) -> bool:
        if self.case.cluster != "mpe-1":
            return releases(self.place) == {release} and in_pairs(self.place)
        boxes = self.place.system.of("mpe-1")
        return {b.release for b in boxes} == {release} and {b.role for b in boxes} == {
            Role.ACTIVE,
            Role.STANDBY,
        }


@pytest.fixture
def site(tmp_path: Path, empty_ledger: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> Site:
    return Site(
        two_way_place(tmp_path / "place", empty_ledger, case.source, monkeypatch, late=case.late), case
    )


# what waits until it is late, or goes the same way as another one, is shown by the long tests
HELD = ("6.1.1/10", "6.1.1/21", "9.1.1/10", "9.1.2/3", "10.2/3", "10.2/9", "12.3.3/2", "12.3.4/2", "12.3.5/6")
GONE_ON = ("6.1.1/10", "10.2/3", "12.3.5/6")


def _params(cases: list[Case], keys: tuple[str, ...]) -> list[object]:
    seen: set[str] = set()
    found = []
    for case in cases:
        quick = case.late == PATIENT and case.key in keys and case.key not in seen
        if quick:
            seen.add(case.key)
        found.append(pytest.param(case, marks=[] if quick else [pytest.mark.soak], id=str(case)))
    return found


EACH = pytest.mark.parametrize("case", _params(CASES, HELD))
RELEASED = pytest.mark.parametrize("case", _params([c for c in CASES if not c.never], GONE_ON))
FINAL = pytest.mark.parametrize("case", [c for c in CASES if c.never], ids=str)


@EACH
def test_it_holds_and_brings_its_pack(site: Site, case: Case) -> None:
    hold = site.hold
    assert (f"{hold.procedure}/{hold.step}", hold.cluster, hold.rule) == (case.key, case.cluster, case.rule)
    (path,) = site.packs()
    assert f"Support pack for Oracle: {path}" in hold.remedy
    with tarfile.open(path) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames()}
        readme = next(m for m in tar.getmembers() if m.name.endswith("README.txt"))
        text = tar.extractfile(readme).read().decode()  # type: ignore[union-attr]
    assert {
        "manifest.json",
        "timeline.csv",
        "holds.json",
        "live/servers.csv",
        "live/active-alarms.csv",
    } <= names
    row = step(case.key)
    assert f"Step {row.key}: {row.title}" in text
    assert f"The document there ({case.where})" in text
    # nothing more is tried: the same command again is held again, and nothing is sent
    sent = list(site.place.system.sent)
    site.place.site = _with_patience(site.place.site, case.late)
    with pytest.raises((Held, NotDone)):
        (up if case.on_the_way == "up" else back)(site.place, case.cluster)
    assert site.place.system.sent == sent


@RELEASED
def test_released_it_goes_on_forward(site: Site, case: Case) -> None:
    site.let_go()
    well_again(site.place)
    up(site.place, case.cluster)
    assert site.is_new()
    with site.place.ledger() as ledger:
        held = ledger.holds("small", open_only=False)
    assert {h.closed_why for h in held} == {"released by E. Ngineer: Oracle: go on (SR 3-1234)"}


@RELEASED
def test_released_it_goes_back(site: Site, case: Case) -> None:
    site.let_go()
    well_again(site.place)
    back(site.place, case.cluster)
    assert site.is_back()


@FINAL
def test_what_cannot_be_released_says_why(site: Site, case: Case) -> None:
    with pytest.raises(BadInput, match=case.never):
        site.let_go()
    if case.rule == "R11":  # the person has decided: back it out
        well_again(site.place)
        back(site.place, case.cluster)
        assert site.is_back()
        up(site.place, case.cluster)
        assert site.is_new()
