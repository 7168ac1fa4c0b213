"""Markdown of a model as HTML that can do nothing."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

MAX_MARKDOWN = 20_000
"""Characters; a longer text is shown as it is, as some are slow to read as Markdown."""


MAX_BARS = 2_000
"""Of tables, whose short rows are filled up: a few characters make very much HTML."""


def to_html(text: str) -> Markup:
    """Return Markdown as HTML: no HTML of its own, no images, no links but to web and mail."""
    if len(text) > MAX_MARKDOWN or text.count("|") > MAX_BARS:
        return as_it_is(text)
    return Markup(_reader().render(text))  # noqa: S704 - html is off: everything is escaped


def as_it_is(text: str) -> Markup:
    """Return a text as HTML that shows its characters."""
    return Markup('<p class="plain">{}</p>').format(text)


def _open_link(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    del renderer, options, env
    address = escape(tokens[index].attrGet("href") or "")
    return f'<a href="{address}" rel="nofollow noopener noreferrer" target="_blank">'


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    reader.disable("image")  # whoever serves it would learn who reads
    reader.add_render_rule("link_open", _open_link)
    return reader
