"""Commands in the process of the test."""

import logging

import structlog
from click.testing import CliRunner, Result

from chatkeep.cli import cli
from chatkeep.errors import ChatkeepError


def command(*arguments: str, answer: str | None = None) -> Result:
    """Run a command outside of any event loop, and return how it ended."""
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        result = CliRunner().invoke(cli, list(arguments), input=answer)
    finally:
        root.handlers, root.level = before
        structlog.reset_defaults()
    if not isinstance(result.exception, (ChatkeepError, SystemExit, type(None))):
        raise result.exception
    return result


def said(result: Result) -> str:
    """Return the one line by which `main` would tell of an expected failure."""
    assert isinstance(result.exception, ChatkeepError), result.output
    line = str(result.exception)
    assert "\n" not in line
    return line
