"""Statements as a driver takes them: text, the order of its arguments, and types both ways.

SQLAlchemy makes a statement's text, once; with what a call needs after that it has nothing to do.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

type Row = Any
"""A named tuple with the columns of the statement."""

type Parameters = Mapping[str, Any]

type _Convert = Callable[[Any], Any]

_GIVEN = "p_"
"""Begins the names of the parameters that a call gives; all others have fixed values."""


class Result:
    """What came of a statement.

    Args:
        rows: What it returned.
        rowcount: How many rows it changed; not known where it was done for several parameters.
    """

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: Sequence[Row], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def all(self) -> Sequence[Row]:
        """Return all rows."""
        return self._rows

    def first(self) -> Row | None:
        """Return the first row, if there is one."""
        return self._rows[0] if self._rows else None

    def scalar_one_or_none(self) -> Any:
        """Return the first value of the first row; None if there is no row."""
        return self._rows[0][0] if self._rows else None


class Prepared:
    """A statement for one kind of database.

    Attributes:
        text: What the driver is given.
        returns: Whether it returns rows.
    """

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        columns = getattr(statement, "exported_columns", None)
        self.text: str = compiled.string
        self.returns = bool(columns)
        self._names: list[str] = compiled.positiontup or []
        self._fixed = {
            name: _converted(value, _binding(compiled.binds[name].type, dialect))
            for name, value in compiled.params.items()
            if not name.startswith(_GIVEN)
        }
        binding = {name: _binding(compiled.binds[name].type, dialect) for name in self._names}
        self._binding = {
            name: convert
            for name, convert in binding.items()
            if convert is not None and name not in self._fixed
        }
        reading = [_reading(column.type, dialect) for column in columns or ()]
        self._reading = [(at, convert) for at, convert in enumerate(reading) if convert]
        # Those without a name of their own are called by their place.
        names = columns.keys() if columns else ()
        row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024
        self._row: Callable[[Sequence[Any]], Row] = row._make

    def arguments(self, parameters: Parameters) -> list[Any]:
        """Return the arguments of a call in the order of the text.

        Raises:
            KeyError: A parameter is missing.
        """
        fixed, binding = self._fixed, self._binding
        given = [fixed[name] if name in fixed else parameters[name] for name in self._names]
        if binding:
            for at, name in enumerate(self._names):
                if name in binding:
                    given[at] = binding[name](given[at])
        return given

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Row]:
        """Return the rows of a driver by name."""
        if self._reading:
            found = [self._read(row) for row in found]
        return list(map(self._row, found))

    def _read(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for at, convert in self._reading:
            values[at] = convert(values[at])
        return values


class Preparing:
    """The statements of one kind of database, each prepared when it is first asked for."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._prepared: dict[Executable, Prepared] = {}

    def __call__(self, statement: Executable) -> Prepared:
        """Return a statement, prepared."""
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = self._prepared[statement] = Prepared(statement, self._dialect)
        return prepared


def _binding(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _reading(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _converted(value: Any, convert: _Convert | None) -> Any:
    return value if convert is None else convert(value)
