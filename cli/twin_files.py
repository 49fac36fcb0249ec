"""From a site file: the twin's input, its images, and the site file by which the flows find the twin."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mopflow.site import Cluster, Deadline, LabSettings, Notifications, Pace, Site
from mopflow.system import Kind

ADMUSR = "MOPFLOW_LAB_ADMUSR_PASSWORD"
ROOT = "MOPFLOW_LAB_ROOT_PASSWORD"
GUI = "MOPFLOW_LAB_GUI_PASSWORD"
OSSI = "MOPFLOW_LAB_OSSI_PASSWORD"
PMAC_GUI = "MOPFLOW_LAB_PMAC_GUI_PASSWORD"
PMAC_ADMUSR = "MOPFLOW_LAB_PMAC_ADMUSR_PASSWORD"
VARIABLES = (ADMUSR, ROOT, GUI, OSSI, PMAC_GUI, PMAC_ADMUSR)

IMAGE_SIZE = 1 << 30  # bytes of an image that no file is made for: the twin knows it by size and MD5
PMAC_NAME = "pmac-1"
POLL_FLOOR = 0.1  # real seconds
_PER_KIND = ("initiate_upgrade", "initiate_backout")


def twin_document(
    site: Site,
    seed: int,
    speed: float,
    faults: Sequence[str],
    made: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The content of twin.yaml: the site on its source release, the first server of each pair active.

    ``made``: the images of the target that were made as files here, with their MD5; the preparation brings them, and
    every server begins with an old image. None: nobody prepares anything, so the new image lies on the first server
    of each type and an old one on all others.
    """
    addresses = _addresses(site)
    lab = site.lab or LabSettings()
    have: set[str] = set()
    types: set[str] = set()
    clusters = []
    for cluster, segment in _clusters(site):
        servers = []
        for place, server in enumerate(cluster.servers):
            kind = cluster.image_type.value
            new = made is None and kind not in have
            image = site.medium(cluster.image_type).file if new else old_image(site, kind)
            have.add(kind)
            types.add(kind)
            servers.append(
                {
                    "name": server.name,
                    "address": addresses[server.name],
                    "port": 0,
                    "role": "Active" if place == 0 else "Standby",
                    "release": None,
                    "images": [image],
                }
            )
        is_cmp = cluster.kind is Kind.CMP
        clusters.append(
            {
                "name": cluster.name,
                "kind": cluster.kind.value,
                "primary": (cluster.name == site.cmp.primary.name) if is_cmp else None,
                "site": cluster.site,
                "segment": segment,
                "vip": addresses[cluster.name] if is_cmp else "127.0.0.1",
                "servers": servers,
            }
        )
    size = IMAGE_SIZE if made is None else lab.image_size
    media = [
        {
            "file": m.file,
            "type": m.type.value,
            "size": size,
            "md5": m.md5 if made is None else made[m.file],
        }
        for m in site.media
    ] + [
        {
            "file": old_image(site, kind),
            "type": kind,
            "size": size,
            "md5": hashlib.md5(old_image(site, kind).encode(), usedforsecurity=False).hexdigest(),
        }
        for kind in sorted(types)
    ]
    extra: dict[str, Any] = {"ntp": list(site.ntp)} if site.ntp else {}
    if lab.pmac or site.pmac is not None:
        host, gui = _free_addresses(addresses, 2)
        extra["pmac"] = {"name": PMAC_NAME, "address": host, "gui_address": gui}
    return {
        **extra,
        "weak_hashes": list(lab.weak_hashes),
        "source": site.source,
        "target": site.target,
        "seed": seed,
        "speed": speed,
        "gui_style": lab.gui_style,
        "credentials": {
            "admusr": {"env": ADMUSR},
            "root": {"env": ROOT},
            "gui": {"user": site.console.user, "env": GUI},
            "ossi": {"user": site.ossi.user if site.ossi is not None else "ossi", "env": OSSI},
            "pmac_gui": {"user": "guiadmin", "env": PMAC_GUI},
            "pmac_admusr": {"env": PMAC_ADMUSR},
        },
        "clusters": clusters,
        "media": media,
        "durations": {name: _duration(name, value) for name, value in lab.durations.items()},
        "faults": list(faults),
    }


def old_image(site: Site, image_type: str) -> str:
    return f"{image_type}-{site.source}-x86_64.iso"


