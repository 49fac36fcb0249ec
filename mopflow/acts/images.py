"""Images on servers: remove old ones, distribute the new ones, choose the upgrade kit (9.1.1/3, 5-9; 10.1.1/2; 10.2/2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from mopflow.acts import kit
from mopflow.console.protocol import IsoRow, Kit
from mopflow.errors import ActRefused, MopflowError, UnreadableReply
from mopflow.goals import begun, past
from mopflow.here import Here
from mopflow.media import UPGRADE_DIR, ImageName, ImageType
from mopflow.probes import images
from mopflow.release import Release
from mopflow.site import Cluster, Medium, Site
from mopflow.step import Deed, Finding, Guard, Question, Refusal
from mopflow.system import Stage

PARALLEL = 8  # servers asked over SSH at one time


def wanted_image(site: Site, server: str) -> str:
    """File name of the target image that belongs on this server."""
    cluster = site.cluster_of(server)
    if cluster is None:
        raise UnreadableReply("ISO Maintenance", "a server that the site file does not have", server)
    return site.medium(cluster.image_type).file


def rows_by_server(here: Here) -> dict[str, IsoRow]:
    """ISO Maintenance, one row per server of the site. Raises UnreadableReply when a server is not shown."""
    rows = {row.server: row for row in here.console.iso_maintenance()}
    for server in here.site.servers:
        if server.name not in rows:
            raise UnreadableReply("ISO Maintenance", f"no row for server {server.name}", "")
    return rows


def strange(site: Site, row: IsoRow) -> str | None:
    """Why the images of a server are not the business of steps 5 and 6 (R10), or None.

    Old images of the server's own type are removed by step 5; two images, an image of another type, and a name that
    is no Policy image are for a person: Delete ISO would take all of a server's images.
    """
    cluster = site.cluster_of(row.server)
    if cluster is None:
        return f"{row.server} is no server of the site file"
    if len(row.images) > 1:
        return f"{row.server} has {len(row.images)} images: {', '.join(i.file for i in row.images)}"
    for image in row.images:
        try:
            name = ImageName.parse(image.file)
        except UnreadableReply:
            return f"{row.server} has {image.file}, which is not the name of a Policy image"
        if name.type is not cluster.image_type:
            return f"{row.server} ({cluster.kind}) has an image of type {name.type}: {image.file}"
    return None


def old_ones(here: Here, rows: dict[str, IsoRow]) -> list[str]:
    """Servers that show an image which is not the target's."""
    return [
        server.name
        for server in here.site.servers
        if rows[server.name].images
        and rows[server.name].images[0].file != wanted_image(here.site, server.name)
    ]


def _strange_rows(here: Here, rows: dict[str, IsoRow]) -> list[str]:
    found = (strange(here.site, rows[server.name]) for server in here.site.servers)
    return [why for why in found if why is not None]


# 9.1.1/5


def only_new_ones(here: Here) -> Finding:
    """No server shows an old image: the cell is blank or has the target's image."""
    here.memo["rule"] = "R10"
    if begun(here.state):
        return past(here.state)
    rows = rows_by_server(here)
    odd = _strange_rows(here, rows)
    if odd:
        return Finding.no("; ".join(odd))
    old = old_ones(here, rows)
    if old:
        return Finding.no(f"old images on {', '.join(old)}")
    return Finding.yes("no server shows an old image")


def nothing_strange(here: Here) -> Iterable[Refusal]:
    for why in _strange_rows(here, rows_by_server(here)):
        yield Refusal("R10", why)
    yield from not_while_mixed(here)


def not_while_mixed(here: Here) -> Iterable[Refusal]:
    """Images are not touched while an action runs or a mixed version exists."""
    for state in here.states.values():
        if state.stage not in (Stage.FRESH, Stage.FORCED, Stage.DONE):
            yield Refusal("R10", f"images are not touched while {state.name} has {state.stage}")


def delete_old(here: Here) -> None:
    servers = old_ones(here, rows_by_server(here))
    here.house.acting_console(here.leg.autonomy).delete_iso(servers, shots=here.shots())


# 9.1.1/6: one server type at a time


def type_needed(image_type: ImageType) -> Question:
    def question(here: Here) -> Finding:
        if any(cluster.image_type is image_type for cluster in here.site.clusters):
            return Finding.yes(f"servers of type {image_type}")
        return Finding.no(f"the site has no server of type {image_type}")

    return question


def distributed(image_type: ImageType) -> Question:
    """Every server of the type shows exactly the target's image."""

    def question(here: Here) -> Finding:
        here.memo["rule"] = "R10"
        if begun(here.state):
            return past(here.state)
        rows = rows_by_server(here)
        odd = _strange_rows(here, rows)
        if odd:
            return Finding.no("; ".join(odd))
        missing = _missing(here, rows, image_type)
        if missing:
            return Finding.no(f"no new image yet on {', '.join(missing)}")
        partial = _partial(here, rows, image_type)
        if partial:
            return Finding.no("; ".join(partial))
        return Finding.yes(f"every {image_type} server shows the new image")

    return question


