"""Alembic's migrations. `chatkeep.stores.sql.migrate` runs them."""
