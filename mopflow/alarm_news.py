"""An alarm that is unexpected, or overstays its step: people are told when that is seen first, not while it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mopflow.alarms import Judged, Standing
from mopflow.eye import Reading
from mopflow.ledger import Ledger
from mopflow.messages import Kind
from mopflow.notify import Notices

Key = tuple[int, str]  # number, source
_UNEXPLAINED = (Standing.UNEXPECTED, Standing.OVERSTAYING)


def newly(found: Iterable[Judged], known: frozenset[Key]) -> tuple[list[Judged], frozenset[Key]]:
    """Those that were not there before, each once, and what is there now. Pure.

    What cleared is forgotten: when it comes again it is new.
    """
    there = {item.alarm.key: item for item in found}
    return [item for key, item in there.items() if key not in known], frozenset(there)


def standing(snapshot: Mapping[str, Any]) -> frozenset[Key]:
    """The unexplained alarms of a picture that some run has kept (`Ledger.snapshot`)."""
    return frozenset(
        (item["number"], item["source"])
        for item in snapshot.get("alarms", ())
        if item["standing"] in _UNEXPLAINED
    )


class AlarmNews:
    """Looks at every reading of a run. What the last picture of any run shows already was told by that run."""

    def __init__(self, notices: Notices, ledger: Ledger, site: str) -> None:
        self._notices = notices
        self._ledger = ledger
        self._site = site
        self._known: frozenset[Key] = frozenset()

    def __call__(self, reading: Reading) -> None:
        """Call it before the picture of this reading is kept. Raises LedgerUnavailable."""
        new, self._known = newly(reading.unexplained(), self._known)
        if not new:
            return
        kept = self._ledger.snapshot(self._site)
        told = standing(kept[1]) if kept is not None else frozenset()
        for item in new:
            if item.alarm.key not in told:
                self._tell(item)

    def _tell(self, item: Judged) -> None:
        alarm = item.alarm
        self._notices.tell(
            Kind.ALARM,
            f"{alarm.number} on {alarm.source}",
            f"{alarm.number} {alarm.text} ({alarm.severity.word}) on {alarm.source}: {item.standing}, {item.why}",
            "see Active Alarms in the CMP. Where the alarm forbids a step, that step holds by itself; an alarm that is "
            "understood is entered under accepted_alarms in the site file, with name and reason (R15).",
        )
