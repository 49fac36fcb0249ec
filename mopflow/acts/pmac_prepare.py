"""4.6.2/1-4: nothing wrong registered, room made, the images and md5sum.out brought to PM&C and compared."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from posixpath import basename, dirname

from mopflow.acts import pmac, pmac_add
from mopflow.acts.pmac_files import copy, remove
from mopflow.errors import ActRefused, BadInput, UnreadableReply
from mopflow.here import Here
from mopflow.media import UPGRADE_DIR, parse_md5sum
from mopflow.probes import named
from mopflow.site import Medium
from mopflow.step import Finding, Refusal

SUMS = "md5sum.out"
SUMS_ON_PMAC = "/var/camiant/tmp/md5sum.out"
ROOM, SOURCE, CHECKSUM = "pmac_room", "pmac_source", "pmac_checksum"
RESERVE = 64 << 10  # KiB that stay free beside an image
_LONGEST = 64 << 10  # bytes of an md5sum.out that can be one


# 4.6.2/1


def none_unwanted(here: Here) -> Finding:
    """No image of the target release is registered but the site's own, intact ones."""
    wrong = unwanted(here)
    if wrong:
        return Finding.no("; ".join(wrong.values()))
    found = [image.name for image in pmac.target_images(here)]
    if found:
        return Finding.yes(f"registered already, with the right MD5: {', '.join(found)}")
    return Finding.yes(f"no image of release {here.site.target_release.short} is registered")


def unwanted(here: Here) -> dict[str, str]:
    """Registered images of the target release that are not the site's or not intact, and why, by name."""
    media = {medium.file: medium for medium in here.site.media}
    registered = pmac.target_images(here)
    found = {}
    for image in registered:
        medium = media.get(image.file)
        if medium is None:
            found[image.name] = f"{image.file} is registered and is no image of the site file"
            continue
        why = pmac.unregistered(here, medium, registered)
        if why is not None:
            found[image.name] = why
    return found


def may_delete(here: Here) -> Iterable[Refusal]:
    yield from pmac.not_while_a_task_runs(here)
    yield from pmac.left_to_a_person(here, f"delete {', '.join(unwanted(here))}")


def delete_unwanted(here: Here) -> None:
    """Delete Image for each, listed first."""
    wrong = unwanted(here)
    registered = {image.name: image for image in here.house.pmac().images()}
    here.keep(
        "removed-images.txt",
        "".join(
            f"{name} | {registered[name].architecture} | {registered[name].description} | {why}\n"
            for name, why in wrong.items()
            if name in registered
        ),
    )
    for name in wrong:
        here.house.pmac().delete_image(name, shots=here.shots())


# 4.6.2/2


def room(here: Here) -> Finding:
    """At least 3.0 GB in the upload directory, else in the other one; our own images there count as free."""
    found = pmac.places(here)
    upgrade, others = found[0], found[1:]
    said = "; ".join(str(place) for place in found)
    if upgrade.in_the_end >= pmac.FREE:
        return Finding.yes(said)
    if upgrade.without_old >= pmac.FREE:
        old = ", ".join(entry.name for entry in upgrade.removable)
        return Finding.no(f"less than 3.0 GB: {said}; old images to be removed: {old}")
    for other in others:
        if other.in_the_end >= pmac.FREE:
            return Finding.yes(f"{other.folder} is used, for {said}")
    here.memo["rule"] = ROOM
    return Finding.no(f"less than 3.0 GB: {said}")


def may_make_room(here: Here) -> Iterable[Refusal]:
    yield from pmac.not_while_a_task_runs(here)
    found = pmac.places(here)
    if found[0].without_old < pmac.FREE:
        said = "; ".join(str(place) for place in found)
        yield Refusal(ROOM, f"less than 3.0 GB: {said}. Only old Policy images in {UPGRADE_DIR} are removed")


def make_room(here: Here) -> None:
    """Remove old Policy images from the upload directory, each listed with its MD5 first; nothing else."""
    remove(here, pmac.place(here, UPGRADE_DIR).removable, UPGRADE_DIR)


# 4.6.2/3


def brought(here: Here) -> Finding:
    """Every image is registered or lies whole in one of the directories."""
    missing = [medium.file for medium in to_bring(here)]
    if missing:
        return Finding.no(f"not on PM&C yet: {', '.join(missing)}")
    return Finding.yes("every image is on PM&C, with the right MD5")


def to_bring(here: Here) -> list[Medium]:
    registered, places = pmac.target_images(here), pmac.places(here)
    return [
        medium
        for medium in here.site.media
        if pmac.unregistered(here, medium, registered) is not None
        and pmac.lying(here, medium, places) is None
    ]


