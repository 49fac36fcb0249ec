"""The rows that only look: alarms, topology, status, release (9.1.1/1-3, 11, 13-16, 18-20; 9.1.2; 10.1.1; 10.2/1-2, 11-12)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mopflow import configuration_watch
from mopflow.acts import images
from mopflow.console.protocol import Page
from mopflow.goals import alarms_explained, begun, both_upgraded, in_doubt, not_understood, past, switched
from mopflow.here import Here
from mopflow.probes import syscheck
from mopflow.step import Finding
from mopflow.system import Kind, Stage

SIDE_BY_SIDE = 8  # servers that are asked at one time

_APPL_TYPES = {Kind.CMP: "cmp", Kind.MPE: "mpe", Kind.MPE_LI: "mpe-li", Kind.MRA: "mra"}


def picture(here: Here, page: Page, label: str) -> None:
    if label not in here.memo:
        here.console.screenshot(page, here.shots().next(label))
        here.memo[label] = True


def alarms_understood(here: Here) -> Finding:
    """9.1.1/1, 10.2/1: no alarm that nobody has understood stands; the picture is kept."""
    here.memo["rule"] = "R15"
    picture(here, Page.ACTIVE_ALARMS, "active-alarms")
    bad = not_understood(here)
    if bad:
        return Finding.no(
            "alarms that nobody has understood: "
            + "; ".join(
                f"{j.alarm.number} {j.alarm.severity.word} on {j.alarm.source}: {j.alarm.text}" for j in bad
            )
        )
    doubt = in_doubt(here.reading.judged)
    if doubt is not None:
        return doubt
    return Finding.yes(f"{len(here.reading.judged)} active alarms, all understood or expected")


def topology_agrees(here: Here) -> Finding:
    """9.1.1/2 and R17: clusters, servers, kinds and the primary/secondary marks are those of the site file."""
    here.memo["rule"] = "R17"
    picture(here, Page.TOPOLOGY, "topology")
    site = here.site
    rows = {row.cluster: row for row in here.console.topology()}
    changed = configuration_watch.look(here, rows.values())
    wrong = []
    for cluster in site.clusters:
        row = rows.pop(cluster.name, None)
        if row is None:
            wrong.append(f"the console has no cluster {cluster.name}")
            continue
        if set(row.servers) != set(cluster.server_names):
            wrong.append(
                f"{cluster.name} has {', '.join(row.servers)}, the site file {', '.join(cluster.server_names)}"
            )
        mark = "P" if cluster.name == site.cmp.primary.name else "S" if cluster.kind is Kind.CMP else ""
        if row.mark != mark:
            wrong.append(f"{cluster.name} is marked {row.mark or 'not at all'}, expected {mark or 'no mark'}")
        if _kind_word(row.appl_type) != _APPL_TYPES[cluster.kind]:
            wrong.append(f"{cluster.name} is of type {row.appl_type}, the site file says {cluster.kind}")
    wrong += [f"the site file has no cluster {name}" for name in rows]
    known = {server.name for server in site.servers}
    wrong += [
        f"the site file has no server {s.name}" for s in here.reading.snapshot.servers if s.name not in known
    ]
    also = f"; {changed}" if changed else ""
    if wrong:
        return Finding.no("; ".join(wrong) + also)
    return Finding.yes(
        f"{len(site.clusters)} clusters as in the site file, primary is {site.cmp.primary.name}{also}"
    )


def _kind_word(appl_type: str) -> str:
    """`CMP Site Cluster`, `MPE Site Cluster`, `MPE-Li`: the first word says the kind."""
    return appl_type.strip().lower().split(" ")[0] if appl_type.strip() else ""


def cmps_ready(here: Here) -> Finding:
    """9.1.1/3: CMP clusters Active/Standby on the source release, one copy of each new image there.

    Replication ON (6.1.1/6, 7.1.1/3, 8.1.1/3) shows in the missing Sync Broken mark.
    """
    if begun(here.state):
        return past(here.state)
    old_gui = here.site.source_release.has_old_gui
    for cluster in here.site.cmp_clusters:
        state = here.states[cluster.name]
        forced = old_gui and state.stage is Stage.FORCED and cluster.name == here.cluster.name
        if state.stage is not Stage.FRESH and not forced:  # 6.1.1/9 may be done already
            return Finding.no(state.why)
        if any(server.sync_broken for server in state.servers):
            here.memo["rule"] = "R9"
            return Finding.no(f"{cluster.name} shows the Sync Broken mark")
    found = images.one_of_each(here)
    if not found.is_yes:
        here.memo["rule"] = "R10"
        return found
    return Finding.yes(f"CMP clusters Active/Standby on {here.site.source_release.short}; {found.evidence}")


def servers_healthy(here: Here) -> Finding:
    """10.2/1, 9.1.1/3: syscheck on both servers finds every class OK."""
    if begun(here.state):
        return past(here.state)
    return syscheck_on(here, here.cluster.server_names)


def syscheck_on(here: Here, servers: Sequence[str]) -> Finding:
    """Does syscheck find every class OK on all of them? Several are asked side by side."""
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE, thread_name_prefix="syscheck") as pool:
        found = list(pool.map(lambda name: syscheck.ask(here.house.servers, name), servers))
    sick = [
        f"{name}: " + "; ".join(" ".join(part) for part in health.trouble)
        for name, health in zip(servers, found, strict=True)
        if not health.healthy
    ]
    if sick:
        return Finding.no("; ".join(sick))
    return Finding.yes(f"syscheck is OK on {', '.join(servers)}")


def first_is_done(here: Here) -> Finding:
    """9.1.1/11: one server on the target and Y, the other on the source and N."""
    state = here.state
    if state.stage.order > Stage.FIRST_DONE.order:
        return past(state)
    if state.stage is not Stage.FIRST_DONE or state.active is None or state.other is None:
        return Finding.no(state.why)
    cells = (state.active.up_to_date.value, state.other.up_to_date.value)
    if cells != ("N", "Y"):
        return Finding.no(f"Up to Date reads {cells[0]} and {cells[1]}, not N and Y")
    return Finding.yes(f"{state.why}; Up to Date N and Y")


def logged_in(here: Here) -> Finding:
    """9.1.1/13: the console serves the target release's GUI and takes our login."""
    if here.states[here.site.cmp.primary.name].stage.order < Stage.SWITCHED.order:
        return Finding.unknown("the primary CMP has not been switched")
    release = here.console.about()
    if release.same_build(here.site.target_release):
        return Finding.yes(f"logged in to the console of {release}")
    return Finding.no(f"the console serves {release}")


