"""The ledger on both databases: several processes, sudden death, and rows that nobody can change.

PostgreSQL: MOPFLOW_TEST_POSTGRES names a server and database, by default the local one; every test has a schema of its
own in it. Without it that half is skipped, but not in CI.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from mopflow.errors import BadInput, LedgerUnavailable
from mopflow.ledger import BoardLine, Entry, Event, Executor, Hold, Lease, Ledger, engine
from mopflow.ledger.engine import VERSION_TABLE, head
from mopflow.ledger.models import Base, plain_json
from mopflow.processes import me

ROOT = Path(__file__).parents[2]
SERVER = os.environ.get("MOPFLOW_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
PASSWORD = "p4ss+w/rd"
QUOTED = "p4ss%2Bw%2Frd"


def on_server(*statements: str) -> None:
    url = make_url(SERVER).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            for statement in statements:
                connection.execute(statement)
    except psycopg.OperationalError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"PostgreSQL is not there: {error}")


@pytest.fixture
def postgres_schema() -> Iterator[str]:
    """URL of a new schema; its sessions live in another time zone than ours."""
    name = f"mopflow_{secrets.token_hex(6)}"
    on_server(f"CREATE SCHEMA {name}")
    yield (
        make_url(SERVER)
        .update_query_dict({"options": f"-csearch_path={name} -cTimeZone=Asia/Tokyo"})
        .render_as_string(hide_password=False)
    )
    on_server(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def postgres_database() -> Iterator[tuple[str, str]]:
    """URL (with a password) and name of a new database."""
    name = f"mopflow_{secrets.token_hex(6)}"
    on_server(f"CREATE DATABASE {name}")
    url = make_url(SERVER)
    yield (
        url.set(database=name, password=url.password or PASSWORD).render_as_string(hide_password=False),
        name,
    )
    on_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database that is there and empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'night' / 'ledger.db'}"
    found: str = request.getfixturevalue("postgres_schema")
    return found


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as ledger:
        yield ledger


@pytest.fixture
def raw(url: str, ledger: Ledger) -> Iterator[Connection]:
    """The database by another way than ours, as somebody with psql or sqlite3 has it."""
    other = create_engine(url)
    with other.connect() as connection:
        yield connection
    other.dispose()


def campaign(ledger: Ledger, wanted: str | None = "night-1", site: str = "lab") -> str:
    return ledger.campaign(site, "12.1.1", "12.1.2", wanted)


def executor(ledger: Ledger, scope: str = "segment 1") -> Executor:
    mark = me()
    return ledger.register(campaign(ledger), "lab", "upgrade-segment", scope, mark.host, mark.pid, mark.born)


def entry(event: Event = Event.INTENDED, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "procedure": "10.2",
        "step": 4,
        "leg": "first",
        "cluster": "mpe-1",
        "event": event,
        "text": "Failover to new version",
    }
    return Entry(**(values | changes))


def write(ledger: Ledger, who: Executor, what: Entry) -> int:
    return ledger.record(who.campaign, who.site, who.id, what).id


class Children:
    """Processes of their own that all begin the same work at the same moment."""

    def __init__(self, number: int, script: str, *arguments: str) -> None:
        ready = "import sys\nfrom mopflow.ledger import *\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", ready + script, str(place), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for place in range(number)
        ]

    def run(self) -> list[tuple[int, str, str]]:
        """Let them go; exit status, stdout and stderr of each."""
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate() for process in self.processes]
        return [
            (process.returncode, *output) for process, output in zip(self.processes, outputs, strict=True)
        ]


# opening and migrating


def test_the_models_are_what_the_migrations_make(raw: Connection) -> None:
    context = MigrationContext.configure(
        raw, opts={"version_table": VERSION_TABLE, "compare_server_default": True}
    )
    assert compare_metadata(context, Base.metadata) == []
    assert context.get_current_heads() == (head(),)


def test_opening_again_finds_everything(url: str, ledger: Ledger) -> None:
    who = executor(ledger)
    row = write(ledger, who, entry())
    ledger.close()
    with Ledger.open(url) as again:
        assert [found.id for found in again.rows()] == [row]
        assert again.executors("lab") == [who]


OPENS = """
ledger = Ledger.open(sys.argv[2])
campaign = ledger.campaign("lab", "12.1.1", "12.1.2", None)
who = ledger.register(campaign, "lab", "f", "s", "h", 1, 0.5)
ledger.record(campaign, "lab", who.id, Entry("10.2", 1, "", None, Event.NOTE, sys.argv[1]))
print(campaign)
"""


def test_processes_open_and_migrate_a_fresh_database_at_once(url: str) -> None:
    results = Children(3, OPENS, url).run()
    assert [(status, stderr) for status, _, stderr in results] == [(0, "")] * 3
    assert len({stdout for _, stdout, _ in results}) == 1  # and all work in one campaign
    with Ledger.open(url) as ledger:
        assert sorted(row.entry.text for row in ledger.rows(site="lab")) == ["0", "1", "2"]


def test_threads_open_a_fresh_database_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda _: Ledger.open(url), range(4)))
    assert len({campaign(ledger, None) for ledger in ledgers}) == 1
    for ledger in ledgers:
        ledger.close()


def test_a_ledger_of_a_newer_mopflow_is_refused(url: str, raw: Connection) -> None:
    raw.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    raw.commit()
    with pytest.raises(LedgerUnavailable, match=rf"newer mopflow.*9999.*{head()}"):
        Ledger.open(url)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (f"nonsense:{QUOTED}@", "cannot be read"),
        (f"postgresql://u:{QUOTED}@h:port/d", "cannot be read"),
        (f"mysql://u:{QUOTED}@h/d", "cannot be kept in mysql"),
        (f"postgresql+psycopg2://u:{QUOTED}@h/d", "cannot be kept in postgresql"),
        (f"postgresql://u:{QUOTED}@h", "names no database"),
        ("sqlite://", "outlives the process"),
        ("sqlite:///:memory:", "outlives the process"),
        ("sqlite:///file:x?mode=memory&uri=true", "outlives the process"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_repeating_it(bad: str, why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        Ledger.open(bad)
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert QUOTED not in shown


def test_sqlite_is_set_so_that_a_commit_outlives_a_power_cut(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger._database.writing.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


# the journal


DIES = """
import os, signal
ledger = Ledger.open(sys.argv[2])
campaign = ledger.campaign("lab", "12.1.1", "12.1.2", "night-1")
who = ledger.register(campaign, "lab", "f", "s", "h", 1, 0.5)
row = ledger.record(campaign, "lab", who.id, Entry("10.2", 4, "", "mpe-1", Event.INTENDED, "x", token="t"))
os.write(1, str(row.id).encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_right_after_record_has_its_row(url: str) -> None:
    ((status, stdout, _),) = Children(1, DIES, url).run()
    assert status == -signal.SIGKILL
    with Ledger.open(url) as ledger:
        (row,) = ledger.rows(campaign="night-1")
        assert str(row.id) == stdout
        assert row.entry == Entry("10.2", 4, "", "mpe-1", Event.INTENDED, "x", token="t")
        (dead,) = ledger.executors("lab", running_only=True)
        ledger.end_executor(dead.id, "crashed")
        assert ledger.executors("lab", running_only=True) == []


WRITES = """
from concurrent.futures import ThreadPoolExecutor
ledger = Ledger.open(sys.argv[2])
campaign = ledger.campaign("lab", "12.1.1", "12.1.2", None)
def work(thread):
    who = ledger.register(campaign, "lab", "f", f"{sys.argv[1]}/{thread}", "h", 1, 0.5)
    for number in range(40):
        ledger.record(campaign, "lab", who.id, Entry("10.2", number, "", None, Event.NOTE, who.scope))
        assert ledger.last(campaign=campaign, step=number) is not None
    return who.id
with ThreadPoolExecutor(2) as pool:
    print(*pool.map(work, range(2)))
"""


def test_processes_and_threads_write_at_once_and_lose_nothing(url: str) -> None:
    results = Children(2, WRITES, url).run()
    assert [(status, stderr) for status, _, stderr in results] == [(0, "")] * 2
    writers = " ".join(stdout for _, stdout, _ in results).split()
    assert len(set(writers)) == 4
    with Ledger.open(url) as ledger:
        rows = ledger.rows(site="lab")
        assert [row.id for row in rows] == sorted({row.id for row in rows})
        for writer in writers:
            assert [row.entry.step for row in rows if row.executor == writer] == list(range(40))


@pytest.mark.parametrize("table", ["journal", "evidence"])
@pytest.mark.parametrize("change", ["UPDATE {} SET cluster = 'other'", "DELETE FROM {}", "{other}"])
def test_nobody_changes_or_removes_what_was_written(
    ledger: Ledger, raw: Connection, table: str, change: str
) -> None:
    who = executor(ledger)
    write(ledger, who, entry())
    ledger.add_evidence(
        who.campaign, "lab", "10.2", 4, "mpe-1", "alarms", "x", "0" * 64, 1, datetime.now(UTC)
    )
    other = {
        "sqlite": "INSERT OR REPLACE INTO {0} SELECT * FROM {0}",
        "postgresql": "TRUNCATE {0} CASCADE",
    }[raw.dialect.name]
    before = raw.execute(text(f"SELECT * FROM {table}")).all()
    with pytest.raises(DBAPIError, match=f"{table} is append-only"):
        raw.execute(text(change.replace("{other}", other).format(table)))
    raw.rollback()
    assert raw.execute(text(f"SELECT * FROM {table}")).all() == before
    assert len(before) == 1


def test_a_row_is_read_as_it_was_returned(ledger: Ledger) -> None:
    who = executor(ledger)
    before = datetime.now(UTC)
    data = {
        "roles": {"mpe-1a": "Active", "mpe-1b": None},
        "alarms": [70500, 31283.5, True, []],
        "big": 2**60,
        "text": "é ☃ \U0001f4a3 \"'\\ % :x",
        "": {},
    }
    what = entry(text="ends with a NUL\0", server="mpe-1b", token="a:b%s", data=data)
    row = ledger.record(who.campaign, "lab", who.id, what)
    (read,) = ledger.rows()
    assert read == row
    assert read.entry.data == data
    assert list(read.entry.data) == list(data)
    assert read.entry.text == "ends with a NUL\u2400"
    assert (read.site, read.campaign, read.executor) == ("lab", "night-1", who.id)
    assert before <= read.at <= datetime.now(UTC)
    assert read.at.tzinfo is UTC


def test_data_that_json_does_not_know_costs_no_row(ledger: Ledger) -> None:
    class Odd(str):
        __slots__ = ()

    data = {
        "path": Path("a/b"),
        1: (1, 2),
        "when": datetime(2026, 11, 22, tzinfo=UTC),
        "not a number": float("nan"),
        "set": {"b", "a"},
        "event": Event.LOST,
        "surrogate": "\udcff",
        "odd": Odd("x\0"),
    }
    who = executor(ledger)
    row = ledger.record(who.campaign, "lab", who.id, entry(text="\udcff", data=data))
    assert row.entry.text == "\\udcff"
    assert ledger.rows()[0].entry.data == {
        "path": "a/b",
        "1": [1, 2],
        "when": "2026-11-22T00:00:00+00:00",
        "not a number": "nan",
        "set": ["a", "b"],
        "event": "lost",
        "surrogate": "\\udcff",
        "odd": "x\u2400",
    }


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(JSON)
@settings(deadline=None)
def test_what_is_json_stays_what_it_is(value: Any) -> None:
    assert plain_json(value) == value
    assert json.loads(json.dumps(plain_json(value), allow_nan=False)) == value


def test_rows_are_filtered_and_ordered(ledger: Ledger) -> None:
    who = executor(ledger)
    campaign(ledger, "night-2", "other")
    elsewhere = ledger.register("night-2", "other", "f", "s", "h", 1, 0.0)
    first = write(ledger, who, entry(Event.INTENDED, token="t1"))
    second = write(ledger, who, entry(Event.ACTED, token="t1"))
    third = write(ledger, who, entry(Event.INTENDED, cluster="mpe-2", step=5))
    fourth = write(ledger, who, entry(Event.NOTE, procedure="9.1.1", cluster=None))
    fifth = write(ledger, elsewhere, entry(Event.NOTE))

    def ids(**filters: Any) -> list[int]:
        found = ledger.rows(**filters)
        newest = ledger.last(**filters)
        assert newest == (found[-1] if found else None)
        return [row.id for row in found]

    assert ids() == [first, second, third, fourth, fifth]
    assert ids(site="lab") == [first, second, third, fourth]
    assert ids(campaign="night-2") == [fifth]
    assert ids(site="lab", procedure="10.2") == [first, second, third]
    assert ids(step=5) == [third]
    assert ids(site="lab", cluster="mpe-1") == [first, second]
    assert ids(cluster="mpe-1", events=[Event.ACTED, Event.NOTE]) == [second, fifth]
    assert ids(events={Event.INTENDED}) == [first, third]
    assert ids(events=[]) == []
    assert ids(site="nowhere") == []


def test_an_intention_of_nobody_is_not_written(ledger: Ledger) -> None:
    campaign(ledger)
    with pytest.raises(LedgerUnavailable):
        ledger.record("night-1", "lab", "no such executor", entry())
    assert ledger.rows() == []


# when the database does not answer


@pytest.mark.parametrize(
    ("remove", "says"),
    [
        (lambda file: file.unlink(), "is gone"),
        (lambda file: shutil.rmtree(file.parent), "is gone"),
        (lambda file: file.rename(file.with_name("moved")), "is gone"),
        (
            lambda file: (file.rename(file.with_name("x")), shutil.copy(file.with_name("x"), file)),
            "was replaced",
        ),
    ],
    ids=["deleted", "folder deleted", "moved", "replaced"],
)
def test_no_row_goes_into_a_file_that_is_not_there_any_more(
    tmp_path: Path, remove: Callable[[Path], object], says: str
) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'night' / 'ledger.db'}")
    who = executor(ledger)
    write(ledger, who, entry())
    remove(tmp_path / "night" / "ledger.db")
    with pytest.raises(LedgerUnavailable, match=says):
        write(ledger, who, entry())
    with pytest.raises(LedgerUnavailable, match=says):
        ledger.rows()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_text("a letter " * 1000)
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db cannot be used: file is not a database"):
        Ledger.open(f"sqlite:///{file}")
    with pytest.raises(LedgerUnavailable, match="cannot be used"):
        Ledger.open(f"sqlite:///{file}/ledger.db")
    with pytest.raises(LedgerUnavailable, match="cannot be used"):
        Ledger.open(f"sqlite:///{tmp_path}")


