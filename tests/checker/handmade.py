"""Flight records made by hand: a small system, the acts of a night, and room to break a rule.

Every builder call takes the twin second at which its act starts and answers with the second at which
it ends, so that acts of several clusters can overlap; `lines()` sorts them and fills in the `from` fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOURCE = "12.1.1.0.0_14.1.0"
TARGET = "12.1.2.0.0_22.1.0"
PRIMARY, SECONDARY = "CMP Site1 Cluster", "CMP Site2 Cluster"
WORKERS = {"mpe-1": "MPE", "mpe-2": "MPE", "li-1": "MPE-Li", "mra-1": "MRA", "mra-2": "MRA", "mpe-3": "MPE"}
CMPS = {PRIMARY: "cmp-1", SECONDARY: "cmp-2"}

Line = dict[str, Any]


def pair(cluster: str) -> tuple[str, str]:
    """Its two servers; `a` begins as the active one."""
    stem = CMPS.get(cluster, cluster)
    return f"{stem}a", f"{stem}b"


@dataclass(slots=True)
class Flight:
    """A record in the making. `cmps` and `workers` say on which release the clusters begin."""

    cmps: str = TARGET
    workers: str = SOURCE
    servers: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # name -> role, release, other than usual
    _lines: list[Line] = field(default_factory=list)

    def kind(self, cluster: str) -> str:
        return "CMP" if cluster in CMPS else WORKERS[cluster]

    def world(self) -> dict[str, Any]:
        return {
            "clusters": [
                {
                    "name": name,
                    "kind": self.kind(name),
                    "primary": name == PRIMARY if name in CMPS else None,
                    "site": "site-1",
                    "segment": None if name in CMPS else "segment-1",
                    "servers": [self._server(name, index) for index in (0, 1)],
                }
                for name in (*CMPS, *WORKERS)
            ],
            "seed": 1,
            "speed": 60,
            "source": SOURCE,
            "target": TARGET,
        }

    def _server(self, cluster: str, index: int) -> dict[str, str]:
        name = pair(cluster)[index]
        usual = {
            "name": name,
            "role": ("Active", "Standby")[index],
            "release": self.cmps if cluster in CMPS else self.workers,
        }
        return usual | self.servers.get(name, {})

    # single lines -----------------------------------------------------------------------------

    def add(self, t: float, event: str, **fields: Any) -> float:
        self._lines.append({"t": t, "event": event, **fields})
        return t

    def home(self, server: str) -> str:
        return next(name for name in (*CMPS, *WORKERS) if server in pair(name))

    def role(self, t: float, server: str, to: str) -> float:
        home = self.home(server)
        return self.add(t, "role", server=server, cluster=home, kind=self.kind(home), to=to)

    def release(self, t: float, server: str, to: str) -> float:
        home = self.home(server)
        return self.add(t, "release", server=server, cluster=home, kind=self.kind(home), to=to)

    def start(
        self, t: float, action: str, cluster: str | None, server: str | None = None, by: str = "admin"
    ) -> float:
        return self.add(t, "action_started", cluster=cluster, server=server, action=action, by=by)

    def end(
        self,
        t: float,
        action: str,
        cluster: str | None,
        server: str | None = None,
        result: str = "Success",
        by: str = "admin",
    ) -> float:
        return self.add(
            t, "action_ended", cluster=cluster, server=server, action=action, by=by, result=result
        )

    # whole acts -------------------------------------------------------------------------------

    def initiate(
        self,
        t: float,
        server: str,
        ends_as: str = "Forced Standby",
        to: str = TARGET,
        oos: float = 18.0,
        took: float = 2400.0,
        result: str = "Success",
    ) -> float:
        """An upgrade (or backout, when `to` is the source) that runs through OOS; a failed one keeps
        its release."""
        action = "initiate_backout" if to == SOURCE else "initiate_upgrade"
        home = self.home(server)
        self.start(t, action, home, server)
        self.role(t + oos - 2, server, "Forced Standby")
        self.role(t + oos, server, "OOS")
        self.add(t + 600, "reachable", server=server, up=False)
        self.add(t + took - 120, "reachable", server=server, up=True)
        if result == "Success":
            self.release(t + took - 120, server, to)
        self.role(t + took, server, ends_as)
        return self.end(t + took, action, home, server, result)

    def preflight_fails(self, t: float, server: str, took: float = 15.0, by: str = "admin") -> float:
        self.start(t, "initiate_upgrade", self.home(server), server, by)
        return self.end(t + took, "initiate_upgrade", self.home(server), server, "Failed", by)

    def failover(
        self, t: float, cluster: str, to: int = 1, loser: str = "Forced Standby", took: float = 30.0
    ) -> float:
        """The server of index `to` becomes active; an MPE or MRA cluster loses its traffic."""
        winner, other = pair(cluster)[to], pair(cluster)[1 - to]
        self.start(t, "failover", cluster)
        self.role(t + took - 1, other, loser)
        self.role(t + took - 1, winner, "Active")
        if cluster not in CMPS:
            self.add(t + took - 1, "traffic", cluster=cluster, active=False)
        return self.end(t + took, "failover", cluster)

    def reapply(
        self,
        t: float,
        cluster: str,
        traffic: float | None = 10.0,
        took: float = 18.0,
        result: str = "Success",
    ) -> float:
        """Ends `took` seconds later; traffic comes `traffic` seconds after that, or never."""
        self.start(t, "reapply", cluster)
        self.end(t + took, "reapply", cluster, result=result)
        if traffic is not None:
            self.add(t + took + traffic, "traffic", cluster=cluster, active=True)
        return t + took

    def cluster(self, t: float, cluster: str, second: float = 60.0) -> float:
        """10.2 for one cluster alone: standby, failover, re-apply, `second` s later the other server."""
        t = self.initiate(t, pair(cluster)[1])
        t = self.failover(t + 20, cluster)
        if cluster not in CMPS:
            t = self.reapply(t + 10, cluster)
        return self.initiate(t + second, pair(cluster)[0], ends_as="Standby")

    def back_out_cluster(self, t: float, cluster: str) -> float:
        """12.3 for a fully upgraded cluster whose server `b` is active."""
        t = self.initiate(t, pair(cluster)[0], to=SOURCE)
        t = self.failover(t + 20, cluster, to=0)
        if cluster not in CMPS:
            t = self.reapply(t + 10, cluster)
        return self.initiate(t + 60, pair(cluster)[1], to=SOURCE, ends_as="Standby")

    def force_standby(self, t: float, server: str) -> float:
        """6.1.1/9."""
        self.start(t, "force_standby", self.home(server), server)
        self.role(t + 2, server, "Forced Standby")
        return self.end(t + 2, "force_standby", self.home(server), server)

    def cancel_force_standby(self, t: float, server: str) -> float:
        """12.3.5/7."""
        self.start(t, "cancel_force_standby", self.home(server), server)
        self.role(t + 2, server, "Standby")
        return self.end(t + 2, "cancel_force_standby", self.home(server), server)

    def switch(self, t: float, cluster: str, to: int = 1, took: float = 30.0) -> float:
        """6.1.1/13."""
        winner, other = pair(cluster)[to], pair(cluster)[1 - to]
        self.start(t, "switch_force_standby", cluster)
        self.role(t + took - 1, other, "Forced Standby")
        self.role(t + took - 1, winner, "Active")
        return self.end(t + took, "switch_force_standby", cluster)

    def old_cluster(self, t: float, cluster: str) -> float:
        """6.1.1/9-21: the first server by System Maintenance, the remaining one by the Director."""
        first, second = pair(cluster)
        t = self.force_standby(t, second)
        t = self.initiate(t + 10, second)
        self.add(t, "replication", server=second, in_sync=False)
        t = self.add(t + 20, "replication", server=second, in_sync=True)
        return self.initiate(self.switch(t + 10, cluster) + 60, first, ends_as="Standby")

    def back_out_old_cluster(self, t: float, cluster: str) -> float:
        """12.3.5/2-7: the standby and the failover by the Director, the remaining one by System Maintenance."""
        first, second = pair(cluster)
        t = self.initiate(t, first, to=SOURCE)
        t = self.failover(t + 20, cluster, to=0)
        t = self.initiate(t + 60, second, to=SOURCE, ends_as="Forced Standby")
        return self.cancel_force_standby(t + 30, second)

    # the result -------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        """In the order of time; lines of the same second stay as they were added."""
        ordered = sorted((dict(line) for line in self._lines), key=lambda line: float(line["t"]))
        now = {
            server["name"]: {"role": server["role"], "release": server["release"]}
            for cluster in self.world()["clusters"]
            for server in cluster["servers"]
        }
        for line in ordered:
            if line["event"] in ("role", "release") and "from" not in line:
                state = now[line["server"]]
                line["from"], state[line["event"]] = state[line["event"]], line["to"]
        return ordered

    def write(self, folder: Path) -> Path:
        (folder / "world.json").write_text(json.dumps(self.world()), encoding="utf-8")
        text = "".join(json.dumps(line) + "\n" for line in self.lines())
        (folder / "flight.jsonl").write_text(text, encoding="utf-8")
        return folder


def upgraded(*clusters: str) -> dict[str, dict[str, str]]:
    """For `Flight(servers=...)`: these clusters begin upgraded, their server `b` active."""
    states: dict[str, dict[str, str]] = {}
    for cluster in clusters:
        first, second = pair(cluster)
        states[first] = {"role": "Standby", "release": TARGET}
        states[second] = {"role": "Active", "release": TARGET}
    return states


def halfway(cluster: str, active: int = 1) -> dict[str, dict[str, str]]:
    """For `Flight(servers=...)`: server `b` upgraded; `active` says which of the two is active."""
    first, second = pair(cluster)
    roles = ("Forced Standby", "Active") if active == 1 else ("Active", "Forced Standby")
    return {first: {"role": roles[0], "release": SOURCE}, second: {"role": roles[1], "release": TARGET}}
