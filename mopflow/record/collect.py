"""From the ledger's rows and the files of the folder to the record. Pure: what is read comes in as `Sources`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import metadata
from typing import Any

from mopflow.errors import UnreadableReply
from mopflow.ledger import Confirmation, Evidence, Executor, Row
from mopflow.procedures.table import PROCEDURES, cmp_procedures
from mopflow.record import deviations as found_deviations
from mopflow.record.deviations import Draft
from mopflow.record.documents import path_of
from mopflow.record.model import (
    AlarmSeen,
    ChainHead,
    Command,
    Confirmed,
    Deviation,
    EvidenceFile,
    HoldRecord,
    Iteration,
    JournalRow,
    Kind,
    Person,
    ProcedureRecord,
    Record,
    Run,
    ServerNow,
    ServerSpell,
    StepRecord,
)
from mopflow.record.people import people
from mopflow.record.readings import AlarmSpell
from mopflow.record.sources import Sources, Strike, struck
from mopflow.record.turns import WHOLE, Turn, acts, broken, by, result, text, turns, words_of
from mopflow.release import Release
from mopflow.scopes import clusters_behind
from mopflow.site import Site
from mopflow.step import Procedure

Look = Callable[[Evidence], str]  # how a file of the evidence stands now


def collect(
    site: Site,
    sources: Sources,
    *,
    now: datetime,
    strike: Strike,
    look: Look,
    strays: Sequence[str] = (),
    chain: ChainHead | None = None,
    ending: tuple[str, str] | None = None,
) -> Record:
    """Put it together.

    ``look`` says how a file stands, ``strays`` are files that the ledger does not know. ``ending``: the executor that
    is ending right now, and how.
    """
    sources = _without_secrets(sources, strike)
    if ending is not None:
        runs = tuple(
            replace(one, ended=one.ended or now, how=one.how or ending[1]) if one.id == ending[0] else one
            for one in sources.executors
        )
        sources = replace(sources, executors=runs)
    return _Collector(site, sources, now, look).record(strays, chain)


def _without_secrets(sources: Sources, strike: Strike) -> Sources:
    """Rows and the words of people were struck when they were written; by then not every secret was known."""

    def row(one: Row) -> Row:
        entry = replace(one.entry, text=strike(one.entry.text), data=struck(one.entry.data, strike))
        return replace(one, entry=entry)

    return replace(
        sources,
        rows=tuple(row(one) for one in sources.rows),
        holds=tuple(
            replace(
                hold,
                reason=strike(hold.reason),
                remedy=strike(hold.remedy),
                closed_why=strike(hold.closed_why) if hold.closed_why is not None else None,
            )
            for hold in sources.holds
        ),
        answers={
            hold: replace(answer, why=strike(answer.why), by=strike(answer.by))
            for hold, answer in sources.answers.items()
        },
        overrides=tuple(
            replace(one, text=strike(one.text), by=strike(one.by or "")) for one in sources.overrides
        ),
        confirmations=tuple(
            replace(one, text=strike(one.text), by=strike(one.by)) for one in sources.confirmations
        ),
        stops=tuple(replace(one, why=strike(one.why), by=strike(one.by)) for one in sources.stops),
        commands=struck(dict(sources.commands), strike),
    )


class _Collector:
    def __init__(self, site: Site, sources: Sources, now: datetime, look: Look) -> None:
        self._site = site
        self._sources = sources
        self._now = now
        self._look = look
        self._executors = {one.id: one for one in sources.executors}
        self._turns = turns(sources.rows)
        self._families: dict[tuple[str, int, str], list[Turn]] = {}
        for turn in self._turns:
            self._families.setdefault((*turn.key, turn.scope), []).append(turn)
        self._confirmed = list(self._said())
        self._people = self._everybody()
        self._marks = {person.name: person.initials for person in self._people}
        self._files = self._evidence()
        self._commands = self._by_turn()

    def record(self, strays: Sequence[str], chain: ChainHead | None) -> Record:
        campaign, sources = self._sources.campaign, self._sources
        drafts = found_deviations.drafts(self._site, sources, self._turns, self._now)
        deviations = found_deviations.numbered(drafts)
        servers, at = self._servers_now()
        shown = {row.id for turn in self._turns if turn.step is not None for row in turn.rows}
        return Record(
            site=self._site.name,
            campaign=campaign.id,
            source=campaign.source,
            target=campaign.target,
            begun=campaign.begun,
            ended=campaign.ended,
            how=campaign.how,
            written=self._now,
            mopflow=_version(),
            outcome=self._outcome(servers, deviations),
            people=self._people,
            runs=tuple(_run(one) for one in sources.executors),
            servers=servers,
            servers_at=at,
            procedures=tuple(self._procedures(drafts)),
            deviations=tuple(deviations),
            holds=tuple(self._holds()),
            confirmed=tuple(
                Confirmed(item=one.item, by=one.by, text=one.text, source=one.source, at=one.at)
                for one in self._confirmed
            ),
            other_evidence=tuple(
                self._file(file)
                for where, files in sorted(self._files.items())
                if where[0] not in PROCEDURES
                for file in files
            ),
            notes=tuple(_journal_row(row) for row in sources.rows if row.id not in shown),
            strays=tuple(strays),
            other_commands=tuple(_told(self._commands.get(None, []))),
            spells=tuple(self._spells()),
            alarms=tuple(_alarm(spell) for spell in sources.seen.alarms),
            chain=chain or ChainHead(entries=0, head=""),
        )

    # people

    def _said(self) -> Iterable[Confirmation]:
        """What was confirmed in the time of the campaign, and the newest word before it on everything else."""
        begun = self._sources.campaign.begun
        until = self._sources.campaign.ended or self._now
        before = {one.item: one for one in self._sources.confirmations if one.at < begun}
        yield from before.values()
        yield from (one for one in self._sources.confirmations if begun <= one.at <= until)

    def _everybody(self) -> tuple[Person, ...]:
        sources = self._sources
        said = [(answer.by, "answered a hold") for answer in sources.answers.values()]
        said += [(one.by, f"confirmed {one.item.split(' ')[0]}") for one in self._confirmed]
        said += [(one.by or "", f"overrode {one.check}") for one in sources.overrides]
        said += [(one.by, f"accepted alarm {one.number}") for one in self._site.accepted_alarms]
        said += [(one.by, "asked for a stop") for one in sources.stops]
        said += [(word.name, "confirmed a row") for turn in self._turns for word in words_of(turn.rows)]
        return people((name, what) for name, what in said if name.strip())

    # the procedures

    def _procedures(self, drafts: Sequence[Draft]) -> Iterable[ProcedureRecord]:
        numbers: dict[int, list[int]] = {}
        for number, draft in enumerate(drafts, 1):
            for turn in draft.turns:
                numbers.setdefault(id(turn), []).append(number)
        by_key: dict[tuple[str, int], list[Turn]] = {}
        for turn in self._turns:
            by_key.setdefault(turn.key, []).append(turn)
        for procedure in self._in_order(by_key):
            yield ProcedureRecord(
                number=procedure.number,
                title=procedure.title,
                steps=tuple(
                    StepRecord(
                        number=step.number,
                        key=step.key,
                        title=step.title,
                        note=step.source_note,
                        during=tuple(sorted(step.alarms.during)),
                        after=tuple(sorted(step.alarms.after)),
                        iterations=tuple(
                            self._iteration(turn, tuple(numbers.get(id(turn), ())))
                            for turn in by_key.get((step.procedure, step.number), ())
                        ),
                    )
                    for step in procedure.steps
                ),
                other_evidence=tuple(self._other_evidence(procedure, by_key)),
            )

    def _in_order(self, begun: Mapping[tuple[str, int], list[Turn]]) -> list[Procedure]:
        """The tables in the document's order: those of this way, and any other that was carried out all the same."""
        mine = {procedure.number for procedure in cmp_procedures(self._site.source_release)}
        touched = {number for number, _ in begun}
        return [
            procedure
            for number, procedure in PROCEDURES.items()
            if number in touched or number in mine or not number.startswith(("6.", "7.", "8.", "9."))
        ]

    def _iteration(self, turn: Turn, numbers: tuple[int, ...]) -> Iteration:
        sources = self._sources
        confirmed = [(one.item, one.by, one.at, one.source) for one in self._confirmed]
        return Iteration(
            scope=turn.scope,
            servers=turn.servers,
            executor=turn.executor,
            turn=turn.number,
            begin=turn.begin,
            end=turn.end,
            by=by(turn, self._site, sources.holds, sources.answers, confirmed, self._marks),
            result=result(turn, broken(turn, self._executors)),
            text=text(turn),
            acts=tuple(acts(turn)),
            alarms=tuple(
                _alarm(spell)
                for spell in sources.seen.alarms_in(turn.begin, turn.end)
                if self._concerns(spell, turn.scope)
            ),
            evidence=tuple(map(self._file, self._mine(turn))),
            commands=tuple(_told(self._commands.get(id(turn), []))),
            rows=tuple(map(_journal_row, turn.rows)),
            deviations=numbers,
        )

    def _concerns(self, spell: AlarmSpell, scope: str) -> bool:
        clusters = clusters_behind(self._site, scope)
        if not clusters:
            return True  # of the whole system
        if any(scope in cluster.server_names for cluster in clusters):
            return spell.source == scope
        return spell.cluster in {cluster.name for cluster in clusters}

    # evidence

    def _evidence(self) -> dict[tuple[str, int, str], list[Evidence]]:
        found: dict[tuple[str, int, str], list[Evidence]] = {}
        for one in self._sources.evidence:
            found.setdefault((one.procedure, one.step, one.cluster or WHOLE), []).append(one)
        return found

    def _mine(self, turn: Turn) -> list[Evidence]:
        """Files of the row and scope that were kept while this turn's run was at it."""
        where = (*turn.key, turn.scope)
        return [
            file for file in self._files.get(where, ()) if self._owner(file, self._families[where]) is turn
        ]

    def _owner(self, file: Evidence, family: Sequence[Turn]) -> Turn:
        alive = [turn for turn in family if self._was_alive(turn.executor, file.at)] or list(family)
        begun = [turn for turn in alive if turn.begin <= file.at]
        return begun[-1] if begun else alive[0]

    def _was_alive(self, executor: str, at: datetime) -> bool:
        run = self._executors.get(executor)
        return run is not None and run.begun <= at and (run.ended is None or at <= run.ended)

    def _other_evidence(
        self, procedure: Procedure, begun: Mapping[tuple[str, int], list[Turn]]
    ) -> Iterable[EvidenceFile]:
        """What was kept for a row and scope of which the journal has nothing."""
        for (number, step, scope), files in self._files.items():
            if number != procedure.number:
                continue
            if not any(turn.scope == scope for turn in begun.get((number, step), ())):
                yield from map(self._file, files)

    def _file(self, one: Evidence) -> EvidenceFile:
        return EvidenceFile(
            path=path_of(one),
            kind=one.kind,
            sha256=one.sha256,
            size=one.size,
            at=one.at,
            state=self._look(one),
        )

    # commands

    def _by_turn(self) -> dict[int | None, list[Mapping[str, Any]]]:
        known = {(f"{t.key[0]}/{t.key[1]}", t.scope, t.executor): id(t) for t in self._turns}
        found: dict[int | None, list[Mapping[str, Any]]] = {}
        for executor, commands in self._sources.commands.items():
            for command in commands:
                key = str(command.get("step")), str(command.get("scope")), executor
                found.setdefault(known.get(key), []).append(command)
        return found

    # holds and servers

    def _holds(self) -> Iterable[HoldRecord]:
        for hold in self._sources.holds:
            answer = self._sources.answers.get(hold.id)
            yield HoldRecord(
                id=hold.id,
                kind=hold.kind.value,
                step=f"{hold.procedure}/{hold.step}",
                scope=hold.cluster or WHOLE,
                rule=hold.rule,
                reason=hold.reason,
                remedy=hold.remedy,
                opened=hold.opened,
                closed=hold.closed,
                closed_why=hold.closed_why,
                answer=answer.choice.value if answer is not None else None,
                by=answer.by if answer is not None else "",
                why=answer.why if answer is not None else "",
                answered=answer.at if answer is not None else None,
            )

    def _servers_now(self) -> tuple[tuple[ServerNow, ...], datetime | None]:
        """As the readings of the campaign saw them last; where it kept none, as the ledger's picture has them."""
        seen = self._sources.seen
        if seen.servers:
            found = []
            for server in self._site.servers:
                spells = seen.servers.get(server.name)
                if spells:
                    last = spells[-1]
                    found.append(self._now_of(server.name, last.role, last.release, last.doing))
            return tuple(found), seen.last
        kept = self._sources.snapshot
        if kept is None or kept[0] < self._sources.campaign.begun:
            return (), None
        return tuple(
            self._now_of(s["name"], s["role"], s["release"], s["doing"])
            for cluster in kept[1].get("clusters", ())
            for s in cluster["servers"]
        ), kept[0]

    def _now_of(self, name: str, role: str, release: str | None, doing: str) -> ServerNow:
        cluster = self._site.cluster_of(name)
        return ServerNow(
            name=name,
            cluster=cluster.name if cluster is not None else "",
            role=role,
            release=_short(release),
            doing=doing,
        )

    def _spells(self) -> Iterable[ServerSpell]:
        for server, spells in self._sources.seen.servers.items():
            for spell in spells:
                yield ServerSpell(
                    server=server,
                    begin=spell.begin,
                    end=spell.end,
                    role=spell.role,
                    release=spell.release,
                    doing=spell.doing,
                    backout=spell.backout,
                    sync_broken=spell.sync_broken,
                )

    def _outcome(self, servers: Sequence[ServerNow], deviations: Sequence[Deviation]) -> str:
        source, target = self._site.source_release.short, self._site.target_release.short
        new: list[str] = []
        old: list[str] = []
        between: list[str] = []
        for cluster in self._site.clusters:
            releases = {one.release for one in servers if one.cluster == cluster.name}
            (new if releases == {target} else old if releases == {source} else between).append(cluster.name)
        if not servers:
            said = ["No reading of the servers was kept"]
        else:
            total = len(self._site.clusters)
            said = [f"{len(new)} of {total} clusters run {target}"]
            if old:
                said.append(f"on {source}: {', '.join(old)}")
            if between:
                said.append(f"between the two: {', '.join(between)}")
        back = [scope for d in deviations if d.kind is Kind.ROLLBACK for scope in d.scopes]
        if back:
            said.append(f"rolled back: {', '.join(dict.fromkeys(back))}")
        waiting = sum(hold.closed is None for hold in self._sources.holds)
        said.append(f"{waiting} hold{'s'[: waiting != 1]} open" if waiting else "no hold is open")
        running = [one.flow for one in self._sources.executors if one.ended is None]
        if running:
            said.append(f"not known to have ended: {', '.join(running)}")
        return "; ".join(said) + "."