def distributing(image_type: ImageType) -> Question:
    def question(here: Here) -> Finding:
        partial = _partial(here, rows_by_server(here), image_type)
        return Finding.yes("; ".join(partial)) if partial else Finding.no("nothing is being distributed")

    return question


def _of_type(site: Site, image_type: ImageType) -> list[str]:
    return [
        name for cluster in site.clusters if cluster.image_type is image_type for name in cluster.server_names
    ]


def _missing(here: Here, rows: dict[str, IsoRow], image_type: ImageType) -> list[str]:
    return [name for name in _of_type(here.site, image_type) if not rows[name].images]


def _partial(here: Here, rows: dict[str, IsoRow], image_type: ImageType) -> list[str]:
    return [
        f"{name} {image.percent}%"
        for name in _of_type(here.site, image_type)
        for image in rows[name].images
        if image.percent is not None and image.percent < 100
    ]


def all_uploaded(here: Here, image_type: ImageType, targets: Collection[str]) -> Finding:
    """4.6.3.1: the console shows exactly the target's image, whole, on these servers."""
    rows = rows_by_server(here)
    file = here.site.medium(image_type).file
    wrong = []
    for name in targets:
        shown = rows[name].images
        if [image.file for image in shown] != [file]:
            wrong.append(f"{name} shows {', '.join(image.file for image in shown) or 'no image'}")
        elif shown[0].percent not in (None, 100):
            wrong.append(f"{name} {shown[0].percent}%")
    if wrong:
        return Finding.no("; ".join(wrong))
    return Finding.yes(f"the console shows {file} on {', '.join(targets)}")


def being_uploaded(here: Here, targets: Collection[str]) -> Finding:
    partial = [
        f"{name} {image.percent}%"
        for name, row in rows_by_server(here).items()
        if name in targets
        for image in row.images
        if image.percent is not None and image.percent < 100
    ]
    return Finding.yes("; ".join(partial)) if partial else Finding.no("nothing is being uploaded")


def upload(image_type: ImageType, targets: Collection[str] | None = None) -> Deed:
    """Upload ISO to the servers of the type that lack it (of `targets`, when given), from one that has it.

    Raises ActRefused when no server has the image (4.6.3.1 brings it to one of each type).
    """

    def deed(here: Here) -> None:
        site = here.site
        rows = rows_by_server(here)
        file = site.medium(image_type).file
        lacking = [name for name in _missing(here, rows, image_type) if targets is None or name in targets]
        holder = next(
            (
                site.server(name)
                for name in _of_type(site, image_type)
                if any(image.file == file and image.percent in (None, 100) for image in rows[name].images)
            ),
            None,
        )
        if holder is None:
            raise ActRefused(f"no {image_type} server has {file}; copy it to one of them first (4.6.3.1)")
        password = here.house.servers.password_of(holder.name)
        here.house.acting_console(here.leg.autonomy).upload_iso(
            lacking,
            holder.address,
            here.house.servers.login_user(holder.name),
            password.get_secret_value(),
            f"{UPGRADE_DIR}/{file}",
            shots=here.shots(),
        )

    return deed


# 9.1.1/7, 10.1.1/2, 10.2/2


def verified(here: Here) -> Finding:
    """9.1.1/7: the console shows the right image everywhere, and each server's own MD5 agrees (R10, R12)."""
    if begun(here.state):
        return past(here.state)
    return images_right(here, here.site.clusters)


def images_right(here: Here, clusters: Sequence[Cluster]) -> Finding:
    """Exactly one image per server, of its own type and the right checksum; upgraded servers do not need one."""
    here.memo["rule"] = "R10"
    servers = [
        server.name
        for cluster in clusters
        if here.states[cluster.name].stage in (Stage.FRESH, Stage.FORCED)
        for server in cluster.servers
    ]
    rows = rows_by_server(here)
    wrong = []
    for name in servers:
        why = strange(here.site, rows[name])
        files = [image.file for image in rows[name].images]
        if why is not None:
            wrong.append(why)
        elif files != [wanted_image(here.site, name)]:
            wrong.append(f"{name} shows {', '.join(files) or 'no image'}")
    if wrong:
        return Finding.no("; ".join(wrong))
    hashes: dict[str, str] = here.memo.setdefault("hashes", {})
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        for name, answer in zip(
            servers, pool.map(lambda n: _on_server(here, n, hashes), servers), strict=True
        ):
            if answer is not None:
                wrong.append(f"{name}: {answer}")
    if wrong:
        return Finding.no("; ".join(wrong))
    here.memo["data"] = {"md5": {name: hashes[name] for name in servers}}
    return Finding.yes(f"{len(servers)} servers have exactly their image, with the right MD5")


def _on_server(here: Here, server: str, hashes: dict[str, str]) -> str | None:
    """What the server itself says of its images, or None if all is right. Unreadable counts as wrong."""
    medium = next(m for m in here.site.media if m.file == wanted_image(here.site, server))
    try:
        files = [image.file for image in images.ask(here.house.servers, server)]
        if files != [medium.file]:
            return f"{UPGRADE_DIR} has {', '.join(files) or 'no image'}"
        if server not in hashes:
            hashes[server] = images.ask_hash(here.house.servers, server, f"{UPGRADE_DIR}/{medium.file}")
    except MopflowError as error:
        return str(error)
    if hashes[server] != medium.md5:
        found = hashes.pop(server)
        return f"{medium.file} has MD5 {found}, the site file says {medium.md5}"
    return None


