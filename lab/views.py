"""What the pages of the GUI show that is computed from the state: cells, counters, KPIs, samples."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from lab.state import Act, Action, Kind, KpiRow, OmSample, Phase, RepRow, Role, Severity

if TYPE_CHECKING:
    from lab.world import World

SAMPLE = 900.0  # seconds; OSSI samples cover 15 minutes
VERB = {Act.INITIATE_UPGRADE: "Initiate upgrade", Act.INITIATE_BACKOUT: "Initiate backout"}
_PHASE_STEP = {Phase.PREFLIGHT: (1, 0), Phase.MODIFY: (5, 1), Phase.SYNC: (60, 98)}  # step number, percent


def calendar(moment: datetime) -> str:
    """Jul 15, 2016 5:42:13: the month as text, the hour unpadded (Figure 3)."""
    return f"{moment:%b} {moment.day}, {moment.year} {moment.hour}:{moment:%M:%S}"


def done_cell(world: World, action: Action, result: str) -> str:
    """The cell Upgrade Operation after the end; the final full stop comes and goes (Figures 1 and 3).

    `Odd` is neither Success nor Failed: a text that the document does not know (fault other_status).
    """
    if action.by_server:
        act = "backout" if action.back else "upgrade"
        how = {
            "Success": f"Completed: {act} was completed",
            "Odd": f"Completed: {act} was finished with warnings",
        }.get(result, f"Error: {act} failed")
        return f"{how} at {calendar(world.wall(world.now()))}"
    how = "Completed Successfully" if result == "Success" else "Failed"
    stop = "." if world.dice(str(action.server), "full stop").random() < 0.5 else ""
    return f"{VERB[action.act]} {how} at {calendar(world.wall(world.now()))}{stop}"


def operation_cell(world: World, server: str) -> str:
    known = [a for a in world.actions if a.server == server and a.act in VERB and not a.orphan and a.phase]
    if not known:
        return world.servers[server].operation
    action = next((a for a in known if a.phase is not Phase.PREFLIGHT), known[0])
    elapsed = int(world.now() - action.started)
    clock = f"{elapsed // 3600}:{elapsed // 60 % 60:02}:{elapsed % 60:02}"
    assert action.phase is not None
    if action.phase in _PHASE_STEP:
        step, percent = _PHASE_STEP[action.phase]
        what = action.phase.value
    else:
        begin, end = action.work
        share = min(1.0, (world.now() - begin) / (end - begin)) if end > begin else 1.0
        step, percent, what = 18 + int(share * 40), 2 + int(share * 95), VERB[action.act]
    if action.by_server:
        return f"{'Backing out' if action.back else 'Upgrading'}: {percent}% (Elapsed Time: {clock})"
    return f"[Step {step}] {percent}% {VERB[action.act]} - {what} (Elapsed Time: {clock})"


def counters(world: World, cluster: str) -> dict[str, int | float]:
    here = world.clusters[cluster]
    now, rate = world.now(), world.traffic.rate(cluster)
    seconds = world.traffic.seconds(cluster, here.counters_since, now)
    return {
        "Messages In": int(seconds * rate),
        "Messages Out": int(seconds * rate * 0.98),
        "Current TPS": rate if here.traffic else 0,
        "Seconds since reset": int(now - here.counters_since),
    }


def kpis(world: World) -> list[KpiRow]:
    rows = []
    for cluster in world.clusters.values():
        if cluster.kind is Kind.CMP:
            continue
        rate = world.traffic.rate(cluster.name) if cluster.traffic else 0
        worst = Counter(alarm.severity for alarm in world.alarms if alarm.server in cluster.servers)
        row = KpiRow(
            name=cluster.name,
            kind=cluster.kind,
            tps=rate,
            pdn_connections=rate * 120,
            active_subscribers=rate * 100,
            critical=worst[Severity.CRITICAL],
            major=worst[Severity.MAJOR],
            minor=worst[Severity.MINOR],
        )
        rows.append(row)
    return rows


def rep_stats(world: World) -> list[RepRow]:
    """Replication from the active CMP server of the primary cluster to every MPE and MRA server."""
    master = world.last_active[world.primary.name]
    rows = []
    for server in world.servers.values():
        if server.kind is Kind.CMP:
            continue
        fine = (
            server.in_sync and server.reachable and server.role not in (Role.OOS, Role.ZOMBIE, Role.OFFLINE)
        )
        delay = round(world.dice(server.name, "delay").uniform(0.1, 1.9), 1)
        rows.append(RepRow(server.name, master, "OK" if fine else "Broken", delay if fine else None))
    return rows


def om_samples(world: World, cluster: str, begin: float, end: float) -> list[OmSample]:
    offset = world.start.timestamp() % SAMPLE
    rate = world.traffic.rate(cluster)
    samples = []
    for n in range(
        math.floor((begin + offset) / SAMPLE), math.ceil((min(end, world.now()) + offset) / SAMPLE)
    ):
        since = n * SAMPLE - offset
        until = since + SAMPLE
        count = world.traffic.seconds(cluster, since, min(until, world.now())) * rate
        samples.append(OmSample(since, until, until <= world.now(), int(count), int(count * 0.98)))
    return samples


def cluster_status(world: World, cluster: str) -> str:
    if world.active(cluster) is None:
        return "Offline"
    servers = [world.servers[name] for name in world.clusters[cluster].servers]
    whole = all(s.reachable and s.role in (Role.ACTIVE, Role.STANDBY) for s in servers)
    return "OK" if whole and len({s.release for s in servers}) == 1 else "Degraded"


def config_state(world: World, server: str) -> str:
    same = world.servers[server].release == world.cluster_of(server).config_release
    return "OK" if same else "Config mismatch"


def reapply_progress(world: World, cluster: str) -> int | None:
    running = world.running(cluster, Act.REAPPLY)
    if not running:
        return None
    begin, end = running[-1].work
    return min(99, int(100 * (world.now() - begin) / (end - begin))) if end > begin else 0


def world_json(world: World) -> dict[str, object]:
    """How the twin begins (the flight record's companion)."""
    clusters: list[dict[str, object]] = []
    for cluster in world.clusters.values():
        row: dict[str, object] = {"name": cluster.name, "kind": cluster.kind.value}
        if cluster.kind is Kind.CMP:
            row["primary"] = bool(cluster.primary)
        servers = [world.servers[name] for name in cluster.servers]
        row |= {
            "site": cluster.site,
            "segment": cluster.segment,
            "servers": [
                {"name": s.name, "role": s.role.value, "release": s.release, "images": sorted(s.isos)}
                for s in servers
            ],
        }
        clusters.append(row)
    config = world.config
    return {
        "clusters": clusters,
        "hosts": [config.pmac.name] if config.pmac is not None else [],  # beside the clusters
        "seed": config.seed,
        "speed": config.speed,
        "source": config.source,
        "target": config.target,
    }
