"""What can be made to go wrong: `NAME@WHERE[:N]`, at the N-th occurrence (1 when it is not said).

Each fault writes one event `fault` {name, where} when it bites. Where it bites is asked for by the code that it
disturbs, so that nothing happens behind the world's back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.config import ConfigError
from lab.errors import Refused
from lab.files import UPGRADE_DIR, File
from lab.state import Act, Announced, Fate, Server

if TYPE_CHECKING:
    from lab.world import World


class Name(StrEnum):
    UPGRADE_FAILS = "upgrade_fails"  # at 60 % of an initiate_upgrade; the old release comes back
    ZOMBIE = "zombie"  # an initiate_upgrade ends with the server as Zombie
    NO_TRAFFIC = "no_traffic"  # after a failover to the target, until failed back and re-applied
    REPLICATION_BROKEN = "replication_broken"  # after an initiate_upgrade: Sync Broken, the wait fails
    CRITICAL_ALARM = "critical_alarm"  # one that no step lists, 5 minutes into an initiate_upgrade; it stays
    WRONG_ACTION = "wrong_action"  # instead of the failover: Initiate upgrade of the active server
    SESSION_LOST = "session_lost"  # the GUI session dies after an accepted act in the cluster
    ANSWER_LOST = "answer_lost"  # the HTTP answer to an accepted act never comes
    LOGIN_REFUSED = "login_refused"  # the GUI refuses the right password after N good logins
    SSH_UNREACHABLE = "ssh_unreachable"  # the server is away during its whole initiate_upgrade
    WRONG_IMAGE = "wrong_image"  # from the start an image of another type lies in place of the server's own
    TWO_IMAGES = "two_images"  # from the start a second image lies beside the right one
    OTHER_CLICK = "other_click"  # jdoe does the act of our dialog as soon as it opens


_AT_SERVER = {
    Name.UPGRADE_FAILS, Name.ZOMBIE, Name.REPLICATION_BROKEN, Name.CRITICAL_ALARM, Name.SSH_UNREACHABLE,
    Name.WRONG_IMAGE, Name.TWO_IMAGES,
}  # fmt: skip
_AT_GUI = {Name.LOGIN_REFUSED}
_FORM = re.compile(r"(?P<name>[a-z_]+)@(?P<where>.+?)(:(?P<n>[1-9]\d*))?")
OTHER_USER = "jdoe"


@dataclass(slots=True)
class _Fault:
    name: Name
    where: str
    n: int
    seen: int = 0
    bitten: bool = False


class Faults:
    def __init__(self, world: World, texts: tuple[str, ...]) -> None:
        """Raises ConfigError that lists every unknown name or place together with the known ones."""
        self._world = world
        self._episode: set[str] = set()  # clusters in which the failover is what is announced
        self._wrong: set[str] = set()  # ... and the announcement is wrong this time
        self._all: list[_Fault] = []
        mistakes: list[str] = []
        for text in texts:
            fault = self._parse(text, mistakes)
            if fault is not None:
                self._all.append(fault)
        if mistakes:
            raise ConfigError("\n".join(mistakes))

    def _parse(self, text: str, mistakes: list[str]) -> _Fault | None:
        match = _FORM.fullmatch(text)
        if match is None:
            mistakes.append(f"faults: {text!r} is not of the form NAME@WHERE[:N]")
            return None
        if match["name"] not in list(Name):
            mistakes.append(f"faults: {text!r}: unknown name; known: {', '.join(Name)}")
            return None
        name = Name(match["name"])
        places = ["gui"] if name in _AT_GUI else list(
            self._world.servers if name in _AT_SERVER else self._world.clusters
        )  # fmt: skip
        if match["where"] not in places:
            mistakes.append(f"faults: {text!r}: unknown place; {name} knows: {', '.join(places)}")
            return None
        return _Fault(name, match["where"], int(match["n"] or 1))

    def _bite(self, fault: _Fault) -> None:
        if not fault.bitten:
            fault.bitten = True
            self._world.flight.write("fault", name=fault.name.value, where=fault.where)

    def bites(self, name: Name, where: str) -> bool:
        """Counts one occurrence; True at the N-th."""
        hit = False
        for fault in self._all:
            if fault.name is name and fault.where == where:
                fault.seen += 1
                if fault.seen == fault.n:
                    self._bite(fault)
                    hit = True
        return hit

    # --- hooks
    def prepare(self) -> None:
        """What is wrong from the start."""
        for fault in self._all:
            server = self._world.servers.get(fault.where)
            if server is not None and fault.name is Name.WRONG_IMAGE:
                self._wrong_image(server)
                self._bite(fault)
            elif server is not None and fault.name is Name.TWO_IMAGES:
                self._two_images(server)
                self._bite(fault)

    def _wrong_image(self, server: Server) -> None:
        tree = self._world.files[server.name]
        for image in list(server.isos):
            tree.delete(f"{UPGRADE_DIR}/{image}", quiet=True)
        own, target = server.kind.value.lower(), self._world.config.target
        other = next(
            (m for m in self._world.media.values() if m.type != own and f"-{target}-" in m.file), None
        )
        if other is not None:
            self._world.place_image(server.name, other.file)
            return
        name = f"{'mra' if own != 'mra' else 'mpe'}-{target}-x86_64.iso"
        tree.put(f"{UPGRADE_DIR}/{name}", File(1 << 30, "0" * 32, None, 0.0), quiet=True)

    def _two_images(self, server: Server) -> None:
        config, tree = self._world.config, self._world.files[server.name]
        for release in (config.target, config.source):
            media = config.image_of(server.kind, release)
            if media is not None:
                self._world.place_image(server.name, media.file)
            else:
                name = f"{server.kind.value.lower()}-{release}-x86_64.iso"
                tree.put(f"{UPGRADE_DIR}/{name}", File(1 << 30, "0" * 32, None, 0.0), quiet=True)

    def announced(self, cluster: str, right: Announced | None) -> Announced | None:
        """wrong_action: as long as this failover is what is next, the button announces something else."""
        if right is None or right.act is not Act.FAILOVER:
            self._episode.discard(cluster)
            self._wrong.discard(cluster)
            return right
        if cluster not in self._episode:
            self._episode.add(cluster)
            if self.bites(Name.WRONG_ACTION, cluster):
                self._wrong.add(cluster)
        active = self._world.active(cluster)
        if cluster not in self._wrong or active is None:
            return right
        server = active.name
        return Announced(
            Act.INITIATE_UPGRADE, cluster, server, f"Initiate upgrade {server} (next)",
            f"Initiate upgrade of server {server} in cluster {cluster}. Continue?",
        )  # fmt: skip

    def dialog_opens(self, announced: Announced, by: str) -> None:
        if by != OTHER_USER and self.bites(Name.OTHER_CLICK, announced.cluster):
            try:
                self._world.perform(announced, OTHER_USER)
            except Refused:
                return  # the other user is refused as we would be; the record says so

    def answer(self, cluster: str | None, token: str | None) -> Fate:
        if cluster is None:
            return Fate.DELIVER
        lost_session = self.bites(Name.SESSION_LOST, cluster)
        lost_answer = self.bites(Name.ANSWER_LOST, cluster)
        if lost_session:
            self._world.accounts.end(lambda session: session.token == token)
        if lost_answer:
            return Fate.ANSWER_LOST
        return Fate.SESSION_LOST if lost_session else Fate.DELIVER

    def refuses_login(self) -> bool:
        """Asked once for every login with the right password."""
        refused = False
        for fault in self._all:
            if fault.name is Name.LOGIN_REFUSED:
                fault.seen += 1
                if fault.seen > fault.n:
                    self._bite(fault)
                    refused = True
        return refused
