"""What a person does with files and a microphone, in a real browser."""

import json
import re
import zlib
from struct import pack

import pytest
from playwright.async_api import FilePayload, Locator, Page, Route, expect

from support.browser import SCREENSHOTS, NewPage
from support.process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")


def picture(red: int = 200, green: int = 90, blue: int = 60) -> bytes:
    """Return a PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((red, green, blue)) * 8 for _ in range(8))
    head = chunk(b"IHDR", pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = FilePayload(name="cat.png", mimeType="image/png", buffer=picture())
NOTES = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"x" * 1500)

_DRAG = """(element, [type, name]) => {
    const data = new DataTransfer();
    data.items.add(new File(['dropped words'], name, {type: 'text/plain'}));
    element.dispatchEvent(new DragEvent(type,
        {dataTransfer: data, bubbles: true, cancelable: true, composed: true}));
}"""

_PASTE = """element => {
    const data = new DataTransfer();
    data.items.add(new File(['pasted words'], 'pasted.txt', {type: 'text/plain'}));
    element.dispatchEvent(new ClipboardEvent('paste',
        {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def field(page: Page) -> Locator:
    """The field to write in."""
    return page.get_by_role("textbox", name="Message")


def cards(page: Page) -> Locator:
    """The files of the message that is being written."""
    return page.locator(".composer").get_by_role("listitem")


async def attach(page: Page, *files: FilePayload) -> None:
    """Choose files in the dialog that the button opens."""
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Attach files").click()
    await (await choosing.value).set_files(list(files))


async def shoot(page: Page, name: str) -> None:
    """Keep a picture to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"attachments-{name}.png")


async def test_files_are_chosen_dropped_pasted_and_sent(
    served: ServerProcess, new_page: NewPage
) -> None:
    """Files of every way are uploaded, can be removed, go with the message and are there later."""
    page = await new_page(served.url, viewport={"width": 900, "height": 640})
    await expect(field(page)).to_be_focused()
    await attach(page, PICTURE, NOTES)
    await expect(cards(page)).to_have_count(2)
    await field(page).evaluate(_PASTE)
    element = page.locator("openai-chatkit .main")
    await element.evaluate(_DRAG, ["dragenter", "dropped.txt"])
    await expect(page.get_by_text("Drop files to attach them")).to_be_visible()
    await shoot(page, "drop")
    await element.evaluate(_DRAG, ["drop", "dropped.txt"])
    await expect(page.get_by_text("Drop files to attach them")).to_have_count(0)
    await expect(cards(page)).to_have_count(4)
    await expect(page.get_by_role("progressbar")).to_have_count(0)
    await shoot(page, "ready")

    async with page.expect_request(lambda r: "attachments.delete" in (r.post_data or "")):
        await page.get_by_role("button", name="Remove dropped.txt").click()
    await page.get_by_role("button", name="Remove pasted.txt").click()
    await expect(cards(page)).to_have_count(2)
    await field(page).press_sequentially("look at these")
    await field(page).press("Enter")

    sent = page.get_by_role("article", name="You said")
    image = sent.get_by_role("img", name="cat.png")
    await expect(image).to_be_visible()
    await expect(sent.get_by_text("notes.txt")).to_be_visible()
    await expect(sent.get_by_text("1.5 kB")).to_be_visible()
    await expect(cards(page)).to_have_count(0)
    await expect(page.get_by_role("button", name="Copy")).to_be_visible()
    await image.scroll_into_view_if_needed()
    await shoot(page, "sent")
    await page.reload()
    await expect(image).to_be_visible()
    assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 8


async def test_a_message_waits_for_its_files_and_a_failed_one_can_be_retried(
    served: ServerProcess, new_page: NewPage
) -> None:
    """Enter sends when the upload is done; one that failed is told of, and tried again."""
    page = await new_page(served.url)
    await expect(field(page)).to_be_focused()
    broken = True
    held: list[Route] = []

    async def upload(route: Route) -> None:
        if broken:
            body = {"title": "Conflict", "status": 507, "detail": "There is no room left."}
            headers = {"Content-Type": "application/problem+json"}
            await route.fulfill(status=507, headers=headers, body=json.dumps(body))
        else:
            held.append(route)

    await page.route("**/files/**", upload)
    await attach(page, NOTES)
    await expect(page.get_by_role("alert")).to_have_text("There is no room left.")
    await field(page).press_sequentially("read this")
    await field(page).press("Enter")
    await expect(page.get_by_text("Retry or remove the files")).to_be_visible()
    await shoot(page, "failed")

    broken = False
    await page.get_by_role("button", name="Retry notes.txt").click()
    await expect(page.get_by_role("progressbar", name="Uploading notes.txt")).to_be_visible()
    await field(page).press("Enter")
    await expect(
        page.get_by_text("The message is sent when its files are uploaded")
    ).to_be_visible()
    await expect(page.get_by_role("article")).to_have_count(0)
    await shoot(page, "waiting")
    for route in held:
        await route.continue_()
    sent = page.get_by_role("article", name="You said")
    await expect(sent.get_by_text("notes.txt")).to_be_visible()


async def test_what_may_not_be_attached_is_told(served: ServerProcess, new_page: NewPage) -> None:
    """Kinds, sizes and numbers are limited by options; a direct upload goes to its own address."""
    page = await new_page(served.url, viewport={"width": 320, "height": 640}, color_scheme="dark")
    await expect(field(page)).to_be_focused()
    await page.evaluate(
        """() => document.querySelector('openai-chatkit').setOptions({
            api: {url: './chatkit', domainKey: 'x',
                  uploadStrategy: {type: 'direct', uploadUrl: './files'}},
            composer: {attachments: {enabled: true, maxCount: 2, accept: {'text/*': ['.md']},
                                     maxSize: {'text/csv': 10, '*': 2000}}},
        })"""
    )
    table = FilePayload(name="table.csv", mimeType="text/csv", buffer=b"a,b,c,d,e,f,g,h")
    await attach(page, PICTURE, table)
    note = page.get_by_role("alert")
    await expect(note).to_contain_text("“cat.png” is of a kind that cannot be attached here.")
    await expect(note).to_contain_text(
        "“table.csv” is too large: a file may have 10 bytes at most."
    )
    more = [NOTES | {"name": f"{number}.txt"} for number in range(3)]
    async with page.expect_response(lambda r: r.url.endswith("/files")) as direct:
        await attach(page, *more)  # type: ignore[arg-type]
    assert (await direct.value).ok
    await expect(note).to_have_text("A message can have 2 files at most.")
    await expect(cards(page)).to_have_count(2)
    await shoot(page, "limits")
    await page.evaluate(
        """() => document.querySelector('openai-chatkit').setComposerValue({
            text: 'from the page', attachments: [],
            files: [new File(['words'], 'given.md', {type: 'text/markdown'})]})"""
    )
    await expect(cards(page)).to_have_count(1)
    await expect(page.get_by_role("progressbar")).to_have_count(0)
    await field(page).press("Enter")
    sent = page.get_by_role("article", name="You said")
    await expect(sent.get_by_text("given.md")).to_be_visible()


async def test_speech_becomes_text_at_the_caret(served: ServerProcess, new_page: NewPage) -> None:
    """A recording is sent to be written down; Escape forgets one; a failure is told."""
    page = await new_page(served.url, viewport={"width": 900, "height": 400})
    await expect(field(page)).to_be_focused()
    await page.evaluate(
        """() => {
            window.heard = [];
            document.querySelector('openai-chatkit').setOptions({
                api: {url: './chatkit', domainKey: 'x', fetch: async (url, init) => {
                    const {type, params} = JSON.parse(init.body);
                    if (type !== 'input.transcribe') return fetch(url, init);
                    window.heard.push(params);
                    return window.heard.length > 1 ? new Response('', {status: 500})
                        : Response.json({text: 'spoken words'});
                }},
                composer: {dictation: {enabled: true}},
            });
        }"""
    )
    await field(page).press_sequentially("before after")
    for _ in "after":
        await field(page).press("ArrowLeft")
    dictate = page.get_by_role("button", name="Dictate")
    stop = page.get_by_role("button", name="Stop dictation")
    await dictate.click()
    await expect(stop).to_have_attribute("data-state", "recording")
    await expect(page.get_by_text("Recording…")).to_be_attached()
    await shoot(page, "dictating")
    await stop.click()
    await expect(field(page)).to_have_text("before spoken words after")
    await expect(field(page)).to_be_focused()
    heard = await page.evaluate("window.heard")
    assert heard[0]["mime_type"] == "audio/webm;codecs=opus"
    assert heard[0]["audio_base64"].startswith("GkXfo")  # the first bytes of every WebM file

    await dictate.click()
    await expect(stop).to_have_attribute("data-state", "recording")
    await page.keyboard.press("Escape")
    await expect(dictate).to_be_visible()
    await dictate.click()
    await expect(stop).to_have_attribute("data-state", "recording")
    await stop.click()
    await expect(page.get_by_role("alert")).to_have_text(re.compile("could not be written down"))
    assert len(await page.evaluate("window.heard")) == 2

    await page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia = () =>
            Promise.reject(new DOMException('no', 'NotAllowedError')); }"""
    )
    await dictate.click()
    await expect(page.get_by_role("alert")).to_have_text(re.compile("microphone may not be used"))
    await expect(dictate).to_be_enabled()
