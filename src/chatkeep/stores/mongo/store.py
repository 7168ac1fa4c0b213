"""The `Store` on MongoDB, put together."""

from chatkeep.stores.mongo.attachments import Attachments
from chatkeep.stores.mongo.finding import Finding
from chatkeep.stores.mongo.items import Items
from chatkeep.stores.mongo.sharing import Sharing
from chatkeep.stores.mongo.takeovers import Takeovers
from chatkeep.stores.mongo.threads import Threads
from chatkeep.stores.mongo.tool_calls import ToolCalls
from chatkeep.stores.mongo.turns import Turns
from chatkeep.stores.mongo.upkeep import Upkeep


class MongoStore(
    Threads, Items, Attachments, Finding, Sharing, Turns, ToolCalls, Takeovers, Upkeep
):
    """A `Store` on a `MongoDatabase`, which says how to connect and how it fails."""

    async def open(self) -> None:
        """Connect; collections and indexes are made as this version needs them."""
        await self._db.open()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._db.aclose()

    async def ping(self) -> None:
        """Ask the primary for something that takes it no time."""
        await self._db.ping()
