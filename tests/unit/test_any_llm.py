"""Providers through any-llm, which is not installed here."""

from pathlib import Path

import pytest

from chatkeep.errors import SettingsError
from chatkeep.models.choice import ModelsConfig
from chatkeep.models.opening import open_models


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("cohere:command-a", "install chatkeep\\[any-llm\\]"),
        ("command-a", "such as cohere:"),
        (None, "such as cohere:"),
    ],
)
def test_what_is_missing_is_named(name: str | None, remedy: str, tmp_path: Path) -> None:
    """The library, or the provider in the model's name."""
    with pytest.raises(SettingsError, match=remedy):
        open_models(ModelsConfig(data_dir=tmp_path, provider="any-llm", name=name))
