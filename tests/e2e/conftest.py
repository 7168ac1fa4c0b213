"""A real browser at a real server process."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from chatkeep.testing.provider import ScriptedProvider
from support.browser import NewPage
from support.process import ServerProcess, StartProcess

_CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
_PATIENCE = 120_000  # milliseconds; only a failure takes that long
expect.set_options(timeout=_PATIENCE)
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the browser; without one, CI fails and a laptop skips by name."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            if _CHROMIUM is None and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests; each page has a profile of its own."""
    if _CHROMIUM is None:
        pytest.fail("the browser tests need Chromium (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def provider_of_all() -> AsyncIterator[ScriptedProvider]:
    """The provider that the servers speak to."""
    provider = ScriptedProvider()
    await provider.start()
    yield provider
    await provider.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_of_all(
    provider_of_all: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """A server in front of the scripted provider: starting one takes seconds."""
    directory = tmp_path_factory.mktemp("server")
    process = ServerProcess(_environment(provider_of_all), directory)
    await process.start()
    yield process
    await process.kill()


def _environment(provider: ScriptedProvider) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": provider.base_url,
        "MODEL_NAME": "echo",
        "CHATKEEP_MODELS_TITLES": "words",
        "CHATKEEP_SHUTDOWN_GRACE": "1",
        "CHATKEEP_TURNS_LEASE": "3",
    }


@pytest.fixture
def scripted(provider_of_all: ScriptedProvider) -> ScriptedProvider:
    """The provider as new: it echoes, and nobody has asked it anything."""
    new = ScriptedProvider()
    provider_of_all.script = new.script
    provider_of_all.requests = []
    provider_of_all.closed_early = 0
    return provider_of_all


@pytest_asyncio.fixture(loop_scope="session")
async def start_process(scripted: ScriptedProvider, tmp_path: Path) -> AsyncIterator[StartProcess]:
    """Start servers with environment variables as keywords."""
    started: list[ServerProcess] = []

    async def start(**environment: str) -> ServerProcess:
        process = ServerProcess(environment or _environment(scripted), tmp_path)
        started.append(process)
        await process.start()
        return process

    yield start
    for process in started:
        await process.kill()


@pytest.fixture
def served(server_of_all: ServerProcess, scripted: ScriptedProvider) -> ServerProcess:
    """The server of all tests; each has a browser profile, and with it a user, of its own."""
    del scripted
    return server_of_all


@pytest_asyncio.fixture(loop_scope="session")
async def own_server(start_process: StartProcess) -> ServerProcess:
    """A server that the test may kill."""
    return await start_process()


@pytest_asyncio.fixture(loop_scope="session")
async def new_page(browser: Browser) -> AsyncIterator[NewPage]:
    """Open pages, each in a browser profile of its own unless a context is given.

    Afterwards, no page may have spoken to any other host, nor have broken its own policy.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    async def make(url: str, context: BrowserContext | None = None, **options: object) -> Page:
        if context is None:
            context = await browser.new_context(**options)  # type: ignore[arg-type]
            context.set_default_timeout(_PATIENCE)
            contexts.append(context)
        page = await context.new_page()
        origin = url.split("#", maxsplit=1)[0].rstrip("/")
        page.on("request", lambda r: _check_request(r.url, origin, faults))
        page.on("pageerror", lambda e: faults.append(f"error: {e}"))
        page.on(
            "console",
            lambda m: faults.append(f"console: {m.text}") if "Security Policy" in m.text else None,
        )
        await page.goto(url)
        return page

    yield make
    for context in contexts:
        await context.close()
    assert faults == []


def _check_request(url: str, origin: str, faults: list[str]) -> None:
    if not url.startswith((origin, "data:", "blob:")):
        faults.append(f"request: {url}")
