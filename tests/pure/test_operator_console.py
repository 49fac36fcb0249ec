"""The console in a person's hands: instructions, answers, pasted tables."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from mopflow.console.operator import Answer, Instruction, OperatorConsole, Question, Said, TerminalAsker
from mopflow.console.protocol import Act, Gui, Intended, Operation, Page
from mopflow.errors import (
    ActRefused,
    MayHaveRun,
    MopflowError,
    NotAnnounced,
    NothingRun,
    Unreachable,
    UnreadableReply,
)
from mopflow.system import Role

NEW, OLD = "Release 12.1.1.0.0_14.1.0", "Release 10.5.6_1.1.0"
START = Intended(Act.INITIATE_UPGRADE, "mpe-1", "mpe-1b")
MANAGER = (
    "Name\tAlarm Severity\tUp to Date\tServer Role\tPrev Release\tRunning Release\tUpgrade Operation\n"
    "mpe-1 (2 Servers)\n"
    "mpe-1a\t\tN\tActive\tTPD 7.0.2\t12.1.1.0.0_14.1.0\tn/a\n"
    "mpe-1b\tMinor\tN\tStandby\tTPD 7.0.2\t12.1.1.0.0_14.1.0\tn/a\n"
)


class Person:
    """Answers what the test says, and keeps what was asked."""

    def __init__(self, *answers: Answer | str) -> None:
        self.answers = list(answers)
        self.asked: list[Instruction | Question] = []

    def _next(self, asked: Instruction | Question) -> Answer | str:
        self.asked.append(asked)
        return self.answers.pop(0)

    def instruct(self, instruction: Instruction) -> Answer:
        answer = self._next(instruction)
        assert isinstance(answer, Answer)
        return answer

    def question(self, question: Question) -> str:
        answer = self._next(question)
        assert isinstance(answer, str)
        return answer


def test_an_act_is_an_instruction_with_the_exact_words() -> None:
    person = Person(NEW, Answer(Said.DONE, "Operation successful."))
    assert OperatorConsole(person).advance(START) == "Operation successful."
    text = " ".join(person.asked[1].steps)
    for word in (
        "Upgrade > Upgrade Manager",
        "mpe-1,",
        "Continue Upgrade",
        "Initiate upgrade",
        "mpe-1b",
        "Cancel",
    ):
        assert word in text


def test_the_rollback_is_on_the_other_button() -> None:
    person = Person(NEW, Answer(Said.DONE))
    OperatorConsole(person).advance(Intended(Act.FAILOVER_TO_OLD, "mpe-1"))
    text = " ".join(person.asked[1].steps)
    assert "Start Rollback" in text and "Continue Upgrade" not in text and "Failover to old version" in text


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Said.OTHER, NotAnnounced),
        (Said.REFUSED, ActRefused),
        (Said.NOT_DONE, NothingRun),
        (Said.UNSURE, MayHaveRun),
    ],
)
def test_every_other_answer_is_an_error_of_the_protocol(said: Said, error: type[MopflowError]) -> None:
    with pytest.raises(error):
        OperatorConsole(Person(NEW, Answer(said, "what I saw"))).reapply_configuration("mpe-1")


def test_the_password_is_never_shown() -> None:
    person = Person(NEW, Answer(Said.DONE))
    OperatorConsole(person).upload_iso(
        ["mpe-1a"], "10.0.0.1", "admusr", "s3cret-word", "/var/TKLC/upgrade/x.iso"
    )
    assert "s3cret-word" not in repr(person.asked)


def test_a_pasted_table_is_read_like_the_page() -> None:
    console = OperatorConsole(Person(NEW, MANAGER, "Install Kit", "mpe-1b"))
    page = console.overview()
    assert page.current_iso == "Install Kit"
    assert [(s.name, s.cluster, s.role, s.sync_broken) for s in page.servers] == [
        ("mpe-1a", "mpe-1", Role.ACTIVE, False),
        ("mpe-1b", "mpe-1", Role.STANDBY, True),
    ]


def test_a_paste_that_lacks_a_row_is_unreadable() -> None:
    lacking = "\n".join(MANAGER.splitlines()[:-1])
    with pytest.raises(UnreadableReply, match="announces 2 servers"):
        OperatorConsole(Person(NEW, lacking, "Install Kit", "")).overview()
    with pytest.raises(UnreadableReply, match="no such servers"):
        OperatorConsole(Person(NEW, MANAGER, "Install Kit", "mpe-2a")).overview()
    with pytest.raises(UnreadableReply):
        OperatorConsole(Person(NEW, "hello", "Install Kit", "")).overview()


def test_pasted_alarms_and_cluster_pages() -> None:
    alarms = (
        "1 Alarm found, displaying all Alarms.\n"
        "Occurrence\tSeverity\tAlarm ID\tText\tOAM VIP\tSource\n"
        "Sep 28, 2015 07:44 PM EDT\tMinor\t70503\tx\t10.0.0.1\tmpe-1b@10.0.0.2\n"
    )
    assert [a.key for a in OperatorConsole(Person(NEW, alarms)).active_alarms()] == [(70503, "mpe-1b")]
    assert OperatorConsole(Person(NEW, "Nothing found to display.\n")).active_alarms() == ()
    system = "Name: mpe-1\nStatus:\tOK\nVersion: 12.1.2.0.0_22.1.0\nName\tRole\tRunning Release\tConfig\nmpe-1a\tActive\tx\tOK\n"
    page = OperatorConsole(Person(NEW, system, "Counter\tValue\nCurrent TPS\t604\n")).cluster_page("mpe-1")
    assert (page.status, page.version.short, page.counters) == ("OK", "12.1.2", {"Current TPS": 604.0})
    assert OperatorConsole(Person("Release 12.1.2.0.0_22.1.0")).about().short == "12.1.2"


def test_a_screenshot_has_to_be_there(tmp_path: Path) -> None:
    file = tmp_path / "alarms.png"
    with pytest.raises(NothingRun, match="no screenshot"):
        OperatorConsole(Person(NEW, Answer(Said.DONE))).screenshot(Page.ACTIVE_ALARMS, file)
    file.write_bytes(b"GIF89a")
    with pytest.raises(NothingRun, match="not a PNG"):
        OperatorConsole(Person(NEW, Answer(Said.DONE))).screenshot(Page.ACTIVE_ALARMS, file)
    file.write_bytes(b"\x89PNG\r\n\x1a\n...")
    assert OperatorConsole(Person(NEW, Answer(Said.DONE))).screenshot(Page.ACTIVE_ALARMS, file) == file


def test_the_terminal_asks_again_until_it_understands() -> None:
    spoken = io.StringIO()
    asker = TerminalAsker(io.StringIO("yes\n Done \nOperation successful.\n"), spoken)
    assert asker.instruct(Instruction("T", ("do it",))) == Answer(Said.DONE, "Operation successful.")
    assert "1. do it" in spoken.getvalue() and spoken.getvalue().count("Please answer") == 1


def test_the_terminal_reads_a_table_up_to_the_full_stop() -> None:
    asker = TerminalAsker(io.StringIO("a\tb\n1\t2\n.\nrest\n"), io.StringIO())
    assert asker.question(Question("T", ())) == "a\tb\n1\t2"
    assert asker.question(Question("T", (), lines=False)) == "rest"


def test_nobody_at_the_terminal() -> None:
    with pytest.raises(Unreachable):
        TerminalAsker(io.StringIO(""), io.StringIO()).instruct(Instruction("T", ()))


MAINTENANCE = (
    "Name\tAppl Type\tIP\tServer State\tRunning Release\tReplication\tUpgrade Operation\n"
    "cmp-1 (2 Servers)\n"
    "cmp-1a\tCMP\t10.0.0.1\tActive\t10.5.6_1.1.0\tOn\t\n"
    "cmp-1b\tCMP\t10.0.0.2\tForce Standby\t10.5.6_1.1.0\tOff\tUpgrading: 45% (Elapsed Time: 0:12:33)\n"
)


def test_the_old_gui_is_read_from_a_paste() -> None:
    page = OperatorConsole(Person(OLD, MAINTENANCE, "")).overview()
    assert (page.gui, page.current_iso) == (Gui.MAINTENANCE, "")
    assert [(s.role, s.sync_broken) for s in page.servers] == [
        (Role.ACTIVE, False),
        (Role.FORCED_STANDBY, True),
    ]


def test_an_operation_is_an_instruction_that_names_exactly_these() -> None:
    person = Person(OLD, Answer(Said.DONE, "Operation successful."))
    OperatorConsole(person).operate(Operation.FORCE_STANDBY, ["cmp-1b"])
    text = " ".join(person.asked[1].steps)
    for word in (
        "Upgrade Manager > System Maintenance",
        "no others: cmp-1b",
        "Force Standby",
        "'into standby'",
        "Cancel",
    ):
        assert word in text
    assert "ISO Maintenance" not in text and "the cluster" not in text


def test_push_script_is_sought_on_both_pages() -> None:
    person = Person(NEW, Answer(Said.DONE))
    OperatorConsole(person).operate(Operation.PUSH_SCRIPTS, ["mpe-1a", "mpe-1b"])
    text = " ".join(person.asked[1].steps)
    first, second = "Upgrade > System Maintenance", "Upgrade > ISO Maintenance"
    assert text.index(first) < text.index(second) and "mpe-1a, mpe-1b" in text


def test_the_release_is_asked_again_after_the_switch_in_both_directions() -> None:
    person = Person(
        OLD, Answer(Said.UNSURE), NEW, MANAGER, "Install Kit", "",
        Answer(Said.DONE), OLD, MAINTENANCE, "",
    )  # fmt: skip
    console = OperatorConsole(person)
    with pytest.raises(MayHaveRun):
        console.operate(Operation.SWITCH_FORCE_STANDBY, ["cmp-1"])
    assert "the check box of the cluster" in " ".join(person.asked[1].steps)
    assert console.overview().gui is Gui.DIRECTOR
    console.advance(Intended(Act.FAILOVER_TO_OLD, "cmp-1"))
    assert console.overview().gui is Gui.MAINTENANCE
    assert person.answers == []


def test_a_paste_of_the_other_family_is_unreadable_and_the_release_is_asked_again() -> None:
    person = Person(OLD, MANAGER, "", NEW, MANAGER, "Install Kit", "")
    console = OperatorConsole(person)
    with pytest.raises(UnreadableReply):
        console.overview()
    assert console.overview().gui is Gui.DIRECTOR


def test_a_new_login_asks_for_the_release() -> None:
    person = Person(OLD, MAINTENANCE, "", Answer(Said.DONE), NEW, MANAGER, "Install Kit", "")
    console = OperatorConsole(person)
    console.overview()
    console.log_in()
    assert console.overview().gui is Gui.DIRECTOR


def test_the_old_gui_has_no_upgrade_manager() -> None:
    for call in (
        lambda console: console.advance(START),
        lambda console: console.select_iso("/var/camiant/iso/x.iso"),
    ):
        with pytest.raises(NotAnnounced, match="no Upgrade Manager"):
            call(OperatorConsole(Person(OLD)))
    for read in (lambda console: console.kits(), lambda console: console.upgrade_log("mpe-1")):
        with pytest.raises(UnreadableReply, match="has none"):
            read(OperatorConsole(Person(OLD)))


def test_a_release_of_no_family_is_unreadable() -> None:
    with pytest.raises(UnreadableReply, match="no known family"):
        OperatorConsole(Person("9.5.1")).overview()


def test_pasted_reports() -> None:
    trending = "Name\tStart Time\tMessages In\nmpe-1\t2/9/2015 9:15\t604\n"
    assert OperatorConsole(Person(OLD, trending)).trending()[0].values["Messages In"] == "604"
    stats = "Name\tPeer\tStatus\nmpe-1b\tmpe-1a\tOK\n"
    assert [row.status for row in OperatorConsole(Person(NEW, stats)).rep_stats()] == ["OK"]


def test_with_other_readings_the_release_is_read_not_asked() -> None:
    told = OperatorConsole(Person(OLD))
    person = Person(Answer(Said.DONE))
    OperatorConsole(person, told).operate(Operation.BACKOUT, ["cmp-1b"])
    assert len(person.asked) == 1 and "Upgrade Manager > System Maintenance" in " ".join(
        person.asked[0].steps
    )
