"""Results of the preparation and what persons confirm (chapter 4)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("check_result", "confirmation")


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)

    def text(name: str, *, null: bool = False) -> sa.Column[str]:
        return sa.Column(name, sa.Text(), nullable=null)

    op.create_table(
        "check_result",
        sa.Column("id", number, nullable=False),
        text("site"),
        text("campaign", null=True),
        text("check"),
        text("server", null=True),
        text("outcome"),
        text("text"),
        sa.Column("at", moment, nullable=False),
        sa.Column("until", moment),
        text("by", null=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.id"], name="fk_check_result_campaign_campaign"),
        sa.PrimaryKeyConstraint("id", name="pk_check_result"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_check_result_site", "check_result", ["site"])
    op.create_table(
        "confirmation",
        sa.Column("id", number, nullable=False),
        text("site"),
        text("item"),
        text("by"),
        text("text"),
        text("source"),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_confirmation"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_confirmation_site", "confirmation", ["site"])
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION mopflow_append_only()"
            )
        return
    for table in APPEND_ONLY:
        for change in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back to an older form")
