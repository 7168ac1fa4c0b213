"""The chat page, the element and their files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from chatkeep.http.pages import PAGE_POLICY, Assets
from chatkeep.http.problems import HTTPProblem

PAGE = "<!doctype html><title>Chat</title><!--chatkeep:config--><script src='a.js'></script>"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What the front end's build leaves."""
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "chatkit.js").write_text("element()")
    (tmp_path / "chatkit-0123456789.js").write_text("element()")
    (tmp_path / "page-abcdef0123.css").write_text("body {}")
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner.js").write_text("no")
    return tmp_path


def request(**headers: str) -> Request:
    """A request with these headers."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": pairs})


def body(response: Response) -> str:
    """The text of a response."""
    return bytes(response.body).decode()


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "]]>",
        "<!--chatkeep:config-->",
        "</SCRIPT >",
        '"',
        "\\",
        "\u2028",
        "&lt;/script&gt;",
        "ü",
        "<\\/script>",
        "\\u003c/script>",
    ],
)
def test_the_configuration_stays_in_its_element(built: Path, text: str) -> None:
    """Whatever a model's label holds, the page has the script elements it should, and the text."""
    config = {"models": [{"label": text, text: 1}], "greeting": "hi"}
    page = body(Assets(built, config).page(None))
    elements = re.findall(r"<script[^>]*>(.*?)</script\s*>", page, re.DOTALL | re.IGNORECASE)
    assert len(elements) == 2
    assert json.loads(elements[0]) == config
    assert page.count("<!--") == 0
    assert page.startswith("<!doctype html><title>Chat</title><script type=")


def test_the_page_is_not_kept_and_runs_no_foreign_code(built: Path) -> None:
    """It carries its own policy, which allows nothing inline and nothing from elsewhere."""
    response = Assets(built, {}).page(None)
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert "http" not in PAGE_POLICY
    for directive in ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert directive in PAGE_POLICY
    assert "set-cookie" not in response.headers


def test_the_page_brings_the_cookie(built: Path) -> None:
    """A new browser is given its user with the page."""
    assert Assets(built, {}).page("a=b; HttpOnly").headers["set-cookie"] == "a=b; HttpOnly"


@pytest.mark.parametrize("there", [True, False])
def test_without_a_build_it_says_what_to_do(tmp_path: Path, there: bool) -> None:
    """An empty or missing folder is no failure of the server: the API works."""
    assets = Assets(tmp_path if there else tmp_path / "none", {})
    assert not assets.built
    for get in (lambda: assets.page(None), lambda: assets.element(request())):
        with pytest.raises(HTTPProblem, match="make web") as caught:
            get()
        assert caught.value.status == 404


def test_the_element_is_asked_for_again(built: Path) -> None:
    """It keeps its name, so browsers ask whether it is still the same."""
    response = Assets(built, {}).element(request())
    assert body(response) == "element()"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert re.fullmatch(r'"[0-9a-f]{32}"', response.headers["etag"])


@pytest.mark.parametrize("form", ["%s", "W/%s", '"x", %s', 'W/"x",W/%s', "*", " %s "])
def test_an_element_that_is_known_is_not_sent(built: Path, form: str) -> None:
    """By its tag, also among others and weakened by a proxy that compresses (RFC 9110, 13.1.2)."""
    assets = Assets(built, {})
    tag = assets.element(request()).headers["etag"]
    response = assets.element(request(if_none_match=form.replace("%s", tag)))
    assert (response.status_code, body(response)) == (304, "")
    assert response.headers["etag"] == tag
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("header", ['"x"', "", "x", 'W/"x"', "W/", '""'])
def test_another_version_of_the_element_is_sent(built: Path, header: str) -> None:
    """A tag that is not the element's is no reason to send nothing."""
    assert Assets(built, {}).element(request(if_none_match=header)).status_code == 200


def test_another_element_has_another_tag(built: Path) -> None:
    """The tag is of the content."""
    before = Assets(built, {}).element(request()).headers["etag"]
    (built / "chatkit.js").write_text("element(2)")
    assert Assets(built, {}).element(request()).headers["etag"] != before


@pytest.mark.parametrize(
    ("name", "kind"),
    [("chatkit-0123456789.js", "text/javascript"), ("page-abcdef0123.css", "text/css")],
)
def test_a_hashed_file_may_be_kept_for_ever(built: Path, name: str, kind: str) -> None:
    """Its name changes when its content does."""
    response = Assets(built, {}).asset(name)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("name", ["chatkit.js", "manifest.json"])
def test_a_file_without_a_hash_may_not(built: Path, name: str) -> None:
    """A browser that kept it for a year would not see the next release."""
    assert Assets(built, {}).asset(name).headers["cache-control"] == "no-cache"


NAMES = ["../index.html", "..", ".", "", "/etc/passwd", "folder/inner.js", "folder", "inner.js"]
NAMES += ["..\\..\\x", "%2e%2e/x", "chatkit.js\x00", "CHATKIT.JS", "./chatkit.js", "index.html"]


@pytest.mark.parametrize("name", NAMES)
def test_only_files_of_the_build_are_served(built: Path, name: str) -> None:
    """Names are looked up, not opened: there is no way out of the folder."""
    with pytest.raises(HTTPProblem) as caught:
        Assets(built, {}).asset(name)
    assert caught.value.status == 404


async def test_paths_cannot_leave_the_folder(client: Any) -> None:
    """The same over HTTP, however a path is written."""
    for path in ("..%2findex.html", "%2e%2e/settings.py", "..", "%00", "a/b", "%2Fetc%2Fpasswd"):
        response = await client.http.get(f"/assets/{path}")
        assert response.status_code in (404, 200)
        assert "import" not in response.text
        assert "root:" not in response.text


async def test_the_real_page_names_its_files(client: Any) -> None:
    """Every file that the built page refers to is there, beside the configuration."""
    page = (await client.http.get("/")).text
    names = re.findall(r'(?:src|href)="\./assets/([^"]+)"', page)
    if not names:
        pytest.skip("the front end has not been built")
    for name in names:
        response = await client.http.get(f"/assets/{name}")
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
    config = re.search(r'id="chatkeep-config">(.*?)</script>', page)
    assert config is not None
    assert json.loads(config[1])["models"]
