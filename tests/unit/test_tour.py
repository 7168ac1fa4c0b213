"""The built-in guide, which quotes the documentation."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkeep.models.scripted import Citation, Message, Step, Text, Thought
from chatkeep.models.tour import Tour, _sections, _shorten, documentation

PAGE = """\
# Storage

Conversations are kept in a SQLite file.

## Backup

Copy the file while the server runs.

```sh
# this is no heading
cp chatkeep.db elsewhere
```

## Providers and keys

Set a key of OpenRouter.
"""


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    """A tour of a small documentation."""
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "storage.md").write_text(PAGE)
    (tmp_path / "other.md").write_text("# Other\n\nNothing of note about backup.\n")
    made = Tour(tmp_path)
    yield made
    asyncio.run(made.aclose())


def ask(tour: Tour, question: str) -> list[Step]:
    """What the tour does with a question."""
    return list(tour([Message("user", "earlier"), Message("user", question)]))


def text(steps: list[Step]) -> str:
    """What it says."""
    return "".join(step.text for step in steps if isinstance(step, Text))


def test_an_answer_is_quoted_with_its_source(tour: Tour) -> None:
    """The best section is quoted and the page it is from is cited, others are named."""
    steps = ask(tour, "How do I make a backup?")
    assert isinstance(steps[0], Thought)
    assert text(steps).startswith("**Backup**\n\nCopy the file while the server runs.")
    assert [step.filename for step in steps if isinstance(step, Citation)] == [
        "guide/storage.md",
        "other.md",
    ]
    assert "See also: Other" in text(steps)


async def test_a_closed_tour_can_be_asked_again(tour: Tour) -> None:
    """Closing lets the index go, twice is fine, and the next question builds it anew."""
    before = ask(tour, "backup")
    await tour.aclose()
    await tour.aclose()
    assert ask(tour, "backup") == before


def test_words_are_found_in_other_forms(tour: Tour) -> None:
    """The index stems: a provider is found by providers, keys by key."""
    assert "OpenRouter" in text(ask(tour, "which provider?"))


def test_the_same_question_gets_the_same_answer(tour: Tour) -> None:
    """It is a script."""
    assert ask(tour, "backup") == ask(tour, "backup")


@pytest.mark.parametrize("question", ["", "hello", "Hi!", "who are you", "?!", "the a of"])
def test_a_greeting_is_answered_with_a_welcome(tour: Tour, question: str) -> None:
    """Nothing to look up: it says what it is."""
    assert "I am not a language model" in text(ask(tour, question))


def test_nobody_asked_anything(tour: Tour) -> None:
    """A conversation without a question is welcomed, too."""
    assert "I am the **tour**" in text(list(tour([])))


def test_formatting_is_shown(tour: Tour) -> None:
    """The prompt of the chat page gets a table, code and a list."""
    shown = text(ask(tour, "Show me formatting in Markdown."))
    assert "| --- |" in shown
    assert "```python" in shown


def test_what_is_not_documented_is_said_so(tour: Tour) -> None:
    """It invents nothing, and tells how to connect a model."""
    shown = text(ask(tour, "zebras"))
    assert "I found nothing about that" in shown
    assert "OPENAI_API_KEY" in shown


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text() | st.sampled_from(['" OR 1', "NEAR(a b)", "a*", "^a", "title:x", "_", "-", "½ ²"]))
def test_any_question_is_answered(tour: Tour, question: str) -> None:
    """Nothing that a user can write is taken for the index's query language."""
    assert text(ask(tour, question))


def test_a_very_long_question_is_answered(tour: Tour) -> None:
    """Only the first words count."""
    assert text(ask(tour, "backup " + "word " * 50_000))


def test_headings_split_a_page_and_code_does_not() -> None:
    """A `#` in a code block is no heading; a heading without a body is no section."""
    assert [title for title, _ in _sections(PAGE)] == ["Storage", "Backup", "Providers and keys"]
    assert list(_sections("# Empty\n\n## Full\n\nx")) == [("Full", "x")]
    assert list(_sections("no heading at all")) == []


def test_a_long_section_is_cut_between_paragraphs() -> None:
    """What is quoted ends with a whole paragraph and an ellipsis."""
    paragraphs = [f"{n} " + "x" * 300 for n in range(10)]
    shortened = _shorten("\n\n".join(paragraphs)).split("\n\n")
    assert shortened[-1] == "…"
    assert shortened[:-1] == paragraphs[: len(shortened) - 1]
    assert _shorten("short") == "short"


@pytest.mark.parametrize("after", ["\n\nmore", "\n", ""])
def test_a_code_block_is_never_cut(after: str) -> None:
    """Also one with empty lines, and one at the end of a section."""
    code = "```python\n" + "\n\n".join("y = 1" + "0" * 200 for _ in range(9)) + "\n```"
    body = "\n\n".join(["x" * 700, code]) + after
    assert _shorten(body).count("```") in (0, 2)


def test_the_documentation_is_there() -> None:
    """In the wheel or beside the sources, with pages in it."""
    assert list(documentation().rglob("*.md"))
