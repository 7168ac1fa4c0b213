"""What the statements are made of: parameters, tenancy, and what differs between databases."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, Table, and_, bindparam

from chatkeep.stores.paging import Order

ACROSS_USERS = "chatkeep_across_users"
"""The execution option of statements that look at rows of more than one user."""


def across_users(statements: object) -> None:
    """Mark all statements that an object has, alone or in dicts, as looking across users."""
    option: dict[str, Any] = {ACROSS_USERS: True}
    for name, value in vars(statements).items():
        if isinstance(value, dict):
            marked: Any = {key: each.execution_options(**option) for key, each in value.items()}
        else:
            marked = value.execution_options(**option)
        setattr(statements, name, marked)


class UpsertInsert(Protocol):
    """The `insert()` of a dialect that has `ON CONFLICT`: SQLite's and PostgreSQL's."""

    @property
    def excluded(self) -> Any:
        """The row that was not inserted."""
        ...

    def values(self, *args: Any, **values: Any) -> Self:
        """Set the values."""
        ...

    def on_conflict_do_nothing(self) -> Any:
        """Keep the row that is there."""
        ...

    def on_conflict_do_update(self, *, index_elements: Any, set_: Any) -> Any:
        """Change the row that is there."""
        ...


class Dialect(NamedTuple):
    """What differs between the databases."""

    insert: Callable[[Table], UpsertInsert]
    """The `insert()` with `ON CONFLICT`."""
    now: ColumnElement[int]
    """Milliseconds since 1970 by the database's clock."""
    hits: Callable[[ColumnElement[bool]], FromClause]
    """Return the selection of `doc` of the texts that match `p_words` and a condition, by the
    index. The condition may be left to others where the index cannot use it."""
    match: Callable[[list[str]], str]
    """Return `p_words` for texts that have, for each of these, a word that begins so."""


def p(name: str) -> BindParameter[Any]:
    """Return a parameter. They are called `p_…`: SQLAlchemy reserves the names of columns."""
    return bindparam(f"p_{name}")


def mine(table: Table, **keys: str) -> ColumnElement[bool]:
    """Return the condition for the asking user's rows with these keys (column=parameter)."""
    return and_(
        table.c.tenant == p("tenant"),
        table.c.owner == p("owner"),
        *[table.c[column] == p(name) for column, name in keys.items()],
    )


def of_mine(**values: str) -> dict[str, BindParameter[Any]]:
    """Return the values of a new row of the asking user (column=parameter)."""
    names = {"tenant": "tenant", "owner": "owner", **values}
    return {column: p(name) for column, name in names.items()}


def same(table: FromClause, other: FromClause, **keys: str) -> ColumnElement[bool]:
    """Return the condition that rows of two tables belong together, whoever asks."""
    return and_(
        table.c.tenant == other.c.tenant,
        table.c.owner == other.c.owner,
        *[table.c[column] == other.c[name] for column, name in keys.items()],
    )


def both_ways(page: Select[Any], seq: ColumnElement[int]) -> dict[Order, Select[Any]]:
    """Return keyset pages behind position `p_start`, in both orders."""
    start, limit = p("start"), p("limit")
    return {
        "asc": page.where(seq > start).order_by(seq.asc()).limit(limit),
        "desc": page.where(seq < start).order_by(seq.desc()).limit(limit),
    }