def test_a_full_disk_is_an_error_and_the_journal_stays_whole(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    who = executor(ledger)
    write(ledger, who, entry())
    with (
        ledger._database.writing.connect() as connection
    ):  # SQLite's own limit: its error is that of a full disk
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        write(ledger, who, entry(text="x" * 1_000_000))
    assert [row.entry.text for row in ledger.rows()] == ["Failover to new version"]


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(
        LedgerUnavailable, match=rf"the ledger night on 127\.0\.0\.1:{port} cannot be used"
    ) as caught:
        Ledger.open(f"postgresql://mopflow:{QUOTED}@127.0.0.1:{port}/night")
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert QUOTED not in shown


@pytest.mark.service
def test_a_database_that_is_dropped_is_unavailable_without_its_password(
    postgres_database: tuple[str, str],
) -> None:
    url, name = postgres_database
    password = str(make_url(url).password)
    ledger = Ledger.open(url)
    assert password not in repr(ledger) + ledger.place + repr(ledger._database)
    who = executor(ledger)
    write(ledger, who, entry())
    on_server(f"DROP DATABASE {name} WITH (FORCE)")
    with pytest.raises(LedgerUnavailable, match=name) as caught:
        write(ledger, who, entry())
    assert password not in "".join(traceback.format_exception(caught.value))


@pytest.mark.service
def test_after_a_cut_connection_the_ledger_works_again(postgres_database: tuple[str, str]) -> None:
    url, name = postgres_database
    ledger = Ledger.open(url)
    who = executor(ledger)
    on_server(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert write(ledger, who, entry()) == ledger.rows()[0].id
    ledger.close()


def test_somebody_who_does_not_let_go_makes_it_unavailable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 1)
    with Ledger.open(url) as ledger:
        who = executor(ledger)
        other = create_engine(url)
        with other.connect() as blocker:
            if blocker.dialect.name == "sqlite":
                blocker.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                blocker.execute(text("LOCK TABLE journal IN EXCLUSIVE MODE"))
            with pytest.raises(LedgerUnavailable, match=r"locked|timeout"):
                write(ledger, who, entry())
            assert ledger.rows() == []  # reading goes on
            blocker.rollback()
        other.dispose()
        assert write(ledger, who, entry()) == ledger.rows()[0].id


def test_a_reader_does_not_stop_a_writer(ledger: Ledger, raw: Connection) -> None:
    who = executor(ledger)
    assert raw.execute(text("SELECT count(*) FROM journal")).scalar() == 0  # its transaction stays open
    write(ledger, who, entry())
    assert len(ledger.rows()) == 1


# campaigns and executors


def test_the_newest_unfinished_campaign_is_gone_on_with(ledger: Ledger) -> None:
    first = campaign(ledger, None)
    assert first == f"{first[:15]}-{int(first[16:], 16):04x}"
    assert datetime.strptime(first[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC) <= datetime.now(UTC)
    assert campaign(ledger, None) == first
    assert campaign(ledger, "night-2") == "night-2"
    assert campaign(ledger, "night-2") == "night-2"
    assert campaign(ledger, None) == "night-2"
    ledger.finish_campaign("night-2", "done")
    assert campaign(ledger, None) == first
    ledger.finish_campaign(first, "given up")
    third = campaign(ledger, None)
    assert third not in (first, "night-2")
    assert campaign(ledger, "night-2") == "night-2"
    assert [(found.id, found.how) for found in ledger.campaigns("lab")] == [
        (first, "given up"),
        ("night-2", "done"),
        (third, None),
    ]
    assert campaign(ledger, None, "other") != third
    assert ledger.campaign("lab", "12.0", "12.1.2", None) != third  # other work


def test_threads_that_begin_at_once_get_one_campaign(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: campaign(ledger, None), range(16)))) == 1


