"""What rcstool answered to a check-out (4.6.5 steps 5, 8 and 11).

The only public sample is the document's own: `rcstool co FILE` prints `RCS_VERSION=1.1`. What `ci` and `unco` print is
not known, so of these only the exit status counts.
"""

from __future__ import annotations

import re

from mopflow.errors import UnreadableReply

_VERSION = re.compile(r"^RCS_VERSION=(?P<version>\d+(?:\.\d+)+)\s*$", re.MULTILINE)


def parse_version(reply: str) -> str:
    """The revision that was checked out. Raises UnreadableReply unless there is exactly one line with it."""
    found = _VERSION.findall(reply)
    if len(found) != 1:
        raise UnreadableReply("rcstool co", f"{len(found)} lines RCS_VERSION=N.N instead of one", reply)
    return str(found[0])
