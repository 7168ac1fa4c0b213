"""A PostgreSQL server for the parts that work on any store."""

from contract.conftest import own_database, postgres

__all__ = ["own_database", "postgres"]
