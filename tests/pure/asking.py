"""Ask the goal of a row as the run loop asks it, and servers that answer as a test wants."""

from __future__ import annotations

from collections.abc import Callable

from small_system import MD5, TARGET, Place, SmallServers

from mopflow.errors import CommandFailed, Unreachable
from mopflow.here import Here, Scope
from mopflow.house import House, Line
from mopflow.media import ImageType
from mopflow.procedures.table import PROCEDURES
from mopflow.procedures.table import step as row_of
from mopflow.run import _Leg
from mopflow.secrets import SecretRef
from mopflow.site import Medium, PmacAccess, Server, Site
from mopflow.ssh import Reply
from mopflow.step import Finding, Question, Step

ON_SERVERS = ("4.6.4", "4.6.5")


def scope_of(step: Step) -> Scope:
    """On what a row stands in the small system."""
    if step.key in ("4.5/4", "4.6.3.1/1") or step.procedure in ON_SERVERS:
        return Scope(server="mpe-1a")
    if step.procedure == "10.1.1" or step.key in ("10.2/11", "10.2/12"):
        return Scope(segment="segment-1")
    if step.procedure in ("4.1", "4.5", "4.6.2", "4.6.3.2", "11"):
        return Scope()
    return Scope(cluster="mpe-1" if step.procedure in ("10.2", "12.3.3") else "cmp-1")


def at(house: House, key: str, leg: str = "", scope: Scope | None = None) -> Here:
    """Where this leg of the row stands, on a new reading. Raises StopIteration for a leg that the row does not have."""
    step = row_of(key)
    where = scope or scope_of(step)
    here = Here(house, step, where, house.eye.soon(), Line(house, step, where))
    here.leg = next(one for one in step.legs if one.name == leg)
    return here


def goal(here: Here) -> Finding:
    """The goal as the run loop asks it: what cannot be read is unknown."""
    return _Leg(here, here.leg, here.line, False)._goal()


def ask(house: House, key: str, leg: str = "", scope: Scope | None = None) -> Finding:
    return goal(at(house, key, leg, scope))


def leg_of(question: Question, *procedures: str) -> tuple[str, str]:
    """Row and leg whose goal is this question. Raises StopIteration when none of these procedures asks it."""
    return next(
        (step.key, leg.name)
        for number in procedures
        for step in PROCEDURES[number].steps
        for leg in step.legs
        if leg.goal is question
    )


def with_pmac(site: Site) -> Site:
    """A PM&C, and a medium of every type for it."""
    secret = SecretRef(env="NOT_USED")
    server = Server(name="pmac-1", address="127.0.9.250")
    pmac = PmacAccess(url="https://127.0.9.250", password=secret, server=server, ssh_password=secret)
    media = tuple(Medium(file=f"{kind}-{TARGET}-x86_64.iso", type=kind, md5=MD5) for kind in ImageType)
    return site.model_copy(update={"pmac": pmac, "media": media})


class Answering(SmallServers):
    """Servers with an answer of the test's own to each command, by a word in it; the first word that fits counts."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.system)
        self.answers: dict[str, Callable[[str], Reply] | Reply] = {}
        self.asked: list[tuple[str, str]] = []

    def login_user(self, server: str) -> str:
        return "admusr"

    def run(self, server: str, command: str, *, timeout: float = 60) -> Reply:
        self.asked.append((server, command))
        if server in self.away:
            raise Unreachable(server, "no route to host")
        for word, answer in self.answers.items():
            if word in command:
                return answer if isinstance(answer, Reply) else answer(server)
        return super().run(server, command, timeout=timeout)

    def check(self, server: str, command: str, *, timeout: float = 60) -> str:
        for word in self.answers:
            if word in command:
                reply = self.run(server, command)
                if reply.status:
                    raise CommandFailed(server, command, reply.status, reply.stderr)
                return reply.stdout
        return super().check(server, command, timeout=timeout)


def ok(text: str) -> Reply:
    return Reply(0, text, "")
