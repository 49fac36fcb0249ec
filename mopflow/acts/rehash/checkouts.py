"""Change one of the three files under rcstool: co, the edit, and exactly one of ci and unco (4.6.5 steps 5 to 13).

What rcstool does is public only as far as the document shows it. So nothing is taken from it but its exit status and
the line RCS_VERSION; whether a check-out is ours is read from the traces in the kept directory.
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import sha256

from mopflow.acts.rehash import kept
from mopflow.acts.rehash.edits import FILES, Change, Edited, same_but_keywords
from mopflow.acts.rehash.kept import FOLDER, Checkout
from mopflow.acts.rehash.root import Root
from mopflow.errors import ActRefused, CommandFailed, UnreadableReply
from mopflow.probes import rcs
from mopflow.ssh import Reply

RCSTOOL = 120  # seconds


class Op(StrEnum):
    CO = "co"
    CI = "ci"
    UNCO = "unco"


def _rcstool(root: Root, op: Op, file: Edited) -> Reply:
    """Run it and leave its answer on the server, so that it is known there even when nobody hears it."""
    trace = f"{FOLDER}/{file.name}.{op}"
    return root.run(
        f"rcstool {op} {file.path} >{trace}.part 2>&1; s=$?; cat {trace}.part; echo exit=$s >>{trace}.part; "
        f"test $s -ne 0 || mv -f {trace}.part {trace}; exit $s",
        timeout=RCSTOOL,
    )


def _said(reply: Reply) -> str:
    return " ".join((reply.stdout + " " + reply.stderr).split())[:300] or f"exit status {reply.status}"


def was_refused(root: Root, file: Edited) -> bool:
    """A check-out whose answer nobody heard: did rcstool end, and refuse it? False while it cannot be told."""
    lines = root.check(f"cat {FOLDER}/{file.name}.co.part").splitlines()
    return bool(lines) and re.fullmatch(r"exit=[1-9]\d*", lines[-1]) is not None


def check_out(root: Root, file: Edited) -> str:
    """`rcstool co`; the revision. Raises ActRefused when it refuses, or brings another text than was there.

    Either way nothing is checked out then, by us.
    """
    reply = _rcstool(root, Op.CO, file)
    if reply.status != 0:
        kept.forget(root, file)
        raise ActRefused(f"{root.server}: rcstool co {file.path} refused: {_said(reply)}")
    try:
        version = rcs.parse_version(reply.stdout)
    except UnreadableReply as odd:
        give_up(root, file)
        raise ActRefused(
            f"{root.server}: rcstool co {file.path} answered in a way that is not known: {_said(reply)}"
        ) from odd
    before, now = kept.kept_text(root, file), kept.text_of(root, kept.real_path(root, file))
    if not same_but_keywords(before, now):
        give_up(root, file)
        raise ActRefused(
            f"{root.server}: {file.path} differs from its last revision {version}: somebody has changed it without "
            "checking it in; it is as it was"
        )
    return version


def is_configured(root: Root, file: Edited) -> bool:
    """Does the file demand SHA512 already? Raises UnreadableReply when it has another form than the document shows."""
    return not file.edit(kept.text_of(root, kept.real_path(root, file))).changes


def change(root: Root, file: Edited) -> tuple[Change, ...]:
    """Edit the file that is checked out; what was changed, nothing when it was so already. Safe to repeat.

    sed carries the edit out on the server, and the file gets it only if the result is, byte for byte, what was
    computed here. Raises UnreadableReply for a file of another form and CommandFailed when sed made something else.
    """
    path = kept.real_path(root, file)
    edit = file.edit(kept.text_of(root, path))
    if edit.changes:
        script = " ".join(f"-e '{change.sed}'" for change in edit.changes)
        wanted = sha256(edit.text.encode()).hexdigest()
        check = f'echo "{wanted}  {path}.mopflow" | sha256sum --status -c -'
        kept.replace(root, path, f"sed {script} {path}", check)
    return edit.changes


def end(root: Root, file: Edited) -> Op:
    """`rcstool ci` if the file was changed, `rcstool unco` if not; which of them.

    Raises ActRefused when it refuses: then the file is as it was before us, and not checked out.
    """
    before, now = kept.kept_text(root, file), kept.text_of(root, kept.real_path(root, file))
    op = Op.UNCO if same_but_keywords(before, now) else Op.CI
    reply = _rcstool(root, op, file)
    if reply.status != 0:
        give_up(root, file, because=_said(reply))
        raise ActRefused(
            f"{root.server}: rcstool {op} {file.path} failed: {_said(reply)}; the file is as it was, and no longer "
            "checked out"
        )
    return op


def give_up(root: Root, file: Edited, *, because: str = "") -> None:
    """End our check-out: the file as it was kept, `rcstool unco`, no trace left.

    Raises ActRefused when rcstool does not even let go of it; the trace of the check-out stays then.
    """
    kept.put_back(root, file)
    reply = _rcstool(root, Op.UNCO, file)
    if reply.status != 0:
        raise ActRefused(
            f"{root.server}: {file.path} may still be checked out: rcstool unco failed: {_said(reply)}"
            + (f" (before that: {because})" if because else "")
        )
    before, now = kept.kept_text(root, file), kept.text_of(root, kept.real_path(root, file))
    if not same_but_keywords(before, now):
        kept.put_back(root, file)  # unco may have brought the last revision
    kept.forget(root, file)


def release(root: Root) -> list[str]:
    """End every check-out of ours that is still open, and say which: for whoever stops in the middle. Safe to repeat."""
    state = kept.ask(root)
    ended = []
    for file in FILES:
        if state.checkout(file) is Checkout.OUT:
            give_up(root, file)
            ended.append(file.path)
    return ended


def restore(root: Root) -> list[str]:
    """Bring all three files back to what was kept, under rcstool where it lets us; what could not be done, in words.

    A file that decides who may log in comes back even when rcstool refuses.
    """
    trouble: list[str] = []
    state = kept.ask(root)
    for file in FILES:
        try:
            if state.checkout(file) is Checkout.OUT:
                give_up(root, file)
            elif not same_but_keywords(
                kept.kept_text(root, file), kept.text_of(root, kept.real_path(root, file))
            ):
                trouble += _restore_one(root, file)
        except (ActRefused, CommandFailed, UnreadableReply) as wrong:
            trouble.append(str(wrong))
    return trouble


def _restore_one(root: Root, file: Edited) -> list[str]:
    kept.forget(root, file)
    out = _rcstool(root, Op.CO, file)
    kept.put_back(root, file)
    if out.status != 0:
        return [f"{file.path} is as it was, but rcstool co refused: {_said(out)}"]
    back = _rcstool(root, Op.CI, file)
    if back.status != 0:
        give_up(root, file)
        return [f"{file.path} is as it was, but rcstool ci refused: {_said(back)}"]
    return []
