"""Does the forecast keep its word? The real end of simulated nights against P50 and P90.

    python benchmarks/forecast_nights.py [--nights N] [--history N] [--sites N] [--seed N] [--jobs N]

The nights come from `night_model.py`: the twin's world on a virtual clock, driven by a script that shares nothing with
the forecast's own simulation. Each site is another one: its servers take another time, its people are quicker or
slower, its segments have other sizes. The first nights of a site are its history; every later one is forecast at its
beginning and in its middle, from the nights before it, and then happens. The same nights are forecast a second time
without any history, from the figures of the document alone.

It must come out that the real end falls before P50 in 40 to 60 % of the nights and before P90 in 85 to 97 %; exit code
1 otherwise. Without history nothing is promised: the document's figures are those of other systems.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.night_model import People, Record, nights
from mopflow.forecast import window
from mopflow.forecast.durations import Beliefs, History, history
from mopflow.forecast.night import Night, Run
from mopflow.forecast.outlook import Forecast
from mopflow.forecast.parts import shapes
from mopflow.forecast.passes import passes
from mopflow.ledger.records import Executor, Row
from mopflow.site import Autonomy, Cluster, Segment, Server, Site, Window
from mopflow.site_file import load

ROOT = Path(__file__).parents[1]
MIDDLE = (90 * 60.0, 210 * 60.0)  # seconds after the beginning at which a night is forecast once more
P50_BAND, P90_BAND = (0.40, 0.60), (0.85, 0.97)


@dataclass(slots=True)
class Kept:
    """Was the real end before P50, before P90, and how far off was P50, in minutes?"""

    before_p50: list[bool] = field(default_factory=list)
    before_p90: list[bool] = field(default_factory=list)
    off: list[float] = field(default_factory=list)
    width: list[float] = field(default_factory=list)

    def add(self, end: datetime, p50: datetime, p90: datetime) -> None:
        self.before_p50.append(end <= p50)
        self.before_p90.append(end <= p90)
        self.off.append((end - p50).total_seconds() / 60)
        self.width.append((p90 - p50).total_seconds() / 60)

    @property
    def shares(self) -> tuple[float, float]:
        n = len(self.before_p50)
        return sum(self.before_p50) / n, sum(self.before_p90) / n

    def merge(self, other: Kept) -> None:
        self.before_p50 += other.before_p50
        self.before_p90 += other.before_p90
        self.off += other.off
        self.width += other.width

    def line(self, what: str) -> str:
        p50, p90 = self.shares
        return (
            f"{what:<34} {len(self.off):4d}   before P50 {p50:6.1%}   before P90 {p90:6.1%}   "
            f"real end minus P50: mean {statistics.mean(self.off):+6.1f} min   P90 minus P50: {statistics.mean(self.width):5.1f} min"
        )


Results = dict[str, Kept]


def some_site(base: Site, number: int, seed: int) -> tuple[Site, People]:
    """Another site: other durations, other people, other sizes of its segments."""
    dice = random.Random(f"site {seed} {number}")
    kinds = ("MPE", "MPE-Li", "MRA")
    traffic = dice.uniform(28.0, 66.0)
    upgrade = {kind: traffic * dice.uniform(0.9, 1.1) for kind in kinds}
    upgrade["CMP"] = dice.uniform(24.0, 42.0)
    assert base.lab is not None
    durations = {
        "initiate_upgrade": upgrade,
        "failover": dice.uniform(0.3, 1.5),
        "reapply": dice.uniform(0.2, 1.5),
    }
    sizes = dice.choice(((5, 2), (4,), (7, 3), (6, 6)))
    segments = tuple(
        Segment(
            name=f"segment-{s}",
            clusters=tuple(_cluster(dice, f"{s}-{c}", 40 * s + 3 * c) for c in range(1, size + 1)),
        )
        for s, size in enumerate(sizes, 1)
    )
    people = People(command=(dice.uniform(20, 120), dice.uniform(180, 700)), answer=dice.uniform(40, 300))
    site = base.model_copy(
        update={
            "name": f"site-{seed}-{number}",
            "segments": segments,
            "lab": base.lab.model_copy(update={"durations": durations, "pmac": False, "weak_hashes": ()}),
            "autonomy": base.autonomy.model_copy(
                update={"cmp_switch": Autonomy.CONFIRM, "first_failover": Autonomy.CONFIRM}
            ),
        }
    )
    return Site.model_validate(site.model_dump()), people


def _cluster(dice: random.Random, name: str, address: int) -> Cluster:
    kind = dice.choice(("MPE", "MPE", "MRA", "MPE-Li"))
    servers = tuple(Server(name=f"p{name}{x}", address=f"127.0.5.{address + i}") for i, x in enumerate("ab"))
    return Cluster.model_validate(
        {"name": f"c{name}", "kind": kind, "servers": [server.model_dump() for server in servers]}
    )


def with_window(site: Site, record: Record) -> Site:
    """The night's own window, so long that nothing is held back for its end."""
    own = Window(name="night", start=record.start, end=record.start + timedelta(hours=48))
    return site.model_copy(update={"windows": (own,)})


