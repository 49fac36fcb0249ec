"""The acts of the console in the browser: tick, announce, confirm, and what the page says then.

Until the last click everything that fails is a NothingRun. From the last click on only the page's own words count;
without them the act may have run. Everything here runs on the owner's thread.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence

from playwright.sync_api import Page as Tab

from mopflow.console import reading
from mopflow.console.hands import Hands
from mopflow.console.labels import Columns, DirectorLabels, Labels, Names, is_one_of
from mopflow.console.protocol import Act, Intended, Kit, LogLine, Operation, Overview, Page, Shots
from mopflow.console.reading import Look, Ticks
from mopflow.console.session import Session, SessionLost, exactly
from mopflow.errors import ActRefused, MayHaveRun, MopflowError, NotAnnounced, UnreadableReply

_log = logging.getLogger(__name__)
Check = Callable[[str], None]


class Clicks(Hands):
    """Acts on the pages of one session. `breathe` is called while an act waits for its answer."""

    def __init__(self, session: Session, labels: Labels, breathe: Callable[[], None]) -> None:
        super().__init__(session)
        self._labels = labels
        self._breathe = breathe

    @property
    def _director(self) -> DirectorLabels:
        """Raises UnreadableReply where there is no Upgrade Manager."""
        return self._labels.upgrade_manager

    # --- the acts
    def advance(
        self,
        tab: Tab,
        page: Overview,
        intended: Intended,
        shots: Shots | None,
        elsewhere: Callable[[], Tab] | None,
    ) -> Callable[[], str]:
        """Tick, read the announcement, open the dialog. The answer is the last click (3.1, 10.2 steps 3, 4, 7, 9).

        `elsewhere` brings up the same page afresh in another tab: what it announces must still be the same right
        before the last click, for another person may have been quicker while the dialog was open.
        """
        forward = intended.act in (Act.INITIATE_UPGRADE, Act.FAILOVER_TO_NEW)
        buttons = self._director.buttons
        names = buttons.upgrade if forward else buttons.rollback
        expected = str(intended)
        servers = {server.name: server.cluster for server in page.servers}
        clusters = set(servers.values())

        def announced(text: str) -> None:
            reading.require_announced(text, intended, clusters, servers, self._labels)

        self._tick_cluster(tab, intended.cluster, expected)
        button = self._await_announcement(tab, names, announced, intended.cluster, expected)
        self._shoot(tab, shots, f"{intended.act} announced")
        self._require_ticked_cluster(self._session.look(tab), intended.cluster, expected)
        self._click_button(tab, button)
        self._await_dialog(tab, announced, expected)

        def last() -> str:
            if elsewhere is not None:
                try:
                    other = elsewhere()
                    self._tick_cluster(other, intended.cluster, expected)
                    self._await_announcement(other, names, announced, intended.cluster, expected)
                except MopflowError:
                    self.leave_dialog(tab, self._labels.buttons.cancel)
                    raise
                self._session.to_front(tab)
            return self._confirm(tab, self._labels.buttons.ok, announced, shots, expected)

        return last

    def select_iso(self, tab: Tab, path: str, shots: Shots | None) -> Callable[[], str]:
        """Current ISO: highlight the row with exactly this path, Select (9.1.1 step 9)."""
        expected = f"Select ISO {path}"
        kits = self.open_kits(tab)
        matching = [kit for kit in kits if kit.path == path]
        if len(matching) != 1:
            shown = ", ".join(kit.path for kit in kits) or "no kits"
            self.leave_dialog(tab, self._labels.buttons.cancel)
            raise NotAnnounced(expected, shown)
        session, dialog = self._session, self._session.dialog(tab)
        with session.translated("highlight the ISO"):
            cell = dialog.get_by_role("cell", name=path, exact=True)
            cell.or_(dialog.get_by_role("gridcell", name=path, exact=True)).click()
        selected = [
            row["path"]
            for row in session.look(tab).grid(self._director.kits, "Current ISO", in_dialog=True)
            if row.row.selected
        ]
        if selected != [path]:
            self.leave_dialog(tab, self._labels.buttons.cancel)
            raise NotAnnounced(expected, f"highlighted: {', '.join(selected) or 'nothing'}")
        self._shoot(tab, shots, "ISO highlighted")
        with session.translated("click Select"):
            dialog.get_by_role("button", name=exactly(self._director.buttons.select)).click()
        known = {kit.path for kit in kits}

        def check(text: str) -> None:
            reading.require_names(text, self._director.select_iso, {path}, known, expected)

        self._await_dialog(tab, check, expected)
        return lambda: self._confirm(tab, self._labels.buttons.ok, check, shots, expected)

    def delete_iso(self, tab: Tab, servers: Sequence[str], shots: Shots | None) -> Callable[[], str]:
        """Operations > Delete ISO for exactly these servers (9.1.1 step 5)."""
        expected = f"Delete ISO of {', '.join(servers)}"
        known = self._tick_servers(tab, Page.ISO_MAINTENANCE, servers, expected).all_servers

        def check(text: str) -> None:
            reading.require_names(text, self._labels.dialogs.delete_iso, set(servers), known, expected)

        self._choose(tab, self._labels.buttons.delete_iso, check, shots, expected)
        return lambda: self._confirm(tab, self._labels.buttons.ok, check, shots, expected)

    def operate(
        self, tab: Tab, page: Page, operation: Operation, names: Sequence[str], shots: Shots | None
    ) -> Callable[[], str]:
        """An entry of Operations for exactly these servers, or this cluster (6.1.1 steps 8 to 10 and 13, 12.3.5).

        Raises NoEntry when the menu of this page has none.
        """
        expected = f"{operation} {', '.join(names)}"
        if operation is Operation.SWITCH_FORCE_STANDBY:
            shown = self._tick_boxed_cluster(tab, page, names, expected)
        else:
            shown = self._tick_servers(tab, page, names, expected)
        known = shown.all_servers | set(shown.members)

        def check(text: str) -> None:
            reading.require_operation(text, operation, set(names), known, self._labels)

        self._choose(tab, self._labels.operations.words[operation].entry, check, shots, expected)
        return lambda: self._confirm(tab, self._labels.buttons.ok, check, shots, expected)

    def upload_iso(
        self,
        tab: Tab,
        servers: Sequence[str],
        form: Mapping[str, str],
        password: str,
        shots: Shots | None,
    ) -> Callable[[], str]:
        """Operations > Upload ISO, Mode SCP (9.1.1 step 6). `form`: host, user, path. No picture of the dialog."""
        session, labels = self._session, self._labels
        session.keep_secret(password)
        expected = f"Upload ISO {form['path']} to {', '.join(servers)}"
        known = self._tick_servers(tab, Page.ISO_MAINTENANCE, servers, expected).all_servers

        def check(text: str) -> None:
            named = reading.names_in(text, known)
            if not reading.says(text, labels.dialogs.upload_iso) or not named <= set(servers):
                raise NotAnnounced(expected, text)

        self._choose(tab, labels.buttons.upload_iso, check, shots, expected)
        dialog = session.dialog(tab)
        try:
            with session.translated("fill in Upload ISO"):
                dialog.get_by_label(exactly(labels.upload.mode)).select_option(label=labels.upload.scp)
                for word, value in form.items():
                    dialog.get_by_label(exactly(getattr(labels.upload, word))).fill(value)
                dialog.get_by_label(exactly(labels.upload.password)).fill(password)
            self._require_filled(session.look(tab), form, expected)
        except (MopflowError, SessionLost):
            self.leave_dialog(tab, labels.buttons.cancel)
            raise

        def last() -> str:
            return self._confirm(tab, labels.buttons.add, check, shots, expected, picture=False)

        return last

    def press(
        self, tab: Tab, names: Names, phrase: Names, cluster: str, expected: str, shots: Shots | None
    ) -> Callable[[], str]:
        """A button (or an entry of Operations) of a cluster's page, and its dialog (10.2 steps 1, 5, 8, 10)."""
        session = self._session

        def there(look: Look) -> bool:
            if look.heading != cluster:
                raise UnreadableReply("cluster page", f"expected the page of {cluster}", look.heading)
            found = [b for b in look.buttons if not b.in_dialog and is_one_of(b.name, names)]
            menus = [b for b in look.buttons if is_one_of(b.name, self._labels.buttons.operations)]
            if not found and not menus:
                raise UnreadableReply(
                    "cluster page", f"no {names[0]}", ", ".join(b.name for b in look.buttons)
                )
            if found and not found[0].enabled:
                raise NotAnnounced(expected, f"{found[0].name} is disabled")
            return bool(found)

        direct = session.until(tab, session.settle, there)
        self._shoot(tab, shots, "before")
        session.walk(tab, [names] if direct else [self._labels.buttons.operations, names])

        def check(text: str) -> None:
            reading.require_names(text, phrase, {cluster}, set(), expected)

        self._await_dialog(tab, check, expected)
        return lambda: self._confirm(tab, self._labels.buttons.ok, check, shots, expected)

    # --- readings that need clicks
    def open_kits(self, tab: Tab) -> tuple[Kit, ...]:
        """Open the dialog behind Current ISO and read it; it stays open."""
        session = self._session
        pattern = self._director.buttons.current_iso
        named = [b.name for b in session.look(tab).buttons if not b.in_dialog and re.match(pattern, b.name)]
        if len(named) != 1:
            raise UnreadableReply(
                "Upgrade Manager", f"{len(named)} buttons for Current ISO", ", ".join(named)
            )
        self._click_button(tab, named[0])
        return session.until(tab, session.deadline, self._kits)

    def _kits(self, look: Look) -> tuple[Kit, ...]:
        return reading.kits(look, self._labels, in_dialog=True)

    def upgrade_log(self, tab: Tab, cluster: str) -> tuple[LogLine, ...]:
        """Tick the cluster, View Upgrade Log, read, Close (3.1.1)."""
        session = self._session
        self._tick_cluster(tab, cluster, f"View Upgrade Log of {cluster}")

        def enabled(look: Look) -> str:
            button = look.button(self._director.buttons.log, "Upgrade Manager")
            if not button.enabled:
                raise UnreadableReply("Upgrade Manager", f"{button.name} is disabled", "")
            return button.name

        self._click_button(tab, session.until(tab, session.settle, enabled))

        def lines(look: Look) -> tuple[LogLine, ...]:
            return reading.upgrade_log(look, self._labels, in_dialog=look.dialogs > 0)

        found = session.until(tab, session.deadline, lines)
        self.leave_dialog(tab, self._labels.buttons.close)
        return found

    def leave_dialog(self, tab: Tab, names: Names) -> None:
        """Close the open dialog without confirming it; if need be by leaving the page."""
        session = self._session
        try:
            with session.translated("close the dialog"):
                session.dialog(tab).last.get_by_role("button", name=exactly(names)).first.click()
            end = time.monotonic() + session.settle
            while session.glance(tab).dialogs:
                if time.monotonic() > end:
                    raise UnreadableReply("console page", "the dialog does not close", "")
                session.pause(tab)
        except MopflowError as error:
            _log.info("the dialog is left with its page: %s", error)
            session.go(tab, "about:blank")

    # --- ticks
    def _tick_cluster(self, tab: Tab, cluster: str, expected: str) -> None:
        session = self._session
        look = session.look(tab)
        boxes = self._manager_boxes(look)
        if cluster not in boxes:
            raise NotAnnounced(expected, f"there is no check box for {cluster}")
        for box in [box for row in look.grids for r in row.rows for box in r.boxes if box.ticked]:
            if box.name != boxes[cluster]:
                self._set(tab, box.name, False)
        self._set(tab, boxes[cluster], True)

        def ticked(look: Look) -> None:
            self._require_ticked_cluster(look, cluster, expected)

        self._patiently(tab, ticked)

    def _require_ticked_cluster(self, look: Look, cluster: str, expected: str) -> None:
        ticked = [box.name for grid in look.grids for row in grid.rows for box in row.boxes if box.ticked]
        if ticked != [self._manager_boxes(look).get(cluster)]:
            raise NotAnnounced(expected, f"ticked: {', '.join(ticked) or 'nothing'}")

    def _manager_boxes(self, look: Look) -> dict[str, str]:
        """Name of the check box by cluster."""
        boxes: dict[str, str] = {}
        for row in look.grid(self._director.columns, "Upgrade Manager"):
            head = re.match(self._labels.texts.cluster_row, row["name"])
            if head and len(row.row.boxes) == 1 and row.row.boxes[0].name:
                boxes[head["name"]] = row.row.boxes[0].name
        return boxes

    def _tick_servers(self, tab: Tab, page: Page, servers: Sequence[str], expected: str) -> Ticks:
        """Tick exactly these on a maintenance page; what was shown before."""
        wanted = set(servers)
        if not wanted:
            raise NotAnnounced(expected, "no servers are named")
        shown = self._shown(tab, page)
        if missing := wanted - shown.all_servers:
            raise NotAnnounced(expected, f"not shown: {', '.join(sorted(missing))}")
        self._untick(tab, page, wanted)
        for name in servers:
            self._set(tab, name, True)
        self._require_ticks(tab, page, lambda ticks: ticks.are_servers(wanted), expected)
        return shown

    def _tick_boxed_cluster(self, tab: Tab, page: Page, names: Sequence[str], expected: str) -> Ticks:
        """Tick exactly this cluster on a maintenance page; what was shown before."""
        if len(names) != 1:
            raise NotAnnounced(expected, f"it takes one cluster, not {len(names)}")
        (cluster,) = names
        shown = self._shown(tab, page)
        if cluster not in shown.boxes:
            raise NotAnnounced(expected, f"there is no check box for {cluster}")
        self._untick(tab, page, set())
        self._set(tab, shown.boxes[cluster], True)
        self._require_ticks(tab, page, lambda ticks: ticks.are_cluster(cluster), expected)
        return shown

    def _ticks(self, look: Look, page: Page) -> Ticks:
        grids = self._labels.grids
        columns: Columns = grids.iso_maintenance if page is Page.ISO_MAINTENANCE else grids.system_maintenance
        return reading.ticks(look, self._labels, columns, page)

    def _shown(self, tab: Tab, page: Page) -> Ticks:
        return self._session.until(tab, self._session.settle, lambda look: self._ticks(look, page))

    def _untick(self, tab: Tab, page: Page, wanted: set[str]) -> None:
        """All clusters, whose check boxes may have ticked their servers, then all servers that are not wanted."""
        shown = self._shown(tab, page)
        for cluster in shown.clusters:
            self._set(tab, shown.boxes[cluster], False)
        for server in self._shown(tab, page).servers - wanted:
            self._set(tab, server, False)

    def _require_ticks(self, tab: Tab, page: Page, right: Callable[[Ticks], bool], expected: str) -> None:
        def require(look: Look) -> None:
            ticks = self._ticks(look, page)
            if not right(ticks):
                raise NotAnnounced(expected, f"ticked: {ticks}")

        self._patiently(tab, require)

    def _set(self, tab: Tab, name: str, on: bool) -> None:
        with self._session.translated(f"{'tick' if on else 'untick'} {name}"):
            tab.get_by_role("checkbox", name=name, exact=True).set_checked(on)

    # --- announcement, dialog, answer
    def _choose(self, tab: Tab, entry: Names, check: Check, shots: Shots | None, expected: str) -> None:
        """An entry of Operations, once the ticks are set, and its dialog."""
        self._shoot(tab, shots, "servers ticked")
        self._session.walk(tab, [self._labels.buttons.operations, entry])
        self._await_dialog(tab, check, expected)

    def _await_announcement(
        self, tab: Tab, names: Names, announced: Check, cluster: str, expected: str
    ) -> str:
        """The label of the button once its hover text announces the intended act."""
        session = self._session

        def enabled(look: Look) -> reading.Button:
            self._require_ticked_cluster(look, cluster, expected)
            button = look.button(names, "Upgrade Manager")
            if not button.enabled:
                hint = f": {button.hint}" if button.hint else ""
                raise NotAnnounced(expected, f"{button.name} is disabled{hint}")
            return button

        def hovering(look: Look) -> None:
            button = enabled(look)
            announced(" ".join([button.hint, *look.tooltips]) if button.hint else " ".join(look.tooltips))

        label = ""

        def is_enabled(look: Look) -> None:
            nonlocal label
            label = enabled(look).name

        self._patiently(tab, is_enabled)
        with session.translated(f"hover over {label}"):
            tab.get_by_role("button", name=exactly([label])).hover()
        self._patiently(tab, hovering)
        return session.look(tab).button(names, "Upgrade Manager").name

    def _await_dialog(self, tab: Tab, check: Check, expected: str) -> None:
        """Wait for the dialog and check what it says; if it is not the intended one, Cancel."""
        session = self._session
        end = time.monotonic() + session.deadline
        settled: float | None = None
        try:
            while True:
                look = session.look(tab)
                self._require_no_failure(look)
                if look.dialog is not None:
                    settled = settled or time.monotonic() + session.settle / 2
                    try:
                        self._check_dialog(look, check, expected)
                    except NotAnnounced:
                        if time.monotonic() > settled:
                            raise
                    else:
                        return
                elif time.monotonic() > end:
                    raise NotAnnounced(expected, "no dialog opened")
                session.pause(tab)
        except NotAnnounced:
            self.leave_dialog(tab, self._labels.buttons.cancel)
            raise

    def _check_dialog(self, look: Look, check: Check, expected: str) -> None:
        if look.dialog is None or look.dialogs != 1:
            raise NotAnnounced(expected, f"{look.dialogs} dialogs are open")
        check(look.dialog.text)

    def _require_no_failure(self, look: Look) -> None:
        for message in look.messages:
            if re.search(self._labels.texts.failed, message.text):
                raise ActRefused(f"the console refused: {message.text}")

    def _require_filled(self, look: Look, form: Mapping[str, str], expected: str) -> None:
        upload = self._labels.upload
        wanted = [(getattr(upload, word), value) for word, value in form.items()]
        for names, value in [*wanted, (upload.mode, upload.scp)]:
            shown = [f.value for f in look.fields if f.in_dialog and is_one_of(f.name, names)]
            if shown != [value]:
                raise NotAnnounced(expected, f"{names[0]} reads {', '.join(shown) or 'nothing'}")
        secret = [f for f in look.fields if f.in_dialog and f.secret]
        if len(secret) != 1 or not secret[0].filled:
            raise NotAnnounced(expected, f"{upload.password[0]} is not filled in")

    def _confirm(
        self, tab: Tab, ok: Names, check: Check, shots: Shots | None, expected: str, *, picture: bool = True
    ) -> str:
        """The last click, and what the page says to it."""
        session = self._session
        try:
            if picture:
                self._shoot(tab, shots, "dialog")
            look = session.look(tab)
            self._check_dialog(look, check, expected)
            if not look.button(ok, "dialog", in_dialog=True).enabled:
                raise NotAnnounced(expected, f"{ok[0]} is disabled")
            if look.messages:
                raise NotAnnounced(expected, f"an older message is in the way: {look.messages[0].text}")
            button = session.dialog(tab).get_by_role("button", name=exactly(ok))
        except MopflowError:
            self.leave_dialog(tab, self._labels.buttons.cancel)
            raise
        try:
            with session.translated(f"click {ok[0]}"):
                button.click()
            said = self._await_answer(tab, expected)
        except ActRefused:
            self._shoot_after(tab, shots)
            raise
        except SessionLost:
            raise MayHaveRun(f"{expected}: the session was lost before the console answered") from None
        except MayHaveRun:
            self._shoot_after(tab, shots)
            raise
        except MopflowError as error:
            raise MayHaveRun(f"{expected}: confirmed, and then {error}") from None
        self._shoot_after(tab, shots)
        return said

    def _await_answer(self, tab: Tab, expected: str) -> str:
        """The message; a progress bar that moves buys time."""
        session, texts = self._session, self._labels.texts
        end = time.monotonic() + session.deadline
        progress: str | None = None
        while True:
            look = session.look(tab)
            self._require_no_failure(look)
            for message in look.messages:
                if re.search(texts.done, message.text):
                    return message.text
                if message.role == "alert":
                    raise MayHaveRun(f"{expected}: confirmed, and the console says: {message.text}")
            now = look.dialog.progress if look.dialog else None
            if now is not None and now != progress:
                progress, end = now, time.monotonic() + session.deadline
            if time.monotonic() > end:
                raise MayHaveRun(f"{expected}: confirmed, and no answer in {session.deadline:g} s")
            self._breathe()
            session.pause(tab)
