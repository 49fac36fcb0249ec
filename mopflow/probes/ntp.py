"""Is the time of this server synchronized? (4.5 step 4: `ntpq -np`)"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mopflow.errors import UnreadableReply
from mopflow.probes import named
from mopflow.ssh import Reply, Servers

COMMAND = "LC_ALL=C ntpq -np"

SELECTED = ("*", "o")  # system peer; o: the same, with pulses per second

_HEADING = re.compile(
    r"^\s*remote\s+refid\s+st\s+t\s+when\s+poll\s+reach\s+delay\s+offset\s+(?:jitter|disp)\s*$"
)
_LINE = re.compile(
    r"^(?P<tally>[ x.\-+#*o])(?P<remote>\S+)\s+(?P<refid>\S+)\s+(?P<stratum>\d{1,2})\s+(?P<type>[A-Za-z-])\s+"
    r"(?:-|\d+[mhdsy]?)\s+\d+[mhd]?\s+(?P<reach>[0-7]{1,3})\s+-?\d+(?:\.\d+)?\s+(?P<offset>-?\d+(?:\.\d+)?)\s+"
    r"\d+(?:\.\d+)?$"
)
_NO_PEERS = re.compile(r"No association ID'?s returned", re.IGNORECASE)
_NO_DAEMON = re.compile(
    r"Connection refused|Socket error; probably ntpd is not running|timed out, nothing received|Request timed out"
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A time server as ntpd sees it. `tally` "*": this one sets the clock."""

    remote: str
    tally: str
    stratum: int
    reach: int  # the last eight polls, newest in bit 0; 0: none was answered
    offset: float  # milliseconds, its clock minus ours

    @property
    def selected(self) -> bool:
        return self.tally in SELECTED


@dataclass(frozen=True, slots=True)
class Peers:
    """What `ntpq -np` printed. `why`: ntpd does not run or has no peers."""

    peers: tuple[Peer, ...]
    why: str = ""

    @property
    def selected(self) -> Peer | None:
        return next((peer for peer in self.peers if peer.selected), None)


def parse(reply: Reply) -> Peers:
    """All peers. Raises UnreadableReply for a line that is not one of ntpq's, and for two selected peers.

    A daemon that does not run is an answer: ntpq says so, with whatever exit status.
    """
    said = f"{reply.stdout}\n{reply.stderr}"
    lines = [line.rstrip() for line in reply.stdout.splitlines() if line.strip()]
    if not lines or _HEADING.match(lines[0]) is None:
        for line in said.splitlines():
            if _NO_DAEMON.search(line):
                return Peers((), "ntpd does not answer: " + line.strip().strip("*"))
            if _NO_PEERS.search(line):
                return Peers((), "ntpd has no time servers")
        raise UnreadableReply("ntpq", f"no heading, exit status {reply.status}", said.strip())
    if reply.status != 0:
        raise UnreadableReply("ntpq", f"exit status {reply.status}", said.strip())
    if len(lines) < 3 or set(lines[1]) != {"="}:
        raise UnreadableReply("ntpq", "no peers under the heading", reply.stdout)
    peers = []
    for line in lines[2:]:
        match = _LINE.match(line)
        if match is None:
            raise UnreadableReply("ntpq", "not a line of ntpq -np", line)
        peers.append(
            Peer(
                match["remote"],
                match["tally"],
                int(match["stratum"]),
                int(match["reach"], 8),
                float(match["offset"]),
            )
        )
    if sum(peer.selected for peer in peers) > 1:
        raise UnreadableReply("ntpq", "more than one selected peer", reply.stdout)
    return Peers(tuple(peers))


def ask(servers: Servers, server: str) -> Peers:
    """The time servers of this server; changes nothing."""
    return named(server, lambda: parse(servers.run(server, COMMAND)))