def _run(one: Executor) -> Run:
    return Run(
        id=one.id,
        flow=one.flow,
        scope=one.scope,
        host=one.host,
        pid=one.pid,
        begin=one.begun,
        end=one.ended,
        how=one.how or "",
    )


def _journal_row(row: Row) -> JournalRow:
    entry = row.entry
    return JournalRow(
        id=row.id,
        at=row.at,
        executor=row.executor,
        procedure=entry.procedure,
        step=entry.step,
        leg=entry.leg,
        cluster=entry.cluster,
        event=entry.event.value,
        text=entry.text,
        server=entry.server,
        token=entry.token,
        data=entry.data,
    )


def _alarm(spell: AlarmSpell) -> AlarmSeen:
    return AlarmSeen(
        number=spell.number,
        source=spell.source,
        cluster=spell.cluster,
        severity=spell.severity,
        standing=spell.standing,
        text=spell.text,
        begin=spell.begin,
        end=spell.end,
        open=spell.open,
    )


_SAME = ("server", "user", "command", "status", "stdout", "stderr")


def _told(commands: Iterable[Mapping[str, Any]]) -> list[Command]:
    """Commands in their order; one that was sent again and answered the same stands once, with how often."""
    found: dict[tuple[Any, ...], Command] = {}
    for one in commands:
        key = tuple(one.get(name) for name in _SAME)
        at = datetime.fromisoformat(one["at"])
        before = found.get(key)
        if before is not None:
            found[key] = before.model_copy(update={"times": before.times + 1, "last": at})
            continue
        found[key] = Command(
            at=at,
            server=one["server"],
            user=one["user"],
            command=one["command"],
            status=one["status"],
            stdout=one["stdout"],
            stderr=one["stderr"],
        )
    return list(found.values())


def _short(release: str | None) -> str:
    """Such as 12.1.2."""
    try:
        return Release.parse(release or "").short
    except UnreadableReply:
        return release or "?"


def _version() -> str:
    try:
        return metadata.version("mopflow")
    except metadata.PackageNotFoundError:
        return "not installed"
