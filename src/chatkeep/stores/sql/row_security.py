"""Row-level security in PostgreSQL: a second wall behind the conditions of the statements.

Each transaction says for whom it is, and policies of the database let it see and write that
user's rows only, whatever its statements ask for. For whom it is comes from the parameters that a
statement is given, which all carry tenant and owner; the few statements that look across users
are marked as such. Any other statement sees nothing.

The three settings below are the transaction's own: nothing stays with a pooled connection.
Sessions that do not set them at all, such as a backup, see everything that their role may see.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chatkeep.stores.sql.schema import EscapedText, metadata
from chatkeep.stores.sql.statements.common import ACROSS_USERS

POLICY = "chatkeep_own_rows"

_SCOPE = "(SELECT coalesce(current_setting('chatkeep.scope', true), ''))"
_TENANT = "tenant = (SELECT current_setting('chatkeep.tenant', true))"
_OWNER = "(SELECT current_setting('chatkeep.owner', true))"

_ENTER = text(
    "SELECT set_config('chatkeep.scope', :scope, true), "
    "set_config('chatkeep.tenant', :tenant, true), set_config('chatkeep.owner', :owner, true)"
)
_STATE = text(
    "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
    "AND relname = ANY(:tables) AND relrowsecurity AND relforcerowsecurity"
)
_EXEMPT = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
_KEY = "chatkeep_scope"
_NOBODY = "nobody", "", ""
_escape = EscapedText()


async def is_on(connection: AsyncConnection) -> bool:
    """Say whether every table has the wall."""
    tables = list(metadata.tables)
    count = await connection.scalar(_STATE, {"tables": tables})
    return bool(count == len(tables))


async def is_exempt(connection: AsyncConnection) -> bool:
    """Say whether the role is one that PostgreSQL asks no policy for."""
    return bool(await connection.scalar(_EXEMPT))


async def build(connection: AsyncConnection) -> None:
    """Put up the wall around every table. Idempotent."""
    for table in metadata.tables:
        # Without an owner, a hold is one of all the tenant's users, and so is what was spent.
        owners = f"('', {_OWNER})" if table in ("holds", "spending") else f"({_OWNER})"
        own = f"{_SCOPE} = 'user' AND {_TENANT} AND owner IN {owners}"
        rule = f"{_SCOPE} IN ('', 'everybody') OR ({own})"
        for statement in (
            f"DROP POLICY IF EXISTS {POLICY} ON {table}",
            f"CREATE POLICY {POLICY} ON {table} USING ({rule}) WITH CHECK ({rule})",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        ):
            await connection.exec_driver_sql(statement)


def enter_scopes(engine: AsyncEngine) -> None:
    """Make every transaction of an engine say for whom it is."""
    event.listen(engine.sync_engine, "begin", _forget)
    event.listen(engine.sync_engine, "before_execute", _enter)


def _forget(connection: Connection) -> None:
    connection.info.pop(_KEY, None)


def _enter(
    connection: Connection,
    statement: Any,
    multiparams: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    execution_options: Mapping[str, Any],
) -> None:
    if statement is _ENTER:
        return
    scope = _scope(multiparams, params, execution_options)
    # Without a transaction there will be a new one, which knows of no scope yet.
    known = connection.info.get(_KEY) if connection.in_transaction() else None
    # A statement that names nobody is for whom the one before it was.
    scope = scope or known or _NOBODY
    if scope == known:
        return
    names = ("scope", "tenant", "owner")
    escaped = [_escape.process_bind_param(value, connection.dialect) for value in scope]
    connection.execute(_ENTER, dict(zip(names, escaped, strict=True)))
    connection.info[_KEY] = scope


def _scope(
    multiparams: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    execution_options: Mapping[str, Any],
) -> tuple[str, str, str] | None:
    if execution_options.get(ACROSS_USERS):
        return "everybody", "", ""
    owners = {
        (given["p_tenant"], given["p_owner"])
        for given in (*multiparams, params)
        if given and given.get("p_owner")
    }
    if len(owners) != 1:
        return None
    [(tenant, owner)] = owners
    return "user", tenant, owner
