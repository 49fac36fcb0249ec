"""The tables of the ledger. Migrations make them; a test holds the two together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Double, ForeignKey, Index, Integer, MetaData, Text
from sqlalchemy import text as literal
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


def plain_text(text: str) -> str:
    """`text` as both databases can store it: a terminal's NUL as its picture, what is not Unicode as an escape."""
    return text.replace("\0", "\u2400").encode("utf-8", "backslashreplace").decode("utf-8")


def plain_json(value: Any) -> Any:
    """`value` as JSON can say it. A value that JSON does not know goes in as its text: a row is never lost for it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return plain_text(str(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {plain_text(str(key)): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain_json(item) for item in value), key=str)
    if isinstance(value, datetime):
        return value.isoformat()
    return plain_text(str(value))


class Words(TypeDecorator[str]):
    """Text that may come from anywhere."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else plain_text(value)


class Document(TypeDecorator[Any]):
    """JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return plain_json(value)


class Moment(TypeDecorator[datetime]):
    """A time in UTC, aware; SQLite keeps no zone, and PostgreSQL answers in that of the session."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the time {value} has no zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Number = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up INTEGER keys only


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Words, datetime: Moment, float: Double}  # noqa: RUF012


class CampaignModel(Base):
    __tablename__ = "campaign"

    id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(index=True)
    source: Mapped[str]
    target: Mapped[str]
    begun: Mapped[datetime]
    ended: Mapped[datetime | None]
    how: Mapped[str | None]


class ExecutorModel(Base):
    __tablename__ = "executor"

    id: Mapped[str] = mapped_column(primary_key=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.id"))
    site: Mapped[str] = mapped_column(index=True)
    flow: Mapped[str]
    scope: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    born: Mapped[float]
    begun: Mapped[datetime]
    ended: Mapped[datetime | None]
    how: Mapped[str | None]


class FlowRunModel(Base):
    __tablename__ = "flow_run"

    executor: Mapped[str] = mapped_column(ForeignKey("executor.id"), primary_key=True)
    flow_run: Mapped[str] = mapped_column(primary_key=True)
    cluster: Mapped[str | None]
    at: Mapped[datetime]


class JournalModel(Base):
    """Append-only: triggers refuse UPDATE and DELETE."""

    __tablename__ = "journal"
    __table_args__ = (
        Index(None, "site", "campaign", "procedure", "step", "cluster"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    site: Mapped[str]
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.id"))
    executor: Mapped[str] = mapped_column(ForeignKey("executor.id"))
    at: Mapped[datetime]
    procedure: Mapped[str]
    step: Mapped[int]
    leg: Mapped[str]
    cluster: Mapped[str | None]
    event: Mapped[str]
    text: Mapped[str]
    server: Mapped[str | None]
    token: Mapped[str | None]
    data: Mapped[Any] = mapped_column(Document, nullable=False)


class HoldModel(Base):
    __tablename__ = "hold"

    id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(index=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.id"))
    cluster: Mapped[str | None]
    procedure: Mapped[str]
    step: Mapped[int]
    rule: Mapped[str]
    reason: Mapped[str]
    remedy: Mapped[str]
    seen: Mapped[Any] = mapped_column(Document, nullable=False)
    opened: Mapped[datetime]
    closed: Mapped[datetime | None]
    closed_why: Mapped[str | None]
    kind: Mapped[str] = mapped_column(server_default="trouble")
    choices: Mapped[str] = mapped_column(server_default="again leave")  # words
    typed: Mapped[str | None]
    asked: Mapped[Any] = mapped_column(Document, nullable=True)
    told: Mapped[datetime | None]
    told_times: Mapped[int] = mapped_column(server_default="0")


class AnswerModel(Base):
    """Append-only: what a person answered to a hold. One answer per hold: the key decides whose came first."""

    __tablename__ = "answer"

    hold: Mapped[str] = mapped_column(ForeignKey("hold.id"), primary_key=True)
    choice: Mapped[str]
    by: Mapped[str]
    why: Mapped[str]
    via: Mapped[str]
    at: Mapped[datetime]


class StopModel(Base):
    """Append-only: a person asked every run of the site to stop."""

    __tablename__ = "stop"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    site: Mapped[str] = mapped_column(index=True)
    now: Mapped[bool]
    by: Mapped[str]
    why: Mapped[str]
    at: Mapped[datetime]


class LeaseModel(Base):
    __tablename__ = "lease"

    id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(index=True)
    executor: Mapped[str] = mapped_column(ForeignKey("executor.id"), index=True)
    slot: Mapped[str]
    cluster: Mapped[str]
    taken: Mapped[datetime]
    released: Mapped[datetime | None]


class BoardModel(Base):
    __tablename__ = "board"

    site: Mapped[str] = mapped_column(primary_key=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    cluster: Mapped[str] = mapped_column(primary_key=True)
    procedure: Mapped[str]
    step: Mapped[int]
    title: Mapped[str]
    since: Mapped[datetime]
    usual_until: Mapped[datetime | None]
    late_at: Mapped[datetime | None]
    waits_for: Mapped[str]
    state: Mapped[str]


class SnapshotModel(Base):
    """The last picture of a site; the journal and the evidence hold the earlier ones that mattered."""

    __tablename__ = "snapshot"

    site: Mapped[str] = mapped_column(primary_key=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.id"))
    at: Mapped[datetime]
    document: Mapped[Any] = mapped_column(Document, nullable=False)


class EvidenceModel(Base):
    """Append-only, as the journal."""

    __tablename__ = "evidence"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.id"), index=True)
    site: Mapped[str]
    procedure: Mapped[str]
    step: Mapped[int]
    cluster: Mapped[str | None]
    kind: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]


class CheckResultModel(Base):
    """Append-only, as the journal: the newest row of a check on a server counts."""

    __tablename__ = "check_result"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    site: Mapped[str] = mapped_column(index=True)
    campaign: Mapped[str | None] = mapped_column(ForeignKey("campaign.id"))
    check: Mapped[str]
    server: Mapped[str | None]
    outcome: Mapped[str]
    text: Mapped[str]
    at: Mapped[datetime]
    until: Mapped[datetime | None]
    by: Mapped[str | None]
    data: Mapped[Any] = mapped_column(Document, nullable=False)


class ConfirmationModel(Base):
    """Append-only: what a person has confirmed."""

    __tablename__ = "confirmation"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    site: Mapped[str] = mapped_column(index=True)
    item: Mapped[str]
    by: Mapped[str]
    text: Mapped[str]
    source: Mapped[str]
    at: Mapped[datetime]


class NoticeModel(Base):
    __tablename__ = "notice"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    site: Mapped[str] = mapped_column(index=True)
    campaign: Mapped[str | None] = mapped_column(ForeignKey("campaign.id"))
    subject: Mapped[str]
    delivered: Mapped[bool]
    why: Mapped[str]
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(server_default=literal("''"))
    body: Mapped[str] = mapped_column(server_default=literal("''"))
    tags: Mapped[str] = mapped_column(server_default=literal("''"))
    tries: Mapped[int] = mapped_column(server_default="1")
