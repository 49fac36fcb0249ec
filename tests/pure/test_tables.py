"""The tables of the procedures against the document: rows, alarms, minutes, and that every row can be carried out."""

from __future__ import annotations

import pytest

from mopflow.alarms import CATALOGUE
from mopflow.errors import BadInput
from mopflow.procedures import cmp_legs, lists
from mopflow.procedures.table import PROCEDURES, cmp_procedures, step
from mopflow.release import Release
from mopflow.site import AutonomyKind
from mopflow.slots import Slot
from mopflow.step import Actor, DeadlineKind, Step
from mopflow.system import Severity

PREPARATION = {"4.1": 2, "4.5": 4, "4.6.2": 6, "4.6.3.1": 1, "4.6.3.2": 6, "4.6.4": 4, "4.6.5": 15}
CMP_ROWS = {"6.1.1": 23, "6.1.2": 6, "7.1.1": 23, "7.1.2": 6, "8.1.1": 21, "8.1.2": 6}
ROWS = {**PREPARATION, **CMP_ROWS, "9.1.1": 20, "9.1.2": 6, "10.1.1": 2, "10.2": 12}
ROWS |= {"11": 5, "12.3.3": 7, "12.3.4": 4, "12.3.5": 9}
STEPS = [row for procedure in PROCEDURES.values() for row in procedure.steps]

