"""The SQL store's statements by name, for tests of how they find their rows."""

from collections.abc import Iterator, Mapping

from sqlalchemy.sql import ClauseElement

from chatkeep.stores.sql.statements import Dialect, Statements
from chatkeep.stores.sql.statements.open_turns import OpenTurns
from chatkeep.stores.sql.statements.spending import SpendingAcross
from chatkeep.stores.sql.statements.upkeep import Upkeep

FEW = {"search_page", "load_shares", "open_turn"}
"""Statements that may sort: what they find is little, and no page of much."""


def statements(dialect: Dialect) -> Iterator[tuple[str, ClauseElement]]:
    """Yield every statement with a name."""
    yield from _named(Statements(dialect))


def upkeep_statements(dialect: Dialect) -> Iterator[tuple[str, ClauseElement]]:
    """Yield those that are for all users, but for erasures, which may read what they delete."""
    for owner in (Upkeep(dialect), OpenTurns(dialect), SpendingAcross()):
        yield from _without_erasures(owner)


def _without_erasures(owner: object) -> Iterator[tuple[str, ClauseElement]]:
    for name, statement in _named(owner):
        if not name.startswith("erase"):
            yield name, statement


def _named(owner: object) -> Iterator[tuple[str, ClauseElement]]:
    for name, value in vars(owner).items():
        if isinstance(value, Mapping):
            yield from ((f"{name}[{key}]", each) for key, each in value.items())
        else:
            yield name, value
