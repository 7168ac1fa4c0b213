"""What a call took, wherever a provider says so."""

from collections.abc import Mapping
from typing import Any

from chatkeep.models.calls import Tokens

_MOST = 1_000_000_000


def tokens_in(payload: Mapping[str, Any]) -> Tokens | None:
    """Return the tokens that a payload of a stream, or a whole answer, tells of; None if none.

    Known places: `usage`, Groq's `x_groq.usage`, `usage` within the first choice, and llama.cpp's
    `timings`. Zeros everywhere are what servers send that have not counted yet.
    """
    places = [payload.get("usage"), _within(payload.get("x_groq"), "usage")]
    choices = payload.get("choices")
    if isinstance(choices, list) and choices:
        places.append(_within(choices[0], "usage"))
    for usage in places:
        if isinstance(usage, Mapping) and (tokens := tokens_of(usage)):
            return tokens
    timings = payload.get("timings")
    if isinstance(timings, Mapping) and "predicted_n" in timings:
        cached = _count(timings, "cache_n")
        read = _count(timings, "prompt_n") + cached
        return Tokens(input=read, cached=cached, output=_count(timings, "predicted_n"))
    return None


def tokens_of(usage: Mapping[str, Any]) -> Tokens | None:
    """Return a usage object of either API as ours, or None for one that says nothing."""
    read = _count(usage, "prompt_tokens", "input_tokens")
    written = _count(usage, "completion_tokens", "output_tokens")
    total = _count(usage, "total_tokens")
    of_input = _first(usage, "prompt_tokens_details", "input_tokens_details")
    of_output = _first(usage, "completion_tokens_details", "output_tokens_details")
    cached = _count(of_input, "cached_tokens") or _count(
        usage, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"
    )
    reasoning = _count(of_output, "reasoning_tokens") or _count(usage, "reasoning_tokens")
    # Gemini and xAI count thoughts in the total, but not in the completion.
    unnamed = max(0, total - read - written) if read and total else 0
    if not (read or written or unnamed):
        return None
    return Tokens(
        input=read,
        cached=min(cached, read),
        output=written + unnamed,
        reasoning=min(max(reasoning, unnamed), written + unnamed),
    )


def _within(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _first(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    found = (usage.get(name) for name in names)
    return next((value for value in found if isinstance(value, Mapping)), {})


def _count(usage: Mapping[str, Any], *names: str) -> int:
    """Return the first of the numbers that is there, within reason."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return int(min(value, _MOST))
    return 0
