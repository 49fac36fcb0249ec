"""Every procedure known so far, by its number."""

from __future__ import annotations

from mopflow.errors import BadInput
from mopflow.procedures.backout import MPE_MRA, PRIMARY_CMP, SECONDARY_CMP
from mopflow.procedures.cmp_12_1_1 import PRIMARY, SECONDARY
from mopflow.procedures.mpe_mra import PREPARE, UPGRADE
from mopflow.procedures.prep_backups import BACKUPS
from mopflow.procedures.prep_health import HEALTH, PREREQUISITES
from mopflow.procedures.prep_images import DISTRIBUTE
from mopflow.procedures.prep_passwords import REHASH
from mopflow.procedures.prep_pmac import COPY_TO_PMAC, DISTRIBUTE_TO_PMAC
from mopflow.release import Release
from mopflow.step import Procedure, Step

PROCEDURES: dict[str, Procedure] = {
    p.number: p
    for p in (
        PREREQUISITES,
        HEALTH,
        COPY_TO_PMAC,
        DISTRIBUTE,
        DISTRIBUTE_TO_PMAC,
        BACKUPS,
        REHASH,
        PRIMARY,
        SECONDARY,
        PREPARE,
        UPGRADE,
        MPE_MRA,
        SECONDARY_CMP,
        PRIMARY_CMP,
    )
}


def step(key: str) -> Step:
    """By name, such as 10.2/4. Raises KeyError for a row that is not known."""
    procedure, number = key.split("/")
    return PROCEDURES[procedure].step(int(number))


def cmp_procedures(source: Release) -> tuple[Procedure, Procedure]:
    """The tables for the primary and the secondary CMP from this release. Raises BadInput for others."""
    if source.family == (12, 1, 1):
        return PRIMARY, SECONDARY
    raise BadInput(f"the CMP upgrade from {source.short} is not built yet; from 12.1.1 it is")
