"""What a person does in the chat page, in a real browser."""

import asyncio
import re

import pytest
from playwright.async_api import Locator, Page, Route, expect

from chatkeep.models.scripted import Fail, Text
from chatkeep.testing.provider import ScriptedProvider
from support.browser import SCREENSHOTS, NewPage
from support.process import ServerProcess, StartProcess
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def composer(page: Page) -> Locator:
    """The field to write in."""
    return page.get_by_role("textbox", name=re.compile("message", re.IGNORECASE))


async def say(page: Page, text: str) -> None:
    """Write a message and send it with Enter."""
    await composer(page).fill(text)
    await composer(page).press("Enter")


async def answered(page: Page, text: str) -> None:
    """Wait until an answer is there and finished."""
    await expect(page.get_by_text(text, exact=False).last).to_be_visible()
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)


async def shoot(page: Page, name: str) -> None:
    """Keep a picture to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")


async def places(page: Page, texts: list[str]) -> list[float]:
    """Return how far down each text is."""
    found = [await page.get_by_text(text, exact=True).first.element_handle() for text in texts]
    # All at once: the page may be scrolling.
    measured = "elements => elements.map(element => element.getBoundingClientRect().y)"
    tops: list[float] = await page.evaluate(measured, found)
    return tops


async def test_three_messages_three_answers_kept_over_reload_and_restart(
    own_server: ServerProcess, new_page: NewPage
) -> None:
    """Three answers stand below each other, and still do after a reload and a killed server."""
    page = await new_page(own_server.url)
    for word in ("apple", "banana", "cherry"):
        await say(page, word)
        await answered(page, f"You said: {word}")
    texts = [f"You said: {word}" for word in ("apple", "banana", "cherry")]
    order = await places(page, texts)
    assert order == sorted(set(order))
    await shoot(page, "three-answers")

    await page.reload()
    await expect(page.get_by_text(texts[2], exact=True)).to_be_visible()
    order = await places(page, texts)
    assert order == sorted(set(order))

    await own_server.kill()
    await own_server.start()
    await page.reload()
    for text in texts:
        await expect(page.get_by_text(text, exact=True)).to_have_count(1)


async def test_a_follow_up_is_answered_in_its_context(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """The model is asked the second question with the first one and its answer before it."""
    page = await new_page(served.url)
    await say(page, "My name is Ada")
    await answered(page, "message 1 of this conversation")
    await say(page, "What is my name?")
    await answered(page, "message 2 of this conversation")

    sent = [message["content"] for message in scripted.streamed[-1]["messages"][1:]]
    assert sent[0] == "My name is Ada"
    assert sent[1].startswith("You said: My name is Ada")
    assert sent[2] == "What is my name?"


async def test_stop_keeps_what_was_written(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """Stop ends the answer at once, closes the provider's socket and keeps the partial text."""
    scripted.script = lambda _: [Text("begin "), Text("more " * 20_000, gap=0.02), Text("END")]
    page = await new_page(served.url)
    await say(page, "write a lot")
    await expect(page.get_by_text("begin more").first).to_be_visible()

    await page.get_by_role("button", name="Stop").click()

    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    await expect(page.get_by_text("begin more").first).to_be_visible()
    await until(lambda: scripted.closed_early)
    assert scripted.closed_early == 1

    async def kept() -> int:
        await page.reload()
        await expect(page.get_by_role("article").first).to_be_visible()
        return await page.get_by_text("begin more").count()

    await until(kept)  # the partial is being saved while the page has long stopped
    await expect(page.get_by_text("END")).to_have_count(0)


async def test_two_browsers_do_not_see_each_others_threads(
    served: ServerProcess, new_page: NewPage
) -> None:
    """Another browser has an empty history, and a link to a foreign thread opens nothing."""
    mine = await new_page(served.url)
    await say(mine, "private words")
    await answered(mine, "You said: private words")
    link = mine.url
    assert "#thr_" in link

    theirs = await new_page(link)

    await expect(theirs.get_by_text(re.compile("does not exist"))).to_be_visible()
    await expect(theirs.get_by_text("private words")).to_have_count(0)
    await shoot(theirs, "unknown-thread")
    await theirs.get_by_role("button", name="New chat").first.click()
    await expect(composer(theirs)).to_be_editable()


