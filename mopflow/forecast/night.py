"""Where the night stands, and what is left of it: from the stages of the clusters and from the journal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mopflow.forecast.parts import (
    BACK_HEAD,
    BACK_TAIL,
    COMMAND,
    SEGMENT_HEAD,
    SEGMENT_TAIL,
    Key,
    Part,
    Piece,
    Place,
    Shape,
    Who,
)
from mopflow.forecast.passes import Pass
from mopflow.forecast.schedule import Job, Phase
from mopflow.ledger.records import Hold, HoldKind
from mopflow.questions import WINDOW
from mopflow.rules import LIMIT
from mopflow.site import Autonomy, Cluster, Segment, Site
from mopflow.system import Stage

UNBEGUN = (Stage.FRESH, Stage.FORCED)


class Way(StrEnum):
    """In which direction the night goes."""

    FORWARD = "upgrade"
    BACK = "backout"


@dataclass(frozen=True, slots=True)
class Run:
    """A command that works now. ``since``: of its first row."""

    flow: str
    scope: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Night:
    """Everything that a forecast looks at beside the durations. Times are UTC and aware."""

    site: Site
    now: datetime
    shapes: Mapping[tuple[str, bool], Shape]
    stages: Mapping[str, Stage]
    passes: Mapping[str, Pass] = field(default_factory=dict)  # the newest pass of a cluster in this campaign
    runs: tuple[Run, ...] = ()
    ended: datetime | None = None  # when the last command came to its end
    holds: tuple[Hold, ...] = ()  # open ones
    backing_out: tuple[
        str, ...
    ] = ()  # clusters of the backout that is under way, or was stopped in the middle
    taken: datetime | None = None  # of the picture that the stages were read from

    @property
    def way(self) -> Way:
        return Way.BACK if self.backing_out else Way.FORWARD

    @property
    def working(self) -> bool:
        return bool(self.runs)

    def stage(self, cluster: str) -> Stage:
        return self.stages.get(cluster, Stage.FRESH)

    def gone(self, since: datetime | None) -> float:
        """Minutes of the document that have gone by; a beginning that is not known was just now."""
        if since is None:
            return 0.0
        return max(0.0, (self.now - since).total_seconds() / (self.site.pace.minute or 60.0))

    def held(self, cluster: str) -> Hold | None:
        """The hold for which a cluster waits for a person; not a question, and not one of the window."""
        found = (h for h in self.holds if h.cluster == cluster and h.kind is HoldKind.TROUBLE)
        return next((h for h in found if h.rule != WINDOW), None)

    def stuck(self, cluster: str) -> str | None:
        """Why nothing is known of this cluster's end, None where it is."""
        hold = self.held(cluster)
        if hold is not None:
            return f"held at {hold.procedure}/{hold.step}: {hold.reason}"
        if self.stage(cluster) is Stage.ODD:
            return Stage.ODD.value
        if self.way is Way.FORWARD and self.stage(cluster).is_back:
            return self.stage(cluster).value
        return None

    def begun(self, since: datetime | None) -> list[str]:
        """Clusters that a backout of everything begun would go over: those between two releases, and those finished
        that were begun after ``since`` (None: in this campaign). In the order of the site file."""
        found = []
        for cluster in self.site.clusters:
            stage = self.stage(cluster.name)
            if stage in UNBEGUN:
                continue
            if stage is Stage.DONE:
                mine = self.passes.get(cluster.name)
                at = mine.begun if mine is not None and not mine.shape.back else None
                if at is None or (since is not None and at < since):
                    continue
            found.append(cluster.name)
        return found


# what is left of one cluster


