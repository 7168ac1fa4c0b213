"""The `Store` on a SQL database, put together from its parts."""

from chatkeep.ports import Store
from chatkeep.stores.sql.conversations import SqlConversations
from chatkeep.stores.sql.finding import SqlFinding
from chatkeep.stores.sql.open_turns import SqlOpenTurns
from chatkeep.stores.sql.sharing import SqlSharing
from chatkeep.stores.sql.tool_calls import SqlToolCalls
from chatkeep.stores.sql.turns import SqlTurns
from chatkeep.stores.sql.upkeep import SqlUpkeep


class SqlStore(
    SqlConversations,
    SqlFinding,
    SqlSharing,
    SqlTurns,
    SqlToolCalls,
    SqlOpenTurns,
    SqlUpkeep,
    Store,
):
    """A `Store` on a `Database`, which says how to connect and how it fails."""

    async def open(self) -> None:
        """Connect; the schema is, or is made, the one this version needs."""
        await self._db.open()

    async def pending(self) -> tuple[str, ...]:
        """Return the migrations that the database still needs. Works without `open()`."""
        return await self._db.pending()

    async def migrate(self) -> tuple[str, ...]:
        """Apply the migrations that the database still needs. Works without `open()`."""
        return await self._db.migrate()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._db.aclose()

    async def ping(self) -> None:
        """Ask the database for something that takes it no time."""
        await self._db.fetch(self._sql.has_thread, {"p_tenant": "", "p_owner": "", "p_thread": ""})
