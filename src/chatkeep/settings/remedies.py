"""What is wrong with which setting: its full name, and what was expected there."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

type Location = Sequence[int | str]
"""Where a value stands in the tree, as pydantic tells it."""


def place_of(model: type[BaseModel], location: Location, *, unknown: bool = False) -> str:
    """Return the name of the innermost setting, as `models.offered[0].id`.

    Args:
        model: The tree.
        location: Where in it something is wrong.
        unknown: It is a name that no setting has: the name says so best.
    """
    fields = list(_fields(model, location))
    depth = len(location) if unknown or not fields else fields[-1][0] + 1
    parts = location[:depth]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return name.removeprefix(".")


def remedy_of(model: type[BaseModel], location: Location) -> str:
    """Return what was expected: the description of the innermost setting."""
    described = [field.description for _, field in _fields(model, location) if field.description]
    return described[-1] if described else ""


def _fields(model: type[BaseModel], location: Location) -> Iterator[tuple[int, FieldInfo]]:
    """Yield the fields on the way to a place, and how deep each is."""
    inner: type[BaseModel] | None = model
    in_table = False
    for depth, part in enumerate(location):
        if in_table or isinstance(part, int):
            in_table = False  # a name in a table, or a place in a list
            continue
        field = inner.model_fields.get(part) if inner else None
        if field is None:
            return
        yield depth, field
        inner = _section_in(field.annotation)
        in_table = get_origin(field.annotation) is dict


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field has, or has several of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section_in(inner) for inner in get_args(annotation))
    return next((section for section in found if section), None)