def test_a_campaign_is_not_used_for_other_work(ledger: Ledger) -> None:
    campaign(ledger)
    with pytest.raises(BadInput) as caught:
        ledger.campaign("other", "12.0", "12.1.2", "night-1")
    assert len(caught.value.mistakes) == 2
    assert "'lab', not 'other'" in caught.value.mistakes[0]
    assert "'12.1.1', not '12.0'" in caught.value.mistakes[1]


@pytest.mark.parametrize("wanted", ["", "..", "../x", "a/b", "a b", ".a", "a\n", "x" * 65])
def test_a_campaign_id_can_name_a_folder(ledger: Ledger, wanted: str) -> None:
    with pytest.raises(BadInput, match="an id has"):
        campaign(ledger, wanted)
    assert ledger.campaigns("lab") == []


def test_executors_and_their_flow_runs(ledger: Ledger) -> None:
    one, two = executor(ledger, "segment 1"), executor(ledger, "segment 2")
    assert (one.host, one.pid, one.born) == (me().host, me().pid, me().born)
    assert ledger.executors("lab") == [one, two]
    ledger.add_flow_run(one.id, "run-1", None)
    ledger.add_flow_run(one.id, "run-2", "mpe-1")
    ledger.add_flow_run(one.id, "run-1", None)
    assert ledger.flow_runs(one.id) == [("run-1", None), ("run-2", "mpe-1")]
    assert ledger.flow_runs(two.id) == []
    ledger.end_executor(one.id, "done")
    ledger.end_executor(one.id, "crashed")
    ended, running = ledger.executors("lab")
    assert (ended.how, running) == ("done", two)
    assert ended.ended is not None
    assert ended.ended >= ended.begun
    assert ledger.executors("lab", running_only=True) == [two]
    with pytest.raises(BadInput, match="no executor 'x'"):
        ledger.end_executor("x", "done")


