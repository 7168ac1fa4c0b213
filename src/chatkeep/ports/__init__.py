"""Every extension point.

A port says what a backend must do and what happens when the other side is gone. Backends live in
packages named after the port (`stores`, `models`, `auth`, `relay`), one file each, and get what
they need in the constructor: none of them reads settings.
"""

from agents import ModelProvider

from chatkeep.ports.auth import Authenticator, Credentials, Identity
from chatkeep.ports.cache import Cache
from chatkeep.ports.files import FileStorage, StoredFile
from chatkeep.ports.records import (
    EventRow,
    Hold,
    Record,
    SearchHit,
    Share,
    ThreadSummary,
    ToolCall,
    Turn,
    TurnEnd,
    TurnKeeping,
    TurnOrder,
    TurnState,
)
from chatkeep.ports.relay import Relay, Wake
from chatkeep.ports.spending import (
    Budget,
    Period,
    Reservation,
    Scope,
    SpendingSum,
    Spent,
    Unit,
)
from chatkeep.ports.store import Store
from chatkeep.ports.upkeep import Upkeep

__all__ = [
    "Authenticator",
    "Budget",
    "Cache",
    "Credentials",
    "EventRow",
    "FileStorage",
    "Hold",
    "Identity",
    "ModelProvider",
    "Period",
    "Record",
    "Relay",
    "Reservation",
    "Scope",
    "SearchHit",
    "Share",
    "SpendingSum",
    "Spent",
    "Store",
    "StoredFile",
    "ThreadSummary",
    "ToolCall",
    "Turn",
    "TurnEnd",
    "TurnKeeping",
    "TurnOrder",
    "TurnState",
    "Unit",
    "Upkeep",
    "Wake",
]
