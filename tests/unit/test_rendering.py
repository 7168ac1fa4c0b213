"""Markdown of a model as HTML that can do nothing."""

import pytest

from chatkeep.http.rendering import MAX_MARKDOWN, to_html


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>"),
        ("<!-- x -->", "<p>&lt;!-- x --&gt;</p>"),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>"),
        ("[x](data:text/html,x)", "<p>[x](data:text/html,x)</p>"),
        ("```<i>\nx\n```", '<pre><code class="language-&lt;i&gt;">x\n</code></pre>'),
        ("~~x~~", "<p><s>x</s></p>"),
    ],
)
def test_what_is_shown(markdown: str, html: str) -> None:
    """HTML is text, and an address that is a script is no address."""
    assert to_html(markdown).strip() == html


def test_links_are_marked() -> None:
    """A link cannot leave its attribute, and tells nobody where it was."""
    html = to_html("[x](<https://a.example/\"onclick='x>)")
    assert html == (
        '<p><a href="https://a.example/%22onclick=&#39;x" '
        'rel="nofollow noopener noreferrer" target="_blank">x</a></p>\n'
    )


def test_images_are_links() -> None:
    """Nothing is loaded from elsewhere."""
    assert "<img" not in to_html("![x](https://evil.example/x.png)")


@pytest.mark.parametrize("text", ["[" * MAX_MARKDOWN + "<", "|" * 2_001 + "<"])
def test_what_is_slow_to_read_is_shown_as_it_is(text: str) -> None:
    """Long texts and huge tables are escaped and nothing more."""
    assert to_html(text).startswith('<p class="plain">')
    assert to_html(text).endswith("&lt;</p>")
