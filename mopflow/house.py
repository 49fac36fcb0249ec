"""What the threads of one run share: the site, the ledger, one console session, one pair of eyes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopflow.alarm_news import AlarmNews
from mopflow.console.protocol import Console
from mopflow.credentials import secrets_of
from mopflow.errors import BadInput, LedgerUnavailable
from mopflow.evidence import EvidenceStore
from mopflow.eye import Eye, Reading
from mopflow.ledger import BoardLine, Ledger
from mopflow.messages import Kind
from mopflow.notices import open_notices, watches
from mopflow.notify import Notices
from mopflow.ossi import Ossi
from mopflow.readiness import Readiness, assess
from mopflow.release import Release
from mopflow.secrets import Vault
from mopflow.site import Autonomy, AutonomyKind, Site
from mopflow.slots import Slots
from mopflow.ssh import Servers
from mopflow.step import Step

if TYPE_CHECKING:
    from mopflow.asking import Asker
    from mopflow.console.opening import Door
    from mopflow.console.pmac_protocol import Pmac
    from mopflow.here import Here, Scope
    from mopflow.record.recorder import Recorder


Meter = Callable[[str, float, str], None]  # what, percent, words
NOTICES_END = 20.0  # seconds that the last messages of a run get


class Line:
    """This step's line on the board."""

    def __init__(self, house: House, step: Step, scope: Scope) -> None:
        self._house = house
        self._scope = scope
        now = datetime.now(UTC)
        self._line = BoardLine(
            cluster=str(scope),
            procedure=step.procedure,
            step=step.number,
            title=step.title,
            since=now,
            usual_until=now + timedelta(seconds=step.minutes * house.site.pace.minute),
            late_at=None,
            waits_for="",
            state="working",
        )
        self._put()

    def waits(self, reason: str, late_at: datetime | None = None) -> None:
        """Say what is waited for; written only when it changes."""
        self._change(waits_for=reason, late_at=late_at, state="waiting")

    def at(self, percent: float, words: str) -> None:
        """How far a long act is: on the board, and where else progress is shown."""
        self.waits(words)
        if self._house.meter is not None:
            self._house.meter(f"{self._line.procedure}/{self._line.step} {self._scope}", percent, words)

    def acts(self, what: str) -> None:
        self._change(waits_for=what, state="working")

    def begun(self, since: datetime, usual: timedelta, late: timedelta) -> None:
        """The operation itself began at ``since``."""
        self._change(since=since, usual_until=since + usual, late_at=since + late)

    def ended(self, outcome: str, text: str) -> None:
        self._change(waits_for=f"{outcome}: {text}" if text else outcome, state="done")

    def held(self, reason: str) -> None:
        self._change(waits_for=reason, state="held")

    def failed(self, reason: str) -> None:
        self._change(waits_for=reason, state="failed")

    def _change(self, **fields: Any) -> None:
        from dataclasses import replace

        line = replace(self._line, **fields)
        if line != self._line:
            self._line = line
            self._put()

    def _put(self) -> None:
        self._house.ledger.put_board(self._house.site.name, self._house.campaign, self._line)


def no_pmac() -> Pmac:
    raise BadInput("pmac: the site file names no PM&C server")


