"""The twin's process: reads its input, opens every wire, says where they are, and ends on a signal."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncssh

from lab.clock import ScaledClock
from lab.config import ConfigError, Secrets, TwinConfig, load
from lab.flight import FlightRecord, write_json_atomically
from lab.https import GuiListener
from lab.pmac.app import build as build_pmac
from lab.pmac.host import PmacHost
from lab.pmac.listener import PmacListener
from lab.pmac.machine import PmacMachine
from lab.ssh.endpoint import Endpoint, HostKeys
from lab.state import Kind
from lab.tls import Authority
from lab.world import World

log = logging.getLogger("lab.main")

OK, FAILED, BAD_INPUT = 0, 1, 2


class TwinFailed(Exception):
    """A wire of the twin broke while it ran."""


def _web_app(world: World, cluster: str) -> Callable[..., Any]:
    build: Callable[[World, str], Callable[..., Any]] = importlib.import_module("lab.web.app").build
    return build(world, cluster)


def _configure_logging(out: Path) -> None:
    """Everything goes to DIR/twin.log; what could carry a password (requests, key exchanges) stays silent."""
    handler = logging.FileHandler(out / "twin.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    asyncssh.set_log_level(logging.WARNING)


class Twin:
    """Everything of one run between `start` and `stop`."""

    def __init__(self, config: TwinConfig, secrets: Secrets, out: Path) -> None:
        self.config = config
        self.secrets = secrets
        self.out = out
        self.world: World | None = None
        self._followers: set[asyncio.Task[None]] = set()
        self._endpoints: list[Endpoint] = []
        self._guis: list[GuiListener] = []
        self._pmac: tuple[Endpoint, PmacListener] | None = None
        self._stack: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Keys first, because they take real time; the twin's clock starts when they are there."""
        names = [server.name for cluster in self.config.clusters for server in cluster.servers]
        names += [self.config.pmac.name] if self.config.pmac is not None else []
        keys = dict(
            zip(names, await asyncio.gather(*(asyncio.to_thread(HostKeys.new) for _ in names)), strict=True)
        )
        tls = self.out / "tls"
        tls.mkdir(mode=0o700)
        authority = Authority()
        (self.out / "ca.pem").write_bytes(authority.pem())
        cmps = [cluster for cluster in self.config.clusters if cluster.kind is Kind.CMP]
        certificates = {
            cluster.name: authority.issue(tls, f"gui-{place}", [cluster.vip])
            for place, cluster in enumerate(cmps, 1)
        }

        clock = ScaledClock(self.config.speed)
        flight = FlightRecord(clock.now, self.out / "flight.jsonl")
        self.world = world = World(self.config, self.secrets, clock, flight)
        self._stack.append(lambda: _closed(world, flight))
        write_json_atomically(self.out / "world.json", world.snapshot())
        for server in world.servers.values():
            endpoint = Endpoint(world, server, keys[server.name])
            self._endpoints.append(endpoint)
            self._stack.append(endpoint.stop)
            await endpoint.start()
            self._follow(endpoint.follow())
        for cluster in cmps:
            gui = GuiListener(world, cluster.name, _web_app(world, cluster.name), certificates[cluster.name])
            self._guis.append(gui)
            self._stack.append(gui.stop)
            await gui.start()
            self._follow(gui.follow())
        if world.pmac is not None:
            await self._start_pmac(world.pmac, keys[world.pmac.config.name], authority, tls)
        self._announce()

    async def _start_pmac(self, host: PmacHost, keys: HostKeys, authority: Authority, tls: Path) -> None:
        endpoint = Endpoint(host.world, host.server, keys, PmacMachine(host))
        self._stack.append(endpoint.stop)
        await endpoint.start()
        address = host.config.gui_address
        gui = PmacListener(address, build_pmac(host), authority.issue(tls, "pmac", [address]))
        self._stack.append(gui.stop)
        await gui.start()
        self._follow(gui.follow())
        self._pmac = endpoint, gui

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._followers.add(task)
        task.add_done_callback(self._follower_ended)

    def _follower_ended(self, task: asyncio.Task[None]) -> None:
        self._followers.discard(task)
        if task.cancelled() or self.broken.done():
            return
        error = task.exception()
        log.critical("a listener broke", exc_info=error)
        self.broken.set_exception(TwinFailed(f"a listener broke: {error}"))

    def _announce(self) -> None:
        hosts, pmac = list(self._endpoints), {}
        if self._pmac is not None:
            host, gui = self._pmac
            hosts.append(host)
            pmac = {"pmac": {"address": host.address, "port": host.port, "url": gui.url}}
        (self.out / "known_hosts").write_text(
            "".join(host.known_hosts_line for host in hosts), encoding="utf-8"
        )
        write_json_atomically(
            self.out / "endpoints.json",
            {
                "pid": os.getpid(),
                "gui": {gui.cluster: gui.url for gui in self._guis},
                "servers": {e.server.name: {"address": e.address, "port": e.port} for e in self._endpoints},
                **pmac,
                "ca": str(self.out / "ca.pem"),
                "known_hosts": str(self.out / "known_hosts"),
            },
        )
        log.info("listening: %d servers, %d consoles", len(self._endpoints), len(self._guis))

    async def stop(self) -> None:
        """Closes everything that `start` has opened, last first."""
        for task in list(self._followers):
            task.cancel()
        while self._stack:
            await self._stack.pop()()
        if self.broken.done():
            self.broken.exception()
        log.info("ended")


async def _closed(world: World, flight: FlightRecord) -> None:
    world.close()
    flight.close()


async def run(config: TwinConfig, secrets: Secrets, out: Path) -> None:
    """Runs the twin until SIGTERM or SIGINT. Raises TwinFailed, OSError (an address is taken)."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    twin = Twin(config, secrets, out)
    try:
        await twin.start()
        asked = asyncio.create_task(stop.wait())
        waiting: set[asyncio.Future[Any]] = {asked, twin.broken}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if twin.broken.done():
            twin.broken.result()
    finally:
        await twin.stop()


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """`python -m lab TWIN.yaml --out DIR`. Exit status 0 after a signal, 2 for bad input, 1 for a failure."""
    parser = argparse.ArgumentParser(
        prog="lab", description="A twin of a Policy Management system on loopback"
    )
    parser.add_argument("config", type=Path, metavar="TWIN.yaml")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty directory")
    options = parser.parse_args(argv)
    out: Path = options.out.absolute()
    try:
        config = load(options.config)
        secrets = Secrets.from_environment(
            config.credentials,
            os.environ if environ is None else environ,
            pmac=config.pmac is not None,
        )
        out.mkdir(parents=True, exist_ok=True)
        used = sorted(
            path.name for path in out.iterdir() if path.name in ("flight.jsonl", "endpoints.json", "tls")
        )
        if used:
            raise ConfigError(f"--out {out}: holds a run already ({', '.join(used)}); name another directory")
    except ConfigError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return BAD_INPUT
    except OSError as wrong:
        sys.stderr.write(f"--out {out}: {wrong.strerror}\n")
        return BAD_INPUT
    _configure_logging(out)
    try:
        asyncio.run(run(config, secrets, out))
    except ConfigError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return BAD_INPUT
    except (TwinFailed, OSError, ValueError) as wrong:
        log.critical("the twin failed", exc_info=wrong)
        sys.stderr.write(f"lab: {wrong} (see {out / 'twin.log'})\n")
        return FAILED
    return OK
