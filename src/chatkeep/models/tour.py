"""The tour: a built-in guide that answers about Chatkeep from its own documentation.

It needs no key, no weights and no network, and it is always the same: the same question gets the
same answer. It does not pretend to be a language model, and says how to connect one.
"""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from chatkeep.models.scripted import Citation, Message, Step, Text, Thought

_WORD_GAP = 0.012  # seconds; a calm reading speed that still shows the stream
_STOP_WORDS = frozenset(
    "a about an and are can do does for from get give how i in is it me my of on or please show "
    "tell that the there this to use we what when where which who why will with you your".split()
)
_MAX_SECTION = 1_400  # characters quoted from one section

_WELCOME = """\
Hello! I am the **tour**, a built-in guide. I am not a language model: I look up your question in \
Chatkeep's own documentation and quote what I find.

Ask me, for instance:

- *How do I connect a real model?*
- *Where are my conversations kept?*
- *How do I put the chat into my own site?*
- *Show me formatting*
"""

_FORMATTING = """\
Answers are Markdown and are shown while they stream. A table:

| what | here |
| --- | --- |
| front end | a custom element, `<openai-chatkit>` |
| endpoint | `POST /chatkit` |
| storage | SQLite by default |

Code, with a button that copies it:

```python
from agents import Agent
from chatkeep import Chatkeep

app = Chatkeep(agent=Agent(name="assistant", instructions="Be brief."))
```

A list of things done and not done:

- [x] streamed
- [x] stored before you finish reading
- [ ] forgotten

> And a quotation, with **bold**, *emphasis*, ~~a mistake~~ and [a link](https://example.com).
"""

_NOTHING_FOUND = """\
I found nothing about that in Chatkeep's documentation. I am only the built-in tour: for \
everything else, connect a real model. Set one of these and start again:

```sh
OPENAI_API_KEY=…        # or OPENROUTER_API_KEY, GEMINI_API_KEY
OLLAMA_HOST=127.0.0.1   # a model on your own machine
OPENAI_BASE_URL=…       # any OpenAI-compatible server
```
"""


def documentation() -> Path:
    """Return the folder of the documentation: in the wheel, or beside the sources."""
    bundled = Path(str(files("chatkeep"))) / "docs"
    return bundled if bundled.is_dir() else Path(__file__).parents[3] / "docs"


class Tour:
    """The script of the tour; the index is built at the first question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index: sqlite3.Connection | None = None

    def __call__(self, messages: Sequence[Message]) -> Iterable[Step]:
        """Answer the newest question."""
        questions = [message.text for message in messages if message.role == "user"]
        question = questions[-1] if questions else ""
        words = [w for w in re.findall(r"\w+", question.lower()) if w not in _STOP_WORDS]
        if {"formatting", "markdown"} & set(words):
            yield Text(_FORMATTING, _WORD_GAP)
        elif not words or {"hello", "hi", "hey", "hallo"} & set(words):
            yield Text(_WELCOME, _WORD_GAP)
        elif found := self._search(words):
            yield from self._quote(found)
        else:
            yield Text(_NOTHING_FOUND, _WORD_GAP)

    async def aclose(self) -> None:
        """Let the index go. Idempotent; the next question builds it anew."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _quote(self, found: list[tuple[str, str, str]]) -> Iterable[Step]:
        titles = ", ".join(f"“{title}”" for _, title, _ in found)
        yield Thought(f"Looked through the documentation and found {titles}.")
        filename, title, body = found[0]
        yield Text(f"**{title}**\n\n{_shorten(body)}", _WORD_GAP)
        yield Citation(filename)
        for filename, title, _ in found[1:]:
            yield Text(f"\n\nSee also: {title}", _WORD_GAP)
            yield Citation(filename)

    def _search(self, words: list[str]) -> list[tuple[str, str, str]]:
        """Return up to three sections as (file, title, text), the best first."""
        if self._index is None:
            self._index = _build_index(self._folder)
        query = " OR ".join(f'"{word}"' for word in words[:32])
        return self._index.execute(
            "SELECT filename, title, body FROM section WHERE section MATCH ? "
            "ORDER BY bm25(section, 0, 6, 1) LIMIT 3",
            (query,),
        ).fetchall()


def _build_index(folder: Path) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.execute(
        "CREATE VIRTUAL TABLE section USING "
        "fts5(filename UNINDEXED, title, body, tokenize = 'porter unicode61')"
    )
    for path in sorted(folder.rglob("*.md")):
        name = path.relative_to(folder).as_posix()
        index.executemany(
            "INSERT INTO section VALUES (?, ?, ?)",
            [(name, title, body) for title, body in _sections(path.read_text(encoding="utf-8"))],
        )
    return index


def _sections(markdown: str) -> Iterable[tuple[str, str]]:
    """Split a page at its headings; a `#` inside a code block is no heading."""
    title, lines, fenced = "", list[str](), False
    for line in [*markdown.splitlines(), "# "]:
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"#{1,6} (.*)", line)
        if heading is None:
            lines.append(line)
            continue
        if title and (body := "\n".join(lines).strip()):
            yield title, body
        title, lines = heading.group(1), []


def _shorten(body: str) -> str:
    """Cut between paragraphs, and never inside a code block."""
    taken: list[str] = []
    for paragraph in re.split(r"\n\n(?![^`]*```(?:\n|\Z))", body):
        if taken and sum(map(len, taken)) + len(paragraph) > _MAX_SECTION:
            return "\n\n".join([*taken, "…"])
        taken.append(paragraph)
    return "\n\n".join(taken)