def forward(night: Night, cluster: Cluster) -> Job | None:
    """What is left of its upgrade, None: nothing."""
    shape = night.shapes[cluster.name, False]
    mine = night.passes.get(cluster.name)
    known = mine if mine is not None and not mine.shape.back else None
    pieces = _pieces(shape)
    parts = {place: known.part(place) for place in Place} if known is not None else {}
    skip: Place | None = None  # everything before it is over
    gone: float | None = None  # of it
    stage = night.stage(cluster.name)

    def since(place: Place) -> datetime | None:
        return parts[place].begun if place in parts else None

    match stage:
        case Stage.FRESH | Stage.FORCED:
            skip = Place.HEAD
            if Place.FIRST in parts and parts[Place.FIRST].begun and not parts[Place.FIRST].closed:
                skip, gone = Place.FIRST, night.gone(since(Place.FIRST))
            elif night.runs and since(Place.HEAD) is not None:
                gone = night.gone(since(Place.HEAD))
        case Stage.FIRST_RUNNING:
            skip, gone = Place.FIRST, night.gone(since(Place.FIRST))
        case Stage.FIRST_DONE:
            skip = Place.SWITCH
            if since(Place.SWITCH) is not None:
                gone = night.gone(since(Place.SWITCH))
            elif shape.who.is_cmp and night.runs and parts and parts[Place.FIRST].ended:
                gone = night.gone(parts[Place.FIRST].ended)
        case Stage.MOVING:
            skip, gone = Place.SWITCH, night.gone(since(Place.SWITCH))
        case Stage.SWITCHED:
            skip, gone = Place.SWITCH, night.gone(since(Place.SWITCH))
            if since(Place.SECOND) is not None:
                skip, gone = Place.SECOND, night.gone(since(Place.SECOND))
            elif not shape.who.is_cmp and Place.SWITCH in parts and parts[Place.SWITCH].closed:
                skip, gone = Place.SECOND, None
        case Stage.SECOND_RUNNING:
            skip, gone = Place.SECOND, night.gone(since(Place.SECOND))
        case Stage.DONE:
            if known is None or known.over or not night.runs:
                return None
            second = parts[Place.SECOND]
            skip, gone = Place.TAIL, night.gone(second.ended) if second.closed else None
        case _:
            return None
    left = [(place, piece) for place, piece in pieces if place.order >= skip.order]
    if not left:
        return None
    todo = [piece for _, piece in left]
    if gone is not None and left[0][0] is skip:
        todo[0] = Piece(todo[0].key, todo[0].printed, gone)
    asks = shape.who.is_cmp and night.site.autonomy.cmp_switch is Autonomy.CONFIRM
    return Job(
        cluster.name,
        shape.who,
        tuple(todo),
        in_work=stage not in UNBEGUN or skip is Place.FIRST,
        asks=asks and not (skip.order > Place.SWITCH.order),
    )


def _pieces(shape: Shape) -> list[tuple[Place, Piece]]:
    who, back = shape.who, shape.back
    first, second = shape.servers
    made = [
        (Place.HEAD, Part.HEAD, shape.head if who.is_cmp else 0.0),
        (Place.FIRST, Part.SERVER, first),
        (Place.SWITCH, Part.SWITCH, shape.switch),
        (Place.SECOND, Part.SERVER, second),
        (Place.TAIL, Part.TAIL, shape.tail),
    ]
    return [(place, Piece(Key(part, who, back), printed)) for place, part, printed in made if printed]


_BACK_FROM = {  # what a backout begins with, once what runs has ended
    Stage.FIRST_RUNNING: Place.SECOND,
    Stage.FIRST_DONE: Place.SECOND,
    Stage.SWITCHED: Place.SWITCH,
    Stage.MOVING: Place.SWITCH,
    Stage.SECOND_RUNNING: Place.FIRST,
    Stage.DONE: Place.FIRST,
    Stage.BACK_FIRST: Place.FIRST,
    Stage.BACK_SECOND: Place.SECOND,
}


def backward(night: Night, cluster: Cluster, *, waits: bool = True) -> Job | None:
    """What its backout takes from where it stands, None: nothing. What runs forward is waited for (R7), unless it is
    known otherwise when it ends (``waits``)."""
    shape = night.shapes[cluster.name, True]
    stage = night.stage(cluster.name)
    start = _BACK_FROM.get(stage)
    if start is None:
        return None
    mine = night.passes.get(cluster.name)
    back = mine if mine is not None and mine.shape.back else None
    wait = None
    gone: float | None = None
    if stage in (Stage.FIRST_RUNNING, Stage.SECOND_RUNNING):
        if not waits:
            return _from(cluster.name, shape, start)
        ahead = night.shapes[cluster.name, False]
        second = stage is Stage.SECOND_RUNNING
        place = Place.SECOND if second else Place.FIRST
        begun = mine.part(place).begun if mine is not None and back is None else None
        wait = Piece(Key(Part.SERVER, ahead.who), ahead.servers[second], night.gone(begun))
    elif back is not None:
        part = back.part(start)
        if stage.is_back or (start is Place.SWITCH and part.begun and not part.closed):
            gone = night.gone(part.begun)
        elif start is Place.SWITCH and part.closed:
            start = Place.SECOND
    return _from(cluster.name, shape, start, gone, wait, in_work=back is not None and gone is not None)


def _from(
    cluster: str,
    shape: Shape,
    start: Place,
    gone: float | None = None,
    wait: Piece | None = None,
    *,
    in_work: bool = False,
) -> Job:
    """A backout that begins at this place."""
    whole = start is Place.FIRST and gone is None
    todo = [piece for place, piece in _pieces(shape) if whole or place.order >= start.order]
    if gone is not None:
        todo[0] = Piece(todo[0].key, todo[0].printed, gone)
    return Job(cluster, shape.who, tuple(todo), in_work=in_work, wait=wait)


# the phases


def phases(night: Night, only: Collection[str] | None = None) -> list[Phase]:
    """What is left, in its order. ``only``: of these clusters. A cluster that waits for a person is left out, and
    where that is a CMP, everything after it (R1)."""
    if night.way is Way.BACK:
        return back_phases(night, night.backing_out)
    return _forward_phases(night, only)


