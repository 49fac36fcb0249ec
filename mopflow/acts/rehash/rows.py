"""4.6.5 row by row: what each asks of the live system before and after, and what it does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mopflow.acts.rehash import checkouts, kept, logins
from mopflow.acts.rehash.edits import FILES, Edited
from mopflow.acts.rehash.kept import Checkout, Kept
from mopflow.acts.rehash.logins import Line
from mopflow.acts.rehash.order import before, order
from mopflow.acts.rehash.root import Root
from mopflow.acts.rehash.stop import stop
from mopflow.errors import ActRefused, CommandFailed, UnreadableReply
from mopflow.here import Here
from mopflow.ledger import Event
from mopflow.probes import hostname, shadow
from mopflow.probes.shadow import Account, Field, Shadow
from mopflow.step import Deed, Finding, Question, Refusal
from mopflow.system import Stage

FINISHED = (Event.VERIFIED, Event.FOUND_DONE)


def root_on(here: Here) -> Root:
    """Work as root on the server of the scope; the wrong server is the first fear, so its name was asked in row 1."""
    return Root(here.house.servers, here.server.name)


# what there is to do


def accounts(found: Shadow) -> tuple[Account, ...]:
    """root and admusr, as far as they are there (10.5 has no admusr) and have a password that can be set again."""
    ours = (found.get("root"), found.get("admusr"))
    return tuple(a for a in ours if a is not None and a.field is not Field.LOCKED)


def needed(here: Here) -> Finding:
    """Is there anything to do on this server, or is something begun that must be ended?"""
    state = kept.ask(root_on(here))
    if state.begun:
        return Finding.yes("it was begun here and is not proven yet")
    if here.site.passwords.default:
        return Finding.no(
            "the site file says that root and admusr have the default passwords (passwords.default)"
        )
    found = shadow.ask(here.house.servers, here.server.name)
    ours = accounts(found)
    text = ", ".join(map(str, ours))
    if not any(account.weak for account in ours):
        return Finding.no(f"{text}: SHA512 already, the procedure is not needed on this server")
    return Finding.yes(text)


def only_if_needed(here: Here) -> Iterable[Refusal]:
    """Nothing is begun on a server of which it is not certain that it needs this."""
    found = needed(here)
    if not found.is_yes:
        yield Refusal("passwords", found.evidence)


def something_kept(here: Here) -> Finding:
    if kept.ask(root_on(here)).there:
        return Finding.yes("the copies of this procedure lie on the server")
    return Finding.no("nothing of this procedure lies on the server")


# rows 1 and 2


def reached(here: Here) -> Finding:
    """Row 1: the right server answers, and we are root there or become it."""
    name = hostname.ask(here.house.servers, here.server.name)
    if not hostname.is_server(name, here.server.name):
        return Finding.no(f"the address of {here.server.name} answers as {name}")
    return Finding.yes(f"{here.server.name} answers; {root_on(here).must_be_root()}")


def looked(here: Here) -> Finding:
    """Row 2: with which hash root and admusr are kept, and whose password will expire in the upgrade besides."""
    here.memo["rule"] = "passwords"
    found = shadow.ask(here.house.servers, here.server.name)
    ours = accounts(found)
    empty = [a.name for a in ours if a.field is Field.EMPTY]
    if empty:
        return Finding.no(f"{', '.join(empty)} has no password at all on {here.server.name}")
    others = [a.name for a in found.weak_others]
    text = ", ".join(str(found.get(name) or f"{name} not there") for name in ("root", "admusr"))
    if others:
        text += f"; these accounts have a weak hash too and will expire in the upgrade: {', '.join(others)}"
    here.memo["data"] = {
        "prefixes": {a.name: a.prefix or a.field.value for a in ours},
        "weak": [a.name for a in ours if a.weak],
        "others": others,
    }
    if "kinds" not in here.memo:
        here.memo["kinds"] = here.keep("hashes.txt", "\n".join(map(str, found.accounts)), "kinds of hashes")
    return Finding.yes(text)


# row 3


def in_turn(here: Here) -> Finding:
    """Row 3: no server of an earlier group still needs it, and no upgrade is under way in this cluster."""
    here.memo["rule"] = "rehash-order"
    if here.state.stage not in (Stage.FRESH, Stage.DONE):
        return Finding.no(f"{here.cluster.name} is not at rest: {here.state.why}")
    groups = order(here.site, here.states)
    waiting = [name for name in before(groups, here.server.name) if _still_needs(here, name)]
    if waiting:
        return Finding.no(f"{', '.join(waiting)} come first and still need it")
    place = next(number for number, group in enumerate(groups, 1) if here.server.name in group)
    return Finding.yes(f"group {place} of {len(groups)}, all before it are done")


def _still_needs(here: Here, server: str) -> bool:
    """Read from the server, unless this campaign has its proof already."""
    known: dict[str, bool] = here.memo.setdefault("needs", {})
    if known.get(server) is False:
        return False
    proof = here.house.ledger.last(
        campaign=here.house.campaign,
        site=here.site.name,
        procedure=here.step.procedure,
        step=15,
        cluster=server,
        events=FINISHED,
    )
    if proof is None or proof.entry.leg != "tidy":
        state = kept.ask(Root(here.house.servers, server))
        weak = any(a.weak for a in accounts(shadow.ask(here.house.servers, server)))
        known[server] = state.begun or (weak and not here.site.passwords.default)
    else:
        known[server] = False
    return known[server]


# row 4


def is_root(here: Here) -> Finding:
    return Finding.yes(root_on(here).must_be_root())


def copies_kept(here: Here) -> Finding:
    """Row 4: before any change, the files and the shadow file are kept on the server, as they are now."""
    root = root_on(here)
    state = kept.ask(root)
    if not state.there:
        return Finding.no("nothing is kept yet")
    names = tuple(a.name for a in accounts(shadow.ask(here.house.servers, here.server.name)))
    if not state.begun and not kept.is_fresh(root, names):
        return Finding.no("what is kept is older than what is there now")
    if state.begun and _changed_by_others(root, state, names):
        return Finding.no("somebody has changed a password since the copies were made")
    return Finding.yes(f"kept in {kept.FOLDER}")


def _changed_by_others(root: Root, state: Kept, names: Iterable[str]) -> list[str]:
    """Accounts whose line is another one than was kept, although our passwd has not touched it."""
    return [a for a in names if not state.touched(a) and logins.line_of(root, a) is not Line.KEPT]


def keep_copies(here: Here) -> None:
    """All four copies; once something is begun, only the lines of passwords that others have changed meanwhile."""
    root = root_on(here)
    state = kept.ask(root)
    if not state.begun:
        kept.make(root)
        return
    names = [a.name for a in accounts(shadow.ask(here.house.servers, here.server.name))]
    for account in _changed_by_others(root, state, names):
        kept.renew_line(root, account)


# rows 5 to 13


def _state(here: Here) -> tuple[Root, Kept]:
    root = root_on(here)
    state = kept.ask(root)
    if not state.there:
        raise UnreadableReply(here.server.name, "nothing is kept: begin with row 4", kept.FOLDER)
    return root, state


def is_out(file: Edited) -> Question:
    def question(here: Here) -> Finding:
        here.memo["rule"] = "rcs"
        _, state = _state(here)
        match state.checkout(file):
            case Checkout.OUT:
                return Finding.yes(f"{file.path} is checked out by us")
            case Checkout.DONE:
                return Finding.yes(f"{file.path} was checked out, and is in again")
            case _:
                return Finding.no(f"{file.path} is not checked out by us")

    return question


def out_trace(file: Edited) -> Question:
    """After a lost answer: did rcstool begin?"""

    def question(here: Here) -> Finding:
        root, state = _state(here)
        if state.checkout(file) is Checkout.NONE:
            return _settled(here, f"rcstool co {file.path} was not begun")
        if state.checkout(file) is Checkout.UNCLEAR and checkouts.was_refused(root, file):
            return Finding.no(f"rcstool co {file.path} refused")
        return Finding.unknown(f"rcstool co {file.path} was begun, and its answer is not there")

    return question


def check_out(file: Edited) -> Deed:
    def deed(here: Here) -> None:
        root, _ = _state(here)
        try:
            version = checkouts.check_out(root, file)
        except ActRefused as refused:
            stop(here, "rcs", str(refused))
        here.memo["data"] = {"revision": version}

    return deed


def is_edited(file: Edited) -> Question:
    def question(here: Here) -> Finding:
        here.memo["rule"] = "rcs"
        root, _ = _state(here)
        try:
            configured = checkouts.is_configured(root, file)
        except UnreadableReply:
            return Finding.no(
                f"{file.path} has not the form of the document"
            )  # the act says which, and ends it
        if configured:
            return Finding.yes(f"{file.path} demands SHA512")
        return Finding.no(f"{file.path} does not demand SHA512 yet")

    return question


def edit(file: Edited) -> Deed:
    """Rows 6, 9 and 12. Whatever goes wrong, the file is as it was and not checked out when this stops."""

    def deed(here: Here) -> None:
        root, state = _state(here)
        if state.checkout(file) is not Checkout.OUT:
            raise ActRefused(f"{file.path} is not checked out by us: it is not edited")
        try:
            changes = checkouts.change(root, file)
        except (UnreadableReply, CommandFailed) as wrong:
            _give_up(here, root, file, str(wrong))
        if changes:
            lines = [f"{file.path} line {c.line}: {c.old} -> {c.new}" for c in changes]
            here.keep(f"{file.name}.txt", "\n".join(lines), "edit")
            here.memo["data"] = {"changes": lines}

    return deed


def _give_up(here: Here, root: Root, file: Edited, why: str) -> None:
    try:
        checkouts.give_up(root, file)
    except ActRefused as refused:
        stop(here, "rcs", f"{why}; {refused}")
    stop(here, "rcs", f"{why}; the file is as it was, and no longer checked out")


def is_in(file: Edited) -> Question:
    def question(here: Here) -> Finding:
        here.memo["rule"] = "rcs"
        root, state = _state(here)
        if state.checkout(file) is not Checkout.DONE:
            return Finding.no(f"{file.path} is not checked in yet")
        if not checkouts.is_configured(root, file):
            return Finding.unknown(f"{file.path} is checked in and does not demand SHA512")
        op = "ci" if f"{file.name}.ci" in (state.names or ()) else "unco"
        here.memo["data"] = {"op": op}
        return Finding.yes(f"{file.path} demands SHA512; rcstool {op}")

    return question


def check_in(file: Edited) -> Deed:
    def deed(here: Here) -> None:
        root, state = _state(here)
        if state.checkout(file) is not Checkout.OUT:
            raise ActRefused(f"{file.path} is not checked out by us: nothing is checked in")
        try:
            checkouts.end(root, file)
        except ActRefused as refused:
            stop(here, "rcs", str(refused))

    return deed


def all_in(here: Here) -> Iterable[Refusal]:
    """Before row 14: all three files demand SHA512 and are checked in, or the new hash would be MD5 again."""
    for file in FILES:
        found = is_in(file)(here)
        here.memo.pop("data", None)  # of rows 7, 10 and 13, not of this one
        if not found.is_yes:
            yield Refusal("rcs", found.evidence)


# traces


def _settled(here: Here, evidence: str) -> Finding:
    """The script that was sent may begin a moment later: no trace counts once it has had its time."""
    at = here.rows(Event.INTENDED, leg=here.leg.name)[-1].at
    if datetime.now(UTC) - at < timedelta(seconds=here.site.pace.settle):
        return Finding.unknown(f"{evidence} yet")
    return Finding.no(evidence)


def repeatable(here: Here) -> Finding:
    """For what may be done twice without harm, one after the other."""
    return _settled(here, "it is not done, and may be done again")
