"""4.6.4: backups and backup locations. Every row is carried out on one server; its second leg on the active CMP only."""

from __future__ import annotations

from mopflow.backups import BackupKind
from mopflow.procedures import backup_checks as checks
from mopflow.step import Actor, DeadlineKind, Leg, Procedure, Question, Step


def _taken(kind: BackupKind, applies: Question | None = None) -> Leg:
    return Leg(
        checks.taken(kind),
        name=kind.value,
        act=checks.take(kind),
        guard=checks.may_take(kind),
        deadline=DeadlineKind.BACKUP,
        mark=checks.before(kind),
        trace=checks.left_trace(kind),
        until=checks.until_taken,
        applies=applies,
    )


def _whole(kind: BackupKind, applies: Question | None = None) -> Leg:
    return Leg(checks.whole(kind), name=kind.value, until=checks.until_no, applies=applies)


def _kept(kind: BackupKind, applies: Question | None = None) -> Leg:
    return Leg(
        checks.kept(kind),
        name=kind.value,
        readings=1,  # each reads the whole copy
        act=checks.keep(kind),
        guard=checks.may_keep(kind),
        trace=checks.may_repeat,
        applies=applies,
    )


BACKUPS = Procedure(
    "4.6.4",
    "Backups and Backup Locations",
    (
        Step(
            "4.6.4",
            1,
            "Access the server to be backed up",
            Actor.SSH,
            (_taken(BackupKind.SERVER), _taken(BackupKind.SYSTEM, checks.on_primary)),
            10,
            source_note="a single backup entry per paragraph; the system backup's file is a tar.gz, not an ISO",
        ),
        Step(
            "4.6.4",
            2,
            "Verify the backup ISO file",
            Actor.CHECK,
            (_whole(BackupKind.SERVER), _whole(BackupKind.SYSTEM, checks.on_primary)),
            1,
            source_note="the files are named by the release that runs, not by the target",
        ),
        Step(
            "4.6.4",
            3,
            "Copy backup files",
            Actor.SSH,
            (_kept(BackupKind.SERVER), _kept(BackupKind.SYSTEM, checks.on_primary)),
            5,
            source_note="the printed scp lines lack the colon; the two examples are captioned the wrong way round",
        ),
        Step(
            "4.6.4",
            4,
            "Identify backup location",
            Actor.CHECK,
            (Leg(checks.located, until=checks.until_no),),
            1,
        ),
    ),
)
