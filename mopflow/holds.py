"""Holds: places where work waits for a person. A hold is a row of the ledger and never expires into anything."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from mopflow import answers, questions, released, stops, support_pack
from mopflow.contact import place_of
from mopflow.errors import Held, MopflowError
from mopflow.ledger import Event, Hold, HoldKind
from mopflow.messages import Kind
from mopflow.rules import FOLLOWS, TROUBLE, Trouble, troubles
from mopflow.step import Refusal
from mopflow.system import Stage

if TYPE_CHECKING:
    from mopflow.eye import Reading
    from mopflow.here import Here
    from mopflow.house import House

_log = logging.getLogger(__name__)

# a failover whose end is open lets no other one begin (R4)
IN_THE_FAILOVER = frozenset({("10.2", 5), ("10.2", 7), ("10.2", 8), ("12.3.3", 4)})
STOPPING = frozenset({"R8", "R11"})  # no new start and no failover anywhere until a person has answered

REMEDIES = {
    "R1": "finish the clusters that come first, then start this command again.",
    "R4": "see why the mate is not ready; when it is, start this command again.",
    "R8": "do not touch the cluster further; contact Oracle Support and report a partially upgraded cluster "
    "(12.3.2). When it is repaired, start this command again: it looks at the live system anew. Where Oracle lets it go "
    "on as it is, forward or back, say so: mopflow release-hold SITE CLUSTER --by NAME --reason TEXT.",
    FOLLOWS: "answer the hold that stopped the work first, then start this command again.",
    "R9": "data replication of this cluster is not in sync: do not continue on it; contact Oracle Support.",
    "R10": "put exactly one image of the right type with the right checksum on each server that is named, "
    "then start this command again.",
    "R11": "the cluster runs the old release again. Decide whether to complete its backout (Continue Rollback in the "
    "Upgrade Manager) or to wait for Oracle; nothing else is started before.",
    "R7": "wait until what runs in the cluster has ended, then start this command again: it goes on from there.",
    "traffic": "the cluster runs the old release and its configuration is applied: find out why it carries no traffic; "
    "when it does, start this command again.",
    "R12": "run the preparation for what is missing (mopflow readiness SITE says what comes next), or override single "
    "items with name and reason (mopflow override), then start this command again.",
    "R13": "bring what is named to one side of Table 1 first: the CMP clusters come before MPE and MRA, and go back "
    "after them; then start this command again.",
    "R15": "find out what the alarm means; clear its cause, or enter it under accepted_alarms in the site file with "
    "name and reason, then start this command again.",
    "R16": "see who chose another upgrade procedure, and why, before anything else is done.",
    "R17": "make the site file and the console agree, then start this command again.",
    "reach": "bring the server back, or correct its address in the site file, then start this command again.",
    "stray": "see what it is and move it away from the upgrade folder (more than the one image makes the upgrade "
    "fail), then start this command again.",
    "mixed": "images are touched only while every cluster runs the old release and nothing runs on it: finish or back "
    "out what was begun, then start this command again.",
    "transfer": "find out why the file does not arrive (the network, the server's disk, another person's transfer), "
    "then start this command again: it goes on where it was.",
    "source": "mend the server that was to hand the image on, or choose another way in images.way, then start this "
    "command again.",
    "platcfg": "log in to the server, open the menu with `sudo su - platcfg`, and see what it shows there; close every "
    "menu that is open, then start this command again.",
    "backup": "see on the server why there is no whole backup (room, messages of platcfg); then start this command "
    "again: it takes a new one.",
    "repository": "make room at the backup repository, or make it reachable and writable, then start this command "
    "again. The backups stay on the servers until they are safe.",
    "pmac_busy": "see in Task Monitoring of PM&C what runs there; when it has ended, start this command again.",
    "pmac_room": "make room on PM&C (the files that lie there are named; only old Policy images are removed by us), "
    "then start this command again.",
    "pmac_source": "put the images of the site file and their md5sum.out into the folder media_dir, then start this "
    "command again.",
    "pmac_checksum": "find out which is wrong: md5sum.out, the site file or the image; get the right one from Oracle, "
    "then start this command again.",
    "pmac_missing": "bring the image to PM&C (4.6.2), then start this command again.",
    "pmac_task": "see in Task Monitoring of PM&C why the image was not added; when the cause is mended, start this "
    "command again: it adds the image anew.",
    "pmac_media": "take the medium out, or unmount it, then start this command again.",
    "login": "set the right password where the site file names it, then start this command again. The refused one "
    "was not tried a second time.",
    "rcs": "see who works on this file and what rcstool says of it (rcstool co, ci, unco by hand on the server); when it is "
    "checked in and has the form that 4.6.5 shows, start this command again.",
    "passwords": "see the reason on the server (/var/log/secure); name passwords that its rules accept under ssh and "
    "passwords in the site file, then start this command again. Nobody is locked out.",
    "rehash-order": "let the servers that come first be done (standby CMPs, active CMPs, standby MPEs and MRAs), or "
    "repair what keeps them from it, then start this command again.",
    "lock-out": "log in to this server on its console (iLO) NOW and set the passwords of root and admusr there; what was "
    "kept before the change lies in /root/.mopflow-rehash. Then start this command again.",
    "identity": "find out why the identity changed; only then renew the known host key or the CA file.",
    "unreachable": "bring the servers that are named back, or open the way to their SSH port, then start this command "
    "again.",
    "media": "bring the images of the Upgrade Kit with their md5sum.out into media_dir and correct the MD5 in the site "
    "file where that is wrong, then start this command again.",
    "confirm": "see that it is so, type the command with your name, then start this command again.",
    questions.APPROVE: "see that the system is as you want it, then answer. Where no run waits for the answer, start this "
    "command again after it.",
    stops.STOP: "start this command again: it goes on where it was.",
    questions.WINDOW: "start it in the next window (mopflow forecast SITE says what comes when). A person may let it begin "
    "all the same, with name and reason: mopflow confirm SITE window:CLUSTER --by NAME --text REASON.",
    "console": "see that the site file names the VIP of the right system, then start this command again.",
    "kpis": "find out why the cluster carries no traffic; when it does, or its page says why not, start this command "
    "again.",
    "kpi fall": "compare the pictures of the KPI Dashboard before and after (4.5/3, 11/3). Where the hour of the day "
    "explains the fall, say so with the command that is named; else find its cause. Then start this command again.",
    "not upgraded": "bring the clusters that are named to the target release first (mopflow upgrade-cmp, mopflow "
    "upgrade-segment), or back them out; then start this command again.",
    "trending": "see in Trending Reports why the clusters that are named report nothing, then start this command again.",
    "ntp reachable": "mend the way from this server to its NTP servers, or correct ntp in the site file, then start this "
    "command again.",
    "ntp": "mend the NTP configuration of this server and wait until ntpq -np shows a selected server (*), then start "
    "this command again (4.5 step 4, note).",
    "clock": "set the clock of this server (4.5 step 4: fix it first), then start this command again.",
    "hwclock": "set the BIOS clock from the system clock (sudo hwclock --systohc), then start this command again.",
    "syscheck": "mend what syscheck names on this server, or contact Oracle Support, then start this command again.",
    "accounts": "change the password that expires on this server, name the new one to this command, then start it again.",
    "disk": "make room on this server (old images, kits and backups), then start this command again.",
}


def remedy_for(rule: str) -> str:
    return REMEDIES.get(
        rule, "look at the cluster in the Upgrade Manager; when it is clear, start this command again."
    )


def hold(here: Here, refusal: Refusal, seen: str = "") -> NoReturn:
    """Write the hold, tell people, and stop this cluster. Raises Held."""
    house = here.house
    remedy = remedy_for(refusal.rule)
    reason = house.vault.strike(refusal.reason)
    question = questions.of(here, refusal)
    row = house.ledger.open_hold(
        site=house.site.name,
        campaign=house.campaign,
        cluster=here.scope.key,
        procedure=here.step.procedure,
        step=here.step.number,
        rule=refusal.rule,
        reason=reason,
        remedy=remedy,
        seen={"evidence": house.vault.strike(seen), released.TROUBLES: _trouble_seen(here, refusal.rule)},
        kind=question.kind,
        choices=question.choices,
        typed=question.typed,
        asked=question.asked,
    )
    path = shlex.quote(str(house.site_path))
    if question.kind is HoldKind.QUESTION:
        remedy = f"{remedy} Type: {answers.command(row, path)}"
        house.ledger.instruct(row.id, remedy)
    here.record(Event.HELD, str(refusal) if refusal.rule else refusal.reason, data={"hold": row.id})
    house.finish_shots(here)
    if place_of(refusal.rule, here.step.procedure, here.step.number) is not None:
        remedy = f"{remedy} {_support_pack(here, row)}"
    waits = house.asker is not None and question.kind is HoldKind.TROUBLE and row.rule != FOLLOWS
    house.notices.tell(
        Kind.QUESTION if question.kind is HoldKind.QUESTION else Kind.HOLD,
        f"{here.scope} at {here.step.key}",
        f"{here.step.key} {here.step.title}, {here.scope}: {reason} [hold {row.id}]",
        f"{remedy}\nThe run waits for the answer: {answers.command(row, path)}" if waits else remedy,
        holds=[row.id],
    )
    raise Held(row.id, f"{here.step.key} {here.scope}", reason, remedy)


def _trouble_seen(here: Here, rule: str) -> list[dict[str, Any]]:
    """Exactly what stops this cluster (R8), for a person who releases it later."""
    state = here.reading.states.get(here.scope.cluster or "")
    if state is None:
        return []
    found = list(troubles(state, here.reading.alarms_on(state.name)))
    missed = here.memo.get(TROUBLE)  # what a goal missed: it stands in no list of what may not be there
    if rule == "R8" and isinstance(missed, Trouble):
        found.append(missed)
    return released.as_seen(found)


def _support_pack(here: Here, row: Hold) -> str:
    """Make the pack for Oracle and say where it lies. The hold stands whatever comes of this."""
    try:
        path = support_pack.for_hold(here, row)
        said = f"Support pack for Oracle: {path}"
        here.record(Event.NOTE, said, data={"hold": row.id, "support_pack": str(path)})
        here.house.ledger.instruct(row.id, f"{remedy_for(row.rule)} {said}")
    except Exception as error:  # noqa: BLE001  a hold is never lost over its paper
        said = here.house.vault.strike(
            f"A support pack could not be made ({type(error).__name__}: {error}); try mopflow support-pack."
        )
        _log.warning("%s", said)
        with suppress(MopflowError):  # the hold itself is written already
            here.record(Event.NOTE, said, data={"hold": row.id})
            here.house.ledger.instruct(row.id, f"{remedy_for(row.rule)} {said}")
    return said


def stopping(house: House, *, back: bool = False) -> list[Hold]:
    """Open holds that forbid every new start and failover on this site (R8), or leave a failover open (R4).

    ``back``: those that forbid them in a backout. It is what a person decides on after a rollback (R11), and a failover
    that stands open is mended by it; `failovers.unproven` keeps the other clusters back meanwhile.
    """
    found = house.ledger.holds(house.site.name, open_only=True)
    if back:
        return [row for row in found if row.rule == "R8"]
    return [
        row
        for row in found
        if row.rule in STOPPING or ((row.procedure, row.step) in IN_THE_FAILOVER and row.rule != FOLLOWS)
    ]


def reconsider(house: House, reading: Reading, mine: Collection[str | None]) -> list[Hold]:
    """At the start of a run: close the holds whose reason is gone on the live system; return those that stay.

    A rollback (R11) stays until its cluster is on one release again; a stopped cluster (R8) until the trouble is
    gone. Everything else is looked at anew by the step that held. ``mine``: clusters and segment of this run; a hold
    of another scope stays unless its cluster is whole again, for another run may have just raised it.
    """
    staying = []
    for row in house.ledger.holds(house.site.name, open_only=True):
        state = reading.states.get(row.cluster or "")
        whole = state is not None and state.stage in (Stage.FRESH, Stage.DONE)
        if row.cluster not in mine and not whole:
            staying.append(row)
            continue
        why = "the run was started again, the step looks anew"
        if row.rule == "R11" and state is not None:
            if state.stage not in (Stage.FRESH, Stage.DONE):
                staying.append(row)
                continue
            why = f"{state.why}: on one release again"
        elif row.rule == "R8" and state is not None:
            refusal = released.trouble(house.ledger, house.site.name, reading, state.name)
            if refusal is not None:
                staying.append(row)
                continue
            why = f"the trouble is gone or was released: {state.why}"
        house.ledger.close_hold(row.id, why)
    return staying
