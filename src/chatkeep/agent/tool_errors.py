"""What a model is told of a call that did not come to a tool."""

from typing import Any

from agents import ToolErrorFormatterArgs
from agents.exceptions import ModelBehaviorError

_BAD_ARGUMENTS = "Invalid JSON input for tool"  # how the SDK begins to say so
_CORRECT_THEM = (
    "The tool was not called: its arguments must be one JSON object that fits its schema. "
    "Correct them and call it again."
)


def told_of(failed: ToolErrorFormatterArgs[Any]) -> str | None:
    """Return what is wrong with the arguments of a call.

    None for any other failure: the SDK then says that there was one, and nothing of it, as its
    words may be for nobody. Tools with a `failure_error_function` say it themselves.
    """
    error = failed.error
    bad = isinstance(error, ModelBehaviorError) and str(error).startswith(_BAD_ARGUMENTS)
    return _CORRECT_THEM if bad else None
