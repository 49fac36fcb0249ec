"""Files that come to PM&C and go from it. Nothing but Policy images is ever removed, each listed first."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from mopflow import transfer
from mopflow.acts import pmac
from mopflow.bandwidth import MB, Bucket
from mopflow.here import Here
from mopflow.probes import images
from mopflow.progress import Progress


def copy(here: Here, source: Path, target: str, md5: str) -> None:
    """Bring one image to PM&C, within the site's bandwidth; progress stands on the board. Safe to repeat."""
    rate = here.site.images.bandwidth
    name = source.name

    def tell(progress: Progress) -> None:
        here.line.waits(f"{name}: {progress}")

    transfer.send(
        here.house.servers,
        pmac.host(here),
        transfer.Parcel(source, target, source.stat().st_size, md5),
        bucket=Bucket(None if rate is None else rate * MB),
        tell=tell,
    )


def remove(here: Here, entries: Iterable[images.Entry], folder: str) -> None:
    """Remove Policy images from a directory of PM&C, listed with size and MD5 first."""
    paths = [(f"{folder}/{entry.name}", entry.size) for entry in entries]
    lines = [f"{pmac.md5(here, path, size)}  {path}  {size} bytes\n" for path, size in paths]
    here.keep("removed-files.txt", "".join(lines))
    for path, _ in paths:
        here.house.servers.check(pmac.host(here), f"sudo rm -f {shlex.quote(path)}")
