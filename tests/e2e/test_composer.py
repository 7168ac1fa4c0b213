"""What a person does in the composer: write, tag, command and quote; in a real browser."""

import re

import pytest
from playwright.async_api import expect

from chatkeep.models.scripted import Text
from chatkeep.testing.provider import ScriptedProvider
from support.browser import NewPage
from support.composing import CONFIGURE, TOOLS, answered, field, messages, open_page, shoot
from support.process import ServerProcess
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_writing_breaking_pasting_and_undoing(
    served: ServerProcess, new_page: NewPage
) -> None:
    """Lines, undo, redo, plain paste and an input method leave just the text that was meant."""
    page = await open_page(served, new_page)
    await page.keyboard.type("one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await expect(field(page)).to_have_text("one\n\ntwo")
    await page.keyboard.press("Control+z")
    await expect(field(page)).to_have_text("one\n\n")
    await page.keyboard.press("Control+Shift+z")
    await expect(field(page)).to_have_text("one\n\ntwo")

    await field(page).evaluate(
        """element => {
            const data = new DataTransfer();
            data.setData('text/plain', ' <b>plain</b>\\r\\nthree');
            data.setData('text/html', '<b>bold</b>');
            element.dispatchEvent(new ClipboardEvent('paste',
                {clipboardData: data, bubbles: true, cancelable: true}));
        }"""
    )
    await expect(field(page)).to_have_text("one\n\ntwo <b>plain</b>\nthree")
    assert await field(page).locator("b").count() == 0

    # An input method: Enter takes the suggestion and sends nothing.
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Backspace")
    await expect(field(page)).to_have_attribute("aria-placeholder", "Message the AI")
    await expect(page.get_by_text("Message the AI")).to_be_visible()
    cdp = await page.context.new_cdp_session(page)
    composition = {"text": "ni", "selectionStart": 2, "selectionEnd": 2}
    await cdp.send("Input.imeSetComposition", composition)
    enter = {"type": "rawKeyDown", "key": "Enter", "windowsVirtualKeyCode": 229}
    await cdp.send("Input.dispatchKeyEvent", enter)
    await cdp.send("Input.insertText", {"text": "你"})
    await expect(field(page)).to_have_text("你")
    assert await messages(page) == []
    await page.keyboard.press("Enter")
    await answered(page, 1)
    assert (await messages(page))[0]["content"] == [{"type": "input_text", "text": "你"}]


async def test_tags_are_found_by_keyboard_and_sent_with_the_text(
    served: ServerProcess, new_page: NewPage
) -> None:
    """Entities come up behind "@", are moved through by arrows and stand in the text as a whole."""
    page = await open_page(served, new_page)
    await page.keyboard.type("Ask @a")
    people = page.get_by_role("option")
    await expect(people).to_have_count(2)
    await expect(page.get_by_role("group", name="People")).to_be_visible()
    await expect(page.get_by_text("About Ada Lovelace, who wrote much")).to_be_visible()
    await shoot(page, "mention")

    await page.keyboard.press("Escape")
    await expect(people).to_have_count(0)
    await expect(field(page)).to_have_text("Ask @a")
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Backspace")
    await page.get_by_role("button", name="Mention").click()
    await expect(people).to_have_count(3)
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option", name="Alan Turing")).to_have_attribute(
        "aria-selected", "true"
    )
    await page.keyboard.press("Enter")
    await expect(field(page)).to_have_text("Ask Alan Turing ")

    # A tag goes with one key and comes back by undo.
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Backspace")
    await expect(field(page)).to_have_text("Ask ")
    await page.keyboard.press("Control+z")
    await page.keyboard.type(" now")
    await field(page).locator(".tag").click()
    await page.keyboard.press("Enter")
    await answered(page, 1)
    alan = {
        "type": "input_tag",
        "id": "alan",
        "text": "Alan Turing",
        "data": {},
        "group": "People",
        "interactive": True,
    }
    assert (await messages(page))[0]["content"] == [
        {"type": "input_text", "text": "Ask "},
        alan,
        {"type": "input_text", "text": " now"},
    ]
    sent = page.get_by_role("button", name="Alan Turing")
    await sent.focus()
    await expect(page.get_by_text("About Alan Turing, who wrote much")).to_be_visible()
    await sent.click()
    calls = await page.evaluate("window.calls")
    assert calls.count("click alan") == 2


