"""Everything the store asks of the database, as data.

Tenant and owner are in every filter of `Statements`, through `mine`; what looks across users is
in `Across`. An upsert also stores the filter's fields.
"""

from chatkeep.stores.mongo.statements.across import Across
from chatkeep.stores.mongo.statements.common import (
    Behind,
    Delete,
    Distinct,
    Document,
    Find,
    Key,
    NewItem,
    NewThread,
    Take,
    Update,
)
from chatkeep.stores.mongo.statements.conversations import Conversations
from chatkeep.stores.mongo.statements.finding import Finding
from chatkeep.stores.mongo.statements.sharing import Sharing
from chatkeep.stores.mongo.statements.spending import Spending
from chatkeep.stores.mongo.statements.tool_calls import ToolCalls
from chatkeep.stores.mongo.statements.turns import Turns

__all__ = [
    "Across",
    "Behind",
    "Delete",
    "Distinct",
    "Document",
    "Find",
    "Key",
    "NewItem",
    "NewThread",
    "Statements",
    "Take",
    "Update",
]


class Statements(Conversations, Finding, Sharing, Turns, ToolCalls, Spending):
    """The statements of a user, each by the name of what it does."""
