"""Names for threads."""

from collections.abc import Iterable, Sequence

import pytest
from chatkit.types import UserMessageItem, UserMessageTextContent

from chatkeep.agent.title import title_from_model, title_from_words
from chatkeep.models.catalog import ModelEntry
from chatkeep.models.scripted import Fail, Message, Pause, ScriptedModel, Step, Text
from chatkeep.testing.store_samples import question


def message(text: str) -> UserMessageItem:
    """Return a user message with this text."""
    return question("msg_1").model_copy(
        update={"content": [UserMessageTextContent(type="input_text", text=text)]}
    )


def entry(*steps: Step) -> ModelEntry:
    """Return a model that always says the same."""

    def script(_: Sequence[Message]) -> Iterable[Step]:
        return steps

    return ModelEntry("m", "M", "", ScriptedModel("m", script))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("one two three four five six seven", "one two three four five six…"),
        ("  spaced \n out  ", "spaced out"),
        ("x" * 200, "x" * 60),
        ("   ", None),
    ],
)
def test_a_title_from_the_first_words(text: str, title: str | None) -> None:
    """Six words at most, sixty characters at most, none for an empty message."""
    assert title_from_words(message(text)) == title


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ('"Weekend in Rome."', "Weekend in Rome"),
        ("Title: Weekend in Rome", "Weekend in Rome"),
        ("**Weekend** in Rome\n\nEnjoy!", "Weekend in Rome"),
        ("", None),
        ("word " * 100, None),
    ],
)
async def test_a_title_from_the_model_is_cleaned(said: str, title: str | None) -> None:
    """Quotes, Markdown and prefixes go; a whole paragraph is refused."""
    assert await title_from_model(entry(Text(said)), message("Rome?")) == title


async def test_a_failing_model_gives_no_title_and_no_error() -> None:
    """A title is never worth an error."""
    assert await title_from_model(entry(Fail()), message("Rome?")) is None


async def test_a_slow_model_gives_no_title(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a title for long."""
    monkeypatch.setattr("chatkeep.agent.asking.LIMIT_SECONDS", 0.05)

    assert await title_from_model(entry(Pause(5), Text("late")), message("Rome?")) is None