@dataclass(slots=True)
class House:
    """Everything that one process shares. Made by `open_house`."""

    site: Site
    site_path: Path
    vault: Vault
    ledger: Ledger
    campaign: str
    executor: str
    console: Console
    operator: Console | None
    servers: Servers
    ossi: Ossi | None
    evidence: EvidenceStore
    notices: Notices
    slots: Slots
    eye: Eye
    pmac: Callable[[], Pmac] = no_pmac  # the GUI of PM&C, opened when it is first used
    asker: Asker | None = None  # who puts holds before people; None: the run ends held
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    acts: int = 0  # acts that this run sent to the system
    meter: Meter | None = None  # told how far a long act is
    recorder: Recorder | None = None

    @contextmanager
    def at_work(self, step: Step, scope: Scope) -> Iterator[Line]:
        from mopflow.errors import Held, MopflowError

        line = Line(self, step, scope)
        with self.recorder.at_work(step, scope) if self.recorder is not None else nullcontext():
            try:
                yield line
            except Held as held:
                line.held(held.reason)
                raise
            except LedgerUnavailable:
                raise
            except MopflowError as error:
                line.failed(self.vault.strike(str(error)))
                raise

    def require_room(self) -> None:
        """Before an act: can what it will show be kept? Raises LedgerUnavailable."""
        self.evidence.require_room()
        if self.recorder is not None:
            self.recorder.require()

    def acting_console(self, kind: AutonomyKind) -> Console:
        """Who does the act: we, or a person whom we ask and check (autonomy observe)."""
        if self.site.autonomy.of(kind) is Autonomy.OBSERVE:
            if self.operator is None:
                raise BadInput("autonomy observe needs a person at the terminal; start this command in one")
            return self.operator
        return self.console

    def readiness(self) -> Readiness:
        """What the preparation's results are worth now."""
        results = self.ledger.checks(self.site.name)
        return assess(self.site, results, datetime.now(UTC), self.running_releases())

    def running_releases(self) -> dict[str, Release | None]:
        """Release of every server as last read."""
        latest = self.eye.latest
        return {s.name: s.release for s in latest.snapshot.servers} if latest is not None else {}

    def finish_shots(self, here: Here) -> None:
        shots = here.memo.get("shots")
        if shots is not None:
            shots.commit()


def snapshot_document(reading: Reading) -> dict[str, Any]:
    """A reading as JSON: for the ledger's board and for evidence."""
    return {
        "taken": reading.snapshot.taken.isoformat(),
        "current_iso": reading.snapshot.current_iso,
        "clusters": [
            {
                "name": state.name,
                "stage": state.stage.value,
                "why": state.why,
                "servers": [
                    {
                        "name": server.name,
                        "role": server.role.value,
                        "release": str(server.release) if server.release else None,
                        "prev_release": server.prev_release,
                        "up_to_date": server.up_to_date.value,
                        "operation": server.operation.text,
                        "percent": server.operation.percent,
                        "doing": server.operation.doing.value,
                        "sync_broken": server.sync_broken,
                        "alarm_severity": server.alarm_severity.word if server.alarm_severity else "",
                    }
                    for server in state.servers
                ],
            }
            for state in reading.states.values()
        ],
        "alarms": [
            {
                "number": item.alarm.number,
                "severity": item.alarm.severity.word,
                "source": item.alarm.source,
                "cluster": item.cluster,
                "standing": item.standing.value,
                "text": item.alarm.text,
                "why": item.why,
            }
            for item in reading.judged
        ],
        "absent": [{"number": number, "cluster": cluster} for number, cluster in reading.absent],
    }


class _BoardFeed:
    """Keeps the ledger's picture of the system current, without writing the same thing again."""

    def __init__(self, ledger: Ledger, site: str, campaign: str, every: float) -> None:
        self._ledger = ledger
        self._site = site
        self._campaign = campaign
        self._every = every
        self._written = 0.0
        self._last: Mapping[str, Any] | None = None

    def __call__(self, reading: Reading) -> None:
        document = snapshot_document(reading)
        bare = {key: value for key, value in document.items() if key != "taken"}
        now = time.monotonic()
        if bare == self._last and now - self._written < self._every:
            return
        self._last = json.loads(json.dumps(bare))
        self._written = now
        self._ledger.put_snapshot(self._site, self._campaign, document)


@contextmanager
def _recording(
    root: Path, site: Site, ledger: Ledger, campaign: str, executor: str, vault: Vault, notices: Notices
) -> Iterator[Recorder]:
    """The record of a run, with its pages at the end; people are told the hash that they can compare it with."""
    from mopflow.errors import Held
    from mopflow.record.recorder import Recorder  # it knows the tables, and some of those know the house

    recorder = Recorder(root, site, ledger, campaign, executor, vault.strike)
    how = "error"
    try:
        yield recorder
        how = "done"
    except Held:
        how = "held"
        raise
    finally:
        head = recorder.close(how)
        if head is None:
            notices.tell(Kind.FAILURE, "record", f"It could not be written to {recorder.folder}.")
        else:
            notices.tell(
                Kind.RECORD, "is written", f"{recorder.folder}, campaign {campaign}. Its last hash: {head}"
            )