def log_in(here: Here) -> None:
    here.console.log_in()


def about_is_target(here: Here) -> Finding:
    """9.1.1/14: Help > About shows the target release."""
    release = here.console.about()
    if not release.same_build(here.site.target_release):
        return Finding.no(f"Help > About shows {release}, not {here.site.target}")
    picture(here, Page.ABOUT, "about")
    return Finding.yes(f"Help > About shows {release}")


def switched_alarms(here: Here) -> Finding:
    """9.1.1/15: 70025 may stand until all CMPs are upgraded; nothing that no row lists."""
    picture(here, Page.ACTIVE_ALARMS, "active-alarms")
    return alarms_explained(here)


def target_is_active(here: Here) -> Finding:
    """9.1.1/16: the active server runs the target, the standby the previous release (or is past that)."""
    found = switched(here)
    if found.is_yes and here.state.active is not None and here.state.active.release is not None:
        return Finding.yes(f"{here.state.active.name} is Active on {here.state.active.release}")
    return found


def secondary_waits(here: Here) -> Finding:
    """9.1.1/20: primary on the target, secondary still on the source (or past it, or not there)."""
    primary = here.states[here.site.cmp.primary.name]
    if primary.stage is not Stage.DONE:
        return Finding.no(primary.why)
    secondary = here.site.cmp.secondary
    if secondary is None:
        return Finding.yes(f"{primary.why}; the site has no secondary CMP cluster")
    state = here.states[secondary.name]
    if state.stage is Stage.ODD or state.stage.is_back:
        return Finding.no(state.why)
    return Finding.yes(f"{primary.why}; {state.why}")


