"""The places of R2, R3 and R4 over a real Prefect server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.context import refresh_global_settings_context

from cli.prefect_server import PrefectServer
from mopflow.errors import NoSlot
from mopflow.ledger import Executor, Ledger
from mopflow.processes import me
from mopflow.slots import Slot
from tasks.slots import PrefectSlots

pytestmark = pytest.mark.e2e


class Place:
    """One site with a ledger of its own, and executors on it."""

    def __init__(self, ledger: Ledger, site: str) -> None:
        self.ledger = ledger
        self.site = site
        self.notes: list[str] = []
        self._stack = ExitStack()

    def executor(self, scope: str = "segment-1") -> Executor:
        mark = me()
        campaign = self.ledger.campaign(self.site, "12.1.1.0.0_1", "12.1.2.0.0_2", None)
        return self.ledger.register(
            campaign, self.site, "upgrade-segment", scope, mark.host, mark.pid, mark.born
        )

    def slots(self) -> PrefectSlots:
        made = PrefectSlots(self.site, self.ledger, self.executor().id, poll=0.1, note=self.notes.append)
        return self._stack.enter_context(made)

    @property
    def last_note(self) -> str:
        return self.notes[-1] if self.notes else ""

    def in_use(self, slot: Slot) -> int:
        with get_client(sync_client=True) as client:
            return client.read_global_concurrency_limit_by_name(f"mopflow-{self.site}-{slot}").active_slots

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def place(tmp_path: Path, in_prefect: PrefectServer) -> Iterator[Place]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        here = Place(ledger, f"site{tmp_path.name[-1]}{abs(hash(tmp_path)) % 10**8}")
        yield here
        here.close()


class Worker:
    """Takes a place in a thread and keeps it until it is told to leave."""

    def __init__(self, slots: PrefectSlots, slot: Slot, cluster: str, *, first: bool = False) -> None:
        self.cluster = cluster
        self.inside = threading.Event()
        self.waits = threading.Event()
        self.leave = threading.Event()
        self.reasons: list[str] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._work, args=(slots, slot, first), daemon=True)
        self._thread.start()

    def _work(self, slots: PrefectSlots, slot: Slot, first: bool) -> None:
        def waiting(reason: str) -> None:
            self.reasons.append(reason)
            self.waits.set()

        try:
            with slots.take(slot, self.cluster, first=first, waiting=waiting):
                self.inside.set()
                self.leave.wait(60)
        except Exception as error:  # noqa: BLE001  the test looks at it
            self.error = error

    def done(self) -> None:
        self.leave.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def within(condition: Callable[[], bool], what: str, patience: float = 60) -> None:
    pause = threading.Event()
    for _ in range(int(patience / 0.1)):
        if condition():
            return
        pause.wait(0.1)
    pytest.fail(f"{what} did not come about within {patience} s")


def test_four_clusters_at_one_time_and_the_fifth_waits_for_one_of_them(place: Place) -> None:
    slots = place.slots()
    four = [Worker(slots, Slot.CLUSTER, f"mpe-{n}") for n in range(1, 5)]
    for worker in four:
        assert worker.inside.wait(60), worker.reasons
    assert place.in_use(Slot.CLUSTER) == 4
    fifth = Worker(slots, Slot.CLUSTER, "mpe-5")
    assert fifth.waits.wait(60)
    assert "mpe-1, mpe-2, mpe-3, mpe-4" in fifth.reasons[0]
    assert not fifth.inside.is_set()
    four[2].done()
    assert fifth.inside.wait(60)
    for worker in (*four, fifth):
        worker.done()
    assert place.in_use(Slot.CLUSTER) == 0
    assert place.ledger.leases(site=place.site) == []
    assert len(place.ledger.leases(site=place.site, open_only=False)) == 5


def test_the_limit_holds_over_two_executors(place: Place) -> None:
    one, two = place.slots(), place.slots()
    with one.take(Slot.FAILOVER, "mpe-1"):
        other = Worker(two, Slot.FAILOVER, "mpe-2")
        assert other.waits.wait(60)
        assert not other.inside.is_set()
    assert other.inside.wait(60)
    other.done()


def test_first_goes_before_all_who_wait_and_the_others_keep_their_order(place: Place) -> None:
    slots = place.slots()
    order: list[str] = []

    def queue(cluster: str, first: bool) -> threading.Thread:
        seen = threading.Event()

        def work() -> None:
            with slots.take(Slot.FAILOVER, cluster, first=first, waiting=lambda _: seen.set()):
                order.append(cluster)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert seen.wait(60)
        return thread

    with slots.take(Slot.FAILOVER, "mpe-1"):
        threads = [queue("mpe-2", False), queue("mpe-3", False), queue("mra-1", True), queue("mra-2", True)]
    for thread in threads:
        thread.join(60)
    assert order == ["mra-1", "mra-2", "mpe-2", "mpe-3"]


def test_a_place_that_the_cluster_has_is_entered_again_and_given_back_once(place: Place) -> None:
    slots = place.slots()
    with slots.take(Slot.FAILOVER, "mpe-1"):
        with slots.take(Slot.FAILOVER, "mpe-1"):
            assert place.in_use(Slot.FAILOVER) == 1
        assert slots.holds(Slot.FAILOVER, "mpe-1")
        assert place.in_use(Slot.FAILOVER) == 1
    assert place.in_use(Slot.FAILOVER) == 0


def test_who_waits_may_give_up_and_the_next_one_comes_in(place: Place) -> None:
    slots = place.slots()

    class Enough(Exception):
        pass

    def give_up(_reason: str) -> None:
        raise Enough

    with slots.take(Slot.START, "mpe-1"):
        with pytest.raises(Enough), slots.take(Slot.START, "mpe-2", waiting=give_up):
            pytest.fail("the place was taken")
        third = Worker(slots, Slot.START, "mpe-3")
        assert third.waits.wait(60)
    assert third.inside.wait(60)
    third.done()


def test_a_closed_executor_sends_away_those_who_wait_and_gives_everything_back(place: Place) -> None:
    slots = place.slots()
    holder = Worker(slots, Slot.START, "mpe-1")
    assert holder.inside.wait(60)
    waiter = Worker(slots, Slot.START, "mpe-2")
    assert waiter.waits.wait(60)
    slots.close()
    waiter.done()
    assert isinstance(waiter.error, NoSlot)
    assert place.in_use(Slot.START) == 0
    holder.done()
    assert holder.error is None


@pytest.mark.parametrize("trouble", ["missing", "switched off", "is set to 9"])
def test_a_limit_that_does_not_limit_lets_nobody_in(place: Place, trouble: str) -> None:
    slots = place.slots()
    name = f"mopflow-{place.site}-cluster"
    with get_client(sync_client=True) as client:
        match trouble:
            case "missing":
                client.delete_global_concurrency_limit_by_name(name)
            case "switched off":
                client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active=False))
            case _:
                client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=9))
    with pytest.raises(NoSlot, match=trouble), slots.take(Slot.CLUSTER, "mpe-1"):
        pytest.fail("the place was given without a limit")
    place.slots()  # the next run sets it right
    with slots.take(Slot.CLUSTER, "mpe-1"):
        assert place.in_use(Slot.CLUSTER) == 1


def test_a_lost_lease_ends_no_work_and_is_taken_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.slots.RENEW_EVERY", 0.5)
    slots = place.slots()
    with slots.take(Slot.START, "mpe-1"):
        [lease] = place.ledger.leases(site=place.site)
        with get_client(sync_client=True) as client:
            client.release_concurrency_slots_with_lease(lease_id=UUID(lease.id))
        within(lambda: any("taken again" in note for note in place.notes), "the lease taken again")
        assert place.in_use(Slot.START) == 1
        [new] = place.ledger.leases(site=place.site)
        assert new.id != lease.id
    assert place.in_use(Slot.START) == 0
    assert place.ledger.leases(site=place.site) == []


def test_a_lost_place_that_another_took_is_reported_and_regained_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.slots.RENEW_EVERY", 0.5)
    monkeypatch.setattr("tasks.slots.AGAIN", 0.5)
    slots, other = place.slots(), place.slots()
    thief = Worker(other, Slot.START, "mpe-9")
    assert thief.inside.wait(60)
    thief.done()
    with slots.take(Slot.START, "mpe-1"):
        [lease] = place.ledger.leases(site=place.site)
        thief = Worker(other, Slot.START, "mpe-2")
        assert thief.waits.wait(60)
        with get_client(sync_client=True) as client:
            while not thief.inside.is_set():  # whoever is quicker: our renewal may take it again first
                [*ours] = [x for x in place.ledger.leases(site=place.site) if x.cluster == "mpe-1"]
                for one in ours:
                    client.release_concurrency_slots_with_lease(lease_id=UUID(one.id))
        within(lambda: "it works on" in place.last_note, "a note of the loss")
        thief.done()
        # not any older note: a renewal that was quicker than the thief has left the same words
        within(lambda: "taken again" in place.last_note, "the place regained")
        assert place.in_use(Slot.START) == 1
        assert lease.id not in [x.id for x in place.ledger.leases(site=place.site)]
    assert place.in_use(Slot.START) == 0


class BusyAtTimes(ThreadingHTTPServer):
    """Stands before Prefect's server and answers 503 as often as it is told, as that does on SQLite."""

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.behind = behind
        self.busy = 0
        self.refused = 0

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class _Forward(BaseHTTPRequestHandler):
    server: BusyAtTimes

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.busy > 0:
            self.server.busy -= 1
            self.server.refused += 1
            self._send(503, b"{}")
            return
        url = self.server.behind + self.path.removeprefix("/api")
        headers = {"content-type": "application/json"}
        answer = httpx.request(self.command, url, content=body, headers=headers, timeout=60)
        self._send(answer.status_code, answer.content)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815  names of the base class

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_args: object) -> None:  # noqa: A002  as in the base class
        """Nothing: the test says what it saw."""


def test_a_busy_server_is_asked_again(
    place: Place, in_prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BusyAtTimes(in_prefect.api) as before:
        threading.Thread(target=before.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", before.api)
        refresh_global_settings_context()
        try:
            before.busy = 3
            slots = place.slots()
            before.busy = 2
            with slots.take(Slot.CLUSTER, "mpe-1"):
                assert place.in_use(Slot.CLUSTER) == 1
                before.busy = 2
            assert place.in_use(Slot.CLUSTER) == 0
            assert before.refused == 7
            place.close()
        finally:
            before.shutdown()
            monkeypatch.undo()
            refresh_global_settings_context()
