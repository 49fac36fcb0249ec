"""A backout of everything from mixed states that are drawn by seed: backed out, or refused with its section."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from mopflow.errors import Held
from mopflow.site import Autonomy, Cluster, Segment, Server, Site
from mopflow.system import Kind, Role, Stage
from tests.pure.backouts import ANSWERS, Places, back_out, bring, confirm, is_back
from tests.pure.small_system import Place, SmallSystem, small_site

SEEDS = range(40)
FORWARD = [Stage.FRESH, Stage.FIRST_RUNNING, Stage.FIRST_DONE, Stage.MOVING, Stage.SWITCHED, Stage.SECOND_RUNNING,
           Stage.DONE]  # fmt: skip
BACKWARD = [Stage.BACK_FIRST, Stage.SWITCHED, Stage.FIRST_DONE, Stage.BACK_SECOND, Stage.FRESH]
SECTION = re.compile(r"12\.[123]|12\.3\.2|3\.1\.4|Zombie|12\.2, 2")


def five(site: Site) -> Site:
    """Three MPE and two MRA clusters: more than may be worked on at one time."""
    kinds = [Kind.MPE, Kind.MPE, Kind.MPE_LI, Kind.MRA, Kind.MRA]
    clusters = tuple(
        Cluster(
            name=f"{kind.lower()}-{n}",
            kind=kind,
            servers=tuple(
                Server(name=f"{kind.lower()}-{n}{x}", address=f"127.0.7.{10 * n + i}")
                for i, x in enumerate("ab")
            ),
        )
        for n, kind in enumerate(kinds, 1)
    )
    media = tuple(
        site.media[1].model_copy(update={"file": site.media[1].file.replace("mpe", t), "type": t})
        for t in ("mpe-li", "mra")
    )
    rules = site.autonomy.model_copy(update={"backout": Autonomy.AUTO})
    return site.model_copy(
        update={
            "segments": (Segment(name="segment-1", clusters=clusters),),
            "media": (*site.media, *media),
            "autonomy": rules,
        }
    )


def draw(place: Place, seed: int) -> str:
    """Bring the system into a drawn state; what a reader should know of it."""
    dice, system, site = random.Random(seed), place.system, place.site
    said = []
    for cluster in site.traffic_clusters:
        back = dice.random() < 0.5
        stage = dice.choice(BACKWARD if back else FORWARD)
        bring(system, cluster.name, stage, back=back, ticks=dice.randint(1, 3))
        said.append(f"{cluster.name} {stage.name}{' back' if back else ''}")
    match dice.randrange(10):
        case 0:  # a Zombie
            victim = dice.choice(site.traffic_clusters).servers[1].name
            system.boxes[victim].role = Role.ZOMBIE
            said.append(f"{victim} Zombie")
        case 1:  # a backout that failed
            name = dice.choice(site.traffic_clusters).name
            system.finish(name)
            system.work = [work for work in system.work if work.cluster != name]
            for box in system.of(name):
                box.role = Role.ACTIVE if box.name.endswith("a") else Role.STANDBY
            system.boxes[f"{name}b"].operation = "Initiate backout Failed at Aug 16, 2016 9:21:11"
            said.append(f"{name} failed")
        case 2:  # the primary was backed out first: Table 1 knows no such system
            bring(system, "cmp-1", Stage.FIRST_DONE, back=True)
            said.append("cmp-1 FIRST_DONE back")
        case 3 | 4:  # the secondary is on its way, everything else is back
            for cluster in site.traffic_clusters:
                for box in system.of(cluster.name):
                    box.release, box.operation, box.prev_release = place.site.source, "n/a", ""
                    box.role = Role.ACTIVE if box.name.endswith("a") else Role.STANDBY
                system.config[cluster.name] = place.site.source
            system.work.clear()
            stage = dice.choice([Stage.BACK_FIRST, Stage.SWITCHED, Stage.FIRST_DONE, Stage.BACK_SECOND])
            bring(system, "cmp-2", stage, back=True)
            said = [f"cmp-2 {stage.name} back"]
        case _:
            pass
    return ", ".join(said)


def run(folder: Path, empty_ledger: Path, seed: int) -> tuple[bool, str]:
    """(backed out, what was found and said). Asserts that nothing half-way is called an end."""
    folder.mkdir()
    (folder / "ledger.db").write_bytes(empty_ledger.read_bytes())
    site = five(small_site(late=10.0))
    place = Place(folder, site, SmallSystem(site))
    said = draw(place, seed)
    confirm(place, *ANSWERS)
    places = Places()
    with place.house() as house:
        house.slots = places
        try:
            ends = back_out(house, "all")
        except Held as held:
            ends = {"all": held.reason}
    assert places.most <= 4, said
    whole = all(is_back(place.system, c.name) for c in site.clusters)
    if set(ends.values()) == {"done"}:
        assert whole, (said, place.system.boxes)
        return True, said
    reasons = [end for end in ends.values() if end != "done"]
    assert not whole or not place.system.sent, said
    assert any(SECTION.search(reason) for reason in reasons), (said, reasons)
    return False, f"{said}: {reasons[0]}"


def every(folder: Path, empty_ledger: Path, seeds: range) -> list[tuple[bool, str]]:
    return [run(folder / str(seed), empty_ledger, seed) for seed in seeds]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_drawn_state_is_backed_out_or_refused_with_its_section(
    tmp_path: Path, empty_ledger: Path, seed: int
) -> None:
    run(tmp_path / "one", empty_ledger, seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_forty_drawn_states(tmp_path: Path, empty_ledger: Path) -> None:
    found = every(tmp_path, empty_ledger, SEEDS)
    for seed, (backed_out, said) in zip(SEEDS, found, strict=True):
        print(f"{seed}: {'backed out' if backed_out else 'refused'}: {said}")
    assert sum(backed_out for backed_out, _ in found) >= 20
