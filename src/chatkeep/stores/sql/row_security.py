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

from sqlalchemy.sql.base import Executable

from chatkeep.stores.sql.postgres_pool import PostgresConnection
from chatkeep.stores.sql.prepared import Parameters, Preparing, Result
from chatkeep.stores.sql.schema import escaped, metadata
from chatkeep.stores.sql.statements.common import ACROSS_USERS

POLICY = "chatkeep_own_rows"

_SCOPE = "(SELECT coalesce(current_setting('chatkeep.scope', true), ''))"
_TENANT = "tenant = (SELECT current_setting('chatkeep.tenant', true))"
_OWNER = "(SELECT current_setting('chatkeep.owner', true))"

_ENTER = (
    "SELECT set_config('chatkeep.scope', $1, true), "
    "set_config('chatkeep.tenant', $2, true), set_config('chatkeep.owner', $3, true)"
)
_STATE = (
    "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
    "AND relname = ANY($1) AND relrowsecurity AND relforcerowsecurity"
)
_EXEMPT = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
_NOBODY = "nobody", "", ""


async def is_on(raw: Any) -> bool:
    """Say whether every table has the wall, by a connection of the driver's."""
    tables = list(metadata.tables)
    return bool(await raw.fetchval(_STATE, tables) == len(tables))


async def is_exempt(raw: Any) -> bool:
    """Say whether the role is one that PostgreSQL asks no policy for."""
    return bool(await raw.fetchval(_EXEMPT))


async def build(raw: Any) -> None:
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
            await raw.execute(statement)


class WalledConnection(PostgresConnection):
    """A connection whose transaction, one only, says for whom it is."""

    def __init__(self, raw: Any, prepare: Preparing) -> None:
        super().__init__(raw, prepare)
        self._scope: tuple[str, str, str] | None = None

    async def execute(
        self, statement: Executable, parameters: Parameters | Sequence[Parameters]
    ) -> Result:
        """Do a statement in the scope of those whom it names."""
        # A statement that names nobody is for whom the one before it was.
        scope = _scope(statement, parameters) or self._scope or _NOBODY
        if scope != self._scope:
            await self.raw.execute(_ENTER, *map(escaped, scope))
            self._scope = scope
        return await super().execute(statement, parameters)


def _scope(
    statement: Executable, parameters: Parameters | Sequence[Parameters]
) -> tuple[str, str, str] | None:
    if statement.get_execution_options().get(ACROSS_USERS):
        return "everybody", "", ""
    every = [parameters] if isinstance(parameters, Mapping) else parameters
    owners = {(given["p_tenant"], given["p_owner"]) for given in every if given.get("p_owner")}
    if len(owners) != 1:
        return None
    [(tenant, owner)] = owners
    return "user", tenant, owner
