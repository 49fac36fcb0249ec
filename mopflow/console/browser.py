"""The console in a real Chromium: the driver `browser`.

Every reading refreshes its page first; every act is announced, ticked, read back and confirmed word by word before
the last click. Any thread may call; one thread owns the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Page as Tab
from pydantic import SecretStr

from mopflow.console import reading
from mopflow.console.clicks import Clicks
from mopflow.console.driver import Driver
from mopflow.console.gateway import Origin
from mopflow.console.labels import DEFAULT, Labels, Names, Place, family, labels_for, pages_with
from mopflow.console.protocol import (
    ClusterPage,
    Intended,
    IsoRow,
    Kit,
    KpiRow,
    LogLine,
    Operation,
    Overview,
    Page,
    RepRow,
    Shots,
    TopologyRow,
    TrendRow,
    Urgency,
)
from mopflow.console.reading import Look
from mopflow.console.session import NoEntry
from mopflow.errors import BadInput, MopflowError, NotAnnounced, UnreadableReply
from mopflow.release import Release
from mopflow.system import Alarm

T = TypeVar("T")
_DOUBT = -1  # no number of logins

_READERS: dict[Page, Callable[[Look, Labels], object]] = {
    Page.UPGRADE_MANAGER: reading.upgrade_manager,
    Page.SYSTEM_MAINTENANCE: reading.system_maintenance,
    Page.OVERVIEW: reading.overview,
    Page.ISO_MAINTENANCE: reading.iso_maintenance,
    Page.ACTIVE_ALARMS: reading.active_alarms,
    Page.TOPOLOGY: reading.topology,
    Page.KPI_DASHBOARD: reading.kpi_dashboard,
    Page.TRENDING: reading.trending,
    Page.REP_STATS: reading.rep_stats,
    Page.ABOUT: reading.about,
}


class BrowserConsole(Driver):
    """The CMP's GUI, driven through its visible names. The parameters are those of `Driver`.

    Which family of names is right is found by Help > About after each login and after each piece of work that
    failed: a switch of the active CMP server may change the GUI behind the VIP at any time.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: SecretStr,
        *,
        ca: Path | None,
        chromium: Path | None,
        refresh: float,
        deadline: float,
        login_budget: int,
    ) -> None:
        self._labels = family(DEFAULT)
        self._known_at = _DOUBT  # number of logins at which the family was found
        super().__init__(
            Origin.parse(url),
            user,
            password,
            self._labels,
            ca=ca,
            chromium=chromium,
            refresh=refresh,
            deadline=deadline,
            login_budget=login_budget,
        )
        self._clicks = Clicks(self._session, self._labels, self._owner.breathe)
        self._lists: dict[str, Place] = {}  # where a cluster was found

    # --- readings
    def about(self) -> Release:
        return self._read(Page.ABOUT.name, self._recognise)

    def overview(self) -> Overview:
        return self._page(Page.OVERVIEW, reading.overview)

    def active_alarms(self) -> tuple[Alarm, ...]:
        return self._page(Page.ACTIVE_ALARMS, reading.active_alarms)

    def topology(self) -> tuple[TopologyRow, ...]:
        return self._page(Page.TOPOLOGY, reading.topology)

    def iso_maintenance(self) -> tuple[IsoRow, ...]:
        return self._page(Page.ISO_MAINTENANCE, reading.iso_maintenance)

    def kpi_dashboard(self) -> tuple[KpiRow, ...]:
        return self._page(Page.KPI_DASHBOARD, reading.kpi_dashboard)

    def trending(self) -> tuple[TrendRow, ...]:
        return self._page(Page.TRENDING, reading.trending)

    def rep_stats(self) -> tuple[RepRow, ...]:
        return self._page(Page.REP_STATS, reading.rep_stats)

    def upgrade_log(self, cluster: str) -> tuple[LogLine, ...]:
        def work() -> tuple[LogLine, ...]:
            tab, _ = self._manager("read")
            return self._clicks.upgrade_log(tab, cluster)

        return self._read(f"log:{cluster}", work)

    def kits(self) -> tuple[Kit, ...]:
        def work() -> tuple[Kit, ...]:
            tab, _ = self._manager("read")
            found = self._clicks.open_kits(tab)
            self._clicks.leave_dialog(tab, self._labels.buttons.cancel)
            return found

        return self._read("kits", work)

    def cluster_page(self, cluster: str) -> ClusterPage:
        """Both tabs, one after the other; the counters are the newer part."""

        def work() -> ClusterPage:
            status, version, mismatch = self._on_cluster(
                cluster, Page.CLUSTER_SYSTEM, lambda look: reading.cluster_system(look, self._labels, cluster)
            )
            counters = self._on_cluster(
                cluster,
                Page.CLUSTER_REPORTS,
                lambda look: reading.cluster_reports(look, self._labels, cluster),
            )
            return ClusterPage(cluster, status, version, mismatch, counters)

        return self._read(f"cluster:{cluster}", work)

    def screenshot(self, page: Page, to: Path, cluster: str | None = None) -> Path:
        """A fresh picture. Raises BadInput when the page is that of a cluster and none is named."""

        def work() -> Path:
            return self._session.picture(self._show(page, cluster), to)

        return self._owner.submit(Urgency.READ, lambda: self._logged_in(work))

    # --- acts
    def advance(
        self, intended: Intended, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str:
        # the failover back of a rollback has no time for a second look, and nobody else waits for it
        elsewhere = None if urgency is Urgency.ROLLBACK else lambda: self._manager("read")[0]

        def open_dialog() -> Callable[[], str]:
            self._require_manager(str(intended))
            return self._clicks.advance(*self._manager("act"), intended, shots, elsewhere)

        return self._act(urgency, open_dialog)

    def operate(self, operation: Operation, names: Sequence[str], *, shots: Shots | None = None) -> str:
        def open_dialog() -> Callable[[], str]:
            pages = pages_with(operation)
            for page in pages:
                try:
                    return self._clicks.operate(self._boxes(page), page, operation, names, shots)
                except NoEntry:
                    continue  # the next page may have it
            expected = f"{operation} {', '.join(names)}"
            raise NotAnnounced(expected, f"no such entry of Operations in {' or '.join(pages)}")

        return self._act(Urgency.ACT, open_dialog)

    def select_iso(self, path: str, *, shots: Shots | None = None) -> str:
        def open_dialog() -> Callable[[], str]:
            self._require_manager(f"Select ISO {path}")
            return self._clicks.select_iso(self._manager("act")[0], path, shots)

        return self._act(Urgency.ACT, open_dialog)

    def delete_iso(self, servers: Sequence[str], *, shots: Shots | None = None) -> str:
        return self._act(
            Urgency.ACT, lambda: self._clicks.delete_iso(self._boxes(Page.ISO_MAINTENANCE), servers, shots)
        )

    def upload_iso(
        self,
        servers: Sequence[str],
        host: str,
        user: str,
        password: str,
        path: str,
        *,
        shots: Shots | None = None,
    ) -> str:
        form = {"host": host, "user": user, "path": path}

        def open_dialog() -> Callable[[], str]:
            return self._clicks.upload_iso(self._boxes(Page.ISO_MAINTENANCE), servers, form, password, shots)

        return self._act(Urgency.ACT, open_dialog)

    def reapply_configuration(
        self, cluster: str, *, shots: Shots | None = None, urgency: Urgency = Urgency.ACT
    ) -> str:
        def open_dialog() -> Callable[[], str]:
            buttons, dialogs = self._labels.buttons, self._labels.dialogs
            tab = self._cluster_tab(cluster, Page.CLUSTER_SYSTEM)
            expected = f"Reapply Configuration of {cluster}"
            return self._clicks.press(tab, buttons.reapply, dialogs.reapply, cluster, expected, shots)

        return self._act(urgency, open_dialog)

    def reset_counters(self, cluster: str, *, shots: Shots | None = None) -> str:
        def open_dialog() -> Callable[[], str]:
            buttons, dialogs = self._labels.buttons, self._labels.dialogs
            tab = self._cluster_tab(cluster, Page.CLUSTER_REPORTS)
            expected = f"Reset Counters of {cluster}"
            return self._clicks.press(
                tab, buttons.reset_counters, dialogs.reset_counters, cluster, expected, shots
            )

        return self._act(Urgency.ACT, open_dialog)

    # --- inside; on the owner's thread unless it says otherwise
    def _page(self, page: Page, parse: Callable[[Look, Labels], T]) -> T:
        """On the caller's thread."""
        return self._read(page.name, lambda: self._fresh(page, parse))

    def _logged_in(self, work: Callable[[], T]) -> T:
        """With the names of the family that is there now."""

        def informed() -> T:
            if self._known_at != self._session.logins:
                self._recognise()
            try:
                return work()
            except MopflowError:
                self._known_at = _DOUBT  # it may have met a page of the other family
                raise

        return super()._logged_in(informed)

    def _recognise(self) -> Release:
        """Help > About, and the names of the family that it tells of; the way there is the same in all of them."""
        logins = self._session.logins
        release = self._fresh(Page.ABOUT, reading.about)
        labels = labels_for(release)
        if labels is not self._labels:
            self._session.forget_ways()
            self._lists.clear()
            self._labels = labels
            self._clicks = Clicks(self._session, labels, self._owner.breathe)
        self._known_at = logins
        return release

    def _fresh(self, page: Page, parse: Callable[[Look, Labels], T], tab: str | None = None) -> T:
        """The two pages that are read all the time have tabs of their own; an act has one apart from readings."""
        labels = self._labels
        page = labels.overview if page is Page.OVERVIEW else page
        place = labels.place(page)
        often = (labels.overview, Page.ACTIVE_ALARMS)

        def route(opened: Tab) -> None:
            self._session.visit(opened, place)
            if page is Page.TOPOLOGY:
                self._session.walk(opened, [labels.all_clusters])

        name = tab or (page.name if page in often else "read")
        return self._session.fresh(name, page.name, place.heading, route, lambda look: parse(look, labels))

    def _require_manager(self, expected: str) -> None:
        if self._labels.director is None:
            raise NotAnnounced(expected, f"no Upgrade Manager: the console is that of {self._labels.family}")

    def _manager(self, tab: str) -> tuple[Tab, Overview]:
        """A tab with a fresh Upgrade Manager, apart from the one that readings refresh."""
        shown = self._fresh(Page.UPGRADE_MANAGER, reading.upgrade_manager, tab)
        return self._session.tab(tab), shown

    def _boxes(self, page: Page) -> Tab:
        """The tab of acts with a fresh maintenance page."""
        self._fresh(page, _READERS[page], "act")
        return self._session.tab("act")

    def _show(self, page: Page, cluster: str | None) -> Tab:
        """Bring a page up, whole and fresh."""
        if page not in (Page.CLUSTER_SYSTEM, Page.CLUSTER_REPORTS):
            self._fresh(page, _READERS[page], "read")
        elif cluster is None:
            raise BadInput(f"a picture of the page {page} needs the name of a cluster")
        else:
            self._cluster_tab(cluster, page, "read")
        return self._session.tab("read")

    # --- pages of clusters
    def _cluster_tab(self, cluster: str, page: Page, tab: str = "act") -> Tab:
        labels = self._labels
        if page is Page.CLUSTER_SYSTEM:
            self._on_cluster(cluster, page, lambda look: reading.cluster_system(look, labels, cluster), tab)
        else:
            self._on_cluster(cluster, page, lambda look: reading.cluster_reports(look, labels, cluster), tab)
        return self._session.tab(tab)

    def _on_cluster(self, cluster: str, page: Page, parse: Callable[[Look], T], tab: str = "read") -> T:
        tabs = self._labels.tabs
        names: Names = tabs.system if page is Page.CLUSTER_SYSTEM else tabs.reports

        def route(opened: Tab) -> None:
            # else the other tab of the same page; what stands there may also be the login form of a session long gone
            if self._session.glance(opened).heading != cluster:
                self._open_cluster(opened, cluster)
            self._session.walk(opened, [names])

        return self._session.fresh(tab, f"{page.name} {cluster}", (cluster,), route, parse)

    def _open_cluster(self, tab: Tab, cluster: str) -> None:
        """Policy Server or MRA > Configuration > the cluster (10.2 steps 1 and 5)."""
        known = self._lists.get(cluster)
        for place in [known] if known else self._labels.cluster_lists:
            self._session.visit(tab, place)
            if self._session.entry(tab, (cluster,)) is None:
                continue
            self._session.walk(tab, [(cluster,)])
            self._session.arrive(tab, (cluster,))
            self._lists[cluster] = place
            return
        self._lists.pop(cluster, None)
        ways = " or ".join(" > ".join(place.way) for place in self._labels.cluster_lists)
        raise UnreadableReply("cluster pages", f"{cluster} is not listed under {ways}", "")
