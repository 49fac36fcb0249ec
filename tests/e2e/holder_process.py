"""A run that works for ever: flows in Prefect, places, an executor in the ledger. The tests kill it.

Arguments: ledger URL, site, scope, `flows` or `bare`, then the clusters. Prints `ready` when every cluster has its
place, and the first one the failover. A bare one has no flows in Prefect, and so is there sooner.
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass

from prefect import flow

from mopflow.ledger import Ledger
from mopflow.processes import me
from mopflow.slots import Slot
from tasks.context import current
from tasks.fanout import for_each_cluster
from tasks.opening import flow_run_id
from tasks.slots import PrefectSlots
from tasks.steps import as_line


@dataclass
class House:
    slots: PrefectSlots
    ready: threading.Barrier


def work_for_ever() -> None:
    current(House).ready.wait()
    threading.Event().wait()


@flow(name="holder-cluster", flow_run_name="{cluster}")
def holder_cluster(cluster: str) -> None:
    house = current(House)
    with house.slots.take(Slot.CLUSTER, cluster):
        as_line(f"10.2/3 Start, {cluster}", work_for_ever, lambda _: ("Done", ""))


@flow(name="holder", flow_run_name="{scope} of {site}")
def holder(url: str, site: str, scope: str, clusters: list[str]) -> None:
    hold(url, site, scope, clusters, bare=False)


def hold(url: str, site: str, scope: str, clusters: list[str], *, bare: bool) -> None:
    with Ledger.open(url) as ledger:
        mark = me()
        campaign = ledger.campaign(site, "12.1.1.0.0_1", "12.1.2.0.0_2", None)
        mine = ledger.register(campaign, site, "upgrade-segment", scope, mark.host, mark.pid, mark.born).id
        with PrefectSlots(site, ledger, mine, poll=0.1) as slots, ExitStack() as stack:
            if bare:
                for cluster in clusters:
                    stack.enter_context(slots.take(Slot.CLUSTER, cluster))
                say_ready_and_stay(slots, clusters[0])
            ledger.add_flow_run(mine, flow_run_id() or "", None)
            house = House(slots, threading.Barrier(len(clusters) + 1))

            def say() -> None:
                house.ready.wait()
                say_ready_and_stay(slots, clusters[0])

            threading.Thread(target=say, daemon=True).start()
            for_each_cluster(
                holder_cluster,
                clusters,
                house,
                began=lambda run, cluster: ledger.add_flow_run(mine, run, cluster),
            )


def say_ready_and_stay(slots: PrefectSlots, cluster: str) -> None:
    with slots.take(Slot.FAILOVER, cluster):
        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    url, site, scope, how, *clusters = sys.argv[1:]
    if how == "bare":
        hold(url, site, scope, clusters, bare=True)
    else:
        holder(url, site, scope, clusters)