# every alarm number that the document prints for a row; a list of the next page belongs to the row before it
FIRST_CMP = [31101, 31106, 31107, 31114, 31227, 31282, 31283, 70004, 70025, 70500, 70501, 70503, 70507]
OTHER_CMP = [31101, 31106, 31107, 31114, 31282, 31283, 70001, 70004, 70025, 70500, 70501, 70503, 70507]
OLD_FIRST = [31101, 31106, 31107, 31114, 31233, 31283, 70004, 70021]
OLD_SECOND = [31101, 31106, 31107, 31114, 31233, 31283, 70001, 70004, 70025, 70500, 70501, 70503, 70507]
BACKOUT = [
    31101, 31102, 31106, 31107, 31113, 31114, 31227, 31283,
    70001, 70004, 70500, 70501, 70502, 70503, 70507, 78001,
]  # fmt: skip
PRINTED = {
    **{f"{p}/10": OLD_FIRST for p in ("6.1.1", "7.1.1")},
    **{f"{p}/12": [70025] for p in ("6.1.1", "7.1.1")},
    **{f"{p}/16": [31101, 70025] for p in ("6.1.1", "7.1.1")},
    "6.1.1/20": [70025, 70500, 70501],
    "7.1.1/20": [70500, 70501],
    **{f"{p}/{n}": OLD_SECOND for p in ("6.1.1", "7.1.1") for n in (21, 22)},
    "8.1.1/11": FIRST_CMP,
    "8.1.1/16": [70025, 70500, 70501, 70503],
    "8.1.1/18": OTHER_CMP,
    **{f"{p}/{n}": OTHER_CMP for p in ("6.1.2", "7.1.2", "8.1.2") for n in (2, 3)},
    **{f"{p}/5": [70500] for p in ("6.1.2", "7.1.2", "8.1.2")},
    "9.1.1/10": FIRST_CMP,
    "9.1.1/15": [70025],  # the minor ones stand in a picture
    "9.1.1/17": OTHER_CMP,
    "9.1.2/2": OTHER_CMP,
    "9.1.2/3": OTHER_CMP,  # its number is lost; 8.1.2/3 has the same list
    "9.1.2/5": [70500],
    "10.2/3": [
        31101, 31106, 31107, 31114, 31227, 31233, 31282, 31283,
        70001, 70004, 70500, 70501, 70503, 70507, 78001,
    ],
    "10.2/6": [31101, 31113, 70500, 70501, 70502, 70503, 71402, 78001],
    "10.2/9": [
        31101, 31102, 31106, 31107, 31113, 31114, 31227, 31283,
        70001, 70004, 70500, 70501, 70502, 70503, 70507, 78001,
    ],
}  # fmt: skip
# every list of the backout
BACKOUT_PRINTED = {
    "12.3.3/2": (lists.BACKOUT_MPE_FIRST, [*BACKOUT, 31233, 31282]),
    "12.3.3/3": (lists.BACKOUT_MPE_SWITCHED, [*BACKOUT, 31233, 31282, 31126]),
    "12.3.3/5": (lists.BACKOUT_MPE_SECOND, [*BACKOUT, 31233, 31282, 31126]),
    "12.3.4/2": (lists.BACKOUT_CMP2_FIRST, [*BACKOUT, 31233, 31282, 31126]),
    "12.3.4/3": (lists.BACKOUT_CMP2_SWITCHED, [70025, 70500, 70501, 70503, 78001]),
    "12.3.4/4": (lists.BACKOUT_CMP2_SECOND, [70025, 70500]),
    "12.3.5/2": (lists.BACKOUT_CMP_FIRST, [*BACKOUT, 31233, 31236]),
    "12.3.5/3": (lists.BACKOUT_CMP_SWITCHED, []),
    "12.3.5/6": (
        lists.BACKOUT_CMP_OLD_SECOND,
        [31101, 31102, 31106, 31107, 31113, 31114, 31233, 31236, 31283, 31284, 70004],
    ),
    "12.3.5/8": (lists.BACKOUT_CMP_SECOND, BACKOUT),
}
MINUTES = {"6.1.1/10": 40, "6.1.1/21": 40, "7.1.1/10": 40, "7.1.1/21": 40, "8.1.1/11": 30, "8.1.1/18": 30}
MINUTES |= {"6.1.2/2": 30, "7.1.2/2": 30, "8.1.2/2": 30}
MINUTES |= {"12.3.3/2": 40, "12.3.3/5": 35, "12.3.4/2": 40, "12.3.5/2": 40, "12.3.5/6": 30, "12.3.5/8": 40}
MINUTES |= {"9.1.1/10": 30, "9.1.1/12": 1, "9.1.1/17": 30, "9.1.2/2": 30, "10.2/3": 40, "10.2/9": 40}
SSH = {"6.1.1/7", "6.1.1/18", "7.1.1/6", "7.1.1/18", "8.1.1/7", "8.1.1/9"}
SSH |= {"9.1.1/4", "9.1.1/8", "4.5/4", "4.6.2/2", "4.6.2/3", "4.6.2/4", "4.6.3.1/1", "4.6.3.2/4", "4.6.3.2/6"}
SSH |= {"4.6.4/1", "4.6.4/3", "4.6.5/1", *(f"4.6.5/{n}" for n in range(4, 16))}
ACTS = {  # rows that change the system
    "4.1": set(),
    "4.5": set(),
    "4.6.2": {1, 2, 3, 4, 5},
    "4.6.3.1": {1},
    "4.6.3.2": {3, 4},
    "4.6.4": {1, 3},
    "4.6.5": set(range(4, 16)),
    "6.1.1": {3, 4, 7, 8, 9, 10, 13, 14, 18, 19, 21},
    "6.1.2": {2, 3},
    "7.1.1": {4, 5, 6, 7, 9, 10, 13, 14, 18, 19, 21},
    "7.1.2": {2, 3},
    "8.1.1": {4, 5, 7, 8, 9, 10, 11, 13, 14, 18},
    "8.1.2": {2, 3},
    "9.1.1": {4, 5, 6, 8, 9, 10, 12, 13, 17},
    "9.1.2": {2, 3},
    "10.1.1": {1},
    "10.2": {1, 3, 4, 5, 7, 8, 9, 10},
    "12.3.3": {2, 3, 4, 5},
    "12.3.4": {2, 3, 4},
    "12.3.5": {2, 3, 4, 6, 7, 8},
    "11": set(),
}


def test_chapter_4_has_38_rows() -> None:
    assert sum(PREPARATION.values()) == 38
    assert sum(row.procedure in PREPARATION for row in STEPS) == 38


