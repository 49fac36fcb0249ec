"""The ledger: what was meant, done and seen, kept so that any process may die at any moment."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mopflow.errors import BadInput, LedgerUnavailable
from mopflow.ledger.engine import Database, open_database
from mopflow.ledger.models import (
    AnswerModel,
    Base,
    BoardModel,
    CampaignModel,
    CheckResultModel,
    ConfirmationModel,
    EvidenceModel,
    ExecutorModel,
    FlowRunModel,
    HoldModel,
    JournalModel,
    LeaseModel,
    NoticeModel,
    SnapshotModel,
    StopModel,
    plain_text,
)
from mopflow.ledger.records import (
    BoardLine,
    Campaign,
    CheckOutcome,
    CheckResult,
    Choice,
    Confirmation,
    Entry,
    Event,
    Evidence,
    Executor,
    Hold,
    HoldAnswer,
    HoldKind,
    Lease,
    Notice,
    Row,
    StopRequest,
)

_Record = TypeVar(
    "_Record", Campaign, Executor, Lease, BoardLine, Evidence, Notice, CheckResult, Confirmation, StopRequest
)
_CAMPAIGN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # it names a folder of the evidence too


class Ledger:
    """The ledger of one or more sites. All methods may be called from any thread and by several processes at once.

    What a method has written is committed when it returns. Every method raises LedgerUnavailable when the database
    cannot be read or written; whether a row whose commit was cut off is there can then only be read, so an intention
    that raised counts as not written: do not act.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Open `url` (``sqlite:///PATH`` or ``postgresql+psycopg://...``), making or migrating its tables.

        Raises BadInput for a URL that cannot be meant, LedgerUnavailable for everything else; neither holds the URL.
        """
        return cls(open_database(url))

    def close(self) -> None:
        """Give the connections back. The ledger opens new ones when it is used again."""
        self._database.reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Ledger: {self._database.place}>"

    @property
    def place(self) -> str:
        """Where it lies, for a person; without user and password."""
        return self._database.place

    # campaigns

    def campaign(self, site: str, source: str, target: str, wanted: str | None) -> str:
        """The id of the campaign to work in.

        `wanted`: this one, made when it is not there; it must be of the same site, source and target (BadInput).
        None: the newest unfinished campaign of the site with this source and target, else a new one.
        """
        if wanted is not None and not _CAMPAIGN_ID.fullmatch(wanted):
            raise BadInput(
                f"campaign {wanted!r}: an id has up to 64 letters, digits, '.', '_' and '-' and begins with a letter "
                "or digit"
            )
        with self._writing() as session:
            self._alone(session, "campaign", site)
            if wanted is not None:
                there = session.get(CampaignModel, wanted)
                if there is not None:
                    _same(there, site, source, target)
                    return there.id
            else:
                newest = session.scalars(
                    select(CampaignModel)
                    .where(
                        CampaignModel.site == site,
                        CampaignModel.source == source,
                        CampaignModel.target == target,
                        CampaignModel.ended.is_(None),
                    )
                    .order_by(CampaignModel.begun.desc(), CampaignModel.id.desc())
                    .limit(1)
                ).first()
                if newest is not None:
                    return newest.id
            now = _now()
            new = wanted or f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            session.add(CampaignModel(id=new, site=site, source=source, target=target, begun=now))
            return new

    def finish_campaign(self, campaign: str, how: str) -> None:
        """Say that the work is over and how. Raises BadInput when there is no such campaign."""
        with self._writing() as session:
            there = _found(session, CampaignModel, campaign, "campaign")
            there.ended, there.how = _now(), how

    def campaigns(self, site: str) -> list[Campaign]:
        """All campaigns of the site, oldest first."""
        query = (
            select(CampaignModel)
            .where(CampaignModel.site == site)
            .order_by(CampaignModel.begun, CampaignModel.id)
        )
        return self._all(query, Campaign)

    # executors

    def register(
        self, campaign: str, site: str, flow: str, scope: str, host: str, pid: int, born: float
    ) -> Executor:
        """Enter a process that begins to work (`mopflow.processes.me` has host, pid and born)."""
        with self._writing() as session:
            new = ExecutorModel(
                id=secrets.token_hex(8),
                campaign=campaign,
                site=site,
                flow=flow,
                scope=scope,
                host=host,
                pid=pid,
                born=born,
                begun=_now(),
            )
            session.add(new)
            session.flush()
            return _record(Executor, new)

    def end_executor(self, executor: str, how: str) -> None:
        """Say that an executor has ended; what was said first stays. Raises BadInput when there is none such."""
        with self._writing() as session:
            there = _found(session, ExecutorModel, executor, "executor")
            if there.ended is None:
                there.ended, there.how = _now(), how

    def executors(self, site: str, *, running_only: bool = False) -> list[Executor]:
        """The executors of the site, oldest first. `running_only`: those that nobody has declared ended."""
        query = select(ExecutorModel).where(ExecutorModel.site == site)
        if running_only:
            query = query.where(ExecutorModel.ended.is_(None))
        return self._all(query.order_by(ExecutorModel.begun, ExecutorModel.id), Executor)

    def add_flow_run(self, executor: str, flow_run_id: str, cluster: str | None) -> None:
        """Note a flow run of an executor; a second time changes nothing."""
        with self._writing() as session:
            key = {"executor": executor, "flow_run": flow_run_id}
            self._upsert(session, FlowRunModel, key, {"cluster": cluster, "at": _now()}, keep=True)

    def flow_runs(self, executor: str) -> list[tuple[str, str | None]]:
        """Ids of the executor's flow runs, each with its cluster, oldest first."""
        query = (
            select(FlowRunModel.flow_run, FlowRunModel.cluster)
            .where(FlowRunModel.executor == executor)
            .order_by(FlowRunModel.at, FlowRunModel.flow_run)
        )
        with self._reading() as session:
            return [(run, cluster) for run, cluster in session.execute(query)]

    # the journal

    def record(self, campaign: str, site: str, executor: str, entry: Entry) -> Row:
        """Append to the journal. The row is committed when this returns."""
        with self._writing() as session:
            new = JournalModel(
                site=site,
                campaign=campaign,
                executor=executor,
                at=_now(),
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
            session.add(new)
            session.flush()
            session.refresh(new)  # as it will be read, not as it was given
            return _row(new)

    def rows(
        self,
        *,
        site: str | None = None,
        campaign: str | None = None,
        procedure: str | None = None,
        step: int | None = None,
        cluster: str | None = None,
        events: Iterable[Event] | None = None,
        after: int = 0,
    ) -> list[Row]:
        """The journal, oldest first. A filter that is None does not filter; ``after``: rows with a higher id only."""
        query = select(JournalModel).where(
            *_journal(site, campaign, procedure, step, cluster, events), JournalModel.id > after
        )
        with self._reading() as session:
            return [_row(found) for found in session.scalars(query.order_by(JournalModel.id))]

    def last(
        self,
        *,
        site: str | None = None,
        campaign: str | None = None,
        procedure: str | None = None,
        step: int | None = None,
        cluster: str | None = None,
        events: Iterable[Event] | None = None,
    ) -> Row | None:
        """The newest row that `rows` would give."""
        query = select(JournalModel).where(*_journal(site, campaign, procedure, step, cluster, events))
        with self._reading() as session:
            found = session.scalars(query.order_by(JournalModel.id.desc()).limit(1)).first()
            return None if found is None else _row(found)

    # holds

    def open_hold(
        self,
        site: str,
        campaign: str,
        cluster: str | None,
        procedure: str,
        step: int,
        rule: str,
        reason: str,
        remedy: str,
        seen: Mapping[str, Any],
        *,
        kind: HoldKind = HoldKind.TROUBLE,
        choices: Sequence[Choice] = (Choice.AGAIN, Choice.LEAVE),
        typed: str | None = None,
        asked: Mapping[str, Any] | None = None,
    ) -> Hold:
        """Open a hold. An open one of the same site, campaign, cluster, procedure, step and reason is returned."""
        with self._writing() as session:
            self._alone(session, "hold", site)
            same = session.scalars(
                select(HoldModel)
                .where(
                    HoldModel.site == site,
                    HoldModel.campaign == campaign,
                    HoldModel.cluster.is_(None) if cluster is None else HoldModel.cluster == cluster,
                    HoldModel.procedure == procedure,
                    HoldModel.step == step,
                    HoldModel.reason == reason,
                    HoldModel.closed.is_(None),
                )
                .limit(1)
            ).first()
            if same is not None:
                return _hold(same)
            new = HoldModel(
                id=secrets.token_hex(4),
                site=site,
                campaign=campaign,
                cluster=cluster,
                procedure=procedure,
                step=step,
                rule=rule,
                reason=reason,
                remedy=remedy,
                seen=seen,
                opened=_now(),
                kind=kind.value,
                choices=" ".join(choices),
                typed=typed,
                asked=asked,
            )
            session.add(new)
            session.flush()
            session.refresh(new)
            return _hold(new)

    def instruct(self, hold: str, remedy: str) -> Hold:
        """Change what a person should do about a hold. Raises BadInput when there is none such."""
        with self._writing() as session:
            there = _found(session, HoldModel, hold, "hold")
            there.remedy = remedy
            session.flush()
            session.refresh(there)
            return _hold(there)

    def close_hold(self, hold: str, why: str) -> Hold:
        """Close a hold; what was said first stays. Raises BadInput when there is none such."""
        with self._writing() as session:
            there = _found(session, HoldModel, hold, "hold")
            if there.closed is None:
                there.closed, there.closed_why = _now(), plain_text(why)
                session.flush()
            return _hold(there)

    def holds(self, site: str, *, campaign: str | None = None, open_only: bool = True) -> list[Hold]:
        """The holds of the site, oldest first."""
        query = select(HoldModel).where(HoldModel.site == site)
        if campaign is not None:
            query = query.where(HoldModel.campaign == campaign)
        if open_only:
            query = query.where(HoldModel.closed.is_(None))
        with self._reading() as session:
            return [_hold(found) for found in session.scalars(query.order_by(HoldModel.opened, HoldModel.id))]

    def hold(self, hold: str) -> Hold:
        """One hold. Raises BadInput when there is none such."""
        with self._reading() as session:
            return _hold(_found(session, HoldModel, hold, "hold"))

    def told(self, hold: str, times: int | None = None) -> bool:
        """Note that people are told of a hold, now: once more, or for the ``times``-th time.

        False, and nothing is changed, when they were told so often already: then another run was faster. Telling
        them for the first time may be repeated, and counts as once. Raises BadInput when there is none such.
        """
        with self._writing() as session:
            self._alone(session, "told", hold)
            there = _found(session, HoldModel, hold, "hold")
            before = there.told_times
            times = before + 1 if times is None else times
            if before < times or times == 1:
                there.told, there.told_times = _now(), max(before, times)
            return before < times

    def answer(self, hold: str, choice: Choice, by: str, why: str, via: str) -> HoldAnswer | None:
        """Enter a person's answer to a hold; None when it counts: otherwise the answer that was there before.

        Raises BadInput when there is no such hold, when it is closed, or when the choice is none of its own.
        """
        with self._writing() as session:
            self._alone(session, "answer", hold)
            there = _hold(_found(session, HoldModel, hold, "hold"))
            earlier = session.get(AnswerModel, hold)
            if earlier is not None:
                return _answer(earlier)
            if there.closed is not None:
                raise BadInput(f"hold {hold} is closed since {there.closed:%H:%M:%S} UTC: {there.closed_why}")
            if choice not in there.choices:
                raise BadInput(
                    f"hold {hold} can be answered with {', '.join(there.choices)}, not with {choice}"
                )
            session.add(AnswerModel(hold=hold, choice=choice.value, by=by, why=why, via=via, at=_now()))
            return None

    def answer_to(self, hold: str) -> HoldAnswer | None:
        """What was answered to a hold."""
        with self._reading() as session:
            there = session.get(AnswerModel, hold)
            return None if there is None else _answer(there)

    # stops

    def ask_to_stop(self, site: str, by: str, why: str, *, now: bool) -> StopRequest:
        """Ask every run of the site that is under way to stop."""
        with self._writing() as session:
            new = StopModel(site=site, by=by, why=why, now=now, at=_now())
            session.add(new)
            session.flush()
            session.refresh(new)
            return _record(StopRequest, new)

    def stop_asked(self, site: str, since: datetime) -> StopRequest | None:
        """The strictest request to stop since then (one for now, else the newest); None when there is none."""
        query = (
            select(StopModel)
            .where(StopModel.site == site, StopModel.at >= since)
            .order_by(StopModel.now.desc(), StopModel.id.desc())
            .limit(1)
        )
        found = self._all(query, StopRequest)
        return found[0] if found else None

    def stops(self, site: str) -> list[StopRequest]:
        """Every request to stop on this site, oldest first."""
        query = select(StopModel).where(StopModel.site == site).order_by(StopModel.id)
        return self._all(query, StopRequest)

    # leases

    def add_lease(self, lease: Lease) -> None:
        """Keep a lease, so that a successor can give it back."""
        with self._writing() as session:
            session.add(
                LeaseModel(
                    id=lease.id,
                    site=lease.site,
                    executor=lease.executor,
                    slot=lease.slot,
                    cluster=lease.cluster,
                    taken=lease.taken,
                    released=lease.released,
                )
            )

    def release_lease(self, lease: str) -> None:
        """Say that a lease was given back. Once said, or with an id that is not known, nothing changes."""
        with self._writing() as session:
            there = session.get(LeaseModel, lease)
            if there is not None and there.released is None:
                there.released = _now()

    def leases(
        self, executor: str | None = None, site: str | None = None, open_only: bool = True
    ) -> list[Lease]:
        """The leases of an executor, of a site, or all; oldest first."""
        query = select(LeaseModel)
        if executor is not None:
            query = query.where(LeaseModel.executor == executor)
        if site is not None:
            query = query.where(LeaseModel.site == site)
        if open_only:
            query = query.where(LeaseModel.released.is_(None))
        return self._all(query.order_by(LeaseModel.taken, LeaseModel.id), Lease)

    # the live board

    def put_board(self, site: str, campaign: str, line: BoardLine) -> None:
        """Put the line of a cluster in the place of its last one."""
        values = {name.name: getattr(line, name.name) for name in fields(line)}
        key = {"site": site, "campaign": campaign, "cluster": values.pop("cluster")}
        with self._writing() as session:
            self._upsert(session, BoardModel, key, values)

    def board(self, site: str, campaign: str | None = None) -> list[BoardLine]:
        """The lines of a campaign, by cluster. None: of the newest campaign of the site that has any."""
        with self._reading() as session:
            if campaign is None:
                campaign = session.scalars(
                    select(BoardModel.campaign)
                    .join(CampaignModel, CampaignModel.id == BoardModel.campaign)
                    .where(BoardModel.site == site)
                    .order_by(CampaignModel.begun.desc(), CampaignModel.id.desc())
                    .limit(1)
                ).first()
            lines = select(BoardModel).where(BoardModel.site == site, BoardModel.campaign == campaign)
            return [_record(BoardLine, line) for line in session.scalars(lines.order_by(BoardModel.cluster))]

    def put_snapshot(self, site: str, campaign: str, document: Mapping[str, Any]) -> None:
        """Keep the last picture of the system; it takes the place of the one before."""
        values = {"campaign": campaign, "at": _now(), "document": document}
        with self._writing() as session:
            self._upsert(session, SnapshotModel, {"site": site}, values)

    def snapshot(self, site: str) -> tuple[datetime, dict[str, Any]] | None:
        """The last picture of the system and when it was kept."""
        with self._reading() as session:
            there = session.get(SnapshotModel, site)
            return None if there is None else (there.at, there.document)

    # evidence and notices

    def add_evidence(
        self,
        campaign: str,
        site: str,
        procedure: str,
        step: int,
        cluster: str | None,
        kind: str,
        path: str,
        sha256: str,
        size: int,
        at: datetime,
    ) -> Evidence:
        """Enter a file that lies in the evidence store; `path` is relative to the store, `size` in bytes."""
        with self._writing() as session:
            new = EvidenceModel(
                campaign=campaign,
                site=site,
                procedure=procedure,
                step=step,
                cluster=cluster,
                kind=kind,
                path=path,
                sha256=sha256,
                size=size,
                at=at,
            )
            session.add(new)
            session.flush()
            session.refresh(new)
            return _record(Evidence, new)

    def evidence(self, campaign: str, *, after: int = 0) -> list[Evidence]:
        """The evidence of a campaign, oldest first. ``after``: what was entered under a higher id only."""
        query = select(EvidenceModel).where(EvidenceModel.campaign == campaign, EvidenceModel.id > after)
        return self._all(query.order_by(EvidenceModel.id), Evidence)

    def add_notice(
        self,
        site: str,
        campaign: str | None,
        subject: str,
        delivered: bool,
        why: str,
        *,
        kind: str = "",
        body: str = "",
        tags: str = "",
        tries: int = 1,
        once: bool = False,
    ) -> int | None:
        """Note a notification; its id. `once`: None when the campaign has one of this kind and subject already."""
        with self._writing() as session:
            if once:
                self._alone(session, "notice", site, kind, subject)
                same = (NoticeModel.site == site, NoticeModel.campaign == campaign)
                like = (NoticeModel.kind == kind, NoticeModel.subject == subject)
                if session.scalars(select(NoticeModel.id).where(*same, *like).limit(1)).first() is not None:
                    return None
            new = NoticeModel(
                site=site,
                campaign=campaign,
                subject=subject,
                delivered=delivered,
                why=why,
                at=_now(),
                kind=kind,
                body=body,
                tags=tags,
                tries=tries,
            )
            session.add(new)
            session.flush()
            return new.id

    def settle_notice(self, notice: int, delivered: bool, why: str, tries: int) -> None:
        """Say what became of a notification so far. Raises BadInput when there is none such."""
        with self._writing() as session:
            there = _found(session, NoticeModel, notice, "notice")
            there.delivered, there.why, there.tries = delivered, why, tries

    def notices(self, site: str, campaign: str | None = None) -> list[Notice]:
        """The notices of the site, or of one campaign of it; oldest first."""
        query = select(NoticeModel).where(NoticeModel.site == site)
        if campaign is not None:
            query = query.where(NoticeModel.campaign == campaign)
        return self._all(query.order_by(NoticeModel.id), Notice)

    # readiness

    def add_check(self, site: str, campaign: str | None, result: CheckResult) -> None:
        """Append a result of the preparation."""
        with self._writing() as session:
            values = {name.name: getattr(result, name.name) for name in fields(result)}
            session.add(
                CheckResultModel(**{**values, "outcome": result.outcome.value}, site=site, campaign=campaign)
            )

    def checks(self, site: str) -> list[CheckResult]:
        """The newest result of every check on every server, and of every check of the whole system."""
        newest = (
            select(func.max(CheckResultModel.id))
            .where(CheckResultModel.site == site)
            .group_by(CheckResultModel.check, CheckResultModel.server)
        )
        query = select(CheckResultModel).where(CheckResultModel.id.in_(newest)).order_by(CheckResultModel.id)
        found = self._all(query, CheckResult)
        return [replace(one, outcome=CheckOutcome(one.outcome)) for one in found]

    def all_checks(self, site: str) -> list[CheckResult]:
        """Every result that the preparation ever had on this site, oldest first."""
        query = select(CheckResultModel).where(CheckResultModel.site == site).order_by(CheckResultModel.id)
        found = self._all(query, CheckResult)
        return [replace(one, outcome=CheckOutcome(one.outcome)) for one in found]

    def confirm(self, site: str, item: str, by: str, text: str, source: str) -> None:
        """Append what a person confirms."""
        with self._writing() as session:
            session.add(ConfirmationModel(site=site, item=item, by=by, text=text, source=source, at=_now()))

    def confirmation(self, site: str, item: str) -> Confirmation | None:
        """The newest confirmation of an item."""
        query = (
            select(ConfirmationModel)
            .where(ConfirmationModel.site == site, ConfirmationModel.item == item)
            .order_by(ConfirmationModel.id.desc())
            .limit(1)
        )
        found = self._all(query, Confirmation)
        return found[0] if found else None

    def confirmations(self, site: str) -> list[Confirmation]:
        """Everything that was ever confirmed on this site, oldest first."""
        query = select(ConfirmationModel).where(ConfirmationModel.site == site)
        return self._all(query.order_by(ConfirmationModel.id), Confirmation)

    # beneath

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._transaction(Session(self._database.writing, expire_on_commit=False)) as session:
            yield session

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._transaction(Session(self._database.reading, expire_on_commit=False)) as session:
            yield session

    @contextmanager
    def _transaction(self, session: Session) -> Iterator[Session]:
        self._database.check_file()
        try:
            with session, session.begin():
                yield session
        except SQLAlchemyError as error:
            raise self._database.unavailable(error) from None

    def _all(self, query: Select[Any], kind: type[_Record]) -> list[_Record]:
        with self._reading() as session:
            return [_record(kind, found) for found in session.scalars(query)]

    def _alone(self, session: Session, *key: str) -> None:
        """Until the end of the transaction nobody else passes here with this key. SQLite's writer is alone anyway."""
        if self._database.file is None:
            word = "\n".join(("mopflow", *(plain_text(part) for part in key)))
            session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(word, 0))))

    def _upsert(
        self,
        session: Session,
        model: type[Base],
        key: Mapping[str, Any],
        values: Mapping[str, Any],
        *,
        keep: bool = False,
    ) -> None:
        """Insert, or put `values` into the row with this key (`keep`: leave that row as it is)."""
        insert = sqlite.insert if self._database.file is not None else postgresql.insert
        new = insert(model).values(**key, **values)
        if keep:
            session.execute(new.on_conflict_do_nothing(index_elements=list(key)))
        else:
            fresh = {name: new.excluded[name] for name in values}
            session.execute(new.on_conflict_do_update(index_elements=list(key), set_=fresh))