def primary_is_done(here: Here) -> Finding:
    """9.1.2/1: primary completely upgraded, secondary on the source release (or past it)."""
    primary = here.states[here.site.cmp.primary.name]
    if primary.stage is not Stage.DONE:
        return Finding.no(primary.why)
    if begun(here.state):
        return past(here.state)
    if here.state.stage is not Stage.FRESH:
        return Finding.no(here.state.why)
    return Finding.yes(f"{primary.why}; {here.state.why}")


def upgrade_verified(here: Here) -> Finding:
    """9.1.1/18-19, 9.1.2/4: both servers on the target, Y, active and standby, replication done."""
    return both_upgraded(here)


def only_mixed_version(here: Here) -> Finding:
    """9.1.2/5: of the upgrade's alarms only 70500 may stand."""
    picture(here, Page.ACTIVE_ALARMS, "active-alarms")
    return alarms_explained(here)


def cmps_done(here: Here) -> Finding:
    """9.1.2/6: all CMP on the target; MPE and MRA on the source, or in their own upgrade."""
    for cluster in here.site.cmp_clusters:
        state = here.states[cluster.name]
        if state.stage is not Stage.DONE:
            return Finding.no(state.why)
    rest = [here.states[c.name] for c in here.site.traffic_clusters]
    odd = [state.why for state in rest if state.stage is Stage.ODD]
    if odd:
        return Finding.no("; ".join(odd))
    fresh = sum(state.stage is Stage.FRESH for state in rest)
    mode = (
        "mixed version" if any(state.stage is not Stage.DONE for state in rest) else "one release everywhere"
    )
    return Finding.yes(
        f"all CMP clusters run {here.site.target_release.short}; {fresh} of {len(rest)} MPE/MRA clusters are on "
        f"{here.site.source_release.short}: {mode}"
    )


def console_access(here: Here) -> Finding:
    """10.1.1/1: logged in to the console; it is the target release's (a CMP upgrade comes first, R1)."""
    release = here.console.about()
    here.memo["rule"] = "R1"
    if not release.same_build(here.site.target_release):
        return Finding.no(f"the console serves {release}; the CMP clusters are upgraded first")
    return Finding.yes(f"logged in to the console of {release}")


def segment_ready(here: Here) -> Finding:
    """10.1.1/2: CMP upgraded; every cluster Active/Standby (or known to be in its upgrade); one right image each."""
    for cluster in here.site.cmp_clusters:
        state = here.states[cluster.name]
        if state.stage is not Stage.DONE:
            here.memo["rule"] = "R1"
            return Finding.no(state.why)
    names = here.site.segment(here.scope.segment or "").clusters
    found = images.images_right(here, names)
    if not found.is_yes:
        return found
    picture(here, Page.OVERVIEW, "upgrade-manager")
    said = "; ".join(here.states[c.name].why for c in names)
    return Finding.yes(f"{said}; {found.evidence}")


def cluster_ready(here: Here) -> Finding:
    """10.2/2: source release, Active/Standby, the right image on both servers (or past that)."""
    if begun(here.state):
        return past(here.state)
    if here.state.stage is not Stage.FRESH:
        return Finding.no(here.state.why)
    found = images.images_right(here, [here.cluster])
    return Finding(found.answer, f"{here.state.why}; {found.evidence}")


def segment_done(here: Here) -> Finding:
    """10.2/11: the steps were repeated for every cluster of the segment."""
    clusters = here.site.segment(here.scope.segment or "").clusters
    left = [here.states[c.name] for c in clusters if here.states[c.name].stage is not Stage.DONE]
    if left:
        return Finding.no("; ".join(state.why for state in left))
    return Finding.yes(f"all {len(clusters)} clusters of the segment run {here.site.target_release.short}")


def never_accepted(here: Here) -> Finding:
    """10.2/12: the Accept Upgrade step is not required for 12.1.2, and is never done (R14)."""
    return Finding.yes("not required for 12.1.2: the next release's upgrade embeds it; nothing was accepted")
