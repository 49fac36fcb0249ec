"""4.6.5: a SHA512 hash for root and admusr, one server at a time. Read top to bottom.

Rows 3 to 15 are for a server that needs it; on any other one they are skipped with the reason.
"""

from __future__ import annotations

from mopflow.acts.rehash import passwords, rows
from mopflow.acts.rehash.edits import LIBUSER_CONF, LOGIN_DEFS, SYSTEM_AUTH, Edited
from mopflow.here import Here
from mopflow.step import Actor, Answer, Finding, Leg, Procedure, Question, Step

NUMBER = "4.6.5"


def both(*questions: Question) -> Question:
    """Needed only if all say so; the first that does not gives the reason."""

    def question(here: Here) -> Finding:
        found = Finding.yes("")
        for one in questions:
            found = one(here)
            if found.answer is not Answer.YES:
                return found
        return found

    return question


def _row(number: int, title: str, actor: Actor, minutes: float, *legs: Leg, note: str = "") -> Step:
    return Step(NUMBER, number, title, actor, legs, minutes, source_note=note)


def _file(first: int, titles: tuple[str, str, str], file: Edited) -> tuple[Step, Step, Step]:
    """Check out, edit, check in: the three rows of a file."""
    return (
        _row(
            first,
            titles[0],
            Actor.SSH,
            1,
            Leg(
                rows.is_out(file),
                readings=1,
                act=rows.check_out(file),
                trace=rows.out_trace(file),
                applies=rows.needed,
            ),
        ),
        _row(
            first + 1,
            titles[1],
            Actor.SSH,
            1,
            Leg(
                rows.is_edited(file),
                readings=1,
                act=rows.edit(file),
                trace=rows.repeatable,
                applies=rows.needed,
            ),
        ),
        _row(
            first + 2,
            titles[2],
            Actor.SSH,
            1,
            Leg(
                rows.is_in(file),
                readings=1,
                act=rows.check_in(file),
                trace=rows.repeatable,
                applies=rows.needed,
            ),
        ),
    )


def _password(account: str) -> Leg:
    return Leg(
        passwords.is_set(account),
        name=account,
        readings=1,
        act=passwords.set_password(account),
        guard=passwords.may_set,
        mark=passwords.word_of,
        trace=passwords.set_trace(account),
        applies=both(rows.needed, passwords.account_there(account)),
    )


REHASH = Procedure(
    NUMBER,
    "Changing Non-Default Root and admusr Passwords",
    (
        _row(1, "Login to the Server (MRA/CMP/MPE)", Actor.SSH, 1, Leg(rows.reached)),
        _row(2, "Check the password field of root and admusr", Actor.CHECK, 1, Leg(rows.looked)),
        _row(3, "Order to perform the change", Actor.CHECK, 1, Leg(rows.in_turn, applies=rows.needed)),
        _row(
            4,
            "Login to the Server (MRA/CMP/MPE) as admusr",
            Actor.SSH,
            1,
            Leg(rows.is_root, name="root", applies=rows.needed),
            Leg(
                passwords.old_known,
                name="known",
                readings=1,
                act=passwords.prove_old,
                guard=passwords.old_named,
                trace=passwords.nothing_left,
                applies=both(rows.needed, passwords.nothing_set),
            ),
            Leg(
                rows.copies_kept,
                name="copies",
                readings=1,
                act=rows.keep_copies,
                guard=rows.only_if_needed,
                trace=rows.repeatable,
                applies=rows.needed,
            ),
            note="the old passwords are proven, and the files kept, before anything is changed",
        ),
        *_file(
            5,
            ("Verify the system-auth revisions", "Modify the system-auth file", "Save the file"),
            SYSTEM_AUTH,
        ),
        *_file(
            8,
            ("Checkout revisions for login.defs file", "Edit login.defs file", "Save the File"),
            LOGIN_DEFS,
        ),
        *_file(
            11,
            ("Checkout revisions for the libuser.conf file", "Edit the libuser.conf file", "Save the File"),
            LIBUSER_CONF,
        ),
        _row(
            14,
            "Set the admusr and root passwords",
            Actor.SSH,
            1,
            _password("root"),
            _password("admusr"),
        ),
        _row(
            15,
            "Verify",
            Actor.SSH,
            1,
            Leg(
                passwords.proven,
                name="login",
                readings=1,
                act=passwords.prove_new,
                trace=passwords.nothing_left,
                applies=rows.needed,
            ),
            Leg(
                passwords.all_gone,
                name="tidy",
                readings=1,
                act=passwords.remove_copies,
                trace=rows.repeatable,
                applies=rows.something_kept,
            ),
            note="the copies go only after the new logins are proven",
        ),
    ),
)
