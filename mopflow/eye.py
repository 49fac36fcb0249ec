"""The one reading of the system that serves everyone who waits.

A thread reads the Upgrade Manager, and the active alarms less often, as long as somebody waits for a reading; it
never reads more often than the site's pace says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self

from mopflow.alarms import AlarmWatch, Judged, Standing, absent, judge
from mopflow.console.protocol import Console
from mopflow.errors import LoginRefused, MopflowError, Unreachable
from mopflow.procedures.stages import stage_alarms
from mopflow.site import Site
from mopflow.system import ClusterState, Snapshot, read_cluster


class Reading:
    """A snapshot with what it means."""

    def __init__(self, site: Site, snapshot: Snapshot, judged: list[Judged]) -> None:
        self.site = site
        self.snapshot = snapshot
        self.judged = judged
        self.absent: list[tuple[int, str]] = []  # number and cluster of what is expected and does not stand
        source, target = site.source_release, site.target_release
        self.states: dict[str, ClusterState] = {
            cluster.name: read_cluster(cluster.name, snapshot.cluster(cluster.name), source, target)
            for cluster in site.clusters
        }

    def state(self, cluster: str) -> ClusterState:
        return self.states[cluster]

    def unexplained(self, cluster: str | None = None) -> list[Judged]:
        """Alarms that are unexpected or overstay, of one cluster or of the whole system."""
        return [
            item
            for item in self.judged
            if item.standing in (Standing.UNEXPECTED, Standing.OVERSTAYING)
            and (cluster is None or item.cluster == cluster)
        ]

    def alarms_on(self, cluster: str) -> list[Judged]:
        return [item for item in self.judged if item.cluster == cluster]


class Eye:
    """Hands out readings; `after(t)` waits for one that was begun after the monotonic time t."""

    def __init__(
        self, site: Site, console: Console, on_reading: Callable[[Reading], None] | None = None
    ) -> None:
        self._site = site
        self._console = console
        self._on_reading = on_reading
        self._watch = AlarmWatch(site.pace.alarm_grace, site.pace.stable_readings)
        self._condition = threading.Condition()
        self._latest: Reading | None = None
        self._failure: tuple[float, MopflowError] | None = None
        self._wanted = 0.0  # somebody waits for a reading begun after this
        self._alarms_wanted = 0.0
        self._alarm_marks: tuple[object, ...] = ()
        self._closing = False
        self._dead: MopflowError | None = None
        self._thread = threading.Thread(target=self._run, name="eye", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout=30)

    @property
    def latest(self) -> Reading | None:
        return self._latest

    def now(self) -> Reading:
        """A reading that begins after this call."""
        return self.after(time.monotonic())

    def soon(self) -> Reading:
        """A reading that begins after this call; while the console is away (a CMP switch) it is waited for.

        Raises as `after` does, Unreachable when the console stays away longer than a failover may take.
        """
        begun = time.monotonic()
        while True:
            try:
                return self.now()
            except Unreachable:
                if time.monotonic() - begun > self._site.pace.failover.late:
                    raise

    def after(self, since: float, *, alarms: bool = False) -> Reading:
        """A reading begun after the monotonic time ``since``; with ``alarms``, also its alarms.

        Raises what the console raises when that reading fails (Unreachable, LoginRefused, UnreadableReply).
        """
        with self._condition:
            if self._failure is not None and isinstance(self._failure[1], LoginRefused):
                raise self._failure[1]  # a refused login stays refused, also for who asks later
            self._wanted = max(self._wanted, since)
            if alarms:
                self._alarms_wanted = max(self._alarms_wanted, since)
            self._condition.notify_all()
            while True:
                latest = self._latest
                if latest is not None and latest.snapshot.at >= since:
                    if not alarms or latest.snapshot.alarms_at >= since:
                        return latest
                    self._wanted = max(self._wanted, latest.snapshot.at + 1e-6)
                    self._condition.notify_all()
                if self._failure is not None and (
                    self._failure[0] >= since or isinstance(self._failure[1], LoginRefused)
                ):
                    raise self._failure[1]
                if self._dead is not None:
                    raise self._dead
                if self._closing:
                    raise Unreachable("the console", "this run is ending")
                self._condition.wait(timeout=1.0)

    def _run(self) -> None:
        try:
            self._read_on()
        except BaseException as error:
            # nobody may wait for a thread that has died
            with self._condition:
                self._dead = (
                    error
                    if isinstance(error, MopflowError)
                    else MopflowError(f"the readings ended: {type(error).__name__}: {error}")
                )
                self._condition.notify_all()
            raise

    def _read_on(self) -> None:
        last = 0.0
        while True:
            with self._condition:
                while not self._closing and self._wanted <= last:
                    self._condition.wait()
                if self._closing:
                    return
            pause = last + self._site.pace.every - time.monotonic()
            if pause > 0:
                with self._condition:
                    self._condition.wait_for(lambda: self._closing, timeout=pause)
                    if self._closing:
                        return
            last = time.monotonic()
            try:
                reading = self._read(last)
            except MopflowError as failure:
                with self._condition:
                    self._failure = (last, failure)
                    if isinstance(failure, LoginRefused):
                        self._wanted = 0.0  # nobody tries the same credentials again
                    self._condition.notify_all()
                continue
            with self._condition:
                self._latest = reading
                self._condition.notify_all()
            if self._on_reading is not None:
                self._on_reading(reading)

    def _read(self, begun: float) -> Reading:
        page = self._console.overview()
        taken = datetime.now(UTC)
        previous = self._latest.snapshot if self._latest is not None else None
        snapshot = Snapshot(taken, begun, page.servers, page.current_iso)
        # the column Alarm Severity says when the list of alarms is worth another look
        marks: tuple[object, ...] = tuple((s.name, s.alarm_severity, s.role, s.release) for s in page.servers)
        due = (
            previous is None
            or marks != self._alarm_marks
            or begun - previous.alarms_at >= self._site.pace.alarms_every
            or self._alarms_wanted > previous.alarms_at
        )
        if due or previous is None:
            snapshot = replace(snapshot, alarms=self._console.active_alarms(), alarms_at=begun)
            self._alarm_marks = marks
        else:
            snapshot = replace(snapshot, alarms=previous.alarms, alarms_at=previous.alarms_at)
        reading = Reading(self._site, snapshot, [])
        lists = stage_alarms(self._site, reading.states)
        judged = judge(snapshot.alarms, self._site, reading.states, lists)
        reading.absent = absent(snapshot.alarms, self._site, reading.states, lists)
        reading.judged = self._watch.look(judged, begun, anew=snapshot.alarms_at == begun)
        return reading
