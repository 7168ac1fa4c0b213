"""Structured logs, and what never is in them."""

import asyncio
import gc
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from chatkeep.telemetry.logging import configure

SECRET = "very-secret-4711"

type Configured = Callable[..., io.StringIO]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configured]:
    """Configure logging to a buffer."""
    root = logging.getLogger()
    before = root.handlers, root.level

    def start(format: Any = "json", level: str = "debug") -> io.StringIO:
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        configure(format, level)
        return stream

    yield start
    root.handlers, root.level = before
    structlog.reset_defaults()


def fail() -> None:
    """Raise what a library may raise: an exception that quotes what it got."""
    try:
        raise ValueError(SECRET)  # noqa: TRY301 - it shall have a cause
    except ValueError as error:
        raise LookupError(SECRET) from error


def lines(stream: io.StringIO) -> list[Any]:
    """What was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_line_is_json(configured: Configured) -> None:
    """Our own lines and those of libraries have event, level, logger and a time in UTC."""
    stream = configured()
    structlog.get_logger("ours").info("done", count=3, text='"\n\x1b')
    logging.getLogger("theirs").warning("%s of %d", "two\n", 3)
    ours, theirs = lines(stream)
    assert ours["event"] == "done"
    assert (ours["count"], ours["text"]) == (3, '"\n\x1b')
    assert (ours["level"], ours["logger"]) == ("info", "ours")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == (
        "two\n of 3",
        "warning",
        "theirs",
    )


@pytest.mark.parametrize("format", ["json", "console"])
def test_an_exception_is_its_type_and_place(configured: Configured, format: str) -> None:
    """Neither its text nor that of its cause; the innermost frame comes first."""
    stream = configured(format)
    try:
        fail()
    except LookupError as error:
        structlog.get_logger("ours").exception("failed")
        structlog.get_logger("ours").error("failed", exc_info=error)
        logging.getLogger("theirs").exception("failed")
        logging.getLogger("theirs").exception("failed", exc_info=error)
    output = stream.getvalue()
    assert SECRET not in output
    assert "Traceback" not in output
    assert output.count("LookupError") == len(re.findall(r":\d+ fail\b", output)) == 4
    assert len(output.splitlines()) == 4
    if format == "json":
        assert all(line["raised"].partition(" < ")[0].endswith(" fail") for line in lines(stream))


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_library_that_logs_an_exception_logs_its_type(
    configured: Configured, format: str
) -> None:
    """As the message, as an argument of it, by position or by name."""
    stream = configured(format)
    error = ValueError(SECRET)
    log = logging.getLogger("theirs")
    log.error(error)  # noqa: G004, RUF100 - as libraries do
    log.error("failed: %s", error)
    log.error("failed: %r after %d", error, 3)
    log.error("failed: %(error)s", {"error": error})
    output = stream.getvalue()
    assert SECRET not in output
    assert output.count("ValueError") == 4


def test_no_exception_is_no_error(configured: Configured) -> None:
    """`exc_info` outside of a handler is nothing."""
    stream = configured()
    logging.getLogger("theirs").error("odd", exc_info=True)  # noqa: LOG014 - that is the point
    structlog.get_logger("ours").error("odd", exc_info=True)
    assert all("error" not in line and "raised" not in line for line in lines(stream))


def test_deep_recursion_is_cut(configured: Configured) -> None:
    """A thousand frames are twelve."""

    def deeper(left: int) -> None:
        if left:
            deeper(left - 1)
        else:
            fail()

    stream = configured()
    try:
        deeper(200)
    except LookupError:
        structlog.get_logger("ours").exception("failed")
    assert lines(stream)[0]["raised"].count(" < ") == 11


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_forgotten_task_tells_nothing(configured: Configured) -> None:
    """Asyncio shows the task with its exception; one line without its text remains."""

    async def failing() -> None:
        fail()

    stream = configured()
    task = asyncio.create_task(failing())
    await asyncio.wait([task])
    del task
    gc.collect()
    (line,) = lines(stream)
    assert line["event"] == "Task exception was never retrieved"
    assert (line["logger"], line["error"]) == ("asyncio", "LookupError")
    assert SECRET not in stream.getvalue()


async def test_a_failing_callback_tells_nothing(configured: Configured) -> None:
    """Nor its arguments, which asyncio shows in debug mode."""
    stream = configured()
    asyncio.get_running_loop().call_soon(int, SECRET)
    await asyncio.sleep(0.01)
    (line,) = lines(stream)
    assert line["error"] == "ValueError"
    assert SECRET not in stream.getvalue()


def test_levels_are_obeyed(configured: Configured) -> None:
    """What is below the level is not written."""
    stream = configured(level="warning")
    structlog.get_logger("ours").info("no")
    logging.getLogger("theirs").info("no")
    structlog.get_logger("ours").warning("yes")
    logging.getLogger("theirs").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes", "yes"]


@pytest.mark.parametrize(
    "name", ["httpx2", "httpcore2.connection", "openai._base_client", "pymongo.command"]
)
def test_chatty_libraries_are_quiet(configured: Configured, name: str) -> None:
    """Even at debug: these log addresses, headers and bodies."""
    stream = configured()
    logging.getLogger(name).debug(SECRET)
    logging.getLogger(name).info(SECRET)
    assert stream.getvalue() == ""


def test_configuring_twice_logs_once(configured: Configured) -> None:
    """The last configuration holds."""
    configured("console")
    stream = configured("json")
    logging.getLogger("uvicorn.error").error("once")
    structlog.get_logger("ours").error("once")
    assert [line["event"] for line in lines(stream)] == ["once", "once"]


def test_a_console_line_is_a_line(configured: Configured) -> None:
    """Values with line breaks are quoted."""
    stream = configured("console")
    structlog.get_logger("ours").info("done", text="a\nb")
    assert len(stream.getvalue().splitlines()) == 1
