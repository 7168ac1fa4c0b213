"""Widgets of a hosted server in a real browser: what they show, and what they do when used."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from support.browser import SCREENSHOTS, NewPage
from support.process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

TESTS = Path(__file__).parents[1]
BAD = """() => [...document.querySelectorAll('openai-chatkit')].flatMap(element =>
  [...element.shadowRoot.querySelectorAll('.widget')]
    .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent))"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def widgets(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server whose answers are widgets."""
    environment = {"PYTHONPATH": str(TESTS), "CHATKEEP_SHUTDOWN_GRACE": "1"}
    directory = tmp_path_factory.mktemp("widgets")
    process = ServerProcess(environment, directory, ("support.widget_server",))
    await process.start()
    yield process
    await process.kill()


async def ask(page: Page, for_what: str) -> Locator:
    """Ask for a widget and return it when the answer is finished."""
    box = page.get_by_role("textbox", name=re.compile("message", re.IGNORECASE))
    articles = page.get_by_role("article", name="Widget")
    widget = articles.nth(await articles.count())
    await box.fill(for_what)
    await box.press("Enter")
    await expect(widget).to_be_visible()
    await idle(page)
    return widget


async def idle(page: Page) -> None:
    """Wait until no answer is being written."""
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)


async def echoed(page: Page, number: int) -> dict[str, object]:
    """Return the payload that the server got, as the answer of this number says."""
    said = page.get_by_role("article", name="Answer").nth(number - 1)
    await expect(said).to_contain_text("Got echo")
    await idle(page)
    payload: dict[str, object] = json.loads(await said.get_by_role("code").inner_text())
    return payload


