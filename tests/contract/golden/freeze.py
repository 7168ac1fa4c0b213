"""Write down every statement of the store as it is now: `python tests/contract/golden/freeze.py`.

To be run when a version with a new schema is released, on its code; the file is named after the
schema. From then on `test_old_statements.py` runs it on every later schema, because processes of
that version go on working while their database is migrated.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.sql import ClauseElement

from chatkeep.stores.sql import postgres, sqlite
from chatkeep.stores.sql.migrate import HEAD
from chatkeep.stores.sql.statements import Dialect, Statements

DIALECTS = {
    "sqlite": (aiosqlite.dialect(), sqlite.DIALECT),
    "postgresql": (asyncpg.dialect(), postgres.DIALECT),
}


def statements(dialect: Dialect) -> Iterator[tuple[str, ClauseElement]]:
    """Yield every statement with a name."""
    for name, value in vars(Statements(dialect)).items():
        if isinstance(value, Mapping):
            yield from ((f"{name}[{key}]", each) for key, each in value.items())
        else:
            yield name, value


def frozen() -> dict[str, Any]:
    """Return each dialect's statements: text, parameters in their order, and fixed values."""
    found: dict[str, Any] = {}
    for name_of_dialect, (compiler, dialect) in DIALECTS.items():
        for name, statement in statements(dialect):
            compiled = statement.compile(dialect=compiler)
            fixed = {key: value for key, value in compiled.params.items() if value is not None}
            found.setdefault(name_of_dialect, {})[name] = {
                "sql": str(compiled),
                "parameters": list(compiled.positiontup or []),  # type: ignore[attr-defined]
                "fixed": fixed,
            }
    return found


if __name__ == "__main__":
    path = Path(__file__).with_name(f"statements-{HEAD}.json")
    path.write_text(json.dumps(frozen(), indent=1) + "\n")
