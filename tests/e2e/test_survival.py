"""Answers that survive what people do to pages, in a real browser."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from chatkeep.models.scripted import Text
from chatkeep.testing.provider import ScriptedProvider
from support.browser import SCREENSHOTS, NewPage
from support.process import ServerProcess
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = [f"w{number}" for number in range(150)]
LONG = [Text(" ".join(WORDS), gap=0.03), Text(" END")]


async def ask(page: Page, text: str) -> None:
    """Write a message and send it."""
    composer = page.get_by_role("textbox", name="Message")
    await composer.fill(text)
    await composer.press("Enter")


def answer(page: Page) -> Locator:
    """The newest text of the assistant."""
    return page.get_by_role("article").last


async def whole(page: Page) -> None:
    """Wait for the end of the answer; check that no word is lost or doubled."""
    await expect(answer(page)).to_contain_text("END")
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    text = await answer(page).inner_text()
    assert [word for word in text.split() if word.startswith("w")] == WORDS


async def shoot(page: Page, name: str) -> None:
    """Keep a picture to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")


async def test_reloads_do_not_hurt_an_answer(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """After each of three reloads the answer is picked up where it is; it was asked for once."""
    scripted.script = lambda _: LONG
    page = await new_page(served.url)
    await ask(page, "count")
    for word in ("w10", "w40", "w80"):
        await expect(answer(page)).to_contain_text(word)
        await page.reload()
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await shoot(page, "resumed")
    await whole(page)
    assert len(scripted.streamed) == 1
    assert scripted.closed_early == 0


async def test_a_second_tab_sees_it_live(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """It joins a running answer; later it shows a question of the first tab, and can stop it."""
    scripted.script = lambda _: LONG
    first = await new_page(served.url)
    await ask(first, "count")
    await expect(answer(first)).to_contain_text("w5")
    second = await first.context.new_page()
    await second.goto(first.url)
    await expect(answer(second)).to_contain_text("w20")
    await whole(second)
    await whole(first)

    scripted.script = lambda _: [Text("again " * 20_000, gap=0.02)]
    await second.bring_to_front()
    await ask(first, "and now?")
    await expect(second.get_by_text("and now?").first).to_be_visible()
    await expect(answer(second)).to_contain_text("again again")
    await shoot(second, "second-tab")
    await second.get_by_role("button", name="Stop").click()
    for page in (first, second):
        await expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    await until(lambda: scripted.closed_early)


async def test_a_killed_server_costs_half_a_second(
    own_server: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """What was written is there when the server is back, marked, and can be asked for again."""
    server = own_server
    scripted.script = lambda _: LONG
    page = await new_page(server.url)
    await ask(page, "count")
    await expect(answer(page)).to_contain_text("w60")

    await server.kill()
    await server.start()

    retry = page.get_by_role("button", name="Retry").first
    await expect(retry).to_be_visible()
    await expect(answer(page)).to_contain_text("w30")
    await expect(page).to_have_title(re.compile("count"))
    await shoot(page, "killed")
    await retry.click()
    await whole(page)
