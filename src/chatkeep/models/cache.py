"""Answers that were given before, given again: a model in front of a model.

Only what is equal in everything gets the same answer: tenant, model, instructions, the whole input,
tools, hand-offs, the shape of the answer and the settings. Only complete answers are kept, of text
and thoughts and nothing else: one that calls a tool would have its effects without being asked, and
one that a provider's own tools took part in may be out of date.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from hashlib import sha256
from typing import Any, Literal, cast

import structlog
from agents import FunctionTool, Model, ModelResponse, ModelSettings
from agents.items import TResponseStreamEvent
from openai.types.responses import Response
from pydantic import ValidationError

from chatkeep.models.calls import Caller, CallObserver, Finish, Tokens, caller, observer
from chatkeep.models.replaying import can_be_replayed, replay
from chatkeep.ports import Cache

_VERSION = 1  # of what is kept; older values are not found any more
_MAX_BYTES = 1_048_576

_ARGUMENTS = (
    "system_instructions",
    "input",
    "model_settings",
    "tools",
    "output_schema",
    "handoffs",
    "tracing",
)

_log = structlog.get_logger(__name__)


class CachedModel(Model):
    """Asks a model only what was not asked before. Calls that are not streamed always go through.

    A cache that is not there costs nothing but the calls of the model.

    Args:
        inner: The model.
        model_id: What it is called here.
        cache: Where answers are kept.
        seconds: For how long.
        settings: What the model is called with beside what the agent says.
        source: What answers behind the id; operators may put another model there.
    """

    def __init__(
        self,
        inner: Model,
        model_id: str,
        cache: Cache,
        seconds: float,
        settings: ModelSettings | None = None,
        source: str = "",
    ) -> None:
        self._inner = inner
        self._tuned = [source, (settings or ModelSettings()).to_json_dict()]
        self._id = model_id
        self._cache = cache
        self._seconds = seconds

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Return a whole answer of the model."""
        return await self._inner.get_response(*args, **kwargs)

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer, of the model or from the cache."""
        asking = caller.get()
        named = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
        key = _key(asking, self._id, self._tuned, named) if asking is not None else None
        if key is None or asking is None:
            source = self._inner.stream_response(*args, **kwargs)
        elif not asking.fresh and (known := await self._known(key)) is not None:
            if (told := observer.get()) is not None:
                told.replayed(self._id)
            source = replay(known)
        else:
            source = self._kept(key, self._inner.stream_response(*args, **kwargs))
        async with aclosing(cast("AsyncGenerator[TResponseStreamEvent]", source)) as events:
            async for event in events:
                yield event

    async def _known(self, key: str) -> Response | None:
        value = await self._cache.get(key)
        if value is None:
            return None
        try:
            return Response.model_validate_json(value)
        except ValidationError:
            _log.warning("what the cache has is no answer")
            return None

    async def _kept(
        self, key: str, source: AsyncIterator[TResponseStreamEvent]
    ) -> AsyncGenerator[TResponseStreamEvent]:
        """Pass an answer on, and keep it if it is complete."""
        watching = _Watching(observer.get())
        token = observer.set(watching)
        answer: Response | None = None
        try:
            async with aclosing(cast("AsyncGenerator[TResponseStreamEvent]", source)) as events:
                async for event in events:
                    if event.type == "response.completed":
                        answer = event.response
                    yield event
        finally:
            with suppress(ValueError):  # closed by somebody else than who began it
                observer.reset(token)
        if answer is not None and not watching.special and can_be_replayed(answer):
            value = answer.model_dump_json(exclude_none=True).encode()
            if len(value) <= _MAX_BYTES:
                await self._cache.put(key, value, self._seconds)


class _Watching:
    """Notes whether a call was one that is not to be repeated; tells the run's own observer."""

    def __init__(self, told: CallObserver | None) -> None:
        self._told = told
        self.special = False

    def used(self, model_id: str, tokens: Tokens) -> None:
        if self._told is not None:
            self._told.used(model_id, tokens)

    def replayed(self, model_id: str) -> None:
        if self._told is not None:
            self._told.replayed(model_id)

    def ended_early(self, why: Finish) -> None:
        self.special = True
        if self._told is not None:
            self._told.ended_early(why)

    def fell_back(self, model_id: str, to: str, why: str) -> None:
        self.special = True
        if self._told is not None:
            self._told.fell_back(model_id, to, why)

    async def notify(self, level: Literal["info", "warning", "danger"], message: str) -> None:
        self.special = True
        if self._told is not None:
            await self._told.notify(level, message)


def _key(asking: Caller, model_id: str, tuned: list[Any], named: dict[str, Any]) -> str | None:
    """Return what an answer is kept under; None for a call whose answer is not kept.

    That is one that goes on from what a provider has stored, or may use tools that a provider
    runs; and one with something in it of which it cannot be said whether two are equal.
    """
    if any(named.get(name) for name in ("previous_response_id", "conversation_id", "prompt")):
        return None
    tools, handoffs = named.get("tools") or (), named.get("handoffs") or ()
    if not all(isinstance(tool, FunctionTool) for tool in tools):
        return None
    schema = named.get("output_schema")
    shape = None if schema is None or schema.is_plain_text() else schema.json_schema()
    told = [
        _VERSION,
        asking.tenant,
        model_id,
        tuned,
        named.get("system_instructions"),
        named.get("input"),
        [[tool.name, tool.description, tool.params_json_schema] for tool in tools],
        [[each.tool_name, each.tool_description, each.input_json_schema] for each in handoffs],
        shape,
    ]
    try:
        settings = named["model_settings"].to_json_dict()
        text = json.dumps([*told, settings], sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, KeyError):
        return None
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