# holds


def hold(ledger: Ledger, cluster: str | None = "mpe-1", reason: str = "mpe-1b is Zombie.") -> Hold:
    return ledger.open_hold(
        site="lab",
        campaign="night-1",
        cluster=cluster,
        procedure="10.2",
        step=3,
        rule="R8",
        reason=reason,
        remedy="Look at the server.",
        seen={"role": "Zombie"},
    )


def test_an_equal_open_hold_is_not_doubled(ledger: Ledger) -> None:
    campaign(ledger)
    first = hold(ledger)
    assert hold(ledger) == first
    other, system = hold(ledger, "mpe-2"), hold(ledger, None)
    assert hold(ledger, None) == system
    assert len({first.id, other.id, system.id, hold(ledger, reason="another").id}) == 4
    closed = ledger.close_hold(first.id, "server repaired")
    assert ledger.close_hold(first.id, "again") == closed
    assert closed.closed_why == "server repaired"
    assert closed.closed is not None
    again = hold(ledger)
    assert again.id != first.id
    assert [found.id for found in ledger.holds("lab") if found.cluster == "mpe-1"][-1] == again.id
    assert closed in ledger.holds("lab", open_only=False)
    assert closed not in ledger.holds("lab")
    assert ledger.holds("lab", campaign="night-2") == []
    assert ledger.holds("other") == []
    with pytest.raises(BadInput, match="no hold"):
        ledger.close_hold("x", "y")


