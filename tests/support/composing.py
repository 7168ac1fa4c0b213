"""The composer of the element, in the hands of a test."""

from typing import Any

from playwright.async_api import Locator, Page, expect

from support.browser import SCREENSHOTS, NewPage
from support.process import ServerProcess

ELEMENT = "document.querySelector('openai-chatkit')"

CONFIGURE = """options => {
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

TOOLS = [
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
    await page.evaluate(CONFIGURE, {"composer": composer})
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
