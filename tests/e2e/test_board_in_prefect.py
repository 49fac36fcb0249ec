"""The board as artifacts of a run, in a real Prefect server: made, kept current, and catching up after an outage."""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact
from prefect.settings import PREFECT_API_URL, temporary_settings

from cli.prefect_server import PrefectServer
from mopflow.ledger import Ledger
from mopflow.site import Site
from mopflow.site_file import load
from tasks import showing
from tasks.opening import flow_run_id
from tasks.showing import shown

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("in_prefect")]

LAB = Path(__file__).parents[2] / "deployments" / "lab.yaml"
SECRET = "tr0ub4dor"
PATIENCE = 60.0  # seconds


class Vault:
    def strike(self, text: str) -> str:
        return text.replace(SECRET, "********")


@dataclass
class House:
    """What the board needs of a house."""

    site: Site
    site_path: Path
    ledger: Ledger
    vault: Vault
    campaign: str
    meter: Callable[[str, float, str], None] | None = None

    def see(self, percent: int | None, doing: str, operation: str) -> None:
        server = {
            "name": "mpe-1b", "role": "OOS", "release": "12.1.1.0.0_14.1.0", "prev_release": "n/a", "up_to_date": "N",
            "operation": operation, "percent": percent, "doing": doing, "sync_broken": False, "alarm_severity": "",
        }  # fmt: skip
        cluster = {"name": "mpe-1", "stage": "first server being upgraded", "why": "", "servers": [server]}
        alarm = {
            "number": 70006, "severity": "Minor", "source": "mpe-1b", "cluster": "mpe-1", "standing": "unexpected",
            "text": f"said {SECRET}", "why": "not listed",
        }  # fmt: skip
        self.ledger.put_snapshot(
            self.site.name,
            self.campaign,
            {"current_iso": "-", "clusters": [cluster], "alarms": [alarm], "absent": []},
        )


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(showing, "EVERY", 0.2)
    site = load(LAB)
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        campaign = ledger.campaign(site.name, site.source, site.target, None)
        yield House(site, LAB, ledger, Vault(), campaign)


def artifacts() -> dict[str, Artifact]:
    """Of the flow run that this is called in, by key."""
    run = flow_run_id()
    assert run is not None
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run)])))
    by_key = {artifact.key or "": artifact for artifact in found}
    assert len(by_key) == len(found), "an artifact was made twice"
    return by_key


def until(what: Callable[[dict[str, Artifact]], Any]) -> dict[str, Artifact]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = artifacts()
        if what(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"it was not shown: { {key: one.description for key, one in artifacts().items()} }")


def test_the_artifacts_of_a_run_are_kept_current(house: House) -> None:
    @flow(name="show-board")
    def run() -> None:
        house.see(40, "running", f"[Step 20] 40% {SECRET}")
        with shown(house, "segment-1", flow_run_id()):  # type: ignore[arg-type]
            first = until(lambda a: a.get("progress-lab-mpe-1b"))
            assert first["progress-lab-mpe-1b"].data == 40
            rows = json.loads(str(first["board-lab-segment-1"].data))
            assert next(row for row in rows if row["where"].endswith("mpe-1b"))["role"] == "OOS"
            assert "70006" in str(first["alarms-lab-segment-1"].data)
            assert "no open hold" in str(first["holds-lab-segment-1"].data)

            house.ledger.open_hold(
                "lab", house.campaign, "mpe-1", "10.2", 3, "R8", "mpe-1b is Zombie", "call Oracle", {}
            )
            house.see(70, "running", "[Step 35] 70%")
            assert house.meter is not None
            house.meter("4.6.3.1/1 mpe-2a", 12.0, f"cmp.iso: 12 % {SECRET}")
            later = until(
                lambda a: (
                    a["progress-lab-mpe-1b"].data == 70
                    and "mpe-1b is Zombie" in str(a["holds-lab-segment-1"].data)
                    and "progress-lab-4-6-3-1-1-mpe-2a" in a
                )
            )
            assert {key: later[key].id for key in first} == {key: one.id for key, one in first.items()}
            house.see(100, "succeeded", "Completed successfully")
        last = artifacts()  # the end of a run waits for its last pages
        assert last["progress-lab-mpe-1b"].data == 100
        for one in last.values():
            assert SECRET not in f"{one.data} {one.description}"

    run()


class Door(socketserver.ThreadingTCPServer):
    """The way to Prefect's server: shut, its server is away."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, there: tuple[str, int], port: int = 0) -> None:
        self.there = there
        self.through: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), Through)


class Through(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Door)
        with socket.create_connection(self.server.there) as there:
            self.server.through += [self.request, there]
            back = threading.Thread(target=self._copy, args=(there, self.request), daemon=True)
            back.start()
            self._copy(self.request, there)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            return  # the door was shut
        finally:
            for one in (source, target):
                with_shutdown(one)


def with_shutdown(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is shut already


@contextmanager
def opened(there: tuple[str, int], port: int = 0) -> Iterator[int]:
    """The port of a way to Prefect's server that is open inside."""
    door = Door(there, port)
    thread = threading.Thread(target=door.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield int(door.server_address[1])
    finally:
        door.shutdown()
        door.server_close()
        for one in door.through:
            with_shutdown(one)
        thread.join()


def test_a_server_that_is_away_costs_the_picture_and_not_the_work(
    house: House, in_prefect: PrefectServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = urlsplit(in_prefect.api)
    there = (url.hostname or "", url.port or 0)
    caplog.set_level(logging.INFO, logger="mopflow.showing")

    def told(word: str) -> int:
        return sum(
            word in record.getMessage() for record in caplog.records if record.name == "mopflow.showing"
        )

    @flow(name="show-board-away")
    def run() -> None:
        house.see(10, "running", "[Step 5] 10%")
        with opened(there) as port, temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
            way = shown(house, "segment-1", flow_run_id())  # type: ignore[arg-type]
            way.__enter__()
        with temporary_settings({PREFECT_API_URL: in_prefect.api}):
            house.see(20, "running", "[Step 10] 20%")
            end = time.monotonic() + PATIENCE
            while not told("cannot be reached") and time.monotonic() < end:
                time.sleep(0.05)
            house.see(30, "running", "[Step 15] 30%")
            time.sleep(1.0)  # several rounds: what is asserted is that they say nothing more
            assert told("cannot be reached") == 1
            with opened(there, port):
                found = until(lambda a: "progress-lab-mpe-1b" in a and a["progress-lab-mpe-1b"].data == 30)
                assert told("shown in Prefect again") == 1
                assert "board-lab-segment-1" in found
                way.__exit__(None, None, None)

    run()


def test_outside_of_prefect_nothing_is_shown(house: House) -> None:
    with shown(house, "segment-1", None):  # type: ignore[arg-type]
        assert house.meter is None


def test_the_thread_ends_with_its_run(house: House) -> None:
    @flow(name="show-board-ends")
    def run() -> None:
        with shown(house, "cmp", flow_run_id()):  # type: ignore[arg-type]
            assert any(thread.name == "board" for thread in threading.enumerate())

    run()
    assert not any(thread.name == "board" for thread in threading.enumerate())
