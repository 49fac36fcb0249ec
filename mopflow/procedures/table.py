"""Every procedure known so far, by its number."""

from __future__ import annotations

from mopflow.errors import BadInput
from mopflow.procedures import cmp_10_5, cmp_11_5, cmp_12_0, cmp_12_1_1
from mopflow.procedures.backout import MPE_MRA, PRIMARY_CMP, SECONDARY_CMP
from mopflow.procedures.mpe_mra import PREPARE, UPGRADE
from mopflow.procedures.post_check import POST_CHECK
from mopflow.procedures.prep_backups import BACKUPS
from mopflow.procedures.prep_health import HEALTH, PREREQUISITES
from mopflow.procedures.prep_images import DISTRIBUTE
from mopflow.procedures.prep_passwords import REHASH
from mopflow.procedures.prep_pmac import COPY_TO_PMAC, DISTRIBUTE_TO_PMAC
from mopflow.release import Release
from mopflow.step import Procedure, Step

CMP: dict[tuple[int, int], tuple[Procedure, Procedure]] = {  # by source release: primary, secondary
    (10, 5): (cmp_10_5.PRIMARY, cmp_10_5.SECONDARY),
    (11, 5): (cmp_11_5.PRIMARY, cmp_11_5.SECONDARY),
    (12, 0): (cmp_12_0.PRIMARY, cmp_12_0.SECONDARY),
    (12, 1): (cmp_12_1_1.PRIMARY, cmp_12_1_1.SECONDARY),
}

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
        *(procedure for pair in CMP.values() for procedure in pair),
        PREPARE,
        UPGRADE,
        MPE_MRA,
        SECONDARY_CMP,
        PRIMARY_CMP,
        POST_CHECK,
    )
}


def step(key: str) -> Step:
    """By name, such as 10.2/4. Raises KeyError for a row that is not known."""
    procedure, number = key.split("/")
    return PROCEDURES[procedure].step(int(number))


def cmp_procedures(source: Release) -> tuple[Procedure, Procedure]:
    """The tables for the primary and the secondary CMP from this release. Raises BadInput for others."""
    found = CMP.get(source.family[:2])
    if found is None or (source.family[:2] == (12, 1) and source.family != (12, 1, 1)):
        raise BadInput(
            f"there is no CMP upgrade from {source.short}; there is one from 10.5, 11.5, 12.0 and 12.1.1"
        )
    return found
