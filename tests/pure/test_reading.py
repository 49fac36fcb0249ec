"""What a look at a console page means: cells in, typed rows out, and nothing unknown is read as good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mopflow.console import reading
from mopflow.console.labels import DEFAULT, FAMILIES, Labels, family, labels_for, load, pages_with
from mopflow.console.protocol import (
    Act,
    Gui,
    Intended,
    IsoImage,
    Operation,
    Page,
    RepRow,
    TopologyRow,
    TrendRow,
)
from mopflow.console.reading import Look
from mopflow.errors import BadInput, NotAnnounced, UnreadableReply
from mopflow.release import Release
from mopflow.system import Doing, Role, Severity, UpToDate

LABELS = family(DEFAULT)
OLD = family("10.5/11.5")
MANAGER = (
    "Name", "Alarm Severity", "Up to Date", "Server Role", "Prev Release", "Running Release", "Upgrade Operation",
)  # fmt: skip
ALARMS = ("Occurrence", "Severity", "Alarm ID", "Text", "OAM VIP", "Source")
ISO = ("Name", "Appl Type", "Site", "IP", "Running Release", "ISO")
KPI = ("Name", "Kind", "TPS")
TOPOLOGY = (
    "Name",
    "Appl Type",
    "Site",
    "OAM VIP",
    "Server-A",
    "Server-A IP",
    "Server-B",
    "Server-B IP",
    "Status",
)
SERVERS = ("Name", "Role", "Running Release", "Config")


def look(
    headings: tuple[str, ...], *rows: tuple[str, ...], marks: dict[str, str] | None = None, **more: Any
) -> Look:
    """A page with one grid; a row of one cell spans the grid; `marks`: picture by the text of its cell."""
    grid = {
        "headings": headings,
        "rows": [
            {"cells": {at: {"text": t, "marks": (marks or {}).get(t, "").split("|") if t in (marks or {}) else []}
                       for at, t in enumerate(row)}}
            for row in rows
        ],
        "in_dialog": False,
    }  # fmt: skip
    return Look.parse({"grids": [grid], **more})


def manager(*rows: tuple[str, ...], **more: Any) -> Look:
    more.setdefault("buttons", [{"name": "Current ISO: Install Kit", "enabled": True}])
    return look(more.pop("headings", MANAGER), *rows, **more)


HEAD = ("CMP Site1 Cluster (2 Servers)",)
STANDBY = (
    "CMP1-SITEA", "Minor", "Y", "Standby", "10.5.6_1.1.0", "12.1.2.0.0_22.1.0",
    "Initiate upgrade Completed Successfully at Jul 12, 2016 13:14:59.",
)  # fmt: skip
ACTIVE = ("CMP2-SITEA", "", "N", "Active", "TPD 7.0.2.0.0_86.28.0", "12.1.1.0.0_14.1.0", "n/a")


class TestUpgradeManager:
    def test_reads_the_figures(self) -> None:
        page = reading.upgrade_manager(manager(HEAD, STANDBY, ACTIVE), LABELS)
        standby, active = page.servers
        assert page.current_iso == "Install Kit"
        assert (standby.name, standby.cluster, standby.role) == (
            "CMP1-SITEA", "CMP Site1 Cluster", Role.STANDBY,
        )  # fmt: skip
        assert (standby.up_to_date, standby.alarm_severity) == (UpToDate.YES, Severity.MINOR)
        assert standby.operation.doing is Doing.SUCCEEDED
        assert standby.release is not None and standby.release.short == "12.1.2"
        assert (active.role, active.up_to_date, active.alarm_severity) == (Role.ACTIVE, UpToDate.NO, None)
        assert active.prev_release == "TPD 7.0.2.0.0_86.28.0"
        assert not standby.sync_broken

    def test_columns_are_found_by_name_whatever_their_order(self) -> None:
        turned = (*MANAGER[1:], MANAGER[0])
        rows = [(*row[1:], row[0]) for row in (STANDBY, ACTIVE)]
        head = ("", "", "", "", "", "", HEAD[0])
        page = reading.upgrade_manager(manager(head, *rows, headings=turned), LABELS)
        assert [server.name for server in page.servers] == ["CMP1-SITEA", "CMP2-SITEA"]

    def test_shortened_headings_of_figure_3(self) -> None:
        short = ("Name", "Alarm S...", "Up to ...", *MANAGER[3:])
        assert (
            len(reading.upgrade_manager(manager(HEAD, STANDBY, ACTIVE, headings=short), LABELS).servers) == 2
        )

    def test_sync_broken_is_a_picture(self) -> None:
        page = reading.upgrade_manager(
            manager(HEAD, STANDBY, ACTIVE, marks={"CMP1-SITEA": "Sync Broken"}), LABELS
        )
        assert [server.sync_broken for server in page.servers] == [True, False]

    def test_unknown_cells_are_unknown_and_never_good(self) -> None:
        strange = ("CMP1-SITEA", "Fuchsia", "perhaps", "Dreaming", "", "TPD 7.0.2.0.0_86.28.0", "who knows")
        server = reading.upgrade_manager(manager(HEAD, strange, ACTIVE), LABELS).servers[0]
        assert (server.role, server.up_to_date, server.release) == (Role.UNKNOWN, UpToDate.UNKNOWN, None)
        assert (server.alarm_severity, server.operation.doing) == (Severity.UNKNOWN, Doing.UNKNOWN)

    @pytest.mark.parametrize(
        ("page", "what"),
        [
            (lambda: manager(HEAD, STANDBY), "announces 2 servers, 1 are shown"),
            (
                lambda: manager(HEAD, STANDBY, ACTIVE, ("mpe-1 (2 Servers)",)),
                "announces 2 servers, 0 are shown",
            ),
            (lambda: manager(STANDBY, ACTIVE), "above the first cluster"),
            (lambda: manager(HEAD, STANDBY, STANDBY), "stands there twice"),
            (lambda: manager(HEAD, STANDBY, ACTIVE, HEAD), "stands there twice"),
            (manager, "no servers are shown"),
            (lambda: manager(HEAD, STANDBY, ACTIVE[:5]), "a row without a cell for operation"),
            (lambda: manager(HEAD, STANDBY, ("", *ACTIVE[1:])), "an empty cell for name"),
            (lambda: manager(HEAD, STANDBY, ACTIVE, headings=MANAGER[:-1]), "no grid with the columns"),
            (lambda: manager(HEAD, headings=(*MANAGER, "Server Role")), "two columns for role"),
            (lambda: manager(HEAD, STANDBY, ACTIVE, buttons=[]), "0 buttons for Current ISO"),
            (lambda: Look.parse({"grids": []}), "no grid with the columns"),
        ],
    )
    def test_a_page_of_another_shape_is_unreadable(self, page: Callable[[], Look], what: str) -> None:
        with pytest.raises(UnreadableReply, match=what):
            reading.upgrade_manager(page(), LABELS)

    def test_two_grids_that_fit_are_unreadable(self) -> None:
        one = manager(HEAD, STANDBY, ACTIVE)
        with pytest.raises(UnreadableReply, match="2 grids"):
            reading.upgrade_manager(one.model_copy(update={"grids": one.grids * 2}), LABELS)

    def test_a_grid_in_a_dialog_is_not_the_page(self) -> None:
        one = manager(HEAD, STANDBY, ACTIVE)
        inside = one.grids[0].model_copy(update={"in_dialog": True})
        with pytest.raises(UnreadableReply, match="no grid"):
            reading.upgrade_manager(one.model_copy(update={"grids": (inside,)}), LABELS)


MAINTENANCE = (
    "Name", "Appl Type", "IP", "Server State", "Running Release", "Replication", "Upgrade Operation",
)  # fmt: skip
FORCED = (
    "cmp-1b", "CMP", "10.0.0.2", "Force Standby", "12.1.2.0.0_22.1.0", "On",
    "Completed: upgrade was completed at Aug 18, 2016 23:09:07",
)  # fmt: skip
OLD_ACTIVE = ("cmp-1a", "CMP", "10.0.0.1", "Active", "10.5.6_1.1.0", "On", "")


def maintenance(*rows: tuple[str, ...], headings: tuple[str, ...] = MAINTENANCE, **more: Any) -> Look:
    return look(headings, *rows, **more)


class TestSystemMaintenance:
    def test_reads_the_table(self) -> None:
        page = reading.overview(maintenance(HEAD, OLD_ACTIVE, FORCED), OLD)
        active, forced = page.servers
        assert (page.gui, page.current_iso) == (Gui.MAINTENANCE, "")
        assert (active.name, active.cluster, active.role) == ("cmp-1a", "CMP Site1 Cluster", Role.ACTIVE)
        assert active.release is not None and active.release.short == "10.5.6"
        assert active.operation.doing is Doing.NOTHING
        assert (forced.role, forced.operation.doing, forced.operation.percent) == (
            Role.FORCED_STANDBY, Doing.SUCCEEDED, 100,
        )  # fmt: skip
        assert {(s.prev_release, s.up_to_date, s.alarm_severity, s.sync_broken) for s in page.servers} == {
            ("", UpToDate.NOT_APPLICABLE, None, False)
        }

    @pytest.mark.parametrize(
        ("cell", "broken"),
        [("On", False), ("ON", False), ("Off", True), ("", True), ("n/a", True), ("On hold", True)],
    )
    def test_only_replication_on_is_in_sync(self, cell: str, broken: bool) -> None:
        row = (*FORCED[:5], cell, FORCED[6])
        assert reading.overview(maintenance(HEAD, OLD_ACTIVE, row), OLD).servers[1].sync_broken is broken

    def test_the_sync_broken_mark_counts_whatever_replication_says(self) -> None:
        page = maintenance(HEAD, OLD_ACTIVE, FORCED, marks={"cmp-1b": "Sync Broken"})
        assert [s.sync_broken for s in reading.overview(page, OLD).servers] == [False, True]

    @pytest.mark.parametrize(
        ("text", "doing", "backout"),
        [
            ("Upgrading: 45% (Elapsed Time: 0:12:33)", Doing.RUNNING, False),
            ("Backing out: 45% (Elapsed Time: 0:12:33)", Doing.RUNNING, True),
            ("Completed: backout was completed at Aug 18, 2016 23:09:07", Doing.SUCCEEDED, True),
            ("Error: upgrade failed at Aug 18, 2016 23:09:07", Doing.FAILED, False),
            ("something else", Doing.UNKNOWN, False),
        ],
    )
    def test_operations(self, text: str, doing: Doing, backout: bool) -> None:
        row = (*FORCED[:6], text)
        operation = reading.overview(maintenance(HEAD, OLD_ACTIVE, row), OLD).servers[1].operation
        assert (operation.doing, operation.backout) == (doing, backout)

    def test_unknown_cells_are_unknown_and_never_good(self) -> None:
        strange = ("cmp-1b", "CMP", "10.0.0.2", "Dreaming", "TPD 7.0", "perhaps", "who knows")
        server = reading.overview(maintenance(HEAD, OLD_ACTIVE, strange), OLD).servers[1]
        assert (server.role, server.release, server.sync_broken) == (Role.UNKNOWN, None, True)

    @pytest.mark.parametrize(
        ("page", "what"),
        [
            (lambda: maintenance(HEAD, FORCED), "announces 2 servers, 1 are shown"),
            (lambda: maintenance(FORCED, OLD_ACTIVE), "above the first cluster"),
            (lambda: maintenance(HEAD, FORCED, FORCED), "stands there twice"),
            (maintenance, "no servers are shown"),
            (lambda: maintenance(HEAD, OLD_ACTIVE, FORCED[:6]), "a row without a cell for operation"),
            (lambda: maintenance(HEAD, OLD_ACTIVE, FORCED, headings=MAINTENANCE[:-1]), "no grid with the columns"),
            (lambda: maintenance(HEAD, headings=(*MAINTENANCE, "Replication")), "two columns for replication"),
            (lambda: manager(HEAD, STANDBY, ACTIVE), "no grid with the columns"),
        ],
    )  # fmt: skip
    def test_a_page_of_another_shape_is_unreadable(self, page: Callable[[], Look], what: str) -> None:
        with pytest.raises(UnreadableReply, match=what):
            reading.overview(page(), OLD)

    def test_neither_family_reads_the_page_of_the_other(self) -> None:
        newer = tuple("Server Role" if name == "Server State" else name for name in MAINTENANCE)
        for page, labels in ((maintenance(HEAD, OLD_ACTIVE, FORCED), LABELS),
                             (maintenance(HEAD, OLD_ACTIVE, FORCED, headings=newer), OLD)):  # fmt: skip
            with pytest.raises(UnreadableReply, match="no grid"):
                reading.system_maintenance(page, labels)

    def test_what_there_is_not_is_said(self) -> None:
        page = manager(HEAD, STANDBY, ACTIVE)
        for read in (
            reading.upgrade_manager,
            lambda look, labels: reading.kits(look, labels, in_dialog=False),
            lambda look, labels: reading.upgrade_log(look, labels, in_dialog=False),
        ):
            with pytest.raises(UnreadableReply, match=r"the console of 10\.5/11\.5 has none"):
                read(page, OLD)  # type: ignore[operator]


def boxed(*rows: tuple[str, bool]) -> Look:
    """System Maintenance with a check box in each row, named like its cluster or server."""
    grid = {
        "headings": MAINTENANCE,
        "rows": [
            {
                "cells": {at: {"text": name if at == 0 or name.endswith(")") else "x"} for at in range(len(MAINTENANCE))},
                "boxes": [{"name": name.partition(" (")[0], "ticked": ticked, "enabled": True}],
            }
            for name, ticked in rows
        ],
    }  # fmt: skip
    return Look.parse({"grids": [grid]})


def two(*ticked: str) -> reading.Ticks:
    names = ("cmp-1 (2 Servers)", "cmp-1a", "cmp-1b", "cmp-2 (2 Servers)", "cmp-2a", "cmp-2b")
    page = boxed(*((name, name.partition(" (")[0] in ticked) for name in names))
    return reading.ticks(page, OLD, OLD.grids.system_maintenance, "System Maintenance")


class TestTicks:
    @pytest.mark.parametrize(
        ("ticked", "wanted", "right"),
        [
            (("cmp-1b",), {"cmp-1b"}, True),
            (("cmp-1a", "cmp-1b"), {"cmp-1a", "cmp-1b"}, True),
            (("cmp-1", "cmp-1a", "cmp-1b"), {"cmp-1a", "cmp-1b"}, True),
            ((), {"cmp-1b"}, False),
            (("cmp-1a",), {"cmp-1b"}, False),
            (("cmp-1a", "cmp-1b"), {"cmp-1b"}, False),
            (("cmp-1b", "cmp-2b"), {"cmp-1b"}, False),
            (("cmp-1", "cmp-1b"), {"cmp-1b"}, False),
            (("cmp-2", "cmp-1b"), {"cmp-1b"}, False),
        ],
    )
    def test_exactly_these_servers(self, ticked: tuple[str, ...], wanted: set[str], right: bool) -> None:
        assert two(*ticked).are_servers(wanted) is right

    @pytest.mark.parametrize(
        ("ticked", "right"),
        [
            (("cmp-1",), True),
            (("cmp-1", "cmp-1a", "cmp-1b"), True),
            ((), False),
            (("cmp-1a", "cmp-1b"), False),
            (("cmp-1", "cmp-1a"), False),
            (("cmp-2",), False),
            (("cmp-1", "cmp-2"), False),
            (("cmp-1", "cmp-2a", "cmp-2b"), False),
        ],
    )
    def test_exactly_this_cluster(self, ticked: tuple[str, ...], right: bool) -> None:
        assert two(*ticked).are_cluster("cmp-1") is right

    def test_a_box_that_is_neither_spoils_both(self) -> None:
        page = boxed(("cmp-1 (1 Server)", False), ("cmp-1a", True))
        strange = page.grids[0].rows[1].model_copy(
            update={"boxes": (*page.grids[0].rows[1].boxes, reading.Box(name="all", ticked=True, enabled=True))}
        )  # fmt: skip
        grid = page.grids[0].model_copy(update={"rows": (page.grids[0].rows[0], strange)})
        ticks = reading.ticks(Look(grids=(grid,)), OLD, OLD.grids.system_maintenance, "x")
        assert ticks.strange == {"all"} and not ticks.are_servers({"cmp-1a"})

    def test_a_table_that_is_not_whole_is_unreadable(self) -> None:
        with pytest.raises(UnreadableReply, match="announces 2 servers"):
            reading.ticks(
                boxed(("cmp-1 (2 Servers)", False), ("cmp-1a", True)), OLD, OLD.grids.system_maintenance, "x"
            )


DIALOGS = {
    Operation.PUSH_SCRIPTS: "Push the scripts to {}?",
    Operation.FORCE_STANDBY: "Force {} into standby?",
    Operation.CANCEL_FORCE_STANDBY: "Cancel the forced standby of {}?",
    Operation.SWITCH_FORCE_STANDBY: "Switch the forced standby of {}?",
    Operation.START_UPGRADE: "Start the upgrade of {}?",
    Operation.BACKOUT: "Back out {} to the previous release?",
}


class TestOperations:
    KNOWN = frozenset({"cmp-1", "cmp-1a", "cmp-1b", "cmp-11b", "mpe-1a"})

    @pytest.mark.parametrize("labels", [OLD, LABELS], ids=lambda labels: labels.family)
    @given(st.sampled_from(list(Operation)), st.sampled_from(list(Operation)),
           st.sets(st.sampled_from(sorted(KNOWN)), min_size=1), st.sets(st.sampled_from(sorted(KNOWN)), min_size=1))  # fmt: skip
    def test_only_the_very_operation_and_names_pass(
        self, labels: Labels, said: Operation, meant: Operation, named: set[str], wanted: set[str]
    ) -> None:
        text = f"{said} {DIALOGS[said].format(', '.join(sorted(named)))} OK Cancel"  # title, text, buttons
        try:
            reading.require_operation(text, meant, wanted, self.KNOWN, labels)
        except NotAnnounced:
            assert (said, named) != (meant, wanted)
        else:
            assert (said, named) == (meant, wanted)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Force into standby?",
            "Force cmp-1b?",
            "Force cmp-1b.example into standby?",
            "Force cmp-1b into standby and start the upgrade?",
            "Force cmp-1b of cmp-1 into standby?",
        ],
    )
    def test_anything_else_is_not_announced(self, text: str) -> None:
        with pytest.raises(NotAnnounced):
            reading.require_operation(text, Operation.FORCE_STANDBY, {"cmp-1b"}, self.KNOWN, OLD)

    def test_where_each_is_tried(self) -> None:
        assert pages_with(Operation.PUSH_SCRIPTS) == (Page.SYSTEM_MAINTENANCE, Page.ISO_MAINTENANCE)
        assert {pages_with(one) for one in set(Operation) - {Operation.PUSH_SCRIPTS}} == {
            (Page.SYSTEM_MAINTENANCE,)
        }


def test_a_look_of_another_shape_is_unreadable() -> None:
    with pytest.raises(UnreadableReply):
        Look.parse({"grids": "none"})
    with pytest.raises(UnreadableReply):
        Look.parse(None)


class TestAlarms:
    ROW = (
        "Sep 28, 2015 07:44 PM EDT",
        "Minor",
        "70503",
        "The server is in forced standby",
        "10.0.0.1",
        "mpe-1b@10.0.0.9",
    )

    def test_a_row(self) -> None:
        page = look(ALARMS, self.ROW, lines=["1 Alarm found, displaying all Alarms."])
        (alarm,) = reading.active_alarms(page, LABELS)
        assert (alarm.key, alarm.severity) == ((70503, "mpe-1b"), Severity.MINOR)
        assert alarm.occurrence == "Sep 28, 2015 07:44 PM EDT"

    def test_the_source_may_be_a_cluster(self) -> None:
        row = (*self.ROW[:5], "CMP Site1 Cluster@10.0.0.1")
        page = look(ALARMS, row, lines=["One Alarm found, displaying all Alarms."])
        assert reading.active_alarms(page, LABELS)[0].source == "CMP Site1 Cluster"

    def test_none_is_said_not_guessed(self) -> None:
        assert reading.active_alarms(look(ALARMS, lines=["Nothing found to display."]), LABELS) == ()
        assert reading.active_alarms(Look.parse({"lines": ["Nothing found to display."]}), LABELS) == ()
        with pytest.raises(UnreadableReply, match="how many"):
            reading.active_alarms(look(ALARMS), LABELS)

    def test_an_unknown_severity_stays_unknown(self) -> None:
        row = (self.ROW[0], "Purple", *self.ROW[2:])
        page = look(ALARMS, row, lines=["1 Alarm found, displaying all Alarms."])
        assert reading.active_alarms(page, LABELS)[0].severity is Severity.UNKNOWN

    @pytest.mark.parametrize(
        ("rows", "line"),
        [
            ([ROW], "2 Alarms found, displaying all Alarms."),
            ([ROW, ROW], "26 Alarms found, displaying 1 to 2."),
            ([], "1 Alarms found, displaying all Alarms."),
            ([ROW], "Nothing found to display."),
            ([(*ROW[:2], "seventy", *ROW[3:])], "1 Alarms found, displaying all Alarms."),
            ([(*ROW[:5], "mpe-1b")], "1 Alarms found, displaying all Alarms."),
            ([(*ROW[:5], "")], "1 Alarms found, displaying all Alarms."),
        ],
    )
    def test_a_list_that_may_not_be_whole_is_unreadable(self, rows: list[tuple[str, ...]], line: str) -> None:
        with pytest.raises(UnreadableReply):
            reading.active_alarms(look(ALARMS, *rows, lines=[line]), LABELS)


class TestIso:
    def test_cells(self) -> None:
        assert reading.images("", LABELS) == ()
        assert reading.images("x.iso", LABELS) == (IsoImage("x.iso", None),)
        assert reading.images("x.iso[43%]\n y.iso[100%]", LABELS) == (
            IsoImage("x.iso", 43),
            IsoImage("y.iso", 100),
        )

    @pytest.mark.parametrize(
        "cell", ["x.iso[143%]", "x.iso [43%]", "copying", "x.iso[%]", "x.iso[43%] y.iso", "n/a"]
    )
    def test_anything_else_is_unreadable(self, cell: str) -> None:
        with pytest.raises(UnreadableReply):
            reading.images(cell, LABELS)

    @given(st.text(max_size=40))
    def test_no_text_is_read_as_something_that_it_is_not(self, cell: str) -> None:
        try:
            found = reading.images(cell, LABELS)
        except UnreadableReply:
            return
        printed = "\n".join(i.file + ("" if i.percent is None else f"[{i.percent}%]") for i in found)
        spoken = "\n".join(line.strip() for line in cell.splitlines() if line.strip())
        assert printed.replace("[0", "[") == spoken.replace("[00", "[").replace("[0", "[")

    def test_rows(self) -> None:
        page = look(
            ISO, ("mpe-1 (2 Servers)",),
            ("mpe-1a", "MPE", "s", "10.0.0.1", "12.1.1.0.0_14.1.0", "mpe.iso[43%]"),
            ("mpe-1b", "MPE", "s", "10.0.0.2", "12.1.1.0.0_14.1.0", ""),
        )  # fmt: skip
        rows = reading.iso_maintenance(page, LABELS)
        assert [(row.server, row.images) for row in rows] == [
            ("mpe-1a", (IsoImage("mpe.iso", 43),)),
            ("mpe-1b", ()),
        ]


class TestOthers:
    def test_topology_marks(self) -> None:
        page = look(
            TOPOLOGY,
            ("CMP Site1 Cluster (P)", "CMP", "1", "v", "a", "1", "b", "2", "OK"),
            ("CMP Site2 Cluster (S)", "CMP", "2", "v", "c", "3", "d", "4", "OK"),
            ("mpe-1", "MPE", "1", "v", "e", "5", "", "", "OK"),
        )
        assert reading.topology(page, LABELS) == (
            TopologyRow("CMP Site1 Cluster", "P", "CMP", ("a", "b")),
            TopologyRow("CMP Site2 Cluster", "S", "CMP", ("c", "d")),
            TopologyRow("mpe-1", "", "MPE", ("e",)),
        )
        with pytest.raises(UnreadableReply):
            reading.topology(look(TOPOLOGY), LABELS)

    def test_kpi_is_a_number_or_unreadable(self) -> None:
        rows = reading.kpi_dashboard(look(KPI, ("mpe-1", "MPE", "1,604"), ("mpe-2", "MPE", "0")), LABELS)
        assert [row.tps for row in rows] == [1604.0, 0.0]
        assert rows[0].values == {"Name": "mpe-1", "Kind": "MPE", "TPS": "1,604"}
        for cell in ("", "n/a", "1,2", "12a", "-"):
            with pytest.raises(UnreadableReply):
                reading.kpi_dashboard(look(KPI, ("mpe-1", "MPE", cell)), LABELS)

    def test_a_report_without_rows_is_empty_and_one_without_columns_is_unreadable(self) -> None:
        assert reading.trending(look(("Name", "Start Time")), OLD) == ()
        assert reading.rep_stats(look(("Name", "Peer", "Status")), LABELS) == ()
        for read in (reading.trending, reading.rep_stats):
            with pytest.raises(UnreadableReply, match="no grid"):
                read(look(("Name", "Value")), OLD)
            with pytest.raises(UnreadableReply, match="no grid"):
                read(Look(), LABELS)

    def test_trending(self) -> None:
        headings = ("Name", "Start Time", "Messages In")
        rows = reading.trending(
            look(headings, ("mpe-1", "2/9/2015 9:15", "604"), ("mpe-1", "2/9/2015 9:30", "")), OLD
        )
        assert rows[0] == TrendRow(
            "mpe-1", {"Name": "mpe-1", "Start Time": "2/9/2015 9:15", "Messages In": "604"}
        )
        assert rows[1].values["Messages In"] == ""
        for row in (("", "t", "1"), ("mpe-1", "", "1"), ("mpe-1", "t")):
            with pytest.raises(UnreadableReply):
                reading.trending(look(headings, row), OLD)

    def test_rep_stats(self) -> None:
        headings = ("Name", "Peer", "Status", "Delay")
        rows = reading.rep_stats(look(headings, ("mpe-1b", "mpe-1a", "Broken", "n/a")), LABELS)
        assert rows == (RepRow("mpe-1b", "mpe-1a", "Broken",
                               {"Name": "mpe-1b", "Peer": "mpe-1a", "Status": "Broken", "Delay": "n/a"}),)  # fmt: skip
        for row in (
            ("", "mpe-1a", "OK", ""),
            ("mpe-1b", "", "OK", ""),
            ("mpe-1b", "mpe-1a", "", ""),
            ("mpe-1b", "x", "OK"),
        ):
            with pytest.raises(UnreadableReply):
                reading.rep_stats(look(headings, row), LABELS)

    def test_about(self) -> None:
        assert (
            reading.about(Look.parse({"lines": ["x", "Release 12.1.2.0.0_22.1.0"]}), LABELS).short == "12.1.2"
        )
        for lines in ([], ["Release 12.1.2.0.0_22.1.0", "Release 12.1.1.0.0_14.1.0"], ["Release notes"]):
            with pytest.raises(UnreadableReply):
                reading.about(Look.parse({"lines": lines}), LABELS)

    def facts(self, **changes: str) -> list[tuple[str, str]]:
        return list(
            {"Name": "mpe-1", "Status": "Degraded", "Version": "12.1.2.0.0_22.1.0", **changes}.items()
        )

    def test_system_tab(self) -> None:
        rows = [("mpe-1a", "Active", "12.1.2", "OK"), ("mpe-1b", "Standby", "12.1.1", "Config mismatch")]
        page = look(SERVERS, *rows, facts=self.facts())
        status, version, mismatch = reading.cluster_system(page, LABELS, "mpe-1")
        assert (status, version.short, mismatch) == ("Degraded", "12.1.2", ("mpe-1b",))

    @pytest.mark.parametrize(
        ("changes", "config"),
        [
            ({"Name": "mpe-2"}, "OK"),
            ({"Status": "Splendid"}, "OK"),
            ({"Version": "unknown"}, "OK"),
            ({}, "Config perhaps"),
            ({}, ""),
        ],
    )
    def test_a_system_tab_of_another_shape(self, changes: dict[str, str], config: str) -> None:
        page = look(SERVERS, ("mpe-1a", "Active", "12.1.2", config), facts=self.facts(**changes))
        with pytest.raises(UnreadableReply):
            reading.cluster_system(page, LABELS, "mpe-1")

    def test_counters(self) -> None:
        page = look(("Counter", "Value"), ("Current TPS", "0"), ("Messages In", "1,234,567"), heading="mpe-1")
        assert reading.cluster_reports(page, LABELS, "mpe-1") == {
            "Current TPS": 0.0,
            "Messages In": 1234567.0,
        }
        with pytest.raises(UnreadableReply):
            reading.cluster_reports(page, LABELS, "mpe-2")
        for rows in ([("Current TPS", "")], [("Current TPS", "1"), ("Current TPS", "2")], []):
            with pytest.raises(UnreadableReply):
                reading.cluster_reports(look(("Counter", "Value"), *rows, heading="mpe-1"), LABELS, "mpe-1")

    def test_upgrade_log(self) -> None:
        headings = ("ID", "Pare...", "Action Name", "Start Time", "End Time", "Durat...", "Scope", "Hostname",
                    "Result", "Mode", "Description")  # fmt: skip
        row = (
            "7",
            "6",
            "Initiate upgrade",
            "2/9/2015 9:21:54",
            "",
            "0:17:11",
            "Server",
            "chris16",
            "",
            "Automatic",
            "x",
        )
        (line,) = reading.upgrade_log(look(headings, row), LABELS, in_dialog=False)
        assert (line.id, line.parent, line.hostname, line.end, line.result) == (7, 6, "chris16", "", "")
        with pytest.raises(UnreadableReply):
            reading.upgrade_log(look(headings, ("x", *row[1:])), LABELS, in_dialog=False)


CLUSTERS = {"CMP Site1 Cluster", "CMP Site2 Cluster", "mpe-1", "mpe-11"}
ALL = {
    "mpe-1a": "mpe-1",
    "mpe-1b": "mpe-1",
    "mpe-11a": "mpe-11",
    "mpe-11b": "mpe-11",
    "CMP2-36": "CMP Site1 Cluster",
}
START = Intended(Act.INITIATE_UPGRADE, "mpe-1", "mpe-1b")
SWITCH = Intended(Act.FAILOVER_TO_NEW, "mpe-1")
CMP = Intended(Act.FAILOVER_TO_NEW, "CMP Site1 Cluster")
BACK = Intended(Act.FAILOVER_TO_OLD, "mpe-1")
BACKOUT = Intended(Act.INITIATE_BACKOUT, "mpe-1", "mpe-1b")


class TestAnnouncement:
    @pytest.mark.parametrize(
        ("text", "intended"),
        [
            (
                "Initiate upgrade CMP2-36 (next)",
                Intended(Act.INITIATE_UPGRADE, "CMP Site1 Cluster", "CMP2-36"),
            ),
            ("Initiate upgrade mpe-1b (next)", START),
            ("initiate  upgrade of server mpe-1b in cluster mpe-1. Continue?", START),
            ("Failover to new version CMP Site1 Cluster (next)", CMP),
            ("Failover to new version: cluster mpe-1. Continue?", SWITCH),
            ("Failover to old version mpe-1 (back)", BACK),
            ("Initiate backout of server mpe-1b in cluster mpe-1. Continue?", BACKOUT),
        ],
    )
    def test_the_intended_act(self, text: str, intended: Intended) -> None:
        reading.require_announced(text, intended, CLUSTERS, ALL, LABELS)

    @pytest.mark.parametrize(
        ("text", "intended"),
        [
            ("", START),
            ("Initiate upgrade", START),
            ("Initiate upgrade mpe-1a (next)", START),
            ("Initiate upgrade mpe-11b (next)", START),
            ("Initiate upgrade mpe-1b.example (next)", START),
            ("Initiate upgrade xmpe-1b (next)", START),
            ("Initiate upgrade mpe-1 (next)", START),
            ("Initiate upgrade of server mpe-1b in cluster mpe-11. Continue?", START),
            ("Initiate upgrade mpe-1b, mpe-1a", START),
            ("Initiate upgrade mpe-1b, then Failover to new version mpe-1", START),
            ("Initiate backout mpe-1b", START),
            ("Accept upgrade mpe-1b", START),
            ("Initiate upgrades mpe-1b", START),
            ("Failover to new version mpe-1", BACK),
            ("Failover to old version mpe-1", SWITCH),
            ("Failover to new version...", SWITCH),
            ("Failover to new version mpe-11", SWITCH),
            ("Failover to new version CMP Site2 Cluster", CMP),
            ("Failover to new version CMP Site1", CMP),
            ("Initiate upgrade mpe-1b", BACKOUT),
        ],
    )
    def test_anything_else_is_not_announced(self, text: str, intended: Intended) -> None:
        with pytest.raises(NotAnnounced):
            reading.require_announced(text, intended, CLUSTERS, ALL, LABELS)

    def test_an_act_on_a_server_needs_the_server(self) -> None:
        with pytest.raises(ValueError, match="server"):
            reading.require_announced("x", Intended(Act.INITIATE_UPGRADE, "mpe-1"), CLUSTERS, ALL, LABELS)

    @given(
        st.sampled_from(sorted(ALL)),
        st.sampled_from(list(Act)),
        st.sampled_from(sorted(ALL)),
        st.sampled_from(list(Act)),
    )
    def test_only_the_very_act_and_name_pass(self, said: str, act: Act, meant: str, wanted: Act) -> None:
        def target(server: str, act: Act) -> str:
            return server if act in (Act.INITIATE_UPGRADE, Act.INITIATE_BACKOUT) else ALL[server]

        intended = Intended(wanted, ALL[meant], meant if target(meant, wanted) == meant else None)
        text = f"{act} {target(said, act)} (next)"
        same = act is wanted and target(said, act) == target(meant, wanted)
        try:
            reading.require_announced(text, intended, CLUSTERS, ALL, LABELS)
        except NotAnnounced:
            assert not same
        else:
            assert same

    def test_names_in_other_dialogs(self) -> None:
        phrase = LABELS.dialogs.delete_iso
        known = set(ALL)
        reading.require_names(
            "Delete the ISO files of mpe-1a, mpe-1b?", phrase, {"mpe-1a", "mpe-1b"}, known, "x"
        )
        for text in ("Delete the ISO files of mpe-1a?", "Delete the ISO files of mpe-1a, mpe-1b, mpe-11a?",
                     "Keep the files of mpe-1a, mpe-1b?", ""):  # fmt: skip
            with pytest.raises(NotAnnounced):
                reading.require_names(text, phrase, {"mpe-1a", "mpe-1b"}, known, "x")

    def test_a_path_counts_only_as_a_whole(self) -> None:
        path = "/var/camiant/iso/cmp-12.1.2.0.0_22.1.0-x86_64.iso"
        assert reading.names_in(f"Select ISO {path}? Really.", {path}) == {path}
        assert reading.names_in(f"Select ISO {path}.old?", {path}) == set()
        assert reading.names_in(f"Select ISO /mnt{path}?", {path}) == set()


class TestLabels:
    def document(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load(FAMILIES[DEFAULT].read_text(encoding="utf-8"))
        return loaded

    def broken(self, tmp_path: Path, document: object) -> BadInput:
        file = tmp_path / "labels.yaml"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        with pytest.raises(BadInput) as error:
            load(file)
        assert all(str(file) in mistake for mistake in error.value.mistakes)
        return error.value

    def test_the_family_is_chosen_by_release(self) -> None:
        for release, name in (("12.1.1.0.0_14.1.0", "12.x"), ("12.0.0.0.0_40.3.0", "12.x"), ("10.5.6_1.1.0", "10.5/11.5"),
                              ("10.5_1", "10.5/11.5"), ("11.5.1.0.0_1.1.0", "10.5/11.5")):  # fmt: skip
            assert labels_for(Release.parse(release)).family == name
        for release in ("9.5.0", "10.4.1", "11.50.1", "13.0.0", "112.1.1"):
            with pytest.raises(UnreadableReply, match="no known family"):
                labels_for(Release.parse(release))

    def test_each_family_has_its_overview(self) -> None:
        assert (LABELS.gui, LABELS.overview) == (Gui.DIRECTOR, Page.UPGRADE_MANAGER)
        assert (OLD.gui, OLD.overview) == (Gui.MAINTENANCE, Page.SYSTEM_MAINTENANCE)
        assert OLD.place(Page.OVERVIEW) == OLD.pages.system_maintenance
        with pytest.raises(UnreadableReply, match="has none"):
            OLD.place(Page.UPGRADE_MANAGER)
        with pytest.raises(BadInput, match="name of a cluster"):
            OLD.place(Page.CLUSTER_SYSTEM)

    def test_the_families_agree_on_the_way_to_the_release(self) -> None:
        ways = {(one.login, one.pages.about, one.texts.about) for one in (LABELS, OLD)}
        assert len(ways) == 1

    def test_every_mistake_is_named_at_once(self, tmp_path: Path) -> None:
        document = self.document()
        document["buttons"]["ok"] = []
        document["texts"]["about"] = "("
        document["surplus"] = 1
        del document["login"]["user"]
        text = str(self.broken(tmp_path, document))
        assert all(place in text for place in ("buttons.ok", "texts.about", "surplus", "login.user"))

    def test_a_pattern_needs_its_groups(self, tmp_path: Path) -> None:
        document = self.document()
        document["texts"]["cluster_row"] = "^(.+)$"
        assert "name" in str(self.broken(tmp_path, document))

    def test_words_that_could_mean_two_acts_are_refused(self, tmp_path: Path) -> None:
        document = self.document()
        document["director"]["acts"]["failover_to_old"] = ["Failover"]
        assert "could announce" in str(self.broken(tmp_path, document))
        document = self.document()
        document["operations"]["force_standby"]["dialog"] = ["Force Standby"]
        assert "could announce" in str(self.broken(tmp_path, document))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="cannot be read"):
            load(tmp_path / "nothing.yaml")

    def test_the_words_cover_every_act(self) -> None:
        assert set(LABELS.upgrade_manager.words) == set(Act)
        assert set(OLD.operations.words) == set(Operation)
