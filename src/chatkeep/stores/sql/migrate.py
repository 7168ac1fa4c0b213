"""Bring a database's schema to the one this version needs.

Alembic does it, and is only imported when there is something to do. The whole upgrade is one
transaction: a process killed in the middle leaves the old schema, and of two that start at once
the second waits for the first and then finds nothing to do.

A migration must work while the previous release still runs on the database: add first, remove a
release later.
"""

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkeep.errors import SettingsError

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every migration in `chatkeep.stores.migrations.versions`, oldest first."""

HEAD = REVISIONS[-1]

_version = table("alembic_version", column("version_num"))


async def current(engine: AsyncEngine) -> str | None:
    """Return the revision of the database; None if it is empty."""
    async with engine.connect() as connection:
        return await connection.run_sync(_current)


async def pending(engine: AsyncEngine) -> tuple[str, ...]:
    """Return the migrations that the database still needs, oldest first.

    Raises:
        SettingsError: The database is newer than this version.
    """
    return behind(await current(engine))


async def upgrade(engine: AsyncEngine) -> tuple[str, ...]:
    """Apply what is pending and return it.

    The engine's transactions must exclude other migrations from their beginning on.

    Raises:
        SettingsError: The database is newer than this version.
    """
    async with engine.begin() as connection:
        return await connection.run_sync(_upgrade)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    revision: str | None = connection.scalar(select(_version.c.version_num))
    return revision


def behind(revision: str | None) -> tuple[str, ...]:
    """Return the migrations that a database of this revision needs, oldest first.

    Raises:
        SettingsError: The database is newer than this version.
    """
    if revision is None:
        return REVISIONS
    if revision not in REVISIONS:
        raise SettingsError(
            f"The database has schema {revision}; this version of Chatkeep knows {HEAD} and "
            "older. It was written by a newer version, or by another program."
        )
    return REVISIONS[REVISIONS.index(revision) + 1 :]


def _upgrade(connection: Connection) -> tuple[str, ...]:
    todo = behind(_current(connection))
    if todo:
        from alembic import command  # noqa: PLC0415 - slow to import, and rarely needed
        from alembic.config import Config  # noqa: PLC0415

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "chatkeep.stores:migrations")
        command.upgrade(config, HEAD)
    return todo
