"""The twin obeys what the document does not say that the GUI refuses, and the checker reports what that breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from rulebook import Limits, check

from lab.clock import ManualClock
from lab.config import ClusterConfig, Media, Secrets, ServerConfig, TwinConfig
from lab.errors import Refused
from lab.flight import FlightRecord
from lab.state import Act
from lab.world import World

OLD, NEW = "12.1.1.0.0_14.1.0", "12.1.2.0.0_22.1.0"
ME = "admin"
CLUSTERS = (("mpe-1", "MPE"), ("mpe-2", "MPE"), ("li-1", "MPE-Li"), ("mra-1", "MRA"), ("mra-2", "MRA"))
WORDS = {"admusr": "w-one", "root": "w-two", "gui": "w-three", "ossi": "w-four"}


class Hand:
    """A person at the twin: clicks, and waits in twin seconds."""

    def __init__(self, *, cmp_done: bool = True, faults: Sequence[str] = ()) -> None:
        self.clock = ManualClock()
        self.flight = FlightRecord(self.clock.now)
        secrets = Secrets(
            admusr=SecretStr(WORDS["admusr"]),
            root=SecretStr(WORDS["root"]),
            gui_user=ME,
            gui=SecretStr(WORDS["gui"]),
            ossi_user="ossi",
            ossi=SecretStr(WORDS["ossi"]),
        )
        self.world = World(_config(cmp_done, faults), secrets, self.clock, self.flight)
        self.began = self.world.snapshot()

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def idle(self, cluster: str) -> None:
        for _ in range(20_000):
            if not self.world.running(cluster):
                return
            self.wait(2)
        raise AssertionError(f"{cluster} never came to rest")

    def next(self, cluster: str) -> None:
        announced = self.world.next_upgrade(cluster)
        assert announced is not None, f"nothing is announced for {cluster}"
        self.world.perform(announced, ME)

    def start(self, cluster: str, *, then: float = 62) -> None:
        self.next(cluster)
        self.wait(then)

    def whole(self, cluster: str, *, reapply: bool = True) -> None:
        for last in (False, True):
            self.next(cluster)
            self.idle(cluster)
            self.wait(10)
            if last:
                break
            self.next(cluster)
            self.idle(cluster)
            self.wait(10)
            if reapply:
                self.reapply(cluster)
        self.wait(70)

    def reapply(self, cluster: str, *, then: float = 30) -> None:
        self.world.reapply(cluster, ME)
        self.idle(cluster)
        self.wait(then)

    def broken(self, **limits: Any) -> set[str]:
        # something harmless later on: a record that ends right after the act could be a run that was cut off
        self.wait(120)
        self.world.reset_counters("mra-2", ME)
        self.wait(10)
        self.world.close()
        return {found.rule for found in check(self.flight.events, self.began, Limits(**limits))}


def _config(cmp_done: bool, faults: Sequence[str]) -> TwinConfig:
    media = tuple(
        Media(file=f"{kind}-{release}-x86_64.iso", type=kind, size=1000, md5="0" * 32)  # type: ignore[arg-type]
        for kind in ("cmp", "mpe", "mpe-li", "mra")
        for release in (OLD, NEW)
    )

    def cluster(number: int, name: str, kind: str, primary: bool | None = None) -> ClusterConfig:
        servers = tuple(
            ServerConfig(
                name=f"{name}{side}",
                address=f"127.0.{number}.{place}",
                role=role,  # type: ignore[arg-type]
                release=NEW if kind == "CMP" and cmp_done else None,
                images=(f"{kind.lower()}-{NEW}-x86_64.iso",),
            )
            for place, (side, role) in enumerate((("a", "Active"), ("b", "Standby")), 1)
        )
        segment = None if kind == "CMP" else "segment-1"
        return ClusterConfig(
            name=name, kind=kind, primary=primary, site="s", segment=segment, vip="127.0.0.1", servers=servers
        )  # type: ignore[arg-type]

    cmps = (cluster(1, "cmp-1", "CMP", True), cluster(2, "cmp-2", "CMP", False))
    rest = tuple(cluster(number, name, kind) for number, (name, kind) in enumerate(CLUSTERS, 3))
    kit = f"cmp-{NEW}-x86_64.iso"
    return TwinConfig(
        source=OLD,
        target=NEW,
        seed=3,
        speed=60,
        clusters=cmps + rest,
        media=media,
        current_iso=kit,
        faults=tuple(faults),
    )


def fifth_cluster(hand: Hand) -> None:
    for name, _ in CLUSTERS:
        hand.start(name)


def early_failover(hand: Hand) -> None:
    hand.start("mpe-1", then=120)
    hand.next("mpe-1")  # its mate is still being upgraded
    hand.idle("mpe-1")


def second_start(hand: Hand) -> None:
    announced = hand.world.next_upgrade("mpe-1")
    assert announced is not None
    hand.world.perform(announced, ME)
    hand.wait(120)
    hand.world.perform(announced, ME)
    hand.idle("mpe-1")


def hurried_starts(hand: Hand) -> None:
    hand.start("mpe-1", then=5)
    hand.start("mpe-2", then=5)


def both_in_forced_standby(hand: Hand) -> None:
    hand.world.force_standby("mpe-1a", ME)
    hand.wait(30)
    hand.world.force_standby("mpe-1b", ME)
    hand.wait(60)


def segment_before_cmp(hand: Hand) -> None:
    hand.start("mpe-1")
    hand.idle("mpe-1")


def parallel_failovers(hand: Hand) -> None:
    for name in ("mpe-1", "mpe-2"):
        hand.start(name)
    for name in ("mpe-1", "mpe-2"):
        hand.idle(name)
    hand.wait(30)
    hand.next("mpe-1")
    hand.wait(5)
    hand.next("mpe-2")
    hand.wait(200)


def cancelled_forced_standby(hand: Hand) -> None:
    hand.start("mpe-1")
    hand.idle("mpe-1")
    hand.wait(30)
    hand.world.cancel_force_standby("mpe-1b", ME)
    hand.wait(200)


def no_traffic_and_nobody_looks(hand: Hand) -> None:
    hand.start("mpe-1")
    hand.idle("mpe-1")
    hand.wait(30)
    hand.next("mpe-1")
    hand.idle("mpe-1")
    hand.reapply("mpe-1", then=400)


@pytest.mark.parametrize(
    ("acts", "rule", "world"),
    [
        (fifth_cluster, "R2", {}),
        (early_failover, "R4", {}),
        (second_start, "twice", {}),
        (hurried_starts, "R3", {}),
        (both_in_forced_standby, "R5", {}),
        (segment_before_cmp, "R1", {"cmp_done": False}),
        (parallel_failovers, "R4", {}),
        (cancelled_forced_standby, "R6", {}),
        (no_traffic_and_nobody_looks, "R11", {"faults": ["no_traffic@mpe-1"]}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_act_against_a_rule_is_obeyed_and_reported(
    acts: Callable[[Hand], None], rule: str, world: dict[str, Any]
) -> None:
    hand = Hand(**world)
    acts(hand)
    assert rule in hand.broken()


def test_a_reversal_while_an_action_runs_is_what_the_document_says_is_refused() -> None:
    hand = Hand()
    hand.start("mpe-1", then=300)
    assert hand.world.next_rollback("mpe-1") is None
    hand.idle("mpe-1")
    hand.wait(10)
    back = hand.world.next_rollback("mpe-1")
    assert back is not None and back.act in (Act.INITIATE_BACKOUT, Act.FAILOVER)
    hand.next("mpe-1")
    with pytest.raises(Refused):
        hand.world.perform(back, ME)


@pytest.mark.parametrize("seed_of_order", [0, 1])
def test_a_whole_system_by_hand_keeps_every_rule(seed_of_order: int) -> None:
    hand = Hand(cmp_done=False)
    hand.whole("cmp-1", reapply=False)
    hand.whole("cmp-2", reapply=False)
    names = [name for name, _ in CLUSTERS]
    for name in names if seed_of_order == 0 else reversed(names):
        hand.whole(name)
    assert hand.broken(complete=True) == set()
