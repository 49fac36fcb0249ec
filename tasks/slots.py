"""The places of rules R2, R3 and R4 as Prefect's global concurrency limits, over all runs of a site.

Every place is a lease: the ledger keeps its id, one thread renews it, and the successor of a run that died gives it
back. What Prefect forgets (a lease that ended while the machine slept, a server that was rebuilt) ends no work: the
place is taken again, and the count on the live system guards the rule meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from uuid import UUID

from mopflow.errors import LedgerUnavailable, NoSlot
from mopflow.ledger import Lease, Ledger
from mopflow.slots import Slot
from tasks.limits import Limits, ServerAway

log = logging.getLogger("mopflow.slots")

PATIENCE = 300.0  # seconds without an answer of Prefect's server until a wait is given up
ENDING = "the run is ending, no place is given out any more"
RENEW_EVERY = Limits.lease / 4
AGAIN = 2.0  # seconds until a renewal that failed is tried again


@dataclass(slots=True, eq=False)
class _Place:
    slot: Slot
    cluster: str
    lease: UUID | None  # None: lost, and not taken again yet
    depth: int = 1  # how often it was entered; 0: kept for the cluster, not entered yet
    told: bool = False  # that it is lost, or cannot be renewed


@dataclass(slots=True, eq=False)
class _Ticket:
    cluster: str
    first: bool


class PrefectSlots:
    """`mopflow.slots.Slots` over Prefect. Thread-safe; one per executor.

    ``poll``: seconds between two questions while all places are taken. ``note`` is called with a sentence for the
    record when a place was lost or found again; from the renewing thread.
    """

    def __init__(
        self,
        site: str,
        ledger: Ledger,
        executor: str,
        *,
        poll: float = 1.0,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self._site = site
        self._ledger = ledger
        self._executor = executor
        self._poll = poll
        self._note = note
        self._limits = Limits(site)
        self._changed = threading.Condition()
        self._turn = 0  # grows with everything that may let somebody in
        self._closed = False
        self._places: dict[tuple[Slot, str], _Place] = {}
        self._lines: dict[Slot, list[_Ticket]] = {slot: [] for slot in Slot}
        self._renewer = threading.Thread(target=self._renew_all, name="leases", daemon=True)

    def open(self) -> PrefectSlots:
        """Create the limits and begin to renew. Raises NoSlot when Prefect's server cannot be asked."""
        self._limits.create()
        self._renewer.start()
        return self

    def close(self) -> None:
        """Give back every place and send away everybody who waits (they get NoSlot)."""
        with self._changed:
            self._closed = True
            places = list(self._places.values())
            self._places.clear()
            self._wake()
        if self._renewer.is_alive():
            self._renewer.join(timeout=30)
        for place in places:
            self._give_back(place)
        self._limits.close()

    def __enter__(self) -> PrefectSlots:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # taking

    def take(
        self, slot: Slot, cluster: str, *, first: bool = False, waiting: Callable[[str], None] | None = None
    ) -> AbstractContextManager[None]:
        """See `mopflow.slots.Slots.take`. ``waiting`` is called at every look, also when the reason is the same."""
        return self._held(slot, cluster, first, waiting)

    @contextmanager
    def _held(
        self, slot: Slot, cluster: str, first: bool, waiting: Callable[[str], None] | None
    ) -> Iterator[None]:
        place = self._enter(slot, cluster, first, waiting)
        try:
            yield
        finally:
            self._leave(place)

    def holds(self, slot: Slot, cluster: str) -> bool:
        """Whether this executor has a place for the cluster."""
        with self._changed:
            return (slot, cluster) in self._places

    def let_go(self, cluster: str) -> None:
        """Give back what is kept for the cluster and was not entered: it turned out to need no work."""
        with self._changed:
            kept = [p for p in self._places.values() if p.cluster == cluster and p.depth == 0]
            for place in kept:
                del self._places[place.slot, place.cluster]
        for place in kept:
            self._give_back(place)

    def _enter(self, slot: Slot, cluster: str, first: bool, waiting: Callable[[str], None] | None) -> _Place:
        line = self._lines[slot]
        ticket = _Ticket(cluster, first)
        with self._changed:
            self._refuse_when_closed()
            there = self._places.get((slot, cluster))
            if there is not None:
                there.depth += 1
                return there
            ahead = len(line) if not first else sum(other.first for other in line)
            line.insert(ahead, ticket)
        answered = time.monotonic()
        try:
            while True:
                with self._changed:
                    self._refuse_when_closed()
                    turn = self._turn
                    position = line.index(ticket)
                if position == 0:
                    try:
                        place = self._try(slot, cluster)
                        if place is not None:
                            return place
                        reason = self._who_is_in(slot)
                        answered = time.monotonic()
                    except ServerAway as away:
                        reason = f"a {slot} place. {away}"
                        if time.monotonic() - answered > PATIENCE:
                            raise NoSlot(f"waited {PATIENCE:g} s for {reason}") from None
                else:
                    answered = time.monotonic()
                    reason = f"a {slot} place: {position} before it, {self._who_is_in(slot)}"
                if waiting is not None:
                    waiting(reason)
                with self._changed:
                    self._changed.wait_for(lambda turn=turn: self._turn != turn, timeout=self._poll)  # type: ignore[misc]
        finally:
            with self._changed:
                line.remove(ticket)
                self._wake()

    def _try(self, slot: Slot, cluster: str) -> _Place | None:
        lease = self._limits.take(slot)
        if lease is None:
            return None
        place = _Place(slot, cluster, lease)
        self._keep(place)
        with self._changed:
            closed = self._closed
            if not closed:
                self._places[slot, cluster] = place
        if closed:
            self._give_back(place)
            raise NoSlot(ENDING)
        return place

    def _keep(self, place: _Place) -> None:
        """Write the lease into the ledger; a place that cannot be recorded is not held."""
        assert place.lease is not None
        lease = Lease(
            str(place.lease), self._site, self._executor, place.slot.value, place.cluster, datetime.now(UTC)
        )
        try:
            self._ledger.add_lease(lease)
        except LedgerUnavailable:
            self._release(place.lease)
            raise

    def _who_is_in(self, slot: Slot) -> str:
        clusters = sorted(
            {lease.cluster for lease in self._ledger.leases(site=self._site) if lease.slot == slot}
        )
        return f"all {slot.limit} {slot} places are taken" + (f" ({', '.join(clusters)})" if clusters else "")

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise NoSlot(ENDING)

    # giving back

    def _leave(self, place: _Place) -> None:
        with self._changed:
            place.depth -= 1
            if place.depth > 0 or self._places.get((place.slot, place.cluster)) is not place:
                return
            del self._places[place.slot, place.cluster]
        self._give_back(place)

    def _give_back(self, place: _Place) -> None:
        """Never raises: what ends a place must not hide what ended the work in it."""
        if place.lease is not None:
            self._release(place.lease)
            try:
                self._ledger.release_lease(str(place.lease))
            except LedgerUnavailable as error:
                log.warning(
                    "the ledger does not know that the place of %s was given back: %s", place.cluster, error
                )
        with self._changed:
            self._wake()

    def _release(self, lease: UUID) -> None:
        for _ in range(2):
            try:
                return self._limits.give_back(lease)
            except ServerAway as away:
                why = away
        log.warning(
            "lease %s could not be given back (%s); it ends by itself within %g s", lease, why, Limits.lease
        )
        return None

    def _wake(self) -> None:
        self._turn += 1
        self._changed.notify_all()

    # after a run that died

    def free(self, lease: Lease) -> None:
        """Free the place of a dead executor in Prefect; the ledger still knows it. Raises ServerAway."""
        self._limits.give_back(UUID(lease.id))

    def give_back(self, lease: Lease) -> None:
        """Free the place of a dead executor, in the ledger too. Raises ServerAway, LedgerUnavailable."""
        self.free(lease)
        self._ledger.release_lease(lease.id)

    def take_over(self, lease: Lease) -> None:
        """The place of a dead executor becomes ours: kept for its cluster, entered at once when that asks.

        Where another run is quicker and takes the place in between, it counts as lost and is taken again as soon as
        possible: the cluster is in work in any case. Raises ServerAway, LedgerUnavailable.
        """
        slot = Slot(lease.slot)
        self.free(lease)
        with self._changed:
            known = (slot, lease.cluster) in self._places
        if not known:
            place = _Place(slot, lease.cluster, self._limits.take(slot), depth=0)
            if place.lease is not None:
                self._keep(place)
            with self._changed:
                self._places[slot, lease.cluster] = place
        # only now: had we died before, our successor would still find the cluster in flight
        self._ledger.release_lease(lease.id)

    def forget_strays(self) -> list[Slot]:
        """Empty every limit that counts more places than we hold; its slots.

        For a run that is alone on its site: a run that died between Prefect's answer and its own record left a place
        that nobody can name. Raises ServerAway, NoSlot.
        """
        mended = []
        for slot in Slot:
            with self._changed:
                ours = [p for p in self._places.values() if p.slot is slot]
            if not ours and self._limits.in_use(slot) > 0:
                self._limits.make_anew(slot)
                mended.append(slot)
        return mended

    # renewing

    def _renew_all(self) -> None:
        wait = RENEW_EVERY
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._closed, timeout=wait):
                    return
                places = list(self._places.values())
            good = [self._renew(place) for place in places]
            wait = RENEW_EVERY if all(good) else AGAIN

    def _renew(self, place: _Place) -> bool:
        """Whether the place has a lease that stands."""
        lease = place.lease
        try:
            if lease is not None and self._limits.renew(lease):
                self._tell(place, False, f"the place of {place.cluster} ({place.slot}) is renewed again")
                return True
            if not self._is_ours(place):
                return True
            new = self._limits.take(place.slot)
            if new is None:
                self._tell(
                    place,
                    True,
                    f"the place of {place.cluster} ({place.slot}) is lost and all are taken; it works on",
                )
                self._lost(place)
                return False
            return self._again(place, new)
        except (ServerAway, NoSlot, LedgerUnavailable) as error:
            self._tell(
                place,
                True,
                f"the place of {place.cluster} ({place.slot}) cannot be renewed, it works on: {error}",
            )
            return False

    def _is_ours(self, place: _Place) -> bool:
        with self._changed:
            return self._places.get((place.slot, place.cluster)) is place

    def _lost(self, place: _Place) -> None:
        old, place.lease = place.lease, None
        if old is not None:
            self._ledger.release_lease(str(old))

    def _again(self, place: _Place, new: UUID) -> bool:
        old = place.lease
        with self._changed:
            ours = self._places.get((place.slot, place.cluster)) is place
            if ours:
                place.lease = new
        if not ours:  # given back in the meantime
            self._release(new)
            return True
        self._keep(place)
        if old is not None:
            self._ledger.release_lease(str(old))
        place.told = True
        self._tell(place, False, f"the place of {place.cluster} ({place.slot}) was lost and is taken again")
        return True

    def _tell(self, place: _Place, trouble: bool, text: str) -> None:
        """Once when trouble begins, once when it is over."""
        if place.told == trouble:
            return
        place.told = trouble
        log.warning("%s", text)
        if self._note is not None:
            self._note(text)
