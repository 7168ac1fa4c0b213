"""The tree of errors."""

import inspect

import pytest
from chatkit.store import NotFoundError as ChatKitNotFoundError

from chatkeep import errors
from chatkeep.errors import ChatkeepError, ModelError, NotFoundError

ALL = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, ChatkeepError)
]


@pytest.mark.parametrize("kind", ALL)
def test_the_docstring_is_the_message(kind: type[ChatkeepError]) -> None:
    """Raised without words, an error says what its class says: a sentence or two on one line."""
    assert str(kind()) == kind.__doc__
    assert kind.__doc__ is not None
    assert kind.__doc__.endswith(".")
    assert "\n" not in kind.__doc__


@pytest.mark.parametrize("kind", ALL)
def test_a_message_can_be_given(kind: type[ChatkeepError]) -> None:
    """Raised with words, an error says these."""
    assert str(kind("other words")) == "other words"


def test_the_tree_is_the_one_drawn() -> None:
    """Every class is drawn at the top of the module, indented below its base."""
    drawn = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        head, _, rest = line.rpartition("─ ") if "─ " in line else ("", "", line.strip())
        name = rest.split(" ")[0]
        if name.endswith("Error") and (head or name == "ChatkeepError"):
            depth = (len(head) - 4) // 4 + 1 if head else 0
            path = [*path[:depth], name]
            drawn[name] = path[-2] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__base__.__name__ for kind in ALL if kind.__base__}


def test_not_found_is_also_the_sdks() -> None:
    """The SDK recognises a missing row of our stores."""
    assert issubclass(NotFoundError, ChatKitNotFoundError)


def test_a_hint_belongs_to_one_error() -> None:
    """Setting the hint of one error leaves the others alone."""
    error = ModelError()
    error.hint = "look there"
    assert ModelError.hint is None
    assert ModelError().hint is None