async def shoot(page: Page, name: str) -> None:
    """Keep a picture to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")


async def test_the_gallery_shows_every_component_in_both_schemes(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """All is there in light and in dark, and nothing is wider than its place."""
    page = await new_page(widgets.url, viewport={"width": 1500, "height": 5800})
    await page.goto(f"{widgets.url}gallery")
    for scheme in ("light", "dark"):
        element = page.locator(f"#{scheme}")
        await expect(element.get_by_role("article", name="Widget")).to_have_count(13)
        await expect(element.get_by_role("heading", name="Always dark")).to_be_visible()
        await expect(element.get_by_role("table").first).to_be_visible()
        await expect(element.get_by_role("checkbox")).to_be_checked()
        await expect(element.get_by_role("radiogroup", name="Meal")).to_be_visible()
        await expect(element.get_by_role("img", name=re.compile("elsewhere"))).to_be_visible()
        await expect(element.get_by_role("group", name=re.compile("Chart"))).to_have_count(2)
        await expect(element.get_by_text("never shown")).to_have_count(0)
    await idle(page)
    await shoot(page, "widgets-gallery")
    assert await page.evaluate(BAD) == []
    await read_chart(page, page.locator("#light"))


async def read_chart(page: Page, element: Locator) -> None:
    """Go through a chart by arrow keys, which say its values; a table has them all."""
    name = "Chart: Web, Phone, Forecast"
    chart = element.get_by_role("group", name=name)
    await chart.focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await expect(chart.get_by_role("status")).to_contain_text("Tue")
    await expect(chart.get_by_role("status")).to_contain_text("305")
    await chart.screenshot(path=SCREENSHOTS / "widgets-chart.png")
    await page.keyboard.press("Escape")
    await expect(chart.get_by_role("status")).to_have_text("")
    await expect(element.get_by_role("table", name=name).get_by_role("row")).to_have_count(7)


async def test_the_gallery_fits_a_narrow_page_and_reads_from_the_right(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """At 320 pixels nothing is wider than its place, from left to right and the other way."""
    page = await new_page(widgets.url, viewport={"width": 320, "height": 9000})
    await ask(page, "gallery")
    await expect(page.get_by_role("heading", name="A basic root")).to_be_visible()
    await shoot(page, "widgets-narrow")
    assert await page.evaluate(BAD) == []
    await page.evaluate("document.documentElement.dir = 'rtl'")
    await shoot(page, "widgets-rtl")
    assert await page.evaluate(BAD) == []


async def test_a_form_checks_its_fields_and_sends_them_nested(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """What is required is asked for; dotted names nest; a key of the payload wins, and is told."""
    page = await new_page(widgets.url)
    await page.evaluate(
        "document.querySelector('openai-chatkit').addEventListener('chatkit.error',"
        " event => { globalThis.complaint = event.detail.error.message; })"
    )
    form = await ask(page, "form")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("textbox", name="Name")).to_be_focused()
    await form.get_by_role("textbox", name="Name").fill("Ada")
    await form.get_by_role("textbox", name="E-mail").fill("not an address")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("textbox", name="E-mail")).to_be_focused()
    await form.get_by_role("textbox", name="E-mail").fill("ada@example.org")
    await form.get_by_role("checkbox", name="I agree to the terms").uncheck()
    await form.get_by_role("radio", name="Fish").check()
    await form.get_by_role("textbox", name="Title").fill("Edited")
    await pick_a_seat(form)
    await pick_a_day(page, form)
    await shoot(page, "widgets-form")
    await form.get_by_role("button", name="Save").click()

    assert await echoed(page, 1) == {
        "id": 7,
        "seat": "mine",
        "person": {"name": "Ada", "mail": "ada@example.org"},
        "note": "Hm.",
        "day": "2026-03-23",
        "terms": False,
        "meal": "fish",
        "title": "Edited",
    }
    assert "seat" in await page.evaluate("globalThis.complaint")
    await expect(form.get_by_role("textbox", name="Name")).to_have_value("Ada")
    await form.get_by_role("button", name="Cancel").click()
    await expect(form.get_by_text("All done.")).to_be_visible()
    await expect(form.get_by_role("textbox")).to_have_count(0)


async def pick_a_seat(form: Locator) -> None:
    """Choose from a list by keys: the disabled option is passed over, Escape changes nothing."""
    seat = form.get_by_role("combobox", name="Seat")
    await expect(seat).to_have_text("Aisle")
    await seat.press("ArrowDown")
    wing = form.get_by_role("option", name="On the wing")
    await expect(wing).to_have_attribute("aria-disabled", "true")
    await seat.press("ArrowUp")
    await seat.press("Escape")
    await expect(seat).to_have_text("Aisle")
    await seat.press("Enter")
    await seat.press("ArrowUp")
    await seat.press("Enter")
    await expect(seat).to_have_text("Window")
    await expect(form.get_by_role("option")).to_have_count(0)


async def pick_a_day(page: Page, form: Locator) -> None:
    """Choose a day by keys: the calendar opens at the day it has and knows its bounds."""
    day = form.get_by_role("button", name=re.compile("Day"))
    await expect(day).to_contain_text("2026")
    await day.press("Enter")
    calendar = form.get_by_role("dialog", name="Day")
    await expect(calendar.get_by_role("button", name=re.compile("14"))).to_be_focused()
    await shoot(page, "widgets-calendar")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("PageUp")  # February is before the first day
    await page.keyboard.press("PageDown")
    await page.keyboard.press("PageUp")
    await expect(calendar.get_by_role("button", name=re.compile("March 2,"))).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(calendar).to_have_count(0)
    await expect(day).to_be_focused()
    await day.click()
    await calendar.get_by_role("button", name=re.compile("March 23,")).click()
    await expect(day).to_contain_text("23")


async def test_choices_act_when_they_change_and_lists_can_be_searched(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """A long list is searched by typing; a change sends its field's name and value."""
    page = await new_page(widgets.url)
    card = await ask(page, "choices")
    await card.get_by_role("combobox", name="Pick a colour").click()
    search = card.get_by_role("combobox", name="Search")
    await expect(search).to_be_focused()
    await search.fill("colour 3")
    await expect(card.get_by_role("option")).to_have_count(11)
    await search.press("ArrowDown")
    await shoot(page, "widgets-select")
    await search.press("Enter")
    assert await echoed(page, 1) == {"colour": "c30"}
    await expect(card.get_by_role("combobox", name="Pick a colour")).to_have_text("Colour 30")

    await card.get_by_role("checkbox", name="Loud").check()
    assert await echoed(page, 2) == {"loud": True}


