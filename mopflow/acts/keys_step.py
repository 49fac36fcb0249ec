"""The exchange of keys as a goal and an act (6.1.1/7, 7.1.1/6, 8.1.1/7, 9.1.1/4): every server of the topology accepts the key of the active primary CMP."""

from __future__ import annotations

from mopflow.acts import keys
from mopflow.acts.images import active_cmp
from mopflow.errors import UnreadableReply
from mopflow.goals import begun, past
from mopflow.here import Here
from mopflow.probes import keys as probe
from mopflow.step import Finding


def exchanged(here: Here) -> Finding:
    if begun(here.state):
        return past(here.state)
    server = active_cmp(here)
    if "keys" not in here.memo:
        answer = probe.ask(here.house.servers, server)
        if not answer.ok:
            return Finding.no(f"{server}: " + ("; ".join(answer.trouble) or "the SSH keys are not exchanged"))
        here.memo["keys"] = f"{server}: SSH keys are OK ({len(answer.servers)} servers named)"
    return Finding.yes(str(here.memo["keys"]))


def exchange(here: Here) -> None:
    server = active_cmp(here)
    servers = here.house.servers
    transcript = keys.exchange(servers, server, servers.password_of(server), user=servers.login_user(server))
    if not transcript.strip():
        raise UnreadableReply(server, "the key exchange printed nothing", transcript)
    here.keep("key-exchange.txt", transcript, "transcript")
