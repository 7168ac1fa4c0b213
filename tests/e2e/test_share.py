"""What somebody with a link to a conversation sees, in a real browser."""

import pytest
from playwright.async_api import expect

from chatkeep.models.scripted import Text
from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from support.browser import SCREENSHOTS, NewPage
from support.files import upload
from support.process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ANSWER = """The **Pantheon** in Rome is about 1,900 years old.

1. Hadrian had it built around *126 AD*.
2. Its dome is still the largest of unreinforced concrete.

| part | metres |
| --- | --- |
| dome, across | 43.3 |
| oculus | 8.2 |

```python
volume = 2 / 3 * pi * (43.3 / 2) ** 3  # a line that is longer than a small screen is wide
```

More at [a page](https://rome.example/pantheon).
"""


async def test_a_shared_conversation(
    served: ServerProcess, scripted: ScriptedProvider, new_page: NewPage
) -> None:
    """Question, picture and answer are there, light and dark, wide and on a small phone."""
    scripted.script = lambda _: [Text(_ANSWER)]
    async with ChatKitClient(served.url) as client:
        files = [
            await upload(client, name="pantheon.png"),
            await upload(client, b"notes", name="travel notes.txt", mime_type="text/plain"),
        ]
        answer = await client.say("How old is the Pantheon,\nand how large?", attachments=files)
        shares = f"/chatkit/threads/{answer.thread_id}/shares"
        link = (await client.http.post(shares, json={})).json()["url"]

    for name, options in {
        "share-light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
        "share-dark-360": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
    }.items():
        page = await new_page(link, java_script_enabled=False, **options)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("How old is the")
        await expect(page.get_by_role("cell", name="43.3")).to_be_visible()
        picture = page.get_by_role("img", name="pantheon.png")
        await expect(picture).to_have_js_property("naturalWidth", 1)
        wide = await page.locator("html").evaluate("e => e.scrollWidth - e.clientWidth")
        assert wide == 0
        SCREENSHOTS.mkdir(exist_ok=True)
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