def test_threads_that_hold_at_once_open_one(ledger: Ledger) -> None:
    campaign(ledger)
    with ThreadPoolExecutor(8) as pool:
        assert len({found.id for found in pool.map(lambda _: hold(ledger), range(16))}) == 1


# leases, board, snapshot, evidence


def test_leases_are_kept_until_released_and_times_come_back_in_utc(ledger: Ledger) -> None:
    one, two = executor(ledger), executor(ledger, "segment 2")
    taken = datetime(2026, 11, 22, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    first = Lease("lease-1", "lab", one.id, "cluster", "mpe-1", taken)
    second = Lease("lease-2", "lab", two.id, "failover", "mpe-2", taken + timedelta(seconds=1))
    ledger.add_lease(first)
    ledger.add_lease(second)
    assert ledger.leases() == [first, second]
    assert ledger.leases()[0].taken.tzinfo is UTC
    assert ledger.leases()[0].taken.isoformat() == "2026-11-22T00:30:00.123456+00:00"
    assert ledger.leases(executor=two.id) == [second]
    assert ledger.leases(site="other") == []
    ledger.release_lease("lease-1")
    ledger.release_lease("not known")
    assert ledger.leases(site="lab") == [second]
    (released, _) = ledger.leases(site="lab", open_only=False)
    assert released.released is not None
    assert released.released.tzinfo is UTC


def test_a_time_without_zone_is_not_taken(ledger: Ledger) -> None:
    who = executor(ledger)
    with pytest.raises(LedgerUnavailable, match="has no zone"):
        ledger.add_lease(Lease("x", "lab", who.id, "cluster", "mpe-1", datetime(2026, 11, 22)))
    assert ledger.leases() == []


def line(cluster: str, title: str = "Failover", **changes: Any) -> BoardLine:
    values: dict[str, Any] = {
        "cluster": cluster,
        "procedure": "10.2",
        "step": 4,
        "title": title,
        "since": datetime(2026, 11, 22, tzinfo=UTC),
        "usual_until": None,
        "late_at": None,
        "waits_for": "",
        "state": "working",
    }
    return BoardLine(**(values | changes))


def test_the_board_has_one_line_per_cluster(ledger: Ledger) -> None:
    campaign(ledger)
    assert ledger.board("lab") == []
    ledger.put_board("lab", "night-1", line("mpe-2"))
    ledger.put_board("lab", "night-1", line("mpe-1"))
    late = line("mpe-2", "Re-apply", state="waiting", late_at=datetime(2026, 11, 22, 3, tzinfo=UTC))
    ledger.put_board("lab", "night-1", late)
    assert ledger.board("lab") == [line("mpe-1"), late]
    campaign(ledger, "night-2")
    assert ledger.board("lab") == [line("mpe-1"), late]
    ledger.put_board("lab", "night-2", line("mpe-1", "Start"))
    assert ledger.board("lab") == [line("mpe-1", "Start")]
    assert ledger.board("lab", "night-1") == [line("mpe-1"), late]
    assert ledger.board("other") == []


def test_writers_of_one_line_do_not_hurt_each_other(ledger: Ledger) -> None:
    campaign(ledger)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ledger.put_board("lab", "night-1", line("mpe-1", str(n))), range(32)))
        list(pool.map(lambda n: ledger.put_snapshot("lab", "night-1", {"n": n}), range(32)))
    assert len(ledger.board("lab")) == 1
    found = ledger.snapshot("lab")
    assert found is not None
    assert found[1]["n"] in range(32)