def known_before(
    site: Site, past: Sequence[Record], rows_now: Sequence[Row] = (), now: Record | None = None
) -> History:
    """What a ledger would tell: the earlier nights, and what this one has shown so far."""
    records = [*past, *([now] if now is not None else [])]
    rows = [row for record in past for row in record.rows] + list(rows_now)
    asked = [one for record in records for one in record.questions]
    until = rows_now[-1].at if rows_now else None
    answers: dict[str | None, list[tuple[datetime, datetime]]] = defaultdict(list)
    for one in asked:
        if until is None or one.answered <= until:
            answers[one.cluster].append((one.at, one.answered))
    found = passes(rows, shapes(site), {one.id for one in asked})
    runs = [run for record in past for run in record.executors]
    everything = [Window(name="w", start=r.start, end=r.start + timedelta(hours=48)) for r in records]
    there = site.model_copy(update={"windows": tuple(everything)})
    return history(there, found, rows, runs, answers)


def forecast_at_start(site: Site, record: Record, known: History) -> Forecast:
    there = with_window(site, record)
    night = Night(there, record.start, shapes(site), {})
    return window.make(night, Beliefs(known), later=False)


def forecast_in_the_middle(site: Site, record: Record, past: Sequence[Record], at: datetime) -> Forecast:
    """From the journal up to that moment, and the stages that the console showed."""
    there = with_window(site, record)
    rows = [row for row in record.rows if row.at <= at]
    questions = {one.id for one in record.questions}
    found = {one.cluster: one for one in passes(rows, shapes(site), questions)}
    running = _running(record, at)
    first = {row.executor: row.at for row in reversed(rows)}
    runs = tuple(Run(e.flow, e.scope, first.get(e.id, e.begun)) for e in running)
    ended = [e.ended for e in record.executors if e.ended is not None and e.ended <= at]
    night = Night(there, at, shapes(site), record.looks[at], found, runs, max(ended, default=None))
    return window.make(night, Beliefs(known_before(site, past, rows, record)), later=False)


def _running(record: Record, at: datetime) -> Iterator[Executor]:
    return (e for e in record.executors if e.begun <= at and (e.ended is None or e.ended > at))


def one_site(base: Site, number: int, seed: int, before: int, count: int) -> tuple[Results, Results]:
    """Forecast ``count`` nights of a site that has had ``before`` of them; with and without its history."""
    site, people = some_site(base, number, seed)
    made = list(nights(site, before + count, seed * 10_000 + number, people=people, look_after=MIDDLE))
    own: Results = defaultdict(Kept)
    document: Results = defaultdict(Kept)
    for n, record in enumerate(made[before:], before):
        past = made[:before] if before else []
        enter(own, forecast_at_start(site, record, known_before(site, past)), record)
        enter(document, forecast_at_start(site, record, History()), record)
        for at in record.looks:
            if at < record.end:
                middle = forecast_in_the_middle(site, record, past, at)
                ends = middle.plan.ends
                assert ends is not None, f"night {n}: nothing left at {at}"
                own[f"from the middle, {(at - record.start).total_seconds() / 60:.0f} min on"].add(
                    record.end, ends.p50, ends.p90
                )
    return own, document


def enter(results: Results, made: Forecast, record: Record) -> None:
    ends = made.plan.ends
    assert ends is not None
    results["the night"].add(record.end, ends.p50, ends.p90)
    for phase in made.plan.phases:
        results[f"phase {phase.name}"].add(record.ends[phase.name], phase.ends.p50, phase.ends.p90)


def measure(count: int, before: int, sites: int, seed: int, jobs: int) -> tuple[Results, Results]:
    base = load(ROOT / "deployments" / "lab.yaml")
    each = [count // sites + (number < count % sites) for number in range(sites)]
    work = [(base, number, seed, before, share) for number, share in enumerate(each) if share]
    own: Results = defaultdict(Kept)
    document: Results = defaultdict(Kept)
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            found = list(pool.map(one_site, *zip(*work, strict=True)))
    else:
        found = [one_site(*item) for item in work]
    for mine, documents in found:
        for total, part in ((own, mine), (document, documents)):
            for key, kept in part.items():
                total[key].merge(kept)
    return own, document


def within(kept: Kept) -> bool:
    p50, p90 = kept.shares
    return P50_BAND[0] <= p50 <= P50_BAND[1] and P90_BAND[0] <= p90 <= P90_BAND[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=200, help="nights that are forecast")
    parser.add_argument("--history", type=int, default=4, help="nights of each site before those")
    parser.add_argument("--sites", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    begun = time.monotonic()
    own, document = measure(given.nights, given.history, given.sites, given.seed, given.jobs)
    print(
        f"{given.nights} nights on {given.sites} sites, each with {given.history} nights of history, seed {given.seed}"
    )
    for what, kept in own.items():
        print("  " + kept.line(what))
    print("without any history, from the document's figures alone (nothing is promised here):")
    for what, kept in document.items():
        print("  " + kept.line(what))
    good = within(own["the night"])
    print(f"{'within' if good else 'NOT within'} 40 to 60 % and 85 to 97 %; {time.monotonic() - begun:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
