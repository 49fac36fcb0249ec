"""What can be made to go wrong: `NAME@WHERE[:N]`, at the N-th occurrence (1 when it is not said).

Each fault writes one event `fault` {name, where} when it bites. Where it bites is asked for by the code that it
disturbs, so that nothing happens behind the world's back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lab import standing
from lab.config import ConfigError
from lab.errors import Refused
from lab.files import UPGRADE_DIR, File
from lab.state import Act, Announced, Fate, Kind, Server

if TYPE_CHECKING:
    from lab.world import World


class Name(StrEnum):
    UPGRADE_FAILS = "upgrade_fails"  # at 60 % of an initiate_upgrade; the old release comes back
    BACKOUT_FAILS = "backout_fails"  # half way through an initiate_backout; the server stays on its release
    OTHER_STATUS = "other_status"  # what 10.5 and 11.5 say at the end is not `upgrade was completed`
    SWITCH_SLOW = "switch_slow"  # the N-th change of the active server of a CMP cluster takes 5 times as long
    GUI_AWAY = "gui_away"  # after the first such change the GUI stays away N minutes more
    CMP_FAILS_OVER = (
        "cmp_fails_over"  # its active server dies in the N-th minute of an initiate in any cluster
    )
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
    RCS_FAILS = "rcs_fails"  # the N-th `rcstool ci` on the server fails; the file stays checked out
    PASSWD_REFUSES = "passwd_refuses"  # the N-th passwd on the server takes no password
    LOGIN_FAILS_AFTER = (
        "login_fails_after"  # what the N-th passwd on the server has set lets nobody in, until it is set anew
    )
    BACKUP_MISSING = "backup_missing"  # platcfg says that the backup is made, and there is no file
    BACKUP_EMPTY = "backup_empty"  # its file has no bytes
    BACKUP_CUT = "backup_cut"  # its file ends early
    PLATCFG_OTHER_MENU = "platcfg_other_menu"  # another menu in place of Policy Configuration
    OTHER_CLICK = "other_click"  # jdoe does the act of our dialog as soon as it opens
    # these stand from the start, for N minutes of the twin, or to its end when no N is given (* always)
    SERVER_DOWN = "server_down"  # the server cannot be reached, and the console shows it Offline
    STANDING_ALARM = "standing_alarm"  # an alarm on the server that no step lists
    WRONG_PASSWORD = "wrong_password"  # its sshd refuses the right password of admusr (10.5: root)
    HOST_KEY_CHANGED = "host_key_changed"  # known_hosts has another key of the server *
    NTP_UNREACHABLE = "ntp_unreachable"  # no NTP server answers it, none is selected
    NTP_OFFSET = "ntp_offset"  # its selected time server is 412 ms off
    CLOCK_OFF = "clock_off"  # its clock is 5 minutes ahead
    HWCLOCK_OFF = "hwclock_off"  # its BIOS clock is an hour ahead (until hwclock --systohc)
    PASSWORD_EXPIRES = "password_expires"  # the password of admusr (10.5: root) expires in three days *
    NETBACKUP = "netbackup"  # Veritas NetBackup is installed *
    DISK_FULL = "disk_full"  # at 99 % of an image's transfer, until what arrived of it is removed
    CONNECTION_CUT = (
        "connection_cut"  # at 50 % of an image's transfer all SSH connections of the server break off
    )
    CORRUPT_TRANSFER = "corrupt_transfer"  # a byte of an image changes on the way
    STRAY_FILE = "stray_file"  # from the start a file that is no image lies in /var/TKLC/upgrade
    PMAC_ADD_FAILS = "pmac_add_fails"  # the task of Add Image ends in failure at 60 %
    PMAC_LOGIN_REFUSED = "pmac_login_refused"  # the PM&C GUI refuses the right password
    PMAC_FULL = "pmac_full"  # from the start less than 3 GB are free in PM&C's upload directory
    PMAC_NO_ROOM = "pmac_no_room"  # ... nor in its other directory
    PMAC_OLD_FILES = "pmac_old_files"  # ... because images of the source release lie there
    PMAC_WRONG_IMAGE = "pmac_wrong_image"  # from the start the target's CMP image is registered, damaged


_AT_SERVER = {
    Name.UPGRADE_FAILS, Name.ZOMBIE, Name.REPLICATION_BROKEN, Name.CRITICAL_ALARM, Name.SSH_UNREACHABLE,
    Name.WRONG_IMAGE, Name.TWO_IMAGES, Name.SERVER_DOWN, Name.STANDING_ALARM, Name.WRONG_PASSWORD,
    Name.HOST_KEY_CHANGED, Name.NTP_UNREACHABLE, Name.NTP_OFFSET, Name.CLOCK_OFF, Name.HWCLOCK_OFF,
    Name.PASSWORD_EXPIRES, Name.NETBACKUP, Name.RCS_FAILS, Name.PASSWD_REFUSES, Name.LOGIN_FAILS_AFTER,
    Name.DISK_FULL, Name.CONNECTION_CUT, Name.CORRUPT_TRANSFER, Name.STRAY_FILE, Name.BACKUP_MISSING,
    Name.BACKUP_EMPTY, Name.BACKUP_CUT, Name.PLATCFG_OTHER_MENU, Name.BACKOUT_FAILS, Name.OTHER_STATUS,
}  # fmt: skip
_AT_CMP = {Name.SWITCH_SLOW, Name.GUI_AWAY, Name.CMP_FAILS_OVER}
_AT_GUI = {Name.LOGIN_REFUSED}
_AT_PMAC = {
    Name.PMAC_ADD_FAILS, Name.PMAC_LOGIN_REFUSED, Name.PMAC_FULL, Name.PMAC_NO_ROOM, Name.PMAC_OLD_FILES,
    Name.PMAC_WRONG_IMAGE,
}  # fmt: skip
_FORM = re.compile(r"(?P<name>[a-z_]+)@(?P<where>.+?)(:(?P<n>[1-9]\d*))?")
OTHER_USER = "jdoe"
STRAY = "README.first"


@dataclass(slots=True)
class _Fault:
    name: Name
    where: str
    n: int  # 1 when it is not given
    given: bool = False
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
        places = self._places(name)
        if match["where"] not in places:
            mistakes.append(f"faults: {text!r}: unknown place; {name} knows: {', '.join(places)}")
            return None
        return _Fault(name, match["where"], int(match["n"] or 1), given=match["n"] is not None)

    def _places(self, name: Name) -> list[str]:
        if name in _AT_PMAC:
            return ["pmac"] if self._world.pmac is not None else []
        if name in _AT_GUI:
            return ["gui"]
        if name in _AT_CMP:
            return [c.name for c in self._world.clusters.values() if c.kind is Kind.CMP]
        return list(self._world.servers if name in _AT_SERVER else self._world.clusters)

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

    def minutes(self, name: Name, where: str) -> int | None:
        """The N of a fault that counts minutes and has not bitten yet; `bites_now` says that it does."""
        waiting = [f for f in self._all if f.name is name and f.where == where and not f.bitten]
        return waiting[0].n if waiting else None

    def bites_now(self, name: Name, where: str) -> None:
        """The first of these that has not bitten yet."""
        for fault in self._all:
            if fault.name is name and fault.where == where and not fault.bitten:
                self._bite(fault)
                return

    def stands(self, name: Name, where: str) -> bool:
        """Is it so now? From the start for N minutes of the twin, or to the end when no N is given."""
        for fault in self._all:
            if fault.name is name and fault.where == where:
                if fault.given and self._world.now() >= fault.n * 60.0:
                    continue
                self._bite(fault)
                return True
        return False

    # --- hooks
    def prepare(self) -> None:
        """What is wrong from the start."""
        for fault in self._all:
            if fault.name in _AT_PMAC:
                self._prepare_pmac(fault)
                continue
            until = fault.n * 60.0 if fault.given else None
            if standing.prepare(self._world, fault.name.value, fault.where, until):
                self._bite(fault)
                continue
            server = self._world.servers.get(fault.where)
            if server is not None and fault.name is Name.WRONG_IMAGE:
                self._wrong_image(server)
                self._bite(fault)
            elif server is not None and fault.name is Name.TWO_IMAGES:
                self._two_images(server)
                self._bite(fault)
            elif server is not None and fault.name is Name.STRAY_FILE:
                text = b"Images of the last upgrade were moved to the archive.\n"
                self._world.files[server.name].write(f"{UPGRADE_DIR}/{STRAY}", text, quiet=True)
                self._bite(fault)

    def _prepare_pmac(self, fault: _Fault) -> None:
        host = self._world.pmac
        if host is None:
            return
        match fault.name:
            case Name.PMAC_FULL | Name.PMAC_NO_ROOM:
                host.begin_full(everywhere=fault.name is Name.PMAC_NO_ROOM)
            case Name.PMAC_OLD_FILES:
                host.begin_with_old_files()
            case Name.PMAC_WRONG_IMAGE:
                host.begin_with_wrong_image()
            case _:
                return  # it bites later
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
