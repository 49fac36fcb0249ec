"""A rehearsal: twin, Prefect server and flows as processes, one after another through the whole upgrade."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from cli import output
from cli.live import Watch
from cli.prefect_server import PrefectServer
from cli.processes import Child
from cli.readiness import as_document as readiness_document
from cli.readiness import read as read_readiness
from cli.rundir import Passwords, RunDir
from cli.summary import Flight, as_hours, read_flight
from cli.twin import Twin
from cli.work import need_set
from mopflow.certificate import folder_of, of_rehearsal, write
from mopflow.errors import BadInput, MopflowError
from mopflow.ledger import Hold, Ledger
from mopflow.procedures.table import cmp_procedures
from mopflow.readiness import Readiness
from mopflow.release import Release, upgrade_path
from mopflow.site import Autonomy, AutonomyRules, HoldRules, Site
from mopflow.site_file import load

LAB_SITE = Path(__file__).parents[1] / "deployments" / "lab.yaml"
# the releases that chapters 6 to 9 begin on, as their figures print them
SOURCES = {
    "10.5": "10.5.6_1.1.0",
    "11.5": "11.5.2.0.0_38.1.0",
    "12.0": "12.0.0.0.0_45.1.0",
    "12.1.1": "12.1.1.0.0_14.1.0",
}
EVERYTHING = "all"
JUDGED_SPEED = 60  # the highest at which the rules' own seconds are longer than a click


@dataclass(frozen=True, slots=True)
class Ran:
    """A command of the rehearsal and its exit code."""

    command: str
    exit: int
    log: str


class Rehearsal:
    """One rehearsal. `run` returns the exit code."""

    def __init__(
        self,
        site: Path | None,
        seed: int,
        speed: float,
        faults: Sequence[str],
        out: Path | None,
        keep: bool,
        as_json: bool,
        *,
        only_prepare: bool = False,
        source: str | None = None,
        back_out: bool = False,
        tell: Sequence[str] = (),
        interactive: bool = False,
    ) -> None:
        self._site_path = site or LAB_SITE
        self._of_a_site = site is not None
        self._seed = seed
        self._speed = speed
        self._faults = tuple(faults)
        self._out = out
        self._keep = keep
        self._as_json = as_json
        self._only_prepare = only_prepare
        self._source = source
        self._back_out = back_out
        self._tell = tuple(tell)
        self._interactive = interactive
        self._console: Console = output.for_people(as_json)
        self._prefect = PrefectServer()
        self._ran: list[Ran] = []
        self._children: list[Child] = []
        self._complete = False
        self._begun = datetime.now(UTC)
        self._certificates: list[Path] = []

    def run(self) -> int:
        site = load(self._site_path)
        if self._source is not None:
            site = begin_on(site, self._source)
        if self._interactive:
            site = asks(site)
        else:
            _works_alone(site, self._site_path, self._back_out)
        cmp_procedures(site.source_release)  # refuses what no table is there for
        need_set(self._tell, "--tell")
        run = RunDir.create(self._out)
        twin = Twin(run, site, Passwords(), self._tell)
        if self._speed > JUDGED_SPEED:
            self._say(f"above speed {JUDGED_SPEED} a click takes longer than the rules' own seconds")
        try:
            self._set_up(run, twin)
            code = self._carry_out(run, twin, site)
            self._complete = True
            self._conclude(run, twin, site, code)
            return code
        finally:
            self._clear_up(run, twin)

    # its course

    def _set_up(self, run: RunDir, twin: Twin) -> None:
        self._say(f"{run.path}")
        self._say("starting a Prefect server of its own ...")
        self._prefect.start(run.prefect, run.logs / "prefect.log")
        self._say(f"Prefect UI: {self._prefect.ui} (while this runs)")
        twin.start(self._seed, self._speed, self._faults)
        twin.passwords.write(run.secrets_env, self._prefect.environment())
        self._note_pids(run, twin)
        self._say(f"the twin of {twin.site.name} is up, {self._speed:g} times faster than real time")
        if self._interactive:
            self._say(
                f"it will ask. Answer in the Prefect UI (the paused run, Resume), or in another terminal: "
                f"mopflow holds {run.site_yaml}; mopflow answer {run.site_yaml} ID"
            )

    def _carry_out(self, run: RunDir, twin: Twin, site: Site) -> int:
        """The commands a person would type, in order, until one does not end well."""
        commands: list[tuple[str, ...]] = [("prepare",)]
        if not self._only_prepare:
            commands += [("upgrade-cmp",), *(("upgrade-segment", segment.name) for segment in site.segments)]
            commands.append(("post-check",))
            if self._back_out:
                commands.append(("back-out", EVERYTHING))
        with Watch(site, run.ledger, self._console) as watch:
            for command in commands:
                name = " ".join(command)
                child = Child(
                    name,
                    "cli.main",
                    [command[0], str(run.site_yaml), *command[1:]],
                    run.logs / f"{'-'.join(command)}.log",
                    {
                        **twin.passwords.environment(),
                        **self._prefect.environment(),
                        "MOPFLOW_LOGS": str(run.logs),
                    },
                    run.path,
                )
                self._children.append(child)
                self._note_pids(run, twin)
                code = watch.until_end(child)
                self._ran.append(Ran(name, code, str(child.log)))
                if code != output.OK:
                    return code if code == output.HELD else output.ERROR
        return output.OK

    def _conclude(self, run: RunDir, twin: Twin, site: Site, code: int) -> None:
        flight = read_flight(run.world, run.flight)
        holds = _holds(run, site)
        if code == output.OK and not self._only_prepare:
            self._certify(run, site, flight)
        if self._as_json:
            output.document(self._document(run, site, code, flight, holds))
        else:
            for line in self._summary(run, site, code, flight, holds):
                self._console.print(line, markup=False)
        if code == output.ERROR and self._children:
            last = self._children[-1]
            output.complain(f"{last.name} failed:\n{last.last_words(12)}\nits log: {last.log}")
        if self._keep:
            for line in self._kept(run, twin):
                self._say(line)

    def _certify(self, run: RunDir, site: Site, flight: Flight) -> None:
        """Write the certificate into the folder of the run and, for a site file, where its commands look for it."""
        made = of_rehearsal(
            site,
            self._begun,
            datetime.now(UTC),
            seed=self._seed,
            speed=self._speed,
            faults=self._faults,
            outcome="upgraded and backed out" if self._back_out else "upgraded",
            checks={
                "commands": {ran.command: ran.exit for ran in self._ran},
                "clusters": len(flight.clusters),
                "upgraded": [c.name for c in flight.clusters if c.upgraded],
                "backed_out": [c.name for c in flight.clusters if self._back_out and c.backed_out],
                "faults_that_bit": list(flight.faults),
                "twin_seconds": round(flight.seconds, 3),
            },
        )
        places = [run.certificate]
        if self._of_a_site:
            places.append(folder_of(self._site_path) / made.name)
        for place in places:
            try:
                self._certificates.append(write(made, place))
            except MopflowError as error:
                output.complain(str(error))

    def _clear_up(self, run: RunDir, twin: Twin) -> None:
        """End what was started, and all of it: another Ctrl-C has to wait."""
        with _uninterrupted():
            for child in self._children:
                child.stop()
            if self._keep and self._complete:
                return
            self._prefect.stop()
            twin.stop()
            run.secrets_env.unlink(missing_ok=True)

    # what it says

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _note_pids(self, run: RunDir, twin: Twin) -> None:
        running = {child.name: child.pid for child in self._children if child.status is None}
        run.note_pids({"twin": twin.pid, "prefect": self._prefect.pid, **running})

    def _summary(
        self, run: RunDir, site: Site, code: int, flight: Flight, holds: Sequence[Hold]
    ) -> Iterator[str]:
        done = [c for c in flight.clusters if (c.backed_out if self._back_out else c.upgraded)]
        yield ""
        yield _headline(code, self._only_prepare)
        yield f"preparation: {_prepared(read_readiness(twin_site(run), run.path))}"
        way = f"from {site.source_release.short} to {site.target_release.short}"
        way = f"upgraded {way} and backed out" if self._back_out else f"upgraded {way}"
        yield (
            f"{way}: {len(done)} of {len(flight.clusters)} clusters ({', '.join(c.name for c in done) or 'none'})"
        )
        for cluster in flight.clusters:
            if not cluster.upgraded and not cluster.untouched:
                yield f"  {cluster.name} is in between: " + ", ".join(
                    f"{s.name} {s.role} on {s.release}" for s in cluster.servers
                )
        yield (
            f"twin time {as_hours(flight.seconds)}, of which {as_hours(flight.idle)} idle (no action ran anywhere)"
        )
        if flight.faults:
            yield f"faults that bit: {', '.join(flight.faults)}"
        for hold in holds:
            rule = f" ({hold.rule})" if hold.rule else ""
            yield f"HOLD {hold.cluster or 'the run'} at {hold.procedure}/{hold.step}{rule}: {hold.reason}"
            yield f"  to do: {hold.remedy}"
        if not holds:
            yield "no holds"
        for name, place in self._places(run).items():
            yield f"{name + ':':<14} {place}"
        if self._keep:
            yield f"{'Prefect UI:':<14} {self._prefect.ui}"
        else:
            yield f"{'Prefect UI:':<14} ended with this rehearsal; --keep leaves it up"

    def _document(
        self, run: RunDir, site: Site, code: int, flight: Flight, holds: Sequence[Hold]
    ) -> dict[str, Any]:
        return {
            "exit": code,
            "result": {output.OK: "done", output.HELD: "held"}.get(code, "failed"),
            "site": site.name,
            "source": site.source,
            "target": site.target,
            "seed": self._seed,
            "speed": self._speed,
            "directory": str(run.path),
            "readiness": readiness_document(read_readiness(twin_site(run), run.path)),
            "upgraded": [c.name for c in flight.clusters if c.upgraded],
            "backed_out": [c.name for c in flight.clusters if c.backed_out],
            "clusters": [
                {**asdict(c), "upgraded": c.upgraded, "backed_out": c.backed_out} for c in flight.clusters
            ],
            "twin_seconds": flight.seconds,
            "idle_seconds": round(flight.idle, 3),
            "faults": list(flight.faults),
            "holds": [
                {
                    "cluster": hold.cluster,
                    "step": f"{hold.procedure}/{hold.step}",
                    "rule": hold.rule,
                    "reason": hold.reason,
                    "to_do": hold.remedy,
                }
                for hold in holds
            ],
            "commands": [asdict(ran) for ran in self._ran],
            "paths": {name.replace(" ", "_"): place for name, place in self._places(run).items()},
            "prefect": {"ui": self._prefect.ui, "api": self._prefect.api} if self._keep else None,
        }

    def _places(self, run: RunDir) -> dict[str, str]:
        certificates = {"certificate": str(self._certificates[-1])} if self._certificates else {}
        shots = len(list(run.evidence.rglob("*.png"))) if run.evidence.exists() else 0
        return {
            "ledger": str(run.ledger),
            "evidence": str(run.evidence),
            "screenshots": f"{run.evidence}/**/*.png ({shots})",
            "backups": str(run.backups),
            "flight record": str(run.flight),
            "logs": str(run.logs),
            "site file": str(run.site_yaml),
            **certificates,
        }

    def _kept(self, run: RunDir, twin: Twin) -> Iterator[str]:
        yield "\nTwin and Prefect server stay up. To look around:"
        for line in twin.visit():
            yield f"  {line}"
        yield f"  Prefect UI: {self._prefect.ui}"
        yield f"  the flows again: mopflow upgrade-cmp {run.site_yaml} (after sourcing the passwords)"
        yield f"  to end both: kill {twin.pid} {self._prefect.pid}; rm {run.secrets_env}   (pids: {run.pids})"


def twin_site(run: RunDir) -> Site:
    """The site as the flows see it."""
    return load(run.site_yaml)


def _prepared(report: Readiness) -> str:
    missing = report.missing()
    counted = sum(item.standing.counts for item in report.items)
    words = f"{counted} of {len(report.items)} checks count"
    return words + (f", missing: {', '.join(f'{i.check} of {i.where}' for i in missing)}" if missing else "")


def _headline(code: int, only_prepare: bool) -> str:
    return {
        output.OK: "READY: every server is prepared."
        if only_prepare
        else "DONE: every goal holds on the live system.",
        output.HELD: "HELD: ended safely; a person has to look.",
    }.get(code, "FAILED: an error ended the rehearsal.")


def begin_on(site: Site, source: str) -> Site:
    """The same site on another source release. Raises BadInput for one that the document has no path from (2.2)."""
    full = SOURCES.get(source, source)
    why = upgrade_path(Release.parse(full), site.target_release) if full[:1].isdigit() else "it is no release"
    if why is not None:
        raise BadInput(f"--from {source}: {why}; name one of {', '.join(SOURCES)}")
    return site.model_copy(update={"source": full})


def asks(site: Site) -> Site:
    """The same site, where a person is asked what its own autonomy asks, and is waited for.

    An act that a person would do (observe) is asked for, too; a site that asks nothing asks as a real one does.
    """
    own = {name: Autonomy.CONFIRM if value is Autonomy.OBSERVE else value for name, value in site.autonomy}
    rules = AutonomyRules(**own) if Autonomy.CONFIRM in own.values() else AutonomyRules()
    lab = site.lab.model_copy(update={"answers": {}}) if site.lab is not None else None
    return site.model_copy(update={"autonomy": rules, "holds": HoldRules(wait=True), "lab": lab})


def _works_alone(site: Site, path: Path, back_out: bool) -> None:
    """Nobody can be asked in a rehearsal. Raises BadInput."""
    rules = site.autonomy
    people = [
        name
        for name in ("default", "cmp_switch", "first_failover", *(("backout",) if back_out else ()))
        if getattr(rules, name) is not Autonomy.AUTO
    ]
    if people:
        raise BadInput(
            *(
                f"{path}: autonomy.{name}: is {getattr(rules, name)}, and a rehearsal has nobody to ask; set it to auto "
                "in a copy of the file"
                for name in people
            )
        )


def _holds(run: RunDir, site: Site) -> list[Hold]:
    if not run.ledger.exists():
        return []
    with Ledger.open(f"sqlite:///{run.ledger}") as ledger:
        return ledger.holds(site.name)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM wait until everything is cleared up."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