def _now() -> datetime:
    return datetime.now(UTC)


def _record(kind: type[_Record], model: Base) -> _Record:
    """A row of a table as the value of the same column names."""
    return kind(**{name.name: getattr(model, name.name) for name in fields(kind)})


def _hold(model: HoldModel) -> Hold:
    values = {name.name: getattr(model, name.name) for name in fields(Hold)}
    return Hold(
        **{
            **values,
            "kind": HoldKind(model.kind),
            "choices": tuple(Choice(word) for word in model.choices.split()),
            "asked": model.asked or {},
        }
    )


def _answer(model: AnswerModel) -> HoldAnswer:
    return HoldAnswer(model.hold, Choice(model.choice), model.by, model.why, model.via, model.at)


def _row(model: JournalModel) -> Row:
    try:
        event = Event(model.event)
    except ValueError:
        raise LedgerUnavailable(
            f"row {model.id} of the journal says {model.event!r}, which this mopflow does not know; use a newer one"
        ) from None
    entry = Entry(
        procedure=model.procedure,
        step=model.step,
        leg=model.leg,
        cluster=model.cluster,
        event=event,
        text=model.text,
        server=model.server,
        token=model.token,
        data=model.data,
    )
    return Row(model.id, model.site, model.campaign, model.executor, model.at, entry)


