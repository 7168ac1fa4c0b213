"""Providers through any-llm, which is not installed here."""

import pytest

from chatkeep.errors import SettingsError
from chatkeep.models.any_llm import AnyLlmModel
from chatkeep.models.guard import Deadlines


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("cohere:command-a", "install chatkeep\\[any-llm\\]"), ("command-a", "such as cohere:")],
)
def test_what_is_missing_is_named(name: str, remedy: str) -> None:
    """The library, or the provider in the model's name."""
    with pytest.raises(SettingsError, match=remedy):
        AnyLlmModel(name, Deadlines(), model_id="m")