def may_bring(here: Here) -> Iterable[Refusal]:
    yield from pmac.not_while_a_task_runs(here)
    if here.site.media_dir is None:
        yield Refusal(SOURCE, "the site file names no media_dir, the folder here that has the images")
        return
    for medium in to_bring(here):
        path = pmac.local(here, medium.file)
        if path is None or not path.is_file():
            yield Refusal(SOURCE, f"{path} is not there; media_dir must have the images of the site file")


def bring(here: Here) -> None:
    """Copy what is missing. Where not all find room at once: file by file, each registered before the next comes."""
    for medium in to_bring(here):
        source = pmac.local(here, medium.file)
        if source is None:
            raise BadInput("media_dir: missing; it names the folder here that has the images")
        size = -(-source.stat().st_size // 1024)
        folder = _folder_for(here, size)
        if folder is None:
            pmac_add.register_what_lies(here)
            folder = _folder_for(here, size)
        if folder is None:
            said = "; ".join(str(place) for place in pmac.places(here))
            raise ActRefused(f"no room for {medium.file} ({pmac.gib(size)} GB): {said}")
        _clear(here, medium, folder)
        copy(here, source, f"{folder}/{medium.file}", medium.md5)


def _folder_for(here: Here, size: int) -> str | None:
    """Where the next image goes (`size` in KiB): the upload directory unless the other one was chosen (step 2)."""
    found = pmac.places(here)
    chosen = [place for place in found if place.in_the_end >= pmac.FREE] or found
    return next((place.folder for place in chosen if place.free >= size + RESERVE), None)


def _clear(here: Here, medium: Medium, folder: str) -> None:
    """A damaged image of the same name is in the way of the right one."""
    ours = [entry for entry in pmac.place(here, folder).ours if entry.name == medium.file]
    if ours:
        remove(here, ours, folder)


# 4.6.2/4


def checksums_agree(here: Here) -> Finding:
    """md5sum.out is on PM&C, and it, the site file and each image on PM&C say the same MD5."""
    here.memo["rule"] = CHECKSUM
    reply = here.house.servers.run(pmac.host(here), f"sudo cat {SUMS_ON_PMAC}")
    if reply.status != 0:
        return Finding.no(f"{SUMS_ON_PMAC} cannot be read: {reply.stderr.strip()}")
    wrong = _differing(here, reply.stdout)
    if wrong:
        return Finding.no("; ".join(wrong))
    registered, places = pmac.target_images(here), pmac.places(here)
    hashes = {}
    for medium in here.site.media:
        why = pmac.unregistered(here, medium, registered)
        path = pmac.lying(here, medium, places) if why is not None else None
        if why is not None and path is None:
            return Finding.no(f"{why}, and it does not lie on PM&C with the MD5 {medium.md5}")
        hashes[medium.file] = medium.md5
    here.memo["data"] = {"md5": hashes}
    return Finding.yes(f"{len(hashes)} images on PM&C have the MD5 that md5sum.out and the site file say")


def _differing(here: Here, text: str) -> list[str]:
    """What md5sum.out says otherwise than the site file. The hash may touch the path there."""
    said: dict[str, set[str]] = {}
    for path, found in named(SUMS, lambda: parse_md5sum(text)).items():
        said.setdefault(basename(path), set()).add(found)
    wrong = []
    for medium in here.site.media:
        found_for = said.get(medium.file)
        if found_for is None:
            wrong.append(f"{SUMS} does not have {medium.file}")
        elif found_for != {medium.md5}:
            wrong.append(
                f"{SUMS} says {', '.join(sorted(found_for))} for {medium.file}, the site file {medium.md5}"
            )
    return wrong


def _local_sums(here: Here) -> str:
    """The text of md5sum.out here. Raises ActRefused when it is not there or no such file."""
    path = pmac.local(here, SUMS)
    if path is None:
        raise ActRefused("the site file names no media_dir, the folder here that has md5sum.out")
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        text = content.decode("ascii")
    except OSError as error:
        raise ActRefused(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ActRefused(f"{path} is no output of md5sum") from None
    if len(content) > _LONGEST:
        raise ActRefused(f"{path} is longer than {_LONGEST} bytes, that is no md5sum.out")
    return text


def may_bring_checksums(here: Here) -> Iterable[Refusal]:
    try:
        wrong = _differing(here, _local_sums(here))
    except (ActRefused, UnreadableReply) as refused:
        wrong = [str(refused)]
    for why in wrong:
        yield Refusal(CHECKSUM, why)


def bring_checksums(here: Here) -> None:
    """To /var/camiant/tmp, a directory of the Policy application that PM&C need not have; as the document says."""
    text, path = _local_sums(here), shlex.quote(SUMS_ON_PMAC)
    here.house.servers.check(
        pmac.host(here),
        f"sudo mkdir -p {dirname(SUMS_ON_PMAC)} && printf %s {shlex.quote(text)} | sudo tee {path} > /dev/null",
    )
