"""Every kind of item, as a person meets it: told live by a hosted server, and after a reload."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from chatkeep import Chatkeep, load_settings
from support.browser import SCREENSHOTS, NewPage
from support.live import LiveServer
from support.showcase import Showcase

MESSAGE = re.compile("message", re.IGNORECASE)

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def showcase(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    """The server that shows every item."""
    overrides = {"data_dir": tmp_path_factory.mktemp("showcase")}
    settings = load_settings(environ={}, overrides=overrides)
    async with LiveServer(Chatkeep(server=Showcase, settings=settings)) as server:
        yield server


async def say(page: Page, word: str) -> None:
    """Send a message, and wait for the end of the answer."""
    await page.get_by_role("textbox", name=MESSAGE).fill(word)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)


async def shoot(page: Page, name: str) -> None:
    """Keep a picture to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")


async def test_citations_entities_and_deep_links(showcase: LiveServer, new_page: NewPage) -> None:
    """Markers stand at their places, tell of their source, and act as the host page says."""
    page = await new_page(showcase.url)
    await page.evaluate(
        """() => {
          window.told = [];
          const chat = document.querySelector('openai-chatkit');
          chat.addEventListener('chatkit.deeplink', ({ detail }) => told.push(detail));
          chat.setOptions({
            api: { url: './chatkit', domainKey: 'x', resumable: true },
            entities: { onClick: (entity) => told.push(entity) },
          });
        }"""
    )
    await say(page, "cite")
    answer = page.get_by_role("article", name="Answer")
    entity = answer.get_by_role("button", name="Paris, FR")
    await expect(entity).to_be_visible()
    await entity.click()
    link = answer.get_by_role("link", name="2. Eiffel Tower")
    await link.focus()
    card = page.get_by_role("tooltip")
    await expect(card).to_contain_text("A tower of iron.")
    await expect(card).to_contain_text("1889")
    await shoot(page, "sources")
    await page.keyboard.press("Escape")
    await expect(card).to_be_hidden()
    await answer.get_by_role("link", name="Open the room").click()
    told = await page.evaluate("told")
    assert told[0]["id"] == "city_1"
    assert told[0]["data"] == {"n": "1"}
    assert told[1] == {"name": "open-room", "data": {"id": "7"}}
    await expect(answer.get_by_role("list", name="Sources").get_by_role("listitem")).to_have_count(
        3
    )


async def test_questions_replace_the_composer(showcase: LiveServer, new_page: NewPage) -> None:
    """They take an own answer, several, and none; a reload keeps them waiting."""
    page = await new_page(showcase.url)
    await say(page, "ask")
    form = page.get_by_role("form", name="Questions")
    await expect(form).to_be_visible()
    await expect(page.get_by_role("textbox", name=MESSAGE)).to_have_count(0)
    await page.reload()
    await form.get_by_role("radiogroup", name="To drink?").get_by_role("textbox").fill("Milk")
    cakes = form.get_by_role("group", name="Which cakes?")
    await cakes.get_by_label("Tea").check()
    await cakes.get_by_label("Coffee").check()
    await shoot(page, "questions")
    await form.get_by_role("button", name="Submit").click()
    answers = page.get_by_role("article", name="Answer")
    noted = answers.get_by_text("Noted: drink=Milk; cake=Tea+Coffee; name=")
    await expect(noted).to_be_visible()
    await expect(page.get_by_role("textbox", name=MESSAGE)).to_be_visible()
    await expect(page.get_by_role("definition").first).to_have_text("Milk")
    await say(page, "ask")
    await form.get_by_role("button", name="Skip").click()
    await expect(answers.get_by_text("Noted: drink=; cake=; name=")).to_be_visible()
    await expect(page.get_by_role("definition").last).to_have_text("Skipped")


async def test_images_and_work(showcase: LiveServer, new_page: NewPage) -> None:
    """An image that was made, the steps of some work, and a task by itself; also afterwards."""
    page = await new_page(showcase.url)
    await say(page, "draw")
    await expect(page.get_by_role("img", name="Generated image")).to_be_visible()
    await say(page, "work")
    for _ in range(2):
        await expect(page.get_by_text("Found it")).to_be_visible()
        await expect(page.get_by_text("towers", exact=True)).to_be_visible()
        await expect(page.get_by_text("heavy", exact=True)).to_be_visible()
        await expect(page.get_by_text("Sent it")).to_be_visible()
        await expect(page.get_by_role("img", name="Generated image")).to_be_visible()
        await shoot(page, "work")
        await page.reload()


async def test_formulas_and_coloured_code(showcase: LiveServer, new_page: NewPage) -> None:
    """Formulas are set by the browser, and code has its colours, under the page's own policy."""
    page = await new_page(showcase.url)
    await say(page, "rich")
    await expect(page.locator("math")).to_have_count(2)
    await expect(page.locator("math msqrt")).to_be_visible()
    await expect(page.locator(".hljs-keyword").first).to_have_text("def")
    await shoot(page, "rich")
