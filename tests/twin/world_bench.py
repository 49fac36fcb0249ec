"""A world on a clock that the test turns by hand, and hands that click as a person does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lab.clock import ManualClock
from lab.config import Secrets, TwinConfig
from lab.files import KIT_DIR, SCRIPT_DIR, SCRIPTS, UPGRADE_DIR
from lab.flight import FlightRecord
from lab.state import Announced, Role
from lab.world import World

OLD, NEW = "12.1.1.0.0_14.1.0", "12.1.2.0.0_22.1.0"
KIT = f"{KIT_DIR}/cmp-{NEW}-x86_64.iso"
ME = "admin"
KINDS = {"cmp": "CMP", "mpe": "MPE", "mra": "MRA"}
ENVIRON = {
    "MOPFLOW_LAB_ADMUSR_PASSWORD": "shell-word",
    "MOPFLOW_LAB_ROOT_PASSWORD": "root-word",
    "MOPFLOW_LAB_GUI_PASSWORD": "gui-word",
    "MOPFLOW_LAB_OSSI_PASSWORD": "ossi-word",
}


def image(kind: str, release: str = NEW) -> str:
    return f"{kind}-{release}-x86_64.iso"


def cluster(name: str, kind: str, n: int, **more: Any) -> dict[str, Any]:
    servers = [
        {"name": f"{name}{side}", "address": f"127.0.{n}.{i}", "role": role, "images": [image(kind)]}
        for i, (side, role) in enumerate((("a", "Active"), ("b", "Standby")), start=1)
    ]
    segment = None if kind == "cmp" else "segment-1"
    row = {
        "name": f"{name}-cl",
        "kind": KINDS[kind],
        "site": "site-1",
        "segment": segment,
        "vip": "127.0.0.1",
    }
    return row | {"servers": servers} | more


def raw(policy: int = 2, source: str = OLD, **more: Any) -> dict[str, Any]:
    clusters = [cluster("cmp1", "cmp", 1, primary=True), cluster("cmp2", "cmp", 2, primary=False)]
    names = ["mpe1", "mra1", "mpe2", "mra2", "mpe3"][:policy]
    clusters += [cluster(name, name[:3], n) for n, name in enumerate(names, start=3)]
    media = [
        {"file": image(kind, release), "type": kind, "size": 1 << 30, "md5": f"{i:032x}"}
        for i, (kind, release) in enumerate((k, r) for k in KINDS for r in (source, NEW))
    ]
    return {"source": source, "target": NEW, "clusters": clusters, "media": media} | more


class Bench:
    """A world, its clock, and hands that click as a person does."""

    def __init__(self, policy: int = 2, *, kit: bool = True, **more: Any) -> None:
        config = TwinConfig.model_validate(raw(policy, **more))
        self.clock = ManualClock()
        self.flight = FlightRecord(self.clock.now)
        secrets = Secrets.from_environment(config.credentials, ENVIRON)
        self.world = World(config, secrets, self.clock, self.flight, datetime(2016, 7, 15, 3, 0, tzinfo=UTC))
        self.stood: Counter[int] = Counter()
        if kit:
            self.choose_kit("cmp1a")

    def choose_kit(self, active: str) -> None:
        """The rows that copy the image on the active CMP server and choose it (9.1.1/8-9)."""
        self.world.files[active].copy(f"{UPGRADE_DIR}/{image('cmp')}", KIT_DIR)
        self.world.select_iso(KIT, ME)
        self.until(lambda: self.world.target == NEW)

    def push_scripts(self) -> None:
        """6.1.1/7-8: the scripts of the image on the active CMP server, then on all servers."""
        for script in SCRIPTS:
            self.world.files["cmp1a"].write(f"{SCRIPT_DIR}/{script}", b"# of the image\n", quiet=True)
        self.world.push_scripts(list(self.world.servers), ME)
        self.idle()

    def events(self, *kinds: str, **fields: Any) -> list[dict[str, Any]]:
        return [
            dict(e) for e in self.flight.events
            if (not kinds or e["event"] in kinds) and all(e.get(k) == v for k, v in fields.items())
        ]  # fmt: skip

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            self.clock.advance(min(step, until - self.clock.now()))
            self.look()

    def until(self, condition: Callable[[], bool], limit: float = 7200.0) -> None:
        end = self.clock.now() + limit
        while not condition():
            assert self.clock.now() < end, "never happened"
            self.pass_time(1.0)

    def look(self) -> None:
        """What must hold at every moment, whatever people do."""
        world = self.world
        for group in world.clusters.values():
            assert sum(world.servers[n].role is Role.ACTIVE for n in group.servers) <= 1
        self.stood.update({alarm.number for alarm in world.alarms})
        keys = Counter((alarm.number, alarm.server) for alarm in world.alarms)
        assert not [key for key, n in keys.items() if n > 1]

    def idle(self, limit: float = 7200.0) -> None:
        self.until(lambda: not self.world.actions, limit)

    def alarms(self) -> set[int]:
        return {alarm.number for alarm in self.world.alarms}

    def alarm_sources(self, number: int) -> set[str | None]:
        return {alarm.server for alarm in self.world.alarms if alarm.number == number}

    def click_upgrade(self, name: str, hover: str) -> Announced:
        announced = self.world.next_upgrade(name)
        assert announced is not None
        assert announced.hover == hover
        self.world.perform(announced, ME)
        return announced

    def click_rollback(self, name: str, hover: str) -> None:
        announced = self.world.next_rollback(name)
        assert announced is not None
        assert announced.hover == hover
        self.world.perform(announced, ME)

    def roles(self, name: str) -> list[str]:
        return [self.world.servers[n].role.value for n in self.world.clusters[name].servers]

    def releases(self, name: str) -> list[str]:
        return [self.world.servers[n].release for n in self.world.clusters[name].servers]

    def during(self, act: Callable[[], object]) -> set[int]:
        """The alarms that stood at some moment from the act until everything has ended."""
        self.stood.clear()
        act()
        self.idle()
        return set(self.stood)

    def upgrade_cmps(self) -> None:
        for name in ("cmp1", "cmp2"):
            self.click_upgrade(f"{name}-cl", f"Initiate upgrade {name}b (next)")
            self.idle()
            self.click_upgrade(f"{name}-cl", f"Failover to new version {name}-cl (next)")
            self.idle()
            self.click_upgrade(f"{name}-cl", f"Initiate upgrade {name}a (next)")
            self.idle()

    def to_failover(self, name: str) -> None:
        self.click_upgrade(f"{name}-cl", f"Initiate upgrade {name}b (next)")
        self.idle()
        self.click_upgrade(f"{name}-cl", f"Failover to new version {name}-cl (next)")
        self.idle()


def assert_sound(bench: Bench) -> None:
    """The flight record is complete: every start has one end, every change begins where the last one ended."""
    opened: Counter[tuple[Any, ...]] = Counter()
    last = 0.0
    roles = {n: s["role"] for c in raw(5)["clusters"] for s in c["servers"] for n in [s["name"]]}
    standing: set[tuple[int, str]] = set()
    for event in bench.flight.events:
        assert event["t"] >= last
        last = event["t"]
        if event["event"] in ("action_started", "action_ended"):
            key = (event["action"], event["cluster"], event["server"], event["by"])
            opened[key] += 1 if event["event"] == "action_started" else -1
            assert opened[key] >= 0
            assert not event["action"].startswith("initiate_") or event["server"]
            if event["event"] == "action_ended":
                assert event["result"] in ("Success", "Failed")
        elif event["event"] == "role":
            assert roles[event["server"]] == event["from"] != event["to"]
            roles[event["server"]] = event["to"]
        elif event["event"] in ("alarm_raised", "alarm_cleared"):
            alarm = (event["number"], event["server"])
            assert (alarm in standing) == (event["event"] == "alarm_cleared")
            standing ^= {alarm}
    assert not +opened
    assert standing == {(alarm.number, alarm.server) for alarm in bench.world.alarms}