def _each(*observers: Callable[[Reading], None]) -> Callable[[Reading], None]:
    """Every observer, in this order."""

    def observe(reading: Reading) -> None:
        for observer in observers:
            observer(reading)

    return observe


def _pmac_door(site: Site, vault: Vault, base: Path) -> Door[Pmac]:
    from mopflow.console.opening import Door, open_pmac  # brings the browser with it

    return Door(lambda: open_pmac(site, vault, base), lambda pmac: pmac.close())


ROOT_LOGINS = (10, 5)  # on this release there is no admusr (2.9.2, note in Table 2)


def login_user(site: Site, ledger: Ledger, server: str) -> str:
    """The user of a login by SSH follows the release that the server ran when it was last seen."""
    kept = ledger.snapshot(site.name)
    clusters = kept[1].get("clusters", ()) if kept is not None else ()
    shown = (s["release"] for c in clusters for s in c["servers"] if s["name"] == server)
    release = next(shown, None)
    running = Release.parse(release) if release else site.source_release
    return "root" if running.family[:2] == ROOT_LOGINS else site.ssh.user


def ledger_url(site: Site, base: Path) -> str:
    """The site's ledger URL; a relative SQLite path is relative to the site file."""
    prefix = "sqlite:///"
    if site.ledger.startswith(prefix) and not site.ledger.startswith(prefix + "/"):
        return prefix + str((base / site.ledger.removeprefix(prefix)).resolve())
    return site.ledger


@contextmanager
def open_house(
    site: Site,
    site_path: Path,
    *,
    vault: Vault,
    ledger: Ledger,
    campaign: str,
    executor: str,
    slots: Slots,
    make_console: Callable[[Site, Vault, Path], Console],
    make_operator: Callable[[Console], Console] | None = None,
    link: Callable[[], str] = str,
) -> Iterator[House]:
    """Open everything that a run needs; on leaving, close it in the reverse order.

    ``link`` gives the address at which people find the run in which something happens.
    """
    base = site_path.resolve().parent
    with ExitStack() as stack:
        evidence_root = site.evidence if site.evidence.is_absolute() else base / site.evidence
        evidence = EvidenceStore(evidence_root, ledger, site.name, campaign, vault.strike)
        notices = open_notices(site, vault, ledger, campaign, link)
        stack.callback(notices.close, NOTICES_END)
        recorder = stack.enter_context(
            _recording(evidence_root, site, ledger, campaign, executor, vault, notices)
        )
        news = AlarmNews(notices, ledger, site.name)
        picture = _BoardFeed(ledger, site.name, campaign, max(1.0, site.pace.every))
        servers = Servers(
            site,
            vault,
            base,
            user_of=lambda server: login_user(site, ledger, server),
            record=recorder.command,
            secrets_of=secrets_of(site, ledger),
        )
        stack.callback(servers.close)
        console = make_console(site, vault, base)
        stack.callback(console.close)
        pmac = _pmac_door(site, vault, base)
        stack.callback(pmac.close)
        ossi = None
        if site.ossi is not None:
            ca = None if site.console.ca is None else base / site.console.ca
            url = f"https://{site.cmp.primary.vip}"
            ossi = Ossi(url, site.ossi.user, vault.get(site.ossi.password), ca)
        # the news compares with the picture
        eye = stack.enter_context(Eye(site, console, _each(recorder.seen, news, picture)))
        for look, every in watches(notices, ledger, site, campaign, str(site_path)):
            notices.watch(look, every)
        yield House(
            site=site,
            site_path=site_path,
            vault=vault,
            ledger=ledger,
            campaign=campaign,
            executor=executor,
            console=console,
            operator=make_operator(console) if make_operator is not None else None,
            servers=servers,
            ossi=ossi,
            evidence=evidence,
            notices=notices,
            slots=slots,
            eye=eye,
            pmac=pmac,
            recorder=recorder,
        )
