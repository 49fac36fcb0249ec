"""The first ledger.

The types stand here by themselves and not by way of the models: what a migration once made must not change when the
models do. A migration that makes a table anew (SQLite's batch mode) has to make its triggers anew as well.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("journal", "evidence")


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)

    def text(name: str, *, null: bool = False) -> sa.Column[str]:
        return sa.Column(name, sa.Text(), nullable=null)

    def campaign(table: str, *, null: bool = False) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
        return text("campaign", null=null), sa.ForeignKeyConstraint(
            ["campaign"], ["campaign.id"], name=f"fk_{table}_campaign_campaign"
        )

    def executor(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
        return text("executor"), sa.ForeignKeyConstraint(
            ["executor"], ["executor.id"], name=f"fk_{table}_executor_executor"
        )

    def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
        return sa.PrimaryKeyConstraint(*(columns or ("id",)), name=f"pk_{table}")

    op.create_table(
        "campaign",
        text("id"),
        text("site"),
        text("source"),
        text("target"),
        sa.Column("begun", moment, nullable=False),
        sa.Column("ended", moment),
        text("how", null=True),
        key("campaign"),
    )
    op.create_index("ix_campaign_site", "campaign", ["site"])

    op.create_table(
        "executor",
        text("id"),
        *campaign("executor"),
        text("site"),
        text("flow"),
        text("scope"),
        text("host"),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.Double(), nullable=False),
        sa.Column("begun", moment, nullable=False),
        sa.Column("ended", moment),
        text("how", null=True),
        key("executor"),
    )
    op.create_index("ix_executor_site", "executor", ["site"])

    op.create_table(
        "flow_run",
        *executor("flow_run"),
        text("flow_run"),
        text("cluster", null=True),
        sa.Column("at", moment, nullable=False),
        key("flow_run", "executor", "flow_run"),
    )

    op.create_table(
        "journal",
        sa.Column("id", number, nullable=False),
        text("site"),
        *campaign("journal"),
        *executor("journal"),
        sa.Column("at", moment, nullable=False),
        text("procedure"),
        sa.Column("step", sa.Integer(), nullable=False),
        text("leg"),
        text("cluster", null=True),
        text("event"),
        text("text"),
        text("server", null=True),
        text("token", null=True),
        sa.Column("data", sa.JSON(), nullable=False),
        key("journal"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_journal_site_campaign_procedure_step_cluster",
        "journal",
        ["site", "campaign", "procedure", "step", "cluster"],
    )

    op.create_table(
        "hold",
        text("id"),
        text("site"),
        *campaign("hold"),
        text("cluster", null=True),
        text("procedure"),
        sa.Column("step", sa.Integer(), nullable=False),
        text("rule"),
        text("reason"),
        text("remedy"),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("opened", moment, nullable=False),
        sa.Column("closed", moment),
        text("closed_why", null=True),
        key("hold"),
    )
    op.create_index("ix_hold_site", "hold", ["site"])

    op.create_table(
        "lease",
        text("id"),
        text("site"),
        *executor("lease"),
        text("slot"),
        text("cluster"),
        sa.Column("taken", moment, nullable=False),
        sa.Column("released", moment),
        key("lease"),
    )
    op.create_index("ix_lease_site", "lease", ["site"])
    op.create_index("ix_lease_executor", "lease", ["executor"])

    op.create_table(
        "board",
        text("site"),
        *campaign("board"),
        text("cluster"),
        text("procedure"),
        sa.Column("step", sa.Integer(), nullable=False),
        text("title"),
        sa.Column("since", moment, nullable=False),
        sa.Column("usual_until", moment),
        sa.Column("late_at", moment),
        text("waits_for"),
        text("state"),
        key("board", "site", "campaign", "cluster"),
    )

    op.create_table(
        "snapshot",
        text("site"),
        *campaign("snapshot"),
        sa.Column("at", moment, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        key("snapshot", "site"),
    )

    op.create_table(
        "evidence",
        sa.Column("id", number, nullable=False),
        *campaign("evidence"),
        text("site"),
        text("procedure"),
        sa.Column("step", sa.Integer(), nullable=False),
        text("cluster", null=True),
        text("kind"),
        text("path"),
        text("sha256"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", moment, nullable=False),
        key("evidence"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_evidence_campaign", "evidence", ["campaign"])

    op.create_table(
        "notice",
        sa.Column("id", number, nullable=False),
        text("site"),
        *campaign("notice", null=True),
        text("subject"),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        text("why"),
        sa.Column("at", moment, nullable=False),
        key("notice"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notice_site", "notice", ["site"])

    if op.get_bind().dialect.name == "postgresql":
        _refuse_on_postgresql()
    else:
        _refuse_on_sqlite()


def _refuse_on_sqlite() -> None:
    for table in APPEND_ONLY:
        for change in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        # INSERT OR REPLACE takes a row away without asking the trigger of DELETE.
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _refuse_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION mopflow_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION mopflow_append_only()"
        )


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back to an older form")