async def test_late_answers_of_a_search_are_dropped(
    served: ServerProcess, new_page: NewPage
) -> None:
    """What was asked first and answered last changes nothing."""
    page = await open_page(served, new_page)
    await page.keyboard.type("@")
    await expect(page.get_by_role("option")).to_have_count(3)
    await page.keyboard.insert_text("slow")
    await until(lambda: page.evaluate("Boolean(window.answerSlow)"))
    await page.keyboard.press("Control+a")
    await page.keyboard.insert_text("@turing")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.evaluate("window.answerSlow()")
    await page.evaluate("new Promise(requestAnimationFrame)")
    await expect(page.get_by_role("option")).to_have_text(["Alan Turing"])


async def test_commands_act_insert_and_open_menus(served: ServerProcess, new_page: NewPage) -> None:
    """A command runs, puts a tag in its place, or goes on with a menu; own ones are there too."""
    page = await open_page(served, new_page, tools=TOOLS)
    await page.keyboard.type("/")
    await expect(page.get_by_role("option", name="Think hard")).to_be_attached()
    await shoot(page, "commands")
    await page.keyboard.type("clear")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(field(page)).to_have_text("")

    await page.keyboard.type("/ins")
    await page.get_by_role("option", name="Insert a person").click()
    await expect(field(page)).to_have_text("Ada Lovelace ")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("/more")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await page.get_by_role("option", name="Two").click()
    await expect(field(page)).to_have_text("Ada Lovelace ")
    assert (await page.evaluate("window.calls")) == ["command clear", "command insert",
                                                     "command more", "command two"]  # fmt: skip

    await page.keyboard.press("Control+a")
    await page.keyboard.type("/think")
    await page.get_by_role("option", name="Think hard").click()
    await expect(page.get_by_role("button", name="Think hard")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert await page.evaluate("window.tools") == ["deep"]


async def test_a_selected_passage_is_quoted(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """Selecting in an answer offers Quote; the quote goes with the message and is shown with it."""
    scripted.script = lambda _: [Text("The first point. The second point.")]
    page = await open_page(served, new_page)
    await page.keyboard.type("tell me")
    await page.keyboard.press("Enter")
    await answered(page, 1)
    answer = page.get_by_role("article", name="Answer").get_by_role("paragraph")
    offer = page.get_by_role("button", name="Quote", exact=True)
    await answer.evaluate(
        """paragraph => {
            const {firstChild: text} = paragraph;
            paragraph.getRootNode().getSelection().setBaseAndExtent(text, 4, text, 15);
            paragraph.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));
        }"""
    )
    await offer.click()
    await expect(page.get_by_role("blockquote")).to_have_text("first point")
    await answer.click(click_count=3)
    await offer.click()
    await expect(field(page)).to_be_focused()
    await page.keyboard.type("why?")
    await shoot(page, "quote")
    await page.keyboard.press("Enter")
    await answered(page, 2)
    assert (await messages(page))[1]["quoted_text"] == "The first point. The second point."
    await expect(page.get_by_role("blockquote")).to_have_count(1)


async def test_narrow_dark_and_right_to_left(served: ServerProcess, new_page: NewPage) -> None:
    """At 280 pixels, dark and from right to left everything is inside the frame."""
    page = await new_page(served.url, viewport={"width": 280, "height": 520}, color_scheme="dark")
    await expect(field(page)).to_be_focused()
    await page.evaluate("document.documentElement.dir = 'rtl'")
    models = [{"id": "m1", "label": "A model with a long name"}]
    composer = {
        "tools": TOOLS,
        "models": models,
        "attachments": {"enabled": True},
        "dictation": {"enabled": True},
    }
    await page.evaluate(CONFIGURE, {"composer": composer})
    await page.keyboard.type("שלום @")
    await expect(page.get_by_role("option")).to_have_count(3)
    await shoot(page, "narrow-rtl-dark")
    await page.keyboard.press("Escape")
    for name in ("Tools", "Model: A model with a long name"):
        await page.get_by_role("button", name=name).click()
        box = await page.get_by_role("listbox").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 280
        assert box["y"] >= 0
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name=re.compile(name))).to_be_focused()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 280