def one_of_each(here: Here) -> Finding:
    """9.1.1/3: a copy of each image is on at least one server of its type."""
    rows = rows_by_server(here)
    have = {image.file for row in rows.values() for image in row.images}
    kinds = {cluster.image_type for cluster in here.site.clusters}
    missing = [m.file for m in here.site.media if m.type in kinds and m.file not in have]
    if missing:
        return Finding.no(f"no server has {', '.join(missing)}; copy it to one of its type (4.6.3.1)")
    return Finding.yes("one server of each type has the new image")


# the kit: 6.1.1/18-19, 7.1.1/18-19, 8.1.1/9-10, 9.1.1/8-9


def active_cmp(here: Here) -> str:
    state = here.states[here.site.cmp.primary.name]
    if state.active is None:
        raise UnreadableReply("Upgrade Manager", f"no active server in {state.name}", state.why)
    return state.active.name


def cmp_medium(site: Site) -> Medium:
    return site.medium(site.cmp.primary.image_type)


def kit_offered(at: Stage) -> Question:
    """The kit lies on the active primary CMP. ``at``: the stage of its cluster in which the document wants it."""

    def question(here: Here) -> Finding:
        if here.state.stage.order > at.order:
            return past(here.state)
        medium = cmp_medium(here.site)
        server = active_cmp(here)
        known = f"kit on {server}"
        if known not in here.memo and kit.is_there(here.house.servers, server, medium.file, medium.md5):
            here.memo[known] = True
        if known in here.memo:
            return Finding.yes(f"{server}: {kit.path_of(medium.file)} with the right MD5")
        return Finding.no(f"{server}: {kit.path_of(medium.file)} is not there or differs")

    return question


def offer_kit(here: Here) -> None:
    medium = cmp_medium(here.site)
    kit.offer(here.house.servers, active_cmp(here), medium.file, medium.md5)


def is_chosen(label: str, target: Release) -> bool:
    """Does the Current ISO label name the target release? Labels are cut in the document: `standard-12.1.2...`."""
    text = label.strip().rstrip(".…")
    if not text.startswith("standard-"):
        return False
    try:
        release = Release.parse(text.removeprefix("standard-").split("-")[0].rstrip("._"))
    except UnreadableReply:
        return False
    return release.same_release(target)


def kit_chosen(at: Stage) -> Question:
    """The Current ISO is the target's, and the servers of the old release are not up to date any more."""

    def question(here: Here) -> Finding:
        here.memo["rule"] = "R16"
        if here.state.stage.order > at.order:
            return past(here.state)
        label = here.reading.snapshot.current_iso
        if not label.strip():
            return Finding.unknown("no Current ISO is shown: this page does not have it")
        if not is_chosen(label, here.site.target_release):
            return Finding.no(f"the Current ISO is {label}")
        stale = [
            s.name
            for s in here.reading.snapshot.servers
            if s.release is not None
            and s.up_to_date.value == "Y"
            and not s.release.same_build(here.site.target_release)
        ]
        if stale:
            return Finding.no(
                f"the Current ISO is {label}, the column Up to Date has not changed for {', '.join(stale)}"
            )
        return Finding.yes(f"the Current ISO is {label}")

    return question


def may_choose(at: Stage) -> Guard:
    """R16: once per campaign, never while an action runs or a mixed version exists.

    In 6.1.1/19 and 7.1.1/19 the document has it in a mixed version: then the primary CMP is switched (``at``) and
    everything else is at its beginning.
    """

    def guard(here: Here) -> Iterable[Refusal]:
        primary = here.site.cmp.primary.name
        for state in here.states.values():
            if state.stage is not (at if state.name == primary else Stage.FRESH):
                yield Refusal(
                    "R16", f"choosing an ISO abandons the running procedure: {state.name} has {state.stage}"
                )
        label = here.reading.snapshot.current_iso
        if is_chosen(label, here.site.target_release):
            yield Refusal("R16", f"the Current ISO is {label} already")
        if not [k for k in here.console.kits() if _is_ours(here, k)]:
            yield Refusal(
                "R16", "the Current ISO dialog does not offer the standard kit of the target release"
            )

    return guard


def _is_ours(here: Here, offered: Kit) -> bool:
    """By exact path, release and the standard label (R16)."""
    medium = cmp_medium(here.site)
    try:
        release = Release.parse(offered.release.strip().rstrip(".…").rstrip("._"))
    except UnreadableReply:
        return False
    return (
        offered.path.strip() == kit.path_of(medium.file)
        and release.same_release(here.site.target_release)
        and offered.label.strip().startswith("standard-")
    )


def choose_kit(here: Here) -> None:
    here.house.acting_console(here.leg.autonomy).select_iso(
        kit.path_of(cmp_medium(here.site).file), shots=here.shots()
    )
