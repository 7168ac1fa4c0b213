"""Secrets that stand elsewhere: `{ env = "NAME" }` and `{ file = "/path" }` in a settings file.

Only where a secret is expected (keys, headers and proxies of endpoints), so that a settings file
can be shown to others.
"""

from collections.abc import Callable, Mapping
from typing import Any

from chatkeep.errors import SettingsError

type Lookup = Callable[[str, str], str | None]
"""Returns what stands under a kind (`env` or `file`) and a name; None when nothing does."""

_KINDS = ("env", "file")
_SECRETS = ("api_key", "proxy")


def resolve(endpoints: object, look_up: Lookup) -> object:
    """Return the raw tables of endpoints with what their references stand for.

    Raises:
        SettingsError: A reference leads nowhere. The message has no value in it: it may be a key.
    """
    if not isinstance(endpoints, Mapping):
        return endpoints  # wrong, as the reader of the tree will say
    return {name: _resolve_one(name, table, look_up) for name, table in endpoints.items()}


def _resolve_one(name: Any, table: object, look_up: Lookup) -> object:
    if not isinstance(table, Mapping):
        return table
    resolved = dict(table)
    for field in _SECRETS:
        if field in resolved:
            place = f"models.endpoints.{name}.{field}"
            resolved[field] = _resolve_value(place, resolved[field], look_up)
    if isinstance(headers := resolved.get("headers"), Mapping):
        resolved["headers"] = {
            header: _resolve_value(f"models.endpoints.{name}.headers.{header}", value, look_up)
            for header, value in headers.items()
        }
    return resolved


def _resolve_value(place: str, value: object, look_up: Lookup) -> object:
    if not isinstance(value, Mapping):
        return value
    kind, source = next(iter(value.items()), ("", None))
    if len(value) != 1 or kind not in _KINDS or not isinstance(source, str):
        raise SettingsError(
            f'{place}: not a text; expected one, {{ env = "NAME" }} or {{ file = "/path" }}'
        )
    found = look_up(kind, source)
    if found is None:
        remedy = "set the variable that it names" if kind == "env" else "write the file"
        raise SettingsError(f"{place}: there is nothing where {kind} points to; {remedy}")
    return found
