"""Who gets its image from whom, and what may be done at the same time (4.6.1, 4.6.3.1). Pure.

    standing = Standing(finished=servers that have exactly their image)
    while wave := next_wave(site, standing):
        held = carry out all tasks of the wave, at most site.images.parallel at a time; those that did not end well
        standing = standing.after(wave, held)

Every wave is made from what really came of the one before: a server that is held is neither a target nor a source.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from mopflow.media import ImageType
from mopflow.site import Site, Way


class Does(StrEnum):
    BRING = "bring"  # old images away, the image from here or from another server; scope: a server
    CLEAR = "clear"  # old images away, for the console brings the new one; scope: a server
    UPLOAD = "upload"  # the console's Upload ISO to all targets of one type; scope: the whole system
    CHECK = "check"  # what the console brought is exactly the right image; scope: a server


@dataclass(frozen=True, slots=True)
class Task:
    """One call of carry_out. `source`: the server that hands on, None: this machine."""

    does: Does
    image_type: ImageType
    server: str | None = None
    source: str | None = None
    targets: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.does:
            case Does.UPLOAD:
                return f"ISO Maintenance uploads the {self.image_type} image to {', '.join(self.targets)}"
            case Does.BRING:
                return f"{self.server} gets the {self.image_type} image from {self.source or 'here'}"
            case Does.CLEAR:
                return f"{self.server}: old images removed"
            case Does.CHECK:
                return f"{self.server}: the {self.image_type} image is checked"


Wave = tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the distribution is. `out`: servers that wait for a person."""

    finished: frozenset[str] = frozenset()
    out: frozenset[str] = frozenset()
    cleared: frozenset[str] = frozenset()
    uploaded: frozenset[str] = frozenset()  # by the console, not yet checked

    def after(self, wave: Wave, held: Collection[Task] = ()) -> Standing:
        """What is so when the wave has ended; `held`: its tasks that did not end well."""
        now = self
        for task in wave:
            names = frozenset((task.server,) if task.server is not None else task.targets)
            if task in held:
                now = replace(now, out=now.out | names)
            elif task.does in (Does.BRING, Does.CHECK):
                now = replace(now, finished=now.finished | names)
            elif task.does is Does.CLEAR:
                now = replace(now, cleared=now.cleared | names)
            else:
                now = replace(now, uploaded=now.uploaded | names)
        return now


def next_wave(site: Site, standing: Standing) -> Wave:
    """What can be done now, all at once; nothing when all servers are finished or out."""
    match site.images.way:
        case Way.DIRECT:
            return tuple(_bring(site, name, None) for name in _open(site, standing))
        case Way.RELAY:
            return _relay(site, standing)
        case Way.ISO_MAINTENANCE:
            return _by_console(site, standing)


def waves(site: Site, standing: Standing | None = None) -> tuple[Wave, ...]:
    """The whole plan, if nothing goes wrong."""
    now, found = standing or Standing(), []
    while wave := next_wave(site, now):
        found.append(wave)
        now = now.after(wave)
    return tuple(found)


def _type_of(site: Site, server: str) -> ImageType:
    return next(c.image_type for c in site.clusters if server in c.server_names)


def _open(site: Site, standing: Standing, image_type: ImageType | None = None) -> list[str]:
    """Servers that still need their image, in the order of the site file."""
    done = standing.finished | standing.out
    return [
        name
        for cluster in site.clusters
        if image_type is None or cluster.image_type is image_type
        for name in cluster.server_names
        if name not in done
    ]


def _holders(site: Site, standing: Standing, image_type: ImageType) -> list[str]:
    return [
        name
        for cluster in site.clusters
        if cluster.image_type is image_type
        for name in cluster.server_names
        if name in standing.finished and name not in standing.out
    ]


def _bring(site: Site, server: str, source: str | None) -> Task:
    return Task(Does.BRING, _type_of(site, server), server, source)


def _relay(site: Site, standing: Standing) -> Wave:
    """Every server that has the image hands it on to one other; the first of each type gets it from here.

    The type that has most servers left comes first, for it takes most rounds.
    """
    chains: list[list[Task]] = []
    for image_type in ImageType:
        lacking = _open(site, standing, image_type)
        sources: list[str | None] = [*_holders(site, standing, image_type)] or [None]
        chains.append([_bring(site, t, s) for t, s in zip(lacking, sources, strict=False)])
    left = {t: len(_open(site, standing, t)) for t in ImageType}
    found: list[Task] = []
    while len(found) < site.images.parallel and any(chains):
        chain = max((c for c in chains if c), key=lambda c: left[c[0].image_type])
        task = chain.pop(0)
        left[task.image_type] -= 1
        found.append(task)
    return tuple(found)


def _by_console(site: Site, standing: Standing) -> Wave:
    """4.6.3.1: to ONE server of each type; when the rest is cleared, the console brings it there; then it is checked."""
    begin: list[Task] = []
    for image_type in ImageType:
        lacking = _open(site, standing, image_type)
        has_holder = bool(_holders(site, standing, image_type))
        for place, name in enumerate(lacking):
            if place == 0 and not has_holder:
                begin.append(_bring(site, name, None))
            elif name not in standing.cleared:
                begin.append(Task(Does.CLEAR, image_type, name))
    if begin:
        return tuple(begin)
    checks = [
        Task(Does.CHECK, _type_of(site, name), name)
        for name in _open(site, standing)
        if name in standing.uploaded
    ]
    if checks:
        return tuple(checks)
    for image_type in ImageType:  # the console does one thing after the other (9.1.1 step 6)
        targets = tuple(_open(site, standing, image_type))
        if targets:
            return (Task(Does.UPLOAD, image_type, targets=targets),)
    return ()
