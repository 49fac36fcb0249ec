"""Alembic's entry. It runs on the connection that `mopflow.ledger.engine` hands it, inside that one's transaction."""

from __future__ import annotations

from alembic import context

from mopflow.ledger.engine import VERSION_TABLE
from mopflow.ledger.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # on SQLite too: we begin the transaction ourselves
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