def make_images(site: Site, folder: Path) -> dict[str, str]:
    """Make an image of each medium in ``folder``, with the md5sum.out that comes with them; MD5 by file name.

    They are sparse: the name, then nothing, up to the size that the site file gives.
    """
    size = (site.lab or LabSettings()).image_size
    folder.mkdir(parents=True)
    made = {}
    for medium in site.media:
        path = folder / medium.file
        with path.open("wb") as image:
            image.write(medium.file.encode())
            image.truncate(size)
        with path.open("rb") as image:
            made[medium.file] = hashlib.file_digest(
                image, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()
    # as Oracle delivers it, the hash touches the path (4.6.2 step 4)
    lines = [f"{md5}/home/build/build/PLATFORM-70/iso/{file}\n" for file, md5 in made.items()]
    (folder / "md5sum.out").write_text("".join(lines))
    return made


def site_document(
    site: Site,
    endpoints: Mapping[str, Any],
    speed: float,
    made: Mapping[str, str] | None = None,
    tell: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of site.yaml: the same site at the addresses of the twin, its clock ``speed`` times faster.

    Nobody of the site file is told anything in a rehearsal. ``tell``: names of environment variables with the apprise
    URLs of those who are. ``endpoints`` is the twin's endpoints.json, ``made`` as in `twin_document`: the images lie
    in the folder media beside site.yaml.
    """
    content: dict[str, Any] = site.model_dump(
        mode="json",
        exclude_none=True,
        exclude={"notifications", "ledger", "evidence", "lab", "backup_repository", "backups", "pmac"},
    )
    if made is not None:
        content["media_dir"] = "media"
        for medium in content["media"]:
            medium["md5"] = made[medium["file"]]
    content["holds"] = {"wait": site.holds.wait is True}  # a rehearsal has nobody to ask, unless it says so
    content["backup_repository"] = {"folder": "backups"}
    content["backups"] = {"server_bytes": 50_000, "system_bytes": 500}  # the twin's backups are small
    if site.lab is not None and site.lab.answers:
        content["lab"] = {"answers": dict(site.lab.answers)}
    pmac = endpoints.get("pmac")
    if pmac is not None:
        content["pmac"] = {
            "url": pmac["url"],
            "ca": "ca.pem",
            "user": "guiadmin",
            "password": {"env": PMAC_GUI},
            "server": {"name": PMAC_NAME, "address": pmac["address"], "port": pmac["port"]},
            "ssh_user": "admusr",
            "ssh_password": {"env": PMAC_ADMUSR},
        }
    content["console"] |= {"ca": "ca.pem", "password": {"env": GUI}}
    content["ssh"] = {
        "user": "admusr",
        "password": {"env": ADMUSR},
        "root_password": {"env": ROOT},
        "known_hosts": "known_hosts",
        "logins_per_hour": max(1, round(site.ssh.logins_per_hour * speed)),  # of the twin's hours
    }
    if site.ossi is not None:
        content["ossi"] = {"user": site.ossi.user, "password": {"env": OSSI}}
    for pair in content["cmp"].values():
        pair["vip"] = endpoints["gui"][pair["name"]].removeprefix("https://").rstrip("/")
        _move(pair, endpoints)
    for segment in content["segments"]:
        for cluster in segment["clusters"]:
            _move(cluster, endpoints)
    content["ledger"] = "sqlite:///ledger.db"
    content["evidence"] = "evidence"
    content["pace"] = pace_document(site.pace, speed)
    content["notifications"] = notifications_document(site.notifications, speed, tell)
    for contact in content["contacts"]:
        contact.pop("url", None)
    return content


def notifications_document(rules: Notifications, speed: float, tell: Sequence[str]) -> dict[str, Any]:
    """Who is told in a rehearsal, with every second divided by the speed."""
    seconds = {name: _shorter(getattr(rules, name), speed) for name in ("remind_after", "gather", "per")}
    return {
        "urls": [{"env": name} for name in tell],
        "kinds": {kind.value: [tag.value for tag in tags] for kind, tags in rules.kinds.items()},
        "at_most": rules.at_most,
        **seconds,
    }


def pace_document(pace: Pace, speed: float) -> dict[str, Any]:
    """Every second divided by the speed; the poll floor is one of real time."""
    content: dict[str, Any] = {}
    for name in Pace.model_fields:
        value = getattr(pace, name)
        if isinstance(value, Deadline):
            content[name] = {"usual": _shorter(value.usual, speed), "late": _shorter(value.late, speed)}
        elif name == "stable_readings":
            content[name] = value
        else:
            content[name] = POLL_FLOOR if name == "poll_floor" else _shorter(value, speed)
    return content


def _shorter(seconds: float, speed: float) -> float:
    return round(seconds / speed, 6)


def _move(cluster: dict[str, Any], endpoints: Mapping[str, Any]) -> None:
    for server in cluster["servers"]:
        there = endpoints["servers"][server["name"]]
        server["address"], server["port"] = there["address"], there["port"]


def _clusters(site: Site) -> Iterator[tuple[Cluster, str | None]]:
    for cmp_cluster in site.cmp_clusters:
        yield cmp_cluster, None
    for segment in site.segments:
        for cluster in segment.clusters:
            yield cluster, segment.name


def _addresses(site: Site) -> dict[str, str]:
    """A loopback address for every server and every VIP: the site's own where all of them are loopback."""
    wanted = {server.name: server.address for server in site.servers}
    wanted |= {c.name: c.vip.split(":")[0] for c in site.cmp_clusters}
    if all(address.startswith("127.") for address in wanted.values()):
        return wanted
    return {name: f"127.0.{3 + i // 250}.{1 + i % 250}" for i, name in enumerate(wanted)}


def _free_addresses(used: Mapping[str, str], count: int) -> list[str]:
    """Loopback addresses beside those of the site."""
    taken = set(used.values())
    prefix = next(iter(taken)).rsplit(".", 1)[0]
    free = (f"{prefix}.{n}" for n in range(254, 1, -1))
    return [address for address in free if address not in taken][:count]


def _duration(name: str, value: float | dict[str, float]) -> Any:
    """One value for all kinds is written out where the twin wants one per kind."""
    if name in _PER_KIND and not isinstance(value, dict):
        return {kind.value: value for kind in Kind}
    return value
