"""9.1.1 step 4 as a goal and an act: every server of the topology accepts the key of the active primary CMP."""

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
    password = here.house.servers.password_of(server)
    transcript = keys.exchange(here.house.servers, server, password)
    if not transcript.strip():
        raise UnreadableReply(server, "the key exchange printed nothing", transcript)
    here.keep("key-exchange.txt", transcript, "transcript")