async def test_a_failing_provider_is_told_and_can_be_retried(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """The error is an alert with Retry; the message stays, and the retry answers it."""
    good = scripted.script
    scripted.script = lambda _: [Fail(503)]
    page = await new_page(served.url)
    await say(page, "are you there?")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("cannot be reached")
    await shoot(page, "provider-fails")

    scripted.script = good
    await page.get_by_role("button", name="Retry").first.click()

    await answered(page, "You said: are you there?")
    await expect(alert).to_have_count(0)


async def test_a_server_that_goes_away_and_comes_back(
    own_server: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """The page says that the connection is lost, keeps the text, and recovers by itself."""
    scripted.script = lambda _: [Text("begin "), Text("more " * 20_000, gap=0.02)]
    page = await new_page(own_server.url)
    await say(page, "long answer please")
    await expect(page.get_by_text("begin more").first).to_be_visible()

    await own_server.kill()
    await expect(page.get_by_text(re.compile("Connection lost", re.IGNORECASE))).to_be_visible()
    await shoot(page, "connection-lost")
    await own_server.start()

    await expect(page.get_by_text(re.compile("Connection lost", re.IGNORECASE))).to_have_count(0)
    await expect(page.get_by_text("long answer please").first).to_be_visible()


async def test_history_lists_renames_and_deletes(served: ServerProcess, new_page: NewPage) -> None:
    """Threads are listed by their titles and can be opened, renamed and deleted."""
    page = await new_page(served.url)
    await say(page, "first topic")
    await answered(page, "You said: first topic")
    await page.get_by_role("button", name="New chat").first.click()
    await say(page, "second topic")
    await answered(page, "You said: second topic")

    await page.get_by_role("button", name="Chat history").click()
    await expect(page.get_by_text("first topic").first).to_be_visible()
    await shoot(page, "history")
    await page.get_by_role("button", name=re.compile("first topic")).first.click()

    await expect(page.get_by_text("You said: first topic")).to_be_visible()


async def test_keys_wait_for_a_list_that_is_still_loading(
    served: ServerProcess, new_page: NewPage
) -> None:
    """Who is quicker than the network has chosen all the same."""
    page = await new_page(served.url)
    typed = asyncio.Event()

    async def hold(route: Route) -> None:
        await typed.wait()
        await route.continue_()

    await page.route("**/choice-list-*.js", hold)
    await page.reload()
    await page.get_by_role("button", name=re.compile("^Model: ")).focus()
    for key in ("Enter", "ArrowDown", "Enter"):
        await page.keyboard.press(key)
    typed.set()
    await expect(page.get_by_role("button", name="Model: Tour")).to_be_visible()
    await expect(page.get_by_role("listbox")).to_have_count(0)


async def test_a_whole_conversation_by_keyboard(served: ServerProcess, new_page: NewPage) -> None:
    """Without a pointer: write, break a line, send, choose a model, start anew."""
    page = await new_page(served.url)
    await expect(composer(page)).to_be_focused()
    await page.keyboard.type("line one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("line two")
    await page.keyboard.press("Enter")
    await answered(page, "message 1 of this conversation")
    await expect(page.get_by_text("line two").first).to_be_visible()
    await expect(composer(page)).to_be_focused()

    picker = page.get_by_role("button", name=re.compile("^Model: "))
    await picker.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Model: Tour")).to_be_visible()
    await composer(page).focus()
    await page.keyboard.type("hello")
    await page.keyboard.press("Enter")
    await answered(page, "I am the tour")


async def test_hostile_markdown_is_harmless(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """Script, event handlers, foreign images and javascript links in an answer do nothing."""
    scripted.script = lambda _: [
        Text(
            "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'> "
            "[click](javascript:window.hacked=1) ![x](https://evil.example/pixel.png) done"
        )
    ]
    page = await new_page(served.url)
    await say(page, "attack me")
    await answered(page, "done")

    assert await page.evaluate("window.hacked") is None
    assert await page.locator("a[href^='javascript']").count() == 0


async def test_dark_and_narrow(served: ServerProcess, new_page: NewPage) -> None:
    """The page follows the system's colours and fits a phone without sideways scrolling."""
    page = await new_page(served.url, viewport={"width": 360, "height": 740}, color_scheme="dark")
    await say(page, "a `word` and a rather long line that has to wrap on a small screen")
    await answered(page, "You said: a")
    await shoot(page, "dark-narrow")

    width = await page.evaluate("document.documentElement.scrollWidth")
    background = await page.locator("openai-chatkit").evaluate(
        "e => getComputedStyle(e).backgroundColor"
    )
    assert width <= 360
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 60


async def test_the_tour_answers_with_citations(
    start_process: StartProcess, new_page: NewPage
) -> None:
    """Without any key and weights the tour answers from the documentation and names its source."""
    server = await start_process(CHATKEEP_PROVIDER="tour")
    page = await new_page(server.url)
    await expect(page.get_by_text(re.compile("built-in tour"))).to_be_visible()
    await shoot(page, "start")

    await say(page, "How do I connect a real model?")

    await answered(page, "OPENAI_API_KEY")
    await expect(page.get_by_text("Sources").first).to_be_visible()
    await shoot(page, "tour")


async def test_the_embedded_model_answers(start_process: StartProcess, new_page: NewPage) -> None:
    """A real model on this machine streams an answer, and the page says what it is."""
    server = await start_process(CHATKEEP_PROVIDER="embedded")
    page = await new_page(server.url)
    await expect(page.get_by_text(re.compile("often wrong"))).to_be_visible()

    await say(page, "What is the capital of France?")

    copy = page.get_by_role("button", name="Copy")
    await expect(copy.first).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await shoot(page, "embedded")
