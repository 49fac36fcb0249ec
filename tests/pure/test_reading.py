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
from mopflow.console.labels import DEFAULT, FAMILIES, Labels, labels_for, load
from mopflow.console.protocol import Act, Intended, IsoImage, TopologyRow
from mopflow.console.reading import Look
from mopflow.errors import BadInput, NotAnnounced, UnreadableReply
from mopflow.system import Doing, Role, Severity, UpToDate

LABELS = load(FAMILIES[DEFAULT])
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
        assert labels_for("12.1.1.0.0_14.1.0").family == "12.x"
        with pytest.raises(BadInput, match="10\\.5\\.6"):
            labels_for("10.5.6_1.1.0")

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
        document["acts"]["failover_to_old"] = ["Failover"]
        assert "could announce" in str(self.broken(tmp_path, document))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="cannot be read"):
            load(tmp_path / "nothing.yaml")

    def test_the_words_cover_every_act(self) -> None:
        labels: Labels = load(FAMILIES[DEFAULT])
        assert set(labels.words) == set(Act)
