"""Every statement the store makes for a user, built once and compiled once by each engine.

Tenant and owner are in every one of them, through `mine`.
"""

from chatkeep.stores.sql.statements.common import Dialect
from chatkeep.stores.sql.statements.conversations import Conversations
from chatkeep.stores.sql.statements.finding import Finding
from chatkeep.stores.sql.statements.sharing import Sharing
from chatkeep.stores.sql.statements.spending import Spending
from chatkeep.stores.sql.statements.turns import Turns

__all__ = ["Dialect", "Statements"]


class Statements(Conversations, Finding, Sharing, Turns, Spending):
    """The statements, for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.define_conversations(dialect)
        self.define_finding(dialect)
        self.define_sharing(dialect)
        self.define_turns(dialect)
        self.define_spending(dialect)
