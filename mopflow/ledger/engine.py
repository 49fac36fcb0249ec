"""How the ledger's database is reached, made safe and brought to its present form."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from mopflow.errors import BadInput, LedgerUnavailable
from mopflow.secrets import forms

VERSION_TABLE = "mopflow_ledger_version"
BUSY_SECONDS = 30  # how long a statement waits for another process before the ledger counts as unavailable
_MIGRATE_SECONDS = 120
_MIGRATIONS = Path(__file__).with_name("migrations")
_migrating = threading.Lock()  # Alembic keeps its context in module globals


@dataclass(frozen=True, slots=True)
class Database:
    """An opened database: ``reading`` and ``writing`` differ in how they begin a transaction (SQLite)."""

    place: str
    reading: Engine
    writing: Engine
    file: Path | None
    inode: tuple[int, int] | None
    secrets: tuple[str, ...] = field(repr=False)

    def check_file(self) -> None:
        """SQLite goes on writing into a file that was deleted or replaced: such a row would be seen by nobody.

        Raises LedgerUnavailable.
        """
        if self.file is None:
            return
        try:
            stat = self.file.stat()
        except OSError as error:
            raise LedgerUnavailable(f"{self.place} is gone: {error.strerror}") from None
        if (stat.st_dev, stat.st_ino) != self.inode:
            raise LedgerUnavailable(
                f"{self.place} was replaced while mopflow was using it; start mopflow again"
            )

    def unavailable(self, error: BaseException) -> LedgerUnavailable:
        return _unavailable(self.place, self.secrets, error)


def open_database(url: str) -> Database:
    """Connect to the ledger and migrate it to its present form.

    Two processes may do so at the same time: one waits for the other. Raises BadInput for a URL that cannot be meant,
    LedgerUnavailable for everything that the database says.
    """
    read = _read(url)
    secrets = _secrets(read)
    sqlite = read.get_backend_name() == "sqlite"
    file = Path(read.database or "").absolute() if sqlite else None
    place = f"the ledger {file}" if file else f"the ledger {read.database} on {_where(read)}"
    engine = _sqlite(read.set(database=str(file))) if file is not None else _postgresql(read)
    writing = engine.execution_options(mopflow_write=True)
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        with _one_opens(file):
            if file is not None:
                _turn_on_wal(file)
            _migrate(writing, place)
        inode = None
        if file is not None:
            stat = file.stat()
            inode = (stat.st_dev, stat.st_ino)
    except LedgerUnavailable:
        engine.dispose()
        raise
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        engine.dispose()
        raise _unavailable(place, secrets, error) from None
    return Database(place, engine, writing, file, inode, secrets)


def head() -> str:
    """The newest form of the ledger that this code knows."""
    return ScriptDirectory(str(_MIGRATIONS)).get_current_head() or ""


def _read(url: str) -> URL:
    """The URL, taken apart. Its text is never repeated in an error: it may hold a password."""
    remedy = "give sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE"
    try:
        read = make_url(url)
    except (ArgumentError, ValueError):
        raise BadInput(f"the URL of the ledger cannot be read; {remedy}") from None
    if read.drivername in ("sqlite", "sqlite+pysqlite"):
        if read.database in (None, "", ":memory:") or (read.database or "").startswith("file:"):
            raise BadInput(f"the ledger must be a file that outlives the process; {remedy}")
        return read
    if read.drivername in ("postgresql", "postgresql+psycopg"):
        if not read.database:
            raise BadInput(f"the URL of the ledger names no database; {remedy}")
        return read.set(drivername="postgresql+psycopg")
    raise BadInput(f"the ledger cannot be kept in {read.drivername}; {remedy}")


def _where(url: URL) -> str:
    return f"{url.host or 'the local socket'}:{url.port or 5432}"


def _secrets(url: URL) -> tuple[str, ...]:
    found = [str(url.password)] if url.password else []
    for name in ("password", "sslpassword"):
        value = url.query.get(name, ())
        found.extend([value] if isinstance(value, str) else value)
    return tuple(found)


def _unavailable(place: str, secrets: tuple[str, ...], error: BaseException) -> LedgerUnavailable:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = " ".join(str(cause).split()) or type(cause).__name__
    for form in forms(secrets):
        said = said.replace(form, "********")
    return LedgerUnavailable(f"{place} cannot be used: {said}")


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS},
        pool_size=10,
        max_overflow=40,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, see below
        for pragma in ("foreign_keys = ON", "synchronous = FULL", "recursive_triggers = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # A transaction that reads first and writes later fails at once when somebody wrote in between, without
        # waiting. One that will write says so at its beginning and waits for its turn.
        write = connection.get_execution_options().get("mopflow_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": BUSY_SECONDS * 1000,
            "application_name": "mopflow",
        },
        pool_size=10,
        max_overflow=40,
        pool_pre_ping=True,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        connection.execute(f"SET statement_timeout = '{BUSY_SECONDS}s'")
        connection.execute("SET synchronous_commit = on")
        connection.autocommit = False

    return engine


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time. A lock file of its own: a second handle on the database itself would drop SQLite's locks."""
    handle = os.open(file.with_name(file.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _one_opens(file: Path | None) -> Iterator[None]:
    with _migrating, _locked(file) if file is not None else nullcontext():
        yield


def _turn_on_wal(file: Path) -> None:
    """WAL stays on in the file. Two processes that turn it on at once would not wait for each other, hence the lock."""
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    finally:
        connection.close()
    if mode != "wal":
        raise OSError(f"the file system does not let SQLite use a write-ahead log (mode {mode})")


def _migrate(engine: Engine, place: str) -> None:
    """Bring the tables to their present form, in one transaction that no other process can come between."""
    scripts = ScriptDirectory(str(_MIGRATIONS))
    known = {script.revision for script in scripts.walk_revisions()}
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = '{_MIGRATE_SECONDS}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('mopflow ledger', 0))"))
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        present = set(context.get_current_heads())
        if present - known:
            raise LedgerUnavailable(
                f"{place} was written by a newer mopflow (its form is {', '.join(sorted(present - known))}, this "
                f"mopflow knows up to {scripts.get_current_head()}); use that mopflow or name another ledger"
            )
        if present == set(scripts.get_heads()):
            return
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "head")
