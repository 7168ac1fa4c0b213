"""What a person does in the composer: write, tag, command, choose, quote; in a real browser."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from chatkeep.models.scripted import Text
from chatkeep.testing.provider import ScriptedProvider
from support.browser import SCREENSHOTS, NewPage
from support.process import ServerProcess
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ELEMENT = "document.querySelector('openai-chatkit')"

_CONFIGURE = """options => {
    const element = document.querySelector('openai-chatkit');
    window.sent = [];
    window.tools = [];
    window.calls = [];
    const people = [
        {id: 'ada', title: 'Ada Lovelace', group: 'People', interactive: true, data: {of: 'it'}},
        {id: 'alan', title: 'Alan Turing', group: 'People', interactive: true},
        {id: 'notes', title: 'Notes on the engine', group: 'Documents'},
    ];
    const behaviour = {
        api: {
            url: './chatkit', domainKey: 'x', resumable: true,
            fetch: (url, init) => {
                if (typeof init?.body === 'string') window.sent.push(JSON.parse(init.body));
                return fetch(url, init);
            },
        },
        entities: {
            showComposerMenu: true,
            onTagSearch: async query => {
                window.calls.push(`search ${query}`);
                if (query === 'slow')
                    await new Promise(resolve => { window.answerSlow = resolve; });
                return people.filter(({title}) => title.toLowerCase().includes(query.toLowerCase())
                    || query === 'slow');
            },
            onClick: entity => window.calls.push(`click ${entity.id}`),
            onRequestPreview: async entity => ({preview: {type: 'Basic', children: [
                {type: 'Text', value: `About ${entity.title}, who wrote much`}]}}),
        },
        commands: {
            enabled: true,
            onSearch: async query => [
                {id: 'clear', label: 'Clear the board', description: 'For good', icon: 'bolt'},
                {id: 'insert', label: 'Insert a person', icon: 'user'},
                {id: 'more', label: 'More…', icon: 'plus'},
            ].filter(({label}) => label.toLowerCase().includes(query.toLowerCase())),
            onSelect: async command => {
                window.calls.push(`command ${command.id}`);
                if (command.id === 'insert') return {type: 'entity', entity: people[0]};
                if (command.id === 'more')
                    return {type: 'menu', commands: ['One', 'Two'].map(
                        label => ({id: label.toLowerCase(), label}))};
            },
        },
    };
    element.setOptions({...behaviour, ...options});
    element.addEventListener('chatkit.tool.change',
        event => window.tools.push(event.detail.toolId));
}"""

_TOOLS = [
    {"id": "search", "label": "Search the web", "icon": "globe", "shortLabel": "Search"},
    {
        "id": "draw",
        "label": "Draw a picture",
        "icon": "images",
        "placeholderOverride": "Say what to draw",
        "persistent": True,
    },
    {"id": "deep", "label": "Think hard", "icon": "lightbulb", "pinned": True},
]


def field(page: Page) -> Locator:
    """The field to write in."""
    return page.get_by_role("textbox", name="Message")


async def open_page(served: ServerProcess, new_page: NewPage, **composer: Any) -> Page:
    """Open the page with a host that finds people and commands."""
    page = await new_page(served.url, viewport={"width": 900, "height": 640})
    await expect(field(page)).to_be_focused()
    await page.evaluate(_CONFIGURE, {"composer": composer})
    return page


async def messages(page: Page) -> list[dict[str, Any]]:
    """Return the inputs of the messages that were sent."""
    sent: list[dict[str, Any]] = await page.evaluate("window.sent")
    return [one["params"]["input"] for one in sent if "input" in one.get("params", {})]


async def answered(page: Page, number: int) -> None:
    """Wait until that many answers are finished."""
    await expect(page.get_by_role("button", name="Copy")).to_have_count(number)
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)


async def shoot(page: Page, name: str) -> None:
    """Keep a picture to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"composer-{name}.png")


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
    page = await open_page(served, new_page, tools=_TOOLS)
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


async def test_tools_models_and_what_is_sent_of_them(
    served: ServerProcess, new_page: NewPage
) -> None:
    """A tool is chosen by menu or pin, changes the placeholder, and stays when it is persistent."""
    models = [
        {"id": "m1", "label": "Fast", "description": "Quick answers", "default": True},
        {"id": "m2", "label": "Gone", "disabled": True},
        {"id": "m3", "label": "Wise"},
    ]
    page = await open_page(served, new_page, tools=_TOOLS, models=models)
    await page.get_by_role("button", name="Tools").click()
    await expect(page.get_by_role("option")).to_have_count(3)
    await shoot(page, "tools")
    await page.keyboard.press("d")
    await page.keyboard.press("Enter")
    await expect(field(page)).to_be_focused()
    await expect(page.get_by_text("Say what to draw")).to_be_visible()
    await page.get_by_role("button", name="Model: Fast").press("ArrowDown")
    gone = page.get_by_role("option", name="Gone")
    await expect(gone).to_have_attribute("aria-disabled", "true")
    await gone.dispatch_event("click")
    await expect(gone).to_be_visible()
    await page.keyboard.press("End")
    await shoot(page, "models")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Model: Wise")).to_be_focused()

    await page.evaluate(f"{_ELEMENT}.setComposerValue({{text: 'set by the page'}})")
    await field(page).press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()  # the server has no such tool
    await expect(field(page)).to_have_text("set by the page")
    await expect(page.get_by_text("Draw a picture")).to_be_visible()
    await page.get_by_role("button", name="Draw a picture").click()
    await page.get_by_role("button", name="Think hard").click()
    await field(page).press("Enter")
    await expect(page.get_by_role("button", name="Think hard")).to_have_attribute(
        "aria-pressed", "false"
    )
    assert [one["inference_options"] for one in await messages(page)] == [
        {"model": "m3", "tool_choice": {"id": "draw"}},
        {"model": "m3", "tool_choice": {"id": "deep"}},
    ]
    assert await page.evaluate("window.tools") == ["draw", None, "deep", None]