def test_procedures() -> None:
    assert {number: len(p.steps) for number, p in PROCEDURES.items()} == ROWS
    for number, procedure in PROCEDURES.items():
        assert procedure.number == number
        assert [row.number for row in procedure.steps] == list(range(1, ROWS[number] + 1))
        assert {row.procedure for row in procedure.steps} == {number}


@pytest.mark.parametrize("row", STEPS, ids=lambda row: row.key)
def test_expected_alarms(row: Step) -> None:
    _, backout = BACKOUT_PRINTED.get(row.key, (None, []))
    assert row.expects == PRINTED.get(row.key, sorted(backout))
    lists = row.alarms
    for number in lists.during | lists.after:
        assert number in CATALOGUE
    assert lists.borrowed <= lists.during | lists.after
    for number in row.expects:
        if row.key != "9.1.2/3":  # see above
            assert row.key in CATALOGUE[number].places


def test_borrowed_alarms_are_marked_and_not_printed() -> None:
    """9.1.1/15 lost its minor alarms; 8.1.1/16 shows them."""
    row = step("9.1.1/15")
    assert row.alarms.after == {70025, 70500, 70501, 70503}
    assert row.alarms.borrowed == {70500, 70501, 70503}
    assert "8.1.1/16" in row.source_note


def test_only_minor_alarms_after_the_failover() -> None:
    wants_none = {row.key: row.alarms.none_of for row in STEPS if row.alarms.none_of}
    assert wants_none == {"10.2/6": (Severity.CRITICAL, Severity.MAJOR)}


@pytest.mark.parametrize("row", STEPS, ids=lambda row: row.key)
def test_row(row: Step) -> None:
    assert step(row.key) is row
    assert row.title.strip() == row.title != ""
    assert row.minutes >= 0
    assert row.minutes == MINUTES.get(row.key, row.minutes)
    assert (row.actor is Actor.SSH) == (row.key in SSH)
    acts = any(leg.act is not None for leg in row.legs)
    assert acts == (row.number in ACTS[row.procedure])
    if row.actor is Actor.CHECK:
        assert not acts
    names = [leg.name for leg in row.legs]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("row", STEPS, ids=lambda row: row.key)
def test_every_act_can_be_judged_after_a_lost_answer(row: Step) -> None:
    for leg in row.legs:
        if leg.act is not None:
            assert leg.trace is not None
        if leg.settled is not None:
            assert leg.deadline in (DeadlineKind.INITIATE_UPGRADE, DeadlineKind.INITIATE_BACKOUT)
            assert leg.mark is not None
        if leg.no_is_an_answer:
            assert leg.act is None
            assert leg.until is not None


def legs(key: str) -> dict[str, object]:
    return {leg.name: leg for leg in step(key).legs}


def test_who_takes_which_place() -> None:
    taken = {row.key: [leg.slot for leg in row.legs if leg.slot is not None] for row in STEPS}
    assert {key: slots for key, slots in taken.items() if slots} == {
        "10.2/3": [Slot.START],
        "10.2/9": [Slot.START],
        "10.2/10": [Slot.FAILOVER],  # one re-apply at a time (R4)
        "12.3.3/2": [Slot.START],
        "12.3.3/4": [Slot.FAILOVER],
        "12.3.3/5": [Slot.START],
    }


def test_autonomy() -> None:
    """CMP switches, the first failover of a segment and every backout are asked for; the rollback of R11 never is."""
    special = {
        (row.key, leg.name): leg.autonomy
        for row in STEPS
        for leg in row.legs
        if leg.autonomy is not AutonomyKind.DEFAULT
    }
    assert special == {
        **{(f"{p}/13", "failover"): AutonomyKind.CMP_SWITCH for p in ("6.1.1", "7.1.1", "8.1.1")},
        **{(f"{p}/3", "failover"): AutonomyKind.CMP_SWITCH for p in ("6.1.2", "7.1.2", "8.1.2")},
        ("9.1.1/12", "failover"): AutonomyKind.CMP_SWITCH,
        ("9.1.2/3", "failover"): AutonomyKind.CMP_SWITCH,
        ("10.2/4", ""): AutonomyKind.FIRST_FAILOVER,
        ("10.2/7", "rollback"): AutonomyKind.ROLLBACK,
        ("10.2/8", "reapply"): AutonomyKind.ROLLBACK,
        **{
            (row.key, leg.name): AutonomyKind.BACKOUT
            for row in STEPS
            for leg in row.legs
            if row.procedure.startswith("12.") and leg.act is not None
        },
    }


