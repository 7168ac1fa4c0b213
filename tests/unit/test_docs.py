"""The documentation says what is true: links, examples, settings and commands."""

import os
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from chatkeep.cli import cli
from chatkeep.models.scripted import Message, Text
from chatkeep.models.tour import Tour, _sections
from chatkeep.settings import ALIASES, PREFIX, Settings, load_settings, walk
from support.forks import Fork

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = sorted(DOCS.rglob("*.md")) + TOP

SECTION_LIMIT = 1_300
"""Characters of a section that the tour quotes whole, with room for its heading."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ROW = re.compile(r"^\| `([a-z_.]+)` \| (.+?) \| (`[A-Z].+?) \| (.+) \|$", re.MULTILINE)


class Block(NamedTuple):
    """A block of code in a page."""

    language: str
    text: str
    name: str


def _blocks(language: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, match in enumerate(_FENCE.finditer(text), start=1):
            found.append(Block(match[1], match[2], f"{page.stem}-{number}"))
    return [block for block in found if block.language == language]


def _prose(page: Path) -> str:
    """Return a page without code blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in _anchors(linked)):
            yield target


def _name(value: Any) -> str:
    return value.name if isinstance(value, Block | Path) else str(value)


def _written(value: object) -> str:
    """Return a default as the table writes it."""
    match value:
        case None:
            return "not set"
        case () | {} if not value:
            return "none"
        case tuple():
            return f"`{', '.join(map(str, value))}`"
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


def _environment_names(dotted: str) -> set[str]:
    own = PREFIX + dotted.replace(".", "_").upper()
    return {own} | {name for name, field in ALIASES.items() if field == dotted}


def _quoted_by_tour(question: str) -> str:
    """Return the title of the section that the tour quotes."""
    tour = Tour(DOCS)
    steps = [step.text for step in tour([Message("user", question)]) if isinstance(step, Text)]
    if tour._index is not None:
        tour._index.close()
    return steps[0].partition("\n")[0].strip("*")


def _command(words: list[str]) -> click.Command | None:
    """Return the command that the words begin with, or None."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.commands.get(word)
        if found is None:
            return None
        command = found
    return command


def _code() -> Iterator[str]:
    """Yield every line of shell code and every inline code of the pages."""
    for block in _blocks("sh"):
        yield from block.text.splitlines()
    for page in PAGES:
        yield from re.findall(r"`([^`\n]+)`", _prose(page))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that exists, and its anchor a heading of it."""
    assert list(_broken_links(page)) == []


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=_name)
def test_pages_are_on_the_map(page: Path) -> None:
    """The map of the pages links every page."""
    assert page.name == "index.md" or f"({page.name})" in (DOCS / "index.md").read_text()


@pytest.mark.parametrize("block", _blocks("python"), ids=_name)
def test_python_compiles(block: Block) -> None:
    """Every Python example is valid Python."""
    compile(block.text, block.name, "exec")


def make_app(_: object, directory: Path) -> bool:
    """Run the example `main.py`, as a server does; say whether it makes an application."""
    os.chdir(directory)
    os.environ |= {"CHATKEEP_PROVIDER": "scripted", "DATABASE_URL": "memory://"}
    return callable(runpy.run_path("main.py", run_name="main")["app"])


@pytest.mark.parametrize(
    "block",
    [b for b in _blocks("python") if re.search(r"^app = ", b.text, re.MULTILINE)],
    ids=_name,
)
def test_examples_make_an_app(block: Block, tmp_path: Path) -> None:
    """Every example that defines `app` runs, and `app` is an application."""
    (tmp_path / "main.py").write_text(block.text, encoding="utf-8")
    with Fork(make_app, tmp_path).go() as process:
        assert process.hear()


def test_settings_table_has_every_field() -> None:
    """The tables of the settings page name each setting once, and no other."""
    rows = [match[1] for match in _ROW.finditer((DOCS / "settings.md").read_text())]

    assert sorted(rows) == sorted(dotted for dotted, _ in walk(Settings()))


def test_settings_table_has_the_defaults_and_names() -> None:
    """Defaults and environment names of the settings page are those of the code."""
    rows = _ROW.findall((DOCS / "settings.md").read_text())
    documented = {
        dotted: (default, set(re.findall(r"`(\w+)`", names))) for dotted, default, names, _ in rows
    }

    assert documented == {
        dotted: (_written(value), _environment_names(dotted)) for dotted, value in walk(Settings())
    }


@pytest.mark.parametrize("block", _blocks("toml"), ids=_name)
def test_toml_examples_load(block: Block, tmp_path: Path) -> None:
    """Every TOML example is a settings file that can be read."""
    (tmp_path / "chatkeep.toml").write_text(block.text, encoding="utf-8")

    referred = dict.fromkeys(re.findall(r'env = "(\w+)"', block.text), "a-secret")

    settings = load_settings(environ=referred, directory=tmp_path)

    assert settings != Settings()


def test_environment_names_mean_something() -> None:
    """Every `CHATKEEP_` name on the pages is a setting's."""
    known = set().union(*(_environment_names(dotted) for dotted, _ in walk(Settings())))
    named = {
        name
        for page in PAGES
        for name in re.findall(r"\bCHATKEEP_[A-Z_]+[A-Z]\b", page.read_text())
    }

    assert named - known - {"CHATKEEP_SECTION_FIELD", "CHATKEEP_TEST_MONGODB_URL"} == set()


def test_commands_exist() -> None:
    """Every `chatkeep` command on the pages is a command, and its options are options."""
    wrong = []
    for line in _code():
        for words in re.findall(r"(?:^|/|-m )chatkeep((?: [a-z|]+)+|(?= -))((?: -.*)?)", line):
            command = _command([word.partition("|")[0] for word in words[0].split()])
            options = {o for p in command.params for o in p.opts} if command else set()
            used = set(re.findall(r"--[a-z-]+", words[1]))
            if command is None or not used <= options | {"--help", "--version"}:
                wrong.append(line)

    assert wrong == []


def test_make_targets_exist() -> None:
    """Every `make` target on the pages is one of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {match[1] for line in _code() if (match := re.search(r"\bmake ([a-z]+)\b", line))}

    assert used - targets == set()


@pytest.mark.parametrize(
    "page", [p for p in sorted(DOCS.glob("*.md")) if p.name != "performance.md"], ids=_name
)
def test_sections_can_be_quoted_whole(page: Path) -> None:
    """No section is longer than what the tour quotes of it."""
    long = [title for title, body in _sections(page.read_text()) if len(body) > SECTION_LIMIT]

    assert long == []


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is Chatkeep?", "What is Chatkeep?"),
        ("How do I connect a real model?", "Connect a real model"),
        ("Where are my conversations kept?", "Where are conversations kept?"),
        ("How do I put the chat into my own site?", "Put the chat into your own site"),
        ("How do I back up the database?", "Back up the database"),
        ("Which settings are there for the port?", "Server settings: host, port, origins"),
        ("How do I use Ollama?", "Ollama: a model on your own machine"),
        ("The port is busy", "Troubleshooting: the port is busy"),
    ],
)
def test_tour_finds_the_section(question: str, title: str) -> None:
    """The questions that people ask first lead to the section that answers them."""
    assert _quoted_by_tour(question) == title


def test_readme_is_short() -> None:
    """The README can be read at one go."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
