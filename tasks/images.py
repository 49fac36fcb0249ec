"""The distribution of images as waves of task runs (4.6.3.1): who gets it from whom follows what really came about."""

from __future__ import annotations

from mopflow.acts import deploy
from mopflow.distribution import Does, Standing, Task, next_wave
from mopflow.house import House
from mopflow.ledger import CheckOutcome
from mopflow.procedures import prep_images
from mopflow.readiness import Check
from tasks.checks import attempt, carry_out_parts, keep, of_each_server, side_by_side
from tasks.fanout import Ending, How, why

ANSWERS = (Does.BRING, Does.CHECK)  # after these a server has exactly its image


def bring_images(house: House, *, again: bool) -> list[Ending]:
    """One ending per server. A server that has its image is looked at only; one that is held serves nobody."""
    standing = Standing(finished=deploy.finished(house))
    there = sorted(standing.finished)
    parts = of_each_server(house, Check.IMAGE, lambda _: [prep_images.bring()], there)
    endings = dict(
        zip(
            there, carry_out_parts(house, parts, at_once=house.site.images.parallel, again=again), strict=True
        )
    )
    while wave := next_wave(house.site, standing):
        came = side_by_side(lambda task: _one(house, task), wave, house.site.images.parallel)
        for task, ending in zip(wave, came, strict=True):
            if task.does in ANSWERS or ending.how is not How.DONE:
                endings |= dict.fromkeys(_servers(task), ending)
        standing = standing.after(wave, [t for t, e in zip(wave, came, strict=True) if e.how is not How.DONE])
    # what several servers wait for together is named once
    return list({id(ending): ending for ending in endings.values()}.values())


def _one(house: House, task: Task) -> Ending:
    scope = prep_images.scope(task)
    ending, _ = attempt(house, str(scope), [(prep_images.row(task), scope)])
    for server in _servers(task):
        if ending.how is not How.DONE:
            keep(house, Check.IMAGE, server, CheckOutcome.FAILED, why(ending))
        elif task.does in ANSWERS:
            keep(house, Check.IMAGE, server, CheckOutcome.OK, ending.text)
    return ending


def _servers(task: Task) -> tuple[str, ...]:
    return (task.server,) if task.server is not None else task.targets
