"""The pages of the console: what each shows of the world, as blocks for the templates.

Names of menus, columns and fields are those of the figures and steps of E75412-01.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import quote

from lab import releases
from lab.releases import ScriptPage
from lab.state import Cluster, Kind, Role, Server, Severity
from lab.web import times
from lab.web.blocks import (
    Block,
    Cell,
    Facts,
    Grid,
    Heading,
    Item,
    Line,
    Menu,
    Page,
    Row,
    Tab,
    Tree,
    TreeEntry,
    cell,
    number,
)
from lab.world import World

_SEVERITIES = (Severity.CRITICAL, Severity.MAJOR, Severity.MINOR)
_PROGRESS = re.compile(r"^(?:\[Step \d+\]|Upgrading:|Backing out:) (\d{1,3})%")
_FAMILIES = {
    "policyserver": ("Policy Server Configuration", (Kind.MPE, Kind.MPE_LI)),
    "mra": ("MRA Configuration", (Kind.MRA,)),
}

MANAGER = (
    "Name",
    "Alarm Severity",
    "Up to Date",
    "Server Role",
    "Prev Release",
    "Running Release",
    "Upgrade Operation",
)
ISO = ("Name", "Appl Type", "Site", "IP", "Running Release", "ISO")
MAINTENANCE = (
    "Name",
    "Appl Type",
    "IP",
    "Server Role",
    "Running Release",
    "Replication",
    "Upgrade Operation",
)
OLD_MAINTENANCE = (*MAINTENANCE[:3], "Server State", *MAINTENANCE[4:])  # 10.5 and 11.5
LOG = (
    "ID", "Parent ID", "Action Name", "Start Time", "End Time", "Duration", "Scope", "Hostname", "Result", "Mode",
    "Description",
)  # fmt: skip


def find(world: World, cmp_cluster: str, key: str) -> Page | None:
    """The page whose path below /mi/ is `key`, as the VIP of `cmp_cluster` serves it; None = no such page."""
    release = world.release_of_gui(cmp_cluster)
    if key == "upgrade/manager" and not releases.has_director(release):
        return None
    if key in _PAGES:
        return _PAGES[key](world)
    if key in _BY_RELEASE:
        return _BY_RELEASE[key](world, release)
    family, _, rest = key.partition("/configuration/")
    name, _, tab = rest.rpartition("/")
    if family in _FAMILIES and tab in ("system", "reports"):
        cluster = world.clusters.get(name)
        if cluster is not None and cluster.kind in _FAMILIES[family][1]:
            return _cluster(world, family, cluster, tab)
    if key.startswith("platform/topology/"):
        chosen = world.clusters.get(key.removeprefix("platform/topology/"))
        return None if chosen is None else _topology(world, chosen)
    return None


def summary(world: World) -> str:
    """The active alarms summary in the upper right corner of every page (3.1.4.1)."""
    counts = [sum(alarm.severity is severity for alarm in world.alarms) for severity in _SEVERITIES]
    return "Active Alarms: {} critical, {} major, {} minor".format(*counts)


def iso_label(world: World) -> str:
    """What stands on the button Current ISO (3.1.3); `Install Kit` before a procedure was chosen."""
    if world.current_iso is None:
        return "Install Kit"
    return world.current_label


# --- Upgrade


def _rows(
    world: World,
    columns: int,
    cells: Callable[[Server], tuple[Cell, ...]],
    *,
    tick_servers: bool,
) -> tuple[Row, ...]:
    """A row per cluster with a row per server below it, as in Figure 1; `cells` gives all but the name."""
    rows: list[Row] = []
    for cluster in world.clusters.values():
        title = f"{cluster.name} ({len(cluster.servers)} Servers)"
        head = Cell(lines=(title,), tick=cluster.name, span=columns)
        rows.append(Row(f"cluster {cluster.name}", (head,), "cluster", cluster.name, kind=cluster.kind.value))
        for name in cluster.servers:
            server = world.servers[name]
            first = Cell(lines=(name,), tick=name if tick_servers else None, broken=not server.in_sync)
            rows.append(
                Row(
                    f"server {name}",
                    (first, *cells(server)),
                    "server",
                    cluster.name,
                    name,
                    cluster.kind.value,
                )
            )
    return tuple(rows)


def _operation(world: World, server: Server) -> Cell:
    text = world.operation_cell(server.name)
    progress = _PROGRESS.match(text)
    return Cell(lines=(text,), percent=int(progress[1]) if progress else None, look="long")


def _manager(world: World) -> Page:
    def cells(server: Server) -> tuple[Cell, ...]:
        severity = world.alarm_severity(server.name)
        return (
            cell(severity, severity),
            cell(world.up_to_date(server.name)),
            cell(world.printed_role(server.name)),
            cell(server.prev_release),
            cell(server.release),
            _operation(world, server),
        )

    rows = _rows(world, len(MANAGER), cells, tick_servers=False)
    return Page(
        "upgrade/manager",
        "Upgrade Manager",
        toolbar="manager",
        blocks=(Grid("Upgrade Manager", MANAGER, rows),),
    )


def _columns_and_filters(world: World, columns: tuple[str, ...]) -> tuple[Menu, Menu]:
    kinds = dict.fromkeys(cluster.kind.value for cluster in world.clusters.values())
    return (
        Menu("Columns", "columns", tuple(
            Item(name, str(at), "menuitemcheckbox", True) for at, name in enumerate(columns) if at
        )),
        Menu("Filters", "filters", (
            Item("All", "", "menuitemradio", True),
            *(Item(kind, kind, "menuitemradio", False) for kind in kinds),
        )),
    )  # fmt: skip


def _iso(world: World, release: str) -> Page:
    def cells(server: Server) -> tuple[Cell, ...]:
        images = tuple(
            image.name if image.percent is None else f"{image.name}[{image.percent}%]"
            for image in sorted(server.isos.values(), key=lambda image: image.name)
        )
        return (
            cell(server.kind.value),
            cell(world.cluster_of(server.name).site),
            cell(server.address),
            cell(server.release),
            Cell(lines=images or ("",), look="long"),
        )

    operations = Menu("Operations", "operations", (
        Item("Upload ISO", "upload_iso"), Item("Delete ISO", "delete_iso"), *_push_script(release, ScriptPage.ISO),
    ))  # fmt: skip
    return Page(
        "upgrade/iso",
        "ISO Maintenance",
        menus=(*_columns_and_filters(world, ISO), operations),
        blocks=(Grid("ISO Maintenance", ISO, _rows(world, len(ISO), cells, tick_servers=True)),),
    )


def _maintenance(world: World, release: str) -> Page:
    director = releases.has_director(release)
    columns, (fine, broken) = (
        (MAINTENANCE, ("OK", "Broken")) if director else (OLD_MAINTENANCE, ("On", "Off"))
    )

    def cells(server: Server) -> tuple[Cell, ...]:
        return (
            cell(server.kind.value),
            cell(server.address),
            cell(world.printed_role(server.name)),
            cell(server.release),
            cell(fine) if server.in_sync else cell(broken, "bad"),
            _operation(world, server),
        )

    by_server = () if director else (Item("Start Upgrade", "start_upgrade"), Item("Backout", "backout"))
    operations = Menu("Operations", "operations", (
        *_push_script(release, ScriptPage.MAINTENANCE),
        Item("Force Standby", "force_standby"),
        Item("Cancel Force Standby", "cancel_force_standby"),
        Item("Switch ForceStandby", "switch_force_standby"),
        *by_server,
    ))  # fmt: skip
    rows = _rows(world, len(columns), cells, tick_servers=True)
    return Page(
        "upgrade/maintenance",
        "System Maintenance",
        menus=(*_columns_and_filters(world, columns), operations),
        blocks=(Grid("System Maintenance", columns, rows),),
    )


def _push_script(release: str, page: ScriptPage) -> tuple[Item, ...]:
    return (Item("Push Script", "push_scripts"),) if releases.pushes_scripts(release, page) else ()


def upgrade_log(world: World, cluster: str) -> tuple[Block, ...]:
    """The dialog View Upgrade Log (Figure 2), oldest line first."""
    rows = []
    for entry in world.log(cluster):
        begin = times.log_time(world.wall(entry.start))
        end = "" if entry.end is None else times.log_time(world.wall(entry.end))
        lasted = times.span((world.now() if entry.end is None else entry.end) - entry.start)
        values = (begin, end, lasted, entry.scope, entry.hostname, entry.result, entry.mode)
        cells = (
            cell(entry.id),
            cell(entry.parent),
            cell(entry.name, "long"),
            *(cell(value) for value in values),
            cell(entry.description, "long"),
        )
        rows.append(Row(str(entry.id), cells))
    return (Line(f"Cluster: {cluster}"), Grid("Upgrade Log", LOG, tuple(rows), id="log-grid"))


def kits(world: World) -> tuple[Block, ...]:
    """The dialog behind Current ISO (9.1.1 step 9)."""
    rows = tuple(
        Row(
            kit.path,
            (cell(kit.label), cell(kit.release), cell(kit.path), cell(kit.description, "long")),
            selectable=True,
        )
        for kit in world.kits()
    )
    grid = Grid("Current ISO", ("Label", "Release", "File Path", "Description"), rows, id="kit-grid")
    return (grid,) if rows else (grid, Line("No upgrade procedure was found in /var/camiant/iso."))


# --- System Wide Reports


def _alarms(world: World) -> Page:
    ordered = sorted(
        world.alarms, key=lambda alarm: (_SEVERITIES.index(alarm.severity), -alarm.raised, alarm.number)
    )
    rows = []
    for alarm in ordered:
        name = alarm.cluster or world.servers[alarm.server or ""].cluster
        vip = world.clusters[name].vip
        source = (
            f"{name}@{vip}"
            if alarm.server is None
            else f"{alarm.server}@{world.servers[alarm.server].address}"
        )
        rows.append(
            Row(
                f"{alarm.number} {alarm.server or alarm.cluster}",
                (
                    cell(times.occurrence(world.wall(alarm.raised))),
                    cell(alarm.severity.value, alarm.severity.value),
                    cell(alarm.number),
                    cell(alarm.text, "long"),
                    cell(vip),
                    cell(source),
                ),
                cluster=name,
            )
        )
    n = len(rows)
    found = (
        f"{n} Alarm{'s' if n != 1 else ''} found, displaying all Alarms."
        if n
        else "Nothing found to display."
    )
    columns = ("Occurrence", "Severity", "Alarm ID", "Text", "OAM VIP", "Source")
    return Page(
        "reports/alarms", "Active Alarms", blocks=(Line(found), Grid("Active Alarms", columns, tuple(rows)))
    )


def _kpi(world: World) -> Page:
    rows = tuple(
        Row(
            row.name,
            (
                cell(row.name), cell(row.kind.value), number(row.tps), number(row.pdn_connections),
                number(row.active_subscribers), number(row.critical), number(row.major), number(row.minor),
            ),
            cluster=row.name,
        )
        for row in world.kpis()
    )  # fmt: skip
    columns = ("Name", "Kind", "TPS", "PDN Connections", "Active Subscribers", "Critical", "Major", "Minor")
    return Page(
        "reports/kpi", "KPI Dashboard", blocks=(Heading("Performance"), Grid("KPI Dashboard", columns, rows))
    )


def _trending(world: World) -> Page:
    now = world.now()
    rows = []
    for cluster in world.clusters.values():
        if cluster.kind is Kind.CMP:
            continue
        for sample in world.om_samples(cluster.name, now - 3600, now):
            begin, end = (times.log_time(world.wall(t)) for t in (sample.begin, sample.end))
            rows.append(
                Row(
                    f"{cluster.name} {begin}",
                    (cell(cluster.name), cell(begin), cell(end), number(sample.messages_in),
                     number(sample.messages_out), cell("Y" if sample.complete else "N")),
                    cluster=cluster.name,
                )
            )  # fmt: skip
    columns = ("Name", "Start Time", "End Time", "Messages In", "Messages Out", "Complete")
    return Page(
        "reports/trending",
        "Trending Reports",
        blocks=(Heading("Messages of the last hour, in intervals of 15 minutes"),
                Grid("Trending Reports", columns, tuple(rows))),
    )  # fmt: skip


def _rep_stats(world: World) -> Page:
    rows = tuple(
        Row(
            f"{row.name} {row.peer}",
            (
                cell(row.name),
                cell(row.peer),
                cell(row.status, "" if row.status == "OK" else "bad"),
                cell("n/a" if row.delay is None else f"{row.delay:.1f} s", "num"),
            ),
        )
        for row in world.rep_stats()
    )
    grid = Grid("MPE/MRA Rep Stats", ("Name", "Peer", "Status", "Delay"), rows)
    return Page("reports/repstats", "MPE/MRA Rep Stats", blocks=(grid,))


# --- Platform Setting


def _topology(world: World, chosen: Cluster | None = None) -> Page:
    def link(name: str) -> str:
        return f"/mi/platform/topology/{quote(name, safe='')}"

    shown: Iterable[Cluster] = world.clusters.values() if chosen is None else (chosen,)
    entries = [TreeEntry("All Clusters", "/mi/platform/topology", 0, chosen is None)]
    entries += [TreeEntry(c.name, link(c.name), 1, c is chosen) for c in world.clusters.values()]
    rows = []
    for cluster in shown:
        mark = {True: " (P)", False: " (S)", None: ""}[cluster.primary]
        status = world.cluster_status(cluster.name)
        servers = [value for name in cluster.servers for value in (name, world.servers[name].address)]
        rows.append(
            Row(
                cluster.name,
                (
                    cell(f"{cluster.name}{mark}"), cell(cluster.kind.value), cell(cluster.site), cell(cluster.vip),
                    *(cell(value) for value in servers), cell(status, "" if status == "OK" else "bad"),
                ),
                cluster=cluster.name,
            )
        )  # fmt: skip
    columns = (
        "Name", "Appl Type", "Site", "OAM VIP", "Server-A", "Server-A IP", "Server-B", "Server-B IP", "Status",
    )  # fmt: skip
    key = "platform/topology" if chosen is None else f"platform/topology/{chosen.name}"
    return Page(
        key,
        "Topology Settings",
        blocks=(Tree("Topology", tuple(entries)), Grid("Topology Settings", columns, tuple(rows))),
    )


# --- Policy Server and MRA


def _configuration(world: World, family: str) -> Page:
    title, kinds = _FAMILIES[family]
    rows = tuple(
        Row(
            cluster.name,
            (
                Cell(
                    lines=(cluster.name,),
                    href=f"/mi/{family}/configuration/{quote(cluster.name, safe='')}/system",
                ),
                cell(cluster.kind.value),
                cell(world.cluster_status(cluster.name)),
                cell(cluster.config_release),
            ),
            cluster=cluster.name,
        )
        for cluster in world.clusters.values()
        if cluster.kind in kinds
    )
    return Page(
        f"{family}/configuration",
        title,
        blocks=(Grid(title, ("Name", "Appl Type", "Status", "Version"), rows),),
    )


def _cluster(world: World, family: str, cluster: Cluster, tab: str) -> Page:
    at = f"/mi/{family}/configuration/{quote(cluster.name, safe='')}"
    tabs = (Tab("System", f"{at}/system", tab == "system"), Tab("Reports", f"{at}/reports", tab == "reports"))
    blocks: tuple[Block, ...]
    if tab == "system":
        rows = []
        for name in cluster.servers:
            server = world.servers[name]
            config = world.config_state(name)
            rows.append(
                Row(
                    name,
                    (
                        Cell(lines=(name,), broken=not server.in_sync),
                        cell(world.printed_role(name)),
                        cell(server.release),
                        cell(config, "" if config == "OK" else "bad"),
                    ),
                    cluster=cluster.name,
                )
            )
        facts = (
            ("Name", cluster.name),
            ("Status", world.cluster_status(cluster.name)),
            ("Version", cluster.config_release),
        )
        blocks = (Facts(facts), Grid("Servers", ("Name", "Role", "Running Release", "Config"), tuple(rows)))
    else:
        rows = [
            Row(name, (cell(name), number(value))) for name, value in world.counters(cluster.name).items()
        ]
        blocks = (Grid("Counters", ("Counter", "Value"), tuple(rows)),)
    return Page(
        f"{family}/configuration/{cluster.name}/{tab}",
        cluster.name,
        toolbar=tab,
        tabs=tabs,
        cluster=cluster.name,
        blocks=blocks,
    )


# --- the rest


def _home(world: World, release: str) -> Page:
    away = [name for name, server in world.servers.items() if server.role in (Role.OFFLINE, Role.ZOMBIE)]
    facts = (
        ("Release", release),
        ("Clusters", str(len(world.clusters))),
        ("Servers", str(len(world.servers))),
        ("Servers offline", ", ".join(away) or "none"),
    )
    return Page("home", "Policy Management", blocks=(Facts(facts),), refreshed=False)


def _about(_: World, release: str) -> Page:
    product = Heading("Oracle Communications Policy Management")
    return Page("help/about", "About", blocks=(product, Line(f"Release {release}")), refreshed=False)


_PAGES: dict[str, Callable[[World], Page]] = {
    "policyserver/configuration": lambda world: _configuration(world, "policyserver"),
    "mra/configuration": lambda world: _configuration(world, "mra"),
    "reports/alarms": _alarms,
    "reports/kpi": _kpi,
    "reports/trending": _trending,
    "reports/repstats": _rep_stats,
    "platform/topology": _topology,
    "upgrade/manager": _manager,
}
_BY_RELEASE: dict[str, Callable[[World, str], Page]] = {
    "home": _home,
    "help/about": _about,
    "upgrade/iso": _iso,
    "upgrade/maintenance": _maintenance,
}