def test_the_last_snapshot_is_kept(ledger: Ledger) -> None:
    campaign(ledger)
    assert ledger.snapshot("lab") is None
    ledger.put_snapshot("lab", "night-1", {"servers": [1]})
    before = datetime.now(UTC)
    ledger.put_snapshot("lab", "night-1", {"servers": [{"name": "é", "release": None}]})
    found = ledger.snapshot("lab")
    assert found is not None
    assert before <= found[0] <= datetime.now(UTC)
    assert found[1] == {"servers": [{"name": "é", "release": None}]}
    assert ledger.snapshot("other") is None


def test_evidence_is_entered(ledger: Ledger) -> None:
    campaign(ledger)
    at = datetime(2026, 11, 22, tzinfo=UTC)
    kept = ledger.add_evidence("night-1", "lab", "9.1.1", 2, None, "note", "a/b", "f" * 64, 2**40, at)
    assert ledger.evidence("night-1") == [kept]
    assert (kept.size, kept.at, kept.cluster) == (2**40, at, None)
    assert ledger.evidence("night-2") == []


def test_a_ledger_can_be_read_with_sqlite_alone(tmp_path: Path) -> None:
    """Years later, without mopflow: the columns say what they are."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    who = executor(ledger)
    write(ledger, who, entry(data={"a": 1}))
    ledger.close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    (found,) = connection.execute(
        "SELECT procedure, step, cluster, event, json_extract(data, '$.a') FROM journal"
    )
    connection.close()
    assert found == ("10.2", 4, "mpe-1", "intended", 1)
