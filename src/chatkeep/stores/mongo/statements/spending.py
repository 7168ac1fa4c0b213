"""What turns take: the sums of users and tenants, and what budgets are compared with."""

from chatkeep.ports.spending import COUNTED, Reservation, Spent
from chatkeep.stores.mongo.schema import SPENDING, TURNS
from chatkeep.stores.mongo.statements.common import NOW, Find, Key, Take, Update, any_of, mine
from chatkeep.stores.mongo.statements.turns import OPEN, TURN

TAKEN = ("id", "ended_at", "created_at", "tokens", "cost")
SUMS = ("tenant", "owner", "day", "model", "currency", *COUNTED)


class Spending:
    """What is asked and stored for a user."""

    def add_spending(self, key: Key, day: int, spent: Spent) -> Update:
        """The sum of a day, with more in it."""
        whose = mine(key, day=day, model=spent.model, currency=spent.currency)
        more = {name: getattr(spent, name) for name in COUNTED}
        return Update(SPENDING, whose, {"$inc": more}, upsert=True)

    def pass_gate(self, key: Key) -> Update:
        """The gate where turns queue that look at what is spent: whoever passes now gives way."""
        whose = mine(key, day=0, model="", currency="")
        # Adding nothing would be no change, which nobody gives way to.
        change = {"$inc": {"writes": 1}, "$setOnInsert": dict.fromkeys(COUNTED, 0)}
        return Update(SPENDING, whose, change, upsert=True)

    def own_spending(self, key: Key, since: int) -> Find:
        """A user's sums since a day."""
        return Find(SPENDING, mine(key, day={"$gte": since}), SUMS)

    def open_turns(self, key: Key) -> Find:
        """A user's turns that have not ended."""
        return Find(TURNS, mine(key, state=any_of(OPEN)), TAKEN)

    def turns_since(self, key: Key, thread_id: str, since: int) -> Find:
        """The turns of a thread that were begun at a moment or later."""
        return Find(TURNS, mine(key, thread_id=thread_id, created_at={"$gte": since}), TAKEN)

    def reserve_turn(self, key: Key, turn_id: str, fence: int, reserves: Reservation) -> Take:
        """A running turn for which another amount is put aside; whoever changes it gives way."""
        whose = mine(key, id=turn_id, fence=fence, state="running")
        fields = {"tokens": reserves.tokens, "cost": reserves.cost, "reserved_at": NOW}
        return Take(TURNS, whose, [{"$set": fields}], (*TURN, "reserved_at"))