def _journal(
    site: str | None,
    campaign: str | None,
    procedure: str | None,
    step: int | None,
    cluster: str | None,
    events: Iterable[Event] | None,
) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if site is not None:
        wanted.append(JournalModel.site == site)
    if campaign is not None:
        wanted.append(JournalModel.campaign == campaign)
    if procedure is not None:
        wanted.append(JournalModel.procedure == procedure)
    if step is not None:
        wanted.append(JournalModel.step == step)
    if cluster is not None:
        wanted.append(JournalModel.cluster == cluster)
    if events is not None:
        wanted.append(JournalModel.event.in_([event.value for event in events]))
    return wanted


_Model = TypeVar("_Model", bound=Base)


def _found(session: Session, model: type[_Model], key: str | int, what: str) -> _Model:
    there = session.get(model, key)
    if there is None:
        raise BadInput(f"the ledger has no {what} {key!r}")
    return there


def _same(there: CampaignModel, site: str, source: str, target: str) -> None:
    mistakes = [
        f"campaign {there.id} has {what} {has!r}, not {asked!r}; name another campaign"
        for what, has, asked in (
            ("the site", there.site, site),
            ("the source release", there.source, source),
            ("the target release", there.target, target),
        )
        if has != asked
    ]
    if mistakes:
        raise BadInput(*mistakes)