def _command(night: Night, flows: Sequence[str], scope: str) -> tuple[Piece, ...]:
    """The wait for the next command; none while it works."""
    if any(run.flow in flows and run.scope == scope for run in night.runs):
        return ()
    gone = night.gone(night.ended) if night.ended is not None else None
    if gone is not None and gone >= COMMAND * 6:
        gone = None  # a break: it says nothing of when it ends
    return (Piece(Key(Part.COMMAND, Who.SITE), COMMAND, gone),)


def _forward_phases(night: Night, only: Collection[str] | None) -> list[Phase]:
    site = night.site
    made: list[Phase] = []
    command = _command(night, ("upgrade-cmp",), "cmp")
    for cluster in site.cmp_clusters:
        if night.stuck(cluster.name) is not None:
            return made
        job = forward(night, cluster)
        if job is None:
            continue
        if only is not None and cluster.name not in only:
            return made  # R1: nothing goes before it
        made.append(Phase(job.who.value, (job,), command, side_by_side=False))
        command = ()
    together: list[tuple[Segment, list[Job]]] = []
    for segment in site.segments:
        jobs = [
            job
            for cluster in segment.clusters
            if (only is None or cluster.name in only) and night.stuck(cluster.name) is None
            for job in (forward(night, cluster),)
            if job is not None and (job.in_work or taken(night) < LIMIT)
        ]
        if not jobs:
            continue
        if any(run.scope == segment.name for run in night.runs):
            together.append((segment, jobs))
        else:
            made.append(_segment(night, [segment], jobs))
    if together:  # several that work at the same time share the places
        running = _segment(night, [s for s, _ in together], [job for _, jobs in together for job in jobs])
        made.insert(sum(not phase.side_by_side for phase in made), running)
    # after the first command the night goes on from its end
    return [
        phase
        if number == 0
        else Phase(
            phase.name,
            phase.jobs,
            tuple(Piece(p.key, p.printed) if p.key.part is Part.COMMAND else p for p in phase.before),
            phase.after,
            phase.side_by_side,
            phase.asks_once,
        )
        for number, phase in enumerate(made)
    ]


def taken(night: Night) -> int:
    """Clusters that wait for a person between two releases: each keeps one of the four places (R2)."""
    return sum(
        night.stuck(c.name) is not None and night.stage(c.name) not in (*UNBEGUN, Stage.DONE)
        for c in night.site.traffic_clusters
    )


def _segment(night: Night, segments: Sequence[Segment], jobs: Sequence[Job]) -> Phase:
    name = segments[0].name
    before = _command(night, ("upgrade-segment",), name)
    run = next((r for r in night.runs if r.scope == name), None)
    head = Piece(Key(Part.HEAD, Who.SEGMENT), SEGMENT_HEAD)
    if run is None:
        before = (*before, head)
    elif not any(job.in_work for job in jobs) and all(
        night.stage(c.name) in UNBEGUN for segment in segments for c in segment.clusters
    ):
        before = (Piece(head.key, head.printed, night.gone(run.since)),)
    switched = any(
        (mine := night.passes.get(c.name)) is not None and mine.part(Place.SWITCH).begun is not None
        for segment in segments
        for c in segment.clusters
    )
    jobs = sorted(jobs, key=lambda job: not job.in_work)
    return Phase(
        " and ".join(segment.name for segment in segments),
        tuple(jobs),
        before,
        Piece(Key(Part.TAIL, Who.SEGMENT), SEGMENT_TAIL),
        asks_once=night.site.autonomy.first_failover is Autonomy.CONFIRM and not switched,
        taken=taken(night),
    )


MPE_MRA = "MPE and MRA"


def back_phases(night: Night, clusters: Collection[str], *, waits: bool = True) -> list[Phase]:
    """The backout of these clusters from where they stand: MPE and MRA, then the secondary CMP, then the primary.

    ``waits``: as in `backward`.
    """
    site = night.site
    jobs = {
        cluster.name: job
        for cluster in site.clusters
        if cluster.name in clusters
        for job in (backward(night, cluster, waits=waits),)
        if job is not None
    }
    running = any(run.flow == "back-out" for run in night.runs)
    before: tuple[Piece, ...] = () if running else (Piece(Key(Part.HEAD, Who.SEGMENT, True), BACK_HEAD),)
    made = []
    traffic = [jobs[c.name] for c in site.traffic_clusters if c.name in jobs]
    if traffic:
        traffic.sort(key=lambda job: not job.in_work)
        after = Piece(Key(Part.TAIL, Who.SEGMENT, True), BACK_TAIL)
        made.append(Phase(MPE_MRA, tuple(traffic), before, after))
        before = ()
    for cluster in reversed(site.cmp_clusters):
        if cluster.name in jobs:
            job = jobs[cluster.name]
            made.append(Phase(job.who.value, (job,), before, side_by_side=False))
            before = ()
    return made


def finished(night: Night, clusters: Sequence[str]) -> Night:
    """The same night, as if these clusters were wholly upgraded."""
    return Night(
        night.site,
        night.now,
        night.shapes,
        {c.name: Stage.DONE if c.name in clusters else Stage.FRESH for c in night.site.clusters},
    )