async def test_actions_wait_for_the_answer_and_show_that_they_do(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """While one is under way, others wait, except those beside the answers and in the page."""
    page = await new_page(widgets.url)
    await page.evaluate(
        """() => document.querySelector('openai-chatkit').setOptions({
          api: {url: '/chatkit', domainKey: 'self-hosted'},
          widgets: {onAction: (action, item) => {
            globalThis.asked = [action, item.id.length > 0, item.widget.type];
          }},
        })"""
    )
    card = await ask(page, "counter")
    hold = card.get_by_role("button", name="Hold")
    quiet = card.get_by_role("button", name="Quiet", exact=True)
    await hold.click()
    await expect(hold).to_have_attribute("aria-busy", "true")
    await expect(quiet).to_be_disabled()
    await expect(quiet).not_to_have_attribute("aria-busy", "true")
    await shoot(page, "widgets-busy")
    await card.get_by_role("button", name="Count").click()
    await expect(card.get_by_text("Counted 1")).to_be_visible()
    await card.get_by_role("button", name="Count").click()
    await expect(card.get_by_text("Counted 2")).to_be_visible()
    await card.get_by_role("button", name="In the page").click()
    assert await page.evaluate("globalThis.asked") == [
        {"type": "local", "payload": {"page": 1}},
        True,
        "Card",
    ]
    await card.get_by_role("button", name="Release").click()
    answers = page.get_by_role("article", name="Answer")
    await expect(answers).to_have_count(1)
    await expect(hold).to_be_enabled()

    # A widget that waits as a whole can do nothing itself; another one can.
    other = await ask(page, "counter")
    await card.get_by_role("button", name="Whole").click()
    await expect(card.locator(".widget")).to_have_attribute("aria-busy", "true")
    await expect(card.locator(".widget")).to_have_attribute("inert", "")
    await expect(other.locator(".widget")).to_have_attribute("aria-busy", "false")
    await other.get_by_role("button", name="Release").click()
    await expect(answers).to_have_count(2)
    await expect(card.locator(".widget")).to_have_attribute("aria-busy", "false")
    await idle(page)


async def test_a_failed_action_is_told_and_loses_nothing(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """An error of the answer, an error beside it and one in the page each say so."""
    page = await new_page(widgets.url)
    form = await ask(page, "form")
    await form.get_by_role("textbox", name="Name").fill("Typed")
    card = await ask(page, "counter")
    await card.get_by_role("button", name="Break", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("It broke.")
    await idle(page)
    await card.get_by_role("button", name="Break quietly").click()
    await expect(page.get_by_role("alert")).to_have_count(1)
    await expect(card.get_by_role("button", name="Break quietly")).to_be_enabled()
    await card.get_by_role("button", name="In the page").click()
    await expect(
        page.get_by_role("alert").filter(has_text="could not be carried out")
    ).to_be_visible()
    await expect(form.get_by_role("textbox", name="Name")).to_have_value("Typed")


async def test_rows_are_reached_and_used_by_keyboard(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """Some rows are there, the others on request; Enter and a click on the text do the same."""
    page = await new_page(widgets.url)
    view = await ask(page, "rows")
    await expect(view.get_by_role("listitem")).to_have_count(3)
    more = view.get_by_role("button", name="Show more")
    await more.focus()
    await more.press("Enter")
    await expect(view.get_by_role("listitem")).to_have_count(5)
    fourth = view.get_by_role("button", name=re.compile("Row 4"))
    await expect(fourth).to_be_focused()
    await fourth.press("Enter")
    assert await echoed(page, 1) == {"row": 4}
    await view.get_by_text("Row 2", exact=True).click()
    assert await echoed(page, 2) == {"row": 2}

    other = await ask(page, "split")
    await other.get_by_role("button", name="Inner", exact=True).click()
    assert await echoed(page, 3) == {"inner": True}
    await other.get_by_text("A row with a button").click()
    assert await echoed(page, 4) == {"row": "split"}


async def test_text_streams_and_widgets_are_the_same_after_a_reload(
    widgets: ServerProcess, new_page: NewPage
) -> None:
    """What grew piece by piece is whole in the end, and is what the server keeps."""
    page = await new_page(widgets.url)
    await ask(page, "story")
    story = page.get_by_text("Once upon a time.", exact=True)
    await expect(story).to_have_count(2)
    await page.reload()
    await expect(story).to_have_count(2)
    await page.get_by_role("button", name="Copy").last.click()


async def test_hostile_widgets_do_nothing(widgets: ServerProcess, new_page: NewPage) -> None:
    """Nothing is loaded from afar or run; what is of use is shown, within its own place."""
    page = await new_page(widgets.url)
    card = await ask(page, "hostile")
    await expect(card.get_by_text("Harmless text")).to_be_visible()
    await expect(card.get_by_role("img", name=re.compile("A pixel"))).to_be_visible()
    await expect(card.get_by_role("img", name=re.compile("A script"))).to_be_visible()
    await expect(card.locator("img")).to_have_count(0)
    await expect(card.get_by_role("link")).to_have_count(0)
    await expect(card.get_by_text("never shown")).to_have_count(0)
    assert await page.title() != "owned"
    position = "element => getComputedStyle(element).position"
    assert await card.get_by_text("big").locator("..").evaluate(position) == "static"
