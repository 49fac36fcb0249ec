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


def newly(judged: Iterable[Judged], known: frozenset[Key]) -> tuple[list[Judged], frozenset[Key]]:
    """The unexplained alarms that are not known yet, each once, and which are known from now on. Pure.

    What stands stays known, however it is judged meanwhile; what cleared is forgotten: when it comes again it is new.
    """
    there = {item.alarm.key: item for item in judged}
    found = {key: item for key, item in there.items() if item.standing in _UNEXPLAINED}
    return [item for key, item in found.items() if key not in known], (known & there.keys()) | found.keys()


def standing(snapshot: Mapping[str, Any]) -> frozenset[Key]:
    """The unexplained alarms of a picture that some run has kept (`Ledger.snapshot`)."""
    return frozenset(
        (item["number"], item["source"])
        for item in snapshot.get("alarms", ())
        if item["standing"] in _UNEXPLAINED
    )


class AlarmNews:
    """Looks at every reading of a run."""

    def __init__(self, notices: Notices, ledger: Ledger, site: str) -> None:
        self._notices = notices
        self._ledger = ledger
        self._site = site
        self._known: frozenset[Key] | None = None  # None: nothing was read yet

    def __call__(self, reading: Reading) -> None:
        """Call it before the picture of this reading is kept. Raises LedgerUnavailable."""
        if self._known is None:
            self._known = self._told()
        new, self._known = newly(reading.judged, self._known)
        if not new:
            return
        told = self._told()
        for item in new:
            if item.alarm.key not in told:
                self._tell(item)

    def _told(self) -> frozenset[Key]:
        """What the last picture shows was told by the run that has kept it."""
        kept = self._ledger.snapshot(self._site)
        return standing(kept[1]) if kept is not None else frozenset()

    def _tell(self, item: Judged) -> None:
        alarm = item.alarm
        self._notices.tell(
            Kind.ALARM,
            f"{alarm.number} on {alarm.source}",
            f"{alarm.number} {alarm.text} ({alarm.severity.word}) on {alarm.source}: {item.standing}, {item.why}",
            "see Active Alarms in the CMP. Where the alarm forbids a step, that step holds by itself; an alarm that is "
            "understood is entered under accepted_alarms in the site file, with name and reason (R15).",
        )