@pytest.mark.parametrize("procedure", ["6.1.2", "7.1.2", "8.1.2", "9.1.2"])
def test_row_3_of_the_secondary_has_failover_and_second_server_in_this_order(procedure: str) -> None:
    assert [leg.name for leg in step(f"{procedure}/3").legs] == ["failover", "second server"]


def test_unknown_row() -> None:
    with pytest.raises(KeyError):
        step("11.1/1")


@pytest.mark.parametrize("key", ["10.2/13", "9.1.1/0"])
def test_a_row_that_a_procedure_does_not_have(key: str) -> None:
    with pytest.raises(KeyError):
        step(key)


@pytest.mark.parametrize(
    "source, numbers",
    [
        ("10.5.6_1.1.0", ("6.1.1", "6.1.2")),
        ("11.5.0.0", ("7.1.1", "7.1.2")),
        ("12.0.0.22.1.0", ("8.1.1", "8.1.2")),
        ("12.1.1.0.0_14.1.0", ("9.1.1", "9.1.2")),
    ],
)
def test_cmp_procedures_by_source(source: str, numbers: tuple[str, str]) -> None:
    assert tuple(procedure.number for procedure in cmp_procedures(Release.parse(source))) == numbers


@pytest.mark.parametrize("source", ["9.9.2", "12.1.0.0", "12.1.2.0.0_22.1.0", "12.2.0"])
def test_no_cmp_procedures_from_another_release(source: str) -> None:
    with pytest.raises(BadInput, match="no CMP upgrade from"):
        cmp_procedures(Release.parse(source))


@pytest.mark.parametrize("row", BACKOUT_PRINTED)
def test_alarms_of_the_backout(row: str) -> None:
    found, printed = BACKOUT_PRINTED[row]
    assert found.printed == set(printed)
    assert {number for number, entry in CATALOGUE.items() if row in entry.places} == set(printed)
    assert found.borrowed <= found.during | found.after


@pytest.mark.parametrize("procedure", [*CMP_ROWS, "9.1.1", "9.1.2"])
def test_the_catalogue_names_every_row_that_lists_an_alarm(procedure: str) -> None:
    for row in PROCEDURES[procedure].steps:
        named = {number for number, entry in CATALOGUE.items() if row.key in entry.places}
        assert sorted(named) == (row.expects if row.key != "9.1.2/3" else OTHER_CMP)


# rows of one kind, by release: the document's order differs, what is done does not
ORDER = {
    "6.1.1": ["images gone", "upload", "images", "status", "scripts and keys", "push"],
    "7.1.1": ["status", "images gone", "upload", "scripts and keys", "push", "images"],
    "8.1.1": ["status", "images gone", "upload", "images", "keys", "push", "kit", "choose"],
    "9.1.1": ["status", "keys", "images gone", "upload", "images", "kit", "choose"],
}
KINDS = {
    "images gone": cmp_legs.OLD_IMAGES,
    "upload": cmp_legs.UPLOAD,
    "images": cmp_legs.IMAGES,
    "status": cmp_legs.CMP_STATUS,
    "keys": cmp_legs.KEYS,
    "scripts and keys": cmp_legs.SCRIPTS_AND_KEYS,
    "push": cmp_legs.PUSH,
    "kit": cmp_legs.COPY_KIT,
    "choose": cmp_legs.CHOOSE_KIT,
}


@pytest.mark.parametrize("procedure", ORDER)
def test_order_of_the_rows_before_the_upgrade(procedure: str) -> None:
    rows = PROCEDURES[procedure].steps[2 : 2 + len(ORDER[procedure])]
    assert [row.legs for row in rows] == [KINDS[kind].legs for kind in ORDER[procedure]]
