"""What the composer holds, sends and keeps: tools, models, drafts, what the page sets."""

import pytest
from playwright.async_api import expect

from chatkeep.models.scripted import Text
from chatkeep.testing.provider import ScriptedProvider
from support.browser import NewPage
from support.composing import ELEMENT, TOOLS, answered, field, messages, open_page, shoot
from support.process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_tools_models_and_what_is_sent_of_them(
    served: ServerProcess, new_page: NewPage
) -> None:
    """A tool is chosen by menu or pin, changes the placeholder, and stays when it is persistent."""
    models = [
        {"id": "m1", "label": "Fast", "description": "Quick answers", "default": True},
        {"id": "m2", "label": "Gone", "disabled": True},
        {"id": "m3", "label": "Wise"},
    ]
    page = await open_page(served, new_page, tools=TOOLS, models=models)
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

    await page.evaluate(f"{ELEMENT}.setComposerValue({{text: 'set by the page'}})")
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
    page = await open_page(served, new_page, tools=TOOLS)
    await page.keyboard.type("first thread")
    await page.keyboard.press("Enter")
    await answered(page, 1)
    await page.evaluate(
        f"""{ELEMENT}.setComposerValue({{
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
