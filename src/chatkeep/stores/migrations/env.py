"""Read by Alembic for each run; the connection, and its transaction, come from the caller."""

from alembic import context

from chatkeep.stores.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
)
with context.begin_transaction():
    context.run_migrations()
