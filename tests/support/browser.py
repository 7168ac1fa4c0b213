"""Pages of a real browser."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Page

SCREENSHOTS = Path(__file__).parents[2] / "test-results"

type NewPage = Callable[..., Awaitable[Page]]