async def test_the_page_writes_and_sends(
    served: ServerProcess, new_page: NewPage, scripted: ScriptedProvider
) -> None:
    """The methods take all that the types say; while an answer is written, nothing is sent."""
    page = await open_page(served, new_page)
    scripted.script = lambda _: [Text("slow "), Text("words " * 20_000, gap=0.02)]
    errors = await page.evaluate(
        """async () => {
            const element = document.querySelector('openai-chatkit');
            await element.setComposerValue({text: 'a draft', reply: 'an answer'});
            await element.sendUserMessage({
                content: [{type: 'input_tag', id: 'x', text: 'Xenia'}], reply: 'said'});
            const errors = [];
            const also = {text: 'too soon'};
            await element.sendUserMessage(also).catch(error => errors.push(error.name));
            await element.fetchUpdates().catch(error => errors.push(error.name));
            await element.focusComposer();
            return errors;
        }"""
    )
    assert errors == ["ChatKitError", "ChatKitError"]
    await expect(field(page)).to_have_text("a draft")
    await expect(page.get_by_text("an answer", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="Send message")).to_have_count(0)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Send message")).to_be_enabled()
    await page.evaluate(
        """() => document.querySelector('openai-chatkit').sendUserMessage(
            {text: 'anew', newThread: true, model: 'no-such', toolChoice: {id: 'none'}})
            .catch(error => window.calls.push(error.name))"""
    )
    [first, second] = await messages(page)
    tag = {"type": "input_tag", "id": "x", "text": "Xenia", "data": {}}
    assert (first["content"], first["quoted_text"]) == ([tag], "said")
    assert second["inference_options"] == {"model": "no-such", "tool_choice": {"id": "none"}}
    assert str(await page.evaluate("window.sent")).count("threads.create") == 2
    assert (await page.evaluate("window.calls")) == ["ChatKitRequestError"]


async def test_drafts_wait_in_their_threads(served: ServerProcess, new_page: NewPage) -> None:
    """Text, tags, quote and tool of each thread are there again when it is opened again."""
    page = await open_page(served, new_page, tools=_TOOLS)
    await page.keyboard.type("first thread")
    await page.keyboard.press("Enter")
    await answered(page, 1)
    await page.evaluate(
        f"""{_ELEMENT}.setComposerValue({{
            content: [{{type: 'input_text', text: 'for '}},
                      {{type: 'input_tag', id: 'x', text: 'Xenia'}}],
            reply: 'what was said', selectedToolId: 'deep'}})"""
    )
    await expect(field(page)).to_have_text("for Xenia")
    await page.get_by_role("button", name="New chat").first.click()
    await expect(field(page)).to_have_text("")
    await expect(page.get_by_text("what was said")).to_have_count(0)
    await page.keyboard.type("second")

    await page.go_back()
    await expect(field(page)).to_have_text("for Xenia")
    await expect(page.get_by_text("what was said")).to_be_visible()
    await shoot(page, "draft")
    await page.get_by_role("button", name="Remove quote").click()
    await expect(page.get_by_text("what was said")).to_have_count(0)
    await page.go_forward()
    await expect(field(page)).to_have_text("second")


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


async def test_a_locked_thread_says_why(served: ServerProcess, new_page: NewPage) -> None:
    """The field of a locked thread is disabled and shows the reason; a closed one is gone."""
    page = await open_page(served, new_page)
    await page.keyboard.type("hello")
    await page.keyboard.press("Enter")
    await answered(page, 1)
    status = """(status) => {
        const element = document.querySelector('openai-chatkit');
        element.setOptions({api: {url: './chatkit', domainKey: 'x', fetch: async (url, init) => {
            const response = await fetch(url, init);
            if (!String(init.body).includes('get_by_id')) return response;
            return Response.json({...await response.json(), status});
        }}, composer: {tools: [{id: 't', label: 'Tool', icon: 'bolt', pinned: true}],
                       dictation: {enabled: true}, attachments: {enabled: true}}});
        return element.fetchUpdates();
    }"""
    await page.evaluate(status, {"type": "locked", "reason": "Waiting for the bank"})
    await expect(page.get_by_text("Waiting for the bank")).to_be_visible()
    await expect(field(page)).to_be_disabled()
    for name in ("Send message", "Attach files", "Dictate", "Tools"):
        await expect(page.get_by_role("button", name=name)).to_be_disabled()
    await shoot(page, "locked")

    await page.evaluate(status, {"type": "closed", "reason": "Case settled"})
    await expect(page.get_by_role("status").filter(has_text="Case settled")).to_be_visible()
    await expect(field(page)).to_have_count(0)


async def test_narrow_dark_and_right_to_left(served: ServerProcess, new_page: NewPage) -> None:
    """At 280 pixels, dark and from right to left everything is inside the frame."""
    page = await new_page(served.url, viewport={"width": 280, "height": 520}, color_scheme="dark")
    await expect(field(page)).to_be_focused()
    await page.evaluate("document.documentElement.dir = 'rtl'")
    models = [{"id": "m1", "label": "A model with a long name"}]
    composer = {
        "tools": _TOOLS,
        "models": models,
        "attachments": {"enabled": True},
        "dictation": {"enabled": True},
    }
    await page.evaluate(_CONFIGURE, {"composer": composer})
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
