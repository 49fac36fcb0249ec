"""What people are asked, told and answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPEND_ONLY = {"answer": "hold", "stop": "id"}  # table and its key


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)

    def text(name: str, *, null: bool = False, default: str | sa.TextClause | None = None) -> sa.Column[str]:
        return sa.Column(name, sa.Text(), nullable=null, server_default=default)

    op.add_column("hold", text("kind", default="trouble"))
    op.add_column("hold", text("choices", default="again leave"))
    op.add_column("hold", text("typed", null=True))
    op.add_column("hold", sa.Column("asked", sa.JSON(), nullable=True))
    op.add_column("hold", sa.Column("told", moment, nullable=True))
    op.add_column("hold", sa.Column("told_times", sa.Integer(), nullable=False, server_default="0"))

    op.create_table(
        "answer",
        text("hold"),
        text("choice"),
        text("by"),
        text("why"),
        text("via"),
        sa.Column("at", moment, nullable=False),
        sa.ForeignKeyConstraint(["hold"], ["hold.id"], name="fk_answer_hold_hold"),
        sa.PrimaryKeyConstraint("hold", name="pk_answer"),
    )
    op.create_table(
        "stop",
        sa.Column("id", number, nullable=False),
        text("site"),
        sa.Column("now", sa.Boolean(), nullable=False),
        text("by"),
        text("why"),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stop"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stop_site", "stop", ["site"])
    op.add_column("notice", text("kind", default=sa.text("''")))
    op.add_column("notice", text("body", default=sa.text("''")))
    op.add_column("notice", text("tags", default=sa.text("''")))
    op.add_column("notice", sa.Column("tries", sa.Integer(), nullable=False, server_default="1"))

    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION mopflow_append_only()"
            )
        return
    for table, key in APPEND_ONLY.items():
        for change in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back to an older form")
