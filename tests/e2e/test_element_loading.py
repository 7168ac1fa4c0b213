"""How pages get the element: from another origin, checked by its hash, under a strict policy."""

import base64
import hashlib

import httpx2
import pytest
from playwright.async_api import Browser, expect

from support.host_pages import HostPages
from support.process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = (
    "default-src 'none'; script-src 'nonce-host'; style-src 'self'; connect-src *; "
    "require-trusted-types-for 'script'; trusted-types chatkeep lit-html dompurify"
)
PAGE = """<!doctype html><meta charset="utf-8"><title>A host</title>
<script src="{url}/{name}" nonce="host"{more}></script>
<openai-chatkit></openai-chatkit>
<script nonce="host">
document.querySelector('openai-chatkit').setOptions({{
  api: {{ url: '{url}/chatkit', domainKey: 'none' }},
  disclaimer: {{ text: 'This is **kept**.' }},
}});
</script>"""


def _digest(script: bytes) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(script).digest()).decode()


@pytest.mark.parametrize("checked", [False, True])
async def test_parts_come_from_where_the_script_came(
    server_of_all: ServerProcess, browser: Browser, checked: bool
) -> None:
    """Nothing of a foreign page's strict policy is in the way of what is loaded later."""
    async with httpx2.AsyncClient(base_url=server_of_all.url) as client:
        script = (await client.get("/chatkit.js")).content
    more = f' integrity="{_digest(script)}" crossorigin' if checked else ""
    url = server_of_all.url.rstrip("/")
    body = PAGE.format(url=url, name="chatkit.js", more=more)

    page = await browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    async with HostPages({"/": body}, {"content-security-policy": POLICY}) as host:
        try:
            await page.goto(host.url)
            await expect(page.locator("openai-chatkit strong")).to_have_text("kept")
            part = page.locator("head script[src*=assets]")
            assert (await part.get_attribute("integrity") is not None) is checked
            assert not [text for text in refused if "polic" in text.lower()]
        finally:
            await page.close()
